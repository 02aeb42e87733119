"""A second number for a row whose first one is proven dead (architecture, section 3).

Every number of a row is asked about at this moment, and only WeChat Pay's own word counts: the ledger may
be old, and what failed once may have been looked at too early.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from campaign.domain.answer import QueryAnswer, Status
from campaign.domain.billno import ISSUE_MAX, Tie, mch_billno
from campaign.domain.entry import Entry
from campaign.domain.state import Evidence, State
from campaign.ledger.store import Ledger
from campaign.sheet.texts import TEXT_FIELDS
from campaign.sheet.write import TiedRow
from campaign.stages.shift import Asked, Desk, ask_all, discrepancy, keep_answers
from campaign.text import Text, text


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A row that gets no second number now."""

    entry: Entry
    reason: Text
    advice: Text
    #: Whether the same command may bring more later; else a person has to look.
    again: bool


@dataclass(slots=True, kw_only=True)
class Reissue:
    """What may be paid under a new number, in sheet order, and what may not."""

    rows: list[Entry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    #: New numbers that WeChat Pay knows already: another ledger gave them, and this one is behind.
    known: int = 0

    @property
    def total_fen(self) -> int:
        """What the rows cost as they stand."""
        return sum(entry.total_amount for entry in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A row that the ledger calls unpaid for good."""

    #: Its numbers so far, oldest first; the last one is the entry to pay again.
    numbers: tuple[Entry, ...]
    #: The row under the number that would come next; it may be planned already.
    following: Entry

    @property
    def last(self) -> Entry:
        return self.numbers[-1]

    @property
    def row(self) -> Entry:
        """The last entry with what the next one would be sent with: somebody may have corrected it."""
        after = self.following
        return replace(
            self.last,
            re_openid=after.re_openid,
            total_amount=after.total_amount,
            parameters=after.parameters,
            own=after.own,
        )


def candidates(ledger: Ledger, campaign: str, *, mch_id: str, refunded: bool) -> list[Candidate]:
    """The rows that are dead by the ledger, in sheet order; with ``refunded`` those that came back, too.

    Also those whose next number waits to be sent: their sheet may be lost.
    """
    states = (State.REJECTED, State.REFUNDED) if refunded else (State.REJECTED,)
    found = []
    for entry in ledger.entries(campaign, states=states):
        if entry.state is State.REJECTED and entry.evidence is not Evidence.DEAD:
            continue
        if entry.issue == ISSUE_MAX:
            continue
        following = _numbered(entry, entry.issue + 1, mch_id=mch_id)
        planned = ledger.entry(following.mch_billno)
        if planned is not None and planned.state is not State.PLANNED:
            continue  # was issued again already: that entry speaks for the row
        earlier = (_numbered(entry, issue, mch_id=mch_id) for issue in range(1, entry.issue))
        numbers = (*(ledger.entry(e.mch_billno) or e for e in earlier), entry)
        found.append(Candidate(numbers=numbers, following=planned or following))
    return found


def reissue(desk: Desk, found: Sequence[Candidate], *, refunded: bool) -> Reissue:
    """Ask about every number of these rows now, and sort out those that may get another one.

    The answers are kept in the ledger as evidence. They change no entry's state, but one that contradicts
    what was settled flags its entry, and a person has to look.

    Raises:
        SetupError: WeChat Pay refuses the questions for the settings' sake.
        KeyboardInterrupt: somebody asked us to stop; nothing is decided then.
    """
    entries = [entry for c in found for entry in (*c.numbers, c.following)]
    answers = ask_all(desk, entries, book=partial(_keep, desk))
    result = Reissue()
    by_bill = desk.ledger.debited(found[0].last.campaign) if found else frozenset()
    for candidate in found:
        left_out = _judged(candidate, answers, by_bill, refunded=refunded)
        if left_out:
            result.left_out.append(left_out)
        else:
            result.rows.append(candidate.row)
            result.known += answers[candidate.following.mch_billno].answer.status is not Status.NOT_FOUND
    if result.known:
        desk.ledger.set_ask_first(found[0].last.campaign, desk.clock.now_s())
    return result


def tied_rows(entries: Iterable[Entry]) -> Iterator[TiedRow]:
    """The rows of the sheet: as they were sent, with the next issue number."""
    for entry in entries:
        words = entry.reason or entry.err_code
        yield TiedRow(
            tie=Tie(campaign=entry.campaign, row_key=entry.row_key, issue=entry.issue + 1),
            re_openid=entry.re_openid,
            total_amount=entry.total_amount,
            texts={name: entry.parameters.get(name, "") for name in TEXT_FIELDS},
            own=entry.own,
            note=f"{entry.mch_billno}: {entry.status} {words}".strip(),
        )


def _numbered(entry: Entry, issue: int, *, mch_id: str) -> Entry:
    """The same row under another issue number, so that it can be asked about."""
    number = mch_billno(mch_id=mch_id, campaign_id=entry.campaign, row_key=entry.row_key, issue=issue)
    return replace(entry, mch_billno=number, issue=issue, send_listid="")


def _keep(desk: Desk, batch: Sequence[Asked]) -> None:
    """Keep the answers as evidence; the numbers that are only thought of have no entry."""
    known = [asked for asked in batch if desk.ledger.entry(asked.entry.mch_billno) is not None]
    keep_answers(desk.ledger, known, now_s=desk.clock.now_s())


def _judged(
    candidate: Candidate, answers: Mapping[str, Asked], by_bill: Collection[str], *, refunded: bool
) -> LeftOut | None:
    """Why the row gets no further number now; None where nothing speaks against it.

    Args:
        by_bill: numbers whose money left by the funds bill.
    """
    for entry in candidate.numbers:
        asked = answers.get(entry.mch_billno)
        if asked is None or asked.answer.status is None:
            return _unanswered(candidate.last, entry)
        if entry.flag is not None:  # whatever it says today: planning would refuse the whole sheet
            reason = text("WeChat Pay has said different things about {number}", number=entry.mch_billno)
            return LeftOut(entry=candidate.last, reason=reason, advice=_LOOK, again=False)
        if entry.mch_billno in by_bill:
            reason = text("the funds bill has a debit for {number}", number=entry.mch_billno)
            return LeftOut(entry=candidate.last, reason=reason, advice=_LOOK, again=False)
        if objection := _objection(entry, asked.answer, refunded=refunded):
            reason, advice = objection
            return LeftOut(entry=candidate.last, reason=reason, advice=advice, again=False)
    asked = answers.get(candidate.following.mch_billno)
    if asked is None or asked.answer.status is None:
        return _unanswered(candidate.last, candidate.following)
    return None


def _objection(entry: Entry, answer: QueryAnswer, *, refunded: bool) -> tuple[Text, Text] | None:
    """What in WeChat Pay's answer about one number forbids another one, with the next step."""
    match answer.status:
        case Status.NOT_FOUND:
            return (
                text(
                    "WeChat Pay does not know {number} now, which proves nothing: it forgets orders "
                    "after 30 days",
                    number=entry.mch_billno,
                ),
                _LOOK,
            )
        case Status.REFUND if not refunded:
            return (
                text("the money of {number} came back", number=entry.mch_billno),
                text("add --refunded if these people are to be paid again"),
            )
        case Status.FAILED | Status.REFUND:
            partly = answer.refund_amount not in (None, entry.total_amount)
            if answer.claims or discrepancy(entry, answer) or (partly and answer.status is Status.REFUND):
                return text(
                    "WeChat Pay's answer about {number} contradicts itself", number=entry.mch_billno
                ), _LOOK
            return None
        case status:
            return (
                text("WeChat Pay calls {number} {status} now", number=entry.mch_billno, status=status),
                _LOOK,
            )


def _unanswered(last: Entry, number: Entry) -> LeftOut:
    return LeftOut(
        entry=last,
        reason=text("WeChat Pay gave no clear answer about {number}", number=number.mch_billno),
        advice=text("run `campaign reissue {campaign}` again later", campaign=last.campaign),
        again=True,
    )


_LOOK: Final = text(
    "look the number up on the merchant platform and in the funds bill; do not pay this row again before that"
)
