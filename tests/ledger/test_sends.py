"""The intent is written before the request and the answer after it, and only where they belong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from campaign.domain.answer import Outcome, QueryAnswer, Reach, SendAnswer, Status
from campaign.domain.days import HOUR_S, day_start_s
from campaign.domain.decision import Step
from campaign.domain.entry import Entry, Flag, Sending, Tally, Todo
from campaign.domain.limits import Cap, Limits
from campaign.domain.state import Evidence, State
from campaign.ledger.records import EventKind, SendResult
from campaign.ledger.store import Ledger
from tests.ledger.build import (
    DOUBT,
    NAME,
    NOON_S,
    STEPS,
    WIDE,
    ask,
    begin,
    begun,
    changed,
    end,
    events_of,
    now,
    open_ledger,
    plan,
    repeatable,
)

DEAD = Step(state=State.REJECTED, evidence=Evidence.DEAD)


@pytest.fixture
def ledger():
    with open_ledger() as opened:
        yield opened


def test_a_begun_entry_is_in_doubt_before_its_request_leaves(ledger: Ledger) -> None:
    """The intent names the attempt, its moment and when to ask if nobody ever ends it."""
    (planned,) = plan(ledger, "oA 1.88")
    one = begun(ledger, planned)
    assert one == now(ledger, planned)
    assert (one.state, one.attempt, one.tally.unanswered) == (State.IN_DOUBT, 1, 1)
    assert (one.todo, one.due_at_s) == (Todo.ASK, NOON_S + 300)
    assert (one.first_sent_at_s, one.last_sent_at_s) == (NOON_S, NOON_S)
    assert one.parameters == planned.parameters
    (attempt,) = ledger.attempts(one.mch_billno)
    assert (attempt.n, attempt.begun_at_s, attempt.outcome) == (1, NOON_S, None)


@pytest.mark.parametrize("sent", [False, True], ids=["planned", "to be repeated"])
def test_a_second_number_is_held_once_the_first_is_contradicted(ledger: Ledger, sent: bool) -> None:
    """Until then it may be sent; afterwards the row may have been paid under the first one."""
    first, other = plan(ledger, "oA 1.88", "oB 1.88")
    dead = end(ledger, begun(ledger, first), Outcome.REFUSED, step=DEAD)
    second = replace(first, mch_billno=f"{first.mch_billno[:-1]}#", issue=2)
    ledger.add_entries([second], NOON_S)
    second = repeatable(ledger, second) if sent else now(ledger, second)
    known = ledger.campaign(NAME)
    assert known is not None
    ledger.save_campaign(replace(known, plan_digest="as it was"), NOON_S)
    contradicted = QueryAnswer(status=Status.SENT)
    ledger.flag_settled(dead, Flag.CONTRADICTION, contradicted, asked_at_s=NOON_S, now_s=NOON_S)
    later_s = NOON_S + 100
    assert begin(ledger, second, at_s=later_s).stale == (second,)
    claims = ledger.candidates(NAME, now_s=later_s, limit=9)
    assert [claim.mch_billno for claim in claims] == [other.mch_billno]
    assert ledger.sendable(NAME, now_s=later_s, limit=9) == [other]
    assert ledger.due(now_s=later_s, todo=Todo.REPEAT, limit=9) == []
    # Nobody waits for it; the next command asks about what left.
    assert ledger.next_due_s(NAME) is None
    assert ledger.waiting(NAME) == (1, 188)
    assert ledger.end_repeats(NAME, now_s=later_s) == sent
    asked = ledger.due(now_s=later_s, todo=Todo.ASK, limit=9)
    assert [entry.mch_billno for entry in asked] == [second.mch_billno] * sent
    known = ledger.campaign(NAME)
    assert known is not None
    assert known.plan_digest == "", "the same sheet means something else now"


@pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.NOT_SENT])
def test_an_answer_that_comes_after_the_contradiction_sends_nothing_again(
    ledger: Ledger, outcome: Outcome
) -> None:
    """The second number's request was under way when the first one showed up: it would be due once more."""
    (first,) = plan(ledger, "oA 1.88")
    dead = end(ledger, begun(ledger, first), Outcome.REFUSED, step=DEAD)
    second = replace(first, mch_billno=f"{first.mch_billno[:-1]}#", issue=2)
    ledger.add_entries([second], NOON_S)
    under_way = begun(ledger, second)
    contradicted = QueryAnswer(status=Status.SENT)
    ledger.flag_settled(dead, Flag.CONTRADICTION, contradicted, asked_at_s=NOON_S, now_s=NOON_S)
    again = end(ledger, under_way, outcome)
    later_s = NOON_S + 100
    assert begin(ledger, again, at_s=later_s).entries == ()
    assert ledger.candidates(NAME, now_s=later_s, limit=9) == []
    assert ledger.due(now_s=later_s, todo=Todo.REPEAT, limit=9) == []
    assert (ledger.waiting(NAME), ledger.next_due_s(NAME)) == ((0, 0), None), "it is not waited for, either"
    assert ledger.end_repeats(NAME, now_s=later_s) == (again.state is State.IN_DOUBT)


