"""The three-way match (R10.5): the ledger, what ``gethbinfo`` said, and the funds bill.

Each entry of a campaign has one debit in the bill if its packet was paid, and one credit if it came back.
Lines belong to entries by their numbers; only where a bill's lines carry none that are known do amount and
day decide. What is left over on any side is a `Finding`, each discrepancy once. Beside that, the accounts'
own arithmetic must hold (`campaign.domain.account`).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from campaign.domain.account import Account, Break, Segment, check_balances, reckon
from campaign.domain.bill import Bill, BillLine, Business, BusinessNames
from campaign.domain.billno import BILLNO_LENGTH
from campaign.domain.days import MIDNIGHT_MARGIN_S, beijing_day, day_range, moment_s
from campaign.domain.decision import REPEAT_WINDOW_S
from campaign.domain.entry import Entry
from campaign.domain.finding import (
    Finding,
    Kind,
    amount_differs,
    answers_differ,
    debit_unexpected,
    missing,
    not_in_ledger,
    refund_unexpected,
    two_debits,
    two_refunds,
    unknown_business,
)
from campaign.domain.money import Sum
from campaign.domain.state import OPEN, TAKEN, State
from campaign.domain.verdict import DEBITED, Verdict, verdict
from campaign.text import Text

#: How long after an answer the money may move at the latest; decides which day's bill must have the line.
_SETTLING_S: Final = 600.0
#: The first day that has a bill (R10.2).
_FIRST_BILL: Final = date(2017, 6, 1)
_LOUDNESS: Final = {kind: place for place, kind in enumerate(Kind)}


@dataclass(slots=True, kw_only=True)
class Match:
    """What the match of one campaign brought."""

    bills: tuple[Bill, ...]
    #: The loudest first.
    findings: list[Finding] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    #: Where the accounts' balances do not follow from their lines.
    breaks: list[Break] = field(default_factory=list)
    #: How first and last balance differ from what they are known to be.
    balance_problems: list[Text] = field(default_factory=list)
    rows: int = 0
    #: Lines that belong to rows of the campaign: by their numbers, or by amount and day only.
    by_number: int = 0
    by_amount: int = 0
    #: Paid rows whose debit may be on a day that no bill covers.
    outside: int = 0
    #: Rows whose bill, with or without a line, says more than WeChat Pay's answers so far; they are still
    #: asked about.
    ahead: int = 0
    #: Lines of other campaigns in the ledger, and of other business.
    elsewhere: int = 0
    other: int = 0
    #: The campaign's packets on the bills' days, by the ledger and by the bills.
    ledger_sent: Sum = field(default_factory=Sum)
    bill_sent: Sum = field(default_factory=Sum)
    ledger_refunded: Sum = field(default_factory=Sum)
    bill_refunded: Sum = field(default_factory=Sum)
    #: Each line that belongs to a row of the campaign, with the row's ``mch_billno``.
    pairs: list[tuple[str, BillLine]] = field(default_factory=list)

    @property
    def days(self) -> frozenset[date]:
        """The Beijing days that the bills cover."""
        return frozenset[date]().union(*(bill.days for bill in self.bills))

    @property
    def holds(self) -> bool:
        """Whether the accounts' arithmetic does."""
        return not self.breaks and not self.balance_problems

    @property
    def clean(self) -> bool:
        """Whether everything fits."""
        return self.holds and not self.findings and not any(bill.flaw for bill in self.bills)


def match(
    entries: Iterable[Entry],
    bills: Sequence[Bill],
    *,
    elsewhere: Iterable[tuple[str, ...]] = (),
    names: BusinessNames,
    mch_id: str,
    opening_fen: int | None = None,
    closing_fen: int | None = None,
) -> Match:
    """Match a campaign's entries with bills. Holds the lines in memory, the entries one by one.

    Args:
        entries: all of the campaign.
        bills: of whatever days and accounts; a line that two of them have counts once.
        elsewhere: of each other entry in the ledger the numbers, ``mch_billno`` first, then WeChat Pay's.
        opening_fen: what the accounts held before the first line, where somebody knows it.
        closing_fen: what they held after the last.
    """
    parts = _without_repeats(bills)
    found = Match(bills=tuple(bills))
    covered = found.days
    matching = _Matching(found, [line for part in parts for line in part], covered, names, mch_id)
    for entry in entries:
        matching.take(entry)
    for numbers in elsewhere:
        matching.set_aside(numbers)
    matching.finish()
    kinds = matching.kinds()
    segments = [
        Segment(bill.account, [(line, next(kinds)) for line in part])
        for bill, part in zip(bills, parts, strict=True)
    ]
    found.accounts, found.breaks = reckon(segments, covered)
    found.balance_problems = check_balances(found.accounts, opening_fen=opening_fen, closing_fen=closing_fen)
    found.findings.sort(key=lambda finding: (_LOUDNESS[finding.kind], finding.since_s))
    return found


