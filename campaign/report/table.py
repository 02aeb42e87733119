"""The rows as CSV and as JSON, for other programs."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from campaign.domain.days import rfc3339
from campaign.domain.mask import mask_inside, mask_openid
from campaign.domain.money import Sum, yuan_text
from campaign.domain.summary import Summary
from campaign.report.bills import back_by_ledger, paid_by_ledger
from campaign.report.lines import COLUMNS, Facts, Kind, Line, Plain, Remembered, Say, said
from campaign.report.seal import Seal

SCHEMA_VERSION: Final = 1
#: A CSV's columns of what a person has to do about a row.
ACTION_FIELDS: Final = ("who_acts", "cause", "next_step")

_KEYS: Final = tuple(column.key for column in COLUMNS)
_KINDS: Final = tuple(column.kind for column in COLUMNS)
_TIMES: Final = tuple(column.key for column in COLUMNS if column.kind is Kind.TIME)

#: What a spreadsheet would turn into a formula, a number that loses digits, or a date. A plain number
#: of up to 15 digits survives and stays as it is.
_MANGLED: Final = re.compile(
    r"[=+\-@`\t\r\n＝＋－＠$¥￥€£(.\d]|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[ .,/-]?\d",
    re.IGNORECASE,
)
_PLAIN_NUMBER: Final = re.compile(r"(0|[1-9]\d{0,14})")


def protected(value: str) -> str:
    """Text that Excel leaves as it is: a backtick stands before whatever it would alter.

    The backtick is the sign of WeChat Pay's own bills (R10.4). Programs take one off where it is
    the first character; a text that begins with one itself gets another, so nothing is ambiguous.
    """
    return f"`{value}" if _MANGLED.match(value) and not _PLAIN_NUMBER.fullmatch(value) else value


class CsvReport:
    """UTF-8 with a byte order mark, so that Excel knows the encoding; columns are named in no language.

    Amounts are yuan with two decimals, times are Beijing time; `protected` says where a backtick stands.
    """

    def __init__(self, path: Path, facts: Facts, *, say: Say) -> None:
        self._say = say
        self._own = facts.campaign.own_headers
        self._gateway = facts.gateway
        written = {kind: Remembered(partial(_cell, kind)) for kind in Kind}
        self._cells = [written[kind] for kind in _KINDS]
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._rows = csv.writer(self._file)
        names = [f"{c.key}_yuan" if c.kind is Kind.MONEY else c.key for c in COLUMNS]
        own = [protected(header) for header in self._own]
        self._rows.writerow([*names, *ACTION_FIELDS, "gateway", *own])

    def add(self, line: Line) -> None:
        """Write one row."""
        need, say = line.need, self._say
        action = (need.owner.value, say(need.reason), say(need.advice)) if need else ("", "", "")
        own = line.entry.own
        self._rows.writerow(
            [
                *[known[value] for known, value in zip(self._cells, said(line, say), strict=True)],
                *[protected(words) for words in action],
                self._gateway,
                *[protected(own.get(header, "")) for header in self._own],
            ]
        )

    def finish(self, summary: Summary, digest: str) -> None:
        """Complete the file; totals, digest and seal are in the other formats."""
        del summary, digest
        self._file.flush()

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _cell(kind: Kind, value: Plain) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return protected(value)
    if kind is Kind.MONEY:
        return yuan_text(int(value))
    return rfc3339(value) if kind is Kind.TIME else str(value)


class JsonReport:
    """One object: facts, totals in fen, and a line for each row. Openids are masked unless asked for."""

    def __init__(self, path: Path, facts: Facts, *, say: Say) -> None:
        self._say = say
        self._facts = facts
        self._times = Remembered(rfc3339)
        self._file = path.open("w", encoding="utf-8", newline="\n")
        campaign = facts.campaign
        head = {
            "schema_version": SCHEMA_VERSION,
            "gateway": facts.gateway,
            "rehearsal": facts.rehearsal,
            "campaign": campaign.name,
            "title": campaign.title,
            "merchant": facts.merchant,
            "made_at": rfc3339(facts.made_at_s),
            "sheet": campaign.sheet_file,
        }
        self._file.write(_dumped(head)[:-1] + ',\n"entries": [')
        self._separator = "\n"

    def add(self, line: Line) -> None:
        """Write one row on a line of its own."""
        row: dict[str, Any] = dict(zip(_KEYS, said(line, self._say), strict=True))
        own = dict(line.entry.own)
        for key in _TIMES:
            at_s = row[key]
            if at_s is not None and not isinstance(at_s, str):
                row[key] = self._times[at_s]
        if not self._facts.unmask:
            openid = row["re_openid"]
            # The row key is the openid, or begins with it, where the sheet has no id column.
            row["row_key"] = row["row_key"].replace(openid, mask_openid(openid))
            row["re_openid"] = mask_openid(openid)
            # WeChat Pay's words may name him, and so may the operator's columns, and others beside him.
            row["reason"] = row["reason"] and mask_inside(row["reason"], openid)
            own = {header: mask_inside(cell, openid) for header, cell in own.items()}
        need = line.need
        row["needs_person"] = need and {
            "owner": need.owner.value,
            "cause": self._say(need.reason),
            "next_step": self._say(need.advice),
            "until": None if need.until_s is None else rfc3339(need.until_s),
        }
        row["own"] = own
        self._file.write(self._separator + _dumped(row))
        self._separator = ",\n"

    def finish(self, summary: Summary, digest: str) -> None:
        """Write the totals after the rows."""
        totals = summary.totals
        tail = {
            "rows": totals.planned.rows,
            "fen": {"total": totals.planned.fen} | {s.value: t.fen for s, t in summary.states.items()},
            "states": {s.value: t.rows for s, t in summary.states.items()},
            "verdicts": {v.value: _sum(t) for v, t in totals.verdicts.items()},
            "bill": _bill(summary),
            "digest": digest,
            "seal": asdict(Seal.of(self._facts)),
        }
        self._file.write("],\n" + _dumped(tail)[1:] + "\n")
        self._file.flush()

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _bill(summary: Summary) -> dict[str, Any]:
    billing, paid, back = summary.billing, paid_by_ledger(summary), back_by_ledger(summary)
    matched_at_s = billing.matched_at_s
    return {
        "matched_at": None if matched_at_s is None else rfc3339(matched_at_s),
        "days_not_matched": [day.isoformat() for day in sorted(billing.missing)],
        "findings": billing.findings,
        "paid": {
            "ledger": _sum(paid),
            "ahead": _sum(billing.paid_ahead),
            "bill": _sum(billing.paid),
            "later": _sum(billing.paid_later),
            "difference": _sum(billing.paid_difference(paid)),
        },
        "came_back": {
            "ledger": _sum(back),
            "ahead": _sum(billing.back_ahead),
            "bill": _sum(billing.back),
            "later": _sum(billing.back_later),
            "difference": _sum(billing.back_difference(back)),
        },
    }


def _sum(total: Sum) -> dict[str, int]:
    return {"rows": total.rows, "fen": total.fen}


_dumped: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
