"""The event chain shows whether somebody touched the ledger's history."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from campaign.domain.answer import Outcome
from campaign.domain.state import State
from campaign.ledger.records import EventKind
from tests.ledger.build import NOON_S, begun, end, open_ledger, plan
from tests.ledger.test_file import reopen

TAMPER = {
    "a changed fact": "UPDATE event SET detail = '{\"attempt\":2}' WHERE seq = 3",
    "another moment": "UPDATE event SET at_s = at_s + 1 WHERE seq = 3",
    "another state": "UPDATE event SET after = 'received' WHERE seq = 3",
    "another entry": "UPDATE event SET entry = 2 WHERE seq = 4",
    "one that is gone": "DELETE FROM event WHERE seq = 3",
    "one that was slipped in": "INSERT INTO event SELECT 99, campaign, entry, at_s, kind, before, after,"
    " detail, digest FROM event WHERE seq = 3",
    "another bill number": "UPDATE entry SET mch_billno = '1900000109FORGED' WHERE seq = 1",
}


@pytest.mark.parametrize("tamper", TAMPER.values(), ids=TAMPER.keys())
def test_a_changed_history_is_seen(tmp_path: Path, tamper: str) -> None:
    """Whoever edits the file does not know how to repair the digests."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        for row in plan(ledger, "oA 1.88", "oB 1.88"):
            end(ledger, begun(ledger, row), Outcome.ACCEPTED)
        assert list(ledger.broken_events()) == []
    connection = sqlite3.connect(path)
    for trigger in ("event_is_final", "event_is_kept"):
        connection.execute(f"DROP TRIGGER {trigger}")
    assert connection.execute(tamper).rowcount == 1
    connection.commit()
    connection.close()
    with reopen(path) as ledger:
        assert list(ledger.broken_events())


def test_events_cannot_be_changed_by_mistake() -> None:
    """The file itself refuses; entries are never deleted either."""
    with open_ledger() as ledger:
        plan(ledger, "oA 1.88")
        for statement in ("UPDATE event SET at_s = 0", "DELETE FROM event", "DELETE FROM entry"):
            with pytest.raises(sqlite3.IntegrityError):
                ledger._db.execute(statement)


def test_a_state_without_its_event_is_seen() -> None:
    """An entry that somebody moved by hand."""
    with open_ledger() as ledger:
        one, _ = plan(ledger, "oA 1.88", "oB 1.88")
        assert list(ledger.unexplained()) == []
        ledger._db.execute("UPDATE entry SET state = 'received' WHERE seq = 1")
        assert list(ledger.unexplained()) == [one.mch_billno]


def test_an_entrys_events_tell_its_story() -> None:
    """In order, with states and attempts."""
    with open_ledger() as ledger:
        one, two = plan(ledger, "oA 1.88", "oB 1.88")
        end(ledger, begun(ledger, one), Outcome.ACCEPTED)
        story = [(e.kind, e.before, e.after) for e in ledger.events(mch_billno=one.mch_billno)]
        assert story == [
            (EventKind.PLANNED, None, State.PLANNED),
            (EventKind.BEGUN, State.PLANNED, State.IN_DOUBT),
            (EventKind.ANSWERED, State.IN_DOUBT, State.ACCEPTED),
        ]
        assert [e.detail for e in ledger.events(mch_billno=one.mch_billno)][1] == {"attempt": 1}
        assert len(list(ledger.events("lantern"))) == 5
        assert {e.mch_billno for e in ledger.events()} == {"", one.mch_billno, two.mch_billno}
        assert list(ledger.events("no such")) == []


def test_an_older_copy_lacks_the_last_event(tmp_path: Path) -> None:
    """The registry remembers the head, so yesterday's backup is noticed."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        (planned,) = plan(ledger, "oA 1.88")
    backup = path.read_bytes()
    with reopen(path) as ledger:
        old = ledger.head()
        begun(ledger, planned)
        head = ledger.head()
        assert head != old
        assert ledger.has_event(*old)
        assert ledger.has_event(*head)
    path.write_bytes(backup)
    with reopen(path) as ledger:
        assert not ledger.has_event(*head)
        ledger.set_ask_first("lantern", NOON_S)
        assert ledger.head()[0] == head[0]
        assert not ledger.has_event(*head)
