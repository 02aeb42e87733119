"""How the totals tie to the funds bills, in the words of the cover, the page and the slip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from campaign.domain.days import beijing_text
from campaign.domain.money import Sum
from campaign.domain.summary import Summary
from campaign.domain.verdict import DEBITED, Verdict
from campaign.text import Text, text

PAID = text("taken from the account, by the ledger")
AHEAD = text("on the bills, and not told by WeChat Pay yet")
PAID_BILLED = text("debits in the funds bills")
BACK = text("came back, by the ledger")
BACK_BILLED = text("refunds in the funds bills")
LATER = text("not on a matched bill yet")
DIFFERENCE = text("difference (must be zero)")

#: So many days are named one by one.
_NAMED_MAX = 10


def paid_by_ledger(summary: Summary) -> Sum:
    """What WeChat Pay took from the account."""
    return sum((summary.totals.verdicts[found] for found in DEBITED), Sum())


def back_by_ledger(summary: Summary) -> Sum:
    """What came back of it."""
    return Sum(summary.totals.verdicts[Verdict.REFUNDED].rows, summary.refunded_fen)


@dataclass(frozen=True, slots=True)
class Tie:
    """One figure; a block of them ends with its difference."""

    label: Text
    total: Sum
    difference: bool = False

    @property
    def wrong(self) -> bool:
        """Whether it is a difference that is not zero."""
        return self.difference and self.total != Sum()


def tied(summary: Summary) -> list[Tie]:
    """The figures for people, none before the first match; what is only sometimes there may be left out."""
    if summary.billing.matched_at_s is None:
        return []
    billing, paid, back = summary.billing, paid_by_ledger(summary), back_by_ledger(summary)
    ties = (
        Tie(PAID, paid),
        Tie(AHEAD, billing.paid_ahead),
        Tie(PAID_BILLED, billing.paid),
        Tie(LATER, billing.paid_later),
        Tie(DIFFERENCE, billing.paid_difference(paid), difference=True),
        Tie(BACK, back),
        Tie(AHEAD, billing.back_ahead),
        Tie(BACK_BILLED, billing.back),
        Tie(LATER, billing.back_later),
        Tie(DIFFERENCE, billing.back_difference(back), difference=True),
    )
    return [tie for tie in ties if tie.total.rows or tie.label not in (AHEAD, LATER)]


def standing(summary: Summary) -> Text:
    """What the bills were matched for."""
    billing = summary.billing
    if billing.matched_at_s is None:
        return text("No funds bill was matched yet: `campaign match` does it, or the night run.")
    time = beijing_text(billing.matched_at_s)
    if not billing.missing:
        return text("Matched with the funds bills of all its days at {time} (Beijing).", time=time)
    return text(
        "Matched with the funds bills at {time} (Beijing); not matched yet: {days}.",
        time=time,
        days=_named([day.isoformat() for day in sorted(billing.missing)]),
    )


def _named(days: Sequence[str]) -> list[object]:
    if len(days) <= _NAMED_MAX:
        return list(days)
    return [*days[: _NAMED_MAX - 1], text("{more} more days", more=len(days) - _NAMED_MAX + 1)]
