"""Where everything is measured: one folder, one gateway, and programs whose resources are counted."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from campaign.config.model import GatewayTable
from tests.acceptance.world import Desk, Tables, merged, openid
from tests.bench.clients import PEERS
from tests.bench.gateway import Arrivals, Gateway

T = TypeVar("T")

#: The pace is kept, and does not bind.
UNBOUND: Final = 10_000
#: Every figure that is compared with a peer's is the median of so many runs of each, in turn.
ROUNDS: Final = 3
TRANSPORTS: Final = ("requests", "curl")
#: A program that takes longer has failed.
_PATIENCE_S: Final = 900
#: How often a running program is looked at.
_LOOK_S: Final = 0.02


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    out: str
    err: str
    #: From its start to its end, and the processor time that it used, in seconds.
    wall_s: float
    cpu_s: float
    #: The most memory that it had, but for its last instant.
    peak_mb: float


@dataclass(frozen=True)
class Sent:
    """A program that sent packets, and what the gateway saw of it."""

    ended: Ended
    arrivals: Arrivals
    connections: int

    def __str__(self) -> str:
        seen = self.arrivals
        return (
            f"{seen.per_second:,.0f} rows/s, {seen.cpu_us:,.0f} µs CPU, "
            f"{self.connections} conn.{' (gateway-bound)' if self.gateway_bound else ''}"
        )

    @property
    def gateway_bound(self) -> bool:
        """Whether the gateway was nearly as busy as it can be: the client may be faster than shown."""
        return self.arrivals.per_second * 1.2 >= self.arrivals.ceiling_per_second


class Ground:
    """The folder and the gateway of one call of the bench."""

    def __init__(self, folder: Path, gateway: Gateway, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.gateway = gateway
        self.say = say
        self._serial = itertools.count(1)
        self._made: dict[str, Any] = {}
        self._running: list[Running] = []

    def close(self) -> None:
        """Nothing goes on when the bench ends before its time."""
        for running in self._running:
            running.kill()

    def run(
        self,
        command: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        codes: Sequence[int] = (0,),
    ) -> Ended:
        """A Python program until its end.

        Args:
            command: Python's arguments.
            codes: with which it may end.
        """
        return self.ended(self.start(command, env=env, cwd=cwd), codes)

    def start(
        self, command: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Running:
        number = next(self._serial)
        env = {**(env or os.environ), "PYTHONPATH": str(Path.cwd())}
        # As on anybody's machine: what one command has compiled, the next one need not.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        said = self.folder / f"said-{number}"
        running = Running([sys.executable, *command], env, cwd or self.folder, said)
        self._running.append(running)
        return running

    def ended(self, running: Running, codes: Sequence[int] = (0,)) -> Ended:
        """The program's end; it has to end well."""
        ended = running.wait()
        if ended.code not in codes:
            raise RuntimeError(
                f"exit {ended.code} of {running.command}\n{ended.out[-2000:]}{ended.err[-4000:]}"
            )
        return ended

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What is made once, since it takes long, and used by several parts."""
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made

    def sheet(self, rows: int, campaign: str = "x") -> Path:
        """A CSV file of so many people, made once."""
        path = self.folder / f"{campaign}-{rows}.csv"
        if not path.exists():
            lines = (f"{openid(n, campaign)},1.00\n" for n in range(rows))
            path.write_text("openid,amount\n" + "".join(lines), encoding="utf-8")
        return path

    def desk(self, tables: Tables | None = None) -> Desk:
        """An operator's folder with settings for this gateway; the caller removes it."""
        unbound: Tables = {
            "gateway": {
                "sends_per_second": UNBOUND,
                "queries_per_second": UNBOUND,
                "connect_timeout_s": 15,
                "read_timeout_s": 15,
            },
            "limits": {
                "campaign_yuan": "9000000.00",
                "in_doubt_yuan": "100000.00",
                "merchant_day_yuan": "9000000.00",
            },
        }
        folder = self.folder / f"desk-{next(self._serial)}"
        return Desk(folder, self.gateway, merged(unbound, tables or {}))  # type: ignore[arg-type]

    def campaign(
        self,
        rows: int,
        *,
        transport: str = "requests",
        workers: int | None = None,
        latency_s: float = 0.0,
        limit: float = UNBOUND,
        program: Sequence[str] = ("-m", "campaign"),
    ) -> Sent:
        """`campaign run` of a new sheet, as its user starts it; every row has to be paid once.

        Args:
            workers: None leaves the setting at its default.
            limit: sends a second.
        """
        changes = {"sends_per_second": limit, **chosen(transport)}
        changes |= {} if workers is None else {"workers": workers}
        desk = self.desk({"gateway": changes})
        sheet = self.sheet(rows)
        self.gateway.begin(latency_s=latency_s)
        running = self.sending(desk, sheet, program=program)
        self.gateway.tell(f"watch {running.pid}")
        ended = self.ended(running)
        seen = self.gateway.seen()
        shutil.rmtree(desk.folder)
        if not len(seen.sends_s) == seen.numbers == rows:
            raise RuntimeError(f"{rows} rows, {len(seen.sends_s)} sends, {seen.numbers} numbers")
        return Sent(ended, seen, workers or seen.open_max)

    def sending(self, desk: Desk, sheet: Path, *, program: Sequence[str] = ("-m", "campaign")) -> Running:
        """`campaign run` at this desk, begun."""
        command = [*program, "run", str(sheet), "--config", "campaign.toml", "--yes"]
        return self.start(command, env=desk.env, cwd=desk.folder)

    def peer(self, name: str, rows: int, connections: int, *, latency_s: float = 0.0) -> Sent:
        """One of the other clients, on the same sheet."""
        assert name in PEERS
        sheet = self.sheet(rows)
        self.gateway.begin(latency_s=latency_s)
        command = ["-m", "tests.bench.clients", name, self.gateway.url, str(self.gateway.certs)]
        running = self.start([*command, str(sheet), str(connections)])
        self.gateway.tell(f"watch {running.pid}")
        ended = self.ended(running)
        seen = self.gateway.seen()
        if not len(seen.sends_s) == seen.numbers == rows:
            raise RuntimeError(f"{name}: {rows} rows, {len(seen.sends_s)} sends, {seen.numbers} numbers")
        return Sent(ended, seen, connections)


