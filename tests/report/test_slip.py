"""The slip: totals, digest and signatures on one page of A4."""

from __future__ import annotations

import subprocess
import sys

import pytest

from campaign.domain.billing import Billing
from campaign.domain.summary import Summary
from campaign.errors import SetupError
from campaign.report.lines import line_of
from campaign.report.rendering import rendered
from campaign.report.slip import SlipReport, slip_content
from campaign.wechat.answers import explain
from tests.report.samples import campaign, facts, mixed


def page(entries, **about) -> str:
    content = slip_content(facts(**about), Summary.of(entries), "d1gest", needs=3, say=str, explain=explain)
    return "".join(rendered("slip.html", content))


def test_the_slip_shows_the_totals_the_digest_and_what_is_open():
    entries = list(mixed(40))
    total = sum(e.total_amount for e in entries)
    shown = page(entries)
    assert f"{total // 100}.{total % 100:02d}" in shown
    assert "d1gest" in shown
    assert "Rows that need a person: 3." in shown


def test_a_rehearsals_slip_says_so_and_a_hostile_title_stays_text():
    assert "REHEARSAL / 演练" in page([], gateway="rehearsal")
    assert "REHEARSAL" not in page([])
    assert "<b>" not in page([], campaign=campaign(title="<b>"))


def test_without_the_extra_the_way_to_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(SetupError) as told:
        SlipReport(tmp_path / "r.pdf", facts(), say=str, explain=explain)
    assert "campaign[pdf]" in str(told.value.advice)


@pytest.mark.system
def test_the_pdf_is_one_page_with_readable_chinese(tmp_path):
    pytest.importorskip("weasyprint")
    about = facts(gateway="rehearsal")
    slip = SlipReport(tmp_path / "r.pdf", about, say=str, explain=explain)
    summary = Summary(billing=Billing(matched_at_s=about.made_at_s, findings=3))
    for one in mixed(40):
        summary.add(one)
        slip.add(line_of(one, now_s=about.made_at_s, explain=explain))
    slip.finish(summary, "d1gest")
    slip.close()
    shown = subprocess.run(
        ["pdftotext", tmp_path / "r.pdf", "-"], check=True, capture_output=True, text=True
    ).stdout
    assert shown.count("\f") == 1
    assert "元宵节猜灯谜" in shown
    assert "d1gest" in shown
