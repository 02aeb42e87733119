"""What one night leaves to the next."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import CampaignHeld, StorageError
from campaign.ledger.lock import try_hold
from campaign.ledger.nights import Memory, hold_night

FULL = Memory(
    ended_s=1_772_510_400.25,
    succeeded_s=1_772_424_000.0,
    reported={"lantern": 7, "元宵": 12},
    billed_until=date(2026, 3, 2),
    bills_missing=[date(2026, 2, 28), date(2026, 3, 2)],
    untold=True,
)


def the_file(folder):
    return folder / ".campaign.db.night.json"


@pytest.mark.parametrize("memory", [FULL, Memory()])
def test_what_was_written_is_read(tmp_path, memory):
    memory.write(tmp_path / "campaign.db")
    assert Memory.read(tmp_path / "campaign.db") == memory


def test_only_its_owner_may_read_it_and_nothing_else_is_left(tmp_path):
    FULL.write(tmp_path / "campaign.db")
    assert list(tmp_path.iterdir()) == [the_file(tmp_path)]
    assert the_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_two_ways_to_one_ledger_are_one_memory(tmp_path):
    (tmp_path / "campaign.db").touch()
    (tmp_path / "other.db").symlink_to(tmp_path / "campaign.db")
    FULL.write(tmp_path / "other.db")
    assert Memory.read(tmp_path / "campaign.db") == FULL


def test_without_a_file_nothing_is_remembered(tmp_path):
    assert Memory.read(tmp_path / "campaign.db") == Memory()


@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_a_damaged_file_is_no_memory_and_no_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("night")
    the_file(folder).write_bytes(content)
    assert Memory.read(folder / "campaign.db") == Memory()


@pytest.mark.parametrize("key", ["reported", "bills_missing", "billed_until", "ended_s"])
@pytest.mark.parametrize("value", ["soon", [1], {"lantern": "x"}])
def test_nor_is_one_whose_values_are_of_another_kind(tmp_path, key, value):
    FULL.write(tmp_path / "campaign.db")
    content = json.loads(the_file(tmp_path).read_text()) | {key: value}
    the_file(tmp_path).write_text(json.dumps(content))
    assert Memory.read(tmp_path / "campaign.db") == Memory()


def test_a_file_of_before_there_was_anything_untold_is_still_read(tmp_path):
    FULL.write(tmp_path / "campaign.db")
    content = json.loads(the_file(tmp_path).read_text())
    del content["untold"]
    the_file(tmp_path).write_text(json.dumps(content))
    assert Memory.read(tmp_path / "campaign.db") == replace(FULL, untold=False)


def test_where_it_cannot_be_written_the_file_is_named(tmp_path):
    with pytest.raises(StorageError, match="night"):
        FULL.write(tmp_path / "gone" / "campaign.db")


def _hold_in_another_process(path, held, let_go):
    with hold_night(path):
        held.set()
        let_go.wait(10)


def test_there_is_never_a_second_night_run(tmp_path):
    """The lock is the operating system's; it ends with its process."""
    path = tmp_path / "campaign.db"
    FULL.write(path)
    fork = multiprocessing.get_context("fork")
    held, let_go = fork.Event(), fork.Event()
    other = fork.Process(target=_hold_in_another_process, args=(path, held, let_go))
    other.start()
    assert held.wait(10)
    with pytest.raises(CampaignHeld, match="2026-03-03") as caught, hold_night(path):
        pass
    assert caught.value.exit_code == 7
    assert caught.value.advice is not None
    let_go.set()
    other.join(10)
    with hold_night(path):
        pass


def test_a_night_and_a_campaign_of_any_name_do_not_meet(tmp_path):
    with hold_night(tmp_path / "campaign.db"), try_hold(tmp_path / "campaign.db", "night") as held:
        assert held
