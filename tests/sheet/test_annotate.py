"""The operator's own workbook back: as it was, with columns on the right, colours and comments."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import zipfile
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from openpyxl.comments import Comment

from campaign.cli.check import fix_path
from campaign.errors import SheetRejected, UsageError
from campaign.sheet import Reading, ReadOptions, annotate, read_sheet
from campaign.sheet.annotate import CELLS_KEPT_MAX, sheet_name
from campaign.stages.annotate import Annotated, Annotating, annotate_check
from tests.corpus.files import repacked
from tests.corpus.wild import CORPUS, WILD, Wild
from tests.sheet.sheets import csv_file, openid, options, xlsx_file

HEADER = ("openid", "金额", "姓名")
#: How openpyxl may call a text.
TEXTS = {"s", "inlineStr"}
#: The second row's amount is wrong, and so is the third one's openid.
ROWS = (HEADER, (openid(1), 1.88, "王伟"), (openid(2), 0.5, "李娜"), ("", 2.66, "张敏"))


def job(source: Path, out: Path | None = None, **changes: Any) -> Annotating:
    out = out or source.with_name("marked.xlsx")
    facts = {"sheet": source, "options": options(), "campaign": "lantern", "out": out, "fix": fix_path(out)}
    return Annotating(**(facts | {"say": str, "force": True} | changes))


def marked(source: Path, out: Path | None = None, **changes: Any) -> Annotated:
    work = job(source, out, **changes)
    work.refuse_bad_names()
    return annotate_check(work, read_sheet(source, work.options))


def worksheet(path: Path, name: str = "名单") -> Any:
    return openpyxl.load_workbook(path)[name]


def notes(annotated: Annotated) -> str:
    return "\n".join(map(str, annotated.notes))


def part(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as package:
        return package.read(name).decode()


# What is added


def test_columns_on_the_right_say_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    sheet = worksheet(marked(source).files[0])
    heads = [cell.value for cell in sheet[1][3:]]
    assert heads == [
        "campaign · verdict",
        "campaign · reason",
        "campaign · who acts",
        "campaign · next step",
        "campaign · as the person will see it",
        "campaign · mch_billno · lantern",
    ]
    good, bad, unknown = ([cell.value or "" for cell in sheet[row][3:]] for row in (2, 3, 4))
    assert good[0] == "can be paid"
    assert good[4] == "天虹百货: 元宵节快乐! (¥1.88)"
    assert good[1:4] == ["", "", ""]
    assert bad[0] == "cannot be paid as it stands"
    assert bad[1].startswith("B3: ¥0.50 is outside")
    assert bad[2] == "operator"
    assert "scene_id" in bad[3]
    assert [re.fullmatch(r"1900000109[0-9A-Z]{18}", row[5]) is not None for row in (good, bad)] == [
        True,
        True,
    ]
    assert good[5] != bad[5]
    assert unknown[5] == "", "its number comes from the openid that is missing"


def test_cells_with_problems_are_coloured_and_commented(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    sheet = worksheet(marked(source).files[0])
    touched = {cell.coordinate for row in sheet["A1:C4"] for cell in row if cell.comment}
    assert touched == {"B3", "A4"}
    assert "¥0.50 is outside" in sheet["B3"].comment.text
    assert sheet["B3"].fill.fgColor.rgb == "00FFC7CE"
    assert sheet["B2"].fill.fill_type is None


def test_a_comment_that_was_there_stays_above_ours(tmp_path: Path) -> None:
    source, book, sheet = xlsx_file(tmp_path, *ROWS)
    sheet["B3"].comment = Comment("财务:再确认", "王会计")
    book.save(source)
    for _ in range(2):
        out = marked(source).files[0]
        comment = worksheet(out)["B3"].comment
        assert comment.text.startswith("财务:再确认\n")
        assert comment.text.count("¥0.50 is outside") == 1
        assert comment.author == "王会计"
        source = Path(shutil.copy(out, tmp_path / "again.xlsx"))


def test_problems_of_the_sheet_as_a_whole_are_said_in_every_row(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, HEADER, (openid(1), 1, "a"), (openid(2), 2, "b"), ("合计", 4, ""))
    sheet = worksheet(marked(source).files[0])
    assert "add up to ¥3.00" in sheet["E4"].value
    whole = replace(read_sheet(source, options()).problems[0], cell="")
    whole = replace(whole, source=replace(whole.source, row=0))
    work = job(source)
    annotate_check(work, replace(read_sheet(source, options()), problems=(whole,)))
    said = [worksheet(work.out).cell(row, 4).value for row in (2, 3)]
    assert said == ["the sheet as a whole cannot be paid as it stands"] * 2


def test_annotated_again_the_columns_are_replaced(tmp_path: Path) -> None:
    """And a cell that was corrected meanwhile loses colour and comment; the operator's new column stays."""
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    first = marked(source).files[0]
    book = openpyxl.load_workbook(first)
    book["名单"]["B3"].value = 2.22
    book["名单"]["J1"].value, book["名单"]["J3"].value = "经手人", "小赵"
    book.save(first)
    second = marked(first, tmp_path / "second.xlsx").files[0]
    sheet = worksheet(second)
    heads = [cell.value for cell in sheet[1]]
    assert heads.count("campaign · verdict") == 1
    assert (sheet["J3"].value, sheet["B3"].comment, sheet["B3"].fill.fill_type) == ("小赵", None, None)
    assert sheet.cell(3, heads.index("campaign · verdict") + 1).value == "can be paid"
    assert read_sheet(second, options()).own_headers == ("姓名", "经手人")


