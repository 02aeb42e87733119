"""What a run does with the answers that it gets, and with those that it does not get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random

import pytest

from campaign.domain.breaker import BreakerPolicy
from campaign.domain.campaign import HaltReason
from campaign.domain.days import beijing_day, day_start_s, next_day_start_s
from campaign.domain.decision import Policy
from campaign.domain.entry import Flag
from campaign.domain.order import PacketOrder
from campaign.domain.plan import ORDINAL_KEYS
from campaign.domain.state import Evidence, State
from campaign.errors import CampaignHeld, Conflict, SetupError, SheetRejected, StorageError
from campaign.ledger.store import Ledger
from campaign.stages.shift import Desk
from campaign.stages.standing import current_halt
from tests.simulation.machine import DAY_S, Machine, corrected, order, orders
from tests.simulation.parts import Crash

SHEET = orders("oA 1.88", "oB 8.88", "oC 3.00")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7)) as made:
        yield made


def many(count: int) -> list[PacketOrder]:
    return [order(n + 2, f"oPerson{n:04d}", 100 + n) for n in range(count)]


def last(machine: Machine) -> State:
    """The state of the only entry."""
    [entry] = machine.entries().values()
    return entry.state


# The ordinary way


def test_every_row_is_sent_once_and_a_finished_campaign_sends_nothing_more(machine: Machine) -> None:
    found = machine.run(SHEET)
    assert machine.states() == "accepted accepted accepted"
    assert (found.halt, found.needs) == (None, ())
    sent = len(machine.wire.letters)
    machine.run(SHEET)
    assert sent == len(machine.wire.letters) == 3


def test_the_intent_is_durable_before_its_request_leaves(machine: Machine) -> None:
    """Whoever opens the ledger while a request leaves finds its entry in doubt and its attempt open."""
    seen = []

    def look(number: str) -> None:
        with machine.look() as ledger:
            entry = ledger.entry(number)
            assert entry is not None
            seen.append((entry.state, ledger.attempts(number)[-1].ended_at_s))

    machine.wire.before_send = look
    machine.run(SHEET)
    assert seen == [(State.IN_DOUBT, None)] * 3


def test_the_merchants_allowance_is_held_until_the_intent_is_durable(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody with another ledger spends between our look at that ledger and our commit."""
    seen = []
    real = machine.desk

    @contextmanager
    def desk(ledger: Ledger, _others: object) -> Iterator[Desk]:
        @contextmanager
        def held() -> Iterator[tuple[()]]:
            assert not ledger._db.in_transaction
            yield ()
            assert not ledger._db.in_transaction
            with machine.look() as committed:
                seen.append(committed.totals(machine.campaign)[State.IN_DOUBT][0])

        with real(ledger) as opened:
            yield replace(opened, other_ledgers=held)

    monkeypatch.setattr(machine, "desk", desk)
    machine.run(SHEET)
    assert max(seen) > 0
    assert machine.states() == "accepted accepted accepted"


def test_a_repeat_is_the_same_bytes(machine: Machine) -> None:
    machine.faults(systemerror={"attempts_max": 2})
    machine.run(SHEET[:1], wait_s=2000)
    first, *repeats = machine.wire.letters
    assert repeats
    assert {letter.body for letter in repeats} == {first.body}


# Doubt


@pytest.mark.parametrize(
    "fault",
    ["answer_lost", "reset_after", "http_500_after", "systemerror_paid", "unknown_code_paid",
     "truncated", "empty", "html", "not_utf8", "wrong_charset", "doctype", "huge", "wrong_billno",
     "wrong_amount", "wrong_openid", "return_code_fail"],
)  # fmt: skip
def test_an_unclear_answer_to_a_paid_request_is_asked_about_and_never_repeated(
    machine: Machine, fault: str
) -> None:
    machine.faults(**{fault: {"endpoint": "sendredpack"}})
    machine.run(SHEET[:1])
    assert last(machine) is State.ACCEPTED
    assert len(machine.wire.letters) == 1


@pytest.mark.parametrize("fault", ["reset_before", "http_502_before", "systemerror", "unknown_code"])
def test_an_unanswered_request_is_repeated_only_after_two_not_founds_minutes_apart(
    machine: Machine, fault: str
) -> None:
    machine.faults(**{fault: {"attempts_max": 1, "endpoint": "sendredpack"}})
    machine.run(SHEET[:1], wait_s=1000)
    first, second = machine.wire.letters
    assert second.at_s - first.at_s >= machine.policy.not_found_repeat_s
    assert last(machine) is State.ACCEPTED


