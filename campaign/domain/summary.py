"""Totals of a campaign that add up: every row is counted once in each breakdown.

A `Summary` is filled entry by entry, so it takes the same memory for a thousand rows as for a million.
Amounts are fen, days are Beijing days. The sums of each recipient are `campaign.ledger.people`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Self

from campaign.domain.bill import NOT_BILLED, Billed
from campaign.domain.billing import Billing
from campaign.domain.days import HOUR_S, beijing_day, moment_s
from campaign.domain.entry import Entry
from campaign.domain.money import Sum
from campaign.domain.state import State
from campaign.domain.verdict import DEBITED, PAID, Verdict, verdict


@dataclass(slots=True)
class Day:
    """What moved on one Beijing day."""

    sent: Sum = field(default_factory=Sum)
    claimed: Sum = field(default_factory=Sum)
    refunded: Sum = field(default_factory=Sum)


@dataclass(slots=True)
class Totals:
    """One group's planned total and what became of it."""

    planned: Sum = field(default_factory=Sum)
    verdicts: dict[Verdict, Sum] = field(default_factory=lambda: {v: Sum() for v in Verdict})

    def add(self, found: Verdict, fen: int) -> None:
        """Count one more row with its verdict."""
        self.planned.add(fen)
        self.verdicts[found].add(fen)

    @property
    def difference(self) -> Sum:
        """Planned less the sum of all verdicts: zero rows and fen, or the totals must not be believed."""
        return self.planned - sum(self.verdicts.values(), Sum())


@dataclass(slots=True)
class Summary:
    """Everything that a report sums up."""

    totals: Totals = field(default_factory=Totals)
    states: dict[State, Sum] = field(default_factory=lambda: {s: Sum() for s in State})
    days: defaultdict[date, Day] = field(default_factory=lambda: defaultdict(Day))
    activities: defaultdict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    #: (month of sending, month of coming back or empty), as ``2026-03``: what a month's end cuts apart. Of a
    #: packet that came back in part the row stands where it came back, the rest of its fen where nothing did.
    months: defaultdict[tuple[str, str], Sum] = field(default_factory=lambda: defaultdict(Sum))
    #: Whole hours from sending to opening.
    claim_hours: defaultdict[int, Sum] = field(default_factory=lambda: defaultdict(Sum))
    #: What WeChat Pay itself says came back; differs from the refunded rows' sum when a part is missing.
    refunded_fen: int = 0
    #: Send or query codes of rows that are not settled well, with the number of rows.
    err_codes: defaultdict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    #: First and last moment at which a request left, in Unix seconds.
    first_sent_at_s: float | None = None
    last_sent_at_s: float | None = None
    #: What the funds bills say.
    billing: Billing = field(default_factory=Billing)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Sum up all entries."""
        summary = cls()
        for entry in entries:
            summary.add(entry)
        return summary

    @property
    def paid(self) -> Sum:
        """What was taken from the account and did not come back, be it the rest of a packet."""
        verdicts = self.totals.verdicts
        taken_fen = sum(verdicts[found].fen for found in DEBITED)
        return Sum(sum(verdicts[found].rows for found in PAID), taken_fen - self.refunded_fen)

    def add(self, entry: Entry, billed: Billed = NOT_BILLED, *, found: Verdict | None = None) -> None:
        """Count one entry everywhere it belongs, with its lines in the funds bills.

        Args:
            found: its verdict, where that is known already.
        """
        found = found or verdict(entry)
        fen = entry.total_amount
        self.totals.add(found, fen)
        self.states[entry.state].add(fen)
        self.activities[entry.parameters.get("act_name", "")].add(found, fen)
        if entry.err_code and found not in DEBITED:
            self.err_codes[entry.err_code].add(fen)
        self.billing.add(entry, found, billed)
        self._add_days(entry, found)

    def _add_days(self, entry: Entry, found: Verdict) -> None:
        fen, sent_s = entry.total_amount, sent_at_s(entry)
        if entry.first_sent_at_s is not None and entry.last_sent_at_s is not None:
            self.first_sent_at_s = min(self.first_sent_at_s or entry.first_sent_at_s, entry.first_sent_at_s)
            self.last_sent_at_s = max(self.last_sent_at_s or entry.last_sent_at_s, entry.last_sent_at_s)
        if found not in DEBITED:
            return
        closed_s = closed_at_s(entry, found)
        sent = None if sent_s is None else beijing_day(sent_s)
        closed = None if closed_s is None else beijing_day(closed_s)
        if sent is not None:
            self.days[sent].sent.add(fen)
        if found is Verdict.CLAIMED and closed is not None:
            self.days[closed].claimed.add(fen)
        if found is Verdict.CLAIMED and closed_s is not None and sent_s is not None:
            self.claim_hours[max(0, int((closed_s - sent_s) // HOUR_S))].add(fen)
        if found is Verdict.REFUNDED:
            returned_fen = back_fen(entry, found)
            self.refunded_fen += returned_fen
            if closed is not None:
                self.days[closed].refunded.add(returned_fen)
            self.months[_month(sent), _month(closed)].add(returned_fen)
            if returned_fen != fen:
                self.months[_month(sent), ""].fen += fen - returned_fen
        else:
            self.months[_month(sent), ""].add(fen)


def back_fen(entry: Entry, found: Verdict) -> int:
    """What came back for a row of this verdict, in fen: all of it where WeChat Pay did not say how much."""
    return (entry.refund_amount or entry.total_amount) if found is Verdict.REFUNDED else 0


def paid_fen(entry: Entry, found: Verdict) -> int:
    """What was taken from the account for a row of this verdict and did not come back, in fen."""
    return entry.total_amount - back_fen(entry, found) if found in DEBITED else 0


def sent_at_s(entry: Entry) -> float | None:
    """When the money left: the last request, since a repeat follows only where no order was known."""
    return entry.last_sent_at_s if entry.last_sent_at_s is not None else entry.accepted_at_s


def closed_at_s(entry: Entry, found: Verdict) -> float | None:
    """When a packet of this verdict was opened or came back; None where it was neither.

    That is WeChat Pay's own time, or else when we learned of it.
    """
    if found not in (Verdict.CLAIMED, Verdict.REFUNDED):
        return None
    said = entry.rcv_time if found is Verdict.CLAIMED else entry.refund_time
    try:
        return moment_s(said)
    except ValueError:
        return entry.settled_at_s


def _month(day: date | None) -> str:
    return "" if day is None else day.isoformat()[:7]
