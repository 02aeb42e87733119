"""`campaign match` on the command line: what it says, to whom, and with which exit code."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.domain.answer import Outcome
from campaign.domain.bill import BillLine
from campaign.domain.days import DAY_S, beijing_day
from campaign.domain.entry import Entry
from campaign.ledger.store import Ledger
from campaign.ports import SystemClock
from campaign.rehearsal.bills import written
from tests.domain.bills import bill, line
from tests.ledger.build import MERCHANT, NAME, NOON_S, StillClock, begun, end, open_ledger, plan

KEY = "Abcdefghijklmnopqrstuvwxyz012345"
SETTINGS = (
    f'[merchant]\nmch_id = "{MERCHANT}"\nwxappid = "wx0123456789abcdef"\napi_key = "{KEY}"\n'
    '[gateway]\nurl = "rehearsal"\n[limits]\ncampaign_yuan = "500"\n'
)
OPENIDS = ("oSAMPLE_not_a_person_0000001", "oSAMPLE_not_a_person_0000002")


@pytest.fixture(autouse=True)
def our_folder(monkeypatch, tmp_path):
    """An English terminal in a folder with settings for a rehearsal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "campaign.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    file.chmod(0o600)


@pytest.fixture
def rows(tmp_path) -> list[Entry]:
    """A ledger with two packets that WeChat Pay took at noon."""
    with open_ledger(tmp_path / "campaign.rehearsal.db") as ledger:
        planned = plan(ledger, f"{OPENIDS[0]} 1.88", f"{OPENIDS[1]} 8.88")
        return [
            end(ledger, begun(ledger, row), Outcome.ACCEPTED, send_listid=f"L{row.row}") for row in planned
        ]


def debit(row: Entry) -> BillLine:
    return line(f"-{row.total_amount / 100:.2f}", row.mch_billno, at="2026-03-03 12:00:00")


def saved(*lines: BillLine, name: str = "fundflow.csv") -> str:
    Path(name).write_bytes(written(bill(*lines).lines))
    return name


def answered(capsys) -> dict:
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    return json.loads(out)


def test_a_bill_that_fits_is_exit_0_and_says_so(rows, capsys):
    file = saved(*map(debit, rows))
    assert main(["match", NAME, file]) == 0
    out = capsys.readouterr().out
    assert "agree to the fen" in out
    assert "10.76" in out
    assert main(["match", NAME, file, "--json"]) == 0
    answer = answered(capsys)
    assert (answer["schema_version"], answer["gateway"], answer["campaign"]) == (1, "rehearsal", NAME)
    assert (answer["clean"], answer["findings"], answer["identity"]["holds"]) == (True, [], True)
    assert answer["sent"] == {"ledger": {"rows": 2, "fen": 1076}, "bill": {"rows": 2, "fen": 1076}}
    assert answer["matched"] == {"by_number": 2, "by_amount": 0}
    [account] = answer["identity"]["accounts"]
    assert (account["opening"], account["sent"], account["closing"]) == (100_000, 1076, 98_924)
    assert answer["bills"][0]["days"] == ["2026-03-03"]
    assert len(answer["bills"][0]["sha1"]) == 40


