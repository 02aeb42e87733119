"""Money is an ``int`` number of fen (分); 100 fen are one yuan. Text becomes fen through Decimal only."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

#: Larger than any sum this program may meet; keeps Decimal arithmetic exact and absurd input out.
FEN_MAX: Final = 10**15


class NotMoney(ValueError):
    """The text is not an amount of money that can be stated in whole, positive fen."""


class FinerThanFen(NotMoney):
    """The amount has more than two decimals of a yuan."""


def fen_from_yuan(yuan: str) -> int:
    """Convert an amount in yuan, as plain decimal text, to fen: ``"1.88"`` is 188.

    Raises:
        FinerThanFen: more than two significant decimals.
        NotMoney: not a finite plain number, negative, or beyond ``FEN_MAX``.
    """
    return _whole(_decimal(yuan), scale=100)


def fen_from_fen(fen: str) -> int:
    """Read an amount that is given in fen: ``"188"`` and ``"188.0"`` are 188.

    Raises:
        FinerThanFen: a fraction of a fen.
        NotMoney: as for `fen_from_yuan`.
    """
    return _whole(_decimal(fen), scale=1)


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


def _decimal(number: str) -> Decimal:
    if not number.isascii() or "_" in number or len(number) > 40:
        raise NotMoney(number)
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise NotMoney(number) from None
    if not value.is_finite() or value.is_signed() or value > FEN_MAX:
        raise NotMoney(number)
    return value


def _whole(value: Decimal, *, scale: int) -> int:
    scaled = value * scale
    if scaled != scaled.to_integral_value():
        raise FinerThanFen(str(value))
    if scaled > FEN_MAX:
        raise NotMoney(str(value))
    return int(scaled)
