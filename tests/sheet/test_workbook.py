"""Hostile and odd workbooks: bounded memory, clear sentences, and facts that calamine does not tell."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign.errors import SheetRejected
from campaign.sheet.facts import Facts, Unreadable, misleads
from campaign.sheet.grid import ROWS_MAX, Grid
from campaign.sheet.ods_facts import OdsFacts
from campaign.sheet.workbook import Workbook
from campaign.sheet.xls_facts import XlsFacts
from campaign.sheet.xlsx_facts import _FRACTION, XlsxFacts
from tests.corpus.files import repacked
from tests.corpus.wild import HEADER, PEOPLE, WILD, plain
from tests.sheet.sheets import found, notes, openid, paid, read, xlsx_file

SPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
REPEATED_ROWS, REPEATED_COLUMNS = "table:number-rows-repeated", "table:number-columns-repeated"
ONE = 'office:value-type="float" office:value="1"/></table:table-row>'
SHEET = "xl/worksheets/sheet1.xml"


def text_cell(place: str, value: str) -> str:
    return f'<c{place} t="inlineStr"><is><t>{value}</t></is></c>'


def worksheet(last_row: str, *, doctype: str = "") -> bytes:
    header = text_cell(' r="A1"', "openid") + text_cell(' r="B1"', "amount")
    person = text_cell(' r="A2"', openid(1)) + '<c r="B2"><v>1.88</v></c>'
    rows = f'<row r="1">{header}</row><row r="2">{person}</row>{last_row}'
    return f'{doctype}<worksheet xmlns="{SPACE}"><sheetData>{rows}</sheetData></worksheet>'.encode()


def book(folder: Path, sheet: bytes, part: str = SHEET) -> Path:
    path = folder / "list.xlsx"
    path.write_bytes(repacked(plain(HEADER, *PEOPLE), {part: sheet}))
    return path


@pytest.mark.parametrize(
    "last_row",
    [
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        '<row r="1048576"><c r="AZ1048576"><v>1</v></c></row>',
        '<row r="99999999"><c r="A99999999"><v>1</v></c></row>',
        '<row r="4294967295"><c r="Z4294967295"><v>1</v></c></row>',
        '<row r="99999999"><c><v>1</v></c></row>',
        '<row r="3"><c r="a99999999"><v>1</v></c></row>',
        '<row r="3"><c s="0" r="A99999999"><v>1</v></c></row>',
        '<row r="3">'
        + "<c/>" * 20_000
        + '<c><v>1</v></c></row><row r="1048576"><c r="A1048576"><v>1</v></c></row>',
    ],
)
def test_a_cell_too_far_away_is_refused_before_it_fills_the_memory(tmp_path: Path, last_row: str) -> None:
    with pytest.raises(SheetRejected, match="more than can be read"):
        read(book(tmp_path, worksheet(last_row)))


@pytest.mark.parametrize(
    "written, changed",
    [
        (b'<row r="2">', b"<row r='2' hidden='1'>"),
        (b'<row r="2">', b'<row hidden="true" r="2">'),
        (b'<row r="2">', b"<row\n r=\"2\"\n ht='0'>"),
    ],
)
def test_hidden_rows_are_found_however_they_are_written(
    tmp_path: Path, written: bytes, changed: bytes
) -> None:
    sheet = worksheet("").replace(written, changed)
    assert XlsxFacts(book(tmp_path, sheet)).facts("名单").hidden_rows == {2}


def test_hidden_rows_are_found_in_another_encoding(tmp_path: Path) -> None:
    sheet = worksheet("").replace(b'<row r="2">', b'<row r="2" hidden="1">').decode().encode("utf-16")
    assert XlsxFacts(book(tmp_path, sheet)).facts("名单").hidden_rows == {2}


@pytest.mark.parametrize(
    "written, changed",
    [
        (b'<c r="B2"><v>1.88</v>', b'<c r="B2"><f>1+1</f><v/>'),
        (b'<c r="B2"><v>1.88</v>', b'<c r="B2"><f\tt="shared">1+1</f>'),
        (b'<c r="B2"><v>1.88</v>', b"<c r='B2' t='e'><v>#N/A</v>"),
        (b'<c r="B2"><v>1.88</v>', b'<c\nr="B2" t="e"><v>#REF!</v>'),
    ],
)
def test_cells_without_a_result_are_found_however_they_are_written(
    tmp_path: Path, written: bytes, changed: bytes
) -> None:
    sheet = worksheet("").replace(written, changed)
    assert set(XlsxFacts(book(tmp_path, sheet)).facts("名单").cell_findings) == {(2, 1)}


def test_columns_hidden_without_end(tmp_path: Path) -> None:
    columns = b'<cols><col min="-999999999999" max="999999999999" hidden="1"/></cols><sheetData>'
    facts = XlsxFacts(book(tmp_path, worksheet("").replace(b"<sheetData>", columns))).facts("名单")
    assert len(facts.hidden_columns) == 16_384


def test_a_dimension_that_lies_is_not_believed(tmp_path: Path) -> None:
    sheet = worksheet("").replace(b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>')
    assert paid(read(book(tmp_path, sheet))) == [(2, 188)]


def test_entities_are_refused_without_being_expanded(tmp_path: Path) -> None:
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>"
    with pytest.raises(SheetRejected):
        read(book(tmp_path, worksheet('<row r="3"><c r="A3"><v>&b;</v></c></row>', doctype=bomb)))


def test_a_part_that_unpacks_to_more_than_its_size_says(tmp_path: Path) -> None:
    """The directory of the zip names a small size; what comes out is larger."""
    path = tmp_path / "list.xlsx"
    path.write_bytes((WILD / "rich_text.xlsx").read_bytes())
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as package:
        true_size = package.getinfo("xl/sharedStrings.xml").file_size
    name = data.rfind(b"xl/sharedStrings.xml")  # in the central directory
    assert struct.unpack_from("<I", data, name - 22)[0] == true_size
    struct.pack_into("<I", data, name - 22, 10)
    path.write_bytes(data)
    with pytest.raises(SheetRejected):
        read(path)


def test_a_package_too_large_is_refused_by_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.sheet.facts.UNPACKED_MAX", 1000)
    path, _, _ = xlsx_file(tmp_path, HEADER, *PEOPLE)
    with pytest.raises(SheetRejected, match="unpacks to more"):
        read(path)


@pytest.mark.parametrize("code", ["[$" * 20_000, "0" * 256])
def test_a_format_longer_than_excels_is_not_searched_and_misleads(code: str) -> None:
    assert misleads(code)


def test_cells_that_never_end_take_no_time(tmp_path: Path) -> None:
    """Each of them was searched for its end as far as the next megabyte goes."""
    with pytest.raises(SheetRejected):
        read(book(tmp_path, worksheet("<c " * 300_000)))
    fraction = re.compile(_FRACTION % ("B", "1"))
    assert not fraction.findall('<c r="B2"' * 300_000)


def test_of_many_sheets_no_more_than_the_likeliest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds may share one part of the file, and each takes as much memory as if it were alone."""
    path, workbook, _ = xlsx_file(tmp_path, HEADER, *PEOPLE)
    for number in range(20):
        workbook.create_sheet(f"raw {number}", number % 2).append(["金额", number])
    workbook.save(path)
    opened: list[weakref.ref[Any]] = []
    alive: list[int] = []
    grid = Workbook.grid

    def watched(book: Workbook, name: str) -> Grid:
        alive.append(sum(reference() is not None for reference in opened))
        found = grid(book, name)
        opened.append(weakref.ref(found.rows))
        return found

    monkeypatch.setattr(Workbook, "grid", watched)
    assert paid(read(path))
    assert len(alive) == 21
    assert max(alive) <= 2


