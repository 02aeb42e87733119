"""A million problems in 200 MB: kept as what was found where, and put into words while they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from campaign.domain.checks import Finding
from campaign.domain.order import RowProblem, Source
from campaign.sheet.cells import Cell, shown
from campaign.sheet.columns import column_letters


class Found(NamedTuple):
    """A finding with its place."""

    row: int
    #: From 0; none: about the row, or a value from the settings.
    column: int | None
    field: str
    value: Cell
    finding: Finding


class Problems(Sequence[RowProblem]):
    """The problems of one sheet, row by row and from the left."""

    def __init__(self, file: str, sheet: str, found: list[Found]) -> None:
        self._file, self._sheet = file, sheet
        self._found = sorted(found, key=lambda one: (one.row, one.column or 0))

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[RowProblem]:
        return map(self._problem, self._found)

    @overload
    def __getitem__(self, index: int) -> RowProblem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RowProblem]: ...
    def __getitem__(self, index: int | slice) -> RowProblem | Sequence[RowProblem]:
        if isinstance(index, slice):
            return tuple(map(self._problem, self._found[index]))
        return self._problem(self._found[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # compared by content, and so not hashable

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _problem(self, found: Found) -> RowProblem:
        return RowProblem(
            source=Source(file=self._file, sheet=self._sheet, row=found.row),
            column=found.field,
            cell="" if found.column is None else f"{column_letters(found.column)}{found.row}",
            value=shown(found.value),
            problem=found.finding.problem,
            advice=found.finding.advice,
        )
