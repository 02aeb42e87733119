"""What to do after each answer: pure functions over what happened, one screen each (section 4).

No refusal settles an entry by itself: a failing answer may hide an undecided one, and it speaks for
its own request only. `after_send` therefore never rejects; it schedules the question. `after_query`
judges what the question brought, in the light of every request that was sent under the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple, assert_never

from campaign.domain.answer import Outcome, Reach, Status
from campaign.domain.days import DAY_S, HOUR_S, next_day_start_s
from campaign.domain.entry import Entry, Flag, Sending, Todo
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

_LAST_DAY: Final = int(LAST_ASK_S // DAY_S)


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


class Step(NamedTuple):
    """The entry's next state, and what the program does next for it, and when."""

    state: State
    todo: Todo | None = None
    due_at_s: float | None = None
    evidence: Evidence | None = None
    flag: Flag | None = None
    not_found_at_s: float | None = None
    sending_since_s: float | None = None


def after_send(outcome: Outcome, entry: Entry | Sending, *, now_s: float, policy: Policy) -> Step:
    """Choose the next step for an entry after the answer to its last attempt.

    Args:
        outcome: of the last attempt.
        entry: with that attempt counted by its tally, unless it was accepted: that alone decides then.
    """
    if outcome is Outcome.ACCEPTED:
        return after_acceptance(now_s, policy)
    ask = Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=now_s + policy.doubt_ask_s)
    match outcome:
        case Outcome.NOT_SENT if entry.tally.not_sent == entry.tally.attempts:
            return Step(state=State.PLANNED)
        case Outcome.NOT_SENT | Outcome.THROTTLED:
            repeat_at_s = now_s + backoff_s(entry.tally.attempts)
            if may_repeat(entry, now_s=repeat_at_s, policy=policy):
                return Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=repeat_at_s)
            return ask
        case Outcome.PROCESSING:
            return ask._replace(due_at_s=now_s + policy.processing_ask_s)
        case Outcome.REFUSED | Outcome.BLOCKED | Outcome.UNKNOWN:
            return ask
        case Outcome.MISMATCH:
            return ask._replace(flag=Flag.MISMATCH)
        case _:
            assert_never(outcome)


def after_acceptance(now_s: float, policy: Policy) -> Step:
    """The next step for every entry that is accepted at this moment."""
    return Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=next_ask_s(now_s, now_s, policy))


