"""``campaign schedule``: the night run, and who starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from campaign.cli.answers import EXIT_INTERRUPTED
from campaign.cli.desk import interruptible
from campaign.cli.frame import Session, answers_json, group, option, pass_session
from campaign.cli.night import REPORTS, Places, answer, open_log, run_night, tell_refused
from campaign.cli.timer import Job, lingers, memory_variables, name_of, timers
from campaign.config import Settings, load_settings
from campaign.config.secret import variable
from campaign.domain.days import BEIJING, DAY_S, beijing_text, beijing_time, rfc3339
from campaign.errors import SetupError
from campaign.ledger.nights import Memory
from campaign.ledger.registry import STATE_DIR_VARIABLE
from campaign.ports import SystemClock
from campaign.text import text

#: By breakfast, in Beijing time.
_AT: Final = "08:30"
#: The loop looks at the clock this often: a machine may sleep, and a clock be set.
_NAP_S: Final = 60.0

_at = option(
    "--at",
    metavar="HH:MM",
    type=click.DateTime(["%H:%M"]),
    default=_AT,
    help=text(
        "When, in Beijing time (default 08:30). From 10:00 on the funds bill of the day before is there; "
        "earlier it is matched one night later."
    ),
)


def _places(function: Any) -> Any:
    """Where a night's answers go."""
    for add in (
        option("--log", type=click.Path(path_type=Path, dir_okay=False), help=text("Append the log here.")),
        option(
            "--metrics",
            type=click.Path(path_type=Path, dir_okay=False),
            help=text("Write figures for Prometheus here."),
        ),
        option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            help=text("Where reports go (reports beside campaign.toml); what is there is written anew."),
        ),
    ):
        function = add(function)
    return function


@group(
    "schedule",
    help=text(
        "Every night: ask WeChat Pay whatever is due, match the funds bills if [bill] nightly says so, write "
        "the reports that have news, and tell whom [notify] names. Nights that were missed need nothing."
    ),
    examples=(
        "campaign schedule install --at 08:30",
        "campaign schedule now --json",
        text("campaign schedule --foreground  # where there is neither systemd nor cron"),
    ),
    invoke_without_command=True,
    no_args_is_help=True,
)
@option("--foreground", is_flag=True, help=text("Stay, and keep the time here, until Ctrl-C."))
@_at
@_places
@click.pass_context
def schedule(
    ctx: click.Context,
    foreground: bool,
    at: datetime,
    out: Path | None,
    metrics: Path | None,
    log: Path | None,
) -> int | None:
    session = ctx.ensure_object(Session)
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if ctx.invoked_subcommand is not None:
        if given:
            raise click.UsageError(session.speech.say(text("Options come after the command's name.")), ctx)
        return None
    if not foreground:
        raise click.UsageError(session.speech.say(text("Add --foreground, or name a command.")), ctx)
    session.start_logging()
    return _keep_time(session, at.time(), _chosen(session.settings(), out, metrics, log))


@schedule.command(
    "now",
    sentence=text(
        "Do the night's work now. Its log goes to stderr, or to --log, one JSON object a line. Exit 0: all "
        "is well; 4: settings; 5: not finished; 6: something needs a person; 7: a night run is at work."
    ),
    examples=("campaign schedule now", "campaign schedule now --json --metrics campaign.prom"),
)
@_places
@answers_json
@pass_session
def now(session: Session, out: Path | None, metrics: Path | None, log: Path | None) -> int:
    settings = session.settings()
    with interruptible() as stop:
        ended = run_night(session, settings, SystemClock(), stop, _chosen(settings, out, metrics, log))
    answer(ended, session)
    return ended.exit_code


@schedule.command(
    "install",
    sentence=text(
        "Let this machine do it every night: by a systemd timer of this user, or by a line in the crontab. "
        "Installing again changes the time."
    ),
    examples=(
        "campaign schedule install",
        "campaign schedule install --at 10:30 --config spring/campaign.toml",
    ),
)
@_at
@_places
@answers_json
@pass_session
def install(session: Session, at: datetime, out: Path | None, metrics: Path | None, log: Path | None) -> None:
    settings = session.settings()
    job = Job(
        settings=settings.file,
        command=_command(session, settings, _chosen(settings, out, metrics, log)),
        at=at.time(),
        environment=memory_variables(os.environ),
    )
    found = [timer for timer in timers(os.environ) if timer.usable()]
    if not found:
        raise SetupError(
            text("This machine has neither a systemd for this user nor a crontab."),
            advice=text("Let `campaign schedule --foreground` keep the time, started by whatever you have."),
        )
    best, *others = found
    for other in others:
        other.remove(job.name)
    best.install(job)
    if session.json:
        session.answer_json({"kind": best.kind, "name": job.name, "at": f"{job.at:%H:%M}"})
    session.tell(
        text(
            "Every night at {at} (Beijing), by {kind}: {name}.",
            at=f"{job.at:%H:%M}",
            kind=best.kind,
            name=job.name,
        ),
        style="green",
    )
    for name in _only_here(settings, os.environ):
        session.say(
            text(
                "The night run does not see {variable}, which is a variable of this terminal. Write the "
                "setting into campaign.toml, a secret as file:PATH.",
                variable=name,
            ),
            style="yellow",
        )
    if best.kind == "systemd" and not lingers():
        session.say(
            text(
                "It runs only while you are logged in. To let it run always: loginctl enable-linger",
            ),
            style="yellow",
        )