# What stays


def rich_workbook(path: Path) -> None:
    """Formats, formulas, a second sheet, filters, a chart, a text box, and a format of newer Excels."""
    with xlsxwriter.Workbook(str(path)) as book:
        sheet, other = book.add_worksheet("名单"), book.add_worksheet("说明")
        red = book.add_format({"bold": True, "font_color": "#C00000", "bg_color": "#FFFF00"})
        sheet.write_row(0, 0, [*HEADER, "公式"], red)
        for row in range(1, 5):
            sheet.write_string(row, 0, openid(row))
            sheet.write_formula(row, 1, "=1+0.88", None, 1.88)
            sheet.write_string(row, 2, "=HYPERLINK(1)")
            sheet.write_string(row, 3, "+1")
        sheet.merge_range("A8:D8", "谢谢")
        sheet.set_column("A:A", 33.5)
        sheet.set_column("D:F", 9)
        sheet.set_column("G:XFD", 9, None, {"hidden": True})
        sheet.set_row(2, 40)
        sheet.freeze_panes(1, 1)
        sheet.autofilter("A1:D5")
        sheet.data_validation("C2:C5", {"validate": "list", "source": ["王伟", "李娜"]})
        sheet.conditional_format("B2:B5", {"type": "cell", "criteria": ">", "value": 5, "format": red})
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": "=名单!$B$2:$B$5"})
        sheet.insert_chart("B12", chart)
        other.write("B2", "别动", red)


def test_sheets_formats_formulas_and_widths_stay(tmp_path: Path) -> None:
    source = tmp_path / "rich.xlsx"
    rich_workbook(source)
    before, after = openpyxl.load_workbook(source), openpyxl.load_workbook(marked(source).files[0])
    assert after.sheetnames == [*before.sheetnames, "campaign · preview"]
    for old in before:
        new = after[old.title]
        for cell in (cell for row in old.iter_rows(max_row=7, max_col=4) for cell in row):
            same = new[cell.coordinate]
            assert (same.value, same.number_format) == (cell.value, cell.number_format)
            assert same.data_type == cell.data_type or {same.data_type, cell.data_type} == TEXTS
            assert repr((same.font, same.fill, same.border)) == repr((cell.font, cell.fill, cell.border))
    old, new = before["名单"], after["名单"]
    assert new["B2"].value == "=1+0.88"
    assert new.column_dimensions["A"].width == old.column_dimensions["A"].width
    assert new.row_dimensions[3].height == old.row_dimensions[3].height
    assert new.freeze_panes == old.freeze_panes
    assert list(map(str, new.merged_cells.ranges)) == ["A8:D8"]
    assert len(new.data_validations.dataValidation) == len(new._charts) == 1
    assert len(new.conditional_formatting) == 1


def test_the_added_columns_are_seen_and_filtered_whatever_the_sheet_hides(tmp_path: Path) -> None:
    """Excel repairs a file whose column ranges overlap."""
    source = tmp_path / "rich.xlsx"
    rich_workbook(source)
    sheet = part(marked(source).files[0], "xl/worksheets/sheet1.xml")
    columns = [
        (int(re.search(r'min="(\d+)"', tag)[1]), int(re.search(r'max="(\d+)"', tag)[1]), "hidden" in tag)
        for tag in re.findall(r"<col [^>]*>", sheet)
    ]
    assert all(last < first for (_, last, _), (first, _, _) in pairwise(columns))
    assert not [c for c in columns if c[2] and c[1] >= 5]
    assert '<autoFilter ref="A1:J5"' in sheet


