"""Counting what appears in more than one row, and rows about which something is to be said."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from campaign.text import Text, text

_K = TypeVar("_K", bound=Hashable)
_NAMED_MAX = 5


class Occurrences(Generic[_K]):
    """Which key stands in which rows."""

    def __init__(self) -> None:
        self._first: dict[_K, int] = {}
        self._rows: dict[_K, list[int]] = {}

    def add(self, key: _K, row: int) -> int:
        """Count one more row of the key; the key's ordinal there, from 1."""
        first = self._first.setdefault(key, row)
        if first == row:
            return 1
        rows = self._rows.setdefault(key, [first])
        rows.append(row)
        return len(rows)

    def rows(self, key: _K) -> list[int]:
        """All rows of a key that occurs."""
        return self._rows.get(key) or [self._first[key]]

    def repeated(self) -> dict[_K, list[int]]:
        """The keys that stand in more than one row."""
        return self._rows


def rows_text(rows: Iterable[int]) -> Text:
    """``rows 3, 5, 9 and 12 more``: the first few by number, the rest counted."""
    numbers = list(rows)
    named = ", ".join(map(str, numbers[:_NAMED_MAX]))
    if len(numbers) == 1:
        return text("row {row}", row=named)
    if len(numbers) <= _NAMED_MAX:
        return text("rows {rows}", rows=named)
    return text("rows {rows} and {more} more", rows=named, more=len(numbers) - _NAMED_MAX)
