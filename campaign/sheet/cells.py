"""What a cell holds, as the person who fills it in sees it: text, and amounts read from that text.

Nothing here does arithmetic. Excel itself shows 15 digits of a number; what lies beyond is the dust of
binary fractions (1.8800000000000001), so those 15 digits are the number.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from campaign.domain.checks import Finding
from campaign.domain.money import FinerThanFen, NotMoney, fen_from_fen, fen_from_yuan
from campaign.text import text

Cell: TypeAlias = str | int | float | bool | dt.date | dt.datetime | dt.time | dt.timedelta | None

#: Excel keeps 15 digits; the last ones of a longer number are gone.
_EXACT_BELOW: Final = 10**15
_SHOWN_MAX: Final = 60
#: Characters that nobody sees: zero-width blanks and joiners, direction marks, BOM, soft hyphen.
_INVISIBLE: Final = (
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad"
)
#: What is removed around a value: these, and all white space.
_AROUND: Final = _INVISIBLE + "".join(c for c in map(chr, range(0x3001)) if c.isspace())
_AMOUNT: Final = re.compile(
    r"(?P<sign>[¥]|RMB|CNY|人民币)?\s*"
    r"(?P<number>[0-9]+(?:\.[0-9]+)?|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?)\s*"
    r"(?P<unit>元整?|圆整?|YUAN|RMB|CNY|分)?",
    re.IGNORECASE,
)
#: As Excel abbreviates a long number when it writes text.
_POWERS_OF_TEN: Final = re.compile(r"[0-9](?:\.[0-9]+)?E[+-][0-9]+", re.IGNORECASE)
#: What people and programs write into a cell that has no value.
PLACEHOLDERS: Final = frozenset(
    ["-", "--", "—", "——", "/", "\\", "n/a", "na", "#n/a", "nan", "nil", "none", "null", "无", "空", "暂无"]
)


class Cleaned(StrEnum):
    """What was taken off, understood or strange in a cell, so that it can be said."""

    BLANKS = "blanks"
    WIDTH = "width"
    APOSTROPHE = "apostrophe"
    CURRENCY = "currency"
    PLACEHOLDER = "placeholder"
    #: Not taken off, only strange: an openid that looks cut or lower-cased.
    SHAPE = "shape"


@dataclass(frozen=True, slots=True)
class Value:
    """One cell, read: its text, what is wrong with it, and what was taken off."""

    text: str
    findings: tuple[Finding, ...] = ()
    cleaned: tuple[Cleaned, ...] = ()
    #: Amount cells only; 0 with findings.
    fen: int = 0


def text_of(cell: Cell) -> str:
    """The cell as text, unchanged; a number as Excel shows it in a wide cell of no format."""
    match cell:
        case str():
            return cell
        case None:
            return ""
        case bool():
            return "TRUE" if cell else "FALSE"
        case int():
            return str(cell)
        case float():
            return _number_text(cell)
        case dt.datetime():
            return cell.isoformat(sep=" ", timespec="seconds")
        case _:
            return str(cell)


def is_empty(cell: Cell) -> bool:
    """Nothing that anybody could see is in the cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip(_AROUND))


def shown(cell: Cell) -> str:
    """The cell's text, shortened for a person's eyes, with invisible characters made visible."""
    value = text_of(cell)
    visible = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in value[:_SHOWN_MAX])
    return visible + "…" if len(value) > _SHOWN_MAX else visible


def plain_text(cell: Cell) -> Value:
    """A text for people: blanks around it removed, otherwise as it is."""
    raw = text_of(cell)
    value = raw.strip(_AROUND)
    cleaned: tuple[Cleaned, ...] = (Cleaned.BLANKS,) if value != raw else ()
    if value.casefold() in PLACEHOLDERS:
        cleaned += (Cleaned.PLACEHOLDER,)
    return Value(value, cleaned=cleaned)


def identifier(cell: Cell, *, literally: bool = False) -> Value:
    """An openid or id: full-width letters and digits become plain ones, blanks around are removed.

    Args:
        literally: the cell is one that we wrote, so "none" and the like stand for themselves.
    """
    raw = text_of(cell)
    bare = raw.strip(_AROUND)
    narrow = unicodedata.normalize("NFKC", bare).strip(_AROUND)
    value = narrow.removeprefix("'")
    cleaned = [
        kind
        for kind, happened in (
            (Cleaned.BLANKS, bare != raw),
            (Cleaned.WIDTH, narrow != bare),
            (Cleaned.APOSTROPHE, value != narrow),
        )
        if happened
    ]
    too_long = isinstance(cell, float | int) and not isinstance(cell, bool) and abs(cell) >= _EXACT_BELOW
    if too_long or _POWERS_OF_TEN.fullmatch(value):
        return Value(value, findings=(_LOST_DIGITS,), cleaned=tuple(cleaned))
    if value.casefold() in PLACEHOLDERS and not literally:
        return Value("", cleaned=(*cleaned, Cleaned.PLACEHOLDER))
    return Value(value, cleaned=tuple(cleaned))


