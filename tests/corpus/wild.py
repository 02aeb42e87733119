"""Spreadsheets as people really make them: ``python -m tests.corpus.wild`` writes ``sample_campaigns/wild``.

Each maker's docstring is the file's story. What the reader makes of a file is in ``tests/golden/wild``.
Those in the old formats are made by LibreOffice and only written where that is installed.
"""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import xlsxwriter
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet.worksheet import Worksheet

from campaign.domain.billno import Tie, tie_check
from tests.corpus.files import MADE_AT, repacked, save
from tests.corpus.samples import SAMPLES

WILD = SAMPLES / "wild"
MCH_ID = "1900000109"
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Wild:
    """One file of the corpus."""

    name: str
    story: str
    make: Callable[[], bytes]
    #: Beyond the ordinary ones, for `ReadOptions`.
    options: dict[str, Any] = field(default_factory=dict)
    needs_libreoffice: bool = False


CORPUS: list[Wild] = []


def wild(
    name: str, *, needs_libreoffice: bool = False, **options: Any
) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """Register a maker."""

    def register(make: Callable[[], bytes]) -> Callable[[], bytes]:
        story = " ".join((make.__doc__ or "").split())
        CORPUS.append(Wild(name, story, make, options, needs_libreoffice))
        return make

    return register


def o(number: int) -> str:
    """An openid that is nobody's."""
    return f"oFAKE_wild_{number:017d}"


PEOPLE: Rows = [(o(1), 1.88, "王伟"), (o(2), 8.88, "李娜"), (o(3), 66, "张敏")]
HEADER = ("用户openid", "金额(元)", "姓名")


def book(*rows: Sequence[Any], title: str = "名单") -> tuple[Workbook, Worksheet]:
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    return workbook, sheet


def packed(workbook: Workbook) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.xlsx"
        save(workbook, path)
        return path.read_bytes()


def plain(*rows: Sequence[Any]) -> bytes:
    return packed(book(*rows)[0])


def calculated(write: Callable[[Any, Any], None]) -> bytes:
    """A workbook whose formulas have stored results, which openpyxl does not write."""
    buffer = io.BytesIO()
    workbook = xlsxwriter.Workbook(buffer, {"in_memory": True})
    workbook.set_properties({"created": MADE_AT})
    write(workbook, workbook.add_worksheet("名单"))
    workbook.close()
    return repacked(buffer.getvalue())


def lines(*rows: str, end: str = "\r\n", encoding: str = "utf-8") -> bytes:
    return (end.join(rows) + end).encode(encoding)


