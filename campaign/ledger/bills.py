"""The funds bills as they came, and what the last match of each campaign with them brought."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any, Final

from campaign.domain.bill import Bill, BillLine
from campaign.domain.finding import Finding, Kind
from campaign.domain.verdict import Owner
from campaign.ledger.file import as_written
from campaign.ledger.reading import Reading
from campaign.ledger.records import EventKind, KeptBill, Matched
from campaign.ledger.rows import BILL_LINE, CAMPAIGN_ID, CHANGE_FEN, MOVED, Row, detail_json, packed, unpacked
from campaign.text import Text

#: What names a kept bill, in its table and in its event.
_BILL: Final = ("file", "account", "first_day", "last_day")
#: Every bill that was kept, and whether a later one replaced it: 0 no; 2 yes, that one says so; 1 perhaps,
#: since in a ledger begun before they did, a later one of the account and of its days says nothing.
_KEPT: Final = f"""
    WITH kept AS MATERIALIZED (
        SELECT seq, {", ".join(f"detail ->> '{name}' AS {name}" for name in _BILL)},
            detail ->> 'sha1' AS sha1, detail -> 'replaced' AS replaced
        FROM event WHERE kind = '{EventKind.BILL_KEPT}' AND json_valid(detail)
    )
    SELECT {", ".join(_BILL)}, sha1, COALESCE((
        SELECT MAX(CASE WHEN replaced IS NULL THEN 1
                        WHEN bill.sha1 IN (SELECT value FROM json_each(replaced)) THEN 2 END)
        FROM kept AS later WHERE later.seq > bill.seq AND later.account = bill.account
            AND later.first_day <= bill.first_day AND later.last_day >= bill.last_day
    ), 0) FROM kept AS bill