def test_one_entry_is_begun_once(ledger: Ledger) -> None:
    """A second claim on what somebody is sending finds nothing to claim."""
    (planned,) = plan(ledger, "oA 1.88")
    begun(ledger, planned)
    again = begin(ledger, planned, owner="them", at_s=NOON_S + 5)
    assert (again.entries, again.stale) == ((), (planned,))
    assert now(ledger, planned).attempt == 1


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.PARKED},
        {"tally": Tally(attempts=1)},
        {"re_openid": "oSomebodyElse"},
        {"total_amount": 189},
    ],
)
def test_nothing_is_begun_on_an_outdated_view(ledger: Ledger, values: dict[str, object]) -> None:
    """State, attempt number, recipient and amount are part of the guard."""
    (planned,) = plan(ledger, "oA 1.88")
    result = begin(ledger, replace(planned, **values))
    assert (result.entries, len(result.stale)) == ((), 1)
    assert now(ledger, planned) == planned
    assert ledger.attempts(planned.mch_billno) == []


def test_a_begun_entry_carries_the_parameters_that_the_ledger_froze(ledger: Ledger) -> None:
    """Not those of a view that is older than a change of the wishing."""
    (planned,) = plan(ledger, "oA 1.88")
    newer = replace(planned, parameters=dict(planned.parameters) | {"wishing": "New!"})
    ledger.revise(newer, NOON_S, "changed")
    assert begun(ledger, planned).parameters["wishing"] == "New!"


def test_a_due_repeat_is_the_next_attempt_with_the_same_parameters(ledger: Ledger) -> None:
    """Same number, same bytes, one attempt more."""
    (planned,) = plan(ledger, "oA 1.88")
    doubtful = repeatable(ledger, planned)
    again = begun(ledger, doubtful, at_s=NOON_S + 1)
    assert (again.attempt, again.first_sent_at_s, again.last_sent_at_s) == (2, NOON_S, NOON_S + 1)
    assert again.parameters == planned.parameters


@pytest.mark.parametrize(
    "why, todo, due_after_s, at_after_s",
    [
        ("a question is due, not a repeat", Todo.ASK, 1.0, 10.0),
        ("the repeat is not due yet", Todo.REPEAT, 20.0, 10.0),
        ("less than a second since the last attempt", Todo.REPEAT, 0.1, 0.9),
        ("the clock was set back before the last attempt", Todo.REPEAT, -50.0, -40.0),
        ("72 h since the first request", Todo.REPEAT, 1.0, 72 * HOUR_S),
        ("long past 72 h", Todo.REPEAT, 1.0, 80 * HOUR_S),
        ("nothing is planned for it", None, 1.0, 10.0),
    ],
)
def test_a_repeat_waits_for_its_conditions(
    ledger: Ledger, why: str, todo: Todo | None, due_after_s: float, at_after_s: float
) -> None:
    """No repeat without the policy's word, within a second, or after 72 h."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    step = Step(state=State.IN_DOUBT, todo=todo, due_at_s=NOON_S + due_after_s)
    doubtful = end(ledger, first, Outcome.THROTTLED, step=step)
    result = begin(ledger, doubtful, at_s=NOON_S + at_after_s)
    assert result.entries == (), why
    assert result.stale == (doubtful,)
    assert now(ledger, first).attempt == 1


def test_a_repeat_just_within_72_hours_is_allowed(ledger: Ledger) -> None:
    """The window is open until its last moment, so that the test above tests its edge."""
    doubtful = repeatable(ledger, plan(ledger, "oA 1.88")[0])
    assert begin(ledger, doubtful, at_s=NOON_S + 72 * HOUR_S - 0.001).entries


def test_a_lease_keeps_others_away_until_it_ends(ledger: Ledger) -> None:
    """A doubt that was asked about in mid-flight is not repeated beside the request that is under way."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    repeat = Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 20)
    doubtful = ask(ledger, first, None, repeat)
    assert doubtful is not None
    assert not begin(ledger, doubtful, at_s=NOON_S + 299.9, owner="them").entries
    assert begin(ledger, doubtful, at_s=NOON_S + 300, owner="them").entries


