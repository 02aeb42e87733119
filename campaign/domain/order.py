"""One valid row of a sheet, and what is wrong with one that is not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any, Final, NamedTuple, overload

from campaign.domain.billno import Tie
from campaign.domain.canonical import canonical_json
from campaign.domain.occurrences import Occurrences
from campaign.text import Text

#: So many orders are made into `Lines` at once.
_TOGETHER: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a row stands, as a person would point at it."""

    #: The workbook's or text file's name, without its folder.
    file: str
    #: The worksheet's name; the file's name again for CSV.
    sheet: str
    #: Row number as Excel shows it, counted from 1; 0 is the sheet as a whole.
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketDefaults:
    """The settings' ``[packet]``: values for columns that the sheet lacks."""

    send_name: str = ""
    act_name: str = ""
    wishing: str = ""
    remark: str = ""
    scene_id: str = ""
    risk_info: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketOrder:
    """One cash red packet to send. Immutable; a change of mind is a new order.

    The texts are final: the sheet's own value where it has the column, else the settings', with
    templates filled in.
    """

    source: Source
    #: The sheet's id column, or the openid, in canonical form; with repeats openid + ordinal.
    row_key: str
    #: The recipient's openid under the campaign's wxappid.
    re_openid: str
    #: Amount in fen.
    total_amount: int
    wishing: str
    send_name: str
    act_name: str
    remark: str
    #: ``PRODUCT_1`` … ``PRODUCT_8`` or empty (R2.1).
    scene_id: str = ""
    #: Already URL-encoded (R2.4), or empty.
    risk_info: str = ""
    #: Which of the texts came from the settings and not from the row's own cells.
    from_settings: frozenset[str] = frozenset()
    #: The operator's own columns, in sheet order: header -> text.
    own: Mapping[str, str] = field(default_factory=dict)
    #: Present when one of our fix sheets carries the row's number along.
    tie: Tie | None = None


class Wording(NamedTuple):
    """The texts of a packet; one object for all rows that have the same. Fields as in `PacketOrder`."""

    wishing: str
    send_name: str
    act_name: str
    remark: str
    scene_id: str = ""
    risk_info: str = ""


class Line(NamedTuple):
    """What planning needs of an order, several times as cheap to make. Fields as in `PacketOrder`."""

    sheet: str
    row: int
    row_key: str
    re_openid: str
    #: Fen.
    total_amount: int
    wording: Wording
    #: `canonical_json` of the operator's own columns.
    own: str
    tie: Tie | None

    @property
    def entry_key(self) -> str:
        """The row's key in the ledger: that of its tie where it has one."""
        return self.tie.row_key if self.tie else self.row_key


#: A `Line` from its values, without the call of a function in Python that `Line(...)` is.
_LINE: Final[Callable[[tuple[Any, ...]], Line]] = partial(tuple.__new__, Line)


class Lines(NamedTuple):
    """Some `Line`s by columns, which is cheaper yet: each holds one field of all of them."""

    sheet: Sequence[str]
    row: Sequence[int]
    row_key: Sequence[str]
    re_openid: Sequence[str]
    total_amount: Sequence[int]
    wording: Sequence[Wording]
    own: Sequence[str]
    tie: Sequence[Tie | None]


class People(NamedTuple):
    """Who is to be paid."""

    #: How many people there are.
    different: int
    #: openid -> packets and fen, of those who stand in several rows.
    several: Mapping[str, tuple[int, int]]


class Orders(Sequence[PacketOrder]):
    """A sheet's orders, in its order: gone through as often as one likes, and never all in memory at once."""

    @abstractmethod
    def columns(self) -> Iterator[Lines]:
        """The orders as `Lines`, a thousand or fewer at a time, and never none."""

    def lines(self) -> Iterator[Line]:
        """The orders as `Line`s."""
        return (line for columns in self.columns() for line in map(_LINE, zip(*columns, strict=True)))

    def payment_columns(self) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
        """Openids and fen of some orders at a time, as `columns` has them."""
        return ((lines.re_openid, lines.total_amount) for lines in self.columns())

    def payments(self) -> Iterator[tuple[str, int]]:
        """Openid and fen of each order."""
        return chain.from_iterable(zip(*columns, strict=True) for columns in self.payment_columns())

    def people(self) -> People:
        """Who stands in the orders."""
        everybody = Occurrences()
        for openids, _ in self.payment_columns():
            everybody.add(openids)
        several: dict[str, tuple[int, int]] = {}
        if repeated := everybody.repeated(openid for openid, _ in self.payments()):
            for openid, fen in self.payments():
                if openid in repeated:
                    packets, before = several.get(openid, (0, 0))
                    several[openid] = packets + 1, before + fen
        return People(len(self) - sum(packets - 1 for packets, _ in several.values()), several)

    def ties(self) -> Iterator[Tie]:
        """The ties of those orders that have one."""
        return (line.tie for line in self.lines() if line.tie)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # compared by content, and so not hashable

    def __repr__(self) -> str:
        return f"<{len(self)} orders>"


class OrderList(Orders):
    """Orders that exist already."""

    def __init__(self, orders: Sequence[PacketOrder]) -> None:
        self._orders = orders

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[PacketOrder]:
        return iter(self._orders)

    @overload
    def __getitem__(self, index: int) -> PacketOrder: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PacketOrder]: ...
    def __getitem__(self, index: int | slice) -> PacketOrder | Sequence[PacketOrder]:
        return self._orders[index]

    def columns(self) -> Iterator[Lines]:
        lines = map(line_of, self._orders)
        while some := list(islice(lines, _TOGETHER)):
            yield Lines(*zip(*some, strict=True))


def as_orders(orders: Sequence[PacketOrder]) -> Orders:
    """The same orders."""
    return orders if isinstance(orders, Orders) else OrderList(orders)


def line_of(order: PacketOrder) -> Line:
    """An order's `Line`."""
    return Line(
        order.source.sheet,
        order.source.row,
        order.row_key,
        order.re_openid,
        order.total_amount,
        wording_of(order),
        canonical_json(order.own),
        order.tie,
    )


def wording_of(order: PacketOrder) -> Wording:
    """An order's texts."""
    return Wording(
        order.wishing, order.send_name, order.act_name, order.remark, order.scene_id, order.risk_info
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem:
    """Why one row, or the sheet as a whole (row 0), cannot be paid as it stands."""

    source: Source
    #: The field's name in this program (``re_openid``, ``total_amount`` …), or empty.
    column: str = ""
    #: The cell as Excel writes it (``B7``), or empty.
    cell: str = ""
    #: What the cell holds, shortened for a person's eyes.
    value: str = ""
    problem: Text
    advice: Text
