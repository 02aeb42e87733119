"""The file is private, durable, ours, and refused with a word of help when it is not whole."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from campaign.domain.answer import Outcome
from campaign.domain.finding import debit_unexpected
from campaign.domain.state import State
from campaign.errors import CampaignError, LedgerRefused, StorageError
from campaign.ledger import file, schema
from campaign.ledger.store import Ledger
from tests.domain.bills import line
from tests.ledger.build import (
    GATEWAY,
    MERCHANT,
    NOON_S,
    StillClock,
    begin,
    begun,
    end,
    entry,
    now,
    open_ledger,
    plan,
)

#: A program that opens the ledger named on its command line, and closes it.
OPEN = (
    "import sys; from pathlib import Path; from campaign.ledger.store import Ledger;"
    "from campaign.ports import SystemClock; "
    f"Ledger.open(Path(sys.argv[1]), merchant={MERCHANT!r}, gateway={GATEWAY!r}, clock=SystemClock()).close()"
)


def reopen(path: Path, *, merchant: str = MERCHANT, gateway: str = GATEWAY) -> Ledger:
    return Ledger.open(path, merchant=merchant, gateway=gateway, clock=StillClock())


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """It holds openids; its companions too."""
    path = tmp_path / "campaign.db"
    before = os.umask(0)
    try:
        with open_ledger(path) as ledger:
            plan(ledger, "oA 1.88")
            files = sorted(tmp_path.iterdir())
            assert [f.name for f in files] == ["campaign.db", "campaign.db-shm", "campaign.db-wal"]
            assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
        path.chmod(0o644)
        with reopen(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_commit_survives_a_power_failure(tmp_path: Path) -> None:
    """WAL with synchronous=FULL, and foreign keys hold."""
    with open_ledger(tmp_path / "campaign.db") as ledger:
        settings = [
            ledger._db.execute(f"PRAGMA {p}").fetchone()[0]
            for p in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]


def test_a_copy_taken_at_any_commit_is_a_whole_ledger(tmp_path: Path) -> None:
    """As after a power failure: database and -wal as they were on the disk at that moment."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        (planned,) = plan(ledger, "oA 1.88")
        first = begun(ledger, planned)
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("campaign.db", "campaign.db-wal"):
            shutil.copy(tmp_path / name, copy / name)
        end(ledger, first, Outcome.ACCEPTED)
    with reopen(copy / "campaign.db") as restored:
        assert now(restored, planned) == first
        assert list(restored.broken_events()) == []


def test_opening_again_finds_everything(tmp_path: Path) -> None:
    """And a second process may have it open at the same time."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger, reopen(path) as other:
        (planned,) = plan(ledger, "oA 1.88")
        assert now(other, planned) == planned
        first = begun(other, planned)
        assert not begin(ledger, planned, owner="them", at_s=NOON_S + 5).entries
    with reopen(path) as again:
        assert now(again, planned) == first


def test_there_is_none_until_something_was_written(tmp_path: Path) -> None:
    """`open_existing` makes nothing; an empty file is what a crash in the first instant leaves."""
    path = tmp_path / "campaign.db"

    def existing() -> Ledger | None:
        return Ledger.open_existing(path, merchant=MERCHANT, gateway=GATEWAY, clock=StillClock())

    assert existing() is None
    path.touch()
    assert existing() is None
    open_ledger(path).close()
    found = existing()
    assert found is not None
    found.close()


@pytest.mark.parametrize(
    "other, named",
    [
        ({"merchant": "1900000999"}, "merchant 1900000109"),
        ({"gateway": "api.mch.weixin.qq.com"}, "rehearsal"),
    ],
)
def test_another_merchants_or_gateways_ledger_is_refused(
    tmp_path: Path, other: dict[str, str], named: str
) -> None:
    """A rehearsal's packets must never count as paid ones."""
    path = tmp_path / "campaign.db"
    open_ledger(path).close()
    with pytest.raises(LedgerRefused, match=named) as refusal:
        reopen(path, **other)
    assert str(next(iter(other.values()))) in str(refusal.value)
    assert "[ledger] url" in str(refusal.value.advice)
    assert refusal.value.exit_code == 7


def test_a_newer_ledger_is_refused_and_not_touched(tmp_path: Path) -> None:
    """An old program would not understand what it must not forget."""
    path = tmp_path / "campaign.db"
    open_ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerRefused, match="newer version"):
        reopen(path)
    assert path.read_bytes() == before


