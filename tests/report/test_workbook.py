"""The workbook: totals that add up as formulas and as figures, text that stays text, nothing left out."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from campaign.domain.answer import Outcome, Status
from campaign.domain.campaign import Halt, HaltReason
from campaign.domain.days import moment_s
from campaign.domain.state import State
from campaign.domain.summary import Summary
from campaign.domain.verdict import STATE_TEXT, VERDICT_TEXT, Verdict
from campaign.i18n import Speech
from campaign.ledger.records import Attempt, Question
from campaign.report import grid
from campaign.report.grid import SHEET_ROWS_MAX, Book, Grid
from campaign.report.history import traces
from campaign.report.lines import COLUMNS, Kind, Remembered, line_of
from campaign.report.seal import Digest
from campaign.report.workbook import WorkbookReport
from campaign.text import text
from campaign.wechat.answers import explain
from tests.report.samples import SENT, campaign, entry, facts, mixed

PLACE = {column.key: n for n, column in enumerate(COLUMNS)}


def write(
    path: Path, entries, *, about=None, say=str, history=lambda number: (), rows_max=SHEET_ROWS_MAX
) -> Summary:
    about = about or facts()
    book = WorkbookReport(path, about, say=say, explain=explain, history=history, rows_max=rows_max)
    summary, digest = Summary(), Digest(about)
    for one in entries:
        summary.add(one)
        line = line_of(one, now_s=about.made_at_s, explain=explain)
        digest.add(line)
        book.add(line)
    book.finish(summary, digest.hexdigest())
    book.close()
    return summary


def cells(path: Path, sheet: str, *, values: bool = True):
    return [list(row) for row in load_workbook(path, data_only=values)[sheet].iter_rows(values_only=True)]


def excel_time(beijing: str) -> datetime:
    """Excel's times have no zone."""
    return datetime.fromisoformat(beijing)


def labelled(path: Path, *, cover: str = "Summary", values: bool = True) -> dict[str, list]:
    return {row[0]: row[1:] for row in cells(path, cover, values=values) if row[0]}


def test_the_totals_are_those_of_the_ledger_to_the_fen(tmp_path):
    summary = write(tmp_path / "r.xlsx", mixed(100))
    shown = labelled(tmp_path / "r.xlsx")
    for verdict, words in VERDICT_TEXT.items():
        total = summary.totals.verdicts[verdict]
        assert shown[str(words)][:2] == [total.rows, total.fen / 100]
    planned = summary.totals.planned
    assert shown["sum of the verdicts"][:2] == [planned.rows, planned.fen / 100]
    assert shown["sum of the states"][:2] == [planned.rows, planned.fen / 100]
    assert shown["difference (must be zero)"] == [0, 0, "adds up"]


def test_the_totals_are_formulas_over_the_details_not_typed_figures(tmp_path):
    write(tmp_path / "r.xlsx", mixed(40))
    shown = labelled(tmp_path / "r.xlsx", values=False)
    for words in VERDICT_TEXT.values():
        rows, yuan = shown[str(words)][:2]
        assert rows.startswith("=COUNTIF('Details'!$D$2:$D$41,")
        assert "'Details'!$C$2:$C$41" in yuan


def test_every_row_of_the_sheet_is_in_the_details_once(tmp_path):
    entries = list(mixed(60))
    write(tmp_path / "r.xlsx", entries)
    rows = cells(tmp_path / "r.xlsx", "Details")[1:]
    assert [row[PLACE["mch_billno"]] for row in rows] == [e.mch_billno for e in entries]
    assert [round(row[PLACE["total_amount"]] * 100) for row in rows] == [e.total_amount for e in entries]
    assert [row[PLACE["re_openid"]] for row in rows] == [e.re_openid for e in entries]


def test_ids_are_text_amounts_are_numbers_and_times_are_beijing_times(tmp_path):
    write(tmp_path / "r.xlsx", [entry(State.RECEIVED)])
    sheet = load_workbook(tmp_path / "r.xlsx")["Details"]
    found = {column.key: sheet.cell(2, n + 1) for n, column in enumerate(COLUMNS)}
    for key in ("mch_billno", "send_listid", "detail_id", "row_key", "re_openid"):
        assert (found[key].data_type, found[key].number_format) == ("s", "@")
    assert (found["total_amount"].value, found["total_amount"].number_format) == (1.88, "#,##0.00")
    assert found["sent_at"].value == excel_time("2026-03-03 20:00:00")
    assert found["rcv_time"].value == excel_time("2026-03-03 20:01:35")


