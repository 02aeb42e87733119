"""One process at work on one campaign: what `send` and `reconcile` both do.

A turn begins sends, asks questions and books what came back until nothing is left to do at this
moment. The intent of every request is durable before it leaves, results share a commit with the next
intents, and everything that a crash can leave behind is an entry in doubt that the next turn asks about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from campaign.domain.answer import Outcome, QueryAnswer, Reach, SendAnswer, Status
from campaign.domain.breaker import Breaker, BreakerPolicy
from campaign.domain.campaign import Halt, HaltReason
from campaign.domain.days import counted_alike_s, next_day_start_s
from campaign.domain.decision import (
    Policy,
    Step,
    after_acceptance,
    after_no_answer,
    after_query,
    after_send,
    backoff_s,
)
from campaign.domain.entry import Claim, Entry, Flag, Sending, Todo
from campaign.domain.limits import Cap, Limits
from campaign.domain.state import SETTLED, State
from campaign.errors import GatewayError, NotSent
from campaign.ledger.store import Ledger, QueryResult, SendResult
from campaign.ports import Clock, Gateway, Pacer
from campaign.stages.crew import COMPANY_MAX, Crew, Job, Leave, Pause, carry_out
from campaign.wechat.answers import refused_settings

#: A begun request leaves within about so long, so its day and its turn are those of its commit.
_BEGIN_AHEAD_S: Final = 5.0
#: A claim on an entry that is being sent; another process leaves it alone for so long.
_LEASE_S: Final = 300.0
#: So many requests in a row that never left mean that the gateway cannot be reached.
_UNREACHABLE_AFTER: Final = 5
#: A question that brings nothing is put again after so long; then it counts as failed.
_QUESTION_PAUSES_S: Final = (1.0, 2.0)
#: What is due and can change nothing now (`Shift._unmoved`) is looked at again after so long.
_LOOK_AGAIN_S: Final = 5.0
#: After these the gateway would not answer questions either.
_NO_QUESTIONS: Final = frozenset({HaltReason.SETTINGS, HaltReason.UNREACHABLE})


class Sent(NamedTuple):
    """A send request has been carried out."""

    entry: Sending
    answer: SendAnswer
    #: It was kept here on purpose: the gateway was not even tried.
    withheld: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question has been carried out; ``reached`` tells whether anything answered at all."""

    entry: Entry
    asked_at_s: float
    answer: QueryAnswer
    reached: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a stage works with: the real things, or a test's."""

    ledger: Ledger
    gateway: Gateway
    send_pacer: Pacer
    query_pacer: Pacer
    clock: Clock
    crew: Crew[Sent | Asked]
    policy: Policy
    limits: Limits
    breaker: BreakerPolicy
    sends_per_second: float
    #: The merchant's other ledgers, whose packets count against the same caps. As long as they are looked at,
    #: nobody else spends from those caps.
    other_ledgers: Callable[[], AbstractContextManager[Sequence[Ledger]]] = lambda: nullcontext(())
    #: Who we are, as a claim on an entry says it.
    owner: str
    #: Whether somebody asked us to stop (Ctrl-C, SIGTERM).
    stopped: Callable[[], bool] = lambda: False
    #: Called after every commit.
    progress: Callable[[], None] = lambda: None


