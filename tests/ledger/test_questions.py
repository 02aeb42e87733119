"""What an answer to a question may change, and what it may not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from campaign.domain.answer import Claim, Outcome, QueryAnswer, Status
from campaign.domain.days import DAY_S
from campaign.domain.decision import Step
from campaign.domain.entry import Flag, Todo
from campaign.domain.state import Evidence, State
from campaign.domain.verdict import needs_person
from campaign.ledger.records import EventKind, QueryResult
from campaign.ledger.store import Ledger
from campaign.wechat.answers import explain
from tests.ledger.build import (
    NOON_S,
    WIDE,
    ask,
    begin,
    begun,
    end,
    events_of,
    now,
    open_ledger,
    plan,
    repeatable,
)

RECEIVED = Step(state=State.RECEIVED)
WAITING = Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=NOON_S + 1200)


@pytest.fixture
def ledger():
    with open_ledger() as opened:
        yield opened


@pytest.fixture
def accepted(ledger: Ledger):
    return end(ledger, begun(ledger, plan(ledger, "oA 1.88")[0]), Outcome.ACCEPTED, send_listid="L1")


def test_a_received_packet_is_settled_with_its_evidence(ledger: Ledger, accepted) -> None:
    """Status, claim time and number of the order; the raw answer is kept."""
    claim = Claim(openid="oA", amount=188, rcv_time="2026-03-03 12:00:31")
    after = ask(
        ledger,
        accepted,
        Status.RECEIVED,
        RECEIVED,
        at_s=NOON_S + 11,
        detail_id="L1",
        claims=(claim,),
        raw=b"<xml/>",
    )
    assert after is not None
    assert after == now(ledger, accepted)
    assert (after.state, after.settled_at_s, after.asked_at_s) == (State.RECEIVED, NOON_S + 11, NOON_S + 10)
    assert (after.status, after.detail_id, after.rcv_time) == ("RECEIVED", "L1", "2026-03-03 12:00:31")
    (question,) = ledger.questions(accepted.mch_billno)
    assert (question.status, question.raw) == (Status.RECEIVED, b"<xml/>")
    assert (question.asked_at_s, question.answered_at_s) == (NOON_S + 10, NOON_S + 11)


def test_a_refund_keeps_when_and_how_much(ledger: Ledger, accepted) -> None:
    """Finance matches it with the bill."""
    after = ask(
        ledger,
        accepted,
        Status.REFUND,
        Step(state=State.REFUNDED),
        refund_time="2026-03-04 12:00:00",
        refund_amount=188,
    )
    assert after is not None
    assert (after.state, after.refund_time, after.refund_amount) == (
        State.REFUNDED,
        "2026-03-04 12:00:00",
        188,
    )


def test_the_answer_to_a_question_older_than_the_last_attempt_changes_nothing(ledger: Ledger) -> None:
    """It says nothing about a request that left after it; it is kept as evidence."""
    doubtful = repeatable(ledger, plan(ledger, "oA 1.88")[0])
    second = begun(ledger, doubtful, at_s=NOON_S + 20)
    dead = Step(state=State.REJECTED, evidence=Evidence.DEAD)
    assert ask(ledger, doubtful, Status.FAILED, dead, asked_at_s=NOON_S + 19, at_s=NOON_S + 21) is None
    assert now(ledger, second) == second
    assert len(ledger.questions(second.mch_billno)) == 1
    assert events_of(ledger, second)[-1].kind is EventKind.ASKED_LATE


def test_a_question_sent_before_the_attempt_it_names_changes_nothing(ledger: Ledger) -> None:
    """Even where the asker saw the entry as it is now: the clock decides."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0], at_s=NOON_S + 20)
    unstored = Step(state=State.REJECTED, evidence=Evidence.UNSTORED)
    assert ask(ledger, first, Status.NOT_FOUND, unstored, asked_at_s=NOON_S + 19.9) is None
    assert now(ledger, first) == first
    assert ask(ledger, first, Status.NOT_FOUND, unstored, asked_at_s=NOON_S + 20) is not None


