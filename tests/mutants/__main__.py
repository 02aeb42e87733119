"""Breaks a copy of the program in every way of `MUTANTS` and sees whether the tests notice.

``python -m tests.mutants``; ``--only WORD …`` for those whose description or file has one of the words.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
#: Stories that are tried where the tests notice nothing.
_SEEDS = 120
_TIMEOUT_S = 300.0
_PYTEST = ("pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "tests.mutants.quick")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="words of descriptions or files' names")
    parser.add_argument("--jobs", type=int, default=2, help="copies at work beside each other (default 2)")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if any(word in m.breaks or word in m.file for word in options.only)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: Queue[Path] = Queue()
        for n in range(options.jobs):
            copies.put(_copy(Path(folder) / str(n)))
        if not _sound(copies, chosen):
            print("the tests fail without any mutant")
            return 1
        with ThreadPoolExecutor(options.jobs) as pool:
            verdicts = list(pool.map(lambda mutant: _tried(mutant, copies), chosen))
    survived = [m for m, killed in zip(chosen, verdicts, strict=True) if not killed]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed")
    return 1 if survived else 0


def _copy(folder: Path) -> Path:
    for name in ("campaign", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def _sound(copies: Queue[Path], chosen: list[Mutant]) -> bool:
    """Whether all the tests pass as long as nothing is broken; otherwise a kill would mean nothing."""
    folder = copies.get()
    copies.put(folder)
    tests = dict.fromkeys(test for mutant in chosen for test in mutant.tests if (folder / test).exists())
    return not _fails(folder, *_PYTEST, *tests, timeout_s=4 * _TIMEOUT_S)


def _tried(mutant: Mutant, copies: Queue[Path]) -> bool:
    """Whether the tests noticed."""
    folder = copies.get()
    file = folder / mutant.file
    whole = file.read_text(encoding="utf-8")
    started_s = time.monotonic()
    try:
        if whole.count(mutant.old) != 1:
            print(f"NOT FOUND ONCE  {mutant.file}: {mutant.breaks}", flush=True)
            return False
        file.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
        tests = [test for test in mutant.tests if (folder / test).exists()]
        by = ""
        if _fails(folder, *_PYTEST, *tests):
            by = "tests"
        elif _fails(folder, "tests.simulation", "--seeds", str(_SEEDS), "--jobs", "1"):
            by = "simulation"
    finally:
        file.write_text(whole, encoding="utf-8")
        copies.put(folder)
    told = f"killed by {by}" if by else "SURVIVED"
    print(f"{told:<21} {time.monotonic() - started_s:5.1f} s  {mutant.file}: {mutant.breaks}", flush=True)
    return bool(by)


def _fails(folder: Path, *command: str, timeout_s: float = _TIMEOUT_S) -> bool:
    # -B: a second's resolution in a cached module's date would hide a change of the same length.
    program = [sys.executable, "-B", "-m", *command]
    try:
        return subprocess.run(program, cwd=folder, capture_output=True, timeout=timeout_s).returncode != 0
    except subprocess.TimeoutExpired:
        return True


if __name__ == "__main__":
    sys.exit(main())
