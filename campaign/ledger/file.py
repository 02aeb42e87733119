"""The ledger's file: made private, opened durably, refused when it is not ours or not whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from campaign.errors import ForeignLedger, LedgerRefused, StorageError
from campaign.ledger import schema
from campaign.text import Text, text

#: How long to wait for another process's commit before saying that the file is busy.
_BUSY_S: Final = 30.0
#: Up to this size the whole file is checked when it is opened; reading takes longer for larger ones,
#: of which the small tables and the newest events are.
_WHOLE_CHECK_BYTES: Final = 32 * 2**20
_SMALL_TABLES: Final = ("meta", "campaign", "wording", "total", "merchant_day")

_NOTHING_IS_LOST: Final = text(
    "Nobody is paid twice because of this: bill numbers follow from the sheet, and WeChat Pay knows which "
    "were sent. Move the file and its -wal and -shm companions away, put back the newest backup if there is "
    "one, and run the same command again; before sending, it asks WeChat Pay what happened."
)


def exists(path: Path) -> bool:
    """Whether there is a ledger; an empty file is what a crash in the first instant leaves."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _not_writable(path, error.strerror or str(error)) from error


def connect(path: Path | None) -> sqlite3.Connection:
    """Open, or make, the file: readable by its owner only (it holds openids), and durable.

    Raises:
        StorageError: it cannot be made or written.
        LedgerRefused: it is no ledger.
    """
    if path is not None:
        _make_private(path)
    with translated(path):
        # A commit may be written by another thread, while its own waits for it: never two at once.
        connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        with closed_on_error(connection.close):
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL, not the usual NORMAL: after a power failure the intent to send must still be there,
            # or a row whose money has left would look as if nothing had ever been sent for it.
            connection.execute("PRAGMA synchronous = FULL")
            # A checkpoint writes a page once that many commits have changed, so let 16 MB come together.
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA cache_size = -32768")  # 32 MB
            connection.execute("PRAGMA journal_size_limit = 67108864")  # a big plan leaves no big -wal behind
            connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def check_version(connection: sqlite3.Connection, path: Path | None) -> None:
    """Refuse a ledger that a newer version of this program has written."""
    found = schema.version(connection)
    if found > schema.VERSION:
        raise LedgerRefused(
            text(
                "The ledger {path} was written by a newer version of this program (schema {found}; "
                "this one knows {known}).",
                path=path,
                found=found,
                known=schema.VERSION,
            ),
            advice=text("Use the newer version, or update this one; the file was not touched."),
        )


def check_health(connection: sqlite3.Connection, path: Path | None) -> None:
    """Refuse a damaged file, in bounded time."""
    size = 0 if path is None else path.stat().st_size
    if size <= _WHOLE_CHECK_BYTES:
        checks = ["PRAGMA quick_check(1)"]
    else:
        checks = [f"PRAGMA quick_check({table})" for table in _SMALL_TABLES]
    for check in checks:
        found = connection.execute(check).fetchone()[0]
        if found != "ok":
            raise _damaged(path, found)


def check_owner(path: Path | None, meta: Mapping[str, str], *, merchant: str, gateway: str) -> None:
    """Refuse another merchant's or another gateway's ledger."""
    for key, mine, message in (
        ("merchant", merchant, text("The ledger {path} belongs to merchant {theirs}, not to {mine}.")),
        (
            "gateway",
            gateway,
            text("The ledger {path} belongs to the gateway {theirs}; the settings name {mine}."),
        ),
    ):
        if meta[key] != mine:
            raise ForeignLedger(
                Text(message.template, {"path": path, "theirs": meta[key], "mine": mine}),
                advice=text("Set [ledger] url in campaign.toml to a file of its own for each of them."),
            )


@contextmanager
def closed_on_error(close: Callable[[], None]) -> Iterator[None]:
    """Close what was opened when the rest fails."""
    try:
        yield
    except BaseException:
        close()
        raise


@contextmanager
def translated(path: Path | None) -> Iterator[None]:
    """Say SQLite's errors in a person's words."""
    try:
        yield
    except sqlite3.Error as error:
        raise said(error, path) from error


@contextmanager
def as_written(path: Path | None, place: str) -> Iterator[None]:
    """Around what takes a kept text apart: say in a person's words that it is not as this program wrote it.

    Args:
        place: where it is kept, as ``event 17``.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError) as error:
        raise _damaged(path, f"{place}: {error}") from error


def said(error: sqlite3.Error, path: Path | None) -> Exception:
    """What the error means to a person; the error itself where only we could have made it."""
    name: str = getattr(error, "sqlite_errorname", "")
    if name in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"):  # no room for what is written, or to open it at all
        return StorageError(
            text("The disk with the ledger {path} is full.", path=path),
            advice=text("Make room, then run the same command again: it goes on where it stopped."),
        )
    if name == "SQLITE_NOTADB":
        return LedgerRefused(
            text("{path} is not a ledger of this program, or it is damaged.", path=path),
            advice=_NOTHING_IS_LOST,
        )
    if name.startswith("SQLITE_CORRUPT"):
        return _damaged(path, str(error))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")):
        return StorageError(
            text("Another program has kept the ledger {path} locked for too long.", path=path),
            advice=text("Close the program that has the file open, then run the same command again."),
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return _not_writable(path, str(error))
    return error


def _make_private(path: Path) -> None:
    """SQLite gives the -wal and -shm files the mode of the main file, so that one decides for all."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _not_writable(path, error.strerror or str(error)) from error


def _not_writable(path: Path | None, cause: str) -> StorageError:
    return StorageError(
        text("The ledger {path} cannot be written: {cause}.", path=path, cause=cause),
        advice=text(
            "Make sure that its folder exists, that you may write there and that disk and quota have room, "
            "or set [ledger] url in campaign.toml to another place; then run the same command again."
        ),
    )


def _damaged(path: Path | None, found: str) -> LedgerRefused:
    return LedgerRefused(
        text("The ledger {path} is damaged: {found}", path=path, found=found), advice=_NOTHING_IS_LOST
    )
