"""Workbooks: ours from the ledger, and the same cells through others, each as a program of its own.

``python -m tests.bench.writers ours CONFIG NAME FOLDER`` writes the workbook for finance;
``python -m tests.bench.writers rust|xlsxwriter MODEL OUT ROWS`` writes the rows of its sheet of details
again, over and over, with other numbers and people, so that no string occurs twice that did not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

Cell = str | float | None
#: Where rows are counted, and whose texts differ from row to row.
_MODEL_ROWS: Final = 1_000
#: Excel's day 0; a date is a number there.
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook knows no zones


def ours(config: str, name: str, folder: str) -> None:
    """The workbook alone, as `campaign report` makes it beside the other files."""
    from campaign.cli.frame import Session
    from campaign.config import load_settings
    from campaign.ledger.store import Ledger
    from campaign.ports import SystemClock
    from campaign.stages.report import write_report

    settings, clock = load_settings(Path(config)), SystemClock()
    merchant = settings.merchant.mch_id
    ledger = Ledger.open_existing(
        settings.ledger_path(), merchant=merchant, gateway=settings.ledger_gateway(), clock=clock
    )
    assert ledger is not None
    with ledger:
        write_report(
            ledger,
            name,
            out=Path(folder),
            say=Session([], {}).speech.say,
            gateway=settings.gateway_name(),
            merchant=merchant,
            clock=clock,
            formats=("xlsx",),
        )


def rust(model: str, out: str, rows: str) -> None:
    """The fastest streaming writer: Rust's, from a generator of dicts, in constant memory."""
    from rustpy_xlsxwriter import write_worksheet

    heads, cells = _model(Path(model))
    write_worksheet((dict(zip(heads, row, strict=True)) for row in islice(cells, int(rows))), out)


def xlsxwriter(model: str, out: str, rows: str) -> None:
    """XlsxWriter in constant memory."""
    import xlsxwriter as writer

    heads, cells = _model(Path(model))
    book = writer.Workbook(out, {"constant_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, heads)
    for number, row in enumerate(islice(cells, int(rows)), 1):
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, column, cell)
            elif cell is not None:
                sheet.write_number(number, column, cell)
    book.close()


def _model(path: Path) -> tuple[list[str], Iterator[list[Cell]]]:
    """The heads of our sheet of details, and rows like its own without end."""
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(str(path))
    sheets = (book.get_sheet_by_name(name).iter_rows() for name in book.sheet_names)
    # The details are the widest sheet; in front of its heads there may be a banner.
    widest = max((list(islice(rows, _MODEL_ROWS + 10)) for rows in sheets), key=lambda rows: len(rows[-1]))
    at = next(number for number, row in enumerate(widest) if all(row))
    heads = [str(head) for head in widest[at]]
    models = [[_cell(value) for value in row] for row in widest[at + 1 :]]
    assert len(models) > 1
    assert len(set(heads)) == len(heads)
    return heads, _endless(models)


def _endless(models: list[list[Cell]]) -> Iterator[list[Cell]]:
    """What is one row's own (long texts that differ from row to row) is different in every row."""
    own = [
        column
        for column, (one, other) in enumerate(zip(models[0], models[1], strict=True))
        if isinstance(one, str) and len(one) >= 10 and one != other
    ]
    number = 0
    while True:
        for model in models:
            row = list(model)
            for column in own:
                row[column] = f"{str(row[column])[:-8]}{number:08d}"
            number += 1
            yield row


def _cell(value: object) -> Cell:
    if isinstance(value, datetime):
        return (value - _EPOCH).total_seconds() / 86_400
    if isinstance(value, str):
        return value or None
    return float(value) if isinstance(value, int | float) else str(value)


WRITERS: Final[dict[str, Callable[[str, str, str], None]]] = {
    writer.__name__: writer for writer in (ours, rust, xlsxwriter)
}

if __name__ == "__main__":
    WRITERS[sys.argv[1]](*sys.argv[2:])
