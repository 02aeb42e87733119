"""The night run: what is due is asked, what is new is written, and one failure takes nothing else with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from campaign.cli.night import night_exit_code
from campaign.cli.schedule import keep_time
from campaign.domain.bill import Bill, BillLine
from campaign.domain.campaign import HaltReason
from campaign.domain.days import HOUR_S, beijing_day, beijing_time, day_start_s
from campaign.domain.decision import LAST_ASK_S
from campaign.domain.finding import Kind, missing
from campaign.domain.matching import Match
from campaign.errors import BillRejected, LedgerRefused, NotFinished, SetupError, StorageError
from campaign.ledger.store import Ledger
from campaign.notify import Topic
from campaign.rehearsal.rules import RehearsalMerchant
from campaign.stages.news import of_night, of_run
from campaign.stages.night import BillNight, CampaignNight, Night, night
from campaign.stages.standing import standing
from campaign.text import text
from tests.simulation.machine import API_KEY, DAY_S, MCH_ID, START_S, WXAPPID, Machine, orders
from tests.stages.nights import Operator, with_lines

SHEET = orders("oA 1.88", "oB 8.88", "oC 3.00")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7), gateway_seed=7) as made:
        yield made


@pytest.fixture
def operator(machine: Machine, tmp_path: Path) -> Operator:
    return Operator(machine, tmp_path)


TODAY = beijing_day(START_S)
DAY = timedelta(days=1)


# Asking and reporting


def test_three_nights_settle_a_campaign_without_anybody(operator: Operator) -> None:
    """And afterwards nothing is asked, nothing written, and no gateway opened."""
    operator.machine.run(SHEET)
    for n in (1, 2, 3):
        operator.until(TODAY + n * DAY, 8.5)
        operator.night()
    assert set(operator.machine.states().split()) <= {"received", "refunded"}
    desks, reports = operator.desks, len(operator.written)
    operator.until(TODAY + 4 * DAY, 8.5)
    quiet = operator.night()
    assert (operator.desks, len(operator.written)) == (desks, reports)
    assert night_exit_code(quiet) == 0
    assert of_night(quiet, now_s=operator.machine.clock.now_s(), certificate_ends_s=None) == []


def test_missed_nights_are_made_up_for_by_the_next(machine: Machine, tmp_path: Path) -> None:
    """Due is due: one night after a week knows what seven would have known."""
    machine.run(SHEET)
    operator = Operator(machine, tmp_path)
    operator.until(TODAY + 7 * DAY, 8.5)
    operator.night()
    assert set(machine.states().split()) <= {"received", "refunded"}


def test_a_report_is_written_when_the_ledger_has_news_of_its_campaign(operator: Operator) -> None:
    operator.machine.run(SHEET)
    operator.night()
    operator.night()
    assert operator.written == ["lantern"], "the second night knew nothing new"
    operator.machine.run(orders("oX 1.00"), name="spring")
    operator.night()
    assert operator.written == ["lantern", "spring"], "news of one campaign are none of the other"
    operator.machine.later(120)
    operator.night()
    assert sorted(operator.written[2:]) == ["lantern", "spring"], "both were asked about"


def test_a_report_that_was_taken_away_is_written_again(operator: Operator, tmp_path: Path) -> None:
    operator.machine.run(SHEET)
    operator.night()
    (tmp_path / "lantern").unlink()
    operator.night()
    assert operator.written == ["lantern", "lantern"]


def test_beside_a_run_the_night_only_asks(operator: Operator) -> None:
    operator.machine.faults(reset_before={"endpoint": "sendredpack"})
    operator.machine.run(SHEET, wait_s=0)
    operator.machine.faults()
    operator.machine.later(600)
    with operator.machine._try_lock("lantern"):
        result = operator.night()
    assert [each.repeats for each in result.campaigns] == [0]
    assert not operator.machine.paid()


def test_without_campaigns_there_is_nothing_to_do_and_all_is_well(operator: Operator) -> None:
    operator.bills_nightly = True
    result = operator.night()
    assert night_exit_code(result) == 0
    assert operator.memory.succeeded_s == operator.machine.clock.now_s()
    assert operator.desks == 0


# Before a cliff


def test_the_last_answer_before_the_query_window_closes_is_kept_as_it_came(tmp_path: Path) -> None:
    """Asked on day 28 by the timetable; kept raw, since two days later nobody can ask again."""
    merchant = RehearsalMerchant(
        mch_id=MCH_ID, wxappid=WXAPPID, api_key=API_KEY, claim_share=0, time_scale=0.02
    )
    with Machine(Random(7), merchant=merchant) as machine:
        machine.run(SHEET[:1])
        operator = Operator(machine, tmp_path)
        topics = set()
        for n in range(1, 32):
            operator.until(TODAY + n * DAY, 8.5)
            result = operator.night()
            if n == 27:
                messages = of_night(result, now_s=machine.clock.now_s(), certificate_ends_s=None)
                topics = {message.topic for message in messages}
        [(number, entry)] = machine.entries().items()
        assert entry.accepted_at_s is not None
        with machine.look() as ledger:
            questions = ledger.questions(number)
        ages = [question.asked_at_s - entry.accepted_at_s for question in questions]
        assert any(0.4 * DAY_S < age < DAY_S for age in ages), "before it goes back"
        assert LAST_ASK_S <= ages[-1] < 30 * DAY_S
        assert all(b"<status><![CDATA[SENT]]></status>" in question.raw for question in questions)
        assert night_exit_code(result) == 6, "it needs a person"
        assert Topic.DEADLINES in topics, "somebody was told while there was time"


# Failing


def test_a_wrong_certificate_stops_the_asking_and_not_the_report(operator: Operator) -> None:
    operator.machine.run(SHEET)
    operator.machine.later(120)
    operator.desk_fails = SetupError(text("the certificate expired"), advice=text("renew it"))
    result = operator.night()
    assert night_exit_code(result) == 4
    assert operator.written == ["lantern"]
    assert "reconcile_failed" in operator.log.events
    assert operator.memory.succeeded_s is None
    assert operator.memory.ended_s == operator.machine.clock.now_s()
    [halted, _] = of_night(result, now_s=0, certificate_ends_s=None)
    assert (halted.topic, str(halted.sentence)) == (Topic.HALTED, "the certificate expired → renew it")


def test_a_refused_key_is_told_as_wrong_settings(operator: Operator) -> None:
    operator.machine.run(SHEET)
    operator.machine.later(120)
    operator.machine.api_key = "x" * 32
    result = operator.night()
    assert [each.standing.halt.reason for each in result.campaigns] == [HaltReason.SETTINGS]
    assert night_exit_code(result) == 4


def test_what_refuses_every_campaign_is_one_failure(operator: Operator) -> None:
    for name in ("lantern", "spring", "autumn"):
        operator.machine.run(orders(f"o{name} 1.00"), name=name)
    operator.machine.later(120)
    operator.machine.api_key = "x" * 32
    assert len(operator.night().failures) == 1


def test_a_report_that_cannot_be_written_is_tried_again_the_next_night(operator: Operator) -> None:
    operator.machine.run(SHEET)
    operator.machine.run(orders("oX 1.00"), name="spring")

    def full(name: str) -> list[Path]:
        if name == "lantern":
            raise StorageError(text("the disk is full"))
        return [Path(name)]

    with operator.machine.ledger() as ledger:
        failed = night(replace(operator.watch(ledger), report=full), operator.memory)
    assert night_exit_code(failed) == 5
    assert [each.files for each in failed.campaigns] == [[], [Path("spring")]]
    assert operator.memory.reported.keys() == {"spring"}
    operator.night()
    assert "lantern" in operator.written


def test_somebody_who_stops_it_gets_130_and_the_next_night_goes_on(operator: Operator) -> None:
    operator.machine.run(SHEET)
    operator.machine.later(120)
    operator.machine.stop_asked = True
    result = operator.night()
    assert night_exit_code(result) == 130
    assert not operator.written
    operator.machine.stop_asked = False
    operator.night()
    assert operator.written == ["lantern"]


# Bills


@pytest.fixture
def biller(operator: Operator) -> Operator:
    """Two campaigns that were sent today, with bills at night."""
    operator.bills_nightly = True
    operator.machine.run(SHEET)
    operator.machine.run(orders("oX 1.00", "oY 2.00"), name="spring")
    return operator


def test_the_bill_of_the_day_before_is_matched_for_every_campaign(biller: Operator) -> None:
    biller.until(TODAY + DAY, 10.5)
    result = biller.night()
    assert (result.bill.days, result.bill.missing, result.findings) == ([TODAY], [], [])
    assert biller.log.events.count("matched") == 2
    assert night_exit_code(result) == 0


def test_a_bill_that_is_not_made_yet_is_no_failure_and_comes_the_night_after(biller: Operator) -> None:
    """At half past eight there is none of yesterday; each day is fetched once it is there, and only once."""
    for n in (1, 2, 3):
        biller.until(TODAY + n * DAY, 8.5)
        result = biller.night()
        assert result.bill.missing == [TODAY + (n - 1) * DAY]
        assert result.bill.days == ([TODAY + (n - 2) * DAY] if n > 1 else [])
        assert not result.failures


def test_the_bills_of_missed_nights_are_fetched_together(biller: Operator) -> None:
    biller.until(TODAY + DAY, 10.5)
    biller.night()
    biller.until(TODAY + 5 * DAY, 10.5)
    assert biller.night().bill.days == [TODAY + n * DAY for n in (1, 2, 3, 4)]


def test_a_foreign_line_is_named_once_and_not_once_for_each_campaign(biller: Operator) -> None:
    def plant(lines: list[BillLine]) -> None:
        lines.append(replace(lines[0], flow_id="999", business_no="999", voucher_no="9" * 28))

    biller.change = lambda bill: with_lines(bill, plant)
    biller.until(TODAY + DAY, 10.5)
    result = biller.night()
    assert [finding.kind for finding in result.findings] == [Kind.NOT_IN_LEDGER]
    assert night_exit_code(result) == 6
    topics = [m.topic for m in of_night(result, now_s=0, certificate_ends_s=None)]
    assert Topic.DISCREPANCIES in topics


def test_a_line_that_one_campaign_explains_is_foreign_to_none(biller: Operator) -> None:
    """Bills without our numbers: amount and day tell whose a line is, to its own campaign only."""

    def forget(lines: list[BillLine]) -> None:
        lines[:] = [replace(line, business_no=f"B{n}", voucher_no="") for n, line in enumerate(lines)]

    biller.change = lambda bill: with_lines(bill, forget)
    biller.until(TODAY + DAY, 10.5)
    result = biller.night()
    assert (result.bill.days, result.findings) == ([TODAY], [])


def test_no_bill_before_it_was_surely_made_proves_nothing(biller: Operator) -> None:
    """The day stays missing, or its refunds would never be looked for."""
    biller.change = lambda bill: Bill(file=bill.file, account="Basic")
    biller.until(TODAY + DAY, 10.5)
    assert biller.night().bill.missing == [TODAY]
    biller.change = lambda bill: bill
    biller.until(TODAY + 2 * DAY, 10.5)
    assert biller.night().bill.days == [TODAY, TODAY + DAY]


def test_a_debit_near_midnight_is_missed_once_both_days_are_known(biller: Operator) -> None:
    """The bills of two days come one by one, and it could stand on either."""
    biller.until(TODAY + DAY, -30 / 3600)
    biller.machine.run(orders("oLate 9.99"), name="late")

    def drop(lines: list[BillLine]) -> None:
        lines[:] = [line for line in lines if line.fen != 999]

    biller.change = lambda bill: with_lines(bill, drop) if bill.lines else bill
    named = []
    for n in (1, 2, 3, 4):
        biller.until(TODAY + n * DAY, 10.5)
        result = biller.night()
        named.append([finding.kind for finding in result.findings])
        late = next(each for each in result.campaigns if each.standing.campaign.name == "late")
        assert late.discrepancies == (n > 1)
        assert night_exit_code(result) == (6 if n > 1 else 0), "it stands until it is explained"
    assert named == [[], [Kind.NOT_IN_BILL], [], []], "and is told once"


def test_a_doubled_line_belongs_to_its_row_and_its_campaign(biller: Operator) -> None:
    def double(lines: list[BillLine]) -> None:
        lines.append(replace(lines[-1], flow_id="999"))

    biller.change = lambda bill: with_lines(bill, double)
    biller.until(TODAY + DAY, 10.5)
    result = biller.night()
    kinds = [(e.standing.campaign.name, f.kind) for e in result.campaigns for f in e.findings]
    assert kinds == [("spring", Kind.TWO_DEBITS)]
    assert not result.bill.findings
    assert result.bill.breaks, "and the balance does not follow"


def contradicted(biller: Operator) -> None:
    """On the bill of today one row is debited twice, and somebody else's packet stands beside it."""

    def change(lines: list[BillLine]) -> None:
        foreign = replace(lines[0], flow_id="998", business_no="998", voucher_no="9" * 28)
        lines += [replace(lines[-1], flow_id="999"), foreign]

    biller.change = lambda bill: with_lines(bill, change) if bill.lines else bill
    biller.until(TODAY + DAY, 10.5)


