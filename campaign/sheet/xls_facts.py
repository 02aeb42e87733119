"""What an old .xls (BIFF8, also WPS's .et) says beside its values.

The file is a compound file (MS-CFB), a small file system, whose stream ``Workbook`` is a list of records
(MS-XLS). Only the few records that matter here are looked at.

A formula that was never calculated cannot be told here: its record always has a result, which then is 0 or
an empty text. Neither is paid: an amount of zero and an empty openid or id are problems of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

from campaign.domain.checks import Finding
from campaign.sheet.facts import DAMAGE, ERROR_VALUE, MISLEADING_FORMAT, Facts, Unreadable, misleads

_SECTOR_MAX: Final = 0xFFFFFFFA  # from here on sector numbers are marks (MS-CFB 2.1)
_BIFF8: Final = 0x0600
_PERCENT_IDS: Final = frozenset({9, 10})


class _Record(IntEnum):
    """MS-XLS 2.3."""

    FORMULA = 0x0006
    EOF = 0x000A
    COLINFO = 0x007D
    BOUNDSHEET = 0x0085
    MULRK = 0x00BD
    XF = 0x00E0
    NUMBER = 0x0203
    BOOLERR = 0x0205
    ROW = 0x0208
    RK = 0x027E
    FORMAT = 0x041E
    BOF = 0x0809


class XlsFacts:
    """Walks the records of an .xls."""

    def __init__(self, path: Path) -> None:
        """Read the workbook's stream.

        Raises:
            Unreadable: not a compound file with a BIFF8 workbook; older ones tell less.
        """
        try:
            self._stream = _workbook_stream(path.read_bytes())
            self._offsets, self._odd_styles = self._globals()
        except DAMAGE as error:
            raise Unreadable(path.name) from error

    def facts(self, sheet: str) -> Facts:
        offset = self._offsets.get(sheet)
        if offset is None:
            raise Unreadable(sheet)
        try:
            return self._look(offset)
        except DAMAGE as error:
            raise Unreadable(sheet) from error

    def _globals(self) -> tuple[dict[str, int], frozenset[int]]:
        offsets: dict[str, int] = {}
        odd_formats = set(_PERCENT_IDS)
        formats_of_styles: list[int] = []
        for kind, data in _records(self._stream, 0):
            match kind:
                case _Record.BOF if struct.unpack_from("<H", data)[0] != _BIFF8:
                    raise Unreadable("older than BIFF8")
                case _Record.BOUNDSHEET:
                    (offset,) = struct.unpack_from("<I", data)
                    offsets[_string(data[8:], data[6], wide=bool(data[7] & 1))] = offset
                case _Record.FORMAT:
                    number, length = struct.unpack_from("<HH", data)
                    if misleads(_string(data[5:], length, wide=bool(data[4] & 1))):
                        odd_formats.add(number)
                case _Record.XF:
                    formats_of_styles.append(struct.unpack_from("<2xH", data)[0])
                case _:
                    pass
        odd = frozenset(style for style, number in enumerate(formats_of_styles) if number in odd_formats)
        return offsets, odd

    def _look(self, offset: int) -> Facts:
        hidden_rows: set[int] = set()
        hidden_columns: set[int] = set()
        findings: dict[tuple[int, int], Finding] = {}
        for kind, data in _records(self._stream, offset):
            match kind:
                case _Record.ROW:
                    row, flags = struct.unpack_from("<H10xH", data)
                    if flags & 0x20:  # fDyZero
                        hidden_rows.add(row + 1)
                case _Record.COLINFO:
                    first, last, flags = struct.unpack_from("<HH4xH", data)
                    if flags & 1:
                        hidden_columns.update(range(first, min(last, 255) + 1))
                case _Record.NUMBER | _Record.RK | _Record.FORMULA | _Record.BOOLERR:
                    row, column, style = struct.unpack_from("<HHH", data)
                    if _is_error(kind, data):
                        findings[row + 1, column] = ERROR_VALUE
                    elif style in self._odd_styles and kind != _Record.BOOLERR:
                        findings[row + 1, column] = MISLEADING_FORMAT
                case _Record.MULRK:
                    row, first = struct.unpack_from("<HH", data)
                    for index in range((len(data) - 6) // 6):
                        if struct.unpack_from("<H", data, 4 + 6 * index)[0] in self._odd_styles:
                            findings[row + 1, first + index] = MISLEADING_FORMAT
                case _:
                    pass
        return Facts(
            hidden_rows=frozenset(hidden_rows),
            hidden_columns=frozenset(hidden_columns),
            cell_findings=findings,
        )


def _is_error(kind: int, data: bytes) -> bool:
    if kind == _Record.BOOLERR:
        return data[7] == 1
    return kind == _Record.FORMULA and data[6] == 2 and data[12:14] == b"\xff\xff"


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The records of one substream, those of charts inside it left out."""
    depth = 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        at += 4
        if kind == _Record.BOF:
            depth += 1
        if depth == 1:
            yield kind, stream[at : at + length]
        if kind == _Record.EOF:
            depth -= 1
            if depth == 0:
                return
        at += length


