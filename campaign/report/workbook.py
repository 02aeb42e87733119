"""The workbook for finance: summary, exceptions, differences from the funds bills, every row of the sheet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from campaign.domain.days import DAY_S
from campaign.domain.finding import KIND_TEXT, Finding
from campaign.domain.summary import Summary, paid_fen
from campaign.domain.verdict import OWNER_TEXT, PAID, STATE_TEXT, VERDICT_TEXT, Explain, Need
from campaign.ledger.people import People
from campaign.report.breakdowns import Breakdowns
from campaign.report.cover import Cover, Ranges
from campaign.report.grid import SHEET_ROWS_MAX, Book, Grid
from campaign.report.history import History, bill_traces
from campaign.report.lines import COLUMNS, Facts, Kind, Line, Say, in_words
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
        findings: Iterable[Finding] = (),
        rows_max: int = SHEET_ROWS_MAX,
    ) -> None:
        """Begin the workbook.

        Args:
            history: asked for the rows that need a person.
            findings: what the last match with the funds bills brought.
            rows_max: of one sheet, its header included.
        """
        self._facts = facts
        self._history = history
        self._say = say
        self._shown = in_words(say)
        self._explain = explain
        self._own = facts.campaign.own_headers
        self._book = Book(path, facts, say)
        self._cover = Cover(self._book)
        self._breakdowns = Breakdowns(self._book, explain=explain)
        self._people = People()
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
        #: Bill numbers of the rows about which ledger, answers and bills differ.
        self._differing: set[str] = set()
        self._write_differences(findings)
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
        entry, own = line.entry, line.entry.own
        self._details.append([*self._shown(line), *[own.get(header) for header in self._own]])
        self._people.add(
            entry.re_openid,
            entry.total_amount,
            paid=line.verdict in PAID,
            paid_fen=paid_fen(entry, line.verdict),
        )
        if line.need is not None:
            self._add_exception(line, line.need)
        if line.need is not None or entry.mch_billno in self._differing:
            self._add_evidence(line)

    def _add_exception(self, line: Line, need: Need) -> None:
        say, entry = self._say, line.entry
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

    def _add_evidence(self, line: Line) -> None:
        say, entry = self._say, line.entry
        traces = [*self._history(entry.mch_billno), *bill_traces(line.billed.lines)]
        for trace in sorted(traces, key=lambda trace: trace.at_s):
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
            billed=self._details.ranges(_AT["billed"]),
            billed_back=self._details.ranges(_AT["billed_back"]),
        )
        self._cover.write(
            summary, digest=digest, needs=self._exceptions.rows, ranges=ranges, explain=self._explain
        )
        self._breakdowns.write(summary, self._people.ranked(), self._cover)
        self._book.close()

    def _write_differences(self, findings: Iterable[Finding]) -> None:
        """Where ledger, gethbinfo and funds bill do not say the same."""
        say, made_at_s = self._say, self._facts.made_at_s
        columns = (
            (text("difference"), Kind.TEXT, 26),
            (text("sheet row"), Kind.COUNT, 8),
            (text("bill number"), Kind.TEXT, 34),
            (text("ledger"), Kind.TEXT, 18),
            (text("gethbinfo"), Kind.TEXT, 12),
            (text("ledger (yuan)"), Kind.MONEY, 12),
            (text("bill (yuan)"), Kind.MONEY, 12),
            (text("bill less ledger"), Kind.MONEY, 12),
            (text("since"), Kind.TIME, 20),
            (text("days"), Kind.COUNT, 7),
            (text("cause"), Kind.TEXT, 42),
            (text("who acts"), Kind.TEXT, 11),
            (text("next step"), Kind.TEXT, 50),
            (text("openid"), Kind.TEXT, 31),
            (text("flow numbers in the bill"), Kind.TEXT, 34),
            (text("lines of the bill"), Kind.TEXT, 34),
        )
        grid = Grid(
            self._book,
            text("Differences"),
            [(say(title), kind, width) for title, kind, width in columns],
            printed=13,
            wrap=True,
        )
        for finding in findings:
            if finding.entry:
                self._differing.add(finding.entry.mch_billno)
            entry, ledger_fen, bill_fen = finding.entry, finding.ledger_fen, finding.bill_fen
            less_fen = None if ledger_fen is None or bill_fen is None else bill_fen - ledger_fen
            grid.append(
                (
                    say(KIND_TEXT[finding.kind]),
                    entry.row if entry else None,
                    entry.mch_billno if entry else None,
                    say(STATE_TEXT[entry.state]) if entry else None,
                    entry.status if entry else None,
                    ledger_fen,
                    bill_fen,
                    less_fen,
                    finding.since_s,
                    max(0, int((made_at_s - finding.since_s) // DAY_S)),
                    say(finding.reason),
                    say(OWNER_TEXT[finding.owner]),
                    say(finding.advice),
                    entry.re_openid if entry else None,
                    " ".join(line.flow_id for line in finding.lines),
                    " ".join(f"{line.file}:{line.line}" for line in finding.lines),
                )
            )
        grid.finish()

    def close(self) -> None:
        """Give the temporary files back, where the workbook was not completed."""
        self._book.abandon()
        self._people.close()
