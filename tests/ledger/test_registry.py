"""What a machine remembers beside its ledgers."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from campaign.domain.campaign import Campaign
from campaign.domain.days import DAY_S
from campaign.errors import SetupError, StorageError
from campaign.ledger.registry import STATE_DIR_VARIABLE, Listed, Registry, Standing
from campaign.ports import SystemClock
from tests.ledger.build import NOON_S, WIDE, StillClock, entry, open_ledger

HEAD = (7, "00ff")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_of(tmp_path)


def registry_of(root: Path, merchant: str = "1900000109", gateway: str = "api.mch.weixin.qq.com") -> Registry:
    return Registry.of(merchant=merchant, gateway=gateway, environ={STATE_DIR_VARIABLE: str(root / "state")})


def ledger_at(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a ledger")
    return path


def test_the_first_ledger_is_nothing_special(registry: Registry, tmp_path: Path) -> None:
    """Nothing is known, nothing is missing, and looking writes nothing."""
    assert registry.standing(tmp_path / "a.db") == Standing(known=False, vanished=False, others=(), lost=())
    assert registry.last_event(tmp_path / "a.db") is None
    assert not (tmp_path / "state").exists()


def test_a_second_ledger_is_noticed(registry: Registry, tmp_path: Path) -> None:
    """Two ledgers of one merchant count their caps apart, so a person decides."""
    first, second = ledger_at(tmp_path / "a.db"), tmp_path / "b" / "b.db"
    registry.remember(first, HEAD)
    assert registry.standing(second) == Standing(known=False, vanished=False, others=(first,), lost=())
    assert registry.standing(first) == Standing(known=True, vanished=False, others=(), lost=())


def test_a_vanished_ledger_is_noticed(registry: Registry, tmp_path: Path) -> None:
    """Under its own path, and from any other; an emptied one is as good as gone."""
    first = ledger_at(tmp_path / "a.db")
    registry.remember(first, HEAD)
    first.unlink()
    assert registry.standing(first) == Standing(known=True, vanished=True, others=(), lost=())
    assert registry.standing(tmp_path / "b.db") == Standing(
        known=False, vanished=False, others=(), lost=(first,)
    )
    first.touch()
    assert registry.standing(first).vanished
    registry.give_up(first)
    assert not registry.standing(first).known


def test_what_a_ledger_paid_is_remembered_although_a_person_gave_it_up(
    registry: Registry, tmp_path: Path
) -> None:
    """It is asked for no more, but its lists and rows still count; a new ledger in its place is a ledger."""
    first = ledger_at(tmp_path / "a.db")
    registry.remember(first, HEAD, [Campaign(name="lantern", key_column="id", created_at_s=1.5)])
    registry.remember_rows(first, "lantern", [("oA", 100)], DAY_S)
    first.unlink()
    registry.give_up(first)
    assert registry.standing(tmp_path / "b.db") == Standing(
        known=False, vanished=False, others=(), lost=(), given_up=(first,)
    )
    assert registry.last_event(first) is None
    [listed] = registry.lists(first)
    assert listed.given_up
    assert registry.common_rows(listed, [("oA", 100), ("oB", 100)], since_s=0) == [("oA", 100)]
    registry.remember(ledger_at(first), (1, "aa"))
    assert registry.standing(first) == Standing(known=True, vanished=False, others=(), lost=())
    assert [listed.given_up for listed in registry.lists(first)] == [False]


def test_giving_up_what_was_never_there_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    registry.give_up(tmp_path / "a.db")
    assert registry.standing(tmp_path / "b.db").given_up == ()


def test_what_is_remembered_already_is_not_written_again(registry: Registry, tmp_path: Path) -> None:
    first = ledger_at(tmp_path / "a.db")
    registry.remember(first, HEAD)
    file = registry.folder / "ledgers.json"
    before = file.stat()
    registry.remember(first, HEAD)
    assert file.stat() == before


def test_how_far_a_ledger_had_come_is_remembered(registry: Registry, tmp_path: Path) -> None:
    """By its last event, whatever way leads to the file."""
    first = ledger_at(tmp_path / "a.db")
    (tmp_path / "link.db").symlink_to(first)
    registry.remember(first, HEAD)
    registry.remember(first, (9, "aa"))
    assert registry.last_event(tmp_path / "link.db") == (9, "aa")


def test_the_sheets_of_a_lost_ledger_are_remembered(registry: Registry, tmp_path: Path) -> None:
    """Also when a new ledger, which does not know them, takes the lost one's place."""
    first = ledger_at(tmp_path / "a.db")
    campaign = Campaign(name="lantern", key_column="id", created_at_s=1.5, sheet_digest="ff")
    registry.remember(first, HEAD, [campaign])
    first.unlink()
    registry.remember(first, (1, "bb"))
    assert registry.lists(first) == [
        Listed(campaign="lantern", key_column="id", sheet_digest="ff", created_at_s=1.5, ledger=first)
    ]
    assert registry.lists(tmp_path / "b.db") == []


