"""A spreadsheet in, orders and problems out: every row of people ends in exactly one of the two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

from campaign.errors import SheetRejected
from campaign.sheet.cells import Cell, is_empty, text_of
from campaign.sheet.columns import Columns, settings_columns, understand
from campaign.sheet.grid import Grid
from campaign.sheet.reading import Reading, ReadOptions
from campaign.sheet.rows import read_rows
from campaign.sheet.textfile import SIZE_MAX, open_text
from campaign.sheet.workbook import Workbook
from campaign.text import Text, text

#: The header is looked for in the rows from the top; above it titles and remarks may stand.
_HEADER_WITHIN: Final = 50
_ZIP: Final = b"PK"
_OLE: Final = b"\xd0\xcf\x11\xe0"
_TEXT_SUFFIXES: Final = frozenset({".csv", ".tsv", ".txt", ".tab", ".xls"})


@dataclass(frozen=True, slots=True)
class SheetList:
    """A worksheet with its header found; ``rows`` are those below it, with their numbers."""

    grid: Grid
    columns: Columns
    rows: Iterator[tuple[int, Sequence[Cell]]]
    above: tuple[str, ...]


def read_sheet(path: Path, options: ReadOptions) -> Reading:
    """Read and check a spreadsheet.

    Raises:
        SheetRejected: nothing at all can be read: missing or empty file, not a workbook, no clear header,
            more than one worksheet that could be meant.
        SetupError: ``[columns]`` names an unknown field.
    """
    digest, head = _fingerprint(path)
    found = _find_list(path, head, options)
    place = _place(path.name, found.grid.name)
    found.columns.require_clear(place)
    outcome = read_rows(
        file=path.name, grid=found.grid, columns=found.columns, rows=found.rows, options=options
    )
    if not outcome.rows and not outcome.hidden:
        raise SheetRejected(
            text(
                "{place}: there is no row below the header in row {row}", place=place, row=found.columns.row
            ),
            advice=text("Fill in the people to pay, one row each."),
        )
    return Reading(
        file=path.name,
        sheet=found.grid.name,
        digest=digest,
        rows=outcome.rows,
        orders=outcome.orders,
        problems=outcome.problems,
        notes=(*found.grid.notes, *_titles(found.above), *outcome.notes),
        key_column=outcome.key_column,
        own_headers=tuple(found.columns.own.values()),
        campaigns=found.columns.campaigns,
        tied_to=outcome.tied_to,
        flawed=outcome.flawed,
    )


def _fingerprint(path: Path) -> tuple[str, bytes]:
    """The digest of the file and its first bytes."""
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise SheetRejected(
            text("{file} does not exist", file=path), advice=text("Check the name and the folder.")
        ) from None
    except IsADirectoryError:
        raise SheetRejected(
            text("{file} is a folder", file=path), advice=text("Name the spreadsheet inside it.")
        ) from None
    except OSError as error:
        raise SheetRejected(
            text("{file} cannot be read: {reason}", file=path, reason=error.strerror or error),
            advice=text("Check that it is not open elsewhere and that you may read it."),
        ) from error
    if not head:
        raise SheetRejected(text("{file} is empty", file=path.name), advice=text("Save the sheet again."))
    return digest, head


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex; `Reading.digest`.

    Raises:
        SheetRejected: it cannot be read, or is empty.
    """
    return _fingerprint(path)[0]


def open_list(path: Path, options: ReadOptions) -> SheetList:
    """The list that `read_sheet` reads, as cells.

    Raises:
        SheetRejected, SetupError: as `read_sheet`.
    """
    found = _find_list(path, _fingerprint(path)[1], options)
    found.columns.require_clear(_place(path.name, found.grid.name))
    return found


def open_grids(path: Path, options: ReadOptions) -> Iterator[Grid]:
    """Every worksheet of the file, from its first row on, in order.

    Raises:
        SheetRejected, SetupError: as `read_sheet`.
    """
    if _fingerprint(path)[1].startswith((_ZIP, _OLE)):
        book = Workbook(path)
        yield from map(book.grid, book.names)
    else:
        columns = settings_columns(options.columns)
        yield open_text(path, _text_data(path), columns=columns)


def _find_list(path: Path, head: bytes, options: ReadOptions) -> SheetList:
    columns = settings_columns(options.columns)
    if head.startswith((_ZIP, _OLE)):
        return _choose(path.name, Workbook(path), options, columns)
    if options.sheet is not None:
        raise SheetRejected(
            text("{file} is a text file and has no sheets to choose from", file=path.name),
            advice=text("Leave out --sheet."),
        )
    data = _text_data(path)
    grid = open_text(path, data, columns=columns)
    found = _with_header(grid, columns)
    if found is None:
        raise _empty(path.name)
    return found


