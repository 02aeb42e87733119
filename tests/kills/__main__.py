"""Several runs of one campaign at once, killed again and again: ``python -m tests.kills --rows 2000``.

The acceptance (`tests.acceptance`) longer and with more than one run at a time: only one of them may work,
and which one that is changes with every kill. Exit 1 if a promise broke.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.kills import trial
from tests.acceptance.world import served


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--runners", type=int, default=2, help="runs at the same time (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="decides the faults and the moments")
    parser.add_argument("--times", type=int, default=1, help="so often, each time with the next seed")
    parser.add_argument("--transport", choices=("requests", "curl"), default="requests")
    options = parser.parse_args()
    broken = 0
    for seed in range(options.seed, options.seed + options.times):
        began_s = time.monotonic()
        told = trouble(
            rows=options.rows,
            kills=options.kills,
            runners=options.runners,
            seed=seed,
            transport=options.transport,
        )
        broken += bool(told)
        outcome = f"BROKEN: {told}" if told else "every promise kept"
        print(f"seed {seed}: {options.rows} rows, {time.monotonic() - began_s:.0f} s: {outcome}", flush=True)
    return 1 if broken else 0


def trouble(*, rows: int, kills: int, runners: int, seed: int, transport: str = "requests") -> list[str]:
    """Kill, calm down, run again, lose the ledger, run again; what was broken on the way."""
    with (
        tempfile.TemporaryDirectory(prefix="campaign-kills-") as folder,
        served(Path(folder) / "gateway", seed=seed) as gateway,
    ):
        made = trial(Path(folder) / "desk", gateway, rows=rows, transport=transport)
        made.rage(kills, seed=seed, runners=runners)
        made.calm()
        made.run_again()
        made.lose_ledger()
        made.run_again()
        return made.broken


if __name__ == "__main__":
    sys.exit(main())