def test_what_a_killed_night_kept_and_did_not_tell_is_told_by_the_next(biller: Operator) -> None:
    contradicted(biller)
    memory = replace(biller.memory)
    first = biller.night()
    assert len(first.findings) == 2
    biller.memory = replace(memory, untold=True)  # as it stands on the disk until the night has told
    second = biller.night()
    assert second.findings == first.findings
    assert second.bill == first.bill
    assert not biller.memory.untold
    assert not biller.night().findings, "and then it is told"


def test_what_reached_nobody_is_told_again_although_no_bill_is_fetched_again(biller: Operator) -> None:
    contradicted(biller)
    first = biller.night()
    biller.memory.untold = True
    second = biller.night()
    assert second.findings == first.findings
    assert first.bill.breaks
    assert (second.bill.breaks, second.bill.days) == (first.bill.breaks, [])


def test_what_a_failing_night_could_not_bring_again_stays_untold(biller: Operator) -> None:
    def full(name: str, bills: Sequence[Bill]) -> Match:
        raise StorageError(text("the disk is full"))

    contradicted(biller)
    first = biller.night()
    biller.memory.untold = True
    with biller.machine.ledger() as ledger:
        night(replace(biller.watch(ledger), match=full), biller.memory)
    assert biller.memory.untold
    assert biller.night().findings == first.findings


