"""Compare a report with the one that the ledger gives today, and name the first place that differs."""

from __future__ import annotations

import csv
import filecmp
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, TypeVar
from zipfile import ZipFile

from campaign.errors import SetupError, UsageError
from campaign.report.grid import SEAL_PROPERTY
from campaign.report.lines import BILL_COLUMNS, COLUMNS
from campaign.report.seal import SLIP_SEAL, Seal
from campaign.report.table import ACTION_FIELDS
from campaign.text import text

#: What no later answer of WeChat Pay changes about a row.
STABLE: Final = frozenset({"mch_billno", "re_openid", "total_amount", "total_amount_yuan"})
_NEED_FIELDS: Final = frozenset({"needs_person", *ACTION_FIELDS})
#: What another match with the funds bills may change about a row, as each format names it.
BILL_FIELDS: Final = _NEED_FIELDS.union(
    name for column in BILL_COLUMNS for name in (column.key, f"{column.key}_yuan")
)
#: What closing or reopening the campaign may change about a row that stays as it was.
CLOSING_FIELDS: Final = _NEED_FIELDS | {"due_at"}
_PAGE_FIELDS: Final = (
    "row", "re_openid", "total_amount", "verdict", "evidence", "sent_at", "closed", "mch_billno",
    "needs_person",
)  # fmt: skip
#: All names of a row but those of the operator's own columns.
_OUR_FIELDS: Final = (
    BILL_FIELDS
    | {name for column in COLUMNS for name in (column.key, f"{column.key}_yuan")}
    | {*_PAGE_FIELDS, "own", "gateway"}
)
_SHOWN_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where report and ledger disagree, as a person would point at it."""

    place: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row read back from a report."""

    place: str
    mch_billno: str
    values: Mapping[str, object]


def read_seal(path: Path) -> Seal:
    """The seal that a report carries; a CSV's stands in the JSON of the same report, beside it.

    Raises:
        UsageError: the file is no report of this program, or of a format without a seal.
        SetupError: it is a slip, and the extra that reads PDF is missing.
    """
    try:
        return Seal.from_json(_SEALS[path.suffix.lower()](path))
    except SetupError:
        raise
    except OSError as error:
        raise UsageError(
            text("{file} cannot be read: {why}", file=str(path), why=error.strerror or str(error)),
            advice=text("Check the name and the folder."),
        ) from error
    except Exception as error:
        # Anybody may have written this file, and the libraries raise what they like about it.
        raise UsageError(
            text("{file} carries no seal of this program", file=str(path)),
            advice=text(
                "Name the .xlsx, .html, .json or .pdf that `campaign report` wrote, or the .csv with the "
                ".json of the same report beside it."
            ),
        ) from error


def has_rows(path: Path) -> bool:
    """Whether this format shows the rows one by one, so that some of them can be compared without others."""
    return path.suffix.lower() in _ROWS


def first_difference(path: Path, expected: Path) -> Difference | None:
    """Compare two reports of one format wholly: every cell of every sheet, every line, every key.

    Raises:
        UsageError: the first one is damaged.
    """
    if filecmp.cmp(path, expected, shallow=False):
        return None
    everything = _EVERYTHING[path.suffix.lower()]
    found_parts = _readable(path, everything(path))
    for found, wanted in zip_longest(found_parts, everything(expected), fillvalue=None):
        if found != wanted:
            place = (found or wanted or ("", ""))[0]
            return Difference(place, _shown(found and found[1]), _shown(wanted and wanted[1]))
    return None  # saved again by another program, with the same content


def first_row_difference(
    path: Path,
    expected: Path,
    *,
    moved: Collection[str],
    rewritten: Collection[str],
    fleeting: Collection[str] = (),
    only_stable: bool,
    same_own: bool = True,
) -> Difference | None:
    """Compare two reports row by row, where the ledger has moved on since the first was made.

    Args:
        moved: bill numbers that had news since; of these only what is `STABLE` is compared.
        rewritten: bill numbers that were corrected since; only their presence is compared.
        fleeting: fields that are not compared.
        only_stable: another version made the first one, so words may differ anywhere.
        same_own: both have the same own columns of the operator; else only what they share is compared.

    Raises:
        UsageError: the first one is damaged.
    """
    rows = _ROWS[path.suffix.lower()]
    wanted = {row.mch_billno: row.values for row in rows(expected)}
    for row in _readable(path, rows(path)):
        expected_values = wanted.pop(row.mch_billno, None)
        if expected_values is None:
            return Difference(row.place, row.mch_billno, "")
        if row.mch_billno in rewritten:
            continue
        # What the report lacks differs, too: a field that was taken out says as much as one that was altered.
        for name in {**expected_values, **row.values}:
            if name not in STABLE and (only_stable or row.mch_billno in moved):
                continue
            shared = name in row.values and name in expected_values
            if name in fleeting or not (shared or same_own or name in _OUR_FIELDS):
                continue
            value, expected_value = row.values.get(name), expected_values.get(name)
            if value != expected_value or not shared:
                return Difference(f"{row.place} {name}", _shown(value), _shown(expected_value))
    for mch_billno in wanted:
        if mch_billno not in moved and mch_billno not in rewritten:
            return Difference("", "", mch_billno)
    return None


