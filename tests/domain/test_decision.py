"""What follows from each answer: whole tables, and laws that hold in every corner of them.

The laws are tried on a grid of histories (every outcome, status, small tally and age around the margins)
and on histories that hypothesis makes up.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.domain.answer import Outcome, Reach, Status
from campaign.domain.days import DAY_S, HOUR_S, beijing_day, next_day_start_s
from campaign.domain.decision import (
    BACKOFF_MAX_S,
    LAST_ASK_S,
    NOT_FOUND_WINDOW_S,
    REPEAT_GAP_S,
    REPEAT_WINDOW_S,
    SENDING_PATIENCE_S,
    Policy,
    Step,
    after_no_answer,
    after_query,
    after_send,
    backoff_s,
    may_repeat,
    next_ask_s,
)
from campaign.domain.entry import Entry, Flag, Tally, Todo
from campaign.domain.state import OPEN, SETTLED, Evidence, State, may_move
from tests.builders import NOW_S, entry

POLICY = Policy()
AUTO = Policy(parked_auto=True)
MINUTE_S = 60.0

#: Every mixture of at most three requests.
TALLIES = [
    Tally(attempts=refused + not_sent + held + unanswered, refused=refused, not_sent=not_sent, held=held)
    for refused, not_sent, held, unanswered in product(range(4), repeat=4)
    if refused + not_sent + held + unanswered <= 3
]
#: Seconds since the first request: around 1 s, 3 min, 24 h, 72 h, 28, 29 and 30 days.
AGES_S = [
    margin + beside
    for margin in (1.0, 180.0, 24 * HOUR_S, 72 * HOUR_S, 28 * DAY_S, 29 * DAY_S, 30 * DAY_S)
    for beside in (-0.5, 0.0, 0.5)
]


def sent(
    outcome: Outcome | None = None, *, age_s: float = 10.0, reach: Reach = Reach.ROW, **changes
) -> Entry:
    """An entry in doubt whose only request left ``age_s`` ago and was answered by ``outcome``, if at all."""
    facts = {
        "state": State.IN_DOUBT,
        "tally": tally_of(outcome),
        "last_outcome": outcome,
        "last_reach": reach,
        "first_sent_at_s": NOW_S - age_s,
        "last_sent_at_s": NOW_S - age_s,
    }
    return entry(**(facts | changes))


def tally_of(*outcomes: Outcome | None) -> Tally:
    """The tally of these requests; None stands for one without an answer."""
    held = {Outcome.BLOCKED, Outcome.PROCESSING, Outcome.MISMATCH, Outcome.ACCEPTED}
    return Tally(
        attempts=len(outcomes),
        refused=outcomes.count(Outcome.REFUSED),
        not_sent=outcomes.count(Outcome.NOT_SENT),
        held=sum(outcome in held for outcome in outcomes),
    )


def asked(
    status: Status, of: Entry, *, reason: str = "", command_s: float = NOW_S, policy: Policy = POLICY
) -> Step:
    """What the answer ``status`` proves now; the operator's command is given now unless told."""
    return after_query(status, of, reason=reason, now_s=NOW_S, run_started_s=command_s, policy=policy)


#: Before everything: a run that was under way when the request left.
THIS_RUN = NOW_S - 100 * DAY_S