def test_a_parked_order_is_repeated_when_the_policy_said_so(ledger: Ledger) -> None:
    """Parked with a repeat that is due; parked with a question is left alone."""
    first = end(ledger, begun(ledger, plan(ledger, "oA 1.88")[0]), Outcome.BLOCKED)
    asked = Step(state=State.PARKED, todo=Todo.ASK, due_at_s=NOON_S + 12)
    parked = ask(ledger, first, None, asked)
    assert parked is not None
    assert not begin(ledger, parked, at_s=NOON_S + 30).entries
    parked = ask(ledger, parked, None, Step(state=State.PARKED, todo=Todo.REPEAT, due_at_s=NOON_S + 30))
    assert parked is not None
    again = begun(ledger, parked, at_s=NOON_S + 30)
    assert (again.state, again.attempt) == (State.IN_DOUBT, 2)


def test_nothing_of_a_cancelled_campaign_leaves(ledger: Ledger) -> None:
    """Neither what was planned nor what is due for a repeat."""
    planned, other = plan(ledger, "oA 1.88", "oB 1.88")
    doubtful = repeatable(ledger, planned)
    assert ledger.cancel("lantern", NOON_S + 2) == 1
    result = begin(ledger, other, doubtful, replace(other, state=State.CANCELLED), at_s=NOON_S + 5)
    assert result.entries == ()
    assert now(ledger, other).state is State.CANCELLED
    assert now(ledger, doubtful).todo is Todo.ASK


def test_what_is_planned_into_a_cancelled_campaign_stays(ledger: Ledger) -> None:
    """Until somebody reopens it."""
    ledger.cancel("lantern", NOON_S)
    (planned,) = plan(ledger, "oA 1.88")
    assert begin(ledger, planned).stale == (planned,)
    ledger.reopen("lantern", NOON_S)
    assert begin(ledger, planned).entries


def test_a_new_attempt_forgets_what_was_seen_before_it(ledger: Ledger) -> None:
    """An earlier NOT_FOUND, or SENDING, proves nothing about a later request."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    step = Step(
        state=State.IN_DOUBT,
        todo=Todo.REPEAT,
        due_at_s=NOON_S + 10,
        not_found_at_s=NOON_S + 10,
        sending_since_s=NOON_S + 9,
    )
    doubtful = ask(ledger, first, None, step)
    assert doubtful is not None
    assert (doubtful.not_found_at_s, doubtful.sending_since_s) == (NOON_S + 10, NOON_S + 9)
    again = begun(ledger, doubtful, at_s=NOON_S + 10)
    assert (again.not_found_at_s, again.sending_since_s) == (None, None)


def test_a_repeat_planned_after_the_cancelling_becomes_a_question(ledger: Ledger) -> None:
    """A cancelled campaign is only asked about."""
    doubtful = repeatable(ledger, plan(ledger, "oA 1.88")[0])
    ledger.cancel("lantern", NOON_S + 2)
    repeat = Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 20, not_found_at_s=NOON_S + 10)
    after = ask(ledger, now(ledger, doubtful), None, repeat)
    assert after is not None
    assert (after.todo, after.due_at_s) == (Todo.ASK, NOON_S + 20 + 24 * HOUR_S)
    assert after.not_found_at_s == NOON_S + 10


@pytest.mark.parametrize(
    "outcome, err_code, tally",
    [
        (Outcome.ACCEPTED, "", Tally(attempts=1, held=1)),
        (Outcome.REFUSED, "OPENID_ERROR", Tally(attempts=1, refused=1)),
        (Outcome.BLOCKED, "NOTENOUGH", Tally(attempts=1, held=1)),
        (Outcome.PROCESSING, "PROCESSING", Tally(attempts=1, held=1)),
        (Outcome.MISMATCH, "FATAL_ERROR", Tally(attempts=1, held=1)),
        (Outcome.UNKNOWN, "SEND_FAILED", Tally(attempts=1, held=1)),
        (Outcome.UNKNOWN, "SYSTEMERROR", Tally(attempts=1)),
        (Outcome.THROTTLED, "FREQ_LIMIT", Tally(attempts=1)),
        (Outcome.NOT_SENT, "", Tally(attempts=1, not_sent=1)),
    ],
)
def test_every_answer_is_counted_by_what_it_taught(
    ledger: Ledger, outcome: Outcome, err_code: str, tally: Tally
) -> None:
    """What is in none of the counts went unanswered, and may have paid."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    after = end(
        ledger, first, outcome, err_code=err_code, err_code_des="words", raw=b"<xml/>", reach=Reach.BREAKER
    )
    assert after.tally == tally
    assert (after.last_outcome, after.last_reach) == (outcome, Reach.BREAKER)
    (attempt,) = ledger.attempts(first.mch_billno)
    assert (attempt.outcome, attempt.err_code, attempt.raw) == (outcome, err_code, b"<xml/>")
    if outcome is not Outcome.ACCEPTED:
        assert (after.err_code, after.reason) == (err_code, "words")


