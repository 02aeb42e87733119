"""The operator's own workbook back, with what became of each row beside it.

A workbook that openpyxl can open keeps its sheets, formats, formulas and widths, and whatever of it gets
lost is said. Any other file (text, old formats, very many rows) becomes a plain workbook with the same cells.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from campaign.sheet.cells import Cell, is_empty, text_of
from campaign.sheet.columns import ANNOTATION, NUMBERED, Columns, column_index, column_letters
from campaign.sheet.grid import Grid
from campaign.sheet.preview import Preview, add_preview, write_preview
from campaign.sheet.put import CELL_LENGTH_MAX, put_text
from campaign.sheet.reader import SheetList, open_grids, open_list
from campaign.sheet.reading import ReadOptions
from campaign.text import Text, display_width, text

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell.cell import Cell as BookCell
    from openpyxl.worksheet.worksheet import Worksheet

#: Cells that openpyxl may load, some 400 bytes each; a larger list comes back as a plain workbook.
CELLS_KEPT_MAX: Final = 1_000_000
#: Bytes of all parts of the workbook, which it loads as well; so many cells have about as many.
UNPACKED_KEPT_MAX: Final = 64 << 20
#: Excel opens slowly with very many comments; the reason stands in its own column anyway.
_COMMENTS_MAX: Final = 5_000
#: Pictures that openpyxl copies as they are. Any other it paints anew while it saves: too late for what it
#: then cannot do, such as a damaged one, a phone's double picture (MPO) or WebP.
_PICTURES_KEPT: Final = frozenset({"gif", "jpeg", "png"})
#: Excel's limit.
_SHEET_NAME_MAX: Final = 31
_NOT_IN_SHEET_NAMES: Final = re.compile(r"[\[\]:*?/\\]|^'|'$")
#: What no cell may hold (XML 1.0).
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

#: The numbers' header in a copy of values only: what was wrong with a row may not show in it (a line through
#: the row, a comma that split a cell), and the row would be paid, so it must not be run.
_UNNAMED: Final = f"{ANNOTATION}mch_billno"
_AUTHOR: Final = "campaign"
#: Parts our own comment from somebody else's in the same cell.
_OURS: Final = "— campaign —\n"
#: In characters.
_PLAIN_WIDTH: Final = 16
_OPENID_WIDTH: Final = 32
#: In points; a line of 11-point text.
_LINE_HEIGHT: Final = 15.0
_HEAD_COLOUR: Final = "D9E1F2"
_PROBLEM_COLOUR: Final = "FFC7CE"


class Tone(Enum):
    """How a row is coloured."""

    GOOD = "E2EFDA"
    OPEN = "FFF2CC"
    BAD = "F8CBAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """One column that is added; ``title`` begins with `columns.ANNOTATION`."""

    title: str
    #: In characters.
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is said about one row."""

    row: int
    tone: Tone
    #: One for each `Heading`.
    values: tuple[str, ...]
    #: Cells with problems (``B7``) -> what is said in a comment.
    cells: Mapping[str, str] = field(default_factory=dict)


def annotate(
    source: Path,
    out: Path,
    options: ReadOptions,
    *,
    headings: Sequence[Heading],
    marks: Iterable[Mark],
    preview: Preview | None = None,
) -> tuple[Text, ...]:
    """Write the workbook again with the marks, and say what of the original the copy lacks.

    Columns and comments of an earlier annotation are replaced.

    Args:
        options: with which the sheet was read.
        marks: by ascending row.
        preview: a worksheet to be added.

    Raises:
        SheetRejected: the file cannot be read any more.
        OSError: ``out`` cannot be written.
    """
    place, rows = _find_place(open_list(source, options))
    why = None
    book = None
    if rows * place.free > CELLS_KEPT_MAX or _unpacked(source) > UNPACKED_KEPT_MAX:
        why = text("{file} is too large to copy more than its values", file=source.name)
    elif _has_part(source, "xl/workbook.xml"):
        book = _opened(source, keep_macros=out.suffix.lower() == ".xlsm")
        if book is None:
            why = text("formats, formulas and pictures of {file} could not be copied", file=source.name)
    if book is None:
        _write_plain(source, out, options, place, headings, marks, preview)
        said = text(
            "{out} has the values of {file} in a plain workbook; it is for reading and cannot be run",
            out=out.name,
            file=source.name,
        )
        return (why, said) if why else (said,)
    _InPlace(book[place.sheet], place, headings).write(marks)
    if preview:
        add_preview(book, preview)
    book.save(out)
    if book.vba_archive:
        book.vba_archive.close()
    return tuple(_losses(source, out))