def test_nothing_that_begins_like_a_formula_becomes_one(tmp_path: Path) -> None:
    source, book, sheet = xlsx_file(tmp_path, *ROWS)
    sheet["C2"].value = "=1+1"
    sheet["C2"].data_type = "s"
    book.save(source)
    out = marked(source, say=lambda sentence: "=cmd()").files[0]
    cells = worksheet(out)
    assert cells["C2"].data_type in TEXTS
    assert {cells.cell(2, column).data_type for column in range(4, 9)} <= TEXTS


def test_xlsxwriters_own_mark_up_in_a_cell_is_text(tmp_path: Path) -> None:
    """XlsxWriter would write it unescaped; a text file's copy is made with it, and so is the fix sheet."""
    words = "<r><t>1</t></r></is></c><c r='A9' t='str'><f>1+1</f><v>2</v></c><c r='B9'><is><r><t>1</t></r>"
    rows = (HEADER, (openid(1), "1.88", words), (openid(2), "?", "<r>1 & 2</r>"))
    copy, fix = marked(csv_file(tmp_path, *map(",".join, rows))).files
    for path, shown in ((copy, [words, "<r>1 & 2</r>"]), (fix, ["<r>1 & 2</r>"])):
        sheet = openpyxl.load_workbook(path).worksheets[0]
        cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
        assert not [cell for cell in cells if cell.data_type == "f"]
        assert [value for c in cells if (value := str(c.value).strip()).startswith("<r>")] == shown


def test_what_could_not_be_copied_is_said(tmp_path: Path) -> None:
    source = tmp_path / "boxes.xlsx"
    with xlsxwriter.Workbook(str(source)) as book:
        sheet = book.add_worksheet("名单")
        for row, cells in enumerate(ROWS):
            sheet.write_row(row, 0, cells)
        sheet.insert_textbox("B9", "说明文字")
        sheet.add_sparkline("F2", {"range": "名单!B2:B4"})
        sheet.conditional_format("B2:B4", {"type": "data_bar", "data_bar_2010": True})
    said = notes(marked(source))
    for words in ("text boxes and drawn shapes", "sparklines", "newer conditional formats"):
        assert words in said
    assert "pictures" not in said


def test_nothing_is_said_to_be_lost_where_nothing_is(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS[:2])
    assert marked(source).notes == ()


def test_formulas_keep_no_results_and_that_is_said(tmp_path: Path) -> None:
    """So the copy is refused until Excel has calculated it, and never paid with an old result."""
    source = tmp_path / "rich.xlsx"
    rich_workbook(source)
    annotated = marked(source)
    assert "once Excel or WPS has opened" in notes(annotated)
    assert len(read_sheet(annotated.files[0], options()).orders) == 0


def test_macros_stay_in_a_copy_called_xlsm(tmp_path: Path) -> None:
    source, plain = tmp_path / "macros.xlsm", tmp_path / "plain.xlsx"
    (tmp_path / "vba.bin").write_bytes(b"macros")
    with xlsxwriter.Workbook(str(source)) as book:
        book.add_vba_project(str(tmp_path / "vba.bin"))
        for row, cells in enumerate(ROWS):
            (book.get_worksheet_by_name("名单") or book.add_worksheet("名单")).write_row(row, 0, cells)
    kept = marked(source, tmp_path / "kept.xlsm")
    with zipfile.ZipFile(kept.files[0]) as package:
        assert package.read("xl/vbaProject.bin") == b"macros"
        assert b"macroEnabled" in package.read("[Content_Types].xml")
    lost = marked(source, plain)
    with zipfile.ZipFile(lost.files[0]) as package:
        assert b"macroEnabled" not in package.read("[Content_Types].xml")
    assert "macros" in notes(lost)


# Other files