class TestAfterASend:
    @pytest.mark.parametrize(
        "outcome, state, todo, after_s, flag",
        [
            (Outcome.ACCEPTED, State.ACCEPTED, Todo.ASK, 60, None),
            (Outcome.REFUSED, State.IN_DOUBT, Todo.ASK, 1, None),  # a refusal settles nothing (R0.4)
            (Outcome.BLOCKED, State.IN_DOUBT, Todo.ASK, 1, None),
            (Outcome.UNKNOWN, State.IN_DOUBT, Todo.ASK, 1, None),
            (Outcome.MISMATCH, State.IN_DOUBT, Todo.ASK, 1, Flag.MISMATCH),
            (Outcome.PROCESSING, State.IN_DOUBT, Todo.ASK, 1200, None),  # R4: 20 minutes
            (Outcome.THROTTLED, State.IN_DOUBT, Todo.REPEAT, 1, None),
            (Outcome.NOT_SENT, State.PLANNED, None, None, None),
        ],
    )
    def test_the_first_request(self, outcome, state, todo, after_s, flag):
        due_at_s = None if after_s is None else NOW_S + after_s
        assert after_send(outcome, sent(outcome, age_s=0), now_s=NOW_S, policy=POLICY) == Step(
            state=state, todo=todo, due_at_s=due_at_s, flag=flag
        )

    @pytest.mark.parametrize("earlier", [o for o in [None, *Outcome] if o is not Outcome.NOT_SENT])
    def test_planned_again_only_when_no_request_ever_left(self, earlier):
        """An earlier request that left keeps the entry in doubt, whatever it was answered."""
        history = sent(Outcome.NOT_SENT, tally=tally_of(earlier, Outcome.NOT_SENT))
        step = after_send(Outcome.NOT_SENT, history, now_s=NOW_S, policy=POLICY)
        assert (step.state, step.todo) == (State.IN_DOUBT, Todo.REPEAT)

    def test_requests_that_never_left_can_be_many(self):
        history = sent(Outcome.NOT_SENT, tally=Tally(attempts=50, not_sent=50))
        assert after_send(Outcome.NOT_SENT, history, now_s=NOW_S, policy=POLICY) == Step(state=State.PLANNED)

    @pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.NOT_SENT])
    @pytest.mark.parametrize(
        "left_s, todo", [(2.5, Todo.REPEAT), (2.0, Todo.ASK), (0.5, Todo.ASK), (-9.0, Todo.ASK)]
    )
    def test_a_repeat_that_would_leave_after_72_hours_is_a_question_instead(self, outcome, left_s, todo):
        """The second attempt is followed by two seconds of waiting: the window counts at their end."""
        history = sent(outcome, age_s=REPEAT_WINDOW_S - left_s, tally=tally_of(None, outcome))
        assert after_send(outcome, history, now_s=NOW_S, policy=POLICY).todo is todo

    def test_throttled_for_ever_ends_in_questions(self):
        """`attempts_max` counts what left; requests that never did are free."""
        seven = sent(Outcome.THROTTLED, tally=Tally(attempts=17, not_sent=10))
        assert after_send(Outcome.THROTTLED, seven, now_s=NOW_S, policy=POLICY).todo is Todo.REPEAT
        eight = sent(Outcome.THROTTLED, tally=Tally(attempts=18, not_sent=10))
        assert after_send(Outcome.THROTTLED, eight, now_s=NOW_S, policy=POLICY).todo is Todo.ASK

    @pytest.mark.parametrize(
        "attempts, wait_s", [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10**9, 60)]
    )
    def test_the_wait_doubles_from_one_second_up_to_a_minute(self, attempts, wait_s):
        assert backoff_s(attempts) == wait_s
        assert REPEAT_GAP_S <= backoff_s(attempts) <= BACKOFF_MAX_S

    @pytest.mark.parametrize("outcome", Outcome)
    @pytest.mark.parametrize("age_s", AGES_S)
    def test_laws_of_the_whole_table(self, outcome, age_s):
        for tally, policy in product(TALLIES, (POLICY, AUTO)):
            if tally.attempts == 0 or (outcome is Outcome.NOT_SENT and tally.not_sent == 0):
                continue
            before = sent(outcome, age_s=age_s, tally=tally)
            step = after_send(outcome, before, now_s=NOW_S, policy=policy)
            assert may_move(State.IN_DOUBT, step.state)
            assert step.state not in SETTLED, "no answer to a send settles anything"
            assert step.evidence is None
            assert (step.state is State.ACCEPTED) == (outcome is Outcome.ACCEPTED)
            never_left = outcome is Outcome.NOT_SENT and tally.not_sent == tally.attempts
            assert (step.state is State.PLANNED) == never_left
            if never_left:
                assert (step.todo, step.due_at_s) == (None, None)
                continue
            assert step.todo is not None
            assert step.due_at_s > NOW_S
            if step.todo is Todo.REPEAT:
                assert outcome in (Outcome.THROTTLED, Outcome.NOT_SENT)
                assert step.due_at_s >= before.last_sent_at_s + REPEAT_GAP_S
                assert step.due_at_s - before.first_sent_at_s < REPEAT_WINDOW_S