def test_an_answer_judged_by_an_older_attempt_changes_nothing(ledger: Ledger) -> None:
    """The question left after attempt 2, but whoever judged its answer knew of attempt 1 only."""
    doubtful = repeatable(ledger, plan(ledger, "oA 1.88")[0])
    second = begun(ledger, doubtful, at_s=NOON_S + 20)
    unstored = Step(state=State.REJECTED, evidence=Evidence.UNSTORED)
    assert ask(ledger, doubtful, Status.NOT_FOUND, unstored, asked_at_s=NOON_S + 21) is None
    assert now(ledger, second) == second


def test_an_answer_about_another_state_changes_nothing(ledger: Ledger, accepted) -> None:
    """Two askers: the first one settled it, the second one's older word is only kept."""
    received = ask(ledger, accepted, Status.RECEIVED, RECEIVED)
    assert ask(ledger, accepted, Status.SENT, WAITING, at_s=NOON_S + 12) is None
    assert now(ledger, accepted) == received


def test_a_failed_question_changes_no_state(ledger: Ledger, accepted) -> None:
    """It is recorded, and may only say when to ask again."""
    assert ask(ledger, accepted, None, None, err_code="SYSTEMERROR", err_code_des="busy") is None
    assert now(ledger, accepted) == accepted
    (question,) = ledger.questions(accepted.mch_billno)
    assert (question.status, question.err_code, question.err_code_des) == (None, "SYSTEMERROR", "busy")
    later = Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=NOON_S + 70)
    after = ask(ledger, accepted, None, later, err_code="SYSTEMERROR")
    assert after is not None
    assert (after.state, after.status, after.due_at_s) == (State.ACCEPTED, "", NOON_S + 70)


def test_a_failed_question_does_not_hide_why_a_send_was_refused(ledger: Ledger) -> None:
    """The entry's code is the last send's; a question's only where there is none."""
    refused = end(ledger, begun(ledger, plan(ledger, "oA 1.88")[0]), Outcome.REFUSED, err_code="OPENID_ERROR")
    later = Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 70)
    after = ask(ledger, refused, None, later, err_code="SYSTEMERROR")
    assert after is not None
    assert after.err_code == "OPENID_ERROR"


def test_what_was_refused_and_then_paid_shows_no_refusal(ledger: Ledger) -> None:
    """NOTENOUGH, a top-up, accepted: the old code would only mislead."""
    blocked = end(
        ledger,
        begun(ledger, plan(ledger, "oA 1.88")[0]),
        Outcome.BLOCKED,
        err_code="NOTENOUGH",
        err_code_des="no money",
    )
    after = ask(ledger, blocked, Status.SENT, WAITING)
    assert after is not None
    assert (after.state, after.err_code, after.reason) == (State.ACCEPTED, "", "")
    assert after.accepted_at_s == NOON_S + 10


def test_a_dead_entry_says_why(ledger: Ledger, accepted) -> None:
    """FAILED with a reason; and it is settled."""
    dead = Step(state=State.REJECTED, evidence=Evidence.DEAD)
    after = ask(ledger, accepted, Status.FAILED, dead, reason="user account abnormal")
    assert after is not None
    assert (after.evidence, after.reason, after.settled_at_s) == (
        Evidence.DEAD,
        "user account abnormal",
        NOON_S + 10,
    )


def test_only_legal_transitions_are_written(ledger: Ledger, accepted) -> None:
    """A settled entry moves no more, whatever a decision says."""
    received = ask(ledger, accepted, Status.RECEIVED, RECEIVED)
    assert received is not None
    with pytest.raises(AssertionError):
        ask(ledger, received, Status.SENT, WAITING, asked_at_s=NOON_S + 99)
    assert now(ledger, accepted) == received


def test_an_answered_question_leaves_the_lease_alone(ledger: Ledger) -> None:
    """What is under way stays its owner's: the owner's answer still applies."""
    first = begun(ledger, plan(ledger, "oA 1.88")[0])
    doubt = Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 30, not_found_at_s=NOON_S + 10)
    assert ask(ledger, first, Status.NOT_FOUND, doubt) is not None
    assert end(ledger, first, Outcome.ACCEPTED, at_s=NOON_S + 12).state is State.ACCEPTED


