"""Many stories: ``python -m tests.simulation --seeds 5000``; one in full: ``--seed 17 -v``."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.story import Story

_CHUNK = 50


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many (default 500)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--seed", type=int, help="tell this one only")
    parser.add_argument("--keep-going", action="store_true", help="list every seed that fails")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell every step")
    options = parser.parse_args()
    if options.seed is not None:
        return _tell_one(options.seed, verbose=options.verbose)
    started_s, done, failed = time.monotonic(), 0, 0
    seeds = range(options.first, options.first + options.seeds)
    chunks = [seeds[i : i + _CHUNK] for i in range(0, len(seeds), _CHUNK)]
    with ProcessPoolExecutor(options.jobs) as pool:
        for chunk, failures in zip(chunks, pool.map(failures_of, chunks), strict=True):
            done += len(chunk)
            for seed, why in failures:
                failed += 1
                print(f"seed {seed} FAILED: {why}\n  replay: python -m tests.simulation --seed {seed} -v")
                if not options.keep_going:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return 1
            if sys.stderr.isatty() or done % 500 == 0:
                print(f"{done} seeds, {done / (time.monotonic() - started_s):.0f} a second", file=sys.stderr)
    print(f"{done} seeds, {failed} failed, {time.monotonic() - started_s:.1f} s")
    return 1 if failed else 0


def failures_of(seeds: range) -> list[tuple[int, str]]:
    """The seeds whose stories end badly, and why."""
    failures = []
    for seed in seeds:
        try:
            Story(seed).tell()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            failures.append((seed, f"{type(error).__name__}: {error}"))
    return failures


def _tell_one(seed: int, *, verbose: bool) -> int:
    try:
        Story(seed, say=print if verbose else lambda _: None).tell()
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        print(f"seed {seed} FAILED")
        return 1
    print(f"seed {seed} ended well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
