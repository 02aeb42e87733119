"""Pages of what was sent, across campaigns, in the order of sending."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from campaign.domain.answer import Outcome, Status
from campaign.domain.billno import Tie, mch_billno
from campaign.domain.days import HOUR_S
from campaign.domain.decision import Step
from campaign.domain.entry import Entry
from campaign.domain.plan import entry_of
from campaign.domain.state import Evidence, State
from campaign.ledger.rows import packed_together
from campaign.ledger.store import Ledger
from tests.ledger.build import MERCHANT, NAME, NOON_S, SENDER, ask, begun, end, now, open_ledger, order, plan

LATE_S = NOON_S + 21 * HOUR_S


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger(names=(NAME, "spring")) as opened:
        yield opened


def sent(ledger: Ledger, e: Entry, *, at_s: float = NOON_S, raw: bytes = b"") -> Entry:
    return end(ledger, begun(ledger, e, at_s=at_s), Outcome.ACCEPTED, at_s=at_s, raw=raw)


def becomes(ledger: Ledger, e: Entry, state: State, evidence: Evidence | None = None) -> Entry:
    asked = ask(ledger, e, Status.SENT, Step(state=state, evidence=evidence))
    assert asked is not None
    return asked


def again(ledger: Ledger, e: Entry) -> Entry:
    """The same row under its next number, planned."""
    tie = Tie(campaign=NAME, row_key=e.row_key, issue=e.issue + 1)
    number = mch_billno(mch_id=MERCHANT, campaign_id=NAME, row_key=e.row_key, issue=tie.issue)
    wanted = replace(order(e.re_openid, e.total_amount, key=e.row_key, row=e.row), tie=tie)
    ledger.add_entries([entry_of(wanted, number, campaign=NAME, sender=SENDER)], NOON_S)
    found = ledger.entry(number)
    assert found is not None
    return found


def listed(ledger: Ledger, **which: object) -> str:
    """The openids of the page, as ``"oA oB"``; the count has to agree with the pages."""
    page = ledger.sent_packets(limit=100, **which)  # type: ignore[arg-type]
    assert ledger.count_sent_packets(**which) == len(page)  # type: ignore[arg-type]
    return " ".join(f"{p.entry.re_openid}{'*' * (p.entry.issue - 1)}" for p in page)


def test_only_what_was_sent_or_may_have_been(ledger: Ledger) -> None:
    """Planned and withdrawn rows are no records; what is in doubt is one."""
    a, b, c, _ = plan(ledger, "oA 1.00", "oB 1.00", "oC 1.00", "oD 1.00")
    sent(ledger, a)
    begun(ledger, b)
    assert listed(ledger) == "oA oB"
    end(ledger, begun(ledger, c), Outcome.NOT_SENT)
    assert listed(ledger) == "oA oB"
    ledger.cancel(NAME, NOON_S)
    assert listed(ledger) == "oA oB"


def test_pages_go_across_campaigns_and_do_not_move(ledger: Ledger) -> None:
    first = plan(ledger, "oA 1.00", "oB 1.00")
    second = plan(ledger, "oC 1.00", "oD 1.00", campaign="spring")
    for e in (*second, *first):
        sent(ledger, e)
    pages = [ledger.sent_packets(limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [[p.entry.re_openid for p in page] for page in pages] == [["oA", "oB", "oC"], ["oD"], []]
    assert ledger.count_sent_packets() == 4
    assert listed(ledger, campaign="spring") == "oC oD"
    assert listed(ledger, campaign="no such") == ""


def test_a_record_knows_when_and_what_was_answered(ledger: Ledger) -> None:
    (a,) = plan(ledger, "oA 1.00")
    sent(ledger, a, at_s=NOON_S + 60, raw=b"<xml>1</xml>")
    (packet,) = ledger.sent_packets(limit=1)
    assert (packet.created_at_s, packet.updated_at_s) == (NOON_S, NOON_S + 60)
    assert packet.raw == b"<xml>1</xml>"
    assert packet.entry == now(ledger, a)


def test_the_newest_answer_that_came_counts(ledger: Ledger) -> None:
    (a,) = plan(ledger, "oA 1.00")
    end(ledger, begun(ledger, a), Outcome.THROTTLED, raw=b"first")
    end(ledger, begun(ledger, now(ledger, a), at_s=NOON_S + 5), Outcome.THROTTLED, raw=b"second")
    begun(ledger, now(ledger, a), at_s=NOON_S + 10)
    (packet,) = ledger.sent_packets(limit=1)
    assert packet.raw == b"second"


DAMAGED = {
    "not packed": "X'00FF'",
    "cut off": "substr(answers, 1, length(answers) - 9)",
    "other words": f"X'{packed_together([b'zecond']).hex()}'",
    "packed by somebody else": "(SELECT answers FROM event WHERE answers IS NOT NULL LIMIT 1)",
}


@pytest.mark.parametrize("answers", DAMAGED.values(), ids=DAMAGED.keys())
def test_altered_answers_are_no_answers_and_nothing_else_is_lost(tmp_path: Path, answers: str) -> None:
    """The report needs the requests, not their answers' words; and an older answer is not the newest."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        a, b = plan(ledger, "oA 1.00", "oB 1.00")
        end(ledger, begun(ledger, a), Outcome.THROTTLED, raw=b"first")
        sent(ledger, now(ledger, a), at_s=NOON_S + 5, raw=b"second")
        sent(ledger, b, raw=b"third")
        asked = ledger.attempts(a.mch_billno)
        ((event,),) = ledger._db.execute("SELECT ended_event FROM attempt WHERE entry = 1 AND n = 2")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER event_is_final")
        connection.execute(f"UPDATE event SET answers = {answers} WHERE seq = ?", (event,))
    connection.close()
    with open_ledger(path) as ledger:
        assert [packet.raw for packet in ledger.sent_packets(limit=9)] == [None, b"third"]
        assert ledger.attempts(a.mch_billno) == [asked[0], replace(asked[1], raw=None)]
        assert list(ledger.broken_events()) == [event]