def _without_repeats(bills: Sequence[Bill]) -> list[list[BillLine]]:
    """The lines of each bill that no bill before it has: files may overlap, or be named twice.

    A line that stands twice in one file stays so: that is an alarm, not an overlap.
    """
    seen: Counter[BillLine] = Counter()
    parts = []
    for bill in bills:
        here: Counter[BillLine] = Counter()
        part = []
        for line in bill.lines:
            here[line] += 1
            if here[line] > seen[line]:
                part.append(line)
        seen |= here
        parts.append(part)
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A line that the bill should have for an entry, and the days on which it can stand."""

    entry: Entry
    incoming: bool
    fen: int
    since_s: float
    first: date
    last: date

    @property
    def days(self) -> frozenset[date]:
        return frozenset(day_range(self.first, self.last))


class _Matching:
    """One match under way: `take` every entry, `set_aside` every other one, `finish`."""

    def __init__(
        self, found: Match, lines: list[BillLine], covered: frozenset[date], names: BusinessNames, mch_id: str
    ) -> None:
        self.found = found
        self._lines = lines
        self._covered = covered
        self._names = names
        self._mch_id = mch_id
        self._taken = bytearray(len(lines))
        self._by_voucher: defaultdict[str, list[int]] = defaultdict(list)
        self._by_business: defaultdict[str, list[int]] = defaultdict(list)
        for place, line in enumerate(lines):
            if line.voucher_no:
                self._by_voucher[line.voucher_no].append(place)
            if line.business_no:
                self._by_business[line.business_no].append(place)
        self._wanted: list[_Wanted] = []
        #: Directions (incoming or not) in which a line's numbers led to an entry.
        self._numbers_work: set[bool] = set()
        #: Name and type of lines that belong to entries: this is how WeChat Pay calls packets.
        self._learned: set[tuple[str, str]] = set()

    def take(self, entry: Entry) -> None:
        """Give an entry the lines that carry its numbers, and judge it."""
        found = self.found
        found.rows += 1
        lines = self._numbered((entry.mch_billno, entry.send_listid, entry.detail_id))
        found.by_number += len(lines)
        found.pairs += ((entry.mch_billno, line) for line in lines)
        if early := [line for line in lines if _is_ahead(entry, line)]:
            found.ahead += 1
            lines = [line for line in lines if line not in early]
        debits = [line for line in lines if not line.incoming]
        refunds = [line for line in lines if line.incoming]
        for line in debits:
            found.bill_sent.add(line.fen)
        for line in refunds:
            found.bill_refunded.add(line.fen)
        findings = [answers_differ(entry), self._judge_debits(entry, debits)]
        if not findings[1] or findings[1].kind is not Kind.DEBIT_UNEXPECTED:
            findings.append(self._judge_refunds(entry, refunds))
        found.findings += filter(None, findings)

    def set_aside(self, numbers: tuple[str, ...]) -> None:
        """Lines of another campaign's entry are no discrepancy here."""
        self.found.elsewhere += len(self._numbered(numbers))

    def finish(self) -> None:
        """Decide by amount and day where numbers do not, and name what is left over."""
        unknown: defaultdict[str, list[BillLine]] = defaultdict(list)
        loose: defaultdict[tuple[bool, int], list[int]] = defaultdict(list)
        left = []
        for place, line in enumerate(self._lines):
            if self._taken[place]:
                continue
            kind = self._kind_of(line)
            if kind is Business.PACKET and self._numbers_speak(line):
                left.append(line)
            elif kind is Business.PACKET:
                loose[line.incoming, line.fen].append(place)
            elif kind is Business.UNKNOWN:
                unknown[line.business_name or line.business_type].append(line)
            else:
                self.found.other += 1
        self._match_by_amount(loose)
        left += [self._lines[place] for group in loose.values() for place in group if not self._taken[place]]
        self.found.findings += map(not_in_ledger, left)
        self.found.findings += (unknown_business(name, lines) for name, lines in unknown.items())

    def kinds(self) -> Iterator[Business]:
        """What each line is, now that the rows' lines are known too."""
        for taken, line in zip(self._taken, self._lines, strict=True):
            yield Business.PACKET if taken else self._kind_of(line)

    # -- by number

    def _numbered(self, numbers: tuple[str, ...]) -> list[BillLine]:
        """The lines that carry one of an entry's numbers; they are taken from now on."""
        mch_billno, *others = numbers
        places = list(self._by_voucher.get(mch_billno, ()))
        for number in filter(None, others):
            # A voucher number of ours names its row, whatever the other number says.
            places += [p for p in self._by_business.get(number, ()) if not self._is_ours(self._lines[p])]
        lines = []
        for place in places:
            if not self._taken[place]:
                self._taken[place] = 1
                line = self._lines[place]
                self._numbers_work.add(line.incoming)
                self._learned.add((line.business_name, line.business_type))
                lines.append(line)
        return lines

    def _is_ours(self, line: BillLine) -> bool:
        """Whether the voucher number has the shape of our bill numbers."""
        return len(line.voucher_no) == BILLNO_LENGTH and line.voucher_no.startswith(self._mch_id)

    def _numbers_speak(self, line: BillLine) -> bool:
        """Whether the line would have been found by its numbers, if it belonged to a row."""
        return self._is_ours(line) or (line.incoming in self._numbers_work and bool(line.voucher_no))

    def _kind_of(self, line: BillLine) -> Business:
        kind = self._names.kind_of(line)
        learned = kind is Business.UNKNOWN and (line.business_name, line.business_type) in self._learned
        return Business.PACKET if learned else kind

    def _judge_debits(self, entry: Entry, debits: list[BillLine]) -> Finding | None:
        paid = verdict(entry) in DEBITED
        if paid and not debits:
            self._wanted.append(_wanted_debit(entry))
        if not debits:
            return None
        if paid:
            self.found.ledger_sent.add(entry.total_amount)
        if len(debits) > 1:
            return two_debits(entry, debits)
        if entry.state not in TAKEN:
            return debit_unexpected(entry, debits)
        return (
            amount_differs(entry, debits, entry.total_amount) if debits[0].fen != entry.total_amount else None
        )

    def _judge_refunds(self, entry: Entry, refunds: list[BillLine]) -> Finding | None:
        back = verdict(entry) is Verdict.REFUNDED
        due_fen = entry.refund_amount or entry.total_amount
        if back and not refunds:
            self._wanted.append(_wanted_refund(entry, due_fen))
        if not refunds:
            return None
        if back:
            self.found.ledger_refunded.add(due_fen)
        if entry.state is not State.REFUNDED:
            return refund_unexpected(entry, refunds)
        came_fen = sum(line.fen for line in refunds)
        if came_fen > due_fen and len(refunds) > 1:
            return two_refunds(entry, refunds, due_fen)
        return amount_differs(entry, refunds, due_fen) if came_fen != due_fen else None

    # -- by amount and day

    def _match_by_amount(self, loose: Mapping[tuple[bool, int], Sequence[int]]) -> None:
        groups: defaultdict[tuple[bool, int], list[_Wanted]] = defaultdict(list)
        for wanted in self._wanted:
            groups[wanted.incoming, wanted.fen].append(wanted)
        for key, group in groups.items():
            for wanted, place in _paired(group, loose.get(key, ()), self._lines):
                if place is not None:
                    self._taken[place] = 1
                    self.found.by_amount += 1
                    self.found.pairs.append((wanted.entry.mch_billno, self._lines[place]))
                    self._count(wanted, in_bill=True)
                elif not wanted.incoming and is_unconfirmed(wanted.entry):
                    self.found.ahead += 1
                elif not wanted.days - self._covered:
                    self._count(wanted, in_bill=False)
                    self.found.findings.append(
                        missing(
                            wanted.entry, incoming=wanted.incoming, fen=wanted.fen, since_s=wanted.since_s
                        )
                    )
                elif not wanted.incoming:
                    self.found.outside += 1

    def _count(self, wanted: _Wanted, *, in_bill: bool) -> None:
        found = self.found
        (found.ledger_refunded if wanted.incoming else found.ledger_sent).add(wanted.fen)
        if in_bill:
            (found.bill_refunded if wanted.incoming else found.bill_sent).add(wanted.fen)