def after_query(
    status: Status, entry: Entry, *, reason: str = "", now_s: float, run_started_s: float, policy: Policy
) -> Step:
    """Judge what WeChat Pay's answer to a question proves about an entry.

    Args:
        entry: open (in doubt, parked or accepted), as it was when the question was sent; no attempt
            began since.
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
        case Status.NOT_FOUND if entry.state is State.IN_DOUBT:
            return _not_found(entry, now_s=now_s, run_started_s=run_started_s, policy=policy)
        case Status.NOT_FOUND if _forgotten(entry, now_s):
            return Step(state=entry.state)
        case Status.NOT_FOUND:
            # They had the order and now they have not: never evidence, always a person's matter.
            step = _waiting(entry.state, entry, now_s=now_s, policy=policy)
            return step._replace(flag=Flag.CONTRADICTION)
        case _:
            assert_never(status)


def after_no_answer(entry: Entry, *, now_s: float) -> Step:
    """A question that failed changes nothing; it is put again a minute later, while that can help."""
    ask = not _forgotten(entry, now_s)
    return Step(
        state=entry.state,
        todo=Todo.ASK if ask else None,
        due_at_s=now_s + ASK_AGAIN_S if ask else None,
        evidence=entry.evidence,
        flag=entry.flag,
        not_found_at_s=entry.not_found_at_s,
        sending_since_s=entry.sending_since_s,
    )


def next_ask_s(since_s: float, now_s: float, policy: Policy) -> float | None:
    """When to ask next about an order that was taken at ``since_s``; None after day 28.

    The timetable of section 6, then daily; the last question falls on day 28 exactly.
    """
    for wait_s in chain(policy.poll_s, (day * DAY_S for day in range(1, _LAST_DAY + 1))):
        if wait_s <= LAST_ASK_S and since_s + wait_s > now_s:
            return since_s + wait_s
    return None


def backoff_s(attempts: int) -> float:
    """Seconds to wait after the given attempt, counted from 1: doubling from one second, capped."""
    return float(min(REPEAT_GAP_S * 2 ** min(max(attempts, 1) - 1, 10), BACKOFF_MAX_S))


def may_repeat(entry: Entry | Sending, *, now_s: float, policy: Policy) -> bool:
    """Whether the same number may be sent once more: within 72 h of its first request, and not for ever."""
    if entry.tally.attempts - entry.tally.not_sent >= policy.attempts_max:
        return False
    return entry.first_sent_at_s is None or now_s - entry.first_sent_at_s < REPEAT_WINDOW_S


def _not_found(entry: Entry, *, now_s: float, run_started_s: float, policy: Policy) -> Step:
    """NOT_FOUND (R4.1): no proof of failure, unless every request was refused before it was stored."""
    first_s = now_s if entry.not_found_at_s is None else min(entry.not_found_at_s, now_s)
    seen = Step(state=State.IN_DOUBT, not_found_at_s=first_s)
    if _forgotten(entry, now_s):
        return seen._replace(flag=Flag.STUCK)
    again_s = first_s + policy.not_found_repeat_s
    if entry.tally.unanswered and now_s < again_s:
        # A request without an answer may still be on its way into their books.
        return seen._replace(todo=Todo.ASK, due_at_s=again_s)
    if entry.last_outcome is Outcome.REFUSED and not entry.tally.held:
        return seen._replace(state=State.REJECTED, evidence=Evidence.UNSTORED)
    flag = Flag.MISMATCH
    if entry.last_outcome is not Outcome.MISMATCH:
        flag = Flag.STUCK
        repeat_at_s = _repeat_at_s(entry, now_s=now_s, run_started_s=run_started_s, policy=policy)
        if repeat_at_s is not None:
            return seen._replace(todo=Todo.REPEAT, due_at_s=repeat_at_s)
    step = _waiting(State.IN_DOUBT, entry, now_s=now_s, policy=policy)
    return step._replace(flag=flag, not_found_at_s=first_s)


def _sending(entry: Entry, *, reason: str, now_s: float, run_started_s: float, policy: Policy) -> Step:
    """SENDING (R4): on its way; with a reason, or for more than a day, it is held and not paid."""
    since_s = now_s if entry.sending_since_s is None else min(entry.sending_since_s, now_s)
    if not reason and now_s - since_s <= SENDING_PATIENCE_S:
        step = _waiting(State.ACCEPTED, entry, now_s=now_s, policy=policy)
        return step._replace(sending_since_s=since_s)
    # Balance, caps and closed APIs are mended: the operator's next command, or the next day, is the word
    # to repeat. Not so an intercepted packet (NO_AUTH): without the policy a person decides.
    mended = entry.last_outcome is Outcome.BLOCKED and entry.last_reach is not Reach.BREAKER
    # Of an order that another ledger sent we do not know when its 72 h end: ask only.
    if (mended or policy.parked_auto) and entry.first_sent_at_s is not None:
        repeat_at_s = _repeat_at_s(entry, now_s=now_s, run_started_s=run_started_s, policy=policy)
        if repeat_at_s is not None:
            return Step(state=State.PARKED, todo=Todo.REPEAT, due_at_s=repeat_at_s, sending_since_s=since_s)
    step = _waiting(State.PARKED, entry, now_s=now_s, policy=policy)
    return step._replace(sending_since_s=since_s)


def _repeat_at_s(entry: Entry, *, now_s: float, run_started_s: float, policy: Policy) -> float | None:
    """When the same number may be sent again; None when never, or only after a person's next command."""
    at_s = max(now_s, (entry.last_sent_at_s or 0.0) + REPEAT_GAP_S)
    if entry.last_outcome in (Outcome.BLOCKED, Outcome.REFUSED) and entry.last_sent_at_s is not None:
        if entry.last_reach is Reach.PERSON:
            at_s = max(at_s, next_day_start_s(entry.last_sent_at_s))
        elif entry.last_sent_at_s >= run_started_s:
            return None
    return at_s if may_repeat(entry, now_s=at_s, policy=policy) else None


def _waiting(state: State, entry: Entry, *, now_s: float, policy: Policy) -> Step:
    """Ask again by the timetable, counted from the acceptance, or from the first that we know of."""
    known = (entry.accepted_at_s, entry.first_sent_at_s, entry.sending_since_s, now_s)
    due_at_s = next_ask_s(next(s for s in known if s is not None), now_s, policy)
    return Step(state=state, todo=None if due_at_s is None else Todo.ASK, due_at_s=due_at_s)


def _forgotten(entry: Entry, now_s: float) -> bool:
    """Whether an order would be so old that WeChat Pay may have forgotten it: NOT_FOUND proves nothing."""
    since_s = entry.accepted_at_s if entry.first_sent_at_s is None else entry.first_sent_at_s
    return since_s is not None and now_s - since_s > NOT_FOUND_WINDOW_S