@pytest.mark.parametrize("error, code", [(BillRejected(text("half a file")), 6), (SetupError(text("no")), 4)])
def test_a_bill_that_cannot_be_used_stays_missing_and_the_others_are_matched(
    biller: Operator, error: Exception, code: int
) -> None:
    def refuse(bill: Bill) -> Bill:
        if TODAY in bill.days:
            raise error
        return bill

    biller.memory.billed_until = TODAY - DAY
    biller.until(TODAY + 2 * DAY, 10.5)
    biller.change = refuse
    result = biller.night()
    assert (result.bill.days, result.bill.missing) == ([TODAY + DAY], [TODAY])
    assert night_exit_code(result) == code
    biller.change = lambda bill: bill
    biller.night()
    assert biller.memory.bills_missing == []


def test_a_bill_whose_match_failed_is_kept_and_matched_the_night_after(biller: Operator) -> None:
    """It is not fetched again, and after three months it could not be."""

    def full(name: str, bills: Sequence[Bill]) -> Match:
        raise StorageError(text("the disk is full"))

    def double(lines: list[BillLine]) -> None:
        lines.append(replace(lines[-1], flow_id="999"))

    biller.change = lambda bill: with_lines(bill, double) if bill.lines else bill
    biller.until(TODAY + DAY, 10.5)
    with biller.machine.ledger() as ledger:
        failed = night(replace(biller.watch(ledger), match=full), biller.memory)
    assert night_exit_code(failed) == 5
    biller.until(TODAY + 2 * DAY, 10.5)
    kinds = [finding.kind for each in biller.night().campaigns for finding in each.findings]
    assert kinds == [Kind.TWO_DEBITS]


