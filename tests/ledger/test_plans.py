"""Entries are planned together, and still each of them is known, counted and told apart."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.answer import Outcome
from campaign.domain.billno import nonce_str
from campaign.domain.campaign import Campaign
from campaign.domain.decision import Step
from campaign.domain.state import Evidence, State
from campaign.errors import LedgerRefused
from campaign.ledger import schema
from campaign.ledger.records import EventKind
from campaign.ledger.rows import packed, planned_check, planned_checks
from campaign.ledger.store import Ledger
from tests.ledger.build import (
    NOON_S,
    ask,
    begin,
    begun,
    changed,
    end,
    entry,
    events_of,
    now,
    open_ledger,
    plan,
)
from tests.ledger.test_file import reopen

#: As the version of the program with schema 3 left it: a planned event for each entry; one was paid, one
#: revised, one taken from the list, one is in doubt.
OLDER = Path(__file__).parent / "schema_3.sql"


@pytest.fixture
def ledger():
    with open_ledger() as opened:
        yield opened


def behind_its_back(path: Path, statement: str) -> None:
    """Somebody edits the file, and knows how to get by what guards it."""
    connection = sqlite3.connect(path)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    assert connection.execute(statement).rowcount == 1
    connection.commit()
    connection.close()


def audited(ledger: Ledger) -> tuple[list[int], list[str], list[str]]:
    """What an audit names: events, states without events, altered rows."""
    return list(ledger.broken_events()), list(ledger.unexplained()), list(ledger.altered_entries())


ALL_IS_WELL: tuple[list[int], list[str], list[str]] = ([], [], [])


def test_thousands_are_planned_with_a_few_events_and_each_knows_its_own(ledger: Ledger) -> None:
    """A thousand at a time; the event says how many and how much, and is told for each of them."""
    entries = [entry(f"o{n}", 100 + n, row=n) for n in range(2, 2502)]
    assert ledger.add_entries(entries, NOON_S) == 2500
    assert ledger._db.execute("SELECT COUNT(*) FROM event WHERE kind = 'planned'").fetchone() == (3,)
    told = [e for e in ledger.events("lantern") if e.kind is EventKind.PLANNED]
    assert [e.mch_billno for e in told] == [e.mch_billno for e in entries]
    assert {(e.seq, e.detail["rows"], e.detail["fen"]) for e in told} == {
        (2 + at, len(some), sum(e.total_amount for e in some))
        for at, some in enumerate((entries[:1000], entries[1000:2000], entries[2000:]))
    }
    for at in (0, 999, 1000, 1999, 2000, 2499):
        (own,) = events_of(ledger, entries[at])
        assert (own.kind, own.mch_billno, own.after) == (
            EventKind.PLANNED,
            entries[at].mch_billno,
            State.PLANNED,
        )
    assert audited(ledger) == ALL_IS_WELL


@pytest.mark.parametrize("rows", [1, 2, 103, 1003])
def test_each_entry_keeps_its_own_values_whatever_it_shares_with_others(ledger: Ledger, rows: int) -> None:
    """What all of them have in common is given to SQLite once; here the first and the last are alike."""
    odd = [0 < n < rows - 1 and n % 3 == 1 for n in range(rows)]
    entries = [
        entry("oA", 100 + is_odd, row=n, key=f"k{n}", wishing=f"Joy {is_odd}", own={"odd": str(is_odd)})
        for n, is_odd in enumerate(odd)
    ]
    ledger.add_entries(entries, NOON_S)
    assert [ledger.entry(e.mch_billno) for e in entries] == entries
    assert audited(ledger) == ALL_IS_WELL


def test_only_a_nonce_that_does_not_follow_from_the_number_is_kept(ledger: Ledger) -> None:
    """An older ledger keeps each; what is sent is the same."""
    own = entry("oB", row=3)
    own = replace(own, parameters={**own.parameters, "nonce_str": "OWN"})
    planned = [entry("oA"), own]
    ledger.add_entries(planned, NOON_S)
    stored = "SELECT nonce_str FROM entry ORDER BY seq"
    assert ledger._db.execute(stored).fetchall() == [("",), ("OWN",)]
    assert list(ledger.entries("lantern")) == planned
    number = planned[0].mch_billno
    ledger._db.execute("UPDATE entry SET nonce_str = ? WHERE seq = 1", (nonce_str(number),))
    assert list(ledger.entries("lantern")) == planned
    assert [e.parameters for e in begin(ledger, *planned).entries] == [e.parameters for e in planned]


@pytest.mark.parametrize("rows", [3, 1500], ids=["a small plan", "a big plan"])
def test_two_entries_never_share_a_number(ledger: Ledger, rows: int) -> None:
    """A big plan looks at its numbers at the end, still within its transaction: nothing of it remains."""
    entries = [entry(f"o{n}", row=n) for n in range(rows)]
    with pytest.raises(sqlite3.IntegrityError, match="mch_billno"):
        ledger.add_entries([*entries, entries[1]], NOON_S)
    assert list(ledger.entries("lantern")) == []
    assert audited(ledger) == ALL_IS_WELL
    assert ledger.add_entries(entries, NOON_S) == rows
    with pytest.raises(sqlite3.IntegrityError, match="mch_billno"):
        ledger.add_entries([entries[-1]], NOON_S)
    assert ledger.totals("lantern")[State.PLANNED][0] == rows


def test_totals_are_those_of_each_campaign(ledger: Ledger) -> None:
    """Rows of two campaigns, mixed, and planned in several goes."""
    ledger.save_campaign(Campaign(name="spring", key_column="id", created_at_s=NOON_S), NOON_S)
    ledger.add_entries(
        [entry(f"o{n}", n, row=n, campaign=("lantern", "spring")[n % 3 == 0]) for n in range(2, 302)], NOON_S
    )
    ledger.add_entries([entry("oZ", 7, row=999)], NOON_S)
    springs = [n for n in range(2, 302) if n % 3 == 0]
    lanterns = [n for n in range(2, 302) if n % 3]
    assert ledger.totals("spring")[State.PLANNED] == (len(springs), sum(springs))
    assert ledger.totals("lantern")[State.PLANNED] == (len(lanterns) + 1, sum(lanterns) + 7)
    assert audited(ledger) == ALL_IS_WELL


def test_a_record_was_made_when_it_was_planned_not_when_its_neighbours_moved(ledger: Ledger) -> None:
    """They share an event, and nothing else."""
    one, two, three = plan(ledger, "oA 1.00", "oB 1.00", "oC 1.00")
    end(ledger, begun(ledger, three, at_s=NOON_S + 60), Outcome.ACCEPTED, at_s=NOON_S + 70)
    end(ledger, begun(ledger, one, at_s=NOON_S + 5), Outcome.ACCEPTED, at_s=NOON_S + 6)
    found = [ledger.sent_packet(mch_billno=e.mch_billno) for e in (one, two, three)]
    assert [(p.created_at_s, p.updated_at_s) for p in found if p] == [
        (NOON_S, NOON_S + 6),
        (NOON_S, NOON_S),
        (NOON_S, NOON_S + 70),
    ]


FORGED = {
    "a higher amount": "UPDATE entry SET total_amount = total_amount + 1 WHERE seq = 2",
    "another person": "UPDATE entry SET re_openid = 'oThief' WHERE seq = 2",
    "another key": "UPDATE entry SET row_key = 'other' WHERE seq = 2",
    "another issue": "UPDATE entry SET issue = 2 WHERE seq = 2",
    "another sheet": "UPDATE entry SET sheet = 'Sheet2' WHERE seq = 2",
    "another row": "UPDATE entry SET row = 99 WHERE seq = 2",
    "another nonce": "UPDATE entry SET nonce_str = 'X' WHERE seq = 2",
    "other columns of its own": 'UPDATE entry SET own = \'{"a":"2"}\' WHERE seq = 2',
    "another campaign": "UPDATE entry SET campaign = 2 WHERE seq = 2",
    "another number": "UPDATE entry SET mch_billno = '1900000109FORGED' WHERE seq = 2",
    "other texts": "UPDATE entry SET wording = 2 WHERE seq = 2",
    "another place": "UPDATE entry SET seq = 99 WHERE seq = 2",
}


@pytest.mark.parametrize("revised", [False, True], ids=["as planned", "as revised"])
@pytest.mark.parametrize("statement", FORGED.values(), ids=FORGED.keys())
def test_an_altered_row_is_named(tmp_path: Path, statement: str, revised: bool) -> None:
    """That row and no other, whichever of its facts was touched."""
    path = tmp_path / "campaign.db"
    with open_ledger(path, names=("lantern", "spring")) as ledger:
        plan(ledger, "oA 1.88", "oB 1.88", "oC 1.88")
        ledger.add_entries([entry("oD", row=9, wishing="other texts")], NOON_S)
        if revised:
            (second,) = [e for e in ledger.entries("lantern") if e.re_openid == "oB"]
            ledger.revise(changed(second, total_amount=200), NOON_S + 1, "the sheet changed")
        assert audited(ledger) == ALL_IS_WELL
    behind_its_back(path, statement)
    with reopen(path) as ledger:
        number = ledger._db.execute("SELECT mch_billno FROM entry WHERE seq IN (2, 99)").fetchone()[0]
        assert list(ledger.altered_entries()) == [number]


#: Short, so that a character often moves from one value to the next, and with what is quoted elsewhere.
_TEXT = st.text(st.sampled_from('1\x01,"\\元'), max_size=3)
_NUMBER = st.integers(1, 30)
_FACTS = st.tuples(_NUMBER, _TEXT, _TEXT, _NUMBER, _TEXT, _NUMBER, _TEXT, _NUMBER, _TEXT, _TEXT)


def test_a_check_is_frozen() -> None:
    """Ledgers keep it: another form would call every row altered that was planned before."""
    openid, own = "oSAMPLE_not_a_person_0000001", '{"姓名":"王伟"}'
    planned = (1, "1900000109QJW2XH5M4N8R1T6A0B", "A-1", 1, "名单", 2, openid, 188, "", own)
    assert planned_check("lantern", '{"wishing":"元宵"}', planned) == "9af908def88578c6"


@given(one=_FACTS, other=_FACTS)
def test_no_two_rows_read_alike(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    """A character moved from one value to its neighbour is another row."""
    assert (planned_check("lantern", "00", one) == planned_check("lantern", "00", other)) == (one == other)


@given(rows=st.lists(_FACTS, min_size=1, max_size=5), wordings=st.lists(_TEXT, min_size=5, max_size=5))
def test_many_rows_are_checked_as_each_of_them(rows: list[tuple[object, ...]], wordings: list[str]) -> None:
    wordings = wordings[: len(rows)]
    each = [planned_check("lantern", wording, row) for wording, row in zip(wordings, rows, strict=True)]
    assert planned_checks("lantern", wordings, *zip(*rows, strict=True)) == "".join(each)


def test_an_altered_text_names_everybody_who_is_sent_it(tmp_path: Path) -> None:
    """The greeting is part of what was planned."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        rows = plan(ledger, "oA 1.88", "oB 1.88")
        ledger.add_entries([entry("oD", row=9, wishing="other texts")], NOON_S)
    behind_its_back(path, "UPDATE wording SET parameters = replace(parameters, 'Joy', 'Ha') WHERE id = 1")
    with reopen(path) as ledger:
        assert list(ledger.altered_entries()) == [e.mch_billno for e in rows]


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_row_that_is_gone_breaks_the_event_that_planned_it(tmp_path: Path, seq: int) -> None:
    """The first, one in the middle, or the last of those planned together."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        plan(ledger, "oA 1.88", "oB 1.88", "oC 1.88")
    behind_its_back(path, f"DELETE FROM entry WHERE seq = {seq}")
    with reopen(path) as ledger:
        assert list(ledger.broken_events()) == [2]


_COPY = """
    INSERT INTO entry (seq, mch_billno, campaign, row_key, issue, sheet, row, re_openid, total_amount,
                       wording, nonce_str, own, state)
    SELECT {seq}, '1900000109FORGED', campaign, 'forged', 1, sheet, 77, 'oThief', 20000,
        wording, nonce_str, own, state FROM entry WHERE seq = 1