def converted(workbook: bytes, suffix: str) -> bytes:
    """The same workbook in another format, by LibreOffice."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "book.xlsx"
        source.write_bytes(workbook)
        profile = f"-env:UserInstallation=file://{folder}/profile"
        subprocess.run(
            ["soffice", profile, "--headless", "--convert-to", suffix, "--outdir", folder, str(source)],
            check=True,
            capture_output=True,
            timeout=120,
        )
        return source.with_suffix(f".{suffix}").read_bytes()


# -- structure


@wild("title_rows.xlsx")
def title_rows() -> bytes:
    """A merged title, a line with the date and an empty row stand above the header."""
    workbook, sheet = book(["2026年元宵节红包发放名单"], ["制表日期：2026-02-20"], [], HEADER, *PEOPLE)
    sheet.merge_cells("A1:C1")
    sheet["A1"].font = Font(size=16, bold=True)
    sheet["A1"].alignment = Alignment(horizontal="center")
    return packed(workbook)


@wild("totals_right.xlsx")
def totals_right() -> bytes:
    """A totals row with a formula whose stored result is the sum."""

    def write(_: Any, sheet: Any) -> None:
        for number, row in enumerate([HEADER, *PEOPLE]):
            sheet.write_row(number, 0, row)
        sheet.write(4, 0, "合计")
        sheet.write_formula(4, 1, "=SUM(B2:B4)", None, 76.76)

    return calculated(write)


@wild("totals_wrong.xlsx")
def totals_wrong() -> bytes:
    """Somebody typed the total, and it is not the sum: money is missing somewhere."""
    return plain(HEADER, *PEOPLE, ("总计：", 80, ""))


@wild("totals_not_calculated.xlsx")
def totals_not_calculated() -> bytes:
    """The totals formula was written by a program and never calculated."""
    return plain(HEADER, *PEOPLE, ("合计", "=SUM(B2:B4)", ""))


@wild("signatures_below.xlsx")
def signatures_below() -> bytes:
    """Below the totals people sign: prepared by, approved by."""
    return plain(HEADER, *PEOPLE, ("合计", 76.76, ""), (), ("制表：王小明", "", "审核：李主任"))


@wild("subtotals_inside.xlsx")
def subtotals_inside() -> bytes:
    """Each shop has its subtotal in the middle of the list."""
    return plain(HEADER, PEOPLE[0], ("小计", 1.88, "福田店"), *PEOPLE[1:], ("合计", 76.76, ""))


@wild("gaps.xlsx")
def gaps() -> bytes:
    """The list begins in C4, with an empty column and empty rows in it."""
    workbook, sheet = book()
    for row, (openid, yuan, name) in zip((4, 5, 7, 10), [HEADER, *PEOPLE], strict=True):
        sheet[f"C{row}"], sheet[f"E{row}"], sheet[f"F{row}"] = openid, yuan, name
    sheet["C8"] = "\u3000"
    return packed(workbook)


@wild("two_headers.xlsx")
def two_headers() -> bytes:
    """Two lists were pasted below each other, each with its header."""
    return plain(HEADER, PEOPLE[0], HEADER, *PEOPLE[1:])


@wild("header_of_two_lines.xlsx")
def header_of_two_lines() -> bytes:
    """Headers with line breaks, stars for required columns, and wide brackets."""
    return plain(("＊用户\nOpenID", "＊红包金额\n（单位：元）", "姓名"), *PEOPLE)


@wild("no_header.xlsx")
def no_header() -> bytes:
    """A list without any header."""
    return plain(*PEOPLE)


@wild("several_sheets.xlsx")
def several_sheets() -> bytes:
    """Instructions first, then the list; last year's list is hidden."""
    workbook, _ = book(["请在“名单”中填写，谢谢！"], title="填写说明")
    people = workbook.create_sheet("名单")
    old = workbook.create_sheet("去年")
    old.sheet_state = "hidden"
    for row in (HEADER, *PEOPLE):
        people.append(row)
        old.append(row)
    return packed(workbook)


def _two_lists() -> bytes:
    workbook, _ = book(HEADER, *PEOPLE, title="福田店")
    other = workbook.create_sheet("南山店")
    other.append(HEADER)
    other.append((o(9), 2.66, "刘静"))
    return packed(workbook)


@wild("two_lists.xlsx")
def two_lists() -> bytes:
    """Two shops, each with a list on its own sheet: which one is meant?"""
    return _two_lists()


@wild("two_lists_one_named.xlsx", sheet="南山店")
def two_lists_one_named() -> bytes:
    """The same, and the operator names the sheet."""
    return _two_lists()


@wild("two_lists_wrong_name.xlsx", sheet="罗湖店")
def two_lists_wrong_name() -> bytes:
    """The operator names a sheet that does not exist."""
    return _two_lists()


@wild("hidden_sheet_only.xlsx")
def hidden_sheet_only() -> bytes:
    """The only list is on a hidden sheet."""
    workbook, _ = book(["封面"], title="封面")
    hidden = workbook.create_sheet("名单")
    hidden.sheet_state = "veryHidden"
    for row in (HEADER, *PEOPLE):
        hidden.append(row)
    return packed(workbook)


def _filtered() -> bytes:
    workbook, sheet = book(HEADER, *PEOPLE, (o(4), 5.2, "刘静"))
    sheet.auto_filter.ref = "A1:C5"
    sheet.auto_filter.add_filter_column(2, ["王伟", "刘静"])
    for row in (3, 4):
        sheet.row_dimensions[row].hidden = True
    return packed(workbook)


@wild("filtered.xlsx")
def filtered() -> bytes:
    """A filter hides two rows: they are left out, and that is said."""
    return _filtered()


@wild("filtered_included.xlsx", include_hidden=True)
def filtered_included() -> bytes:
    """The same, and the operator wants the hidden rows too."""
    return _filtered()


@wild("filtered_total.xlsx")
def filtered_total() -> bytes:
    """The total is that of the visible rows only, as SUBTOTAL counts."""
    workbook, sheet = book(HEADER, *PEOPLE, ("合计", 67.88, ""))
    sheet.row_dimensions[3].hidden = True
    return packed(workbook)


