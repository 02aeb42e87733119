"""`campaign reissue`: a sheet of what is proven dead, to be corrected and run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import time

import openpyxl
import pytest

from campaign.domain.answer import QueryAnswer, Status
from campaign.domain.entry import Flag
from campaign.domain.finding import debit_unexpected
from campaign.domain.mask import mask_openid
from tests.acceptance.world import HereDesk, Served, differences, openid, served, wait_for
from tests.domain.bills import line

Rows = list[tuple[str, str]]


@pytest.fixture
def dead(desk: HereDesk, gateway: Served, people: Rows) -> Rows:
    """A campaign with ids and a column of the operator's own; the first two packets are dead."""
    rows = [(f"id-{openid}", openid, yuan, f"姓名{n}") for n, (openid, yuan) in enumerate(people)]
    desk.sheet(rows, header="id,openid,amount,姓名")
    gateway.set_faults({"send_failed": {"openids": [openid for openid, _ in people[:2]]}})
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert (result.code, result.json["states"]) == (6, {"accepted": 4, "rejected": 2})
    gateway.set_faults({})
    return people


def test_dead_rows_are_written_run_and_paid_once(desk: HereDesk, gateway: Served, dead: Rows) -> None:
    written = desk.run("reissue", "lantern", "--json")
    assert (written.code, written.json["rows"], written.json["fen"]["total"]) == (0, 2, 203)
    [file] = written.json["files"]
    assert file == "lantern-reissue.xlsx"
    assert (desk.folder / file).stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        assert desk.run("run", file, "--yes").code in (0, 6)
        assert desk.run("run", "lantern.csv", "--yes").code in (0, 6)
    assert [gateway.paid()[openid] for openid, _ in dead] == [1] * 6
    assert differences(desk, gateway) == []


def test_an_openid_that_was_wrong_is_corrected_in_the_sheet(
    desk: HereDesk, gateway: Served, dead: Rows, person: Callable[[int], str]
) -> None:
    desk.run("reissue", "lantern")
    path = desk.folder / "lantern-reissue.xlsx"
    book = openpyxl.load_workbook(path)
    assert book.active["A2"].value == dead[0][0]
    book.active["A2"].value = person(99)
    book.save(path)
    assert desk.run("run", path.name, "--yes", "--json").json["states"]["accepted"] == 6
    paid = gateway.paid()
    assert (paid[person(99)], paid[dead[0][0]], paid[dead[1][0]]) == (1, 0, 1)


def test_a_row_that_needs_a_person_is_told_with_its_sheet(
    desk: HereDesk, gateway: Served, dead: Rows
) -> None:
    """The sheet of second numbers counts its own rows, and the original has a row 2 as well."""
    assert "lantern.csv, row 2  " in desk.run("status", "lantern").out
    desk.run("reissue", "lantern")
    gateway.set_faults({"send_failed": 1})
    assert desk.run("run", "lantern-reissue.xlsx", "--yes").code == 6
    told = desk.run("status", "lantern").out
    assert "reissue, row 2  " in told
    assert "lantern.csv, row 2  " not in told


def test_the_operators_own_columns_come_along(desk: HereDesk, dead: Rows) -> None:
    desk.run("reissue", "lantern")
    header, first, *_ = openpyxl.load_workbook(desk.folder / "lantern-reissue.xlsx").active.values
    assert dict(zip(header, first, strict=True))["姓名"] == "姓名0"


def test_with_a_lost_ledger_the_sheets_pay_nobody_twice(desk: HereDesk, gateway: Served, dead: Rows) -> None:
    desk.run("reissue", "lantern")
    desk.run("run", "lantern-reissue.xlsx", "--yes")
    desk.lose_ledger()
    assert desk.run("run", "lantern-reissue.xlsx", "--yes").code == 7
    desk.run("run", "lantern.csv", "--yes")
    states = desk.run("run", "lantern-reissue.xlsx", "--yes", "--json").json["states"]
    assert states.pop("rejected") == 2
    assert sum(states.values()) == 6
    assert states.keys() <= {"accepted", "received", "refunded"}
    assert [gateway.paid()[openid] for openid, _ in dead] == [1] * 6
    assert differences(desk, gateway) == []


