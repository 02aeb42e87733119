"""The pace: how much of the limit is used, and whether it is ever exceeded, at 100 ms latency."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Sequence
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
_SHORT_S = 12
#: The share counts from here on.
_OPENING_S = 1.0
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
    _Case("pace 30/s, curl", 30, _SHORT_S, transport="curl"),
    _Case("pace 200/s, curl", 200, _SHORT_S, transport="curl"),
    _Case("pace 500/s, curl", 500, _SHORT_S, transport="curl"),
)
_SHARE = Target(99.5, 99, "%")
_WINDOW = Target(1.0, 1.0, "×", lower=True)
_NOTE = (
    "default settings but the limit; from one second after the first send that arrived to the last one (the "
    "first goes alone, and connections are opened); in brackets the whole of it. Windows: the fullest "
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
        kept = per_second(seen.sends_s, from_s=_OPENING_S)
        ours = f"{kept:.2f}/s ({seen.per_second:.2f}/s)"
        yield Figure(share, ours, f"{case.limit}/s", 100 * kept / case.limit, _SHARE, _NOTE)
        parts = {
            f"{kind} {seconds} s": fullest(moments_s, seconds) / (seconds * case.limit)
            for kind, moments_s in (("left", left_s), ("arrived", seen.sends_s))
            for seconds in (1, 60)
        }
        told = ", ".join(f"{name} {part:.3f}" for name, part in parts.items()) + on_the_way(
            left_s, seen.sends_s
        )
        yield Figure(window, told, "1 × the limit", max(parts.values()), _WINDOW, _NOTE)


def _run(ground: Ground, case: _Case) -> tuple[Arrivals, list[float]]:
    """What arrived, and the moments at which the pacer let requests leave."""
    desk = ground.desk({"gateway": {"sends_per_second": case.limit} | chosen(case.transport)})
    ground.gateway.begin(latency_s=_LATENCY_S)
    sheets = [ground.sheet(case.rows_each, f"pace{number}") for number in range(case.processes)]
    running = [ground.sending(desk, sheet) for sheet in sheets]
    ended = [program.wait(stop_if=lambda: running[0].age_s > case.seconds + _START_S) for program in running]
    seen = ground.gateway.seen()
    # Who has done all of it and is about to exit may be asked to stop when it listens no more.
    fine = {0, EXIT_INTERRUPTED} | (
        {-signal.SIGTERM} if seen.numbers == case.rows_each * case.processes else set()
    )
    for program, end in zip(running, ended, strict=True):
        if end.code not in fine:
            raise RuntimeError(f"exit {end.code} of {program.command}\n{end.err[-4000:]}")
    [log] = desk.state.rglob("sends.pace")
    left_s = logged(log)
    shutil.rmtree(desk.folder)
    if not seen.numbers == len(seen.sends_s) <= len(left_s):
        raise RuntimeError(f"{len(seen.sends_s)} sends of {seen.numbers} numbers, {len(left_s)} logged")
    return seen, left_s


def per_second(moments_s: Sequence[float], *, from_s: float) -> float:
    """The rate from so many seconds after the first of these moments, which are in order, to the last."""
    counted = [moment_s for moment_s in moments_s if moment_s >= moments_s[0] + from_s]
    return (len(counted) - 1) / (counted[-1] - counted[0])


def on_the_way(left_s: Sequence[float], arrived_s: Sequence[float]) -> str:
    """How long requests took from their leaving to the gateway; empty where one of them never left.

    Where the most is far above the median, something else held up this machine, and latency was not constant.
    """
    if len(left_s) != len(arrived_s):
        return ""
    took_ms = sorted(
        1000 * (came - went) for went, came in zip(sorted(left_s), sorted(arrived_s), strict=True)
    )
    return f"; on the way {took_ms[len(took_ms) // 2]:.1f} ms, at most {took_ms[-1]:.1f}"


def logged(path: Path) -> list[float]:
    """The moments in a pace file's log, in no order; monotonic seconds."""
    state = path.read_bytes()[pacing._LOG_AT :]
    return [moment_s for number, moment_s in pacing._LOGGED.iter_unpack(state) if number]