def is_unconfirmed(entry: Entry) -> bool:
    """Whether a row is called paid on its request's answer alone: the question brought none so far.

    What was answered SUCCESS may fail within minutes: without a debit, the next answer will say so.
    """
    asked = entry.state is State.ACCEPTED and not entry.status and entry.asked_at_s is not None
    if not asked or entry.flag is not None or entry.todo is None:
        return False
    return (entry.asked_at_s or 0.0) - (entry.accepted_at_s or 0.0) < REPEAT_WINDOW_S


def _is_ahead(entry: Entry, line: BillLine) -> bool:
    """Whether a line tells of an open row what WeChat Pay was not asked about since.

    The program still asks, so the answer will say the same: that is no discrepancy, unless days go by.
    """
    known = line.incoming is False and verdict(entry) in DEBITED
    if known or entry.state not in OPEN or entry.flag is not None or entry.todo is None:
        return False
    told_s = max(entry.asked_at_s or 0.0, entry.last_sent_at_s or 0.0)
    return told_s - line.billed_at_s < REPEAT_WINDOW_S


def debit_days(entry: Entry) -> frozenset[date]:
    """The Beijing days on whose bills the debit of a paid row can stand."""
    return _wanted_debit(entry).days


def refund_days(entry: Entry) -> frozenset[date]:
    """The Beijing days on whose bills the refund of a row that came back can stand."""
    return _wanted_refund(entry, entry.refund_amount).days


