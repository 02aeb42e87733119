"""Money is an ``int`` number of fen (分); 100 fen are one yuan. Text becomes fen through Decimal only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

#: Larger than any sum this program may meet; keeps absurd input out.
FEN_MAX: Final = 10**15

#: No sign, exponent, blank, separator or full-width digit: the sheet's reader has seen to those.
_PLAIN: Final = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_LENGTH_MAX: Final = 40


class NotMoney(ValueError):
    """The text is not an amount of money that can be stated in whole fen."""


class FinerThanFen(NotMoney):
    """The amount has more than two decimals of a yuan."""


def fen_from_yuan(yuan: str) -> int:
    """Convert an amount in yuan, as plain decimal text, to fen: ``"1.88"`` is 188.

    Raises:
        FinerThanFen: more than two significant decimals.
        NotMoney: not a plain number, or beyond ``FEN_MAX``.
    """
    return _fen(yuan, fen_per_unit=100)


def fen_from_fen(fen: str) -> int:
    """Read an amount that is given in fen: ``"188"`` and ``"188.0"`` are 188.

    Raises:
        FinerThanFen: a fraction of a fen.
        NotMoney: as for `fen_from_yuan`.
    """
    return _fen(fen, fen_per_unit=1)


def yuan_text(fen: int) -> str:
    """Amount in yuan for people and for CSV: 188 is ``"1.88"``."""
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan}.{rest:02d}"


def yuan_grouped(fen: int) -> str:
    """Amount in yuan for people, with thousands separated: 188800 is ``"1,888.00"``."""
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan:,}.{rest:02d}"


def _fen(number: str, *, fen_per_unit: int) -> int:
    if len(number) > _LENGTH_MAX or not _PLAIN.fullmatch(number):
        raise NotMoney(number)
    # As a ratio of whole numbers: products of Decimals are rounded to the context's precision.
    numerator, denominator = Decimal(number).as_integer_ratio()
    fen, finer = divmod(numerator * fen_per_unit, denominator)
    if fen > FEN_MAX:
        raise NotMoney(number)
    if finer:
        raise FinerThanFen(number)
    return fen


@dataclass(slots=True)
class Sum:
    """So many rows and so many fen."""

    rows: int = 0
    fen: int = 0

    def add(self, fen: int) -> None:
        """Count one more row."""
        self.rows += 1
        self.fen += fen

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.rows + other.rows, self.fen + other.fen)

    def __sub__(self, other: Sum) -> Sum:
        return Sum(self.rows - other.rows, self.fen - other.fen)
