"""The event chain: every change appends what it did, each event sealed with the one before it."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self

from campaign.domain.state import State
from campaign.ledger.database import Database
from campaign.ledger.file import as_written
from campaign.ledger.records import Event, EventKind
from campaign.ledger.rows import CAMPAIGN_ID, CHECK_DIGITS, Row, detail_json, event_digest

_CHUNK: Final = 1000

#: Events in one INSERT, which costs two thirds of one INSERT each.
_EVENTS_TOGETHER: Final = 64
_ADD_EVENTS: Final = (
    "INSERT INTO event (seq, campaign, entry, at_s, kind, before, after, detail, digest, answers) VALUES "
)
_EVENT: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_LAST_EVENT: Final = "seq = (SELECT MAX(seq) FROM event)"

_EVENTS: Final = """
    SELECT event.seq, event.entry, event.digest, COALESCE(campaign.name, ''), COALESCE(entry.mch_billno, ''),
        event.at_s, event.kind, event.before, event.after, event.detail
    FROM event LEFT JOIN campaign ON campaign.id = event.campaign LEFT JOIN entry ON entry.seq = event.entry
"""

#: The event with which ``entry`` was planned: its own, or that of the thousand that it belongs to.
PLANNED_EVENT: Final = (
    "FROM event WHERE kind = 'planned' AND event.entry >= entry.seq ORDER BY event.entry LIMIT 1"
)
#: Every other event that tells of ``entry``: its own, and those that tell of several requests, to which the
#: request's `attempt` points. One that does not name the entry tells nothing of it, whoever points there.
TOLD_OF: Final = """
    (SELECT event.seq, at_s, after FROM event WHERE event.entry = entry.seq
     UNION ALL
     SELECT event.seq, at_s, after FROM attempt JOIN event ON event.seq IN (begun_event, ended_event)
     WHERE attempt.entry = entry.seq AND instr(detail, '"' || mch_billno || '"') > 0)
"""

#: The member of an event's facts that names the numbers of whose requests it tells at once.
NUMBERS: Final = "numbers"
#: Whether one of these numbers has no request that points back to the event.
_LOST: Final = """
    SELECT 1 FROM json_each(:facts, '$.numbers') AS told WHERE NOT EXISTS (
        SELECT 1 FROM entry JOIN attempt ON attempt.entry = entry.seq AND n = :facts ->> 'attempt'
        WHERE mch_billno = told.value
            AND :seq = CASE :kind WHEN 'begun' THEN begun_event ELSE ended_event END
    ) LIMIT 1
