"""What a run asks of the ledger costs the same for a hundred rows as for a million."""

from __future__ import annotations

import pytest

from campaign.domain.answer import Outcome
from campaign.domain.entry import Todo
from campaign.domain.state import OPEN, State
from campaign.ledger.store import Ledger
from tests.ledger.build import NOON_S, WIDE, ask, begin, begun, end, entry, now, open_ledger
from tests.ledger.test_questions import RECEIVED


def plans_of(ledger: Ledger, work) -> list[str]:
    """SQLite's plans for every statement that the work carries out."""
    statements: list[str] = []
    ledger._db.set_trace_callback(statements.append)
    work()
    ledger._db.set_trace_callback(None)
    plans = []
    for statement in statements:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            plans += [row[3] for row in ledger._db.execute("EXPLAIN QUERY PLAN " + statement)]
    return plans


@pytest.fixture
def ledger():
    with open_ledger() as opened:
        opened.add_entries((entry(f"o{n}", row=n) for n in range(2, 400)), NOON_S)
        for row in opened.sendable("lantern", now_s=NOON_S, limit=50):
            end(opened, begun(opened, row), Outcome.ACCEPTED)
        opened._db.execute("ANALYZE")
        yield opened


WORK = {
    "sendable": lambda ledger: ledger.sendable("lantern", now_s=NOON_S, limit=32),
    "candidates": lambda ledger: ledger.candidates("lantern", now_s=NOON_S, limit=32),
    "due questions": lambda ledger: ledger.due(now_s=NOON_S + 99, todo=Todo.ASK, limit=32),
    "due repeats": lambda ledger: ledger.due(campaign="lantern", now_s=NOON_S, todo=Todo.REPEAT, limit=32),
    "next due": lambda ledger: ledger.next_due_s("lantern", planned=True, polls=True),
    "totals": lambda ledger: ledger.totals("lantern"),
    "used": lambda ledger: ledger.used("lantern", days=(), people=["o1"]),
    "begin": lambda ledger: begin(ledger, *ledger.sendable("lantern", now_s=NOON_S, limit=3)),
    "wake": lambda ledger: ledger.wake("lantern", now_s=NOON_S),
    "needs a person": lambda ledger: list(ledger.needs_person("lantern", NOON_S)),
    "suspect": lambda ledger: ledger.suspect(
        ledger.sendable("lantern", now_s=NOON_S, limit=3), limits=WIDE, now_s=NOON_S
    ),
    "end of the repeats": lambda ledger: ledger.end_repeats("lantern", now_s=NOON_S),
    "still to be sent": lambda ledger: ledger.waiting("lantern"),
    "an entry by its number": lambda ledger: ledger.sent_packet(mch_billno="1900000109NONE"),
    "campaigns": lambda ledger: ledger.campaigns(),
    "head": lambda ledger: ledger.head(),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_no_query_of_a_run_reads_all_entries(ledger: Ledger, work) -> None:
    """Nor all events, attempts or questions; each entry is found by an index."""
    plans = plans_of(ledger, lambda: work(ledger))
    assert plans
    for plan in plans:
        scanned = plan.removeprefix("SCAN ").split()[0] if plan.startswith("SCAN") else ""
        assert scanned not in {"entry", "event", "attempt", "question", "sent_day", "person_day"}, plan
        # The index of the whole campaign would read every entry of it as well.
        assert "entry_sheet" not in plan, plan


def test_no_answer_reads_all_entries(ledger: Ledger) -> None:
    """Ending sends and questions touches their own rows only."""
    one, two = begin(ledger, *ledger.sendable("lantern", now_s=NOON_S, limit=2)).entries

    def work() -> None:
        end(ledger, one, Outcome.UNKNOWN)
        end(ledger, two, Outcome.ACCEPTED)
        assert ask(ledger, now(ledger, two), None, RECEIVED)

    assert not [p for p in plans_of(ledger, work) if "SCAN" in p and "entry" in p]


@pytest.mark.parametrize("state", sorted(OPEN | {State.PLANNED}))
def test_every_state_that_is_looked_for_has_its_own_index(ledger: Ledger, state: State) -> None:
    """A partial index over several states is not used for one (220 ms instead of 1 ms)."""
    plans = plans_of(
        ledger, lambda: [w(ledger) for n, w in WORK.items() if n in ("sendable", "due questions")]
    )
    assert any(f"USING INDEX entry_{state} " in plan for plan in plans)


def test_status_reads_no_entry_at_all(ledger: Ledger) -> None:
    """Totals are kept, not counted."""
    assert not [p for p in plans_of(ledger, lambda: ledger.totals("lantern")) if "entry" in p]


@pytest.mark.parametrize("name", ["sendable", "candidates", "due questions", "due repeats", "next due"])
def test_what_comes_next_is_read_in_its_order(ledger: Ledger, name: str) -> None:
    """An index has it: to sort a million rows for the next thirty would take longer than to send them."""
    assert not [plan for plan in plans_of(ledger, lambda: WORK[name](ledger)) if "TEMP B-TREE" in plan]


def test_waking_looks_at_what_waits_only(ledger: Ledger) -> None:
    """Every command wakes first; of a million planned rows only those that wait for a time matter."""
    plans = plans_of(ledger, lambda: WORK["wake"](ledger))
    assert any("entry_planned (campaign=? AND not_before_s>?)" in plan for plan in plans)