def test_the_list_is_the_sheet_with_people_and_amounts_whatever_others_know(tmp_path: Path) -> None:
    """Another may have more columns that look like ours."""
    path, workbook, _ = xlsx_file(tmp_path, HEADER, *PEOPLE)
    expected = paid(read(path))
    workbook.create_sheet("raw").append(["金额", "编号", "祝福语", "备注", "活动名称", "商户名称"])
    workbook.move_sheet("raw", -1)
    workbook.save(path)
    assert paid(read(path)) == expected


def test_parts_of_any_name_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.sheet.facts.UNPACKED_MAX", 100_000)
    whole, part = plain(HEADER, *PEOPLE), "xl/_rels/workbook.xml.rels"
    with zipfile.ZipFile(io.BytesIO(whole)) as package:
        relations = package.read(part)
    path = tmp_path / "list.xlsx"
    path.write_bytes(whole)
    assert paid(read(path))
    path.write_bytes(repacked(whole, {part: relations + b" " * 100_000}))
    with pytest.raises(SheetRejected, match="unpacks to more"):
        read(path)


def test_a_password_is_named(tmp_path: Path) -> None:
    path = tmp_path / "locked.xlsx"
    path.write_bytes(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504 + "EncryptedPackage".encode("utf-16-le")
    )
    with pytest.raises(SheetRejected, match="password"):
        read(path)


