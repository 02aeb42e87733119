"""``campaign reconcile [NAME]``: ask what became of the packets, repeat what is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from campaign.cli.answers import as_json, exit_code, tell
from campaign.cli.desk import interruptible, open_desk
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.gateway import open_gateway
from campaign.cli.names import chosen_campaigns, existing_ledger, other_ledgers
from campaign.domain.campaign import HaltReason
from campaign.ledger.lock import try_hold
from campaign.ports import SystemClock
from campaign.stages.reconcile import reconcile as reconcile_campaigns
from campaign.stages.shift import Shift
from campaign.stages.standing import standing
from campaign.text import text
from campaign.wechat.answers import refused_settings


@command(
    "reconcile",
    help=text("Ask WeChat Pay about every packet whose time has come, and repeat what is due."),
    examples=("campaign reconcile", "campaign reconcile lantern --json"),
)
@click.argument("name", required=False)
@option("--unmask", is_flag=True, help=text("Show openids in full."))
@answers_json
@pass_session
def reconcile(session: Session, name: str | None, unmask: bool) -> int:
    settings = session.settings()
    clock = SystemClock()
    path = settings.ledger_path()

    @contextmanager
    def hold(campaign: str) -> Iterator[bool]:
        with try_hold(path, campaign) as held:
            if not held:
                session.say(text("A run is at work on {campaign}: asking only.", campaign=campaign))
            yield held

    with existing_ledger(settings, clock) as ledger:
        names = chosen_campaigns(ledger, name)
        states = []
        interrupted = False
        if ledger is not None and names:
            with (
                open_gateway(settings, session) as wire,
                interruptible() as stop,
                other_ledgers(settings, clock, only_asks=True) as others,
                open_desk(settings, ledger, wire, clock, stop, other_ledgers=others.while_spending) as desk,
            ):
                shifts = reconcile_campaigns(desk, names, hold=hold)
                interrupted = stop.asked()
            _refuse_wrong_settings(shifts.values())
            states = [
                standing(
                    ledger, each, now_s=clock.now_s(), halt=shifts[each].halt if each in shifts else None
                )
                for each in names
            ]
    if session.json:
        answers = [as_json(state, session, unmask=unmask) for state in states]
        session.answer_json(answers[0] if name is not None else {"campaigns": answers})
    else:
        for state in states:
            tell(state, session)
        if not states:
            session.tell(text("No campaign was run yet."))
    return exit_code(states, interrupted=interrupted)


def _refuse_wrong_settings(shifts: Iterable[Shift]) -> None:
    """Certificate, key or appid refused, and nothing sent: that is for the engineer to solve (exit 4)."""
    for shift in shifts:
        if shift.halt and shift.halt.reason is HaltReason.SETTINGS and not shift.requests:
            raise refused_settings(shift.halt.err_code)
