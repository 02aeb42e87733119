"""A sheet that we write is read back as it was meant, whatever stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.domain.billno import Tie, canonical_row_key, tie_check
from campaign.domain.order import PacketOrder
from campaign.errors import SetupError
from campaign.sheet.columns import FIELDS, TIE_FIELDS
from campaign.sheet.put import CELL_LENGTH_MAX
from campaign.sheet.write import TiedRow, write_tied_sheet
from tests.sheet.sheets import DEFAULTS, MCH_ID, openid, read

TEXTS = {"wishing": "新年快乐", "send_name": "店", "act_name": "灯谜", "remark": "快来"}


def tied(key: str = "7", issue: int = 2, **changes: Any) -> TiedRow:
    facts: dict[str, Any] = {
        "tie": Tie(campaign="lantern", row_key=key, issue=issue),
        "re_openid": openid(1),
        "total_amount": 188,
        "texts": TEXTS,
    }
    return TiedRow(**(facts | changes))


def written(
    path: Path, *rows: TiedRow, own: tuple[str, ...] = (), columns: Mapping[str, str] | None = None
) -> Path:
    write_tied_sheet(
        path,
        rows,
        sheet="reissue",
        mch_id=MCH_ID,
        own_headers=own,
        columns=columns or {},
        warning="Leave them.",
        ids=True,
    )
    return path


def only(path: Path, **options: Any) -> PacketOrder:
    reading = read(path, **options)
    assert reading.problems == ()
    [order] = reading.orders
    return order


def test_every_value_comes_back(tmp_path: Path) -> None:
    row = tied(texts={**TEXTS, "scene_id": "PRODUCT_2", "risk_info": "posttime%3d1"}, own={"姓名": "张三"})
    order = only(written(tmp_path / "a.xlsx", row, own=("姓名", "门店")))
    assert order.tie == row.tie
    assert (order.re_openid, order.total_amount) == (row.re_openid, 188)
    assert {name: getattr(order, name) for name in row.texts} == dict(row.texts)
    assert order.own == {"姓名": "张三", "门店": ""}


def test_an_empty_text_follows_the_settings(tmp_path: Path) -> None:
    order = only(written(tmp_path / "a.xlsx", tied(texts={})))
    assert order.wishing == DEFAULTS.wishing


def test_what_has_to_be_corrected_stands_as_it_stood(tmp_path: Path) -> None:
    """A fix sheet shows the operator the very text that could not be read."""
    reading = read(written(tmp_path / "a.xlsx", tied(re_openid="o 1", total_amount="八块八")))
    assert [(p.column, p.value) for p in reading.problems] == [
        ("re_openid", "o 1"),
        ("total_amount", "八块八"),
    ]


def test_nothing_in_it_is_a_formula(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", tied(key="=1+1", own={"=A1": "=HYPERLINK(1)"}), own=("=A1",))
    cells = [cell for row in openpyxl.load_workbook(path).active.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert only(path).own == {"=A1": "=HYPERLINK(1)"}


@pytest.mark.parametrize("words", [
    "<r>1 & 2</r>",
    '<r><t>1</t></r></is></c><c r="A2" t="str"><f>1+1</f><v>2</v></c><c r="A9"><is><r><t>1</t></r>',
])  # fmt: skip
def test_xlsxwriters_own_mark_up_in_a_cell_is_text(tmp_path: Path, words: str) -> None:
    """It would write the one below unescaped: a damaged sheet, or another formula, openid or amount."""
    own = {words: words}
    row = tied(texts={**TEXTS, "remark": "<r>&</r>"}, own=own)
    order = only(written(tmp_path / "a.xlsx", row, own=(words,)))
    assert (order.re_openid, order.remark) == (openid(1), "<r>&</r>")
    assert {header: cell.strip() for header, cell in order.own.items()} == own


@pytest.mark.parametrize("words", [
    f"<r>{'&' * (CELL_LENGTH_MAX - 7)}</r>",
    f"<r>&&{'😀' * (CELL_LENGTH_MAX // 2 - 4)}</r> is where XlsxWriter, which counts in UTF-16, cuts it",
])  # fmt: skip
def test_nor_is_it_mark_up_where_the_text_is_cut(tmp_path: Path, words: str) -> None:
    cell = only(written(tmp_path / "a.xlsx", tied(own={"own": words}), own=("own",))).own["own"]
    assert len(cell) > CELL_LENGTH_MAX // 2
    assert words.startswith(cell.strip())


def test_the_reason_is_a_comment_and_not_a_column(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", tied(note="FAILED 红包发放失败"))
    sheet = openpyxl.load_workbook(path).active
    assert "FAILED" in sheet["A2"].comment.text
    [reserved] = [cell for cell in sheet[1] if cell.value == "campaign"]
    assert reserved.comment.text.endswith("Leave them.")
    assert only(path).own == {}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fen=st.integers(1, 499_900), cells=st.lists(st.text(max_size=20), max_size=3))
def test_no_amount_is_changed_on_the_way(tmp_path: Path, fen: int, cells: list[str]) -> None:
    own = {f"own {n}": cell for n, cell in enumerate(cells)}
    row = tied(total_amount=fen, texts={**TEXTS, "scene_id": "PRODUCT_1"}, own=own)
    assert only(written(tmp_path / "a.xlsx", row, own=tuple(own))).total_amount == fen


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1), min_size=1, max_size=4)
)
def test_a_row_key_keeps_its_number_or_is_refused_but_never_gets_another(
    tmp_path: Path, keys: list[str]
) -> None:
    """Excel and the reader may not turn one row's number into another's."""
    canonical = list(dict.fromkeys(map(canonical_row_key, keys)))
    reading = read(
        written(tmp_path / "a.xlsx", *(tied(key, re_openid=openid(n)) for n, key in enumerate(canonical)))
    )
    ties = {order.re_openid: order.tie for order in reading.orders}
    assert len(ties) + len({p.source.row for p in reading.problems}) == len(canonical)
    for number, key in enumerate(canonical):
        tie = ties.get(openid(number))
        assert tie is None or tie.row_key == key


@pytest.mark.parametrize("name", TIE_FIELDS)
def test_an_altered_reserved_cell_is_a_problem(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a.xlsx", tied())
    book = openpyxl.load_workbook(path)
    [at] = [cell.column for cell in book.active[1] if cell.value == name]
    book.active.cell(2, at).value = "3"
    book.save(path)
    assert [p.column for p in read(path).problems] == ["row_key"]


def test_the_check_is_the_merchants_own() -> None:
    tie = Tie(campaign="lantern", row_key="7", issue=2)
    assert tie_check(tie, mch_id=MCH_ID) != tie_check(tie, mch_id="1900000110")


# The settings' [columns], with which the sheet is read again


@pytest.mark.parametrize(
    "columns, own",
    [
        (
            {"奖金": "amount_yuan"},
            ("金额",),
        ),  # "金额" was the operator's own, since the settings name another
        ({"奖金": "amount_fen"}, ("门店",)),
        ({"编号": "ignore", "id": "ignore"}, ("id", "编号")),
        ({"口号": "wishing"}, ("祝福语",)),
        ({"remark": "ignore"}, ("remark",)),
        ({"备注": "ignore"}, ("备注",)),
        ({"openid": "ignore"}, ("openid",)),
        ({"粉丝": "re_openid"}, ("openid",)),
        ({name: "ignore" for name in FIELDS if name.endswith("_name")}, ("act_name", "send_name")),
    ],
)
def test_own_columns_are_never_taken_for_ours(
    tmp_path: Path, columns: dict[str, str], own: tuple[str, ...]
) -> None:
    row = tied(own=dict.fromkeys(own, "x"))
    order = only(written(tmp_path / "a.xlsx", row, own=own, columns=columns), columns=columns)
    assert (order.tie, order.re_openid, order.total_amount) == (row.tie, row.re_openid, 188)
    assert order.wishing == TEXTS["wishing"]
    assert order.own == dict.fromkeys(own, "x")


@pytest.mark.parametrize(
    "columns, own",
    [
        (dict.fromkeys(TIE_FIELDS, "ignore"), ()),  # the rows would be read as a new list, with new numbers
        ({"check": "remark"}, ()),
        ({}, ("备注",)),  # two columns could be the remark
    ],
)
def test_a_sheet_that_would_be_misread_is_not_written(
    tmp_path: Path, columns: dict[str, str], own: tuple[str, ...]
) -> None:
    with pytest.raises(SetupError) as refused:
        written(tmp_path / "a.xlsx", tied(), own=own, columns=columns)
    assert "[columns]" in str(refused.value.advice)
    assert not (tmp_path / "a.xlsx").exists()
