"""The deadline board: what ends, when, and for how much money."""

from __future__ import annotations

import pytest

from campaign.domain.answer import Outcome
from campaign.domain.days import DAY_S, HOUR_S
from campaign.domain.deadline import CLIFF_TEXT, WINDOWS, Cliff, deadlines
from campaign.domain.decision import Step
from campaign.domain.entry import Todo
from campaign.domain.state import State
from campaign.ledger.store import Ledger
from campaign.stages.deadlines import deadlines as board_of
from tests.ledger.build import NAME, NOON_S, begun, end, open_ledger, plan

ACCEPTED, IN_DOUBT = Outcome.ACCEPTED, Outcome.UNKNOWN


def ledger_with(*rows: tuple[str, Outcome]) -> Ledger:
    """Rows that were sent at noon, each with its answer."""
    ledger = open_ledger()
    for entry, (_, outcome) in zip(plan(ledger, *(row for row, _ in rows)), rows, strict=True):
        step = None if outcome is ACCEPTED else Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 9)
        end(ledger, begun(ledger, entry), outcome, step=step)
    return ledger


def board(ledger: Ledger, after_s: float) -> dict[Cliff, tuple[float, int, int, bool]]:
    """Cliff -> (seconds left, rows, fen, near)."""
    now_s = NOON_S + after_s
    return {d.cliff: (d.at_s - now_s, d.rows, d.fen, d.near) for d in board_of(ledger, NAME, now_s=now_s)}


def test_a_packet_that_was_just_taken_can_be_opened_for_a_day():
    found = board(ledger_with(("oA 1.88", ACCEPTED), ("oB 2.00", ACCEPTED)), HOUR_S)
    assert found[Cliff.CLAIM] == (23 * HOUR_S, 2, 388, False)
    assert found[Cliff.QUERY_WARNING] == (25 * DAY_S - HOUR_S, 2, 388, False)
    assert found[Cliff.BILL] == (89 * DAY_S - HOUR_S, 2, 388, False)
    assert Cliff.REPEAT not in found


def test_a_doubt_may_be_sent_again_for_three_days_and_somebody_should_know_on_the_second():
    ledger = ledger_with(("oA 1.88", IN_DOUBT))
    assert board(ledger, HOUR_S)[Cliff.REPEAT] == (71 * HOUR_S, 1, 188, False)
    assert board(ledger, 25 * HOUR_S)[Cliff.REPEAT] == (47 * HOUR_S, 1, 188, True)
    assert Cliff.REPEAT not in board(ledger, 72 * HOUR_S)
    assert Cliff.CLAIM not in board(ledger, HOUR_S), "nobody knows whether there is anything to open"
    assert Cliff.BILL not in board(ledger, HOUR_S), "nor whether money left"


@pytest.mark.parametrize(
    "days, cliff, left_days, near",
    [
        (24.9, Cliff.QUERY_WARNING, 0.1, False),
        (25, Cliff.LAST_ASK, 3, True),
        (27.9, Cliff.LAST_ASK, 0.1, True),
        (28, Cliff.QUERY_END, 2, True),
        (29.9, Cliff.QUERY_END, 0.1, True),
    ],
)
def test_the_query_window_has_three_cliffs_and_a_row_stands_before_one_of_them(days, cliff, left_days, near):
    """Day 25 warns, day 28 is the last question, day 30 the end (R4, section 6)."""
    query = {Cliff.QUERY_WARNING, Cliff.LAST_ASK, Cliff.QUERY_END}
    for outcome in (ACCEPTED, IN_DOUBT):
        found = board(ledger_with(("oA 1.88", outcome)), days * DAY_S)
        assert query & found.keys() == {cliff}
        left_s, rows, fen, is_near = found[cliff]
        assert (rows, fen, is_near) == (1, 188, near)
        assert left_s == pytest.approx(left_days * DAY_S)


def test_rows_of_other_ages_are_not_counted():
    """Taken at noon, and an hour after its request left; the first one's day is over."""
    ledger = open_ledger()
    first, second = plan(ledger, "oA 1.88", "oB 2.00")
    end(ledger, begun(ledger, first), ACCEPTED)
    end(ledger, begun(ledger, second, at_s=NOON_S + HOUR_S), ACCEPTED, at_s=NOON_S + 2 * HOUR_S)
    assert board(ledger, 23 * HOUR_S)[Cliff.CLAIM] == (HOUR_S, 2, 388, False)
    assert board(ledger, 24 * HOUR_S)[Cliff.CLAIM] == (2 * HOUR_S, 1, 200, False)
    assert board(ledger, 25.5 * HOUR_S)[Cliff.CLAIM] == (0.5 * HOUR_S, 1, 200, False)
    assert Cliff.CLAIM not in board(ledger, 26 * HOUR_S)


def test_a_campaign_does_not_count_another_ones_rows():
    ledger = open_ledger(names=(NAME, "spring"))
    [ours] = plan(ledger, "oA 1.88")
    [theirs] = plan(ledger, "oB 2.00", campaign="spring")
    for entry in (ours, theirs):
        end(ledger, begun(ledger, entry), ACCEPTED)
    assert board(ledger, HOUR_S)[Cliff.CLAIM] == (23 * HOUR_S, 1, 188, False)


def test_after_the_last_cliff_nothing_is_promised():
    assert board(ledger_with(("oA 1.88", ACCEPTED)), 90 * DAY_S) == {}


def test_a_bill_is_near_its_end_in_the_last_week():
    """Three months are 89 days at the least: February to April."""
    ledger = ledger_with(("oA 1.88", ACCEPTED))
    assert board(ledger, 81 * DAY_S)[Cliff.BILL][3] is False
    assert board(ledger, 82 * DAY_S)[Cliff.BILL] == (7 * DAY_S, 1, 188, True)


def test_the_nearest_comes_first():
    times = [d.at_s for d in board_of(ledger_with(("oA 1.88", ACCEPTED)), NAME, now_s=NOON_S)]
    assert times == sorted(times)
    assert len(times) == 3


def test_the_oldest_row_gives_the_time_and_all_rows_the_sum():
    found = deadlines(lambda window, after_s, until_s: (3, 564, 1000.0), now_s=1000.0)
    assert {d.cliff: (d.at_s - 1000, d.rows, d.fen) for d in found} == {
        window.cliff: (window.ends_s, 3, 564) for window in WINDOWS
    }


def test_a_campaign_that_sent_nothing_has_no_deadlines():
    ledger = open_ledger()
    plan(ledger, "oA 1.88")
    assert board(ledger, 0) == {}


def test_every_cliff_is_explained():
    assert CLIFF_TEXT.keys() == set(Cliff) == {window.cliff for window in WINDOWS}