"""
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Bills(Reading):
    """Bills and matches."""

    def keep_bill(self, bill: Bill, at_s: float, *, beside: Collection[bytes] = ()) -> None:
        """Keep a bill's file as evidence; an older one of the same account and of its days is replaced.

        One that covers no day, and one that is kept already, are left alone.

        Args:
            beside: the files that stay, whatever their account and days: nobody may have said whose they are.
        """
        assert bill.content or not bill.lines, "a bill's lines are kept as its file"
        days = sorted(day.isoformat() for day in bill.days)
        if not days:
            return
        values = (bill.account, days[0], days[-1])
        with self.atomic():
            within = "account = ? AND first_day >= ? AND last_day <= ?"
            there = [
                (id_, self._days(f"bill {file}", known), content)
                for id_, file, known, content in self._all(
                    f"SELECT id, file, days, content FROM bill WHERE {within}", values
                )
            ]
            if any(known == bill.days and _file(content) == bill.content for _, known, content in there):
                return
            replaced = []
            for id_, known, content in there:
                if known <= bill.days and _file(content) not in beside:
                    self._db.execute("DELETE FROM bill WHERE id = ?", (id_,))
                    replaced.append(_sha1(content))
            self._db.execute(
                "INSERT INTO bill (file, account, first_day, last_day, days, asked, content)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    bill.file,
                    *values,
                    json.dumps(days),
                    int(bool(bill.asked_days)),
                    packed(bill.content),
                ),
            )
            detail = {
                "file": bill.file,
                "account": bill.account,
                "first_day": days[0],
                "last_day": days[-1],
                "lines": len(bill.lines),
                "sha1": bill.sha1,
                "replaced": replaced,
            }
            self._note("", at_s, EventKind.BILL_KEPT, detail)

    def kept_bills(self, first: date, last: date) -> list[KeptBill]:
        """The bills that cover any of these days, by day."""
        rows = self._all(
            "SELECT file, account, days, asked, content FROM bill WHERE last_day >= ? AND first_day <= ?"
            " ORDER BY first_day, id",
            (first.isoformat(), last.isoformat()),
        )
        return [
            KeptBill(
                file=file,
                account=account,
                days=(days := self._days(f"bill {file}", known)),
                asked_days=days if asked else frozenset(),
                content=_file(content),
            )
            for file, account, known, asked, content in rows
        ]

    def moved(self, campaign: str) -> tuple[float | None, float | None]:
        """Between which moments the campaign's money moved, in Unix seconds.

        The first is None where a packet was paid before this ledger sent anything, the last where nothing
        moved at all.
        """
        row = self._one(
            f"""
            SELECT MIN(first_sent_at_s),
                MAX(MAX(COALESCE(settled_at_s, 0), COALESCE(last_sent_at_s, 0), COALESCE(accepted_at_s, 0))),
                MAX(first_sent_at_s IS NULL AND state NOT IN ('planned', 'cancelled'))
            FROM entry WHERE campaign = {CAMPAIGN_ID}
            """,
            {"campaign": campaign},
        )
        assert row is not None
        return None if row[2] else row[0], row[1] or None

    def keep_match(
        self,
        campaign: str,
        days: Iterable[date],
        pairs: Iterable[tuple[str, BillLine]],
        findings: Sequence[Finding],
        at_s: float,
    ) -> bool:
        """Remember what a match brought, in place of the one before; False where it brought the same.

        Args:
            days: what the bills cover.
            pairs: each line that belongs to one of the campaign's rows, with its ``mch_billno``.
        """
        covered = json.dumps(sorted(day.isoformat() for day in days))
        lines = [(number, _encode([getattr(line, name) for name in BILL_LINE])) for number, line in pairs]
        lines.sort()
        told = [(f.entry and f.entry.mch_billno, _finding_json(f)) for f in findings]
        digest = _digest(covered, lines, told)
        with self.atomic():
            last = self._one(
                f"SELECT detail ->> 'digest' FROM event WHERE campaign = {CAMPAIGN_ID} AND kind = :kind"
                " ORDER BY seq DESC LIMIT 1",
                {"campaign": campaign, "kind": EventKind.MATCHED},
            )
            if last and last[0] == digest:
                self._note_matched(campaign)
                return False
            values = {"campaign": campaign, "at_s": at_s, "days": covered}
            self._db.execute(
                f"INSERT OR REPLACE INTO matching VALUES ({CAMPAIGN_ID}, :at_s, 0, :days)", values
            )
            self._db.execute(
                f"DELETE FROM billed WHERE entry IN (SELECT seq FROM entry WHERE campaign = {CAMPAIGN_ID})",
                values,
            )
            self._db.execute(f"DELETE FROM finding WHERE campaign = {CAMPAIGN_ID}", values)
            self._db.executemany(
                "INSERT INTO billed VALUES ((SELECT seq FROM entry WHERE mch_billno = ?), ?, ?)",
                (
                    (number, place, line)
                    for number, of_entry in groupby(lines, key=lambda pair: pair[0])
                    for place, (_, line) in enumerate(of_entry)
                ),
            )
            self._db.executemany(
                "INSERT INTO finding VALUES ((SELECT id FROM campaign WHERE name = ?), ?, ?, ?)",
                ((campaign, place, number, content) for place, (number, content) in enumerate(told)),
            )
            detail = {"lines": len(lines), "findings": len(told), "digest": digest}
            self._note(campaign, at_s, EventKind.MATCHED, detail)
            self._note_matched(campaign)
            return True

    def _note_matched(self, campaign: str) -> None:
        """The last match knows everything that has happened so far."""
        self._flush()
        values = {"campaign": campaign, "event": self.last_event(campaign)}
        self._db.execute(f"UPDATE matching SET event = :event WHERE campaign = {CAMPAIGN_ID}", values)

    def matched(self, campaign: str) -> Matched | None:
        """The campaign's last match that brought news; None where it was never matched."""
        row = self._one(
            f"SELECT matched_at_s, days FROM matching WHERE campaign = {CAMPAIGN_ID}", {"campaign": campaign}
        )
        if row is None:
            return None
        return Matched(at_s=row[0], days=self._days(f"matching of {campaign}", row[1]))

    def has_news(self, campaign: str) -> bool:
        """Whether anything happened to the campaign since it was matched last; False where it never was."""
        row = self._one(f"SELECT event FROM matching WHERE campaign = {CAMPAIGN_ID}", {"campaign": campaign})
        return row is not None and row[0] < self.last_event(campaign)

    def billed(self, campaign: str) -> Iterator[tuple[str, list[BillLine]]]:
        """The lines of each entry that has any, in the order of `entries`."""
        # CROSS JOIN keeps the order of the tables: the index gives that of the sheet.
        sql = f"""
            SELECT mch_billno, line FROM entry INDEXED BY entry_sheet CROSS JOIN billed ON entry = seq
            WHERE campaign = {CAMPAIGN_ID} ORDER BY sheet, row, seq, place
        """
        rows = self._rows(sql, {"campaign": campaign})
        for number, of_entry in groupby(rows, key=lambda row: str(row[0])):
            with as_written(self.path, f"billed {number}"):
                lines = [_line_of(json.loads(line)) for _, line in of_entry]
            yield number, lines

    def findings(self, campaign: str) -> Iterator[Finding]:
        """What the campaign's last match found, the loudest first, with the rows as they are now."""
        sql = f"SELECT mch_billno, content FROM finding WHERE campaign = {CAMPAIGN_ID} ORDER BY place"
        return self._each(self._finding_of, sql, {"campaign": campaign})

    def debited(self, campaign: str) -> frozenset[str]:
        """The numbers that the last match found debited, and not wholly credited, against the ledger."""
        sql = f"""
            SELECT mch_billno FROM {MOVED} WHERE campaign = {CAMPAIGN_ID} AND mch_billno IS NOT NULL
            GROUP BY mch_billno HAVING {CHANGE_FEN} < 0
        """
        return frozenset(row[0] for row in self._all(sql, {"campaign": campaign}))

    def broken_matches(self) -> Iterator[str]:
        """The campaigns whose match is not what its event recorded. None, if all is well."""
        # A match that was taken out whole has left its event.
        for name, covered in self._all(
            f"""
            SELECT name, days FROM campaign LEFT JOIN matching ON campaign.id = campaign
            WHERE days IS NOT NULL OR EXISTS (
                SELECT 1 FROM event WHERE event.campaign = campaign.id AND kind = '{EventKind.MATCHED}'
            ) ORDER BY campaign.id
            """
        ):
            values = {"campaign": name, "kind": EventKind.MATCHED}
            lines = self._all(
                "SELECT mch_billno, line FROM billed JOIN entry ON seq = entry"
                f" WHERE campaign = {CAMPAIGN_ID} ORDER BY mch_billno, place",
                values,
            )
            told = self._all(
                f"SELECT mch_billno, content FROM finding WHERE campaign = {CAMPAIGN_ID} ORDER BY place",
                values,
            )
            last = self._one(
                "SELECT CASE WHEN json_valid(detail) THEN detail ->> 'digest' END FROM event"
                f" WHERE campaign = {CAMPAIGN_ID} AND kind = :kind ORDER BY seq DESC LIMIT 1",
                values,
            )
            if last is None or last[0] != _digest(covered, lines, told):
                yield name

    def broken_bills(self) -> Iterator[str]:
        """The files of kept bills that are not as they were kept, or are gone. None, if all is well."""
        may, must = set(), set()
        for *bill, replaced in self._rows(_KEPT):
            if replaced < 2:
                may.add(tuple(bill))
            if not replaced:
                must.add(tuple(bill))
        rows = self._rows(f"SELECT {', '.join(_BILL)}, content FROM bill")
        here = {(*bill, _sha1(content)) for *bill, content in rows}
        yield from sorted({str(file) for file, *_ in (here - may) | (must - here)})

    def _days(self, place: str, stored: str) -> frozenset[date]:
        with as_written(self.path, place):
            return frozenset(map(date.fromisoformat, json.loads(stored)))

    def _finding_of(self, row: Row) -> Finding:
        number = row[0]
        with as_written(self.path, f"finding {number or ''}"):
            content = json.loads(row[1])
            return Finding(
                kind=Kind(content["kind"]),
                owner=Owner(content["owner"]),
                reason=_text_of(content["reason"]),
                advice=_text_of(content["advice"]),
                since_s=content["since_s"],
                entry=None if number is None else self.entry(number),
                lines=tuple(_line_of(line) for line in content["lines"]),
            )


