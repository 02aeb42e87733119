"""What this user's machine remembers about a merchant at a gateway, outside any ledger.

A folder of its own for each merchant and gateway in the user's state directory: which ledgers there
are, how far each had come and which sheets it knew, so that a second, a vanished or a restored one is
noticed; who was to get what, as salted digests (`campaign.ledger.seen`); and the file through which all
processes share one pace. No openid can be read from it, and no secret.
Losing it loses only these warnings: the promise that nobody is paid twice rests on the bill numbers.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campaign.domain.campaign import Campaign
from campaign.errors import SetupError, StorageError
from campaign.ledger import file
from campaign.ledger.seen import Pair, SeenRows
from campaign.ports import Clock, SystemClock
from campaign.text import Text, text

#: The allowance is held for the length of a commit, or of a plan, the memory while a sheet's rows are
#: digested; who keeps either for so long does not go on.
_HELD_S_MAX: Final = 30.0
_LOOK_AGAIN_S: Final = 0.005
#: A process's number in its lock file, padded with blanks: written over, never cut, which is slow.
_PID_DIGITS: Final = 20
#: Names the folder to use instead of the user's state directory.
STATE_DIR_VARIABLE: Final = "CAMPAIGN_STATE_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a ledger's path looks beside what is remembered."""

    #: This path was a ledger before.
    known: bool
    #: It was, and now there is none: the file was moved or deleted.
    vanished: bool
    #: Other ledgers of this merchant and gateway that exist.
    others: tuple[Path, ...]
    #: Other ledgers that are remembered and not there any more.
    lost: tuple[Path, ...]
    #: Other ledgers that a person gave up for good: not asked for any more, but what they paid counts.
    given_up: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What is remembered of a campaign's sheet, so that a lost ledger does not lose all of it."""

    campaign: str
    #: As `Campaign` has them.
    key_column: str
    sheet_digest: str
    created_at_s: float
    #: The ledger that has, or had it.
    ledger: Path
    #: A person gave that ledger up and began another one.
    given_up: bool = False