def test_a_request_that_arrives_minutes_late_pays_no_second_time(machine: Machine) -> None:
    machine.wire.late_share, machine.wire.late_max_s = 1.0, 170.0
    machine.run(SHEET, wait_s=1000)
    assert len(machine.paid()) == 3
    assert len(machine.wire.letters) == 3


def test_a_request_that_never_left_leaves_the_row_planned(machine: Machine) -> None:
    machine.faults(refused=1.0)
    found = machine.run(SHEET)
    assert machine.states() == "planned planned planned"
    assert found.halt is not None
    assert found.halt.reason is HaltReason.UNREACHABLE


def test_a_request_that_never_left_after_one_that_did_leaves_the_row_in_doubt(machine: Machine) -> None:
    """The earlier request may still become an order."""
    machine.faults(
        reset_before={"attempts_max": 1, "endpoint": "sendredpack"}, refused={"endpoint": "sendredpack"}
    )
    machine.run(SHEET[:1])
    machine.faults(refused={"endpoint": "sendredpack"})
    machine.run(SHEET[:1], wait_s=1000)
    assert last(machine) is State.IN_DOUBT


def test_processing_is_asked_after_twenty_minutes_and_not_repeated(machine: Machine) -> None:
    machine.faults(processing=1.0)
    machine.run(SHEET[:1], wait_s=1300)
    [letter] = machine.wire.letters
    [number] = machine.entries()
    first = next(r for r in machine.books.requests(number)[1:] if r.endpoint == "gethbinfo")
    assert 1200 <= first.at_s - letter.at_s < 1300
    assert last(machine) is State.ACCEPTED


def test_no_number_is_repeated_72_hours_after_its_first_request(machine: Machine) -> None:
    machine.faults(reset_before={"endpoint": "sendredpack"})
    machine.run(SHEET[:1], wait_s=0)
    machine.later(72 * 3600 + 1)
    machine.faults()
    for _ in range(4):
        machine.run(SHEET[:1], wait_s=1000)
        machine.reconcile()
        machine.later(DAY_S)
    assert len(machine.wire.letters) == 1
    [entry] = machine.entries().values()
    assert (entry.state, entry.flag) == (State.IN_DOUBT, Flag.STUCK)
    assert [needed.mch_billno for needed, _ in machine.run(SHEET[:1]).needs] == [entry.mch_billno]


# Refusals


def test_a_refusal_settles_nothing_until_the_order_was_asked_for(machine: Machine) -> None:
    """OPENID_ERROR from a request whose predecessor paid: the question finds the payment."""
    machine.faults(
        reset_after={"attempts_max": 1, "endpoint": "sendredpack"},
        not_found={"attempts_max": 4},
        openid_error={"from_position": 1, "openids": ["oA"], "share": 0.0},
    )
    machine.run(SHEET[:1], wait_s=400)
    machine.faults(openid_error={"openids": ["oA"]})
    machine.run(SHEET[:1], wait_s=1000)
    assert last(machine) is State.ACCEPTED


def test_refused_and_not_found_is_unstored_and_is_paid_when_corrected(machine: Machine) -> None:
    sheet = orders("1 oWrong 1.88", "2 oB 8.88", keys="id")
    machine.faults(openid_error={"openids": ["oWrong"]})
    found = machine.run(sheet, keys="id")
    [(refused, need)] = found.needs
    assert (refused.state, refused.evidence) == (State.REJECTED, Evidence.UNSTORED)
    assert "openid" in str(need.reason)
    machine.run(sheet, keys="id")
    assert len(machine.wire.letters) == 2, "nothing was corrected, so nothing is repeated"
    machine.run(corrected(sheet, 2, re_openid="oA"), keys="id")
    assert machine.states() == "accepted accepted"
    assert {letter.mch_billno for letter in machine.wire.letters} == set(machine.entries())


def test_send_failed_is_believed_only_when_gethbinfo_says_failed(machine: Machine) -> None:
    machine.faults(repeat_refused=1.0, not_found={"attempts_max": 4}, reset_after={"attempts_max": 1,
                   "endpoint": "sendredpack"})  # fmt: skip
    machine.run(SHEET[:1], wait_s=1000)
    machine.faults()
    machine.run(SHEET[:1], wait_s=1000)
    assert last(machine) is State.ACCEPTED
    machine.faults(send_failed={"openids": ["oB"]})
    machine.run(SHEET[:2])
    assert [e.evidence for e in machine.entries().values()] == [None, Evidence.DEAD]