def test_the_operators_own_columns_stand_at_the_right(tmp_path):
    write(tmp_path / "r.xlsx", [entry(own={"手机": "013800138000"})])
    head, row = cells(tmp_path / "r.xlsx", "Details")
    assert head[-2:] == ["姓名", "手机"]
    assert row[-2:] == [None, "013800138000"]


@pytest.mark.parametrize(
    "hostile",
    ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x","y")', "{=1}", "<r>x</r>", "<r><t>x</t></r>",
     "_x0041_", "a_x0041_b", "http://example.com", "1e5", "007", "a\x01b", "a\nb", " x ",
     "]]>&<>\"'", "𠮷😀", "x" * 40_000],
)  # fmt: skip
def test_text_stays_text_whatever_it_looks_like(tmp_path, hostile):
    write(tmp_path / "r.xlsx", [entry(own={"姓名": hostile}, reason=hostile, row_key=hostile or "k")])
    sheet = load_workbook(tmp_path / "r.xlsx")["Details"]
    for column in (PLACE["reason"] + 1, PLACE["row_key"] + 1, len(COLUMNS) + 1):
        cell = sheet.cell(2, column)
        assert cell.data_type == "s"
        assert cell.hyperlink is None
        assert _unescaped(cell.value).rstrip()[:30_000] == hostile.rstrip()[:30_000]


def _unescaped(value: str) -> str:
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), value)


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_makes_a_workbook_that_opens(tmp_path_factory, hostile):
    path = tmp_path_factory.mktemp("any") / "r.xlsx"
    about = facts(campaign=campaign(title=hostile, own_headers=(hostile,), sheet_file=hostile))
    write(path, [entry(State.REJECTED, own={hostile: hostile}, reason=hostile)], about=about)
    assert load_workbook(path).sheetnames[0] == "Summary"


def test_no_formula_comes_from_the_data(tmp_path):
    """Formulas stand on the summary and in the lines of totals, and nowhere else."""
    own = {"姓名": "=1+1", "手机": "@SUM(A1)"}
    write(tmp_path / "r.xlsx", [entry(row=n, own=own, reason="=2", re_openid="=3") for n in range(2, 30)])
    for sheet in load_workbook(tmp_path / "r.xlsx"):
        for cells_of_row in sheet.iter_rows():
            if sheet.title != "Summary" and cells_of_row[0].value != "total":
                assert not [cell for cell in cells_of_row if cell.data_type == "f"]


def test_the_exceptions_name_cause_owner_and_next_step(tmp_path):
    write(tmp_path / "r.xlsx", mixed(20))
    head, *rows = cells(tmp_path / "r.xlsx", "Exceptions")
    by_state = {row[head.index("state")]: row for row in rows}
    assert len(rows) == 4  # two rejected, one parked, one stuck
    parked = by_state["held by WeChat Pay"]
    assert "该用户今日领取金额超过限制" in parked[head.index("cause")]
    assert "run the campaign again before" in parked[head.index("next step")]
    assert parked[head.index("until")] == excel_time("2026-03-06 20:00:00")
    assert all(row[head.index("who acts")] for row in rows)


def test_an_exception_has_every_request_and_question_as_evidence_and_other_rows_have_none(tmp_path):
    def history(number):
        return traces(
            [attempt(1, SENT, None), attempt(2, SENT + 400, Outcome.REFUSED, "OPENID_ERROR", "不匹配")],
            [question(SENT + 200, Status.NOT_FOUND), question(SENT + 100, None, "SYSTEMERROR")],
        )

    write(tmp_path / "r.xlsx", [entry(State.REJECTED, row=7), entry(State.RECEIVED, row=8)], history=history)
    rows = cells(tmp_path / "r.xlsx", "Evidence")[1:]
    assert {row[0] for row in rows} == {7}
    assert [row[3:] for row in rows] == [
        ["request 1: no clear answer", None, None],
        ["asked: no clear answer", "SYSTEMERROR", None],
        ["asked: NOT_FOUND", None, None],
        ["request 2: refused, no order stored", "OPENID_ERROR", "不匹配"],
    ]


def attempt(n, at_s, outcome, err_code="", words=""):
    return Attempt(
        n=n, begun_at_s=at_s, ended_at_s=at_s, outcome=outcome, err_code=err_code, err_code_des=words, raw=b""
    )


def question(at_s, status, err_code=""):
    return Question(
        asked_at_s=at_s, answered_at_s=at_s, status=status, err_code=err_code, err_code_des="", raw=b""
    )


