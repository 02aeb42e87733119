"""``campaign cancel NAME``: close a campaign."""

from __future__ import annotations

import click

from campaign.cli.answers import as_json, exit_code, tell
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.ledger.lock import hold_campaign
from campaign.ports import SystemClock
from campaign.stages.standing import standing
from campaign.text import text


@command(
    "cancel",
    help=text(
        "Close a campaign: what was not sent yet is withdrawn, nothing is repeated, and what was sent is "
        "only asked about. `campaign run SHEET --reopen` takes it up again."
    ),
    examples=("campaign cancel lantern",),
)
@click.argument("name")
@option("--yes", is_flag=True, help=text("Do not ask before cancelling."))
@answers_json
@pass_session
def cancel(session: Session, name: str, yes: bool) -> int:
    settings = session.settings()
    clock = SystemClock()
    with existing_ledger(settings, clock) as ledger:
        [campaign] = chosen_campaigns(ledger, name)
        assert ledger is not None
        if not yes and not session.ask(
            text("Withdraw everything of {campaign} that was not sent yet?", campaign=campaign)
        ):
            session.say(text("Nothing was changed."))
            if session.json:
                session.answer_json({"campaign": campaign, "declined": True})
            return 0
        with hold_campaign(settings.ledger_path(), campaign):
            withdrawn = ledger.cancel(campaign, clock.now_s())
        state = standing(ledger, campaign, now_s=clock.now_s())
    if session.json:
        session.answer_json({**as_json(state, session, unmask=False), "withdrawn": withdrawn})
    else:
        session.tell(text("{count} rows were withdrawn; nobody is paid for them.", count=withdrawn))
        tell(state, session)
    return exit_code([state])