# Stopping


def test_notenough_stops_within_the_requests_in_flight_and_a_top_up_finishes(machine: Machine) -> None:
    sheet = many(60)
    machine.top_up(sum(o.total_amount for o in sheet[:20]) - machine.books.balance_fen())
    found = machine.run(sheet)
    assert found.halt is not None
    assert found.halt.reason is HaltReason.BALANCE
    missing = sum(o.total_amount for o in sheet) - sum(o.total_amount for o in machine.paid().values())
    assert found.halt.missing_fen >= missing > 0
    assert len({letter.mch_billno for letter in machine.wire.letters}) <= 20 + 2 * machine.workers
    machine.top_up(found.halt.missing_fen)
    machine.run(sheet)
    assert len(machine.paid()) == 60


@pytest.mark.parametrize(
    "fault", ["ca_error", "sign_error", "illegal_appid", "api_method_closed", "payer_account_abnormal"]
)
def test_what_refuses_everybody_stops_the_run_at_the_first_answer(machine: Machine, fault: str) -> None:
    sheet = many(30)
    machine.faults(**{fault: {"endpoint": "sendredpack", "from_position": 5}})
    found = machine.run(sheet)
    assert found.halt is not None
    assert (found.halt.reason, found.halt.err_code) == (HaltReason.SETTINGS, fault.upper())
    assert len(machine.wire.letters) <= 4 + 2 * machine.workers
    machine.faults()
    machine.run(sheet, wait_s=1000)  # learns that nothing was stored, and sends
    assert len(machine.paid()) == 30


def test_a_wrong_key_shows_before_anything_is_sent(machine: Machine) -> None:
    machine.api_key = "0" * 32
    with pytest.raises(SetupError):
        machine.run(SHEET)
    assert not machine.wire.letters


def test_no_auth_for_everybody_stops_at_the_breaker_and_scattered_ones_do_not(machine: Machine) -> None:
    sheet = many(100)
    machine.faults(no_auth={"positions": [7, 20, 33, 50, 66, 90]})
    found = machine.run(sheet)
    assert found.halt is None or found.halt.reason is HaltReason.WAITING
    assert len(machine.wire.by_number) == 100
    with Machine(Random(1), breaker=BreakerPolicy(consecutive=5)) as other:
        other.faults(no_auth={"from_position": 30})
        found = other.run(sheet)
        assert found.halt is not None
        assert (found.halt.reason, found.halt.err_code) == (HaltReason.BREAKER, "NO_AUTH")
        assert len(other.wire.by_number) <= 29 + 5 + 2 * other.workers


def test_a_persons_daily_limit_defers_that_person_and_nobody_else(machine: Machine) -> None:
    sheet = orders("1 oA 1.00", "2 oA 2.00", "3 oB 3.00", keys="id")
    machine.faults(sendnum_limit={"openids": ["oA"]})
    found = machine.run(sheet, keys="id")
    assert found.halt is not None
    assert found.halt.reason is HaltReason.WAITING
    assert {o.re_openid for o in machine.paid().values()} == {"oB"}
    machine.faults()
    machine.later(next_day_start_s(machine.clock.true_s()) - machine.clock.true_s())
    machine.run(sheet, keys="id")
    assert len(machine.paid()) == 3


def test_two_orders_of_others_under_our_numbers_stop_the_run(machine: Machine) -> None:
    """FATAL_ERROR: another list was paid under this campaign's name, and this ledger does not know."""
    machine.run(many(30))
    machine.disk.lose()
    machine.forget()
    machine.wire.strict = False
    machine.faults(not_found=1.0)
    found = machine.run([replace(o, total_amount=o.total_amount + 1) for o in many(30)])
    assert found.halt is not None
    assert found.halt.reason is HaltReason.MISMATCH
    assert len(machine.paid()) == 30


def test_freq_limit_slows_down_and_loses_nobody(machine: Machine) -> None:
    machine.faults(freq_limit=0.3)
    machine.run(many(30), wait_s=1000)
    assert len(machine.paid()) == 30


# Budgets