def _wanted_debit(entry: Entry) -> _Wanted:
    """From the first request until a while after the last word on it."""
    times_s = [at_s for at_s in (entry.last_sent_at_s, entry.accepted_at_s) if at_s is not None]
    last_s = max(times_s, default=entry.settled_at_s or 0.0)
    first_s = entry.first_sent_at_s
    return _Wanted(
        entry=entry,
        incoming=False,
        fen=entry.total_amount,
        since_s=last_s if first_s is None else first_s,
        # Without a request of this ledger, an older one, now lost, may have sent it at any time.
        first=_FIRST_BILL if first_s is None else beijing_day(first_s - MIDNIGHT_MARGIN_S),
        last=beijing_day(last_s + _SETTLING_S),
    )


def _wanted_refund(entry: Entry, fen: int) -> _Wanted:
    """Around WeChat Pay's ``refund_time``; without one, from sending to when we learned of it."""
    try:
        first_s = last_s = moment_s(entry.refund_time)
    except ValueError:
        last_s = entry.settled_at_s or 0.0
        first_s = entry.first_sent_at_s or last_s
    return _Wanted(
        entry=entry,
        incoming=True,
        fen=fen,
        since_s=first_s,
        first=beijing_day(first_s - MIDNIGHT_MARGIN_S),
        last=beijing_day(last_s + _SETTLING_S),
    )


def _paired(
    group: Sequence[_Wanted], places: Sequence[int], lines: Sequence[BillLine]
) -> Iterator[tuple[_Wanted, int | None]]:
    """Each wanted line with one of these lines, all of one amount, whose day fits; None where none is left.

    Line after line goes to the row whose last possible day comes first, so as many as possible are paired.
    """
    waiting = sorted(group, key=lambda wanted: wanted.first)
    #: Rows whose first possible day has come, by their last one; the number breaks ties.
    ready: list[tuple[date, int, _Wanted]] = []
    joined = 0
    for place in sorted(places, key=lambda place: lines[place].billed_at_s):
        day = beijing_day(lines[place].billed_at_s)
        while joined < len(waiting) and waiting[joined].first <= day:
            heapq.heappush(ready, (waiting[joined].last, joined, waiting[joined]))
            joined += 1
        while ready and ready[0][0] < day:
            yield heapq.heappop(ready)[2], None
        if ready:
            yield heapq.heappop(ready)[2], place
    for wanted in [wanted for _, _, wanted in ready] + waiting[joined:]:
        yield wanted, None
