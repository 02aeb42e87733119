"""The pace: how much of the limit is used, and whether it is ever exceeded, at 100 ms latency."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from campaign.cli.desk import EXIT_INTERRUPTED
from campaign.stages import pacing
from tests.bench.figures import Figure, Target
from tests.bench.gateway import Arrivals
from tests.bench.ground import Ground
from tests.bench.windows import fullest

_LATENCY_S = 0.1
#: A window of a minute has to fit into the run, and the run into the pacer's log.
_RUN_S = 64
_TOGETHER_S = 20
#: Reading, planning and asking take less; who needs more for the sending is stopped.
_START_S = 8
_LIMITS = (30, 200, 500)
_SHARE = Target(99.5, 99, "%")
_WINDOW = Target(1.0, 1.0, "×", lower=True)
_NOTE = (
    "default settings but the limit; from the first to the last send that arrived. Windows: the fullest "
    "second and the fullest minute, as the pacer's log has the moments of leaving and as the gateway saw "
    "them arrive; judged is the worst of the four, as a share of what the limit allows"
)


def measure(ground: Ground) -> Iterator[Figure]:
    """One process at each limit, and two processes on one merchant."""
    for limit in _LIMITS:
        yield from _judged(ground, f"pace {limit}/s, 100 ms", limit, _run(ground, limit, limit * _RUN_S, 1))
    limit = _LIMITS[1]
    both = _run(ground, limit, limit * _TOGETHER_S, 2)
    yield from _judged(ground, f"pace {limit}/s, two processes", limit, both)


def _run(ground: Ground, limit: int, rows: int, processes: int) -> tuple[Arrivals, list[float]]:
    """What arrived, and the moments at which the pacer let requests leave."""
    desk = ground.desk({"gateway": {"sends_per_second": limit}})
    ground.gateway.begin(latency_s=_LATENCY_S)
    sheets = [ground.sheet(rows // processes, f"pace{number}") for number in range(processes)]
    running = [ground.sending(desk, sheet) for sheet in sheets]
    for program in running:
        ended = program.wait(stop_if=lambda: running[0].age_s > rows / limit + _START_S)
        if ended.code not in (0, EXIT_INTERRUPTED):
            raise RuntimeError(f"exit {ended.code} of {program.command}\n{ended.err[-4000:]}")
    seen = ground.gateway.seen()
    if seen.numbers != len(seen.sends_s):
        raise RuntimeError(f"{len(seen.sends_s)} sends of {seen.numbers} numbers")
    [log] = desk.state.rglob("sends.pace")
    left_s = logged(log)
    shutil.rmtree(desk.folder)
    return seen, left_s


def logged(path: Path) -> list[float]:
    """The moments in a pace file's log, in no order; monotonic seconds."""
    state = path.read_bytes()[pacing._LOG_AT :]
    return [moment_s for number, moment_s in pacing._LOGGED.iter_unpack(state) if number]


def _judged(
    ground: Ground, name: str, limit: int, found: tuple[Arrivals, Sequence[float]]
) -> Iterator[Figure]:
    seen, left_s = found
    share = 100 * seen.per_second / limit
    yield Figure(
        f"{name}: share of the limit", f"{seen.per_second:.2f}/s", f"{limit}/s", share, _SHARE, _NOTE
    )
    windows = {
        "left, 1 s": fullest(left_s, 1) / limit,
        "left, 60 s": fullest(left_s, 60) / (60 * limit),
        "arrived, 1 s": fullest(seen.sends_s, 1) / limit,
        "arrived, 60 s": fullest(seen.sends_s, 60) / (60 * limit),
    }
    told = "; ".join(f"{window} {part:.4f}" for window, part in windows.items())
    ground.say(f"{name}: {told}")
    if len(left_s) < len(seen.sends_s):
        raise RuntimeError(f"{len(seen.sends_s)} sends, {len(left_s)} in the pacer's log")
    yield Figure(f"{name}: fullest window", told, "1 × the limit", max(windows.values()), _WINDOW, _NOTE)
