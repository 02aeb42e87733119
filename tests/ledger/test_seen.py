"""Who was to get what, remembered outside the ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.days import DAY_S
from campaign.domain.overlap import COMPARED_S
from campaign.ledger.seen import Pair, SeenRows

LEDGER = Path("/home/finance/campaign.db")
NOW_S = 100 * DAY_S
ROWS = [("oA", 100), ("oB", 200), ("oB", 200), ("oC", 300)]

pairs = st.lists(st.tuples(st.sampled_from(["oA", "oB", "o", "oA\n1"]), st.integers(1, 12)), max_size=20)


@pytest.fixture
def seen(tmp_path: Path) -> SeenRows:
    return SeenRows(tmp_path / "rows")


def common(seen: SeenRows, rows: list[Pair], campaign: str = "lantern", since_s: float = 0.0) -> list[Pair]:
    return seen.common(LEDGER, campaign, rows, since_s=since_s)


@given(had=pairs, more=pairs, wanted=pairs)
def test_each_row_counts_as_often_as_both_have_it(
    tmp_path_factory: pytest.TempPathFactory, had: list[Pair], more: list[Pair], wanted: list[Pair]
) -> None:
    seen = SeenRows(tmp_path_factory.mktemp("seen") / "rows")
    seen.add(LEDGER, "lantern", had, NOW_S)
    seen.add(LEDGER, "lantern", more, NOW_S)
    assert Counter(common(seen, wanted)) == Counter(had + more) & Counter(wanted)


def test_campaigns_and_ledgers_are_kept_apart(seen: SeenRows) -> None:
    seen.add(LEDGER, "lantern", ROWS, NOW_S)
    assert common(seen, ROWS, "moon") == []
    assert seen.common(Path("/other.db"), "lantern", ROWS, since_s=0) == []


def test_nothing_was_remembered(seen: SeenRows) -> None:
    assert common(seen, ROWS) == []


def test_after_thirty_days_it_is_neither_compared_nor_kept(seen: SeenRows, tmp_path: Path) -> None:
    seen.add(LEDGER, "lantern", ROWS, NOW_S)
    assert common(seen, ROWS, since_s=NOW_S) == ROWS
    assert common(seen, ROWS, since_s=NOW_S + 1) == []
    seen.add(LEDGER, "moon", [("oZ", 100)], NOW_S + COMPARED_S)
    assert common(seen, ROWS) == ROWS
    seen.add(LEDGER, "moon", [("oZ", 100)], NOW_S + COMPARED_S + 1)
    assert common(seen, ROWS) == []
    assert len(list((tmp_path / "rows").glob("*.rows"))) == 1


def test_a_row_that_was_half_written_does_not_hide_those_after_it(seen: SeenRows, tmp_path: Path) -> None:
    """A process that was killed at it; its rows were not planned, so they are written again."""
    seen.add(LEDGER, "lantern", ROWS[:2], NOW_S)
    [file] = (tmp_path / "rows").glob("*.rows")
    with file.open("ab") as torn:
        torn.write(b"abc")
    assert common(seen, ROWS) == ROWS[:2]
    seen.add(LEDGER, "lantern", ROWS[2:], NOW_S)
    assert common(seen, ROWS) == ROWS


def test_nobody_reads_an_openid_out_of_it(tmp_path: Path) -> None:
    """Neither in the clear nor by the digests of another folder, and only the owner may look."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        SeenRows(folder).add(LEDGER, "lantern", [("oPerson0000000000000000000001", 188)], NOW_S)
    files = [file for folder in folders for file in folder.iterdir()]
    assert all(b"oPerson" not in file.read_bytes() for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert len({file.read_bytes() for file in files}) == 4