"""
#: The member that has the digest of their answers' bodies.
ANSWERS: Final = "answers"
#: Facts that make an event whole, and are not told of each of its numbers.
_OF_THE_WHOLE: Final = frozenset({NUMBERS, ANSWERS, "checks"})


@dataclass(frozen=True, slots=True)
class Together:
    """The entries that one event planned."""

    #: The place of the last one, at which the event stands.
    last: int
    rows: int = 0
    #: The `planned_check` of each in turn; empty in a ledger begun before there were any.
    checks: str = ""

    @classmethod
    def of(cls, entry: int | None, detail: str) -> Self:
        """What an event says of them. One that somebody altered says something: `audit` has to get by it."""
        try:
            facts = json.loads(detail)
            return cls(entry or 0, int(facts.get("rows", 1)), str(facts.get("checks", "")))
        except (ValueError, AttributeError, TypeError):
            return cls(entry or 0)

    @property
    def first(self) -> int:
        """The place of the first one."""
        return self.last - self.rows + 1

    def check(self, seq: int) -> str:
        """The `planned_check` that the entry at this place was planned with."""
        start = (seq - self.first) * CHECK_DIGITS
        return self.checks[start : start + CHECK_DIGITS]


class Chain(Database):
    """Events, appended in the transaction that makes the change."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        super().__init__(connection, path)
        # Events of the running transaction that are not written yet; number and digest of the chain's last.
        self._events: list[tuple[Any, ...]] = []
        self._last: tuple[int, bytes] | None = None
        self._campaign_ids: dict[str, int] = {}

    def events(self, campaign: str | None = None) -> Iterator[Event]:
        """What happened, oldest first: to everything, or to one campaign.

        Entries that were planned, or sent, or answered together share one event, told for each of them.
        """
        where = "" if campaign is None else f" WHERE event.campaign = {CAMPAIGN_ID}"
        for row in self._rows(f"{_EVENTS}{where} ORDER BY event.seq", {"campaign": campaign}):
            with as_written(self.path, f"event {row[0]}"):
                event = _event_of(row)
            numbers: Iterable[str]
            if event.kind is EventKind.PLANNED:
                numbers = self._numbers(Together.of(row[1], row[9]))
            elif NUMBERS in event.detail:
                numbers = _named(event)
            else:
                yield event
                continue
            detail = {name: fact for name, fact in event.detail.items() if name not in _OF_THE_WHOLE}
            for number in numbers:
                yield replace(event, mch_billno=number, detail=detail)

    def head(self) -> tuple[int, str]:
        """Number and digest of the last event: tells one state of a ledger from an older copy of it."""
        row = self._one(f"SELECT seq, digest FROM event WHERE {_LAST_EVENT}")
        return (row[0], row[1].hex()) if row else (0, "")

    def last_event(self, campaign: str) -> int:
        """The number of the campaign's last event: a report made since then says all there is to say."""
        sql = f"SELECT seq FROM event WHERE campaign = {CAMPAIGN_ID} ORDER BY seq DESC LIMIT 1"
        row = self._one(sql, {"campaign": campaign})
        return int(row[0]) if row else 0

    def has_event(self, seq: int, digest: str) -> bool:
        """Whether that event is part of this ledger's history; number 0 is the beginning of every history."""
        if not seq:
            return True
        row = self._one("SELECT digest FROM event WHERE seq = ?", (seq,))
        return row is not None and row[0].hex() == digest

    def broken_events(self) -> Iterator[int]:
        """The events that were altered, or lost an entry or a request that they tell of, or in front of
        which one is missing. None, if all is well.
        """
        before = b""
        for seq, entry, digest, *parts in self._rows(_EVENTS + " ORDER BY event.seq"):
            if event_digest(before, *parts) != digest:
                yield seq
            elif parts[3] == EventKind.PLANNED:
                together = Together.of(entry, parts[-1])
                if sum(1 for _ in self._numbers(together)) != together.rows:
                    yield seq
            elif entry is None and self._has_lost(seq, parts[3], parts[-1]):
                yield seq
            before = digest

    def _has_lost(self, seq: int, kind: str, facts: str) -> bool:
        """Whether a request that an event tells of is gone, or the bodies of its answers are others."""
        row = self._one("SELECT answers FROM event WHERE seq = ?", (seq,))
        answers = answers_digest(row[0]) if row and row[0] is not None else None
        lost = self._one(_LOST, {"facts": facts, "seq": seq, "kind": kind})
        return lost is not None or answers != json.loads(facts).get(ANSWERS)

    def unexplained(self) -> Iterator[str]:
        """The numbers whose state is not the one that their last event led to. None, if all is well."""
        sql = f"""
            SELECT mch_billno FROM entry WHERE state IS NOT COALESCE(
                (SELECT after FROM {TOLD_OF} WHERE after IS NOT NULL ORDER BY seq DESC LIMIT 1),
                (SELECT after {PLANNED_EVENT}))
            ORDER BY seq
        """
        for row in self._rows(sql):
            yield row[0]

    def _numbers(self, together: Together) -> Iterator[str]:
        """The bill numbers of entries that were planned together, in their order."""
        sql = "SELECT mch_billno FROM entry WHERE seq BETWEEN ? AND ? ORDER BY seq"
        for row in self._rows(sql, (together.first, together.last)):
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
        facts: str = "{}",
    ) -> None:
        """Append an entry's event to the running transaction; ``facts`` is a JSON object."""
        self._link(campaign, seq, mch_billno, at_s, kind, before, after, facts)

    def _append_for_all(
        self,
        campaign: str,
        mch_billnos: Sequence[str],
        at_s: float,
        kind: EventKind,
        before: State,
        after: State,
        facts: Mapping[str, object],
        answers: bytes | None = None,
    ) -> int:
        """Append one event for the requests under all these numbers, a fifth of the work of one each.

        Args:
            answers: what `packed_together` makes of their answers, in the order of the numbers.

        Returns:
            The event's number, to which the caller makes each `attempt` point.
        """
        whole: dict[str, object] = {**facts, NUMBERS: mch_billnos}
        if answers is not None:
            whole[ANSWERS] = answers_digest(answers)
        detail = detail_json(whole)
        return self._link(campaign, None, "", at_s, kind, before, after, detail, answers)

    def _note(
        self, campaign: str, at_s: float, kind: EventKind, detail: Mapping[str, object] | None = None
    ) -> None:
        """Append a campaign's event to the running transaction."""
        self._link(campaign, None, "", at_s, kind, None, None, detail_json(detail or {}))

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
        answers: bytes | None = None,
    ) -> int:
        assert self._depth, "an event belongs to the transaction that makes the change"
        if self._last is None:
            row = self._one(f"SELECT seq, digest FROM event WHERE {_LAST_EVENT}")
            self._last = (row[0], row[1]) if row else (0, b"")
        number, link = self._last
        at_s = float(at_s)
        digest = event_digest(link, campaign, mch_billno, at_s, kind, before, after, facts)
        self._last = number + 1, digest
        campaign_id = self._campaign_id(campaign)
        self._events.append((number + 1, campaign_id, seq, at_s, kind, before, after, facts, digest, answers))
        if len(self._events) >= _CHUNK:
            self._flush()
        return number + 1

    def _flush(self) -> None:
        events, self._events = self._events, []
        for start in range(0, len(events), _EVENTS_TOGETHER):
            some = events[start : start + _EVENTS_TOGETHER]
            self._db.execute(_ADD_EVENTS + ", ".join([_EVENT] * len(some)), list(chain.from_iterable(some)))

    def _campaign_id(self, name: str) -> int | None:
        """The campaign's place in the ledger; looked up once in a transaction, whose end may undo it."""
        if name not in self._campaign_ids:
            row = self._one("SELECT id FROM campaign WHERE name = ?", (name,))
            if row is None:
                return None
            self._campaign_ids[name] = row[0]
        return self._campaign_ids[name]

    def _forget(self) -> None:
        self._events.clear()
        self._campaign_ids.clear()
        self._last = None


def answers_digest(answers: bytes) -> str:
    """What an event keeps of the answers that it has: tells altered ones from those that came."""
    return hashlib.blake2b(answers, digest_size=16).hexdigest()


def _named(event: Event) -> list[str]:
    numbers = event.detail[NUMBERS]
    assert isinstance(numbers, list)
    return numbers


def _event_of(row: Row) -> Event:
    return Event(
        seq=row[0],
        campaign=row[3],
        mch_billno=row[4],
        at_s=row[5],
        kind=EventKind(row[6]),
        before=None if row[7] is None else State(row[7]),
        after=None if row[8] is None else State(row[8]),
        detail=json.loads(row[9]),
    )