@wild("hidden_column.xlsx")
def hidden_column() -> bytes:
    """The column with the greetings is hidden, and people might not know what they send."""
    workbook, sheet = book((*HEADER, "祝福语"), *((*row, "去年的祝福") for row in PEOPLE))
    sheet.column_dimensions["D"].hidden = True
    return packed(workbook)


@wild("merged_amounts.xlsx")
def merged_amounts() -> bytes:
    """One merged amount for two people: each of them, or both together?"""
    workbook, sheet = book(HEADER, *PEOPLE)
    sheet.merge_cells("B2:B3")
    return packed(workbook)


@wild("stray_cell.xlsx")
def stray_cell() -> bytes:
    """A blank typed in the last cell of the sheet: to be refused, not to fill the memory."""
    workbook, sheet = book(HEADER, *PEOPLE)
    sheet["XFD1048576"] = " "
    return packed(workbook)


@wild("columns_without_header.xlsx")
def columns_without_header() -> bytes:
    """Somebody made notes beside the list."""
    return plain(HEADER, *((*row, "", "已联系") for row in PEOPLE))


# -- columns


@wild("amounts_in_fen.xlsx")
def amounts_in_fen() -> bytes:
    """Amounts in fen, as the header says."""
    return plain(
        ("openid", "金额(分)", "姓名"), (o(1), 188, "王伟"), (o(2), "888分", "李娜"), (o(3), "6元", "张敏")
    )


@wild("yuan_and_fen.xlsx")
def yuan_and_fen() -> bytes:
    """One column in yuan and one in fen: which one counts?"""
    return plain(("openid", "amount", "total_amount"), (o(1), 1.88, 188))


@wild("unit_not_clear.xlsx")
def unit_not_clear() -> bytes:
    """Amounts in ten thousands of yuan are no amounts of red packets."""
    return plain(("openid", "金额(万元)"), (o(1), 0.0188))


@wild("columns_by_settings.xlsx", columns={"奖金": "amount_yuan", "会员号": "re_openid", "备注": "ignore"})
def columns_by_settings() -> bytes:
    """Headers that only the settings know; 备注 is the operator's own note, not to be sent."""
    return plain(("会员号", "奖金", "备注"), *((openid, yuan, "难缠") for openid, yuan, _ in PEOPLE))


@wild("every_column.xlsx")
def every_column() -> bytes:
    """Every field that a row may have, in English and Chinese, and two own columns of one name."""
    return plain(
        (
            "编号",
            "openid",
            "amount",
            "祝福语",
            "remark",
            "活动名称",
            "send_name",
            "场景",
            "risk_info",
            "店",
            "店",
        ),
        (
            "A1",
            o(1),
            0.5,
            "元宵快乐",
            "一批",
            "灯谜",
            "天虹",
            "抽奖",
            "posttime=1&clientversion=2",
            "福田",
            "一",
        ),
        ("A2", o(2), 500, "", "", "", "", "product_1", "", "南山", "二"),
    )


@wild("other_kinds.xlsx")
def other_kinds() -> bytes:
    """Rows that ask for group and mini-program packets; VIP is the operator's own word."""
    return plain(
        (*HEADER, "类型", "total_num"),
        (*PEOPLE[0], "VIP", 1),
        (*PEOPLE[1], "裂变红包", 5),
        (*PEOPLE[2], "小程序红包", 1),
    )


# -- cells


@wild("numbers_as_text.xlsx")
def numbers_as_text() -> bytes:
    """Amounts copied from a chat: text, full-width, with currency and blanks."""
    cells = ("1.88", "１．８８", " 1.88\u3000", "￥1.88", "1.88元", "'1.88", "\u200b8.88", "RMB 6.66")
    return plain(HEADER, *((o(n), cell, "") for n, cell in enumerate(cells, 1)))


@wild("large_amounts.xlsx")
def large_amounts() -> bytes:
    """Thousands separators, right and wrong, with the scene that such amounts need."""
    cells = ("￥1,888.00", "1,88", "18,88.00", "1.888,00", "4,999", 5000, "1，888")
    return plain(("openid", "金额", "场景"), *((o(n), cell, "PRODUCT_4") for n, cell in enumerate(cells, 1)))


