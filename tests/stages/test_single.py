"""One packet by its reference: sent once, the same answer ever after, whatever breaks in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.domain.answer import QueryAnswer, Status
from campaign.domain.billno import Tie
from campaign.domain.campaign import HaltReason
from campaign.domain.entry import Entry, Flag
from campaign.domain.finding import debit_unexpected
from campaign.domain.money import yuan_text
from campaign.domain.state import State
from campaign.errors import CampaignHeld, Conflict, KeyChanged, PlanConflict, UsageError
from campaign.ledger.lock import hold_campaign
from campaign.sheet.reading import ReadOptions
from campaign.stages.single import (
    CAMPAIGN,
    Packet,
    draft_packet,
    hold_turn,
    is_open,
    order_of,
    packet_standing,
    plan_packet,
    send_packet,
    speaking_for,
)
from campaign.stages.standing import Standing
from tests.builders import ManualClock
from tests.domain.bills import line
from tests.simulation.machine import DEFAULTS, LIMITS, MCH_ID, SENDER, Machine, orders
from tests.simulation.parts import Crash

OPTIONS = ReadOptions(mch_id=MCH_ID, defaults=DEFAULTS, limits=LIMITS)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7), campaign=CAMPAIGN) as made:
        yield made


def packet(reference: str = "r-1", openid: str = "oA", yuan: str = "1.88", **texts: str) -> Packet:
    return Packet(reference=reference, re_openid=openid, amount=yuan, **texts)


Pay = Callable[..., Standing]


def pay_of(machine: Machine) -> Pay:
    """``campaign send --yes``, as `campaign.cli.send` goes about it."""

    def go(asked: Packet, *, wait_s: float = 300.0, reopen: bool = False) -> Standing:
        order = order_of(asked, OPTIONS)
        with machine.ledger() as ledger:
            drafted = draft_packet(ledger, order, sender=SENDER)
            number = speaking_for(ledger, order, SENDER)
            halt, known = None, ledger.entry(number)
            if drafted.pending or (known and is_open(known)):
                plan_packet(ledger, drafted, reopen=reopen, now_s=machine.clock.now_s())
                with machine.desk(ledger) as desk:
                    halt = send_packet(
                        desk, number, wait_s=wait_s, pause=machine.clock.sleep, say_behind=lambda: None
                    )
            entry = ledger.entry(number)
            assert entry is not None
            return packet_standing(ledger, entry, halt=halt, now_s=machine.clock.now_s())

    return go


@pytest.fixture
def pay(machine: Machine) -> Pay:
    return pay_of(machine)


def entry(machine: Machine, reference: str = "r-1") -> Entry:
    return next(e for e in machine.entries().values() if e.row_key == reference)


def state(standing: Standing) -> State:
    [only] = standing.totals
    return only


# Once


def test_the_same_reference_sends_one_packet(machine: Machine, pay: Pay) -> None:
    first, letters = pay(packet()), len(machine.wire.letters)
    assert (state(first), first.halt, first.needs) == (State.ACCEPTED, None, ())
    assert pay(packet()) == first
    assert (letters, len(machine.wire.letters)) == (1, 1)


def test_one_person_may_get_several_packets(machine: Machine, pay: Pay) -> None:
    """Each reference is a packet of its own, also for the same openid and amount."""
    for reference in ("r-1", "r-2", "r-3"):
        pay(packet(reference))
    assert len(machine.paid()) == 3


@pytest.mark.parametrize(
    "other",
    [packet(openid="oB"), packet(yuan="1.89"), packet(wishing="别的祝福"), packet(scene_id="PRODUCT_1")],
)
@pytest.mark.parametrize("fault", [{}, {"refused": 1}, {"answer_lost": 1}])
def test_a_reference_stands_for_one_packet_for_good(
    machine: Machine, pay: Pay, other: Packet, fault: dict[str, Any]
) -> None:
    """Whatever became of it: sent, never sent, or in doubt."""
    machine.faults(**fault)
    pay(packet(), wait_s=1.0)
    machine.faults()
    letters = len(machine.wire.letters)
    with pytest.raises(PlanConflict) as refused:
        pay(other)
    assert "'r-1'" in str(refused.value)
    assert "oB" not in str(refused.value)
    assert len(machine.wire.letters) == letters


def test_a_changed_setting_is_not_another_packet(machine: Machine, pay: Pay) -> None:
    """Who did not give the greeting gets the settings' one, whatever it is by now."""
    pay(packet(wishing="第一次"))
    assert state(pay(packet())) is State.ACCEPTED
    assert len(machine.wire.letters) == 1


