"""Ledgers and entries for tests, in few words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from campaign.domain.answer import Outcome, QueryAnswer, SendAnswer, Status
from campaign.domain.billno import mch_billno
from campaign.domain.campaign import Campaign
from campaign.domain.days import day_start_s
from campaign.domain.decision import Step
from campaign.domain.entry import Entry, Sending, Todo
from campaign.domain.limits import Limits
from campaign.domain.order import PacketOrder, Source
from campaign.domain.packet import Sender
from campaign.domain.plan import entry_of
from campaign.domain.state import State
from campaign.ledger.records import Begun, Event, QueryResult, SendResult
from campaign.ledger.store import Ledger

MERCHANT = "1900000109"
GATEWAY = "rehearsal"
NAME = "lantern"
#: Noon of an ordinary Beijing day.
NOON_S = day_start_s(date(2026, 3, 3)) + 12 * 3600.0
WIDE = Limits(
    campaign_fen=10**12,
    in_doubt_fen=10**12,
    person_day_packets=10**6,
    person_day_fen=10**12,
    merchant_day_fen=10**12,
)
SENDER = Sender(mch_id=MERCHANT, wxappid="wx0123456789abcdef", client_ip="192.0.2.10")


@dataclass
class StillClock:
    """A clock that moves only when somebody sleeps, or is told to."""

    at_s: float = NOON_S
    slept: list[float] = field(default_factory=list)

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s - NOON_S + 1000.0

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.slept.append(seconds)
            self.at_s += seconds


def open_ledger(path: Path | None = None, *, names: tuple[str, ...] = (NAME,)) -> Ledger:
    """A ledger with campaigns in it; in memory without a path."""
    ledger = Ledger.open(path, merchant=MERCHANT, gateway=GATEWAY, clock=StillClock())
    for name in names:
        if ledger.campaign(name) is None:
            ledger.save_campaign(Campaign(name=name, key_column="id", created_at_s=NOON_S), NOON_S)
    return ledger


def order(
    openid: str = "oA", fen: int = 188, *, row: int = 2, key: str = "", wishing: str = "Joy!", **more: object
) -> PacketOrder:
    """One order: openid and fen, and what a test cares about."""
    return PacketOrder(
        source=Source(file="lantern.xlsx", sheet="Sheet1", row=row),
        row_key=key or f"{openid}-{row}",
        re_openid=openid,
        total_amount=fen,
        wishing=wishing,
        send_name="Shop",
        act_name="Lantern riddles",
        remark="more riddles",
        **more,  # type: ignore[arg-type]
    )


def entry(openid: str = "oA", fen: int = 188, *, row: int = 2, campaign: str = NAME, **more: object) -> Entry:
    """The planned entry of such an order."""
    wanted = order(openid, fen, row=row, **more)  # type: ignore[arg-type]
    billno = mch_billno(mch_id=MERCHANT, campaign_id=campaign, row_key=wanted.row_key)
    return entry_of(wanted, billno, campaign=campaign, sender=SENDER)


def plan(ledger: Ledger, *rows: str, campaign: str = NAME) -> list[Entry]:
    """Plan rows in a small notation: ``"oA 1.88"``; returns the entries."""
    entries = []
    for number, row in enumerate(rows, start=2):
        openid, yuan = row.split()
        entries.append(entry(openid, round(float(yuan) * 100), row=number, campaign=campaign))
    ledger.add_entries(entries, NOON_S)
    return [now(ledger, e) for e in entries]


def now(ledger: Ledger, e: Entry | Sending) -> Entry:
    """The entry as the ledger has it at this moment."""
    found = ledger.entry(e.mch_billno)
    assert found is not None
    return found


def begin(
    ledger: Ledger, *entries: Entry, at_s: float = NOON_S, limits: Limits = WIDE, owner: str = "us"
) -> Begun[Sending]:
    """Begin with wide limits and a lease of 300 s."""
    return ledger.begin_sends(entries, limits=limits, now_s=at_s, owner=owner, lease_s=300.0)


def begun(ledger: Ledger, e: Entry, *, at_s: float = NOON_S) -> Entry:
    """Begin one entry that must be let through."""
    (one,) = begin(ledger, e, at_s=at_s).entries
    return now(ledger, one)


STEPS = {
    Outcome.ACCEPTED: Step(state=State.ACCEPTED, todo=Todo.ASK, due_at_s=NOON_S + 60),
    Outcome.NOT_SENT: Step(state=State.PLANNED),
    Outcome.THROTTLED: Step(state=State.IN_DOUBT, todo=Todo.REPEAT, due_at_s=NOON_S + 1),
}
DOUBT = Step(state=State.IN_DOUBT, todo=Todo.ASK, due_at_s=NOON_S + 1)


def end(
    ledger: Ledger,
    e: Entry | Sending,
    outcome: Outcome,
    *,
    at_s: float = NOON_S,
    step: Step | None = None,
    **answer: object,
) -> Entry:
    """End one attempt with an outcome, and return the entry as it is then."""
    ledger.end_sends([result(e, outcome, step=step, **answer)], at_s)
    return now(ledger, e)


def result(e: Entry | Sending, outcome: Outcome, *, step: Step | None = None, **answer: object) -> SendResult:
    """What one attempt brought."""
    return SendResult(
        entry=e,
        answer=SendAnswer(outcome=outcome, **answer),  # type: ignore[arg-type]
        step=step or STEPS.get(outcome, DOUBT),
    )


def ask(
    ledger: Ledger,
    e: Entry,
    status: Status | None,
    step: Step | None,
    *,
    asked_at_s: float = NOON_S + 10,
    at_s: float | None = None,
    **answer: object,
) -> Entry | None:
    """Record the answer to one question."""
    brought = QueryResult(
        entry=e,
        asked_at_s=asked_at_s,
        answer=QueryAnswer(status=status, **answer),  # type: ignore[arg-type]
        step=step,
    )
    return ledger.end_query(brought, asked_at_s if at_s is None else at_s)


def repeatable(ledger: Ledger, e: Entry) -> Entry:
    """An entry in doubt whose repeat is due a second after its first request."""
    first = begun(ledger, e)
    return end(ledger, first, Outcome.THROTTLED)


def changed(e: Entry, **values: object) -> Entry:
    """The same row with other values, its parameters included."""
    wanted = replace(e, **values)  # type: ignore[arg-type]
    parameters = dict(wanted.parameters) | {
        "re_openid": wanted.re_openid,
        "total_amount": str(wanted.total_amount),
    }
    return replace(wanted, parameters=parameters)


def events_of(ledger: Ledger, entry: Entry | Sending) -> list[Event]:
    """The events that tell of an entry, oldest first."""
    return [event for event in ledger.events() if event.mch_billno == entry.mch_billno]
