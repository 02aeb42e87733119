"""What is remembered of the requests under one number, and the table of states."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.answer import Outcome, SendAnswer
from campaign.domain.entry import Tally
from campaign.domain.state import COMMITTED, OPEN, SETTLED, TRANSITIONS, State, may_move
from tests.builders import entry


class TestTally:
    @pytest.mark.parametrize(
        "answer, refused, not_sent, held, unanswered",
        [
            (SendAnswer(outcome=Outcome.REFUSED), 1, 0, 0, 0),
            (SendAnswer(outcome=Outcome.NOT_SENT), 0, 1, 0, 0),
            (SendAnswer(outcome=Outcome.ACCEPTED), 0, 0, 1, 0),
            (SendAnswer(outcome=Outcome.BLOCKED), 0, 0, 1, 0),
            (SendAnswer(outcome=Outcome.PROCESSING), 0, 0, 1, 0),
            (SendAnswer(outcome=Outcome.MISMATCH), 0, 0, 1, 0),
            (SendAnswer(outcome=Outcome.UNKNOWN), 0, 0, 0, 1),
            (SendAnswer(outcome=Outcome.THROTTLED), 0, 0, 0, 1),
            # "this packet has failed": an order did exist (R5.1)
            (SendAnswer(outcome=Outcome.UNKNOWN, err_code="SEND_FAILED"), 0, 0, 1, 0),
            (SendAnswer(outcome=Outcome.UNKNOWN, err_code="SYSTEMERROR"), 0, 0, 0, 1),
        ],
    )
    def test_each_answer_counts_once(self, answer, refused, not_sent, held, unanswered):
        tally = Tally(attempts=1).with_answer(answer)
        assert (tally.refused, tally.not_sent, tally.held, tally.unanswered) == (
            refused,
            not_sent,
            held,
            unanswered,
        )

    def test_a_crash_is_remembered_without_anybody_writing_it_down(self):
        """The attempt was counted before the request left; its answer never came."""
        assert Tally(attempts=1).unanswered == 1

    @given(st.lists(st.one_of(st.none(), st.sampled_from(Outcome))))
    def test_nothing_is_counted_twice_or_lost(self, outcomes):
        tally = Tally()
        for outcome in outcomes:
            tally = tally._replace(attempts=tally.attempts + 1)
            if outcome is not None:
                tally = tally.with_answer(SendAnswer(outcome=outcome))
        assert tally.attempts == len(outcomes)
        assert tally.attempts == tally.refused + tally.not_sent + tally.held + tally.unanswered
        assert tally.unanswered == sum(o in (None, Outcome.UNKNOWN, Outcome.THROTTLED) for o in outcomes)

    def test_an_entrys_attempt_is_the_number_of_its_last_one(self):
        assert entry().attempt == 0
        assert entry(tally=Tally(attempts=3, refused=1)).attempt == 3


class TestStates:
    #: The table of section 4 of the architecture, word by word; questions that settle nothing added.
    ARCHITECTURE: ClassVar = {
        State.PLANNED: "in_doubt cancelled",
        State.IN_DOUBT: "in_doubt parked accepted received refunded rejected planned",
        State.PARKED: "in_doubt accepted rejected received refunded" + " parked",
        State.ACCEPTED: "received refunded rejected parked" + " accepted",
        State.RECEIVED: "",
        State.REFUNDED: "",
        State.REJECTED: "planned",
        State.CANCELLED: "planned",
    }

    @pytest.mark.parametrize("before", State)
    def test_the_ways_out_of_a_state_are_the_architectures(self, before):
        assert {after for after in State if may_move(before, after)} == set(self.ARCHITECTURE[before].split())

    def test_every_edge_says_why_it_exists(self):
        assert all(TRANSITIONS.values())
        assert len(set(TRANSITIONS)) == len(TRANSITIONS)

    def test_every_state_is_planned_open_or_settled(self):
        assert {State.PLANNED} | OPEN | SETTLED == set(State)
        assert not OPEN & SETTLED

    def test_where_money_may_have_left_it_counts_against_the_caps(self):
        assert OPEN | {State.RECEIVED} == COMMITTED

    @pytest.mark.parametrize("paid", [State.RECEIVED, State.REFUNDED])
    def test_nothing_follows_a_settled_payment(self, paid):
        assert not any(may_move(paid, after) for after in State)

    @pytest.mark.parametrize("before", sorted(set(State) - {State.PLANNED, State.IN_DOUBT, State.PARKED}))
    def test_a_request_leaves_only_what_is_planned_doubtful_or_held(self, before):
        assert not may_move(before, State.IN_DOUBT)
