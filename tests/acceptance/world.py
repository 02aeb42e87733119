"""A merchant's folder, a gateway in a process of its own, and the program as its user starts it.

What a command did is read from outside: its exit code, what it printed, and the two books, the
ledger's and the gateway's, which know nothing of each other.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from campaign.cli import main
from campaign.config import load_settings
from campaign.domain.campaign import Campaign
from campaign.domain.entry import Entry
from campaign.domain.state import State
from campaign.ledger.registry import STATE_DIR_VARIABLE, Registry
from campaign.ledger.store import Ledger
from campaign.ports import SystemClock
from campaign.rehearsal.books import Order, ReadOnlyBooks
from campaign.stages.pacing import SharedPacer

MCH_ID: Final = "1900000109"
APPID: Final = "wx0123456789abcdef"
KEY: Final = "192006250b4c09247ec02edce69f6a2d"
#: Short enough to wait for in a test; allowed to loopback only. A doubt is asked about almost at once.
QUICK: Final = {
    "doubt_ask_s": 0.05,
    "processing_ask_s": 0.3,
    "not_found_repeat_s": 0.2,
    "poll_s": [0.3, 0.6, 2],
}
#: The stand-in's time beside ours: a day in half a minute.
TIME_SCALE: Final = 3_000
Tables = dict[str, dict[str, Any]]


def openid(number: int, campaign: str = "x") -> str:
    """The openid of one person of one campaign: 28 characters."""
    return f"oX{campaign:_<12.12}{number:014d}"


def toml(tables: Tables) -> str:
    """Tables as TOML; a JSON text, number or list of them is written the same way there."""
    lines = []
    for table, keys in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def merged(tables: Tables, changes: Tables) -> Tables:
    return {name: {**tables.get(name, {}), **changes.get(name, {})} for name in {**tables, **changes}}


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The answer of ``--json``: exactly one object on stdout."""
        (line,) = self.out.splitlines()
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    @property
    def said(self) -> str:
        return self.out + self.err

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Served:
    """`campaign rehearsal serve` in a process of its own."""

    def __init__(self, folder: Path, *, seed: int = 1, changes: Tables | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.faults: dict[str, Any] = {}
        self._faults = folder / "faults.json"
        self._faults.write_text("{}")
        self._file = folder / "serve.toml"
        tables: Tables = {
            "merchant": {"mch_id": MCH_ID, "wxappid": APPID, "api_key": KEY},
            "gateway": {"url": "rehearsal", "sends_per_second": 10_000},
            "limits": {"campaign_yuan": "100000.00", "person_day_packets": 100},
            "rehearsal": {"seed": seed, "time_scale": TIME_SCALE, "balance_yuan": "1000000.00"},
        }
        self._file.write_text(toml(merged(tables, changes or {})))
        self._file.chmod(0o600)
        self.certs = folder / "certs"
        self.books_file = folder / "books.db"
        self._start(port=0)

    def _start(self, port: int) -> None:
        command = [sys.executable, "-m", "campaign", "--config", str(self._file), "rehearsal", "serve"]
        command += ["--certs", str(self.certs), "--books", str(self.books_file), "--port", str(port)]
        command += ["--faults", str(self._faults)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = str(json.loads(self.process.stdout.readline())["url"])

    def set_faults(self, faults: dict[str, Any]) -> None:
        """From now on these go wrong (SIGHUP, as its help says)."""
        self.faults = faults
        self._faults.write_text(json.dumps(faults))
        self.process.send_signal(signal.SIGHUP)

    def restart(self) -> None:
        """Come back at the same place after `stop`."""
        self._start(port=int(self.url.rpartition(":")[2]))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
        if self.process.stdout:
            self.process.stdout.close()

    @contextmanager
    def books(self) -> Iterator[ReadOnlyBooks]:
        """What the gateway wrote down."""
        books = ReadOnlyBooks(self.books_file)
        try:
            yield books
        finally:
            books.close()

    def sends(self) -> Counter[str]:
        """How many send requests arrived for each bill number."""
        with self.books() as books:
            return Counter(r.mch_billno for r in books.requests() if r.endpoint == "sendredpack")

    def orders(self) -> dict[str, Order]:
        """The orders by bill number."""
        with self.books() as books:
            return {order.mch_billno: order for order in books.orders()}

    def paid(self) -> Counter[str]:
        """How many packets were paid to each openid."""
        return Counter(o.re_openid for o in self.orders().values() if o.paid_s is not None)


@contextmanager
def served(folder: Path, **arguments: Any) -> Iterator[Served]:
    """A gateway for the length of the block."""
    gateway = Served(folder, **arguments)
    try:
        yield gateway
    finally:
        gateway.stop()


@dataclass
class Desk:
    """An operator's folder: settings, sheets, and the commands started in it.

    Args:
        gateway: None for the built-in one (``gateway.url = "rehearsal"``).
    """

    folder: Path
    gateway: Served | None = None
    changes: Tables = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = self.folder / "state"
        self.configure()

    def configure(self, changes: Tables | None = None) -> None:
        """Write campaign.toml, with these changes in addition to earlier ones."""
        self.changes = merged(self.changes, changes or {})
        tables: Tables = {
            "merchant": {"mch_id": MCH_ID, "wxappid": APPID, "api_key": "file:api_key.txt"},
            "gateway": {"url": "rehearsal", "sends_per_second": 1000, "queries_per_second": 1000},
            "packet": {
                "send_name": "天虹百货",
                "act_name": "猜灯谜抢红包",
                "wishing": "祝您元宵节快乐!",
                "remark": "猜越多得越多,快来抢!",
            },
            "limits": {"campaign_yuan": "50000.00"},
            "timing": QUICK,
            "rehearsal": {"time_scale": TIME_SCALE},
        }
        if self.gateway:
            certs = self.gateway.certs
            tables["merchant"] |= {
                "certificate": str(certs / "client.pem"),
                "private_key": str(certs / "client.key"),
            }
            tables["gateway"] |= {"url": self.gateway.url, "ca_bundle": str(certs / "ca.pem")}
            tables["gateway"] |= {"connect_timeout_s": 2, "read_timeout_s": 2}
        self._write(self.folder / "campaign.toml", toml(merged(tables, self.changes)))
        self._write(self.folder / "api_key.txt", KEY)

    @staticmethod
    def _write(file: Path, words: str) -> None:
        file.write_text(words)
        file.chmod(0o600)

    def sheet(
        self, rows: Iterable[Sequence[str]], name: str = "lantern.csv", header: str = "openid,amount"
    ) -> Path:
        """A sheet of these rows in the folder; amounts in yuan."""
        path = self.folder / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header.split(","))
            writer.writerows(rows)
        return path

    # The program

    @property
    def env(self) -> dict[str, str]:
        """The environment of a command: the operator's own, English, and memory of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CAMPAIGN_")}
        return {**kept, "LANG": "en_US.UTF-8", STATE_DIR_VARIABLE: str(self.state), **self.environ}

    def start(self, *arguments: str, python: Sequence[str] = ()) -> subprocess.Popen[str]:
        """A command in a process of its own, without a terminal; ``python`` are arguments for Python."""
        return subprocess.Popen(
            [sys.executable, *python, "-m", "campaign", *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Result:
        """The same, until it ends."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=600)
        return Result(process.returncode, out, err)

    # The ledger

    @property
    def ledger_file(self) -> Path:
        return self.folder / ("campaign.db" if self.gateway else "campaign.rehearsal.db")

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        settings = load_settings(self.folder / "campaign.toml")
        ledger = Ledger.open_existing(
            settings.ledger_path(), merchant=MCH_ID, gateway=settings.ledger_gateway(), clock=SystemClock()
        )
        assert ledger is not None, "no ledger"
        with ledger:
            yield ledger

    def campaign(self, name: str = "lantern") -> Campaign | None:
        with self.ledger() as ledger:
            return ledger.campaign(name)

    def entries(self, name: str = "lantern") -> list[Entry]:
        with self.ledger() as ledger:
            return list(ledger.entries(name))

    def lose_ledger(self) -> None:
        """The file is gone, with what belongs to it."""
        for file in self.folder.glob(f"{self.ledger_file.name}*"):
            file.unlink()

    def lends_pace(self, warm: Path) -> None:
        """Begin with a pace that is known: a process that knows none waits its first second out."""
        settings = load_settings(self.folder / "campaign.toml")
        gateway = settings.registry_gateway()
        registry = Registry.of(
            merchant=MCH_ID, gateway=gateway, environ={STATE_DIR_VARIABLE: str(self.state)}
        )
        for kind in ("sends", "queries"):
            shutil.copyfile(warm, registry.pace_path(kind))


def warm_pace(file: Path) -> Path:
    """A pace file that a process has used a moment ago."""
    pacer = SharedPacer(file, 1000, SystemClock())
    pacer.acquire()
    pacer.close()
    return file


class HereDesk(Desk):
    """A desk whose commands run in this process, which is quicker."""

    def __init__(
        self, *arguments: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        super().__init__(*arguments)

    def run(self, *arguments: str) -> Result:
        with self._monkeypatch.context() as here:
            here.chdir(self.folder)
            for name in [name for name in os.environ if name.startswith("CAMPAIGN_")]:
                here.delenv(name)
            for name, value in self.env.items():
                here.setenv(name, value)
            self._capfd.readouterr()
            code = main(arguments)
            shown = self._capfd.readouterr()
        return Result(code, shown.out, shown.err)


# What both books say


def differences(desk: Desk, gateway: Served, name: str = "lantern") -> list[str]:
    """Where the ledger and the gateway's books disagree about a campaign, number by number, fen by fen."""
    orders = gateway.orders()
    found = []
    for entry in desk.entries(name):
        order = orders.pop(entry.mch_billno, None)
        paid_fen = order.total_amount if order and order.paid_s is not None else 0
        counted = entry.state in (State.ACCEPTED, State.RECEIVED, State.REFUNDED)
        if paid_fen != (entry.total_amount if counted else 0):
            found.append(
                f"{entry.mch_billno}: {entry.state} of {entry.total_amount} fen, paid {paid_fen} fen"
            )
        if order and (order.re_openid, order.total_amount) != (entry.re_openid, entry.total_amount):
            found.append(f"{entry.mch_billno}: another openid or amount at the gateway")
    return found


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    clock = SystemClock()
    until_s = clock.monotonic_s() + seconds
    while not condition():
        assert clock.monotonic_s() < until_s, "waited in vain"
        clock.sleep(0.01)
