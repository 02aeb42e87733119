"""Text into a cell of an XlsxWriter worksheet, as text."""

from __future__ import annotations

from typing import Any, Final

#: Excel's limit, in characters.
CELL_LENGTH_MAX: Final = 32_767


def put_text(sheet: Any, row: int, column: int, value: str, style: Any = None) -> None:
    """Write text as text: never a formula, a number or markup, and never dropped for its length.

    Args:
        sheet: XlsxWriter's; ``row`` and ``column`` count from 0, as it counts.
    """
    if len(value) > CELL_LENGTH_MAX:
        value = value[: CELL_LENGTH_MAX - 1] + "…"
    if value.startswith("<r>"):
        # If "</r>" ends it, XlsxWriter takes it for its own mark-up and writes it unescaped; and the end is
        # where XlsxWriter cuts what is too long, in UTF-16.
        value = f" {value}"
    sheet.write_string(row, column, value, style)
