"""What WeChat Pay said, in our words. ``campaign.wechat.answers`` translates; the domain judges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What one send request taught us about the money under its number."""

    #: Taken: the order exists and will be, or is, paid.
    ACCEPTED = "accepted"
    #: Refused by a code of the named pre-acceptance list: this request stored no order.
    REFUSED = "refused"
    #: Not paid now; an order may be stored and held (balance, caps, risk).
    BLOCKED = "blocked"
    #: Taken in, result later; ask after 20 minutes.
    PROCESSING = "processing"
    #: Too fast; the request counts for nothing.
    THROTTLED = "throttled"
    #: An order with other facts exists under this number.
    MISMATCH = "mismatch"
    #: Anything else, silence included: money may have moved.
    UNKNOWN = "unknown"
    #: No byte left this machine.
    NOT_SENT = "not_sent"


class Reach(StrEnum):
    """Whom an answer concerns beside its own row (R5.1, last column)."""

    #: This row only.
    ROW = "row"
    #: Everybody's pace: slow down.
    PACE = "pace"
    #: This recipient's rows, until the next Beijing day.
    PERSON = "person"
    #: Perhaps everybody; counted by the breaker.
    BREAKER = "breaker"
    #: Harmless once; the second one in a run pauses the campaign.
    SECOND = "second"
    #: Every further row would meet the same: pause until a person acts.
    PAUSE = "pause"
    #: The settings are wrong: stop at once.
    ABORT = "abort"


class Status(StrEnum):
    """What ``gethbinfo`` says of an order (R4), with NOT_FOUND as one more word."""

    SENDING = "SENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    RECEIVED = "RECEIVED"
    RFUND_ING = "RFUND_ING"
    REFUND = "REFUND"
    NOT_FOUND = "NOT_FOUND"


class SendAnswer(NamedTuple):
    """The answer to one send request, or the lack of one."""

    outcome: Outcome
    reach: Reach = Reach.ROW
    err_code: str = ""
    #: For people only; never decided upon (R0.7).
    err_code_des: str = ""
    send_listid: str = ""
    #: The answer's body as it came; empty when none came.
    raw: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One ``hbinfo``: who opened the packet."""

    openid: str
    #: Fen.
    amount: int
    #: WeChat's own text, Beijing time; may be empty (R3.2).
    rcv_time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAnswer:
    """The answer to one question. ``status`` None means that nothing was learned."""

    status: Status | None = None
    reach: Reach = Reach.ROW
    err_code: str = ""
    #: For people only.
    err_code_des: str = ""
    detail_id: str = ""
    #: Fen; None where the answer lacks it.
    total_amount: int | None = None
    #: Free text; its presence under SENDING means "parked", its words mean nothing to us.
    reason: str = ""
    refund_time: str = ""
    refund_amount: int | None = None
    claims: tuple[Claim, ...] = ()
    raw: bytes = b""
