"""`check --annotate` and `report --annotate`: the operator's workbook back; its fix sheet, run over HTTPS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.acceptance.world import HereDesk, Served, differences

Person = Callable[[int], str]


def put(path: Path, cell: str, value: Any) -> None:
    """Change one cell of a workbook, as a person would."""
    book = openpyxl.load_workbook(path)
    book.worksheets[0][cell].value = value
    book.save(path)


def column(path: Path, title: str) -> list[Any]:
    """The cells below the header that contains the title."""
    sheet = openpyxl.load_workbook(path).worksheets[0]
    [at] = [cell.column for cell in sheet[1] if title in str(cell.value)]
    return [sheet.cell(row, at).value for row in range(2, sheet.max_row + 1)]


def own_id(openid: str) -> str:
    """An id that no other test's sheet of the same campaign has: the gateway is shared."""
    return f"id-{openid}"


@pytest.fixture
def rows(person: Person) -> list[tuple[str, str, str]]:
    return [(own_id(person(n)), person(n), yuan) for n, yuan in ((1, "1.01"), (2, "0.5"), (3, "1.03"))]


HEADER = "id,openid,amount"


def test_check_mark_fix_and_run_in_any_order(
    desk: HereDesk, gateway: Served, person: Person, rows: list[tuple[str, str, str]]
) -> None:
    desk.sheet(rows, header=HEADER)
    checked = desk.run("check", "lantern.csv", "--annotate", "marked.xlsx", "--json")
    assert (checked.code, checked.json["files"]) == (3, ["marked.xlsx", "marked-fix.xlsx"])
    assert column(desk.folder / "marked.xlsx", "verdict") == [
        "can be paid",
        "cannot be paid as it stands",
        "can be paid",
    ]
    assert desk.run("run", "marked-fix.xlsx", "--yes").code == 3, "nobody has corrected it yet"
    put(desk.folder / "marked-fix.xlsx", "B2", 1.02)
    desk.sheet([rows[0], (own_id(person(2)), person(2), "1.02"), rows[2]], header=HEADER)
    for sheet in ("marked-fix.xlsx", "lantern.csv", "marked-fix.xlsx", "lantern.csv"):
        ran = desk.run("run", sheet, "--yes", "--json")
        assert (ran.code, ran.json["campaign"]) == (0, "lantern")
    assert [gateway.paid()[person(n)] for n in (1, 2, 3)] == [1, 1, 1]
    assert differences(desk, gateway) == []