def test_an_answer_kept_by_itself_may_be_altered_too(tmp_path: Path) -> None:
    """As an older version kept it, and as those to questions are."""
    path = tmp_path / "campaign.db"
    with open_ledger(path) as ledger:
        (a,) = plan(ledger, "oA 1.00")
        becomes(ledger, sent(ledger, a), State.RECEIVED)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE attempt SET raw = X'01FF', ended_event = NULL")
        connection.execute("UPDATE question SET raw = X'01FF'")
    connection.close()
    with open_ledger(path) as ledger:
        assert [packet.raw for packet in ledger.sent_packets(limit=9)] == [None]
        assert [question.raw for question in ledger.questions(a.mch_billno)] == [None]


def test_one_packet_is_found_by_number_or_place_sent_or_not(ledger: Ledger) -> None:
    a, b = plan(ledger, "oA 1.00", "oB 1.00")
    found = ledger.sent_packet(mch_billno=b.mch_billno)
    assert found is not None
    assert found.entry == b
    assert ledger.sent_packet(id=found.id) == found
    assert ledger.sent_packet(id=found.id + 1) is None
    assert ledger.sent_packet(mch_billno=a.mch_billno[:-1] + "?") is None
    assert ledger.sent_packet() is None


def test_an_entry_as_planning_sees_it_is_the_same_alone_or_among_all(ledger: Ledger) -> None:
    a, b = plan(ledger, "oA 1.00", "oB 1.00")
    sent(ledger, b)
    assert [ledger.known_as(e.mch_billno) for e in (a, b)] == list(ledger.known(NAME))
    assert ledger.known_as("no such") is None


# Whom to remind, and whom to pay again


def test_unclaimed_is_what_was_taken_long_ago_and_still_waits(ledger: Ledger) -> None:
    a, b, c, d = plan(ledger, "oA 1.00", "oB 1.00", "oC 1.00", "oD 1.00")
    sent(ledger, a)
    sent(ledger, b, at_s=NOON_S + 5 * HOUR_S)
    becomes(ledger, sent(ledger, c), State.RECEIVED)
    begun(ledger, d)
    assert listed(ledger, unclaimed_since_s=LATE_S - 20 * HOUR_S) == "oA"
    assert listed(ledger, unclaimed_since_s=NOON_S) == "oA"
    assert listed(ledger, unclaimed_since_s=NOON_S - 1) == ""


@pytest.mark.parametrize(
    "later, still_unpaid",
    [
        (None, "oA oB"),
        (State.PLANNED, "oB"),
        (State.IN_DOUBT, "oB"),
        (State.ACCEPTED, "oB"),
        (State.RECEIVED, "oB"),
        (State.REFUNDED, "oB oA*"),  # came back again: once, under its last number
        (State.REJECTED, "oA oB"),
    ],
)
def test_what_came_back_is_listed_until_it_is_paid_again(
    ledger: Ledger, later: State | None, still_unpaid: str
) -> None:
    a, b = (becomes(ledger, sent(ledger, e), State.REFUNDED) for e in plan(ledger, "oA 1.00", "oB 1.00"))
    if later is not None:
        second = again(ledger, a)
        if later is State.IN_DOUBT:
            begun(ledger, second)
        elif later is not State.PLANNED:
            second = sent(ledger, second)
        if later is State.REJECTED:
            becomes(ledger, second, later, Evidence.DEAD)
        elif later not in (State.PLANNED, State.IN_DOUBT, State.ACCEPTED):
            becomes(ledger, second, later)
    assert b.state is State.REFUNDED
    assert listed(ledger, unclaimed_since_s=NOON_S - 1) == still_unpaid
    assert listed(ledger, unclaimed_since_s=NOON_S - 1, campaign=NAME) == still_unpaid
