"""Reading one cell: what it shows decides, and nothing is computed in floats."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.money import yuan_text
from campaign.sheet.cells import Cell, Cleaned, amount, identifier, is_empty, plain_text, shown, text_of

#: As calamine gives it: without a zone.
DATE_AND_TIME = dt.datetime(2026, 1, 8, 3, 4, 5, tzinfo=dt.UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    "cell, fen",
    [
        (1.88, 188),
        (1.8800000000000001, 188),
        (0.1 + 0.2, 30),
        (4.35, 435),  # float: 434.99999999999994 fen
        (19.99, 1999),
        (8, 800),
        (200.0, 20_000),
        ("1.88", 188),
        ("1.8", 180),
        ("0088", 8800),
        (" 1.88\u3000", 188),
        ("\u200b1.88\ufeff", 188),
        ("１．８８", 188),
        ("￥1,888.00", 188_800),
        ("¥ 1.88", 188),
        ("1.88元", 188),
        ("1.88 元整", 188),
        ("RMB 1.88", 188),
        ("1.88CNY", 188),
        ("１，８８８", 188_800),
        ("'1.88", 188),
    ],
)
def test_amounts_in_yuan(cell: Cell, fen: int) -> None:
    value = amount(cell, in_fen=False)
    assert value.findings == ()
    assert value.fen == fen


@pytest.mark.parametrize(
    "cell, fen",
    [(188.0, 188), ("188", 188), ("1,888", 1888), ("188分", 188), (1e5, 100_000), ("188.00", 188)],
)
def test_amounts_in_fen(cell: Cell, fen: int) -> None:
    assert amount(cell, in_fen=True).fen == fen


@pytest.mark.parametrize(
    "cell, said",
    [
        ("", "missing"),
        (None, "missing"),
        ("-", "missing"),
        ("null", "missing"),
        ("N/A", "missing"),
        (1.885, "two decimals"),
        ("1.885", "two decimals"),
        ("1.001", "two decimals"),
        (1e-7, "two decimals"),
        (-1.88, "negative"),
        ("-1.88", "negative"),
        ("(1.88)", "negative"),
        ("1,88", "comma"),
        ("1.888,00", "comma"),
        ("18,88", "comma"),
        (",188", "comma"),
        ("1.5e2", "powers of ten"),
        ("$1.88", "foreign"),
        ("1.88 USD", "foreign"),
        ("八元八", "not an amount"),
        ("1.88万", "not an amount"),
        ("1.8.8", "not an amount"),
        ("1。88", "not an amount"),
        ("0x10", "not an amount"),
        ("1_000", "not an amount"),
        ("٣", "not an amount"),
        ("1 2", "not an amount"),
        ("1..2", "not an amount"),
        ("+1", "not an amount"),
        ("inf", "not an amount"),
        (float("nan"), "missing"),
        (1e30, "not an amount"),
        ("188分", "says fen"),
        (dt.date(2026, 1, 8), "date"),
        (DATE_AND_TIME, "date"),
        (dt.time(1, 8), "date"),
        (dt.timedelta(hours=1), "date"),
        (True, "TRUE/FALSE"),
    ],
)
def test_what_is_unclear_is_refused(cell: Cell, said: str) -> None:
    value = amount(cell, in_fen=False)
    assert value.fen == 0
    assert said in str(value.findings[0].problem)


def test_yuan_in_a_column_of_fen_is_refused() -> None:
    assert "says yuan" in str(amount("188元", in_fen=True).findings[0].problem)
    [finding] = amount("1.88", in_fen=True).findings
    assert "a part of a fen" in str(finding.problem)
    assert "金额(元)" in str(finding.advice)


@given(st.integers(min_value=0, max_value=10**12))
def test_no_amount_is_changed_however_it_is_written(fen: int) -> None:
    yuan = yuan_text(fen)
    for written in (yuan, f"￥{yuan}", f"{yuan}元", f"{int(yuan[:-3]):,}{yuan[-3:]}", float(yuan)):
        assert amount(written, in_fen=False).fen == fen
    assert amount(float(fen), in_fen=True).fen == fen


@given(st.one_of(st.text(max_size=12), st.floats(), st.text("0123456789.,元¥分-+eE ", max_size=10)))
def test_an_amount_is_read_exactly_or_not_at_all(cell: Cell) -> None:
    value = amount(cell, in_fen=False)
    assert bool(value.findings) or value.fen >= 0
    if not value.findings and isinstance(cell, float) and cell:
        assert abs(Decimal(value.fen) / 100 - Decimal(cell)) <= abs(Decimal(cell)) * Decimal("1e-15")


@pytest.mark.parametrize(
    "cell, value, cleaned",
    [
        ("oA", "oA", ()),
        (" oA\u200b", "oA", (Cleaned.BLANKS,)),
        ("ｏＡ", "oA", (Cleaned.WIDTH,)),
        ("'1001", "1001", (Cleaned.APOSTROPHE,)),
        (1001.0, "1001", ()),
        (123456789012345.0, "123456789012345", ()),
        ("1234567890123456789", "1234567890123456789", ()),
        ("NULL", "", (Cleaned.PLACEHOLDER,)),
    ],
)
def test_identifiers(cell: Cell, value: str, cleaned: tuple[Cleaned, ...]) -> None:
    read = identifier(cell)
    assert (read.text, read.cleaned, read.findings) == (value, cleaned, ())


@pytest.mark.parametrize("cell", [1e15, 1.2345678901234567e18, 10**16])
def test_a_long_number_has_lost_digits(cell: Cell) -> None:
    assert "lost" in str(identifier(cell).findings[0].problem)


def test_a_greeting_called_na_is_not_lost() -> None:
    value = plain_text("NA")
    assert value.text == "NA"
    assert value.cleaned == (Cleaned.PLACEHOLDER,)


@pytest.mark.parametrize(
    "cell, expected",
    [
        (None, ""),
        (1.0, "1"),
        (1.5, "1.5"),
        (-0.0, "0"),
        (1e-7, "0.0000001"),
        (1e20, "100000000000000000000"),
        (True, "TRUE"),
        (7, "7"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (DATE_AND_TIME, "2026-01-08 03:04:05"),
    ],
)
def test_a_cell_as_text(cell: Cell, expected: str) -> None:
    assert text_of(cell) == expected


def test_what_nobody_can_see_is_empty() -> None:
    assert all(is_empty(cell) for cell in ("", None, "  ", "\u3000\t", "\u200b\ufeff", "\xa0"))
    assert not any(is_empty(cell) for cell in (0.0, 0, False, "0", "-"))


def test_values_are_shortened_and_made_visible() -> None:
    assert shown("a" * 100) == "a" * 60 + "…"
    assert shown("a\nb\u200b") == "a\\u000ab\\u200b"


def test_white_space_of_every_kind_is_removed_around_a_value() -> None:
    blanks = "".join(c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace())
    assert plain_text(f"{blanks}新年 快乐{blanks}").text == "新年 快乐"
    assert is_empty(blanks)


@pytest.mark.parametrize("cell", ["a" + " " * 300_000 + "b", "(" + "1" * 300_000, "(" * 300_000 + ")"])
def test_a_very_long_cell_takes_no_time(cell: str) -> None:
    """One alone took minutes, and as a shared text a hundred thousand rows may have it."""
    assert plain_text(cell).text == cell
    assert identifier(cell).text == cell
    assert amount(cell, in_fen=False).findings
