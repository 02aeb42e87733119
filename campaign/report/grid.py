"""Tables in a workbook: one style, print set-up for A4, text that stays text, as many sheets as rows need."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format as Style
from xlsxwriter.utility import xl_col_to_name, xl_range_abs
from xlsxwriter.worksheet import Worksheet

from campaign.domain.days import BEIJING
from campaign.report.lines import REHEARSAL_BANNER, Facts, Kind, Remembered, Say
from campaign.report.seal import Seal
from campaign.sheet.put import CELL_LENGTH_MAX, put_text
from campaign.text import Text, display_width, text

#: The workbook's custom properties ``…0``, ``…1`` … hold the seal.
SEAL_PROPERTY: Final = "campaign-seal-"
#: Excel's limits: rows of a sheet, characters of a sheet's name.
SHEET_ROWS_MAX: Final = 1_048_576
_SHEET_NAME_MAX: Final = 31
_PAPER_A4: Final = 9
#: Excel counts days from here; China has been at UTC+8 without summer time since 1991.
_UNIX_EPOCH_DAY: Final = 25_569
_BEIJING_OFFSET_S: Final = 8 * 3600
_DAY_S: Final = 86_400
#: Points.
_LINE_HEIGHT: Final = 16
#: Half the time of zlib's usual 6, for a tenth more bytes.
_COMPRESSION: Final = 3
#: Larger parts need longer fields in the file, which not every program reads; so the others have none.
_LONG_PART_BYTES: Final = 2**31 - 2**20
_COPIED_BYTES: Final = 2**18

_FONT: Final[Mapping[str, Any]] = {"font_name": "Calibri", "font_size": 11, "valign": "top"}
_HEAD: Final = {"bold": True, "text_wrap": True, "bg_color": "#E8ECF1", "bottom": 1, "valign": "vcenter"}
_STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": {"align": "left", "indent": 1},
    "text": {"num_format": "@", "align": "left", "indent": 1},
    "wrap": {"num_format": "@", "align": "left", "indent": 1, "text_wrap": True},
    "count": {"num_format": "#,##0"},
    "money": {"num_format": "#,##0.00"},
    "time": {"num_format": "yyyy-mm-dd hh:mm:ss", "align": "left", "indent": 1},
    "head": {**_HEAD, "indent": 1},
    "head_number": {**_HEAD, "align": "right"},
    "title": {"bold": True, "font_size": 18},
    "section": {"bold": True, "font_size": 13, "font_color": "#1F3A5F"},
    "label": {"font_color": "#555555", "align": "left", "indent": 1},
    "total": {"bold": True, "top": 1, "align": "left", "indent": 1},
    "total_count": {"bold": True, "top": 1, "num_format": "#,##0"},
    "total_money": {"bold": True, "top": 1, "num_format": "#,##0.00"},
    "note": {"italic": True, "font_color": "#555555"},
    "rule": {"bottom": 1},
    "banner": {"bold": True, "font_size": 14, "font_color": "#FFFFFF", "bg_color": "#C00000"},
    "bad_wrap": {"font_color": "#9C0006", "bg_color": "#FFC7CE", "text_wrap": True},
    "good": {"bold": True, "align": "left", "indent": 1, "font_color": "#006100", "bg_color": "#C6EFCE"},
    "bad": {"bold": True, "font_color": "#9C0006", "bg_color": "#FFC7CE"},
}
#: Text that must not be written as it is: mark-up, control characters, Excel's own escapes, outer blanks.
_SPECIAL: Final = re.compile(r"[&<>\x00-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_|\A\s|\s\Z")
_LOOKS_ESCAPED: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_STYLE_OF: Final = {
    Kind.TEXT: "text",
    Kind.COUNT: "count",
    Kind.MONEY: "money",
    Kind.TIME: "time",
}


@dataclass(frozen=True, slots=True)
class _Rows:
    """A sheet's rows, kept in a file of their own until the sheet around them is written."""

    #: The number of the row, counted from 1, behind which they belong.
    head: int
    file: IO[bytes]


