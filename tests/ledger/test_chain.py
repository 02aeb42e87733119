"""The event chain shows whether somebody touched the ledger's history."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.domain.answer import Outcome
from campaign.domain.state import State
from campaign.ledger.records import EventKind
from tests.ledger.build import DOUBT, NOON_S, begin, begun, end, events_of, now, open_ledger, plan, result
from tests.ledger.test_file import reopen

TAMPER = {
    "a changed fact": "UPDATE event SET detail = '{\"attempt\":2}' WHERE seq = 3",
    "another moment": "UPDATE event SET at_s = at_s + 1 WHERE seq = 3",
    "another state": "UPDATE event SET after = 'received' WHERE seq = 3",
    "another entry": "UPDATE event SET entry = 2 WHERE seq = 4",
    "another answer": "UPDATE event SET answers = x'005b31315d0a3c786d6c3e3c2f786d6c78' WHERE seq = 4",
    "an answer that is gone": "UPDATE event SET answers = NULL WHERE seq = 4",
    "one that is gone": "DELETE FROM event WHERE seq = 3",
    "one that was slipped in": "INSERT INTO event SELECT 99, campaign, entry, at_s, kind, before, after,"
    " detail, digest, answers FROM event WHERE seq = 3",
    "another bill number": "UPDATE entry SET mch_billno = '1900000109FORGED' WHERE seq = 1",
}


@pytest.mark.parametrize("tamper", TAMPER.values(), ids=TAMPER.keys())
def test_a_changed_history_is_seen(tmp_path: Path, tamper: str) -> None:
    """Whoever edits the file does not know how to repair the digests."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        for row in plan(ledger, "oA 1.88", "oB 1.88"):
            end(ledger, begun(ledger, row), Outcome.ACCEPTED, raw=b"<xml></xml>")
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
        story = [(e.kind, e.before, e.after) for e in events_of(ledger, one)]
        assert story == [
            (EventKind.PLANNED, None, State.PLANNED),
            (EventKind.BEGUN, State.PLANNED, State.IN_DOUBT),
            (EventKind.ANSWERED, State.IN_DOUBT, State.ACCEPTED),
        ]
        assert [e.detail for e in events_of(ledger, one)][1] == {"attempt": 1}
        assert len(list(ledger.events("lantern"))) == 5
        assert {e.mch_billno for e in ledger.events()} == {"", one.mch_billno, two.mch_billno}
        assert list(ledger.events("no such")) == []


@settings(max_examples=50, deadline=None)
@given(
    batches=st.lists(
        st.dictionaries(st.integers(0, 5), st.sampled_from(Outcome), min_size=1), min_size=1, max_size=6
    )
)
def test_what_was_sent_together_is_told_as_if_each_had_been_sent_alone(
    batches: list[dict[int, Outcome]],
) -> None:
    """Sharing an event saves work; nobody who reads notices it, in the history or in the answers."""
    told_together, told_apart = (_told(batches, together=together) for together in (True, False))
    assert told_together == told_apart


def _told(batches: list[dict[int, Outcome]], *, together: bool) -> list[object]:
    """What a ledger tells after these rows were sent with these outcomes; every answer comes twice."""
    with open_ledger() as ledger:
        rows = plan(ledger, *(f"o{n} 1.88" for n in range(6)))
        for at_s, batch in enumerate(batches, start=int(NOON_S)):
            chosen = [now(ledger, rows[n]) for n in batch]
            outcomes = {rows[n].mch_billno: outcome for n, outcome in batch.items()}
            for part in [chosen] if together else [[one] for one in chosen]:
                results = [
                    result(
                        sending,
                        outcomes[sending.mch_billno],
                        step=None if sending.attempt == 1 else DOUBT,
                        raw=sending.mch_billno.encode() * ((at_s + int(sending.re_openid[1])) % 2),
                    )
                    for sending in begin(ledger, *part, at_s=at_s).entries
                ]
                with ledger.atomic():
                    ledger.end_sends([*results, *results], at_s + 0.5)
                    within = [ledger.attempts(each.entry.mch_billno)[-1] for each in results]
                assert [attempt.raw for attempt in within] == [each.answer.raw for each in results]
        assert not [*ledger.broken_events(), *ledger.unexplained()]
        stories = {row.mch_billno: events_of(ledger, row) for row in rows}
        assert len(list(ledger.events())) == 1 + sum(map(len, stories.values()))
        return [
            [
                [(e.kind, e.before, e.after, e.at_s, e.detail) for e in events],
                ledger.attempts(number),
                ledger.sent_packet(mch_billno=number),
            ]
            for number, events in stories.items()
        ]


SHARED = {
    "a request that left it": ("UPDATE attempt SET begun_event = NULL WHERE entry = 1", [3], []),
    "an answer that left it": ("UPDATE attempt SET ended_event = 3 WHERE entry = 1", [4], ["oA"]),
    "a request that is gone": ("DELETE FROM attempt WHERE entry = 1", [3, 4], ["oA"]),
    "a number that is gone": ("UPDATE entry SET mch_billno = 'FORGED' WHERE seq = 1", [3, 4], ["oA"]),
    "an answer that it does not tell": (
        "UPDATE attempt SET ended_event = 4 WHERE entry = 3;"
        "UPDATE entry SET state = 'accepted' WHERE seq = 3",
        [],
        ["oC"],
    ),
    "a state that it does not tell": ("UPDATE entry SET state = 'in_doubt' WHERE seq = 2", [], ["oB"]),
}


@pytest.mark.parametrize("statements, broken, unexplained", SHARED.values(), ids=SHARED.keys())
def test_an_event_that_tells_of_several_proves_each_of_them(
    tmp_path: Path, statements: str, broken: list[int], unexplained: list[str]
) -> None:
    """It names its numbers, and their requests point back to it."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        one, two, three = plan(ledger, "oA 1.88", "oB 1.88", "oC 1.88")
        sent = begin(ledger, one, two, three).entries
        ledger.end_sends([result(sending, Outcome.ACCEPTED) for sending in sent[:2]], NOON_S)
        assert not [*ledger.broken_events(), *ledger.unexplained()]
    with sqlite3.connect(path) as connection:
        connection.executescript(statements)
    connection.close()
    with reopen(path) as ledger:
        openids = dict(ledger._db.execute("SELECT mch_billno, re_openid FROM entry"))
        assert list(ledger.broken_events()) == broken
        assert [openids[number] for number in ledger.unexplained()] == unexplained


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