def test_a_text_file_becomes_a_workbook_with_the_same_cells(tmp_path: Path) -> None:
    """As text, so that no digit gets lost and no formula comes in."""
    source = csv_file(
        tmp_path, "名单", "openid,金额,工号,备注说明", f"{openid(1)},1.880,007,=1+1", f"{openid(2)},,1e5,x"
    )
    out = marked(source).files[0]
    sheet = openpyxl.load_workbook(out).worksheets[0]
    assert [cell.value for cell in sheet[3][:4]] == [openid(1), "1.880", "007", "=1+1"]
    assert sheet["D3"].data_type in TEXTS
    assert sheet["B4"].comment is not None


@pytest.mark.parametrize("name", ["old_excel.xls", "libreoffice.ods", "comma_in_amount.csv"])
def test_a_copy_of_values_only_is_for_reading(tmp_path: Path, name: str) -> None:
    """A line through a row, or the comma that split an amount, would be gone in it, and the row paid."""
    source = Path(shutil.copy(WILD / name, tmp_path))
    annotated = marked(source)
    assert "cannot be run" in notes(annotated)
    with pytest.raises(SheetRejected, match="for reading and not"):
        read_sheet(annotated.files[0], options())


@pytest.mark.parametrize("limit, small", [("CELLS_KEPT_MAX", 11), ("UNPACKED_KEPT_MAX", 5_000)])
def test_very_many_cells_become_a_plain_workbook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, small: int
) -> None:
    """Of the list, or of sheets beside it, which openpyxl would load as well."""
    assert CELLS_KEPT_MAX >= 500_000
    monkeypatch.setattr(annotate, limit, small)
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    annotated = marked(source)
    assert "too large" in notes(annotated)
    sheet = worksheet(annotated.files[0])
    assert (sheet["B2"].value, sheet["D3"].value) == (1.88, "cannot be paid as it stands")
    assert "¥0.50 is outside" in sheet["B3"].comment.text
    with pytest.raises(SheetRejected):
        read_sheet(annotated.files[0], options())


@pytest.mark.parametrize("part", ["xl/media/image9.png", "xl/worksheets/_rels/sheet9.xml.rels"])
def test_parts_of_any_name_count_as_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(annotate, "UNPACKED_KEPT_MAX", 100_000)
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    assert "too large" not in notes(marked(source))
    source.write_bytes(repacked(source.read_bytes(), {part: b" " * 100_000}))
    assert "too large" in notes(marked(source))


def test_a_workbook_that_openpyxl_cannot_open_comes_back_plain(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    source.write_bytes(
        repacked(source.read_bytes(), {"xl/theme/theme1.xml": b"", "docProps/core.xml": b"<broken"})
    )
    annotated = marked(source)
    assert "could not be copied" in notes(annotated)
    assert worksheet(annotated.files[0])["D3"].value == "cannot be paid as it stands"


def with_picture(folder: Path, picture: bytes) -> Path:
    """A list with a picture beside it."""
    source = folder / "picture.xlsx"
    with xlsxwriter.Workbook(str(source)) as book:
        sheet = book.add_worksheet("名单")
        for row, cells in enumerate(ROWS):
            sheet.write_row(row, 0, cells)
        sheet.insert_image("E2", "dot.png", {"image_data": io.BytesIO(painted("PNG"))})
    source.write_bytes(repacked(source.read_bytes(), {"xl/media/image1.png": picture}))
    return source


def painted(form: str, **options: Any) -> bytes:
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.new("1" if form == "PNG" else "RGB", (40, 40)).save(file, form, **options)
    return file.getvalue()


def test_a_picture_of_billions_of_points_is_left_out_and_opens_nothing(tmp_path: Path) -> None:
    """Pillow, where it is installed, refuses it with an exception of its own."""
    png = painted("PNG")
    head = struct.pack(">4sII", b"IHDR", 60_000, 60_000) + png[24:29]
    source = with_picture(tmp_path, png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:])
    annotated = marked(source)
    assert "pictures of picture.xlsx could not be copied" in notes(annotated)
    assert worksheet(annotated.files[0])["D3"].value == "cannot be paid as it stands"


@pytest.mark.parametrize("form", ["WEBP", "MPO", "BMP"])
def test_a_picture_that_openpyxl_could_not_save_is_left_out_and_the_rest_kept(
    tmp_path: Path, form: str
) -> None:
    """As phones and chats have them; the last is cut off, so nobody can paint it."""
    image = pytest.importorskip("PIL.Image")
    options = {"save_all": True, "append_images": [image.new("RGB", (40, 40))]} if form == "MPO" else {}
    picture = painted(form, **options)
    annotated = marked(with_picture(tmp_path, picture[:-1_000] if form == "BMP" else picture))
    assert "lacks what could not be copied: pictures" in notes(annotated)
    assert worksheet(annotated.files[0])["D3"].value == "cannot be paid as it stands"


