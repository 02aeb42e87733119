"""The pace: how much of the limit is used, and whether it is ever exceeded, at 100 ms latency."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from campaign.cli.desk import EXIT_INTERRUPTED
from campaign.stages import pacing
from tests.bench.figures import Figure, Target, unmeasured
from tests.bench.gateway import Arrivals
from tests.bench.ground import Ground, chosen, missing
from tests.bench.windows import fullest

_LATENCY_S = 0.1
#: A window of a minute has to fit into the run, and the run into the pacer's log.
_LONG_S = 64
_SHORT_S = 15
#: Reading, planning and asking take less; who needs more for the sending is stopped.
_START_S = 8


@dataclass(frozen=True)
class _Case:
    """Processes of one merchant under one limit for so many seconds."""

    name: str
    limit: int
    seconds: int
    processes: int = 1
    transport: str = "requests"

    @property
    def rows_each(self) -> int:
        return self.limit * self.seconds // self.processes


_CASES = (
    _Case("pace 30/s, 100 ms", 30, _LONG_S),
    _Case("pace 200/s, 100 ms", 200, _LONG_S),
    _Case("pace 500/s, 100 ms", 500, _LONG_S),
    _Case("pace 200/s, two processes", 200, _SHORT_S, processes=2),
    _Case("pace 500/s, curl", 500, _SHORT_S, transport="curl"),
)
_SHARE = Target(99.5, 99, "%")
_WINDOW = Target(1.0, 1.0, "×", lower=True)
_NOTE = (
    "default settings but the limit; from the first to the last send that arrived. Windows: the fullest "
    "second and the fullest minute, as the pacer's log has the moments of leaving and as the gateway saw "
    "them arrive; judged is the worst of the four, as a share of what the limit allows"
)


def measure(ground: Ground) -> Iterator[Figure]:
    """One process at each limit, two processes on one merchant, and the other transport."""
    for case in _CASES:
        share, window = f"{case.name}: share of the limit", f"{case.name}: fullest window"
        if why := missing(case.transport):
            yield unmeasured(share, _SHARE, why)
            yield unmeasured(window, _WINDOW, why)
            continue
        seen, left_s = _run(ground, case)
        used = 100 * seen.per_second / case.limit
        yield Figure(share, f"{seen.per_second:.2f}/s", f"{case.limit}/s", used, _SHARE, _NOTE)
        parts = {
            f"{kind} {seconds} s": fullest(moments_s, seconds) / (seconds * case.limit)
            for kind, moments_s in (("left", left_s), ("arrived", seen.sends_s))
            for seconds in (1, 60)
        }
        told = ", ".join(f"{name} {part:.3f}" for name, part in parts.items())
        yield Figure(window, told, "1 × the limit", max(parts.values()), _WINDOW, _NOTE)


def _run(ground: Ground, case: _Case) -> tuple[Arrivals, list[float]]:
    """What arrived, and the moments at which the pacer let requests leave."""
    desk = ground.desk({"gateway": {"sends_per_second": case.limit} | chosen(case.transport)})
    ground.gateway.begin(latency_s=_LATENCY_S)
    sheets = [ground.sheet(case.rows_each, f"pace{number}") for number in range(case.processes)]
    running = [ground.sending(desk, sheet) for sheet in sheets]
    for program in running:
        ended = program.wait(stop_if=lambda: running[0].age_s > case.seconds + _START_S)
        if ended.code not in (0, EXIT_INTERRUPTED):
            raise RuntimeError(f"exit {ended.code} of {program.command}\n{ended.err[-4000:]}")
    seen = ground.gateway.seen()
    [log] = desk.state.rglob("sends.pace")
    left_s = logged(log)
    shutil.rmtree(desk.folder)
    if not seen.numbers == len(seen.sends_s) <= len(left_s):
        raise RuntimeError(f"{len(seen.sends_s)} sends of {seen.numbers} numbers, {len(left_s)} logged")
    return seen, left_s


def logged(path: Path) -> list[float]:
    """The moments in a pace file's log, in no order; monotonic seconds."""
    state = path.read_bytes()[pacing._LOG_AT :]
    return [moment_s for number, moment_s in pacing._LOGGED.iter_unpack(state) if number]
