"""A machine that is left alone at night, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from campaign.domain.bill import Bill, BillLine
from campaign.domain.days import HOUR_S, day_start_s
from campaign.ledger.nights import Memory
from campaign.ledger.store import Ledger
from campaign.rehearsal.bills import written
from campaign.rehearsal.memory import MemoryTransport
from campaign.stages.match import match
from campaign.stages.night import Night, Watch, night
from campaign.stages.shift import Desk
from campaign.wechat.bills import FundFlowClient
from campaign.wechat.fundflow import parse_bill
from tests.domain.bills import NAMES
from tests.simulation.machine import API_KEY, MCH_ID, WXAPPID, Machine


class Lines:
    """The structured log, as a list."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, /, **facts: object) -> None:
        self.lines.append((event, facts))

    error = info

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.lines]


class Operator:
    """A machine that is left alone at night."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.memory = Memory()
        self.log = Lines()
        self.written: list[str] = []
        self.desks = 0
        self.bills_nightly = False
        self.fetched: list[date] = []
        #: Stands between the gateway's bill and us.
        self.change: Callable[[Bill], Bill] = lambda bill: bill
        self.desk_fails: Exception | None = None
        self.folder = folder

    def night(self) -> Night:
        with self.machine.ledger() as ledger:
            return night(self.watch(ledger), self.memory)

    def watch(self, ledger: Ledger) -> Watch:
        machine = self.machine

        @contextmanager
        def desk() -> Iterator[Desk]:
            self.desks += 1
            if self.desk_fails:
                raise self.desk_fails
            with machine.desk(ledger) as opened:
                yield opened

        @contextmanager
        def bills() -> Iterator[Callable[[date], list[Bill]]]:
            client = FundFlowClient(
                transport=MemoryTransport(machine.rules), api_key=API_KEY, mch_id=MCH_ID, appid=WXAPPID
            )

            def fetch(day: date) -> list[Bill]:
                self.fetched.append(day)
                return [self.change(client.bill(day, "Basic", now_s=machine.clock.now_s()))]

            yield fetch

        return Watch(
            ledger=ledger,
            clock=machine.clock,
            log=self.log,
            hold=machine._try_lock,
            desk=desk,
            bills=bills if self.bills_nightly else None,
            match=lambda name, found: match(ledger, name, found, names=NAMES, mch_id=MCH_ID),
            report=lambda name: self.report(ledger, name),
            has_report=lambda name: (self.folder / name).exists(),
            stopped=lambda: machine.stop_asked,
        )

    def report(self, ledger: Ledger, name: str) -> list[Path]:
        self.written.append(name)
        path = self.folder / name
        path.touch()
        return [path]

    def until(self, day: date, hour: float) -> None:
        """Let time pass until then (Beijing)."""
        self.machine.later(day_start_s(day) + hour * HOUR_S - self.machine.clock.now_s())


def with_lines(bill: Bill, change: Callable[[list[BillLine]], None]) -> Bill:
    """The bill after somebody changed its lines, and summed them up anew."""
    lines = list(bill.lines)
    change(lines)
    return parse_bill(written(lines), file=bill.file, account="Basic", days=bill.asked_days)
