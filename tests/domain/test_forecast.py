"""The forecast says of a million rows what it would say of each one, without keeping them."""

from __future__ import annotations

from collections import Counter
from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.forecast import budget_problems, forecast
from campaign.domain.limits import Limits
from campaign.domain.order import Source
from tests.builders import order, orders

LIMITS = Limits(
    campaign_fen=1_000_000,
    in_doubt_fen=50_000,
    person_day_packets=2,
    person_day_fen=30_000,
    merchant_day_fen=100_000,
)
rows = st.lists(st.tuples(st.sampled_from("ABCDEFGH"), st.integers(100, 40_000)), min_size=1, max_size=30)


def planned(*lines: str, **changes):
    return forecast(orders(*lines), LIMITS, **({"sends_per_second": 20} | changes))


def test_nothing_to_pay_is_a_forecast_of_nothing():
    found = planned(counted_fen=400_000)
    assert (found.rows, found.people, found.total_fen, found.budget_left_fen) == (0, 0, 0, 600_000)


def test_rows_people_sums_and_sizes():
    found = planned("oA 1.00", "oB 8.88", "oA 2.00", "oC 2.00")
    assert (found.rows, found.people, found.total_fen) == (4, 3, 1388)
    assert (found.smallest_fen, found.median_fen, found.largest_fen) == (100, 200, 888)
    assert found.histogram == ((100, 1), (200, 2), (1_000, 1))
    assert found.seconds == 0.2


@pytest.mark.parametrize(
    "lines, days",
    [
        (["oA 200.00", "oB 200.00"], 1),
        (["oA 1.00", "oA 1.00"], 1),
        (["oA 1.00", "oA 1.00", "oA 1.00"], 2),  # packets of a person
        (["oA 200.00", "oA 101.00"], 2),  # yuan of a person
        (["oA 301.00"], 2),  # one packet beyond it: said elsewhere, and counted all the same
        ([f"o{n} 200.00" for n in range(11)], 3),  # the merchant's yuan
    ],
)
def test_the_daily_limits_spread_a_sheet_over_days(lines, days):
    assert planned(*lines).days == days


@given(rows)
def test_the_sums_are_those_of_the_rows(table):
    found = forecast([order(f"o{who} {fen / 100:.2f}") for who, fen in table], LIMITS, sends_per_second=1)
    amounts = [fen for _, fen in table]
    assert found.rows == len(table)
    assert found.people == len({who for who, _ in table})
    assert (found.total_fen, found.median_fen) == (sum(amounts), median_low(amounts))
    assert (found.smallest_fen, found.largest_fen) == (min(amounts), max(amounts))
    assert sum(count for _, count in found.histogram) == len(table)
    per_person = Counter(who for who, _ in table)
    needed = max(
        -(-sum(amounts) // LIMITS.merchant_day_fen),
        *(-(-packets // LIMITS.person_day_packets) for packets in per_person.values()),
        *(-(-sum(f for w, f in table if w == who) // LIMITS.person_day_fen) for who in per_person),
    )
    assert found.days == needed


def test_a_sheet_beyond_the_budget_or_the_money_in_doubt_is_a_problem_of_the_whole():
    whole = Source(file="lantern.xlsx", sheet="Sheet1", row=0)
    assert budget_problems(planned("oA 200.00"), LIMITS, whole) == []
    assert len(budget_problems(planned("oA 200.00", counted_fen=990_000), LIMITS, whole)) == 1
    assert len(budget_problems(planned("oA 501.00"), LIMITS, whole)) == 1
    assert budget_problems(planned(counted_fen=2_000_000), LIMITS, whole) == [], (
        "all was sent, then it was lowered"
    )