def test_the_cover_says_what_is_not_finished(tmp_path):
    halted = campaign(halt=Halt(reason=HaltReason.BALANCE, missing_fen=5000))
    write(tmp_path / "r.xlsx", mixed(20), about=facts(campaign=halted))
    cover = "\n".join(str(row[0]) for row in cells(tmp_path / "r.xlsx", "Summary"))
    assert "运营账户" in cover
    assert "need a person: 4" in cover
    assert "planned and not sent yet: 1" in cover


def test_a_rehearsal_says_so_on_every_page_and_a_real_campaign_never_does(tmp_path):
    for gateway, rehearsal in (
        ("rehearsal", True),
        ("127.0.0.1:8443", True),
        ("api.mch.weixin.qq.com", False),
    ):
        path = tmp_path / f"{rehearsal}.xlsx"
        write(path, mixed(10), about=facts(gateway=gateway))
        for sheet in load_workbook(path):
            assert ("REHEARSAL / 演练" in (sheet.oddHeader.center.text or "")) is rehearsal
            assert str(sheet["A1"].value).startswith("REHEARSAL / 演练") is rehearsal


def test_rows_beyond_one_sheet_go_on_on_the_next_and_the_totals_cover_both(tmp_path):
    summary = write(tmp_path / "r.xlsx", mixed(45), rows_max=21)
    book = load_workbook(tmp_path / "r.xlsx")
    assert [name for name in book.sheetnames if name.startswith("Details")] == [
        "Details",
        "Details 2",
        "Details 3",
    ]
    assert [book[n].max_row for n in ("Details", "Details 2", "Details 3")] == [21, 21, 6]
    formula = labelled(tmp_path / "r.xlsx", values=False)["all rows of the sheet Details"][1]
    assert formula == (
        "=ROUND(SUM('Details'!$C$2:$C$21)+SUM('Details 2'!$C$2:$C$21)+SUM('Details 3'!$C$2:$C$6),2)"
    )
    assert labelled(tmp_path / "r.xlsx")["all rows of the sheet Details"][0] == summary.totals.planned.rows


def test_a_total_for_which_its_sheet_has_no_room_stands_on_the_next(tmp_path):
    """Excel's last row may be the last one of the table; what is written below it is dropped."""
    book = Book(tmp_path / "r.xlsx", facts(), str)
    table = Grid(book, text("People"), [("who", Kind.TEXT, 9), ("yuan", Kind.MONEY, 9)], rows_max=3)
    for fen in (100, 200):
        table.append(("oA", fen))
    table.total("total", {1: 300})
    book.close()
    found = load_workbook(tmp_path / "r.xlsx")
    assert found["People"].max_row == 3
    assert [cell.value for cell in found["People 2"][2]] == ["total", "=ROUND(SUM('People'!$B$2:$B$3),2)"]


def test_a_total_of_no_rows_is_zero_and_not_the_sum_of_itself(tmp_path):
    """A campaign of which nothing was sent has no days; Excel refuses a formula that names its own cell."""
    write(tmp_path / "r.xlsx", [entry(State.PLANNED)])
    assert cells(tmp_path / "r.xlsx", "Days", values=False)[1][:3] == ["total", "=0", "=ROUND(0,2)"]
    assert cells(tmp_path / "r.xlsx", "Days")[1][:3] == ["total", 0, 0]


def test_half_a_second_before_midnight_is_still_that_day(tmp_path):
    at = moment_s("2026-03-31 23:59:59") + 0.7
    write(tmp_path / "r.xlsx", [entry(State.ACCEPTED, first_sent_at_s=at, last_sent_at_s=at)])
    assert cells(tmp_path / "r.xlsx", "Details")[1][PLACE["sent_at"]] == excel_time("2026-03-31 23:59:59")
    assert cells(tmp_path / "r.xlsx", "Days")[1][0] == "2026-03-31"


def test_a_sheet_of_gigabytes_gets_the_longer_fields_that_it_needs_and_opens(tmp_path, monkeypatch):
    write(tmp_path / "short.xlsx", mixed(5))
    monkeypatch.setattr(grid, "_LONG_PART_BYTES", 0)
    write(tmp_path / "long.xlsx", mixed(5))
    assert cells(tmp_path / "long.xlsx", "Details") == cells(tmp_path / "short.xlsx", "Details")
    # Programs that read only the short ones open every smaller workbook.
    sizes = [(tmp_path / name).stat().st_size for name in ("short.xlsx", "long.xlsx")]
    assert sizes[0] < sizes[1]


