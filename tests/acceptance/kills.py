"""Kill the run at random moments while everything goes wrong; then calm; then everybody is paid once.

Everything is real: `campaign run` and `campaign rehearsal serve` are processes of their own, and between
them are HTTPS, client certificates and the two books. ``SIGKILL`` cannot be caught or cleaned up after.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from campaign.domain.state import State
from campaign.ports import SystemClock
from tests.acceptance.world import Desk, Result, Served, differences, openid

#: Shares of the requests; two in five are struck. Every row stays payable, and at once when the faults end:
#: orders that are held as SENDING until they are sent again (held, processing_unpaid) need a day instead.
FAULTS: Final = {
    "reset_before": 0.03,
    "reset_after": 0.05,
    "answer_lost": 0.01,
    "http_502_before": 0.02,
    "http_500_after": 0.03,
    "systemerror": 0.03,
    "systemerror_paid": 0.03,
    "unknown_code": 0.02,
    "unknown_code_paid": 0.02,
    "processing": {"share": 0.02, "delay_s": 1800},
    "repeat_refused": 0.03,
    "not_found": 0.03,
    "truncated": 0.02,
    "cut": 0.02,
    "empty": 0.02,
    "html": 0.02,
    "not_utf8": 0.02,
    "wrong_billno": 0.02,
    "slow": {"share": 0.05, "delay_s": 0.2},
}
_IN_DOUBT: Final = (State.PLANNED, State.IN_DOUBT, State.PARKED)
#: One kill in so many strikes by the clock, also while the run reads and plans; the others while it sends.
_EARLY: Final = 4
_EARLY_S: Final = 2.0
#: A run that cannot get on is killed after so long.
_STUCK_S: Final = 15.0
#: How long the last run waits for a gateway that always answers.
_PATIENCE_S: Final = 60


@dataclass
class Trial:
    """One campaign under fire."""

    desk: Desk
    gateway: Served
    rows: int
    #: Rows whose order WeChat Pay calls FAILED, faults or not: dead, so never paid.
    unpayable: int = 3
    faults: dict[str, Any] = field(default_factory=lambda: dict(FAULTS))
    tell: Callable[[str], None] = lambda line: None
    #: What went wrong; empty when the promise was kept.
    broken: list[str] = field(default_factory=list)

    @property
    def _dead(self) -> dict[str, object]:
        return {"send_failed": {"openids": [openid(n) for n in range(self.unpayable)]}}

    @property
    def _payable(self) -> Counter[str]:
        return Counter(openid(n) for n in range(self.unpayable, self.rows))

    def prepare(self) -> None:
        """The sheet of `rows` rows, amounts of 1.00 to 1.99 yuan."""
        self.desk.sheet([(openid(n), f"1.{n % 100:02d}") for n in range(self.rows)])

    def rage(self, kills: int, *, seed: int, runners: int = 1) -> int:
        """Start runs and kill them at seeded random moments; returns how many were at work when killed."""
        moments = random.Random(seed)
        # What makes a row unpayable comes first: of two faults of one kind the first one strikes.
        self.gateway.set_faults({**self._dead, **self.faults})
        killed = 0
        for number in range(kills):
            runs = [self.desk.start("run", "lantern.csv", "--yes") for _ in range(runners)]
            requests = 0 if number % _EARLY == 0 else moments.randint(1, 2 * self.rows // kills)
            after_s = _STUCK_S if requests else moments.uniform(0, _EARLY_S)
            met = self._watch(runs, requests=requests, after_s=after_s)
            killed += sum(_kill(run) for run in runs)
            self.tell(f"kill {number + 1} after {met} send requests: {self._standing()}")
        return killed

    def _watch(self, runs: list[subprocess.Popen[str]], *, requests: int, after_s: float) -> int:
        """Wait for so many more send requests at the gateway (0: only for the time) or for all runs' end."""
        clock, before = SystemClock(), self._met()
        until_s = clock.monotonic_s() + after_s
        while clock.monotonic_s() < until_s and any(run.poll() is None for run in runs):
            if requests and self._met() - before >= requests:
                break
            clock.sleep(0.005)
        return self._met() - before

    def _met(self) -> int:
        return self.gateway.sends().total()

    def calm(self) -> Result:
        """Faults off, and one last run.

        With patience: on a busy machine an honest answer, or the handshake before it, may take longer than
        the rage waits for one, and too many such silences would rightly stop the run.
        """
        self.gateway.set_faults(self._dead)
        self.desk.configure({"gateway": {"connect_timeout_s": _PATIENCE_S, "read_timeout_s": _PATIENCE_S}})
        result = self.desk.run("run", "lantern.csv", "--yes", "--json", "--wait", "120")
        self.tell(f"calm: exit {result.code}: {self._standing()}")
        self._expect(result.code == (6 if self.unpayable else 0), f"the last run ended so: {result}")
        self.judge()
        return result

    def judge(self) -> None:
        """Every payable row exactly once, both books equal to the fen, nobody in doubt."""
        paid = self.gateway.paid()
        self._expect(paid == self._payable, f"paid other than once: {_unlike(paid, self._payable)}")
        apart = differences(self.desk, self.gateway)
        self._expect(not apart, f"the books differ: {apart[:5]}")
        entries = self.desk.entries()
        self._expect(len(entries) == self.rows, f"{len(entries)} entries for {self.rows} rows")
        told = [f"row {e.row} {e.state} {e.flag} {e.tally}" for e in entries if e.state in _IN_DOUBT]
        self._expect(not told, f"not settled in any way: {told[:5]}")
        with self.gateway.books() as books:
            bodies: dict[str, set[bytes]] = {}
            for request in books.requests():
                if request.endpoint == "sendredpack":
                    bodies.setdefault(request.mch_billno, set()).add(request.digest)
        changed = [number for number, digests in bodies.items() if len(digests) > 1]
        self._expect(not changed, f"repeated with other parameters: {changed[:5]}")

    def run_again(self) -> None:
        """A finished campaign makes no send request."""
        before = self.gateway.sends()
        result = self.desk.run("run", "lantern.csv", "--yes")
        again = self.gateway.sends() - before
        self._expect(not again, f"a finished campaign sent {again.total()} requests")
        self.tell(f"again: exit {result.code}, {again.total()} send requests")

    def lose_ledger(self) -> None:
        """Without its ledger the program sends nothing new, and says that the ledger is gone."""
        orders, requests = self.gateway.orders().keys(), self.gateway.sends()
        self.desk.lose_ledger()
        result = self.desk.run("run", "lantern.csv", "--yes", "--wait", "120")
        new = self.gateway.orders().keys() - orders
        self._expect(not new, f"{len(new)} new orders after the ledger was lost")
        self._expect("has vanished" in result.err, f"the operator was not told: {result.err}")
        self.judge()
        repeats = (self.gateway.sends() - requests).total()
        self.tell(f"ledger lost: exit {result.code}, {len(new)} new orders, {repeats} send requests")

    def _standing(self) -> str:
        if not self.desk.ledger_file.exists():
            return "no ledger yet"
        states = Counter(entry.state.value for entry in self.desk.entries())
        return (
            ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "nothing planned yet"
        )

    def _expect(self, kept: bool, otherwise: str) -> None:
        if not kept:
            self.broken.append(otherwise)
            self.tell(f"BROKEN: {otherwise}")


def trial(
    folder: Path,
    gateway: Served,
    *,
    rows: int,
    sends_per_second: float = 100,
    transport: str = "requests",
    **options: Any,
) -> Trial:
    """A trial in a folder of its own, at a pace at which kills find the run at work."""
    pace = {"sends_per_second": sends_per_second, "read_timeout_s": 0.5, "transport": transport}
    desk = Desk(folder, gateway, {"gateway": pace, "limits": {"in_doubt_yuan": "5000.00"}})
    made = Trial(desk, gateway, rows, **options)
    made.prepare()
    return made


def _kill(run: subprocess.Popen[str]) -> bool:
    """Kill the run; False when it had ended by itself."""
    was_at_work = run.poll() is None
    run.kill()
    run.communicate()
    return was_at_work


def _unlike(found: Counter[str], expected: Counter[str]) -> dict[str, int]:
    """The first few people who were paid another number of times than once."""
    wrong = [who for who in {**found, **expected} if found[who] != expected[who]]
    return {who: found[who] for who in wrong[:5]}
