"""The caps: what counts against which, once each, and before a request leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.limits import Allowance, Cap, Limits, Used, days_needed
from campaign.domain.state import State
from tests.builders import entry, order

TUESDAY, WEDNESDAY = date(2026, 3, 3), date(2026, 3, 4)
LIMITS = Limits(
    campaign_fen=1000, in_doubt_fen=600, person_day_packets=3, person_day_fen=500, merchant_day_fen=900
)


def used(**changes) -> Used:
    facts = {"campaign_fen": 0, "in_doubt_fen": 0, "merchant_day_fen": {}, "person_day": {}}
    return Used(**(facts | changes))


def forbids(found: Used, *, yuan: str = "1.00", days=(TUESDAY,), counted=(), **changes) -> Cap | None:
    """Which cap holds back a packet for oA."""
    return Allowance(LIMITS, found, days).forbids(
        entry(f"oA {yuan}", **changes), counted_days=frozenset(counted)
    )


class TestEachCap:
    @pytest.mark.parametrize(
        "found, cap",
        [
            (used(), None),
            (used(campaign_fen=900), None),
            (used(campaign_fen=901), Cap.CAMPAIGN),
            (used(in_doubt_fen=500), None),
            (used(in_doubt_fen=501), Cap.IN_DOUBT),
            (used(merchant_day_fen={TUESDAY: 800}), None),
            (used(merchant_day_fen={TUESDAY: 801}), Cap.MERCHANT_DAY),
            (used(merchant_day_fen={WEDNESDAY: 900}), None),
            (used(person_day={(TUESDAY, "oA"): (2, 300)}), None),
            (used(person_day={(TUESDAY, "oA"): (3, 300)}), Cap.PERSON_DAY),
            (used(person_day={(TUESDAY, "oA"): (1, 400)}), None),
            (used(person_day={(TUESDAY, "oA"): (1, 401)}), Cap.PERSON_DAY),
            (used(person_day={(TUESDAY, "oB"): (3, 500), (WEDNESDAY, "oA"): (3, 500)}), None),
        ],
    )
    def test_reaching_it_is_allowed_and_passing_it_is_not(self, found, cap):
        assert forbids(found) == cap

    @pytest.mark.parametrize("full", [TUESDAY, WEDNESDAY])
    def test_around_midnight_both_days_must_have_room(self, full):
        both = (TUESDAY, WEDNESDAY)
        assert forbids(used(merchant_day_fen={full: 900}), days=both) is Cap.MERCHANT_DAY
        assert forbids(used(person_day={(full, "oA"): (3, 3)}), days=both) is Cap.PERSON_DAY

    def test_the_caps_that_concern_most_are_named_first(self):
        nothing_left = used(
            campaign_fen=1000,
            in_doubt_fen=600,
            merchant_day_fen={TUESDAY: 900},
            person_day={(TUESDAY, "oA"): (3, 500)},
        )
        assert forbids(nothing_left) is Cap.CAMPAIGN
        nothing_left.campaign_fen = 0
        assert forbids(nothing_left) is Cap.IN_DOUBT
        nothing_left.in_doubt_fen = 0
        assert forbids(nothing_left) is Cap.MERCHANT_DAY
        nothing_left.merchant_day_fen.clear()
        assert forbids(nothing_left) is Cap.PERSON_DAY


class TestRepeats:
    """A repeat is the same packet: what it counts for already is not counted again."""

    FULL = replace(LIMITS, campaign_fen=100, in_doubt_fen=100, merchant_day_fen=100, person_day_packets=1)

    def test_a_doubtful_packet_fits_into_the_room_that_it_takes_itself(self):
        allowance = Allowance(
            self.FULL,
            used(
                campaign_fen=100,
                in_doubt_fen=100,
                merchant_day_fen={TUESDAY: 100},
                person_day={(TUESDAY, "oA"): (1, 100)},
            ),
            (TUESDAY,),
        )
        doubtful = entry("oA 1.00", state=State.IN_DOUBT)
        assert allowance.forbids(doubtful, counted_days=frozenset({TUESDAY})) is None
        assert allowance.forbids(doubtful) is Cap.MERCHANT_DAY

    def test_spending_it_again_changes_no_count(self):
        before = used(
            campaign_fen=100,
            in_doubt_fen=100,
            merchant_day_fen={TUESDAY: 100},
            person_day={(TUESDAY, "oA"): (1, 100)},
        )
        after = replace(
            before, merchant_day_fen=dict(before.merchant_day_fen), person_day=dict(before.person_day)
        )
        Allowance(LIMITS, after, (TUESDAY,)).spend(
            entry("oA 1.00", state=State.IN_DOUBT), counted_days=frozenset({TUESDAY})
        )
        assert after == before

    def test_a_repeat_on_the_next_day_counts_on_that_day_too(self):
        found = used(campaign_fen=100, in_doubt_fen=100, merchant_day_fen={TUESDAY: 100})
        Allowance(LIMITS, found, (TUESDAY, WEDNESDAY)).spend(
            entry("oA 1.00", state=State.IN_DOUBT), counted_days=frozenset({TUESDAY})
        )
        assert found.merchant_day_fen == {TUESDAY: 100, WEDNESDAY: 100}
        assert found.person_day == {(WEDNESDAY, "oA"): (1, 100)}
        assert (found.campaign_fen, found.in_doubt_fen) == (100, 100)

    def test_a_held_packet_that_is_repeated_comes_into_doubt(self):
        """Its money counts for the campaign already, but not yet as in doubt."""
        held = entry("oA 1.00", state=State.PARKED)
        assert Allowance(LIMITS, used(campaign_fen=1000), ()).forbids(held) is None
        assert Allowance(LIMITS, used(in_doubt_fen=501), ()).forbids(held) is Cap.IN_DOUBT
        found = used(campaign_fen=1000, in_doubt_fen=50)
        Allowance(LIMITS, found, ()).spend(held)
        assert (found.campaign_fen, found.in_doubt_fen) == (1000, 150)


@given(
    rows=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 300)), max_size=20),
    days=st.sampled_from([(TUESDAY,), (TUESDAY, WEDNESDAY)]),
)
def test_what_was_allowed_never_adds_up_to_more_than_any_cap(rows, days):
    found = used()
    allowance = Allowance(LIMITS, found, days)
    sent = []
    for who, fen in rows:
        packet = entry(order(f"o{who} 1.00", total_amount=fen))
        if allowance.forbids(packet) is None:
            allowance.spend(packet)
            sent.append(packet)
    total_fen = sum(packet.total_amount for packet in sent)
    assert (
        total_fen == found.campaign_fen == found.in_doubt_fen <= min(LIMITS.campaign_fen, LIMITS.in_doubt_fen)
    )
    for day in days:
        assert found.merchant_day_fen.get(day, 0) == total_fen <= LIMITS.merchant_day_fen
        for who in "ABC":
            own = [packet.total_amount for packet in sent if packet.re_openid == f"o{who}"]
            assert found.person_day.get((day, f"o{who}"), (0, 0)) == (len(own), sum(own))
            assert len(own) <= LIMITS.person_day_packets
            assert sum(own) <= LIMITS.person_day_fen


@pytest.mark.parametrize(
    "people, total_fen, days",
    [
        ({}, 0, 1),
        ({"oA": (1, 100)}, 100, 1),
        ({"oA": (3, 300)}, 300, 1),
        ({"oA": (4, 300)}, 300, 2),  # three packets a day
        ({"oA": (2, 501)}, 501, 2),  # five yuan a day
        ({"oA": (1, 100), "oB": (7, 300)}, 400, 3),
        ({"oA": (1, 500), "oB": (1, 400)}, 900, 1),
        ({"oA": (1, 500), "oB": (1, 401)}, 901, 2),  # nine yuan a day for everybody together
    ],
)
def test_a_sheet_takes_as_many_days_as_its_tightest_cap(people, total_fen, days):
    assert days_needed(people, total_fen, LIMITS) == days
