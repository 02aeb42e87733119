"""Who was to get what in a campaign, remembered outside its ledger, so that losing that loses not all.

A copied and edited list has other bill numbers and another digest; only people and amounts show what it
is, and with the ledger those are gone. Kept is a digest of each pair, keyed with a salt of this folder's
own: nobody reads an openid out of it, and only somebody who has the openid and the folder can test one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import tee
from pathlib import Path
from typing import Final

from campaign.domain.overlap import COMPARED_S

#: (openid, fen)
Pair = tuple[str, int]

#: Among a million rows two share their digest with a chance of one in ten million.
_DIGEST_BYTES: Final = 8
_SALT_BYTES: Final = 32


class SeenRows:
    """The folder of these digests: a file for each campaign of each ledger. Its owner holds the lock.

    Every method may raise `OSError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, ledger: Path, campaign: str, pairs: Iterable[Pair], now_s: float) -> None:
        """Remember rows that are about to be planned, and forget what is too old to be compared."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._forget(before_s=now_s - COMPARED_S)
        digests = b"".join(_digests(self._salt(), pairs))
        descriptor = os.open(self._file(ledger, campaign), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            # Behind the last whole one: a process that died left a part of its own.
            file.seek(os.fstat(descriptor).st_size // _DIGEST_BYTES * _DIGEST_BYTES)
            file.write(digests)
            file.flush()
            os.utime(descriptor, (now_s, now_s))

    def common(self, ledger: Path, campaign: str, pairs: Iterable[Pair], *, since_s: float) -> list[Pair]:
        """Those of the pairs that this campaign had, each at most as often as it had it."""
        file = self._file(ledger, campaign)
        try:
            if file.stat().st_mtime < since_s:
                return []
            seen = file.read_bytes()
        except FileNotFoundError:
            return []
        counted: dict[bytes, int] = {}
        for at in range(0, len(seen) - _DIGEST_BYTES + 1, _DIGEST_BYTES):
            digest = seen[at : at + _DIGEST_BYTES]
            counted[digest] = counted.get(digest, 0) + 1
        mine, again = tee(pairs)
        return list(_met(again, counted, _digests(self._salt(), mine)))

    def _forget(self, *, before_s: float) -> None:
        for file in self._folder.glob("*.rows"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < before_s:
                    file.unlink()

    def _file(self, ledger: Path, campaign: str) -> Path:
        name = hashlib.blake2b(f"{ledger}\n{campaign}".encode(), digest_size=12).hexdigest()
        return self._folder / f"{name}.rows"

    def _salt(self) -> bytes:
        """The folder's salt, made on first use; a damaged one only makes the digests strange."""
        file = self._folder / "salt"
        with suppress(FileNotFoundError):
            return file.read_bytes()[:_SALT_BYTES]
        salt = secrets.token_bytes(_SALT_BYTES)
        temporary = self._folder / "salt.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as made:
            made.write(salt)
        temporary.replace(file)
        return salt


def _digests(salt: bytes, pairs: Iterable[Pair]) -> Iterator[bytes]:
    keyed = hashlib.blake2b(key=salt, digest_size=_DIGEST_BYTES)  # the key is hashed once
    for openid, fen in pairs:
        state = keyed.copy()
        state.update(f"{openid}\n{fen}".encode())
        yield state.digest()


def _met(pairs: Iterable[Pair], counted: dict[bytes, int], digests: Iterable[bytes]) -> Iterator[Pair]:
    for pair, mine in zip(pairs, digests, strict=True):
        if left := counted.get(mine, 0):
            counted[mine] = left - 1
            yield pair
