"""The ledger's only SQL: what was planned, sent and learned, every change with its event.

A change is one guarded UPDATE, which names the state and the attempt it expects, and one appended
event in the same transaction. What is being sent *is* in doubt, so nothing has to be cleaned up after a
crash: a new process asks about what the old one left in doubt.
"""
# ruff: noqa: S608 - statements are put together from this module's own constants, never from values.

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import groupby, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from campaign.domain.answer import Outcome, Status
from campaign.domain.campaign import Campaign, Halt
from campaign.domain.days import DAY_S, beijing_days, next_day_start_s
from campaign.domain.deadline import Aged, Since, Window
from campaign.domain.decision import REPEAT_GAP_S, REPEAT_WINDOW_S, Step
from campaign.domain.entry import Entry, Flag, Tally, Todo
from campaign.domain.limits import Allowance, Cap, Limits, Used
from campaign.domain.plan import Known
from campaign.domain.state import OPEN, SETTLED, State, may_move
from campaign.ledger import file, schema
from campaign.ledger.records import (
    Attempt,
    Begun,
    Event,
    EventKind,
    QueryResult,
    Question,
    SendResult,
    SentPacket,
)
from campaign.ledger.rows import (
    CAMPAIGN_COLUMNS,
    ENTRY_COLUMNS,
    KNOWN_COLUMNS,
    Row,
    Wordings,
    campaign_of,
    detail_json,
    entry_of,
    event_digest,
    halt_json,
    known_of,
    packed,
    unpacked,
)
from campaign.ports import Clock

__all__ = ["Begun", "Ledger", "QueryResult", "SendResult", "StaleEntry"]

T = TypeVar("T")

#: From this age on an accepted packet is shown to a person: five days later nobody can ask any more (R4).
QUERY_WARNING_S: Final = 25 * DAY_S

#: Flags that a later answer does not take away.
_STICKY: Final = f"'{Flag.MISMATCH}', '{Flag.OTHER_ID}', '{Flag.CONTRADICTION}'"
_FLAG_KEPT: Final = f"flag = CASE WHEN flag IN ({_STICKY}) THEN flag ELSE :flag END"
_ACCEPTED_AT_S: Final = (
    "CASE :state WHEN 'accepted' THEN COALESCE(accepted_at_s, :now_s) ELSE accepted_at_s END"
)
_CHUNK: Final = 1000
_LAST_EVENT: Final = "seq = (SELECT MAX(seq) FROM event)"
_CAMPAIGN_ID: Final = "(SELECT id FROM campaign WHERE name = :campaign)"

_BEGIN: Final = f"""
    UPDATE entry SET
        state = 'in_doubt', attempts = attempts + 1, evidence = NULL, todo = 'ask', due_at_s = :until_s,
        not_before_s = 0, first_sent_at_s = COALESCE(first_sent_at_s, :now_s), last_sent_at_s = :now_s,
        not_found_at_s = NULL, sending_since_s = NULL, last_outcome = NULL, last_reach = 'row',
        owner = :owner, lease_until_s = :until_s, {_FLAG_KEPT}
    WHERE mch_billno = :mch_billno AND state = :state AND attempts = :attempts
        AND re_openid = :re_openid AND total_amount = :total_amount
        AND (state = 'planned' AND unlisted = 0 AND not_before_s <= :now_s
             OR state IN ('in_doubt', 'parked') AND todo = 'repeat' AND due_at_s <= :now_s)
        AND (owner IS NULL OR owner = :owner OR lease_until_s <= :now_s)
        AND (first_sent_at_s IS NULL OR :now_s - first_sent_at_s < {REPEAT_WINDOW_S})
        AND (last_sent_at_s IS NULL OR last_sent_at_s + {REPEAT_GAP_S} <= :now_s)
        AND EXISTS (SELECT 1 FROM campaign WHERE id = entry.campaign AND cancelled_at_s IS NULL)
    RETURNING seq
"""

# One request's answer counts once, whoever brings it twice.
_END_ATTEMPT: Final = """
    UPDATE attempt SET ended_at_s = :now_s, outcome = :outcome, err_code = :err_code,
        err_code_des = :err_code_des, raw = :raw
    WHERE entry = (SELECT seq FROM entry WHERE mch_billno = :mch_billno) AND n = :n AND ended_at_s IS NULL
    RETURNING entry
"""

_END_SEND: Final = f"""
    UPDATE entry SET
        state = :state, evidence = :evidence, refused = refused + :refused, not_sent = not_sent + :not_sent,
        held = held + :held, last_outcome = :outcome, last_reach = :reach, err_code = :err_code,
        reason = :err_code_des, todo = :todo, due_at_s = :due_at_s,
        not_before_s = CASE :state WHEN 'planned' THEN last_sent_at_s + {REPEAT_GAP_S} ELSE 0 END,
        first_sent_at_s = CASE :state WHEN 'planned' THEN NULL ELSE first_sent_at_s END,
        not_found_at_s = :not_found_at_s, sending_since_s = :sending_since_s,
        accepted_at_s = {_ACCEPTED_AT_S},
        send_listid = CASE :send_listid WHEN '' THEN send_listid ELSE :send_listid END,
        owner = NULL, lease_until_s = NULL, {_FLAG_KEPT}
    WHERE seq = :entry AND state = 'in_doubt' AND attempts = :n
    RETURNING seq
"""

# Not opened, not refused: what an earlier refusal said no longer explains anything.
_CLEAN: Final = "'accepted', 'received', 'refunded'"
_END_QUERY: Final = f"""
    UPDATE entry SET
        state = :state, evidence = :evidence, todo = :todo, due_at_s = :due_at_s,
        not_found_at_s = :not_found_at_s, sending_since_s = :sending_since_s, asked_at_s = :asked_at_s,
        accepted_at_s = {_ACCEPTED_AT_S},
        settled_at_s = CASE WHEN :settled THEN :now_s ELSE NULL END,
        err_code = CASE WHEN :state IN ({_CLEAN}) AND :status <> '' THEN ''
                        WHEN err_code = '' THEN :err_code ELSE err_code END,
        reason = CASE WHEN :reason <> '' THEN :reason
                      WHEN :state IN ({_CLEAN}) AND :status <> '' THEN '' ELSE reason END,
        status = CASE :status WHEN '' THEN status ELSE :status END,
        detail_id = CASE :detail_id WHEN '' THEN detail_id ELSE :detail_id END,
        rcv_time = CASE :rcv_time WHEN '' THEN rcv_time ELSE :rcv_time END,
        refund_time = CASE :refund_time WHEN '' THEN refund_time ELSE :refund_time END,
        refund_amount = COALESCE(:refund_amount, refund_amount), {_FLAG_KEPT}
    WHERE seq = :entry AND state = :before AND attempts = :attempts
        AND (last_sent_at_s IS NULL OR last_sent_at_s <= :asked_at_s)
    RETURNING seq
"""

_EVENTS: Final = """
    SELECT event.seq, event.digest, COALESCE(campaign.name, ''), COALESCE(entry.mch_billno, ''), event.at_s,
        event.kind, event.before, event.after, event.detail
    FROM event LEFT JOIN campaign ON campaign.id = event.campaign LEFT JOIN entry ON entry.seq = event.entry
"""