class Book:
    """A workbook written row by row in constant memory, the same bytes for the same input.

    XlsxWriter makes everything but the tables' rows, which are many and alike: `Grid` writes those itself, in
    a fifth of the time, and `close` puts them in their places.
    """

    def __init__(self, path: Path, facts: Facts, say: Say) -> None:
        self.facts = facts
        self.say = say
        self._path = path
        self._rows: dict[Worksheet, _Rows] = {}
        self._frame = BytesIO()
        self.file = Workbook(self._frame, {"constant_memory": True, "tmpdir": str(path.parent)})
        made = datetime.fromtimestamp(facts.made_at_s, BEIJING).replace(tzinfo=None, microsecond=0)
        self.file.set_properties(
            {"title": facts.title, "comments": REHEARSAL_BANNER if facts.rehearsal else "", "created": made}
        )
        for place, part in enumerate(_parts(Seal.of(facts).to_json())):
            self.file.set_custom_property(f"{SEAL_PROPERTY}{place}", part, "text")
        self.styles: dict[str, Style] = {
            name: self.file.add_format({**_FONT, **style}) for name, style in _STYLES.items()
        }

    def sheet(self, name: str, *, landscape: bool = True) -> Worksheet:
        """Add a sheet set up for A4: one page wide, numbered pages, the rehearsal's banner on each."""
        sheet = self.file.add_worksheet(name)
        sheet.set_paper(_PAPER_A4)
        if landscape:
            sheet.set_landscape()
        sheet.set_margins(left=0.4, right=0.4, top=0.8, bottom=0.6)
        sheet.fit_to_pages(1, 0)
        title = self.facts.title[:80].replace("&", "&&")
        banner = f'&C&"Calibri,Bold"&KC00000{REHEARSAL_BANNER}' if self.facts.rehearsal else ""
        sheet.set_header(f"&L{title}{banner}&R{name.replace('&', '&&')}")
        sheet.set_footer(f"&L{self.facts.merchant}&C&P / &N&R{self.facts.gateway[:60].replace('&', '&&')}")
        return sheet

    def banner(self, sheet: Worksheet, row: int, columns: int) -> int:
        """Write the rehearsal's red line over so many columns; returns the next free row."""
        if not self.facts.rehearsal:
            return row
        sentence = self.say(text("no real money moved"))
        sheet.set_row(row, 24)
        sheet.write_string(row, 0, f"{REHEARSAL_BANNER}: {sentence}", self.styles["banner"])
        for column in range(1, columns):
            sheet.write_blank(row, column, None, self.styles["banner"])
        return row + 1

    def rows(self, sheet: Worksheet, head: int) -> IO[bytes]:
        """Where to write the ``<row>`` elements that stand below the sheet's first ``head`` rows."""
        file = TemporaryFile(dir=self._path.parent, buffering=_COPIED_BYTES)  # noqa: SIM115 - `close` closes it
        self._rows[sheet] = _Rows(head, file)
        return file

    def abandon(self) -> None:
        """Close the temporary files of a workbook that will not be completed; harmless after `close`."""
        for sheet in self.file.worksheets():
            sheet._opt_close()
        for rows in self._rows.values():
            rows.file.close()

    def close(self) -> None:
        """Complete the file.

        Raises:
            OSError: as for any other file; XlsxWriter has an exception of its own for it.
        """
        try:
            self.file.close()
        except FileCreateError as error:
            raise OSError(*error.args[0].args) from error
        rows_of = {f"xl/worksheets/sheet{sheet.index + 1}.xml": rows for sheet, rows in self._rows.items()}
        with (
            ZipFile(self._frame) as frame,
            ZipFile(self._path, "w", ZIP_DEFLATED, compresslevel=_COMPRESSION) as book,
        ):
            for name in frame.namelist():
                _copy(frame.read(name), rows_of.get(name), book, name)