Part = TypeVar("Part")


def _readable(path: Path, parts: Iterator[Part]) -> Iterator[Part]:
    """The parts of a file that carries a seal, whatever became of the rest of it.

    Raises:
        UsageError: it cannot be read any further.
    """
    try:
        yield from parts
    except Exception as error:
        # As in `read_seal`: the libraries raise what they like about it.
        raise UsageError(
            text("{file} carries a seal, and the rest of it is damaged or was altered", file=str(path)),
            advice=text("Take the file as `campaign report` wrote it, or write a new report."),
        ) from error


def _shown(value: object) -> str:
    return "" if value is None else str(value)[:_SHOWN_MAX]


# The workbook


def _xlsx_seal(path: Path) -> str:
    from openpyxl import load_workbook

    with closing(load_workbook(path, read_only=True)) as book:
        properties = book.custom_doc_props.props  # type: ignore[attr-defined]  # missing in the stubs
        parts = {p.name: str(p.value) for p in properties}
    names = [f"{SEAL_PROPERTY}{n}" for n in range(len(parts))]
    return "".join(parts[name] for name in names if name in parts)


def _xlsx_cells(path: Path) -> Iterator[tuple[str, object]]:
    """Every cell, first as formulas, then as the figures that were shown, and how; then all around."""
    from openpyxl import load_workbook

    for values in (False, True):
        with closing(load_workbook(path, read_only=True, data_only=values)) as book:
            yield "sheets", [(sheet.title, sheet.sheet_state) for sheet in book.worksheets]
            for sheet in book.worksheets:
                sheet.reset_dimensions()
                for row in sheet.iter_rows():
                    for cell in row:
                        if cell.value is not None:
                            place = f"{sheet.title}!{cell.coordinate}"
                            yield place, _as_written(cell.value)
                            if values:  # a format may have any text for any figure
                                yield place, cell.number_format.replace("\\", "").removesuffix(";@")
    with ZipFile(path) as parts:
        names = parts.namelist()
        yield "notes", sum("comments" in name.lower() for name in names)
        drawn = (parts.read(name) for name in names if name.startswith("xl/drawings/"))
        yield "pictures", sum(len(_COVERING.findall(part)) for part in drawn)
        yield "formats", len(_CONDITIONAL_FORMAT.findall(parts.read("xl/styles.xml")))
        sheets = (_end(parts, name) for name in names if name.startswith("xl/worksheets/sheet"))
        for words in _found(_PAGE_WORDS, sheets):
            yield "headers and footers", words
        charts = [parts.read(name) for name in names if name.startswith("xl/charts/chart")]
        for words in _found(_CHART_WORDS, charts):
            yield "charts", words
        for cells in _found(_CHART_CELLS, charts):
            yield "charts", _NEEDLESS_QUOTES.sub(r"\1!", cells)


def _end(parts: ZipFile, name: str) -> bytes:
    """The end of a sheet, behind its rows, of which there may be gigabytes."""
    end = b""
    with parts.open(name) as file:
        while more := file.read(_END_BYTES):
            end = end[-_END_BYTES:] + more
    return end


def _found(what: re.Pattern[bytes], parts: Iterable[bytes]) -> list[str]:
    """What is written there. Other programs number the parts as they like, and colours in either case."""
    return sorted(unescape(words.decode()).casefold() for part in parts for words in what.findall(part))


#: Pictures and shapes, which may stand over cells; charts are frames.
_COVERING: Final = re.compile(rb"<(?:\w+:)?(?:sp|pic|cxnSp|grpSp)[\s>]")
#: A way to show a figure that depends on a condition.
_CONDITIONAL_FORMAT: Final = re.compile(rb"<dxf>(?:(?!</dxf>).)*<numFmt", re.DOTALL)
#: What is printed above and below the cells, what stands over a chart, and the cells that it draws.
_PAGE_WORDS: Final = re.compile(rb"<(?:\w+:)?(?:odd|even|first)(?:Header|Footer)>([^<]+)<")
_CHART_WORDS: Final = re.compile(rb"<(?:\w+:)?t>([^<]+)<")
_CHART_CELLS: Final = re.compile(rb"<(?:\w+:)?f>([^<&\"]+)<")
_END_BYTES: Final = 2**16
_NEEDLESS_QUOTES: Final = re.compile(r"'(\w+)'!")
_NUMBER: Final = re.compile(r"=-?[0-9.]+")


def _as_written(value: object) -> object:
    """A formula as every program writes it: they quote names and write out decimals as they like."""
    if not isinstance(value, str) or not value.startswith("="):
        return value
    if _NUMBER.fullmatch(value):
        return f"={float(value[1:])}"
    return _NEEDLESS_QUOTES.sub(r"\1!", value)


