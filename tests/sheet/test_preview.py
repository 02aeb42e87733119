"""The first packets, drawn in the annotated workbook: readable, replaced by the next, never a list to pay."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from openpyxl.drawing.image import Image
from PIL import Image as Picture

from campaign.sheet import read_sheet
from campaign.sheet.annotate import CELLS_KEPT_MAX
from campaign.stages.annotate import Annotated, Annotating, annotate_check
from tests.sheet.sheets import csv_file, openid, options, xlsx_file

NAME = "campaign · preview"
HEADER = ["openid", "金额", "祝福语", "姓名"]


@pytest.fixture
def mark(tmp_path: Path) -> Callable[..., tuple[Path, Annotated]]:
    """`check --annotate` of a sheet."""

    def run(sheet: Path, out: str = "marked.xlsx") -> tuple[Path, Annotated]:
        job = Annotating(
            sheet=sheet,
            options=options(),
            campaign="lantern",
            out=tmp_path / out,
            fix=tmp_path / f"fix-{out}",
            say=str,
        )
        return job.out, annotate_check(job, read_sheet(sheet, job.options))

    return run


def words(path: Path) -> list[str]:
    sheet = openpyxl.load_workbook(path)[NAME]
    return [str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value]


def list_of_three(folder: Path) -> Path:
    return xlsx_file(
        folder,
        HEADER,
        [openid(1), 1.88, "{姓名},新年快乐", "王芳"],
        [openid(2), 8.88, "马到成功", "李伟"],
        [openid(3), 6.66, "{姓名},新年快乐", "张敏"],
    )[0]


def test_each_card_says_sender_greeting_yuan_and_activity(tmp_path: Path, mark) -> None:
    """Greetings are filled in."""
    out, _ = mark(list_of_three(tmp_path))
    assert words(out)[1:] == [
        *("天虹百货", "天虹百货", "天虹百货"),
        *("王芳,新年快乐", "马到成功", "张敏,新年快乐"),
        *("1.88 yuan", "8.88 yuan", "6.66 yuan"),
        *("猜灯谜", "猜灯谜", "猜灯谜"),
        *("row 2", "row 3", "row 4"),
    ]


def test_a_card_is_red_with_gold_letters(tmp_path: Path, mark) -> None:
    out, _ = mark(list_of_three(tmp_path))
    wish = openpyxl.load_workbook(out)[NAME]["B3"]
    assert (wish.fill.fgColor.rgb, wish.font.color.rgb) == ("00D85940", "00FCE3B4")


def test_packets_that_look_alike_are_drawn_once_and_six_at_most(tmp_path: Path, mark) -> None:
    rows = [[openid(n), 1, f"第{max(n, 3)}号", ""] for n in range(1, 20)]
    out, _ = mark(xlsx_file(tmp_path, HEADER, *rows)[0])
    captions = [said for said in words(out) if said.startswith("row ")]
    assert captions == ["row 2", "row 5", "row 6", "row 7", "row 8", "row 9"]


def test_a_sheet_of_which_nothing_can_be_paid_has_none(tmp_path: Path, mark) -> None:
    out, _ = mark(xlsx_file(tmp_path, HEADER, [openid(1), 0.01, "好", ""])[0])
    assert NAME not in openpyxl.load_workbook(out).sheetnames


def test_a_copy_that_is_marked_again_has_one_preview_and_may_still_be_run(tmp_path: Path, mark) -> None:
    first, _ = mark(list_of_three(tmp_path))
    second, _ = mark(first, out="again.xlsx")
    assert openpyxl.load_workbook(second).sheetnames == ["名单", NAME]
    assert len(read_sheet(second, options()).orders) == 3


def test_a_plain_copy_has_the_same_cards(tmp_path: Path, mark, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = mark(list_of_three(tmp_path))
    assert CELLS_KEPT_MAX > 100
    monkeypatch.setattr("campaign.sheet.annotate.CELLS_KEPT_MAX", 1)
    plain, _ = mark(list_of_three(tmp_path), out="plain.xlsx")
    assert words(plain) == words(whole)


def test_a_text_file_gets_one_too(tmp_path: Path, mark) -> None:
    """What begins with = stays what it is: no formula."""
    out, _ = mark(csv_file(tmp_path, "openid,金额,祝福语", f"{openid(1)},1.88,=1+1"))
    assert "=1+1" in words(out)
    assert openpyxl.load_workbook(out)[NAME]["B3"].data_type == "s"


def test_pictures_of_the_operators_workbook_are_kept(tmp_path: Path, mark) -> None:
    """Nothing is said of them then; the pixels are the same."""
    path, book, sheet = xlsx_file(tmp_path, HEADER, [openid(1), 1.88, "好", "王"])
    buffer = io.BytesIO()
    Picture.new("RGB", (40, 20), "#D85940").save(buffer, "PNG")
    sheet.add_image(Image(buffer), "G2")
    book.save(path)
    out, annotated = mark(path)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out) as after:
        (was,), (now,) = (
            [package.read(n) for n in package.namelist() if n.startswith("xl/media/")]
            for package in (before, after)
        )
    assert Picture.open(io.BytesIO(now)).tobytes() == Picture.open(io.BytesIO(was)).tobytes()
    assert annotated.notes == ()
