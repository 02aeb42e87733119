"""Planned entries: given their numbers, revised while nothing is stored under them, listed or not."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import compress, count, groupby, islice
from operator import attrgetter, not_
from typing import Any, Final

from campaign.domain.billno import nonce_str
from campaign.domain.canonical import canonical_json
from campaign.domain.entry import Entry, NewEntries
from campaign.domain.occurrences import made_once
from campaign.domain.plan import Known
from campaign.domain.state import State
from campaign.ledger.chain import Together
from campaign.ledger.database import StaleEntry
from campaign.ledger.reading import Reading
from campaign.ledger.records import EventKind
from campaign.ledger.rows import (
    CAMPAIGN_ID,
    CHECK_DIGITS,
    EARLIER_STAND,
    GAP_OVER,
    KNOWN_COLUMNS,
    PLANNED_COLUMNS,
    detail_json,
    known_of,
    planned_check,
    planned_checks,
    shared_of,
    wording_digest,
)
from campaign.ledger.schema import DROP_NUMBERS, MAKE_NUMBERS

#: What planning gives an entry, behind its number. What is not named SQLite fills in; ``seq`` it counts.
_BEHIND: Final = "row_key, issue, sheet, row, re_openid, total_amount, nonce_str, own, wording"
#: So many entries are a big plan. They share an event: a tenth of the time of one each, and each can still be
#: told apart in it.
_BIG: Final = 1000
_ADD_TOTAL: Final = """
    INSERT INTO total (campaign, state, rows, fen) VALUES (?, 'planned', ?, ?)
    ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, fen = fen + excluded.fen
"""
#: What `planned_check` needs of an entry, and the event that gave it other values last.
_PLANNED: Final = f"""
    SELECT {PLANNED_COLUMNS}, COALESCE((SELECT name FROM campaign WHERE id = entry.campaign), ''),
        COALESCE((SELECT parameters FROM wording WHERE id = entry.wording), ''),
        (SELECT detail FROM event WHERE event.entry = entry.seq AND kind IN ('revised', 'corrected')
         ORDER BY event.seq DESC LIMIT 1)
    FROM entry
"""

_REVISE: Final = f"""
    UPDATE entry SET
        sheet = :sheet, row = :row, re_openid = :re_openid, total_amount = :total_amount, wording = :wording,
        nonce_str = :nonce_str, own = :own, state = :after, evidence = NULL, todo = NULL, due_at_s = NULL,
        not_before_s = {GAP_OVER}, first_sent_at_s = NULL,
        not_found_at_s = NULL, sending_since_s = NULL, settled_at_s = NULL, last_outcome = NULL,
        last_reach = 'row', err_code = '', reason = ''
    WHERE seq = :entry AND attempts = :attempts
        AND (state IN ('planned', 'cancelled') AND state = :before
             OR state = 'rejected' AND evidence = 'unstored' AND flag IS NULL AND :before = 'rejected')
    RETURNING seq