def _string(data: bytes, length: int, *, wide: bool) -> str:
    return data[: 2 * length].decode("utf-16-le") if wide else data[:length].decode("latin-1")


def _workbook_stream(data: bytes) -> bytes:
    """The stream called ``Workbook`` of a compound file."""
    sector_shift, mini_shift = struct.unpack_from("<HH", data, 30)
    first_directory, mini_cutoff, first_mini_fat = struct.unpack_from("<I4xII", data, 48)
    if sector_shift not in (9, 12) or mini_shift != 6:
        raise Unreadable("not a compound file")
    size = 1 << sector_shift

    def sector(number: int) -> bytes:
        return data[(number + 1) * size : (number + 2) * size]

    def chain(first: int, fat: list[int]) -> Iterator[int]:
        number = first
        for _ in range(len(fat) + 1):  # a damaged chain may be a circle
            if number >= _SECTOR_MAX:
                return
            yield number
            number = fat[number]
        raise Unreadable("a chain of sectors without end")

    fat = [n for s in _fat_sectors(data, sector) for n in struct.unpack(f"<{size // 4}I", sector(s))]
    directory = b"".join(map(sector, chain(first_directory, fat)))
    root: tuple[int, int] | None = None
    for at in range(0, len(directory), 128):
        entry = directory[at : at + 128]
        name = entry[: max(0, struct.unpack_from("<H", entry, 64)[0] - 2)].decode("utf-16-le")
        start, length = struct.unpack_from("<II", entry, 116)
        root = root or (start, length)
        if name != "Workbook" or entry[66] != 2:
            continue
        if length >= mini_cutoff:
            return b"".join(map(sector, chain(start, fat)))[:length]
        mini_fat = [n for s in chain(first_mini_fat, fat) for n in struct.unpack(f"<{size // 4}I", sector(s))]
        mini = b"".join(map(sector, chain(root[0], fat)))
        return b"".join(mini[n << 6 : (n + 1) << 6] for n in chain(start, mini_fat))[:length]
    raise Unreadable("no stream called Workbook")


def _fat_sectors(data: bytes, sector: Callable[[int], bytes]) -> list[int]:
    """Where the table of sector chains lies: 109 places in the header, more in a chain of their own."""
    sectors = list(struct.unpack_from("<109I", data, 76))
    following, count = struct.unpack_from("<II", data, 68)
    for _ in range(min(count, len(data) >> 9)):
        if following >= _SECTOR_MAX:
            break
        *more, following = struct.unpack(f"<{len(sector(following)) // 4}I", sector(following))
        sectors += more
    return [number for number in sectors if number < _SECTOR_MAX]
