"""What became of a row, as finance says it, and what a person still has to do about it.

A verdict says no more than its evidence: what WeChat Pay has not decided, or has said in two ways,
is unknown. Everything is derived from the entry alone, so the command line, the workbook and the
page cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, assert_never

from campaign.domain.answer import Status
from campaign.domain.campaign import Halt, HaltReason
from campaign.domain.days import DAY_S, beijing_text
from campaign.domain.decision import REPEAT_WINDOW_S
from campaign.domain.entry import Entry, Flag, Todo
from campaign.domain.mask import mask_inside
from campaign.domain.money import yuan_grouped
from campaign.domain.state import Evidence, State
from campaign.text import Text, text

#: An order that is still open so long after it was taken gets a person's attention (section 6).
WARN_S: Final = 25 * DAY_S
#: An unopened packet goes back after so long (R4).
CLAIM_WINDOW_S: Final = DAY_S
#: WeChat Pay answers questions about an order for so long (R4).
QUERY_WINDOW_S: Final = 30 * DAY_S


class Verdict(StrEnum):
    """What became of one row's money."""

    CLAIMED = "paid_claimed"
    UNCLAIMED = "paid_unclaimed"
    REFUNDED = "refunded"
    #: WeChat Pay calls the order FAILED: nothing was paid and never will be under this number.
    DEAD = "proven_dead"
    #: WeChat Pay never took an order: nothing was requested, or every request was refused.
    NEVER_SENT = "never_sent"
    UNKNOWN = "unknown"


#: Verdicts under which the money was taken from the account and did not come back.
PAID: Final = frozenset({Verdict.CLAIMED, Verdict.UNCLAIMED})
#: Verdicts under which WeChat Pay took the money, for a while at least.
DEBITED: Final = PAID | {Verdict.REFUNDED}


class Owner(StrEnum):
    """Who takes the next step."""

    OPERATOR = "operator"
    ENGINEER = "engineer"
    FINANCE = "finance"
    RECIPIENT = "recipient"


class Explained(Protocol):
    """What an error code means in plain words; ``campaign.wechat.answers`` has them."""

    @property
    def cause(self) -> Text: ...
    @property
    def advice(self) -> Text: ...
    @property
    def owner(self) -> Owner: ...


#: Error code -> its meaning; handed in, because the words belong to the protocol.
Explain = Callable[[str], Explained]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Why a person has to look at an entry, what helps, and until when (Unix seconds)."""

    reason: Text
    advice: Text
    owner: Owner
    until_s: float | None = None


VERDICT_TEXT: Final[dict[Verdict, Text]] = {
    Verdict.CLAIMED: text("paid and claimed"),
    Verdict.UNCLAIMED: text("paid, not claimed yet"),
    Verdict.REFUNDED: text("not claimed, money came back"),
    Verdict.DEAD: text("failed for good, nothing paid"),
    Verdict.NEVER_SENT: text("never sent, nothing paid"),
    Verdict.UNKNOWN: text("unknown, money may have moved"),
}

STATE_TEXT: Final[dict[State, Text]] = {
    State.PLANNED: text("planned"),
    State.IN_DOUBT: text("in doubt"),
    State.PARKED: text("held by WeChat Pay"),
    State.ACCEPTED: text("taken, not opened yet"),
    State.RECEIVED: text("opened"),
    State.REFUNDED: text("came back"),
    State.REJECTED: text("not paid"),
    State.CANCELLED: text("withdrawn"),
}

OWNER_TEXT: Final[dict[Owner, Text]] = {
    Owner.OPERATOR: text("operator"),
    Owner.ENGINEER: text("engineer"),
    Owner.FINANCE: text("finance"),
    Owner.RECIPIENT: text("recipient"),
}


def verdict(entry: Entry) -> Verdict:
    """What became of this entry's money, as far as it is proven."""
    if entry.flag in (Flag.MISMATCH, Flag.CONTRADICTION):
        return Verdict.UNKNOWN  # two answers, or another order under our number: neither is proof
    match entry.state:
        case State.RECEIVED:
            return Verdict.CLAIMED
        case State.REFUNDED:
            return Verdict.REFUNDED
        case State.ACCEPTED:
            # SENDING is undecided (R4), whatever the answer to the request had promised.
            return Verdict.UNKNOWN if entry.status == Status.SENDING else Verdict.UNCLAIMED
        case State.REJECTED:
            return Verdict.DEAD if entry.evidence is Evidence.DEAD else Verdict.NEVER_SENT
        case State.PLANNED | State.CANCELLED:
            return Verdict.NEVER_SENT
        case State.IN_DOUBT | State.PARKED:
            return Verdict.UNKNOWN
        case _:
            assert_never(entry.state)


