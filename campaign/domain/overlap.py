"""The same list twice: under another name, or another list under the same name (issue of a copied file).

A copied file has another name, so its rows get other bill numbers and WeChat Pay would pay them again.
Only people and amounts can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from campaign.domain.days import DAY_S
from campaign.domain.order import PacketOrder, as_orders
from campaign.domain.plan import Draft

#: Campaigns older than this are not compared.
COMPARED_S: Final = 30 * DAY_S
#: So many common rows, or this share of the sheet, is the same list again; fewer need a person's answer.
SAME_ROWS: Final = 20
SAME_SHARE: Final = 0.05
#: A sheet that lacks more than this share of its campaign is another list under the same name.
MISSING_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What a sheet and one other campaign have in common."""

    campaign: str
    rows: int
    #: Fen.
    fen: int
    #: The very same file.
    same_file: bool
    #: Rows of the sheet that would be paid now.
    of_rows: int

    @property
    def is_same_list(self) -> bool:
        """Whether this is too much to go on without naming the other campaign."""
        if self.same_file:
            return True
        return self.rows >= SAME_ROWS or (self.rows > 0 and self.rows >= SAME_SHARE * self.of_rows)


def overlap(
    orders: Sequence[PacketOrder], campaign: str, paid: Iterable[tuple[str, int]], *, same_file: bool
) -> Overlap:
    """Count the rows that another campaign has too: same openid and same amount, each counted once.

    Args:
        orders: the rows that would be paid now.
        paid: (openid, fen) of the other campaign's entries that were not withdrawn or refused.
    """
    # Hashes instead of pairs: of a million rows they take a third of the memory.
    wanted = Counter(map(hash, as_orders(orders).payments()))
    rows = fen = 0
    for pair in paid:
        key = hash(pair)
        if wanted.get(key, 0) > 0:
            wanted[key] -= 1
            rows += 1
            fen += pair[1]
    return Overlap(
        campaign=campaign, rows=rows, fen=fen, same_file=same_file and rows > 0, of_rows=len(orders)
    )


def is_another_list(draft: Draft, *, known_rows: int, finished: bool) -> bool:
    """Whether a whole sheet looks like another list than the one its campaign has recorded.

    A sheet that only grew is the same list. One that brings new rows and lacks old ones is not, once
    the campaign is finished; one that lacks more than a tenth is not in any case.
    """
    if draft.missing > MISSING_SHARE * known_rows:
        return True
    return finished and draft.missing > 0 and bool(draft.new)
