"""``campaign status [NAME]``: where the money is, deadlines, and what needs a person."""

from __future__ import annotations

import click

from campaign.cli.answers import as_json, exit_code, tell
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.ports import SystemClock
from campaign.stages.standing import standing
from campaign.text import text


@command(
    "status",
    help=text("Show where the money is, in rows and yuan, what is due and what needs a person."),
    examples=("campaign status", "campaign status lantern --json"),
)
@click.argument("name", required=False)
@option("--unmask", is_flag=True, help=text("Show openids in full."))
@answers_json
@pass_session
def status(session: Session, name: str | None, unmask: bool) -> int:
    settings = session.settings()
    clock = SystemClock()
    with existing_ledger(settings, clock) as ledger:
        names = chosen_campaigns(ledger, name)
        states = [standing(ledger, each, now_s=clock.now_s()) for each in names] if ledger else []
    if session.json:
        answers = [as_json(state, session, unmask=unmask) for state in states]
        session.answer_json(answers[0] if name is not None else {"campaigns": answers})
    else:
        for state in states:
            tell(state, session)
        if not states:
            session.tell(text("No campaign was run yet."))
    return exit_code(states)
