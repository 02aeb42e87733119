"""Campaigns, their halts, and planning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from campaign.domain.answer import Outcome, QueryAnswer, Reach, Status
from campaign.domain.campaign import Campaign, Halt, HaltReason
from campaign.domain.canonical import canonical_json
from campaign.domain.decision import Step
from campaign.domain.entry import Flag
from campaign.domain.state import Evidence, State
from campaign.ledger.records import EventKind
from campaign.ledger.store import Ledger, StaleEntry
from tests.ledger.build import (
    NOON_S,
    ask,
    begun,
    changed,
    end,
    entry,
    events_of,
    now,
    open_ledger,
    plan,
    repeatable,
)


@pytest.fixture
def ledger():
    with open_ledger() as opened:
        yield opened


def test_a_campaign_comes_back_as_it_was_saved(ledger: Ledger) -> None:
    """Every field, hostile names included."""
    saved = Campaign(
        name="'; DROP TABLE entry; --\u5143\u5bb5",
        title="Lantern \u2028 riddles",
        key_column="id",
        created_at_s=NOON_S,
        ask_first=True,
        sheet_file="a.xlsx",
        sheet_digest="00ff",
        own_headers=("name", "\u59d3\u540d", ""),
    )
    ledger.save_campaign(saved, NOON_S)
    assert ledger.campaign(saved.name) == saved
    assert [c.name for c in ledger.campaigns()] == ["lantern", saved.name]
    assert ledger.campaign("no such") is None


def test_saving_again_does_not_undo_halt_cancelling_or_caution(ledger: Ledger) -> None:
    """A plan updates the sheet's facts only."""
    halt = Halt(reason=HaltReason.BALANCE, err_code="NOTENOUGH", missing_fen=500, until_s=NOON_S + 5)
    ledger.set_halt("lantern", halt, NOON_S)
    ledger.set_ask_first("lantern", NOON_S)
    ledger.cancel("lantern", NOON_S + 1)
    ledger.save_campaign(
        Campaign(name="lantern", key_column="id", created_at_s=NOON_S + 9, title="New"), NOON_S + 9
    )
    found = ledger.campaign("lantern")
    assert found is not None
    assert (found.title, found.created_at_s) == ("New", NOON_S)
    assert (found.halt, found.ask_first, found.cancelled_at_s) == (halt, True, NOON_S + 1)


def test_a_halt_is_one_event_and_so_is_its_end(ledger: Ledger) -> None:
    """Setting the same again is not news."""
    halt = Halt(reason=HaltReason.BREAKER, err_code="NO_AUTH")
    for value in (halt, halt, None, None):
        ledger.set_halt("lantern", value, NOON_S)
    kinds = [e.kind for e in ledger.events("lantern")]
    assert kinds == [EventKind.CAMPAIGN_SAVED, EventKind.HALTED, EventKind.RESUMED]


def test_planned_entries_come_back_as_they_were(ledger: Ledger) -> None:
    """Parameters to the byte, own columns in their order, and the order of planning."""
    entries = [
        entry("oB", 188, row=3, wishing='"mch_billno":"" 100%', own={"b": "1", "a": "=1+1"}),
        entry("oA", 288, row=2, wishing="\u5143\u5bb5 \U0001f3ee", own={}),
    ]
    assert ledger.add_entries(iter(entries), NOON_S) == 2
    assert [now(ledger, e) for e in entries] == entries
    assert list(now(ledger, entries[0]).own) == ["a", "b"]
    assert ledger.sendable("lantern", now_s=NOON_S, limit=9) == entries
    assert list(ledger.entries("lantern")) == entries[::-1]
    assert list(ledger.entries("lantern", states=[State.CANCELLED])) == []
    assert [e.kind for e in events_of(ledger, entries[0])] == [EventKind.PLANNED]


