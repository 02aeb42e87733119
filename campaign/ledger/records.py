"""What goes into the ledger and comes out of it, beside entries and campaigns. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from campaign.domain.answer import Outcome, QueryAnswer, SendAnswer, Status
from campaign.domain.decision import Step
from campaign.domain.entry import Claim, Entry, Sending
from campaign.domain.limits import Cap
from campaign.domain.state import State

T = TypeVar("T", Entry, Sending)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun(Generic[T]):
    """What `Ledger.begin_sends` and `Ledger.suspect` did; entries as they are now."""

    entries: tuple[T, ...] = ()
    #: Entries that a cap holds back, as they were.
    held: tuple[tuple[Entry | Claim, Cap], ...] = ()
    #: Entries that were not, or no longer, in the state for it; somebody else may have taken them.
    stale: tuple[Entry | Claim, ...] = ()


class SendResult(NamedTuple):
    """What one attempt brought."""

    #: As `begin_sends` returned it, or read since.
    entry: Entry | Sending
    answer: SendAnswer
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """What one question brought."""

    #: As it was when the question was sent.
    entry: Entry
    asked_at_s: float
    answer: QueryAnswer
    #: None: nothing about the entry changes, not even when to ask again.
    step: Step | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request under a number."""

    #: Counted from 1.
    n: int
    begun_at_s: float
    ended_at_s: float | None
    #: None while no answer was recorded.
    outcome: Outcome | None
    err_code: str
    err_code_des: str
    #: The answer's body as it came; None: the ledger's copy was altered (``campaign audit``).
    raw: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPacket:
    """An entry as a record of what was sent: with its place in the order of sending."""

    #: Counts the entries of this ledger, in the order of sending.
    id: int
    entry: Entry
    #: When it was planned, and when anything about it was recorded last.
    created_at_s: float
    updated_at_s: float
    #: The body of the newest answer to a request; empty where none came, None where it was altered.
    raw: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about a number."""

    asked_at_s: float
    answered_at_s: float
    #: None when nothing was learned.
    status: Status | None
    err_code: str
    err_code_des: str
    #: As an attempt's.
    raw: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBill:
    """A funds bill's file as it came."""

    file: str
    account: str
    #: The Beijing days that it covers.
    days: frozenset[date]
    #: The same, where it was asked for by day; else empty.
    asked_days: frozenset[date]
    #: None: it was altered and cannot be read.
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """When a campaign was matched with funds bills, and the Beijing days that these cover."""

    at_s: float
    days: frozenset[date]


class EventKind(StrEnum):
    """What happened."""

    # to a campaign
    CAMPAIGN_SAVED = "campaign_saved"
    HALTED = "halted"
    RESUMED = "resumed"
    ASK_FIRST = "ask_first"
    CAMPAIGN_CANCELLED = "campaign_cancelled"
    CAMPAIGN_REOPENED = "campaign_reopened"
    PERSON_DEFERRED = "person_deferred"
    #: Matched with the funds bills, and that brought something else than the last time.
    MATCHED = "matched"
    # to the ledger
    BILL_KEPT = "bill_kept"
    # to an entry
    PLANNED = "planned"
    REVISED = "revised"
    #: Refused and unstored, and now with other values under the same number.
    CORRECTED = "corrected"
    #: Planned, but no longer in the sheet, or in a part of it that is not run now.
    UNLISTED = "unlisted"
    RELISTED = "relisted"
    SUSPECTED = "suspected"
    BEGUN = "begun"
    ANSWERED = "answered"
    #: The answer of an older attempt, or about an entry that moved on meanwhile: changed nothing.
    ANSWERED_LATE = "answered_late"
    ASKED = "asked"
    ASKED_LATE = "asked_late"
    #: A later answer contradicts what was settled.
    FLAGGED = "flagged"
    DEFERRED = "deferred"
    WOKEN = "woken"
    CANCELLED = "cancelled"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change, as it was recorded in the transaction that made it."""

    #: Counts the events of this ledger; entries that were planned together share one.
    seq: int
    #: Empty where the event concerns the ledger as a whole.
    campaign: str
    #: Empty where the event concerns the campaign as a whole.
    mch_billno: str
    at_s: float
    kind: EventKind
    before: State | None
    after: State | None
    detail: Mapping[str, object]
