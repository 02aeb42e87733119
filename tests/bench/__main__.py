"""``python -m tests.bench``: throughput and memory of a run; ``--profile`` shows where its time goes."""

from __future__ import annotations

import argparse
import pstats
import sys
import tempfile
from pathlib import Path

from tests.bench.throughput import measure

_SHOWN = 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--profile", action="store_true", help="and name the slowest functions")
    options = parser.parse_args()
    # Not in /tmp, which may be memory: durability is what costs here.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as folder:
        profile = Path(folder) / "run.profile" if options.profile else None
        print(measure(options.rows, Path(folder), workers=options.workers, profile=profile))
        if profile:
            pstats.Stats(str(profile)).sort_stats("tottime").print_stats(_SHOWN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