@wild("binary_dust.xlsx")
def binary_dust() -> bytes:
    """Results of calculations: what the cell shows decides, and hidden fractions of a fen are refused."""

    def write(workbook: Any, sheet: Any) -> None:
        two_places = workbook.add_format({"num_format": "0.00"})
        sheet.write_row(0, 0, HEADER)
        values = (1.8800000000000001, 1.8799999999999999, 4.35, 33.333333333333336, 1.1 * 3, 100 / 3)
        for row, value in enumerate(values, 1):
            sheet.write(row, 0, o(row))
            sheet.write_formula(row, 1, f"={value!r}", two_places, value)

    return calculated(write)


@wild("misleading_formats.xlsx")
def misleading_formats() -> bytes:
    """Cells that show another sum than they hold: percent, dollars, ten thousands, thousands cut off."""
    formats = ("0%", '"$"#,##0.00', '0.00"万"', "0.0,", '"¥"#,##0.00', "#,##0.00_ ", '0.00"元"')
    workbook, sheet = book(HEADER, *((o(n), 8.88, f) for n, f in enumerate(formats, 1)))
    for row, number_format in enumerate(formats, 2):
        sheet[f"B{row}"].number_format = number_format
    return packed(workbook)


@wild("dates_for_amounts.xlsx")
def dates_for_amounts() -> bytes:
    """1.8 became the eighth of January; TRUE, a time and Chinese numerals stand where amounts should."""
    cells: list[Any] = [date(2026, 1, 8), True, "1月8日", "八元八", "壹", -1.88, "(1.88)", "$8", "1E2", 0]
    return plain(HEADER, *((o(n), cell, "") for n, cell in enumerate(cells, 1)))


@wild("formulas_without_results.xlsx")
def formulas_without_results() -> bytes:
    """Written by a program and never opened in Excel: no formula has a result."""
    return plain(
        (*HEADER, "祝福语"), (o(1), "=1+1", "王伟", ""), (o(2), 2, "李娜", '=C3&"好"'), (*PEOPLE[2], "")
    )


@wild("formulas_with_results.xlsx")
def formulas_with_results() -> bytes:
    """Formulas that Excel calculated, one of them with an error, one error in a greeting."""

    def write(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, (*HEADER, "祝福语"))
        for row in (1, 2, 3):
            sheet.write(row, 0, o(row))
        sheet.write_formula(1, 1, "=0.94*2", None, 1.88)
        sheet.write_formula(1, 3, '="祝"&C2', None, "祝好")
        sheet.write_formula(2, 1, "=VLOOKUP(1,A:A,1)", None, "#N/A")
        sheet.write(3, 1, 2)
        sheet.write_formula(3, 3, "=C4/0", None, "#DIV/0!")

    return calculated(write)


@wild("long_numbers.xlsx")
def long_numbers() -> bytes:
    """Order numbers of 18 digits stored as numbers have lost their last ones; as text they are whole."""
    numbers = (202602200000000017, "202602200000000025", 20260220, "2.0260220E+17")
    rows = ((number, o(n), 1.88) for n, number in enumerate(numbers, 1))
    return plain(("业务单号", "openid", "金额"), *rows)


@wild("placeholders.xlsx")
def placeholders() -> bytes:
    """NA, null and dashes: no value for an openid or amount, but a greeting is sent as it stands."""
    return plain(
        (*HEADER, "祝福语"),
        ("NULL", 1.88, "", ""),
        (o(2), "-", "", ""),
        (o(3), "N/A", "", ""),
        (o(4), 1.88, "", "NA"),
        (o(5), 1.88, "", "-"),
    )


@wild("emoji_and_rare_names.xlsx")
def emoji_and_rare_names() -> bytes:
    """Characters beyond the BMP: a name with 𠮷, a red envelope, mathematical digits, an emoji."""
    wishes = ("𠮷先生好", "恭喜发财🧧", "𝟖𝟖大发", "笑口常开😀", "❤平安")
    return plain((*HEADER, "祝福语"), *((o(n), 1.88, "", wish) for n, wish in enumerate(wishes, 1)))


@wild("line_breaks.xlsx")
def line_breaks() -> bytes:
    """Alt+Enter in a greeting, a tab, a zero-width blank inside an openid, blanks around."""
    return plain(
        (*HEADER, "祝福语"),
        (o(1), 1.88, "", "元宵快乐\n阖家团圆"),
        (o(2), 1.88, "", "元宵\t快乐"),
        (o(3)[:9] + "\u200b" + o(3)[9:], 1.88, "", ""),
        (f"\u00a0{o(4)}\u3000", 1.88, "", " 元宵快乐 "),
        (f"{o(5)}\n", 1.88, "", "元宵快乐\n"),
    )