def test_merchants_and_gateways_are_kept_apart(tmp_path: Path) -> None:
    """Hostile names too: nothing leaves the folder, nothing is mixed up."""
    gateways = [
        "rehearsal",
        "api.mch.weixin.qq.com",
        "../..",
        "..",
        "",
        "a/b",
        "a_b",
        "localhost:1",
        "localhost_1",
    ]
    folders = {registry_of(tmp_path, gateway=gateway).folder for gateway in gateways}
    folders |= {registry_of(tmp_path, merchant="1900000110", gateway=gateway).folder for gateway in gateways}
    assert len(folders) == 2 * len(gateways)
    assert {folder.resolve().parent for folder in folders} == {(tmp_path / "state").resolve()}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b'"x"',
        b"\xff\xfe",
        b'{"a": 1, "b": {"seq": "x", "digest": 2}}',
        b'{"b": {"seq": 1, "digest": "x", "campaigns": {"c": ["id"]}}}',
    ],
)
def test_a_damaged_memory_costs_only_its_warnings(registry: Registry, tmp_path: Path, content: bytes) -> None:
    """And is whole again after the next ledger."""
    first = ledger_at(tmp_path / "a.db")
    registry.remember(first, HEAD)
    (registry.folder / "ledgers.json").write_bytes(content)
    assert not registry.standing(first).known
    registry.remember(first, HEAD)
    assert registry.standing(first).known


def test_only_its_owner_may_look(registry: Registry, tmp_path: Path) -> None:
    """Paths tell something about people, too."""
    registry.remember(ledger_at(tmp_path / "a.db"), HEAD)
    assert registry.folder.stat().st_mode & 0o077 == 0
    assert {f.stat().st_mode & 0o077 for f in registry.folder.iterdir()} == {0}


def test_a_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """Names the folder and the way round."""
    (tmp_path / "state").write_text("a file")
    registry = registry_of(tmp_path)
    for work in (lambda: registry.remember(tmp_path / "a.db", HEAD), lambda: registry.pace_path("sends")):
        with pytest.raises(StorageError) as stop:
            work()
        assert STATE_DIR_VARIABLE in str(stop.value.advice)


def test_the_pace_is_one_file_for_each_kind(tmp_path: Path) -> None:
    """Sends and questions have limits of their own, each shared by all processes of the merchant."""
    environ = {STATE_DIR_VARIABLE: str(tmp_path / "state")}
    first, second = (
        Registry.of(merchant="1900000109", gateway="rehearsal", environ=environ) for _ in range(2)
    )
    files = [first.pace_path(kind) for kind in ("sends", "queries")]
    assert [f.name for f in files] == ["sends.pace", "queries.pace"]
    assert files[0] == second.pace_path("sends")
    assert files[0].parent.is_dir()


def test_without_a_word_it_is_the_users_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the XDG rules say."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    folder = Registry.of(merchant="1900000109", gateway="rehearsal", environ={}).folder
    assert "campaign" in folder.parts
    assert folder.is_relative_to(tmp_path / "xdg") or "Library" in folder.parts


def test_only_one_process_spends_a_merchants_allowance_at_a_time(registry: Registry, tmp_path: Path) -> None:
    """Another merchant's is not kept waiting; and the lock is given back."""
    with registry.spending(StillClock()):
        assert not may_spend(registry)
        assert may_spend(registry_of(tmp_path, merchant="1900000110"))
    assert may_spend(registry)


