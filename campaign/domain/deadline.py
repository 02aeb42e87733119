"""The moments after which something about a packet can no longer be done, or learned (R4, R10.2).

A row stands before at most one cliff of each kind, so the rows of a board add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from campaign.domain.days import DAY_S
from campaign.domain.decision import LAST_ASK_S, REPEAT_WINDOW_S
from campaign.domain.state import OPEN, TAKEN, State
from campaign.domain.verdict import CLAIM_WINDOW_S, QUERY_WINDOW_S, WARN_S
from campaign.text import Text, text

#: Funds bills are kept for three months (R10.3), of which the shortest have 89 days.
BILL_WINDOW_S: Final = 89 * DAY_S


class Cliff(StrEnum):
    """What ends. The value is the JSON's."""

    #: The packet can be opened.
    CLAIM = "claim"
    #: The same number can be sent once more.
    REPEAT = "repeat"
    #: From day 25 on a row without an outcome needs a person.
    QUERY_WARNING = "query_warning"
    #: The program's own last question, on day 28.
    LAST_ASK = "last_ask"
    #: WeChat Pay answers questions about the order.
    QUERY_END = "query_end"
    #: The day's funds bill can be downloaded.
    BILL = "bill"


class Since(StrEnum):
    """From when a window is counted."""

    #: The first request under the number left.
    SENT = "sent"
    #: WeChat Pay took the order; where nobody knows when, the first request left.
    TAKEN = "taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which rows stand before a cliff: those in these states for longer than one time, less than another."""

    cliff: Cliff
    states: frozenset[State]
    since: Since
    begins_s: float = 0.0
    ends_s: float
    #: People are told when the first row is so near to the end; zero: it takes its course.
    near_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """One line of the board."""

    cliff: Cliff
    #: When the first of the rows gets there, in Unix seconds.
    at_s: float
    rows: int
    fen: int
    #: Somebody should know.
    near: bool


#: Rows, fen, and the moment from which the oldest row's window is counted.
Aged = tuple[int, int, float | None]

_UNDECIDED: Final = frozenset({State.IN_DOUBT, State.PARKED})

WINDOWS: Final = (
    Window(cliff=Cliff.CLAIM, states=frozenset({State.ACCEPTED}), since=Since.TAKEN, ends_s=CLAIM_WINDOW_S),
    # Two nights before it ends, so that one may be missed.
    Window(
        cliff=Cliff.REPEAT,
        states=_UNDECIDED,
        since=Since.SENT,
        ends_s=REPEAT_WINDOW_S,
        near_s=2 * DAY_S,
    ),
    Window(cliff=Cliff.QUERY_WARNING, states=OPEN, since=Since.TAKEN, ends_s=WARN_S),
    Window(
        cliff=Cliff.LAST_ASK,
        states=OPEN,
        since=Since.TAKEN,
        begins_s=WARN_S,
        ends_s=LAST_ASK_S,
        near_s=LAST_ASK_S,
    ),
    Window(
        cliff=Cliff.QUERY_END,
        states=OPEN,
        since=Since.TAKEN,
        begins_s=LAST_ASK_S,
        ends_s=QUERY_WINDOW_S,
        near_s=QUERY_WINDOW_S,
    ),
    Window(cliff=Cliff.BILL, states=TAKEN, since=Since.TAKEN, ends_s=BILL_WINDOW_S, near_s=7 * DAY_S),
)

CLIFF_TEXT: Final[dict[Cliff, Text]] = {
    Cliff.CLAIM: text("can still be opened; afterwards the money comes back"),
    Cliff.REPEAT: text("without a clear answer; afterwards the same number is not sent again"),
    Cliff.QUERY_WARNING: text("without an outcome; afterwards they need a person"),
    Cliff.LAST_ASK: text("without an outcome; then they are asked about for the last time"),
    Cliff.QUERY_END: text("without an outcome; afterwards WeChat Pay answers no more questions"),
    Cliff.BILL: text("on funds bills that can still be downloaded; afterwards they cannot"),
}


def deadlines(aged: Callable[[Window, float, float], Aged], *, now_s: float) -> list[Deadline]:
    """The board of one campaign, the nearest cliff first.

    Args:
        aged: the rows of a window that began after the first moment, and not after the second.
    """
    board = []
    for window in WINDOWS:
        rows, fen, since_s = aged(window, now_s - window.ends_s, now_s - window.begins_s)
        if rows and since_s is not None:
            at_s = since_s + window.ends_s
            near = at_s - now_s <= window.near_s if window.near_s else False
            board.append(Deadline(cliff=window.cliff, at_s=at_s, rows=rows, fen=fen, near=near))
    return sorted(board, key=lambda deadline: deadline.at_s)