@wild("long_wishes.xlsx")
def long_wishes() -> bytes:
    """42 characters fit, 43 do not: WeChat counts bytes."""
    return plain(
        (*HEADER, "祝福语", "商户名称"),
        (o(1), 1.88, "", "福" * 42, ""),
        (o(2), 1.88, "", "福" * 43, ""),
        (o(3), 1.88, "", "", "天虹百货南山旗舰店一号"),
    )


@wild("openids_of_odd_shape.xlsx")
def openids_of_odd_shape() -> bytes:
    """Cut, lower-cased, too long, a phone number, full-width letters, a name."""
    odd = (
        o(1)[:-3],
        o(2).lower(),
        o(3) + o(4),
        "13800138000",
        "ｏＦＡＫＥ＿ｗｉｌｄ＿０００００００００００００００００５",
        "王伟",
        o(6),
    )
    return plain(HEADER, *((openid, 1.88, "") for openid in odd))


@wild("two_accounts.xlsx")
def two_accounts() -> bytes:
    """Two of twelve openids begin like those of another official account."""
    others = [("oOTHER_account_0000000000001", 1.88, "甲"), ("oOTHER_account_0000000000002", 1.88, "乙")]
    return plain(HEADER, *((o(n), 1.88, "") for n in range(1, 11)), *others)


@wild("rich_text.xlsx")
def rich_text() -> bytes:
    """A greeting of which one word is red, as rich text."""

    def write(workbook: Any, sheet: Any) -> None:
        red = workbook.add_format({"color": "red"})
        sheet.write_row(0, 0, (*HEADER, "祝福语"))
        sheet.write_row(1, 0, PEOPLE[0])
        sheet.write_rich_string(1, 3, "元宵", red, "快乐", "!")

    return calculated(write)


@wild("templates.xlsx")
def templates() -> bytes:
    """Greetings with the name filled in; one becomes too long, one has no name to fill in."""
    wish = "{姓名},元宵快乐!"
    names = ("王伟", "", "阿卜杜" * 14)
    return plain((*HEADER, "祝福语"), *((o(n), 1.88, name, wish) for n, name in enumerate(names, 1)))


@wild("template_mistakes.xlsx")
def template_mistakes() -> bytes:
    """Braces around a column that does not exist, a lone brace, an empty pair."""
    wishes = ("{名字}好", "{姓名好", "好}", "{}", "{ 姓名 },好")
    return plain((*HEADER, "祝福语"), *((o(n), 1.88, "王伟", wish) for n, wish in enumerate(wishes, 1)))


# -- people


@wild("same_person_twice.xlsx")
def same_person_twice() -> bytes:
    """A row was pasted twice, once with a blank behind the openid."""
    return plain(HEADER, *PEOPLE, (f"{o(1)} ", 1.88, "王伟"))


@wild("same_person_with_ids.xlsx")
def same_person_with_ids() -> bytes:
    """One person wins twice, and every win has its number."""
    return plain(("业务单号", *HEADER), *((f"LW-{n}", *row) for n, row in enumerate((*PEOPLE, PEOPLE[0]), 1)))


@wild("same_id_twice.xlsx")
def same_id_twice() -> bytes:
    """Two rows share a number, one has none."""
    return plain(
        ("业务单号", *HEADER), *((row_id, *row) for row_id, row in zip((7, "7", ""), PEOPLE, strict=True))
    )


@wild("repeats_allowed.xlsx", allow_repeats=True)
def repeats_allowed() -> bytes:
    """One person three times, the second row wrong: the third keeps its ordinal."""
    return plain(HEADER, PEOPLE[0], (o(1), "?", "王伟"), PEOPLE[1], (o(1), 2.66, "王伟"))


@wild("fix_sheet.xlsx")
def fix_sheet() -> bytes:
    """A sheet that we wrote: the second row's key was altered, the third row was added by hand."""
    rows = []
    for number, (openid, yuan, name) in enumerate(PEOPLE, 1):
        tie = Tie(campaign="lantern", row_key=openid, issue=number)
        rows.append([openid, yuan, name, tie.campaign, tie.row_key, tie.issue, tie_check(tie, mch_id=MCH_ID)])
    rows[1][4] = o(7)
    rows[2][3:] = ["", "", "", ""]
    return plain((*HEADER, "campaign", "row_key", "issue", "check"), *rows)