def test_more_different_values_than_are_remembered_are_written_as_well():
    written = Remembered(lambda value: f"<{value}>")
    for n in (*range(5_000), *range(5_000)):
        assert written[n] == f"<{n}>"
    assert len(written) <= 2_000


def test_excel_would_open_a_full_sheet(tmp_path):
    """Excel's last row is 1,048,576; the header is one of them."""
    assert SHEET_ROWS_MAX == 1_048_576


def test_the_print_set_up_is_a4_one_page_wide_with_the_header_on_each_page(tmp_path):
    write(tmp_path / "r.xlsx", mixed(20))
    for sheet in load_workbook(tmp_path / "r.xlsx"):
        assert int(sheet.page_setup.paperSize) == 9
        assert (sheet.page_setup.fitToWidth or 1, sheet.page_setup.fitToHeight) == (1, 0)
        assert sheet.oddFooter.center.text == "&P / &N"
        if sheet.title not in ("Summary", "Charts"):
            assert sheet.print_title_rows == "$1:$1"
            assert sheet.auto_filter.ref
            assert sheet.freeze_panes == "B2"


@pytest.mark.parametrize(
    "sheet, column, total",
    [("Days", 3, "sent"), ("Days", 5, "claimed"), ("Days", 7, "refunded"), ("Opening", 3, "claimed"),
     ("Months", 4, "sent"), ("Activities", 3, "planned"), ("People", 3, "planned"), ("People", 5, "paid")],
)  # fmt: skip
def test_each_further_sheet_ends_with_a_total_that_ties_to_the_summary(tmp_path, sheet, column, total):
    summary = write(tmp_path / "r.xlsx", mixed(80))
    verdicts = {v: s.fen for v, s in summary.totals.verdicts.items()}
    paid = verdicts[Verdict.CLAIMED] + verdicts[Verdict.UNCLAIMED]
    expected = {
        "planned": summary.totals.planned.fen,
        "sent": paid + verdicts[Verdict.REFUNDED],
        "claimed": verdicts[Verdict.CLAIMED],
        "refunded": verdicts[Verdict.REFUNDED],
        "paid": paid,
    }
    *rows, last = cells(tmp_path / "r.xlsx", sheet)[1:]
    assert last[0] == "total"
    assert last[column - 1] == expected[total] / 100
    assert round(sum(row[column - 1] for row in rows) * 100) == expected[total]


def test_paid_to_a_person_is_what_was_taken_and_did_not_come_back(tmp_path):
    states = (State.RECEIVED, State.REFUNDED, State.IN_DOUBT)
    entries = [entry(state, row=row, re_openid="oA") for row, state in enumerate(states, 2)]
    write(tmp_path / "r.xlsx", [*entries, entry(State.ACCEPTED, row=5, re_openid="oB", fen=200)])
    assert cells(tmp_path / "r.xlsx", "People")[1:-1] == [["oB", 1, 2, 1, 2], ["oA", 3, 5.64, 1, 1.88]]


def test_of_a_packet_that_came_back_in_part_the_cover_calls_the_rest_paid(tmp_path):
    """And says the same of what came back in both places."""
    back = entry(State.REFUNDED, fen=1000, refund_amount=400)
    write(tmp_path / "r.xlsx", [back, entry(State.RECEIVED, row=3, fen=200)])
    shown = labelled(tmp_path / "r.xlsx")
    assert shown["of this came back"][:2] == shown["came back, by the ledger"][:2] == [1, 4]
    assert shown["taken from the account"][:2] == [2, 12]
    assert shown["paid"][:2] == [1, 8]
    assert any("6.00 yuan did not" in str(label) for label in shown), "or the verdicts would not add up to it"


def test_a_packet_that_came_back_in_part_is_cut_apart_by_month_and_by_person(tmp_path):
    """Every sheet says that 4.00 yuan of it came back and 6.00 were paid, as the cover does."""
    back = entry(
        State.REFUNDED, fen=1000, refund_amount=400, re_openid="oA", refund_time="2026-04-01 08:00:00"
    )
    summary = write(tmp_path / "r.xlsx", [back, entry(State.RECEIVED, row=3, re_openid="oB", fen=200)])
    assert cells(tmp_path / "r.xlsx", "Months")[1:] == [
        ["2026-03", "not come back", 1, 8],
        ["2026-03", "2026-04", 1, 4],
        ["total", None, 2, 12],
    ]
    assert cells(tmp_path / "r.xlsx", "Days")[-1] == ["total", 2, 12, 1, 2, 1, 4]
    *people, total = cells(tmp_path / "r.xlsx", "People")[1:]
    assert people == [["oA", 1, 10, 0, 6], ["oB", 1, 2, 1, 2]]
    assert total[3:5] == [summary.paid.rows, summary.paid.fen / 100]


