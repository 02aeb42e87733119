"""`campaign check`: everything that is wrong, at once, with its cell; nothing sent, nothing recorded."""

from __future__ import annotations

import pytest

from campaign.domain.mask import mask_openid
from tests.acceptance.world import HereDesk, Served
from tests.sheet.sheets import xlsx_file

Rows = list[tuple[str, str]]


def test_a_good_sheet(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """Totals and duration on stderr, the verdict on stdout, exit 0."""
    desk.sheet(people)
    result = desk.run("check", "lantern.csv")
    assert result.code == 0
    assert "Packets: 6, people: 6, 6.21 yuan in all (smallest 1.01, middle 1.03, largest 1.06)" in result.err
    assert result.out == "Nothing is wrong with this sheet.\n"


def test_it_leaves_no_trace(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """No ledger, no lock, no request."""
    desk.sheet(people)
    before = set(desk.folder.iterdir())
    with gateway.books() as books:
        requests = len(books.requests())
    desk.run("check", "lantern.csv")
    assert set(desk.folder.iterdir()) == before
    with gateway.books() as books:
        assert len(books.requests()) == requests


def test_the_answer_as_json(desk: HereDesk, people: Rows) -> None:
    desk.sheet([*people[:2], (people[2][0], "0.10"), ("", "1.00"), (people[3][0], "1.00")])
    result = desk.run("check", "lantern.csv", "--json")
    assert result.code == 3
    answer = result.json
    assert (answer["schema_version"], answer["rows"], answer["ok"]) == (1, 5, 3)
    assert answer["fen"] == {"total": 303}
    low, missing = answer["problems"]
    assert low.keys() == {"sheet", "row", "column", "cell", "value", "problem", "advice"}
    assert (low["row"], low["column"], low["cell"], low["value"]) == (4, "total_amount", "B4", "0.10")
    assert (missing["row"], missing["column"], missing["cell"]) == (5, "re_openid", "A5")
    assert low["problem"]
    assert low["advice"]


def test_every_problem_is_told_at_once_with_its_cell(desk: HereDesk, people: Rows) -> None:
    path, _, _ = xlsx_file(
        desk.folder,
        ["openid", "amount", "wishing"],
        [people[0][0], "1.00", "快乐"],
        [people[1][0], "1.005", "快乐"],
        ["nobody", "一元", "快" * 50],
        [people[0][0], "1.00", "快乐"],
    )
    result = desk.run("check", path.name)
    assert result.code == 3
    for cell in ("A2", "B3", "B4", "C4", "A5"):
        assert f"名单, cell {cell}" in result.out, cell
    assert "nothing was sent" in result.out


def test_openids_in_problems_are_masked(desk: HereDesk, people: Rows) -> None:
    """Unless somebody asks for them."""
    desk.sheet([people[0], people[0]])
    for arguments in ([], ["--json"]):
        assert people[0][0] not in desk.run("check", "lantern.csv", *arguments).said
    masked, full = (desk.run("check", "lantern.csv", "--json", *more).json for more in ([], ["--unmask"]))
    assert masked["problems"][0]["value"] == mask_openid(people[0][0])
    assert full["problems"][0]["value"] == people[0][0]


def test_an_openid_is_masked_in_whatever_column_it_stands(desk: HereDesk, people: Rows) -> None:
    """As an id, as the key of one of our own sheets, or slipped into another column."""
    who = people[0][0]
    sheets = {
        "ids.csv": ("id,openid,amount", [(who, who, "1.00"), (who, people[1][0], "1.00")]),
        "amounts.csv": ("openid,amount", [(who, who)]),
        "greetings.csv": ("openid,amount,祝福语", [(people[1][0], "1.00", f"给{who}的🧧")]),
        "titles.csv": (f"给{who},的红包", [("openid", "amount"), (people[1][0], "0.01")]),
        "headless.csv": (f"{who},1.00", [(people[1][0], "1.00")]),
        "long.csv": ("openid,amount,祝福语", [(people[1][0], "1.00", f"{'好' * 35}{who}")]),
        "ours.csv": (
            "openid,amount,campaign,row_key,issue,check",
            [(people[1][0], "1.00", "ours", f"{who} #2", "1", "ALTERED0")],
        ),
    }
    for name, (header, rows) in sheets.items():
        desk.sheet(rows, name=name, header=header)
        for arguments in ([], ["--json"]):
            result = desk.run("check", name, *arguments)
            assert result.code == 3
            assert who[:20] not in result.said
        assert name == "headless.csv" or who[:20] in desk.run("check", name, "--json", "--unmask").out


def test_the_budget_is_a_problem_of_the_whole_sheet(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.configure({"limits": {"campaign_yuan": "5.00"}})
    result = desk.run("check", "lantern.csv", "--json")
    assert result.code == 3
    (problem,) = result.json["problems"]
    assert (problem["row"], problem["cell"]) == (None, None)
    assert "6.21" in problem["problem"]
    assert "5.00" in problem["problem"]
    assert "6 of 6 rows cannot be paid as they stand (1 problems)" in desk.run("check", "lantern.csv").out


@pytest.mark.parametrize("arguments, rows", [([], 6), (["--limit", "2"], 2)])
def test_a_pilot_can_be_checked(desk: HereDesk, people: Rows, arguments: list[str], rows: int) -> None:
    desk.sheet(people)
    assert desk.run("check", "lantern.csv", "--json", *arguments).json["ok"] == rows


def test_a_long_list_of_problems_is_grouped_and_counted(desk: HereDesk, people: Rows) -> None:
    """People see the first of each kind; programs get them all."""
    desk.sheet([(openid, "0.01") for openid, _ in people] * 20)
    told = desk.run("check", "lantern.csv")
    assert told.code == 3
    assert len(told.out.splitlines()) < 40
    assert "more rows like these" in told.out
    assert "230 more problems" in told.out
    assert "--annotate OUT.xlsx" in told.out
    marked = desk.run("check", "lantern.csv", "--annotate", "marked.xlsx")
    assert "230 more problems: all are marked in" in marked.out
    rows = {problem["row"] for problem in desk.run("check", "lantern.csv", "--json").json["problems"]}
    assert rows == set(range(2, 122))


def test_settings_are_found_beside_the_sheet(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    (desk.folder / "elsewhere").mkdir()
    here, desk.folder = desk.folder, desk.folder / "elsewhere"
    assert desk.run("check", str(here / "lantern.csv")).code == 0
