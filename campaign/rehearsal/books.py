"""The stand-in's own books: orders, money and every request it met, in one SQLite file or in memory.

They share nothing with the campaign's ledger, so that the two can be compared. A commit precedes each
answer. ``synchronous=OFF`` survives the death of the process, which is what a rehearsal tries; it would
not survive a power cut, and need not.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from campaign.domain.days import beijing_day
from campaign.errors import SetupError
from campaign.text import text

SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE orders (
    mch_billno TEXT PRIMARY KEY, re_openid TEXT NOT NULL, total_amount INTEGER NOT NULL,
    send_listid TEXT NOT NULL, stored_s REAL NOT NULL, pay_s REAL, paid_s REAL, sent_s REAL,
    claimed_s REAL, refunding_s REAL, refunded_s REAL, failed_s REAL, reason TEXT NOT NULL,
    doomed INTEGER NOT NULL, paid_day TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_by_person ON orders (paid_day, re_openid) WHERE paid_day IS NOT NULL;
CREATE TABLE money (
    id INTEGER PRIMARY KEY, at_s REAL NOT NULL, kind TEXT NOT NULL, fen INTEGER NOT NULL, mch_billno TEXT
) STRICT;
-- The one promise, kept by the database as well: a number pays at most once (and comes back at most once).
CREATE UNIQUE INDEX money_once ON money (mch_billno, kind) WHERE mch_billno IS NOT NULL;
CREATE TABLE numbers (
    mch_billno TEXT PRIMARY KEY, position INTEGER NOT NULL, sends INTEGER NOT NULL, queries INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, at_s REAL NOT NULL, endpoint TEXT NOT NULL, mch_billno TEXT NOT NULL,
    digest BLOB NOT NULL, err_code TEXT NOT NULL, fault TEXT NOT NULL
) STRICT;
"""


class Order(NamedTuple):
    """One stored order. Its future is fixed when it is stored or paid; times are Unix seconds.

    ``paid_s`` is None as long as no money moved. An order that is not paid by then becomes FAILED at
    ``failed_s``.
    """

    mch_billno: str
    re_openid: str
    #: Fen.
    total_amount: int
    send_listid: str
    stored_s: float
    #: When it will be paid without being asked again; None when only a repeat pays it.
    pay_s: float | None = None
    paid_s: float | None = None
    #: SENDING until then.
    sent_s: float | None = None
    claimed_s: float | None = None
    refunding_s: float | None = None
    refunded_s: float | None = None
    failed_s: float | None = None
    #: Why it is held or failed; shown as ``reason``.
    reason: str = ""
    #: 1: it was taken, and it will fail whatever is done.
    doomed: int = 0

    def status(self, now_s: float) -> str:
        """What ``gethbinfo`` calls it at a moment (R4)."""
        if self.paid_s is None:
            return "FAILED" if _past(self.failed_s, now_s) else "SENDING"
        if not _past(self.sent_s, now_s):
            return "SENDING"
        if _past(self.claimed_s, now_s):
            return "RECEIVED"
        if _past(self.refunded_s, now_s):
            return "REFUND"
        return "RFUND_ING" if _past(self.refunding_s, now_s) else "SENT"


class Money(NamedTuple):
    """One movement of the merchant's money; ``fen`` is negative for what left the account."""

    at_s: float
    #: ``opening``, ``top_up``, ``packet`` or ``refund``.
    kind: str
    fen: int
    mch_billno: str | None


class Request(NamedTuple):
    """One request as it was met."""

    at_s: float
    endpoint: str
    mch_billno: str
    #: Over every parameter but ``sign``: equal for a repeat that repeats truly.
    digest: bytes
    err_code: str
    #: The faults that struck it, joined by blanks.
    fault: str


class Visit(NamedTuple):
    """How often a bill number has called."""

    #: The how-many-th bill number to be sent, from 1; 0 when it never was.
    position: int
    #: The how-many-th request for this number at this endpoint, from 1.
    ordinal: int


