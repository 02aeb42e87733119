"""How a campaign's totals tie to the funds bills: what the ledger calls paid is on a bill, or will be.

    paid by the ledger + of unknown outcome on the bills
        = debits in the bills + rows whose days no bill covers yet + difference

The difference is zero, or the match names what makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from campaign.domain.bill import Billed
from campaign.domain.entry import Entry
from campaign.domain.matching import debit_days, is_unconfirmed, refund_days
from campaign.domain.money import Sum
from campaign.domain.state import OPEN
from campaign.domain.verdict import DEBITED, Verdict

#: A row whose money may have moved on more days than these names none of them.
_DAYS_MAX: Final = 7


@dataclass(slots=True)
class Billing:
    """The sums. Filled row by row."""

    #: When the campaign was matched last, in Unix seconds; None: never.
    matched_at_s: float | None = None
    #: The Beijing days that the matched bills cover.
    days: frozenset[date] = frozenset()
    #: What that match found and nobody has explained.
    findings: int = 0
    #: Rows with a debit, or a refund, in the bills.
    paid: Sum = field(default_factory=Sum)
    back: Sum = field(default_factory=Sum)
    #: Of these rows those that are open: the bill says more than WeChat Pay's answers so far.
    paid_ahead: Sum = field(default_factory=Sum)
    back_ahead: Sum = field(default_factory=Sum)
    #: Rows whose debit, or refund, may stand on a bill that was not matched yet, or may turn out to be none.
    paid_later: Sum = field(default_factory=Sum)
    back_later: Sum = field(default_factory=Sum)
    #: The Beijing days of those bills.
    missing: set[date] = field(default_factory=set)

    def add(self, entry: Entry, found: Verdict, billed: Billed) -> None:
        """Count one row."""
        if billed.paid_fen is not None:
            self.paid.add(billed.paid_fen)
            if found not in DEBITED and entry.state in OPEN:
                self.paid_ahead.add(billed.paid_fen)
        elif found in DEBITED and (self._later(debit_days, entry) or is_unconfirmed(entry)):
            self.paid_later.add(entry.total_amount)
        if billed.back_fen is not None:
            self.back.add(billed.back_fen)
            if entry.state in OPEN:
                self.back_ahead.add(billed.back_fen)
        elif found is Verdict.REFUNDED and self._later(refund_days, entry):
            self.back_later.add(entry.refund_amount or entry.total_amount)

    def paid_difference(self, ledger: Sum) -> Sum:
        """What the ledger calls taken from the account, and no bill explains."""
        return ledger + self.paid_ahead - self.paid - self.paid_later

    def back_difference(self, ledger: Sum) -> Sum:
        """What the ledger calls come back, and no bill explains."""
        return ledger + self.back_ahead - self.back - self.back_later

    def _later(self, days_of: Callable[[Entry], frozenset[date]], entry: Entry) -> bool:
        if self.matched_at_s is None:
            return True
        missing = days_of(entry) - self.days
        if len(missing) <= _DAYS_MAX:
            self.missing |= missing
        return bool(missing)