def test_many_answers_share_one_commit(ledger: Ledger) -> None:
    """`end_queries` returns what changed, in order, and leaves out what was stale."""
    entries = [
        end(ledger, begun(ledger, e), Outcome.ACCEPTED) for e in plan(ledger, "oA 1.00", "oB 2.00", "oC 3.00")
    ]
    ask(ledger, entries[1], Status.RECEIVED, RECEIVED)
    results = [
        QueryResult(
            entry=e, asked_at_s=NOON_S + 20, answer=QueryAnswer(status=Status.RECEIVED), step=RECEIVED
        )
        for e in entries
    ]
    assert [e.re_openid for e in ledger.end_queries(results, NOON_S + 20)] == ["oA", "oC"]
    assert ledger.totals("lantern")[State.RECEIVED] == (3, 600)


def test_due_is_by_time_todo_and_state(ledger: Ledger) -> None:
    """Longest due first, nothing before its time, and only what was asked for."""
    entries = [begun(ledger, e) for e in plan(ledger, "oA 1.00", "oB 2.00", "oC 3.00", "oD 4.00")]
    steps = [
        Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 5),
        Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 5),
        Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=NOON_S + 3),
        Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 50),
    ]
    for e, step in zip(entries, steps, strict=True):
        end(ledger, e, Outcome.UNKNOWN, step=step)

    def due(**more: object) -> list[str]:
        return [
            e.re_openid for e in ledger.due(**{"now_s": NOON_S + 10, "todo": Todo.ASK, "limit": 9, **more})
        ]

    assert due() == ["oC", "oA"]
    assert due(limit=1) == ["oC"]
    assert due(states=[State.IN_DOUBT]) == ["oA"]
    assert due(todo=Todo.REPEAT, campaign="lantern") == ["oB"]
    assert due(campaign="another") == []
    assert due(now_s=NOON_S + 50) == ["oC", "oA", "oD"]
    assert ledger.next_due_s("lantern") == NOON_S + 5
    assert ledger.next_due_s("lantern", polls=True) == NOON_S + 3
    assert ledger.next_due_s() == NOON_S + 5
    ledger.cancel("lantern", NOON_S + 6)
    assert due(todo=Todo.REPEAT) == []


def test_nobody_waits_for_what_waits_for_a_person(ledger: Ledger) -> None:
    """A flagged or held entry is asked about when due, but a run does not stay for it."""
    first, second = (begun(ledger, e) for e in plan(ledger, "oA 1.00", "oB 1.00"))
    step = Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 5, flag=Flag.STUCK)
    end(ledger, first, Outcome.BLOCKED, step=step)
    end(ledger, second, Outcome.BLOCKED, step=Step(state=State.PARKED, todo=Todo.ASK, due_at_s=NOON_S + 5))
    assert ledger.next_due_s("lantern", polls=True) is None
    assert len(ledger.due(now_s=NOON_S + 5, todo=Todo.ASK, limit=9)) == 2


def test_a_new_command_wakes_what_waited_for_a_person(ledger: Ledger) -> None:
    """Stuck and parked entries are asked about now; a planned repeat and an old entry are left alone."""
    entries = [begun(ledger, e) for e in plan(ledger, "oA 1.00", "oB 2.00", "oC 3.00", "oD 4.00")]
    later = NOON_S + DAY_S
    steps = [
        Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=later, flag=Flag.STUCK),
        Step(state=State.PARKED, todo=Todo.ASK, due_at_s=later),
        Step(state=State.PARKED, todo=Todo.REPEAT, due_at_s=later),
        Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=later),
    ]
    for e, step in zip(entries, steps, strict=True):
        ask(ledger, end(ledger, e, Outcome.UNKNOWN), None, step)
    assert ledger.wake("lantern", now_s=NOON_S + 100) == 2
    woken = [now(ledger, e) for e in entries]
    assert [(e.todo, e.due_at_s) for e in woken] == [
        (Todo.ASK, NOON_S + 100),
        (Todo.ASK, NOON_S + 100),
        (Todo.REPEAT, later),
        (Todo.ASK, later),
    ]
    assert [e.flag for e in woken] == [None] * 4
    assert [events_of(ledger, e)[-1].kind for e in entries] == [
        EventKind.WOKEN,
        EventKind.WOKEN,
        EventKind.ASKED,
        EventKind.ASKED,
    ]
    assert ledger.wake("lantern", now_s=NOON_S + 3 * DAY_S) == 0


