"""Text files: encoding and delimiter are found out, and said where they were guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import SheetRejected
from tests.sheet.sheets import notes, openid, paid, read

SIMPLIFIED = ["王伟", "李娜", "张敏", "刘静", "陈丽", "杨强", "黄磊", "赵洋", "吴艳", "周勇"]
TRADITIONAL = ["王偉", "李娜", "張敏", "劉靜", "陳麗", "楊強", "黃磊", "趙洋", "吳艷", "周勇"]


def listed(header: str, names: list[str], delimiter: str = ",") -> str:
    rows = [header, *(f"{openid(n)},{n}.5,{name}" for n, name in enumerate(names, 1))]
    return "\r\n".join(rows).replace(",", delimiter)


@pytest.mark.parametrize("header", ["openid,amount,name", "openid,金额,姓名", "用户openid,金额（元）,备注"])
@pytest.mark.parametrize("encoding", ["gbk", "gb2312", "gb18030"])
def test_what_excel_in_china_saves(tmp_path: Path, header: str, encoding: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(listed(header, SIMPLIFIED).encode(encoding))
    reading = read(path)
    assert len(reading.orders) == 10
    assert "GB18030" in notes(reading)
    assert SIMPLIFIED[0] in (reading.orders[0].own | {"": reading.orders[0].remark}).values()


@pytest.mark.parametrize("header", ["openid,amount,name", "openid,金額,姓名"])
def test_what_excel_in_taiwan_saves(tmp_path: Path, header: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(listed(header, TRADITIONAL).encode("big5"))
    reading = read(path)
    assert [*reading.orders[4].own.values()] == [TRADITIONAL[4]]
    assert "BIG5" in notes(reading)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_in_its_forms(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.csv"
    mark = "\ufeff" if encoding.endswith("e") else ""
    path.write_bytes((mark + listed("openid,金额,姓名", SIMPLIFIED)).encode(encoding))
    reading = read(path)
    assert len(reading.orders) == 10
    assert notes(reading) == ""


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["list.csv", "list.txt", "list.tsv"])
def test_delimiters(tmp_path: Path, delimiter: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(listed("openid,金额,姓名", SIMPLIFIED, delimiter).encode())
    assert paid(read(path))[0] == (2, 150)


def test_a_title_with_commas_does_not_decide_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"红包,福田,南山,罗湖\nopenid;金额\n{openid(1)};1,88\n", encoding="utf-8")
    assert "comma" in str(read(path).problems[0].problem)


@pytest.mark.parametrize(
    "data", [b"\xff" * 64, b"\x80\x81\n" * 9, bytes(range(256)), b"openid,amount\n\xff\xff"]
)
def test_bytes_that_are_no_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(data)
    with pytest.raises(SheetRejected):
        read(path)


def test_a_cell_without_end(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"openid,金额,姓名\n{openid(1)},1,{'a' * 200_000}\n", encoding="utf-8")
    with pytest.raises(SheetRejected, match="longer than"):
        read(path)
