"""Whatever is done to a ledger, in whatever order: its sums, its guards and its event chain agree."""

from __future__ import annotations

from datetime import date

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from campaign.domain.answer import Outcome, QueryAnswer, SendAnswer, Status
from campaign.domain.days import HOUR_S
from campaign.domain.decision import REPEAT_WINDOW_S, Policy, after_query, after_send
from campaign.domain.entry import Entry, Sending, Todo
from campaign.domain.limits import Limits
from campaign.domain.state import COMMITTED, State, may_move
from campaign.ledger.records import QueryResult, SendResult
from campaign.ledger.store import StaleEntry
from tests.ledger.build import NOON_S, changed, entry, now, open_ledger

LIMITS = Limits(
    campaign_fen=900, in_doubt_fen=500, person_day_packets=2, person_day_fen=500, merchant_day_fen=1500
)
NAMES = ("lantern", "spring")


class LedgerMachine(RuleBasedStateMachine):
    """Two owners, two campaigns, answers in any order, a clock that may also be set back a little."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = open_ledger(names=NAMES)
        self.at_s = NOON_S
        self.rows = 1
        self.seen: list[Entry] = []
        self.in_flight: list[Sending] = []
        self.asked: list[tuple[Entry, float]] = []
        #: mch_billno -> moments at which requests left, with the parameters of each.
        self.sent: dict[str, list[tuple[float, dict[str, str]]]] = {}

    def teardown(self) -> None:
        self.ledger.close()

    def some(self, data: st.DataObject) -> Entry:
        return data.draw(st.sampled_from(self.seen))

    @rule(
        rows=st.lists(
            st.tuples(st.sampled_from("ABC"), st.integers(1, 300), st.sampled_from(NAMES)),
            min_size=1,
            max_size=3,
        )
    )
    def plan(self, rows: list[tuple[str, int, str]]) -> None:
        new = [
            entry(f"o{person}", fen, row=self.rows + n, campaign=name)
            for n, (person, fen, name) in enumerate(rows, start=1)
        ]
        self.rows += len(new)
        self.ledger.add_entries(new, self.at_s)
        self.seen += new

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 200.0, 6 * HOUR_S, 30 * HOUR_S, -3.0]))
    def time_passes(self, seconds: float) -> None:
        self.at_s += seconds

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), owner=st.sampled_from(["us", "them"]), fresh=st.booleans())
    def begin(self, data: st.DataObject, owner: str, fresh: bool) -> None:
        batch = data.draw(st.lists(st.sampled_from(self.seen), min_size=1, max_size=4, unique_by=id))
        if fresh:
            batch = [now(self.ledger, e) for e in batch]
        result = self.ledger.begin_sends(batch, limits=LIMITS, now_s=self.at_s, owner=owner, lease_s=10.0)
        for e in result.entries:
            before = self.sent.setdefault(e.mch_billno, [])
            assert e.attempt == len(self.ledger.attempts(e.mch_billno))
            if before:
                assert self.at_s - e.first_sent_at_s < REPEAT_WINDOW_S
            before.append((self.at_s, dict(e.parameters)))
            self.in_flight.append(e)
            self.seen.append(now(self.ledger, e))
        assert len(result.entries) + len(result.held) + len(result.stale) == len(batch)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome), lost=st.booleans())
    def answer(self, data: st.DataObject, outcome: Outcome, lost: bool) -> None:
        e = data.draw(st.sampled_from(self.in_flight))
        self.in_flight.remove(e)
        if lost:
            return
        answer = SendAnswer(outcome=outcome, err_code=outcome.value)
        counted = e._replace(tally=e.tally.with_answer(answer))
        step = after_send(outcome, counted, now_s=self.at_s, policy=Policy())
        before = now(self.ledger, e)
        self.ledger.end_sends([SendResult(entry=e, answer=answer, step=step)], self.at_s)
        after = now(self.ledger, e)
        if before.attempt != e.attempt or before.state is not State.IN_DOUBT:
            assert after == before
        if after.state is State.PLANNED and before.state is State.IN_DOUBT:
            self.sent.pop(e.mch_billno)
        self.seen.append(after)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        e = now(self.ledger, self.some(data))
        if e.state in (State.IN_DOUBT, State.PARKED, State.ACCEPTED):
            self.asked.append((e, self.at_s))

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), status=st.sampled_from(Status), reason=st.sampled_from(["", "held"]))
    def learn(self, data: st.DataObject, status: Status, reason: str) -> None:
        e, asked_at_s = data.draw(st.sampled_from(self.asked))
        self.asked.remove((e, asked_at_s))
        step = after_query(status, e, reason=reason, now_s=self.at_s, run_started_s=NOON_S, policy=Policy())
        before = now(self.ledger, e)
        answer = QueryAnswer(status=status, reason=reason)
        result = QueryResult(entry=e, asked_at_s=asked_at_s, answer=answer, step=step)
        after = self.ledger.end_query(result, self.at_s)
        if before.attempt != e.attempt or before.state is not e.state:
            assert after is None
            assert now(self.ledger, e) == before
        if after is not None:
            self.seen.append(after)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), fen=st.integers(1, 300))
    def revise(self, data: st.DataObject, fen: int) -> None:
        e = now(self.ledger, self.some(data))
        try:
            self.ledger.revise(changed(e, total_amount=fen), self.at_s, "edited")
        except StaleEntry:
            assert e.state not in (State.PLANNED, State.CANCELLED)
        else:
            assert e.state in (State.PLANNED, State.CANCELLED, State.REJECTED)
            self.sent.pop(e.mch_billno, None)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def suspect(self, data: st.DataObject) -> None:
        self.ledger.suspect([now(self.ledger, self.some(data))], limits=LIMITS, now_s=self.at_s)

    @rule(name=st.sampled_from(NAMES), what=st.sampled_from(["cancel", "reopen", "wake", "person"]))
    def command(self, name: str, what: str) -> None:
        match what:
            case "cancel":
                self.ledger.cancel(name, self.at_s)
            case "reopen":
                self.ledger.reopen(name, self.at_s)
            case "wake":
                self.ledger.wake(name, now_s=self.at_s)
            case _:
                self.ledger.defer_person(name, "oA", self.at_s + 60, self.at_s)

    @rule()
    def a_crash_undoes_the_transaction(self) -> None:
        head = self.ledger.head()
        try:
            with self.ledger.atomic():
                self.ledger.wake("lantern", now_s=self.at_s)
                self.ledger.cancel("lantern", self.at_s)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
        assert self.ledger.head() == head

    @invariant()
    def totals_are_a_recount(self) -> None:
        for name in NAMES:
            recount = dict.fromkeys(State, (0, 0))
            for e in self.ledger.entries(name):
                rows, fen = recount[e.state]
                recount[e.state] = (rows + 1, fen + e.total_amount)
            assert self.ledger.totals(name) == recount
        assert list(self.ledger.miscounted()) == []
        assert list(self.ledger.miscounted_days()) == []

    @invariant()
    def budgets_are_kept(self) -> None:
        for name in NAMES:
            totals = self.ledger.totals(name)
            assert sum(totals[s][1] for s in (*COMMITTED, State.REFUNDED)) <= LIMITS.campaign_fen

    @invariant()
    def days_are_a_recount(self) -> None:
        counted = self.ledger._db.execute(
            "SELECT day, re_openid, COUNT(*), SUM(total_amount) FROM sent_day GROUP BY day, re_openid"
        ).fetchall()
        kept = self.ledger._db.execute(
            "SELECT day, re_openid, packets, fen FROM person_day WHERE packets > 0 OR fen > 0"
        ).fetchall()
        assert sorted(counted) == sorted(kept)
        for day in {row[0] for row in counted}:
            fen = sum(row[3] for row in counted if row[0] == day)
            used = self.ledger.used("lantern", days=[date.fromisoformat(day)])
            assert used.merchant_day_fen == {date.fromisoformat(day): fen}

    @invariant()
    def the_events_explain_every_state(self) -> None:
        assert list(self.ledger.broken_events()) == []
        assert list(self.ledger.unexplained()) == []
        assert list(self.ledger.altered_entries()) == []
        state: dict[str, State | None] = {}
        for event in self.ledger.events():
            if event.after is not None:
                before = state.get(event.mch_billno)
                assert event.before is before
                assert before is None or before is event.after or may_move(before, event.after)
                state[event.mch_billno] = event.after

    @invariant()
    def one_number_always_has_the_same_parameters(self) -> None:
        for requests in self.sent.values():
            assert all(parameters == requests[0][1] for _, parameters in requests)

    @invariant()
    def nothing_of_a_cancelled_campaign_is_due_for_a_repeat(self) -> None:
        for e in self.ledger.due(now_s=self.at_s, todo=Todo.REPEAT, limit=99):
            campaign = self.ledger.campaign(e.campaign)
            assert campaign is not None
            assert campaign.cancelled_at_s is None


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase
