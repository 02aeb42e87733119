"""Ordinary mistakes: the right exit code, one clear message with place and fix, no traceback, no secret."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from campaign.ledger.registry import STATE_DIR_VARIABLE
from tests.acceptance.world import KEY, HereDesk, Result, Served
from tests.certs import NOW, Authority
from tests.sheet.sheets import xlsx_file

Rows = list[tuple[str, str]]


@pytest.fixture
def ready(desk: HereDesk, people: Rows) -> HereDesk:
    """Everything is right, until a test breaks one thing."""
    desk.sheet(people)
    return desk


def clear(result: Result, code: int, *facts: str) -> None:
    """One error and its next step, with these facts, and nothing that nobody should read."""
    assert result.code == code, result
    errors = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result
    assert "\n→ " in result.err, result
    for fact in facts:
        assert fact in result.err, result
    quiet(result)


def quiet(result: Result) -> None:
    assert "Traceback" not in result.said
    assert KEY not in result.said
    assert not re.search(r"\bo[0-9A-Za-z_-]{27}\b", result.said), result


# ------------------------------------------------------------------ settings, certificate, key


def test_no_settings(ready: HereDesk) -> None:
    (ready.folder / "campaign.toml").unlink()
    clear(ready.run("run", "lantern.csv", "--yes"), 4, str(ready.folder / "campaign.toml"), "campaign init")


def test_an_unknown_key(ready: HereDesk) -> None:
    ready.configure({"gateway": {"send_per_second": 5}})
    clear(ready.run("run", "lantern.csv", "--yes"), 4, "campaign.toml", "send_per_second", "sends_per_second")


@pytest.mark.parametrize(
    "wrong", ["[merchant]\nmch_id = “1900000109”\n", '[columns]\n奖金 = "amount_yuan"\n']
)
def test_settings_that_are_no_toml(ready: HereDesk, wrong: str) -> None:
    (ready.folder / "campaign.toml").write_text(wrong)
    result = ready.run("run", "lantern.csv", "--yes")
    clear(result, 4, "line 2", "straight quotes around text, and around a key in Chinese")


def test_no_budget(ready: HereDesk) -> None:
    """It has no default: the most that may be spent is the operator's word."""
    file = ready.folder / "campaign.toml"
    file.write_text(file.read_text().replace('campaign_yuan = "50000.00"\n', ""))
    clear(ready.run("run", "lantern.csv", "--yes"), 4, "campaign_yuan")


@pytest.mark.parametrize("reference, names", [
    ("env:WECHATPAY_API_KEY", "WECHATPAY_API_KEY"),
    ("file:keys/api.txt", "keys/api.txt"),
])  # fmt: skip
def test_a_missing_secret(ready: HereDesk, reference: str, names: str) -> None:
    ready.configure({"merchant": {"api_key": reference}})
    ready.environ["WECHATPAY_API_KEY"] = ""
    clear(ready.run("run", "lantern.csv", "--yes"), 4, "api_key", names)


def test_a_key_of_the_wrong_shape_is_not_shown(ready: HereDesk) -> None:
    ready.configure()
    (ready.folder / "api_key.txt").write_text(f"{KEY}extra")
    result = ready.run("run", "lantern.csv", "--yes")
    clear(result, 4, "32 letters and digits")
    assert KEY[:8] not in result.said


def test_an_expired_certificate(ready: HereDesk, tmp_path: Path) -> None:
    old = Authority(tmp_path / "ca").client(
        not_before=NOW - timedelta(days=900), not_after=NOW - timedelta(days=3)
    )
    ready.configure({"merchant": {"certificate": str(old.cert_path), "private_key": str(old.key_path)}})
    clear(ready.run("run", "lantern.csv", "--yes"), 4, str(old.cert_path), "expired")