_ADD: Final = """
    INSERT INTO entry (seq, mch_billno, campaign, row_key, issue, sheet, row, re_openid, total_amount,
                       wording, nonce_str, own, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned')
"""

#: From when on a number may be sent again at all.
_GAP_OVER: Final = f"COALESCE(last_sent_at_s + {REPEAT_GAP_S}, 0)"

_REVISE: Final = f"""
    UPDATE entry SET
        sheet = :sheet, row = :row, re_openid = :re_openid, total_amount = :total_amount, wording = :wording,
        nonce_str = :nonce_str, own = :own, state = :after, evidence = NULL, flag = NULL, todo = NULL,
        due_at_s = NULL, not_before_s = {_GAP_OVER}, first_sent_at_s = NULL,
        not_found_at_s = NULL, sending_since_s = NULL, settled_at_s = NULL, last_outcome = NULL,
        last_reach = 'row', err_code = '', reason = ''
    WHERE seq = :entry AND attempts = :attempts
        AND (state IN ('planned', 'cancelled') AND state = :before
             OR state = 'rejected' AND evidence = 'unstored' AND :before = 'rejected')
    RETURNING seq
"""


_SENT_PACKETS: Final = f"""
    SELECT {ENTRY_COLUMNS}, seq,
        (SELECT at_s FROM event WHERE event.entry = entry.seq ORDER BY event.seq LIMIT 1),
        (SELECT at_s FROM event WHERE event.entry = entry.seq ORDER BY event.seq DESC LIMIT 1),
        COALESCE((SELECT raw FROM attempt WHERE attempt.entry = entry.seq AND raw <> x''
                  ORDER BY n DESC LIMIT 1), x'')
    FROM entry
"""
#: The highest number of each row that was, or may be, paid under a later number than its first.
_PAID_AGAIN: Final = """
    LEFT JOIN (
        SELECT campaign AS of_campaign, row_key AS of_row, MAX(issue) AS last_issue FROM entry
        WHERE issue > 1 AND state NOT IN ('rejected', 'cancelled') GROUP BY campaign, row_key
    ) ON of_campaign = campaign AND of_row = row_key
"""
_UNCLAIMED: Final = """
    AND (state = 'accepted' AND accepted_at_s <= :unclaimed_since_s
         OR state = 'refunded' AND issue >= COALESCE(last_issue, 0))
"""


class StaleEntry(Exception):
    """An entry is no longer in the state that a change expected; somebody else moved it."""


