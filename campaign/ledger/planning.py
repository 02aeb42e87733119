"""Planned entries: given their numbers, revised while nothing is stored under them, listed or not."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from campaign.domain.entry import Entry, NewEntry
from campaign.domain.plan import Known
from campaign.domain.state import State
from campaign.ledger.database import StaleEntry
from campaign.ledger.reading import Reading
from campaign.ledger.records import EventKind
from campaign.ledger.rows import CAMPAIGN_ID, GAP_OVER, KNOWN_COLUMNS, Wordings, detail_json, known_of

_ADD: Final = """
    INSERT INTO entry (seq, mch_billno, campaign, row_key, issue, sheet, row, re_openid, total_amount,
                       wording, nonce_str, own, state)
    VALUES """
_ENTRY: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned')"
#: Entries in one INSERT, which costs half of one INSERT each.
_CHUNK: Final = 64
#: Wordings whose numbers are remembered while planning.
_WORDINGS_KEPT: Final = 1000


_REVISE: Final = f"""
    UPDATE entry SET
        sheet = :sheet, row = :row, re_openid = :re_openid, total_amount = :total_amount, wording = :wording,
        nonce_str = :nonce_str, own = :own, state = :after, evidence = NULL, flag = NULL, todo = NULL,
        due_at_s = NULL, not_before_s = {GAP_OVER}, first_sent_at_s = NULL,
        not_found_at_s = NULL, sending_since_s = NULL, settled_at_s = NULL, last_outcome = NULL,
        last_reach = 'row', err_code = '', reason = ''
    WHERE seq = :entry AND attempts = :attempts
        AND (state IN ('planned', 'cancelled') AND state = :before
             OR state = 'rejected' AND evidence = 'unstored' AND :before = 'rejected')
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

    def add_entries(self, entries: Iterable[Entry | NewEntry], at_s: float) -> int:
        """Plan new entries; returns how many. Their order is the order of sending."""
        with self.atomic():
            wordings, numbers = Wordings(), dict[bytes, int]()
            first = seq = self._value("SELECT COALESCE(MAX(seq), 0) FROM entry")
            todo = iter(entries)
            while chunk := list(islice(todo, _CHUNK)):
                seqs = range(seq + 1, seq + 1 + len(chunk))
                values: list[object] = []
                for seq, entry in zip(seqs, chunk, strict=True):
                    values += (
                        seq,
                        entry.mch_billno,
                        self._campaign_id(entry.campaign),
                        entry.row_key,
                        entry.issue,
                        entry.sheet,
                        entry.row,
                        entry.re_openid,
                        entry.total_amount,
                        self._wording(*wordings.of(entry), numbers),
                        entry.nonce_str
                        if isinstance(entry, NewEntry)
                        else entry.parameters.get("nonce_str", ""),
                        detail_json(entry.own),
                    )
                self._db.execute(_ADD + ", ".join([_ENTRY] * len(chunk)), values)
                for number, entry in zip(seqs, chunk, strict=True):
                    self._append(
                        entry.campaign, number, entry.mch_billno, at_s, EventKind.PLANNED, None, State.PLANNED
                    )
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
            " AND state NOT IN ('rejected', 'cancelled')"
            " AND (last_sent_at_s IS NULL OR last_sent_at_s >= :since_s)",
            {"campaign": campaign, "since_s": since_s},
        )

    def unlisted(self, campaign: str) -> tuple[int, int]:
        """Rows and fen of the entries that were planned and are not in the sheet that was run last."""
        row = self._one(
            f"SELECT COUNT(*), COALESCE(SUM(total_amount), 0) FROM entry"
            f" WHERE campaign = {CAMPAIGN_ID} AND unlisted = 1 AND state = 'planned'",
            {"campaign": campaign},
        )
        assert row is not None
        return row[0], row[1]

    def _wording(self, digest: bytes, wording: str, numbers: dict[bytes, int]) -> int:
        """The number under which a wording is stored; ``numbers`` remembers the last ones."""
        if digest not in numbers:
            sql = "INSERT OR IGNORE INTO wording (digest, parameters) VALUES (?, ?)"
            self._db.execute(sql, (digest, wording))
            if len(numbers) >= _WORDINGS_KEPT:
                numbers.clear()
            numbers[digest] = self._value("SELECT id FROM wording WHERE digest = ?", (digest,))
        return numbers[digest]


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