def _copy(part: bytes, rows: _Rows | None, book: ZipFile, name: str) -> None:
    """Write one part of the file, with its rows if it is a sheet that has some."""
    size = len(part)
    before, after = part, b""
    if rows is not None:
        size += rows.file.tell()
        end = part.index(b"</row>", part.index(b'<row r="%d"' % rows.head)) + len(b"</row>")
        before, after = part[:end], part[end:]
    with book.open(name, "w", force_zip64=size > _LONG_PART_BYTES) as file:
        file.write(before)
        if rows is not None:
            rows.file.seek(0)
            shutil.copyfileobj(rows.file, file, _COPIED_BYTES)
            rows.file.close()
        file.write(after)


class Grid:
    """One table with a frozen header and filters; it goes on on another sheet where Excel's rows end."""

    def __init__(
        self,
        book: Book,
        name: Text,
        columns: Sequence[tuple[str, Kind, int]],
        *,
        printed: int | None = None,
        wrap: bool = False,
        rows_max: int = SHEET_ROWS_MAX,
    ) -> None:
        """Begin the first sheet.

        Args:
        columns: title, kind and width of each.
        printed: how many of them go on paper; all by default.
        wrap: long texts break into lines (for short tables).
        rows_max: of one sheet, the header included.
        """
        self._book = book
        self._name = book.say(name)[: _SHEET_NAME_MAX - 4]
        self._columns = columns
        self._printed = printed or len(columns)
        self._rows_max = rows_max
        styles = {kind: book.styles[style] for kind, style in _STYLE_OF.items()}
        self._wrap = wrap
        if wrap:
            styles[Kind.TEXT] = book.styles["wrap"]
        #: How a cell of each column begins before its row's number, and how it goes on behind it.
        self._begins = [f'<c r="{xl_col_to_name(column)}' for column in range(len(columns))]
        cells = {kind: Remembered(_cell(kind, style)) for kind, style in styles.items()}
        self._cells = [cells[kind] for _, kind, _ in columns]
        self._sheets: list[tuple[Worksheet, int, int]] = []
        self.rows = 0
        self._open()

    def _open(self) -> None:
        name = self._name if not self._sheets else f"{self._name} {len(self._sheets) + 1}"
        self._sheet = self._book.sheet(name)
        self._sheet.hide_gridlines(0)  # 0: print them, too
        for column, (_, _, width) in enumerate(self._columns):
            self._sheet.set_column(column, column, width)
        self._head = self._book.banner(self._sheet, 0, self._printed)
        titles = [title for title, _, _ in self._columns]
        self._sheet.set_row(self._head, 4 + _LINE_HEIGHT * self._lines(titles))
        for column, (title, kind, _) in enumerate(self._columns):
            number = kind in (Kind.COUNT, Kind.MONEY)
            style = self._book.styles["head_number" if number else "head"]
            put_text(self._sheet, self._head, column, title, style)
        self._sheet.freeze_panes(self._head + 1, 1)
        self._sheet.repeat_rows(self._head)
        self._rows = self._book.rows(self._sheet, self._head + 1)
        self._next = self._head + 1

    def append(self, values: Sequence[str | float | None]) -> None:
        """Write one row: text, counts, fen, and moments in Unix seconds, as the columns' kinds say."""
        if self._next >= self._rows_max:
            self.finish()
            self._open()
        number = str(self._next + 1)
        cells = [
            f"{begin}{number}{rest}"
            for begin, known, value in zip(self._begins, self._cells, values, strict=True)
            if (rest := known[value])
        ]
        height = f' ht="{_LINE_HEIGHT * self._lines(values)}" customHeight="1"' if self._wrap else ""
        self._rows.write(f'<row r="{number}"{height}>{"".join(cells)}</row>'.encode())
        self._next += 1
        self.rows += 1

    def total(self, label: str, cached: Mapping[int, int]) -> None:
        """Finish the table with a row of sums, as formulas.

        Args:
            cached: column -> its sum (fen where it is money), shown before a program calculates.
        """
        self.finish()
        if self._next >= self._rows_max:
            self._open()  # the sheet is full, and Excel drops what stands below its last row
            self.finish()
        sheet, row, styles = self._sheet, self._next, self._book.styles
        put_text(sheet, row, 0, label, styles["total"])
        for column, (_, kind, _) in enumerate(self._columns):
            if column not in cached:
                continue
            money = kind is Kind.MONEY
            # Of a sheet without rows the range would be the sum's own cell.
            summed = "+".join(f"SUM({cells})" for cells in self.ranges(column, empty=False)) or "0"
            formula, value = (
                (f"=ROUND({summed},2)", yuan(cached[column])) if money else (f"={summed}", cached[column])
            )
            sheet.write_formula(
                row, column, formula, styles["total_money" if money else "total_count"], value
            )
        sheet.print_area(0, 0, row, self._printed - 1)

    def finish(self) -> None:
        """Set filter and print area, now that the last row is known."""
        last = max(self._next - 1, self._head)
        self._sheet._check_dimensions(last, len(self._columns) - 1)  # it saw no row of these
        self._sheet.autofilter(self._head, 0, last, len(self._columns) - 1)
        self._sheet.print_area(0, 0, last, self._printed - 1)
        self._sheets.append((self._sheet, self._head + 1, last))

    def ranges(self, column: int, *, empty: bool = True) -> list[str]:
        """The cells of one column, as formulas name them, one range for each sheet.

        Args:
            empty: name the first cell of a sheet that has no rows.
        """
        return [
            f"{_quoted(sheet.get_name())}!{xl_range_abs(first, column, max(first, last), column)}"
            for sheet, first, last in self._sheets
            if empty or last >= first
        ]

    def _lines(self, values: Sequence[str | float | None]) -> int:
        """How many lines the longest text of a row needs; no program fits the height by itself on opening."""
        widths = [
            -(-display_width(value) // (width - 3))
            for value, (_, _, width) in zip(values, self._columns, strict=True)
            if isinstance(value, str)
        ]
        return max(1, *widths)


def _cell(kind: Kind, style: Style) -> Callable[[Any], str]:
    """Gives what follows the row's number in a value's cell; nothing where there is none."""
    begin = f'" s="{style._get_xf_index()}"'

    def cell(value: str | float | None) -> str:
        if value is None or value == "":
            return ""
        if isinstance(value, str):
            return f'{begin} t="inlineStr"><is>{_text_xml(value)}</is></c>'
        if kind is Kind.MONEY:
            value = yuan(value)
        elif kind is Kind.TIME:
            # Not rounded: half a second before midnight is still that day, as everywhere else.
            value = (value // 1 + _BEIJING_OFFSET_S) / _DAY_S + _UNIX_EPOCH_DAY
        return f"{begin}><v>{value!r}</v></c>"

    return cell


def _text_xml(value: str) -> str:
    """The ``<t>`` element of a text. Excel writes control characters as ``_x000B_``, in any text."""
    if len(value) > CELL_LENGTH_MAX:
        value = value[: CELL_LENGTH_MAX - 1] + "…"
    # Numbers and openids are letters, digits and underscores, which is known in a fifth of the time.
    if value.isalnum() or (value.isidentifier() and "_x" not in value) or not _SPECIAL.search(value):
        return f"<t>{value}</t>"
    value = _LOOKS_ESCAPED.sub("_x005F_", value)
    value = _CONTROL.sub(lambda found: f"_x{ord(found[0]):04X}_", value)
    return f'<t xml:space="preserve">{escape(value)}</t>'


def yuan(fen: float) -> float:
    """Fen as the number of yuan in a cell. Excel holds doubles; this is the one nearest to the amount."""
    return fen / 100


def _parts(sealed: str) -> list[str]:
    """Custom properties hold at most 255 characters each."""
    return [sealed[start : start + 200] for start in range(0, len(sealed), 200)]


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
