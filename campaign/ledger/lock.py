"""One run holds a campaign at a time, by a lock that dies with its process.

The lock is the operating system's (``flock``) on a small file beside the ledger, so a crash leaves
nothing to clean up; the file stays, and what it says is only for the reader of a refusal.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.domain.days import rfc3339
from campaign.errors import CampaignHeld, StorageError
from campaign.text import text


@contextmanager
def hold_campaign(ledger_path: Path | None, campaign: str) -> Iterator[None]:
    """Hold the campaign for the length of the ``with`` block; a ledger in memory is ours anyway.

    Raises:
        CampaignHeld: another process holds it; says which one, where, and since when.
        StorageError: the lock file cannot be made.
    """
    with try_hold(ledger_path, campaign) as held:
        if not held:
            assert ledger_path is not None
            raise _refusal(_lock_path(ledger_path, campaign), campaign)
        yield


@contextmanager
def try_hold(ledger_path: Path | None, campaign: str) -> Iterator[bool]:
    """Hold the campaign if nobody else does; yields whether we hold it. Raises `StorageError`."""
    if ledger_path is None:
        yield True
        return
    path = _lock_path(ledger_path, campaign)
    descriptor = _open(path)
    try:
        with _usable(path):
            held = _taken(descriptor)
        yield held
    finally:
        os.close(descriptor)  # gives the lock back; never inherited by other programs (O_CLOEXEC)


def _taken(descriptor: int) -> bool:
    """Whether it was free, and is ours now; then the file says who holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder, 0)
    return True


def _lock_path(ledger_path: Path, campaign: str) -> Path:
    """A campaign's name may hold anything, so the file is named by its digest.

    The ledger's real path counts: two ways to one file are one ledger.
    """
    real = ledger_path.resolve()
    digest = hashlib.blake2b(campaign.encode(), digest_size=8).hexdigest()
    return real.with_name(f".{real.name}.{digest}.lock")


def _open(path: Path) -> int:
    with _usable(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Say the file's errors in a person's words: a folder that is read-only or full, or knows no locks."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            text("The lock file {path} cannot be made: {cause}.", path=path, cause=error.strerror or error),
            advice=text(
                "Make sure that you may write in that folder, that its disk has room and, if it is a network "
                "drive, that it knows locks; then run the same command again."
            ),
        ) from error


def _refusal(path: Path, campaign: str) -> CampaignHeld:
    advice = text(
        "Wait until it ends, or stop it with Ctrl-C where it runs; then run the same command again. "
        "Nothing was sent."
    )
    try:
        holder = json.loads(path.read_bytes())
        return CampaignHeld(
            text(
                "Another run holds the campaign {campaign}: process {pid} on {host}, since {since}.",
                campaign=campaign,
                pid=int(holder["pid"]),
                host=str(holder["host"]),
                since=rfc3339(path.stat().st_mtime),
            ),
            advice=advice,
        )
    except (OSError, ValueError, KeyError, TypeError):  # it is only just writing who it is, or is gone
        return CampaignHeld(
            text("Another run holds the campaign {campaign}.", campaign=campaign), advice=advice
        )
