"""``python -m tests.bench [PART …]``: everything that is promised about speed, measured, in one table."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.figures import Figure, Target, Verdict, as_json, table, unmeasured
from tests.bench.gateway import serving
from tests.bench.ground import Ground
from tests.bench.parts import durability, latency, pace, report, send, sheets, start
from tests.bench.profile import profile

PARTS: Final[dict[str, Callable[[Ground], Iterator[Figure]]]] = {
    "start": start.measure,
    "send": send.measure,
    "latency": latency.measure,
    "pace": pace.measure,
    "durability": durability.measure,
    "sheets": sheets.measure,
    "report": report.measure,
}
#: More programs than this at work beside the bench take time from it: client and gateway need a core each.
_BUSY: Final = 0.5
#: A part that breaks has missed whatever it promised.
_WHOLE: Final = Target(1, 1, "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--list", action="store_true", help="list the parts")
    parser.add_argument("--out", type=Path, help="write the table as JSON, too")
    parser.add_argument(
        "--profile", action="store_true", help="show where the time of a row goes, and no table"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.list:
        for name, part in PARTS.items():
            print(f"{name:12} {(sys.modules[part.__module__].__doc__ or '').splitlines()[0]}")
        return 0
    if options.profile:
        with _ground() as ground:
            print(profile(ground))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and take everything away
    load, *_ = os.getloadavg()
    figures = run(options.parts or list(PARTS))
    print(table(figures))
    if load > _BUSY:
        print(f"Load {load:.1f} before the bench began: other programs were at work, so rates are too low.")
    if options.out:
        options.out.write_text(as_json(figures, load=load) + "\n", encoding="utf-8")
    return 1 if any(figure.verdict is Verdict.MISSED for figure in figures) else 0


def run(parts: list[str]) -> list[Figure]:
    """Measure these parts; each row is said as soon as it is known."""
    figures: list[Figure] = []
    with _ground() as ground:
        for name in parts:
            began_s = time.monotonic()
            try:
                for figure in PARTS[name](ground):
                    figures.append(figure)
                    _say(f"{figure.name}: {figure.ours} | {figure.against} | {figure.value} {figure.verdict}")
            except Exception as error:  # noqa: BLE001 - the other parts are worth having
                figures.append(unmeasured(f"{name}: broken off", _WHOLE, f"{type(error).__name__}: {error}"))
                _say(figures[-1].note)
            _say(f"-- {name}: {time.monotonic() - began_s:.0f} s")
    return figures


@contextmanager
def _ground() -> Iterator[Ground]:
    # Not in /tmp, which may be memory: durability is what costs here.
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as folder,
        serving(Path(folder, "gateway")) as gateway,
    ):
        ground = Ground(Path(folder), gateway, say=_say)
        try:
            yield ground
        finally:
            ground.close()


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
