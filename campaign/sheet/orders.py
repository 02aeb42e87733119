"""A million orders in 80 MB: packed by the thousand, and made into objects only while they are looked at."""

from __future__ import annotations

import marshal
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias, overload

from campaign.domain.billno import Tie
from campaign.domain.canonical import canonical_rows
from campaign.domain.order import Lines, Orders, PacketOrder, Source, Wording

#: A row's texts, and the names of those that the settings gave.
Texted: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
#: One data row that may become an order, of texts and numbers only: row, row key, openid, fen, texts (or
#: their place among `Records.shared`), the operator's own columns, the fields of its tie.
Record: TypeAlias = tuple[int, str, str, int, int | Texted, tuple[str, ...], tuple[str, str, int] | None]

_CHUNK: Final = 1000
#: The places in a `Record`.
_ROW, _KEY, _OPENID, _FEN, _TEXTS, _OWN, _TIE = _ALL = range(7)
#: Marshal without references, which cost a look-up for each object. What is packed never leaves the process.
_MARSHAL: Final = 2


class Records:
    """Rows, in the order in which they were added."""

    def __init__(self) -> None:
        #: Texts that many rows have.
        self.shared: list[Texted] = []
        #: Each chunk by columns, packed one by one: whoever asks for two of them unpacks two.
        self._packed: list[list[bytes]] = []
        self._loose: list[Record] = []
        self._has_ties = False
        #: The chunk that was looked at last.
        self._opened: tuple[int, list[Record]] = (-1, [])

    def add(self, record: Record) -> None:
        """Take in one more row."""
        self._loose.append(record)
        if len(self._loose) == _CHUNK:
            self._pack()

    def _pack(self) -> None:
        columns = list(zip(*self._loose, strict=True))
        self._has_ties = self._has_ties or any(columns[_TIE])
        packed = [marshal.dumps(column, _MARSHAL) for column in columns]
        if packed[_KEY] == packed[_OPENID]:
            packed[_KEY] = packed[_OPENID]
        self._packed.append(packed)
        self._loose.clear()

    def without(self, rows: Collection[int]) -> Records:
        """All but the rows of these numbers."""
        if not rows:
            return self
        rest = Records()
        rest.shared = self.shared
        for record in self:
            if record[_ROW] not in rows:
                rest.add(record)
        return rest

    def keys(self) -> Iterator[tuple[str, int]]:
        """The rows' keys, as `key_text`, and their numbers."""
        if next(self.ties(), None) is None:
            return self._columns(_KEY, _ROW)
        return (
            (row_key if tie is None else key_text(row_key, tie[0]), row)
            for row_key, row, tie in self._columns(_KEY, _ROW, _TIE)
        )

    def openids(self) -> Iterator[tuple[str, int]]:
        """The rows' openids and their numbers."""
        return self._columns(_OPENID, _ROW)

    def payments(self) -> Iterator[tuple[str, int]]:
        """Openid and fen of each row."""
        return self._columns(_OPENID, _FEN)

    def ties(self) -> Iterator[tuple[str, str, int]]:
        """The ties of those rows that have one."""
        column = self._columns(_TIE) if self._has_ties else self._loose_columns(_TIE)
        return (tie for (tie,) in column if tie)

    def __len__(self) -> int:
        return _CHUNK * len(self._packed) + len(self._loose)

    def __iter__(self) -> Iterator[Record]:
        return self._columns(*_ALL)

    def chunks(self) -> Iterator[list[Any]]:
        """The columns of a thousand rows after those of another."""
        for packed in self._packed:
            yield _unpacked(packed)
        if self._loose:
            yield list(zip(*self._loose, strict=True))

    def __getitem__(self, index: int) -> Record:
        at, within = divmod(index, _CHUNK)
        if at == len(self._packed):
            return self._loose[within]
        if self._opened[0] != at:
            self._opened = at, list(zip(*_unpacked(self._packed[at]), strict=True))
        return self._opened[1][within]

    def _columns(self, *places: int) -> Iterator[Any]:
        """These values of each row, by their places in `Record`."""
        for packed in self._packed:
            yield from zip(*_unpacked([packed[place] for place in places]), strict=True)
        yield from self._loose_columns(*places)

    def _loose_columns(self, *places: int) -> Iterator[Any]:
        return zip(*[[record[place] for record in self._loose] for place in places], strict=True)


def _unpacked(columns: Iterable[bytes]) -> list[Any]:
    return [marshal.loads(column) for column in columns]  # noqa: S302 - bytes of this process


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

    def columns(self) -> Iterator[Lines]:
        shared = [Wording(*texts) for texts, _ in self._records.shared]
        for rows, keys, openids, fens, texts, own, ties in self._records.chunks():
            sheets = [self._sheet] * len(rows)
            wordings = [shared[at] if isinstance(at, int) else Wording(*at[0]) for at in texts]
            bound = [None if tie is None else _tie(tie) for tie in ties]
            jsons = canonical_rows(self._own_headers, own)
            yield Lines(sheets, rows, keys, openids, fens, wordings, jsons, bound)

    def payments(self) -> Iterator[tuple[str, int]]:
        return self._records.payments()

    def ties(self) -> Iterator[Tie]:
        return map(_tie, self._records.ties())

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
