"""The breaker: stops a run that goes wrong for everybody, and only that."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.answer import Outcome, Reach
from campaign.domain.breaker import Breaker, BreakerPolicy

#: The defaults of [breaker].
POLICY = BreakerPolicy()
GOOD = (Outcome.ACCEPTED, Reach.ROW)
NO_AUTH = (Outcome.BLOCKED, Reach.BREAKER)
ANSWERS = {
    ".": GOOD,
    "x": NO_AUTH,
    "?": (Outcome.UNKNOWN, Reach.BREAKER),
    "p": (Outcome.PROCESSING, Reach.BREAKER),
    "r": (Outcome.REFUSED, Reach.BREAKER),
    "d": (Outcome.BLOCKED, Reach.PERSON),  # a person's daily limit
    "t": (Outcome.THROTTLED, Reach.PACE),
    "n": (Outcome.NOT_SENT, Reach.ROW),
}


def trips_at(answers: str, policy: BreakerPolicy = POLICY) -> int | None:
    """After how many of these answers the run pauses."""
    breaker = Breaker(policy)
    for n, answer in enumerate(answers, 1):
        outcome, reach = ANSWERS[answer]
        if breaker.note(outcome, reach):
            return n
    return None


def test_the_defaults_are_those_of_the_settings():
    assert (POLICY.consecutive, POLICY.share, POLICY.window) == (5, 0.5, 20)


@pytest.mark.parametrize(
    "answers, stopped_at",
    [
        ("xxxx", None),
        ("xxxxx", 5),
        ("." * 100 + "xxxxx", 105),
        ("xxxx.xxxx", None),
        ("x?pr?", 5),  # different ways to go wrong add up
        ("xxxxdx", None),  # one person's limit says that others are heard
        ("xxtttnnnxx" + "tnt" + "x", 14),  # what was throttled or never left says nothing
        ("t" * 100 + "n" * 100, None),
        ("x." * 10, 20),  # half of the last twenty
        ("x." * 9, None),  # not before there were twenty
        ("." * 20 + "xxx." * 5, 33),
    ],
)
def test_it_stops_at_five_in_a_row_or_half_of_the_last_twenty(answers, stopped_at):
    assert trips_at(answers) == stopped_at


@pytest.mark.parametrize("healthy", [0, 1, 99, 100, 500])
def test_no_auth_for_everybody_stops_after_five(healthy):
    """Issue B: NO_AUTH to everyone from row 100 on stops within the set number."""
    assert trips_at("." * healthy + "x" * 50) == healthy + 5


@pytest.mark.parametrize("seed", range(50))
def test_twelve_scattered_no_auth_in_a_thousand_rows_do_not_stop_it(seed):
    """Issue B. Scattered: at random, each with at least one healthy row beside it."""
    rows = ["."] * 1000
    for at in random.Random(seed).sample(range(0, 1000, 2), 12):
        rows[at] = "x"
    assert trips_at("".join(rows)) is None


@given(st.lists(st.integers(0, 200), max_size=60))
def test_bad_answers_with_two_good_ones_between_them_never_stop_it(gaps):
    assert trips_at("".join("." * (gap + 2) + "x" for gap in gaps)) is None


@given(
    st.text("".join(ANSWERS), max_size=80),
    st.integers(1, 6),
    st.integers(2, 10),
    st.sampled_from([0.3, 0.5, 1.0]),
)
def test_it_stops_exactly_when_one_of_the_thresholds_is_met(answers, consecutive, window, share):
    policy = BreakerPolicy(consecutive=consecutive, share=share, window=window)
    counted = [ANSWERS[a][1] is Reach.BREAKER for a in answers if a not in "tn"]
    runs = [all(counted[n - consecutive : n]) and n >= consecutive for n in range(1, len(counted) + 1)]
    shares = [
        n >= window and sum(counted[n - window : n]) >= share * window for n in range(1, len(counted) + 1)
    ]
    stops = [run or share for run, share in zip(runs, shares, strict=True)]
    assert (trips_at(answers, policy) is not None) == any(stops)


def test_after_a_bad_answer_no_more_are_in_flight_than_it_takes_to_stop():
    """So that a run which goes wrong for everybody sends no full window more."""
    breaker = Breaker(POLICY)
    assert breaker.headroom_or(32) == 32
    room = []
    for _ in range(6):
        breaker.note(*NO_AUTH)
        room.append(breaker.headroom_or(32))
    assert room == [4, 3, 2, 1, 1, 1]
    breaker.note(*GOOD)
    assert breaker.headroom_or(32) == 32
