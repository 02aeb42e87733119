"""The reserved columns of sheets that we wrote: they alone give a row its number (section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from campaign.domain.billno import ISSUE_MAX, Tie, canonical_campaign_id, canonical_row_key, tie_check
from campaign.domain.checks import Finding
from campaign.sheet.cells import Cell, identifier
from campaign.text import text

_ISSUES: Final = frozenset(map(str, range(1, ISSUE_MAX + 1)))


def read_tie(row: Sequence[Cell], *, mch_id: str) -> Tie | Finding:
    """A row's tie, or what is wrong with it.

    Args:
        row: the cells of ``TIE_FIELDS``, in their order.
    """
    campaign, row_key, issue, check = (identifier(cell, literally=True).text for cell in row)
    if not all((campaign, row_key, issue, check)):
        return _INCOMPLETE
    try:
        canonical = canonical_campaign_id(campaign) == campaign and canonical_row_key(row_key) == row_key
    except ValueError:
        canonical = False
    if not canonical or issue not in _ISSUES:
        return _ALTERED
    tie = Tie(campaign=campaign, row_key=row_key, issue=int(issue))
    return tie if check == tie_check(tie, mch_id=mch_id) else _ALTERED


_INCOMPLETE: Final = Finding(
    text("the reserved columns campaign, row_key, issue and check are not all filled in"),
    text("Take the row as campaign wrote it; put new people into a sheet of their own."),
)
_ALTERED: Final = Finding(
    text("the reserved columns campaign, row_key, issue and check were altered, or are another merchant's"),
    text("Take the row as campaign wrote it and correct only the other columns."),
)
