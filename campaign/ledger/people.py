"""The sums of each recipient of a report. A million of them are too many for memory, so they are on disk."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

_TOGETHER: Final = 2_000
#: From the one who got most; equals in the order of their openids, so that a report can be made again.
_RANKED: Final = """
    SELECT openid, COUNT(*), SUM(fen), SUM(paid), SUM(paid_fen)
    FROM part GROUP BY openid ORDER BY SUM(paid_fen) DESC, openid
"""


class Person(NamedTuple):
    """One recipient's packets and fen: all rows, and what was paid: taken, and not come back."""

    openid: str
    rows: int
    fen: int
    paid_rows: int
    paid_fen: int


class People:
    """Takes each row's part and gives each person's sums. `add` and `ranked` may raise `OSError`.

    What it keeps is where SQLite keeps its temporary files: readable by their owner only, gone with it.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[str, int, bool, int]] = []
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA temp_store = FILE")
        self._db.execute("CREATE TABLE part (openid TEXT, fen INT, paid INT, paid_fen INT) STRICT")

    def add(self, openid: str, fen: int, *, paid: bool, paid_fen: int) -> None:
        """Count one more row of this person; of one that came back in part, ``paid_fen`` is the rest."""
        self._parts.append((openid, fen, paid, paid_fen))
        if len(self._parts) >= _TOGETHER:
            self._flush()

    def ranked(self) -> Iterator[Person]:
        """Everybody once, from the one who got most."""
        self._flush()
        with _translated():
            yield from map(Person._make, self._db.execute(_RANKED))

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _flush(self) -> None:
        with _translated():
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO part VALUES (?, ?, ?, ?)", self._parts)
            self._db.execute("COMMIT")
        self._parts.clear()


@contextmanager
def _translated() -> Iterator[None]:
    """It is a file like any other of the report, and so are its errors."""
    try:
        yield
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
