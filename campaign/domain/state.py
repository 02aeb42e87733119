"""What an entry's state promises about the money, and every way from one to another (section 4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """The state of one entry, that is of one bill number."""

    #: Nothing was ever sent under this number.
    PLANNED = "planned"
    #: A request may have left; money may have moved. Being sent *is* being in doubt.
    IN_DOUBT = "in_doubt"
    #: WeChat Pay holds the order and does not pay it.
    PARKED = "parked"
    #: Taken by WeChat Pay; waiting to be opened.
    ACCEPTED = "accepted"
    #: Opened: the money is the recipient's.
    RECEIVED = "received"
    #: Not opened in time: the money came back.
    REFUNDED = "refunded"
    #: Nothing was paid under this number; see `Evidence`.
    REJECTED = "rejected"
    #: Withdrawn by a person before anything was sent.
    CANCELLED = "cancelled"


class Evidence(StrEnum):
    """Why we say that nothing was paid under a rejected number."""

    #: WeChat Pay itself calls the order FAILED. Final.
    DEAD = "dead"
    #: Every request was refused before an order was stored, and the order is NOT_FOUND.
    UNSTORED = "unstored"


#: Each edge with the reason for its existence. What is not here is a bug in this program.
TRANSITIONS: Final[dict[tuple[State, State], str]] = {
    (State.PLANNED, State.IN_DOUBT): "a request is about to leave, or the ledger may be behind the truth",
    (State.PLANNED, State.CANCELLED): "withdrawn by a person",
    (State.IN_DOUBT, State.IN_DOUBT): "another attempt under this number, or a question that settled nothing",
    (State.IN_DOUBT, State.PLANNED): "every attempt provably never left this process",
    (State.IN_DOUBT, State.PARKED): "asked: the order is held with a reason",
    (State.IN_DOUBT, State.ACCEPTED): "taken, by the answer or by a question",
    (State.IN_DOUBT, State.RECEIVED): "asked: opened",
    (State.IN_DOUBT, State.REFUNDED): "asked: came back",
    (State.IN_DOUBT, State.REJECTED): "dead or unstored",
    (State.PARKED, State.PARKED): "asked: still held",
    (State.PARKED, State.IN_DOUBT): "repeated under the same number by the parked policy",
    (State.PARKED, State.ACCEPTED): "asked: paid after all",
    (State.PARKED, State.RECEIVED): "asked: opened",
    (State.PARKED, State.REFUNDED): "asked: came back",
    (State.PARKED, State.REJECTED): "asked: FAILED",
    (State.ACCEPTED, State.ACCEPTED): "asked: not opened yet",
    (State.ACCEPTED, State.PARKED): "asked: held after all",
    (State.ACCEPTED, State.RECEIVED): "asked: opened",
    (State.ACCEPTED, State.REFUNDED): "asked: came back",
    (State.ACCEPTED, State.REJECTED): "asked: FAILED",
    (
        State.REJECTED,
        State.PLANNED,
    ): "unstored and corrected: at most one order can be stored under the number",
    (State.CANCELLED, State.PLANNED): "the campaign was reopened",
}

#: No further change is expected.
SETTLED: Final = frozenset({State.RECEIVED, State.REFUNDED, State.REJECTED, State.CANCELLED})

#: Something is at WeChat Pay, or may be; reconciliation asks about these.
OPEN: Final = frozenset({State.IN_DOUBT, State.PARKED, State.ACCEPTED})

#: Taken by WeChat Pay: the money left the account, for a while at least.
TAKEN: Final = frozenset({State.ACCEPTED, State.RECEIVED, State.REFUNDED})

#: Counted against every cap: the money has left, or may have.
COMMITTED: Final = frozenset({State.IN_DOUBT, State.PARKED, State.ACCEPTED, State.RECEIVED})


def may_move(before: State, after: State) -> bool:
    """Whether the table has this edge."""
    return (before, after) in TRANSITIONS
