"""What the three-way match found, in words for the person who acts on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from campaign.domain.answer import Status
from campaign.domain.bill import BillLine
from campaign.domain.days import beijing_text
from campaign.domain.entry import Entry, Flag
from campaign.domain.money import yuan_grouped
from campaign.domain.state import OPEN, State
from campaign.domain.verdict import STATE_TEXT, Owner
from campaign.text import Text, text


class Kind(StrEnum):
    """What does not fit, the loudest first."""

    #: More than one debit for one row: the disaster that everything here is made to prevent.
    TWO_DEBITS = "two_debits"
    #: A debit for a row that the ledger does not call paid.
    DEBIT_UNEXPECTED = "debit_unexpected"
    #: A packet's line that no row of the ledger explains.
    NOT_IN_LEDGER = "not_in_ledger"
    AMOUNT_DIFFERS = "amount_differs"
    #: Paid by ledger and ``gethbinfo``, and the bill of that day has no debit.
    NOT_IN_BILL = "not_in_bill"
    REFUND_MISSING = "refund_missing"
    TWO_REFUNDS = "two_refunds"
    #: A credit for a row that did not come back by ledger and ``gethbinfo``.
    REFUND_UNEXPECTED = "refund_unexpected"
    #: ``gethbinfo`` contradicts the ledger, or itself.
    ANSWERS_DIFFER = "answers_differ"
    #: A business of which nobody said whether it is packets.
    UNKNOWN_BUSINESS = "unknown_business"


KIND_TEXT: Final[dict[Kind, Text]] = {
    Kind.TWO_DEBITS: text("DEBITED TWICE"),
    Kind.DEBIT_UNEXPECTED: text("debited, and not paid by the ledger"),
    Kind.NOT_IN_LEDGER: text("in the bill, not in the ledger"),
    Kind.AMOUNT_DIFFERS: text("another amount"),
    Kind.NOT_IN_BILL: text("in the ledger, not in the bill"),
    Kind.REFUND_MISSING: text("refund missing in the bill"),
    Kind.TWO_REFUNDS: text("refunded twice"),
    Kind.REFUND_UNEXPECTED: text("refunded, and not by the ledger"),
    Kind.ANSWERS_DIFFER: text("WeChat Pay's answers differ"),
    Kind.UNKNOWN_BUSINESS: text("unknown business"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One discrepancy, who acts on it, and since when it is there (Unix seconds)."""

    kind: Kind
    owner: Owner
    reason: Text
    advice: Text
    since_s: float
    #: The row concerned; None for a line that belongs to none.
    entry: Entry | None = None
    #: The lines concerned; of an unknown business only the first.
    lines: tuple[BillLine, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The same for the same discrepancy, whenever it is found again."""
        if self.entry is not None:
            return self.kind, self.entry.mch_billno
        line = self.lines[0]
        if self.kind is Kind.UNKNOWN_BUSINESS:
            return self.kind, line.business_name, line.business_type
        return self.kind, line.flow_id, line.voucher_no, line.business_no, f"{line.change_fen}"

    @property
    def bill_fen(self) -> int | None:
        """What moved by the bill; None where the finding is about no amount of a row or line."""
        if self.kind in (Kind.ANSWERS_DIFFER, Kind.UNKNOWN_BUSINESS):
            return None
        return sum(line.fen for line in self.lines)

    @property
    def ledger_fen(self) -> int | None:
        """What should have moved by the ledger; None as for `bill_fen`."""
        if self.kind in (Kind.ANSWERS_DIFFER, Kind.UNKNOWN_BUSINESS):
            return None
        if self.kind in (Kind.NOT_IN_LEDGER, Kind.DEBIT_UNEXPECTED, Kind.REFUND_UNEXPECTED):
            return 0
        entry = self.entry
        assert entry is not None, "what is left is about a row"
        refund = self.kind in (Kind.REFUND_MISSING, Kind.TWO_REFUNDS) or any(
            line.incoming for line in self.lines
        )
        return (entry.refund_amount or entry.total_amount) if refund else entry.total_amount


def two_debits(entry: Entry, debits: Sequence[BillLine]) -> Finding:
    """The row was paid more than once."""
    same = len({line.flow_id for line in debits}) < len(debits)
    facts = {"count": len(debits), "yuan": yuan_grouped(sum(line.fen for line in debits))}
    return Finding(
        kind=Kind.TWO_DEBITS,
        owner=Owner.ENGINEER,
        reason=text(
            "the bill has {count} debits for this row, {yuan} yuan together, at least two with the same flow "
            "number",
            **facts,
        )
        if same
        else text("the bill has {count} debits for this row, {yuan} yuan together", **facts),
        advice=text(
            "send nothing more with this merchant number until it is explained; compare the flow numbers "
            "with the merchant platform, and let finance claim the second payment from WeChat Pay"
        ),
        since_s=debits[-1].billed_at_s,
        entry=entry,
        lines=tuple(debits),
    )


def debit_unexpected(entry: Entry, debits: Sequence[BillLine]) -> Finding:
    """The row was paid although the ledger does not say so."""
    undecided = entry.state in OPEN
    return Finding(
        kind=Kind.DEBIT_UNEXPECTED,
        owner=Owner.OPERATOR if undecided else Owner.ENGINEER,
        reason=text(
            "the bill has a debit of {yuan} yuan, and the ledger calls the row: {state}",
            yuan=yuan_grouped(debits[0].fen),
            state=STATE_TEXT[entry.state],
        ),
        advice=text(
            "run `campaign reconcile {campaign}`, then match again; do not pay this row in any other way",
            campaign=entry.campaign,
        )
        if undecided
        else text(
            "look the number up on the merchant platform; do not pay this row again in any way before it is "
            "explained"
        ),
        since_s=debits[0].billed_at_s,
        entry=entry,
        lines=tuple(debits),
    )


def amount_differs(entry: Entry, lines: Sequence[BillLine], due_fen: int) -> Finding:
    """The row was paid, or came back, with another amount."""
    facts = {"bill": yuan_grouped(sum(line.fen for line in lines)), "ledger": yuan_grouped(due_fen)}
    return Finding(
        kind=Kind.AMOUNT_DIFFERS,
        owner=Owner.FINANCE,
        reason=text("the bill says that {bill} yuan came back, and the ledger {ledger}", **facts)
        if lines[0].incoming
        else text("the bill says that {bill} yuan were paid, and the ledger {ledger}", **facts),
        advice=text(
            "download the bill again; if it still differs, compare with the merchant platform and ask "
            "WeChat Pay"
        ),
        since_s=lines[0].billed_at_s,
        entry=entry,
        lines=tuple(lines),
    )


def missing(entry: Entry, *, incoming: bool, fen: int, since_s: float) -> Finding:
    """The bill of those days has no line for a row's debit or refund."""
    # What was only answered with SUCCESS may have failed since; one question settles it.
    never_asked = not incoming and entry.asked_at_s is None and not entry.status
    facts = {"yuan": yuan_grouped(fen), "time": beijing_text(since_s)}
    return Finding(
        kind=Kind.REFUND_MISSING if incoming else Kind.NOT_IN_BILL,
        owner=Owner.OPERATOR if never_asked else Owner.FINANCE,
        reason=text(
            "WeChat Pay says that {yuan} yuan came back at {time} (Beijing), and the bill has no such line",
            **facts,
        )
        if incoming
        else text("{yuan} yuan were paid from {time} (Beijing) on, and the bill has no such debit", **facts),
        advice=text("run `campaign reconcile {campaign}`, then match again", campaign=entry.campaign)
        if never_asked
        else text(
            "add the bill of the other account, if there is one, and match again; else ask WeChat Pay where "
            "the money is"
        ),
        since_s=since_s,
        entry=entry,
    )


def two_refunds(entry: Entry, refunds: Sequence[BillLine], due_fen: int) -> Finding:
    """The row came back more than once."""
    return Finding(
        kind=Kind.TWO_REFUNDS,
        owner=Owner.FINANCE,
        reason=text(
            "the bill has {count} refunds for this row, {yuan} yuan together instead of {due}",
            count=len(refunds),
            yuan=yuan_grouped(sum(line.fen for line in refunds)),
            due=yuan_grouped(due_fen),
        ),
        advice=text("compare the flow numbers with the merchant platform and ask WeChat Pay"),
        since_s=refunds[-1].billed_at_s,
        entry=entry,
        lines=tuple(refunds),
    )


def refund_unexpected(entry: Entry, refunds: Sequence[BillLine]) -> Finding:
    """The row came back although the ledger does not say so."""
    undecided = entry.state in OPEN
    return Finding(
        kind=Kind.REFUND_UNEXPECTED,
        owner=Owner.OPERATOR if undecided else Owner.FINANCE,
        reason=text(
            "the bill says that {yuan} yuan came back, and the ledger calls the row: {state}",
            yuan=yuan_grouped(sum(line.fen for line in refunds)),
            state=STATE_TEXT[entry.state],
        ),
        advice=text("run `campaign reconcile {campaign}`, then match again", campaign=entry.campaign)
        if undecided
        else text("look the number up on the merchant platform and ask WeChat Pay"),
        since_s=refunds[0].billed_at_s,
        entry=entry,
        lines=tuple(refunds),
    )


def not_in_ledger(line: BillLine) -> Finding:
    """A packet moved money, and no row of the ledger did it."""
    facts = {
        "yuan": yuan_grouped(line.fen),
        "business": line.business_name,
        "number": line.voucher_no or line.business_no or line.flow_id,
    }
    return Finding(
        kind=Kind.NOT_IN_LEDGER,
        owner=Owner.FINANCE,
        reason=text("{yuan} yuan came back ({business}, {number}) for a packet that no row explains", **facts)
        if line.incoming
        else text(
            "{yuan} yuan were paid ({business}, {number}), and no row of the ledger explains it", **facts
        ),
        advice=text("find out who else sends packets with this merchant number: another program or ledger"),
        since_s=line.billed_at_s,
        lines=(line,),
    )


def unknown_business(name: str, lines: Sequence[BillLine]) -> Finding:
    """Lines of which nobody said whether they are packets."""
    return Finding(
        kind=Kind.UNKNOWN_BUSINESS,
        owner=Owner.ENGINEER,
        reason=text(
            "{count} lines, {yuan} yuan, are of a business that nobody has explained: {name}",
            count=len(lines),
            yuan=yuan_grouped(sum(line.fen for line in lines)),
            name=name or "–",
        ),
        advice=text(
            "ask finance what it is, and add the name to packet_names, top_up_names or other_names under "
            "[bill] in campaign.toml"
        ),
        since_s=lines[0].billed_at_s,
        lines=(lines[0],),
    )


#: The one status under which each settled state may be.
_SETTLED_BY: Final = {
    State.RECEIVED: Status.RECEIVED,
    State.REFUNDED: Status.REFUND,
}


def answers_differ(entry: Entry) -> Finding | None:
    """Where ledger and ``gethbinfo`` already differ, whatever the bill says; None where they do not."""
    settled_by = _SETTLED_BY.get(entry.state)
    if entry.flag is Flag.MISMATCH:
        owner = Owner.ENGINEER
        reason = text("WeChat Pay holds another order (openid or amount) under this number")
    elif entry.detail_id and entry.send_listid and entry.detail_id != entry.send_listid:
        owner = Owner.FINANCE
        reason = text(
            "WeChat Pay names this packet {detail_id}, but its answer to the request said {send_listid}",
            detail_id=entry.detail_id,
            send_listid=entry.send_listid,
        )
    elif entry.flag in (Flag.OTHER_ID, Flag.CONTRADICTION) or (
        settled_by and entry.status not in ("", settled_by)
    ):
        owner = Owner.FINANCE
        reason = text(
            "WeChat Pay's answers contradict each other: the ledger calls the row {state}, the last answer "
            "was {status}",
            state=STATE_TEXT[entry.state],
            status=entry.status or "–",
        )
    else:
        return None
    return Finding(
        kind=Kind.ANSWERS_DIFFER,
        owner=owner,
        reason=reason,
        advice=text(
            "look the number up on the merchant platform and compare it with the bill; do not pay this row "
            "again before that"
        ),
        since_s=entry.asked_at_s or entry.last_sent_at_s or 0.0,
        entry=entry,
    )
