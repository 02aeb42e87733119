"""What a match with the funds bills brought is in every report: tied totals, differences, evidence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from campaign.domain.answer import Outcome
from campaign.domain.bill import Bill
from campaign.domain.days import DAY_S, beijing_text
from campaign.domain.finding import Kind
from campaign.ledger.rows import packed
from campaign.ledger.store import Ledger
from campaign.rehearsal.bills import written as written_bill
from campaign.report.verify import BILL_FIELDS
from campaign.stages.match import keep, match
from campaign.wechat.fundflow import parse_bill
from tests.domain.bills import NAMES, bill, line
from tests.ledger.build import MERCHANT, NAME, NOON_S, begun, end, open_ledger, plan
from tests.report.test_verify import verify, written

NOON = beijing_text(NOON_S)
TODAY = NOON[:10]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """Three packets that WeChat Pay took at noon."""
    with open_ledger(None) as made:
        for row in plan(made, "oA 1.88", "oB 8.88", "oC 3.00"):
            end(made, begun(made, row), Outcome.ACCEPTED, send_listid=f"L{row.row}")
        yield made


def bill_of(ledger: Ledger, *fen: int, days: tuple[str, ...] = (TODAY,)) -> Bill:
    """A bill of the day with a debit for each row, of so much; none where it is 0, two where negative."""
    lines = []
    for entry, amount in zip(ledger.entries(NAME), fen, strict=True):
        for n in range(2 if amount < 0 else bool(amount)):
            yuan = f"-{abs(amount) / 100:.2f}"
            lines.append(line(yuan, entry.mch_billno, at=NOON, flow_id=f"F{entry.row}-{n}"))
    return filed(bill(*lines, days=days))


def filed(made: Bill) -> Bill:
    """The bill as it comes: a file."""
    return parse_bill(written_bill(made.lines), file=made.file, days=made.asked_days)


def matched(ledger: Ledger, *bills: Bill) -> None:
    found = match(ledger, NAME, bills, names=NAMES, mch_id=MERCHANT)
    keep(ledger, NAME, found, now_s=NOON_S + DAY_S)


def cells(path: Path, sheet: str) -> list[list[Any]]:
    book = load_workbook(path, data_only=True)
    rows = [list(row) for row in book[sheet].iter_rows(values_only=True)]
    return rows[1:]  # the first says that it is a rehearsal


def ties(path: Path) -> list[list[Any]]:
    """The cover's lines about the bills."""
    rows = cells(path, "Summary")
    first = next(n for n, row in enumerate(rows) if row[0] == "Tied to the funds bills")
    return rows[first + 2 : first + 13]


def test_a_part_of_a_bill_that_waited_in_a_mailbox_hides_nothing_of_the_whole_one(ledger: Ledger) -> None:
    """Saved at noon by hand, matched after the night's one of the same day: the second debit stays found."""
    whole, part = bill_of(ledger, -188, 888, 300), bill_of(ledger, 188, 0, 0)
    for bills in ((whole,), (part,), ()):
        matched(ledger, *bills)
        assert [finding.kind for finding in ledger.findings(NAME)] == [Kind.TWO_DEBITS]
    day = date.fromisoformat(TODAY)
    assert [kept.content for kept in ledger.kept_bills(day, day)] == [whole.content]


def test_bills_of_two_accounts_are_kept_both_though_nobody_says_whose_they_are(ledger: Ledger) -> None:
    """Named together they are one match; named again alone, neither takes the place of the other."""
    basic, operation = bill_of(ledger, 188, 888, 0), bill_of(ledger, 0, 0, 300)
    for bills in ((basic, operation), (), (operation,), (basic,), ()):
        matched(ledger, *bills)
        assert not list(ledger.findings(NAME))
    day = date.fromisoformat(TODAY)
    assert {kept.content for kept in ledger.kept_bills(day, day)} == {basic.content, operation.content}


