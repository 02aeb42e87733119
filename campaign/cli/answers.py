"""How a campaign's standing is told: as the contract's JSON, and as a table for people."""

from __future__ import annotations

from collections.abc import Iterable

from campaign.cli.frame import Session
from campaign.domain.campaign import Halt
from campaign.domain.days import rfc3339
from campaign.domain.mask import mask_openid
from campaign.domain.money import yuan_grouped
from campaign.domain.state import TAKEN, State
from campaign.domain.verdict import OWNER_TEXT, STATE_TEXT, halt_advice
from campaign.stages.standing import Standing
from campaign.text import Text, text
from campaign.wechat.answers import explain

#: So many rows that need a person are told in the terminal; the report has them all.
_TOLD = 20

EXIT_DONE = 0
EXIT_NOT_FINISHED = 5
EXIT_NEEDS_PERSON = 6
EXIT_INTERRUPTED = 130


def exit_code(standings: Iterable[Standing], *, interrupted: bool = False) -> int:
    """The contract's exit code for what is left to do: not finished wins over needing a person.

    Args:
        interrupted: somebody stopped this very command; what an earlier one recorded is not finished.
    """
    if interrupted:
        return EXIT_INTERRUPTED
    codes = {_code(s) for s in standings}
    return next((c for c in (EXIT_NOT_FINISHED, EXIT_NEEDS_PERSON) if c in codes), EXIT_DONE)


def _code(standing: Standing) -> int:
    if standing.halt is not None:
        return EXIT_NOT_FINISHED
    return EXIT_NEEDS_PERSON if standing.needs else EXIT_DONE


def as_json(standing: Standing, session: Session, *, unmask: bool) -> dict[str, object]:
    """The keys that the contract promises for ``run``, ``status NAME`` and ``reconcile NAME``."""
    return {
        "campaign": standing.campaign.name,
        "title": standing.campaign.title,
        "rows": standing.rows,
        "states": {state.value: rows for state, (rows, _) in standing.totals.items()},
        "fen": {state.value: fen for state, (_, fen) in standing.totals.items()}
        | {"total": standing.total_fen},
        "cancelled": standing.campaign.cancelled_at_s is not None,
        "halted": None if standing.halt is None else _halt_json(standing.halt, session),
        "needs_person": [
            {
                "row": entry.row,
                "re_openid": entry.re_openid if unmask else mask_openid(entry.re_openid),
                "mch_billno": entry.mch_billno,
                "state": entry.state.value,
                "err_code": entry.err_code,
                "reason": session.speech.say(need.reason),
                "advice": session.speech.say(need.advice),
                "owner": need.owner.value,
                "until": None if need.until_s is None else rfc3339(need.until_s),
                "fen": entry.total_amount,
            }
            for entry, need in standing.needs
        ],
    }


def _halt_json(halt: Halt, session: Session) -> dict[str, object]:
    return {
        "reason": halt.reason.value,
        "err_code": halt.err_code,
        "advice": session.speech.say(halt_advice(halt, explain)),
        "until": None if halt.until_s is None else rfc3339(halt.until_s),
        "missing_fen": halt.missing_fen,
    }


def tell(standing: Standing, session: Session) -> None:
    """Print where the money is, why it stopped, and who has to do what."""
    from rich.table import Table

    say = session.speech.say
    # The title is for people, and may be the same for all of them; commands take the name.
    title, name = standing.campaign.title, standing.campaign.name
    heading = f"{title} · {name}" if title and title != name else name
    session.tell(Text("{heading}", {"heading": heading}), style="bold")  # a table would break it to its width
    table = Table(box=None, pad_edge=False)
    table.add_column(say(text("state")))
    table.add_column(say(text("rows")), justify="right")
    table.add_column(say(text("yuan")), justify="right")
    for state, (rows, fen) in standing.totals.items():
        table.add_row(say(STATE_TEXT[state]), f"{rows:,}", yuan_grouped(fen))
    table.add_section()
    table.add_row(say(text("all")), f"{standing.rows:,}", yuan_grouped(standing.total_fen), style="bold")
    session.out.print(table)
    if standing.campaign.cancelled_at_s is not None:
        session.tell(text("This campaign was cancelled: nothing more is sent for it."))
    if standing.halt is not None:
        session.tell(
            text("Not finished. {advice}", advice=halt_advice(standing.halt, explain)), style="yellow"
        )
    if standing.needs:
        _tell_needs(standing, session)
    if standing.held:
        session.tell(
            text(
                "Not sent: {rows} planned rows whose earlier number may have been paid after all. That "
                "number is among those that need a person.",
                rows=standing.held,
            ),
            style="yellow",
        )
    # Without a halt nothing else of the present sheet is left to be sent.
    planned = standing.totals.get(State.PLANNED, (0, 0))[0]
    unlisted = planned - standing.held if standing.halt is None else 0
    if unlisted:
        session.tell(
            text(
                "Not sent: {rows} planned rows that the sheet of the last run did not have, or not among its "
                "first rows. A run of a sheet that has them sends them.",
                rows=unlisted,
            ),
            style="yellow",
        )
    elif standing.halt is None and not standing.needs:
        waiting = standing.totals.get(State.ACCEPTED, (0, 0))[0]
        if not waiting:
            done = text("Done: nothing is open and nothing needs a person.")
        elif standing.totals.keys() <= TAKEN:
            done = text(
                "Done: every packet was taken by WeChat Pay; {waiting} wait to be opened.", waiting=waiting
            )
        else:  # some were withdrawn, or failed and have another number
            done = text("Done: nothing needs a person; {waiting} packets wait to be opened.", waiting=waiting)
        session.tell(done, style="green")


def _tell_needs(standing: Standing, session: Session) -> None:
    session.tell(text("Rows that need a person: {rows}.", rows=len(standing.needs)), style="yellow")
    for entry, need in standing.needs[:_TOLD]:
        session.tell(
            text(
                "  {place}  {openid}  {yuan} yuan  {number}\n    {reason}.\n    Next step ({owner}): "
                "{advice}.",
                # A fix sheet, or one of second numbers, counts its own rows.
                place=text("{sheet}, row {row}", sheet=entry.sheet, row=entry.row),
                openid=mask_openid(entry.re_openid),
                yuan=yuan_grouped(entry.total_amount),
                number=entry.mch_billno,
                reason=need.reason,
                owner=OWNER_TEXT[need.owner],
                advice=need.advice,
            )
        )
    if len(standing.needs) > _TOLD:
        session.tell(
            text(
                "  … and {more} more; `campaign report {name}` lists them all.",
                more=len(standing.needs) - _TOLD,
                name=standing.campaign.name,
            )
        )
