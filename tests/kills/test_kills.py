"""Two runs at once, killed together: one of them holds the campaign, and everybody is paid once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.kills import FAULTS, trial
from tests.acceptance.world import served
from tests.kills.__main__ import trouble

#: Questions are answered: one that fails is put again only a minute later.
SENDS_ONLY = {
    name: {**(rule if isinstance(rule, dict) else {"share": rule}), "endpoint": "sendredpack"}
    for name, rule in FAULTS.items()
    if name not in ("answer_lost", "not_found")
}


def test_two_runs_killed_together_pay_everybody_exactly_once(tmp_path: Path) -> None:
    with served(tmp_path / "gateway", seed=3) as gateway:
        made = trial(tmp_path / "desk", gateway, rows=60, faults=SENDS_ONLY)
        made.rage(3, seed=3, runners=2)
        made.calm()
        made.run_again()
    assert made.broken == []


@pytest.mark.slow
def test_two_thousand_rows_and_25_kills_of_two_runs_at_once() -> None:
    assert trouble(rows=2000, kills=25, runners=2, seed=1) == []
