"""A worksheet as cells, whatever file it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from campaign.domain.checks import Finding
from campaign.sheet.cells import Cell
from campaign.text import Text

#: Rows that Excel can hold; more in a text file could not be shown to its owner.
ROWS_MAX: Final = 1_048_576
COLUMNS_MAX: Final = 16_384

#: Column -> of each cell its row, the number that it holds, and what it shows of it.
Rounded = Callable[[int], Iterable[tuple[int, str, str]]]


def no_rounded(_column: int) -> Iterable[tuple[int, str, str]]:
    """Of files that show what they hold, or are not looked through for it."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One worksheet. Rows are numbered as Excel shows them, columns counted from 0 (A)."""

    name: str
    #: The rows from row 1 on; may be read once only.
    rows: Iterable[Sequence[Cell]]
    #: The worksheet itself is hidden in the workbook.
    hidden: bool = False
    hidden_rows: frozenset[int] = frozenset()
    hidden_columns: frozenset[int] = frozenset()
    #: (row, column) -> what is wrong with the cell although it may hold a value.
    cell_findings: Mapping[tuple[int, int], Finding] = field(default_factory=dict)
    #: Gives the numbers of a column that show fewer places than they have; looks through the file for them.
    rounded: Rounded = no_rounded
    #: Merged areas: first row, first column, last row, last column.
    merged: Sequence[tuple[int, int, int, int]] = ()
    #: A text file, where a row with too many cells shows a delimiter that should have been quoted.
    delimited: bool = False
    #: What was assumed while opening, said out loud.
    notes: tuple[Text, ...] = ()