def test_known_rows_compare_with_what_a_sheet_would_give(ledger: Ledger) -> None:
    """`parameters` and `own` are canonical JSON, the same text as planning makes."""
    (one, two) = (entry("oA", own={"b": "1", "a": "2"}), entry('o\u5143"', row=3, wishing="another"))
    ledger.add_entries([one, two], NOON_S)
    end(ledger, begun(ledger, one), Outcome.REFUSED, reach=Reach.ABORT)
    known = {k.mch_billno: k for k in ledger.known("lantern")}
    for e in (one, two):
        assert known[e.mch_billno].parameters == canonical_json(e.parameters)
        assert known[e.mch_billno].own == canonical_json(e.own)
    assert (known[one.mch_billno].sent, known[one.mch_billno].last_reach) == (True, Reach.ABORT)
    assert (known[two.mch_billno].sent, known[two.mch_billno].row) == (False, 3)


def test_known_says_sent_unless_provably_not(ledger: Ledger) -> None:
    """A suspected entry may have been sent by a ledger that is lost; one that never left was not."""
    from tests.ledger.build import WIDE

    never, suspected = plan(ledger, "oA 1.00", "oB 1.00")
    end(ledger, begun(ledger, never), Outcome.NOT_SENT)
    ledger.suspect([suspected], limits=WIDE, now_s=NOON_S)
    assert [k.sent for k in ledger.known("lantern")] == [False, True]


def _unstored(ledger: Ledger, e):
    refused = end(ledger, begun(ledger, e), Outcome.REFUSED, err_code="OPENID_ERROR")
    step = Step(state=State.REJECTED, evidence=Evidence.UNSTORED, not_found_at_s=NOON_S + 10)
    return ask(ledger, refused, Status.NOT_FOUND, step)


def test_an_unstored_entry_is_corrected_under_its_number(ledger: Ledger) -> None:
    """At most one order can ever be stored under it; its 72 hours begin with the next request."""
    (planned,) = plan(ledger, "oWrong 1.88")
    assert _unstored(ledger, planned).settled_at_s == NOON_S + 10
    ledger.revise(changed(planned, re_openid="oRight"), NOON_S + 20, "openid corrected")
    corrected = now(ledger, planned)
    assert (corrected.state, corrected.re_openid, corrected.evidence) == (State.PLANNED, "oRight", None)
    assert (corrected.first_sent_at_s, corrected.settled_at_s, corrected.err_code) == (None, None, "")
    assert corrected.attempt == 1
    assert events_of(ledger, planned)[-1].kind is EventKind.CORRECTED
    again = begun(ledger, corrected, at_s=NOON_S + 10 * 86400)
    assert (again.attempt, again.parameters["re_openid"]) == (2, "oRight")


def _dead(ledger: Ledger, e):
    doubtful = repeatable(ledger, e)
    return ask(ledger, doubtful, Status.FAILED, Step(state=State.REJECTED, evidence=Evidence.DEAD))


@pytest.mark.parametrize(
    "make",
    [begun, repeatable, _dead, lambda ledger, e: end(ledger, begun(ledger, e), Outcome.ACCEPTED)],
    ids=["begun", "in doubt", "dead", "accepted"],
)
def test_what_was_sent_is_frozen(ledger: Ledger, make) -> None:
    """Once a request left, or the order is dead, no value under the number changes."""
    (planned,) = plan(ledger, "oA 1.88")
    before = make(ledger, planned)
    with pytest.raises(StaleEntry):
        ledger.revise(changed(planned, total_amount=999), NOON_S + 50, "never")
    assert now(ledger, planned) == before


def test_a_refusal_that_was_contradicted_is_frozen_and_counts_as_paid(ledger: Ledger) -> None:
    """WeChat Pay said that nothing is stored, and then that there is an order."""
    (planned,) = plan(ledger, "oA 1.88")
    unstored = Step(state=State.REJECTED, evidence=Evidence.UNSTORED)
    refused = end(ledger, begun(ledger, planned), Outcome.REFUSED, step=unstored)
    assert list(ledger.paid_pairs("lantern", since_s=NOON_S)) == []
    assert ledger.counted_fen("lantern") == ledger.used("lantern", days=()).campaign_fen == 0
    ledger.flag_settled(
        refused, Flag.CONTRADICTION, QueryAnswer(status=Status.SENT), asked_at_s=NOON_S + 5, now_s=NOON_S + 5
    )
    with pytest.raises(StaleEntry):
        ledger.revise(changed(refused, re_openid="oRight"), NOON_S + 50, "never")
    assert list(ledger.paid_pairs("lantern", since_s=NOON_S)) == [(planned.mch_billno, "oA", 188)]
    assert ledger.counted_fen("lantern") == ledger.used("lantern", days=()).campaign_fen == 188


