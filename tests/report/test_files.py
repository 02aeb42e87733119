"""Reports are named safely and written whole or not at all."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import StorageError, UsageError
from campaign.report.files import file_stem, new_file, refuse_existing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["lantern", "元宵节2026", "a.b-c_d"])
def test_an_ordinary_name_stays_as_it_is(name):
    assert file_stem(name) == name


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "a/b", "a\\b", "a:b", "con\x00", "a\nb", "-rf", "~", ".", "..", " ", "*", "a\u202eb",
     "x" * 999],
)  # fmt: skip
def test_a_hostile_name_names_a_plain_file_in_the_folder(name, tmp_path):
    path = tmp_path / f"{file_stem(name)}-report.xlsx"
    assert path.parent.resolve() == tmp_path.resolve()
    assert path.resolve().parent == tmp_path.resolve()
    path.touch()


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_campaigns_never_share_a_file(one, other):
    stems = [file_stem(name) for name in (one, other)]
    assert (stems[0] == stems[1]) == (one == other)
    for stem in stems:
        assert 0 < len(stem.encode()) < 200
        assert not set(stem) & set('<>:"/\\|?*\0\n')
        assert stem[0] not in "-.~ "


def test_altered_names_that_look_the_same_differ():
    assert file_stem("a/b") != file_stem("a:b")


def test_the_file_is_there_whole_and_for_its_owner_only(tmp_path):
    with new_file(tmp_path / "new" / "r.csv") as temporary:
        temporary.write_text("all of it")
        assert not (tmp_path / "new" / "r.csv").exists()
    path = tmp_path / "new" / "r.csv"
    assert path.read_text() == "all of it"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(path.parent) == ["r.csv"]


def test_a_failure_leaves_the_earlier_report_as_it_was(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("earlier")

    def fail():
        with new_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "earlier"
    assert names(tmp_path) == ["r.csv"]


def test_a_full_disk_is_said_in_words(tmp_path):
    def fail():
        with new_file(tmp_path / "r.csv"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"r\.csv could not be written: No space left") as told:
        fail()
    assert "--out" in str(told.value.advice)


def test_a_folder_that_is_a_file_is_said_in_words(tmp_path):
    (tmp_path / "file").touch()

    def fail():
        with new_file(tmp_path / "file" / "r.csv"):
            raise AssertionError("never reached")

    with pytest.raises(StorageError):
        fail()


def test_an_existing_report_is_refused_by_name_and_with_the_way_out(tmp_path):
    there, new = tmp_path / "there.csv", tmp_path / "new.csv"
    there.touch()
    refuse_existing([new])
    with pytest.raises(UsageError, match=r"there\.csv") as told:
        refuse_existing([new, there])
    assert "--force" in str(told.value.advice)


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "r.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError):
        refuse_existing([tmp_path / "r.csv"])
