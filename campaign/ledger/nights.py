"""What one night run leaves to the next: a small file beside the ledger, and a lock.

Losing the file costs a report written once too often, and that days with a bill may be left out; never
money.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

from campaign.domain.days import rfc3339
from campaign.errors import CampaignHeld, StorageError
from campaign.ledger.lock import try_hold
from campaign.text import text

#: Held as a campaign is; no campaign can have this name.
_NIGHT: Final = "\0night"
_SCHEMA: Final = 1


@dataclass(slots=True, kw_only=True)
class Memory:
    """Times are Unix seconds, days Beijing days."""

    #: When the last night ended, however it ended; and when the last one ended without a failure.
    ended_s: float | None = None
    succeeded_s: float | None = None
    #: Campaign -> its last event that its report knows.
    reported: dict[str, int] = field(default_factory=dict)
    #: Up to this day the bills were fetched, but for those that are still missing.
    billed_until: date | None = None
    bills_missing: list[date] = field(default_factory=list)
    #: Nobody was told yet of what the last night kept: it was killed before it told, or reached nobody.
    untold: bool = False

    @classmethod
    def read(cls, ledger_path: Path) -> Self:
        """What is remembered; nothing where the file is missing or damaged."""
        try:
            found = json.loads(_path(ledger_path).read_bytes())
            return cls._from_json(found) if found["schema_version"] == _SCHEMA else cls()
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return cls()

    @classmethod
    def _from_json(cls, found: Mapping[str, Any]) -> Self:
        until = found["billed_until"]
        return cls(
            ended_s=_number(found["ended_s"]),
            succeeded_s=_number(found["succeeded_s"]),
            reported={str(name): int(event) for name, event in found["reported"].items()},
            billed_until=None if until is None else date.fromisoformat(until),
            bills_missing=[date.fromisoformat(day) for day in found["bills_missing"]],
            untold=found.get("untold") is True,  # a file of the first version has none
        )

    def write(self, ledger_path: Path) -> None:
        """Remember it: whole or not at all.

        Raises:
            StorageError: the file cannot be written.
        """
        path = _path(ledger_path)
        content = {
            "schema_version": _SCHEMA,
            "ended_s": self.ended_s,
            "succeeded_s": self.succeeded_s,
            "reported": self.reported,
            "billed_until": self.billed_until and self.billed_until.isoformat(),
            "bills_missing": [day.isoformat() for day in self.bills_missing],
            "untold": self.untold,
        }
        temporary = path.with_suffix(".new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise StorageError(
                text("{file} could not be written: {why}.", file=path, why=error.strerror or error),
                advice=text("Make room and let this user write there; the next night goes on."),
            ) from error


@contextmanager
def hold_night(ledger_path: Path) -> Iterator[None]:
    """Be the only night run on this ledger.

    Raises:
        CampaignHeld: another one is at work.
        StorageError: the lock file cannot be made.
    """
    with try_hold(ledger_path, _NIGHT) as held:
        if not held:
            last_s = Memory.read(ledger_path).ended_s
            raise CampaignHeld(
                text(
                    "Another night run is at work on {ledger}; the last one that ended did so at {time}.",
                    ledger=ledger_path,
                    time=rfc3339(last_s) if last_s is not None else "–",
                ),
                advice=text("Wait until it ends. If it never does, look at what it waits for, or stop it."),
            )
        yield


def _path(ledger_path: Path) -> Path:
    real = ledger_path.resolve()
    return real.with_name(f".{real.name}.night.json")


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
