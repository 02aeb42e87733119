"""The list of mutants follows the source; `make mutants` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.breaks)
def test_a_mutant_can_still_be_made(mutant: Mutant) -> None:
    """Its text stands once in the source, so breaking it breaks what the list says."""
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1


def test_the_list_is_long_enough_and_names_each_mutant_once() -> None:
    assert len(MUTANTS) >= 40
    assert len({mutant.breaks for mutant in MUTANTS}) == len(MUTANTS)
