"""A million orders in 80 MB: packed by the thousand, and made into objects only while they are looked at."""

from __future__ import annotations

import marshal
from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeAlias, overload

from campaign.domain.billno import Tie
from campaign.domain.order import Line, Orders, PacketOrder, Source, Wording

#: A row's texts, and the names of those that the settings gave.
Texted: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
#: One data row that may become an order, of texts and numbers only: row, row key, openid, fen, texts (or
#: their place among `Records.shared`), the operator's own columns, the fields of its tie.
Record: TypeAlias = tuple[int, str, str, int, int | Texted, tuple[str, ...], tuple[str, str, int] | None]

_CHUNK: Final = 1000
#: Marshal without references, which cost a look-up for each object. What is packed never leaves the process.
_MARSHAL: Final = 2


class Records:
    """Rows, in the order in which they were added."""

    def __init__(self) -> None:
        #: Texts that many rows have.
        self.shared: list[Texted] = []
        self._packed: list[bytes] = []
        self._loose: list[Record] = []
        #: The chunk that was looked at last.
        self._opened: tuple[int, list[Record]] = (-1, [])

    def add(self, record: Record) -> None:
        """Take in one more row."""
        self._loose.append(record)
        if len(self._loose) == _CHUNK:
            self._packed.append(marshal.dumps(self._loose, _MARSHAL))
            self._loose.clear()

    def without(self, rows: Collection[int]) -> Records:
        """All but the rows of these numbers."""
        if not rows:
            return self
        rest = Records()
        rest.shared = self.shared
        for record in self:
            if record[0] not in rows:
                rest.add(record)
        return rest

    def keys(self) -> Iterator[tuple[str, int]]:
        """The rows' keys, as `key_text`, and their numbers."""
        for row, row_key, _, _, _, _, tie in self:
            yield row_key if tie is None else key_text(row_key, tie[0]), row

    def __len__(self) -> int:
        return _CHUNK * len(self._packed) + len(self._loose)

    def __iter__(self) -> Iterator[Record]:
        for packed in self._packed:
            yield from marshal.loads(packed)  # noqa: S302 - our own bytes
        yield from self._loose

    def __getitem__(self, index: int) -> Record:
        at, within = divmod(index, _CHUNK)
        if at == len(self._packed):
            return self._loose[within]
        if self._opened[0] != at:
            self._opened = at, marshal.loads(self._packed[at])  # noqa: S302
        return self._opened[1][within]


class SheetOrders(Orders):
    """The orders of one sheet."""

    def __init__(self, file: str, sheet: str, own_headers: tuple[str, ...], records: Records) -> None:
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
    def __getitem__(self, index: slice) -> Sequence[PacketOrder]: ...
    def __getitem__(self, index: int | slice) -> PacketOrder | Sequence[PacketOrder]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self._order(self._records[places])
        return [self._order(self._records[place]) for place in places]

    def lines(self) -> Iterator[Line]:
        sheet, headers = self._sheet, self._own_headers
        shared = [Wording(*texts) for texts, _ in self._records.shared]
        for row, row_key, re_openid, fen, texts, own, tie in self._records:
            yield Line(
                sheet,
                row,
                row_key,
                re_openid,
                fen,
                shared[texts] if isinstance(texts, int) else Wording(*texts[0]),
                dict(zip(headers, own, strict=True)),
                None if tie is None else _tie(tie),
            )

    def payments(self) -> Iterator[tuple[str, int]]:
        return ((record[2], record[3]) for record in self._records)

    def ties(self) -> Iterator[Tie]:
        return (_tie(record[6]) for record in self._records if record[6] is not None)

    def _order(self, record: Record) -> PacketOrder:
        row, row_key, re_openid, fen, texts, own, tie = record
        values, from_settings = self._records.shared[texts] if isinstance(texts, int) else texts
        wording = Wording(*values)
        return PacketOrder(
            source=Source(file=self._file, sheet=self._sheet, row=row),
            row_key=row_key,
            re_openid=re_openid,
            total_amount=fen,
            wishing=wording.wishing,
            send_name=wording.send_name,
            act_name=wording.act_name,
            remark=wording.remark,
            scene_id=wording.scene_id,
            risk_info=wording.risk_info,
            from_settings=frozenset(from_settings),
            own=dict(zip(self._own_headers, own, strict=True)),
            tie=None if tie is None else _tie(tie),
        )


def key_text(row_key: str, campaign: str | None) -> str:
    """A key among those of the whole sheet, whose ties may name several campaigns."""
    return row_key if campaign is None else f"{campaign}\n{row_key}"


def _tie(fields: tuple[str, str, int]) -> Tie:
    campaign, row_key, issue = fields
    return Tie(campaign=campaign, row_key=row_key, issue=issue)
