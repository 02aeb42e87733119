"""Issue A's acceptance: ``python -m tests.acceptance --rows 500 --kills 10``; exit 1 if a promise broke."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.kills import trial
from tests.acceptance.world import served


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance", description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="decides the faults and the moments")
    parser.add_argument("--transport", choices=("requests", "curl"), default="requests")
    options = parser.parse_args()
    began_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="campaign-acceptance-") as folder,
        served(Path(folder) / "gateway", seed=options.seed) as gateway,
    ):
        made = trial(
            Path(folder) / "desk", gateway, rows=options.rows, transport=options.transport, tell=print
        )
        killed = made.rage(options.kills, seed=options.seed)
        made.calm()
        made.run_again()
        made.lose_ledger()
        made.run_again()
    outcome = f"{len(made.broken)} promises broken" if made.broken else "every promise kept"
    print(f"{options.rows} rows, {killed} kills, {time.monotonic() - began_s:.0f} s: {outcome}")
    return 1 if made.broken else 0


if __name__ == "__main__":
    sys.exit(main())