def keeps_macros(source: Path) -> bool:
    """Whether the file is a workbook with macros, which only a copy called ``.xlsm`` can have."""
    return _has_part(source, "xl/vbaProject.bin")


def sheet_name(name: str) -> str:
    """A name that Excel allows for a worksheet."""
    return _NOT_IN_SHEET_NAMES.sub("_", name)[:_SHEET_NAME_MAX].strip() or "Sheet1"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the list stands, and the first column (from 0) that is free."""

    sheet: str
    columns: Columns
    free: int


def _find_place(listing: SheetList) -> tuple[_Place, int]:
    """The place right of the operator's last column that holds anything, and how many rows there are."""
    ours = listing.columns.annotations
    last = max((at for at in listing.columns.headers if at not in ours), default=0)
    rows = listing.columns.row
    for number, row in listing.rows:
        rows = number
        for at in range(len(row) - 1, last, -1):
            if at not in ours and not is_empty(row[at]):
                last = at
                break
    below = [area for area in listing.grid.merged if area[2] >= listing.columns.row]
    free = max(last, *(area[3] for area in below), 0) + 1
    return _Place(listing.grid.name, listing.columns, free), rows


def _has_part(path: Path, part: str) -> bool:
    """Whether the file is a package of Excel's that has this part."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as package:
        return part in package.namelist()


def _unpacked(path: Path) -> int:
    """Bytes of all parts of a workbook, unpacked; 0 for any other file."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as package:
        return sum(part.file_size for part in package.infolist())


