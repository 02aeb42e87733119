"""What appears in more than one row: found, told, and made once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from campaign.text import Text, text

Value = TypeVar("Value")
Made = TypeVar("Made")

_NAMED_MAX = 5


class Occurrences:
    """Finds the keys that stand in more than one row."""

    def __init__(self) -> None:
        self._different: set[str] = set()
        self._rows = 0

    def add(self, keys: Collection[str]) -> None:
        """Count one more row for each of the keys."""
        self._different.update(keys)
        self._rows += len(keys)

    def repeated(self, keys: Iterable[str]) -> set[str]:
        """The keys that stand in more than one row. At the end: nothing can be added any more.

        Args:
            keys: every key that was added, once more; gone through only where something is repeated.
        """
        if len(self._different) == self._rows:
            return set()
        unseen, twice = self._different, set[str]()
        for key in keys:
            if key in unseen:
                unseen.remove(key)
            else:
                twice.add(key)
        return twice


def made_once(make: Callable[[Value], Made], values: Sequence[Value]) -> list[Made]:
    """What ``make`` makes of each value: once of an object that stands in many rows, as most do."""
    if values.count(values[0]) == len(values):
        return [make(values[0])] * len(values)
    made = {at: make(value) for at, value in {id(value): value for value in values}.items()}
    return [made[id(value)] for value in values]


def rows_text(rows: Sequence[int]) -> Text:
    """``rows 3, 5, 9 and 12 more``: the first few by number, the rest counted."""
    named = tuple(rows[:_NAMED_MAX])
    if len(rows) == 1:
        return text("row {row}", row=named)
    if len(rows) <= _NAMED_MAX:
        return text("rows {rows}", rows=named)
    return text("rows {rows} and {more} more", rows=named, more=len(rows) - _NAMED_MAX)