def may_spend(registry: Registry) -> bool:
    """Whether another process would get in; ``flock`` asks by open file, so this one can play it."""
    with (registry.pace_path("sends").parent / "spending.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


class LettingGo(StillClock):
    """A clock by which the other process lets go after so many looks."""

    def __init__(self, other: int, looks: int) -> None:
        super().__init__()
        self._other, self._looks = other, looks

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if len(self.slept) == self._looks:
            fcntl.flock(self._other, fcntl.LOCK_UN)


def test_who_spends_is_waited_for(registry: Registry) -> None:
    """It takes no longer than a commit."""
    with (registry.pace_path("sends").parent / "spending.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        clock = LettingGo(other.fileno(), looks=40)
        with registry.spending(clock):
            assert not may_spend(registry)
        assert 0 < sum(clock.slept) < 1
    assert may_spend(registry)


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number that nobody has."""

    def nobody(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.unix.Unix.user_state_path", property(nobody))
    with pytest.raises(SetupError, match="no home") as stop:
        Registry.of(merchant="1900000109", gateway="rehearsal", environ={})
    assert STATE_DIR_VARIABLE in str(stop.value.advice)


def test_a_folder_without_locks_or_room_is_named(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    for system, call in ((fcntl, "flock"), (os, "pwrite")):
        with monkeypatch.context() as patch:
            patch.setattr(system, call, refuse)
            with (
                pytest.raises(StorageError, match=str(registry.folder)),
                registry.spending(StillClock()),
            ):
                pytest.fail("held")


class Impatient(StillClock):
    """A clock under which nobody waits for longer than a minute."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        assert self.at_s < NOON_S + 60, "waits for ever"


def test_a_process_that_keeps_the_allowance_is_named_and_not_waited_for_for_ever(registry: Registry) -> None:
    """One that was suspended would hold up everything of the merchant, and nobody would know why."""
    with registry.spending(StillClock()):
        clock = Impatient()
        with pytest.raises(StorageError, match=str(os.getpid())) as stop, registry.spending(clock):
            raise AssertionError("two of them spend at once")
        assert sum(clock.slept) == pytest.approx(30, abs=0.1)
        assert stop.value.exit_code == 5
        assert "run the same command again" in str(stop.value.advice)
        assert not may_spend(registry)
    with registry.spending(StillClock()):
        assert not may_spend(registry)


@pytest.mark.parametrize(
    "work",
    [
        lambda registry, ledger: registry.remember(ledger, HEAD),
        lambda registry, ledger: registry.give_up(ledger),
        lambda registry, ledger: registry.remember_rows(ledger, "lantern", [("oA", 100)], NOON_S),
    ],
)
def test_a_process_that_keeps_the_memory_is_named_and_not_waited_for_for_ever(
    registry: Registry, tmp_path: Path, work: Callable[[Registry, Path], None]
) -> None:
    """A run that came to its end would hang there for good, its answer unsaid."""
    with registry._locked():
        with pytest.raises(StorageError, match=f"{os.getpid()}.*memory") as stop:
            work(Registry(registry.folder, Impatient()), tmp_path / "a.db")
        assert "run the same command again" in str(stop.value.advice)
    work(Registry(registry.folder, Impatient()), tmp_path / "a.db")


def test_two_ledgers_never_spend_the_same_allowance(registry: Registry, tmp_path: Path) -> None:
    """Two writers, a ledger each, and a day's cap for five packets: together they begin five."""
    cap = replace(WIDE, merchant_day_fen=5 * 188)
    start = threading.Barrier(2)

    def writer(mine: str, other: str) -> int:
        with (
            open_ledger(tmp_path / mine, names=(mine,)) as ledger,
            open_ledger(tmp_path / other, names=()) as beside,
        ):
            ledger.add_entries([entry(f"o{mine}", row=n, campaign=mine) for n in range(2, 22)], NOON_S)
            start.wait()
            begun = 0
            for claim in ledger.candidates(mine, now_s=NOON_S, limit=20):
                with registry.spending(SystemClock()):
                    begun += len(
                        ledger.begin_sends(
                            [claim], limits=cap, now_s=NOON_S, owner=mine, lease_s=300.0, others=[beside]
                        ).entries
                    )
            return begun

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(writer, ("a.db", "b.db"), ("b.db", "a.db"))) == 5


def test_what_is_remembered_has_a_version(registry: Registry, tmp_path: Path) -> None:
    """So that a ledger which another process makes is noticed without reading everything again."""
    before = registry.version()
    registry.remember(ledger_at(tmp_path / "a.db"), HEAD)
    remembered = registry.version()
    assert remembered != before
    assert registry.version() == remembered
    registry.give_up(tmp_path / "a.db")
    assert registry.version() != remembered