def test_an_accepted_packet_keeps_its_list_number(ledger: Ledger) -> None:
    """send_listid, its moment, the next question; live servers' err_code SUCCESS is no error."""
    after = end(
        ledger,
        begun(ledger, plan(ledger, "oA 1.88")[0]),
        Outcome.ACCEPTED,
        at_s=NOON_S + 2,
        err_code="SUCCESS",
        send_listid="L1",
    )
    assert (after.state, after.send_listid, after.accepted_at_s) == (State.ACCEPTED, "L1", NOON_S + 2)
    assert (after.err_code, after.todo, after.due_at_s) == ("", Todo.ASK, NOON_S + 60)


def test_a_request_that_never_left_gives_its_entry_back(ledger: Ledger) -> None:
    """Planned again, not counted on any day, and the 72 hours have not begun."""
    (planned,) = plan(ledger, "oA 1.88")
    after = end(ledger, begun(ledger, planned), Outcome.NOT_SENT)
    assert (after.state, after.first_sent_at_s) == (State.PLANNED, None)
    assert after.tally == Tally(attempts=1, not_sent=1)
    assert (
        ledger.used("lantern", days=[date(2026, 3, 3)], people=["oA"]).merchant_day_fen[date(2026, 3, 3)] == 0
    )
    assert ledger.sendable("lantern", now_s=NOON_S + 0.5, limit=9) == []
    assert begun(ledger, after, at_s=NOON_S + 1).attempt == 2


def test_an_entry_with_an_unanswered_request_is_never_planned_again(ledger: Ledger) -> None:
    """A decision to do so would be our own mistake, and is stopped."""
    doubtful = repeatable(ledger, plan(ledger, "oA 1.88")[0])
    again = begun(ledger, doubtful, at_s=NOON_S + 1)
    with pytest.raises(AssertionError):
        end(ledger, again, Outcome.NOT_SENT, at_s=NOON_S + 2)
    assert now(ledger, again) == again


def test_an_illegal_transition_is_our_own_mistake(ledger: Ledger) -> None:
    """Nothing is withdrawn by an answer."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    with pytest.raises(AssertionError):
        end(ledger, first, Outcome.UNKNOWN, step=Step(state=State.CANCELLED))
    assert now(ledger, first) == first


def test_a_late_answer_of_an_older_attempt_changes_nothing(ledger: Ledger) -> None:
    """Attempt 1's "accepted" may not settle attempt 2; it is kept as evidence."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    doubtful = ask(ledger, first, None, Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 11))
    assert doubtful is not None
    second = begun(ledger, doubtful, at_s=NOON_S + 20)
    assert end(ledger, first, Outcome.ACCEPTED, at_s=NOON_S + 21, send_listid="L1") == second
    assert [a.outcome for a in ledger.attempts(first.mch_billno)] == [Outcome.ACCEPTED, None]
    assert [e.kind for e in events_of(ledger, first)][-1] is EventKind.ANSWERED_LATE
    assert end(ledger, second, Outcome.ACCEPTED, at_s=NOON_S + 22, send_listid="L1").state is State.ACCEPTED


def test_an_answer_to_an_entry_that_moved_on_changes_nothing(ledger: Ledger) -> None:
    """It was received meanwhile, as a question showed; a refusal that comes late does not undo that."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    received = ask(ledger, first, None, Step(state=State.RECEIVED))
    assert end(ledger, first, Outcome.REFUSED, at_s=NOON_S + 12) == received


def test_one_answer_counts_once(ledger: Ledger) -> None:
    """Even if it is booked twice."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    once = end(ledger, first, Outcome.REFUSED, err_code="OPENID_ERROR")
    assert end(ledger, first, Outcome.REFUSED, err_code="OPENID_ERROR") == once