@dataclass(slots=True, kw_only=True)
class Shift:
    """The work of one process on one campaign, from its command to its halt."""

    desk: Desk
    campaign: str
    #: Whether planned entries are sent, due repeats sent, accepted packets asked about.
    first_sends: bool
    repeats: bool
    polls: bool
    #: The ledger may be behind the truth: ask about every planned number before it is sent.
    ask_first: bool = False
    halt: Halt | None = None
    requests: int = 0
    questions: int = 0
    _started_s: float = 0.0
    _window: int = 1
    _unreached: int = 0
    _quiet_until_s: float = 0.0
    _mismatches: int = 0
    _held_by_doubt: bool = False
    _asking: set[str] = field(default_factory=set)
    #: Questions whose answer changed nothing (the clock was set back, another process was faster), with the
    #: moment at which they were due: they are not put again at once.
    _unmoved: dict[str, float | None] = field(default_factory=dict)
    _breaker: Breaker = field(init=False)
    #: How many jobs may be under way: two for each hand, and while a commit's worth of results waits to be
    #: booked, as many others.
    _places: int = field(init=False)
    #: How many requests may be begun together: enough for every hand and for a full commit, but only what
    #: leaves soon.
    _window_max: int = field(init=False)

    def __post_init__(self) -> None:
        self._started_s = self.desk.clock.now_s()
        self._breaker = Breaker(self.desk.breaker)
        self._places = 2 * max(self.desk.crew.size, COMPANY_MAX)
        soon = math.ceil(self.desk.sends_per_second * _BEGIN_AHEAD_S)
        self._window_max = max(1, min(self._places, soon))

    @property
    def halted(self) -> bool:
        """Whether sending stopped before its end."""
        return self.halt is not None

    @property
    def reached_nobody(self) -> bool:
        """Whether there was something to ask or to send, and WeChat Pay was not reached once."""
        return 0 < self._unreached == self.questions + self.requests

    def turn(self) -> float | None:
        """Do all that is due now; return when the next thing is due, None when nothing is or we halted.

        Raises:
            StorageError: the ledger could not be written. What was in flight is in doubt, as always.
        """
        desk = self.desk
        desk.ledger.end_repeats(self.campaign, now_s=desk.clock.now_s())
        while True:
            done = desk.crew.finished()
            self._held_by_doubt = False  # what came back may have made room
            with desk.other_ledgers() as others, desk.ledger.atomic(desk.crew.carry_on):
                self._book(done)
                counted = counted_alike_s(desk.clock.now_s())
                begun = self._begin(others)
                self._suspect(others)
            if done or begun:
                desk.progress()
            for sending in begun:
                desk.crew.start(self._send(sending, counted))
            for entry in self._due_questions():
                self._asking.add(entry.mch_billno)
                self.questions += 1
                desk.crew.start(asking(desk, entry))
            if not desk.crew.running:
                return self._next_due_s()

    # What comes back

    def _book(self, done: list[Sent | Asked]) -> None:
        now_s = self.desk.clock.now_s()
        taken = after_acceptance(now_s, self.desk.policy)
        sent = [self._judged_send(result, taken, now_s) for result in done if isinstance(result, Sent)]
        asked = [
            judged(result, now_s=now_s, run_started_s=self._started_s, policy=self.desk.policy)
            for result in done
            if isinstance(result, Asked)
        ]
        if sent:
            self.desk.ledger.end_sends(sent, now_s)
        if asked:
            moved = {entry.mch_billno for entry in self.desk.ledger.end_queries(asked, now_s)}
            asked_about = {result.entry.mch_billno: result.entry.due_at_s for result in asked}
            self._asking -= asked_about.keys()
            self._unmoved |= {number: due_s for number, due_s in asked_about.items() if number not in moved}
        for result in done:
            if isinstance(result, Sent):
                self._react_to_send(result, now_s)
            else:
                self._react_to_question(result)

    def _judged_send(self, result: Sent, taken: Step, now_s: float) -> SendResult:
        """``taken``: what follows for a packet that was accepted, whatever its past."""
        entry, answer, _ = result
        if answer.outcome is Outcome.ACCEPTED:
            return SendResult(entry=entry, answer=answer, step=taken)
        counted = entry._replace(tally=entry.tally.with_answer(answer))
        step = after_send(answer.outcome, counted, now_s=now_s, policy=self.desk.policy)
        return SendResult(entry=entry, answer=answer, step=step)

    def _react_to_send(self, result: Sent, now_s: float) -> None:
        """What one answer means for everybody (R5.1, last column)."""
        answer = result.answer
        if answer.outcome is Outcome.NOT_SENT:
            if not result.withheld:
                self._unreached += 1
                self._quiet_until_s = now_s + backoff_s(self._unreached)
                self._window = 1
                if self._unreached >= _UNREACHABLE_AFTER:
                    self._stop(Halt(reason=HaltReason.UNREACHABLE))
            return
        self._unreached = 0
        if answer.outcome is Outcome.ACCEPTED:
            self._window = min(self._window * 2, self._window_max)
        elif answer.outcome is Outcome.THROTTLED:
            self.desk.send_pacer.slow_down()
        if answer.reach is Reach.PERSON:
            self.desk.ledger.defer_person(
                self.campaign, result.entry.re_openid, next_day_start_s(now_s), now_s
            )
        elif answer.reach is Reach.PAUSE:
            balance = answer.err_code == "NOTENOUGH"
            self._stop(
                Halt(
                    reason=HaltReason.BALANCE if balance else HaltReason.MERCHANT_LIMIT,
                    err_code=answer.err_code,
                    until_s=None if balance else next_day_start_s(now_s),
                )
            )
        elif answer.reach is Reach.ABORT:
            self._stop(Halt(reason=HaltReason.SETTINGS, err_code=answer.err_code))
        elif answer.reach is Reach.SECOND:
            self._mismatches += 1
            if self._mismatches > 1:
                self._stop(Halt(reason=HaltReason.MISMATCH, err_code=answer.err_code))
        if self._breaker.note(answer.outcome, answer.reach):
            self._stop(Halt(reason=HaltReason.BREAKER, err_code=answer.err_code))

    def _react_to_question(self, result: Asked) -> None:
        answer = result.answer
        if not result.reached:
            self._unreached += 1
            if self._unreached >= _UNREACHABLE_AFTER:
                self._stop(Halt(reason=HaltReason.UNREACHABLE))
            return
        self._unreached = 0
        if answer.reach is Reach.PACE:
            self.desk.query_pacer.slow_down()
        elif answer.reach is Reach.ABORT:
            self._stop(Halt(reason=HaltReason.SETTINGS, err_code=answer.err_code))

    def _stop(self, halt: Halt) -> None:
        """The first reason is the one to act on."""
        self.halt = self.halt or halt

    # What goes out

    def _begin(self, others: Sequence[Ledger]) -> list[Sending]:
        """Record the intent to send what may be sent now; the commit is the caller's."""
        desk = self.desk
        begun: list[Sending] = []
        while self._may_send():
            room = min(self._window, self._breaker.headroom_or(self._window)) - desk.crew.running - len(begun)
            if room <= 0:
                break
            candidates = self._candidates(room)
            if not candidates:
                break
            result = desk.ledger.begin_sends(
                candidates,
                limits=desk.limits,
                now_s=desk.clock.now_s(),
                owner=desk.owner,
                lease_s=_LEASE_S,
                others=others,
            )
            begun.extend(result.entries)
            if not self._go_on_after(result.held) or not (result.entries or result.held):
                break
        self.requests += len(begun)
        return begun

    def _may_send(self) -> bool:
        return (
            self.halt is None and not self.desk.stopped() and self.desk.clock.now_s() >= self._quiet_until_s
        )

    def _candidates(self, room: int) -> list[Entry | Claim]:
        """Due repeats first, since their money is in doubt; then the next planned rows."""
        desk, now_s = self.desk, self.desk.clock.now_s()
        entries: list[Entry | Claim] = []
        if self.repeats:
            entries += desk.ledger.due(campaign=self.campaign, now_s=now_s, todo=Todo.REPEAT, limit=room)
        if self.first_sends and not self.ask_first and len(entries) < room:
            entries += desk.ledger.candidates(self.campaign, now_s=now_s, limit=room - len(entries))
        return entries

    def _suspect(self, others: Sequence[Ledger]) -> None:
        """Put the next planned numbers in doubt, so that they are asked about and sent only if NOT_FOUND."""
        desk = self.desk
        if not (self.ask_first and self.first_sends and self._may_send()):
            return
        now_s = desk.clock.now_s()
        room = self._places - desk.crew.running
        if room > 0:
            suspects = desk.ledger.sendable(self.campaign, now_s=now_s, limit=room)
            self._go_on_after(
                desk.ledger.suspect(suspects, limits=desk.limits, now_s=now_s, others=others).held
            )

    def _go_on_after(self, held: tuple[tuple[Entry | Claim, Cap], ...]) -> bool:
        """Act on the caps that held entries back; False when there is nothing more to begin now."""
        now_s = self.desk.clock.now_s()
        for _, cap in held:
            match cap:
                case Cap.PERSON_DAY:
                    continue  # the ledger has put it off to the next day; others go on
                case Cap.IN_DOUBT:
                    self._held_by_doubt = True
                    return False
                case Cap.CAMPAIGN:
                    self._stop(Halt(reason=HaltReason.CAMPAIGN_LIMIT))
                case Cap.MERCHANT_DAY:
                    self._stop(Halt(reason=HaltReason.MERCHANT_LIMIT, until_s=next_day_start_s(now_s)))
        return True

    def _due_questions(self) -> list[Entry]:
        """Doubts, and with ``polls`` also accepted packets, whose time has come."""
        desk = self.desk
        if desk.stopped() or (self.halt and self.halt.reason in _NO_QUESTIONS):
            return []
        room = self._places - desk.crew.running
        if room <= 0:
            return []
        states = (
            (State.IN_DOUBT, State.PARKED, State.ACCEPTED) if self.polls else (State.IN_DOUBT, State.PARKED)
        )
        due = desk.ledger.due(
            campaign=self.campaign,
            now_s=desk.clock.now_s(),
            todo=Todo.ASK,
            states=states,
            limit=room + len(self._asking),
        )
        return [
            entry
            for entry in due
            if entry.mch_billno not in self._asking
            and self._unmoved.get(entry.mch_billno, math.inf) != entry.due_at_s
        ][:room]

    def _send(self, entry: Sending, counted: tuple[float, float]) -> Job[Sent]:
        """``counted``: from when until when it may leave and count on the days on which it was counted."""
        desk = self.desk
        request = desk.gateway.sending(entry.parameters)
        leave = Leave(desk.send_pacer)
        if not self._held_back():
            yield leave
        # A slow pace, or a machine that slept, may have kept it past midnight: it is begun anew then.
        if self._held_back() or not counted[0] <= desk.clock.now_s() < counted[1]:
            return Sent(entry, SendAnswer(outcome=Outcome.NOT_SENT), withheld=True)
        try:
            answer: SendAnswer = yield request.telling(leave.use)
        except NotSent as error:
            answer = SendAnswer(outcome=Outcome.NOT_SENT, err_code_des=str(error))
        except GatewayError as error:
            answer = SendAnswer(outcome=Outcome.UNKNOWN, reach=Reach.BREAKER, err_code_des=str(error))
        return Sent(entry, answer)

    def _held_back(self) -> bool:
        """Whether what was begun, but has not left yet, stays here."""
        return self.halt is not None or self.desk.stopped()

    # What is left

    def _unpaid_fen(self) -> int:
        """What the campaign still has to send, in fen: how much money has to be there."""
        totals = self.desk.ledger.totals(self.campaign)
        return sum(totals[s][1] for s in (State.PLANNED, State.IN_DOUBT, State.PARKED))

    def _next_due_s(self) -> float | None:
        desk = self.desk
        if self.halt:
            # Only now that every answer is booked is it known how much is still to be paid.
            self.halt = replace(self.halt, missing_fen=self._unpaid_fen())
        if self.halt or desk.stopped():
            return None
        now_s = desk.clock.now_s()
        due_s = desk.ledger.next_due_s(self.campaign, planned=self.first_sends, polls=False)
        if self.first_sends and now_s < self._quiet_until_s:
            due_s = self._quiet_until_s
        if due_s is not None and due_s <= now_s and self._unmoved:
            due_s = now_s + _LOOK_AGAIN_S
        if due_s is None and self._held_by_doubt:
            self._stop(Halt(reason=HaltReason.IN_DOUBT_LIMIT))
        return due_s


