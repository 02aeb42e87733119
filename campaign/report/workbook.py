"""The workbook for finance: summary, exceptions with their next step, and every row of the sheet."""

from __future__ import annotations

from pathlib import Path

from campaign.domain.summary import Summary
from campaign.domain.verdict import OWNER_TEXT, STATE_TEXT, VERDICT_TEXT, Explain
from campaign.report.breakdowns import Breakdowns
from campaign.report.cover import Cover, Ranges
from campaign.report.grid import SHEET_ROWS_MAX, Book, Grid
from campaign.report.history import History
from campaign.report.lines import COLUMNS, Facts, Kind, Line, Say, shown
from campaign.text import text

_AT = {column.key: place for place, column in enumerate(COLUMNS)}


class WorkbookReport:
    """Takes each row once; the totals follow at the end, so memory does not grow with the rows."""

    def __init__(
        self,
        path: Path,
        facts: Facts,
        *,
        say: Say,
        explain: Explain,
        history: History,
        rows_max: int = SHEET_ROWS_MAX,
    ) -> None:
        """Begin the workbook.

        Args:
            history: asked for the rows that need a person.
            rows_max: of one sheet, its header included.
        """
        self._history = history
        self._say = say
        self._explain = explain
        self._own = facts.campaign.own_headers
        self._book = Book(path, facts, say)
        self._cover = Cover(self._book)
        self._breakdowns = Breakdowns(self._book, explain=explain)
        exceptions = (
            (text("sheet row"), Kind.COUNT, 8),
            (text("openid"), Kind.TEXT, 31),
            (text("amount (yuan)"), Kind.MONEY, 11),
            (text("cause"), Kind.TEXT, 42),
            (text("who acts"), Kind.TEXT, 11),
            (text("next step"), Kind.TEXT, 56),
            (text("until"), Kind.TIME, 20),
            (text("bill number"), Kind.TEXT, 31),
            (text("verdict"), Kind.TEXT, 28),
            (text("state"), Kind.TEXT, 20),
            (text("error code"), Kind.TEXT, 20),
        )
        self._exceptions = Grid(
            self._book,
            text("Exceptions"),
            [(say(title), kind, width) for title, kind, width in exceptions],
            printed=8,
            wrap=True,
            rows_max=rows_max,
        )
        evidence = (
            (text("sheet row"), Kind.COUNT, 8),
            (text("bill number"), Kind.TEXT, 31),
            (text("time (Beijing)"), Kind.TIME, 20),
            (text("what happened"), Kind.TEXT, 42),
            (text("error code"), Kind.TEXT, 20),
            (text("WeChat's words"), Kind.TEXT, 46),
        )
        self._evidence = Grid(
            self._book,
            text("Evidence"),
            [(say(title), kind, width) for title, kind, width in evidence],
            wrap=True,
            rows_max=rows_max,
        )
        self._details = Grid(
            self._book,
            text("Details"),
            [(say(c.title), c.kind, c.width) for c in COLUMNS] + [(h, Kind.TEXT, 18) for h in self._own],
            printed=sum(c.printed for c in COLUMNS),
            rows_max=rows_max,
        )

    def add(self, line: Line) -> None:
        """Write one row to the details, and to exceptions and evidence where a person has to act."""
        own = line.entry.own
        self._details.append([*shown(line, self._say), *(own.get(header, "") for header in self._own)])
        if line.need is None:
            return
        say, entry, need = self._say, line.entry, line.need
        self._exceptions.append(
            (
                entry.row,
                entry.re_openid,
                entry.total_amount,
                say(need.reason),
                say(OWNER_TEXT[need.owner]),
                say(need.advice),
                need.until_s,
                entry.mch_billno,
                say(VERDICT_TEXT[line.verdict]),
                say(STATE_TEXT[entry.state]),
                entry.err_code,
            )
        )

        for trace in self._history(entry.mch_billno):
            self._evidence.append(
                (entry.row, entry.mch_billno, trace.at_s, say(trace.what), trace.err_code, trace.words)
            )

    def finish(self, summary: Summary, digest: str) -> None:
        """Write the totals and complete the file."""
        self._details.finish()
        self._exceptions.finish()
        self._evidence.finish()
        ranges = Ranges(
            amount=self._details.ranges(_AT["total_amount"]),
            verdict=self._details.ranges(_AT["verdict"]),
            state=self._details.ranges(_AT["state"]),
        )
        self._cover.write(
            summary, digest=digest, needs=self._exceptions.rows, ranges=ranges, explain=self._explain
        )
        self._breakdowns.write(summary, self._cover)
        self._book.close()

    def close(self) -> None:
        """Give the temporary files back, where the workbook was not completed."""
        self._book.abandon()
