"""The stand-in of ``gateway.url = "rehearsal"``: a child process that several commands may share.

The first command starts it, later ones attach to it, and it ends with the last of them, also when that
one is killed: each holds a FIFO open for writing, and the system closes it for the dead.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from campaign.config import Settings
from campaign.errors import SetupError
from campaign.rehearsal.certificates import Certificates
from campaign.rehearsal.rules import (
    MERCHANT_DAY_FEN,
    PERSON_DAY_FEN,
    PERSON_DAY_PACKETS,
    SENDS_PER_SECOND,
    RehearsalMerchant,
)
from campaign.rehearsal.server import START_LOCK
from campaign.text import text

BOOKS: Final = "books.db"
CERTS: Final = "certs"
_FIFO: Final = "attached"
_READY: Final = "server.json"
_REAP_S: Final = 1.0
_REAP_STEP_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class LocalGateway:
    """A stand-in that can be asked now."""

    url: str
    certificates: Certificates


def folder_of(settings: Settings) -> Path:
    """Where the stand-in of these settings keeps its books and certificates: beside the ledger."""
    ledger = settings.ledger_path()
    name = ledger.name.removesuffix(".db").removesuffix(".rehearsal")
    return ledger.with_name(f"{name}.rehearsal.gateway")


def merchant_of(settings: Settings) -> RehearsalMerchant:
    """The merchant as these settings describe it.

    What the operator may send is set on WeChat Pay's platform and repeated in the settings, so the
    stand-in grants what the settings claim, and never less than WeChat Pay's defaults (R6).
    """
    merchant, limits = settings.merchant, settings.limits
    return RehearsalMerchant(
        mch_id=merchant.mch_id,
        wxappid=merchant.wxappid,
        api_key=merchant.api_key.get_secret_value(),
        sub_mch_id=merchant.sub_mch_id,
        msgappid=merchant.msgappid,
        sends_per_second=max(SENDS_PER_SECOND, int(settings.gateway.sends_per_second)),
        person_day_packets=max(PERSON_DAY_PACKETS, limits.person_day_packets),
        person_day_fen=max(PERSON_DAY_FEN, limits.person_day_fen),
        merchant_day_fen=max(MERCHANT_DAY_FEN, limits.merchant_day_fen),
        time_scale=settings.rehearsal.time_scale,
    )


@contextmanager
def start(settings: Settings) -> Iterator[LocalGateway]:
    """Start the stand-in of these settings, or attach to the one that runs, until the block ends.

    Raises:
        SetupError: it does not start; says why.
    """
    folder = folder_of(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    child = None
    with _locked(folder / START_LOCK):
        attachment = _attach(folder)
        if attachment is None:
            child = _spawn(settings, folder)
            attachment = _attach(folder)
        if attachment is None:
            raise _not_started("")
        url = json.loads((folder / _READY).read_text())["url"]
    try:
        yield LocalGateway(url, Certificates(folder / CERTS))
    finally:
        os.close(attachment)
        if child is not None:
            _reap(child)


def _attach(folder: Path) -> int | None:
    """Hold on to the server that reads this folder's FIFO; None when there is none."""
    fifo = folder / _FIFO
    if not fifo.exists():
        os.mkfifo(fifo, 0o600)
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    os.write(fd, b"+")
    return fd


def _spawn(settings: Settings, folder: Path) -> subprocess.Popen[str]:
    """A server process. The key reaches it through the settings file and the environment, not argv."""
    # -P: nothing that lies in the current folder is imported.
    command = [sys.executable, "-P", "-m", "campaign", "--config", str(settings.file), "rehearsal", "serve"]
    files = {"--certs": CERTS, "--books": BOOKS, "--attached": _FIFO}
    command += [word for option, name in files.items() for word in (option, str(folder / name))]
    with tempfile.TemporaryFile("w+") as complaints:
        # A session of its own: Ctrl-C is for the client, which still wants its answers.
        child = subprocess.Popen(  # noqa: S603 - this program itself, and paths from the settings
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )
        assert child.stdout is not None
        ready = child.stdout.readline()
        child.stdout.close()
        if not ready:
            child.wait()
            complaints.seek(0)
            raise _not_started(complaints.read().strip()[-2000:])
    fresh = folder / f"{_READY}.new"
    fresh.write_text(ready)
    fresh.replace(folder / _READY)
    return child


def _not_started(complaint: str) -> SetupError:
    return SetupError(
        text("The rehearsal gateway did not start. {complaint}", complaint=complaint),
        advice=text("Start it by hand to see more: campaign rehearsal serve"),
    )


def _reap(child: subprocess.Popen[str]) -> None:
    """See the child off; other commands may still need it, and then it stays."""
    deadline = time.monotonic() + _REAP_S
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(_REAP_STEP_S)


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