def test_after_a_run_the_refused_row_is_marked_fixed_and_paid_once(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    """Run, mark, fix, run the fix sheet, lose the ledger, run both again: not one packet more."""
    rows = [(own_id(person(n)), person(n), f"1.0{n}") for n in (1, 2, 3)]
    desk.sheet(rows, header=HEADER)
    gateway.set_faults({"openid_error": {"openids": [person(2)]}})
    assert desk.run("run", "lantern.csv", "--yes").code == 6
    gateway.set_faults({})
    reported = desk.run("report", "lantern", "--annotate", "lantern.csv", "--json")
    assert reported.json["files"][-2:] == ["lantern-annotated.xlsx", "lantern-annotated-fix.xlsx"]
    marked = desk.folder / "lantern-annotated.xlsx"
    assert column(marked, "verdict") == [
        "paid, not claimed yet",
        "never sent, nothing paid",
        "paid, not claimed yet",
    ]
    assert column(marked, "mch_billno") == [entry.mch_billno for entry in desk.entries()]
    assert [bool(time) for time in column(marked, "campaign · sent")] == [True, True, True]
    assert "openid" in column(marked, "reason")[1]
    fix = desk.folder / "lantern-annotated-fix.xlsx"
    put(fix, "A2", person(4))
    assert desk.run("run", fix.name, "--yes").code == 0
    desk.lose_ledger()
    desk.sheet([rows[0], (own_id(person(2)), person(4), "1.02"), rows[2]], header=HEADER)
    for sheet in ("lantern.csv", fix.name, "lantern.csv"):
        desk.run("run", sheet, "--yes")
    assert [gateway.paid()[person(n)] for n in (1, 2, 3, 4)] == [1, 0, 1, 1]


def test_a_rehearsal_says_so_in_the_workbook(desk: HereDesk, person: Person) -> None:
    desk.sheet([(own_id(person(1)), person(1), "1.01")], header=HEADER)
    desk.run("run", "lantern.csv", "--yes")
    desk.run("report", "lantern", "--annotate", "lantern.csv")
    sheet = openpyxl.load_workbook(desk.folder / "lantern-annotated.xlsx").worksheets[0]
    assert "REHEARSAL / 演练" in sheet["D1"].value


def test_rows_edited_or_added_since_the_run_are_told_apart(desk: HereDesk, person: Person) -> None:
    rows = [(own_id(person(n)), person(n), f"1.0{n}") for n in (1, 2)]
    desk.sheet(rows, header=HEADER)
    desk.run("run", "lantern.csv", "--yes")
    desk.sheet(
        [
            (own_id(person(9)), person(9), "1.09"),
            (own_id(person(2)), person(2), "8.88"),
            rows[0],
            (own_id(person(4)), person(4), "x"),
        ],
        header=HEADER,
    )
    assert desk.run("report", "lantern", "--annotate", "lantern.csv").code == 0
    marked = desk.folder / "lantern-annotated.xlsx"
    assert column(marked, "verdict") == [
        "not in the ledger",
        "paid, not claimed yet",
        "paid, not claimed yet",
        "cannot be paid as it stands",
    ]
    reasons = column(marked, "reason")
    assert "1.02 yuan, and not for what the row says now" in reasons[1]
    assert "C5: this is not an amount" in reasons[3]
    assert not (desk.folder / "lantern-annotated-fix.xlsx").exists()


def test_a_reissued_row_shows_what_became_of_its_last_number(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    desk.sheet([(own_id(person(1)), person(1), "1.01")], header=HEADER)
    gateway.set_faults({"send_failed": {"openids": [person(1)]}})
    desk.run("run", "lantern.csv", "--yes")
    gateway.set_faults({})
    desk.run("reissue", "lantern")
    desk.run("report", "lantern", "--annotate", "lantern.csv")
    assert column(desk.folder / "lantern-annotated.xlsx", "verdict") == ["failed for good, nothing paid"]
    desk.run("run", "lantern-reissue.xlsx", "--yes")
    desk.run("report", "lantern", "--annotate", "lantern.csv", "--force")
    assert column(desk.folder / "lantern-annotated.xlsx", "verdict") == ["paid, not claimed yet"]


def test_the_preview_shows_what_people_will_see(desk: HereDesk, person: Person) -> None:
    rows = [(person(1), "1.01", "甲,新年好"), (person(2), "1.02", "甲,新年好"), (person(3), "1888", "x")]
    desk.sheet([*rows[:2], (person(4), "1.04", "乙,新年好")], header="openid,amount,wishing")
    said = desk.run("check", "lantern.csv").err
    assert "row 2  天虹百货: 甲,新年好 (¥1.01)" in said
    assert "row 4  天虹百货: 乙,新年好 (¥1.04)" in said
    assert "row 3" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "lantern.csv", "--fix", "a.xlsx"),
        ("check", "lantern.csv", "--annotate", "a.csv"),
        ("check", "lantern.csv", "--annotate", "there.xlsx"),
        ("report", "lantern", "--fix", "a.xlsx"),
    ],
)
def test_wrong_command_lines_write_nothing(
    desk: HereDesk, person: Person, arguments: tuple[str, ...]
) -> None:
    desk.sheet([(person(1), "1.01")])
    (desk.folder / "there.xlsx").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in desk.folder.iterdir()}
    assert desk.run(*arguments).code == 2
    assert {path: path.stat().st_mtime_ns for path in desk.folder.iterdir()} == before


def test_another_campaigns_sheet_is_not_annotated_from_this_one(desk: HereDesk, person: Person) -> None:
    """An annotated copy says which campaign it is of."""
    desk.sheet([(person(1), "1.01")])
    desk.sheet([(person(2), "1.01")], name="other.csv")
    for sheet in ("lantern.csv", "other.csv"):
        assert desk.run("run", sheet, "--yes").code == 0
    book = openpyxl.Workbook()
    book.active.append(["openid", "amount"])
    book.active.append([person(2), 1.01])
    book.save(desk.folder / "other.xlsx")
    assert desk.run("check", "other.xlsx", "--annotate", "copy.xlsx").code == 0
    refused = desk.run("report", "lantern", "--annotate", "copy.xlsx")
    assert (refused.code, "belong to the campaign other" in refused.said) == (2, True)
    assert desk.run("run", "copy.xlsx", "--yes", "--json").json["campaign"] == "other"