class TestStatuses:
    """What WeChat Pay says of an order that it has is adopted by this table (R4)."""

    @pytest.mark.parametrize("state", sorted(OPEN))
    @pytest.mark.parametrize("reason", ["", "余额不足"])
    @pytest.mark.parametrize(
        "status, after, evidence",
        [
            (Status.RECEIVED, State.RECEIVED, None),
            (Status.REFUND, State.REFUNDED, None),
            (Status.FAILED, State.REJECTED, Evidence.DEAD),
        ],
    )
    def test_final_words_settle_from_every_state(self, state, reason, status, after, evidence):
        assert asked(status, sent(None, state=state), reason=reason) == Step(state=after, evidence=evidence)

    @pytest.mark.parametrize("state", sorted(OPEN))
    @pytest.mark.parametrize("reason", ["", "余额不足"])
    @pytest.mark.parametrize("status", [Status.SENT, Status.RFUND_ING])
    def test_money_on_its_way_is_waited_for(self, state, reason, status):
        step = asked(status, sent(None, state=state), reason=reason)
        assert step == Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=NOW_S - 10 + 60)

    @pytest.mark.parametrize("state", sorted(OPEN))
    def test_sending_without_a_reason_is_on_its_way(self, state):
        step = asked(Status.SENDING, sent(None, state=state))
        assert (step.state, step.todo, step.sending_since_s) == (State.ACCEPTED, Todo.ASK, NOW_S)

    @pytest.mark.parametrize("state", sorted(OPEN))
    def test_sending_with_a_reason_is_held(self, state):
        """R0.8: a parked failure; WeChat Pay does not retry it by itself."""
        step = asked(Status.SENDING, sent(None, state=state), reason="余额不足")
        assert (step.state, step.todo) == (State.PARKED, Todo.ASK)

    @pytest.mark.parametrize("state", sorted(OPEN))
    @pytest.mark.parametrize(
        "for_s, after",
        [
            (SENDING_PATIENCE_S - 1, State.ACCEPTED),
            (SENDING_PATIENCE_S, State.ACCEPTED),
            (SENDING_PATIENCE_S + 1, State.PARKED),
        ],
    )
    def test_sending_for_more_than_a_day_is_held_too(self, state, for_s, after):
        since_s = NOW_S - for_s
        step = asked(Status.SENDING, sent(None, age_s=for_s + 60, state=state, sending_since_s=since_s))
        assert step.state is after
        assert step.sending_since_s == since_s

    def test_a_clock_set_back_only_makes_the_day_begin_now(self):
        step = asked(Status.SENDING, sent(None, sending_since_s=NOW_S + DAY_S))
        assert (step.state, step.sending_since_s) == (State.ACCEPTED, NOW_S)

    @pytest.mark.parametrize("state", [State.PARKED, State.ACCEPTED])
    def test_an_order_that_they_had_and_have_no_longer_is_a_persons_matter(self, state):
        step = asked(Status.NOT_FOUND, sent(Outcome.ACCEPTED, state=state, accepted_at_s=NOW_S - 5))
        assert (step.state, step.flag, step.todo) == (state, Flag.CONTRADICTION, Todo.ASK)

    @pytest.mark.parametrize("state", [State.PARKED, State.ACCEPTED])
    def test_but_after_day_29_they_may_simply_have_forgotten_it(self, state):
        order = sent(Outcome.ACCEPTED, age_s=NOT_FOUND_WINDOW_S + 1, state=state)
        assert asked(Status.NOT_FOUND, order) == Step(state=state)

    def test_an_accepted_packet_of_another_ledger_is_forgotten_29_days_after_we_learned_of_it(self):
        found = entry(state=State.ACCEPTED, accepted_at_s=NOW_S - NOT_FOUND_WINDOW_S - 1)
        assert asked(Status.NOT_FOUND, found) == Step(state=State.ACCEPTED)