def is_dead(entry: Entry) -> bool:
    """Whether WeChat Pay itself calls the order failed: only then may the row get another number."""
    return entry.state is State.REJECTED and entry.evidence is Evidence.DEAD


def evidence(entry: Entry) -> Text:
    """What the verdict rests on, in one sentence."""
    match entry.state:
        case State.PLANNED | State.CANCELLED if entry.flag is None:
            return text("no request was taken by WeChat Pay")
        case State.RECEIVED if entry.rcv_time:
            return text("WeChat Pay says {status}, opened {time}", status=entry.status, time=entry.rcv_time)
        case State.REFUNDED if entry.refund_time:
            return text("WeChat Pay says {status}, back {time}", status=entry.status, time=entry.refund_time)
        case State.REJECTED if entry.evidence is Evidence.UNSTORED:
            return text("refused ({code}), and WeChat Pay knows no such order", code=entry.err_code or "–")
        case State.IN_DOUBT if entry.asked_at_s is None:
            return text("no clear answer, not asked yet")
        case State.ACCEPTED if not entry.status:
            return text("taken: the request was answered with SUCCESS")
    if not entry.status:
        return text("no clear answer, asked {time}", time=_time(entry.asked_at_s))
    if entry.asked_at_s is None:
        return text("WeChat Pay says {status}", status=entry.status)
    return text("WeChat Pay says {status}, asked {time}", status=entry.status, time=_time(entry.asked_at_s))


def deadline_s(entry: Entry) -> float | None:
    """Until when a packet can be opened, or its number sent again; None where nothing runs out."""
    match entry.state:
        case State.ACCEPTED if entry.accepted_at_s is not None:
            return entry.accepted_at_s + CLAIM_WINDOW_S
        case State.IN_DOUBT | State.PARKED if entry.first_sent_at_s is not None:
            return entry.first_sent_at_s + REPEAT_WINDOW_S
    return None


def needs_person(
    entry: Entry,
    *,
    now_s: float,
    explain: Explain,
    issued_again: bool = False,
    cancelled: bool = False,
    found: Need | None = None,
) -> Need | None:
    """What a person has to do about this entry; None when the program goes on by itself.

    The one source of the command line's ``needs_person`` and of the report's exceptions.

    Args:
        issued_again: the row has a later number, which speaks for it from then on.
        cancelled: its campaign was, so nothing is sent again.
        found: what the last match with the funds bills has to say of it. It comes before what would have an
            unpaid row paid again.
    """
    if entry.flag is not None:
        return _flagged(entry, entry.flag, explain, issued_again=issued_again)
    if issued_again and is_dead(entry):
        return found
    since_s = _since_s(entry, now_s)
    match entry.state:
        case State.REJECTED:
            return found or _rejected(entry, explain)
        case State.PARKED if entry.todo is not Todo.REPEAT:
            return _parked(entry, explain, now_s=now_s, cancelled=cancelled)
        case State.IN_DOUBT if entry.todo is None or now_s - since_s >= REPEAT_WINDOW_S:
            return _stuck(entry, explain)
        case State.ACCEPTED if now_s - since_s >= WARN_S:
            return _overdue(entry, since_s, now_s=now_s)
        case State.REFUNDED if entry.refund_amount not in (0, entry.total_amount):
            return Need(
                reason=text(
                    "{yuan} yuan were sent, and {refund} yuan came back",
                    yuan=yuan_grouped(entry.total_amount),
                    refund=yuan_grouped(entry.refund_amount),
                ),
                advice=text("look for the rest in the funds bill; if it is not there, ask WeChat Pay"),
                owner=Owner.FINANCE,
            )
    return found