@pytest.mark.parametrize("sticky", [Flag.MISMATCH, Flag.OTHER_ID, Flag.CONTRADICTION])
@pytest.mark.parametrize("later", [None, Flag.STUCK, Flag.MISMATCH])
def test_what_a_person_must_see_stays(ledger: Ledger, sticky: Flag, later: Flag | None) -> None:
    """A later answer does not take these flags away, nor does a repeat."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    step = Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 1, flag=sticky)
    flagged = end(ledger, first, Outcome.UNKNOWN, step=step)
    after = ask(ledger, flagged, None, step._replace(flag=later))
    assert after is not None
    assert after.flag is sticky
    assert begun(ledger, after, at_s=NOON_S + 20).flag is sticky


def test_being_stuck_passes_with_the_next_answer(ledger: Ledger) -> None:
    """It only says that nothing more could be done at that moment."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    stuck = end(ledger, first, Outcome.BLOCKED, step=DOUBT._replace(flag=Flag.STUCK))
    assert stuck.flag is Flag.STUCK
    after = ask(ledger, stuck, None, Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=NOON_S + 99))
    assert after is not None
    assert after.flag is None


LIMITS = Limits(
    campaign_fen=1000, in_doubt_fen=500, person_day_packets=2, person_day_fen=400, merchant_day_fen=800
)


@pytest.mark.parametrize(
    "rows, cap",
    [
        (["oA 2.00", "oB 3.00", "oC 0.01"], Cap.IN_DOUBT),
        (["oA 2.00", "oA 2.01"], Cap.PERSON_DAY),
        (["oA 0.10", "oA 0.10", "oA 0.10"], Cap.PERSON_DAY),
    ],
)
def test_the_row_that_would_break_a_cap_is_held_back(ledger: Ledger, rows: list[str], cap: Cap) -> None:
    """Caps hold within one batch; what came before it in the batch leaves."""
    planned = plan(ledger, *rows)
    result = begin(ledger, *planned, limits=LIMITS)
    assert [e.mch_billno for e in result.entries] == [e.mch_billno for e in planned[:-1]]
    assert result.held == ((planned[-1], cap),)


def test_campaign_and_merchant_budgets_count_what_was_accepted() -> None:
    """Money that left counts, whatever state it is in now; across calls, and for the day across campaigns."""
    with open_ledger(names=("lantern", "spring")) as two:
        for number, row in enumerate(plan(two, "oA 4.00", "oB 4.00")):
            end(two, begun(two, row, at_s=NOON_S + number), Outcome.ACCEPTED)
        (third,) = plan(two, "oC 2.01")
        wide_day = replace(LIMITS, merchant_day_fen=10**9)
        assert begin(two, third, limits=wide_day).held == ((third, Cap.CAMPAIGN),)
        (spring,) = plan(two, "oD 0.01", campaign="spring")
        assert begin(two, spring, limits=LIMITS).held == ((spring, Cap.MERCHANT_DAY),)


def test_refunded_money_still_counts_for_its_campaign(ledger: Ledger) -> None:
    """Nobody is paid from a refund without a new decision."""
    accepted = end(ledger, begun(ledger, plan(ledger, "oA 4.00")[0]), Outcome.ACCEPTED)
    assert ask(ledger, accepted, None, Step(state=State.REFUNDED))
    assert ledger.used("lantern", days=()).campaign_fen == 400


def test_a_repeat_is_not_counted_twice(ledger: Ledger) -> None:
    """Its money is in doubt already, and so is its day."""
    doubtful = repeatable(ledger, plan(ledger, "oA 4.00")[0])
    tight = Limits(
        campaign_fen=400, in_doubt_fen=400, person_day_packets=1, person_day_fen=400, merchant_day_fen=400
    )
    assert begin(ledger, doubtful, at_s=NOON_S + 5, limits=tight).entries


def test_a_request_near_midnight_counts_on_both_days(ledger: Ledger) -> None:
    """WeChat Pay may count it on either."""
    midnight = day_start_s(date(2026, 3, 4))
    begun(ledger, plan(ledger, "oA 4.00")[0], at_s=midnight - 30)
    days = [date(2026, 3, 3), date(2026, 3, 4), date(2026, 3, 5)]
    used = ledger.used("lantern", days=days, people=["oA"])
    assert [used.merchant_day_fen[day] for day in days] == [400, 400, 0]
    assert used.person_day == {(days[0], "oA"): (1, 400), (days[1], "oA"): (1, 400)}


