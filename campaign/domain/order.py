"""One valid row of a sheet, and what is wrong with one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from campaign.domain.billno import Tie
from campaign.text import Text


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
