"""What is asked of the reader, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from campaign.domain.billno import Tie
from campaign.domain.limits import Limits
from campaign.domain.order import Orders, PacketDefaults, RowProblem
from campaign.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the operator and the settings say about reading."""

    mch_id: str
    #: ``[packet]``: values for columns that the sheet lacks.
    defaults: PacketDefaults
    #: ``[columns]``: header in the sheet -> field.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: ``--sheet``: the worksheet's name.
    sheet: str | None = None
    #: ``--limit``: only the first N data rows.
    limit: int | None = None
    allow_repeats: bool = False
    include_hidden: bool = False
    #: For what one packet may hold at most under the caps, where they are known.
    limits: Limits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One sheet, read and checked."""

    file: str
    sheet: str
    #: SHA-256 of the file's bytes, in hex.
    digest: str
    #: Data rows read: orders and rows with problems.
    rows: int
    orders: Orders
    problems: Sequence[RowProblem]
    #: What was removed, recognised or assumed, said out loud.
    notes: tuple[Text, ...]
    #: ``id``, ``re_openid`` or ``re_openid+ordinal``; of a sheet that we wrote, that of its original.
    key_column: str
    #: The operator's own columns, in order.
    own_headers: tuple[str, ...]
    #: The campaigns that an annotated workbook names in its headers: one, or none.
    campaigns: frozenset[str] = frozenset()
    #: The campaigns that the rows' ties name.
    tied_to: frozenset[str] = frozenset()
    #: Row key and tie of the rows with problems; the key is empty where the row has none as it stands.
    flawed: Mapping[int, tuple[str, Tie | None]] = field(default_factory=dict)
