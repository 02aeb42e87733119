"""A rehearsed month: ``python -m tests.acceptance.month --rows 20000``; exit 1 if a promise broke.

Campaigns run against the stand-in with all its faults, nights reconcile, match and report (some nights are
missed), the clock is virtual. Discrepancies are planted in the bills on their way. In the end ledger,
gateway's books, bills and reports agree to the fen, and each planted discrepancy was told exactly once,
with the right owner; nothing else was.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from campaign.domain.bill import Bill, BillLine
from campaign.domain.breaker import BreakerPolicy
from campaign.domain.days import beijing_day
from campaign.domain.entry import Flag
from campaign.domain.finding import Finding, Kind
from campaign.domain.state import State
from campaign.domain.summary import Summary
from campaign.domain.verdict import DEBITED, Owner, Verdict, verdict
from campaign.ledger.store import Ledger
from campaign.rehearsal.faults import KINDS
from campaign.stages.report import FORMATS, write_report
from campaign.stages.standing import standing
from tests.simulation.machine import GATEWAY, MCH_ID, START_S, Machine, order
from tests.stages.nights import Operator, with_lines

DAYS: Final = 31
_DAY: Final = timedelta(days=1)
#: Nights on which the machine is off.
MISSED: Final = frozenset({3, 9, 10, 17, 18, 19, 26})
#: A fault of each of these stops a run as a whole; they last for one evening, then somebody mended it.
HALTING: Final = (
    "ca_error", "sign_error", "illegal_appid", "api_method_closed", "payer_account_abnormal", "no_auth",
    "notenough", "sendamount_limit", "refused",
)  # fmt: skip
#: In answers to questions the stand-in contradicts itself with these: then each is a discrepancy of its own.
LIES: Final = frozenset({"not_found", "wrong_amount", "other_detail_id"})


def faults_all_month(share: float) -> dict[str, object]:
    """The others strike now and then."""
    found = dict[str, object]({name: share for name in KINDS if name not in LIES and name not in HALTING})
    return found | {"wrong_amount": {"share": share, "endpoint": "sendredpack"}}


#: What is planted in the bills -> what the match has to call it, and who acts.
PLANTED: Final = {
    "dropped": (Kind.NOT_IN_BILL, Owner.FINANCE),
    "doubled": (Kind.TWO_DEBITS, Owner.ENGINEER),
    "altered": (Kind.AMOUNT_DIFFERS, Owner.FINANCE),
    "foreign": (Kind.NOT_IN_LEDGER, Owner.FINANCE),
    "refund missing": (Kind.REFUND_MISSING, Owner.FINANCE),
}
#: (kind, owner, bill number or empty)
Named = tuple[Kind, Owner, str]


def planted(lines: list[BillLine], what: str, number: str) -> None:
    """Change a bill's lines; the number's line is there."""
    refund = what == "refund missing"
    place = next(n for n, line in enumerate(lines) if line.voucher_no == number and line.incoming == refund)
    line = lines[place]
    match what:
        case "dropped" | "refund missing":
            del lines[place]
        case "doubled":
            lines.insert(place, replace(line, flow_id=f"{line.flow_id}9"))
        case "altered":
            lines[place] = replace(line, fen=line.fen + 1)
        case "foreign":
            other = f"ELSE{line.flow_id}"
            lines.insert(place, replace(line, voucher_no=other, business_no=other, flow_id=other))
        case _:
            raise ValueError(what)


class ReportingOperator(Operator):
    """An operator whose nights write the real reports."""

    formats: Sequence[str] = ("csv", "json")

    def report(self, ledger: Ledger, name: str) -> list[Path]:
        self.written.append(name)
        (self.folder / name).touch()
        return self.write(ledger, name, self.formats)

    def write(self, ledger: Ledger, name: str, formats: Sequence[str]) -> list[Path]:
        return write_report(
            ledger,
            name,
            out=self.folder,
            say=str,
            gateway=GATEWAY,
            merchant=MCH_ID,
            clock=self.machine.clock,
            force=True,
            formats=formats,
        )


@dataclass(kw_only=True)
class Month:
    """One month of one merchant."""

    folder: Path
    campaigns: int = 5
    rows: int = 20_000
    seed: int = 7
    days: int = DAYS
    #: Of the requests that each fault strikes.
    share: float = 0.004
    #: Whether discrepancies are planted.
    plant: bool = True
    #: What was planted, and what the nights told.
    expected: Counter[Named] = field(default_factory=Counter)
    told: list[Named] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    #: The bills as they came to us.
    bills: dict[date, Bill] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = Random(self.seed)
        self.machine = Machine(
            Random(self.seed),
            gateway_seed=self.seed,
            breaker=BreakerPolicy(consecutive=50, window=200, share=0.9),
        )
        self.operator = ReportingOperator(self.machine, self.folder)
        self.operator.bills_nightly = True
        self.operator.change = self._arriving
        #: What is still to be planted, each kind twice.
        self._plants = [*PLANTED, *PLANTED] if self.plant else []
        #: WeChat Pay names these packets otherwise when it is asked.
        self._renamed: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        return [f"campaign-{n}" for n in range(1, self.campaigns + 1)]

    def close(self) -> None:
        self.machine.close()

    # The month

    def live(self) -> None:
        """Every evening the operator runs what is to be run; every night that is not missed does its work."""
        first = beijing_day(START_S)
        begins = {1 + 5 * n: name for n, name in enumerate(self.names)}
        unfinished: set[str] = set()
        for n in range(self.days):
            faults = self._faults()
            self.machine.faults(**faults)
            for name in sorted(unfinished):
                self._run(name, unfinished)
            if n in begins:
                # Somewhere in the middle everything stops, until somebody mends it on the next day.
                halting = HALTING[n % len(HALTING)]
                self.machine.faults(**faults, **{halting: {"share": 1.0, "from_position": self._position()}})
                self._run(begins[n], unfinished)
            if self.plant:
                self._rename()
            self.machine.faults(**self._faults())
            if n == 12:
                self.machine.top_up(12_345)
            self.operator.until(first + (n + 1) * _DAY, 10.4)
            if n not in MISSED:
                self._night()
        self.share = 0.0
        self.machine.faults(**self._faults())
        for n in range(self.days, self.days + 3):
            for name in sorted(unfinished):
                self._run(name, unfinished)
            self.operator.until(first + (n + 1) * _DAY, 10.4)
            self._night()

    def _faults(self) -> dict[str, object]:
        numbers = list(self._renamed.values())
        lies = {"other_detail_id": {"mch_billnos": numbers}} if numbers else {}
        return faults_all_month(self.share) | lies

    def _rename(self) -> None:
        """From now on WeChat Pay answers with another number for one packet of each campaign that it took."""
        with self.machine.look() as ledger:
            for name in self.names:
                taken = (e for e in ledger.entries(name, states={State.ACCEPTED}) if e.send_listid)
                if name not in self._renamed and (first := next(taken, None)):
                    self._renamed[name] = first.mch_billno
                    self.expected[Kind.ANSWERS_DIFFER, Owner.FINANCE, first.mch_billno] += 1

    def _position(self) -> int:
        """Where the next campaign is half-way."""
        return len(self.machine.books.orders()) + self.rows // self.campaigns // 2

    def _run(self, name: str, unfinished: set[str]) -> None:
        sheet = [
            order(row, f"o{name}-{row:06d}", 100 + (row * 37) % 400)
            for row in range(2, 2 + self.rows // self.campaigns)
        ]
        halt = self.machine.run(sheet, name=name, wait_s=3600.0).halt
        unfinished.add(name) if halt else unfinished.discard(name)

    def _night(self) -> None:
        result = self.operator.night()
        self.told += (named(finding) for finding in result.findings)
        for error in result.failures:
            self.broken.append(f"a night failed: {error}")

    # Planting

    def _arriving(self, bill: Bill) -> Bill:
        """A bill on its way to us, with what is planted on it."""
        [day] = bill.asked_days
        if day not in self.bills:
            self.bills[day] = self._changed(bill) if bill.lines else bill
        return self.bills[day]

    def _changed(self, bill: Bill) -> Bill:
        """At most two discrepancies a day, each on a row of its own."""

        def change(lines: list[BillLine]) -> None:
            used: set[str] = set()
            for what in list(self._plants):
                refund = what == "refund missing"
                some = {line.voucher_no for line in lines if line.voucher_no and line.incoming == refund}
                numbers = sorted(some - used)
                if len(numbers) < 5 or len(used) == 2:
                    continue
                number = numbers[self._rng.randrange(len(numbers))]
                used.add(number)
                self._plants.remove(what)
                planted(lines, what, number)
                kind, owner = PLANTED[what]
                self.expected[kind, owner, "" if what == "foreign" else number] += 1

        return with_lines(bill, change)

    # What must hold

    def check(self) -> list[str]:
        """The promises that broke, in words."""
        with self.machine.look() as ledger:
            for name in self.names:
                self._check_books(ledger, name)
                self._check_report(ledger, name)
            self._check_sum(ledger)
            self._check_findings(ledger)
            for what, broken in (
                ("event", ledger.broken_events()),
                ("state", ledger.unexplained()),
                ("row", ledger.altered_entries()),
                ("match", ledger.broken_matches()),
                ("bill", ledger.broken_bills()),
            ):
                if found := list(islice(broken, 3)):
                    self._say(f"audit: {what} {found}")
        return self.broken

    def _say(self, promise: str) -> None:
        self.broken.append(promise)

    def _equal(self, what: str, one: object, other: object) -> None:
        if one != other:
            self._say(f"{what}: {one} and {other}")

    def _check_books(self, ledger: Ledger, name: str) -> None:
        """Row by row: what the ledger calls paid was paid, and what it calls unpaid was not."""
        self.machine.rules.settle()
        books = {o.mch_billno: o for o in self.machine.books.orders()}
        told = {e.mch_billno for e in ledger.needs_person(name, self.machine.clock.now_s())}
        for entry in ledger.entries(name):
            found, there = verdict(entry), books.get(entry.mch_billno)
            paid = there is not None and there.paid_s is not None
            if found is Verdict.UNKNOWN:
                # Missed nights and faults used up the three days in which it could be sent again.
                if paid or entry.flag is not Flag.STUCK or entry.mch_billno not in told:
                    self._say(f"{name} row {entry.row} is unknown: {entry.state} {entry.flag} {entry.status}")
                continue
            self._equal(f"{name} row {entry.row} paid", found in DEBITED, paid)
            if there and paid:
                back = there.refunded_s is not None and there.claimed_s is None
                self._equal(f"{name} row {entry.row} back", found is Verdict.REFUNDED, back)

    def _check_sum(self, ledger: Ledger) -> None:
        sent = back = 0
        for name in self.names:
            summary = Summary.of(ledger.entries(name))
            sent += sum(summary.totals.verdicts[found].fen for found in DEBITED)
            back += summary.refunded_fen
            self._equal(
                f"{name} adds up", (summary.totals.difference.rows, summary.totals.difference.fen), (0, 0)
            )
        books = self.machine.books
        self._equal("sent by ledger and books", sent, books.paid_total_fen())
        self._equal("refunded by ledger and books", back, books.refunded_total_fen())

    def _check_findings(self, ledger: Ledger) -> None:
        """Each planted one was told once, stands in its campaign's match once, and nothing else does."""
        self._equal("told, not planted", sorted((Counter(self.told) - self.expected).elements()), [])
        self._equal("planted, not told", sorted((self.expected - Counter(self.told)).elements()), [])
        standing_rows = Counter(
            named(finding) for name in self.names for finding in ledger.findings(name) if finding.entry
        )
        of_rows = Counter({key: count for key, count in self.expected.items() if key[2]})
        self._equal("kept, not planted", sorted((standing_rows - of_rows).elements()), [])
        self._equal("planted, not kept", sorted((of_rows - standing_rows).elements()), [])

    def _check_report(self, ledger: Ledger, name: str) -> None:
        """Its totals are the ledger's, and tie to the bills but for what is planted."""
        files = self.operator.write(ledger, name, FORMATS)
        told = json.loads(files[3].read_text(encoding="utf-8"))
        summary = Summary.of(ledger.entries(name))
        self._equal(f"{name} rows", told["rows"], summary.totals.planned.rows)
        self._equal(f"{name} fen", told["fen"]["total"], summary.totals.planned.fen)
        bill = told["bill"]
        self._equal(f"{name} days without bill", bill["days_not_matched"], [])
        self._equal(
            f"{name} later", (bill["paid"]["later"]["fen"], bill["came_back"]["later"]["fen"]), (0, 0)
        )
        mine = [f for f in ledger.findings(name) if f.entry]
        for part, incoming in (("paid", False), ("came_back", True)):
            named_fen = sum(
                (f.ledger_fen or 0) - (f.bill_fen or 0)
                for f in mine
                if (f.kind is Kind.REFUND_MISSING or any(line.incoming for line in f.lines)) is incoming
            )
            self._equal(f"{name} {part} difference", bill[part]["difference"]["fen"], named_fen)
        self._equal(f"{name} findings", bill["findings"], sum(1 for _ in ledger.findings(name)))
        needs = standing(ledger, name, now_s=self.machine.clock.now_s()).needs
        listed = sum(row["needs_person"] is not None for row in told["entries"])
        self._equal(f"{name} needs a person", len(needs), listed)

    def figures(self) -> Iterator[str]:
        """What the month consisted of."""
        with self.machine.look() as ledger:
            for name in self.names:
                totals = {state.value: rows for state, (rows, _) in ledger.totals(name).items() if rows}
                yield f"{name}: {totals}"
        requests = self.machine.books.requests()
        struck = Counter(fault for request in requests for fault in request.fault.split())
        yield f"{len(requests)} requests, {sum(struck.values())} of them with a fault of {len(struck)} kinds"
        yield f"planted: {sorted((kind.value, number) for kind, _, number in self.expected.elements())}"


def named(finding: Finding) -> Named:
    return finding.kind, finding.owner, finding.entry.mch_billno if finding.entry else ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.month", description=__doc__)
    parser.add_argument("--campaigns", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000, help="of all campaigns together")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-month-") as folder:
        month = Month(folder=Path(folder), campaigns=options.campaigns, rows=options.rows, seed=options.seed)
        try:
            month.live()
            broken = month.check()
            for line in month.figures():
                print(line)
        finally:
            month.close()
    for promise in broken[:50]:
        print(f"BROKEN {promise}")
    outcome = f"{len(broken)} promises broken" if broken else "every promise kept"
    print(f"{options.rows} rows, {DAYS} days, {time.monotonic() - began_s:.0f} s: {outcome}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