@wild("fix_sheet_without_check.xlsx")
def fix_sheet_without_check() -> bytes:
    """A sheet that we wrote, from which the column check was deleted."""
    return plain((*HEADER, "campaign", "row_key", "issue"), *((*row, "lantern", row[0], 1) for row in PEOPLE))


# -- formats


@wild("macros.xlsm")
def macros() -> bytes:
    """A workbook with macros."""
    workbook = plain(HEADER, *PEOPLE)
    types = _part(workbook, "[Content_Types].xml").replace(
        b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        b"application/vnd.ms-excel.sheet.macroEnabled.main+xml",
    )
    return repacked(workbook, {"[Content_Types].xml": types})


@wild("prefixed_xml.xlsx")
def prefixed_xml() -> bytes:
    """Written by a .NET library: every element has a prefix, a row is hidden, texts stand inline."""

    def cell(place: str, value: Any) -> str:
        if isinstance(value, str):
            return f'<x:c r="{place}" t="inlineStr"><x:is><x:t>{value}</x:t></x:is></x:c>'
        return f'<x:c r="{place}"><x:v>{value}</x:v></x:c>'

    rows = "".join(
        f'<x:row r="{number}"{" hidden=" + chr(34) + "1" + chr(34) if number == 3 else ""}>'
        + "".join(cell(f"{letter}{number}", value) for letter, value in zip("ABC", row, strict=True))
        + "</x:row>"
        for number, row in enumerate([HEADER, *PEOPLE], 1)
    )
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = (
        f'<?xml version="1.0"?><x:worksheet xmlns:x="{space}"><x:sheetData>{rows}</x:sheetData></x:worksheet>'
    )
    return repacked(plain(HEADER), {"xl/worksheets/sheet1.xml": sheet.encode()})


def _part(package: bytes, name: str) -> bytes:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(package)) as parts:
        return parts.read(name)


@wild("renamed_xlsx.xls")
def renamed_xlsx() -> bytes:
    """An .xlsx that somebody renamed to .xls."""
    return plain(HEADER, *PEOPLE)


@wild("web_page.xls")
def web_page() -> bytes:
    """An export that is a web page under the name of a spreadsheet."""
    return lines("<html><body><table>", "<tr><td>openid</td><td>金额</td></tr>", "</table></body></html>")


@wild("crm_export.xls")
def crm_export() -> bytes:
    """An export that is tab-separated text in GBK under the name of a spreadsheet."""
    return lines(
        "客户姓名\t用户openid\t红包金额\t祝福语",
        *(f"{name}\t{openid}\t{yuan}\t祝您元宵节快乐" for openid, yuan, name in PEOPLE),
        encoding="gbk",
    )


CSV = ("openid,金额(元),姓名", *(f"{openid},{yuan},{name}" for openid, yuan, name in PEOPLE))


@wild("utf8.csv")
def utf8() -> bytes:
    """UTF-8 with Unix line ends and without a byte order mark."""
    return lines(*CSV, end="\n")


@wild("utf8_bom.csv")
def utf8_bom() -> bytes:
    """As Excel saves "CSV UTF-8"."""
    return lines(*CSV, encoding="utf-8-sig")


@wild("utf16.csv")
def utf16() -> bytes:
    """As Excel saves "Unicode text": UTF-16 with tabs."""
    return "\ufeff".encode("utf-16-le") + lines(
        *(line.replace(",", "\t") for line in CSV), encoding="utf-16-le"
    )


@wild("gbk.csv")
def gbk() -> bytes:
    """As Excel in China saves CSV."""
    return lines(*CSV, encoding="gbk")


@wild("gb18030_rare_name.csv")
def gb18030_rare_name() -> bytes:
    """GB18030 with a character that GBK lacks, in the operator's own column."""
    return lines(*CSV, f"{o(4)},1.88,䶮先生", encoding="gb18030")


@wild("big5.csv")
def big5() -> bytes:
    """From a colleague in Taiwan."""
    rows = ("openid,金額,姓名,祝福語", *(f"{o(n)},{n}.88,陳小姐,祝您元宵節快樂闔家平安" for n in (1, 2, 3)))
    return lines(*rows, encoding="big5")


