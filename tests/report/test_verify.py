"""`verify_report`: whatever was changed in a report or in the ledger behind it is named."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from openpyxl import load_workbook

from campaign.domain.answer import Outcome, QueryAnswer, SendAnswer, Status
from campaign.domain.billno import mch_billno
from campaign.domain.decision import Step
from campaign.domain.entry import Todo
from campaign.domain.limits import Limits
from campaign.domain.state import Evidence, State
from campaign.errors import SetupError, UsageError
from campaign.ledger.records import QueryResult, SendResult
from campaign.ledger.store import Ledger
from campaign.report import slip as slip_module
from campaign.report.seal import Seal
from campaign.stages import report as stage
from campaign.stages.report import verify_report, write_report
from tests.report.samples import NOW, PARAMETERS, SENT, campaign, entry
from tests.report.test_write_report import FixedClock

SEALED = ("xlsx", "html", "json", "csv")


@pytest.fixture
def ledger():
    """Four rows: two taken by WeChat Pay, two planned."""
    with Ledger.open(None, merchant="1900000109", gateway="rehearsal", clock=FixedClock()) as ledger:
        ledger.save_campaign(campaign(), SENT - 60)
        ledger.add_entries([entry(row=row, fen=100 * row) for row in (2, 3, 4, 5)], SENT - 60)
        limits = Limits(campaign_fen=10**6, in_doubt_fen=10**6)
        first = ledger.sendable("lantern", now_s=SENT, limit=2)
        begun = ledger.begin_sends(first, limits=limits, now_s=SENT, owner="test", lease_s=60)
        step = Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=SENT + 60)
        answer = SendAnswer(outcome=Outcome.ACCEPTED, send_listid="1000041701")
        ledger.end_sends([SendResult(entry=e, answer=answer, step=step) for e in begun.entries], SENT)
        yield ledger


def written(ledger: Ledger, out: Path, **options) -> dict[str, Path]:
    paths = write_report(
        ledger, "lantern", out=out, say=str, gateway="rehearsal", merchant="1900000109", clock=FixedClock(),
        **options,
    )  # fmt: skip
    return {path.suffix[1:]: path for path in paths}


def verify(ledger: Ledger, path: Path):
    return verify_report(ledger, path, say_in=lambda lang: str, gateway="rehearsal", merchant="1900000109")


@contextmanager
def held(*entries):
    """A ledger with these rows."""
    with Ledger.open(None, merchant="1900000109", gateway="rehearsal", clock=FixedClock()) as ledger:
        ledger.save_campaign(campaign(), SENT - 60)
        ledger.add_entries(entries, SENT - 60)
        yield ledger


def tied(row: int, issue: int = 1):
    """An entry with the number that its key and issue give it."""
    key = {"mch_id": "1900000109", "row_key": f"k{row}", "issue": issue}
    number = mch_billno(campaign_id="lantern", **key)
    return entry(row=row, mch_billno=number, issue=issue, parameters=PARAMETERS | {"mch_id": "1900000109"})


def sent(ledger: Ledger, answer: SendAnswer, step: Step) -> None:
    """The first row was sent, and answered so."""
    limits = Limits(campaign_fen=10**6, in_doubt_fen=10**6)
    first = ledger.sendable("lantern", now_s=SENT, limit=1)
    begun = ledger.begin_sends(first, limits=limits, now_s=SENT, owner="test", lease_s=60)
    ledger.end_sends([SendResult(entry=begun.entries[0], answer=answer, step=step)], SENT)


def opened(ledger: Ledger) -> None:
    """News for row 2: the packet was opened."""
    asked = next(ledger.entries("lantern"))
    answer = QueryAnswer(status=Status.RECEIVED, detail_id="1000041701", total_amount=200)
    step = Step(state=State.RECEIVED)
    ledger.end_query(QueryResult(entry=asked, asked_at_s=NOW, answer=answer, step=step), NOW)


def replaced(path: Path, old: str, new: str) -> None:
    """Alter the text of a report, inside its zip where it is one."""
    if path.suffix != ".xlsx":
        content = path.read_text(encoding="utf-8")
        assert old in content
        path.write_text(content.replace(old, new, 1), encoding="utf-8")
        return
    with zipfile.ZipFile(path) as before:
        parts = {name: before.read(name) for name in before.namelist()}
    (hit, *_) = [name for name, data in parts.items() if old.encode() in data]
    parts[hit] = parts[hit].replace(old.encode(), new.encode(), 1)
    with zipfile.ZipFile(path, "w") as after:
        for name, data in parts.items():
            after.writestr(name, data)


@pytest.mark.parametrize("kind", SEALED)
@pytest.mark.parametrize("unmask", [False, True])
def test_an_untouched_report_fits_its_ledger(ledger, tmp_path, kind, unmask):
    found = verify(ledger, written(ledger, tmp_path, unmask=unmask)[kind])
    assert found.good
    assert (found.moved, found.other_version) == (0, False)


@pytest.mark.parametrize(
    "kind, old, new, place",
    [
        ("xlsx", "<v>3.0</v>", "<v>30.0</v>", "Details!C4"),
        ("xlsx", "<t>paid, not claimed yet</t>", "<t>paid and claimed</t>", ""),
        ("xlsx", "<v>14.0</v>", "<v>15.0</v>", "Summary!C"),
        ("json", '"total_amount":300', '"total_amount":30', "entries[1].total_amount"),
        ("json", '"rows":4', '"rows":5', "rows"),
        ("html", '"3.00"', '"0.30"', "line "),
        ("html", "¥14.00", "¥15.00", "line "),
        ("csv", "3.00", "0.30", "line 3 total_amount_yuan"),
        ("csv", "张三4", "张三5", "line 4 姓名"),
        ("csv", "total_amount_yuan", "total", "line 1 total"),
    ],
)
def test_one_changed_figure_is_named(ledger, tmp_path, kind, old, new, place):
    path = written(ledger, tmp_path)[kind]
    replaced(path, old, new)
    found = verify(ledger, path)
    assert not found.good
    assert found.difference.place.startswith(place)
    assert found.difference.found != found.difference.expected


def test_a_report_saved_again_without_a_change_still_fits(ledger, tmp_path):
    paths = written(ledger, tmp_path)
    data = json.loads(paths["json"].read_text())
    paths["json"].write_text(json.dumps(data, indent=2))
    assert verify(ledger, paths["json"]).good


@pytest.mark.system
def test_a_workbook_that_an_office_program_saved_again_still_fits(ledger, tmp_path):
    path = written(ledger, tmp_path)["xlsx"]
    subprocess.run(
        ["soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
         "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", tmp_path / "again", path],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert verify(ledger, tmp_path / "again" / path.name).difference is None


@pytest.mark.parametrize(
    "old, new, place",
    [
        # Every amount reads 88.00, whatever it is.
        ('"166" formatCode="#,##0.00"', '"166" formatCode="&quot;88.00&quot;"', "Summary!"),
        ('name="Exceptions" sheetId="3"', 'name="Exceptions" sheetId="3" state="hidden"', "sheets"),
        ("<xdr:graphicFrame", "<xdr:sp></xdr:sp><xdr:graphicFrame", "pictures"),
        ("<dxf>", '<dxf><numFmt numFmtId="999" formatCode="&quot;88.00&quot;"/>', "formats"),
        ("&amp;RSummary</oddHeader>", "&amp;RPaid: 88.00</oddHeader>", "headers and footers"),
        ("</oddFooter>", "</oddFooter><firstFooter>&amp;CPaid: 88.00</firstFooter>", "headers and footers"),
        ("Money by Beijing day (yuan)</a:t>", "Money by Beijing day (thousand yuan)</a:t>", "charts"),
        ("'Summary'!$C$19:$C$24</c:f>", "'Summary'!$B$19:$B$24</c:f>", "charts"),
    ],
)
def test_what_makes_another_figure_of_a_cell_is_named(ledger, tmp_path, old, new, place):
    path = written(ledger, tmp_path)["xlsx"]
    replaced(path, old, new)
    assert verify(ledger, path).difference.place.startswith(place)


def test_a_note_in_a_cell_is_named(ledger, tmp_path):
    path = written(ledger, tmp_path)["xlsx"]
    with zipfile.ZipFile(path, "a") as parts:
        parts.writestr("xl/comments1.xml", "<comments/>")
    assert verify(ledger, path).difference.place == "notes"


@pytest.mark.parametrize("kind", SEALED)
def test_a_row_that_was_dropped_is_named(ledger, tmp_path, kind):
    path = written(ledger, tmp_path)[kind]
    if kind == "xlsx":
        book = load_workbook(path)
        book["Details"].delete_rows(3)
        book.save(path)
    else:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        billno = entry(row=3).mch_billno
        path.write_text("".join(line for line in lines if billno not in line), encoding="utf-8")
    assert verify(ledger, path).difference is not None


@pytest.mark.parametrize("kind", SEALED)
def test_an_older_report_fits_a_ledger_that_has_moved_on(ledger, tmp_path, kind):
    path = written(ledger, tmp_path)[kind]
    opened(ledger)
    found = verify(ledger, path)
    assert found.good
    assert found.moved == 1


@pytest.mark.parametrize(
    "kind, old, new",
    [
        ("xlsx", "<v>2.0</v>", "<v>20.0</v>"),
        ("json", '"total_amount":200', '"total_amount":2000'),
        ("html", '"2.00"', '"20.00"'),
        ("csv", "2.00", "20.00"),
        ("xlsx", "<t>never sent, nothing paid</t></is></c><c r=\"E5\"",
         "<t>paid and claimed</t></is></c><c r=\"E5\""),
    ],
)  # fmt: skip
def test_in_an_older_report_a_changed_amount_or_a_row_without_news_is_still_named(
    ledger, tmp_path, kind, old, new
):
    path = written(ledger, tmp_path)[kind]
    opened(ledger)
    replaced(path, old, new)
    found = verify(ledger, path)
    assert found.difference is not None


@pytest.mark.parametrize("kind", SEALED)
def test_a_second_number_that_a_row_got_later_is_not_held_against_a_report(tmp_path, kind):
    """The dead number needed a person then, and does no more; it had no news itself."""
    with held(tied(2), tied(3)) as ledger:
        sent(ledger, SendAnswer(outcome=Outcome.ACCEPTED), Step(state=State.ACCEPTED))
        dead = Step(state=State.REJECTED, evidence=Evidence.DEAD)
        asked = next(ledger.entries("lantern"))
        answer = QueryAnswer(status=Status.FAILED)
        ledger.end_query(QueryResult(entry=asked, asked_at_s=NOW, answer=answer, step=dead), NOW)
        path = written(ledger, tmp_path)[kind]
        ledger.add_entries([tied(2, issue=2)], NOW)
        assert verify(ledger, path).good


@pytest.mark.parametrize("kind", SEALED)
def test_a_campaign_that_was_closed_later_is_not_held_against_a_report(tmp_path, kind):
    """A held packet was to be repeated then, and is only asked about now."""
    with held(tied(2), tied(3)) as ledger:
        step = Step(state=State.PARKED, todo=Todo.REPEAT, due_at_s=SENT + 600)
        sent(ledger, SendAnswer(outcome=Outcome.PROCESSING), step)
        path = written(ledger, tmp_path)[kind]
        ledger.cancel("lantern", NOW)
        found = verify(ledger, path)
        assert found.good
        assert not found.whole, "the sums have changed, and were not compared"


@pytest.mark.parametrize("kind", SEALED)
def test_a_sheet_with_other_own_columns_later_is_not_held_against_a_report(ledger, tmp_path, kind):
    path = written(ledger, tmp_path)[kind]
    ledger.save_campaign(campaign(own_headers=("姓名", "备注")), NOW)
    assert verify(ledger, path).good


@pytest.mark.parametrize("field", ["verdict", "needs_person", "total_amount", "mch_billno"])
def test_a_field_that_was_taken_out_of_an_older_report_is_named(ledger, tmp_path, field):
    path = written(ledger, tmp_path)["json"]
    opened(ledger)
    data = json.loads(path.read_text())
    for row in data["entries"]:
        del row[field]
    path.write_text(json.dumps(data))
    if field == "mch_billno":
        with pytest.raises(UsageError, match="damaged"):
            verify(ledger, path)
        return
    assert verify(ledger, path).difference.place.endswith(field)


@pytest.mark.parametrize("kind, cut", [("json", '"entries":'), ("html", '"rows":'), ("html", '["')])
def test_a_sealed_file_that_is_damaged_is_refused_in_words(ledger, tmp_path, kind, cut):
    path = written(ledger, tmp_path)[kind]
    opened(ledger)
    replaced(path, cut, cut.replace('"', "'") if kind == "html" else '"entry":')
    with pytest.raises(UsageError, match="damaged"):
        verify(ledger, path)


def test_only_a_report_without_any_news_since_is_called_whole(ledger, tmp_path):
    """News of the campaign alone change sums, too."""
    path = written(ledger, tmp_path)["xlsx"]
    assert verify(ledger, path).whole
    ledger.set_ask_first("lantern", NOW)
    found = verify(ledger, path)
    assert (found.good, found.moved, found.whole) == (True, 0, False)


def test_a_ledger_without_the_reports_event_is_not_the_reports_ledger(ledger, tmp_path):
    """An older copy of the ledger, or one whose history was rewritten."""
    path = written(ledger, tmp_path)["json"]
    data = json.loads(path.read_text())
    data["seal"]["event_digest"] = "00" * 32
    path.write_text(json.dumps(data))
    found = verify(ledger, path)
    assert not found.in_chain
    assert not found.good


def test_another_versions_words_are_not_held_against_a_report(ledger, tmp_path, monkeypatch):
    path = written(ledger, tmp_path)["xlsx"]
    monkeypatch.setattr(stage, "__version__", "99")
    replaced(path, "<t>paid, not claimed yet</t>", "<t>paid, still unclaimed</t>")
    found = verify(ledger, path)
    assert found.good
    assert found.other_version


def test_a_report_of_another_merchant_is_refused(ledger, tmp_path):
    path = written(ledger, tmp_path)["json"]
    with pytest.raises(UsageError, match="1900000109"):
        verify_report(ledger, path, say_in=lambda lang: str, gateway="rehearsal", merchant="1900000108")


@pytest.mark.parametrize(
    "name, content",
    [("r.csv", b"row"), ("r.xlsx", b"PK"), ("r.json", b"{"), ("r.json", b"[1]"), ("r.html", b"<p>"),
     ("r.json", b'{"seal":{"version":1}}'), ("r.pdf", b"%PDF"), ("r", b"")],
)  # fmt: skip
def test_what_is_no_report_is_refused_in_words(ledger, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="carries no seal"):
        verify(ledger, tmp_path / name)


def test_a_csv_without_its_json_is_refused_and_told_what_is_missing(ledger, tmp_path):
    paths = written(ledger, tmp_path)
    paths["json"].unlink()
    with pytest.raises(UsageError) as refused:
        verify(ledger, paths["csv"])
    assert ".json" in str(refused.value.advice)


def test_a_missing_file_is_said_in_words(ledger, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        verify(ledger, tmp_path / "missing.json")


def test_a_seal_survives_its_own_writing_and_nothing_else_is_one():
    seal = Seal(
        version="1", campaign="元宵\"<", merchant="1", gateway="g", lang="zh_CN", unmask=True, made_at_s=1.5,
        event=3, event_digest="ab",
    )  # fmt: skip
    assert Seal.from_json(seal.to_json()) == seal
    whole = replace(seal, made_at_s=2.0)
    assert Seal.from_json(whole.to_json()) == whole
    for broken in ("{}", "[]", '"x"', seal.to_json().replace("true", '"yes"')):
        with pytest.raises(ValueError):  # noqa: PT011
            Seal.from_json(broken)


@pytest.mark.system
@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_a_slip_fits_until_a_figure_a_picture_or_the_ledger_changes(ledger, tmp_path, lang):
    from pypdf import PdfReader, PdfWriter
    from pypdf.annotations import FreeText

    slip = written(ledger, tmp_path, formats=("pdf",), lang=lang)["pdf"]
    assert verify(ledger, slip).good

    # Of a forger's own making, with the seal of the true one.
    forged = tmp_path / "forged.pdf"
    with one_yuan_more():
        written(ledger, tmp_path / "forgery", formats=("pdf",), lang=lang)["pdf"].rename(forged)
    found = verify(ledger, forged).difference
    assert found.place.startswith("page 1, character ")
    assert found.found.replace("15.00", "14.00") == found.expected != found.found

    covered = PdfWriter(clone_from=PdfReader(slip))
    covered.add_annotation(0, FreeText(text="15.00", rect=(50, 550, 200, 650)))
    covered.write(tmp_path / "covered.pdf")
    assert verify(ledger, tmp_path / "covered.pdf").difference.place == "page 1, notes"

    opened(ledger)
    with pytest.raises(UsageError, match="only sums"):
        verify(ledger, slip)


@contextmanager
def one_yuan_more():
    """The slip of a book-keeper who writes one yuan more into the sum."""
    with pytest.MonkeyPatch.context() as patch:
        honest = slip_module.yuan_grouped
        patch.setattr(slip_module, "yuan_grouped", lambda fen: honest(fen + 100 if fen == 1400 else fen))
        yield


def test_without_the_extra_a_slip_cannot_be_read_and_the_way_to_it_is_said(ledger, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "r.pdf").write_bytes(b"%PDF")
    with pytest.raises(SetupError) as told:
        verify(ledger, tmp_path / "r.pdf")
    assert "campaign[pdf]" in str(told.value.advice)
