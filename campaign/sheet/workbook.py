"""Workbooks (.xlsx, .xlsm, .xls, .ods) through calamine, with what calamine does not tell (`facts`)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campaign.errors import SheetRejected
from campaign.sheet.cells import Cell
from campaign.sheet.facts import FactFinder, Facts, Unreadable, open_package
from campaign.sheet.grid import ROWS_MAX, Grid
from campaign.sheet.ods_facts import OdsFacts
from campaign.sheet.xls_facts import XlsFacts
from campaign.sheet.xlsx_facts import XlsxFacts
from campaign.text import text

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

#: calamine lays out a full rectangle, about 32 bytes a cell; a stray cell far away must not fill the memory.
CELLS_MAX: Final = 40_000_000
_TELLS_NOTHING: Final = text(
    "this old format does not tell which rows are hidden; save the sheet as .xlsx to be sure that none is"
)
_XLSX_SUFFIXES: Final = frozenset({".xlsx", ".xlsm"})
#: The stream of a workbook with a password (MS-OFFCRYPTO 2.3.4.1), as the directory of its file names it.
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")


class Workbook:
    """An open workbook; its worksheets are read one at a time."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            SheetRejected: not a workbook, protected by a password, damaged, or a bomb.
        """
        from python_calamine import (
            CalamineError,
            PasswordError,
            SheetTypeEnum,
            SheetVisibleEnum,
            load_workbook,
        )

        self._file = path.name
        try:
            self._finder = _fact_finder(path)
            self._book = load_workbook(_source(path, self._finder))
        except PasswordError:
            raise SheetRejected(
                text("{file} is protected by a password", file=self._file),
                advice=text("Open it in Excel or WPS, remove the password, and save it again."),
            ) from None
        except (CalamineError, Unreadable) as error:
            raise damaged(self._file) from error
        self.names = [s.name for s in self._book.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
        self._hidden = {s.name for s in self._book.sheets_metadata if s.visible != SheetVisibleEnum.Visible}

    def grid(self, name: str) -> Grid:
        """Read one worksheet.

        Raises:
            SheetRejected: it cannot be read, or is larger than any list of people.
        """
        from python_calamine import CalamineError

        try:
            facts = self._finder.facts(name) if self._finder else Facts(notes=(_TELLS_NOTHING,))
        except Unreadable as error:
            raise damaged(self._file) from error
        if facts.last_row > ROWS_MAX or facts.last_row * (facts.last_column + 1) > CELLS_MAX:
            raise SheetRejected(
                text(
                    "{file}, sheet {sheet}: some cell lies as far away as row {row}, column {column}; "
                    "that is more than can be read",
                    file=self._file,
                    sheet=name,
                    row=facts.last_row,
                    column=facts.last_column + 1,
                ),
                advice=text(
                    "Name the sheet with the list by --sheet; or copy the list itself to a new sheet."
                ),
            )
        try:
            sheet = self._book.get_sheet_by_name(name)
        except (CalamineError, Unreadable) as error:
            raise damaged(self._file) from error
        return Grid(
            name=name,
            rows=_rows(sheet),
            hidden=name in self._hidden,
            hidden_rows=facts.hidden_rows,
            hidden_columns=facts.hidden_columns,
            cell_findings=facts.cell_findings,
            rounded=facts.rounded,
            merged=_merged(sheet),
            notes=facts.notes,
        )


def _source(path: Path, finder: FactFinder | None) -> Path | io.BytesIO:
    """What calamine is to open: the bytes, since people rename .xlsx to .xls, and it believes a name.

    The name, where it tells the truth: of the bytes calamine would take a second copy.

    Raises:
        PasswordError: it is protected by a password.
    """
    from python_calamine import PasswordError

    if isinstance(finder, XlsxFacts) and path.suffix.lower() in _XLSX_SUFFIXES:
        return path
    data = path.read_bytes()
    if _ENCRYPTED in data:
        raise PasswordError
    return io.BytesIO(data)


def _fact_finder(path: Path) -> FactFinder | None:
    """By content; None for files so old that they can only be read for their values."""
    with path.open("rb") as stream:
        is_zip = stream.read(2) == b"PK"
    if not is_zip:
        try:
            return XlsFacts(path)
        except Unreadable:
            return None
    with open_package(path) as package:
        is_ods = "content.xml" in package.namelist()
    return OdsFacts(path) if is_ods else XlsxFacts(path)


def damaged(file: str) -> SheetRejected:
    """The file cannot be opened as a workbook."""
    return SheetRejected(
        text("{file} is not a workbook that can be read, or it is damaged", file=file),
        advice=text("Open it in Excel or WPS and save it again as .xlsx."),
    )


def _rows(sheet: CalamineSheet) -> Iterator[Sequence[Cell]]:
    """From row 1 and column A on; calamine itself starts at the first column that holds something."""
    if sheet.start is None:
        return
    before: list[Cell] = [""] * sheet.start[1]
    if not before:
        yield from sheet.iter_rows()
        return
    for row in sheet.iter_rows():
        yield [*before, *row]


def _merged(sheet: CalamineSheet) -> list[tuple[int, int, int, int]]:
    return [(first[0] + 1, first[1], last[0] + 1, last[1]) for first, last in sheet.merged_cell_ranges or ()]