class Ledger:
    """One merchant's entries at one gateway. For the thread that opened it.

    Every method may raise `StorageError` (disk full, folder read-only, file locked by another program)
    and `LedgerRefused` (damaged); a failed change leaves the ledger as it was.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self.path = path
        self._db = connection
        self._depth = 0
        # Events of the running transaction that are not written yet, and the chain's last digest.
        self._events: list[tuple[Any, ...]] = []
        self._chain: bytes | None = None

    # Opening and closing

    @classmethod
    def open(cls, path: Path | None, *, merchant: str, gateway: str, clock: Clock) -> Self:
        """Open the ledger, making it where there is none; None is one in memory.

        Raises:
            LedgerRefused: another merchant's or gateway's, newer than this program, or damaged.
            StorageError: it cannot be created or written.
        """
        ledger = cls(file.connect(path), path)
        with file.closed_on_error(ledger.close), file.translated(path):
            file.check_version(ledger._db, path)
            file.check_health(ledger._db, path)
            schema.migrate(ledger._db)
            with ledger.atomic():
                ledger._db.executemany(
                    "INSERT OR IGNORE INTO meta VALUES (?, ?)",
                    [("merchant", merchant), ("gateway", gateway), ("created_at_s", repr(clock.now_s()))],
                )
            meta = dict(ledger._db.execute("SELECT key, value FROM meta"))
            file.check_owner(path, meta, merchant=merchant, gateway=gateway)
        return ledger

    @classmethod
    def open_existing(cls, path: Path, *, merchant: str, gateway: str, clock: Clock) -> Self | None:
        """Open the ledger; None where there is none. Raises as `open` does."""
        if not file.exists(path):
            return None
        return cls.open(path, merchant=merchant, gateway=gateway, clock=clock)

    def close(self) -> None:
        """Give the file back; a transaction that was not finished is undone."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """One durable transaction; inside another one, a part of it.

        IMMEDIATE: what is read in it stays true until its commit. A failure undoes the whole.
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
                self._write_events()
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has undone it already
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
                self._events.clear()
                self._chain = None

    # Campaigns

    def campaign(self, name: str) -> Campaign | None:
        """The campaign of that name."""
        row = self._one(f"SELECT {CAMPAIGN_COLUMNS} FROM campaign WHERE name = ?", (name,))
        return None if row is None else campaign_of(row)

    def campaigns(self) -> list[Campaign]:
        """All campaigns, oldest first."""
        return [campaign_of(row) for row in self._all(f"SELECT {CAMPAIGN_COLUMNS} FROM campaign ORDER BY id")]

    def save_campaign(self, campaign: Campaign, at_s: float) -> None:
        """Add a campaign, or update what its sheet and settings say of it.

        Its halt, its cancelling and ``ask_first`` have methods of their own and are not touched here.
        """
        values = {
            "name": campaign.name,
            "title": campaign.title,
            "key_column": campaign.key_column,
            "created_at_s": campaign.created_at_s,
            "ask_first": campaign.ask_first,
            "sheet_file": campaign.sheet_file,
            "sheet_digest": campaign.sheet_digest,
            "own_headers": json.dumps(campaign.own_headers, ensure_ascii=False),
        }
        with self.atomic():
            self._db.execute(
                """
                INSERT INTO campaign (name, title, key_column, created_at_s, ask_first, sheet_file,
                                      sheet_digest, own_headers)
                VALUES (:name, :title, :key_column, :created_at_s,
                        :ask_first OR EXISTS (SELECT 1 FROM meta WHERE key = 'ask_first'),
                        :sheet_file, :sheet_digest, :own_headers)
                ON CONFLICT (name) DO UPDATE SET title = excluded.title, key_column = excluded.key_column,
                    sheet_file = excluded.sheet_file, sheet_digest = excluded.sheet_digest,
                    own_headers = excluded.own_headers
                """,
                values,
            )
            detail = {k: values[k] for k in ("title", "key_column", "sheet_file", "sheet_digest")}
            self._note(campaign.name, at_s, EventKind.CAMPAIGN_SAVED, detail)

    def set_halt(self, name: str, halt: Halt | None, at_s: float) -> None:
        """Remember why sending stopped, or that it goes on."""
        stored = None if halt is None else halt_json(halt)
        with self.atomic():
            changed = self._one(
                "UPDATE campaign SET halt = ? WHERE name = ? AND halt IS NOT ? RETURNING id",
                (stored, name, stored),
            )
            if changed:
                kind = EventKind.RESUMED if stored is None else EventKind.HALTED
                self._note(name, at_s, kind, json.loads(stored or "{}"))

    def set_ask_first(self, name: str, at_s: float) -> None:
        """The ledger may be behind the truth: from now on ask before every send of this campaign."""
        with self.atomic():
            sql = "UPDATE campaign SET ask_first = 1 WHERE name = ? AND ask_first = 0 RETURNING id"
            if self._one(sql, (name,)):
                self._note(name, at_s, EventKind.ASK_FIRST)

    def ask_everything_first(self, at_s: float) -> None:
        """This ledger may be behind the truth, for every campaign that it has or will have."""
        with self.atomic():
            self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('ask_first', '1')")
            for campaign in self.campaigns():
                self.set_ask_first(campaign.name, at_s)

    def cancel(self, name: str, at_s: float) -> int:
        """Close a campaign: withdraw what is planned, repeat nothing more, only ask.

        Returns:
            how many entries were withdrawn.
        """
        with self.atomic():
            if self._one(
                "UPDATE campaign SET cancelled_at_s = ? WHERE name = ? AND cancelled_at_s IS NULL"
                " RETURNING id",
                (at_s, name),
            ):
                self._note(name, at_s, EventKind.CAMPAIGN_CANCELLED)
            for state in (State.IN_DOUBT, State.PARKED):
                self._db.execute(
                    f"UPDATE entry SET todo = 'ask', due_at_s = :now_s WHERE campaign = {_CAMPAIGN_ID}"
                    f" AND state = '{state}' AND todo = 'repeat'",
                    {"campaign": name, "now_s": at_s},
                )
            return self._move_all(
                name,
                EventKind.CANCELLED,
                at_s,
                State.PLANNED,
                State.CANCELLED,
                "not_before_s = 0, settled_at_s = :at_s",
            )

    def reopen(self, name: str, at_s: float) -> int:
        """Open a cancelled campaign again; what was withdrawn is planned again. Returns how many."""
        with self.atomic():
            if self._one(
                "UPDATE campaign SET cancelled_at_s = NULL WHERE name = ? AND cancelled_at_s NOT NULL"
                " RETURNING id",
                (name,),
            ):
                self._note(name, at_s, EventKind.CAMPAIGN_REOPENED)
            return self._move_all(
                name, EventKind.REOPENED, at_s, State.CANCELLED, State.PLANNED, "settled_at_s = NULL"
            )

    def _move_all(
        self, name: str, kind: EventKind, at_s: float, before: State, after: State, also: str
    ) -> int:
        assert may_move(before, after)
        which = f"campaign = {_CAMPAIGN_ID} AND state = '{before}'"
        values = {"campaign": name, "at_s": at_s}
        seqs = self._all(f"SELECT seq, mch_billno FROM entry WHERE {which} ORDER BY seq", values)
        self._db.execute(f"UPDATE entry SET state = '{after}', {also} WHERE {which}", values)
        for seq, mch_billno in seqs:
            self._append(name, seq, mch_billno, at_s, kind, before, after)
        return len(seqs)

    # Planning

    def known(self, campaign: str) -> Iterator[Known]:
        """Every entry of the campaign as planning needs it, in sheet order."""
        sql = f"SELECT {KNOWN_COLUMNS} FROM entry WHERE campaign = {_CAMPAIGN_ID} ORDER BY sheet, row"
        return self._each(known_of, sql, {"campaign": campaign})

    def add_entries(self, entries: Iterable[Entry], at_s: float) -> int:
        """Plan new entries; returns how many. Their order is the order of sending."""
        with self.atomic():
            wordings, numbers = Wordings(), dict[bytes, int]()
            campaigns: dict[str, int] = {}
            first = seq = self._value("SELECT COALESCE(MAX(seq), 0) FROM entry")
            todo = iter(entries)
            while chunk := list(islice(todo, _CHUNK)):
                rows = []
                for entry in chunk:
                    seq += 1
                    if entry.campaign not in campaigns:
                        sql = "SELECT id FROM campaign WHERE name = ?"
                        campaigns[entry.campaign] = self._value(sql, (entry.campaign,))
                    rows.append(
                        (
                            seq,
                            entry.mch_billno,
                            campaigns[entry.campaign],
                            entry.row_key,
                            entry.issue,
                            entry.sheet,
                            entry.row,
                            entry.re_openid,
                            entry.total_amount,
                            self._wording(*wordings.of(entry), numbers),
                            entry.parameters.get("nonce_str", ""),
                            detail_json(entry.own),
                        )
                    )
                self._db.executemany(_ADD, rows)
                for (number, billno, *_), entry in zip(rows, chunk, strict=True):
                    self._append(entry.campaign, number, billno, at_s, EventKind.PLANNED, None, State.PLANNED)
            return seq - first

    def revise(self, entry: Entry, at_s: float, why: str) -> None:
        """Give an entry under whose number nothing was stored the row's present values.

        A planned one stays planned; one that was refused unstored is planned again (corrected).

        Raises:
            StaleEntry: a request may have left under this number, or its order is dead.
        """
        with self.atomic():
            seq = self._seq(entry.mch_billno)
            was = self.entry(entry.mch_billno)
            if seq is None or was is None:
                raise StaleEntry(entry.mch_billno)
            after = State.PLANNED if was.state is State.REJECTED else was.state
            self._guarded(
                _REVISE,
                {
                    "entry": seq,
                    "before": was.state,
                    "after": after,
                    "attempts": was.attempt,
                    "sheet": entry.sheet,
                    "row": entry.row,
                    "re_openid": entry.re_openid,
                    "total_amount": entry.total_amount,
                    "wording": self._wording(*Wordings().of(entry), {}),
                    "nonce_str": entry.parameters.get("nonce_str", ""),
                    "own": detail_json(entry.own),
                },
            )
            kind = EventKind.REVISED if after is was.state else EventKind.CORRECTED
            detail = {"why": why, "changed": _changes(was, entry)}
            self._append(was.campaign, seq, was.mch_billno, at_s, kind, was.state, after, detail)

    def list_entries(self, mch_billnos: Iterable[str], at_s: float, *, listed: bool) -> None:
        """Note that planned entries are, or are not, in the present sheet; only listed ones are sent."""
        kind = EventKind.RELISTED if listed else EventKind.UNLISTED
        with self.atomic():
            for mch_billno in mch_billnos:
                row = self._guarded(
                    "UPDATE entry SET unlisted = :unlisted WHERE mch_billno = :billno AND state = 'planned'"
                    " AND unlisted <> :unlisted"
                    " RETURNING seq, (SELECT name FROM campaign WHERE id = entry.campaign)",
                    {"billno": mch_billno, "unlisted": int(not listed)},
                )
                self._append(row[1], row[0], mch_billno, at_s, kind, State.PLANNED, State.PLANNED)

    def paid_pairs(self, campaign: str, *, since_s: float) -> Iterator[tuple[str, str, int]]:
        """(mch_billno, openid, fen) of each entry that was paid since then, or may yet be."""
        return self._each(
            lambda row: (row[0], row[1], row[2]),
            f"SELECT mch_billno, re_openid, total_amount FROM entry WHERE campaign = {_CAMPAIGN_ID}"
            " AND state NOT IN ('rejected', 'cancelled')"
            " AND (last_sent_at_s IS NULL OR last_sent_at_s >= :since_s)",
            {"campaign": campaign, "since_s": since_s},
        )

    def unlisted(self, campaign: str) -> tuple[int, int]:
        """Rows and fen of the entries that were planned and are not in the sheet that was run last."""
        row = self._one(
            f"SELECT COUNT(*), COALESCE(SUM(total_amount), 0) FROM entry"
            f" WHERE campaign = {_CAMPAIGN_ID} AND unlisted = 1 AND state = 'planned'",
            {"campaign": campaign},
        )
        assert row is not None
        return row[0], row[1]

    def _wording(self, digest: bytes, wording: str, numbers: dict[bytes, int]) -> int:
        """The number under which a wording is stored; ``numbers`` remembers the last ones."""
        if digest not in numbers:
            sql = "INSERT OR IGNORE INTO wording (digest, parameters) VALUES (?, ?)"
            self._db.execute(sql, (digest, wording))
            if len(numbers) >= _CHUNK:
                numbers.clear()
            numbers[digest] = self._value("SELECT id FROM wording WHERE digest = ?", (digest,))
        return numbers[digest]

    # Reading

    def entry(self, mch_billno: str) -> Entry | None:
        """The entry of that number."""
        row = self._one(f"SELECT {ENTRY_COLUMNS} FROM entry WHERE mch_billno = ?", (mch_billno,))
        return None if row is None else entry_of(row)

    def entries(self, campaign: str, *, states: Collection[State] | None = None) -> Iterator[Entry]:
        """The campaign's entries, in sheet order."""
        named = ", ".join(f"'{state}'" for state in sorted(State if states is None else states))
        sql = f"""
            SELECT {ENTRY_COLUMNS} FROM entry INDEXED BY entry_sheet
            WHERE campaign = {_CAMPAIGN_ID} AND state IN ({named}) ORDER BY sheet, row
        """
        return self._each(entry_of, sql, {"campaign": campaign})

    def known_as(self, mch_billno: str) -> Known | None:
        """The entry of that number as planning needs it."""
        row = self._one(f"SELECT {KNOWN_COLUMNS} FROM entry WHERE mch_billno = ?", (mch_billno,))
        return None if row is None else known_of(row)

    def sent_packets(
        self,
        *,
        limit: int,
        offset: int = 0,
        campaign: str | None = None,
        unclaimed_since_s: float | None = None,
    ) -> list[SentPacket]:
        """A page of what was sent, or may have been, in the order of sending.

        Args:
            campaign: only its entries; by default those of all campaigns.
            unclaimed_since_s: only packets that nobody opened: taken before this moment and still waiting,
                or gone back and not paid again under a later number.
        """
        sql = f"{_SENT_PACKETS} {_sent(campaign, unclaimed_since_s)} ORDER BY seq LIMIT :limit OFFSET :offset"
        values = {"campaign": campaign, "unclaimed_since_s": unclaimed_since_s}
        return list(self._each(_packet_of, sql, values | {"limit": limit, "offset": offset}))

    def count_sent_packets(
        self, *, campaign: str | None = None, unclaimed_since_s: float | None = None
    ) -> int:
        """How many there are on all pages of `sent_packets`."""
        counted = "SUM(rows) FROM total" if unclaimed_since_s is None else "COUNT(*) FROM entry"
        row = self._one(
            f"SELECT {counted} {_sent(campaign, unclaimed_since_s)}",
            {"campaign": campaign, "unclaimed_since_s": unclaimed_since_s},
        )
        return (row and row[0]) or 0

    def sent_packet(self, *, mch_billno: str | None = None, id: int | None = None) -> SentPacket | None:  # noqa: A002
        """The packet of that number, or at that place, sent or not."""
        sql = f"{_SENT_PACKETS} WHERE mch_billno = :mch_billno OR seq = :id"
        row = self._one(sql, {"mch_billno": mch_billno, "id": id})
        return None if row is None else _packet_of(row)

    def numbers(self, *, but: str) -> Iterator[tuple[str, str, str]]:
        """``mch_billno``, ``send_listid`` and ``detail_id`` of every entry of all other campaigns."""
        sql = f"""
            SELECT mch_billno, send_listid, detail_id FROM entry WHERE campaign IS NOT {_CAMPAIGN_ID}
        """
        return self._each(lambda row: (row[0], row[1], row[2]), sql, {"campaign": but})

    def attempts(self, mch_billno: str) -> list[Attempt]:
        """The requests sent under a number, oldest first."""
        rows = self._all(
            "SELECT n, begun_at_s, ended_at_s, outcome, err_code, err_code_des, raw FROM attempt"
            " WHERE entry = (SELECT seq FROM entry WHERE mch_billno = ?) ORDER BY n",
            (mch_billno,),
        )
        return [
            Attempt(
                n=row[0],
                begun_at_s=row[1],
                ended_at_s=row[2],
                outcome=None if row[3] is None else Outcome(row[3]),
                err_code=row[4],
                err_code_des=row[5],
                raw=unpacked(row[6]),
            )
            for row in rows
        ]

    def questions(self, mch_billno: str) -> list[Question]:
        """The questions asked about a number, oldest first."""
        rows = self._all(
            "SELECT asked_at_s, answered_at_s, status, err_code, err_code_des, raw FROM question"
            " WHERE entry = (SELECT seq FROM entry WHERE mch_billno = ?) ORDER BY id",
            (mch_billno,),
        )
        return [
            Question(
                asked_at_s=row[0],
                answered_at_s=row[1],
                status=None if row[2] is None else Status(row[2]),
                err_code=row[3],
                err_code_des=row[4],
                raw=unpacked(row[5]),
            )
            for row in rows
        ]

    def events(self, campaign: str | None = None, mch_billno: str | None = None) -> Iterator[Event]:
        """What happened, oldest first: to everything, to one campaign, or to one number."""
        where = []
        if campaign is not None:
            where.append(f"event.campaign = {_CAMPAIGN_ID}")
        if mch_billno is not None:
            where.append("event.entry = (SELECT seq FROM entry WHERE mch_billno = :mch_billno)")
        sql = _EVENTS + (f" WHERE {' AND '.join(where)}" if where else "") + " ORDER BY event.seq"
        return self._each(_event_of, sql, {"campaign": campaign, "mch_billno": mch_billno})

    def totals(self, campaign: str) -> dict[State, tuple[int, int]]:
        """Rows and fen of every state; instant, however many entries there are."""
        found = self._all(
            f"SELECT state, rows, fen FROM total WHERE campaign = {_CAMPAIGN_ID}", {"campaign": campaign}
        )
        return dict.fromkeys(State, (0, 0)) | {State(state): (rows, fen) for state, rows, fen in found}

    def aged(self, campaign: str, window: Window, after_s: float, until_s: float) -> Aged:
        """Rows, fen and the oldest moment of the entries in a window that began in (after, until]."""
        totals = self.totals(campaign)
        found = [
            self._aged(campaign, state, window.since, after_s, until_s, whole=totals[state])
            for state in sorted(window.states)
            if totals[state][0]
        ]
        oldest = min((since_s for _, _, since_s in found if since_s is not None), default=None)
        return sum(rows for rows, _, _ in found), sum(fen for _, fen, _ in found), oldest

    def _aged(
        self,
        campaign: str,
        state: State,
        since: Since,
        after_s: float,
        until_s: float,
        *,
        whole: tuple[int, int],
    ) -> Aged:
        """The same for one state, of which ``whole`` are all rows and fen."""
        moment = "first_sent_at_s" if since is Since.SENT else "COALESCE(accepted_at_s, first_sent_at_s)"
        values = {"campaign": campaign, "after_s": after_s, "until_s": until_s}
        of_state = f"FROM entry WHERE campaign = {_CAMPAIGN_ID} AND state = '{state}'"
        if state is State.ACCEPTED and since is Since.TAKEN:
            moment = "accepted_at_s"  # it has one, and an index, by whose ends most windows are judged
            row = self._one(
                f"SELECT (SELECT MIN({moment}) {of_state}), (SELECT MAX({moment}) {of_state})", values
            )
            if row and row[0] is not None and after_s < row[0] and row[1] <= until_s:
                return *whole, row[0]
        row = self._one(
            f"SELECT COUNT(*), COALESCE(SUM(total_amount), 0), MIN({moment}) {of_state}"
            f" AND {moment} > :after_s AND {moment} <= :until_s",
            values,
        )
        assert row is not None
        return row[0], row[1], row[2]

    def used(self, campaign: str, *, days: Sequence[date], people: Collection[str] = ()) -> Used:
        """What counts against the caps already; of the people only the named ones.

        The money in doubt and the days are the merchant's, of all campaigns together.
        """
        spent = ("in_doubt", "parked", "accepted", "received", "refunded")
        totals = self.totals(campaign)
        merchant: dict[date, int] = {}
        persons: dict[tuple[date, str], tuple[int, int]] = {}
        for day in days:
            row = self._one("SELECT fen FROM merchant_day WHERE day = ?", (day.isoformat(),))
            merchant[day] = row[0] if row else 0
            for openid in people:
                row = self._one(
                    "SELECT packets, fen FROM person_day WHERE day = ? AND re_openid = ?",
                    (day.isoformat(), openid),
                )
                if row:
                    persons[day, openid] = (row[0], row[1])
        return Used(
            campaign_fen=sum(totals[State(state)][1] for state in spent),
            in_doubt_fen=self._value("SELECT COALESCE(SUM(fen), 0) FROM total WHERE state = 'in_doubt'"),
            merchant_day_fen=merchant,
            person_day=persons,
        )

    def needs_person(self, campaign: str, now_s: float) -> Iterator[Entry]:
        """Entries that the program itself does not bring to an end, in sheet order.

        Rejected; held by WeChat Pay without a planned repeat; in doubt with nothing more to try; flagged;
        and accepted for so long that soon nobody can ask any more.
        """
        of_campaign = f"SELECT seq FROM entry WHERE campaign = {_CAMPAIGN_ID} AND "
        sql = f"""
            SELECT {ENTRY_COLUMNS} FROM entry WHERE seq IN (
                {of_campaign} state = 'rejected'
                UNION {of_campaign} state = 'parked' AND todo IS NOT 'repeat'
                UNION {of_campaign} state = 'in_doubt' AND todo IS NULL
                UNION {of_campaign} flag IS NOT NULL
                UNION {of_campaign} state = 'accepted' AND accepted_at_s <= :old_s
            ) ORDER BY sheet, row
        """
        return self._each(entry_of, sql, {"campaign": campaign, "old_s": now_s - QUERY_WARNING_S})

    # What is due

    def sendable(self, campaign: str, *, now_s: float, limit: int) -> list[Entry]:
        """The next planned entries of the present sheet whose time has come, in planned order."""
        sql = f"""
            SELECT {ENTRY_COLUMNS} FROM entry
            WHERE campaign = {_CAMPAIGN_ID} AND state = 'planned' AND unlisted = 0 AND not_before_s <= :now_s
            ORDER BY not_before_s, seq LIMIT :limit
        """
        return list(self._each(entry_of, sql, {"campaign": campaign, "now_s": now_s, "limit": limit}))

    def due(
        self,
        *,
        campaign: str | None = None,
        now_s: float,
        todo: Todo,
        limit: int,
        states: Collection[State] = OPEN,
    ) -> list[Entry]:
        """The open entries that are due for a question or a repeat, longest due first.

        Nothing of a cancelled campaign is due for a repeat.
        """
        names = [campaign] if campaign is not None else [c.name for c in self.campaigns()]
        found: list[Entry] = []
        for name in names:
            for state in sorted(OPEN.intersection(states)):
                sql = f"""
                    SELECT {ENTRY_COLUMNS} FROM entry
                    WHERE campaign = (SELECT id FROM campaign WHERE name = :campaign
                                      AND (:todo = 'ask' OR cancelled_at_s IS NULL))
                        AND state = '{state}' AND todo = :todo AND due_at_s <= :now_s
                    ORDER BY due_at_s LIMIT :limit
                """
                values = {"campaign": name, "todo": todo, "now_s": now_s, "limit": limit}
                found.extend(self._each(entry_of, sql, values))
        found.sort(key=lambda entry: (entry.due_at_s or 0.0, entry.mch_billno))
        return found[:limit]

    def next_due_s(
        self, campaign: str | None = None, *, planned: bool = True, polls: bool = False
    ) -> float | None:
        """When the program itself has something to do next; None when it has not.

        Entries that already wait for a person are not waited for: flagged ones, and parked ones without
        a planned repeat.

        Args:
            planned: count planned entries that wait for their time.
            polls: count the questions about accepted packets, too.
        """
        todos = {State.IN_DOUBT: tuple(Todo), State.PARKED: (Todo.REPEAT,)}
        if polls:
            todos[State.ACCEPTED] = (Todo.ASK,)
        names = [campaign] if campaign is not None else [c.name for c in self.campaigns()]
        moments: list[float | None] = []
        for name in names:
            for state, whats in todos.items():
                for todo in whats:
                    sql = f"""
                        SELECT due_at_s FROM entry WHERE campaign = {_CAMPAIGN_ID} AND state = '{state}'
                            AND todo = :todo AND flag IS NULL AND due_at_s IS NOT NULL
                        ORDER BY due_at_s LIMIT 1
                    """
                    moments += [row[0] for row in self._all(sql, {"campaign": name, "todo": todo})]
            if planned:
                sql = f"""
                    SELECT not_before_s FROM entry
                    WHERE campaign = {_CAMPAIGN_ID} AND state = 'planned' AND unlisted = 0
                        AND not_before_s > 0
                    ORDER BY not_before_s LIMIT 1
                """
                moments += [row[0] for row in self._all(sql, {"campaign": name})]
        return min((moment for moment in moments if moment is not None), default=None)

    # Sending

    def begin_sends(
        self,
        entries: Sequence[Entry],
        *,
        limits: Limits,
        now_s: float,
        owner: str,
        lease_s: float,
        others: Sequence[Ledger] = (),
    ) -> Begun:
        """Record, durably, that requests for these entries are about to leave.

        Only what is returned as begun may be sent, with the parameters it is returned with. A begun
        entry is in doubt; if nobody ends it, it is asked about after the lease.

        Args:
            entries: planned, or due for a repeat. One whose state, attempt, openid or amount has changed,
                that another owner is sending, whose time has not come, or whose campaign was cancelled,
                is left out as stale; so is a repeat less than 1 s after the last attempt, or 72 h after
                the first.
            limits: the caps; an entry that one of them forbids is held back. One held by a person's
                daily limit waits for the next Beijing day.
            owner: who is going to send.
            lease_s: how long nobody else repeats them.
            others: the merchant's other ledgers; the merchant's and the people's days are counted in all.
        """
        begun: list[int] = []
        held: list[tuple[Entry, Cap]] = []
        stale: list[Entry] = []
        with self.atomic():
            for name, group in groupby(entries, key=lambda entry: entry.campaign):
                batch = list(group)
                days = beijing_days(now_s)
                people = {entry.re_openid for entry in batch}
                used = self.used(name, days=days, people=people)
                for other in others:
                    used.add_elsewhere(other.used(name, days=days, people=people))
                allowance = Allowance(limits, used, days)
                waiting = self._waiting_people(people, now_s)
                for entry in batch:
                    counted = self._counted_days(entry, days)
                    cap = (
                        Cap.PERSON_DAY
                        if entry.re_openid in waiting
                        else allowance.forbids(entry, counted_days=counted)
                    )
                    if cap:
                        held.append((entry, cap))
                        if cap is Cap.PERSON_DAY:
                            self._defer(entry, waiting.get(entry.re_openid, next_day_start_s(now_s)), now_s)
                        continue
                    try:
                        begun.append(self._begin(entry, days, now_s, owner, lease_s))
                    except StaleEntry:
                        stale.append(entry)
                        continue
                    allowance.spend(entry, counted_days=counted)
            return Begun(entries=self._entries(begun), held=tuple(held), stale=tuple(stale))

    def _begin(self, entry: Entry, days: Sequence[date], now_s: float, owner: str, lease_s: float) -> int:
        seq: int = self._guarded(
            _BEGIN,
            {
                "mch_billno": entry.mch_billno,
                "state": entry.state,
                "attempts": entry.attempt,
                "re_openid": entry.re_openid,
                "total_amount": entry.total_amount,
                "now_s": now_s,
                "until_s": now_s + lease_s,
                "owner": owner,
                "flag": None,
            },
        )[0]
        attempt = entry.attempt + 1
        self._db.execute("INSERT INTO attempt (entry, n, begun_at_s) VALUES (?, ?, ?)", (seq, attempt, now_s))
        self._db.executemany(
            "INSERT OR IGNORE INTO sent_day VALUES (?, ?, ?, ?)",
            [(seq, day.isoformat(), entry.re_openid, entry.total_amount) for day in days],
        )
        detail = {"attempt": attempt}
        self._append(
            entry.campaign, seq, entry.mch_billno, now_s, EventKind.BEGUN, entry.state, State.IN_DOUBT, detail
        )
        return seq

    def end_sends(self, results: Sequence[SendResult], now_s: float) -> None:
        """Record what the attempts brought.

        An answer applies only while its attempt is the entry's last one and the entry is in doubt;
        otherwise it is kept as evidence and changes nothing.
        """
        with self.atomic():
            for result in results:
                self._end_send(result, now_s)

    def _end_send(self, result: SendResult, now_s: float) -> None:
        entry, answer = result.entry, result.answer
        values = {
            "mch_billno": entry.mch_billno,
            "n": entry.attempt,
            "now_s": now_s,
            "outcome": answer.outcome,
            "reach": answer.reach,
            "err_code": "" if answer.outcome is Outcome.ACCEPTED else answer.err_code,
            "err_code_des": "" if answer.outcome is Outcome.ACCEPTED else answer.err_code_des,
            "send_listid": answer.send_listid,
        }
        detail = {"attempt": entry.attempt, "outcome": answer.outcome, "err_code": answer.err_code}
        step = self._allowed(entry.campaign, result.step, now_s)
        counted = Tally().with_answer(answer)
        before = {
            "refused": counted.refused,
            "not_sent": counted.not_sent,
            "held": counted.held,
            **_step_values(State.IN_DOUBT, step),
        }
        try:
            attempt = {"err_code": answer.err_code, "err_code_des": answer.err_code_des}
            seq = self._guarded(_END_ATTEMPT, values | attempt | {"raw": packed(answer.raw)})[0]
            self._guarded(_END_SEND, values | before | {"entry": seq})
        except StaleEntry:
            self._append(
                entry.campaign,
                self._seq(entry.mch_billno),
                entry.mch_billno,
                now_s,
                EventKind.ANSWERED_LATE,
                None,
                None,
                detail,
            )
            return
        if step.state is State.PLANNED:
            assert entry.tally.attempts == entry.tally.not_sent + counted.not_sent
            self._uncount_days(seq)
        self._append(
            entry.campaign,
            seq,
            entry.mch_billno,
            now_s,
            EventKind.ANSWERED,
            State.IN_DOUBT,
            step.state,
            detail,
        )

    def defer_person(self, campaign: str, re_openid: str, until_s: float, now_s: float) -> None:
        """WeChat Pay allows this person nothing more today: hold every entry of theirs until then."""
        with self.atomic():
            changed = self._one(
                "INSERT INTO person_wait VALUES (?, ?) ON CONFLICT DO UPDATE SET until_s = excluded.until_s"
                " WHERE until_s < excluded.until_s RETURNING until_s",
                (re_openid, until_s),
            )
            if changed:
                detail = {"re_openid": re_openid, "until_s": until_s}
                self._note(campaign, now_s, EventKind.PERSON_DEFERRED, detail)

    def suspect(self, entries: Sequence[Entry], *, limits: Limits, now_s: float) -> Begun:
        """Planned entries that an unknown ledger may have sent already: in doubt, to be asked about now.

        They count as money in doubt and against the campaign's budget from here on, so both caps hold
        them back; a day's caps are checked when a request leaves.
        """
        begun: list[int] = []
        held: list[tuple[Entry, Cap]] = []
        stale: list[Entry] = []
        with self.atomic():
            for name, group in groupby(entries, key=lambda entry: entry.campaign):
                allowance = Allowance(limits, self.used(name, days=()), ())
                for entry in group:
                    cap = allowance.forbids(entry)
                    if cap:
                        held.append((entry, cap))
                        continue
                    try:
                        seq = self._guarded(
                            "UPDATE entry SET state = 'in_doubt', todo = 'ask', due_at_s = :now_s,"
                            " not_before_s = 0 WHERE mch_billno = :mch_billno AND state = 'planned'"
                            " AND unlisted = 0 AND attempts = :attempts AND total_amount = :total_amount"
                            " RETURNING seq",
                            {
                                "now_s": now_s,
                                "mch_billno": entry.mch_billno,
                                "attempts": entry.attempt,
                                "total_amount": entry.total_amount,
                            },
                        )[0]
                    except StaleEntry:
                        stale.append(entry)
                        continue
                    allowance.spend(entry)
                    begun.append(seq)
                    self._append(
                        name,
                        seq,
                        entry.mch_billno,
                        now_s,
                        EventKind.SUSPECTED,
                        State.PLANNED,
                        State.IN_DOUBT,
                    )
            return Begun(entries=self._entries(begun), held=tuple(held), stale=tuple(stale))

    def end_repeats(self, campaign: str, *, now_s: float) -> int:
        """Ask about what nobody repeated within 72 h of its first request; returns how many."""
        with self.atomic():
            rows = []
            for state in (State.IN_DOUBT, State.PARKED):
                rows += self._all(
                    f"UPDATE entry SET todo = 'ask', due_at_s = :now_s WHERE campaign = {_CAMPAIGN_ID}"
                    f" AND state = '{state}' AND todo = 'repeat' AND :now_s - first_sent_at_s >= "
                    f"{REPEAT_WINDOW_S}"
                    " RETURNING seq, mch_billno, state",
                    {"campaign": campaign, "now_s": now_s},
                )
            for seq, mch_billno, state in rows:
                self._append(campaign, seq, mch_billno, now_s, EventKind.WOKEN, State(state), State(state))
            return len(rows)

    def wake(self, campaign: str, *, now_s: float) -> int:
        """An operator's new command: what waits for a person is asked about now, so that a top-up or a
        fix continues, and what a cap of ours put off is looked at again. Returns how many entries.

        The caller holds the campaign's lock, so who still claims to be sending something is dead: that is
        asked about, too, a second from now, since its request may have left only just now. Otherwise
        nothing is woken whose first request is more than 72 h old, nor what has a repeat planned.
        """
        within = f"(first_sent_at_s IS NULL OR :now_s - first_sent_at_s < {REPEAT_WINDOW_S})"
        ask = "todo = 'ask', due_at_s = :now_s"
        stuck = f"flag = '{Flag.STUCK}'"
        woken = 0
        with self.atomic():
            for state, changes, which in (
                (
                    State.IN_DOUBT,
                    f"todo = 'ask', due_at_s = :now_s + {REPEAT_GAP_S}, owner = NULL, lease_until_s = NULL",
                    "owner IS NOT NULL",
                ),
                (State.IN_DOUBT, f"{ask}, flag = NULL", f"{stuck} AND todo IS NOT 'repeat' AND {within}"),
                (
                    State.PARKED,
                    f"{ask}, flag = CASE WHEN {stuck} THEN NULL ELSE flag END",
                    f"todo IS NOT 'repeat' AND {within}",
                ),
                (
                    State.PLANNED,
                    f"not_before_s = {_GAP_OVER}",
                    f"unlisted = 0 AND not_before_s > MAX(:now_s, {_GAP_OVER})",
                ),
            ):
                rows = self._all(
                    f"UPDATE entry SET {changes} WHERE campaign = {_CAMPAIGN_ID} AND state = '{state}'"
                    f" AND {which} RETURNING seq, mch_billno",
                    {"campaign": campaign, "now_s": now_s},
                )
                for seq, mch_billno in rows:
                    self._append(campaign, seq, mch_billno, now_s, EventKind.WOKEN, state, state)
                woken += len(rows)
        return woken

    def _defer(self, entry: Entry, until_s: float, now_s: float) -> None:
        """A person's daily limit: this entry waits."""
        column = "not_before_s" if entry.state is State.PLANNED else "due_at_s"
        row = self._one(
            f"UPDATE entry SET {column} = :until_s WHERE mch_billno = :mch_billno AND state = :state"
            " AND attempts = :attempts RETURNING seq",
            {
                "until_s": until_s,
                "mch_billno": entry.mch_billno,
                "state": entry.state,
                "attempts": entry.attempt,
            },
        )
        if row:
            detail = {"until_s": until_s}
            self._append(
                entry.campaign,
                row[0],
                entry.mch_billno,
                now_s,
                EventKind.DEFERRED,
                entry.state,
                entry.state,
                detail,
            )

    def _waiting_people(self, people: Iterable[str], now_s: float) -> dict[str, float]:
        sql = "SELECT until_s FROM person_wait WHERE re_openid = ? AND until_s > ?"
        found = ((openid, self._one(sql, (openid, now_s))) for openid in people)
        return {openid: row[0] for openid, row in found if row}

    def _counted_days(self, entry: Entry, days: Sequence[date]) -> frozenset[date]:
        """Those of the days on which a request for this entry is counted already."""
        if not entry.attempt:
            return frozenset()
        rows = self._all(
            "SELECT day FROM sent_day WHERE entry = (SELECT seq FROM entry WHERE mch_billno = ?)",
            (entry.mch_billno,),
        )
        return frozenset(days) & {date.fromisoformat(row[0]) for row in rows}

    def _uncount_days(self, seq: int) -> None:
        self._db.execute("DELETE FROM sent_day WHERE entry = ?", (seq,))

    # Asking

    def end_query(self, result: QueryResult, now_s: float) -> Entry | None:
        """Record one answer; see `end_queries`. Returns the entry as it is now, None if nothing changed."""
        return next(iter(self.end_queries([result], now_s)), None)

    def end_queries(self, results: Iterable[QueryResult], now_s: float) -> list[Entry]:
        """Record what the questions brought; returns the entries that were changed, as they are now.

        An answer applies only if no attempt began after the question was sent and the entry is still in
        the state that was asked about; otherwise it is kept as evidence and changes nothing.
        """
        with self.atomic():
            changed = [seq for result in results if (seq := self._end_query(result, now_s))]
            return list(self._entries(changed))

    def _end_query(self, result: QueryResult, now_s: float) -> int | None:
        """The entry's place in the ledger if the answer changed it."""
        entry, answer = result.entry, result.answer
        seq = self._seq(entry.mch_billno)
        assert seq is not None
        self._db.execute(
            "INSERT INTO question (entry, asked_at_s, answered_at_s, status, err_code, err_code_des, raw)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                result.asked_at_s,
                now_s,
                answer.status,
                answer.err_code,
                answer.err_code_des,
                packed(answer.raw),
            ),
        )
        detail = {"status": answer.status or "", "err_code": answer.err_code}
        if result.step is None:
            return None
        step = self._allowed(entry.campaign, result.step, now_s)
        values = {
            "entry": seq,
            "before": entry.state,
            "attempts": entry.attempt,
            "asked_at_s": result.asked_at_s,
            "now_s": now_s,
            "settled": step.state in SETTLED,
            "status": answer.status or "",
            "err_code": "" if answer.status else answer.err_code,
            "reason": answer.reason,
            "detail_id": answer.detail_id,
            "rcv_time": answer.claims[0].rcv_time if answer.claims else "",
            "refund_time": answer.refund_time,
            "refund_amount": answer.refund_amount,
            **_step_values(entry.state, step),
        }
        try:
            self._guarded(_END_QUERY, values)
        except StaleEntry:
            self._append(
                entry.campaign, seq, entry.mch_billno, now_s, EventKind.ASKED_LATE, None, None, detail
            )
            return None
        if step.state is State.REJECTED:
            self._uncount_days(seq)
        self._append(
            entry.campaign, seq, entry.mch_billno, now_s, EventKind.ASKED, entry.state, step.state, detail
        )
        return seq

    def _allowed(self, campaign: str, step: Step, now_s: float) -> Step:
        """A cancelled campaign is only asked about: instead of a repeat, one more question a day later."""
        if step.todo is not Todo.REPEAT:
            return step
        sql = "SELECT 1 FROM campaign WHERE name = ? AND cancelled_at_s IS NOT NULL"
        if not self._one(sql, (campaign,)):
            return step
        return Step(
            state=step.state,
            todo=Todo.ASK,
            due_at_s=max(step.due_at_s or now_s, now_s) + DAY_S,
            evidence=step.evidence,
            flag=step.flag,
            not_found_at_s=step.not_found_at_s,
            sending_since_s=step.sending_since_s,
        )

    # The event chain

    def head(self) -> tuple[int, str]:
        """Number and digest of the last event: tells one state of a ledger from an older copy of it."""
        row = self._one(f"SELECT seq, digest FROM event WHERE {_LAST_EVENT}")
        return (row[0], row[1].hex()) if row else (0, "")

    def last_event(self, campaign: str) -> int:
        """The number of the campaign's last event: a report made since then says all there is to say."""
        sql = f"SELECT seq FROM event WHERE campaign = {_CAMPAIGN_ID} ORDER BY seq DESC LIMIT 1"
        row = self._one(sql, {"campaign": campaign})
        return int(row[0]) if row else 0

    def has_event(self, seq: int, digest: str) -> bool:
        """Whether that event is part of this ledger's history; number 0 is the beginning of every history."""
        if not seq:
            return True
        row = self._one("SELECT digest FROM event WHERE seq = ?", (seq,))
        return row is not None and row[0].hex() == digest

    def broken_events(self) -> Iterator[int]:
        """The events that were altered, or in front of which one is missing. None, if all is well."""
        before = b""
        for row in self._rows(_EVENTS + " ORDER BY event.seq"):
            seq, digest, *parts = row
            if event_digest(before, *parts) != digest:
                yield seq
            before = digest

    def unexplained(self) -> Iterator[str]:
        """The numbers whose state is not the one that their last event led to. None, if all is well."""
        sql = """
            SELECT mch_billno FROM entry WHERE state IS NOT (
                SELECT after FROM event WHERE event.entry = entry.seq AND after IS NOT NULL
                ORDER BY event.seq DESC LIMIT 1)
            ORDER BY seq
        """
        for row in self._rows(sql):
            yield row[0]

    def _append(
        self,
        campaign: str,
        seq: int | None,
        mch_billno: str,
        at_s: float,
        kind: EventKind,
        before: State | None,
        after: State | None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Append an entry's event to the running transaction."""
        assert self._depth, "an event belongs to the transaction that makes the change"
        facts = detail_json(detail or {})
        self._link(campaign, seq, mch_billno, float(at_s), kind, before, after, facts)

    def _note(
        self, campaign: str, at_s: float, kind: EventKind, detail: Mapping[str, object] | None = None
    ) -> None:
        """Append a campaign's event to the running transaction."""
        self._link(campaign, None, "", float(at_s), kind, None, None, detail_json(detail or {}))

    def _link(
        self,
        campaign: str,
        seq: int | None,
        mch_billno: str,
        at_s: float,
        kind: EventKind,
        before: State | None,
        after: State | None,
        facts: str,
    ) -> None:
        if self._chain is None:
            row = self._one(f"SELECT digest FROM event WHERE {_LAST_EVENT}")
            self._chain = row[0] if row else b""
        self._chain = event_digest(self._chain, campaign, mch_billno, at_s, kind, before, after, facts)
        self._events.append((campaign, seq, at_s, kind, before, after, facts, self._chain))
        if len(self._events) >= _CHUNK:
            self._write_events()

    def _write_events(self) -> None:
        self._db.executemany(
            "INSERT INTO event (campaign, entry, at_s, kind, before, after, detail, digest)"
            " VALUES ((SELECT id FROM campaign WHERE name = ?), ?, ?, ?, ?, ?, ?, ?)",
            self._events,
        )
        self._events.clear()

    # Statements

    def _entries(self, seqs: Sequence[int]) -> tuple[Entry, ...]:
        """The entries at these places, in this order."""
        sql = f"SELECT {ENTRY_COLUMNS}, seq FROM entry WHERE seq IN ({', '.join(map(str, seqs))})"
        found = {row[-1]: entry_of(row) for row in self._all(sql)}
        return tuple(found[seq] for seq in seqs)

    def _seq(self, mch_billno: str) -> int | None:
        row = self._one("SELECT seq FROM entry WHERE mch_billno = ?", (mch_billno,))
        return None if row is None else int(row[0])

    def _guarded(self, sql: str, values: Mapping[str, object]) -> Row:
        """Carry out a change that expects one row in one state, and return what it returns.

        Raises:
            StaleEntry: no row is in that state; nothing was changed.
        """
        rows = self._all(sql, values)
        if len(rows) != 1:
            raise StaleEntry(values.get("mch_billno") or values.get("entry"))
        return rows[0]

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
        if self._events:
            self._write_events()
        with file.translated(self.path):
            # Not `yield from`: that would close the cursor of a ledger that is closed already.
            for row in self._db.execute(sql, values):  # noqa: UP028
                yield row

    def _each(self, build: Callable[[Row], T], sql: str, values: Mapping[str, object]) -> Iterator[T]:
        return map(build, self._rows(sql, values))


def _sent(campaign: str | None, unclaimed_since_s: float | None) -> str:
    """The condition for what was sent, or may have been; ``total`` can be asked by it, too."""
    # The plus keeps SQLite from using an index: it would have to sort the whole campaign for each page.
    of_campaign = "" if campaign is None else f" AND +campaign = {_CAMPAIGN_ID}"
    sent = f"WHERE state NOT IN ('planned', 'cancelled'){of_campaign}"
    return sent if unclaimed_since_s is None else f"{_PAID_AGAIN} {sent} {_UNCLAIMED}"


def _packet_of(row: Row) -> SentPacket:
    *_, number, created_at_s, updated_at_s, raw = row
    return SentPacket(
        id=number,
        entry=entry_of(row),
        created_at_s=created_at_s,
        updated_at_s=updated_at_s,
        raw=unpacked(raw),
    )


def _step_values(before: State, step: Step) -> dict[str, object]:
    assert may_move(before, step.state), f"{before} -> {step.state}"
    return {
        "state": step.state,
        "evidence": step.evidence,
        "flag": step.flag,
        "todo": step.todo,
        "due_at_s": step.due_at_s,
        "not_found_at_s": step.not_found_at_s,
        "sending_since_s": step.sending_since_s,
    }


def _changes(was: Entry, now: Entry) -> dict[str, list[object]]:
    """Which of a row's values changed, each with what it was and what it is."""
    changes: dict[str, list[object]] = {}
    for name in ("sheet", "row", "re_openid", "total_amount"):
        before, after = getattr(was, name), getattr(now, name)
        if before != after:
            changes[name] = [before, after]
    for name in sorted((was.parameters.keys() | now.parameters.keys()) - changes.keys()):
        if was.parameters.get(name) != now.parameters.get(name):
            changes[name] = [was.parameters.get(name, ""), now.parameters.get(name, "")]
    if dict(was.own) != dict(now.own):
        changes["own"] = [dict(was.own), dict(now.own)]
    return changes


def _event_of(row: Row) -> Event:
    return Event(
        seq=row[0],
        campaign=row[2],
        mch_billno=row[3],
        at_s=row[4],
        kind=EventKind(row[5]),
        before=None if row[6] is None else State(row[6]),
        after=None if row[7] is None else State(row[7]),
        detail=json.loads(row[8]),
    )
