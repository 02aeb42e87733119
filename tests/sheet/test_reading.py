"""A sheet in, orders and problems out: every row in exactly one of the two, with its place."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from campaign.domain.billno import Tie, canonical_campaign_id, repeat_key, tie_check
from campaign.domain.limits import Limits
from campaign.domain.order import PacketDefaults
from campaign.errors import SheetRejected
from tests.sheet.sheets import DEFAULTS, MCH_ID, csv_file, found, notes, openid, paid, read, xlsx_file

HEADER = "openid,金额(元)"


def test_an_ordinary_sheet(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(
        tmp_path,
        ["用户openid", "金额(元)", "祝福语", "姓名"],
        [openid(1), 1.88, "新年好", "张三"],
        [openid(2), "8.88", None, "李四"],
    )
    reading = read(path)
    first, second = reading.orders
    assert (reading.file, reading.sheet, reading.rows) == ("list.xlsx", "名单", 2)
    assert reading.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert reading.problems == ()
    assert reading.key_column == "re_openid"
    assert reading.own_headers == ("姓名",)
    assert (first.source.row, first.re_openid, first.row_key, first.total_amount) == (
        2,
        openid(1),
        openid(1),
        188,
    )
    assert (first.wishing, second.wishing) == ("新年好", DEFAULTS.wishing)
    assert (first.send_name, first.act_name, first.remark) == ("天虹百货", "猜灯谜", "快来抢!")
    assert second.own == {"姓名": "李四"}
    assert second.tie is None


def test_csv_and_workbook_say_the_same(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(tmp_path, ["openid", "金额(元)"], [openid(1), 1.88], [openid(2), 8])
    text_path = csv_file(tmp_path, HEADER, f"{openid(1)},1.88", f"{openid(2)},8")
    assert [(o.row_key, o.total_amount) for o in read(path).orders] == [
        (o.row_key, o.total_amount) for o in read(text_path).orders
    ]


def test_problems_name_sheet_cell_value_and_next_step(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(tmp_path, ["姓名", "openid", "金额"], ["张三", "o A", 0.5])
    first, second = read(path).problems
    assert (first.source.file, first.source.sheet, first.source.row) == ("list.xlsx", "名单", 2)
    assert (first.column, first.cell, first.value) == ("re_openid", "B2", "o A")
    assert (second.column, second.cell, second.value) == ("total_amount", "C2", "0.5")
    assert all(str(p.problem) and str(p.advice) for p in (first, second))


def test_all_problems_of_a_row_are_shown_at_once(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "openid,金额,祝福语", f"o A,1,88,{'红' * 50}", f",-1,{'红' * 50}")
    assert found(read(path)) == [
        "A2 re_openid",
        "D2",  # the comma in 1,88 made a cell too many
        "A3 re_openid",
        "B3 total_amount",
        "C3 wishing",
    ]


def test_an_amount_split_by_its_comma_is_never_paid(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, f"{openid(1)},1,888.00")
    reading = read(path)
    assert len(reading.orders) == 0
    assert "more cells than the header" in str(reading.problems[0].problem)


def test_rows_are_numbered_as_excel_does(tmp_path: Path) -> None:
    """Quoted line breaks stay in their cell, empty lines count as rows, empty rows are no data."""
    path = csv_file(tmp_path, "openid,金额,说明", f'{openid(1)},1,"a\nb"', "", ",,", f"{openid(2)},2,x")
    reading = read(path)
    assert paid(reading) == [(2, 100), (5, 200)]
    assert reading.rows == 2


def test_a_workbook_that_starts_further_down_and_right(tmp_path: Path) -> None:
    path, book, sheet = xlsx_file(tmp_path)
    for place, value in {"C5": "openid", "D5": "金额", "C7": openid(1), "D7": 1.885}.items():
        sheet[place] = value
    book.save(path)
    assert found(read(path)) == ["D7 total_amount"]


@pytest.mark.parametrize("rows", ["", "\n\n", HEADER, HEADER + "\n\n,,\n"])
def test_a_sheet_without_people(tmp_path: Path, rows: str) -> None:
    with pytest.raises(SheetRejected):
        read(csv_file(tmp_path, rows))


# -- files that are none


@pytest.mark.parametrize(
    "name, data",
    [
        ("nothing.xlsx", b""),
        ("text.xlsx", b"openid,amount\noA,1\n"),
        ("half.xlsx", b"PK\x03\x04" + b"\0" * 100),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600),
        ("page.xls", b"<html><table><tr><td>openid</td></tr></table></html>"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8),
        ("paper.pdf", b"%PDF-1.7\n"),
    ],
)
def test_files_that_are_no_sheet_get_one_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SheetRejected) as refused:
        read(path)
    assert name in str(refused.value)
    assert refused.value.advice is not None


def test_text_under_the_name_of_a_workbook_only_needs_its_own_name(tmp_path: Path) -> None:
    """Excel does not open it either, so saving it again in Excel is no advice."""
    path = csv_file(tmp_path, "openid,amount", f"{openid(1)},1.88", name="list.xlsx")
    with pytest.raises(SheetRejected) as refused:
        read(path)
    assert "call it .csv" in str(refused.value.advice)
    assert paid(read(path.rename(tmp_path / "list.csv"))) == [(2, 188)]


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(SheetRejected, match="does not exist"):
        read(tmp_path / "none.xlsx")
    with pytest.raises(SheetRejected, match="folder"):
        read(tmp_path)


def test_a_truncated_workbook(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(tmp_path, ["openid", "金额"], [openid(1), 1])
    whole = path.read_bytes()
    for length in (10, 100, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SheetRejected):
            read(path)


# -- who is who: keys and repeats


@pytest.mark.parametrize("header", ["openid", "用户openid"])
def test_a_repeated_header_is_called_so(tmp_path: Path, header: str) -> None:
    lines = (f"{header},amount", f"{openid(1)},1.88", f"{header},amount", f"{openid(2)},8.88")
    reading = read(csv_file(tmp_path, *lines))
    assert found(reading) == ["A3 re_openid", "B3 total_amount"]
    assert "header is repeated" in str(reading.problems[0].problem)


def test_an_openid_twice_is_a_problem_in_all_its_rows(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, *(f"{openid(n)},1" for n in (1, 2, 1, 3, 1)))
    reading = read(path)
    assert found(reading) == ["A2 re_openid", "A4 re_openid", "A6 re_openid"]
    assert paid(reading) == [(3, 100), (5, 100)]
    assert "rows 2, 4, 6" in str(reading.problems[0].problem)


def test_openids_that_differ_by_case_are_two_people(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, "oABC,1", "oabc,1")
    assert len(read(path).orders) == 2


def test_an_openid_counts_also_where_its_row_has_another_problem(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, f"{openid(1)},nothing", f" {openid(1)},1")
    assert found(read(path)) == ["A2 re_openid", "B2 total_amount", "A3 re_openid"]


def test_an_id_column_tells_the_rows_of_a_person_apart(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "业务单号,openid,金额", f"A-1,{openid(1)},1", f"Ａ-2,{openid(1)},2")
    reading = read(path)
    assert reading.key_column == "id"
    assert [order.row_key for order in reading.orders] == ["A-1", "A-2"]


def test_a_repeated_missing_or_strange_id_is_a_problem(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        "id,openid,金额",
        *(f"{row_id},{openid(n)},1" for n, row_id in enumerate(["7", "", "７", "a\u200bb", "8"], 1)),
    )
    assert found(read(path)) == ["A2 id", "A3 id", "A4 id", "A5 id"]


def test_with_repeats_allowed_the_ordinal_counts_every_row(tmp_path: Path) -> None:
    """Invalid rows too, so that mending one does not shift the numbers of the others."""
    path = csv_file(
        tmp_path, HEADER, f"{openid(1)},1", f"{openid(1)},bad", f"{openid(2)},1", f"{openid(1)},3"
    )
    reading = read(path, allow_repeats=True)
    assert reading.key_column == "re_openid+ordinal"
    assert [order.row_key for order in reading.orders] == [
        repeat_key(openid(1), 1),
        repeat_key(openid(2), 1),
        repeat_key(openid(1), 3),
    ]


def test_a_repeated_openid_names_its_rows_in_order(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, f"{openid(1)},1", f"{openid(1)},bad", f"{openid(1)},3")
    assert {str(p.problem) for p in read(path).problems if p.column == "re_openid"} == {
        "appears 3 times: rows 2, 3, 4"
    }


def test_hidden_rows_count_for_ordinals_and_are_said(tmp_path: Path) -> None:
    path, book, sheet = xlsx_file(
        tmp_path, ["openid", "金额"], [openid(1), 1], [openid(1), 2], [openid(1), 3], [openid(2), 4]
    )
    sheet.row_dimensions[3].hidden = True
    book.save(path)
    reading = read(path, allow_repeats=True)
    assert paid(reading) == [(2, 100), (4, 300), (5, 400)]
    assert [order.row_key for order in reading.orders][1] == repeat_key(openid(1), 3)
    assert "left out and not paid: row 3;" in notes(reading)
    included = read(path, allow_repeats=True, include_hidden=True)
    assert included.rows == 4
    assert included.orders[0].row_key == reading.orders[0].row_key
    assert "included" in notes(included)


def test_an_openid_that_appears_again_in_a_hidden_row_needs_a_decision(tmp_path: Path) -> None:
    path, book, sheet = xlsx_file(tmp_path, ["openid", "金额"], [openid(1), 1], [openid(1), 2])
    sheet.row_dimensions[3].hidden = True
    book.save(path)
    assert found(read(path)) == ["A2 re_openid"]


def test_a_long_id_stored_as_a_number_has_lost_digits(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(
        tmp_path,
        ["id", "openid", "金额"],
        [1234567890123456789, openid(1), 1],
        [123456789012345, openid(2), 1],
    )
    reading = read(path)
    assert found(reading) == ["A2 id"]
    assert reading.orders[0].row_key == "123456789012345"


# -- sheets that we wrote


def tied(campaign: str, row_key: str, issue: int = 1) -> str:
    tie = Tie(campaign=campaign, row_key=row_key, issue=issue)
    return f"{campaign},{row_key},{issue},{tie_check(tie, mch_id=MCH_ID)}"


TIED_HEADER = "openid,金额,campaign,row_key,issue,check"


def test_the_reserved_columns_alone_give_the_number(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        f"{TIED_HEADER},id",
        f"{openid(1)},1,{tied('lantern', 'A')},A",
        f"{openid(1)},1,{tied('lantern', 'B', 2)},B",
    )
    reading = read(path)
    assert [order.tie for order in reading.orders] == [
        Tie(campaign="lantern", row_key="A", issue=1),
        Tie(campaign="lantern", row_key="B", issue=2),
    ]
    assert reading.key_column == "id"


@pytest.mark.parametrize(
    "key, column", [(openid(1), "re_openid"), (repeat_key(openid(1), 12), "re_openid+ordinal")]
)
def test_where_the_openid_gave_the_key_it_may_not_be_changed(tmp_path: Path, key: str, column: str) -> None:
    """Its number would be another one in the original, and without the ledger both would be paid."""
    kept = read(csv_file(tmp_path, TIED_HEADER, f"{openid(1)},1,{tied('lantern', key)}"))
    assert (found(kept), kept.key_column) == ([], column)
    changed = read(csv_file(tmp_path, TIED_HEADER, f"{openid(2)},1,{tied('lantern', key)}"))
    assert found(changed) == ["A2 re_openid"]
    assert "original sheet" in str(changed.problems[0].advice)
    assert changed.flawed == {2: (key, Tie(campaign="lantern", row_key=key, issue=1))}


def test_where_an_id_gave_the_key_the_openid_may_be_changed_but_not_the_id(tmp_path: Path) -> None:
    header = f"{TIED_HEADER},编号"
    row = f"{openid(2)},1,{tied('lantern', 'A')}"
    assert found(read(csv_file(tmp_path, header, f"{row},A"))) == []
    assert found(read(csv_file(tmp_path, header, f"{row},B"))) == ["G2 id"]
    assert found(read(csv_file(tmp_path, header, f"{row},"))) == ["A2 re_openid"]


@pytest.mark.parametrize(
    "cells",
    [
        ",,,",
        "lantern,A,1,",
        tied("lantern", "A").replace("lantern", "lanterns"),
        tied("lantern", "A").replace(",A,", ",B,"),
        tied("lantern", "A").replace(",1,", ",2,"),
        tied("Lantern", "A"),  # not in canonical form, so not by us
        "lantern,A,0,XXXXXXXX",
        "lantern,A,1000,XXXXXXXX",
    ],
)
def test_altered_reserved_columns_are_a_problem(tmp_path: Path, cells: str) -> None:
    path = csv_file(tmp_path, TIED_HEADER, f"{openid(1)},1,{cells}")
    reading = read(path)
    assert found(reading) == ["D2 row_key"]
    assert len(reading.orders) == 0


def test_the_same_tie_twice_is_a_problem_even_with_another_issue(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        f"{TIED_HEADER},id",
        f"{openid(1)},1,{tied('lantern', 'A')},A",
        f"{openid(1)},1,{tied('lantern', 'A', 2)},A",
    )
    assert found(read(path)) == ["D2 row_key", "D3 row_key"]


def test_another_merchants_tie_is_refused(tmp_path: Path) -> None:
    path = csv_file(tmp_path, TIED_HEADER, f"{openid(1)},1,{tied('lantern', 'A')}")
    assert found(read(path, mch_id="1900000110")) == ["D2 row_key"]


# -- the settings' texts


def test_the_settings_texts_are_checked_by_the_same_rules(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "openid,金额,祝福语", f"{openid(1)},1,好", f"{openid(2)},1,")
    defaults = PacketDefaults(send_name="红" * 11, act_name="a", wishing="", remark="a")
    reading = read(path, defaults=defaults)
    assert found(reading) == ["send_name", "send_name", "C3 wishing"]
    assert "send_name in the settings, under [packet]" in str(reading.problems[0].problem)


def test_scene_and_risk_hints_from_the_sheet(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        "openid,金额,场景,risk_info",
        f"{openid(1)},0.5,抽奖,posttime=1&clientversion=2",
        f"{openid(2)},500,product_1,",
        f"{openid(3)},500,PRODUCT_9,",
    )
    reading = read(path)
    assert [(o.scene_id, o.risk_info) for o in reading.orders] == [
        ("PRODUCT_2", "posttime%3D1%26clientversion%3D2"),
        ("PRODUCT_1", ""),
    ]
    assert found(reading) == ["C4 scene_id"]


# -- other kinds of packets (R1)


@pytest.mark.parametrize(
    "header, value, said",
    [
        ("类型", "裂变红包", "2024-06-05"),
        ("hb_type", "GROUP", "2024-06-05"),
        ("total_num", "3", "2024-06-05"),
        ("amt_type", "ALL_RAND", "2024-06-05"),
        ("type", "小程序红包", "mini-program"),
        ("notify_way", "MINI_PROGRAM_JSAPI", "mini-program"),
        ("红包类型", "神秘", "no kind"),
    ],
)
def test_other_kinds_of_packets_are_refused_with_the_reason(
    tmp_path: Path, header: str, value: str, said: str
) -> None:
    reading = read(csv_file(tmp_path, f"openid,金额,{header}", f"{openid(1)},1,{value}"))
    assert said in str(reading.problems[0].problem)
    assert reading.problems[0].cell == "C2"


@pytest.mark.parametrize(
    "header, value", [("类型", "VIP"), ("total_num", "1"), ("hb_type", "NORMAL"), ("类型", "")]
)
def test_ordinary_packets_under_such_headers_are_paid(tmp_path: Path, header: str, value: str) -> None:
    reading = read(csv_file(tmp_path, f"openid,金额,{header}", f"{openid(1)},1,{value}"))
    assert reading.orders[0].own == {header: value}


# -- a part of the sheet, and limits


def test_the_first_rows_only(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, HEADER, *(f"{openid(n)},{amount}" for n, amount in enumerate((1, "x", 3, "y"), 1))
    )
    reading = read(path, limit=3)
    assert reading.rows == 3
    assert paid(reading) == [(2, 100), (4, 300)]
    assert found(reading) == ["B3 total_amount"]


def test_a_pilot_notices_repeats_in_the_rest(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, *(f"{openid(n)},1" for n in (1, 2, 1)))
    assert found(read(path, limit=2)) == ["A2 re_openid"]


def test_a_packet_that_no_day_allows(tmp_path: Path) -> None:
    limits = Limits(campaign_fen=10**6, in_doubt_fen=10**6, person_day_fen=5_000)
    reading = read(csv_file(tmp_path, HEADER, f"{openid(1)},50", f"{openid(2)},50.01"), limits=limits)
    assert found(reading) == ["B3 total_amount"]


def test_an_own_column_of_texts_and_numbers_is_kept_as_text(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(
        tmp_path, ["openid", "金额", "工号"], [openid(1), 1, "A7"], [openid(2), 1, 12], [openid(3), 1, None]
    )
    reading = read(path)
    assert [order.own["工号"] for order in reading.orders] == ["A7", "12", ""]
    assert [line.own for line in reading.orders.lines()] == [
        '{"工号":"A7"}',
        '{"工号":"12"}',
        '{"工号":""}',
    ]


def test_openids_of_another_account_are_told_from_those_of_a_long_list(tmp_path: Path) -> None:
    others = {1205: "oELSE_openid_000000000000001", 1206: "nELSE_openid_000000000000001"}
    people = [others.get(row, openid(row)) for row in range(2, 1302)]
    reading = read(csv_file(tmp_path, HEADER, *(f"{person},1" for person in people)))
    assert "begins unlike most others in rows 1205, 1206;" in notes(reading)


def test_people_whose_surplus_waits_are_said(tmp_path: Path) -> None:
    limits = Limits(campaign_fen=10**6, in_doubt_fen=10**6, person_day_packets=2)
    people = (1, 1, 1, 2, 2)
    path = csv_file(tmp_path, HEADER, *(f"{openid(n)},1" for n in people))
    reading = read(path, limits=limits, allow_repeats=True)
    assert len(reading.orders) == 5
    assert "more than 2 packets or ¥1000.00, the limits of one day: 1;" in notes(reading)


# -- number cells


def test_what_a_number_cell_shows_decides(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(
        tmp_path,
        ["openid", "金额"],
        [openid(1), 1.8800000000000001],
        [openid(2), 1.8799999999999999],
        [openid(3), 0.1 + 0.2 + 1],
        [openid(4), 1.885],
        [openid(5), date(2026, 1, 8)],
        [openid(6), True],
    )
    reading = read(path)
    assert paid(reading) == [(2, 188), (3, 188), (4, 130)]
    assert found(reading) == ["B5 total_amount", "B6 total_amount", "B7 total_amount"]


def test_one_and_true_are_not_the_same(tmp_path: Path) -> None:
    """They hash alike in Python, and answers are kept by value."""
    for first, second in ((1, True), (True, 1)):
        path, _, _ = xlsx_file(tmp_path, ["openid", "金额"], [openid(1), first], [openid(2), second])
        reading = read(path)
        assert len(reading.orders) == 1
        assert len(reading.problems) == 1


@pytest.mark.parametrize(
    "number_format",
    ["0%", "0.00%", '"$"#,##0.00', "[$$-409]#,##0.00", '0"万"', "0,", '#,##0.0,"千元"', "[$€-2] 0"],
)
def test_a_format_that_shows_another_sum_is_refused(tmp_path: Path, number_format: str) -> None:
    path, book, sheet = xlsx_file(tmp_path, ["openid", "金额"], [openid(1), 1.88])
    sheet["B2"].number_format = number_format
    book.save(path)
    reading = read(path)
    assert "shows another" in str(reading.problems[0].problem)
    assert found(reading) == ["B2 total_amount"]


@pytest.mark.parametrize(
    "number_format",
    ["General", "0.00", "#,##0.00", '"¥"#,##0.00', "[$¥-804]#,##0.00", '0.00"元"', "0.00_ ;[Red]\\-0.00\\ ",
     '_ "¥"* #,##0.00_ ;_ "¥"* \\-#,##0.00_ ;_ "¥"* "-"??_ ;_ @_ ', "0.0", "@"],
)  # fmt: skip
def test_ordinary_formats_are_fine(tmp_path: Path, number_format: str) -> None:
    path, book, sheet = xlsx_file(tmp_path, ["openid", "金额"], [openid(1), 1.88])
    sheet["B2"].number_format = number_format
    book.save(path)
    assert paid(read(path)) == [(2, 188)]


def test_orders_behave_as_a_sequence(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, *(f"{openid(n)},{n}" for n in range(1, 6)))
    orders = read(path).orders
    assert orders == read(path).orders
    assert orders != orders[1:]
    assert [o.total_amount for o in orders[1:3]] == [200, 300]
    assert orders[-1].total_amount == 500
    assert list(orders) == [orders[i] for i in range(len(orders))]
    assert orders != "orders"


# -- what the corpus taught us


def test_zero_is_never_paid(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, f"{openid(1)},0", f"{openid(2)},0.00元")
    assert found(read(path)) == ["B2 total_amount", "B3 total_amount"]


@pytest.mark.parametrize("written", ["NULL", "null", "NaN", "none", "-", "N/A", "nil"])
def test_a_placeholder_is_no_openid(tmp_path: Path, written: str) -> None:
    reading = read(csv_file(tmp_path, HEADER, f"{written},1", f"{openid(1)},1"))
    assert found(reading) == ["A2 re_openid"]
    assert len(reading.orders) == 1


@pytest.mark.parametrize("name", ["none", "无", "na", "null", "-", "n/a"])
def test_a_campaign_may_be_called_like_a_placeholder(tmp_path: Path, name: str) -> None:
    """In the columns that we wrote it stands for itself, and what the row says is kept; an id is none."""
    tie = Tie(campaign=canonical_campaign_id(name), row_key=openid(1), issue=1)
    header = f"{HEADER},campaign,row_key,issue,check,姓名,祝福语,编号"
    row = f"{openid(1)},1,{tie.campaign},{tie.row_key},1,{tie_check(tie, mch_id=MCH_ID)},{name},{name},{name}"
    reading = read(csv_file(tmp_path, header, row))
    (order,) = reading.orders
    assert (order.tie, order.own, order.wishing) == (tie, {"姓名": name}, name)
    assert (reading.tied_to, reading.key_column) == ({tie.campaign}, "re_openid")
    assert found(read(csv_file(tmp_path, f"{HEADER},编号", f"{openid(1)},1,{name}"))) == ["C2 id"]


def test_a_subtotal_does_not_count_in_the_sum(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, f"{openid(1)},1", "小计,1", f"{openid(2)},2", "合计,3")
    reading = read(path)
    assert found(reading) == ["A3 re_openid"]
    assert "subtotal" in str(reading.problems[0].problem)


def test_a_person_below_the_totals_row_is_not_lost(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, f"{openid(1)},1", "合计,1", f"{openid(2)},")
    reading = read(path)
    assert found(reading) == ["A3 re_openid", "B4 total_amount"]
    assert reading.rows == 3


def test_a_settings_template_is_filled_in_for_each_row(tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"{HEADER},姓名", f"{openid(1)},1,张三", f"{openid(2)},1,李四")
    defaults = PacketDefaults(send_name="a", act_name="a", remark="a", wishing="{姓名},新年快乐")
    assert [o.wishing for o in read(path, defaults=defaults).orders] == ["张三,新年快乐", "李四,新年快乐"]


def test_traditional_headers(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "用戶openid,紅包金額,祝福語,備註", f"{openid(1)},1,好,第一批")
    order = read(path).orders[0]
    assert (order.wishing, order.remark) == ("好", "第一批")


def test_a_text_file_has_no_sheets(tmp_path: Path) -> None:
    with pytest.raises(SheetRejected, match="no sheets"):
        read(csv_file(tmp_path, HEADER, f"{openid(1)},1"), sheet="名单")


def test_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.sheet.textfile.ROWS_MAX", 3)
    assert len(read(csv_file(tmp_path, HEADER, f"{openid(1)},1", f"{openid(2)},1")).orders) == 2
    with pytest.raises(SheetRejected, match="more than 3 rows"):
        read(csv_file(tmp_path, HEADER, *(f"{openid(n)},1" for n in range(3))))


def test_a_large_text_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.sheet.reader.SIZE_MAX", 10)
    with pytest.raises(SheetRejected, match="more than 0 MB"):
        read(csv_file(tmp_path, HEADER, f"{openid(1)},1"))


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = csv_file(tmp_path, HEADER, f"{openid(1)},1")
    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(SheetRejected, match="Permission denied"):
        read(path)


def test_an_empty_workbook_and_an_empty_sheet_of_it(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(tmp_path)
    for name in (None, "名单"):
        with pytest.raises(SheetRejected, match="nothing in it"):
            read(path, sheet=name)


def test_control_characters_in_a_tie_are_an_alteration(tmp_path: Path) -> None:
    path = csv_file(tmp_path, TIED_HEADER, f"{openid(1)},1,lan\x01tern,A,1,XXXXXXXX")
    assert found(read(path)) == ["D2 row_key"]


def test_two_accounts_of_like_size_are_nothing_to_speak_of(tmp_path: Path) -> None:
    people = [f"o{'AB'[n % 2] * 5}{n:022d}" for n in range(20)]
    assert notes(read(csv_file(tmp_path, HEADER, *(f"{person},1" for person in people)))) == ""


def test_orders_and_remarks_about_them_in_few_words(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, *(f" {openid(n)},1" for n in range(1, 9)))
    reading = read(path)
    assert "rows 2, 3, 4, 5, 6 and 3 more" in notes(reading)
    assert repr(reading.orders) == "<8 orders>"


def test_what_is_no_openid_is_not_a_person_who_appears_twice(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, HEADER, f"{openid(1)},1", "小计,1", f"{openid(2)},2", "小计,2", f"{openid(3)},2"
    )
    assert found(read(path)) == ["A3 re_openid", "A5 re_openid"]


def test_a_person_called_sum_is_paid(tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"{HEADER},姓名", f"{openid(1)},1,Sum", f"{openid(2)},2,合计")
    assert paid(read(path)) == [(2, 100), (3, 200)]


def test_total_in_the_column_of_openids_is_a_label(tmp_path: Path) -> None:
    """It has only letters that an openid may have."""
    reading = read(csv_file(tmp_path, HEADER, f"{openid(1)},1", "total,1"))
    assert paid(reading) == [(2, 100)]
    assert "row 3 is the totals row" in notes(reading)


@pytest.mark.parametrize("label", ["total", "Grand Total", "SUM", "subtotal", "小计", "合 计："])
def test_a_total_in_the_middle_is_never_a_person(tmp_path: Path, label: str) -> None:
    reading = read(csv_file(tmp_path, HEADER, f"{openid(1)},1", f"{label},1", f"{openid(2)},2"))
    assert found(reading) == ["A3 re_openid"]
    assert "subtotal" in str(reading.problems[0].problem)