def test_a_match_that_somebody_took_out_of_the_ledger_is_named_by_the_audit(ledger: Ledger) -> None:
    """With it went the debit that nobody can explain, and the report called the campaign unmatched."""
    matched(ledger, bill_of(ledger, -188, 888, 300))
    assert not list(ledger.broken_matches())
    for table in ("matching", "finding", "billed"):
        ledger._db.execute(f"DELETE FROM {table}")
    assert list(ledger.broken_matches()) == [NAME]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_kept_bill_that_somebody_altered_is_named_by_the_audit(ledger: Ledger, zipped: bool) -> None:
    """The next match would have believed it."""
    honest, altered = bill_of(ledger, -188, 888, 300), bill_of(ledger, 188, 888, 300)
    if zipped:
        content = gzip.compress(honest.content)
        honest = parse_bill(content, file=honest.file, days=honest.asked_days)
    matched(ledger, honest, Bill(file="none", account="Basic", asked_days=honest.asked_days))
    assert not list(ledger.broken_bills())
    ledger._db.execute("UPDATE bill SET content = ? WHERE file <> 'none'", (packed(altered.content),))
    assert list(ledger.broken_bills()) == [honest.file]
    for content in (packed(b""), packed(b"\x1f\x8bno gzip"), b"\x01no deflate"):
        ledger._db.execute("UPDATE bill SET content = ? WHERE file <> 'none'", (content,))
        assert list(ledger.broken_bills()) == [honest.file]
    ledger._db.execute("DROP TRIGGER event_is_final")
    ledger._db.execute("UPDATE event SET detail = '{' WHERE kind IN ('bill_kept', 'matched')")
    assert sorted(ledger.broken_bills()) == [honest.file, "none"]
    assert list(ledger.broken_matches()) == [NAME]


def test_a_kept_bill_that_somebody_took_out_of_the_ledger_is_named_by_the_audit(ledger: Ledger) -> None:
    """The next match would not have known of it."""
    matched(
        ledger, bill_of(ledger, 188, 888, 0), bill_of(ledger, 0, 0, 300)
    )  # of two accounts, nobody says which
    assert not list(ledger.broken_bills())
    ledger._db.execute("DELETE FROM bill WHERE id = 1")
    [named] = ledger.broken_bills()
    ledger._db.execute("DELETE FROM bill")
    assert list(ledger.broken_bills()) == [named]


@pytest.mark.parametrize("says_which", [True, False])
def test_a_kept_bill_that_a_later_one_replaced_is_not_missed(
    ledger: Ledger, monkeypatch: Any, says_which: bool
) -> None:
    """Nor in a ledger that was begun when the later one did not say so."""
    if not says_which:
        note = Ledger._note
        monkeypatch.setattr(
            Ledger,
            "_note",
            lambda self, name, at_s, kind, detail: note(
                self, name, at_s, kind, {key: fact for key, fact in detail.items() if key != "replaced"}
            ),
        )
    first, second = bill_of(ledger, 188, 889, 300), bill_of(ledger, 188, 888, 300)
    for bills in ((first,), (second,), (), (first,), (second,)):
        matched(ledger, *bills)
        assert not list(ledger.broken_bills())
    if says_which:
        change = "INSERT INTO bill SELECT 9, file, account, first_day, last_day, days, asked, ? FROM bill"
        ledger._db.execute(change, (packed(first.content),))
        assert list(ledger.broken_bills()) == [first.file], "nor may it come back"
    ledger._db.execute("DELETE FROM bill")
    assert list(ledger.broken_bills()) == [second.file]


def test_a_bill_that_says_otherwise_replaces_the_one_before(ledger: Ledger) -> None:
    """Downloaded again, since the first was damaged."""
    matched(ledger, bill_of(ledger, 188, 889, 300))
    assert [finding.kind for finding in ledger.findings(NAME)] == [Kind.AMOUNT_DIFFERS]
    matched(ledger, bill_of(ledger, 188, 888, 300))
    assert not list(ledger.findings(NAME))


