"""How fast a run is, and how much memory it needs, when only the program itself is felt.

Everything is real and durable: a process of its own against `campaign rehearsal serve`, HTTPS with client
certificates, and the ledger on this disk with full durability. The gateway answers at once.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.world import Desk, differences, openid, served

_TABLES = {
    "gateway": {"sends_per_second": 10_000, "queries_per_second": 10_000, "read_timeout_s": 15},
    "limits": {"campaign_yuan": "1000000.00", "in_doubt_yuan": "10000.00"},
}


@dataclass(frozen=True)
class Figures:
    """What was measured."""

    rows: int
    #: From the command's start to its end, and between the first and the last send request at the gateway.
    whole_s: float
    sending_s: float
    rss_mb: float
    #: Processor time of the run alone, in seconds; the gateway is another process.
    cpu_s: float

    def __str__(self) -> str:
        return (
            f"{self.rows} rows in {self.whole_s:.1f} s; sending {self.sending_s:.1f} s, "
            f"{self.rows / self.sending_s:.0f} rows/s; peak memory {self.rss_mb:.0f} MB, "
            f"processor {self.cpu_s:.1f} s"
        )


def measure(rows: int, folder: Path, *, workers: int = 16, profile: Path | None = None) -> Figures:
    """Run a sheet of so many rows once; every one has to be paid.

    Args:
        profile: where to write what cProfile sees of the main thread.
    """
    tables = {**_TABLES, "gateway": {**_TABLES["gateway"], "workers": workers}}
    with served(folder / "gateway", changes=_TABLES | {"rehearsal": {"time_scale": 1}}) as gateway:
        desk = Desk(folder / "desk", gateway, tables)
        desk.sheet([(openid(n), "1.00") for n in range(rows)])
        began_s = time.monotonic()
        watch = ["-m", "cProfile", "-o", str(profile)] if profile else []
        run = desk.start("run", "lantern.csv", "--yes", python=watch)
        assert run.stdout is not None
        assert run.stderr is not None
        said = run.stderr.read() + run.stdout.read()
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        whole_s = time.monotonic() - began_s
        assert run.returncode == 0, said
        with gateway.books() as books:
            sent_s = [r.at_s for r in books.requests() if r.endpoint == "sendredpack"]
        assert len(sent_s) == rows
        assert not differences(desk, gateway)
    return Figures(
        rows=rows,
        whole_s=whole_s,
        sending_s=max(sent_s) - min(sent_s),
        rss_mb=usage.ru_maxrss / 1024,
        cpu_s=usage.ru_utime + usage.ru_stime,
    )