class TestNotFound:
    """R4.1: no proof of failure by itself."""

    @pytest.mark.parametrize(
        "requests, not_founds, proves",
        [
            ([Outcome.REFUSED], 1, "unstored"),
            ([Outcome.REFUSED, Outcome.REFUSED], 1, "unstored"),
            ([Outcome.NOT_SENT, Outcome.REFUSED], 1, "unstored"),
            ([None, Outcome.REFUSED], 1, "ask"),  # the unanswered one may be on its way
            ([None, Outcome.REFUSED], 2, "unstored"),
            ([Outcome.THROTTLED, Outcome.REFUSED], 1, "ask"),
            ([Outcome.UNKNOWN, Outcome.REFUSED], 2, "unstored"),
            ([Outcome.BLOCKED, Outcome.REFUSED], 2, "person"),  # an order may be held
            ([Outcome.PROCESSING, Outcome.REFUSED], 2, "person"),
            ([None], 1, "ask"),
            ([None], 2, "repeat"),
            ([Outcome.UNKNOWN], 1, "ask"),
            ([Outcome.UNKNOWN], 2, "repeat"),
            ([Outcome.REFUSED, None], 2, "repeat"),  # only the last word being a refusal ends it
            ([Outcome.PROCESSING], 1, "repeat"),  # section 6: it had its 20 minutes
            ([Outcome.BLOCKED], 1, "person"),
            ([Outcome.MISMATCH], 2, "person"),
            ([Outcome.THROTTLED], 2, "repeat"),
            ([Outcome.REFUSED, Outcome.NOT_SENT], 1, "repeat"),
            ([], 1, "repeat"),  # of a lost ledger: asked before it is sent
        ],
    )
    def test_what_it_proves_after_which_requests(self, requests, not_founds, proves):
        history = entry(
            state=State.IN_DOUBT,
            tally=tally_of(*requests),
            last_outcome=requests[-1] if requests else None,
            first_sent_at_s=NOW_S - 600 if requests else None,
            last_sent_at_s=NOW_S - 600 if requests else None,
            not_found_at_s=NOW_S - POLICY.not_found_repeat_s if not_founds == 2 else None,
        )
        step = asked(Status.NOT_FOUND, history, command_s=THIS_RUN)
        found = (
            "unstored"
            if (step.state, step.evidence) == (State.REJECTED, Evidence.UNSTORED)
            else "person"
            if step.flag in (Flag.STUCK, Flag.MISMATCH)
            else step.todo
        )
        assert found == proves
        assert step.not_found_at_s is not None

    @pytest.mark.parametrize(
        "apart_s, enough", [(0, False), (1, False), (179.9, False), (180, True), (181, True)]
    )
    def test_two_of_them_count_only_so_far_apart(self, apart_s, enough):
        history = sent(
            Outcome.REFUSED, age_s=600, tally=tally_of(None, Outcome.REFUSED), not_found_at_s=NOW_S - apart_s
        )
        step = asked(Status.NOT_FOUND, history)
        assert (step.state is State.REJECTED) == enough
        if not enough:
            assert (step.todo, step.due_at_s) == (Todo.ASK, NOW_S - apart_s + 180)

    def test_the_second_question_is_due_at_a_moment_at_which_it_is_enough(self):
        """Seconds are floats: a question that is due must not be due again at the same moment."""
        for tick in range(1000):
            first_s = NOW_S + tick * 0.1234567
            history = sent(None, not_found_at_s=first_s)
            first = after_query(Status.NOT_FOUND, history, now_s=first_s, run_started_s=0, policy=POLICY)
            again = after_query(
                Status.NOT_FOUND, history, now_s=first.due_at_s, run_started_s=0, policy=POLICY
            )
            assert again.todo is Todo.REPEAT

    def test_a_clock_set_back_only_makes_us_wait_from_now(self):
        history = sent(None, not_found_at_s=NOW_S + DAY_S)
        step = asked(Status.NOT_FOUND, history)
        assert (step.todo, step.due_at_s, step.not_found_at_s) == (Todo.ASK, NOW_S + 180, NOW_S)

    @pytest.mark.parametrize("outcome", [None, *Outcome])
    def test_after_day_29_it_proves_nothing(self, outcome):
        old = sent(outcome, age_s=NOT_FOUND_WINDOW_S + 1, not_found_at_s=NOW_S - DAY_S)
        step = asked(Status.NOT_FOUND, old)
        assert (step.state, step.todo, step.flag) == (State.IN_DOUBT, None, Flag.STUCK)

    def test_up_to_day_29_it_does(self):
        old = sent(Outcome.REFUSED, age_s=NOT_FOUND_WINDOW_S)
        assert asked(Status.NOT_FOUND, old).evidence is Evidence.UNSTORED

    @pytest.mark.parametrize("age_s, todo", [(REPEAT_WINDOW_S - 1, Todo.REPEAT), (REPEAT_WINDOW_S, Todo.ASK)])
    def test_from_72_hours_on_it_is_asked_only_and_shown_to_a_person(self, age_s, todo):
        step = asked(Status.NOT_FOUND, sent(None, age_s=age_s, not_found_at_s=NOW_S - DAY_S))
        assert step.todo is todo
        assert (step.flag is Flag.STUCK) == (todo is Todo.ASK)

    def test_a_repeat_keeps_its_second_of_distance(self):
        """R0.9. PROCESSING with a waiting time of nothing is the quickest way to a repeat."""
        step = asked(Status.NOT_FOUND, sent(Outcome.PROCESSING, age_s=0.25))
        assert (step.todo, step.due_at_s) == (Todo.REPEAT, NOW_S + 0.75)

    @pytest.mark.parametrize("attempts, todo", [(7, Todo.REPEAT), (8, Todo.ASK)])
    def test_after_so_many_requests_a_person_has_to_look(self, attempts, todo):
        history = sent(None, tally=Tally(attempts=attempts), not_found_at_s=NOW_S - HOUR_S)
        assert asked(Status.NOT_FOUND, history).todo is todo

    def test_of_a_number_whose_order_has_other_facts_nothing_is_sent_again(self):
        step = asked(Status.NOT_FOUND, sent(Outcome.MISMATCH))
        assert (step.todo, step.flag) == (Todo.ASK, Flag.MISMATCH)