"""


@pytest.mark.parametrize("seq, planned_later", [(3, False), (3, True), (-1, False), (0, True)])
def test_a_row_that_was_slipped_in_is_named(tmp_path: Path, seq: int, planned_later: bool) -> None:
    """Behind the last one, in front of the first, and also when more rows are planned after it."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        plan(ledger, "oA 1.88", "oB 1.88")
    behind_its_back(path, _COPY.format(seq=seq))
    with reopen(path) as ledger:
        if planned_later:
            ledger.add_entries([entry("oC", row=9)], NOON_S)
        assert "1900000109FORGED" in {*ledger.unexplained(), *ledger.altered_entries()}


def test_a_corrected_row_is_judged_by_its_new_values(tmp_path: Path) -> None:
    """And a revision's own event is what proves them."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        (planned,) = plan(ledger, "oWrong 1.88")
        refused = end(ledger, begun(ledger, planned), Outcome.REFUSED, err_code="OPENID_ERROR")
        step = Step(state=State.REJECTED, evidence=Evidence.UNSTORED, not_found_at_s=NOON_S + 10)
        ask(ledger, refused, None, step, err_code="NOT_FOUND")
        ledger.revise(changed(planned, re_openid="oRight", row=5), NOON_S + 20, "corrected")
        assert audited(ledger) == ALL_IS_WELL
    behind_its_back(path, "UPDATE entry SET re_openid = 'oWrong', row = 2")
    with reopen(path) as ledger:
        assert list(ledger.altered_entries()) == [planned.mch_billno]


BROKEN = {
    "no JSON": "UPDATE event SET detail = 'rows: 2' WHERE seq = 2",
    "no object": "UPDATE event SET detail = '[]' WHERE seq = 2",
    "no count": """UPDATE event SET detail = '{"rows":"many","checks":7}' WHERE seq = 2""",
    "fewer": "UPDATE event SET detail = replace(detail, '\"rows\":2', '\"rows\":1') WHERE seq = 2",
    "more": "UPDATE event SET detail = replace(detail, '\"rows\":2', '\"rows\":3') WHERE seq = 2",
    "less money": "UPDATE event SET detail = replace(detail, '\"fen\":376', '\"fen\":375') WHERE seq = 2",
    "another place": "UPDATE event SET entry = 1 WHERE seq = 2",
    "no place": "UPDATE event SET entry = NULL WHERE seq = 2",
    "a revision that says nothing": "UPDATE event SET detail = '' WHERE seq = 3",
    "a revision that is a list": "UPDATE event SET detail = '[]' WHERE seq = 3",
}


@pytest.mark.parametrize("statement", BROKEN.values(), ids=BROKEN.keys())
def test_an_altered_plan_is_named_and_the_audit_gets_by_it(tmp_path: Path, statement: str) -> None:
    """Whatever somebody wrote into it, nothing of the audit fails."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        one, _ = plan(ledger, "oA 1.88", "oB 1.88")
        ledger.revise(changed(one, row=9), NOON_S, "moved")
        assert audited(ledger) == ALL_IS_WELL
    behind_its_back(path, statement)
    with reopen(path) as ledger:
        events, _, _ = audited(ledger)
        assert events == [3 if "seq = 3" in statement else 2]


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A ledger as an older version of this program wrote it."""
    path = tmp_path / "campaign.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLDER.read_text(encoding="utf-8"))
    assert schema.version(connection) == 3 < schema.VERSION
    connection.close()
    return path


def test_an_older_ledger_that_lost_a_row_is_called_damaged_and_stays_as_it_is(older: Path) -> None:
    with sqlite3.connect(older) as connection:
        connection.execute("INSERT INTO attempt (entry, n, begun_at_s) VALUES (99, 1, 0)")
    connection.close()
    with pytest.raises(LedgerRefused, match="of attempt lacks its entry"), reopen(older):
        pass
    assert schema.version(sqlite3.connect(older)) == 3


def test_an_older_ledger_gets_the_tables_of_a_new_one(older: Path, ledger: Ledger) -> None:
    """With its rows in their places, and what refers to them still does."""
    made = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE '%sqlite%' ORDER BY name"
    before = sqlite3.connect(older).execute("SELECT * FROM entry").fetchall()
    with reopen(older) as opened:
        assert opened._db.execute(made).fetchall() == ledger._db.execute(made).fetchall()
        assert opened._db.execute("SELECT * FROM entry").fetchall() == before
        assert opened._db.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert opened._db.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            opened._db.execute("INSERT INTO attempt (entry, n, begun_at_s) VALUES (99, 1, 0)")


def test_an_older_ledger_opens_and_passes_the_audit(older: Path) -> None:
    """Each of its entries has an event of its own, and its sums go on."""
    with reopen(older) as ledger:
        assert schema.version(ledger._db) == schema.VERSION
        assert audited(ledger) == ALL_IS_WELL
        entries = list(ledger.entries("lantern"))
        kinds = [[e.kind for e in events_of(ledger, each)] for each in entries]
        assert kinds == [
            [EventKind.PLANNED, EventKind.BEGUN, EventKind.ANSWERED],
            [EventKind.PLANNED, EventKind.REVISED],
            [EventKind.PLANNED, EventKind.UNLISTED],
            [EventKind.PLANNED, EventKind.BEGUN],
            [EventKind.PLANNED],
        ]
        (new,) = [entry("oF", 100, row=7)]
        ledger.add_entries([new], NOON_S + 9)
        assert ledger.totals("lantern")[State.PLANNED] == (4, 300 + 388 + 588 + 100)
        ledger.revise(changed(now(ledger, entries[4]), total_amount=600), NOON_S + 10, "the sheet changed")
        begun(ledger, now(ledger, new), at_s=NOON_S + 11)
        assert ledger.totals("lantern")[State.PLANNED] == (3, 300 + 388 + 600)
        assert audited(ledger) == ALL_IS_WELL
        assert [p.created_at_s for p in ledger.sent_packets(limit=9)] == [NOON_S, NOON_S, NOON_S + 9]


def test_what_an_older_version_began_this_one_ends(older: Path) -> None:
    """Its answers are read where it kept them; a later one is told by a shared event behind its own."""
    with sqlite3.connect(older) as connection:
        connection.execute("UPDATE attempt SET raw = ? WHERE entry = 1", (packed(b"<xml>taken</xml>"),))
    connection.close()
    with reopen(older) as ledger:
        taken, _, _, doubtful, _ = ledger.entries("lantern")
        end(ledger, doubtful, Outcome.ACCEPTED, at_s=NOON_S + 5, raw=b"<xml>late</xml>")
        for row, kept in ((taken, b"<xml>taken</xml>"), (doubtful, b"<xml>late</xml>")):
            assert [attempt.raw for attempt in ledger.attempts(row.mch_billno)] == [kept]
            assert [p.raw for p in ledger.sent_packets(limit=9) if p.entry.row == row.row] == [kept]
        assert [(e.kind, e.at_s) for e in events_of(ledger, doubtful)] == [
            (EventKind.PLANNED, NOON_S),
            (EventKind.BEGUN, NOON_S),
            (EventKind.ANSWERED, NOON_S + 5),
        ]
        assert audited(ledger) == ALL_IS_WELL


@pytest.mark.parametrize(
    "statement, named",
    [
        ("UPDATE event SET after = 'cancelled' WHERE seq = 6", ([6], ["oE"], [])),
        ("UPDATE entry SET state = 'received' WHERE seq = 5", ([], ["oE"], [])),
        (_COPY.format(seq=6), ([], ["oThief"], ["oThief"])),
        ("DELETE FROM entry WHERE seq = 5", ([6], [], [])),
    ],
    ids=["event", "state", "added", "gone"],
)
def test_what_an_older_ledger_proved_it_still_proves(
    older: Path, statement: str, named: tuple[list[int], list[str], list[str]]
) -> None:
    """By the events that its entries have."""
    reopen(older).close()
    behind_its_back(older, statement)
    with reopen(older) as ledger:
        openids = dict(ledger._db.execute("SELECT mch_billno, re_openid FROM entry"))
        events, unexplained, altered = audited(ledger)
        assert (events, [openids[n] for n in unexplained], [openids[n] for n in altered]) == named
