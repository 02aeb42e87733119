"""`campaign report`: the files for finance."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from openpyxl import load_workbook

from tests.acceptance.world import HereDesk, Served

Rows = list[tuple[str, str]]


def test_the_files_are_named_and_hold_every_row(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    result = desk.run("report", "lantern", "--json")
    assert result.code == 0, result
    assert result.json["gateway"] in desk.gateway.url
    files = {Path(name).suffix: desk.folder / name for name in result.json["files"]}
    assert set(files) == {".xlsx", ".html", ".csv", ".json"}
    for file in files.values():
        assert file.exists()
        assert file.name in result.err
    with files[".csv"].open(encoding="utf-8-sig", newline="") as lines:
        told = [cell for row in csv.reader(lines) for cell in row]
    assert all(openid in told for openid, _ in people)
    book = load_workbook(files[".xlsx"], read_only=True)
    cells = {cell for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row}
    book.close()
    assert all(openid in cells for openid, _ in people)
    assert all(openid not in files[".json"].read_text() for openid, _ in people)
    assert json.loads(files[".json"].read_text())["schema_version"] == 1


def test_a_halt_that_is_over_is_not_reported(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """Nobody is to top up for a campaign that was cancelled since."""
    desk.sheet(people)
    gateway.set_faults({"notenough": 1})
    desk.run("run", "lantern.csv", "--yes", "--wait", "0")

    def page() -> str:
        assert desk.run("report", "lantern", "--force").code == 0
        return (desk.folder / "lantern-report.html").read_text()

    assert "Not enough money" in page()
    desk.run("cancel", "lantern", "--yes")
    assert "Not enough money" not in page()
    assert desk.run("verify", "lantern-report.html").code == 0


def test_earlier_reports_are_not_written_over_unasked(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    assert desk.run("report", "lantern", "--out", "may/第 1 周").code == 0
    refused = desk.run("report", "lantern", "--out", "may/第 1 周")
    assert refused.code == 2
    assert "--force" in refused.err
    assert desk.run("report", "lantern", "--out", "may/第 1 周", "--force").code == 0


def test_it_needs_neither_gateway_nor_key(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    desk.configure({"gateway": {"url": "https://127.0.0.1:9"}})
    (desk.folder / "api_key.txt").unlink()
    assert desk.run("report", "lantern").code == 0


def test_an_unknown_campaign(desk: HereDesk) -> None:
    result = desk.run("report", "lantern")
    assert result.code == 2
    assert "campaign run SHEET" in result.err
    assert not list(desk.folder.glob("*report*"))


def test_what_is_still_open_is_in_the_report_too(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """Every row read from the sheet, whatever became of it."""
    desk.sheet(people)
    gateway.set_faults({"notenough": 1})
    desk.run("run", "lantern.csv", "--yes", "--wait", "0")
    desk.run("report", "lantern")
    with (desk.folder / "lantern-report.csv").open(encoding="utf-8-sig", newline="") as lines:
        told = [cell for row in csv.reader(lines) for cell in row]
    assert all(openid in told for openid, _ in people)