DAMAGE = {
    "no database": lambda content: b"Excel was here " * 400,
    "cut off": lambda content: content[: len(content) // 2 // 4096 * 4096],
    "header": lambda content: content[:16] + b"\xff" * 84 + content[100:],
    "first page": lambda content: content[:100] + os.urandom(3996) + content[4096:],
    "all but the first page": lambda content: content[:4096] + b"\xa5" * (len(content) - 4096),
    "one page in the middle": lambda content: content[:8192] + b"\x00" * 4096 + content[12288:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_ledger_is_refused_with_a_way_on(tmp_path: Path, damage) -> None:
    """At once, and nothing is lost: numbers follow from the sheet."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        plan(ledger, *(f"o{n} 1.88" for n in range(400)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LedgerRefused) as refusal:
        reopen(path)
    assert str(path) in str(refusal.value)
    assert "Move the file" in str(refusal.value.advice)


def test_damage_that_shows_later_is_told_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large file only a part is checked when it is opened."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        plan(ledger, *(f"o{n} 1.88" for n in range(400)))
        root = ledger._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entry'").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    monkeypatch.setattr(file, "_WHOLE_CHECK_BYTES", 0)
    with reopen(path) as ledger, pytest.raises(LedgerRefused, match="damaged"):
        list(ledger.entries("lantern"))


KEPT_TEXTS = {
    "an event": ("UPDATE event SET detail = '{' WHERE seq = 2", "event 2", lambda ledger: ledger.events()),
    "its kind": ("UPDATE event SET kind = 'sold' WHERE seq = 2", "event 2", lambda ledger: ledger.events()),
    "a line": ("UPDATE billed SET line = '[1]'", "billed", lambda ledger: ledger.billed("lantern")),
    "a finding": ("UPDATE finding SET content = '{}'", "finding", lambda ledger: ledger.findings("lantern")),
    "days": ("UPDATE matching SET days = '[1]'", "matching", lambda ledger: [ledger.matched("lantern")]),
}


@pytest.mark.parametrize("statement, place, read", KEPT_TEXTS.values(), ids=KEPT_TEXTS.keys())
def test_a_text_that_somebody_altered_is_damage_and_no_bug(tmp_path: Path, statement, place, read) -> None:
    """SQLite knows nothing of what the texts say; `audit` names them all, and whoever reads one is told."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        (row,) = plan(ledger, "oA 1.88")
        debit = line("-1.88", row.mch_billno)
        found = [debit_unexpected(row, [debit])]
        ledger.keep_match("lantern", [date(2026, 3, 3)], [(row.mch_billno, debit)], found, NOON_S)
        assert list(read(ledger))
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER event_is_final")
        connection.execute(statement)
    connection.close()
    with reopen(path) as ledger, pytest.raises(LedgerRefused, match=f"damaged: {place}") as refusal:
        list(read(ledger))
    assert "Move the file" in str(refusal.value.advice)


def test_a_full_disk_stops_with_a_word_and_undoes_the_half(tmp_path: Path) -> None:
    """The transaction is gone as a whole; the ledger goes on when there is room."""
    with open_ledger(tmp_path / "campaign.db") as ledger:
        (planned,) = plan(ledger, "oA 1.88")
        pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
        ledger._db.execute(f"PRAGMA max_page_count = {pages + 3}")
        with pytest.raises(StorageError, match="full") as stop:
            ledger.add_entries((entry(f"o{n}", row=n) for n in range(10, 3000)), NOON_S)
        assert stop.value.exit_code == 5
        assert "run the same command again" in str(stop.value.advice)
        assert ledger.totals("lantern")[State.PLANNED] == (1, 188)
        ledger._db.execute("PRAGMA max_page_count = 1000000")
        assert begun(ledger, planned).attempt == 1
        assert list(ledger.broken_events()) == []
        assert list(ledger.unexplained()) == []


class Disk:
    """A connection whose commits do as they are told first."""

    def __init__(self, real: sqlite3.Connection, at_commit: Callable[[], object]) -> None:
        self._real = real
        self._at_commit = at_commit

    def execute(self, sql: str, *values: object) -> object:
        if sql == "COMMIT":
            self._at_commit()
        return self._real.execute(sql, *values)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def full() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"  # type: ignore[misc]  # as SQLite itself sets it
    raise error


@pytest.mark.parametrize("meanwhile", [None, lambda: None])
def test_a_disk_that_is_full_at_the_commit(tmp_path: Path, meanwhile: Callable[[], None] | None) -> None:
    """The intent is not durable, so the caller must not send: it gets an exception, not entries."""
    with open_ledger(tmp_path / "campaign.db") as ledger:
        (planned,) = plan(ledger, "oA 1.88")
        real = ledger._db
        ledger._db = Disk(real, full)  # type: ignore[assignment]  # plays one
        with pytest.raises(StorageError, match="full"), ledger.atomic(meanwhile):
            begin(ledger, planned)
        ledger._db = real
        assert now(ledger, planned) == planned


def test_the_caller_does_something_else_while_the_disk_writes(tmp_path: Path) -> None:
    path = tmp_path / "campaign.db"
    done = threading.Event()
    with open_ledger(path) as ledger, reopen(path) as other:
        (planned,) = plan(ledger, "oA 1.88")
        # A commit that ends only when something was done meanwhile.
        ledger._db = Disk(ledger._db, lambda: done.wait(60))  # type: ignore[assignment]  # plays one
        with ledger.atomic(done.set):
            begin(ledger, planned)
        assert done.is_set()
        assert now(other, planned).state is State.IN_DOUBT


def test_what_fails_meanwhile_is_told_and_the_commit_stands(tmp_path: Path) -> None:
    path = tmp_path / "campaign.db"
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise ZeroDivisionError

    with open_ledger(path) as ledger, reopen(path) as other:
        (planned,) = plan(ledger, "oA 1.88")
        ledger._db = Disk(ledger._db, lambda: failed.wait(60))  # type: ignore[assignment]  # plays one
        with pytest.raises(ZeroDivisionError), ledger.atomic(fail):
            begin(ledger, planned)
        assert now(other, planned).state is State.IN_DOUBT
        plan(ledger, "oB 1.88")  # the connection is free again


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Read-only, not ours, or full (injected: root may write anywhere)."""

    def refuse(*args: object, **more: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match=os.strerror(code)) as stop:
        reopen(tmp_path / "campaign.db")
    assert "[ledger] url" in str(stop.value.advice)
    assert "quota" in str(stop.value.advice), "SQLite calls a full one an I/O error"


def test_a_disk_that_is_too_full_to_open_the_ledger(tmp_path: Path) -> None:
    """SQLite cannot make the -shm file and calls that an I/O error; the way out is room."""

    def no_room(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"  # type: ignore[misc]  # as SQLite itself sets it
        raise error

    with pytest.raises(StorageError, match="is full") as stop, file.translated(tmp_path / "campaign.db"):
        no_room()
    assert "Make room" in str(stop.value.advice)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Named, and no traceback."""
    with pytest.raises(StorageError, match="nowhere"):
        reopen(tmp_path / "nowhere" / "campaign.db")
    with pytest.raises(StorageError):
        reopen(tmp_path)


def test_a_ledger_that_became_read_only(tmp_path: Path) -> None:
    """SQLite's own refusal to write is told like the system's."""
    with open_ledger(tmp_path / "campaign.db") as ledger:
        (planned,) = plan(ledger, "oA 1.88")
        ledger._db.execute("PRAGMA query_only = ON")
        with pytest.raises(StorageError, match="cannot be written"):
            begin(ledger, planned)


def test_opening_a_ledger_waits_for_nobody_who_writes(tmp_path: Path) -> None:
    """`status` beside a long plan answers at once: a ledger that has its owner is only read."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as writer, writer.atomic():
        plan(writer, "oA 1.88")
        with reopen(path) as reader:
            assert reader.totals("lantern")[State.PLANNED] == (0, 0)


def test_a_ledger_that_somebody_keeps_locked(tmp_path: Path) -> None:
    """A database browser with an open edit, for example."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger, reopen(path) as other:
        ledger._db.execute("PRAGMA busy_timeout = 1")
        with other.atomic(), pytest.raises(StorageError, match="locked"):
            ledger.set_ask_first("lantern", NOON_S)


def test_our_own_mistakes_stay_what_they_are() -> None:
    """Wrong SQL is a bug, not the operator's problem."""
    with open_ledger() as ledger, pytest.raises(sqlite3.Error) as mistake:
        ledger._all("SELECT nonsense")
    assert not isinstance(mistake.value, CampaignError)


def test_two_processes_may_make_the_ledger_at_once(tmp_path: Path) -> None:
    """One makes it, the others find it; nobody sees half of it."""
    runs = [subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path / "campaign.db")]) for _ in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    with reopen(tmp_path / "campaign.db") as ledger:
        assert ledger.campaigns() == []


def test_opening_a_ledger_does_not_import_what_it_does_not_use(tmp_path: Path) -> None:
    """sqlite-utils (and pandas behind it) only where tables are made."""
    path = tmp_path / "campaign.db"
    open_ledger(path).close()
    program = OPEN + "; print({'sqlite_utils', 'pandas', 'platformdirs'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert (out.stdout, out.stderr) == ("set()\n", "")