class TestBlocked:
    """NOTENOUGH, caps and interceptions: once per command, with the same number."""

    @pytest.mark.parametrize("status, reason", [(Status.NOT_FOUND, ""), (Status.SENDING, "余额不足")])
    @pytest.mark.parametrize("reach", [Reach.PAUSE, Reach.ABORT])
    def test_it_waits_for_the_operators_next_command(self, status, reason, reach):
        blocked = sent(Outcome.BLOCKED, reach=reach, age_s=HOUR_S)
        assert asked(status, blocked, reason=reason, command_s=THIS_RUN).todo is Todo.ASK
        assert asked(status, blocked, reason=reason, command_s=NOW_S - HOUR_S).todo is Todo.ASK
        again = asked(status, blocked, reason=reason, command_s=NOW_S - HOUR_S + 1)
        assert (again.todo, again.due_at_s) == (Todo.REPEAT, NOW_S)

    def test_waiting_for_a_command_is_shown_to_a_person(self):
        assert asked(Status.NOT_FOUND, sent(Outcome.BLOCKED), command_s=THIS_RUN).flag is Flag.STUCK

    @pytest.mark.parametrize(
        "status, reason", [(Status.NOT_FOUND, ""), (Status.SENDING, "该用户今日操作次数超过限制")]
    )
    def test_a_persons_daily_limit_ends_with_the_day_in_beijing(self, status, reason):
        """20:00 now; the row goes on after midnight without anybody's word."""
        limited = sent(Outcome.BLOCKED, reach=Reach.PERSON, age_s=HOUR_S)
        step = asked(status, limited, reason=reason, command_s=THIS_RUN)
        assert (step.todo, step.due_at_s) == (Todo.REPEAT, next_day_start_s(NOW_S))
        assert beijing_day(step.due_at_s) > beijing_day(NOW_S)

    def test_on_the_next_day_already_it_goes_on_at_once(self):
        limited = sent(Outcome.BLOCKED, reach=Reach.PERSON, age_s=DAY_S)
        step = asked(Status.NOT_FOUND, limited, command_s=THIS_RUN)
        assert (step.todo, step.due_at_s) == (Todo.REPEAT, NOW_S)

    def test_a_next_day_beyond_the_72_hours_is_no_day_for_a_repeat(self):
        """The cap was met 70 hours after the first request: at midnight the window will have closed."""
        limited = sent(Outcome.BLOCKED, reach=Reach.PERSON, age_s=0, first_sent_at_s=NOW_S - 70 * HOUR_S)
        step = asked(Status.NOT_FOUND, limited)
        assert (step.todo, step.flag) == (Todo.ASK, Flag.STUCK)

    @pytest.mark.parametrize("command_s", [THIS_RUN, NOW_S])
    def test_an_intercepted_packet_that_is_held_waits_for_the_policy(self, command_s):
        """NO_AUTH means one risky person as a rule: the next command is no word to repeat it."""
        held = sent(Outcome.BLOCKED, reach=Reach.BREAKER, age_s=HOUR_S)
        assert asked(Status.SENDING, held, reason="风险", command_s=command_s).todo is Todo.ASK

    def test_and_by_the_policy_it_is_repeated_once_per_command(self):
        held = sent(Outcome.BLOCKED, reach=Reach.BREAKER, age_s=HOUR_S)
        assert asked(Status.SENDING, held, reason="风险", command_s=THIS_RUN, policy=AUTO).todo is Todo.ASK
        assert asked(Status.SENDING, held, reason="风险", policy=AUTO).todo is Todo.REPEAT


