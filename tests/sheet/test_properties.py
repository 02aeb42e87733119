"""Whatever the sheet holds: no row is lost, no amount changed, and reading is the same every time."""

from __future__ import annotations

import contextlib
import csv
import io
import random
import tempfile
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import xlsxwriter
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from campaign.domain.billno import mch_billno
from campaign.errors import SheetRejected
from campaign.sheet import Reading, read_sheet
from campaign.sheet.cells import is_empty
from campaign.sheet.columns import header_key
from campaign.sheet.rows import _Rows
from tests.corpus.files import repacked
from tests.corpus.wild import CORPUS, WILD
from tests.sheet.sheets import options

HEADER = ("openid", "金额(元)", "祝福语", "业务单号", "姓名")
LABELS = ("合计", "总计", "小计", "total", "sum", "总和", "共计")

writing = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cn", "Co", "Zl", "Zp"])
openids = st.one_of(
    st.integers(10**26, 10**27 - 1).map(lambda n: f"o{n}"),
    st.sampled_from(["", " oA", "oA", "oB ", "ｏＡ", "null", "o A", "张三", "oA\n"]),
    st.text(writing, max_size=6),
)
amounts = st.one_of(
    st.integers(100, 20_000).map(lambda fen: fen / 100),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12),
    st.sampled_from(
        ["1.88", "￥2.00", "1,888.00", "1,88", "3元", "", "-", "0", "１．５", "1.885", "5分", "1E2"]
    ),
    st.text(writing, max_size=6),
)
texts = st.one_of(
    st.just(""),
    st.text(writing, max_size=12),
    st.sampled_from(["新年好", "{姓名}好", "NA", "🧧", "a\nb"]),
)
ids = st.one_of(st.integers(1, 10**17), st.text(writing, max_size=4), st.uuids().map(str))
rows = st.tuples(openids, amounts, texts, ids, texts)
sheets = st.lists(rows, max_size=12)
fast = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def as_xlsx(table: Sequence[Sequence[Any]]) -> bytes:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    sheet = book.add_worksheet("名单")
    for number, row in enumerate(table):
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, column, cell)
            else:
                sheet.write_number(number, column, cell)
    book.close()
    return buffer.getvalue()