def test_discrepancies_are_exit_6_for_people_and_programs(rows, capsys):
    """Kind, owner, place, age, next step; openids are masked unless asked for."""
    paid, other = map(debit, rows)
    file = saved(paid, replace(paid, flow_id="again"), other)
    assert main(["match", NAME, file]) == 6
    out = capsys.readouterr().out
    for words in ("DEBITED TWICE", "row 2", rows[0].mch_billno, "engineer", "1 discrepancies"):
        assert words in out
    assert OPENIDS[0] not in out
    assert main(["match", NAME, file, "--json"]) == 6
    [finding] = answered(capsys)["findings"]
    assert (finding["kind"], finding["owner"], finding["row"]) == ("two_debits", "engineer", 2)
    assert (finding["mch_billno"], finding["state"], finding["fen"]) == (rows[0].mch_billno, "accepted", 188)
    assert [each["line"] for each in finding["lines"]] == [2, 3]
    assert [each["fen"] for each in finding["lines"]] == [-188, -188]
    assert finding["age_days"] == int((SystemClock().now_s() - NOON_S) // DAY_S)
    assert OPENIDS[0] not in json.dumps(finding)
    assert main(["match", NAME, file, "--json", "--unmask"]) == 6
    assert answered(capsys)["findings"][0]["re_openid"] == OPENIDS[0]


def test_a_line_of_nobody_is_named_by_its_place(rows, capsys):
    file = saved(*map(debit, rows), line("-5.00", "STRANGER"))
    assert main(["match", NAME, file]) == 6
    assert "fundflow.csv, line 4" in capsys.readouterr().out


def test_many_discrepancies_do_not_flood_the_terminal(rows, capsys):
    file = saved(*map(debit, rows), *(line("-5.00", f"S{n}") for n in range(50)))
    assert main(["match", NAME, file]) == 6
    out = capsys.readouterr().out
    assert "50 discrepancies" in out
    assert "30 more" in out
    assert main(["match", NAME, file, "--json"]) == 6
    assert len(answered(capsys)["findings"]) == 50


def test_a_bill_that_its_own_summary_contradicts_is_told_beside_the_row(rows, capsys):
    """Somebody took a line out and left the rest."""
    lines = Path(saved(*map(debit, rows))).read_text(encoding="utf-8").splitlines(keepends=True)
    Path("fundflow.csv").write_text("".join(lines[:2] + lines[3:]), encoding="utf-8")
    assert main(["match", NAME, "fundflow.csv", "--json"]) == 6
    answer = answered(capsys)
    assert [finding["kind"] for finding in answer["findings"]] == ["not_in_bill"]
    assert "10.76" in answer["bills"][0]["flaw"]
    assert main(["match", NAME, "fundflow.csv"]) == 6
    assert "own summary" in capsys.readouterr().out


def test_broken_arithmetic_alone_is_exit_6(rows, capsys):
    """The row's debit is there; a movement between the two lines is not."""
    first, second = bill(debit(rows[0]), debit(rows[1])).lines
    Path("fundflow.csv").write_bytes(written([first, replace(second, balance_fen=second.balance_fen - 500)]))
    assert main(["match", NAME, "fundflow.csv"]) == 6
    out = capsys.readouterr().out
    assert "5.00 yuan off" in out
    assert "fundflow.csv, line 3" in out


def test_known_balances_are_checked(rows, capsys):
    file = saved(*map(debit, rows))
    assert main(["match", NAME, file, "--opening", "1,000.00", "--closing", "989.24"]) == 0
    capsys.readouterr()
    assert main(["match", NAME, file, "--opening", "1000.01"]) == 6
    assert "should open with 1,000.01 yuan" in capsys.readouterr().out


def test_dates_say_which_days_a_file_covers(rows, capsys):
    """A file without lines covers no day, unless somebody says so."""
    file = saved()
    assert main(["match", NAME, file]) == 0
    out = capsys.readouterr().out
    assert "no line of this campaign" in out
    assert "2 paid rows" in out
    assert main(["match", NAME, file, "--date", "2026-03-03"]) == 6
    assert "2 discrepancies" in capsys.readouterr().out


def test_a_file_of_another_day_than_the_one_said_is_refused_and_replaces_nothing(rows, tmp_path, capsys):
    """A slip in the date; under it the file would have taken the place of that day's own bill."""
    assert main(["match", NAME, saved(*map(debit, rows)), "--date", "2026-03-03"]) == 0
    later = saved(line("-1.00", at="2026-03-04 12:00:00"), name="0304.csv")
    assert main(["match", NAME, later, "--date", "2026-03-03"]) == 2
    assert "lines of 2026-03-04" in capsys.readouterr().err
    assert main(["match", NAME]) == 0


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        ([NAME], 2, "no bill"),
        ([NAME, "--download"], 2, "--date"),
        ([NAME, "missing.csv"], 2, "missing.csv"),
        ([NAME, "b.csv", "--date", "3 March"], 2, "3 March"),
        ([NAME, "b.csv", "--opening", "much"], 2, "--opening"),
        ([NAME, "b.csv", "--account", "Fees"], 2, "Fees"),
        (["nobody", "b.csv"], 2, "nobody"),
        ([NAME, "campaign.toml"], 3, "campaign.toml"),
    ],
)
def test_mistakes_have_their_exit_code_and_one_sentence(rows, capsys, arguments, code, words):
    saved(*map(debit, rows), name="b.csv")
    assert main(["match", *arguments]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert not captured.out
    assert main(["match", *arguments, "--json"]) == code
    assert answered(capsys)["error"]["exit_code"] == code


def test_entries_and_totals_are_only_read(rows, tmp_path, capsys):
    db = tmp_path / "campaign.rehearsal.db"

    def books() -> list[list[object]]:
        with sqlite3.connect(db) as ledger:
            tables = ("entry", "total", "attempt", "question", "person_day", "merchant_day")
            return [ledger.execute(f"SELECT * FROM {table}").fetchall() for table in tables]

    before = books()
    main(["match", NAME, saved(debit(rows[0]))])
    assert books() == before


def test_what_was_matched_once_is_matched_again_without_the_file(rows, tmp_path, capsys):
    """The ledger keeps the bill, and the report is told; the same match twice is one event."""
    assert main(["match", NAME]) == 2
    file = saved(debit(rows[0]))
    assert main(["match", NAME, file]) == 6
    Path(file).unlink()
    capsys.readouterr()
    for _ in range(2):
        assert main(["match", NAME, "--json"]) == 6
        [finding] = json.loads(capsys.readouterr().out)["findings"]
        assert (finding["kind"], finding["mch_billno"]) == ("not_in_bill", rows[1].mch_billno)
    with open_ledger(tmp_path / "campaign.rehearsal.db") as ledger:
        kinds = [event.kind.value for event in ledger.events()]
        assert (kinds.count("bill_kept"), kinds.count("matched")) == (1, 1)
        assert list(ledger.broken_events()) == list(ledger.broken_matches()) == []


def test_a_better_bill_of_the_same_days_replaces_the_one_before(rows, capsys):
    """Finance downloads it again, as the advice says: the old one's gap is no finding any more."""
    assert main(["match", NAME, saved(debit(rows[0]))]) == 6
    assert main(["match", NAME, saved(*map(debit, rows))]) == 0
    assert main(["match", NAME]) == 0


def test_audit_names_a_match_that_somebody_altered(rows, tmp_path, capsys):
    main(["match", NAME, saved(debit(rows[0]))])
    assert main(["audit"]) == 0
    with sqlite3.connect(tmp_path / "campaign.rehearsal.db") as ledger:
        ledger.execute("DELETE FROM finding")
    assert main(["audit"]) == 6
    assert NAME in capsys.readouterr().out


def test_names_come_from_the_settings(rows, tmp_path, capsys):
    """A business that the settings name is no discrepancy."""
    file = saved(*map(debit, rows), line("-3.00", "X", name="短信费"))
    assert main(["match", NAME, file]) == 6
    assert "短信费" in capsys.readouterr().out
    (tmp_path / "campaign.toml").write_text(f'{SETTINGS}[bill]\nother_names = ["短信费"]\n', encoding="utf-8")
    assert main(["match", NAME, file]) == 0


def test_a_run_is_matched_with_the_bill_that_the_rehearsal_serves(tmp_path, capsys):
    """The whole way over HTTPS with client certificates: run, download, match."""
    (tmp_path / "campaign.toml").write_text(f"{SETTINGS}[rehearsal]\ntime_scale = 1440\n", encoding="utf-8")
    texts = "Joy,Shop,Riddles,Guess"
    lines = [f"{OPENIDS[0]},1.88,{texts}", f"{OPENIDS[1]},8.88,{texts}"]
    header = "openid,amount,wishing,send_name,act_name,remark"
    Path("lantern.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    assert main(["run", "lantern.csv", "--yes"]) == 0
    capsys.readouterr()
    with Ledger.open(
        tmp_path / "campaign.rehearsal.db", merchant=MERCHANT, gateway="rehearsal", clock=StillClock()
    ) as ledger:
        [first, _] = ledger.entries("lantern")
    assert first.first_sent_at_s is not None
    day = beijing_day(first.first_sent_at_s)
    days = ["--date", str(day), "--date", str(day - timedelta(days=1))]
    code = main(["match", "lantern", *days, "--download", "--json"])
    answer = answered(capsys)
    assert answer["matched"] == {"by_number": 2, "by_amount": 0}
    assert (code, answer["clean"], answer["findings"]) == (0, True, [])
    assert {each["account"] for each in answer["bills"]} == {"Basic", "Operation"}
    assert answer["identity"]["accounts"][0]["sent"] == 1076
    tomorrow = SystemClock().now_s() + 1.5 * DAY_S
    assert main(["match", "lantern", "--date", str(beijing_day(tomorrow)), "--download"]) == 4


@pytest.mark.parametrize("content", ["X'01FFFF'", "CAST(substr(content, 1, 40) AS BLOB)"])
def test_a_kept_bill_that_was_altered_is_named_and_the_same_bill_takes_its_place(rows, capsys, content):
    """Whatever else is wrong with the file, nobody is told of a bug, and no month is blocked by it."""
    file = saved(*map(debit, rows))
    assert main(["match", NAME, file]) == 0
    with sqlite3.connect("campaign.rehearsal.db") as connection:
        connection.execute(f"UPDATE bill SET content = {content}")
    connection.close()
    capsys.readouterr()
    assert main(["match", NAME]) == 3
    assert f"{file} of 2026-03-03 was altered in the ledger" in " ".join(capsys.readouterr().err.split())
    assert main(["audit"]) == 6
    assert main(["match", NAME, file]) == 0
    assert main(["match", NAME]) == 0
    assert main(["audit"]) == 0


def test_a_kept_bill_whose_days_somebody_altered_is_damage_and_no_bug(rows, capsys):
    file = saved(*map(debit, rows))
    assert main(["match", NAME, file]) == 0
    with sqlite3.connect("campaign.rehearsal.db") as connection:
        connection.execute("UPDATE bill SET days = '[1'")
    connection.close()
    capsys.readouterr()
    for command in (["match", NAME], ["match", NAME, file]):
        assert main(command) == 7
        assert f"is damaged: bill {file}" in " ".join(capsys.readouterr().err.split())