def _xlsx_rows(path: Path) -> Iterator[ReportRow]:
    """The details, known by their many columns: names of sheets follow the reader's language."""
    from openpyxl import load_workbook

    with closing(load_workbook(path, read_only=True)) as book:
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            names: list[str] = []
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                if not names:
                    if len(row) >= len(COLUMNS):
                        names = [c.key for c in COLUMNS] + [f"({title})" for title in row[len(COLUMNS) :]]
                    continue
                # A row ends with its last cell that is not empty.
                values = dict(zip_longest(names, row[: len(names)]))
                yield ReportRow(f"{sheet.title}!{number}", str(values["mch_billno"]), values)


# The page


class _Page(HTMLParser):
    """Finds the seal and the embedded rows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.seal = ""
        self._parts: list[str] = []
        self._in_data = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("name") == "campaign-seal":
            self.seal = given.get("content") or ""
        self._in_data = tag == "script" and given.get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._in_data = self._in_data and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self._parts.append(data)

    @property
    def rows(self) -> list[list[object]]:
        """The table's rows."""
        rows: list[list[object]] = json.loads("".join(self._parts))["rows"]
        return rows


def _html_lines(path: Path) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        yield f"line {number}", line


def _html_rows(path: Path) -> Iterator[ReportRow]:
    for row in _Page(path).rows:
        values = dict(zip(_PAGE_FIELDS, row, strict=True))
        yield ReportRow(f"row {values['row']}", str(values["mch_billno"]), values)


# JSON


def _json_seal(path: Path) -> str:
    return json.dumps(json.loads(path.read_text(encoding="utf-8"))["seal"])


def _json_leaves(path: Path) -> Iterator[tuple[str, object]]:
    def walk(place: str, value: Any) -> Iterator[tuple[str, object]]:
        if isinstance(value, dict):
            for name, part in value.items():
                yield from walk(f"{place}.{name}" if place else name, part)
        elif isinstance(value, list):
            for number, part in enumerate(value):
                yield from walk(f"{place}[{number}]", part)
        else:
            yield place, value

    yield from walk("", json.loads(path.read_text(encoding="utf-8")))


def _json_rows(path: Path) -> Iterator[ReportRow]:
    for number, row in enumerate(json.loads(path.read_text(encoding="utf-8"))["entries"]):
        yield ReportRow(f"entries[{number}]", row["mch_billno"], row)


# CSV


def _csv_seal(path: Path) -> str:
    path.stat()
    sealed = path.with_suffix(".json")
    if not sealed.exists():
        raise ValueError(sealed)
    return _json_seal(sealed)


def _csv_cells(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        names: list[str] = []
        for row in rows:
            names = names or row
            for name, value in zip_longest(names, row):
                yield f"line {rows.line_num} {name or ''}".rstrip(), value


def _csv_rows(path: Path) -> Iterator[ReportRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            values = {str(name): value for name, value in row.items()}
            yield ReportRow(f"line {rows.line_num}", str(values.get("mch_billno")).removeprefix("`"), values)


# The slip

#: A slip is compared by so many printed characters at a time.
_PRINTED_TOGETHER: Final = 40


def _pdf_pages(path: Path) -> Any:
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise SetupError(
            text("reading a PDF needs pypdf, which is not installed"),
            advice=text("Install it with `pip install 'campaign[pdf]'`."),
        ) from error
    return PdfReader(path)


def _pdf_seal(path: Path) -> str:
    with closing(_pdf_pages(path)) as slip:
        return str(slip.metadata[SLIP_SEAL])


def _pdf_print(path: Path) -> Iterator[tuple[str, object]]:
    """What is printed, without the blanks and line ends, which depend on the fonts of the machine."""
    with closing(_pdf_pages(path)) as slip:
        for number, page in enumerate(slip.pages, 1):
            printed = "".join(page.extract_text().split())
            for at in range(0, len(printed), _PRINTED_TOGETHER):
                yield f"page {number}, character {at + 1}", printed[at : at + _PRINTED_TOGETHER]
            # What could cover it.
            yield f"page {number}, pictures", len(page.images)
            yield f"page {number}, notes", len(page.get("/Annots", ()))


_SEALS: Final[Mapping[str, Callable[[Path], str]]] = {
    ".xlsx": _xlsx_seal,
    ".html": lambda path: _Page(path).seal,
    ".json": _json_seal,
    ".csv": _csv_seal,
    ".pdf": _pdf_seal,
}
_EVERYTHING: Final[Mapping[str, Callable[[Path], Iterator[tuple[str, object]]]]] = {
    ".xlsx": _xlsx_cells,
    ".html": _html_lines,
    ".json": _json_leaves,
    ".csv": _csv_cells,
    ".pdf": _pdf_print,
}
#: A slip has no rows.
_ROWS: Final[Mapping[str, Callable[[Path], Iterator[ReportRow]]]] = {
    ".xlsx": _xlsx_rows,
    ".html": _html_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
}
