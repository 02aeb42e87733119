"""A million orders without a million heavy objects: slim records, made into `PacketOrder`s when looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from campaign.domain.billno import Tie
from campaign.domain.order import PacketOrder, Source


@dataclass(slots=True)
class Record:
    """One data row that may become an order."""

    row: int
    row_key: str
    re_openid: str
    #: Fen.
    total_amount: int
    #: As `texts.TEXT_FIELDS`; one tuple shared by all rows with the same texts.
    texts: tuple[str, ...]
    from_settings: frozenset[str]
    own: tuple[str, ...]
    tie: Tie | None


class Orders(Sequence[PacketOrder]):
    """The sheet's orders, in sheet order."""

    def __init__(
        self, file: str, sheet: str, own_headers: tuple[str, ...], records: Sequence[Record]
    ) -> None:
        self._file = file
        self._sheet = sheet
        self._own_headers = own_headers
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[PacketOrder]:
        return map(self._order, self._records)

    @overload
    def __getitem__(self, index: int) -> PacketOrder: ...
    @overload
    def __getitem__(self, index: slice) -> Orders: ...
    def __getitem__(self, index: int | slice) -> PacketOrder | Orders:
        if isinstance(index, slice):
            return Orders(self._file, self._sheet, self._own_headers, self._records[index])
        return self._order(self._records[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} orders of {self._file}>"

    def _order(self, record: Record) -> PacketOrder:
        wishing, send_name, act_name, remark, scene_id, risk_info = record.texts
        return PacketOrder(
            source=Source(file=self._file, sheet=self._sheet, row=record.row),
            row_key=record.row_key,
            re_openid=record.re_openid,
            total_amount=record.total_amount,
            wishing=wishing,
            send_name=send_name,
            act_name=act_name,
            remark=remark,
            scene_id=scene_id,
            risk_info=risk_info,
            from_settings=record.from_settings,
            own=dict(zip(self._own_headers, record.own, strict=True)),
            tie=record.tie,
        )