def test_the_campaigns_budget_is_never_exceeded(machine: Machine) -> None:
    sheet = orders("oA 1.00", "oB 2.00", "oC 3.00")
    machine.faults(refused=1.0)
    machine.run(sheet)
    machine.faults()
    machine.limits = replace(machine.limits, campaign_fen=300)
    with pytest.raises(SheetRejected):
        machine.run(sheet)
    machine.run(sheet[:1], partial=True)
    assert sum(o.total_amount for o in machine.paid().values()) <= 300


def test_no_more_money_is_in_doubt_than_allowed(machine: Machine) -> None:
    sheet = many(20)
    machine.limits = replace(machine.limits, in_doubt_fen=300)
    machine.faults(answer_lost={"endpoint": "sendredpack"})
    peak = 0

    def look(_: str) -> None:
        nonlocal peak
        with machine.look() as ledger:
            peak = max(peak, ledger.totals("lantern")[State.IN_DOUBT][1])

    machine.wire.before_send = look
    machine.run(sheet, wait_s=5000)
    assert 0 < peak <= 300
    assert len(machine.paid()) >= 3


def test_a_limit_of_money_in_doubt_that_made_room_again_halts_nothing(machine: Machine) -> None:
    """Each packet waits for the one before it, and after the last one nothing waits any more."""
    machine.limits = replace(machine.limits, in_doubt_fen=500)
    standing = machine.run(orders("oA 4.00", "oB 4.00", "oC 4.00"))
    assert machine.states() == "accepted accepted accepted"
    assert standing.halt is None
    with machine.look() as ledger:
        assert ledger.campaign("lantern").halt is None


def test_a_person_gets_no_more_packets_a_day_than_allowed(machine: Machine) -> None:
    sheet = orders("oA 1.00", "oA 2.00", "oA 3.00", keys=ORDINAL_KEYS)
    machine.limits = replace(machine.limits, person_day_packets=2)
    machine.run(sheet, keys=ORDINAL_KEYS)
    assert len(machine.paid()) == 2
    machine.later(DAY_S)
    machine.run(sheet, keys=ORDINAL_KEYS)
    assert len(machine.paid()) == 3


def test_the_merchants_day_is_shared_by_its_campaigns(machine: Machine) -> None:
    machine.limits = replace(machine.limits, merchant_day_fen=500)
    machine.run(orders("oA 3.00"))
    found = machine.run(orders("oB 3.00"), name="other")
    assert found.halt is not None
    assert found.halt.reason is HaltReason.MERCHANT_LIMIT
    assert len(machine.paid()) == 1


def test_what_waits_for_its_turn_past_midnight_counts_on_the_day_on_which_it_leaves(machine: Machine) -> None:
    """At one request in 100 s the second one is begun well before midnight, as on a machine that sleeps."""
    machine.sends_per_second = 0.01
    machine.limits = replace(machine.limits, merchant_day_fen=200)
    midnight_s = day_start_s(beijing_day(machine.clock.now_s() + DAY_S))
    machine.later(midnight_s - 190 - machine.clock.now_s())
    sheet = orders("oA 1.00", "oB 1.00", "oC 1.00", "oD 1.00")
    machine.run(sheet)
    machine.later(3600)
    found = machine.run(sheet)
    days = [letter.at_s >= midnight_s for letter in machine.wire.letters]
    assert days == [False, True, True]
    assert found.halt is not None
    assert found.halt.reason is HaltReason.MERCHANT_LIMIT


def test_a_machine_that_slept_past_midnight_calls_no_gateway_unreachable(machine: Machine) -> None:
    """What was begun the day before has not left, and yet nobody failed to reach anything."""
    midnight_s = day_start_s(beijing_day(machine.clock.now_s() + DAY_S))
    machine.later(midnight_s - 600 - machine.clock.now_s())
    machine.clock.at(midnight_s - 600 + 3, lambda: machine.later(3600))
    found = machine.run(many(80))
    days = [letter.at_s >= midnight_s for letter in machine.wire.letters]
    assert 0 < days.index(True) < len(days) == 80
    assert found.halt is None


# Held by WeChat Pay


def test_a_held_packet_waits_for_a_person_unless_the_policy_says_repeat(machine: Machine) -> None:
    machine.faults(held=1.0)
    found = machine.run(SHEET[:1])
    machine.later(120)
    machine.reconcile()
    assert last(machine) is State.PARKED
    assert len(machine.wire.letters) == 1
    machine.faults()
    machine.policy = Policy(parked_auto=True)
    machine.run(SHEET[:1])
    assert (last(machine), len(machine.wire.letters)) == (State.ACCEPTED, 2)
    assert found.rows == 1


