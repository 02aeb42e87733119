"""What an .xlsx says beside its values: hidden rows, formulas without a result, formats that change the sum.

calamine reads values fast and tells nothing of these, so the worksheet's XML is looked through as well.
Most sheets hold none of it; a search for the few tokens that matter settles that at the speed of
unpacking, and only a sheet with such a token is parsed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Final

from campaign.domain.checks import Finding
from campaign.sheet.cells import text_of
from campaign.sheet.columns import column_index, column_letters
from campaign.sheet.facts import (
    DAMAGE,
    ERROR_VALUE,
    MISLEADING_FORMAT,
    NO_RESULT,
    STRUCK_THROUGH,
    Facts,
    Pieces,
    Unreadable,
    local_name,
    misleads,
    open_package,
    places_shown,
    rounded_to,
    xml_parser,
)
from campaign.sheet.grid import COLUMNS_MAX, ROWS_MAX

#: Small enough that a processor keeps it near while it is searched several times.
_CHUNK: Final = 1 << 18
#: Longer than any token below, so that none is missed between two chunks.
_OVERLAP: Final = 128
#: What makes a second look worth while. Each begins with a letter, the rarer the faster it is searched for;
#: and each takes a tenth of a second in a million rows, so there is none that could be spared.
_WORTH_A_LOOK: Final = tuple(
    map(
        re.compile,
        (
            # Hidden, or of no height; not where it says at once that it is not, as LibreOffice of every row.
            rb"h(?:idden(?!=[\"'][0f])|(?<=\sh)t(?!=[\"'][1-9]))(?=[\s\S]{3})",
            rb"f[\s/>](?<=<f[\s/>])",
            rb"e[\"'](?<=t=[\"']e[\"'])",
            # A cell beyond column Z or the last row, or without a place.
            rb'<c(?! r="[A-Z](?:[0-9]{1,6}"|10[0-4][0-9]{4}")[\s/>])(?=[\s/>])(?:[^<>]{0,64}+[<>]|[^<>]{64})',
        ),
    )
)
#: Where the cells begin, in XML of the form and encoding in which the tokens above are found.
_CELLS: Final = b"<sheetData"
#: What only stands in front of them may be a document type, which could give elements and attributes.
_DECLARATION: Final = b"<!"
#: The shortest cell with a place, ``<c r="A1"/>``.
_CELL_BYTES: Final = 11
_CELL: Final = re.compile(r"([A-Za-z]{1,6})([0-9]{1,12})")
#: Excel's built-in percent formats, and those of whole numbers.
_PERCENT_IDS: Final = frozenset({9, 10})
_WHOLE_IDS: Final = dict.fromkeys((1, 3, 5, 6, 37, 38, 41, 42), 0)
#: A fraction in some column, in one of some styles, as Excel, WPS, LibreOffice and openpyxl write it.
_FRACTION: Final = (
    r'<c r="%s([0-9]{1,7})"(?=[^<>]* s="(%s)")(?![^<>]* t="[^n])[^<>]*>'
    r"(?:<f[^>]*>[^<]*</f>|<f[^>]*/>)?<v>([0-9]{1,9}\.[0-9]{1,17})</v>"
)


class XlsxFacts:
    """The zip package behind an .xlsx or .xlsm."""

    def __init__(self, path: Path) -> None:
        """Look into the package.

        Raises:
            SheetRejected: it would unpack to more than can be read.
            Unreadable: it is not a package of Excel's.
        """
        self._file = path.name
        self._zip = open_package(path)
        try:
            #: Style -> places behind the point, of the styles that show fewer than yuan may have.
            self._places: dict[str, int] = {}
            self._odd_styles = self._styles()
            self._part_of = self._worksheets()
        except DAMAGE as error:
            raise Unreadable from error
        self._unpack_shared_strings()

    def facts(self, sheet: str) -> Facts:
        """About the worksheet of this name.

        Raises:
            Unreadable: its XML is damaged.
            SheetRejected: it has more cells than can be read.
        """
        part = self._part_of.get(sheet)
        if part is None:
            raise Unreadable(sheet)
        if not self._odd_styles and self._is_plain(part):
            facts = Facts()
        else:
            facts = _Look(self._odd_styles, Pieces(self._file)).at(self._open(part))
        return replace(facts, rounded=partial(self._rounded, part)) if self._places else facts

    def _rounded(self, part: str, column: int) -> Iterator[tuple[int, str, str]]:
        """As `Grid.rounded`: a cell of another form is not found, which costs only a remark."""
        fraction = re.compile((_FRACTION % (column_letters(column), "|".join(self._places))).encode())
        before = b""
        for chunk in self._chunks(part):
            whole, end, rest = (before + chunk).rpartition(b"</c>")
            before = rest[-_CHUNK:]
            for row, style, value in fraction.findall(whole + end):
                held = text_of(float(value))
                shown = rounded_to(held, self._places[style.decode()])
                if Decimal(shown) != Decimal(held):
                    yield int(row), held, shown

    def _is_plain(self, part: str) -> bool:
        """Whether nothing of the kind is in it, as most sheets are."""
        tail = b""
        in_cells = False
        cells = Pieces(self._file)
        # What is plain has a place for each cell, so only a large part can have too many of them.
        may_be_too_many = cells.could_fill(self._size(part), _CELL_BYTES)
        for chunk in self._chunks(part):
            for window in (tail + chunk[:_OVERLAP], chunk):
                if not in_cells:
                    head, begin, _ = window.partition(_CELLS)
                    in_cells = bool(begin)
                    if _DECLARATION in head:
                        return False
                if any(pattern.search(window) for pattern in _WORTH_A_LOOK):
                    return False
            if may_be_too_many:
                cells.add(chunk.count(b"<c "))
            tail = chunk[-_OVERLAP:]
        return in_cells

    def _unpack_shared_strings(self) -> None:
        """Only unpacking proves that the directory does not lie about a part's size."""
        for name in self._zip.namelist():
            if name.endswith("sharedStrings.xml"):
                texts = Pieces(self._file)
                for chunk in self._chunks(name):
                    texts.add(chunk.count(b"<si") + chunk.count(b":si"))

    def _chunks(self, part: str) -> Iterator[bytes]:
        with self._open(part) as stream:
            try:
                while chunk := stream.read(_CHUNK):
                    yield chunk
            except DAMAGE as error:
                raise Unreadable(part) from error

    def _size(self, part: str) -> int:
        """In bytes, unpacked, as the package's directory has it."""
        try:
            return self._zip.getinfo(part).file_size
        except DAMAGE as error:
            raise Unreadable(part) from error

    def _open(self, part: str) -> IO[bytes]:
        try:
            return self._zip.open(part)
        except DAMAGE as error:
            raise Unreadable(part) from error

    def _worksheets(self) -> dict[str, str]:
        """Sheet name -> part, by the workbook's relations."""
        workbook = next((n for n in self._zip.namelist() if n.lower().endswith("xl/workbook.xml")), None)
        if workbook is None:
            raise Unreadable("workbook.xml")
        folder, file = posixpath.split(workbook)
        targets: dict[str, str] = {}
        for name, attributes in self._elements(f"{folder}/_rels/{file}.rels"):
            if name == "Relationship":
                target = attributes.get("Target", "")
                joined = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
                targets[attributes.get("Id", "")] = posixpath.normpath(joined)
        return {
            attributes.get("name", ""): targets.get(_local(attributes, "id"), "")
            for name, attributes in self._elements(workbook)
            if name == "sheet"
        }

    def _styles(self) -> dict[str, Finding]:
        """The cell styles (by index) that show another number than the cell holds, or strike it through."""
        part = next((n for n in self._zip.namelist() if n.lower().endswith("xl/styles.xml")), None)
        odd_formats, places = set(_PERCENT_IDS), dict(_WHOLE_IDS)
        struck_fonts: set[int] = set()
        odd: dict[str, Finding] = {}
        section, font, style = "", -1, -1
        for name, attributes in self._elements(part) if part else ():
            match name:
                case "fonts" | "cellStyleXfs" | "cellXfs" | "cellStyles" | "dxfs":
                    section = name
                case "numFmt" if misleads(attributes.get("formatCode", "")):
                    odd_formats.add(int(attributes.get("numFmtId", "-1")))
                case "numFmt" if (shown := places_shown(attributes.get("formatCode", ""))) in (0, 1):
                    places[int(attributes.get("numFmtId", "-1"))] = shown
                case "font" if section == "fonts":
                    font += 1
                case "strike" if section == "fonts" and attributes.get("val") not in ("0", "false"):
                    struck_fonts.add(font)
                case "xf" if section == "cellXfs":
                    style += 1
                    number_format = int(attributes.get("numFmtId", "0"))
                    if number_format in places:
                        self._places[str(style)] = places[number_format]
                    if number_format in odd_formats:
                        odd[str(style)] = MISLEADING_FORMAT
                    elif int(attributes.get("fontId", "0")) in struck_fonts:
                        odd[str(style)] = STRUCK_THROUGH
                case _:
                    pass
        return odd

    def _elements(self, part: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Name and attributes of each, a few at a time: some kilobytes may unpack to millions."""
        found: list[tuple[str, dict[str, str]]] = []
        parser = xml_parser()
        parser.StartElementHandler = lambda name, attributes: found.append((local_name(name), attributes))
        count = Pieces(self._file)
        for chunk in chain(self._chunks(part), [b""]):
            parser.Parse(chunk, not chunk)
            count.add(len(found))
            yield from found
            found.clear()


class _Look:
    """One pass over a worksheet's XML."""

    def __init__(self, odd_styles: Mapping[str, Finding], cells: Pieces) -> None:
        self._odd_styles, self._cells = odd_styles, cells
        self._row = 0
        self._column = -1
        self._last_row = self._last_column = 0
        self._hidden_rows: set[int] = set()
        self._hidden_columns: set[int] = set()
        self._findings: dict[tuple[int, int], Finding] = {}
        self._in_formula_cell = False
        self._has_value = False
        self._parser = xml_parser()

    def at(self, stream: IO[bytes]) -> Facts:
        """Parse the worksheet.

        Raises:
            Unreadable: the XML is damaged.
        """
        parser = self._parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            with stream:
                parser.ParseFile(stream)
        except DAMAGE as error:
            raise Unreadable from error
        return Facts(
            last_row=self._last_row,
            last_column=self._last_column,
            hidden_rows=frozenset(self._hidden_rows),
            hidden_columns=frozenset(self._hidden_columns),
            cell_findings=self._findings,
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        match local_name(name):
            case "c":
                self._start_cell(attributes)
            case "v" | "is" if self._in_formula_cell:
                self._parser.CharacterDataHandler = self._value
            case "f":
                self._in_formula_cell = True
            case "row":
                self._row = int(attributes.get("r", self._row + 1))
                self._column = -1
                unseen = attributes.get("hidden") in ("1", "true") or attributes.get("ht") in ("0", "0.0")
                if unseen and self._row <= ROWS_MAX:  # what lies beyond is not read
                    self._hidden_rows.add(self._row)
            case "col" if attributes.get("hidden") in ("1", "true"):
                first, last = int(attributes.get("min", 1)), int(attributes.get("max", 1))
                self._hidden_columns.update(range(max(first, 1) - 1, min(last, COLUMNS_MAX)))
            case _:
                pass

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self._cells.add(1)
        place = _CELL.fullmatch(attributes.get("r", ""))
        if place:
            self._row, self._column = int(place[2]), column_index(place[1].upper())
        else:
            self._column += 1
        self._last_row = max(self._last_row, self._row)
        self._last_column = max(self._last_column, self._column)
        self._in_formula_cell = self._has_value = False
        if attributes.get("t") == "e":
            self._findings[self._row, self._column] = ERROR_VALUE
            return
        finding = self._odd_styles.get(attributes.get("s", ""))
        if finding is STRUCK_THROUGH or (finding and attributes.get("t", "n") == "n"):
            self._findings[self._row, self._column] = finding

    def _value(self, _data: str) -> None:
        """An empty ``<v/>`` is no result."""
        self._has_value = True
        self._parser.CharacterDataHandler = None

    def _end(self, name: str) -> None:
        if self._in_formula_cell and local_name(name) == "c":
            self._parser.CharacterDataHandler = None
            if not self._has_value:
                self._findings[self._row, self._column] = NO_RESULT
            self._in_formula_cell = False


def _local(attributes: Mapping[str, str], name: str) -> str:
    """An attribute by its local name, prefixed first: ``r:id`` before ``id``."""
    return next(
        (value for key, value in attributes.items() if key.endswith(f":{name}")), attributes.get(name, "")
    )