def test_a_bill_that_could_not_be_kept_is_fetched_again(biller: Operator, monkeypatch: Any) -> None:
    def full(*_: object) -> None:
        raise StorageError(text("the disk is full"))

    biller.until(TODAY + DAY, 10.5)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "keep_bill", full)
        assert biller.night().bill.missing == [TODAY]
    assert biller.night().bill.days == [TODAY]


def test_a_gap_that_only_an_older_campaign_can_see_is_not_forgotten_for_a_newer_one(
    operator: Operator,
) -> None:
    """Each campaign is matched with the bills of its own days, and the last one is the newest."""
    operator.bills_nightly = True
    operator.machine.run(SHEET)
    operator.until(TODAY + DAY, 10.5)
    assert not operator.night().bill.breaks
    operator.machine.top_up(100)
    operator.until(TODAY + 3 * DAY, 12)
    operator.machine.run(orders("oX 1.00"), name="spring")

    def drop(lines: list[BillLine]) -> None:
        lines[:] = [line for line in lines if line.fen != 100 or not line.incoming]

    operator.change = lambda bill: with_lines(bill, drop) if bill.lines else bill
    operator.until(TODAY + 4 * DAY, 10.5)
    assert operator.night().bill.breaks


def test_a_bill_that_stays_away_for_days_becomes_a_failure(biller: Operator) -> None:
    def creating(bill: Bill) -> Bill:
        raise NotFinished(text("not made yet"))

    biller.change = creating
    codes = []
    for n in (1, 2, 3):
        biller.until(TODAY + n * DAY, 10.5)
        codes.append(night_exit_code(biller.night()))
    assert codes == [0, 0, 5]


