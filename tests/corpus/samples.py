"""The sample campaigns that a newcomer runs first: ``python -m tests.corpus.samples`` writes them."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.worksheet.worksheet import Worksheet

from tests.corpus.files import save

SAMPLES = Path(__file__).parents[2] / "sample_campaigns"

HEADERS = ("用户openid", "金额(元)", "祝福语", "姓名", "门店")
_WIDTHS = (34, 12, 34, 10, 14)
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"
_GIVEN = (
    "伟",
    "秀英",
    "娜",
    "敏",
    "静",
    "丽",
    "强",
    "磊",
    "洋",
    "艳",
    "勇",
    "军",
    "杰",
    "娟",
    "涛",
    "明",
    "超",
    "秀兰",
    "霞",
    "平",
)
_SHOPS = ("福田店", "南山店", "罗湖店", "宝安店")
_WISHES = ("元宵节快乐,阖家团圆!", "灯谜全中,好运连连!", "月圆人圆事事圆!", "")
_YUAN = (1.00, 1.88, 2.66, 5.20, 6.66, 8.88, 18.88)

Row = tuple[str, float | str, str, str, str]


def openid(number: int) -> str:
    """Twenty-eight characters like an openid, and plainly nobody's."""
    return f"oFAKE_lantern_{number:014d}"


def lantern_rows() -> list[Row]:
    """Forty people of four shops; an empty greeting takes the settings'."""
    chance = random.Random(20260303)  # the Lantern Festival of 2026
    return [
        (
            openid(number),
            chance.choice(_YUAN),
            chance.choice(_WISHES),
            chance.choice(_SURNAMES) + chance.choice(_GIVEN),
            _SHOPS[number % len(_SHOPS)],
        )
        for number in range(1, 41)
    ]


def problem_rows() -> list[Row]:
    """Ordinary mistakes, one a row; the first row and the last are right."""
    return [
        (openid(1), 1.88, "元宵节快乐!", "王伟", "福田店"),
        ("", 1.88, "元宵节快乐!", "李娜", "福田店"),
        (openid(3) + "。", 1.88, "元宵节快乐!", "张敏", "福田店"),
        (openid(4), "", "元宵节快乐!", "刘静", "福田店"),
        (openid(5), "八元八", "元宵节快乐!", "陈丽", "南山店"),
        (openid(6), 0.88, "元宵节快乐!", "杨强", "南山店"),
        (openid(7), 888, "元宵节快乐!", "黄磊", "南山店"),
        (openid(8), 1.885, "元宵节快乐!", "赵洋", "罗湖店"),
        (openid(9), 1.88, "元宵节快乐🧧", "吴艳", "罗湖店"),
        (openid(10), 1.88, "祝您和家人元宵节快乐、" * 5, "周勇", "罗湖店"),
        (openid(11), 1.88, "元宵节快乐!\n阖家团圆!", "徐军", "宝安店"),
        (openid(12), 1.88, "元宵节快乐!", "孙杰", "宝安店"),
        (openid(12), 8.88, "元宵节快乐!", "孙杰", "宝安店"),
        (openid(14), "￥2.66元", "元宵节快乐!", "马娟", "宝安店"),
    ]


def write_sheet(sheet: Worksheet, headers: tuple[str, ...], rows: list[Row]) -> None:
    """A tidy sheet: bold header that stays in view, borders, widths that fit Chinese."""
    line = Side(style="thin", color="D9D9D9")
    sheet.append(headers)
    for row in rows:
        sheet.append(row)
    for column, width in zip(sheet.columns, _WIDTHS, strict=True):
        sheet.column_dimensions[column[0].column_letter].width = width
        for cell in column:
            cell.border = Border(line, line, line, line)
            cell.alignment = Alignment(vertical="center")
    for cell in sheet[1]:
        cell.font = Font(bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", fgColor="C00000")
    for cell in sheet["B"][1:]:
        cell.number_format = "0.00"
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions


def write_workbook(path: Path, title: str, rows: list[Row]) -> None:
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = title
    write_sheet(sheet, HEADERS, rows)
    save(book, path)


def write_samples(folder: Path) -> None:
    """Write every sample into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_workbook(folder / "lantern.xlsx", "元宵节名单", lantern_rows())
    write_workbook(folder / "problems.xlsx", "有问题的名单", problem_rows())
    with (folder / "lantern.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADERS)
        writer.writerows((o, f"{yuan:.2f}", *rest) for o, yuan, *rest in lantern_rows())


if __name__ == "__main__":
    write_samples(SAMPLES)
