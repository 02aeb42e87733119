"""The ledger's transactions and statements: durable, guarded, and failing in a person's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from campaign.ledger import file
from campaign.ledger.rows import Row

T = TypeVar("T")


class StaleEntry(Exception):
    """An entry is no longer in the state that a change expected; somebody else moved it."""


class Database:
    """One connection. For the thread that opened it; only a commit may be written by another one."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self.path = path
        self._db = connection
        self._depth = 0
        self._writer: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Give the file back; a transaction that was not finished is undone."""
        if self._writer:
            self._writer.shutdown()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def atomic(self, meanwhile: Callable[[], None] | None = None) -> Iterator[None]:
        """One durable transaction; inside another one, a part of it.

        IMMEDIATE: what is read in it stays true until its commit. A failure undoes the whole.

        Args:
            meanwhile: called again and again while the disk writes; it must not use this ledger.
        """
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        with file.translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._flush()
                self._commit(meanwhile)
            except BaseException:
                if self._db.in_transaction:  # a full disk has undone it already
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
                self._forget()

    def _commit(self, meanwhile: Callable[[], None] | None) -> None:
        if meanwhile is None:
            self._db.execute("COMMIT")
            return
        self._writer = self._writer or ThreadPoolExecutor(1, thread_name_prefix="ledger")
        written = self._writer.submit(self._db.execute, "COMMIT")
        try:
            while not written.done():
                meanwhile()
        finally:
            written.result()  # whatever happened meanwhile, nobody uses the connection before

    def _flush(self) -> None:
        """Write what the transaction has kept back, before anybody reads it or it is committed."""

    def _forget(self) -> None:
        """The transaction is over, well or badly."""

    def _guarded(self, sql: str, values: Mapping[str, object]) -> Row:
        """Carry out a change that expects one row in one state, and return what it returns.

        Raises:
            StaleEntry: no row is in that state; nothing was changed.
        """
        rows = self._all(sql, values)
        if len(rows) != 1:
            raise StaleEntry(values.get("mch_billno") or values.get("entry"))
        return rows[0]

    def _moved(self, sql: str, values: Mapping[str, object]) -> bool:
        """Carry out a change inside a transaction that expects one row in one state; whether it was there."""
        return self._db.execute(sql, values).rowcount == 1

    def _value(self, sql: str, values: Sequence[object] = ()) -> int:
        row = self._one(sql, values)
        assert row is not None
        return int(row[0])

    def _one(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> Row | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _all(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise file.said(error, self.path) from error

    def _rows(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> Iterator[Row]:
        self._flush()
        try:
            # Not `yield from`: that would close the cursor of a ledger that is closed already.
            for row in self._db.execute(sql, values):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise file.said(error, self.path) from error

    def _each(self, build: Callable[[Row], T], sql: str, values: Mapping[str, object]) -> Iterator[T]:
        return map(build, self._rows(sql, values))