@pytest.mark.parametrize("chunk", [40, 64, 97, 1000])
def test_a_token_between_two_chunks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("campaign.sheet.xlsx_facts._CHUNK", chunk)
    path, workbook, sheet = xlsx_file(tmp_path, HEADER, *PEOPLE)
    sheet.row_dimensions[3].hidden = True
    workbook.save(path)
    assert XlsxFacts(path).facts("名单").hidden_rows == {3}


def test_an_ordinary_sheet_is_not_parsed_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _, _ = xlsx_file(tmp_path, HEADER, *PEOPLE, *[(openid(n), n / 100, "") for n in range(100, 900)])
    monkeypatch.setattr("campaign.sheet.xlsx_facts._CHUNK", 500)
    monkeypatch.setattr("campaign.sheet.xlsx_facts._Look.at", lambda *_: pytest.fail("parsed"))
    assert XlsxFacts(path).facts("名单").hidden_rows == frozenset()


def cut_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch, row: str) -> Iterator[Facts]:
    """What is found of a sheet with this last row, each time with pieces of another size."""
    path = book(folder, worksheet(row))
    for chunk in range(300, 300 + 2 * len(row), 5):
        monkeypatch.setattr("campaign.sheet.xlsx_facts._CHUNK", chunk)
        yield XlsxFacts(path).facts("名单")


@pytest.mark.parametrize("length", [0, 60, 70, 130, 200])
def test_a_cell_too_far_away_is_found_wherever_its_long_tag_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    row = f'<row r="3"><c s="{"0" * length}" r="A99999999"><v>1</v></c></row>'
    assert {facts.last_row for facts in cut_anywhere(tmp_path, monkeypatch, row)} == {99_999_999}


@pytest.mark.parametrize(
    "row", ['hidden{}="1"', 'hidden={}"1"', "hidden{}='true'", 'ht{}="0"', 'hidden="&#49;"']
)
def test_a_hidden_row_is_found_wherever_its_spaces_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    whole = f'<row r="3" {row.format(" " * 300)}><c r="A3"><v>1</v></c></row>'
    assert {facts.hidden_rows for facts in cut_anywhere(tmp_path, monkeypatch, whole)} == {frozenset({3})}


@pytest.mark.parametrize(
    "row",
    [
        b'<row r="2" customFormat="false" ht="12.8" hidden="false" customHeight="false" collapsed="false">',
        b'<row r="2" spans="1:4" ht="15.6" customHeight="0" hidden="0">',
    ],
)
def test_a_row_said_not_to_be_hidden_needs_no_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: bytes
) -> None:
    """LibreOffice says it of every row."""
    path = book(tmp_path, worksheet("").replace(b'<row r="2">', row))
    monkeypatch.setattr("campaign.sheet.xlsx_facts._Look.at", lambda *_: pytest.fail("parsed"))
    assert XlsxFacts(path).facts("名单").hidden_rows == frozenset()