def halt_advice(halt: Halt, explain: Explain) -> Text:
    """Why sending stopped, who acts, and the next step."""
    match halt.reason:
        case HaltReason.WAITING if halt.cancelled:
            return text(
                "What was sent before the campaign was cancelled is only asked about: run `campaign "
                "reconcile`."
            )
        case HaltReason.WAITING if halt.until_s is not None:
            return text(
                "Rows wait for their time: run the same command again after {time} (Beijing).",
                time=beijing_text(halt.until_s),
            )
        case HaltReason.WAITING:
            return text("Rows wait for their time: run the same command again later.")
        case HaltReason.BALANCE:
            return text(
                "Not enough money: finance tops up at least {yuan} yuan, to the operation account (运营账户) "
                "if the merchant has one, otherwise to the basic account (基本账户); then run the same "
                "command again.",
                yuan=yuan_grouped(halt.missing_fen),
            )
        case HaltReason.MERCHANT_LIMIT if halt.until_s is not None:
            return text(
                "The merchant's daily limit at WeChat Pay is used up: run the same command again after "
                "{time} (Beijing), or raise the limit on the merchant platform first.",
                time=beijing_text(halt.until_s),
            )
        case HaltReason.MERCHANT_LIMIT:
            return text(
                "A limit of WeChat Pay for the whole merchant is used up: raise it on the merchant platform, "
                "or run the same command again on the next day."
            )
        case HaltReason.CAMPAIGN_LIMIT:
            return text(
                "The campaign's budget is used up, {yuan} yuan are still to be paid: raise campaign_yuan "
                "under [limits] in campaign.toml if that is right, then run the same command again.",
                yuan=yuan_grouped(halt.missing_fen),
            )
        case HaltReason.IN_DOUBT_LIMIT:
            return text(
                "As much money is in doubt as in_doubt_yuan under [limits] allows: run `campaign reconcile`, "
                "and when it is resolved the same command again. What stays in doubt for days can only be "
                "looked up on the merchant platform; then raise in_doubt_yuan."
            )
        case HaltReason.BREAKER if not halt.err_code:
            return text(
                "Too many requests brought no clear answer: wait some minutes, try `campaign doctor`, then "
                "run the same command again."
            )
        case HaltReason.BREAKER:
            return text(
                "Too many requests went wrong one after another: {cause}. Next step: {advice}.",
                cause=explain(halt.err_code).cause,
                advice=explain(halt.err_code).advice,
            )
        case HaltReason.SETTINGS:
            return text(
                "WeChat Pay refuses every request: {cause}. Next step: {advice}. `campaign doctor` shows "
                "whether it helped.",
                cause=explain(halt.err_code).cause,
                advice=explain(halt.err_code).advice,
            )
        case HaltReason.UNREACHABLE:
            return text(
                "WeChat Pay cannot be reached: check this machine's network with `campaign doctor`, then run "
                "the same command again."
            )
        case HaltReason.MISMATCH:
            return text(
                "WeChat Pay holds orders with another openid or amount under our numbers: another list may "
                "have been paid under this campaign's name. An engineer compares the rows in `campaign "
                "status` with the merchant platform before anything more is sent."
            )
        case HaltReason.INTERRUPTED:
            return text("Interrupted: run the same command again, it finishes the work.")
        case HaltReason.STORAGE:
            return text(
                "The ledger could not be written: make room on the disk or make the folder writable, then "
                "run the same command again."
            )
        case _:
            assert_never(halt.reason)


def _flagged(entry: Entry, flag: Flag, explain: Explain, *, issued_again: bool) -> Need:
    match flag:
        case Flag.MISMATCH:
            return Need(
                reason=text("WeChat Pay holds another order (openid or amount) under this number"),
                advice=text(
                    "compare this row with the order on the merchant platform; do not pay this row in any "
                    "other way before that"
                ),
                owner=Owner.ENGINEER,
            )
        case Flag.OTHER_ID:
            return Need(
                reason=text(
                    "WeChat Pay names this packet {detail_id}, but its answer to the request said "
                    "{send_listid}",
                    detail_id=entry.detail_id or "–",
                    send_listid=entry.send_listid or "–",
                ),
                advice=text("look for both numbers in the funds bill: the row may have been debited twice"),
                owner=Owner.FINANCE,
            )
        case Flag.CONTRADICTION:
            reason = _contradicted(entry)
            if issued_again:
                reason = text("{reason}; since then the row has got another number", reason=reason)
            return Need(
                reason=reason,
                advice=text(
                    "look the number up on the merchant platform and in the funds bill; do not pay this row "
                    "again before that"
                ),
                owner=Owner.FINANCE,
            )
        case Flag.STUCK:
            return _stuck(entry, explain)
        case _:
            assert_never(flag)


def _contradicted(entry: Entry) -> Text:
    if entry.state is State.REJECTED:
        return text(
            "MAY HAVE BEEN PAID AFTER ALL: WeChat Pay had called this packet unpaid for good, and calls it "
            "{status} now",
            status=entry.status or "–",
        )
    if entry.state is State.CANCELLED:
        return text(
            "MAY HAVE BEEN PAID: this packet was withdrawn before it was sent from here, and WeChat Pay "
            "calls it {status}",
            status=entry.status or "–",
        )
    return text("WeChat Pay's last answer contradicts an earlier one")


