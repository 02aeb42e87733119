"""What to do after each answer: pure functions over what happened, one screen each (section 4).

No refusal settles an entry by itself: a failing answer may hide an undecided one, and it speaks for
its own request only. `after_send` therefore never rejects; it schedules the question. `after_query`
judges what the question brought, in the light of every request that was sent under the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from campaign.domain.answer import Outcome, Reach, Status
from campaign.domain.days import DAY_S, HOUR_S, next_day_start_s
from campaign.domain.entry import Entry, Flag, Todo
from campaign.domain.state import Evidence, State

#: Same order: at least this long between two attempts (R0.9).
REPEAT_GAP_S: Final = 1.0
#: WeChat Pay closes an unfinished order after about three days (R4); later a repeat proves nothing.
REPEAT_WINDOW_S: Final = 72 * HOUR_S
#: The query window is 30 days (R4); a day of margin, after which NOT_FOUND proves nothing.
NOT_FOUND_WINDOW_S: Final = 29 * DAY_S
#: The last question of all; WeChat Pay forgets orders two days later.
LAST_ASK_S: Final = 28 * DAY_S
#: SENDING for longer than this without a reason is an order that is held (section 4).
SENDING_PATIENCE_S: Final = 24 * HOUR_S
#: Waiting time after THROTTLED and NOT_SENT doubles up to this.
BACKOFF_MAX_S: Final = 60.0
#: A question that brought no answer, its own retries included, rests for so long.
ASK_AGAIN_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers that decisions depend on; defaults are the reference's."""

    doubt_ask_s: float = 1.0
    processing_ask_s: float = 1200.0
    not_found_repeat_s: float = 180.0
    poll_s: Sequence[float] = (60, 1200, 7200, 43200, 90000, 93600, 172800)
    #: Repeat parked orders without asking the operator.
    parked_auto: bool = False
    #: After so many requests under one number only questions are asked, then a person.
    attempts_max: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The entry's next state, and what the program does next for it, and when."""

    state: State
    todo: Todo | None = None
    due_at_s: float | None = None
    evidence: Evidence | None = None
    flag: Flag | None = None
    not_found_at_s: float | None = None
    sending_since_s: float | None = None


def after_send(outcome: Outcome, entry: Entry, *, now_s: float, policy: Policy) -> Step:
    """Choose the next step for an entry after the answer to its last attempt.

    Args:
        outcome: of the last attempt.
        entry: with that attempt counted by its tally.
    """
    match outcome:
        case Outcome.ACCEPTED:
            return Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=now_s + policy.poll_s[0])
        case Outcome.NOT_SENT:
            if entry.tally.not_sent == entry.tally.attempts:
                return Step(state=State.PLANNED)
            return _in_doubt(Todo.REPEAT, now_s + backoff_s(entry.tally.attempts))
        case Outcome.THROTTLED:
            if may_repeat(entry, now_s=now_s, policy=policy):
                return _in_doubt(Todo.REPEAT, now_s + backoff_s(entry.tally.attempts))
            return _in_doubt(Todo.ASK, now_s + policy.doubt_ask_s)
        case Outcome.PROCESSING:
            return _in_doubt(Todo.ASK, now_s + policy.processing_ask_s)
        case Outcome.REFUSED | Outcome.BLOCKED | Outcome.UNKNOWN:
            return _in_doubt(Todo.ASK, now_s + policy.doubt_ask_s)
        case Outcome.MISMATCH:
            return _with_flag(_in_doubt(Todo.ASK, now_s + policy.doubt_ask_s), Flag.MISMATCH)
        case _:
            assert_never(outcome)


def after_query(
    status: Status, entry: Entry, *, reason: str = "", now_s: float, run_started_s: float, policy: Policy
) -> Step:
    """Judge what WeChat Pay's answer to a question proves about an entry.

    Args:
        entry: as it was when the question was sent; no attempt began since.
        reason: the answer's ``reason``; only its presence counts.
        run_started_s: when the operator gave the command; a blocked row is repeated once per command.
    """
    match status:
        case Status.RECEIVED:
            return Step(state=State.RECEIVED)
        case Status.REFUND:
            return Step(state=State.REFUNDED)
        case Status.FAILED:
            return Step(state=State.REJECTED, evidence=Evidence.DEAD)
        case Status.SENT | Status.RFUND_ING:
            return _waiting(State.ACCEPTED, entry, now_s=now_s, policy=policy)
        case Status.SENDING:
            return _sending(entry, reason=reason, now_s=now_s, run_started_s=run_started_s, policy=policy)
        case Status.NOT_FOUND:
            if entry.state is not State.IN_DOUBT:
                # They had the order and now they have not: never evidence, always a person's matter.
                step = _waiting(entry.state, entry, now_s=now_s, policy=policy)
                return _with_flag(step, Flag.CONTRADICTION)
            return _not_found(entry, now_s=now_s, run_started_s=run_started_s, policy=policy)
        case _:
            assert_never(status)


def after_no_answer(entry: Entry, *, now_s: float) -> Step:
    """A question that failed changes nothing; it is put again a minute later."""
    return Step(
        state=entry.state,
        todo=Todo.ASK,
        due_at_s=now_s + ASK_AGAIN_S,
        evidence=entry.evidence,
        flag=entry.flag,
        not_found_at_s=entry.not_found_at_s,
        sending_since_s=entry.sending_since_s,
    )


