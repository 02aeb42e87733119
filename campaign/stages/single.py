"""One packet by its reference, through the same plan and the same sending as a sheet's rows.

The reference is the row key in the campaign ``api``, so it gives the number, whoever asks, however often,
and with whatever ledger. A packet is sent only by a call that names its reference: what another call left
unsent stays unsent until that one is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from campaign.domain.billno import ISSUE_MAX, mch_billno
from campaign.domain.campaign import Halt, HaltReason
from campaign.domain.checks import FIELD_NAMES, Finding, check_openid
from campaign.domain.entry import Entry
from campaign.domain.money import FinerThanFen, NotMoney, fen_from_yuan
from campaign.domain.order import PacketOrder
from campaign.domain.packet import Sender
from campaign.domain.plan import Draft, draft_plan, edits
from campaign.domain.state import Evidence, State
from campaign.domain.verdict import needs_person
from campaign.errors import Conflict, KeyChanged, PlanConflict, UsageError
from campaign.ledger.lock import hold_campaign, try_hold
from campaign.ledger.store import Ledger
from campaign.ports import Clock
from campaign.sheet.cells import identifier
from campaign.sheet.columns import understand
from campaign.sheet.grid import Grid
from campaign.sheet.reading import ReadOptions
from campaign.sheet.rows import read_rows
from campaign.stages.plan import SheetFacts, plan, shown_fact, shown_field
from campaign.stages.send import send
from campaign.stages.shift import Desk
from campaign.stages.standing import Standing
from campaign.text import Text, text
from campaign.wechat.answers import explain

CAMPAIGN: Final = "api"

_FACTS: Final = SheetFacts(file=CAMPAIGN, digest="", key_column="id", partial=True)
#: Whoever waits for another call's packet looks again so often.
_LOOK_AGAIN_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What is asked for, as the cells of a sheet would have it; an empty text follows the settings."""

    reference: str
    re_openid: str
    #: Yuan.
    amount: str
    wishing: str = ""
    send_name: str = ""
    act_name: str = ""
    remark: str = ""
    scene_id: str = ""
    risk_info: str = ""
    #: Only an ordinary packet of one is ever sent (R1).
    hb_type: str = ""
    total_num: str = ""


def order_of(packet: Packet, options: ReadOptions) -> PacketOrder:
    """The packet as an order, read and checked by the very rules that a sheet's row is.

    Raises:
        UsageError: something about it cannot be sent; says everything that is wrong.
    """
    cells = {
        "id": packet.reference,
        "openid": packet.re_openid,
        "amount (yuan)": packet.amount,
        "wishing": packet.wishing,
        "send_name": packet.send_name,
        "act_name": packet.act_name,
        "remark": packet.remark,
        "scene_id": packet.scene_id,
        "risk_info": packet.risk_info,
        "hb_type": packet.hb_type,
        "total_num": packet.total_num,
    }
    try:
        fen_from_yuan(packet.amount.strip())
    except FinerThanFen:
        raise UsageError(text("{amount} yuan has more than two decimals.", amount=packet.amount)) from None
    except NotMoney:
        pass  # the reader understands more, and says what it does not
    rows = [list(cells), list(cells.values())]
    outcome = read_rows(
        file=CAMPAIGN,
        grid=Grid(name=CAMPAIGN, rows=rows),
        columns=understand(1, rows[0], {}),
        rows=[(2, rows[1])],
        options=replace(options, allow_repeats=False, limit=None),
    )
    found = [(p.column, Finding(p.problem, p.advice)) for p in outcome.problems]
    if not outcome.rows:  # without a person and with a word such as "total" it was taken for a totals row
        found = [("re_openid", finding) for finding in check_openid(identifier(packet.re_openid).text)]
    if not found:
        return outcome.orders[0]
    told = [text("{field}: {problem}", field=_name(column), problem=f.problem) for column, f in found]
    message = told[0]
    for line in told[1:]:
        message = text("{before}\n{line}", before=message, line=line)
    raise UsageError(
        text("This packet cannot be sent. {problems}", problems=message), advice=found[0][1].advice
    )


def _name(column: str) -> Text | str:
    return FIELD_NAMES.get(column) or column.removeprefix("hb_")


@contextmanager
def hold_turn(ledger_path: Path | None, clock: Clock, *, wait_s: float) -> Iterator[None]:
    """Hold the campaign ``api``; other calls that send a packet at this moment are waited for.

    Raises:
        CampaignHeld: they took longer than ``wait_s``.
    """
    until_s = clock.monotonic_s() + wait_s
    while clock.monotonic_s() < until_s:
        with try_hold(ledger_path, CAMPAIGN) as held:
            if held:
                yield
                return
        clock.sleep(_LOOK_AGAIN_S)
    with hold_campaign(ledger_path, CAMPAIGN):
        yield