def test_rows_of_no_height_are_hidden_too(tmp_path: Path) -> None:
    sheet = worksheet("").replace(b'<row r="2">', b'<row r="2" ht="0" customHeight="1">')
    assert XlsxFacts(book(tmp_path, sheet)).facts("名单").hidden_rows == {2}


def test_a_formula_in_a_text_column_without_result_does_not_take_the_default(tmp_path: Path) -> None:
    path, _, _ = xlsx_file(tmp_path, (*HEADER, "祝福语"), (openid(1), 1.88, "王伟", '=C2&"好"'))
    assert found(read(path)) == ["D2 wishing"]


def test_a_percentage_in_the_operators_own_column_is_nobodys_business(tmp_path: Path) -> None:
    path, workbook, sheet = xlsx_file(tmp_path, (*HEADER, "完成率"), (openid(1), 1.88, "王伟", 0.5))
    sheet["D2"].number_format = "0%"
    workbook.save(path)
    assert paid(read(path)) == [(2, 188)]


@pytest.mark.parametrize(
    "code, yuan, shown",
    [
        ("0", 1.5, "2"),
        ("#,##0", 1.5, "2"),
        ('"¥"#,##0;"¥"-#,##0', 2.5, "3"),
        ("0.0", 1.25, "1.3"),
        ("0.0", 1.5, None),
        ("0", 2.0, None),
        ("0.00", 1.25, None),
        ("General", 1.25, None),
        ("@", 1.25, None),
    ],
)
@pytest.mark.parametrize("formula", [False, True])
def test_a_format_that_rounds_an_amount_is_said(
    tmp_path: Path, code: str, yuan: float, shown: str | None, formula: bool
) -> None:
    """What the cell holds is paid, and the operator saw something else."""
    path, workbook, sheet = xlsx_file(tmp_path, HEADER, (openid(1), 8.88, ""), (openid(2), yuan, ""))
    sheet["B3"].number_format = code
    workbook.save(path)
    if formula:  # with its result, as Excel saves it
        value, package = f"<v>{yuan:g}</v>".encode(), path.read_bytes()
        with zipfile.ZipFile(path) as parts:
            part = parts.read(SHEET).replace(value, b"<f>C1</f>" + value)
        path.write_bytes(repacked(package, {SHEET: part}))
    reading = read(path)
    assert paid(reading) == [(2, 888), (3, round(100 * yuan))]
    said = f"B3 holds {yuan:g} and shows {shown}"
    assert (said in notes(reading)) is (shown is not None)
    assert ("rounds" in notes(reading)) is (shown is not None)


def test_of_many_rounded_amounts_the_first_are_named_and_others_are_nobodys_business(tmp_path: Path) -> None:
    """In an own column, a hidden row, above the header, below the list; and beyond one piece of the file."""
    rows = [(openid(n), n + 0.5, 0.5) for n in range(30, 10_030)]
    path, workbook, sheet = xlsx_file(tmp_path, ("", 7.5), (*HEADER[:2], "n"), *rows, ("合计", 50_295_000.5))
    for row in sheet.iter_rows():
        for cell in row:
            cell.number_format = "0"
    sheet.row_dimensions[4].hidden = True
    workbook.save(path)
    [said] = [note for note in map(str, read(path).notes) if "rounds" in note]
    assert "B3 holds 30.5 and shows 31, B5 holds 32.5 and shows 33, B6 holds 33.5 and shows 34" in said
    assert said.endswith("and 9996 more")


@pytest.mark.parametrize(
    "code, misleading",
    [
        ("General", False),
        ("0.00", False),
        ("#,##0.00", False),
        ('"¥"#,##0.00;"¥"\\-#,##0.00', False),
        ("[$¥-804]#,##0.00", False),
        ("[$-F800]yyyy", False),
        ("[DBNum2][$-804]General", False),
        ("0.00_);[Red]\\(0.00\\)", False),
        ("0%", True),
        ("0\\%", True),
        ("$#,##0", True),
        ("\\$0", True),
        ("[$€-2]0", True),
        ('0"万"', True),
        ("0万", True),
        ("0,", True),
        ("#,##0,,", True),
        ("0.0,K", True),
    ],
)
def test_formats_that_show_another_sum(code: str, misleading: bool) -> None:
    assert misleads(code) is misleading


