"""CSV and JSON: the same rows as everywhere, safe to open in a spreadsheet, exact for a program."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.state import State
from campaign.domain.summary import Summary
from campaign.report.lines import COLUMNS, line_of
from campaign.report.seal import Digest
from campaign.report.table import CsvReport, JsonReport, protected
from campaign.wechat.answers import explain
from tests.report.samples import campaign, entry, facts, mixed


def write(report, entries, about) -> Summary:
    summary, digest = Summary(), Digest(about)
    for one in entries:
        summary.add(one)
        line = line_of(one, now_s=about.made_at_s, explain=explain)
        digest.add(line)
        report.add(line)
    report.finish(summary, digest.hexdigest())
    report.close()
    return summary


def as_csv(path: Path, entries, **about) -> list[dict[str, str]]:
    given_facts = facts(**about)
    write(CsvReport(path, given_facts, say=str), entries, given_facts)
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def as_json(path: Path, entries, *, unmask: bool = False, **about) -> dict:
    given_facts = facts(unmask=unmask, **about)
    write(JsonReport(path, given_facts, say=str), entries, given_facts)
    return json.loads(path.read_text(encoding="utf-8"))


def test_csv_begins_with_the_mark_that_tells_excel_its_encoding(tmp_path):
    as_csv(tmp_path / "r.csv", mixed(3))
    assert (tmp_path / "r.csv").read_bytes().startswith(b"\xef\xbb\xbfrow,")


def test_csv_has_every_row_with_exact_yuan_and_codes_of_no_language(tmp_path):
    entries = list(mixed(40))
    rows = as_csv(tmp_path / "r.csv", entries)
    assert [row["mch_billno"] for row in rows] == [f"`{e.mch_billno}" for e in entries]
    assert [row["total_amount_yuan"] for row in rows] == [
        f"{e.total_amount // 100}.{e.total_amount % 100:02d}" for e in entries
    ]
    assert {row["verdict"] for row in rows} <= {
        "paid_claimed", "paid_unclaimed", "refunded", "proven_dead", "never_sent", "unknown"
    }  # fmt: skip
    assert all(row["gateway"] == "api.mch.weixin.qq.com" for row in rows)
    assert rows[0]["sent_at"] == "2026-03-03T20:00:00+08:00"


@pytest.mark.parametrize(
    "text, written",
    [
        ("", ""),
        ("张三", "张三"),
        ("13800138000", "13800138000"),
        ("0", "0"),
        ("0138", "`0138"),
        ("1000041701202603033000000002", "`1000041701202603033000000002"),
        ("1e5", "`1e5"),
        (".5", "`.5"),
        ("3-4", "`3-4"),
        ("MAR1", "`MAR1"),
        ("dec-12", "`dec-12"),
        ("march", "march"),
        ("=1+1", "`=1+1"),
        ("＝1+1", "`＝1+1"),
        ("+86 138", "`+86 138"),
        ("-", "`-"),
        ("@x", "`@x"),
        ("\t=1", "`\t=1"),
        ("\r=1", "`\r=1"),
        ("(5)", "`(5)"),
        ("¥5", "`¥5"),
        ("`x", "``x"),
    ],
)
def test_what_excel_would_alter_or_calculate_gets_a_backtick(text, written):
    assert protected(text) == written


@given(st.text())
def test_the_backtick_can_always_be_taken_off_again(text):
    written = protected(text)
    assert (written.removeprefix("`")) == text


@given(st.dictionaries(st.text(max_size=9), st.text(st.characters(exclude_categories=["Cs"])), max_size=3))
def test_own_columns_survive_csv_whatever_is_in_them(tmp_path_factory, own):
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    about = facts(campaign=campaign(own_headers=tuple(own)))
    write(CsvReport(path, about, say=str), [entry(own=own)], about)
    _, row = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    found = row[len(row) - len(own) :] if own else []
    assert [cell.removeprefix("`") for cell in found] == list(own.values())
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_json_sums_up_in_fen_and_names_the_gateway(tmp_path):
    found = as_json(tmp_path / "r.json", mixed(40), gateway="rehearsal")
    assert (found["schema_version"], found["gateway"], found["rehearsal"]) == (1, "rehearsal", True)
    assert found["rows"] == len(found["entries"]) == 40
    assert found["fen"]["total"] == sum(row["total_amount"] for row in found["entries"])
    assert sum(found["states"].values()) == 40
    assert sum(v["fen"] for v in found["verdicts"].values()) == found["fen"]["total"]
    for row in found["entries"]:
        assert set(row) == {c.key for c in COLUMNS} | {"needs_person", "own"}


def test_json_masks_openids_everywhere_unless_asked_otherwise(tmp_path):
    """Without an id column the row key is the openid, or begins with it."""
    keyed = [
        entry(re_openid="oLantern0123456789abcdef", row_key="oLantern0123456789abcdef"),
        entry(re_openid="oLantern0123456789abcdef", row_key="oLantern0123456789abcdef #2", row=3),
    ]
    as_json(tmp_path / "r.json", keyed)
    assert "oLantern0123456789abcdef" not in (tmp_path / "r.json").read_text()
    open_rows = as_json(tmp_path / "r.json", keyed, unmask=True)["entries"]
    assert [row["re_openid"] for row in open_rows] == ["oLantern0123456789abcdef"] * 2


def test_json_masks_openids_in_wechats_words_and_in_the_operators_own_columns(tmp_path):
    """The one who invited somebody is a person, too."""
    openid, inviter = "oSAMPLE_not_a_person_0000001", "oOTHER_not_a_person_00000002"
    rejected = entry(
        State.REJECTED,
        re_openid=openid,
        reason=f"{openid}不匹配",
        own={"姓名": f"张三 {openid}", "手机": inviter},
    )
    [row] = as_json(tmp_path / "r.json", [rejected])["entries"]
    assert row["own"] == {"姓名": "张三 oS…0001", "手机": "oO…0002"}
    written = (tmp_path / "r.json").read_text()
    assert openid not in written
    assert inviter not in written
    [row] = as_json(tmp_path / "r.json", [rejected], unmask=True)["entries"]
    assert (row["reason"], row["own"]["手机"]) == (f"{openid}不匹配", inviter)


def test_json_says_who_acts_and_until_when(tmp_path):
    (row,) = as_json(tmp_path / "r.json", [entry(State.PARKED)])["entries"]
    assert row["needs_person"]["until"] == "2026-03-06T20:00:00+08:00"
    assert row["needs_person"]["owner"] == "operator"


def test_a_campaign_without_rows_is_valid_json_and_csv(tmp_path):
    assert as_json(tmp_path / "r.json", [])["entries"] == []
    assert as_csv(tmp_path / "r.csv", []) == []


@pytest.mark.parametrize(
    "change",
    [{"total_amount": 189}, {"re_openid": "oB"}, {"status": "SENT"}, {"own": {"姓名": "李四"}}],
)
def test_the_digest_changes_with_any_fact(change):
    assert _digest([entry(State.RECEIVED)]) != _digest([entry(State.RECEIVED, **change)])


def test_the_digest_changes_with_order_number_and_owner_of_the_rows():
    two = [entry(row=2), entry(row=3)]
    assert len({_digest(two), _digest(two[::-1]), _digest(two[:1]), _digest([])}) == 4
    assert _digest(two) != _digest(two, merchant="1900000108")
    assert _digest(two) != _digest(two, gateway="rehearsal")


def _digest(entries, **about) -> str:
    digest = Digest(facts(**about))
    for one in entries:
        digest.add(line_of(one, now_s=0, explain=explain))
    return digest.hexdigest()