def ask(desk: Desk, entry: Entry) -> Asked:
    """Put one question (``gethbinfo``) here and now, as `asking` does."""
    return carry_out(asking(desk, entry))


def asking(desk: Desk, entry: Entry) -> Job[Asked]:
    """One question, put again when it brings nothing; never raises for the network's sake.

    A question is harmless and may be repeated at will; a send may not, and goes through the ledger.
    """
    asked = yield from _ask_once(desk, entry)
    for pause_s in _QUESTION_PAUSES_S:
        if asked.answer.status is not None or asked.answer.reach is Reach.ABORT:
            break
        yield Pause(desk.clock, pause_s)
        asked = yield from _ask_once(desk, entry)
    return asked


def judged(asked: Asked, *, now_s: float, run_started_s: float, policy: Policy) -> QueryResult:
    """What an answer means for the open entry that was asked about, ready for the ledger."""
    entry, answer = asked.entry, asked.answer
    if answer.status is None:
        step = after_no_answer(entry, now_s=now_s)
    else:
        step = after_query(
            answer.status,
            entry,
            reason=answer.reason,
            now_s=now_s,
            run_started_s=run_started_s,
            policy=policy,
        )
        flag = discrepancy(entry, answer)
        step = step._replace(flag=flag) if flag else step
    return QueryResult(entry=entry, asked_at_s=asked.asked_at_s, answer=answer, step=step)


