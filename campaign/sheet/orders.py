"""A million orders in 80 MB: packed by the thousand, and made into objects only while they are looked at."""

from __future__ import annotations

import marshal
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias, overload

from campaign.domain.billno import Tie
from campaign.domain.canonical import canonical_rows
from campaign.domain.occurrences import made_once
from campaign.domain.order import Lines, Orders, PacketOrder, People, Source, Wording

#: A row's texts, and the names of those that the settings gave.
Texted: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
#: One data row that may become an order, of texts and numbers only: row, row key, openid, fen, texts (or
#: their place among `Records.shared`), the operator's own columns, the fields of its tie.
Record: TypeAlias = tuple[int, str, str, int, int | Texted, tuple[str, ...], tuple[str, str, int] | None]

#: So many rows are packed together.
CHUNK: Final = 1000
#: The places in a `Record`.
_ROW, _KEY, _OPENID, FEN, _TEXTS, _OWN, _TIE = ALL = range(7)
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
        #: The chunk that was looked at last.
        self._opened: tuple[int, list[Record]] = (-1, [])

    def add(self, record: Record) -> None:
        """Take in one more row."""
        self._loose.append(record)
        if len(self._loose) == CHUNK:
            self._pack(list(zip(*self._loose, strict=True)))
            self._loose.clear()

    def extend(self, columns: Sequence[Sequence[Any]]) -> None:
        """Take in more rows, at most a `CHUNK`, by the columns of `Record`."""
        if not self._loose and len(columns[_ROW]) == CHUNK:
            self._pack(columns)
        else:
            for record in zip(*columns, strict=True):
                self.add(record)

    def _pack(self, columns: Sequence[Sequence[Any]]) -> None:
        packed = [marshal.dumps(tuple(column), _MARSHAL) for column in columns]
        if packed[_KEY] == packed[_OPENID]:
            packed[_KEY] = packed[_OPENID]
        self._packed.append(packed)

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
        for keys, (rows,) in zip(self.key_columns(), self.columns(_ROW), strict=True):
            yield from zip(keys, rows, strict=True)

    def key_columns(self) -> Iterator[Sequence[str]]:
        """The rows' keys, as `key_text`, as `columns` has them."""
        for keys, ties in self.columns(_KEY, _TIE):
            if any(ties):
                yield [key_text(key, tie[0] if tie else None) for key, tie in zip(keys, ties, strict=True)]
            else:
                yield keys

    def ties(self) -> Iterator[tuple[str, str, int]]:
        """The ties of those rows that have one."""
        return (tie for (ties,) in self.columns(_TIE) for tie in filter(None, ties))

    def __len__(self) -> int:
        return CHUNK * len(self._packed) + len(self._loose)

    def __iter__(self) -> Iterator[Record]:
        return chain.from_iterable(zip(*columns, strict=True) for columns in self.columns(*ALL))

    def __getitem__(self, index: int) -> Record:
        at, within = divmod(index, CHUNK)
        if at == len(self._packed):
            return self._loose[within]
        if self._opened[0] != at:
            self._opened = at, list(zip(*_unpacked(self._packed[at]), strict=True))
        return self._opened[1][within]

    def columns(self, *places: int) -> Iterator[list[Any]]:
        """These columns, by their places in `Record`, of a thousand rows after those of another."""
        for packed in self._packed:
            yield _unpacked([packed[place] for place in places])
        if self._loose:
            yield [[record[place] for record in self._loose] for place in places]


def _unpacked(columns: Iterable[bytes]) -> list[Any]:
    return [marshal.loads(column) for column in columns]  # noqa: S302 - bytes of this process


class SheetOrders(Orders):
    """The orders of one sheet."""

    def __init__(self, file: str, sheet: str, own_headers: tuple[str, ...], records: Records) -> None:
        self._file = file
        self._sheet = sheet
        self._own_headers = own_headers
        self._records = records
        #: Where nobody stands in several rows; otherwise it may be too much to be kept.
        self._people: People | None = None

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
        for rows, keys, openids, fens, texts, own, ties in self._records.columns(*ALL):
            sheets = [self._sheet] * len(rows)
            wordings = made_once(lambda at: shared[at] if isinstance(at, int) else Wording(*at[0]), texts)
            bound = [None if tie is None else _tie(tie) for tie in ties]
            jsons = canonical_rows(self._own_headers, own)
            yield Lines(sheets, rows, keys, openids, fens, wordings, jsons, bound)

    def payment_columns(self) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
        return ((openids, fens) for openids, fens in self._records.columns(_OPENID, FEN))

    def people(self) -> People:
        people = self._people or super().people()
        if not people.several:
            self._people = people
        return people

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
