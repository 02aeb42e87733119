"""What appears in more than one row: found, told, and made once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from campaign.text import Text, text

Value = TypeVar("Value")
Made = TypeVar("Made")

_NAMED_MAX = 5


class Occurrences:
    """Finds the keys that stand in more than one row, from eight bytes a row.

    A million keys need not be kept to be told apart: their hashes show which ones could be repeated,
    and only those are looked at.
    """

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, keys: Iterable[str]) -> None:
        """Count one more row for each of the keys."""
        self._hashes.extend(map(hash, keys))

    def repeated(self, rows: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
        """The keys that stand in more than one row, each with its rows.

        Args:
            rows: every key that was added, with its row; gone through only where something is repeated.
        """
        twice = self.repeated_hashes()
        if not twice:
            return {}
        found: dict[str, list[int]] = {}
        for key, row in rows:
            if hash(key) in twice:
                found.setdefault(key, []).append(row)
        return {key: sorted(at) for key, at in found.items() if len(at) > 1}

    def repeated_hashes(self) -> frozenset[int]:
        """The hashes that occur more than once."""
        if len(set(self._hashes)) == len(self._hashes):
            return frozenset()
        return frozenset(a for a, b in pairwise(sorted(self._hashes)) if a == b)


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