@schedule.command(
    "show", sentence=text("What is installed for these settings, and when the last night run ended.")
)
@answers_json
@pass_session
def show(session: Session) -> None:
    settings = session.settings()
    name = name_of(settings.file)
    memory = Memory.read(settings.ledger_path())
    found = {timer.kind: what for timer in timers(os.environ) if (what := timer.installed(name))}
    if session.json:
        session.answer_json(
            {
                "name": name,
                "installed": found,
                "ended": rfc3339(memory.ended_s) if memory.ended_s is not None else None,
                "succeeded": rfc3339(memory.succeeded_s) if memory.succeeded_s is not None else None,
            }
        )
    for kind, what in found.items():
        session.tell(text("{kind}:\n{what}", kind=kind, what=what))
    if not found:
        session.tell(text("No night run is installed for {file}.", file=settings.file))
    if memory.ended_s is not None:
        session.tell(
            text(
                "The last night run ended at {ended}; the last one without a failure at {succeeded}.",
                ended=beijing_text(memory.ended_s),
                succeeded=beijing_text(memory.succeeded_s) if memory.succeeded_s is not None else "–",
            )
        )


@schedule.command("remove", sentence=text("Let nothing start the night run of these settings any more."))
@answers_json
@pass_session
def remove(session: Session) -> None:
    settings = session.settings()
    name = name_of(settings.file)
    found = [timer for timer in timers(os.environ) if timer.installed(name)]
    for timer in found:
        timer.remove(name)
    if session.json:
        session.answer_json({"name": name, "removed": [timer.kind for timer in found]})
    session.tell(
        text("Removed.") if found else text("No night run is installed for {file}.", file=settings.file)
    )


def _chosen(settings: Settings, out: Path | None, metrics: Path | None, log: Path | None) -> Places:
    return Places(
        reports=(out or settings.folder / REPORTS).absolute(),
        metrics=metrics and metrics.absolute(),
        log=log and log.absolute(),
    )


def _command(session: Session, settings: Settings, places: Places) -> list[str]:
    """What the timer starts: absolute, and without the folder's own modules (-P)."""
    hosts = [word for host in session.gateway_hosts for word in ("--gateway-host", host)]
    words = [
        sys.executable,
        "-P",
        "-m",
        "campaign",
        "schedule",
        "now",
        "--config",
        str(settings.file),
        *hosts,
    ]
    words += ["--lang", session.speech.language, "--out", str(places.reports)]
    for name, path in (("--metrics", places.metrics), ("--log", places.log)):
        words += [name, str(path)] if path else []
    return words


def _only_here(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Variables that the settings depend on and that a timer does not have."""
    secrets = {variable(source) for source in (settings.merchant.api_key_source, *settings.notify.urls)}
    overrides = {name for name in environ if name.upper().startswith("CAMPAIGN_")}
    return sorted((secrets | overrides) - {"", STATE_DIR_VARIABLE})


def _keep_time(session: Session, at: time, places: Places) -> int:
    """Do every night's work from here; settings are read anew each night."""
    file = session.settings().file
    clock = SystemClock()
    with interruptible() as stop, open_log(places.log, clock) as log:

        def go() -> None:
            try:
                settings = load_settings(file, gateway_hosts=session.gateway_hosts)
            except SetupError as error:
                tell_refused(session.settings(), error, clock, log)
                return
            with suppress(Exception):  # it was told, the log has it, and the next night is another one
                run_night(session, settings, clock, stop, places)

        last_s = Memory.read(session.settings().ledger_path()).ended_s
        log.info("keeping_time", at=f"{at:%H:%M}", zone=BEIJING.key)
        keep_time(go, at=at, last_s=last_s, now_s=clock.now_s, pause=stop.pause, stopped=stop.asked)
    return EXIT_INTERRUPTED


def keep_time(
    go: Callable[[], object],
    *,
    at: time,
    last_s: float | None,
    now_s: Callable[[], float],
    pause: Callable[[float], object],
    stopped: Callable[[], bool],
) -> None:
    """Call ``go`` every day at a Beijing time of day until somebody stops us; at once if a day was missed.

    APScheduler's trigger says when. Its own loop reads the machine's clock; ours is handed one.

    Args:
        last_s: when it was done last; None for never, which is no reason to hurry.
    """
    try:
        from apscheduler.triggers.cron import CronTrigger
    except ImportError:
        raise SetupError(
            text("--foreground needs the library APScheduler, which is not installed."),
            advice=text('Install it with pip install "campaign[night]".'),
        ) from None
    trigger = CronTrigger(hour=at.hour, minute=at.minute, timezone=BEIJING)
    since_s = now_s() if last_s is None else last_s
    while not stopped():
        # A clock that was far ahead, and was set right, puts no night off for as long.
        since_s = min(since_s, now_s() + DAY_S)
        since = beijing_time(since_s)
        due_s = trigger.get_next_fire_time(since, since).timestamp()
        left_s = due_s - now_s()
        if left_s > 0:
            pause(min(left_s, _NAP_S))
        else:
            go()
            since_s = now_s()
