"""Headers: what people call the columns, and what is refused because it is not clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import SetupError, SheetRejected
from campaign.sheet.columns import column_index, column_letters, header_key, settings_columns, understand
from campaign.text import text
from tests.sheet.sheets import csv_file, openid, paid, read

PLACE = text("here")


@pytest.mark.parametrize(
    "header, field",
    [
        ("openid", "re_openid"),
        ("OpenID", "re_openid"),
        ("re_openid", "re_openid"),
        ("用户openid", "re_openid"),
        ("用户 OpenId *", "re_openid"),
        ("ｏｐｅｎｉｄ（必填）", "re_openid"),
        ("amount", "amount_yuan"),
        ("金额", "amount_yuan"),
        ("金额(元)", "amount_yuan"),
        ("金额（元）", "amount_yuan"),
        ("红包金额", "amount_yuan"),
        ("红包金额（单位：元）", "amount_yuan"),
        ("Amount (yuan)", "amount_yuan"),
        ("total_amount", "amount_fen"),
        ("金额(分)", "amount_fen"),
        ("amount_fen", "amount_fen"),
        ("总金额（分）", "amount_fen"),
        ("id", "id"),
        ("业务单号", "id"),
        ("编号", "id"),
        ("wishing", "wishing"),
        ("祝福语", "wishing"),
        ("备注", "remark"),
        ("活动名称", "act_name"),
        ("send_name", "send_name"),
        ("场景", "scene_id"),
        ("risk_info", "risk_info"),
    ],
)
def test_aliases(header: str, field: str) -> None:
    assert understand(1, [header], {}).fields == {field: 0}


@pytest.mark.parametrize(
    "header", ["金额(万元)", "金额(美元)", "总金额", "姓名", "序号", "unionid", "余额", "手机号"]
)
def test_what_is_not_clear_belongs_to_the_operator(header: str) -> None:
    columns = understand(1, [header], {})
    assert columns.fields == {}
    assert columns.own == {0: header}


def test_own_columns_of_one_name_are_both_kept() -> None:
    assert understand(1, ["openid", "店", "金额", "店"], {}).own == {1: "店 (B)", 3: "店 (D)"}


@pytest.mark.parametrize(
    "headers, said",
    [
        (["openid", "姓名"], "no column holds amounts"),
        (["金额", "姓名"], "no column holds openids"),
        (["openid", "re_openid", "金额"], "more than one column could be re_openid"),
        (["openid", "金额", "amount"], "more than one column could be amount_yuan"),
        (["openid", "金额", "金额(分)"], "one with fen"),
        (["openid", "金额", "编号", "订单号"], "more than one column could be id"),
        (
            ["openid", "金额", "row_key"],
            "reserved columns row_key are there, but campaign, issue, check are not",
        ),
    ],
)
def test_unclear_headers_are_refused(headers: list[str], said: str) -> None:
    with pytest.raises(SheetRejected) as refused:
        understand(1, headers, {}).require_clear(PLACE)
    assert said in str(refused.value)
    assert refused.value.advice is not None


def test_the_settings_come_before_the_aliases(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "openid,奖金,金额,订单号,编号", f"{openid(1)},1.88,500,A,B")
    reading = read(path, columns={"奖金": "amount_yuan", "编号": "id", "订单号": "ignore"})
    assert paid(reading) == [(2, 188)]
    assert reading.orders[0].row_key == "B"
    assert reading.orders[0].own == {"金额": "500", "订单号": "A"}


def test_the_settings_can_say_fen(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "openid,奖金", f"{openid(1)},188")
    assert paid(read(path, columns={"奖金": "amount_fen"})) == [(2, 188)]


def test_a_column_can_be_ignored(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "openid,金额,备注", f"{openid(1)},1.88,难缠的客户")
    order = read(path, columns={"备注": "ignore"}).orders[0]
    assert order.remark == "快来抢!"
    assert order.own == {"备注": "难缠的客户"}


def test_an_unknown_field_in_the_settings_is_named() -> None:
    with pytest.raises(SetupError) as refused:
        settings_columns({"奖金": "amount_yaun"})
    assert "amount_yaun" in str(refused.value)
    assert "amount_yuan" in str(refused.value.advice)


def test_a_header_twice_in_the_settings() -> None:
    with pytest.raises(SetupError, match="twice"):
        settings_columns({"奖 金": "amount_yuan", "奖金": "amount_fen"})


def test_columns_are_named_as_excel_does() -> None:
    assert [column_letters(i) for i in (0, 25, 26, 701, 702, 16_383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
    assert all(column_index(column_letters(i)) == i for i in range(2000))


def test_headers_differ_by_letters_only() -> None:
    assert header_key(" 用户_OpenID：*") == header_key("用户openid") == "用户openid"
