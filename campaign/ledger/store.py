"""One merchant's ledger: what was planned, sent and learned, every change with its event.

A change is one guarded UPDATE, which names the state and the attempt it expects, and one appended
event in the same transaction. What is being sent *is* in doubt, so nothing has to be cleaned up after a
crash: a new process asks about what the old one left in doubt.

The ledger's rooms, each on those before it:

- `database`: transactions and statements; `chain`: the events that every change appends.
- `campaigns`: what is recorded about a campaign as a whole; `agenda`: what is due, and what is made due.
- `reading`: entries, their history, sums. On it: `planning` (a sheet's entries), `sends` (before a request
  leaves: budgets and intents), `outcomes` (what requests and questions brought), `bills` (funds bills, and
  what their match brought).
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from campaign.ledger import file, schema
from campaign.ledger.agenda import Agenda
from campaign.ledger.bills import Bills
from campaign.ledger.database import StaleEntry
from campaign.ledger.outcomes import Outcomes
from campaign.ledger.planning import Planning
from campaign.ledger.records import Begun, QueryResult, SendResult
from campaign.ledger.sends import Sends
from campaign.ports import Clock

__all__ = ["Begun", "Ledger", "QueryResult", "SendResult", "StaleEntry"]


class Ledger(Planning, Sends, Outcomes, Bills, Agenda):
    """One merchant's entries at one gateway. For the thread that opened it.

    Every method may raise `StorageError` (disk full, folder read-only, file locked by another program)
    and `LedgerRefused` (damaged); a failed change leaves the ledger as it was.
    """

    @classmethod
    def open(cls, path: Path | None, *, merchant: str, gateway: str, clock: Clock) -> Self:
        """Open the ledger, making it where there is none; None is one in memory.

        Raises:
            LedgerRefused: another merchant's or gateway's, newer than this program, or damaged.
            StorageError: it cannot be created or written.
        """
        ledger = cls(file.connect(path), path)
        with file.closed_on_error(ledger.close), file.translated(path):
            file.check_version(ledger._db, path)
            file.check_health(ledger._db, path)
            schema.migrate(ledger._db)
            # A ledger that has its owner is only read: opening it waits for no one who writes.
            meta = ledger._meta()
            if "merchant" not in meta:
                with ledger.atomic():
                    ledger._db.executemany(
                        "INSERT OR IGNORE INTO meta VALUES (?, ?)",
                        [("merchant", merchant), ("gateway", gateway), ("created_at_s", repr(clock.now_s()))],
                    )
                meta = ledger._meta()
            file.check_owner(path, meta, merchant=merchant, gateway=gateway)
        return ledger

    @classmethod
    def open_existing(cls, path: Path, *, merchant: str, gateway: str, clock: Clock) -> Self | None:
        """Open the ledger; None where there is none. Raises as `open` does."""
        if not file.exists(path):
            return None
        return cls.open(path, merchant=merchant, gateway=gateway, clock=clock)

    def _meta(self) -> dict[str, str]:
        """Whose ledger it is; a new one has no owner yet."""
        return dict(self._db.execute("SELECT key, value FROM meta"))
