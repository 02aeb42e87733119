"""The whole report of a small campaign, as files: whatever changes in it is seen in a diff."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openpyxl import load_workbook

from campaign import __version__
from campaign.domain.summary import Summary
from campaign.report.lines import line_of
from campaign.report.page import PageReport
from campaign.report.seal import Digest
from campaign.report.table import CsvReport, JsonReport
from campaign.report.workbook import WorkbookReport
from campaign.wechat.answers import explain
from tests.report.samples import facts, mixed

GOLDEN = Path(__file__).parent / "report"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files as text; the workbook as its cells, formula and figure."""
    folder = tmp_path_factory.mktemp("report")
    about = facts(gateway="rehearsal", head=(42, "c0ffee"))
    paths = {name: folder / f"report.{name}" for name in ("xlsx", "html", "csv", "json")}
    sinks = (
        WorkbookReport(paths["xlsx"], about, say=str, explain=explain, history=lambda number: ()),
        PageReport(paths["html"], about, say=str, explain=explain),
        CsvReport(paths["csv"], about, say=str),
        JsonReport(paths["json"], about, say=str),
    )
    summary, digest = Summary(), Digest(about)
    for entry in mixed(24):
        summary.add(entry)
        line = line_of(entry, now_s=about.made_at_s, explain=explain)
        digest.add(line)
        for sink in sinks:
            sink.add(line)
    for sink in sinks:
        sink.finish(summary, digest.hexdigest())
        sink.close()
    texts = {f"report.{n}": paths[n].read_bytes().decode() for n in ("html", "csv", "json")}
    texts["workbook.json"] = _cells(paths["xlsx"])
    sealed = f'"version":"{__version__}"', '"version":"VERSION"'
    return {name: text.replace(*sealed).replace(sealed[0].replace('"', "&#34;"), "VERSION")
            for name, text in texts.items()}  # fmt: skip


def _cells(path: Path) -> str:
    formulas, figures = load_workbook(path), load_workbook(path, data_only=True)
    found = {
        sheet.title: {
            cell.coordinate: str(cell.value)
            if cell.data_type != "f"
            else f"{cell.value} → {figures[sheet.title][cell.coordinate].value}"
            for row in sheet.iter_rows()
            for cell in row
            if cell.value is not None
        }
        for sheet in formulas
    }
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


@pytest.mark.parametrize("name", ["report.csv", "report.json", "report.html", "workbook.json"])
def test_report(made: dict[str, str], name: str, rewrite_golden: bool) -> None:
    expected = GOLDEN / name
    if rewrite_golden:
        expected.write_bytes(made[name].encode())
    assert made[name].encode() == expected.read_bytes()