def as_csv(table: Sequence[Sequence[Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(table)
    return buffer.getvalue().encode()


def reading_of(data: bytes, name: str, **changes: Any) -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return read_sheet(path, options(**changes))


def readable(table: Sequence[Sequence[Any]]) -> bool:
    """Somebody to pay, and no totals row."""
    cells = [cell for row in table for cell in row]
    labelled = any(label in header_key(str(cell)) for cell in cells for label in LABELS)
    return not labelled and any(not is_empty(cell) for cell in cells)


@fast
@given(sheets, st.booleans(), st.sampled_from(["xlsx", "csv"]))
def test_every_row_is_an_order_or_has_a_problem(table: list[Any], allow_repeats: bool, kind: str) -> None:
    assume(readable(table))
    data = as_xlsx([HEADER, *table]) if kind == "xlsx" else as_csv([HEADER, *table])
    reading = reading_of(data, f"list.{kind}", allow_repeats=allow_repeats)
    filled = [number for number, row in enumerate(table, 2) if not all(map(is_empty, row))]
    paid = [order.source.row for order in reading.orders]
    in_trouble = {problem.source.row for problem in reading.problems}
    assert reading.rows == len(filled)
    assert sorted([*paid, *in_trouble]) == filled
    assert not in_trouble & set(paid)


@fast
@given(sheets)
def test_no_amount_is_changed_by_reading(table: list[Any]) -> None:
    """Against a second reading of the cell that shares no code: digits only, exactly, or to 15 digits."""
    assume(readable(table))
    for order in reading_of(as_xlsx([HEADER, *table]), "list.xlsx").orders:
        cell = table[order.source.row - 2][1]
        if isinstance(cell, str):
            digits = cell.translate(str.maketrans("０１２３４５６７８９．，", "0123456789.,"))
            stated = Decimal("".join(c for c in digits if c in "0123456789."))
        else:
            stated = Decimal(repr(cell))
        assert abs(Decimal(order.total_amount) / 100 - stated) <= stated * Decimal("1e-14")


@fast
@given(sheets, st.sampled_from(["xlsx", "csv"]))
def test_reading_twice_gives_the_same(table: list[Any], kind: str) -> None:
    assume(readable(table))
    data = as_xlsx([HEADER, *table]) if kind == "xlsx" else as_csv([HEADER, *table])
    first, second = reading_of(data, f"list.{kind}"), reading_of(data, f"list.{kind}")
    assert first == second


@fast
@given(sheets, st.randoms(use_true_random=False))
def test_another_order_of_rows_gives_the_same_numbers(table: list[Any], shuffle: random.Random) -> None:
    assume(readable(table))
    mixed = list(table)
    shuffle.shuffle(mixed)

    def numbers(rows: list[Any]) -> list[tuple[str, str, int]]:
        orders = reading_of(as_xlsx([HEADER, *rows]), "list.xlsx").orders
        return sorted(
            (mch_billno(mch_id="1900000109", campaign_id="c", row_key=o.row_key), o.re_openid, o.total_amount)
            for o in orders
        )

    first = numbers(table)
    assert first == numbers(mixed)
    assert len({number for number, _, _ in first}) == len(first)


@fast
@given(sheets)
def test_a_pilot_pays_what_the_whole_sheet_pays(table: list[Any]) -> None:
    assume(readable(table))
    data = as_xlsx([HEADER, *table])
    whole = reading_of(data, "list.xlsx")
    pilot = reading_of(data, "list.xlsx", limit=3)
    assert list(pilot.orders) == [o for o in whole.orders if o.source.row <= _row_of_third(table)]
    assert [p for p in whole.problems if p.source.row <= _row_of_third(table)] == list(pilot.problems)


def _row_of_third(table: list[Any]) -> int:
    filled = [number for number, row in enumerate(table, 2) if not all(map(is_empty, row))]
    return filled[:3][-1]


BINARY = [sample for sample in CORPUS if sample.name.endswith((".xlsx", ".xlsm", ".xls", ".ods", ".et"))]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(BINARY), st.integers(0, 2**20), st.binary(min_size=1, max_size=8))
def test_damaged_files_are_refused_or_read_but_never_crash(sample: Any, at: int, damage: bytes) -> None:
    data = bytearray((WILD / sample.name).read_bytes())
    at %= len(data)
    data[at : at + len(damage)] = damage
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / sample.name
        path.write_bytes(data)
        with contextlib.suppress(SheetRejected):
            read_sheet(path, options(**sample.options))


@pytest.mark.parametrize("name", ["large_amounts.xlsx", "hidden_column.xlsx"])
def test_a_package_that_lacks_a_part_is_refused_or_read_but_never_crashes(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(WILD / name) as whole:
        parts = {part: whole.read(part) for part in whole.namelist()}
    for lost in parts:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as lacking:
            for part in parts.keys() - {lost}:
                lacking.writestr(part, parts[part])
        with contextlib.suppress(SheetRejected):
            read_sheet(path, options())


XML_PARTS = ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml", "xl/sharedStrings.xml"]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([s.name for s in CORPUS if s.name.endswith(".xlsx")]),
    st.sampled_from(XML_PARTS),
    st.integers(0, 2**20),
    st.one_of(
        st.binary(max_size=6), st.sampled_from([b"<", b'"', b"&x;", b"<!DOCTYPE a>", b"-1", b"99999999999"])
    ),
    st.integers(0, 6),
)
@example("filtered.xlsx", "xl/worksheets/sheet1.xml", 200, b"<!DOCTYPE a [<!ENTITY b 'c'>]>", 0)
def test_damaged_xml_is_refused_or_read_but_never_crashes(
    name: str, part: str, at: int, damage: bytes, cut: int
) -> None:
    with zipfile.ZipFile(WILD / name) as package:
        if part not in package.namelist():
            return
        xml = package.read(part)
    at %= len(xml)
    package_data = repacked((WILD / name).read_bytes(), {part: xml[:at] + damage + xml[at + cut :]})
    with contextlib.suppress(SheetRejected):
        reading_of(package_data, "list.xlsx")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@fast
@given(table=sheets)
def test_any_chinese_text_survives_its_encoding(encoding: str, table: list[Any]) -> None:
    assume(readable(table))
    content = as_csv([HEADER, *table]).decode()
    reading = reading_of(content.encode(encoding), "list.csv")
    assert reading.rows == reading_of(content.encode(), "list.csv").rows
    assert [o.own for o in reading.orders] == [o.own for o in reading_of(content.encode(), "list.csv").orders]


plain_rows = st.tuples(
    st.integers(10**26, 10**27 - 1).map(lambda n: f"o{n:027d}"[:27] + "A"),
    st.sampled_from([1.88, 8.88, "6.66", 200.0, 0.5, "￥1", True]),
    st.sampled_from(["", "新年好", "{姓名}好", "NA"]),
    st.one_of(
        st.integers(10**6, 10**7).map(str),
        st.sampled_from(["A-00001", "1E-15000", "none", "nonenone"]),
        st.integers(-1, 20),
        st.sampled_from([1.5, -0.0, 10**15 - 1, 10**15, 123456789012.0, True]),
    ),
    st.sampled_from(["王", "", "total"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.one_of(plain_rows, plain_rows, rows), min_size=1, max_size=30),
    st.sets(st.integers(0, 4)),
    st.sampled_from([{}, {"allow_repeats": True}, {"limit": 3}]),
)
def test_the_short_way_through_a_row_finds_what_the_long_way_finds(
    table: list[Any], without: set[int], changes: dict[str, Any]
) -> None:
    columns = [at for at in range(len(HEADER)) if at < 2 or at not in without]
    table = [[row[at] for at in columns] for row in [HEADER, *table, *table[:1]]]
    assume(readable(table[1:]))
    data = as_xlsx(table)
    short = reading_of(data, "list.xlsx", **changes)
    with mock.patch.object(_Rows, "read_plain", lambda _self, rows: rows):
        long = reading_of(data, "list.xlsx", **changes)
    assert short == long
    assert list(short.orders) == list(long.orders)