def test_what_was_proven_unstored_may_be_corrected(machine: Machine, pay: Pay) -> None:
    """An openid of another account: nobody can ever be paid under the number but whom it is sent to next."""
    machine.faults(openid_error={"openids": ["oWrong"]})
    refused = pay(packet(openid="oWrong"))
    assert state(refused) is State.REJECTED
    assert len(refused.needs) == 1
    assert pay(packet(openid="oWrong")) == refused
    assert state(pay(packet(openid="oA"))) is State.ACCEPTED
    assert {o.re_openid for o in machine.paid().values()} == {"oA"}


def test_with_a_lost_ledger_nobody_is_paid_twice(machine: Machine, pay: Pay) -> None:
    first = pay(packet())
    machine.disk.lose()
    machine.wire.strict = False
    again = pay(packet())
    assert state(again) is state(first)
    assert len(machine.wire.letters) == 1


def test_a_crash_at_any_step_is_finished_by_the_same_command() -> None:
    """Every step of disk and wire, one after another."""
    for step in range(1, 200):
        with Machine(Random(step), campaign=CAMPAIGN) as machine:
            pay = pay_of(machine)
            steps = iter(range(step))

            def point(_: str, steps: Iterator[int] = steps) -> None:
                if next(steps, None) is None:
                    raise Crash

            machine.point = point
            try:
                pay(packet())
            except Crash:
                machine.point = lambda _: None
                machine.later(600.0)
                assert state(pay(packet())) is State.ACCEPTED
                assert [o.re_openid for o in machine.paid().values()] == ["oA"]
            else:
                break
    else:
        pytest.fail("it never came through")
    assert step > 5


# Paid under a later number


def die_and_pay_again(machine: Machine, pay: Pay, **fault: Any) -> str:
    """The packet fails for good, and its second number is run from the sheet of `campaign reissue`."""
    machine.faults(send_failed=1)
    assert len(pay(packet()).needs) == 1
    machine.faults(**fault)
    order = order_of(packet(), OPTIONS)
    again = replace(order, tie=Tie(campaign=CAMPAIGN, row_key=order.row_key, issue=2))
    machine.run([again], keys="id", partial=True, wait_s=1.0)
    [number] = [n for n, entry in machine.entries().items() if entry.issue == 2]
    return number


def test_a_packet_that_was_paid_under_its_second_number_is_not_called_unpaid(
    machine: Machine, pay: Pay
) -> None:
    """Whoever asked would pay the person under another reference."""
    number = die_and_pay_again(machine, pay)
    letters = len(machine.wire.letters)
    again = pay(packet())
    assert (state(again), again.halt, again.needs) == (State.ACCEPTED, None, ())
    assert len(machine.wire.letters) == letters
    assert list(machine.paid()) == [number]


def test_a_doubt_about_the_second_number_is_resolved(machine: Machine, pay: Pay) -> None:
    number = die_and_pay_again(machine, pay, processing=1)
    assert machine.entries()[number].state is State.IN_DOUBT
    machine.faults()
    machine.later(3600.0)
    assert state(pay(packet())) is State.RECEIVED
    assert len(machine.paid()) == 1