def test_a_repeat_on_another_day_counts_there_too(ledger: Ledger) -> None:
    """An entry counts on every Beijing day on which a request for it left."""
    doubtful = repeatable(ledger, plan(ledger, "oA 4.00")[0])
    tomorrow = NOON_S + 24 * HOUR_S
    begun(ledger, doubtful, at_s=tomorrow)
    used = ledger.used("lantern", days=[date(2026, 3, 3), date(2026, 3, 4)], people=["oA"])
    assert list(used.merchant_day_fen.values()) == [400, 400]


def test_a_rejected_entry_gives_its_day_back(ledger: Ledger) -> None:
    """Nothing was paid, so it does not keep others from being paid."""
    refused = end(ledger, begun(ledger, plan(ledger, "oA 4.00")[0]), Outcome.REFUSED)
    ask(ledger, refused, None, Step(state=State.REJECTED))
    used = ledger.used("lantern", days=[date(2026, 3, 3)], people=["oA"])
    assert used.merchant_day_fen == {date(2026, 3, 3): 0}
    assert used.person_day == {(date(2026, 3, 3), "oA"): (0, 0)}
    assert (used.campaign_fen, used.in_doubt_fen) == (0, 0)


def test_a_rejected_entry_that_may_have_been_paid_after_all_has_its_day_again(ledger: Ledger) -> None:
    """Else this person, and the merchant, would get more than a day's limit on it."""
    refused = end(ledger, begun(ledger, plan(ledger, "oA 4.00")[0]), Outcome.REFUSED)
    dead = ask(ledger, refused, None, Step(state=State.REJECTED))
    assert dead is not None
    contradicted = QueryAnswer(status=Status.SENT)
    later_s = NOON_S + 48 * HOUR_S
    ledger.flag_settled(dead, Flag.CONTRADICTION, contradicted, asked_at_s=later_s, now_s=later_s)
    days = [date(2026, 3, 3), date(2026, 3, 5)]
    used = ledger.used("lantern", days=days, people=["oA"])
    assert used.merchant_day_fen == {days[0]: 400, days[1]: 0}
    assert used.person_day == {(days[0], "oA"): (1, 400)}
    assert (used.campaign_fen, list(ledger.miscounted_days())) == (400, [])


def test_a_person_at_the_daily_limit_waits_for_the_next_beijing_day(ledger: Ledger) -> None:
    """That person's rows wait; the others go on."""
    first, second, other = plan(ledger, "oA 3.00", "oA 3.00", "oB 1.00")
    result = begin(ledger, first, second, other, limits=replace(LIMITS, in_doubt_fen=10**6))
    assert [e.re_openid for e in result.entries] == ["oA", "oB"]
    tomorrow = day_start_s(date(2026, 3, 4)) + 60
    assert now(ledger, second).not_before_s == tomorrow
    assert ledger.sendable("lantern", now_s=tomorrow - 1, limit=9) == []
    assert [e.row for e in ledger.sendable("lantern", now_s=tomorrow, limit=9)] == [second.row]
    for entry in result.entries:
        end(ledger, entry, Outcome.ACCEPTED)
    assert ledger.next_due_s("lantern", planned=True) == tomorrow
    assert ledger.next_due_s("lantern", planned=False) is None


def test_wechats_own_limit_of_a_person_holds_all_that_persons_rows(ledger: Ledger) -> None:
    """In every campaign, planned or to be repeated, until the moment that was named."""
    until = NOON_S + 1000
    planned, other = plan(ledger, "oA 1.00", "oA 1.00")
    doubtful = repeatable(ledger, planned)
    ledger.defer_person("lantern", "oA", until, NOON_S)
    ledger.defer_person("lantern", "oA", until - 500, NOON_S)  # never shortened
    result = begin(ledger, doubtful, other, at_s=NOON_S + 5)
    assert result.held == ((doubtful, Cap.PERSON_DAY), (other, Cap.PERSON_DAY))
    assert now(ledger, doubtful).due_at_s == until
    assert now(ledger, other).not_before_s == until
    assert len(begin(ledger, now(ledger, doubtful), now(ledger, other), at_s=until).entries) == 2


