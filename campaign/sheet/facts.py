"""What a workbook says beside its values: hidden rows, formulas without a result, formats that mislead.

calamine reads values fast and tells nothing of these; one module for each file format finds them out.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final, Protocol
from xml.parsers import expat

from campaign.domain.checks import Finding
from campaign.errors import SheetRejected
from campaign.sheet.grid import ROWS_MAX, Rounded, no_rounded
from campaign.text import Text, text

#: Bytes, nearly all of XML; a million rows of four columns have an eighth of it.
UNPACKED_MAX: Final = 2 << 30
#: Cells of a worksheet, or texts that cells share; calamine lays each of them out in 24 to 48 bytes, so a
#: few compressed megabytes of empty ones must not fill the memory.
PIECES_MAX: Final = 40_000_000
#: Column Z: where a search that does not look at every cell stops being sure.
LAST_COLUMN_ASSUMED: Final = 25
#: In a number format: quoted text, a currency, an escaped character, padding, a colour or condition.
_LITERAL: Final = re.compile(r'"([^"]*)"|\[\$([^\]-]*)[^\]]*\]|\\(.)|_.|\*.|\[[^\]]*\]|General')
#: Characters that Excel allows; a search takes long for what is much longer.
_FORMAT_LENGTH_MAX: Final = 255
_SCALED: Final = re.compile(r"[0#?],+(?![0#?,])")
_OTHER_UNIT: Final = re.compile(r"[$€£₩万千百角分%kK]")


#: A format of digits alone, by its places behind the point; other formats show no amounts, or mislead.
_PLACES: Final = re.compile(r"[-+ ()¥￥]*[#0?,]*[#0?](?:\.([#0?]*))?[-+ ()元]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """About one worksheet; rows as Excel shows them, columns from 0."""

    last_row: int = ROWS_MAX
    last_column: int = LAST_COLUMN_ASSUMED
    hidden_rows: frozenset[int] = frozenset()
    hidden_columns: frozenset[int] = frozenset()
    cell_findings: Mapping[tuple[int, int], Finding] = field(default_factory=dict)
    notes: tuple[Text, ...] = ()
    rounded: Rounded = no_rounded


class Unreadable(Exception):
    """The package or its XML is damaged; the reader of the workbook says so to the person."""


#: What Python's own readers raise when the bytes are not what they should be.
DAMAGE: Final = (
    *(expat.ExpatError, zipfile.BadZipFile, zlib.error, struct.error, UnicodeError),
    *(ValueError, IndexError, KeyError, EOFError, OSError, RuntimeError, NotImplementedError),
)


class FactFinder(Protocol):
    """Tells the facts of one workbook, sheet by sheet."""

    def facts(self, sheet: str) -> Facts:
        """About the worksheet of this name.

        Raises:
            Unreadable: that part of the file is damaged.
        """


def open_package(path: Path) -> zipfile.ZipFile:
    """Open the zip around a workbook.

    Raises:
        SheetRejected: it would unpack to more than ``UNPACKED_MAX``.
        Unreadable: it is no zip.
    """
    try:
        package = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise Unreadable from error
    if sum(part.file_size for part in package.infolist()) > UNPACKED_MAX:
        raise SheetRejected(
            text("{file} unpacks to more than {most} MB", file=path.name, most=UNPACKED_MAX >> 20),
            advice=text("Copy the list itself to a new workbook and use that."),
        )
    return package


class Pieces:
    """Counts the cells of a part, or its texts, while it is looked through."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0

    def could_fill(self, size: int, smallest: int) -> bool:
        """Whether a part of this size has room for too many, the smallest of which has so many bytes."""
        return size > smallest * PIECES_MAX

    def add(self, count: int) -> None:
        """Count so many more.

        Raises:
            SheetRejected: no list of people has so many.
        """
        self._count += count
        if self._count > PIECES_MAX:
            raise SheetRejected(
                text("{file} has more than {most} cells or texts", file=self._file, most=PIECES_MAX),
                advice=text("Copy the list itself to a new workbook and use that."),
            )


def misleads(format_code: str) -> bool:
    """Percent, thousands scaled away, another currency or unit: the cell shows another sum than it holds.

    Nobody knows what a format shows that is longer than Excel's.
    """
    if len(format_code) > _FORMAT_LENGTH_MAX:
        return True
    literals = "".join("".join(found) for found in _LITERAL.findall(format_code))
    digits = _LITERAL.sub("", format_code)
    return bool("%" in digits or _SCALED.search(digits) or _OTHER_UNIT.search(literals + digits))


def places_shown(format_code: str) -> int | None:
    """How many places behind the point a format shows; None where it is none of digits alone."""
    digits = _PLACES.fullmatch(_LITERAL.sub("", format_code).partition(";")[0])
    return len(digits[1] or "") if digits else None


def rounded_to(number: str, places: int) -> str:
    """A number as a cell shows it that has so many places: halves away from zero, as Excel has it."""
    return format(Decimal(number).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP), "f")


def xml_parser() -> expat.XMLParserType:
    """A parser that knows no document types, hence no entities to expand."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


def _refuse_doctype(*_: object) -> None:
    raise expat.ExpatError("a worksheet has no document type")


def local_name(name: str) -> str:
    """``row`` of ``x:row``."""
    return name.rpartition(":")[2]


MISLEADING_FORMAT: Final = Finding(
    text("the cell's format shows another number, unit or currency than the cell holds"),
    text("Format the cell as a plain number and check the amount."),
)
STRUCK_THROUGH: Final = Finding(
    text("the cell is struck through, so it is not clear whether the row is to be paid"),
    text("Remove the row, or the line through it."),
)
ERROR_VALUE: Final = Finding(
    text("the cell shows an error such as #N/A"), text("Correct the formula, or replace it by its value.")
)
NO_RESULT: Final = Finding(
    text("the formula in this cell has no stored result"),
    text(
        "Open the workbook in Excel or WPS, let it calculate, and save it; "
        "or replace the formula by its value."
    ),
)
