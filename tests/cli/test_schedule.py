"""`campaign schedule` as its user, a timer, and monitoring meet it."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path

import pytest

from campaign.cli import main
from campaign.ledger.nights import hold_night
from tests.notify.test_notify import receiving

SECRET_NAMES = ("WECHATPAY_API_KEY", "ROBOT")


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path) -> Path:
    """A rehearsal of five rows, in a folder with a blank in its name."""
    for name in [name for name in os.environ if name.upper().startswith("CAMPAIGN_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "元宵 50%"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("CAMPAIGN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert main(["init"]) == 0
    return folder


@pytest.fixture
def programs(monkeypatch, tmp_path) -> Path:
    """A PATH with a crontab that keeps its table, and a systemctl that refuses at first."""
    place = tmp_path / "bin"
    place.mkdir()
    script(
        place / "crontab",
        'if [ "$1" != -l ]; then cat > "$0.table"\n'
        'elif ! cat "$0.table" 2>/dev/null; then echo "no crontab" >&2; exit 1; fi',
    )
    script(place / "systemctl", "exit 1")
    script(place / "loginctl", "echo Linger=no")
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    return place


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(scope="module")
def _paid(tmp_path_factory) -> Path:
    """Such a folder after `campaign run`, made once."""
    place = tmp_path_factory.mktemp("paid")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("LANG", "en_US.UTF-8")
        patch.setenv("CAMPAIGN_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        assert main(["init"]) == 0
        assert main(["run", "lantern.xlsx", "--yes"]) == 0
    return place


@pytest.fixture
def paid(_paid: Path, folder: Path) -> Path:
    """The folder, after its sheet was paid; the stand-in begins anew, and nothing is due."""
    beginning_anew = shutil.ignore_patterns("*.gateway")
    return shutil.copytree(_paid, folder, ignore=beginning_anew, dirs_exist_ok=True)


def now(capsys, *args: str) -> tuple[int, dict, list[dict]]:
    """(exit code, the answer, the log)"""
    capsys.readouterr()
    code = main(["schedule", "now", "--json", *args])
    shown = capsys.readouterr()
    log = [json.loads(line) for line in shown.err.splitlines() if line.startswith("{")]
    return code, json.loads(shown.out), log


# The night run


def test_a_night_writes_the_reports_answers_in_json_and_logs_a_line_an_event(capsys, paid):
    code, answer, log = now(capsys, "--metrics", "campaign.prom")
    assert code == answer["exit_code"] == 0
    assert (answer["schema_version"], answer["gateway"]) == (1, "rehearsal")
    [campaign] = answer["campaigns"]
    assert (campaign["campaign"], campaign["rows"], campaign["fen"]["total"]) == ("lantern", 5, 4142)
    assert {deadline["kind"] for deadline in campaign["deadlines"]} == {"claim", "query_warning", "bill"}
    assert {Path(file).suffix for file in campaign["files"]} == {".xlsx", ".html", ".csv", ".json"}
    assert all(Path(file).parent == paid / "reports" and Path(file).exists() for file in campaign["files"])
    assert [line["event"] for line in log] == ["night_started", "report_written", "night_ended"]
    assert all(line["at"].endswith("+08:00") and line["level"] == "info" for line in log)
    assert (
        'campaign_rows{campaign="lantern",gateway="rehearsal",state="accepted"} 5.0'
        in Path("campaign.prom").read_text()
    )


def test_a_second_night_knows_that_nothing_is_new(capsys, paid):
    now(capsys)
    _, answer, log = now(capsys)
    assert answer["campaigns"][0]["files"] == []
    assert [line["event"] for line in log] == ["night_started", "night_ended"]


def test_people_see_the_table_the_deadlines_and_the_files(capsys, paid):
    assert main(["schedule", "now", "--log", "night.log"]) == 0
    shown = capsys.readouterr()
    assert "41.42" in shown.out
    assert "Deadlines" in shown.out
    assert "Written: " in shown.out
    assert shown.err == "", "the log is in its file"
    assert len(Path("night.log").read_text().splitlines()) == 3
    assert Path("night.log").stat().st_mode & 0o777 == 0o600


def test_the_log_and_the_metrics_know_no_openid(capsys, paid):
    openid = "oSAMPLE_not_a_person_0000001"
    _, answer, log = now(capsys, "--metrics", "campaign.prom")
    assert openid not in json.dumps(answer) + json.dumps(log) + Path("campaign.prom").read_text()


def test_before_the_first_run_all_is_well(capsys):
    code, answer, _ = now(capsys)
    assert (code, answer["campaigns"]) == (0, [])


def test_two_at_once_are_one(capsys, paid):
    with hold_night(paid / "campaign.rehearsal.db"):
        code, answer, log = now(capsys)
    assert (code, answer["error"]["kind"]) == (7, "CampaignHeld")
    assert [line["event"] for line in log] == ["night_refused"]


def test_bills_are_matched_if_the_settings_say_so(capsys, paid, monkeypatch):
    """Nothing moved yesterday, so there is no bill of it, or it is too early to say."""
    monkeypatch.setenv("CAMPAIGN_BILL_NIGHTLY", "match")
    code, answer, _ = now(capsys)
    assert code == 0
    assert len(answer["bill"]["days"]) + len(answer["bill"]["missing"]) == 1
    assert answer["bill"]["findings"] == []


def test_whom_notify_names_is_told_by_the_run_and_by_the_night(capsys, monkeypatch):
    with receiving() as receiver:
        monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", json.dumps([receiver.url]))
        assert main(["run", "lantern.xlsx", "--yes"]) == 0
        _, answer, log = now(capsys)
        assert main(["run", "lantern.xlsx", "--yes"]) == 0
    assert answer["notified"] == {"sent": 1, "failed": []}
    assert [got["title"] for got in receiver.got] == [
        "REHEARSAL: Run of campaign lantern",
        "REHEARSAL: Night run of merchant 1900000109",
    ], "a run that had nothing to do tells nothing"
    assert {got["message"].split(":")[0] for got in receiver.got} == {"lantern"}
    assert "told" in [line["event"] for line in log]


def test_a_robot_that_cannot_be_reached_fails_no_night_and_no_run(capsys, monkeypatch):
    monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", '["json://127.0.0.1:1/SECRET"]')
    assert main(["run", "lantern.xlsx", "--yes"]) == 0
    assert "Address 1 of [notify] urls was not told" in capsys.readouterr().err
    code, answer, log = now(capsys)
    assert code == 0
    assert len(answer["notified"]["failed"]) == 1
    assert "not_told" in [line["event"] for line in log]
    assert "SECRET" not in json.dumps(answer) + json.dumps(log)


def test_a_night_that_dies_before_it_told_leaves_that_to_the_next(capsys, paid, monkeypatch):
    def killed(*_args, **_more):
        raise KeyboardInterrupt

    memory = Path(".campaign.rehearsal.db.night.json")
    with monkeypatch.context() as patch:
        patch.setattr("campaign.cli.night.tell_people", killed)
        main(["schedule", "now"])
    assert json.loads(memory.read_text())["untold"]
    assert now(capsys)[1]["campaigns"][0]["files"], "what its reports say is told again, too"
    assert not json.loads(memory.read_text())["untold"]


def test_a_night_that_reached_nobody_leaves_that_to_the_next(capsys, paid, monkeypatch):
    monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", '["json://127.0.0.1:1/x"]')
    now(capsys)
    assert json.loads(Path(".campaign.rehearsal.db.night.json").read_text())["untold"]


def test_a_night_that_cannot_begin_is_told_where_nobody_sees_its_exit_code(capsys, paid, monkeypatch):
    Path("campaign.rehearsal.db").write_bytes(b"no ledger" * 1000)
    with receiving() as receiver:
        monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", json.dumps([receiver.url]))
        code, answer, log = now(capsys)
    assert (code, answer["error"]["kind"]) == (7, "LedgerRefused")
    [told] = receiver.got
    assert "is not a ledger of this program" in told["message"]
    assert "put back the newest backup" in told["message"]
    assert [line["event"] for line in log] == ["night_refused", "told"]


def test_a_night_that_breaks_off_is_told_by_kind_alone_and_logged_in_full(capsys, paid, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("oSAMPLE_not_a_person_0000001 was not expected")

    with receiving() as receiver:
        monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", json.dumps([receiver.url]))
        monkeypatch.setattr("campaign.cli.night.night", broken)
        code, answer, log = now(capsys)
    assert (code, answer["error"]["kind"]) == (1, "Bug")
    [told] = receiver.got
    assert "The night run broke off (RuntimeError)" in told["message"]
    assert "expected" not in told["message"]
    refused, _ = log
    assert "was not expected" in refused["why"]
    assert "oSAMPLE_not_a_person_0000001" not in refused["why"]


def test_a_log_that_cannot_be_opened_is_told(capsys, paid, monkeypatch):
    with receiving() as receiver:
        monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", json.dumps([receiver.url]))
        code, answer, log = now(capsys, "--log", str(paid / "lantern.xlsx" / "log"))
    assert (code, answer["error"]["kind"]) == (5, "StorageError")
    [told] = receiver.got
    assert "The night run broke off (FileExistsError)" in told["message"]
    assert [line["event"] for line in log] == ["night_refused", "told"]


def test_a_log_whose_disk_is_full_stops_no_night(capsys, paid):
    assert main(["schedule", "now", "--log", "/dev/full"]) == 0
    assert (paid / "reports" / "lantern-report.xlsx").exists()


def test_a_line_of_the_log_is_written_in_one_piece(paid, monkeypatch):
    """A night and the one that it refuses write to the same file: in pieces their lines would mix."""
    pieces = []

    class Stream(io.StringIO):
        def write(self, words: str) -> int:
            pieces.append(words)
            return len(words)

    monkeypatch.setattr("campaign.cli.night._stream", lambda _path: nullcontext(Stream()))
    assert main(["schedule", "now"]) == 0
    assert json.loads(pieces[0])["event"] == "night_started"
    assert all(piece.endswith("\n") for piece in pieces)


# Who starts it


def test_install_show_and_remove_by_cron(capsys, programs, folder):
    assert main(["schedule", "install", "--at", "10:30", "--metrics", "m.prom", "--json"]) == 0
    installed = json.loads(capsys.readouterr().out)
    assert (installed["kind"], installed["at"]) == ("cron", "10:30")
    table = (programs / "crontab.table").read_text()
    command = shlex.split(table.split(" ", 5)[5].replace(r"\%", "%"), comments=True)
    assert command[0] == f"CAMPAIGN_STATE_DIR={os.environ['CAMPAIGN_STATE_DIR']}"
    assert command[1:7] == [sys.executable, "-P", "-m", "campaign", "schedule", "now"]
    options = dict(zip(command[7::2], command[8::2], strict=True))
    assert options == {
        "--config": str(folder / "campaign.toml"),
        "--lang": "en",
        "--out": str(folder / "reports"),
        "--metrics": str(folder / "m.prom"),
    }
    assert main(["schedule", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["installed"]["cron"] in table
    assert main(["schedule", "remove"]) == 0
    assert (programs / "crontab.table").read_text() == ""
    capsys.readouterr()
    assert main(["schedule", "show"]) == 0
    assert "No night run is installed" in capsys.readouterr().out


def test_what_was_installed_works_as_cron_starts_it(capsys, paid, programs):
    """From another folder, with nothing in its environment but what cron gives."""
    assert main(["schedule", "install", "--log", "night.log"]) == 0
    line = (programs / "crontab.table").read_text().split(" ", 5)[5].replace(r"\%", "%")
    bare = {"HOME": str(paid), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", line], cwd="/", env=bare, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (paid / "reports" / "lantern-report.xlsx").exists()
    assert "night_ended" in (paid / "night.log").read_text()


def test_systemd_is_preferred_and_takes_the_crontabs_place(capsys, programs, tmp_path):
    assert main(["schedule", "install"]) == 0
    script(programs / "systemctl", 'echo "$@" >> "$0.calls"')
    assert main(["schedule", "install"]) == 0
    shown = capsys.readouterr()
    assert (programs / "crontab.table").read_text() == ""
    units = sorted((tmp_path / "config" / "systemd" / "user").iterdir())
    assert [unit.suffix for unit in units] == [".service", ".timer"]
    assert "loginctl enable-linger" in shown.err
    assert main(["schedule", "remove"]) == 0
    assert not any((tmp_path / "config" / "systemd" / "user").iterdir())


def test_a_machine_with_neither_is_told_of_the_foreground(capsys, programs):
    (programs / "crontab").unlink()
    if any(Path(place, "crontab").exists() for place in ("/usr/bin", "/bin")):
        script(programs / "crontab", "echo 'not allowed' >&2; exit 1")
    assert main(["schedule", "install"]) == 4
    assert "campaign schedule --foreground" in capsys.readouterr().err


def test_no_secret_gets_into_a_unit_and_a_variable_of_this_terminal_is_warned_of(
    capsys, programs, folder, monkeypatch
):
    """The timer has neither; the operator is told to write them where it finds them."""
    file = folder / "campaign.toml"
    file.write_text(file.read_text().replace('"rehearsal0rehearsal0rehearsal012"', '"env:WECHATPAY_API_KEY"'))
    monkeypatch.setenv("WECHATPAY_API_KEY", "s3cretS3cretS3cretS3cretS3cret12")
    monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", '["env:ROBOT"]')
    monkeypatch.setenv("ROBOT", "wecombot://s3cret")
    assert main(["schedule", "install"]) == 0
    said = capsys.readouterr().err
    for name in (*SECRET_NAMES, "CAMPAIGN_NOTIFY_URLS"):
        assert f"does not see {name}," in said
    assert "CAMPAIGN_STATE_DIR" not in said, "that one goes along"
    assert "3cret" not in (programs / "crontab.table").read_text() + said


@pytest.mark.parametrize(
    "args",
    [
        ["install", "--at", "25:00"],
        ["--at", "09:00", "install"],
        ["--metrics", "m.prom"],
        ["install", "extra"],
    ],
)
def test_a_wrong_command_line_changes_nothing(programs, args):
    assert main(["schedule", *args]) == 2
    assert not (programs / "crontab.table").exists()


def test_without_settings_nothing_is_installed(programs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["schedule", "install"]) == 4
    assert not (programs / "crontab.table").exists()


# In the foreground


def test_a_night_that_breaks_off_does_not_end_the_foreground(capsys, paid, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError

    def two_nights(go, **_when):
        go()
        go()

    monkeypatch.setattr("campaign.cli.night.night", broken)
    monkeypatch.setattr("campaign.cli.schedule.keep_time", two_nights)
    assert main(["schedule", "--foreground"]) == 130
    assert capsys.readouterr().err.count("night_refused") == 2


def test_the_foreground_makes_up_for_a_missed_night_and_stops_when_asked(capsys, paid):
    """As a service manager would start it: a process of its own that ends with 130 on SIGTERM."""
    now(capsys)
    memory = paid / ".campaign.rehearsal.db.night.json"
    memory.write_text(json.dumps(json.loads(memory.read_text()) | {"ended_s": 1_000_000.0}))
    command = [sys.executable, "-m", "campaign", "schedule", "--foreground"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        events = []
        for line in process.stderr:
            events.append(json.loads(line)["event"])
            if events[-1] == "night_ended":
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert events[:2] == ["keeping_time", "night_started"]


def test_settings_that_somebody_broke_are_told_to_whom_the_keeper_knew(capsys, folder, monkeypatch):
    def a_night_after_somebody_wrote(go, **_):
        Path("campaign.toml").write_text("[limits]\n")
        go()

    monkeypatch.setattr("campaign.cli.schedule.keep_time", a_night_after_somebody_wrote)
    with receiving() as receiver:
        monkeypatch.setenv("CAMPAIGN_NOTIFY_URLS", json.dumps([receiver.url]))
        assert main(["schedule", "--foreground"]) == 130
    [told] = receiver.got
    assert "campaign.toml" in told["message"]


# The board


def test_status_shows_the_deadlines_and_adds_them_to_the_json(capsys, paid):
    assert main(["status"]) == 0
    assert "Deadlines" in capsys.readouterr().out
    assert main(["status", "lantern", "--json"]) == 0
    board = json.loads(capsys.readouterr().out)["deadlines"]
    assert [(line["kind"], line["rows"], line["fen"], line["near"]) for line in board] == [
        ("claim", 5, 4142, False),
        ("query_warning", 5, 4142, False),
        ("bill", 5, 4142, False),
    ]
    assert all(line["at"].endswith("+08:00") for line in board)


def test_the_extras_are_named_in_the_project():
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
    assert {"night", "notify"} <= project["optional-dependencies"].keys()
