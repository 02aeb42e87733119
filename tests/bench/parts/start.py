"""Start-up: what is not used is not imported."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.bench.figures import Figure, Target
from tests.bench.ground import Ground

_HELP = Target(0.25, 0.4, "s", lower=True)


def measure(ground: Ground) -> Iterator[Figure]:
    """CPU of ``campaign --help``, beside that of an interpreter that does nothing."""
    ours = statistics.median(ground.run(["-m", "campaign", "--help"]).cpu_s for _ in range(7))
    bare = statistics.median(ground.run(["-c", "pass"]).cpu_s for _ in range(7))
    yield Figure("campaign --help, CPU", f"{ours:.3f} s", f"{bare:.3f} s for an empty Python", ours, _HELP)