def draft_packet(ledger: Ledger, order: PacketOrder, *, sender: Sender) -> Draft:
    """What sending this packet would plan; nothing, where its reference was planned before.

    Raises:
        PlanConflict: the reference stands for another packet.
        KeyChanged: the campaign ``api`` is that of a sheet without ids.
    """
    number = number_of(order, sender)
    campaign, known = ledger.campaign(CAMPAIGN), ledger.known_as(number)
    row = known.row if known else 1 + sum(rows for rows, _ in ledger.totals(CAMPAIGN).values())
    order = replace(order, source=replace(order.source, row=row))
    # Of a packet that was proven unstored nobody could ever be paid: it may be corrected, as in a sheet.
    if known and known.proof is not Evidence.UNSTORED:
        for edit in edits(known, order):
            raise PlanConflict(
                text(
                    "Reference {reference} stands for another packet: its {field} is {was}, and not {now}. "
                    "Nothing was sent.",
                    reference=repr(order.row_key),
                    field=shown_field(edit.field),
                    was=shown_fact(edit.field, edit.was),
                    now=shown_fact(edit.field, edit.now),
                ),
                advice=text("Ask again with the same values, or give another packet a reference of its own."),
            )
    drafted = draft_plan(
        [order],
        [known] if known else [],
        campaign=CAMPAIGN,
        mch_id=sender.mch_id,
        sender=sender,
        key_column=_FACTS.key_column,
        known_key_column=campaign.key_column if campaign else None,
        partial=True,
    )
    if drafted.conflicts:
        raise KeyChanged(
            text("The campaign {campaign} of this ledger is that of a sheet without ids.", campaign=CAMPAIGN),
            advice=text("Use another ledger ([ledger] url) for single packets."),
        )
    return drafted


def plan_packet(ledger: Ledger, drafted: Draft, *, reopen: bool, now_s: float) -> None:
    """Write the draft into the ledger.

    Raises:
        Conflict: the campaign was cancelled, and nobody asked to take it up again.
    """
    with ledger.atomic():
        known = ledger.campaign(CAMPAIGN)
        if known is not None and known.cancelled_at_s is not None:
            if not reopen:
                raise Conflict(
                    text("Campaign {campaign} was cancelled; nothing was sent.", campaign=CAMPAIGN),
                    advice=text("`campaign send --reopen` takes it up again."),
                )
            ledger.reopen(CAMPAIGN, now_s)
        mine = {number_of(order, drafted.sender) for order in drafted.pending}
        waiting = ledger.sendable(CAMPAIGN, now_s=math.inf, limit=-1)
        drafted.unlisted = [entry.mch_billno for entry in waiting if entry.mch_billno not in mine]
        plan(ledger, drafted, sheet=_FACTS, title="", now_s=now_s)


def send_packet(
    desk: Desk,
    number: str,
    *,
    wait_s: float,
    pause: Callable[[float], None],
    say_behind: Callable[[], None],
) -> Halt | None:
    """Send the planned packet and stay until it is known what became of it, at most ``wait_s``.

    Returns:
        why the work ended early, if it did. Raises as `campaign.stages.send.send`.
    """

    def decided() -> bool:
        entry = desk.ledger.entry(number)
        return entry is not None and not is_open(entry)

    return send(desk, CAMPAIGN, wait_s=wait_s, pause=pause, say_behind=say_behind, enough=decided).halt


def number_of(order: PacketOrder, sender: Sender, issue: int = 1) -> str:
    """The packet's bill number."""
    return mch_billno(mch_id=sender.mch_id, campaign_id=CAMPAIGN, row_key=order.row_key, issue=issue)


def speaking_for(ledger: Ledger, order: PacketOrder, sender: Sender) -> str:
    """The packet's number that says what became of it: the last one, where `campaign reissue` gave others.

    Not one that was withdrawn; nor one that was not sent yet where one before it may have been paid.
    """
    number = number_of(order, sender)
    before = ledger.entry(number)
    doubted = False
    for issue in range(2, ISSUE_MAX + 1):
        entry = ledger.entry(number_of(order, sender, issue))
        if entry is None or before is None:
            break
        doubted |= before.flag is not None or before.mch_billno in ledger.debited(CAMPAIGN)
        held = entry.state is State.PLANNED and doubted
        if entry.state is not State.CANCELLED and not held:
            number, before = entry.mch_billno, entry
    return number


def is_open(entry: Entry) -> bool:
    """Whether there is something to send or to find out."""
    return entry.state in (State.PLANNED, State.IN_DOUBT, State.PARKED)


def packet_standing(ledger: Ledger, entry: Entry, *, halt: Halt | None, now_s: float) -> Standing:
    """Where this one packet stands, told as a campaign of one row is.

    Args:
        halt: why the work on it ended early.
    """
    campaign = ledger.campaign(CAMPAIGN)
    assert campaign is not None
    cancelled = campaign.cancelled_at_s is not None
    need = needs_person(entry, now_s=now_s, explain=explain, cancelled=cancelled)
    due_s = entry.not_before_s if entry.state is State.PLANNED else entry.due_at_s
    waits = entry.state is State.PLANNED or (is_open(entry) and due_s is not None and entry.flag is None)
    return Standing(
        campaign=campaign,
        totals={entry.state: (1, entry.total_amount)},
        halt=(halt or Halt(reason=HaltReason.WAITING, until_s=due_s)) if waits else None,
        needs=((entry, need),) if need else (),
    )