"""


class Planning(Reading):
    """What a sheet asks of the ledger."""

    def known(self, campaign: str) -> Iterator[Known]:
        """Every entry of the campaign as planning needs it, in sheet order."""
        sql = f"SELECT {KNOWN_COLUMNS} FROM entry WHERE campaign = {CAMPAIGN_ID} ORDER BY sheet, row"
        return self._each(known_of, sql, {"campaign": campaign})

    def known_as(self, mch_billno: str) -> Known | None:
        """The entry of that number as planning needs it."""
        row = self._one(f"SELECT {KNOWN_COLUMNS} FROM entry WHERE mch_billno = ?", (mch_billno,))
        return None if row is None else known_of(row)

    def may_take_up_again(self, campaign: str) -> bool:
        """Whether planning the same sheet again would revive an entry.

        That is one whose refusal, before an order was stored, meant the settings as a whole.
        """
        sql = f"""
            SELECT EXISTS (SELECT 1 FROM entry WHERE campaign = {CAMPAIGN_ID} AND state = 'rejected'
                           AND evidence = 'unstored' AND last_reach = 'abort')
        """
        row = self._one(sql, {"campaign": campaign})
        return bool(row and row[0])

    def add_entries(self, entries: Iterable[Entry], at_s: float) -> int:
        """Plan new entries; returns how many. Their order is the order of sending."""
        with self.atomic():
            return sum(
                self.plan_entries(campaign, _batches(some), at_s)
                for campaign, some in groupby(entries, key=attrgetter("campaign"))
            )

    def plan_entries(self, campaign: str, batches: Iterable[NewEntries], at_s: float) -> int:
        """The same for entries of one campaign."""
        with self.atomic():
            is_big = False
            first = seq = self._value("SELECT COALESCE(MAX(seq), 0) FROM entry")
            for batch in batches:
                if seq == 0 and len(batch.shared) >= _BIG:
                    # Sorted at once a million numbers take a third of the time.
                    self._db.execute(DROP_NUMBERS)
                    is_big = True
                seq = self._plan(campaign, batch, seq, at_s)
            assert seq == self._value("SELECT COALESCE(MAX(seq), 0) FROM entry"), "SQLite counts as we do"
            if is_big:
                self._db.execute(MAKE_NUMBERS)  # fails, and the plan with it, if two entries share one
            return seq - first

    def _plan(self, campaign: str, batch: NewEntries, seq: int, at_s: float) -> int:
        """Plan entries of one campaign, which follow the place ``seq``; returns that of the last one."""
        *planned, shared = batch
        campaign_id, size, fen = self._campaign_id(campaign), len(shared), sum(batch.total_amount)
        wordings = made_once(canonical_json, shared)
        billnos, *behind = *planned, made_once(self._wording, wordings)
        common = tuple(column.count(column[0]) == size for column in behind)
        values = [campaign_id, *(column[0] for column in compress(behind, common))]
        own = [billnos, *compress(behind, map(not_, common))]
        by_row: list[Any] = [None] * (size * len(own))
        for at, column in enumerate(own):
            by_row[at :: len(own)] = column
        self._db.execute(_adding(size, common), [*values, *by_row])
        self._db.execute(_ADD_TOTAL, (campaign_id, size, fen))

        places = range(seq + 1, seq + size + 1)
        # Behind the INSERT, for which Python has encoded the texts already.
        checks = planned_checks(campaign, wordings, places, *planned)
        assert len(checks) == size * CHECK_DIGITS, "each entry has its check"
        detail = detail_json({"rows": size, "fen": fen, "checks": checks})
        self._append(
            campaign, places[-1], batch.mch_billno[-1], at_s, EventKind.PLANNED, None, State.PLANNED, detail
        )
        self._flush()
        return places[-1]

    def altered_entries(self) -> Iterator[str]:
        """The numbers of the rows that are not as they were planned, or revised last. None, if all is well.

        Rows that were planned before events kept their checks are not judged.
        """
        plans = self._rows(
            "SELECT entry, detail FROM event WHERE kind = 'planned' AND entry NOT NULL ORDER BY entry"
        )
        together = Together(last=-sys.maxsize)
        for *planned, campaign, wording, revised in self._rows(f"{_PLANNED} ORDER BY seq"):
            seq, mch_billno, *_ = planned
            while together.last < seq:
                row = next(plans, None)
                together = Together.of(*row) if row else Together(last=sys.maxsize)
            if seq < together.first:
                yield mch_billno  # nobody planned it
                continue
            expected = together.check(seq) if revised is None else _revised_check(revised)
            if expected and planned_check(campaign, wording, planned) != expected:
                yield mch_billno

    def revise(self, entry: Entry, at_s: float, why: str) -> None:
        """Give an entry under whose number nothing was stored the row's present values.

        A planned one stays planned; one that was refused unstored is planned again (corrected).

        Raises:
            StaleEntry: a request may have left under this number, its order is dead, or WeChat Pay has
                contradicted that nothing is stored.
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
                    "wording": self._wording(canonical_json(shared_of(entry))),
                    "nonce_str": _own_nonce(entry),
                    "own": detail_json(entry.own),
                },
            )
            kind = EventKind.REVISED if after is was.state else EventKind.CORRECTED
            *planned, campaign, wording, _ = self._all(f"{_PLANNED} WHERE seq = ?", (seq,))[0]
            check = planned_check(campaign, wording, planned)
            detail = {"why": why, "changed": _changes(was, entry), "check": check}
            self._append(was.campaign, seq, was.mch_billno, at_s, kind, was.state, after, detail_json(detail))

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
            f"SELECT mch_billno, re_openid, total_amount FROM entry WHERE campaign = {CAMPAIGN_ID}"
            " AND (state NOT IN ('rejected', 'cancelled') OR flag IS NOT NULL)"
            " AND (last_sent_at_s IS NULL OR last_sent_at_s >= :since_s)",
            {"campaign": campaign, "since_s": since_s},
        )

    def waiting(self, campaign: str) -> tuple[int, int]:
        """Rows and fen of the planned entries that are still to be sent."""
        rows, fen = self.totals(campaign)[State.PLANNED]
        for other_rows, other_fen in (self.unlisted(campaign), self.held(campaign)):
            rows, fen = rows - other_rows, fen - other_fen
        return rows, fen

    def unlisted(self, campaign: str) -> tuple[int, int]:
        """Rows and fen of the planned entries that wait for a sheet that has them again."""
        return self._planned(campaign, f"unlisted = 1 AND {EARLIER_STAND}")

    def held(self, campaign: str) -> tuple[int, int]:
        """Rows and fen of the planned entries whose rows may have been paid under an earlier number."""
        sql = f"""
            SELECT 1 WHERE EXISTS (SELECT 1 FROM entry WHERE campaign = {CAMPAIGN_ID} AND flag IS NOT NULL)
                OR EXISTS (SELECT 1 FROM finding WHERE campaign = {CAMPAIGN_ID})
        """
        if not self._one(sql, {"campaign": campaign}):
            return 0, 0  # as a rule, and what follows reads every planned row
        here, gone = (self._planned(campaign, f"unlisted = {n} AND NOT {EARLIER_STAND}") for n in (0, 1))
        return here[0] + gone[0], here[1] + gone[1]

    def _planned(self, campaign: str, which: str) -> tuple[int, int]:
        row = self._one(
            f"SELECT COUNT(*), COALESCE(SUM(total_amount), 0) FROM entry"
            f" WHERE campaign = {CAMPAIGN_ID} AND state = 'planned' AND {which}",
            {"campaign": campaign},
        )
        assert row is not None
        return row[0], row[1]

    def _wording(self, wording: str) -> int:
        """The number under which a wording is stored, now if not before."""
        digest = wording_digest(wording)
        self._db.execute(
            "INSERT OR IGNORE INTO wording (digest, parameters) VALUES (?, ?)", (digest, wording)
        )
        return self._value("SELECT id FROM wording WHERE digest = ?", (digest,))


