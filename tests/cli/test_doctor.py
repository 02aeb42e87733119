"""`campaign doctor` finds what is wrong before money moves, and says who does what."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.cli.doctor import Finding, Mark, exit_code, gateway_clock_s, judge
from campaign.domain.answer import QueryAnswer, Reach, Status
from campaign.text import text
from tests.certs import Authority

KEY = "Abcdefghijklmnopqrstuvwxyz012345"


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write_settings(url: str, *merchant: str, key: str = KEY) -> Path:
    file = Path("campaign.toml")
    lines = ['mch_id = "1900000109"', 'wxappid = "wx0123456789abcdef"', f'api_key = "{key}"', *merchant]
    file.write_text(
        "[merchant]\n"
        + "\n".join(lines)
        + f'\n[gateway]\nurl = "{url}"\nconnect_timeout_s = 2\nread_timeout_s = 2\n'
        '[limits]\ncampaign_yuan = "5"\n'
    )
    file.chmod(0o600)
    return file


def answer(err_code: str, mch_billno: str = "") -> str:
    fields = f"<err_code>{err_code}</err_code><mch_billno>{mch_billno}</mch_billno>"
    return f"<xml><return_code>SUCCESS</return_code><result_code>FAIL</result_code>{fields}</xml>"


@contextmanager
def gateway(reply: Callable[[str], str], *, clock_off_s: float = 0.0) -> Iterator[str]:
    """A gateway over plain http on loopback; ``reply`` makes the answer's XML from the request's."""

    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp=None) -> str:
            return format_datetime(datetime.now(UTC) + timedelta(seconds=clock_off_s), usegmt=True)

        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def do_POST(self) -> None:
            body = reply(self.rfile.read(int(self.headers["Content-Length"])).decode()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def not_found(request: str) -> str:
    return answer("NOT_FOUND", re.search(r"<mch_billno>(?:<!\[CDATA\[)?(\w+)", request)[1])


def doctor(capsys, *args: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """(exit code, the JSON's checks by name, what people were told)"""
    code = main(["doctor", "--json", *args])
    shown = capsys.readouterr()
    whole = json.loads(shown.out)
    return code, {check["check"]: check for check in whole["checks"]}, shown.err


def test_a_rehearsal_is_healthy_from_the_start(capsys):
    """What `init` writes needs nothing more; key and signature are proven over real TLS."""
    assert main(["init"]) == 0
    capsys.readouterr()
    code, checks, told = doctor(capsys)
    assert code == 0
    assert list(checks) == ["settings", "api_key", "certificate", "clock", "ledger", "gateway"]
    assert {check["result"] for check in checks.values()} <= {"ok", "skipped"}
    assert checks["gateway"]["result"] == checks["api_key"]["result"] == "ok"
    assert "REHEARSAL" in told


def test_people_get_one_line_a_check_on_stdout(capsys):
    with gateway(not_found) as url:
        write_settings(url)
        assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == ["✓", "✓", "-", "✓", "✓", "✓"]


def test_every_question_is_about_another_number(capsys):
    """One that was never used, of the merchant's own."""
    asked = []

    def reply(request: str) -> str:
        asked.append(re.search(r"<mch_billno>(?:<!\[CDATA\[)?(\w+)", request)[1])
        return not_found(request)

    with gateway(reply) as url:
        write_settings(url)
        assert doctor(capsys)[0] == doctor(capsys)[0] == 0
    assert len(set(asked)) == 2
    assert all(re.fullmatch(r"1900000109[0-9A-Z]{18}", number) for number in asked)


@pytest.mark.parametrize("err_code, code, result", [
    ("SIGN_ERROR", 4, "wrong"),
    ("CA_ERROR", 4, "wrong"),
    ("NO_AUTH", 4, "wrong"),
    ("SYSTEMERROR", 5, "unreachable"),
    ("FREQ_LIMIT", 5, "unreachable"),
    ("NEVER_HEARD_OF", 5, "unreachable"),
])  # fmt: skip
def test_a_refused_question_says_why_and_what_to_do(capsys, err_code, code, result):
    with gateway(lambda request: answer(err_code)) as url:
        write_settings(url)
        exit_, checks, _ = doctor(capsys)
    assert (exit_, checks["gateway"]["result"]) == (code, result)
    assert err_code in checks["gateway"]["message"]
    assert checks["gateway"]["advice"]


def test_a_gateway_that_is_not_there_is_exit_5(capsys):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    write_settings(f"http://127.0.0.1:{port}")
    code, checks, _ = doctor(capsys)
    assert (code, checks["gateway"]["result"], checks["clock"]["result"]) == (5, "unreachable", "skipped")


def test_rubbish_from_the_gateway_is_exit_5(capsys):
    with gateway(lambda request: "<html>login</html>") as url:
        write_settings(url)
        assert doctor(capsys)[0] == 5


def test_no_settings_is_exit_4(capsys):
    assert main(["doctor", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "SetupError"


def test_a_missing_key_is_named_and_nothing_is_asked(capsys):
    asked = []
    with gateway(lambda request: asked.append(request) or not_found(request)) as url:
        write_settings(url, key="env:NOT_SET_ANYWHERE")
        code, checks, _ = doctor(capsys)
    assert code == 4
    assert checks["api_key"]["result"] == "wrong"
    assert "NOT_SET_ANYWHERE" in checks["api_key"]["message"]
    assert checks["gateway"]["result"] == "skipped"
    assert not asked


# ------------------------------------------------------------------ certificate


def certificate_check(capsys, tmp_path, **issue) -> tuple[int, dict[str, str]]:
    issued = Authority(tmp_path / "certs").client(**issue)
    with gateway(not_found) as url:
        write_settings(url, f'certificate = "{issued.cert_path}"', f'private_key = "{issued.key_path}"')
        code, checks, _ = doctor(capsys)
    return code, checks["certificate"]


def test_a_good_certificate_says_until_when(capsys, tmp_path):
    not_after = datetime.now(UTC) + timedelta(days=400)
    code, check = certificate_check(capsys, tmp_path, not_after=not_after)
    assert (code, check["result"]) == (0, "ok")
    assert re.search(r"\d{4}-\d\d-\d\d", check["message"])


@pytest.mark.parametrize("days, result", [(29.5, "warning"), (30.5, "ok")])
def test_a_certificate_that_ends_within_thirty_days_is_a_warning(capsys, tmp_path, days, result):
    """It stays exit 0: packets can still be sent."""
    not_after = datetime.now(UTC) + timedelta(days=days)
    assert certificate_check(capsys, tmp_path, not_after=not_after)[1]["result"] == result


def test_an_expired_certificate_is_exit_4(capsys, tmp_path):
    not_after = datetime.now(UTC) - timedelta(days=1)
    code, check = certificate_check(capsys, tmp_path, not_after=not_after)
    assert (code, check["result"]) == (4, "wrong")
    assert check["advice"]


def test_another_merchants_certificate_is_a_warning(capsys, tmp_path):
    code, check = certificate_check(capsys, tmp_path, common_name="1900009999")
    assert (code, check["result"]) == (0, "warning")
    assert "1900009999" in check["message"]


# ------------------------------------------------------------------ clock


@pytest.mark.parametrize("off_s, result", [(0, "ok"), (-50, "ok"), (75, "warning"), (-3600, "warning")])
def test_a_clock_more_than_a_minute_off_is_a_warning(capsys, off_s, result):
    """Packets near midnight would be counted on the wrong day."""
    with gateway(not_found, clock_off_s=off_s) as url:
        write_settings(url)
        code, checks, _ = doctor(capsys)
    assert (code, checks["clock"]["result"]) == (0, result)


def test_a_gateway_without_a_time_is_no_problem():
    """Not there, no TLS, or not HTTP at all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before = time.monotonic()
        assert gateway_clock_s(f"http://127.0.0.1:{port}", timeout_s=0.05) is None
        assert time.monotonic() - before < 2
    assert gateway_clock_s(f"http://127.0.0.1:{port}", timeout_s=0.5) is None
    with gateway(not_found) as url:
        assert gateway_clock_s(url.replace("http:", "https:"), timeout_s=0.5) is None


# ------------------------------------------------------------------ ledger


def test_a_damaged_ledger_is_wrong(capsys):
    with gateway(not_found) as url:
        write_settings(url)
        Path("campaign.db").write_bytes(b"this is not a database" * 100)
        code, checks, _ = doctor(capsys)
    assert (code, checks["ledger"]["result"]) == (4, "wrong")
    assert checks["ledger"]["advice"]


def test_looking_does_not_make_a_ledger(capsys):
    with gateway(not_found) as url:
        write_settings(url)
        assert doctor(capsys)[0] == 0
    assert not Path("campaign.db").exists()


# ------------------------------------------------------------------ judging


@pytest.mark.parametrize("marks, code", [
    ([Mark.OK, Mark.SKIPPED], 0),
    ([Mark.OK, Mark.WARNING], 0),
    ([Mark.OK, Mark.UNREACHABLE], 5),
    ([Mark.WRONG, Mark.UNREACHABLE], 4),
])  # fmt: skip
def test_wrong_settings_win_over_an_unreachable_gateway(marks, code):
    assert exit_code([Finding("x", mark, text("Options")) for mark in marks]) == code


@pytest.mark.parametrize("status", list(Status))
def test_only_not_found_proves_that_all_is_well(status):
    """Any other status for a number never used means that somebody else answers."""
    finding = judge(QueryAnswer(status=status), gateway_name="x")
    assert (finding.mark is Mark.OK) == (status is Status.NOT_FOUND)


@pytest.mark.parametrize("reach", list(Reach))
def test_no_answer_is_never_ok(reach):
    finding = judge(QueryAnswer(status=None, reach=reach, err_code="X"), gateway_name="x")
    assert finding.mark is (Mark.WRONG if reach is Reach.ABORT else Mark.UNREACHABLE)
