"""The totals of a report tie to the funds bills: by ledger = on the bills + not there yet + difference."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from campaign.domain.bill import NOT_BILLED, Billed
from campaign.domain.billing import Billing
from campaign.domain.money import Sum
from campaign.domain.state import State
from campaign.domain.verdict import verdict
from tests.domain.bills import line
from tests.report.samples import entry

SENT_DAY, BACK_DAY = date(2026, 3, 3), date(2026, 3, 4)
BOTH = frozenset({SENT_DAY, BACK_DAY})
DEBIT, REFUND = line("-1.88", "V"), line("+1.88", "V")


@pytest.mark.parametrize(
    "state, lines, days, paid, paid_later, back, back_later, missing",
    [
        (State.RECEIVED, [DEBIT], BOTH, 1, 0, 0, 0, set()),
        (State.RECEIVED, [], BOTH, 0, 0, 0, 0, set()),
        (State.RECEIVED, [], {BACK_DAY}, 0, 1, 0, 0, {SENT_DAY}),
        (State.REFUNDED, [DEBIT, REFUND], BOTH, 1, 0, 1, 0, set()),
        (State.REFUNDED, [DEBIT], {SENT_DAY}, 1, 0, 0, 1, {BACK_DAY}),
        (State.REFUNDED, [], set(), 0, 1, 0, 1, BOTH),
        (State.REJECTED, [], set(), 0, 0, 0, 0, set()),
        (State.PLANNED, [], set(), 0, 0, 0, 0, set()),
    ],
)
def test_a_row_is_on_the_bills_or_waits_for_one_or_is_missing(
    state: State, lines: list[Any], days: Any, paid: int, paid_later: int, back: int, back_later: int,
    missing: set[date],
) -> None:  # fmt: skip
    billing = Billing(matched_at_s=1.0, days=frozenset(days))
    row = entry(state)
    billing.add(row, verdict(row), Billed.of(lines) if lines else NOT_BILLED)
    assert (billing.paid.rows, billing.paid_later.rows) == (paid, paid_later)
    assert (billing.back.rows, billing.back_later.rows) == (back, back_later)
    assert billing.missing == missing


def test_before_the_first_match_everything_waits_and_nothing_is_wrong() -> None:
    billing, row = Billing(), entry(State.REFUNDED)
    billing.add(row, verdict(row), NOT_BILLED)
    ledger = Sum(1, 188)
    assert billing.paid_difference(ledger) == billing.back_difference(ledger) == Sum()
    assert billing.missing == set(), "no day is named: all of them are"


def test_a_debit_of_a_row_in_doubt_is_ahead_of_the_ledger_and_no_difference() -> None:
    billing, row = Billing(matched_at_s=1.0, days=BOTH), entry(State.IN_DOUBT)
    billing.add(row, verdict(row), Billed.of([DEBIT]))
    assert (billing.paid, billing.paid_ahead) == (Sum(1, 188), Sum(1, 188))
    assert billing.paid_difference(Sum()) == Sum()


def test_a_debit_of_a_dead_row_is_a_difference() -> None:
    billing, row = Billing(matched_at_s=1.0, days=BOTH), entry(State.REJECTED)
    billing.add(row, verdict(row), Billed.of([DEBIT]))
    assert billing.paid_difference(Sum()) == Sum(-1, -188)


def test_two_debits_of_one_row_are_one_row_and_twice_the_money() -> None:
    billing, row = Billing(matched_at_s=1.0, days=BOTH), entry(State.RECEIVED)
    billing.add(row, verdict(row), Billed.of([DEBIT, DEBIT]))
    assert billing.paid_difference(Sum(1, 188)) == Sum(0, -188)
