"""Where the time of a row goes: the processor time of a sent row by subject, for each transport."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.bench.figures import quantity
from tests.bench.ground import TRANSPORTS, Ground, missing

_ROWS = 5_000


def profile(ground: Ground) -> str:
    """A table for each transport that exists."""
    tables = []
    for transport in TRANSPORTS:
        if missing(transport):
            continue
        real = ground.campaign(_ROWS, transport=transport)
        file = ground.folder / "samples"
        program = ("-m", "tests.bench.sampled", str(file))
        in_line = ground.campaign(_ROWS, transport=transport, program=program).arrivals.cpu_us
        shares = shares_us(json.loads(file.read_text()), in_line)
        head = f"{transport}: {real} in all; on one thread, in line: {in_line:,.0f} µs CPU a row"
        difference = real.arrivals.cpu_us - in_line
        tables.append(
            "\n".join([head, *_lines(shares, in_line), f"  {'difference':14} {difference:8,.0f} µs"])
        )
    return "\n\n".join(tables)


def shares_us(samples: Mapping[str, int], cpu_us: float) -> dict[str, float]:
    """Microseconds a row by subject, the most expensive first."""
    seen = sum(samples.values())
    costs = {subject: cpu_us * count / seen for subject, count in samples.items()}
    return dict(sorted(costs.items(), key=lambda cost: -cost[1]))


def _lines(shares: Mapping[str, float], cpu_us: float) -> list[str]:
    return [
        f"  {subject:14} {cost:8,.0f} µs  {quantity(100 * cost / cpu_us, '%'):>7}"
        for subject, cost in shares.items()
    ]