def test_the_error_codes_are_counted_and_explained(tmp_path):
    write(tmp_path / "r.xlsx", mixed(80))
    rows = {row[0]: row[1:] for row in cells(tmp_path / "r.xlsx", "Error codes")[1:]}
    assert rows["OPENID_ERROR"][0] == 4
    assert rows["OPENID_ERROR"][2] == str(explain("OPENID_ERROR").cause)


def test_the_charts_draw_the_cells_of_the_report(tmp_path):
    write(tmp_path / "r.xlsx", mixed(80))
    book = load_workbook(tmp_path / "r.xlsx")
    sources = {series.val.numRef.f for chart in book["Charts"]._charts for series in chart.series}
    assert len(sources) == 5
    for source in sources:
        sheet, area = source.split("!")
        assert any(cell.value for row in book[sheet.strip("'")][area.replace("$", "")] for cell in row)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.xlsx", mixed(30))
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_a_campaign_without_rows_has_a_report_too(tmp_path):
    write(tmp_path / "r.xlsx", [])
    assert labelled(tmp_path / "r.xlsx")["difference (must be zero)"] == [0, 0, "adds up"]


def test_every_sentence_goes_through_the_readers_language(tmp_path):
    """Sheet names, headings and verdicts: what `say` gives is what stands there."""
    write(tmp_path / "r.xlsx", mixed(20), say=lambda sentence: f"«{sentence}»")
    for sheet in load_workbook(tmp_path / "r.xlsx"):
        assert sheet.title.startswith("«")
    head, row = cells(tmp_path / "r.xlsx", "«Details»")[:2]
    assert all(cell.startswith("«") for cell in head[: len(COLUMNS)])
    assert row[PLACE["verdict"]] == "«not claimed, money came back»"
    assert row[PLACE["evidence"]].startswith("«")


def test_the_first_beijing_second_of_a_year_is_written_as_such(tmp_path):
    at = moment_s("2027-01-01 00:00:00")
    write(tmp_path / "r.xlsx", [entry(State.ACCEPTED, first_sent_at_s=at, last_sent_at_s=at)])
    assert cells(tmp_path / "r.xlsx", "Details")[1][PLACE["sent_at"]] == excel_time("2027-01-01 00:00:00")


@pytest.mark.system
@pytest.mark.parametrize(
    "entries",
    [list(mixed(200)), [entry(State.REFUNDED, fen=1000)], [entry(State.PLANNED)], []],
    ids=["mixed", "partly back", "unsent", "none"],
)
def test_libreoffice_recalculates_the_same_totals(tmp_path, entries):
    """Opened by another program and calculated anew, every figure of every sheet stays."""
    write(tmp_path / "r.xlsx", entries, rows_max=61)
    # Without the cached values only a recalculation can fill the cells.
    stripped = tmp_path / "stripped.xlsx"
    book = load_workbook(tmp_path / "r.xlsx")
    book.save(stripped)
    subprocess.run(
        ["soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
         "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", tmp_path / "out", stripped],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    calculated = load_workbook(tmp_path / "out" / "stripped.xlsx", data_only=True)
    formulas = 0
    for sheet in load_workbook(tmp_path / "r.xlsx", data_only=True):
        for row in sheet.iter_rows():
            for cell in row:
                if book[sheet.title][cell.coordinate].data_type == "f":
                    found = calculated[sheet.title][cell.coordinate].value
                    is_text = isinstance(cell.value, str)
                    assert found == (cell.value if is_text else pytest.approx(cell.value, abs=1e-9)), cell
                    formulas += 1
    assert formulas > 50


def test_the_workbook_can_be_written_in_every_language_and_still_adds_up(tmp_path):
    """Translated names of sheets must be ones that Excel takes, and no two verdicts may share a word."""
    for language in ("en", "zh_CN"):
        say = Speech(language).say
        summary = write(tmp_path / f"{language}.xlsx", mixed(40), say=say)
        shown = labelled(tmp_path / f"{language}.xlsx", cover=say(text("Summary")))
        assert shown[say(text("sum of the verdicts"))][0] == summary.totals.planned.rows
        for words in (VERDICT_TEXT, STATE_TEXT):
            assert len({say(word) for word in words.values()}) == len(words)