class TestParkedPolicy:
    """An order that is held although its request was taken: [parked] repeat, within 72 h."""

    @pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.PROCESSING, Outcome.UNKNOWN, None])
    @pytest.mark.parametrize("state", sorted(OPEN))
    def test_auto_repeats_it_and_ask_does_not(self, outcome, state):
        held = sent(outcome, state=state)
        assert asked(Status.SENDING, held, reason="风险", policy=AUTO).todo is Todo.REPEAT
        assert asked(Status.SENDING, held, reason="风险", policy=POLICY).todo is Todo.ASK

    @pytest.mark.parametrize("age_s, todo", [(REPEAT_WINDOW_S - 1, Todo.REPEAT), (REPEAT_WINDOW_S, Todo.ASK)])
    def test_not_after_72_hours(self, age_s, todo):
        held = sent(Outcome.ACCEPTED, age_s=age_s, state=State.PARKED)
        assert asked(Status.SENDING, held, reason="风险", policy=AUTO).todo is todo

    def test_not_an_order_whose_first_request_is_unknown(self):
        """Sent by a ledger that was lost: nobody knows when its 72 hours end."""
        found = entry(state=State.IN_DOUBT)
        step = asked(Status.SENDING, found, reason="风险", policy=AUTO)
        assert (step.state, step.todo) == (State.PARKED, Todo.ASK)


class TestTimetable:
    """Section 6: 1 min, 20 min, 2 h, 12 h, 25 h, 26 h, 48 h after acceptance, then daily to day 28."""

    DUE_S = (60, 1200, 7200, 43_200, 90_000, 93_600, 172_800, *(day * 86_400 for day in range(3, 29)))

    def test_every_question_of_a_packet_that_nobody_opens(self):
        asked_at, now_s = [], NOW_S
        while (due_s := next_ask_s(NOW_S, now_s, POLICY)) is not None:
            assert due_s > now_s
            asked_at.append(due_s - NOW_S)
            now_s = due_s
        assert tuple(asked_at) == self.DUE_S
        assert asked_at[-1] == LAST_ASK_S

    @given(since_s=st.floats(1e9, 4e9), late_s=st.floats(0, 32 * DAY_S))
    def test_the_next_question_lies_ahead_and_on_the_timetable(self, since_s, late_s):
        due_s = next_ask_s(since_s, since_s + late_s, POLICY)
        if due_s is None:
            assert late_s >= LAST_ASK_S - 0.001
        else:
            assert due_s > since_s + late_s
            assert any(due_s == since_s + wait_s for wait_s in self.DUE_S)

    def test_a_clock_set_back_does_not_stop_the_questions(self):
        assert next_ask_s(NOW_S + DAY_S, NOW_S, POLICY) == NOW_S + DAY_S + 60

    def test_the_settings_cannot_ask_past_day_28(self):
        long = Policy(poll_s=(29 * DAY_S,))
        assert next_ask_s(NOW_S, NOW_S, long) == NOW_S + DAY_S
        assert next_ask_s(NOW_S, NOW_S + LAST_ASK_S, long) is None

    def test_an_accepted_packet_counts_from_its_acceptance(self):
        step = asked(Status.SENT, sent(Outcome.ACCEPTED, age_s=HOUR_S, accepted_at_s=NOW_S - 90))
        assert step.due_at_s == NOW_S - 90 + 1200

    def test_an_order_that_another_ledger_sent_counts_from_when_it_was_found(self):
        """Otherwise it would be asked about every minute for ever."""
        found = entry(state=State.PARKED, sending_since_s=NOW_S - HOUR_S)
        assert asked(Status.SENDING, found, reason="风险").due_at_s == NOW_S + HOUR_S

    @pytest.mark.parametrize("status", [Status.SENT, Status.SENDING, Status.RFUND_ING])
    def test_after_day_28_it_is_left_to_a_person(self, status):
        old = sent(Outcome.ACCEPTED, age_s=LAST_ASK_S, state=State.ACCEPTED, accepted_at_s=NOW_S - LAST_ASK_S)
        assert asked(status, old).todo is None


