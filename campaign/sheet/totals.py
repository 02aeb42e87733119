"""The totals row at the end of a list, and what people write below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from campaign.domain.checks import Finding, check_openid
from campaign.sheet.cells import PLACEHOLDERS, Cell, identifier, is_empty, text_of
from campaign.sheet.columns import Columns, header_key
from campaign.text import text

_LABELS: Final = frozenset(
    {"合计", "总计", "总和", "共计", "小计", "合计金额", "总计金额", "合计元", "总计元"}
) | {*("合计total", "total", "totals", "sum", "grandtotal", "subtotal")}

#: A word that stands for no person, total or NULL, is not longer; what is longer can only be an openid.
WORD_LENGTH: Final = max(map(len, _LABELS | PLACEHOLDERS))


class Totals:
    """Holds rows back from the first totals row on, until a row of people shows that it was a subtotal."""

    def __init__(self, columns: Columns) -> None:
        self._openid_at = columns.fields["re_openid"]
        self._amount_at = columns.amount
        #: The rows held back; this one list, always.
        self.held: list[tuple[int, Sequence[Cell]]] = []

    def take(self, number: int, row: Sequence[Cell]) -> bool:
        """Whether the row is held: a totals row, or a remark without openid and amount below one."""
        below = bool(self.held) and is_empty(row[self._amount_at]) and not self._is_person(row)
        if not below and not self.is_totals(row):
            return False
        self.held.append((number, row))
        return True

    def release(self) -> list[tuple[int, Sequence[Cell]]]:
        """Give up the rows held: people follow, so they are rows like any other."""
        held = self.held[:]
        self.held.clear()
        return held

    def rows(self) -> list[tuple[int, Sequence[Cell]]]:
        """At the end of the sheet: the totals rows."""
        return [(number, row) for number, row in self.held if self.is_totals(row)]

    def remarks_below(self) -> list[str]:
        """At the end of the sheet: what stands below the totals."""
        return [text_of(c) for _, row in self.held if not self.is_totals(row) for c in row if not is_empty(c)]

    def is_totals(self, row: Sequence[Cell]) -> bool:
        """No person, and some cell says 合计, total or the like."""
        return not self._is_person(row) and any(
            isinstance(cell, str) and header_key(cell) in _LABELS for cell in row
        )

    def _is_person(self, row: Sequence[Cell]) -> bool:
        openid = identifier(row[self._openid_at]).text
        return bool(openid) and header_key(openid) not in _LABELS and not check_openid(openid)


SUBTOTAL: Final = Finding(
    text("this looks like a subtotal in the middle of the list"),
    text("Remove the row; a total belongs at the end."),
)