def test_a_certificate_and_another_key(ready: HereDesk, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    one, other = authority.client(name="one"), authority.client(name="other")
    ready.configure({"merchant": {"certificate": str(one.cert_path), "private_key": str(other.key_path)}})
    clear(ready.run("run", "lantern.csv", "--yes"), 4, "key")


def test_a_private_key_that_others_may_read(ready: HereDesk, tmp_path: Path) -> None:
    own = Authority(tmp_path / "ca").client()
    own.key_path.chmod(0o644)
    ready.configure({"merchant": {"certificate": str(own.cert_path), "private_key": str(own.key_path)}})
    clear(ready.run("run", "lantern.csv", "--yes"), 4, str(own.key_path), "chmod 600")


def test_the_wrong_api_key(ready: HereDesk, gateway: Served) -> None:
    """SIGN_ERROR: found by the first question, before anything is sent."""
    ready.configure()
    (ready.folder / "api_key.txt").write_text("0" * 32)
    before = gateway.sends().total()
    clear(ready.run("run", "lantern.csv", "--yes"), 4, "sign")
    assert gateway.sends().total() == before
    (ready.folder / "api_key.txt").write_text(KEY)
    assert ready.run("run", "lantern.csv", "--yes").code == 0


@pytest.mark.parametrize("code", ["ca_error", "sign_error"])
def test_what_the_gateway_says_of_the_settings(ready: HereDesk, gateway: Served, code: str) -> None:
    gateway.set_faults({code: 1})
    before = gateway.sends().total()
    clear(ready.run("run", "lantern.csv", "--yes"), 4)
    assert gateway.sends().total() == before


# ------------------------------------------------------------------ the gateway


def test_a_gateway_that_cannot_be_reached(ready: HereDesk, gateway: Served) -> None:
    ready.configure({"gateway": {"url": "https://127.0.0.1:9"}})
    result = ready.run("run", "lantern.csv", "--yes")
    assert result.code == 5
    assert "cannot be reached" in result.out
    assert "run the same command again" in result.out
    quiet(result)


def test_a_gateway_that_is_somebody_elses(ready: HereDesk) -> None:
    ready.configure({"gateway": {"url": "https://pay.example.com", "ca_bundle": "", "backup_url": ""}})
    clear(ready.run("run", "lantern.csv", "--yes"), 4, "pay.example.com", "--gateway-host")


def test_a_gateway_with_a_certificate_of_another_authority(ready: HereDesk, tmp_path: Path) -> None:
    """Somebody in between: nothing is sent, and the doctor says what is wrong."""
    ready.configure({"gateway": {"ca_bundle": str(Authority(tmp_path / "ca").ca_path)}})
    result = ready.run("run", "lantern.csv", "--yes")
    assert result.code in (4, 5)
    quiet(result)
    assert ready.run("status", "lantern", "--json").json["states"] == {"planned": 6}


def test_an_openid_of_another_account(ready: HereDesk, gateway: Served, people: Rows) -> None:
    gateway.set_faults({"openid_error": {"openids": [people[0][0]]}})
    result = ready.run("run", "lantern.csv", "--yes")
    assert result.code == 6
    assert "row 2" in result.out
    assert "openid" in result.out
    assert "Next step" in result.out
    quiet(result)


# ------------------------------------------------------------------ the sheet


@pytest.mark.parametrize(
    "write, facts",
    [
        (lambda path: None, ["lantern.xlsx"]),
        (lambda path: path.write_bytes(b""), ["lantern.xlsx"]),
        (lambda path: path.write_text("openid,amount\n"), ["lantern.xlsx"]),
        (lambda path: path.write_bytes(b"PK\x03\x04" + os.urandom(2000)), ["lantern.xlsx"]),
        (lambda path: path.mkdir(), ["lantern.xlsx"]),
        (
            lambda path: xlsx_file(path.parent, ["openid", "amount"], name=path.name),
            ["no row below the header"],
        ),
        (lambda path: xlsx_file(path.parent, ["openid", "greeting"], ["o", "x"], name=path.name), ["amount"]),
        (lambda path: xlsx_file(path.parent, ["amount"], ["1.00"], name=path.name), ["openid"]),
    ],
    ids=[
        "missing",
        "no bytes",
        "no workbook",
        "broken zip",
        "folder",
        "only a header",
        "no amount",
        "no openid",
    ],
)
def test_a_sheet_that_cannot_be_read(ready: HereDesk, write: Callable[[Path], Any], facts: list[str]) -> None:
    write(ready.folder / "lantern.xlsx")
    for command in (["check"], ["run", "--yes"]):
        clear(ready.run(command[0], "lantern.xlsx", *command[1:]), 3, *facts)
    assert not ready.ledger_file.exists()


def test_problems_of_the_rows_are_an_answer_not_an_error(ready: HereDesk, people: Rows) -> None:
    """`run` lists them just as `check` does, and neither sends."""
    ready.sheet([*people, ("", "1.00")])
    checked, run = (
        ready.run("check", "lantern.csv", "--json"),
        ready.run("run", "lantern.csv", "--yes", "--json"),
    )
    assert (checked.code, run.code) == (3, 3)
    assert checked.json["problems"] == run.json["problems"]
    assert not ready.ledger_file.exists()


def test_a_worksheet_that_is_not_there(ready: HereDesk, people: Rows) -> None:
    xlsx_file(ready.folder, ["openid", "amount"], *people, name="lantern.xlsx")
    clear(ready.run("check", "lantern.xlsx", "--sheet", "Tabelle9"), 3, "Tabelle9", "名单")


@pytest.mark.parametrize("name", ["\t", "  ", "a\x00b", "bad\x1bname"])
def test_a_name_that_cannot_be_one(ready: HereDesk, name: str) -> None:
    clear(ready.run("run", "lantern.csv", "--yes", "--name", name), 2, "--name")


# ------------------------------------------------------------------ folders and disks


class _Filling(sqlite3.Connection):
    """A database whose disk is full from a certain transaction on: no page can be added (SQLITE_FULL)."""

    full_from: int
    transactions = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            _Filling.transactions += 1
            if _Filling.transactions >= _Filling.full_from:
                super().execute("PRAGMA max_page_count = 1")  # never below what it has
        return super().execute(sql, *arguments)


@pytest.mark.parametrize("number, words", [
    (errno.ENOSPC, "disk is full"), (errno.EROFS, "may not be"), (errno.EACCES, "may not be"),
])  # fmt: skip
def test_a_report_that_cannot_be_written(
    ready: HereDesk, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """Full disk and read-only folder, injected: root may write anywhere."""
    ready.run("run", "lantern.csv", "--yes")
    original = os.open

    def no_room(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT and "report" in str(path):
            raise OSError(number, os.strerror(number), str(path))
        return original(path, flags, *arguments, **options)

    monkeypatch.setattr("os.open", no_room)
    result = ready.run("report", "lantern")
    assert result.code == 5, result
    assert "report" in result.err
    quiet(result)


@pytest.mark.parametrize("full_from, sent", [(1, False), (15, True)])
def test_a_full_disk(
    ready: HereDesk,
    gateway: Served,
    monkeypatch: pytest.MonkeyPatch,
    person: Callable[[int], str],
    full_from: int,
    sent: bool,
) -> None:
    """While planning nothing is sent; while sending it stops. With room again the same command goes on."""
    rows = [(person(n), "1.00") for n in range(300)]
    ready.sheet(rows)
    ready.run("run", "lantern.csv", "--yes", "--limit", "1")
    before = gateway.sends().total()
    original = sqlite3.connect
    _Filling.transactions, _Filling.full_from = 0, full_from
    with monkeypatch.context() as here:
        here.setattr("sqlite3.connect", lambda *a, **o: original(*a, **{**o, "factory": _Filling}))
        result = ready.run("run", "lantern.csv", "--yes")
    clear(result, 5, "full", "run the same command again")
    assert (gateway.sends().total() > before) == sent
    assert ready.run("run", "lantern.csv", "--yes").code == 0
    counted = gateway.paid()
    assert {counted[openid] for openid, _ in rows} == {1}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_may_not_be_written(
    ready: HereDesk, gateway: Served, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Injected where the ledger's folder is met first: its lock."""
    original = os.open

    def refused(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT and str(path).startswith(str(ready.folder)):
            raise OSError(number, os.strerror(number), str(path))
        return original(path, flags, *arguments, **options)

    before = gateway.sends().total()
    with monkeypatch.context() as here:
        here.setattr("os.open", refused)
        clear(ready.run("run", "lantern.csv", "--yes"), 5, str(ready.folder))
    assert gateway.sends().total() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the test above injects the refusal")
def test_a_folder_that_really_may_not_be_written(ready: HereDesk) -> None:
    ready.folder.chmod(0o500)
    try:
        clear(ready.run("run", "lantern.csv", "--yes"), 5, str(ready.folder))
    finally:
        ready.folder.chmod(0o700)


def test_a_state_folder_that_is_a_file(ready: HereDesk) -> None:
    ready.state = ready.folder / "lantern.csv"
    clear(ready.run("run", "lantern.csv", "--yes"), 5, "lantern.csv", STATE_DIR_VARIABLE)


def test_a_ledger_that_is_no_database(ready: HereDesk) -> None:
    ready.ledger_file.write_bytes(os.urandom(4096))
    for arguments in (["run", "lantern.csv", "--yes"], ["status"], ["reconcile"], ["report", "lantern"]):
        clear(ready.run(*arguments), 7, str(ready.ledger_file))


def test_a_ledger_of_another_merchant(ready: HereDesk) -> None:
    assert ready.run("run", "lantern.csv", "--yes").code == 0
    ready.configure({"merchant": {"mch_id": "1900000999"}})
    clear(ready.run("run", "lantern.csv", "--yes"), 7, "1900000109", str(ready.ledger_file))


# ------------------------------------------------------------------ the command line


@pytest.mark.parametrize("arguments", [
    [], ["run"], ["run", "lantern.csv", "--limit", "0"], ["run", "lantern.csv", "--wait", "-1"],
    ["check", "a", "b"], ["status", "--nonsense"], ["report"], ["--lang", "fr", "status"],
])  # fmt: skip
def test_a_wrong_command_line(ready: HereDesk, arguments: list[str]) -> None:
    result = ready.run(*arguments)
    assert result.code == 2
    assert result.err
    quiet(result)


@pytest.mark.parametrize("arguments", [
    ["run", "lantern.csv", "--yes"], ["check", "lantern.csv"], ["status"], ["reconcile"], ["doctor"],
])  # fmt: skip
def test_neither_logs_nor_json_show_a_secret_or_an_openid(ready: HereDesk, arguments: list[str]) -> None:
    for more in (["-vv"], ["-vv", "--json"]):
        quiet(ready.run(*arguments, *more))


def test_with_json_an_error_is_the_one_object(ready: HereDesk) -> None:
    result = ready.run("run", "missing.csv", "--yes", "--json")
    assert result.code == 3
    assert result.json["error"].keys() == {"kind", "exit_code", "message", "advice"}
    assert result.json["error"]["exit_code"] == 3