def next_ask_s(since_s: float, now_s: float, policy: Policy) -> float | None:
    """When to ask next about an order that was taken at ``since_s``; None after day 28.

    The timetable of section 6, then daily; the last question falls on day 28 exactly.
    """
    age = now_s - since_s
    for due in policy.poll_s:
        if due > age:
            return since_s + due
    next_daily = (int(age // DAY_S) + 1) * DAY_S
    return since_s + next_daily if next_daily <= LAST_ASK_S else None


def backoff_s(attempts: int) -> float:
    """Seconds to wait after the given attempt, counted from 1: doubling from one second, capped."""
    return float(min(REPEAT_GAP_S * 2 ** min(max(attempts, 1) - 1, 10), BACKOFF_MAX_S))


def may_repeat(entry: Entry, *, now_s: float, policy: Policy) -> bool:
    """Whether the same number may be sent once more: within 72 h of its first request, and not for ever."""
    if entry.tally.attempts - entry.tally.not_sent >= policy.attempts_max:
        return False
    return entry.first_sent_at_s is None or now_s - entry.first_sent_at_s < REPEAT_WINDOW_S


def _not_found(entry: Entry, *, now_s: float, run_started_s: float, policy: Policy) -> Step:
    """NOT_FOUND (R4.1): no proof of failure, unless every request was refused before it was stored."""
    first_seen = entry.not_found_at_s if entry.not_found_at_s is not None else now_s
    if entry.first_sent_at_s is not None and now_s - entry.first_sent_at_s > NOT_FOUND_WINDOW_S:
        return Step(state=State.IN_DOUBT, flag=Flag.STUCK, not_found_at_s=first_seen)
    tally = entry.tally
    if tally.unanswered and now_s - first_seen < policy.not_found_repeat_s:
        # A request without an answer may still be on its way into their books.
        return Step(
            state=State.IN_DOUBT,
            todo=Todo.ASK,
            due_at_s=first_seen + policy.not_found_repeat_s,
            not_found_at_s=first_seen,
        )
    if entry.last_outcome is Outcome.REFUSED and not tally.held:
        return Step(state=State.REJECTED, evidence=Evidence.UNSTORED, not_found_at_s=first_seen)
    if entry.last_outcome is not Outcome.MISMATCH and may_repeat(entry, now_s=now_s, policy=policy):
        repeat_at_s = _repeat_at_s(entry, now_s=now_s, run_started_s=run_started_s)
        if repeat_at_s is not None:
            return Step(
                state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=repeat_at_s, not_found_at_s=first_seen
            )
    flag = Flag.MISMATCH if entry.last_outcome is Outcome.MISMATCH else Flag.STUCK
    step = _waiting(State.IN_DOUBT, entry, now_s=now_s, policy=policy)
    return _with_flag(step, flag, not_found_at_s=first_seen)


def _repeat_at_s(entry: Entry, *, now_s: float, run_started_s: float) -> float | None:
    """When the same number may be sent again; None when that waits for a person's next command."""
    earliest = max(now_s, (entry.last_sent_at_s or 0.0) + REPEAT_GAP_S)
    if entry.last_outcome in (Outcome.BLOCKED, Outcome.REFUSED):
        if entry.last_reach is Reach.PERSON and entry.last_sent_at_s is not None:
            return max(earliest, next_day_start_s(entry.last_sent_at_s))
        if entry.last_sent_at_s is not None and entry.last_sent_at_s >= run_started_s:
            return None
    return earliest


def _sending(entry: Entry, *, reason: str, now_s: float, run_started_s: float, policy: Policy) -> Step:
    since = entry.sending_since_s if entry.sending_since_s is not None else now_s
    if not reason and now_s - since < SENDING_PATIENCE_S:
        step = _waiting(State.ACCEPTED, entry, now_s=now_s, policy=policy)
        return Step(state=step.state, todo=step.todo, due_at_s=step.due_at_s, sending_since_s=since)
    if may_repeat(entry, now_s=now_s, policy=policy):
        # NOTENOUGH, a cap: the operator's next command, or the next day, is the word to repeat.
        blocked = entry.last_outcome is Outcome.BLOCKED and entry.last_reach in (Reach.PAUSE, Reach.PERSON)
        repeat_at_s = (
            _repeat_at_s(entry, now_s=now_s, run_started_s=run_started_s)
            if blocked
            else max(now_s, (entry.last_sent_at_s or 0.0) + REPEAT_GAP_S)
            if policy.parked_auto
            else None
        )
        if repeat_at_s is not None:
            return Step(
                state=State.PARKED, todo=Todo.REPEAT, due_at_s=repeat_at_s, sending_since_s=since
            )
    step = _waiting(State.PARKED, entry, now_s=now_s, policy=policy)
    return Step(state=State.PARKED, todo=step.todo, due_at_s=step.due_at_s, sending_since_s=since)


def _waiting(state: State, entry: Entry, *, now_s: float, policy: Policy) -> Step:
    """Ask again by the timetable, counted from the acceptance or from the first request."""
    since = entry.accepted_at_s if entry.accepted_at_s is not None else entry.first_sent_at_s
    due_at_s = next_ask_s(since if since is not None else now_s, now_s, policy)
    return Step(state=state, todo=None if due_at_s is None else Todo.ASK, due_at_s=due_at_s)


def _with_flag(step: Step, flag: Flag, *, not_found_at_s: float | None = None) -> Step:
    return Step(
        state=step.state, todo=step.todo, due_at_s=step.due_at_s, flag=flag, not_found_at_s=not_found_at_s
    )


def _in_doubt(todo: Todo, due_at_s: float) -> Step:
    return Step(state=State.IN_DOUBT, todo=todo, due_at_s=due_at_s)
