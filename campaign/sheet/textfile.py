"""CSV and its relatives: encoding and delimiter are found out, and a guess is said."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from campaign.errors import SheetRejected
from campaign.sheet.columns import understand
from campaign.sheet.grid import ROWS_MAX, Grid
from campaign.text import Text, text

#: Bytes; a million rows of ordinary width have a tenth of it.
SIZE_MAX: Final = 1 << 30
_DELIMITERS: Final = (",", "\t", ";", "|")
_LINES_TRIED: Final = 50
_SAMPLE: Final = 1 << 18
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAVE_AS_XLSX: Final = text("In Excel or WPS, save it as .xlsx and use that file.")


def open_text(path: Path, data: bytes, *, columns: Mapping[str, str]) -> Grid:
    """Read a CSV, TSV or semicolon file; row numbers count records, as Excel does.

    Args:
        columns: as `settings_columns` gives them; the delimiter is the one that shows a known header.

    Raises:
        SheetRejected: no encoding fits, or quotes do not match.
    """
    content, notes = _decode(path.name, data)
    # Excel's own hint; it is not shown as a row.
    if content[:4].lower() == "sep=" and content[5:6] in ("\r", "\n"):
        delimiter = content[4]
        content = content[5:].removeprefix("\r").removeprefix("\n")
    else:
        delimiter = _delimiter(content, columns)
    return Grid(name=path.name, rows=_rows(path.name, content, delimiter), delimited=True, notes=notes)


def _decode(file: str, data: bytes) -> tuple[str, tuple[Text, ...]]:
    """The text, with a note where its encoding was guessed: what has no BOM and is not UTF-8."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _decode_as(file, data, name), ()
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    detected = _detect(data)
    if detected is None:
        raise SheetRejected(
            text("{file} is neither a workbook nor text in an encoding that could be recognised", file=file),
            advice=_SAVE_AS_XLSX,
        )
    content = _decode_as(file, data, detected)
    return content, (
        text(
            "{file} was read as {encoding}; if Chinese text looks wrong, save the sheet as .xlsx in Excel or "
            "WPS and use that file",
            file=file,
            encoding=detected.upper(),
        ),
    )


def _decode_as(file: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise SheetRejected(
            text(
                "{file} is not text in {encoding}: byte {position} does not fit",
                file=file,
                encoding=encoding,
                position=error.start + 1,
            ),
            advice=_SAVE_AS_XLSX,
        ) from None


def _detect(data: bytes) -> str | None:
    """GB18030 covers GB2312 and GBK; Big5 is what Taiwan and Hong Kong save."""
    from charset_normalizer import from_bytes

    two_bytes = b"\0" in data[:_SAMPLE]
    candidates = ["utf_16_le", "utf_16_be"] if two_bytes else ["gb18030", "big5"]
    best = from_bytes(data[:_SAMPLE], cp_isolation=candidates, threshold=0.6).best()
    return None if best is None else best.encoding.replace("_", "-")


def _delimiter(content: str, columns: Mapping[str, str]) -> str:
    """The delimiter under which some early line is a header; commas when none is."""

    def best_score(delimiter: str) -> int:
        try:
            lines = list(
                islice(
                    csv.reader(io.StringIO(content[:_SAMPLE], newline=""), delimiter=delimiter), _LINES_TRIED
                )
            )
        except csv.Error:
            return 0
        understood = (understand(row, cells, columns) for row, cells in enumerate(lines, 1))
        return max((header.score() for header in understood), default=0)

    return max(_DELIMITERS, key=best_score)


def _rows(file: str, content: str, delimiter: str) -> Iterator[list[str]]:
    """Strict about quotes: a lost one would swallow the rows that follow it."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        yield from islice(reader, ROWS_MAX)
        more = next(reader, None)
    except csv.Error:
        raise SheetRejected(
            text(
                "{file}: near line {line} a quotation mark opens and does not close properly, "
                "or a cell is longer than {most} characters",
                file=file,
                line=reader.line_num,
                most=csv.field_size_limit(),
            ),
            advice=text("Correct it in a text editor, or save the sheet as .xlsx."),
        ) from None
    if more is not None:
        raise SheetRejected(
            text("{file} has more than {most} rows", file=file, most=ROWS_MAX),
            advice=text("Split the list into several files."),
        )