def test_a_bill_that_fits_ties_to_the_fen(ledger: Ledger, tmp_path: Path) -> None:
    matched(ledger, bill_of(ledger, 188, 888, 300))
    files = written(ledger, tmp_path)
    assert [row[:3] for row in ties(files["xlsx"])[:5]] == [
        ["taken from the account, by the ledger", 3, 13.76],
        ["on the bills, and not told by WeChat Pay yet", 0, 0],
        ["debits in the funds bills", 3, 13.76],
        ["not on a matched bill yet", 0, 0],
        ["difference (must be zero)", 0, 0],
    ]
    assert "of all its days" in ties(files["xlsx"])[10][0]
    assert len(cells(files["xlsx"], "Differences")) == 1
    told = json.loads(files["json"].read_text())
    assert told["bill"]["paid"]["difference"] == {"rows": 0, "fen": 0}
    assert [row["billed"] for row in told["entries"]] == [188, 888, 300]
    assert [row["flow_ids"] for row in told["entries"]] == ["F2-0", "F3-0", "F4-0"]


def test_each_difference_is_a_row_with_both_amounts_its_owner_and_its_evidence(
    ledger: Ledger, tmp_path: Path
) -> None:
    for entry in list(ledger.entries(NAME)):
        ledger._db.execute("UPDATE entry SET status = 'SENT' WHERE mch_billno = ?", (entry.mch_billno,))
    matched(ledger, bill_of(ledger, -188, 889, 0))
    files = written(ledger, tmp_path)
    head, *rows = cells(files["xlsx"], "Differences")
    found = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert [(found[n]["difference"], found[n]["who acts"]) for n in (2, 3, 4)] == [
        ("DEBITED TWICE", "engineer"),
        ("another amount", "finance"),
        ("in the ledger, not in the bill", "finance"),
    ]
    assert [found[n]["bill less ledger"] for n in (2, 3, 4)] == [1.88, 0.01, -3.0]
    assert [found[n]["gethbinfo"] for n in (2, 3, 4)] == ["SENT"] * 3
    assert found[2]["flow numbers in the bill"] == "F2-0 F2-1"
    difference = ties(files["xlsx"])[4]
    assert difference[1:] == [1, 1.11, "DOES NOT ADD UP"]
    evidence = cells(files["xlsx"], "Evidence")[1:]
    billed = [(row[0], row[3]) for row in evidence if row[3].startswith("funds bill")]
    assert billed == [(2, "funds bill: 1.88 yuan left the account")] * 2 + [
        (3, "funds bill: 8.89 yuan left the account")
    ]
    assert {row[0] for row in evidence} == {2, 3, 4}, "each difference with its request"
    page = files["html"].read_text()
    assert "contradict each other in 3 places" in page


def test_days_without_a_bill_are_named_and_are_no_difference(ledger: Ledger, tmp_path: Path) -> None:
    matched(
        ledger, filed(bill(line("-1.00", "X", name="退款", at="2026-01-01 00:00:00"), days=["2026-01-01"]))
    )
    rows = ties(written(ledger, tmp_path)["xlsx"])
    assert rows[3][:3] == ["not on a matched bill yet", 3, 13.76]
    assert rows[4][1:] == [0, 0, "adds up"]
    assert f"not matched yet: {TODAY}." in rows[10][0]


def test_a_report_fits_the_ledger_before_and_after_another_match(ledger: Ledger, tmp_path: Path) -> None:
    """What the bills say may be news; a changed amount is still named."""
    matched(ledger, bill_of(ledger, 188, 888, 0))
    files = written(ledger, tmp_path)
    assert all(verify(ledger, path).good for path in files.values())
    matched(ledger, bill_of(ledger, 188, 888, 300))
    assert all(verify(ledger, path).good for path in files.values())
    told = json.loads(files["json"].read_text())
    told["entries"][2]["total_amount"] = 301
    files["json"].write_text(json.dumps(told))
    assert not verify(ledger, files["json"]).good
    assert {"billed", "billed_yuan", "flow_ids"} <= BILL_FIELDS
