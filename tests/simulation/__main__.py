"""Many stories: ``python -m tests.simulation --seeds 5000``; one in full: ``--seed 17 -v``.

What an operator does in them: runs the sheet, runs it again, a pilot (``--limit``), reconciles, waits for
minutes or days; edits amount, greeting or openid, re-orders, extends, removes rows and puts them back,
changes an id, removes the id column, corrects a refused row, corrects one in the fix sheet and in the
original (in both orders, with the ledger or without); renames the sheet and says ``--name``, or does not;
copies and edits it; runs it under a name that it had before; begins a second campaign for the same people, in
the same ledger or in one of its own (with ``--new-ledger`` and without), and runs a list with the wrong
ledger; cancels and reopens; runs a reissue sheet, and one with a second number for a row that is not dead;
looks up with ``records status`` what became of a packet;
breaks key, appid and certificate in the settings, and mends them; tops up; sets the clock; loses the ledger
and restores an older copy.

What happens to them: the process dies before and after any request, any commit and any write of the
registry; disks are full; requests arrive minutes late; run, reconcile and cancel start beside a run, and so
does another campaign; requests leave while a commit is written; and WeChat Pay answers with every fault of
`tests.simulation.story.FAULTS`, and pays what it has called FAILED.

``--count`` prints how often each of these came about.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.machine import handed_on
from tests.simulation.story import Story

_CHUNK = 50


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=500, help="how many (default 500)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--seed", type=int, help="tell this one only")
    parser.add_argument("--keep-going", action="store_true", help="list every seed that fails")
    parser.add_argument("--count", action="store_true", help="print what came about, and how often")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell every step")
    options = parser.parse_args()
    if options.seed is not None:
        return _tell_one(options.seed, verbose=options.verbose)
    started_s, done, failed = time.monotonic(), 0, 0
    did: Counter[str] = Counter()
    cpu_s = 0.0
    seeds = range(options.first, options.first + options.seeds)
    chunks = [seeds[i : i + _CHUNK] for i in range(0, len(seeds), _CHUNK)]
    warm_up()
    with ProcessPoolExecutor(options.jobs) as pool:
        for chunk, (failures, counted, took_s) in zip(chunks, pool.map(tell_many, chunks), strict=True):
            done += len(chunk)
            did += counted
            cpu_s += took_s
            for seed, why in failures:
                failed += 1
                print(f"seed {seed} FAILED: {why}\n  replay: python -m tests.simulation --seed {seed} -v")
                if not options.keep_going:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return 1
            if sys.stderr.isatty() or done % 500 == 0:
                print(f"{done} seeds, {done / (time.monotonic() - started_s):.0f} a second", file=sys.stderr)
    if options.count:
        for what in sorted(did):
            print(f"{did[what]:8,}  {what}")
    took = f"{time.monotonic() - started_s:.1f} s, {done / cpu_s:.1f} seeds a second of one core"
    print(f"{done} seeds, {failed} failed, {took}")
    return 1 if failed else 0


def warm_up() -> None:
    """Import here, once, what stories need; the workers are forks of this process, and have it then."""
    Story(0).tell()
    gc.collect()
    gc.freeze()  # none of it is garbage: nobody need look through it again
    gc.set_threshold(100_000)  # objects; a story makes little garbage that counting alone does not free


def tell_many(seeds: range) -> tuple[list[tuple[int, str]], Counter[str], float]:
    """The seeds whose stories end badly, and why; what came about in all of them; seconds of CPU."""
    failures = []
    did: Counter[str] = Counter()
    began_s = time.process_time()
    with handed_on():
        for seed in seeds:
            story = Story(seed)
            try:
                story.tell()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
                failures.append((seed, f"{type(error).__name__}: {error}"))
            did += story.did
    return failures, did, time.process_time() - began_s


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