def test_a_second_number_that_was_not_sent_yet_is_its_sheets_to_send(machine: Machine, pay: Pay) -> None:
    die_and_pay_again(machine, pay, refused=1)
    machine.faults()
    waiting = pay(packet())
    assert state(waiting) is State.PLANNED
    assert waiting.halt is not None
    assert machine.paid() == {}
    machine.cancel()
    withdrawn = pay(packet())
    assert (state(withdrawn), len(withdrawn.needs)) == (State.REJECTED, 1)


def test_nor_does_it_hide_that_the_first_may_have_been_paid(machine: Machine, pay: Pay) -> None:
    die_and_pay_again(machine, pay, refused=1)
    machine.faults()
    with machine.look() as ledger:
        paid = QueryAnswer(status=Status.RECEIVED)
        flagged_s = machine.clock.now_s()
        ledger.flag_settled(entry(machine), Flag.CONTRADICTION, paid, asked_at_s=0.0, now_s=flagged_s)
    [(_, need)] = pay(packet()).needs
    assert str(need.reason).startswith("MAY HAVE BEEN PAID AFTER ALL")


def test_nor_that_the_funds_bill_calls_it_paid(machine: Machine, pay: Pay) -> None:
    die_and_pay_again(machine, pay, refused=1)
    machine.faults()
    first = entry(machine)
    debit = line("-1.88", first.mch_billno)
    with machine.look() as ledger:
        found = [debit_unexpected(first, [debit])]
        ledger.keep_match("api", [], [(first.mch_billno, debit)], found, machine.clock.now_s())
    stands = pay(packet())
    assert (state(stands), stands.halt, len(stands.needs)) == (State.REJECTED, None, 1)


def test_a_refusal_that_was_contradicted_is_told_and_takes_no_correction(machine: Machine, pay: Pay) -> None:
    machine.faults(openid_error={"openids": ["oWrong"]})
    pay(packet(openid="oWrong"))
    with machine.look() as ledger:
        paid = QueryAnswer(status=Status.SENT)
        ledger.flag_settled(
            entry(machine), Flag.CONTRADICTION, paid, asked_at_s=0.0, now_s=machine.clock.now_s()
        )
    machine.faults()
    with pytest.raises(PlanConflict, match="stands for another packet"):
        pay(packet(openid="oA"))
    [(_, need)] = pay(packet(openid="oWrong")).needs
    assert str(need.reason).startswith("MAY HAVE BEEN PAID AFTER ALL")


# Others' packets


def test_a_call_sends_only_its_own_packet(machine: Machine, pay: Pay) -> None:
    """What another call left unsent waits until that one is repeated."""
    machine.faults(refused=1)
    first = pay(packet("r-1"), wait_s=1.0)
    assert (state(first), first.halt is not None) == (State.PLANNED, True)
    machine.faults()
    assert state(pay(packet("r-2", openid="oB"))) is State.ACCEPTED
    assert entry(machine, "r-1").state is State.PLANNED
    assert state(pay(packet("r-1"))) is State.ACCEPTED
    assert [entry(machine, reference).row for reference in ("r-1", "r-2")] == [1, 2]


def test_it_does_not_stay_for_another_packets_doubt(machine: Machine, pay: Pay) -> None:
    machine.faults(answer_lost={"openids": ["oA"]}, not_found=1)
    pay(packet("r-1"), wait_s=1.0)
    machine.faults(not_found={"mch_billnos": [entry(machine).mch_billno]})
    before_s = machine.clock.true_s()
    assert pay(packet("r-2", openid="oB"), wait_s=1000.0).halt is None
    assert machine.clock.true_s() - before_s < 30


def test_a_halt_of_others_is_not_ours(machine: Machine, pay: Pay) -> None:
    machine.faults(answer_lost={"openids": ["oA"]}, not_found=1)
    assert pay(packet("r-1"), wait_s=1.0).halt is not None
    assert pay(packet("r-2", openid="oB"), wait_s=1.0).halt is None