def amount(cell: Cell, *, in_fen: bool) -> Value:
    """An amount of money in yuan, or in fen where the column says so.

    Full-width digits, ``￥``, ``元`` and correct thousands separators are understood; everything that
    could be read in two ways is a finding.
    """
    if isinstance(cell, bool | dt.date | dt.time | dt.timedelta):
        problem = text("the cell holds a date, time or TRUE/FALSE, not an amount")
        return Value(text_of(cell), findings=(Finding(problem, _FORMAT_NUMBER),))
    raw = text_of(cell)
    value = unicodedata.normalize("NFKC", raw).strip(_AROUND).removeprefix("'")
    if not value or value.casefold() in PLACEHOLDERS:
        return Value("", findings=(_NO_AMOUNT,))
    match = _AMOUNT.fullmatch(value)
    if match is None:
        return Value(value, findings=(_not_an_amount(value),))
    if unit_error := _wrong_unit(match["unit"], in_fen=in_fen):
        return Value(value, findings=(unit_error,))
    number = match["number"].replace(",", "")
    try:
        fen = fen_from_fen(number) if in_fen else fen_from_yuan(number)
    except FinerThanFen:
        return Value(value, findings=(_PART_OF_A_FEN if in_fen else _FINER_THAN_FEN,))
    except NotMoney:
        return Value(value, findings=(_not_an_amount(value),))
    return Value(value, cleaned=_amount_cleaned(raw, value, number), fen=fen)


def _number_text(number: float) -> str:
    if number != number or number in (float("inf"), float("-inf")):
        return str(number)
    plain = format(Decimal(f"{number:.15g}"), "f")
    return plain if plain != "-0" else "0"


def _amount_cleaned(raw: str, value: str, number: str) -> tuple[Cleaned, ...]:
    happened = (
        (Cleaned.BLANKS, raw != raw.strip(_AROUND)),
        (Cleaned.WIDTH, any(c in "０１２３４５６７８９．，" for c in raw)),
        (Cleaned.APOSTROPHE, "'" in raw),
        (Cleaned.CURRENCY, value != number),
    )
    return tuple(kind for kind, did in happened if did)


def _wrong_unit(unit: str | None, *, in_fen: bool) -> Finding | None:
    if not unit or (unit == "分") == in_fen:
        return None
    if in_fen:
        problem = text("the cell says yuan, but its column is in fen")
    else:
        problem = text("the cell says fen, but its column is in yuan")
    return Finding(problem, text("Use one unit in the whole column, and name it in the header."))


def _not_an_amount(value: str) -> Finding:
    in_brackets = value.startswith("(") and value.endswith(")")
    if value.startswith("-") or (in_brackets and re.search("[0-9]", value)):
        return Finding(
            text("the amount is negative"), text("A red packet can only pay out: enter a positive amount.")
        )
    if re.search(r"[$€£₩₹]|USD|EUR|HKD|GBP|JPY", value, re.IGNORECASE):
        return Finding(text("the amount is in a foreign currency"), text("Enter the amount in yuan (CNY)."))
    if _POWERS_OF_TEN.fullmatch(value) or re.fullmatch(r"[0-9.]+E[0-9]+", value, re.IGNORECASE):
        return Finding(text("the amount is written in powers of ten"), _FORMAT_NUMBER)
    if "," in value:
        return Finding(
            text("a comma in this amount can be read in two ways"),
            text("Write the amount with a point and without commas, like 1888.00."),
        )
    return Finding(
        text("this is not an amount of money"), text("Enter the amount as a plain number, like 8.88.")
    )


_FORMAT_NUMBER: Final = text("Format the cell as a number and enter the amount, like 8.88.")
_NO_AMOUNT: Final = Finding(
    text("amount is missing"), text("Fill it in, or remove the row if nothing is to be paid.")
)
_FINER_THAN_FEN: Final = Finding(
    text("the cell holds more than two decimals of a yuan, although it may show fewer"),
    text("Round the amount in the sheet, for example with =ROUND(…,2), so that the totals agree."),
)
_PART_OF_A_FEN: Final = Finding(
    text("the cell holds a part of a fen, and its column is in fen"),
    text(
        "If the amounts are yuan, name the column 金额(元), or amount_yuan in the settings under [columns]; "
        "otherwise enter whole fen."
    ),
)
_LOST_DIGITS: Final = Finding(
    text("a number of more than 15 digits has lost its last ones in Excel"),
    text("Format the column as text, then paste the numbers again from where they came."),
)