def _file(stored: bytes) -> bytes | None:
    """A bill's file as it came; None where it is damaged."""
    try:
        return unpacked(stored)
    except zlib.error:
        return None


def _sha1(stored: bytes) -> str | None:
    """As `Bill.sha1`: of the uncompressed file; empty where there was no bill, None where it is damaged."""
    try:
        plain = unpacked(stored)
        if plain.startswith(b"\x1f\x8b"):
            plain = gzip.decompress(plain)
    except (OSError, EOFError, zlib.error):
        return None
    return hashlib.sha1(plain, usedforsecurity=False).hexdigest() if plain else ""


def _digest(covered: str, lines: Iterable[Row], told: Iterable[Row]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in (covered, *(cell for row in (*lines, *told) for cell in row)):
        data = (part or "").encode()
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()


def _finding_json(finding: Finding) -> str:
    content = {
        "kind": finding.kind,
        "owner": finding.owner,
        "reason": _text_json(finding.reason),
        "advice": _text_json(finding.advice),
        "since_s": finding.since_s,
        "lines": [[getattr(line, name) for name in BILL_LINE] for line in finding.lines],
    }
    return detail_json(content)


def _line_of(values: Sequence[Any]) -> BillLine:
    return BillLine(**dict(zip(BILL_LINE, values, strict=True)))


def _text_json(sentence: Text) -> dict[str, object]:
    """A sentence before anybody's language is known."""
    facts = {
        name: _text_json(fact) if isinstance(fact, Text) else fact for name, fact in sentence.facts.items()
    }
    return {"text": sentence.template, "facts": facts}


def _text_of(content: Any) -> Text:
    facts = {
        name: _text_of(fact) if isinstance(fact, dict) else fact for name, fact in content["facts"].items()
    }
    return Text(content["text"], facts)
