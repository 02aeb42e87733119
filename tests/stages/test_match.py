"""A rehearsed month: ledger, gethbinfo and the gateway's bills agree; what is planted is named, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from campaign.domain.bill import Bill, BillLine
from campaign.domain.days import beijing_day, day_start_s
from campaign.domain.finding import Kind
from campaign.domain.matching import Match
from campaign.domain.state import State
from campaign.errors import UsageError
from campaign.rehearsal.bills import written
from campaign.rehearsal.memory import MemoryTransport
from campaign.stages.match import match
from campaign.wechat.bills import FundFlowClient
from campaign.wechat.fundflow import parse_bill
from tests.domain.bills import NAMES
from tests.simulation.machine import API_KEY, MCH_ID, START_S, WXAPPID, Machine, orders

FIRST_DAY = beijing_day(START_S)
DAYS = [FIRST_DAY + timedelta(days=n) for n in range(12)]
CAMPAIGNS = {"lantern": 0, "spring": 2, "qingming": 5}
#: Faults that leave doubts, held and dead packets behind, and money in odd places.
FAULTS = {
    "systemerror_paid": 0.1,
    "reset_after": 0.1,
    "processing": 0.1,
    "failed_later": 0.05,
    "openid_error": 0.05,
    "truncated": 0.05,
}


class Month:
    """Three campaigns over some days, one night missed, and the bills of every day."""

    def __init__(self) -> None:
        self.machine = Machine(Random(7), gateway_seed=7)
        machine = self.machine
        machine.faults(**FAULTS)
        for n, day in enumerate(DAYS):
            for name, begins in CAMPAIGNS.items():
                if n == begins:
                    rows = [f"o{name}{row} {1 + row % 5}.88" for row in range(24)]
                    machine.run(orders(*rows), name=name, wait_s=7200.0)
            if n == 3:
                machine.top_up(12_345)
            # Twenty minutes after the next day's ten o'clock; the bill of this one is made by then.
            until_s = day_start_s(day + timedelta(days=1)) + 10 * 3600 + 1200
            machine.later(until_s - machine.clock.now_s())
            if n != 4:
                machine.reconcile()
        machine.faults()
        machine.reconcile()
        client = FundFlowClient(
            transport=MemoryTransport(machine.rules), api_key=API_KEY, mch_id=MCH_ID, appid=WXAPPID
        )
        self.bills = [client.bill(day, "Basic", now_s=machine.clock.now_s()) for day in DAYS]

    def match(self, name: str = "lantern", bills: list[Bill] | None = None) -> Match:
        with self.machine.look() as ledger:
            return match(ledger, name, self.bills if bills is None else bills, names=NAMES, mch_id=MCH_ID)

    def altered(self, change: Callable[[list[BillLine]], None]) -> list[Bill]:
        """The bills as files again, after somebody changed their lines and summed them up anew."""
        bills = []
        for bill in self.bills:
            lines = list(bill.lines)
            change(lines)
            content = written(lines)
            bills.append(parse_bill(content, file=bill.file, account="Basic", days=bill.asked_days))
        return bills

    def numbers(self, *states: State) -> list[str]:
        with self.machine.look() as ledger:
            return [entry.mch_billno for entry in ledger.entries("lantern", states=states)]


@pytest.fixture(scope="module")
def month() -> Iterator[Month]:
    made = Month()
    yield made
    made.machine.close()


def named(found: Match) -> Counter[tuple[Kind, str]]:
    return Counter((f.kind, f.entry.mch_billno if f.entry else "") for f in found.findings)


def test_the_month_had_everything(month: Month) -> None:
    """Opened, returned, dead and refused rows, on several days; otherwise the rest proves little."""
    with month.machine.look() as ledger:
        totals = Counter(entry.state for name in CAMPAIGNS for entry in ledger.entries(name))
    assert set(totals) == {State.RECEIVED, State.REFUNDED, State.REJECTED}
    assert min(totals.values()) > 2
    assert sum(bool(bill.lines) for bill in month.bills) >= 6


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_an_honest_month_is_clean_for_every_campaign(month: Month, name: str) -> None:
    """To the fen: the ledger's sums are the bill's, and the bill's are those of the gateway's books."""
    found = month.match(name)
    assert found.clean, [str(f.reason) for f in found.findings]
    assert found.ledger_sent == found.bill_sent
    assert found.ledger_refunded == found.bill_refunded
    assert found.outside == 0
    books = month.machine.books
    [account] = found.accounts
    assert account.sent_fen == books.paid_total_fen()
    assert account.refunded_fen == books.refunded_total_fen()
    assert (account.top_ups_fen, account.difference_fen) == (12_345, 0)
    assert (account.opening_fen, account.closing_fen) == (books.opening_fen(), books.balance_fen())


def test_the_campaigns_share_the_bills_without_rest(month: Month) -> None:
    """Each line of packets belongs to exactly one of them."""
    found = [month.match(name) for name in CAMPAIGNS]
    packets = sum(line.business_name == "现金红包" for bill in month.bills for line in bill.lines)
    assert sum(each.by_number for each in found) == packets
    assert all(each.by_number + each.elsewhere == packets for each in found)


def planted(number: str, what: str) -> Callable[[list[BillLine]], None]:
    def change(lines: list[BillLine]) -> None:
        for place, line in enumerate(lines):
            if line.voucher_no == number and line.incoming == (what == "refund missing"):
                match what:
                    case "dropped" | "refund missing":
                        del lines[place]
                    case "doubled":
                        lines.insert(place, line)
                    case "altered":
                        lines[place] = replace(line, fen=line.fen + 1)
                    case "foreign":
                        lines.insert(place, replace(line, voucher_no="ELSE", business_no="E", flow_id="E"))
                return

    return change


@pytest.mark.parametrize(
    "what, kind, state",
    [
        ("dropped", Kind.NOT_IN_BILL, State.RECEIVED),
        ("dropped", Kind.NOT_IN_BILL, State.REFUNDED),
        ("doubled", Kind.TWO_DEBITS, State.RECEIVED),
        ("altered", Kind.AMOUNT_DIFFERS, State.RECEIVED),
        ("foreign", Kind.NOT_IN_LEDGER, State.RECEIVED),
        ("refund missing", Kind.REFUND_MISSING, State.REFUNDED),
    ],
)
def test_one_planted_discrepancy_is_named_once_and_breaks_the_arithmetic(
    month: Month, what: str, kind: Kind, state: State
) -> None:
    number = month.numbers(state)[1]
    found = month.match(bills=month.altered(planted(number, what)))
    assert named(found) == {(kind, "" if kind is Kind.NOT_IN_LEDGER else number): 1}
    assert found.breaks
    assert sum(account.difference_fen for account in found.accounts) != 0


def test_all_of_them_at_once_are_named_each_once(month: Month) -> None:
    received, refunded = month.numbers(State.RECEIVED), month.numbers(State.REFUNDED)
    plans = {
        (Kind.NOT_IN_BILL, received[0]): planted(received[0], "dropped"),
        (Kind.TWO_DEBITS, received[1]): planted(received[1], "doubled"),
        (Kind.AMOUNT_DIFFERS, received[2]): planted(received[2], "altered"),
        (Kind.NOT_IN_LEDGER, ""): planted(received[3], "foreign"),
        (Kind.REFUND_MISSING, refunded[0]): planted(refunded[0], "refund missing"),
    }

    def change(lines: list[BillLine]) -> None:
        for plan in plans.values():
            plan(lines)

    found = month.match(bills=month.altered(change))
    assert named(found) == Counter(plans.keys())
    assert found.findings[0].kind is Kind.TWO_DEBITS


def test_another_campaigns_discrepancies_are_not_this_ones(month: Month) -> None:
    number = month.numbers(State.RECEIVED)[0]
    assert not month.match("spring", month.altered(planted(number, "dropped"))).findings


def test_a_day_that_is_not_there_is_no_discrepancy(month: Month) -> None:
    """Its rows are counted as outside, and the reckoning begins anew after it."""
    found = month.match("spring", [bill for bill in month.bills if bill.asked_days != {DAYS[2]}])
    assert found.outside > 0
    assert found.clean


def test_matching_changes_nothing_and_asks_nobody(month: Month) -> None:
    with month.machine.look() as ledger:
        before = ledger.head()
    requests = len(month.machine.books.requests())
    month.match()
    with month.machine.look() as ledger:
        assert ledger.head() == before
    assert len(month.machine.books.requests()) == requests


def test_an_unknown_campaign_is_a_wrong_command_line(month: Month) -> None:
    with pytest.raises(UsageError, match="no campaign"):
        month.match("nobody")
