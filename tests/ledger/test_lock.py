"""One run holds a campaign at a time, and a dead one holds nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.errors import CampaignHeld, StorageError
from campaign.ledger import lock
from campaign.ledger.lock import hold_campaign, try_hold

HOLD = """
import sys, time
from pathlib import Path
from campaign.ledger.lock import hold_campaign
with hold_campaign(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_told_who_holds_the_campaign(tmp_path: Path) -> None:
    """Process, host and since when; and that nothing was sent."""
    ledger = tmp_path / "campaign.db"
    with (
        hold_campaign(ledger, "lantern"),
        pytest.raises(CampaignHeld) as refusal,
        hold_campaign(ledger, "lantern"),
    ):
        pytest.fail("held twice")
    message = str(refusal.value)
    assert f"process {os.getpid()} on " in message
    assert "since 20" in message
    assert "+08:00" in message
    assert refusal.value.exit_code == 7
    assert "Nothing was sent" in str(refusal.value.advice)


def test_other_campaigns_and_ledgers_are_free(tmp_path: Path) -> None:
    """One lock is one campaign of one ledger."""
    with (
        hold_campaign(tmp_path / "a.db", "lantern"),
        hold_campaign(tmp_path / "a.db", "spring"),
        hold_campaign(tmp_path / "b.db", "lantern"),
    ):
        pass


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    """Also when the work failed."""
    ledger = tmp_path / "campaign.db"
    with pytest.raises(RuntimeError), hold_campaign(ledger, "lantern"):
        raise RuntimeError
    with try_hold(ledger, "lantern") as held:
        assert held
        with try_hold(ledger, "lantern") as again:
            assert not again
        with try_hold(ledger, "lantern") as again:  # asking in vain has not freed it
            assert not again


def test_two_ways_to_one_file_are_one_ledger(tmp_path: Path) -> None:
    """A symbolic link, or a path with dots."""
    ledger = tmp_path / "campaign.db"
    ledger.touch()
    link = tmp_path / "link.db"
    link.symlink_to(ledger)
    with hold_campaign(ledger, "lantern"), try_hold(link, "lantern") as held:
        assert not held


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "x" * 300, "\u5143\u5bb5", "a\nb", "con"])
def test_a_campaigns_name_is_no_path(tmp_path: Path, name: str) -> None:
    """Whatever it holds, the lock stands beside the ledger, for its owner only."""
    with hold_campaign(tmp_path / "campaign.db", name):
        (file,) = tmp_path.iterdir()
        assert file.stat().st_mode & 0o077 == 0


def test_a_ledger_in_memory_is_ours_anyway() -> None:
    """Tests and simulations have nobody to share with."""
    with hold_campaign(None, "lantern"), try_hold(None, "lantern") as held:
        assert held


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    """kill -9 leaves nothing to clean up."""
    ledger = tmp_path / "campaign.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(ledger), "lantern"], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CampaignHeld, match=f"process {holder.pid} "), hold_campaign(ledger, "lantern"):
            pytest.fail("held twice")
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    with try_hold(ledger, "lantern") as held:
        assert held


def test_a_holder_that_did_not_say_who_it_is(tmp_path: Path) -> None:
    """The file is damaged, or only just being written: the refusal stands without a name."""
    ledger = tmp_path / "campaign.db"
    with hold_campaign(ledger, "lantern"):
        for content in (b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"):
            next(tmp_path.glob(".*lock")).write_bytes(content)
            with pytest.raises(CampaignHeld, match="lantern"), hold_campaign(ledger, "lantern"):
                pytest.fail("held twice")


def test_a_folder_without_room_for_the_lock(tmp_path: Path) -> None:
    """Said as what it is."""
    with (
        pytest.raises(StorageError, match="lock file"),
        hold_campaign(tmp_path / "no" / "campaign.db", "lantern"),
    ):
        pytest.fail("held")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_network_drive_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(StorageError, match=f"{tmp_path}.*{os.strerror(code)}") as stop,
        hold_campaign(tmp_path / "campaign.db", "lantern"),
    ):
        pytest.fail("held")
    assert "network drive" in str(stop.value.advice)


def test_a_disk_without_room_for_the_holders_name_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    with (
        pytest.raises(StorageError, match="No space left"),
        hold_campaign(tmp_path / "campaign.db", "lantern"),
    ):
        pytest.fail("held")


def test_programs_that_we_start_do_not_inherit_it(tmp_path: Path) -> None:
    """A browser opened from here must not keep the campaign locked."""
    ledger = tmp_path / "campaign.db"
    descriptor = lock._open(lock._lock_path(ledger, "lantern"))
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
