"""Small sheets for the tests, and what the reader makes of them in a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from campaign.domain.order import PacketDefaults
from campaign.sheet import Reading, ReadOptions, read_sheet

MCH_ID = "1900000109"
DEFAULTS = PacketDefaults(send_name="天虹百货", act_name="猜灯谜", wishing="元宵节快乐!", remark="快来抢!")


def openid(number: int) -> str:
    return f"oFAKE_openid_{number:015d}"


def options(**changes: Any) -> ReadOptions:
    return ReadOptions(**({"mch_id": MCH_ID, "defaults": DEFAULTS} | changes))


def csv_file(folder: Path, *lines: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes("\n".join(lines).encode())
    return path


def xlsx_file(
    folder: Path, *rows: Sequence[Any], name: str = "list.xlsx"
) -> tuple[Path, Workbook, Worksheet]:
    """Saved already; change the worksheet and save again for anything special."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "名单"
    for row in rows:
        sheet.append(list(row))
    path = folder / name
    book.save(path)
    return path, book, sheet


def read(path: Path, **changes: Any) -> Reading:
    return read_sheet(path, options(**changes))


def found(reading: Reading) -> list[str]:
    """Each problem as ``B3 total_amount``."""
    return [f"{p.cell} {p.column}".strip() for p in reading.problems]


def paid(reading: Reading) -> list[tuple[int, int]]:
    """(row, fen) of each order."""
    return [(order.source.row, order.total_amount) for order in reading.orders]


def notes(reading: Reading) -> str:
    return "\n".join(map(str, reading.notes))