def test_a_doubt_is_told_with_the_moment_of_the_next_question(machine: Machine, pay: Pay) -> None:
    machine.faults(processing=1)
    left = pay(packet(), wait_s=1.0)
    assert state(left) is State.IN_DOUBT
    assert left.halt is not None
    assert left.halt.reason is HaltReason.WAITING
    assert left.halt.until_s == entry(machine).due_at_s


def test_a_cancelled_campaign_sends_nothing_unless_reopened(machine: Machine, pay: Pay) -> None:
    machine.faults(refused=1)
    pay(packet("r-1"), wait_s=1.0)
    pay(packet("r-2", openid="oB"), wait_s=1.0)
    machine.faults()
    machine.cancel()
    with pytest.raises(Conflict):
        pay(packet("r-1"))
    assert machine.wire.letters == []
    assert state(pay(packet("r-1"), reopen=True)) is State.ACCEPTED
    assert entry(machine, "r-2").state is State.PLANNED


def test_a_sheet_of_that_name_without_ids_is_left_alone(machine: Machine, pay: Pay) -> None:
    machine.run(orders("oA 1.88"))
    with pytest.raises(KeyChanged):
        pay(packet())


def test_packets_are_numbered_in_the_order_of_their_planning(machine: Machine, pay: Pay) -> None:
    for reference in ("r-1", "r-2", "r-1", "r-3"):
        pay(packet(reference))
    assert {e.row_key: e.row for e in machine.entries().values()} == {"r-1": 1, "r-2": 2, "r-3": 3}


# What is asked for


@pytest.mark.parametrize(
    "wrong, named",
    [
        (packet(reference=""), "id"),
        (packet(reference="合计", openid=""), "openid"),
        (packet(openid="o A"), "openid"),
        (packet(openid=""), "openid"),
        (packet(yuan="x"), "amount"),
        (packet(yuan=""), "amount"),
        (packet(yuan="-1"), "amount"),
        (packet(yuan="0"), "amount"),
        (packet(yuan="1.005"), "two decimals"),
        (packet(yuan="200.01"), "amount"),
        (packet(wishing="祝" * 43), "wishing"),
        (packet(wishing="🧧"), "wishing"),
        (packet(wishing="{姓名}好"), "wishing"),
        (packet(scene_id="PRODUCT_9"), "scene_id"),
        (packet(hb_type="fission"), "2024-06-05"),
        (packet(hb_type="other"), "type"),
        (packet(total_num="2"), "total_num"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(wrong: Packet, named: str) -> None:
    with pytest.raises(UsageError) as refused:
        order_of(wrong, OPTIONS)
    assert named in str(refused.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        order_of(packet(openid="o A", yuan="x", scene_id="?"), OPTIONS)
    assert all(word in str(refused.value) for word in ("openid", "amount", "scene_id"))


@settings(max_examples=200, deadline=None)
@given(st.integers(100, 20_000))
def test_no_amount_is_changed(fen: int) -> None:
    assert order_of(packet(yuan=yuan_text(fen)), OPTIONS).total_amount == fen


# Turns


def test_calls_take_turns(tmp_path: Any) -> None:
    """The second one waits until the first has let go."""
    clock = ManualClock()
    ledger = tmp_path / "campaign.db"
    first = hold_campaign(ledger, CAMPAIGN)
    first.__enter__()
    sleep = clock.sleep

    def later(seconds: float) -> None:
        sleep(seconds)
        if len(clock.slept) == 3:
            first.__exit__(None, None, None)

    clock.sleep = later  # type: ignore[method-assign]
    with hold_turn(ledger, clock, wait_s=10.0):
        assert len(clock.slept) == 3


def test_who_waits_too_long_is_told_who_holds_it(tmp_path: Any) -> None:
    ledger = tmp_path / "campaign.db"
    with (
        hold_campaign(ledger, CAMPAIGN),
        pytest.raises(CampaignHeld),
        hold_turn(ledger, ManualClock(), wait_s=1.0),
    ):
        pytest.fail("two at once")
