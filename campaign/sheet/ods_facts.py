"""What an .ods says beside its values."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from campaign.domain.checks import Finding
from campaign.sheet.facts import (
    DAMAGE,
    MISLEADING_FORMAT,
    NO_RESULT,
    Facts,
    Unreadable,
    local_name,
    open_package,
    xml_parser,
)
from campaign.sheet.grid import ROWS_MAX

_YUAN: Final = frozenset({"CNY", "RMB", ""})


class OdsFacts:
    """Looks through ``content.xml`` once for all its sheets."""

    def __init__(self, path: Path) -> None:
        """Read the package.

        Raises:
            SheetRejected: it would unpack to more than can be read.
            Unreadable: it is not an OpenDocument spreadsheet.
        """
        self._sheets: dict[str, _Look] = {}
        self._current: _Look | None = None
        package = open_package(path)
        parser = xml_parser()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            with package, package.open("content.xml") as stream:
                parser.ParseFile(stream)
        except DAMAGE as error:
            raise Unreadable from error

    def facts(self, sheet: str) -> Facts:
        look = self._sheets.get(sheet)
        if look is None:
            raise Unreadable(sheet)
        return look.facts()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        plain = {local_name(key): value for key, value in attributes.items()}
        match local_name(name):
            case "table":
                self._current = self._sheets.setdefault(plain.get("name", ""), _Look())
            case "table-row" if self._current:
                self._current.row(_times(plain, "number-rows-repeated"), plain.get("visibility", ""))
            case "table-column" if self._current:
                self._current.table_column(
                    _times(plain, "number-columns-repeated"), plain.get("visibility", "")
                )
            case "table-cell" | "covered-table-cell" if self._current:
                self._current.cell(plain)
            case _:
                pass

    def _end(self, name: str) -> None:
        if local_name(name) == "table":
            self._current = None


class _Look:
    """One sheet so far; what is repeated at the end without a value does not count."""

    def __init__(self) -> None:
        self._row = self._next_row = 1
        self._column = self._table_column = 0
        self._last_row = self._last_column = 0
        self._hidden_rows: list[range] = []
        self._hidden_columns: set[int] = set()
        self._findings: dict[tuple[int, int], Finding] = {}

    def row(self, times: int, visibility: str) -> None:
        self._row, self._column = self._next_row, 0
        self._next_row += times
        if visibility in ("collapse", "filter"):
            self._hidden_rows.append(range(self._row, self._next_row))

    def table_column(self, times: int, visibility: str) -> None:
        if visibility == "collapse" and times <= 1024:
            self._hidden_columns.update(range(self._table_column, self._table_column + times))
        self._table_column += times

    def cell(self, attributes: dict[str, str]) -> None:
        times = _times(attributes, "number-columns-repeated")
        kind = attributes.get("value-type", "")
        finding: Finding | None = None
        if attributes.get("formula") and not kind:
            finding = NO_RESULT
        elif kind == "percentage" or (kind == "currency" and attributes.get("currency", "") not in _YUAN):
            finding = MISLEADING_FORMAT
        if finding:
            for column in range(self._column, min(self._column + times, 1024)):
                self._findings[self._row, column] = finding
        self._column += times
        if kind:
            self._last_row = max(self._last_row, self._next_row - 1)
            self._last_column = max(self._last_column, self._column - 1)

    def facts(self) -> Facts:
        last = min(self._last_row, ROWS_MAX)  # what lies beyond is not read
        hidden = frozenset(
            row for rows in self._hidden_rows for row in range(rows.start, min(rows.stop, last + 1))
        )
        return Facts(
            last_row=self._last_row,
            last_column=self._last_column,
            hidden_rows=hidden,
            hidden_columns=frozenset(self._hidden_columns),
            cell_findings=self._findings,
        )


def _times(attributes: dict[str, str], name: str) -> int:
    return max(1, int(attributes.get(name, "1")))