def test_a_suspected_entry_is_asked_about_and_sent_only_then(ledger: Ledger) -> None:
    """No attempt is counted: another ledger may have sent it, we did not."""
    (planned,) = plan(ledger, "oA 1.88")
    (suspected,) = ledger.suspect([planned], limits=WIDE, now_s=NOON_S).entries
    assert (suspected.state, suspected.attempt, suspected.todo) == (State.IN_DOUBT, 0, Todo.ASK)
    assert not begin(ledger, suspected).entries
    repeat = Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 10)
    missing = ask(ledger, suspected, None, repeat)
    assert missing is not None
    sent = begun(ledger, missing, at_s=NOON_S + 10)
    assert (sent.attempt, sent.first_sent_at_s) == (1, NOON_S + 10)


def test_suspicion_keeps_the_budget(ledger: Ledger) -> None:
    """What is in doubt is never checked again, so it is checked when it becomes so."""
    rows = plan(ledger, "oA 4.00", "oB 4.00", "oC 4.00")
    limits = replace(LIMITS, in_doubt_fen=10**6)
    result = ledger.suspect(rows, limits=limits, now_s=NOON_S)
    assert len(result.entries) == 2
    assert result.held == ((rows[2], Cap.CAMPAIGN),)
    assert ledger.suspect(rows[:1], limits=WIDE, now_s=NOON_S).stale == (rows[0],)


def test_a_failed_batch_leaves_nothing_behind(ledger: Ledger) -> None:
    """One impossible result undoes the whole batch, its events included."""
    one, two = begin(ledger, *plan(ledger, "oA 1.88", "oB 1.88")).entries
    before, head = now(ledger, one), ledger.head()
    good = SendResult(entry=one, answer=SendAnswer(outcome=Outcome.UNKNOWN), step=DOUBT)
    bad = SendResult(entry=two, answer=SendAnswer(outcome=Outcome.UNKNOWN), step=Step(state=State.CANCELLED))
    with pytest.raises(AssertionError):
        ledger.end_sends([good, bad], NOON_S + 1)
    assert now(ledger, one) == before
    assert ledger.head() == head
    assert ledger.attempts(one.mch_billno)[0].outcome is None


def test_an_outer_transaction_decides_over_the_inner_ones(ledger: Ledger) -> None:
    """Results and the next intents share one commit, or none."""
    one, two = plan(ledger, "oA 1.88", "oB 1.88")
    first = begun(ledger, one)
    accepted = SendResult(
        entry=first, answer=SendAnswer(outcome=Outcome.ACCEPTED), step=STEPS[Outcome.ACCEPTED]
    )

    def killed() -> None:
        with ledger.atomic():
            ledger.end_sends([accepted], NOON_S + 1)
            begin(ledger, two)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        killed()
    assert now(ledger, one) == first
    assert now(ledger, two) == two
    assert list(ledger.broken_events()) == []


def test_revising_needs_that_nothing_was_stored(ledger: Ledger) -> None:
    """A changed row takes its new values only while nothing may have left under its number."""
    (planned,) = plan(ledger, "oA 1.88")
    ledger.revise(changed(planned, total_amount=200, re_openid="oB"), NOON_S, "the sheet changed")
    revised = now(ledger, planned)
    assert (revised.total_amount, revised.re_openid, revised.state) == (200, "oB", State.PLANNED)
    assert revised.parameters["total_amount"] == "200"
    event = events_of(ledger, planned)[-1]
    assert event.kind is EventKind.REVISED
    assert event.detail["changed"] == {"re_openid": ["oA", "oB"], "total_amount": [188, 200]}


def test_room_that_a_stale_entry_does_not_need_is_there_for_the_next(ledger: Ledger) -> None:
    """The batch was read a moment ago; one of its rows was changed since."""
    one, two, three = plan(ledger, "oA 1.88", "oB 1.88", "oC 1.88")
    budget = replace(WIDE, campaign_fen=188)
    result = begin(ledger, changed(one, total_amount=187), two, three, limits=budget)
    assert [e.mch_billno for e in result.entries] == [two.mch_billno]
    assert (len(result.stale), result.held) == (1, ((three, Cap.CAMPAIGN),))


def test_an_entry_that_stands_twice_in_a_batch_is_begun_once(ledger: Ledger) -> None:
    """Whatever hands it in twice: there is one request."""
    (one,) = plan(ledger, "oA 1.88")
    result = begin(ledger, one, one)
    assert (len(result.entries), result.stale) == (1, (one,))
    assert len(ledger.attempts(one.mch_billno)) == 1