def test_a_day_whose_bill_is_kept_no_more_is_given_up(biller: Operator) -> None:
    biller.memory.bills_missing = [TODAY - 95 * DAY]
    biller.memory.billed_until = TODAY - DAY
    biller.until(TODAY + DAY, 10.5)
    biller.night()
    assert biller.fetched == [TODAY]


# The exit code


def campaign_night(machine: Machine, **more: object) -> CampaignNight:
    with machine.look() as ledger:
        now = standing(ledger, "lantern", now_s=machine.clock.now_s())
    return CampaignNight(standing=now, deadlines=[], **more)  # type: ignore[arg-type]


def test_what_stopped_the_work_wins_over_what_is_left_of_it(machine: Machine) -> None:
    machine.run(SHEET)
    fine = campaign_night(machine)
    entry = next(iter(machine.entries().values()))
    wrong = campaign_night(machine, findings=[missing(entry, incoming=False, fen=1, since_s=0.0)])
    flawed = BillNight(flawed=["fundflow"])
    kinds = (SetupError, StorageError, LedgerRefused, BillRejected)
    errors = {kind.exit_code: kind(text("x")) for kind in kinds}
    assert night_exit_code(Night(campaigns=[fine])) == 0
    assert night_exit_code(Night(campaigns=[fine, wrong])) == 6
    assert night_exit_code(Night(campaigns=[fine], bill=flawed)) == 6
    assert night_exit_code(Night(failures=[errors[3]])) == 6
    assert night_exit_code(Night(campaigns=[wrong], failures=[errors[5], errors[3]])) == 5
    assert night_exit_code(Night(failures=[errors[5], errors[4]])) == 4
    assert night_exit_code(Night(failures=[errors[4], errors[7]])) == 7
    assert night_exit_code(Night(failures=list(errors.values()), interrupted=True)) == 130


# What people are told


def test_a_run_that_ended_tells_rows_yuan_and_who_is_needed(machine: Machine) -> None:
    machine.faults(openid_error={"positions": [2]})
    [message] = of_run(machine.run(SHEET))
    assert message.topic is Topic.FINISHED
    assert str(message.sentence).startswith("lantern: 3 packets, 13.76 yuan: ")
    assert str(message.sentence).endswith("; 1 need a person.")


def test_a_run_that_was_halted_tells_why_and_the_next_step(machine: Machine) -> None:
    with Machine(Random(7), balance_fen=200) as poor:
        [message] = of_run(poor.run(SHEET))
    assert message.topic is Topic.HALTED
    assert "tops up" in str(message.sentence)


def test_nobodys_openid_is_told(operator: Operator) -> None:
    machine = operator.machine
    machine.faults(openid_error=0.4, processing=0.4)
    openids = [f"oAbCdEfGhIjKlMnOpQrStUvWx{n:03d}" for n in range(20)]
    standing = machine.run(orders(*(f"{openid} 1.00" for openid in openids)), wait_s=0)
    operator.until(TODAY + DAY, 8.5)
    messages = [*of_run(standing), *of_night(operator.night(), now_s=0, certificate_ends_s=0)]
    assert messages
    said = " ".join(str(message.sentence) for message in messages)
    assert not any(openid in said for openid in openids)
    assert not any(openid in repr(operator.log.lines) for openid in openids)