def _rejected(entry: Entry, explain: Explain) -> Need:
    if entry.evidence is Evidence.UNSTORED:
        refusal = explain(entry.err_code)
        return Need(reason=refusal.cause, advice=refusal.advice, owner=refusal.owner)
    return Need(
        reason=_because(text("WeChat Pay did not pay this packet and closed it"), entry),
        advice=text(
            "to pay it after all, run `campaign reissue {campaign}`: it writes a sheet to correct and run",
            campaign=entry.campaign,
        ),
        owner=Owner.OPERATOR,
    )


def _parked(entry: Entry, explain: Explain, *, now_s: float, cancelled: bool) -> Need:
    reason = _because(text("WeChat Pay holds this packet and does not pay it"), entry)
    until_s = entry.first_sent_at_s + REPEAT_WINDOW_S if entry.first_sent_at_s is not None else None
    if until_s is None or now_s >= until_s:
        return Need(
            reason=reason,
            advice=text(
                "too late to send it again; run `campaign reconcile` until WeChat Pay calls it failed"
            ),
            owner=Owner.OPERATOR,
        )
    refusal = explain(entry.err_code) if entry.err_code else None
    owner = refusal.owner if refusal else Owner.OPERATOR
    if cancelled:
        advice = text(
            "the campaign was cancelled, so it is only asked about; to pay it after all, remove the cause "
            "and run the sheet with --reopen before {time} (Beijing)",
            time=beijing_text(until_s),
        )
    elif refusal and owner is Owner.RECIPIENT:
        advice = text(
            "{remedy}; then run the campaign again before {time} (Beijing): the packet is sent again under "
            "the same number",
            remedy=refusal.advice,
            time=beijing_text(until_s),
        )
    else:
        advice = text(
            "remove the cause, then run the campaign again before {time} (Beijing): the packet is sent again "
            "under the same number",
            time=beijing_text(until_s),
        )
    return Need(
        reason=reason,
        advice=advice,
        # A recipient runs no campaign: the operator tells them.
        owner=Owner.OPERATOR if owner is Owner.RECIPIENT else owner,
        until_s=until_s,
    )


def _stuck(entry: Entry, explain: Explain) -> Need:
    reason = text("nobody knows yet whether this packet was paid")
    if entry.err_code:
        reason = text("{reason}: {cause}", reason=reason, cause=explain(entry.err_code).cause)
    since_s = entry.first_sent_at_s
    return Need(
        reason=reason,
        advice=text(
            "run `campaign reconcile {campaign}`; if that brings no answer, look the number up on the "
            "merchant platform; do not pay this row in any other way before that",
            campaign=entry.campaign,
        ),
        owner=Owner.OPERATOR,
        until_s=None if since_s is None else since_s + QUERY_WINDOW_S,
    )


def _overdue(entry: Entry, since_s: float, *, now_s: float) -> Need:
    until_s = since_s + QUERY_WINDOW_S
    reason = text("taken on {time} (Beijing), and neither opened nor back since", time=_time(since_s))
    if now_s >= until_s:
        return Need(
            reason=reason,
            advice=text("WeChat Pay answers no more questions about it: look it up on the merchant platform"),
            owner=Owner.FINANCE,
        )
    return Need(
        reason=reason,
        advice=text(
            "run `campaign reconcile {campaign}` before {time} (Beijing); then WeChat Pay stops answering",
            campaign=entry.campaign,
            time=beijing_text(until_s),
        ),
        owner=Owner.OPERATOR,
        until_s=until_s,
    )


def _because(sentence: Text, entry: Entry) -> Text:
    """Add WeChat Pay's own words, for people only (R0.7); whom they name stays masked."""
    words = mask_inside(entry.reason or entry.err_code, entry.re_openid)
    return text("{sentence}: {words}", sentence=sentence, words=words) if words else sentence


def _since_s(entry: Entry, now_s: float) -> float:
    """When WeChat Pay took the order, or the first request left; now, where nothing did."""
    if entry.accepted_at_s is not None:
        return entry.accepted_at_s
    return entry.first_sent_at_s if entry.first_sent_at_s is not None else now_s


def _time(at_s: float | None) -> str:
    return beijing_text(at_s) if at_s is not None else "–"