@wild("semicolons.csv")
def semicolons() -> bytes:
    """Semicolons between the cells, a comma inside a greeting."""
    return lines("openid;金额;祝福语", f"{o(1)};1.88;快乐,平安", f"{o(2)};8.88;")


@wild("sep_line.csv")
def sep_line() -> bytes:
    """Excel's own sep= line, which it does not count as a row."""
    return lines("sep=|", "openid|金额", f"{o(1)}|1.88", f"{o(2)}|x")


@wild("quoted.csv")
def quoted() -> bytes:
    """Quoted cells with commas, quotes and line breaks in the operator's own column."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerows(
        [("openid", "金额", "说明"), (o(1), "1,888.00", '他说"好",\n就这样'), (o(2), "1.88", "")]
    )
    return buffer.getvalue().encode()


@wild("comma_in_amount.csv")
def comma_in_amount() -> bytes:
    """1,888.00 without quotes: never one yuan."""
    return lines("openid,金额,姓名", f"{o(1)},1,888.00,王伟", f"{o(2)},1.88,李娜")


@wild("lost_quote.csv")
def lost_quote() -> bytes:
    """A quotation mark that never closes would swallow the rows below it."""
    return lines("openid,金额,姓名", f'{o(1)},1.88,"王伟', f"{o(2)},1.88,李娜", f"{o(3)},1.88,张敏")


@wild("old_mac.csv")
def old_mac() -> bytes:
    """Line ends of an old Macintosh."""
    return lines(*CSV, end="\r")


@wild("only_header.csv")
def only_header() -> bytes:
    """A header and nobody below it."""
    return lines("openid,金额", "", ",")


@wild("photo.csv")
def photo() -> bytes:
    """A picture under the name of a list."""
    return b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4


@wild("old_excel.xls", needs_libreoffice=True)
def old_excel() -> bytes:
    """Excel 97, with a hidden row, a percent format and a formula error."""
    rows = (
        *((*row, 1, 2) for row in PEOPLE),
        (o(4), 2, "刘静", 1, 2),
        (o(5), "=1/0", "陈丽"),
        (3, 2, "何洋"),
    )
    workbook, sheet = book((*HEADER, "甲", "乙"), *rows)
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["D"].hidden = True
    sheet["B5"].number_format = "0.00%"
    sheet["A7"].number_format = sheet["B7"].number_format = "0%"
    return converted(packed(workbook), "xls")


@wild("wps.et", needs_libreoffice=True)
def wps() -> bytes:
    """WPS's own suffix; inside it is an Excel 97 file."""
    return converted(plain(HEADER, *PEOPLE), "xls")


@wild("libreoffice.ods", needs_libreoffice=True)
def libreoffice() -> bytes:
    """OpenDocument, with a filtered row, dollars and a hidden sheet."""
    workbook, sheet = book(HEADER, *PEOPLE, (o(4), 2, "刘静"))
    sheet.row_dimensions[3].hidden = True
    sheet["B5"].number_format = "[$$-409]#,##0.00"
    hidden = workbook.create_sheet("去年")
    hidden.sheet_state = "hidden"
    hidden.append(HEADER)
    hidden.append(PEOPLE[0])
    return converted(packed(workbook), "ods")


@wild("struck_through.xlsx")
def struck_through() -> bytes:
    """A row is struck through and another one grey: colours say nothing, but is the first to be paid?"""
    workbook, sheet = book(HEADER, *PEOPLE)
    sheet["A3"].font = sheet["B3"].font = Font(strike=True)
    sheet["A4"].fill = PatternFill("solid", fgColor="808080")
    return packed(workbook)


def write_corpus(folder: Path, *, with_libreoffice: bool) -> None:
    """Write every file that can be made here."""
    folder.mkdir(parents=True, exist_ok=True)
    stories = ["# Spreadsheets as people really make them", "", "| file | story |", "| --- | --- |"]
    for sample in CORPUS:
        stories.append(f"| `{sample.name}` | {sample.story} |")
        if with_libreoffice or not sample.needs_libreoffice:
            (folder / sample.name).write_bytes(sample.make())
    (folder / "README.md").write_text("\n".join(stories) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_corpus(WILD, with_libreoffice=shutil.which("soffice") is not None)