@pytest.fixture
def contradicted(desk: HereDesk, gateway: Served, dead: Rows) -> str:
    """Both dead rows have second numbers, not sent yet, when WeChat Pay calls the first row's number paid."""
    desk.run("reissue", "lantern")
    gateway.set_faults({"sign_error": {"endpoint": "gethbinfo"}})
    assert desk.run("run", "lantern-reissue.xlsx", "--yes").code == 4
    gateway.set_faults({})
    first = desk.entries()[0]
    with desk.ledger() as ledger:
        paid = QueryAnswer(status=Status.SENT)
        ledger.flag_settled(first, Flag.CONTRADICTION, paid, asked_at_s=time(), now_s=time())
    return first.mch_billno


def test_a_row_whose_first_number_may_have_been_paid_is_held_and_said(
    desk: HereDesk, gateway: Served, dead: Rows, contradicted: str
) -> None:
    halted = desk.run("status", "lantern").said
    assert [line.partition(" rows")[0] for line in halted.splitlines() if "Not sent" in line] == [
        "Not sent: 1 planned"
    ]
    refused = desk.run("run", "lantern-reissue.xlsx", "--yes")
    assert (refused.code, "not proven dead" in refused.said) == (7, True)
    path = desk.folder / "lantern-reissue.xlsx"
    book = openpyxl.load_workbook(path)
    book.active.delete_rows(2)
    book.save(path)
    for command in ("run", path.name, "--yes"), ("run", "lantern.csv", "--yes"), ("reconcile", "lantern"):
        told = desk.run(*command)
        assert (told.code, contradicted in told.said) == (6, True), told
        assert "Not sent: 1 planned rows whose earlier number may have been paid" in told.said
        assert "sends them" not in told.said
    assert [gateway.paid()[openid] for openid, _ in dead] == [0, 1, 1, 1, 1, 1]
    assert desk.run("audit").code == 0
    assert desk.run("reissue", "lantern", "--out", "again.xlsx", "--json").json["rows"] == 0


def test_a_sheet_of_second_numbers_is_judged_anew_by_each_run(
    desk: HereDesk, gateway: Served, dead: Rows
) -> None:
    """The same file under the same name; meanwhile the funds bill has a debit for what was called failed."""
    again = ("run", "lantern-reissue.xlsx", "--yes", "--name", "lantern")
    desk.run("reissue", "lantern")
    gateway.set_faults({"sign_error": {"endpoint": "gethbinfo"}})
    assert desk.run(*again).code == 4
    gateway.set_faults({})
    first = desk.entries()[0]
    debit = line("-1.01", first.mch_billno)
    with desk.ledger() as ledger:
        found = [debit_unexpected(first, [debit])]
        ledger.keep_match("lantern", [], [(first.mch_billno, debit)], found, time())
    refused = desk.run(*again)
    assert (refused.code, "may have been paid after all" in refused.said) == (7, True)
    assert gateway.paid()[dead[0][0]] == 0
    desk.run("report", "lantern", "--annotate", "lantern.csv")
    _, row, *_ = openpyxl.load_workbook(desk.folder / "lantern-annotated.xlsx").active.values
    assert first.mch_billno in row
    assert any("the bill has a debit of 1.01 yuan" in str(value) for value in row)


def test_it_is_not_called_unpaid_in_the_sheets_that_come_back(
    desk: HereDesk, dead: Rows, contradicted: str
) -> None:
    for sheet in ("lantern.csv", "lantern-reissue.xlsx"):
        desk.run("report", "lantern", "--annotate", sheet, "--force")
        marked = openpyxl.load_workbook(desk.folder / "lantern-annotated.xlsx").active
        header, first, *_ = marked.values
        told = {str(title): value for title, value in zip(header, first, strict=True)}
        [verdict] = [value for title, value in told.items() if "verdict" in title]
        assert verdict == "unknown, money may have moved"
        assert contradicted in told.values()


