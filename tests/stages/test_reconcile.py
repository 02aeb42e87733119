"""Asking what became of the packets, and repeating what is due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import pytest

from campaign.domain.answer import Outcome, SendAnswer
from campaign.domain.campaign import HaltReason
from campaign.domain.decision import Policy, Step
from campaign.domain.entry import Entry, Flag, Todo
from campaign.domain.state import Evidence, State
from campaign.domain.verdict import Verdict, verdict
from campaign.ledger.records import EventKind
from campaign.ledger.store import SendResult
from campaign.rehearsal.rules import RehearsalMerchant
from tests.ledger.build import events_of
from tests.simulation.machine import API_KEY, DAY_S, MCH_ID, WXAPPID, Machine, orders

SHEET = orders("oA 1.88", "oB 8.88", "oC 3.00")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7)) as made:
        yield made


def settle(machine: Machine, days: int = 4) -> None:
    """Reconcile once a day."""
    for _ in range(days):
        machine.later(DAY_S)
        machine.reconcile()


def test_every_packet_ends_as_wechat_pay_has_it(machine: Machine) -> None:
    machine.run(SHEET)
    settle(machine)
    entries = machine.entries()
    for number, order in machine.orders_at_gateway().items():
        words = {State.RECEIVED: "RECEIVED", State.REFUNDED: "REFUND"}
        assert words[entries[number].state] == order.status(machine.clock.true_s())
        if entries[number].state is State.REFUNDED:
            assert entries[number].refund_amount == order.total_amount
    assert {e.state for e in entries.values()} == {State.RECEIVED, State.REFUNDED}


def test_questions_follow_the_timetable_and_settled_packets_are_left_alone(machine: Machine) -> None:
    machine.run(SHEET)
    before = machine.wire.questions
    machine.reconcile()
    assert machine.wire.questions == before, "nothing is due yet"
    machine.later(61)
    machine.reconcile()
    assert machine.wire.questions == before + 3
    settle(machine)
    before = machine.wire.questions
    settle(machine)
    assert machine.wire.questions == before


def test_an_open_packet_is_asked_about_until_day_28_and_then_no_more() -> None:
    merchant = RehearsalMerchant(
        mch_id=MCH_ID, wxappid=WXAPPID, api_key=API_KEY, claim_share=0, time_scale=0.02
    )
    with Machine(Random(7), merchant=merchant) as machine:
        machine.run(SHEET[:1])
        settle(machine, days=35)
        [number] = machine.entries()
        asked = [r.at_s for r in machine.books.requests(number) if r.endpoint == "gethbinfo"]
        assert 27 * DAY_S < max(asked) - machine.wire.letters[0].at_s <= 29 * DAY_S


def test_a_question_that_fails_changes_no_state(machine: Machine) -> None:
    machine.run(SHEET)
    before = {e.mch_billno: e.state for e in machine.entries().values()}
    for fault in ("systemerror", "answer_lost", "html", "not_found_systemerror", "unknown_status"):
        machine.faults(**{fault: {"endpoint": "gethbinfo"}})
        machine.later(3 * DAY_S)
        machine.reconcile()
        assert {e.mch_billno: e.state for e in machine.entries().values()} == before
    machine.faults()
    settle(machine, 2)
    assert all(e.state is not State.ACCEPTED for e in machine.entries().values())


def test_a_campaign_of_three_whose_gateway_is_not_reached_is_not_done(machine: Machine) -> None:
    """Fewer than it takes to halt for; once one of them is answered, others that are not are no matter."""
    machine.run(SHEET)
    machine.later(61)
    machine.faults(refused={"endpoint": "gethbinfo"})
    halt = machine.reconcile()["lantern"].halt
    assert halt is not None
    assert halt.reason is HaltReason.UNREACHABLE
    machine.later(DAY_S)
    machine.faults(refused={"endpoint": "gethbinfo", "openids": ["oA", "oB"]})
    assert machine.reconcile()["lantern"].halt is None
    machine.faults()
    machine.later(DAY_S)
    assert machine.reconcile()["lantern"].halt is None


def test_nothing_is_sent_for_the_first_time(machine: Machine) -> None:
    machine.faults(refused=1.0)
    machine.run(SHEET)
    machine.faults()
    settle(machine)
    assert not machine.wire.letters
    assert machine.states() == "planned planned planned"


def test_a_due_repeat_is_sent_with_the_same_number(machine: Machine) -> None:
    machine.faults(reset_before={"endpoint": "sendredpack"})
    machine.run(SHEET, wait_s=0)
    machine.faults()
    for _ in range(4):
        machine.later(200)
        machine.reconcile()
    assert len(machine.paid()) == 3
    assert {letter.mch_billno for letter in machine.wire.letters} == set(machine.entries())


def test_beside_a_run_it_asks_and_repeats_nothing(machine: Machine) -> None:
    machine.faults(reset_before={"endpoint": "sendredpack"})
    machine.run(SHEET, wait_s=0)
    machine.faults()
    sent = len(machine.wire.letters)
    with machine._lock("lantern"):
        for _ in range(4):
            machine.later(200)
            machine.reconcile()
    assert len(machine.wire.letters) == sent
    assert machine.wire.questions > 3


def test_a_cancelled_campaign_is_only_asked_about(machine: Machine) -> None:
    machine.faults(reset_before={"endpoint": "sendredpack"})
    machine.run(SHEET, wait_s=0)
    machine.cancel()
    machine.faults()
    sent, asked = len(machine.wire.letters), machine.wire.questions
    settle(machine)
    assert len(machine.wire.letters) == sent
    assert machine.wire.questions > asked


def test_failed_is_final_and_the_money_was_never_moved(machine: Machine) -> None:
    machine.faults(failed_later=1.0)
    machine.run(SHEET[:1])
    machine.later(1000)
    machine.reconcile()
    [entry] = machine.entries().values()
    assert (entry.state, entry.evidence, verdict(entry)) == (State.REJECTED, Evidence.DEAD, Verdict.DEAD)
    assert not machine.paid()


def test_not_found_for_an_order_that_was_taken_is_a_contradiction_for_a_person(machine: Machine) -> None:
    machine.run(SHEET[:1])
    machine.faults(not_found=1.0)
    machine.later(61)
    machine.reconcile()
    [entry] = machine.entries().values()
    assert (entry.state, entry.flag) == (State.ACCEPTED, Flag.CONTRADICTION)
    assert verdict(entry) is Verdict.UNKNOWN


def test_questions_name_the_appid_under_which_the_packet_was_sent(machine: Machine) -> None:
    """Under another one WeChat Pay finds no order, which would look like a contradiction."""
    machine.run(SHEET)
    machine.sender = replace(machine.sender, wxappid="wx9999999999999999")
    settle(machine)
    assert {e.flag for e in machine.entries().values()} == {None}
    assert {e.state for e in machine.entries().values()} == {State.RECEIVED, State.REFUNDED}


def test_another_amount_in_the_answer_is_flagged(machine: Machine) -> None:
    machine.run(SHEET[:1])
    machine.faults(wrong_amount={"endpoint": "gethbinfo"})
    settle(machine, 1)
    [entry] = machine.entries().values()
    assert entry.flag is Flag.MISMATCH


def test_a_refused_key_halts_the_questions(machine: Machine) -> None:
    machine.run(SHEET)
    machine.api_key = "0" * 32
    machine.later(61)
    shift = machine.reconcile()["lantern"]
    assert shift.halt is not None
    assert shift.halt.reason is HaltReason.SETTINGS


def test_a_held_packet_without_a_reason_is_parked_after_a_day(machine: Machine) -> None:
    machine.faults(processing_unpaid=1.0)
    machine.run(SHEET[:1], wait_s=1300)
    machine.later(3600)
    machine.reconcile()
    assert machine.states() == "accepted"
    machine.policy = Policy(parked_auto=False)
    machine.later(25 * 3600)
    machine.reconcile()
    assert machine.states() == "parked"


def test_a_late_answer_of_an_older_attempt_settles_nothing(machine: Machine) -> None:
    """The answer of attempt 1 arrives while attempt 2 is under way: it is kept, and changes nothing."""

    def begin(entries: list[Entry], at_s: float) -> Sequence[Entry]:
        begun = ledger.begin_sends(entries, limits=machine.limits, now_s=at_s, owner="a", lease_s=1.0)
        return begun.entries

    machine.faults(refused=1.0)
    machine.run(SHEET[:1])
    with machine.look() as ledger:
        now_s = machine.clock.now_s() + 100
        [first] = begin(ledger.sendable("lantern", now_s=now_s, limit=1), now_s)
        repeat = Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=now_s)
        ledger.end_sends(
            [SendResult(entry=first, answer=SendAnswer(outcome=Outcome.UNKNOWN), step=repeat)], now_s
        )
        due = ledger.due(campaign="lantern", now_s=now_s + 10, todo=Todo.REPEAT, limit=1)
        [second] = begin(due, now_s + 10)
        accepted = Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=now_s)
        answer = SendAnswer(outcome=Outcome.ACCEPTED)
        ledger.end_sends([SendResult(entry=first, answer=answer, step=accepted)], now_s + 11)
        assert ledger.entry(second.mch_billno).state is State.IN_DOUBT  # type: ignore[union-attr]
        kinds = [event.kind for event in events_of(ledger, second)]
        assert kinds[-1] is EventKind.ANSWERED_LATE
        ledger.end_sends([SendResult(entry=second, answer=answer, step=accepted)], now_s + 12)
        assert ledger.entry(second.mch_billno).state is State.ACCEPTED  # type: ignore[union-attr]
