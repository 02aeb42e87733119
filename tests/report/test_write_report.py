"""`write_report`: from a ledger to all files, from one reading."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from openpyxl import load_workbook

from campaign.domain.answer import Outcome, SendAnswer
from campaign.domain.decision import Step
from campaign.domain.entry import Todo
from campaign.domain.limits import Limits
from campaign.domain.state import State
from campaign.errors import StorageError, UsageError
from campaign.ledger.records import SendResult
from campaign.ledger.store import Ledger
from campaign.report import table
from campaign.stages.report import FORMATS, write_report
from tests.report.samples import NOW, SENT, campaign, entry


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class FixedClock:
    def now_s(self) -> float:
        return NOW

    def monotonic_s(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a report waits for nothing")


@pytest.fixture
def ledger():
    """Three planned rows, of which the first was taken by WeChat Pay."""
    with Ledger.open(None, merchant="1900000109", gateway="rehearsal", clock=FixedClock()) as ledger:
        ledger.save_campaign(campaign(), SENT - 60)
        ledger.add_entries([entry(row=row, fen=100 * row) for row in (2, 3, 4)], SENT - 60)
        first = ledger.sendable("lantern", now_s=SENT, limit=1)
        limits = Limits(campaign_fen=10**6, in_doubt_fen=10**6)
        begun = ledger.begin_sends(first, limits=limits, now_s=SENT, owner="test", lease_s=60)
        answer = SendAnswer(outcome=Outcome.ACCEPTED, send_listid="1000041701")
        step = Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=SENT + 60)
        ledger.end_sends([SendResult(entry=begun.entries[0], answer=answer, step=step)], SENT)
        yield ledger


def write(ledger: Ledger, out: Path, **options) -> list[Path]:
    given = {"say": str, "gateway": "rehearsal", "merchant": "1900000109", "clock": FixedClock()}
    return write_report(ledger, options.pop("name", "lantern"), out=out, **(given | options))


def test_all_files_tell_the_same_truth_as_the_ledger(ledger, tmp_path):
    paths = write(ledger, tmp_path)
    assert [p.name for p in paths] == [f"lantern-report.{name}" for name in FORMATS]
    machine = json.loads((tmp_path / "lantern-report.json").read_text())
    totals = ledger.totals("lantern")
    assert {s: n for s, n in machine["states"].items() if n} == {
        s.value: t[0] for s, t in totals.items() if t[0]
    }
    assert machine["fen"]["total"] == sum(fen for _, fen in totals.values()) == 900
    cover = load_workbook(tmp_path / "lantern-report.xlsx", data_only=True)["Summary"]
    shown = {row[0]: row[1:] for row in cover.iter_rows(values_only=True)}
    assert shown["sum of the verdicts"][:2] == (3, 9)
    assert shown["digest of all rows"][0] == machine["digest"]


def test_an_existing_report_is_not_written_over_without_force(ledger, tmp_path):
    (tmp_path / "lantern-report.csv").write_text("signed by finance")
    with pytest.raises(UsageError, match=r"lantern-report\.csv"):
        write(ledger, tmp_path)
    assert names(tmp_path) == ["lantern-report.csv"]
    write(ledger, tmp_path, force=True)
    assert "signed" not in (tmp_path / "lantern-report.csv").read_text()


def test_an_unknown_campaign_is_said_in_words(ledger, tmp_path):
    with pytest.raises(UsageError, match="no campaign lantren"):
        write(ledger, tmp_path, name="lantren")
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_leaves_nothing_half_written(ledger, tmp_path, monkeypatch):
    def full(self, line):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(table.JsonReport, "add", full)
    with pytest.raises(StorageError, match="No space left"):
        write(ledger, tmp_path)
    assert names(tmp_path) == []


def test_the_report_asks_for_no_more_than_the_named_formats(ledger, tmp_path):
    assert [p.suffix for p in write(ledger, tmp_path, formats=("csv",))] == [".csv"]
