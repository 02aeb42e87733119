"""The acceptance in small: ``python -m tests.acceptance --rows 500 --kills 10`` is the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.kills import FAULTS, trial
from tests.acceptance.world import served

#: Questions are answered: one that fails is put again only a minute later.
SENDS_ONLY = {
    name: {**(rule if isinstance(rule, dict) else {"share": rule}), "endpoint": "sendredpack"}
    for name, rule in FAULTS.items()
    if name not in ("answer_lost", "not_found")
}


@pytest.mark.parametrize("transport", ["requests", "curl"])
def test_killed_at_random_moments_everybody_is_paid_exactly_once(tmp_path: Path, transport: str) -> None:
    """Then the ledger is lost, and not one new order is made."""
    with served(tmp_path / "gateway") as gateway:
        made = trial(tmp_path / "desk", gateway, rows=40, transport=transport, faults=SENDS_ONLY)
        assert made.rage(2, seed=2) > 0
        assert made.calm().code == 6
        made.run_again()
        made.lose_ledger()
        made.run_again()
    assert made.broken == []
