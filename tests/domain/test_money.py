"""Money: text in, whole fen or a refusal out; nothing is ever rounded."""

from __future__ import annotations

import decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.money import (
    FEN_MAX,
    FinerThanFen,
    NotMoney,
    fen_from_fen,
    fen_from_yuan,
    yuan_grouped,
    yuan_text,
)

AMOUNTS = st.integers(0, FEN_MAX)


@pytest.mark.parametrize(
    "yuan, fen",
    [
        ("1.88", 188),
        ("1.8", 180),
        ("1", 100),
        ("0", 0),
        ("0.01", 1),
        (".5", 50),
        ("5.", 500),
        ("007.70", 770),
        ("200.00", 20_000),
        ("1.8800000000", 188),
        ("0.29", 29),  # 28.999999999999996 in floats
        ("4.35", 435),  # 434.99999999999994 in floats
        ("10000000000000", FEN_MAX),
        ("0000000000000000000000000000000000001.88", 188),
    ],
)
def test_plain_decimal_text_in_yuan_is_exact(yuan, fen):
    assert fen_from_yuan(yuan) == fen


@pytest.mark.parametrize("yuan, fen", [("188", 188), ("188.0", 188), ("0", 0), ("1000000000000000", FEN_MAX)])
def test_plain_decimal_text_in_fen_is_exact(yuan, fen):
    assert fen_from_fen(yuan) == fen


@pytest.mark.parametrize(
    "yuan", ["1.888", "0.001", "1.8800000000000001", "0.00999999999999999999999999999999999999"]
)
def test_what_is_finer_than_a_fen_is_said_to_be_so(yuan):
    with pytest.raises(FinerThanFen):
        fen_from_yuan(yuan)


def test_a_tiny_remainder_beyond_decimals_precision_is_not_lost():
    """28 digits are Decimal's default; a product with more of them would be rounded to a whole number."""
    with pytest.raises(FinerThanFen):
        fen_from_yuan("1." + "0" * 35 + "1")
    with decimal.localcontext(prec=3), pytest.raises(FinerThanFen):
        fen_from_yuan("123.451")


@pytest.mark.parametrize("fen", ["1.5", "0.1", "188.00000000000000000000000000000001"])
def test_a_fraction_of_a_fen_is_refused(fen):
    with pytest.raises(FinerThanFen):
        fen_from_fen(fen)


@pytest.mark.parametrize("read", [fen_from_yuan, fen_from_fen])
@pytest.mark.parametrize(
    "words",
    [
        "",
        ".",
        " ",
        " 1.88",
        "1.88\n",
        "1e2",
        "1E+2",
        "1.8E-1",
        "NaN",
        "sNaN",
        "inf",
        "Infinity",
        "-Infinity",
        "-1",
        "+1",
        "-0",
        "1_000",
        "1,000",
        "1.2.3",
        "0x10",
        "１.８８",
        "１８８",
        "٣",
        "¥1.88",
        "1.88元",
        "one",
        "10000000000000001",
        "9" * 40,
        "1." + "0" * 40,
        "1" * 5000,
    ],
)
def test_what_is_no_plain_number_is_no_money(read, words):
    """The sheet's reader knows signs, currencies and full-width digits; a number that reaches this
    module in any such form was not understood, and is refused rather than guessed."""
    with pytest.raises(NotMoney) as refusal:
        read(words)
    assert not isinstance(refusal.value, FinerThanFen)


@given(AMOUNTS)
def test_yuan_text_goes_there_and_back(fen):
    assert fen_from_yuan(yuan_text(fen)) == fen
    assert fen_from_yuan(yuan_grouped(fen).replace(",", "")) == fen
    assert fen_from_fen(str(fen)) == fen


@given(AMOUNTS, st.integers(0, 8))
def test_trailing_zeros_change_nothing(fen, zeros):
    assert fen_from_yuan(yuan_text(fen) + "0" * zeros) == fen


@given(st.integers(-FEN_MAX, FEN_MAX))
def test_people_see_two_decimals_and_the_sign_in_front(fen):
    shown = yuan_text(fen)
    assert shown.partition(".")[2].isdigit()
    assert len(shown.partition(".")[2]) == 2
    assert Fraction(shown) == Fraction(fen, 100)
    assert yuan_grouped(fen).replace(",", "") == shown


@pytest.mark.parametrize(
    "fen, plain, grouped",
    [
        (0, "0.00", "0.00"),
        (1, "0.01", "0.01"),
        (-1, "-0.01", "-0.01"),
        (188, "1.88", "1.88"),
        (-150, "-1.50", "-1.50"),
        (188_800, "1888.00", "1,888.00"),
        (123_456_789, "1234567.89", "1,234,567.89"),
    ],
)
def test_amounts_as_people_read_them(fen, plain, grouped):
    assert (yuan_text(fen), yuan_grouped(fen)) == (plain, grouped)


@given(st.text(max_size=45))
def test_any_text_is_read_exactly_or_refused(words):
    for read, scale in ((fen_from_yuan, 100), (fen_from_fen, 1)):
        try:
            fen = read(words)
        except NotMoney:
            continue
        assert fen == Fraction(words) * scale


@given(st.from_regex(r"[0-9]{0,20}\.?[0-9]{0,25}", fullmatch=True))
def test_any_number_is_read_exactly_or_refused_for_the_right_reason(words):
    try:
        assert fen_from_yuan(words) == Fraction(words) * 100
    except FinerThanFen:
        assert (Fraction(words) * 100).denominator != 1
    except NotMoney:
        assert words in ("", ".") or len(words) > 40 or Fraction(words) * 100 > FEN_MAX
