"""The command line: parse, build the real things, call one stage, print, exit."""

from __future__ import annotations

import errno
import gc
import gettext
import importlib
import importlib.util
import logging
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from campaign.cli.frame import Group
from campaign.cli.session import Session, masked
from campaign.errors import CampaignError, StorageError
from campaign.i18n import DOMAIN, LOCALE, Speech
from campaign.text import Text, text

__all__ = ["main"]

EXIT_BUG: Final = 1
EXIT_INTERRUPTED: Final = 130
#: What a shell reports for a program whose reader went away: 128 + SIGPIPE.
EXIT_PIPE_CLOSED: Final = 141
#: Rows leave nothing behind that only Python's collector finds; at its own 700 objects it would take 3 % of
#: the time of a big sheet.
_COLLECT_AFTER: Final = 50_000
#: What sqlite-utils and openpyxl look for, to know its types: half a second, and no command has use for it.
_UNUSED: Final = ("numpy", "pandas")

#: Every command with its line in ``campaign --help``. A command is the object of its name in the module
#: of its name; the module is imported when it is called.
COMMANDS: Final[Mapping[str, Text]] = {
    "init": text("Write a first campaign.toml and a sample sheet."),
    "check": text("Read and check a sheet; send nothing."),
    "run": text("Check, ask, and pay a sheet; run it again to go on."),
    "status": text("Show where the money is and what needs a person."),
    "reconcile": text("Ask WeChat Pay what became of the packets, and repeat what is due."),
    "report": text("Write the reports of a campaign."),
    "match": text("Match ledger, WeChat Pay and the funds bill."),
    "verify": text("Does a report fit the ledger?"),
    "audit": text("Does the ledger fit its own chain of events?"),
    "cancel": text("Close a campaign: send nothing more."),
    "reissue": text("Write a sheet of the rows that are proven dead."),
    "doctor": text("Test certificate, key, clock, settings, ledger and the way to WeChat Pay."),
    "schedule": text("Reconcile and report every night."),
    "records": text("List and show sent packets."),
    "send": text("Send one packet."),
    "rehearsal": text("Serve the stand-in for WeChat Pay."),
}


class _Root(Group):
    """``campaign``: knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for name in COMMANDS if importlib.util.find_spec(f"campaign.cli.{name}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found = getattr(importlib.import_module(f"campaign.cli.{cmd_name}"), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def summary(self, ctx: click.Context, name: str, speech: Speech) -> str:  # noqa: ARG002
        return speech.say(COMMANDS[name])


_root = _Root(
    "campaign",
    sentence=text("Pays WeChat cash red packets to the people in a spreadsheet, once each."),
    examples=(
        "campaign init",
        "campaign check lantern.xlsx",
        "campaign run lantern.xlsx",
        "campaign status",
    ),
)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code. The only place where an error becomes one."""
    arguments = list(sys.argv[1:] if args is None else args)
    _open_closed_streams()
    _tolerate_any_text()
    with _our_process(), _lean():
        session = Session(arguments, dict(os.environ))
        try:
            result = _root.main(arguments, prog_name="campaign", standalone_mode=False, obj=session)
            sys.stdout.flush()
        except CampaignError as error:
            session.explain(error)
            return error.exit_code
        except click.ClickException as error:
            error.show()
            session.answer_error("UsageError", error.exit_code, message=masked(error.format_message()))
            return error.exit_code
        except (KeyboardInterrupt, click.Abort):
            message = text("Interrupted. Run the same command again to go on.")
            session.say(message)
            session.answer_error("Interrupted", EXIT_INTERRUPTED, message=session.speech.say(message))
            return EXIT_INTERRUPTED
        except SystemExit as exit_:  # click's way out for shell completion and for a closed pipe
            return _pipe_closed() if isinstance(exit_.__context__, BrokenPipeError) else _code(exit_.code)
        except BrokenPipeError:
            return _pipe_closed()
        except Exception as error:  # noqa: BLE001 - nothing may reach a user as a traceback
            known = _storage_error(error)
            if known is None:
                return _report_bug(session, error)
            session.explain(known)
            return known.exit_code
        return _code(result)


def _code(result: Any) -> int:
    return result if isinstance(result, int) else 0


def _storage_error(error: Exception) -> StorageError | None:
    """What a disk or a folder can do to any command; None for everything else."""
    if (
        not isinstance(error, OSError)
        or isinstance(error, ConnectionError | TimeoutError)
        or error.errno is None
    ):
        return None
    path = error.filename if error.filename is not None else "?"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            text("The disk is full: {path} could not be written.", path=path),
            advice=text("Make room, then run the same command again; it goes on."),
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(
            text("{path} may not be read or written by this user.", path=path),
            advice=text(
                "Allow it (ls -l shows who may), or use another folder; then run the same command again."
            ),
        )
    return StorageError(
        text(
            "{path} could not be read or written: {reason}.", path=path, reason=error.strerror or error.errno
        ),
        advice=text("Check the disk and the path, then run the same command again; it goes on."),
    )


def _report_bug(session: Session, error: Exception) -> int:
    """Say that it is our mistake; the details go into a file that only this user can read."""
    details = masked("".join(traceback.format_exception(error)))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="campaign-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write(details)
        place = file.name
    except OSError:
        place = "-"
        click.echo(details, err=True)
    message = text("This is a bug in campaign ({kind}), not your mistake.", kind=type(error).__name__)
    advice = text(
        "Run the same command again; it goes on. Send the file {file} to whoever maintains campaign.",
        file=place,
    )
    session.say(text("Error: {message}", message=message), style="bold red")
    session.say(Text("→ {advice}", {"advice": advice}))
    session.answer_error(
        "Bug", EXIT_BUG, message=session.speech.say(message), advice=session.speech.say(advice)
    )
    return EXIT_BUG


def _pipe_closed() -> int:
    """Whoever read our output has read enough; Python's own flush at exit must not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return EXIT_PIPE_CLOSED


def _open_closed_streams() -> None:
    """Whoever starts services may close what nobody reads; Python has None there then, and no file may get
    such a stream's number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - as long as we run
            setattr(sys, name, nowhere)


def _tolerate_any_text() -> None:
    """No name or sentence may fail on its way to a terminal of another encoding; ASCII ones get UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is None:
            continue
        if (stream.encoding or "ascii").lower() in ("ascii", "us-ascii", "ansi_x3.4-1968", "646"):
            reconfigure(encoding="utf-8")
        reconfigure(errors="backslashreplace")


@contextmanager
def _our_process() -> Iterator[None]:
    """While we run: click's gettext reads our catalogue, LANGUAGE chooses from it, logs are ours.

    SIGTERM is Ctrl-C's twin from the first moment on; where work is in flight, `interruptible` takes both.
    """
    before, domain = os.environ.get("LANGUAGE"), gettext.textdomain()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    gettext.bindtextdomain(DOMAIN, str(LOCALE))
    gettext.textdomain(DOMAIN)
    in_charge = threading.current_thread() is threading.main_thread()
    terminate = signal.signal(signal.SIGTERM, signal.default_int_handler) if in_charge else None
    try:
        yield
    finally:
        if in_charge:
            signal.signal(signal.SIGTERM, terminate)
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)
        gettext.textdomain(domain)
        if before is None:
            os.environ.pop("LANGUAGE", None)
        else:
            os.environ["LANGUAGE"] = before


@contextmanager
def _lean() -> Iterator[None]:
    """While we run: what costs time and brings nothing is left out."""
    absent = [package for package in _UNUSED if package not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: as if not installed
    collect_after = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*collect_after)
        for package in absent:
            sys.modules.pop(package, None)