class TestAQuestionThatFailed:
    @pytest.mark.parametrize("state", sorted(OPEN))
    def test_it_changes_nothing_and_is_put_again(self, state):
        before = sent(None, state=state, flag=Flag.STUCK, not_found_at_s=NOW_S - 9, sending_since_s=NOW_S - 8)
        assert after_no_answer(before, now_s=NOW_S) == Step(
            state=state,
            todo=Todo.ASK,
            due_at_s=NOW_S + MINUTE_S,
            flag=Flag.STUCK,
            not_found_at_s=NOW_S - 9,
            sending_since_s=NOW_S - 8,
        )

    @pytest.mark.parametrize("age_s, todo", [(NOT_FOUND_WINDOW_S, Todo.ASK), (NOT_FOUND_WINDOW_S + 1, None)])
    def test_but_not_when_its_answer_would_prove_nothing_any_more(self, age_s, todo):
        assert after_no_answer(sent(None, age_s=age_s), now_s=NOW_S).todo is todo


@pytest.mark.parametrize(
    "age_s, attempts, not_sent, allowed",
    [
        (REPEAT_WINDOW_S - 1, 1, 0, True),
        (REPEAT_WINDOW_S, 1, 0, False),
        (1, 7, 0, True),
        (1, 8, 0, False),
        (1, 8, 1, True),
        (None, 0, 0, True),
        (-DAY_S, 1, 0, True),
    ],
)
def test_the_same_number_may_leave_again_within_72_hours_and_not_for_ever(age_s, attempts, not_sent, allowed):
    first_s = None if age_s is None else NOW_S - age_s
    history = entry(tally=Tally(attempts=attempts, not_sent=not_sent), first_sent_at_s=first_s)
    assert may_repeat(history, now_s=NOW_S, policy=POLICY) == allowed


# Laws of every question


def check_laws(status: Status, before: Entry, *, reason: str, command_s: float, policy: Policy) -> None:
    """What must hold whatever happened before."""
    step = asked(status, before, reason=reason, command_s=command_s, policy=policy)
    age_s = None if before.first_sent_at_s is None else NOW_S - before.first_sent_at_s
    forgotten = age_s is not None and age_s > NOT_FOUND_WINDOW_S

    assert may_move(before.state, step.state)
    assert step.state is not State.PLANNED, "no question proves that nothing ever left"
    assert (step.evidence is Evidence.DEAD) == (status is Status.FAILED)
    assert (step.state is State.REJECTED) == (step.evidence is not None)
    check_unstored(status, before, step, policy)

    if step.state in SETTLED:
        assert (step.todo, step.due_at_s) == (None, None)
    elif step.todo is None:
        assert step.due_at_s is None
        assert age_s is None or age_s >= LAST_ASK_S, "the program gives up only when asking has ended"
    elif step.todo is Todo.ASK:
        assert step.due_at_s > NOW_S
        assert not forgotten
    else:
        check_repeat(status, before, step, command_s=command_s, policy=policy)
    if status is Status.NOT_FOUND and forgotten:
        assert (step.state, step.todo) == (before.state, None)


def check_unstored(status: Status, before: Entry, step: Step, policy: Policy) -> None:
    """*Unstored* needs a refusal of the last request, no order that may be held, and NOT_FOUND, twice
    where a request was not answered."""
    twice = before.not_found_at_s is not None and NOW_S - before.not_found_at_s >= policy.not_found_repeat_s
    age_s = 0.0 if before.first_sent_at_s is None else NOW_S - before.first_sent_at_s
    assert (step.evidence is Evidence.UNSTORED) == (
        status is Status.NOT_FOUND
        and before.state is State.IN_DOUBT
        and before.last_outcome is Outcome.REFUSED
        and before.tally.held == 0
        and (before.tally.unanswered == 0 or twice)
        and age_s <= NOT_FOUND_WINDOW_S
    )


def check_repeat(status: Status, before: Entry, step: Step, *, command_s: float, policy: Policy) -> None:
    assert step.due_at_s >= NOW_S
    assert before.tally.attempts - before.tally.not_sent < policy.attempts_max
    if before.last_sent_at_s is not None:
        assert step.due_at_s >= before.last_sent_at_s + REPEAT_GAP_S
    if before.first_sent_at_s is not None:
        assert step.due_at_s - before.first_sent_at_s < REPEAT_WINDOW_S
    blocked = before.last_outcome is Outcome.BLOCKED
    if status is Status.NOT_FOUND:
        assert before.state is step.state is State.IN_DOUBT
        assert before.last_outcome is not Outcome.MISMATCH
        assert step.flag is None
    else:
        assert (status, step.state) == (Status.SENDING, State.PARKED)
        assert policy.parked_auto or blocked
    if blocked and before.last_reach is Reach.PERSON:
        assert beijing_day(step.due_at_s) > beijing_day(before.last_sent_at_s)
    elif blocked:
        assert before.last_sent_at_s < command_s, "once per command"


