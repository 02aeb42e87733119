"""`campaign audit` on the command line: what it names when somebody edited the ledger."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.domain.answer import Outcome
from tests.ledger.build import MERCHANT, begun, end, open_ledger, plan

SETTINGS = (
    f'[merchant]\nmch_id = "{MERCHANT}"\nwxappid = "wx0123456789abcdef"\n'
    'api_key = "Abcdefghijklmnopqrstuvwxyz012345"\n[gateway]\nurl = "rehearsal"\n'
    '[limits]\ncampaign_yuan = "500"\n'
)


@pytest.fixture
def ledger_path(monkeypatch, tmp_path) -> Path:
    """A rehearsal's ledger with three rows, the first one taken by WeChat Pay, and a terminal beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "campaign.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    file.chmod(0o600)
    path = tmp_path / "campaign.rehearsal.db"
    with open_ledger(path) as ledger:
        first, *_ = plan(ledger, "oA 1.88", "oB 2.88", "oC 3.88")
        end(ledger, begun(ledger, first), Outcome.ACCEPTED)
    return path


def edited(path: Path, statement: str) -> list[str]:
    """Edit the ledger behind the program's back; returns the numbers of the rows before that."""
    connection = sqlite3.connect(path)
    numbers = [row[0] for row in connection.execute("SELECT mch_billno FROM entry ORDER BY seq")]
    for trigger in ("event_is_final", "entry_is_kept"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(statement)
    connection.commit()
    connection.close()
    return numbers


def test_a_ledger_that_nobody_touched_is_good(ledger_path, capsys):
    assert main(["audit", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["good"] is True
    assert answer["broken_events"] == answer["unexplained"] == answer["altered_rows"] == []
    assert answer["altered_sums"] == []


@pytest.mark.parametrize(
    "statement, key, named, said",
    [
        ("UPDATE entry SET state = 'received' WHERE seq = 2", "unexplained", 1, "state of {} does not"),
        ("UPDATE entry SET re_openid = 'oThief' WHERE seq = 2", "altered_rows", 1, "row of {} is not"),
        ("UPDATE entry SET total_amount = 20000 WHERE seq = 3", "altered_rows", 2, "row of {} is not"),
    ],
    ids=["state", "person", "amount"],
)
def test_an_edited_row_is_named(ledger_path, capsys, statement, key, named, said):
    """By its bill number, for people and for programs."""
    number = edited(ledger_path, statement)[named]
    assert main(["audit"]) == 6
    told = " ".join(capsys.readouterr().out.split())
    assert said.format(number) in told
    assert "Somebody or something altered the ledger" in told
    assert main(["audit", "--json"]) == 6
    answer = json.loads(capsys.readouterr().out)
    assert (answer["good"], answer[key]) == (False, [number])


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM entry WHERE seq = 2", "UPDATE event SET at_s = at_s + 1 WHERE seq = 2"],
    ids=["row gone", "event altered"],
)
def test_an_event_that_no_longer_fits_is_named(ledger_path, capsys, statement):
    """Also where a row is gone that it planned: it has no number any more to be named by."""
    edited(ledger_path, statement)
    assert main(["audit", "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["broken_events"] == [2]
    main(["audit"])
    assert "Event 2 was altered" in capsys.readouterr().out


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE total SET fen = fen - 1 WHERE state = 'accepted'",
        "UPDATE total SET rows = rows + 1 WHERE state = 'planned'",
        "DELETE FROM total WHERE state = 'accepted'",
        "INSERT INTO total VALUES (1, 'received', 1, 188)",
    ],
    ids=["less spent", "more rows", "a state forgotten", "a state made up"],
)
def test_sums_that_are_not_those_of_the_rows_are_named(ledger_path, capsys, statement):
    """Budgets go by the sums: one that was lowered would let more money leave than was allowed."""
    edited(ledger_path, statement)
    assert main(["audit"]) == 6
    assert "sums of lantern" in " ".join(capsys.readouterr().out.split())
    assert main(["audit", "--json"]) == 6
    answer = json.loads(capsys.readouterr().out)
    assert (answer["good"], answer["altered_sums"], answer["altered_rows"]) == (False, ["lantern"], [])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE merchant_day SET fen = fen - 1",
        "UPDATE person_day SET packets = 0, fen = 0 WHERE re_openid = 'oA'",
        "DELETE FROM merchant_day",
        "INSERT INTO person_day SELECT day, 'oB', 1, 1 FROM merchant_day",
    ],
    ids=["less spent", "a person forgotten", "a day forgotten", "a person made up"],
)
def test_a_days_sums_that_are_not_those_of_its_requests_are_named(ledger_path, capsys, statement):
    """Daily limits go by them, the merchant's and each person's."""
    edited(ledger_path, statement)
    assert main(["audit"]) == 6
    told = " ".join(capsys.readouterr().out.split())
    assert main(["audit", "--json"]) == 6
    answer = json.loads(capsys.readouterr().out)
    [day] = answer["altered_days"]
    assert f"The sums of {day}, by which daily limits are kept" in told
    assert (answer["good"], answer["altered_sums"]) == (False, [])


def test_an_altered_answer_is_named_where_it_is_shown_and_missed_nowhere_else(ledger_path, capsys):
    """Its record has no text of it; that the other records, and the report, need none of it."""
    with open_ledger(ledger_path) as ledger:
        _, *rest = ledger.entries("lantern")
        for each in rest:
            end(ledger, begun(ledger, each), Outcome.UNKNOWN, raw=b"<xml>busy</xml>")
    numbers = edited(ledger_path, "UPDATE event SET answers = X'00FF' WHERE seq = 6")
    assert main(["records", "list", "--json"]) == 0
    told = capsys.readouterr()
    raw = {record["mch_billno"]: record["raw_result"] for record in json.loads(told.out)["objects"]}
    assert raw == dict(zip(numbers, ["", None, "<xml>busy</xml>"], strict=True))
    assert f"as they came: {numbers[1]}. `campaign audit` says what to do" in " ".join(told.err.split())
    assert main(["records", "show", numbers[1]]) == 0
    assert "raw_result: null" in capsys.readouterr().out
    assert main(["report", "lantern", "--json"]) == 0
    capsys.readouterr()
    assert main(["audit", "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["broken_events"] == [6]