def test_a_withdrawn_packet_that_may_have_been_paid_stays_a_persons_matter(ledger: Ledger) -> None:
    """Also once its row has moved down in the sheet and the campaign was taken up again."""
    (planned,) = plan(ledger, "oA 1.88")
    ledger.cancel("lantern", NOON_S)
    known = QueryAnswer(status=Status.SENT)
    withdrawn = now(ledger, planned)
    ledger.flag_settled(withdrawn, Flag.CONTRADICTION, known, asked_at_s=NOON_S + 5, now_s=NOON_S + 5)
    ledger.reopen("lantern", NOON_S + 6)
    ledger.revise(changed(planned, row=3), NOON_S + 6, "moved")
    assert now(ledger, planned).flag is Flag.CONTRADICTION


def test_a_number_that_was_never_planned_is_not_revised(ledger: Ledger) -> None:
    """There is nothing to revise."""
    with pytest.raises(StaleEntry):
        ledger.revise(entry("oA"), NOON_S, "no such entry")


def test_cancelling_withdraws_and_reopening_brings_back(ledger: Ledger) -> None:
    """Only what was never sent; what was sent keeps its state."""
    one, two, three = plan(ledger, "oA 1.00", "oB 2.00", "oC 3.00")
    begun(ledger, one)
    assert ledger.cancel("lantern", NOON_S + 1) == 2
    assert ledger.totals("lantern")[State.CANCELLED] == (2, 500)
    assert now(ledger, two).settled_at_s == NOON_S + 1
    assert ledger.cancel("lantern", NOON_S + 2) == 0
    assert ledger.campaign("lantern").cancelled_at_s == NOON_S + 1
    ledger.revise(changed(three, total_amount=400), NOON_S + 3, "edited while cancelled")
    assert now(ledger, three).state is State.CANCELLED
    assert ledger.reopen("lantern", NOON_S + 4) == 2
    assert ledger.campaign("lantern").cancelled_at_s is None
    assert [e.total_amount for e in ledger.sendable("lantern", now_s=NOON_S + 4, limit=9)] == [200, 400]
    assert list(ledger.unexplained()) == []


def test_totals_are_zero_where_nothing_is(ledger: Ledger) -> None:
    """Every state has a figure, for a campaign that is unknown too."""
    assert ledger.totals("no such") == dict.fromkeys(State, (0, 0))


def test_a_wording_is_stored_once(ledger: Ledger) -> None:
    """A million rows share their texts."""
    ledger.add_entries([entry(f"o{n}", row=n) for n in range(2, 50)], NOON_S)
    assert ledger._db.execute("SELECT COUNT(*) FROM wording").fetchone() == (1,)


def test_entries_are_added_wholly_or_not_at_all(ledger: Ledger) -> None:
    """The sheet is one transaction, even when it breaks off in its middle."""

    def broken():
        for n in range(2, 3000):
            yield entry(f"o{n}", row=n)
        raise RuntimeError("killed")

    head = ledger.head()
    with pytest.raises(RuntimeError):
        ledger.add_entries(broken(), NOON_S)
    assert list(ledger.entries("lantern")) == []
    assert (ledger.head(), ledger.totals("lantern")[State.PLANNED]) == (head, (0, 0))
    ledger.add_entries([entry("oA")], NOON_S)
    assert list(ledger.broken_events()) == []


def test_the_same_number_is_never_planned_twice(ledger: Ledger) -> None:
    """A second plan of one number is our own mistake, and refused by the file itself."""
    (planned,) = plan(ledger, "oA 1.00")
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.add_entries([replace(planned, row=9)], NOON_S)
    assert now(ledger, planned) == planned


def test_a_ledger_behind_the_truth_is_doubted_for_every_campaign_it_has_or_will_have() -> None:
    with open_ledger(names=("lantern", "spring")) as ledger:
        ledger.ask_everything_first(NOON_S)
        ledger.save_campaign(Campaign(name="later", key_column="id", created_at_s=NOON_S), NOON_S)
        assert [campaign.ask_first for campaign in ledger.campaigns()] == [True, True, True]