def test_a_new_command_looks_again_at_what_a_cap_of_ours_put_off(ledger: Ledger) -> None:
    """The operator may have raised it; WeChat Pay's own limit still holds."""
    first, second = plan(ledger, "oA 1.00", "oA 1.00")
    one_a_day = replace(WIDE, person_day_packets=1)
    begin(ledger, first, second, limits=one_a_day)
    assert ledger.sendable("lantern", now_s=NOON_S, limit=9) == []
    assert ledger.wake("lantern", now_s=NOON_S + 1) == 2  # and the doubt, whose sender is dead
    assert [e.row for e in ledger.sendable("lantern", now_s=NOON_S + 1, limit=9)] == [second.row]


def test_a_new_command_takes_over_from_a_dead_sender(ledger: Ledger) -> None:
    """Whoever wakes a campaign holds its lock; what the dead process was sending is asked about soon."""
    first = begun(ledger, plan(ledger, "oA 1.00")[0])
    assert ledger.wake("lantern", now_s=NOON_S + 5) == 1
    assert (now(ledger, first).todo, now(ledger, first).due_at_s) == (Todo.ASK, NOON_S + 6)
    repeat = Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 6)
    missing = ask(ledger, now(ledger, first), Status.NOT_FOUND, repeat, asked_at_s=NOON_S + 6)
    assert missing is not None
    assert begin(ledger, missing, at_s=NOON_S + 6, owner="the next run").entries


def test_who_needs_a_person(ledger: Ledger) -> None:
    """Rejected, parked without a repeat, flagged, hopeless, back in part, nearly out of reach, or in doubt
    for so long that it is not sent again. Of the others the report names none, either.
    """
    told = ["dead", "parked", "flagged", "hopeless", "part", "old", "long"]
    names = [*told, "repeated", "back", "doubt", "planned"]
    entries = plan(ledger, *(f"o{name} 1.00" for name in names))
    steps = {
        "dead": Step(state=State.REJECTED, evidence=Evidence.DEAD),
        "parked": Step(state=State.PARKED, todo=Todo.ASK, due_at_s=NOON_S + 99),
        "repeated": Step(state=State.PARKED, todo=Todo.REPEAT, due_at_s=NOON_S + 99),
        "flagged": Step(state=State.RECEIVED, flag=Flag.OTHER_ID),
        "hopeless": Step(state=State.IN_DOUBT),
        "part": Step(state=State.REFUNDED),
        "old": WAITING,
        "long": Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 99),
        "back": Step(state=State.REFUNDED),
        "doubt": Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 99),
    }
    for e, name in zip(entries, names, strict=True):
        if name in steps:
            at_s = NOON_S - {"old": 25, "long": 3}.get(name, 0) * DAY_S
            first = end(ledger, begun(ledger, e, at_s=at_s), Outcome.UNKNOWN, at_s=at_s)
            back = {"part": 40, "back": 100}.get(name)
            assert ask(ledger, first, None, steps[name], asked_at_s=at_s, refund_amount=back)
    found = [e.re_openid.removeprefix("o") for e in ledger.needs_person("lantern", NOON_S)]
    assert found == told
    before = [e.re_openid.removeprefix("o") for e in ledger.needs_person("lantern", NOON_S - 1)]
    assert before == told[:-2]
    reported = [e for e in ledger.entries("lantern") if needs_person(e, now_s=NOON_S, explain=explain)]
    assert [e.re_openid.removeprefix("o") for e in reported] == told


def test_days_are_counted_by_beijing(ledger: Ledger, accepted) -> None:
    """16:30 UTC is past midnight in Beijing."""
    assert ledger.used("lantern", days=[date(2026, 3, 3)]).merchant_day_fen == {date(2026, 3, 3): 188}
    late = NOON_S + 12.5 * 3600
    begun(ledger, plan(ledger, "oLate 1.00")[0], at_s=late)
    assert ledger.used("lantern", days=[date(2026, 3, 4)]).merchant_day_fen == {date(2026, 3, 4): 100}
