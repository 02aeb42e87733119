"""Durability: how many rows share an fsync, and what a slower disk costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.figures import Figure, Target, unmeasured
from tests.bench.ground import ROUNDS, TRANSPORTS, Ground, Sent, in_turn, middle, missing, rate

_ROWS = 3_000
_SHARED = Target(28, 16, "rows")
_SHARED_NOTE = (
    "every xSync of SQLite's own VFS and every os.fsync of `campaign run`, from the first to the last send "
    f"that arrived; default settings, no limit, 0 ms; median of {ROUNDS}"
)
_CONNECTIONS = 128
_LATENCY_S = 0.1
_SLOWER_S = 0.005
_SLOWER_ROWS = 3_000
_COST = Target(5, 15, "%", lower=True)
_COST_NOTE = (
    f"{_CONNECTIONS} connections; each xSync and fsync waits 5 ms more; medians of {ROUNDS} runs in turn"
)


def measure(ground: Ground) -> Iterator[Figure]:
    """Rows for each fsync, and the rate with every fsync 5 ms slower."""
    for transport in TRANSPORTS:
        shared = f"rows for each fsync at full speed, {transport}"
        cost = f"5 ms slower fsyncs at 100 ms, {transport}: cost"
        if why := missing(transport):
            yield unmeasured(shared, _SHARED, why)
            yield unmeasured(cost, _COST, why)
            continue
        counts = [_count(ground, transport) for _ in range(ROUNDS)]
        rows = statistics.median(rows for rows, _ in counts)
        told = f"{_ROWS:,} rows, {statistics.median(syncs for _, syncs in counts):,.0f} fsyncs"
        yield Figure(shared, told, "one for each row", rows, _SHARED, _SHARED_NOTE)
        runs = in_turn(
            {
                speed: partial(_slowed, ground, transport, delay_s)
                for speed, delay_s in (("as it is", 0.0), ("slower", _SLOWER_S))
            }
        )
        lost = 100 * (1 - rate(runs["slower"]) / rate(runs["as it is"]))
        yield Figure(
            cost, str(middle(runs["slower"])), str(middle(runs["as it is"])), lost, _COST, _COST_NOTE
        )


def _count(ground: Ground, transport: str) -> tuple[float, int]:
    """Rows for each fsync of one run, and the fsyncs."""
    file = ground.folder / "syncs"
    sent = ground.campaign(_ROWS, transport=transport, program=_program(file, 0.0))
    first_s, last_s = sent.arrivals.sends_s[0], sent.arrivals.sends_s[-1]
    syncs = sum(first_s <= float(line) <= last_s for line in file.read_text().splitlines())
    return _ROWS / max(syncs, 1), syncs


def _slowed(ground: Ground, transport: str, delay_s: float) -> Sent:
    return ground.campaign(
        _SLOWER_ROWS,
        transport=transport,
        workers=_CONNECTIONS,
        latency_s=_LATENCY_S,
        program=_program(ground.folder / "syncs", delay_s),
    )


def _program(file: Path, delay_s: float) -> tuple[str, ...]:
    return ("-m", "tests.bench.syncs", str(file), str(delay_s))