@pytest.mark.parametrize("days, told", [(29, True), (31, False), (-1, True)])
def test_a_certificate_is_told_of_in_its_last_thirty_days(days: int, told: bool) -> None:
    messages = of_night(Night(), now_s=START_S, certificate_ends_s=START_S + days * DAY_S)
    assert [message.topic for message in messages] == ([Topic.CERTIFICATE] if told else [])


# Keeping the time


def test_three_nights_pass_without_the_wall_clock(operator: Operator) -> None:
    """`campaign schedule --foreground`: every day at half past eight, each night with what is due by then."""
    machine = operator.machine
    machine.run(SHEET)
    begun: list[str] = []

    def go() -> None:
        begun.append(f"{beijing_time(machine.clock.now_s()):%Y-%m-%d %H:%M}")
        operator.night()
        machine.later(1800)

    keep_time(
        go,
        at=time(8, 30),
        last_s=None,
        now_s=machine.clock.now_s,
        pause=machine.later,
        stopped=lambda: len(begun) == 3,
    )
    assert begun == [f"{TODAY + n * DAY} 08:30" for n in (1, 2, 3)]
    assert set(machine.states().split()) <= {"received", "refunded"}


class Times:
    """Time that passes only while somebody pauses."""

    def __init__(self, now_s: float) -> None:
        self.now = now_s
        self.begun: list[float] = []
        self.pauses: list[float] = []

    def now_s(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def keep(self, nights: int, *, last_s: float | None, takes_s: float = 0.0) -> list[str]:
        def go() -> None:
            self.begun.append(self.now)
            self.now += takes_s

        keep_time(
            go,
            at=time(8, 30),
            last_s=last_s,
            now_s=self.now_s,
            pause=self.pause,
            stopped=lambda: len(self.begun) >= nights,
        )
        return [f"{beijing_time(at_s):%d %H:%M}" for at_s in self.begun]


NOON_S = day_start_s(date(2026, 3, 10)) + 12 * HOUR_S


def test_a_night_that_was_missed_is_made_up_for_at_once() -> None:
    """Several of them by one."""
    assert Times(NOON_S).keep(2, last_s=NOON_S - 5 * DAY_S) == ["10 12:00", "11 08:30"]


def test_one_that_was_done_today_is_not_done_again() -> None:
    assert Times(NOON_S).keep(1, last_s=NOON_S - HOUR_S) == ["11 08:30"]
    eight_thirty_s = NOON_S - 3.5 * HOUR_S
    assert Times(eight_thirty_s).keep(1, last_s=eight_thirty_s) == ["11 08:30"]


def test_who_never_did_it_waits_for_its_time() -> None:
    assert Times(NOON_S).keep(1, last_s=None) == ["11 08:30"]


def test_a_night_longer_than_a_day_is_followed_by_one_and_not_by_two() -> None:
    times = Times(NOON_S).keep(3, last_s=None, takes_s=30 * HOUR_S)
    assert times == ["11 08:30", "13 08:30", "15 08:30"]


def test_it_looks_at_the_clock_every_minute_since_a_machine_may_sleep() -> None:
    times = Times(NOON_S)
    times.keep(1, last_s=None)
    assert 0 < max(times.pauses) <= 60


def test_a_clock_that_was_a_year_ahead_and_was_set_right_puts_no_night_off_for_a_year() -> None:
    """Also when the keeper is started anew and finds the last night in the future."""
    times = Times(NOON_S + 365 * DAY_S)
    times.keep(1, last_s=None)
    [done_s] = times.begun
    times.now, times.begun = NOON_S, []
    assert times.keep(2, last_s=done_s) == ["12 08:30", "13 08:30"]
    assert times.now < NOON_S + 3 * DAY_S, "not those of the next year"


def test_a_clock_that_was_wrong_does_not_bring_a_night_forward_twice() -> None:
    """Set back by an hour after the night: the next one is tomorrow's."""
    times = Times(NOON_S)
    times.keep(1, last_s=None)
    done_s = times.begun[0]
    times.now -= HOUR_S
    times.begun.clear()
    assert times.keep(1, last_s=done_s) == ["12 08:30"]