def xls(name: str = "old_excel.xls") -> bytearray:
    return bytearray((WILD / name).read_bytes())


def test_an_old_workbook_tells_its_facts(tmp_path: Path) -> None:
    facts = XlsFacts(WILD / "old_excel.xls").facts("名单")
    assert facts.hidden_rows == {3}
    assert facts.hidden_columns == {3}
    assert set(facts.cell_findings) == {(5, 1), (6, 1), (7, 0), (7, 1)}


def biff(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def small_compound_file(stream: bytes) -> bytes:
    """A compound file whose only stream is so short that it lies in the mini stream (MS-CFB 2.6)."""
    end, free, size = 0xFFFFFFFE, 0xFFFFFFFF, 512
    mini = stream.ljust(-(-len(stream) // 64) * 64, b"\0")
    assert len(mini) <= size

    def sectors(*numbers: int) -> bytes:
        return struct.pack("<128I", *numbers, *[free] * (128 - len(numbers)))

    def entry(name: str, kind: int, start: int, length: int) -> bytes:
        letters = (name + "\0").encode("utf-16-le")
        return struct.pack("<64sHB49xIII", letters, len(letters), kind, start, length, 0)

    header = struct.pack(
        "<8s22xHH10xIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 9, 6, 0, 1, 0, 4096, 2, 1, end, 0
    )
    fat_places = struct.pack("<109I", 0, *[free] * 108)
    fat = sectors(0xFFFFFFFD, end, end, end)
    directory = entry("Root Entry", 5, 3, len(mini)) + entry("Workbook", 2, 0, len(stream))
    mini_fat = sectors(*range(1, len(mini) // 64), end)
    return header + fat_places + fat + directory.ljust(size, b"\0") + mini_fat + mini.ljust(size, b"\0")


def test_a_workbook_of_a_few_bytes_lies_in_the_mini_stream(tmp_path: Path) -> None:
    opening = biff(0x0809, struct.pack("<HH12x", 0x0600, 5))
    name = "名单".encode("utf-16-le")
    offset = len(opening) + 4 + 8 + len(name) + 4
    sheet_place = biff(0x0085, struct.pack("<IBBBB", offset, 0, 0, 2, 1) + name)
    hidden_row = biff(0x0208, struct.pack("<H10xHH", 6, 0x20, 0))
    path = tmp_path / "small.xls"
    path.write_bytes(
        small_compound_file(opening + sheet_place + biff(0x000A) + opening + hidden_row + biff(0x000A))
    )
    assert XlsFacts(path).facts("名单").hidden_rows == {7}
    with pytest.raises(Unreadable):
        XlsFacts(path).facts("别的")


def test_a_workbook_older_than_excel_97_is_not_understood(tmp_path: Path) -> None:
    path = tmp_path / "old.xls"
    path.write_bytes(small_compound_file(biff(0x0809, struct.pack("<HH12x", 0x0500, 5)) + biff(0x000A)))
    with pytest.raises(Unreadable, match="BIFF8"):
        XlsFacts(path)


def test_a_circle_of_sectors_ends(tmp_path: Path) -> None:
    """Every sector says that it is its own successor."""
    data = xls()
    (fat,) = struct.unpack_from("<I", data, 76)
    for number in range(128):
        struct.pack_into("<I", data, (fat + 1) * 512 + 4 * number, number)
    path = tmp_path / "circle.xls"
    path.write_bytes(data)
    with pytest.raises(Unreadable):
        XlsFacts(path)


@pytest.mark.parametrize("length", [0, 8, 40, 600, 2000])
def test_a_short_old_workbook_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.xls"
    path.write_bytes(xls()[:length])
    with pytest.raises(Unreadable):
        XlsFacts(path)
    with pytest.raises(SheetRejected):
        read(path)


def ods(folder: Path, row: str) -> Path:
    """With one row more, at its top."""
    original = (WILD / "libreoffice.ods").read_bytes()
    with zipfile.ZipFile(io.BytesIO(original)) as package:
        before, tag, after = package.read("content.xml").partition(b"<table:table-row")
    path = folder / "list.ods"
    path.write_bytes(repacked(original, {"content.xml": before + row.encode() + tag + after}))
    return path


@pytest.mark.parametrize(
    "row",
    [
        f'<table:table-row {REPEATED_ROWS}="1048576"><table:table-cell {REPEATED_COLUMNS}="16384" {ONE}',
        f'<table:table-row {REPEATED_ROWS}="999999999999"><table:table-cell {ONE}',
        f'<table:table-row {REPEATED_ROWS}="x"><table:table-cell {ONE}',
    ],
)
def test_an_opendocument_sheet_that_repeats_without_end(tmp_path: Path, row: str) -> None:
    with pytest.raises(SheetRejected):
        read(ods(tmp_path, row))


def test_hidden_rows_repeated_without_end_do_not_fill_the_memory(tmp_path: Path) -> None:
    """They were listed one by one, before the sheet was refused for its size."""
    hidden = f'table:visibility="collapse" {REPEATED_ROWS}="{2 * ROWS_MAX}"'
    path = ods(tmp_path, f"<table:table-row {hidden}><table:table-cell {ONE}")
    name = Workbook(path).names[0]
    facts = OdsFacts(path).facts(name)
    assert facts.last_row > 2 * ROWS_MAX
    assert len(facts.hidden_rows) == ROWS_MAX


def test_neither_do_those_beyond_the_last_row(tmp_path: Path) -> None:
    path = book(tmp_path, worksheet(f'<row r="{ROWS_MAX}" hidden="1"/>' + '<row hidden="1"/>' * 9))
    finder = XlsxFacts(path)
    assert finder.facts(Workbook(path).names[0]).hidden_rows == {ROWS_MAX}


@pytest.mark.parametrize("part", ["xl/styles.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"])
def test_elements_that_mean_nothing_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Of four bytes each, which compress to nothing, a gigabyte needs some kilobytes."""
    monkeypatch.setattr("campaign.sheet.xlsx_facts._CHUNK", 1 << 12)
    whole = plain(HEADER, *PEOPLE)
    with zipfile.ZipFile(io.BytesIO(whole)) as package:
        before, end, after = package.read(part).rpartition(b"</")
    path = tmp_path / "list.xlsx"
    path.write_bytes(repacked(whole, {part: before + b"<a/>" * 100_000 + end + after}))
    tracemalloc.start()
    XlsxFacts(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
    monkeypatch.setattr("campaign.sheet.facts.PIECES_MAX", 10_000)
    with pytest.raises(SheetRejected, match="more than 10000"):
        XlsxFacts(path)


@pytest.mark.parametrize("odd", ["", '<row r="9" hidden="1"/>'])
def test_cells_piled_up_in_one_place_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    """Thousands of them fit into a compressed kilobyte; both ways of looking at the sheet count them."""
    monkeypatch.setattr("campaign.sheet.facts.PIECES_MAX", 1000)
    piled = '<row r="3">' + '<c r="A3" t="s"><v>0</v></c>' * 1001 + "</row>"
    with pytest.raises(SheetRejected, match="more than 1000 cells"):
        read(book(tmp_path, worksheet(piled + odd)))


@pytest.mark.parametrize("empty", [b"<si/>", b"<si><t/></si>", b"<x:si/>"])
def test_neither_do_texts_that_no_cell_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: bytes
) -> None:
    monkeypatch.setattr("campaign.sheet.facts.PIECES_MAX", 1000)
    whole = (WILD / "rich_text.xlsx").read_bytes()
    path = tmp_path / "list.xlsx"
    path.write_bytes(repacked(whole, {"xl/sharedStrings.xml": b"<sst>" + empty * 1001 + b"</sst>"}))
    with pytest.raises(SheetRejected, match="more than 1000 cells"):
        read(path)