@pytest.mark.parametrize("name", ["a:b", "x" * 40, "'quoted'", "[x]", ""])
def test_every_file_name_gives_a_worksheet_name(tmp_path: Path, name: str) -> None:
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        book.add_worksheet(sheet_name(name))


def keys(reading: Reading) -> list[tuple[Any, ...]]:
    return [(o.source.row, o.row_key, o.re_openid, o.total_amount, o.wishing, o.own) for o in reading.orders]


def has_formulas(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as package:
        return any(b"<f>" in package.read(name) for name in package.namelist() if "worksheets/" in name)


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
def test_a_copy_is_read_as_its_original_or_refused(tmp_path: Path, sample: Wild) -> None:
    """For the whole corpus: no row becomes payable, and none gets another key, by being copied."""
    reading_options: ReadOptions = options(**sample.options)
    try:
        original = read_sheet(WILD / sample.name, reading_options)
    except SheetRejected:
        return
    out = tmp_path / "marked.xlsx"
    work = job(WILD / sample.name, out, options=reading_options)
    annotate_check(work, original)
    try:
        copy = read_sheet(out, reading_options)
    except SheetRejected:
        assert sample.name.endswith((".xls", ".ods", ".et", ".csv"))
        return
    if has_formulas(WILD / sample.name):
        assert len(copy.orders) < len(original.orders) or has_formulas(out)
        return
    assert keys(copy) == keys(original)
    assert [(p.cell, str(p.problem)) for p in copy.problems] == [
        (p.cell, str(p.problem)) for p in original.problems
    ]
    assert copy.own_headers == original.own_headers


# Files


def test_the_original_and_other_files_are_never_written_over(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    before = source.read_bytes()
    for force in (False, True):
        with pytest.raises(UsageError, match="there already"):
            marked(source, source, force=force)
        link = tmp_path / f"link{force}.xlsx"
        link.hardlink_to(source)
        with pytest.raises(UsageError, match="there already"):
            marked(source, link, force=force)
    out = tmp_path / "there.xlsx"
    out.write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        marked(source, out, force=False)
    assert out.read_text() == "mine"
    fix_path(tmp_path / "new.xlsx").write_text("mine")
    with pytest.raises(UsageError, match=r"new-fix\.xlsx is there already"):
        marked(source, tmp_path / "new.xlsx", force=False)
    marked(source, out)
    assert out.read_bytes()[:2] == b"PK"
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", ["out.csv", "out", "out.xls", "out.xlsm"])
def test_a_name_that_excel_would_not_open_is_refused(tmp_path: Path, name: str) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    with pytest.raises(UsageError, match=r"has to end with \.xlsx"):
        marked(source, tmp_path / name)


def test_workbook_and_fix_sheet_need_two_names(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    with pytest.raises(UsageError, match="cannot be both"):
        marked(source, tmp_path / "a.xlsx", fix=tmp_path / "a.xlsx")


def test_both_files_are_the_owners_alone(tmp_path: Path) -> None:
    source, _, _ = xlsx_file(tmp_path, *ROWS)
    assert [file.stat().st_mode & 0o777 for file in marked(source).files] == [0o600, 0o600]
    assert not list(tmp_path.glob(".campaign*"))


@pytest.mark.system
def test_libreoffice_opens_every_annotated_file_of_the_corpus(tmp_path: Path) -> None:
    """Headless, each becomes a page; a file that needs repair becomes none."""
    made = []
    for number, sample in enumerate(CORPUS):
        reading_options: ReadOptions = options(**sample.options)
        try:
            reading = read_sheet(WILD / sample.name, reading_options)
        except SheetRejected:
            continue
        work = job(WILD / sample.name, tmp_path / f"{number}.xlsx", options=reading_options)
        made += annotate_check(work, reading).files
    soffice = shutil.which("soffice")
    assert soffice, "LibreOffice is needed (libreoffice-calc)"
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = [
        soffice,
        "--headless",
        profile,
        "--convert-to",
        "pdf",
        "--outdir",
        str(tmp_path),
        *map(str, made),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert [file for file in made if not file.with_suffix(".pdf").exists()] == []