def test_candidates_are_the_sendable_entries(ledger: Ledger) -> None:
    """As far as claiming needs them; begun by them, an entry has what sending it needs."""
    plan(ledger, "oA 1.88", "oB 2.88")
    sendable = ledger.sendable("lantern", now_s=NOON_S, limit=9)
    candidates = ledger.candidates("lantern", now_s=NOON_S, limit=9)
    assert [
        (e.mch_billno, e.campaign, e.re_openid, e.total_amount, e.state, e.attempt) for e in sendable
    ] == candidates
    result = ledger.begin_sends(candidates, limits=WIDE, now_s=NOON_S, owner="us", lease_s=300.0)
    assert result.entries == tuple(sending(now(ledger, e)) for e in sendable)


def sending(e: Entry) -> Sending:
    """What `begin_sends` returns of an entry in doubt."""
    assert (e.state, e.first_sent_at_s is None) == (State.IN_DOUBT, False)
    return Sending(
        e.mch_billno, e.campaign, e.re_openid, e.total_amount, e.parameters, e.tally, e.first_sent_at_s
    )


def test_a_repeat_knows_the_requests_before_it(ledger: Ledger) -> None:
    """What its answer proves depends on them."""
    (planned,) = plan(ledger, "oA 1.88")
    again = Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 1)
    refused = end(ledger, begun(ledger, planned), Outcome.REFUSED, step=again)
    (one,) = begin(ledger, refused, at_s=NOON_S + 5).entries
    assert one == sending(now(ledger, one))
    assert (one.tally, one.first_sent_at_s) == (Tally(attempts=2, refused=1), NOON_S)


def test_a_suspect_counts_the_money_in_doubt_of_every_ledger(ledger: Ledger) -> None:
    """What another ledger of the merchant has in doubt leaves less room here."""
    with open_ledger() as other:
        begin(other, *plan(other, "oX 5.00"))
        one, two = plan(ledger, "oA 1.88", "oB 1.88")
        limits = replace(WIDE, in_doubt_fen=500 + 188)
        result = ledger.suspect([one, two], limits=limits, now_s=NOON_S, others=[other])
    assert [e.row for e in result.entries] == [one.row]
    assert result.held == ((two, Cap.IN_DOUBT),)


def test_a_batch_keeps_each_answer_with_its_own_attempt(ledger: Ledger) -> None:
    """However many answers come at once, alike or not; each attempt has the body that came for it."""
    outcomes = (Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.THROTTLED)
    sent = begin(ledger, *plan(ledger, *(f"o{n} 1.88" for n in range(150)))).entries
    results = [
        SendResult(
            entry=e,
            answer=SendAnswer(outcome=outcomes[n % 3], err_code=f"CODE{n % 7}", raw=f"body {n}".encode()),
            step=STEPS.get(outcomes[n % 3], DOUBT),
        )
        for n, e in enumerate(sent)
    ]
    ledger.end_sends(results, NOON_S + 1)
    for result in results:
        (attempt,) = ledger.attempts(result.entry.mch_billno)
        answer = result.answer
        assert (attempt.outcome, attempt.err_code, attempt.raw) == (
            answer.outcome,
            answer.err_code,
            answer.raw,
        )
        assert attempt.ended_at_s == NOON_S + 1
        assert now(ledger, result.entry).state is result.step.state


def test_of_two_answers_for_one_attempt_in_a_batch_the_first_counts(ledger: Ledger) -> None:
    """The second is recorded as late, and changes nothing."""
    (one,) = begin(ledger, *plan(ledger, "oA 1.88")).entries
    first, second = (
        SendResult(entry=one, answer=SendAnswer(outcome=outcome, raw=raw), step=STEPS.get(outcome, DOUBT))
        for outcome, raw in [(Outcome.ACCEPTED, b"first"), (Outcome.UNKNOWN, b"second")]
    )
    ledger.end_sends([first, second], NOON_S + 1)
    (attempt,) = ledger.attempts(one.mch_billno)
    assert (attempt.outcome, attempt.raw) == (Outcome.ACCEPTED, b"first")
    assert now(ledger, one).state is State.ACCEPTED
    kinds = [event.kind for event in events_of(ledger, one)]
    assert kinds[-2:] == [EventKind.ANSWERED, EventKind.ANSWERED_LATE]
    assert now(ledger, one).tally.held == 1