class Registry:
    """The memory of one merchant at one gateway."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        """``clock``: by which another process is waited for; the machine's own, if None."""
        self.folder = folder
        self._clock = clock or SystemClock()
        self._seen = SeenRows(folder / "rows")

    @classmethod
    def of(cls, *, merchant: str, gateway: str, environ: Mapping[str, str]) -> Registry:
        """The user's own registry for this merchant and gateway.

        Raises:
            SetupError: the user has no home, and ``environ`` names no folder.
        """
        named = environ.get(STATE_DIR_VARIABLE)
        if named:
            root = Path(named)
        else:
            from platformdirs import user_state_path

            try:
                root = user_state_path("campaign", appauthor=False)
            except RuntimeError as error:
                raise SetupError(
                    text("This user has no home folder, where the pace and the known ledgers are kept."),
                    advice=text(
                        "Name a folder that stays in the environment variable {variable}; every process of "
                        "this merchant needs the same one.",
                        variable=STATE_DIR_VARIABLE,
                    ),
                ) from error
        # Readable, and yet never the same for two gateways or outside the root.
        plain = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{merchant}-{gateway}")[:60].strip(".")
        digest = hashlib.blake2b(f"{merchant}\n{gateway}".encode(), digest_size=6).hexdigest()
        return cls(root / f"{plain}-{digest}")

    def pace_path(self, kind: str) -> Path:
        """The file through which all requests of one kind to this gateway share one pace."""
        return self._made() / f"{kind}.pace"

    def standing(self, ledger: Path) -> Standing:
        """Compare a ledger's path with what is remembered; writes nothing."""
        path, stored = str(self._path(ledger)), self._read()
        given_up = {name for name, found in stored.items() if found.get("given_up")}
        known = stored.keys() - given_up
        others = [Path(name) for name in sorted(known - {path})]
        return Standing(
            known=path in known,
            vanished=path in known and not file.exists(Path(path)),
            others=tuple(other for other in others if file.exists(other)),
            lost=tuple(other for other in others if not file.exists(other)),
            given_up=tuple(Path(name) for name in sorted(given_up - {path})),
        )

    def last_event(self, ledger: Path) -> tuple[int, str] | None:
        """How far the ledger had come when it was remembered last, as `Ledger.head` says it.

        A ledger that does not have this event (`Ledger.has_event`) was restored from an older copy.
        """
        found = self._read().get(str(self._path(ledger)))
        return None if found is None or found.get("given_up") else (found["seq"], found["digest"])

    def lists(self, ledger: Path) -> list[Listed]:
        """The sheets of all campaigns that this ledger has, or had before it was lost."""
        path = self._path(ledger)
        found = self._read().get(str(path), {})
        return [
            Listed(
                campaign=name,
                key_column=keys,
                sheet_digest=digest,
                created_at_s=at_s,
                ledger=path,
                given_up=bool(found.get("given_up")),
            )
            for name, (keys, digest, at_s) in found.get("campaigns", {}).items()
        ]

    def remember(self, ledger: Path, head: tuple[int, str], campaigns: Iterable[Campaign] = ()) -> None:
        """Remember the ledger, how far it has come (`Ledger.head`), and the sheets of its campaigns.

        Raises:
            StorageError: as `spending`; so do all methods that remember or forget something.
        """
        with self._locked():
            ledgers, path = self._read(), str(self._path(ledger))
            before = ledgers.get(path, {})
            sheets = before.get("campaigns", {}) | {
                c.name: [c.key_column, c.sheet_digest, c.created_at_s] for c in campaigns
            }
            now = {"seq": head[0], "digest": head[1], "campaigns": sheets}
            if now != before:
                self._write(ledgers | {path: now})

    def give_up(self, ledger: Path) -> None:
        """Do not ask for this ledger any more: a person said that it is gone for good."""
        with self._locked():
            ledgers = self._read()
            if found := ledgers.get(str(self._path(ledger))):
                found["given_up"] = True
                self._write(ledgers)

    def remember_rows(self, ledger: Path, campaign: str, pairs: Iterable[Pair], now_s: float) -> None:
        """Remember, before it is planned, who is to get what: (openid, fen) of each row."""
        with self._locked(), self._usable():
            self._seen.add(self._path(ledger), campaign, pairs, now_s)

    def common_rows(self, listed: Listed, pairs: Iterable[Pair], *, since_s: float) -> list[Pair]:
        """Those of the pairs that this campaign had, if any of its rows was planned since then."""
        with self._usable():
            return self._seen.common(listed.ledger, listed.campaign, pairs, since_s=since_s)

    def _path(self, ledger: Path) -> Path:
        """The ledger's one name, whatever way leads to the file."""
        return ledger.resolve()

    def version(self) -> tuple[int, int]:
        """Changes whenever something is remembered or forgotten."""
        try:
            found = (self.folder / "ledgers.json").stat()
        except FileNotFoundError:
            return 0, 0
        except OSError as error:
            raise _unusable(self.folder, error) from error
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def spending(self, clock: Clock) -> Iterator[None]:
        """While this merchant's allowance is looked at and spent from, no other process does the same.

        Two processes with a ledger each would otherwise both find room for the day's last packet.

        Raises:
            StorageError: another process has kept it for half a minute; it plans a very long list, was
                suspended, or hangs.
        """
        with self._held("spending.lock", clock, text("this merchant's allowance")):
            yield

    def _read(self) -> dict[str, dict[str, Any]]:
        """The remembered ledgers. A damaged file remembers nothing, which costs warnings only."""
        try:
            stored = json.loads((self.folder / "ledgers.json").read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unusable(self.folder, error) from error
        except ValueError:
            return {}
        return {k: v for k, v in stored.items() if _is_head(v)} if isinstance(stored, dict) else {}

    def _write(self, ledgers: dict[str, dict[str, Any]]) -> None:
        """Replace the file as a whole, so that a crash leaves the old or the new one."""
        temporary = self.folder / f"ledgers.{os.getpid()}.tmp"
        with self._usable():
            temporary.write_text(json.dumps(ledgers, ensure_ascii=False, indent=1), encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(self.folder / "ledgers.json")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two processes do not forget each other's ledgers."""
        with self._held("lock", self._clock, text("the memory of this merchant's ledgers")):
            yield

    @contextmanager
    def _held(self, name: str, clock: Clock, what: Text) -> Iterator[None]:
        """Hold the lock on a file. It ends with the ``with`` block, or dies with its process.

        Args:
            what: it stands for, in the words of whoever has to wait.
        """
        with self._usable():
            descriptor = os.open(self._made() / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until_s = clock.monotonic_s() + _HELD_S_MAX
            while not self._taken(descriptor):
                if clock.monotonic_s() >= until_s:
                    pid = os.pread(descriptor, _PID_DIGITS, 0).decode("ascii", "replace").strip()
                    raise _kept(what, pid)
                clock.sleep(_LOOK_AGAIN_S)
            ours = f"{os.getpid():<{_PID_DIGITS}}".encode()
            with self._usable():
                if os.pread(descriptor, _PID_DIGITS, 0) != ours:
                    os.pwrite(descriptor, ours, 0)
            yield
        finally:
            os.close(descriptor)

    def _taken(self, descriptor: int) -> bool:
        with self._usable():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _made(self) -> Path:
        with self._usable():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Say the folder's errors in a person's words."""
        try:
            yield
        except OSError as error:
            raise _unusable(self.folder, error) from error


def _kept(what: Text, pid: str) -> StorageError:
    """Nothing was spent: a request that waited for the allowance has not left."""
    return StorageError(
        text(
            "Process {pid} has kept {what} to itself for {seconds} s: it plans a very long list, was "
            "suspended, or hangs.",
            pid=pid or "?",
            what=what,
            seconds=int(_HELD_S_MAX),
        ),
        advice=text("Let that process go on, or end it; then run the same command again."),
    )


def _is_head(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("seq"), int)
        and isinstance(value.get("digest"), str)
        and _are_sheets(value.get("campaigns", {}))
    )


def _are_sheets(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(sheet, list)
        and len(sheet) == 3
        and isinstance(sheet[0], str)
        and isinstance(sheet[1], str)
        and isinstance(sheet[2], int | float)
        for sheet in value.values()
    )


def _unusable(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        text(
            "The folder {folder}, where the pace and the known ledgers are kept, cannot be used: {cause}.",
            folder=folder,
            cause=error.strerror or str(error),
        ),
        advice=text(
            "Make it writable for you, or name another folder in the environment variable {variable}; "
            "every process of this merchant needs the same one.",
            variable=STATE_DIR_VARIABLE,
        ),
    )
