"""The workbook's first sheet: what the report is about, and totals in yuan that add up before your eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xlsxwriter.utility import xl_range_abs
from xlsxwriter.worksheet import Worksheet

from campaign.domain.days import beijing_text
from campaign.domain.money import Sum
from campaign.domain.summary import Summary
from campaign.domain.verdict import DEBITED, STATE_TEXT, VERDICT_TEXT, Explain, Verdict
from campaign.report.bills import (
    AHEAD,
    BACK,
    BACK_BILLED,
    DIFFERENCE,
    LATER,
    PAID,
    PAID_BILLED,
    back_by_ledger,
    paid_by_ledger,
    standing,
)
from campaign.report.grid import Book, yuan
from campaign.report.notes import notes
from campaign.sheet.put import put_text
from campaign.text import Text, text

Key = TypeVar("Key")

_WIDTHS = (36, 14, 20, 40)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where the details stand, as formulas name it: one range for each sheet."""

    amount: list[str]
    verdict: list[str]
    state: list[str]
    #: Debits and refunds in the funds bills.
    billed: list[str]
    billed_back: list[str]


class Cover:
    """Writes the cover top-down; ``_row`` is the next free row."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._say = book.say
        self._sheet: Worksheet = book.sheet(book.say(text("Summary")), landscape=False)
        self._sheet.hide_gridlines(2)  # 2: neither on the screen nor on paper
        for column, width in enumerate(_WIDTHS):
            self._sheet.set_column(column, column, width)
        self._row = 0
        self._taken_row = 0
        #: Where the verdicts' words and yuan stand, for a chart.
        self.verdict_cells = ("", "")

    def write(self, summary: Summary, *, digest: str, needs: int, ranges: Ranges, explain: Explain) -> None:
        """Write everything, now that the rows are counted."""
        self._row = self._book.banner(self._sheet, 0, len(_WIDTHS))
        self._facts(summary, digest)
        self._attention(summary, needs, explain)
        self._verdicts(summary, ranges)
        self._bills(summary, ranges)
        self._states(summary, ranges)
        self._sign_off()
        self._sheet.print_area(0, 0, self._row, len(_WIDTHS) - 1)

    def _facts(self, summary: Summary, digest: str) -> None:
        facts, campaign = self._book.facts, self._book.facts.campaign
        self._put(0, self._say(text("Red packet report")), "title")
        self._sheet.set_row(self._row, 28)
        self._row += 1
        self._put(0, facts.title, "section")
        self._row += 2
        for label, value in (
            (text("campaign"), campaign.name),
            (text("merchant number"), facts.merchant),
            (text("gateway"), facts.gateway),
            (text("sheet"), campaign.sheet_file),
            (text("first request (Beijing time)"), _when(summary.first_sent_at_s)),
            (text("last request (Beijing time)"), _when(summary.last_sent_at_s)),
            (text("report made (Beijing time)"), beijing_text(facts.made_at_s)),
            (text("digest of all rows"), digest),
            (text("ledger's last event"), f"{facts.head[0]} {facts.head[1]}".strip()),
        ):
            self._put(0, self._say(label), "label")
            self._put(1, value or "–", "text")
            self._row += 1
        self._row += 1

    def _attention(self, summary: Summary, needs: int, explain: Explain) -> None:
        """What a reader must know before believing that the matter is closed."""
        found = notes(self._book.facts, summary, needs=needs, explain=explain)
        for note in found:
            self._sheet.merge_range(
                self._row, 0, self._row, len(_WIDTHS) - 1, "", self._book.styles["bad_wrap"]
            )
            put_text(self._sheet, self._row, 0, self._say(note), self._book.styles["bad_wrap"])
            self._sheet.set_row(self._row, 32 if len(self._say(note)) > 90 else 18)
            self._row += 1
        self._row += bool(found)

    def _verdicts(self, summary: Summary, ranges: Ranges) -> None:
        verdicts = summary.totals.verdicts
        self._section(text("What became of the money"), text("verdict"))
        first = self._row
        self._breakdown(VERDICT_TEXT, verdicts, ranges.verdict, ranges.amount)
        self.verdict_cells = self._cells(first, 0), self._cells(first, 2)
        total, last = self._row, self._row - 1
        added = sum(verdicts.values(), Sum())
        self._line(
            text("sum of the verdicts"),
            f"=SUM(B{first + 1}:B{last + 1})",
            f"=ROUND(SUM(C{first + 1}:C{last + 1}),2)",
            added,
            total=True,
        )
        planned = summary.totals.planned
        self._line(
            text("all rows of the sheet Details"),
            "=" + "+".join(f"COUNT({r})" for r in ranges.amount),
            f"=ROUND({'+'.join(f'SUM({r})' for r in ranges.amount)},2)",
            planned,
        )
        self._check((total + 1,), (total + 2,), difference=summary.totals.difference)
        rows = {found: first + 1 + i for i, found in enumerate(Verdict)}
        taken = [found for found in Verdict if found in DEBITED]
        self._taken_row = self._row + 1
        self._line(
            text("taken from the account"),
            "=" + "+".join(f"B{rows[found]}" for found in taken),
            "=" + "+".join(f"C{rows[found]}" for found in taken),
            paid_by_ledger(summary),
        )
        back = back_by_ledger(summary)
        whole = back.fen == verdicts[Verdict.REFUNDED].fen  # else a packet came back in part only
        self._line(
            text("of this came back"),
            f"=B{rows[Verdict.REFUNDED]}",
            f"=C{rows[Verdict.REFUNDED]}" if whole else f"={yuan(back.fen)}",
            back,
        )
        self._line(
            text("paid"),
            f"=B{self._row - 1}-B{self._row}",
            f"=ROUND(C{self._row - 1}-C{self._row},2)",
            summary.paid,
            total=True,
        )
        self._row += 1

    def _bills(self, summary: Summary, ranges: Ranges) -> None:
        """The totals tie to the funds bills, or the difference shows."""
        billing, paid, back = summary.billing, paid_by_ledger(summary), back_by_ledger(summary)
        self._section(text("Tied to the funds bills"), text("figure"))
        by_ledger = f"=B{self._taken_row}", f"=C{self._taken_row}"
        sums = (paid, billing.paid_ahead, billing.paid, billing.paid_later)
        self._tie(PAID, PAID_BILLED, by_ledger, ranges.billed, sums)
        by_ledger = f"={back.rows}", f"={yuan(back.fen)}"
        sums = (back, billing.back_ahead, billing.back, billing.back_later)
        self._tie(BACK, BACK_BILLED, by_ledger, ranges.billed_back, sums)
        self._put(0, self._say(standing(summary)), "note")
        self._row += 2

    def _tie(
        self,
        label: Text,
        billed: Text,
        by_ledger: tuple[str, str],
        cells: list[str],
        sums: tuple[Sum, Sum, Sum, Sum],
    ) -> None:
        ledger, ahead, in_bills, later = sums
        first = self._row + 1
        self._line(label, *by_ledger, ledger)
        self._line(AHEAD, f"={ahead.rows}", f"={yuan(ahead.fen)}", ahead)
        counted = "+".join(f"COUNT({c})" for c in cells)
        summed = "+".join(f"SUM({c})" for c in cells)
        self._line(billed, f"={counted}", f"=ROUND({summed},2)", in_bills)
        self._line(LATER, f"={later.rows}", f"={yuan(later.fen)}", later)
        difference = ledger + ahead - in_bills - later
        self._check((first, first + 1), (first + 2, first + 3), difference=difference)

    def _states(self, summary: Summary, ranges: Ranges) -> None:
        self._section(text("States in the ledger"), text("state"))
        first = self._row
        self._breakdown(STATE_TEXT, summary.states, ranges.state, ranges.amount)
        planned = summary.totals.planned
        self._line(
            text("sum of the states"),
            f"=SUM(B{first + 1}:B{self._row})",
            f"=ROUND(SUM(C{first + 1}:C{self._row}),2)",
            planned,
            total=True,
        )
        self._row += 1

    def _sign_off(self) -> None:
        for label in (text("prepared by"), text("checked by"), text("approved by")):
            self._sheet.set_row(self._row, 30)
            self._put(0, self._say(label), "label")
            for column in (1, 2):
                self._sheet.write_blank(self._row, column, None, self._book.styles["rule"])
            self._put(3, self._say(text("date")), "label")
            self._row += 1

    def _section(self, title: Text, first_column: Text) -> None:
        self._sheet.set_row(self._row, 20)  # Chinese glyphs are higher than the font that was asked for
        self._put(0, self._say(title), "section")
        self._row += 1
        for column, head in enumerate((first_column, text("rows"), text("yuan"))):
            self._put(column, self._say(head), "head_number" if column else "head")
        self._row += 1

    def _breakdown(
        self, words: Mapping[Key, Text], sums: Mapping[Key, Sum], keys: list[str], amounts: list[str]
    ) -> None:
        for key, word in words.items():
            label = f"$A{self._row + 1}"
            counted = "+".join(f"COUNTIF({k},{label})" for k in keys)
            summed = "+".join(f"SUMIF({k},{label},{a})" for k, a in zip(keys, amounts, strict=True))
            self._line(word, f"={counted}", f"=ROUND({summed},2)", sums[key])

    def _line(self, label: Text, rows: str, money: str, cached: Sum, *, total: bool = False) -> None:
        styles = ("total", "total_count", "total_money") if total else ("plain", "count", "money")
        label_style, count_style, money_style = (self._book.styles[s] for s in styles)
        put_text(self._sheet, self._row, 0, self._say(label), label_style)
        self._sheet.write_formula(self._row, 1, rows, count_style, cached.rows)
        self._sheet.write_formula(self._row, 2, money, money_style, yuan(cached.fen))
        self._row += 1

    def _check(self, left: Sequence[int], right: Sequence[int], *, difference: Sum) -> None:
        """The line that shows the totals agree; it turns red as soon as a cell is changed.

        Args:
            left: rows, as formulas name them, whose sum has to be that of the rows on the right.
        """
        row, styles = self._row, self._book.styles
        put_text(self._sheet, row, 0, self._say(DIFFERENCE), styles["plain"])
        rows, money = (
            "+".join(f"{column}{n}" for n in left) + "".join(f"-{column}{n}" for n in right)
            for column in "BC"
        )
        self._sheet.write_formula(row, 1, f"={rows}", styles["count"], difference.rows)
        self._sheet.write_formula(row, 2, f"=ROUND({money},2)", styles["money"], yuan(difference.fen))
        good, bad = self._say(text("adds up")), self._say(text("DOES NOT ADD UP"))
        formula = f'=IF(AND(B{row + 1}=0,C{row + 1}=0),"{_inner(good)}","{_inner(bad)}")'
        self._sheet.write_formula(
            row, 3, formula, styles["good"], bad if difference.rows or difference.fen else good
        )
        self._sheet.conditional_format(
            row,
            3,
            row,
            3,
            {"type": "cell", "criteria": "!=", "value": f'"{_inner(good)}"', "format": styles["bad"]},
        )
        self._row += 1

    def _cells(self, first: int, column: int) -> str:
        """The cells from a row down to the one above the next free row, as a formula."""
        name = self._sheet.get_name().replace("'", "''")
        return f"='{name}'!{xl_range_abs(first, column, self._row - 1, column)}"

    def _put(self, column: int, value: str, style: str) -> None:
        put_text(self._sheet, self._row, column, value, self._book.styles[style])


def _when(at_s: float | None) -> str:
    return beijing_text(at_s) if at_s is not None else ""


def _inner(words: str) -> str:
    return words.replace('"', '""')
