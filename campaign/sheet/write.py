"""Sheets that we write for an operator to correct and run: reissues and fix sheets.

Each row carries the reserved columns, which alone give its number (architecture, section 3), so it is
the same packet however often, and beside whichever other sheet, it is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from campaign.domain.billno import Tie, tie_check
from campaign.domain.money import yuan_text
from campaign.errors import SetupError
from campaign.sheet.columns import TIE_FIELDS, header_key, settings_columns, understand
from campaign.sheet.put import put_text
from campaign.sheet.texts import TEXT_FIELDS
from campaign.text import text

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

#: What is said over the reserved columns.
WARNING: Final = text("These columns give the packets their numbers. Correct the other columns only.")
#: What a field's column is called, unless ``[columns]`` calls it otherwise.
_HEADERS: Final[Mapping[str, Sequence[str]]] = {
    "re_openid": ("openid", "用户openid"),
    "amount_yuan": ("amount (yuan)", "金额(元)"),
    "id": ("id", "业务单号"),
    "wishing": ("wishing", "祝福语"),
    "send_name": ("send_name", "商户名称"),
    "act_name": ("act_name", "活动名称"),
    "remark": ("remark", "备注"),
    "scene_id": ("scene_id", "场景"),
    "risk_info": ("risk_info", "风控信息"),
}
#: Characters that a column is wide.
_WIDTHS: Final = {"re_openid": 31, "amount_yuan": 14, "amount_fen": 14, "issue": 7, "check": 11}
_WIDTH: Final = 20
_COMMENT_MAX: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class TiedRow:
    """One row to correct and run."""

    tie: Tie
    re_openid: str
    #: Fen; or, where it is what has to be corrected, the text as it stood.
    total_amount: int | str
    #: By `TEXT_FIELDS`; an empty one follows the settings.
    texts: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict)
    #: Why the row is here, said in a comment on its first cell.
    note: str = ""


def write_tied_sheet(
    path: Path,
    rows: Iterable[TiedRow],
    *,
    sheet: str,
    mch_id: str,
    own_headers: Sequence[str],
    columns: Mapping[str, str],
    warning: str,
    ids: bool,
) -> None:
    """Write the rows into a workbook that `read_sheet` reads back as they are.

    Args:
        path: is written over.
        sheet: the worksheet's name.
        own_headers: the operator's own columns, in order.
        columns: the settings' ``[columns]``, with which the sheet will be read.
        warning: said over the reserved columns; `WARNING` in the reader's language.
        ids: whether the keys are ids; the sheet then has a column for them, and the openids may be
            corrected.

    Raises:
        SetupError: under ``[columns]`` the headers would not be understood.
        OSError: the file cannot be written.
    """
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import FileCreateError

    headers = _headers(columns, own_headers, ids=ids)
    book = Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent), "use_zip64": True})
    page = _Page(book, sheet, headers, warning)
    count = 0
    for count, row in enumerate(rows, start=1):
        page.add(count, row, mch_id=mch_id)
    page.sheet.autofilter(0, 0, count, len(headers) - 1)
    try:
        book.close()
    except FileCreateError as error:
        raise OSError(*error.args[0].args) from error


class _Page:
    """The worksheet, written from top to bottom."""

    def __init__(self, book: Any, name: str, headers: Sequence[tuple[str, str]], warning: str) -> None:
        self.sheet: Worksheet = book.add_worksheet(name)
        self._fields = [name for name, _ in headers]
        self._own = {header: at for at, (name, header) in enumerate(headers) if not name}
        text_format = {"num_format": "@"}
        reserved = {**text_format, "font_color": "#808080", "bg_color": "#F2F2F2"}
        head = {"bold": True, "bottom": 1, "num_format": "@"}
        self._text = book.add_format(text_format)
        self._money = book.add_format({"num_format": "0.00"})
        self._count = book.add_format({"num_format": "0"})
        self._reserved = book.add_format(reserved)
        plain_head, reserved_head = book.add_format(head), book.add_format({**reserved, **head})
        for at, (field_name, header) in enumerate(headers):
            tied = field_name in TIE_FIELDS
            self.sheet.set_column(at, at, _WIDTHS.get(field_name, _WIDTH), self._reserved if tied else None)
            put_text(self.sheet, 0, at, header, reserved_head if tied else plain_head)
        self.sheet.write_comment(0, self._fields.index(TIE_FIELDS[0]), warning)
        self.sheet.freeze_panes(1, 0)
        self.sheet.set_landscape()
        self.sheet.set_paper(9)  # A4
        self.sheet.fit_to_pages(1, 0)
        self.sheet.repeat_rows(0)

    def add(self, at: int, row: TiedRow, *, mch_id: str) -> None:
        """Write one row, so many below the header. All but money is text: no formula, no lost digit."""
        cells = {
            "re_openid": row.re_openid,
            **row.texts,
            "id": row.tie.row_key,
            "campaign": row.tie.campaign,
            "row_key": row.tie.row_key,
            "issue": str(row.tie.issue),
            "check": tie_check(row.tie, mch_id=mch_id),
        }
        for column, name in enumerate(self._fields):
            if name in ("amount_yuan", "amount_fen"):
                self._write_amount(at, column, row.total_amount, in_fen=name == "amount_fen")
            elif value := cells.get(name, ""):
                style = self._reserved if name in TIE_FIELDS else self._text
                put_text(self.sheet, at, column, value, style)
        for header, value in row.own.items():
            if value:
                put_text(self.sheet, at, self._own[header], value, self._text)
        if row.note:
            self.sheet.write_comment(at, 0, row.note[:_COMMENT_MAX], {"x_scale": 2})

    def _write_amount(self, at: int, column: int, total_amount: int | str, *, in_fen: bool) -> None:
        if isinstance(total_amount, str):
            put_text(self.sheet, at, column, total_amount, self._text)
        elif in_fen:
            self.sheet.write_number(at, column, total_amount, self._count)
        else:
            # Excel has only floats; the reader takes the 15 digits that it shows, so no fen is lost.
            self.sheet.write_number(at, column, float(yuan_text(total_amount)), self._money)


def _headers(columns: Mapping[str, str], own_headers: Sequence[str], *, ids: bool) -> list[tuple[str, str]]:
    """Field and header of every column, "" for the operator's own; proven to be read back as such."""
    in_fen = "amount_fen" in columns.values() and "amount_yuan" not in columns.values()
    amount = "amount_fen" if in_fen else "amount_yuan"
    known = settings_columns(columns)
    fields = ("re_openid", amount, *(["id"] if ids else []), *TEXT_FIELDS)
    headers = [(name, _header(name, columns, known)) for name in fields]
    headers += [("", header) for header in own_headers]
    headers += [(name, name) for name in TIE_FIELDS]
    found = understand(1, [header for _, header in headers], known)
    taken = {at: name for name, at in found.fields.items()}
    for at, (name, header) in enumerate(headers):
        if taken.get(at, "") != name or (not name and found.own.get(at) != header):
            raise SetupError(
                text(
                    "[columns] in the settings: a sheet with a column {header} cannot be written",
                    header=header,
                ),
                advice=text(
                    "Give {header} a line of its own under [columns]: the field that it holds, or "
                    '"ignore" for a column of yours. The columns {reserved} are reserved.',
                    header=header,
                    reserved=TIE_FIELDS,
                ),
            )
    return headers


def _header(name: str, columns: Mapping[str, str], known: Mapping[str, str]) -> str:
    """The settings' header for the field, else one that the settings do not use for something else."""
    named = [header for header, field_name in columns.items() if field_name == name]
    free = [header for header in _HEADERS.get(name, ()) if header_key(header) not in known]
    return (*named, *free, name)[0]
