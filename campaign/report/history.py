"""What was requested, asked and billed under a number: the evidence of an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from campaign.domain.answer import Outcome
from campaign.domain.bill import BillLine
from campaign.domain.money import yuan_grouped
from campaign.ledger.records import Attempt, Question
from campaign.text import Text, text


@dataclass(frozen=True, slots=True)
class Trace:
    """One request or question with its answer."""

    #: When it left, in Unix seconds.
    at_s: float
    what: Text
    err_code: str
    #: WeChat Pay's own, for people only.
    words: str


#: Bill number -> its traces, oldest first.
History = Callable[[str], Sequence[Trace]]

OUTCOME_TEXT: Final[dict[Outcome, Text]] = {
    Outcome.ACCEPTED: text("taken"),
    Outcome.REFUSED: text("refused, no order stored"),
    Outcome.BLOCKED: text("not paid now"),
    Outcome.PROCESSING: text("result later"),
    Outcome.THROTTLED: text("too fast"),
    Outcome.MISMATCH: text("another order under this number"),
    Outcome.UNKNOWN: text("no clear answer"),
    Outcome.NOT_SENT: text("never left this machine"),
}


def traces(attempts: Iterable[Attempt], questions: Iterable[Question]) -> list[Trace]:
    """All that happened under one number, oldest first."""
    requests = (
        Trace(
            attempt.begun_at_s,
            text(
                "request {n}: {outcome}",
                n=attempt.n,
                outcome=OUTCOME_TEXT[attempt.outcome or Outcome.UNKNOWN],
            ),
            attempt.err_code,
            attempt.err_code_des,
        )
        for attempt in attempts
    )
    asked = (
        Trace(
            question.asked_at_s,
            text("asked: {status}", status=question.status or text("no clear answer")),
            question.err_code,
            question.err_code_des,
        )
        for question in questions
    )
    return sorted((*requests, *asked), key=lambda trace: trace.at_s)


def bill_traces(lines: Iterable[BillLine]) -> list[Trace]:
    """A row's lines in the funds bills."""
    return [
        Trace(
            line.billed_at_s,
            text("funds bill: {yuan} yuan came back", yuan=yuan_grouped(line.fen))
            if line.incoming
            else text("funds bill: {yuan} yuan left the account", yuan=yuan_grouped(line.fen)),
            "",
            f"{line.flow_id} ({line.file}:{line.line})",
        )
        for line in lines
    ]