def ask_all(
    desk: Desk, entries: Iterable[Entry], *, book: Callable[[Sequence[Asked]], None]
) -> dict[str, Asked]:
    """Ask about each of these numbers now; the answers by number.

    Once nobody is reached any more, the rest is not asked.

    Args:
        book: takes the answers as they come, for the ledger.

    Raises:
        SetupError: WeChat Pay refuses the questions for the settings' sake.
        KeyboardInterrupt: somebody asked us to stop.
    """
    answers: dict[str, Asked] = {}
    todo = iter(entries)
    unreached = 0
    while True:
        while (
            desk.crew.running < 2 * desk.crew.size and unreached < _UNREACHABLE_AFTER and not desk.stopped()
        ):
            entry = next(todo, None)
            if entry is None:
                break
            desk.crew.start(asking(desk, entry))
        batch = [asked for asked in desk.crew.finished() if isinstance(asked, Asked)]
        if not batch:
            break
        book(batch)
        for asked in batch:
            answers[asked.entry.mch_billno] = asked
            unreached = 0 if asked.reached else unreached + 1
            if asked.answer.reach is Reach.ABORT:
                raise refused_settings(asked.answer.err_code)
            if asked.answer.reach is Reach.PACE:
                desk.query_pacer.slow_down()
    if desk.stopped():
        raise KeyboardInterrupt
    return answers


