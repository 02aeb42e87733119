"""Who starts the night run: a systemd timer of the user, or a line in the user's crontab.

Neither holds a secret: they name the interpreter, the settings file, and where the answers go.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final, Protocol

from campaign.domain.days import BEIJING
from campaign.errors import StorageError, UsageError
from campaign.text import text

_SERVICE: Final = """\
# Written by `campaign schedule install`, removed by `campaign schedule remove`.
[Unit]
Description=campaign: the night run of {settings}
Documentation=man:systemd.timer(5)

[Service]
Type=oneshot
WorkingDirectory={folder}
{environment}ExecStart={command}
UMask=0077
NoNewPrivileges=yes
Nice=10
"""
#: As a shell answers, for a program that is not there or cannot be run.
_NO_PROGRAM: Final = 127
_BROKEN: Final = 126
_TIMER: Final = """\
# Written by `campaign schedule install`, removed by `campaign schedule remove`.
[Unit]
Description=campaign: every night at {at} (Beijing)
Documentation=man:systemd.timer(5)

[Timer]
OnCalendar=*-*-* {at}:00 Asia/Shanghai
# A night that was missed is made up for as soon as the machine runs again.
Persistent=true
Unit={name}.service

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be started, and when."""

    #: The settings file, absolute.
    settings: Path
    command: Sequence[str]
    #: Beijing time of day.
    at: time
    #: Where this program keeps its memory, if not in the usual place; nothing else of the environment.
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for words in (str(self.settings), *self.command, *self.environment.values()):
            if re.search(r"[\x00-\x1f\x7f]", words):
                raise UsageError(
                    text(
                        "A path with control characters cannot be written into a timer: {path}",
                        path=repr(words),
                    ),
                    advice=text("Rename the file or folder."),
                )

    @property
    def name(self) -> str:
        """One for each settings file; the same whenever it is installed again."""
        return name_of(self.settings)


def name_of(settings: Path) -> str:
    """The timer's name for a settings file."""
    return f"campaign-{hashlib.blake2b(bytes(settings), digest_size=5).hexdigest()}"


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_program(arguments: Sequence[str], *, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of the system and wait for it; `_NO_PROGRAM` where there is none."""
    try:
        return subprocess.run(  # noqa: S603 - fixed programs, no shell
            arguments, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, _NO_PROGRAM, "", f"no {arguments[0]} on this machine")
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(arguments, _BROKEN, "", str(error))


class Timer(Protocol):
    """A way to start something every day."""

    #: As JSON and people call it.
    kind: str

    def usable(self) -> bool:
        """Whether this machine has it, for this user."""

    def install(self, job: Job) -> None:
        """Install the job, or put it in place of the one of its name.

        Raises:
            StorageError: the system refuses.
        """

    def installed(self, name: str) -> str:
        """What is installed under the name, as a person would look at it; empty where nothing is."""

    def remove(self, name: str) -> None:
        """Take the job away; nothing happens where there is none. Raises `StorageError`."""


class SystemdTimer:
    """A timer of the user's own systemd."""

    kind = "systemd"

    def __init__(self, folder: Path, run: Run = run_program) -> None:
        """``folder``: where this user's units are."""
        self._folder = folder
        self._run = run

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> SystemdTimer:
        """That of the user whose environment this is."""
        config = environ.get("XDG_CONFIG_HOME")
        root = Path(config) if config else Path.home() / ".config"
        return cls(root / "systemd" / "user")

    def usable(self) -> bool:
        return self._run(["systemctl", "--user", "show-environment"]).returncode == 0

    def install(self, job: Job) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        service, timer = self._paths(job.name)
        service.write_text(service_unit(job), encoding="utf-8")
        timer.write_text(timer_unit(job), encoding="utf-8")
        self._systemctl("daemon-reload")
        self._systemctl("enable", timer.name)
        self._systemctl("restart", timer.name)  # `enable --now` leaves a running one at its old time

    def installed(self, name: str) -> str:
        paths = [path for path in self._paths(name) if path.exists()]
        if not paths:
            return ""
        plan = self._run(["systemctl", "--user", "list-timers", "--no-pager", f"{name}.timer"]).stdout.strip()
        return "\n".join([*map(str, paths), plan]).strip()

    def remove(self, name: str) -> None:
        paths = [path for path in self._paths(name) if path.exists()]
        if not paths:
            return
        self._systemctl("disable", "--now", f"{name}.timer")
        for path in paths:
            path.unlink()
        self._systemctl("daemon-reload")

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}.service", self._folder / f"{name}.timer"

    def _systemctl(self, *arguments: str) -> None:
        done = self._run(["systemctl", "--user", *arguments])
        if done.returncode:
            raise StorageError(
                text("systemctl --user {what} failed: {why}", what=arguments[0], why=done.stderr.strip()),
                advice=text(
                    "Look at `systemctl --user status`, or let `campaign schedule --foreground` keep "
                    "the time."
                ),
            )


