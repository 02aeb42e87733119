"""``campaign status [NAME]``: where the money is, deadlines, and what needs a person."""

from __future__ import annotations

from collections.abc import Sequence

import click

from campaign.cli.answers import as_json, exit_code, tell
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.domain.days import beijing_text, rfc3339
from campaign.domain.deadline import CLIFF_TEXT, Deadline
from campaign.domain.money import yuan_grouped
from campaign.ports import SystemClock
from campaign.stages.deadlines import deadlines
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
        now_s = clock.now_s()
        states = [standing(ledger, each, now_s=now_s) for each in names] if ledger else []
        boards = [deadlines(ledger, each, now_s=now_s) for each in names] if ledger else []
    if session.json:
        answers = [
            as_json(state, session, unmask=unmask) | {"deadlines": deadlines_json(board)}
            for state, board in zip(states, boards, strict=True)
        ]
        session.answer_json(answers[0] if name is not None else {"campaigns": answers})
    else:
        for state, board in zip(states, boards, strict=True):
            tell(state, session)
            tell_deadlines(board, session)
        if not states:
            session.tell(text("No campaign was run yet."))
    return exit_code(states)


def deadlines_json(board: Sequence[Deadline]) -> list[dict[str, object]]:
    """The board for programs, the nearest first."""
    return [
        {
            "kind": deadline.cliff.value,
            "at": rfc3339(deadline.at_s),
            "rows": deadline.rows,
            "fen": deadline.fen,
            "near": deadline.near,
        }
        for deadline in board
    ]


def tell_deadlines(board: Sequence[Deadline], session: Session) -> None:
    """The board for people."""
    from rich.table import Table

    if not board:
        return
    say = session.speech.say
    table = Table(title=say(text("Deadlines")), title_justify="left", box=None, pad_edge=False)
    table.add_column(say(text("first of them (Beijing)")), overflow="fold")
    table.add_column(say(text("rows")), justify="right")
    table.add_column(say(text("yuan")), justify="right")
    table.add_column("", overflow="fold")
    for deadline in board:
        table.add_row(
            beijing_text(deadline.at_s),
            f"{deadline.rows:,}",
            yuan_grouped(deadline.fen),
            say(CLIFF_TEXT[deadline.cliff]),
            style="yellow" if deadline.near else None,
        )
    session.out.print(table)