@lru_cache(maxsize=32)
def _adding(rows: int, common: tuple[bool, ...]) -> str:
    """An INSERT of so many rows, to which values that they have in common are given once instead of for each.

    Its parameters are the campaign's number, the values in common, and of each row its number and the others.

    Args:
        common: for each column `_BEHIND` the number whether its value is that of all rows.
    """
    places = count(2)
    shared = [next(places) if same else None for same in common]
    row = [
        f"(?1, 'planned', ?{next(places)}, {', '.join(f'?{n or next(places)}' for n in shared)})"
        for _ in range(rows)
    ]
    return f"INSERT INTO entry (campaign, state, mch_billno, {_BEHIND}) VALUES " + ", ".join(row)


def _batches(entries: Iterable[Entry]) -> Iterator[NewEntries]:
    """The same entries, of which nothing is kept but what planning gives them."""
    facts = (
        (
            entry.mch_billno,
            entry.row_key,
            entry.issue,
            entry.sheet,
            entry.row,
            entry.re_openid,
            entry.total_amount,
            _own_nonce(entry),
            detail_json(entry.own),
            shared_of(entry),
        )
        for entry in entries
    )
    while some := list(islice(facts, _BIG)):
        yield NewEntries(*zip(*some, strict=True))


def _own_nonce(entry: Entry) -> str:
    """The entry's nonce, where it is not that of its number."""
    nonce = entry.parameters.get("nonce_str", "")
    return "" if nonce == nonce_str(entry.mch_billno) else nonce


def _revised_check(detail: str) -> str:
    """The `planned_check` of the values that a revision gave; empty where it kept none, or was altered."""
    try:
        return str(json.loads(detail).get("check", ""))
    except (ValueError, AttributeError):
        return ""


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