def keep_answers(ledger: Ledger, answers: Iterable[Asked], *, now_s: float) -> None:
    """Keep answers about settled entries as evidence; one that contradicts what is settled flags it."""
    with ledger.atomic():
        for asked in answers:
            result = QueryResult(
                entry=asked.entry, asked_at_s=asked.asked_at_s, answer=asked.answer, step=None
            )
            ledger.end_query(result, now_s)
            flag = discrepancy(asked.entry, asked.answer)
            if flag and asked.entry.state in SETTLED:
                ledger.flag_settled(asked.entry, flag, asked.answer, asked_at_s=asked.asked_at_s, now_s=now_s)


def _ask_once(desk: Desk, entry: Entry) -> Job[Asked]:
    question = desk.gateway.asking(entry.mch_billno, appid=entry.parameters["wxappid"])
    leave = Leave(desk.query_pacer)
    yield leave
    asked_at_s = desk.clock.now_s()
    try:
        answer: QueryAnswer = yield question.telling(leave.use)
    except GatewayError as error:
        nothing = QueryAnswer(err_code_des=str(error))
        return Asked(entry=entry, asked_at_s=asked_at_s, answer=nothing, reached=False)
    return Asked(entry=entry, asked_at_s=asked_at_s, answer=answer)


#: What WeChat Pay may say about a settled entry without contradicting what it was settled by.
_SETTLED_BY: Final = {
    State.RECEIVED: Status.RECEIVED,
    State.REFUNDED: Status.REFUND,
    State.REJECTED: Status.FAILED,
    State.CANCELLED: None,
}


def discrepancy(entry: Entry, answer: QueryAnswer) -> Flag | None:
    """Where WeChat Pay's books and ours differ about an order that exists; a person decides.

    NOT_FOUND never proves anything: orders are forgotten.
    """
    if answer.status in (None, Status.NOT_FOUND):
        return None
    if answer.status is not _SETTLED_BY.get(entry.state, answer.status):
        return Flag.CONTRADICTION
    if answer.total_amount is not None and answer.total_amount != entry.total_amount:
        return Flag.MISMATCH
    if entry.send_listid and answer.detail_id and answer.detail_id != entry.send_listid:
        return Flag.OTHER_ID
    if any(claim.openid and claim.openid != entry.re_openid for claim in answer.claims):
        return Flag.CONTRADICTION
    return None