class Books:
    """The stand-in's memory. One process writes; any number may read. Not thread-safe by itself."""

    def __init__(
        self, path: Path | None = None, *, balance_fen: int = 10_000_000, now_s: float = 0.0
    ) -> None:
        """Open or make the books.

        Args:
            path: None keeps them in memory.
            balance_fen: all the money ever put in. Books that hold another sum are topped up to it
                (or the difference is withdrawn): raising the figure is how one tops up.
            now_s: the moment of that top-up.

        Raises:
            SetupError: another process writes these books, or the file is not such books.
        """
        self._lock_fd = None
        if path:
            self._lock_fd = _hold(path)
            path.touch(mode=0o600)  # they hold openids; SQLite gives their companions the same mode
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            self._open(balance_fen, now_s)
        except sqlite3.DatabaseError:
            self.close()
            raise SetupError(
                text("{file} is not the books of a rehearsal gateway, or is damaged.", file=str(path)),
                advice=text("Name another file, or move this one away."),
            ) from None

    def _open(self, balance_fen: int, now_s: float) -> None:
        db = self._db
        version = db.execute("PRAGMA user_version").fetchone()[0]
        empty = not db.execute("SELECT 1 FROM sqlite_schema").fetchone()
        if version != (0 if empty else SCHEMA_VERSION):
            raise sqlite3.DatabaseError("somebody else's file")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA wal_autocheckpoint = 8000")  # pages; the usual 1000 costs a tenth of the speed
        if empty:
            db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
            self._move(now_s, "opening", balance_fen, None)
        self._balance_fen = self._total()
        self._day_fen: dict[str, int] = dict(
            db.execute(
                "SELECT paid_day, sum(total_amount) FROM orders WHERE paid_day IS NOT NULL GROUP BY paid_day"
            ).fetchall()
        )
        self._positions: int = db.execute("SELECT count(*) FROM numbers WHERE position > 0").fetchone()[0]
        self._last_listid: int = db.execute(
            "SELECT coalesce(max(CAST(substr(send_listid, -12) AS INTEGER)), 0) FROM orders"
        ).fetchone()[0]
        #: (when, what, bill number): orders that are paid and packets that come back by themselves.
        self._due: list[tuple[float, str, str]] = db.execute(
            "SELECT pay_s, 'pay', mch_billno FROM orders WHERE paid_s IS NULL AND pay_s IS NOT NULL "
            "UNION ALL SELECT refunded_s, 'refund', mch_billno FROM orders WHERE refunded_s IS NOT NULL "
            "AND mch_billno NOT IN (SELECT mch_billno FROM money WHERE kind = 'refund')"
        ).fetchall()
        heapq.heapify(self._due)
        put_in_fen = self.opening_fen() + self.topped_up_fen()
        if balance_fen != put_in_fen:
            self.top_up(balance_fen - put_in_fen, now_s)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is durable afterwards, or none of it happened."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    # -- orders

    def order(self, mch_billno: str) -> Order | None:
        """The order under a number."""
        row = self._db.execute("SELECT * FROM orders WHERE mch_billno = ?", (mch_billno,)).fetchone()
        return Order._make(row[:-1]) if row else None

    def orders(self) -> list[Order]:
        """Every order, oldest first."""
        rows = self._db.execute("SELECT * FROM orders ORDER BY stored_s, send_listid")
        return [Order._make(row[:-1]) for row in rows]

    def new_listid(self, now_s: float) -> str:
        """The next ``send_listid``: 30 digits that begin as the observed ones do (R10.1)."""
        self._last_listid += 1
        day = beijing_day(now_s).isoformat().replace("-", "")
        return f"1000041701{day}{self._last_listid:012d}"

    def put(self, order: Order) -> None:
        """Store an order that is not paid, or what changed about it."""
        if order.paid_s is not None:
            raise ValueError("an order is paid by pay()")
        self._write(order, None)
        if order.pay_s is not None:
            heapq.heappush(self._due, (order.pay_s, "pay", order.mch_billno))

    def pay(self, order: Order) -> None:
        """Store an order as paid and take its money from the account.

        Raises:
            sqlite3.IntegrityError: the number was paid before; nothing else enforces the promise so surely.
        """
        if order.paid_s is None:
            raise ValueError("paid_s says when it was paid")
        day = beijing_day(order.paid_s).isoformat()
        self._move(order.paid_s, "packet", -order.total_amount, order.mch_billno)
        self._write(order, day)
        self._balance_fen -= order.total_amount
        self._day_fen[day] = self._day_fen.get(day, 0) + order.total_amount
        if order.refunded_s is not None:
            heapq.heappush(self._due, (order.refunded_s, "refund", order.mch_billno))

    def take_back(self, order: Order) -> None:
        """Book the money of an unopened packet back."""
        assert order.refunded_s is not None
        self._move(order.refunded_s, "refund", order.total_amount, order.mch_billno)
        self._balance_fen += order.total_amount

    def due(self, now_s: float) -> Iterator[tuple[str, Order]]:
        """What happens by itself until now, ``pay`` or ``refund``; each is handed out once."""
        while self._due and self._due[0][0] <= now_s:
            _, event, mch_billno = heapq.heappop(self._due)
            order = self.order(mch_billno)
            if order is not None:
                yield event, order

    # -- money

    def balance_fen(self) -> int:
        """What the account holds."""
        return self._balance_fen

    def top_up(self, fen: int, now_s: float) -> None:
        """Put money into the account; a negative sum is a withdrawal."""
        self._move(now_s, "top_up", fen, None)
        self._balance_fen += fen

    def money(self) -> list[Money]:
        """Every movement, by time."""
        rows = self._db.execute("SELECT at_s, kind, fen, mch_billno FROM money ORDER BY at_s, id")
        return [Money._make(row) for row in rows]

    def opening_fen(self) -> int:
        """The first balance."""
        return self._sum("opening")

    def topped_up_fen(self) -> int:
        """All top-ups, less withdrawals."""
        return self._sum("top_up")

    def paid_total_fen(self) -> int:
        """All that was ever paid for packets, whether or not it came back."""
        return -self._sum("packet")

    def refunded_total_fen(self) -> int:
        """All that came back."""
        return self._sum("refund")

    def day_fen(self, day: str) -> int:
        """What the merchant paid on a Beijing day (ISO date)."""
        return self._day_fen.get(day, 0)

    def person_day(self, day: str, re_openid: str) -> tuple[int, int]:
        """Packets and fen that one person got on a Beijing day."""
        packets, fen = self._db.execute(
            "SELECT count(*), coalesce(sum(total_amount), 0) FROM orders "
            "WHERE paid_day = ? AND re_openid = ?",
            (day, re_openid),
        ).fetchone()
        return packets, fen

    # -- requests

    def visit(self, mch_billno: str, *, sending: bool) -> Visit:
        """Count one more request for a number."""
        position, sends, queries = self._db.execute(
            "INSERT INTO numbers VALUES (?, ?, ?, ?) ON CONFLICT (mch_billno) DO UPDATE SET "
            "position = CASE position WHEN 0 THEN excluded.position ELSE position END, "
            "sends = sends + excluded.sends, queries = queries + excluded.queries "
            "RETURNING position, sends, queries",
            (mch_billno, self._positions + 1 if sending else 0, int(sending), int(not sending)),
        ).fetchone()
        self._positions = max(self._positions, position)
        return Visit(position, sends if sending else queries)

    def log(self, request: Request) -> None:
        """Keep a request with what it was answered."""
        self._db.execute(
            "INSERT INTO requests (at_s, endpoint, mch_billno, digest, err_code, fault) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            request,
        )

    def requests(self, mch_billno: str | None = None) -> list[Request]:
        """Every request, or those for one number, in the order in which they came."""
        rows = self._db.execute(
            "SELECT at_s, endpoint, mch_billno, digest, err_code, fault FROM requests "
            "WHERE ? IN (mch_billno, '*') ORDER BY id",
            (mch_billno or "*",),
        )
        return [Request._make(row) for row in rows]

    def _write(self, order: Order, paid_day: str | None) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*order, paid_day),
        )

    def _move(self, at_s: float, kind: str, fen: int, mch_billno: str | None) -> None:
        self._db.execute(
            "INSERT INTO money (at_s, kind, fen, mch_billno) VALUES (?, ?, ?, ?)",
            (at_s, kind, fen, mch_billno),
        )

    def _sum(self, kind: str) -> int:
        row = self._db.execute("SELECT coalesce(sum(fen), 0) FROM money WHERE kind = ?", (kind,)).fetchone()
        return int(row[0])

    def _total(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(fen), 0) FROM money").fetchone()[0])


class ReadOnlyBooks(Books):
    """The books of a gateway that may be running, for reading."""

    def __init__(self, path: Path) -> None:
        self._lock_fd = None
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    def balance_fen(self) -> int:
        """What the account holds now, by the file."""
        return self._total()


_HOLD_PATIENCE_S: Final = 5.0


def _past(moment_s: float | None, now_s: float) -> bool:
    return moment_s is not None and now_s >= moment_s


def _hold(path: Path) -> int:
    """Lock the books for this process; the lock dies with it. Waits a moment for one that is just ending."""
    try:
        fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetupError(
            text("{file} cannot be written: {cause}.", file=str(path), cause=error.strerror or str(error)),
            advice=text("Name another file with --books, or make the folder writable."),
        ) from None
    deadline = time.monotonic() + _HOLD_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            os.close(fd)
            raise SetupError(
                text("Another rehearsal gateway is using {file}.", file=str(path)),
                advice=text("Stop it, or name another file with --books."),
            ) from None
        return fd