class Running:
    """A program at work; what it says goes to a file, so that it never waits for a reader."""

    def __init__(self, command: Sequence[str], env: dict[str, str], cwd: Path, said: Path) -> None:
        self.command = " ".join(command)
        self._out, self._err = said.with_suffix(".out"), said.with_suffix(".err")
        #: On the monotonic clock, which the gateway's moments have as well.
        self.began_s = time.monotonic()
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        self.pid = self._process.pid

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C does."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()

    @property
    def age_s(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.began_s

    def wait(self, *, stop_if: Callable[[], bool] = lambda: False) -> Ended:
        """Its end.

        Args:
            stop_if: whether it is to be asked to stop, asked every now and then.
        """
        asked = False
        peak_kb = 0
        while True:
            # The usage of an ended process would count what its parent had when it was forked.
            peak_kb = _peak_kb(self.pid) or peak_kb
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if not asked and stop_if():
                self.stop()
                asked = True
            if self.age_s > _PATIENCE_S:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(_LOOK_S)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        ended = Ended(
            code=self._process.returncode,
            out=self._out.read_text(),
            err=self._err.read_text(),
            wall_s=self.age_s,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mb=peak_kb / 1024,
        )
        self._out.unlink()
        self._err.unlink()
        return ended


def _peak_kb(pid: int) -> int:
    """The most memory that a running process has had; 0 when it runs no more."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return 0


def chosen(transport: str) -> dict[str, Any]:
    """The setting of ``[gateway]`` for it; none for the default."""
    return {} if transport == TRANSPORTS[0] else {"transport": transport}


def missing(transport: str) -> str:
    """Why this transport cannot be measured; empty where it can."""
    if transport not in get_args(GatewayTable.model_fields["transport"].annotation):
        return f'[gateway] transport = "{transport}" does not exist yet'
    return ""


def in_turn(contenders: dict[str, Callable[[], Sent]], rounds: int = ROUNDS) -> dict[str, list[Sent]]:
    """Each once, then each again: what disturbs the machine disturbs all of them."""
    results: dict[str, list[Sent]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            results[name].append(run())
    return results


def middle(runs: Sequence[Sent]) -> Sent:
    """The run with the median rate."""
    return sorted(runs, key=lambda sent: sent.arrivals.per_second)[(len(runs) - 1) // 2]


def rate(runs: Sequence[Sent]) -> float:
    """Rows a second: the median."""
    return statistics.median(sent.arrivals.per_second for sent in runs)


def cpu_us(runs: Sequence[Sent]) -> float:
    """Microseconds of processor time a row: the median."""
    return statistics.median(sent.arrivals.cpu_us for sent in runs)
