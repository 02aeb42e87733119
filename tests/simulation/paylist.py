"""A list as its operator means it: who is to get how much, whatever the sheet and its names say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from campaign.domain.billno import Tie, repeat_key
from campaign.domain.order import PacketOrder, Source
from tests.simulation.machine import DEFAULTS


@dataclass
class Row:
    """A row as the operator means it. Amounts are never used twice, so a payment tells its row."""

    uid: int
    id: str
    openid: str
    fen: int
    wishing: str = ""
    #: The openid belongs to another account; every request for it is refused.
    bad: bool = False

    def copy(self) -> Row:
        return Row(self.uid, self.id, self.openid, self.fen, self.wishing, self.bad)


@dataclass
class PayList:
    """One list, its sheet, and the campaign under which it is run."""

    name: str
    keys: str
    #: Which of the two ledgers the settings beside the sheet name.
    place: int = 0
    #: The sheet's file name, where it was renamed and ``--name`` says the campaign.
    file: str = ""
    rows: list[Row] = field(default_factory=list)
    #: Names under which it was a campaign before.
    former: list[str] = field(default_factory=list)
    #: Those of them under which nothing was ever sent, as the operator knows.
    withdrawn: set[str] = field(default_factory=set)
    #: What the operator says with ``--also-pays``.
    also_pays: tuple[str, ...] = ()
    #: The sheets that were run, each with the column that gave its keys.
    history: list[tuple[str, list[Row]]] = field(default_factory=list)
    #: row -> the id it had when the sheet was run last
    old_ids: dict[int, str] = field(default_factory=dict)
    #: Rows that the operator took away, with their places.
    removed: list[tuple[int, Row]] = field(default_factory=list)
    #: Whether the program took the sheet for another list when it saw it last.
    another_list: bool = False
    #: Withdrawn by `campaign cancel`.
    cancelled: bool = False
    #: Whether its last run said that nothing is left to do.
    finished: bool = False
    #: What was sent, or may have been, when its ledger was lost: (openid, fen).
    sent_before_loss: set[tuple[str, int]] = field(default_factory=set)

    def remember(self) -> None:
        """The sheet as it is now may be planned."""
        self.history.append((self.keys, [row.copy() for row in self.rows]))

    def orders(self, rows: Sequence[Row] | None = None) -> list[PacketOrder]:
        """What reading the sheet, or these rows of it, gives."""
        seen: dict[str, int] = defaultdict(int)
        made = []
        for number, row in enumerate(self.rows if rows is None else rows, start=2):
            seen[row.openid] += 1
            key = {"id": row.id, "re_openid": row.openid}.get(
                self.keys, repeat_key(row.openid, seen[row.openid])
            )
            made.append(self.order(row, number, key))
        return made

    def order(self, row: Row, number: int, key: str, tie: Tie | None = None) -> PacketOrder:
        return PacketOrder(
            source=Source(file=f"{self.file or self.name}.xlsx", sheet="lantern", row=number),
            row_key=key,
            re_openid=row.openid,
            total_amount=row.fen,
            wishing=row.wishing or DEFAULTS.wishing,
            send_name=DEFAULTS.send_name,
            act_name=DEFAULTS.act_name,
            remark=DEFAULTS.remark,
            tie=tie,
        )