@pytest.mark.parametrize("state", sorted(OPEN))
@pytest.mark.parametrize("status", Status)
def test_laws_on_the_whole_grid(status, state):
    judged = status in (Status.NOT_FOUND, Status.SENDING)
    answered = [(outcome, Reach.ROW) for outcome in [None, *Outcome]]
    answered += [(Outcome.BLOCKED, reach) for reach in (Reach.PERSON, Reach.PAUSE, Reach.BREAKER) if judged]
    for tally, (outcome, reach), age_s in product(TALLIES, answered, AGES_S):
        if not 1 <= tally.attempts <= (3 if judged else 1):
            continue  # the other statuses are adopted whatever was sent
        before = sent(outcome, age_s=age_s, tally=tally, state=state, reach=reach)
        check_laws(status, before, reason="", command_s=THIS_RUN, policy=POLICY)
        if judged:
            check_laws(status, before, reason="余额不足", command_s=NOW_S, policy=AUTO)
            seen = replace(before, not_found_at_s=NOW_S - 180, sending_since_s=NOW_S - SENDING_PATIENCE_S - 1)
            check_laws(status, seen, reason="", command_s=NOW_S, policy=POLICY)


@st.composite
def histories(draw):
    """Entries as any sequence of answers, crashes and clocks could have left them."""
    counts = [draw(st.integers(0, 4)) for _ in range(4)]
    refused, not_sent, held, _ = counts
    tally = Tally(attempts=sum(counts), refused=refused, not_sent=not_sent, held=held)
    ages = st.one_of(st.sampled_from(AGES_S), st.floats(0, 40 * DAY_S))
    first_s = NOW_S - draw(ages) if tally.attempts else None
    last_s = None if first_s is None else draw(st.floats(first_s, NOW_S))
    some = st.one_of(st.none(), ages.map(lambda age_s: NOW_S - age_s))
    return entry(
        state=draw(st.sampled_from(sorted(OPEN))),
        tally=tally,
        last_outcome=draw(st.sampled_from([None, *Outcome])) if tally.attempts else None,
        last_reach=draw(st.sampled_from(Reach)),
        first_sent_at_s=first_s,
        last_sent_at_s=last_s,
        not_found_at_s=draw(some),
        sending_since_s=draw(some),
    )


@settings(max_examples=600)
@given(
    status=st.sampled_from(Status),
    before=histories(),
    reason=st.sampled_from(["", "风险"]),
    command_s=st.floats(NOW_S - 4 * DAY_S, NOW_S),
    policy=st.sampled_from([POLICY, AUTO, Policy(not_found_repeat_s=0.5, attempts_max=2)]),
)
def test_laws_of_any_history(status, before, reason, command_s, policy):
    check_laws(status, before, reason=reason, command_s=command_s, policy=policy)


@pytest.mark.parametrize("outcome", [None, *Outcome])
@pytest.mark.parametrize("policy", [POLICY, AUTO])
def test_asking_alone_always_comes_to_an_end(outcome, policy):
    """Whatever one and the same answer is repeated: either a repeat is due, or the questions stop by day 28
    and a person sees the entry."""
    for status in (Status.SENT, Status.SENDING, Status.NOT_FOUND, Status.RFUND_ING):
        now, questions = sent(outcome, age_s=0), 0
        now_s = NOW_S + 1
        while True:
            step = after_query(status, now, now_s=now_s, run_started_s=THIS_RUN, policy=policy)
            questions += 1
            if step.todo is not Todo.ASK:
                break
            now = replace(
                now,
                state=step.state,
                not_found_at_s=step.not_found_at_s,
                sending_since_s=step.sending_since_s,
            )
            now_s = step.due_at_s
            assert now_s <= NOW_S + LAST_ASK_S
        assert questions <= len(TestTimetable.DUE_S) + 2
        assert step.todo is Todo.REPEAT or step.state in SETTLED or now_s == NOW_S + LAST_ASK_S