class Crontab:
    """A line in the user's crontab; cron knows only the machine's own time of day."""

    kind = "cron"

    def __init__(self, run: Run = run_program, *, now: datetime | None = None) -> None:
        self._run = run
        self._now = now or datetime.now(UTC).astimezone()

    def usable(self) -> bool:
        done = self._run(["crontab", "-l"])
        return done.returncode == 0 or _no_crontab(done)

    def install(self, job: Job) -> None:
        self._write([*self._others(job.name), cron_line(job, self._now)])

    def installed(self, name: str) -> str:
        return "\n".join(line for line in self._lines() if line.endswith(_marker(name)))

    def remove(self, name: str) -> None:
        if self.installed(name):
            self._write(self._others(name))

    def _others(self, name: str) -> list[str]:
        return [line for line in self._lines() if not line.endswith(_marker(name))]

    def _lines(self) -> list[str]:
        done = self._run(["crontab", "-l"])
        if done.returncode == _NO_PROGRAM:
            return []
        if done.returncode and not _no_crontab(done):
            # Whatever is in there is not ours to lose.
            raise _cron_refused(done)
        return done.stdout.removesuffix("\n").split("\n") if done.stdout else []

    def _write(self, lines: Sequence[str]) -> None:
        done = self._run(["crontab", "-"], stdin="".join(f"{line}\n" for line in lines))
        if done.returncode:
            raise _cron_refused(done)


def service_unit(job: Job) -> str:
    """The service that runs once."""
    environment = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in job.environment.items()
    )
    return _SERVICE.format(
        settings=_percent(str(job.settings)),
        folder=_percent(str(job.settings.parent)),
        environment=environment,
        command=" ".join(_quoted(word).replace("$", "$$") for word in job.command),
    )


def timer_unit(job: Job) -> str:
    """The timer that starts the service."""
    return _TIMER.format(at=f"{job.at:%H:%M}", name=job.name)


def cron_line(job: Job, now: datetime) -> str:
    """The crontab's line; Beijing time is told in the machine's, as its zone is now."""
    local = datetime.combine(now.astimezone(BEIJING).date(), job.at, BEIJING).astimezone(now.tzinfo)
    assignments = [f"{name}={shlex.quote(value)}" for name, value in job.environment.items()]
    words = " ".join([*assignments, shlex.join(job.command)]).replace("%", r"\%")  # else cron stops there
    return f"{local.minute} {local.hour} * * * {words} {_marker(job.name)}"


def timers(environ: Mapping[str, str]) -> list[Timer]:
    """The ways there may be, the better first."""
    found: list[Timer] = [Crontab()]
    with suppress(RuntimeError):  # a user without a home, as in a container, has no systemd either
        found.insert(0, SystemdTimer.of(environ))
    return found


def memory_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What moves this program's memory away from its usual place; the night run must find the same."""
    from campaign.ledger.registry import STATE_DIR_VARIABLE

    return {name: environ[name] for name in (STATE_DIR_VARIABLE, "XDG_STATE_HOME") if environ.get(name)}


def lingers(run: Run = run_program) -> bool:
    """Whether this user's timers also run while nobody is logged in."""
    user = str(os.getuid())
    return "yes" in run(["loginctl", "show-user", user, "--property=Linger"]).stdout.lower()


def _marker(name: str) -> str:
    return f"# {name}"


def _percent(words: str) -> str:
    """systemd expands % in every value."""
    return words.replace("%", "%%")


def _quoted(word: str) -> str:
    return '"' + _percent(word).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _no_crontab(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 1 and "no crontab" in done.stderr.lower()


def _cron_refused(done: subprocess.CompletedProcess[str]) -> StorageError:
    return StorageError(
        text("crontab refuses: {why}", why=done.stderr.strip() or done.returncode),
        advice=text("Ask whoever runs this machine, or let `campaign schedule --foreground` keep the time."),
    )