# An old, lost or damaged ledger


def test_a_lost_ledger_sends_no_new_order_and_says_so(machine: Machine) -> None:
    sheet = many(40)
    machine.run(sheet)
    machine.disk.lose()
    machine.run(sheet)
    assert machine.said_behind == 1
    assert len(machine.wire.letters) == 40
    assert len(machine.paid()) == 40


def test_a_ledger_lost_with_its_registry_is_noticed_by_the_first_questions(machine: Machine) -> None:
    sheet = many(40)
    machine.run(sheet)
    machine.disk.lose()
    machine.forget()
    machine.run(sheet)
    assert machine.said_behind == 1
    assert len(machine.wire.letters) == 40


def test_yesterdays_backup_is_noticed_although_its_first_rows_are_right(machine: Machine) -> None:
    machine.disk.copy_share = 1.0
    machine.run(many(20))
    copy = machine.disk.copies[-1]
    machine.run(many(40))
    machine.disk.restore(copy)
    machine.run(many(60))
    assert machine.said_behind == 1
    assert len(machine.wire.letters) == 60


def test_a_first_run_that_was_killed_is_not_taken_for_an_old_copy(machine: Machine) -> None:
    machine.point = _dies_at("before the request", 2)
    with pytest.raises(Crash):
        machine.run(SHEET)
    machine.point = lambda _: None
    machine.run(SHEET, wait_s=1000)
    assert machine.said_behind == 0
    assert len(machine.paid()) == 3


def test_a_full_disk_stops_the_run_and_loses_nothing(machine: Machine) -> None:
    machine.disk.full_share = 1.0
    with pytest.raises(StorageError):
        machine.run(SHEET)
    assert not machine.wire.letters
    machine.disk.full_share = 0.0
    machine.run(SHEET)
    assert len(machine.paid()) == 3


def test_a_full_disk_is_told_when_the_ledger_is_only_being_made(machine: Machine) -> None:
    machine.disk.lose()
    machine.disk.full_share = 1.0
    with pytest.raises(StorageError):
        machine.run(SHEET)
    machine.disk.full_share = 0.0
    machine.run(SHEET)
    assert len(machine.paid()) == 3


# One at a time, and crashes


def test_a_second_run_of_the_campaign_is_refused(machine: Machine) -> None:
    refused = []

    def beside(step: str) -> None:
        if step == "after the request" and not refused:
            refused.append(None)
            with pytest.raises(CampaignHeld):
                machine.run(SHEET)

    machine.point = beside
    machine.run(SHEET)
    assert refused
    assert len(machine.wire.letters) == 3


def test_a_cancelled_campaign_sends_nothing_until_it_is_reopened(machine: Machine) -> None:
    machine.faults(refused=1.0)
    machine.run(SHEET)
    machine.faults()
    assert machine.cancel() == 3
    with pytest.raises(Conflict):
        machine.run(SHEET)
    assert not machine.wire.letters
    machine.run(SHEET, reopen=True)
    assert len(machine.paid()) == 3


@pytest.mark.parametrize(
    "step", ["before the request", "after the request", "before the commit", "after the commit"]
)
def test_the_same_command_finishes_after_a_crash_at_any_step(step: str) -> None:
    for count in range(1, 12):
        with Machine(Random(count)) as machine:
            machine.point = _dies_at(step, count)
            try:
                machine.run(SHEET)
            except Crash:
                machine.point = lambda _: None
                machine.run(SHEET, wait_s=1000)
            assert machine.states() == "accepted accepted accepted"
            assert len(machine.paid()) == 3


def _dies_at(step: str, count: int) -> Callable[[str], None]:
    """Crash at the how-many-th step of this name."""
    left = count

    def point(name: str) -> None:
        nonlocal left
        if name == step:
            left -= 1
            if not left:
                raise Crash(name)

    return point


def test_an_empty_account_met_by_the_last_rows_is_still_a_stop(machine: Machine) -> None:
    """Every row was tried, none is planned any more; and yet the same command is what finishes the work."""
    machine.faults(notenough={})
    found = machine.run(many(1))
    assert found.halt is not None
    assert found.halt.reason is HaltReason.BALANCE
    with machine.look() as ledger:
        assert current_halt(ledger, ledger.campaigns()[0]) is not None
    machine.faults()
    assert machine.run(many(1), wait_s=1000).halt is None
    assert len(machine.paid()) == 1
