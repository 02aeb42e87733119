"""The page: the same truth as the workbook, nothing from outside, nothing that a hostile text can do."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from campaign.domain.money import yuan_grouped
from campaign.domain.state import State
from campaign.domain.summary import Summary
from campaign.domain.verdict import VERDICT_TEXT
from campaign.report.lines import line_of
from campaign.report.page import PageReport
from campaign.wechat.answers import explain
from tests.report.samples import campaign, entry, facts, mixed

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--",
    "{{ 7*7 }}",
    "\u2028'\"&",
]


def write(path: Path, entries, *, rows_max=50_000, unmask=False, say=str, **about) -> Summary:
    given = facts(unmask=unmask, **about)
    page = PageReport(path, given, say=say, explain=explain, rows_max=rows_max)
    summary = Summary()
    for one in entries:
        summary.add(one)
        page.add(line_of(one, now_s=given.made_at_s, explain=explain))
    page.finish(summary, "the digest")
    page.close()
    return summary


class Page(HTMLParser):
    """What a browser makes of the file: visible text, elements, and the embedded rows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        (self.scripts if self._inside == "script" else self.texts).append(data)

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def test_the_page_shows_the_totals_of_the_ledger_and_every_row(tmp_path):
    summary = write(tmp_path / "r.html", mixed(60))
    page = Page(tmp_path / "r.html")
    for verdict, words in VERDICT_TEXT.items():
        total = summary.totals.verdicts[verdict]
        assert f"{words} {total.rows} {yuan_grouped(total.fen)}" in page.text
    assert "adds up" in page.text
    assert [row[0] for row in page.data["rows"]] == list(range(2, 62))
    assert sum(round(float(row[2]) * 100) for row in page.data["rows"]) == summary.totals.planned.fen


def test_nothing_is_fetched_from_anywhere(tmp_path):
    write(tmp_path / "r.html", mixed(60))
    page = Page(tmp_path / "r.html")
    assert not [attrs for _, attrs in page.tags if {"src", "href", "action", "srcset"} & set(attrs)]
    assert not {"link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?:|url\(|@import", (tmp_path / "r.html").read_text())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_text_stays_text(tmp_path, hostile):
    odd = entry(State.REJECTED, reason=hostile, err_code=hostile, re_openid=hostile, status=hostile)
    write(tmp_path / "h.html", [odd], unmask=True, campaign=campaign(name=hostile, title=hostile))
    write(tmp_path / "r.html", [entry(State.REJECTED)], unmask=True)
    found, usual = Page(tmp_path / "h.html"), Page(tmp_path / "r.html")
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in usual.tags]
    assert len(found.scripts) == 2
    assert found.data["rows"][0][1] == hostile
    assert " ".join(hostile.split()) in found.text


def test_openids_are_masked_unless_asked_otherwise(tmp_path):
    write(tmp_path / "r.html", [entry()])
    assert entry().re_openid not in (tmp_path / "r.html").read_text()
    write(tmp_path / "u.html", [entry()], unmask=True)
    assert entry().re_openid in (tmp_path / "u.html").read_text()


def test_a_rehearsal_says_so_and_a_real_campaign_does_not(tmp_path):
    write(tmp_path / "r.html", mixed(5), gateway="rehearsal")
    write(tmp_path / "real.html", mixed(5))
    assert "REHEARSAL / 演练: no real money moved" in Page(tmp_path / "r.html").text
    assert "REHEARSAL" not in Page(tmp_path / "real.html").text


def test_too_many_rows_for_a_browser_are_counted_and_those_in_need_still_listed(tmp_path):
    write(tmp_path / "r.html", mixed(60), rows_max=30)
    page = Page(tmp_path / "r.html")
    rows = page.data["rows"]
    assert len(rows) == 30 + 4
    assert all(row[8] for row in rows[30:])
    assert "26 more rows are in the workbook" in page.text


def test_a_campaign_without_rows_has_a_page(tmp_path):
    write(tmp_path / "r.html", [])
    assert Page(tmp_path / "r.html").data["rows"] == []


def test_the_language_is_declared_and_every_sentence_is_said_in_it(tmp_path):
    write(tmp_path / "r.html", [entry(State.RECEIVED)], lang="zh_CN", say=lambda sentence: f"«{sentence}»")
    page = Page(tmp_path / "r.html")
    assert ("html", {"lang": "zh-CN"}) in page.tags
    assert "«Red packet report»" in page.text
    words = [t.strip() for t in page.texts if re.search("[A-Za-z]{3}", t) and "{" not in t]
    left = [w for w in words if "«" not in w and w not in ("lantern", "api.mch.weixin.qq.com")]
    assert [w for w in left if not w.endswith("the digest") and not w.startswith("元宵节")] == []


@pytest.mark.system
def test_a_browser_lists_searches_and_filters(tmp_path):
    """In Chromium: all rows listed by steps, a hostile one inert, search and filter narrow the list."""
    rows = [*mixed(250), entry(State.REJECTED, row=900, err_code=HOSTILE[0], status=HOSTILE[1])]
    write(tmp_path / "r.html", rows)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    probe = """<script>
      const seen = [body.rows.length, count.textContent];
      find.value = "OPENID_error  OL…0004"; find.dispatchEvent(new Event("input"));
      seen.push(body.rows.length, body.rows[0].cells[0].textContent);
      find.value = ""; needs.checked = true; needs.dispatchEvent(new Event("change"));
      seen.push(count.textContent);
      document.body.textContent = JSON.stringify(seen);
    </script></body>"""
    (tmp_path / "probe.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    dumped = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
         "--dump-dom", f"file://{tmp_path}/probe.html"],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    needy = sum(1 for n in range(250) if n % 20 in (2, 3, 6, 7)) + 1
    assert json.dumps([100, "251 / 251", 1, "4", f"{needy} / 251"]).replace(" ", "") in dumped.replace(
        " ", ""
    )