def _text_data(path: Path) -> bytes:
    if path.suffix.lower() not in _TEXT_SUFFIXES:
        raise SheetRejected(
            text("{file} is no workbook inside, whatever its name says", file=path.name),
            advice=text(
                "If it is a list in plain text (CSV), call it .csv; otherwise open it in WPS or Excel and "
                "save it as .xlsx."
            ),
        )
    if path.stat().st_size > SIZE_MAX:
        raise SheetRejected(
            text("{file} has more than {most} MB", file=path.name, most=SIZE_MAX >> 20),
            advice=text("Split the list into several files."),
        )
    data = path.read_bytes()
    if data.lstrip()[:9].lower().startswith((b"<html", b"<!doctype", b"<table", b"<?xml")):
        raise SheetRejected(
            text("{file} is a web page or XML under the name of a spreadsheet", file=path.name),
            advice=text("Open it in Excel or WPS and save it as .xlsx."),
        )
    return data


def _choose(file: str, book: Workbook, options: ReadOptions, columns: Mapping[str, str]) -> SheetList:
    """The worksheet that ``--sheet`` names, else the only visible one that fits."""
    if options.sheet is not None:
        if options.sheet not in book.names:
            raise SheetRejected(
                text(
                    "{file} has no sheet called {sheet}; it has {names}",
                    file=file,
                    sheet=options.sheet,
                    names=tuple(book.names),
                ),
                advice=text("Name one of them with --sheet."),
            )
        chosen = _with_header(book.grid(options.sheet), columns)
        if chosen is None:
            raise _empty(_place(file, options.sheet))
        return chosen
    likeliest: SheetList | None = None  # the others are let go: each may be large, and there may be hundreds
    fitting: list[str] = []
    hidden: list[str] = []
    for found in filter(None, (_with_header(book.grid(name), columns) for name in book.names)):
        if found.columns.fits:
            (hidden if found.grid.hidden else fitting).append(found.grid.name)
        if not found.grid.hidden and (likeliest is None or _likelihood(found) > _likelihood(likeliest)):
            likeliest = found
    if len(fitting) > 1:
        raise SheetRejected(
            text(
                "{file} has more than one sheet with people to pay: {names}",
                file=file,
                names=tuple(fitting),
            ),
            advice=text(
                "Say which one with --sheet, and give each sheet a --name of its own: who was paid under a "
                "name is not paid again under it."
            ),
        )
    if hidden and not fitting:
        raise SheetRejected(
            text("{file}: only a hidden sheet has people to pay: {names}", file=file, names=tuple(hidden)),
            advice=text("If it is meant, name it with --sheet."),
        )
    if likeliest is None:
        raise _empty(file)
    return _and_say(likeliest, hidden)


def _likelihood(found: SheetList) -> tuple[bool, int]:
    return found.columns.fits, found.columns.score()


def _and_say(found: SheetList, hidden: Sequence[str]) -> SheetList:
    if not hidden:
        return found
    note = text("hidden sheets with people to pay were not read: {names}", names=tuple(hidden))
    return SheetList(
        replace(found.grid, notes=(*found.grid.notes, note)), found.columns, found.rows, found.above
    )


def _with_header(grid: Grid, columns: Mapping[str, str]) -> SheetList | None:
    """Find the header: the first row that fits, else the likeliest; None if all is empty."""
    numbered = enumerate(grid.rows, 1)
    top = list(islice(numbered, _HEADER_WITHIN))
    candidates = [
        understand(number, cells, columns) for number, cells in top if not all(map(is_empty, cells))
    ]
    if not candidates:
        return None
    header = next((c for c in candidates if c.fits), None) or max(candidates, key=Columns.score)
    above = tuple(
        text_of(c) for number, cells in top if number < header.row for c in cells if not is_empty(c)
    )
    return SheetList(grid, header, chain(top[header.row :], numbered), above)


def _titles(above: tuple[str, ...]) -> tuple[Text, ...]:
    if not above:
        return ()
    return (text("what stands above the header was left alone: {titles}", titles=" · ".join(above)[:120]),)


def _place(file: str, sheet: str) -> Text:
    if sheet == file:
        return text("{file}", file=file)
    return text("{file}, sheet {sheet}", file=file, sheet=sheet)


def _empty(place: Text | str) -> SheetRejected:
    return SheetRejected(
        text("{place}: there is nothing in it", place=place),
        advice=text("Fill in the people to pay, one row each."),
    )