def _lines(values: Sequence[str], headings: Sequence[Heading]) -> int:
    """How many lines the longest of the values takes in its column; programs do not always measure it."""
    return max(
        sum(-(-max(display_width(line), 1) // (heading.width - 2)) for line in value.split("\n"))
        for value, heading in zip(values, headings, strict=True)
    )


def _clean(words: str) -> str:
    return _FORBIDDEN.sub("\ufffd", words)[:CELL_LENGTH_MAX]


# The workbook itself


def _opened(path: Path, *, keep_macros: bool) -> Workbook | None:
    """The workbook with everything that openpyxl keeps; None where it cannot open it."""
    import openpyxl

    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what gets lost is found by comparing, see `_losses`
            book = openpyxl.load_workbook(stream, keep_vba=keep_macros, rich_text=True)
    except Exception:  # noqa: BLE001 - others can read it, and the libraries raise what they like about it
        return None
    sheets: Iterable[Any] = book.worksheets
    for sheet in sheets:
        sheet._images = [picture for picture in sheet._images if picture.format in _PICTURES_KEPT]
    book.template = False
    return book


class _InPlace:
    """Writes into the operator's own worksheet."""

    def __init__(self, sheet: Worksheet, place: _Place, headings: Sequence[Heading]) -> None:
        self._sheet, self._place, self._headings = sheet, place, headings
        self._pointed_at: set[str] = set()
        #: By colour; making a style is most of the work.
        self._styled: dict[str, Any] = {}

    def write(self, marks: Iterable[Mark]) -> None:
        """Remove what an earlier annotation left, then add columns, colours and comments."""
        if self._place.columns.annotations:
            self._clear()
        self._make_room()
        self._write_head()
        for mark in marks:
            for at, value in enumerate(mark.values):
                self._say(mark.row, at, value, mark.tone.value)
            lines = _lines(mark.values, self._headings)
            dimension = self._sheet.row_dimensions[mark.row]
            if lines > 1 and (dimension.height or 0) < lines * _LINE_HEIGHT:
                dimension.height = lines * _LINE_HEIGHT
            for name, words in mark.cells.items():
                self._point_at(name, words)

    def _clear(self) -> None:
        for at in self._place.columns.annotations:
            for row in range(self._place.columns.row, self._sheet.max_row + 1):
                cell = self._sheet.cell(row, at + 1)
                cell.value, cell.style = None, "Normal"
        for cell in list(chain.from_iterable(self._sheet.iter_rows())):
            if cell.comment is None or _OURS not in cell.comment.text:
                continue
            theirs = _theirs(cell)
            cell.comment.text = theirs
            if not theirs:
                cell.comment = None
            if cell.fill.fgColor.rgb == f"00{_PROBLEM_COLOUR}":
                cell.fill = _fill(None)

    def _make_room(self) -> None:
        """Widths, and no hidden or grouped column where ours are; Excel allows no overlapping ones."""
        first = self._place.free + 1
        dimensions = self._sheet.column_dimensions
        for letters, dimension in list(dimensions.items()):
            dimension.reindex()
            if (dimension.min or 0) >= first:
                del dimensions[letters]
            elif (dimension.max or 0) >= first:
                dimension.max = first - 1
        for at, heading in enumerate(self._headings):
            dimensions[column_letters(self._place.free + at)].width = heading.width
        corner, _, last = (self._sheet.auto_filter.ref or "").partition(":")
        if last and _row(corner) == self._place.columns.row:
            letters = column_letters(self._place.free + len(self._headings) - 1)
            self._sheet.auto_filter.ref = f"{corner}:{letters}{_row(last)}"

    def _write_head(self) -> None:
        from openpyxl.styles import Font

        for at, heading in enumerate(self._headings):
            cell = self._say(self._place.columns.row, at, heading.title, _HEAD_COLOUR)
            cell.font = Font(bold=True)

    def _say(self, row: int, at: int, value: str, colour: str) -> BookCell:
        from openpyxl.styles import Alignment

        cell: Any = self._sheet.cell(row, self._place.free + at + 1)
        cell.value = _clean(value)
        cell.data_type = "s"  # explicitly: openpyxl takes whatever begins with "=" for a formula
        if colour in self._styled:
            cell._style = copy(self._styled[colour]._style)
        else:
            cell.number_format = "@"
            cell.fill = _fill(colour)
            cell.alignment = Alignment(vertical="top", wrap_text=True)
            self._styled[colour] = cell
        return cell  # type: ignore[no-any-return]

    def _point_at(self, name: str, words: str) -> None:
        """Colour a cell and say in its comment what is wrong; somebody else's comment stays above ours."""
        from openpyxl.comments import Comment

        name = self._anchor(name)
        cell: Any = self._sheet[name]
        cell.fill = _fill(_PROBLEM_COLOUR)
        if name in self._pointed_at:
            words = f"{cell.comment.text}\n{words}"
        elif len(self._pointed_at) < _COMMENTS_MAX:
            theirs = _theirs(cell)
            words = f"{theirs}\n\n{_OURS}{words}" if theirs else f"{_OURS}{words}"
        else:
            return
        self._pointed_at.add(name)
        author = cell.comment.author if cell.comment else _AUTHOR
        cell.comment = Comment(_clean(words), author, height=140, width=320)

    def _anchor(self, name: str) -> str:
        """The first cell of a merged area stands for all of it."""
        for area in self._sheet.merged_cells.ranges:
            if name in area:
                return str(area.start_cell.coordinate)
        return name


def _theirs(cell: Any) -> str:
    """The part of a cell's comment that is not ours."""
    return cell.comment.text.partition(_OURS)[0].rstrip() if cell.comment else ""


def _row(cell: str) -> int:
    return int(re.sub(r"\D", "", cell))


def _fill(colour: str | None) -> Any:
    from openpyxl.styles import PatternFill

    return PatternFill("solid", fgColor=colour) if colour else PatternFill()


#: Parts of the package that openpyxl may drop, and what people call them.
_PARTS: Final[Sequence[tuple[str, Text]]] = (
    ("xl/media/", text("pictures")),
    ("xl/charts/chart", text("charts")),
    ("xl/vbaProject.bin", text("macros")),
    ("xl/ctrlProps/", text("buttons and form controls")),
    ("xl/activeX/", text("ActiveX controls")),
    ("xl/embeddings/", text("embedded documents")),
    ("xl/threadedComments/", text("discussions in comments (their text stays as notes)")),
    ("xl/slicers/", text("slicers")),
    ("xl/timelines/", text("timelines")),
    ("xl/connections.xml", text("connections to data sources")),
    ("xl/richData/", text("linked data types and pictures in cells")),
    ("_xmlsignatures/", text("the digital signature")),
)
#: Marks inside a part that openpyxl may drop.
_INSIDE: Final[Sequence[tuple[str, re.Pattern[bytes], Text]]] = (
    ("xl/drawings/drawing", re.compile(rb"<(?:\w+:)?(?:sp|cxnSp)[ >]"), text("text boxes and drawn shapes")),
    (
        "xl/worksheets/sheet",
        re.compile(rb"<x14:conditionalFormatting[ >]"),
        text("newer conditional formats"),
    ),
    ("xl/worksheets/sheet", re.compile(rb"<x14:dataValidation[ >]"), text("newer drop-down lists")),
    ("xl/worksheets/sheet", re.compile(rb"<x14:sparklineGroup[ >]"), text("sparklines")),
)
_FORMULA: Final = re.compile(rb"<(?:\w+:)?f[ >]")


def _losses(source: Path, out: Path) -> Iterator[Text]:
    """What the original has and the copy has not."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(out) as after:
        lost = [words for part, words in _PARTS if _count(before, part) > _count(after, part)]
        lost += [
            words for part, mark, words in _INSIDE if _count(before, part, mark) > _count(after, part, mark)
        ]
        has_formulas = bool(_count(after, "xl/worksheets/sheet", _FORMULA))
    if lost:
        yield text(
            "{file} lacks what could not be copied: {lost}. The original has it still.",
            file=out.name,
            lost=tuple(lost),
        )
    if has_formulas:
        yield text(
            "The formulas in {file} show their results once Excel or WPS has opened and saved it.",
            file=out.name,
        )


def _count(package: zipfile.ZipFile, part: str, mark: re.Pattern[bytes] | None = None) -> int:
    names = [name for name in package.namelist() if name.startswith(part) and not name.endswith("/")]
    return len(names) if mark is None else sum(len(mark.findall(package.read(name))) for name in names)


# A plain workbook


def _write_plain(
    source: Path,
    out: Path,
    options: ReadOptions,
    place: _Place,
    headings: Sequence[Heading],
    marks: Iterable[Mark],
    preview: Preview | None,
) -> None:
    """Every sheet with its values, row by row, so that memory stays small."""
    import xlsxwriter

    for_reading = [replace(h, title=_UNNAMED) if h.title.startswith(NUMBERED) else h for h in headings]
    book = xlsxwriter.Workbook(
        str(out), {"constant_memory": True, "tmpdir": str(out.parent), "use_zip64": True}
    )
    writer = _Plain(book, place, for_reading)
    names: set[str] = set()
    for grid in open_grids(source, options):
        if preview and grid.name == preview.name:
            continue
        name = _free_name(grid.name, names)
        names.add(name.casefold())
        writer.write(grid, name, iter(marks) if grid.name == place.sheet else iter(()))
    if preview:
        write_preview(book, replace(preview, name=_free_name(preview.name, names)))
    book.close()


def _free_name(name: str, taken: set[str]) -> str:
    wanted = sheet_name(name)
    tries = (wanted, *(f"{wanted[: _SHEET_NAME_MAX - 4]} ({n})" for n in range(2, 100)))
    return next((each for each in tries if each.casefold() not in taken), wanted)


class _Plain:
    """Writes worksheets from top to bottom."""

    def __init__(self, book: Any, place: _Place, headings: Sequence[Heading]) -> None:
        self._book, self._place, self._headings = book, place, headings
        wrapped = {"num_format": "@", "text_wrap": True, "valign": "top"}
        self._tones = {tone: book.add_format({**wrapped, "bg_color": f"#{tone.value}"}) for tone in Tone}
        self._head = book.add_format({**wrapped, "bold": True, "bg_color": f"#{_HEAD_COLOUR}"})
        self._text = book.add_format({"num_format": "@"})
        self._problem = book.add_format({"num_format": "@", "bg_color": f"#{_PROBLEM_COLOUR}"})
        self._comments = 0

    def write(self, grid: Grid, name: str, marks: Iterator[Mark]) -> None:
        """One worksheet; the annotated one gets its marks."""
        page = self._book.add_worksheet(name)
        annotated = grid.name == self._place.sheet
        self._lay_out(page, grid, annotated=annotated)
        ours = self._place.columns.annotations if annotated else frozenset[int]()
        mark = next(marks, None)
        for number, row in enumerate(grid.rows, 1):
            said = mark if mark is not None and mark.row == number else None
            lines = _lines(said.values, self._headings) if said else 1
            if lines > 1 or number in grid.hidden_rows:
                page.set_row(number - 1, lines * _LINE_HEIGHT, None, {"hidden": number in grid.hidden_rows})
            problems = _by_column(said.cells) if said else {}
            for at, cell in enumerate(row):
                if at not in ours:
                    self._write_cell(page, number, at, cell, problem=at in problems)
            if annotated and number == self._place.columns.row:
                for at, heading in enumerate(self._headings):
                    put_text(page, number - 1, self._place.free + at, heading.title, self._head)
            if said:
                self._write_mark(page, said, problems)
                mark = next(marks, None)

    def _lay_out(self, page: Any, grid: Grid, *, annotated: bool) -> None:
        if grid.hidden:
            page.hide()
        free = self._place.free
        if annotated:
            page.freeze_panes(self._place.columns.row, 0)
            page.set_column(0, free - 1, _PLAIN_WIDTH)
            openid_at = self._place.columns.fields["re_openid"]
            page.set_column(openid_at, openid_at, _OPENID_WIDTH)
            for at, heading in enumerate(self._headings, free):
                page.set_column(at, at, heading.width)
        for at in grid.hidden_columns:
            if at < free or not annotated:
                page.set_column(at, at, None, None, {"hidden": True})

    def _write_cell(self, page: Any, number: int, at: int, cell: Cell, *, problem: bool) -> None:
        words = text_of(cell)
        if isinstance(cell, int | float) and not isinstance(cell, bool) and not words.strip("-0123456789."):
            page.write_number(number - 1, at, cell, self._problem if problem else None)
        elif problem or not is_empty(cell):
            put_text(page, number - 1, at, words, self._problem if problem else self._text)

    def _write_mark(self, page: Any, mark: Mark, problems: Mapping[int, str]) -> None:
        for at, value in enumerate(mark.values):
            put_text(page, mark.row - 1, self._place.free + at, _clean(value), self._tones[mark.tone])
        for at, words in problems.items():
            self._comments += 1
            if self._comments <= _COMMENTS_MAX:
                page.write_comment(
                    mark.row - 1,
                    at,
                    _OURS + _clean(words),
                    {"author": _AUTHOR, "x_scale": 2.5, "y_scale": 1.5},
                )


def _by_column(cells: Mapping[str, str]) -> dict[int, str]:
    """The problems of one row, by column from 0."""
    return {column_index(re.sub(r"\d", "", name)): words for name, words in cells.items()}
