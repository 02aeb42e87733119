"""A row's record in the ledger, as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from campaign.domain.answer import Outcome, Reach, SendAnswer
from campaign.domain.state import Evidence, State

#: "This packet has failed": an order existed under the number (R5.1), whatever became of it.
ORDER_EXISTED: Final = "SEND_FAILED"
_HELD: Final = frozenset({Outcome.BLOCKED, Outcome.PROCESSING, Outcome.MISMATCH, Outcome.ACCEPTED})


class Todo(StrEnum):
    """The next step that the program itself takes for an open entry, at ``Entry.due_at_s``."""

    ASK = "ask"
    REPEAT = "repeat"


class Flag(StrEnum):
    """Why a person has to look at an entry, beside what its state says."""

    #: WeChat Pay holds another order under this number (FATAL_ERROR, or another amount echoed).
    MISMATCH = "mismatch"
    #: ``detail_id`` differs from ``send_listid``.
    OTHER_ID = "other_id"
    #: An answer that contradicts what was settled.
    CONTRADICTION = "contradiction"
    #: No repeat is allowed any more and no status came: only a person can go on.
    STUCK = "stuck"


class Tally(NamedTuple):
    """The requests sent under one number, by what they taught us.

    A request whose answer was never recorded (crash, timeout) is in ``attempts`` and in none of the
    other counts, so it is remembered without anybody having to write that down.
    """

    attempts: int = 0
    refused: int = 0
    not_sent: int = 0
    #: Answers after which an order may be stored: BLOCKED, PROCESSING, MISMATCH, ACCEPTED, SEND_FAILED.
    held: int = 0

    @property
    def unanswered(self) -> int:
        """Requests that left and may still become an order without our having been told."""
        return self.attempts - self.refused - self.not_sent - self.held

    def with_answer(self, answer: SendAnswer) -> Tally:
        """Count what the last attempt, already among ``attempts``, was answered."""
        if answer.outcome is Outcome.REFUSED:
            return self._replace(refused=self.refused + 1)
        if answer.outcome is Outcome.NOT_SENT:
            return self._replace(not_sent=self.not_sent + 1)
        if answer.outcome in _HELD or answer.err_code == ORDER_EXISTED:
            return self._replace(held=self.held + 1)
        return self


class NewEntries(NamedTuple):
    """Entries about to be planned, by columns, at a twentieth of the cost of `Entry`s. Fields as there."""

    mch_billno: Sequence[str]
    row_key: Sequence[str]
    issue: Sequence[int]
    sheet: Sequence[str]
    row: Sequence[int]
    re_openid: Sequence[str]
    #: Fen.
    total_amount: Sequence[int]
    #: Empty: the one that follows from the number.
    nonce_str: Sequence[str]
    #: `canonical_json` of the operator's own columns.
    own: Sequence[str]
    #: The request parameters that all entries of one wording share, "" in place of the others; one object for
    #: all of them.
    shared: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One bill number with all that is known about it. Times are Unix seconds, amounts fen."""

    mch_billno: str
    campaign: str
    row_key: str
    issue: int = 1
    #: Where the row stood when it was planned last.
    sheet: str
    row: int
    re_openid: str
    total_amount: int
    #: Request parameters without ``sign``; frozen once ``tally.attempts`` > ``tally.not_sent``.
    parameters: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict)

    state: State = State.PLANNED
    evidence: Evidence | None = None
    flag: Flag | None = None
    tally: Tally = field(default_factory=Tally)
    #: What the last attempt taught us, None while its answer is missing; and whom that concerned.
    last_outcome: Outcome | None = None
    last_reach: Reach = Reach.ROW
    #: The last send answer's code, or the last question's where only that failed.
    err_code: str = ""
    #: WeChat Pay's words for it; for people only.
    reason: str = ""

    todo: Todo | None = None
    due_at_s: float | None = None
    #: A planned entry is not sent before this moment (a person's daily cap).
    not_before_s: float | None = None
    first_sent_at_s: float | None = None
    last_sent_at_s: float | None = None
    #: The first NOT_FOUND since the last attempt.
    not_found_at_s: float | None = None
    #: The first SENDING since the last attempt.
    sending_since_s: float | None = None
    accepted_at_s: float | None = None
    settled_at_s: float | None = None
    asked_at_s: float | None = None

    #: WeChat Pay's last word on the order.
    status: str = ""
    send_listid: str = ""
    detail_id: str = ""
    rcv_time: str = ""
    refund_time: str = ""
    refund_amount: int = 0

    @property
    def attempt(self) -> int:
        """The number of the last attempt; 0 when there was none."""
        return self.tally.attempts


class Claim(NamedTuple):
    """What has to be known of an entry in order to claim it for a request; a fraction of reading it whole."""

    mch_billno: str
    campaign: str
    re_openid: str
    #: Fen.
    total_amount: int
    state: State
    attempt: int


class Sending(NamedTuple):
    """An entry in doubt whose request is about to leave: what that, and judging the answer, needs of it."""

    mch_billno: str
    campaign: str
    re_openid: str
    #: Fen.
    total_amount: int
    #: As `Entry.parameters`.
    parameters: Mapping[str, str]
    #: With this request among its attempts.
    tally: Tally
    #: Unix seconds.
    first_sent_at_s: float

    @property
    def attempt(self) -> int:
        """The number of this request, from 1."""
        return self.tally.attempts