def test_without_proof_a_row_is_left_out_and_said(desk: HereDesk, gateway: Served, dead: Rows) -> None:
    number = desk.entries()[0].mch_billno
    gateway.set_faults({"not_found": {"mch_billnos": [number]}})
    result = desk.run("reissue", "lantern", "--json")
    assert (result.code, result.json["rows"]) == (6, 1)
    [left] = result.json["left_out"]
    assert (left["mch_billno"], left["re_openid"]) == (number, mask_openid(dead[0][0]))
    assert dead[0][0] not in result.said
    gateway.set_faults({"sign_error": {"endpoint": "gethbinfo"}})
    assert desk.run("reissue", "lantern", "--force").code == 4
    told = desk.run("reissue", "--help").out
    assert "correct it and run it" in " ".join(told.split())


def test_nothing_dead_is_no_file_and_no_error(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    result = desk.run("reissue", "lantern", "--json")
    assert (result.code, result.json["files"], result.json["rows"]) == (0, [], 0)
    assert not (desk.folder / "lantern-reissue.xlsx").exists()


def test_a_sheet_that_somebody_corrected_is_not_written_over(desk: HereDesk, dead: Rows) -> None:
    desk.run("reissue", "lantern")
    path = desk.folder / "lantern-reissue.xlsx"
    path.write_bytes(b"corrected")
    assert desk.run("reissue", "lantern").code == 2
    assert path.read_bytes() == b"corrected"
    assert desk.run("reissue", "lantern", "--force").code == 0
    assert desk.run("reissue", "lantern", "--out", "again.xlsx").code == 0
    assert (desk.folder / "again.xlsx").exists()
    assert desk.run("reissue", "lantern", "--out", "again.csv").code == 2


def test_what_came_back_is_paid_again_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The packets that nobody opened, at a gateway where a day is a second; who did gets nothing more."""
    # Always the same people, since the stand-in decides by the number who opens a packet.
    people = [(openid(n, "reissue"), f"1.{n:02d}") for n in range(1, 13)]
    with served(tmp_path / "gateway", changes={"rehearsal": {"time_scale": 86_400}}) as gateway:
        desk = HereDesk(tmp_path / "desk", gateway, monkeypatch=monkeypatch, capfd=capfd)
        desk.configure({"timing": {"poll_s": [0.3, 0.6, 1, 1.5, 2, 2.5, 3, 4, 5]}})
        desk.sheet(people)
        desk.run("run", "lantern.csv", "--yes")

        def settled() -> bool:
            states = desk.run("reconcile", "lantern", "--json").json["states"]
            return set(states) <= {"received", "refunded"}

        wait_for(settled)
        back = [entry.re_openid for entry in desk.entries() if entry.state == "refunded"]
        assert 0 < len(back) < len(people)
        assert desk.run("reissue", "lantern", "--json").json["rows"] == 0
        unclaimed = desk.run("records", "list", "--unclaimed", "--json").json["objects"]
        assert [record["re_openid"] for record in unclaimed] == [mask_openid(openid) for openid in back]
        written = desk.run("reissue", "lantern", "--refunded", "--json").json
        assert (written["rows"], written["left_out"]) == (len(back), [])
        desk.run("run", "lantern-reissue.xlsx", "--yes")
        assert gateway.paid() == Counter(openid for openid, _ in people) + Counter(back)
        assert desk.run("records", "list", "--unclaimed", "--json").json["objects"] == []


def test_an_unknown_campaign_and_a_missing_one(desk: HereDesk, tmp_path: Path) -> None:
    assert desk.run("reissue", "no such").code == 2
    assert desk.run("reissue").code == 2
