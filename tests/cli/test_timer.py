"""Who starts the night run: units that systemd accepts, a line that cron and the shell read as meant."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.cli.timer import (
    Crontab,
    Job,
    SystemdTimer,
    cron_line,
    memory_variables,
    name_of,
    service_unit,
    timer_unit,
    timers,
)
from campaign.errors import StorageError, UsageError

SHANGHAI = timezone(timedelta(hours=8))
SUMMER = datetime(2026, 7, 1, 3, 0, tzinfo=UTC)
NASTY = '元宵 "50%" o\'clock $HOME `x` \\n #;'


def job(*words: str, settings: Path = Path("/srv/spring/campaign.toml"), **more: object) -> Job:
    command = ["/usr/bin/python3", "-P", "-m", "campaign", "schedule", "now", *words]
    return Job(settings=settings, command=command, at=time(8, 30), **more)


#: Whatever a path may hold; line ends and their like are refused.
words = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1)


class Programs:
    """systemctl and crontab as they would answer; what they were asked is remembered."""

    def __init__(self, table: str | None = None) -> None:
        self.table = table
        self.calls: list[str] = []
        self.fails: dict[str, str] = {}

    def __call__(self, arguments, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
        call = " ".join(arguments)
        self.calls.append(call)
        for start, stderr in self.fails.items():
            if call.startswith(start):
                return subprocess.CompletedProcess(arguments, 1, "", stderr)
        if call == "crontab -l":
            if self.table is None:
                return subprocess.CompletedProcess(arguments, 1, "", "no crontab for you\n")
            return subprocess.CompletedProcess(arguments, 0, self.table, "")
        if call == "crontab -":
            self.table = stdin
        return subprocess.CompletedProcess(arguments, 0, "", "")


# systemd


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd")
@pytest.mark.parametrize("nasty", [False, True])
def test_the_units_pass_systemds_own_check(tmp_path, nasty):
    """Even where a path holds everything that a unit file reads as something else."""
    folder = tmp_path / (NASTY if nasty else "spring")
    folder.mkdir()
    wanted = job(
        "--config",
        str(folder / "campaign.toml"),
        settings=folder / "campaign.toml",
        environment={"CAMPAIGN_STATE_DIR": str(folder)},
    )
    (tmp_path / f"{wanted.name}.service").write_text(service_unit(wanted))
    (tmp_path / f"{wanted.name}.timer").write_text(timer_unit(wanted))
    units = [str(tmp_path / f"{wanted.name}.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if wanted.name in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd")
def test_systemd_reads_the_time_as_beijing_time():
    calendar = next(line for line in timer_unit(job()).splitlines() if line.startswith("OnCalendar="))
    command = ["systemd-analyze", "calendar", calendar.removeprefix("OnCalendar=")]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    )
    assert "00:30:00 UTC" in done.stdout


def as_systemd_reads(line: str) -> list[str]:
    """The words of a command line (systemd.service(5)): quotes and backslashes, then %% and $$."""
    words = []
    for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', line):
        word = re.sub(r"\\(.)", r"\1", quoted)
        assert not re.search(r"%|\$", word.replace("%%", "").replace("$$", "")), "systemd would expand it"
        words.append(word.replace("%%", "%").replace("$$", "$"))
    return words


@given(st.lists(words, min_size=1, max_size=4))
def test_systemd_hands_over_any_path_as_it_was(some):
    unit = service_unit(Job(settings=Path("/x/campaign.toml"), command=some, at=time(8, 30)))
    [command] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert as_systemd_reads(command) == some


def test_a_missed_night_is_made_up_for():
    assert "Persistent=true" in timer_unit(job())


def test_it_runs_in_the_settings_folder_and_without_its_modules():
    """A csv.py beside the sheet is not ours (-P)."""
    unit = service_unit(job())
    assert "WorkingDirectory=/srv/spring\n" in unit
    assert 'ExecStart="/usr/bin/python3" "-P" "-m" "campaign"' in unit


def test_install_writes_both_units_and_starts_the_timer(tmp_path):
    programs = Programs()
    timer = SystemdTimer(tmp_path / "units", programs)
    timer.install(job())
    name = job().name
    assert {path.name for path in (tmp_path / "units").iterdir()} == {f"{name}.service", f"{name}.timer"}
    assert programs.calls == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable {name}.timer",
        f"systemctl --user restart {name}.timer",
    ]
    assert str(tmp_path / "units" / f"{name}.timer") in timer.installed(name)


def test_remove_leaves_nothing_of_ours_and_everything_of_others(tmp_path):
    (tmp_path / "other.timer").touch()
    timer = SystemdTimer(tmp_path, Programs())
    timer.install(job())
    timer.remove(job().name)
    assert [path.name for path in tmp_path.iterdir()] == ["other.timer"]
    assert timer.installed(job().name) == ""
    timer.remove(job().name)


def test_a_systemd_that_refuses_is_quoted(tmp_path):
    programs = Programs()
    programs.fails["systemctl --user enable"] = "Failed to connect to bus\n"
    with pytest.raises(StorageError, match="Failed to connect to bus") as caught:
        SystemdTimer(tmp_path, programs).install(job())
    assert "--foreground" in str(caught.value.advice)


def test_two_settings_files_have_two_timers_and_one_has_one():
    names = {name_of(Path(f"/srv/{folder}/campaign.toml")) for folder in ("spring", "autumn", "spring")}
    assert len(names) == 2


# cron

OTHERS = "# mine\n\nMAILTO=me\n0 3 * * * backup  # campaign-ish\n"


@pytest.mark.parametrize("table", [None, "", OTHERS, "0 3 * * * backup"])
def test_a_crontab_keeps_every_line_of_others(table):
    programs = Programs(table)
    crontab = Crontab(programs, now=SUMMER)
    crontab.install(job())
    before = (table or "").splitlines()
    assert programs.table.splitlines()[:-1] == before
    crontab.install(job("--lang", "zh"))
    assert programs.table.splitlines()[:-1] == before, "installed again, it stands there once"
    assert "--lang zh" in crontab.installed(job().name)
    crontab.remove(job().name)
    assert programs.table.splitlines() == before
    assert crontab.installed(job().name) == ""


def test_a_crontab_that_cannot_be_read_is_never_written_over():
    programs = Programs(OTHERS)
    programs.fails["crontab -l"] = "you are not allowed to use this program\n"
    with pytest.raises(StorageError, match="not allowed"):
        Crontab(programs, now=SUMMER).install(job())
    assert programs.table == OTHERS
    assert "crontab -" not in programs.calls


@pytest.mark.parametrize(
    "zone, starts",
    [(SHANGHAI, "30 8 "), (UTC, "30 0 "), (timezone(timedelta(hours=-5, minutes=-30)), "0 19 ")],
)
def test_beijing_time_is_told_in_the_machines_own(zone, starts):
    assert cron_line(job(), SUMMER.astimezone(zone)).startswith(f"{starts}* * * ")


@given(words)
def test_cron_and_the_shell_hand_over_any_path_as_it_was(word):
    """cron turns an unescaped % into a line end, takes the backslash of an escaped one, and calls sh."""
    wanted = Job(settings=Path("/x"), command=["printf", "%s", word], at=time(8, 30))
    line = cron_line(wanted, SUMMER).split(" ", 5)[5]
    assert line.count("%") == line.count(r"\%")
    done = subprocess.run(["sh", "-c", line.replace(r"\%", "%")], capture_output=True)
    assert done.stdout.decode() == word


def test_a_path_with_a_line_break_is_refused():
    """It would begin a line of its own: another command."""
    with pytest.raises(UsageError, match="control characters"):
        job("--out", "reports\n* * * * * rm -rf /")


@pytest.mark.parametrize(
    "stderr, usable", [("no crontab for you", True), ("you (you) are not allowed to use this program", False)]
)
def test_a_machine_without_a_crontab_for_us_is_recognised(stderr, usable):
    programs = Programs()
    programs.fails["crontab -l"] = stderr
    assert Crontab(programs, now=SUMMER).usable() is usable


def test_a_machine_without_cron_shows_nothing_and_installs_nothing():
    crontab = Crontab(lambda words, stdin="": subprocess.CompletedProcess(words, 127, "", f"no {words[0]}"))
    assert not crontab.usable()
    assert crontab.installed(job().name) == ""
    crontab.remove(job().name)
    with pytest.raises(StorageError, match="no crontab"):
        crontab.install(job())


def test_a_user_without_a_home_has_cron_only(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert [timer.kind for timer in timers({})] == ["cron"]


def test_nothing_of_the_environment_goes_along_but_where_the_memory_is():
    environ = {"XDG_STATE_HOME": "/s", "CAMPAIGN_STATE_DIR": "", "WECHATPAY_API_KEY": "secret", "HOME": "/h"}
    assert memory_variables(environ) == {"XDG_STATE_HOME": "/s"}
