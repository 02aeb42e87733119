"""``campaign send``: one packet by its reference."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import click

from campaign.cli.answers import as_json, exit_code, tell
from campaign.cli.desk import Stop, interruptible, open_desk
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.gateway import open_gateway
from campaign.cli.names import ledger_to_run, other_ledgers
from campaign.cli.session import Speaker
from campaign.config import Settings
from campaign.domain.forecast import budget_problems, forecast
from campaign.domain.mask import mask_openid
from campaign.domain.money import yuan_grouped
from campaign.domain.order import PacketOrder
from campaign.errors import SheetRejected, UsageError
from campaign.ledger.records import SentPacket
from campaign.ledger.store import Ledger
from campaign.ports import Clock, Gateway, SystemClock
from campaign.sheet import ReadOptions
from campaign.stages.records import record_of
from campaign.stages.single import (
    CAMPAIGN,
    Packet,
    draft_packet,
    hold_turn,
    is_open,
    order_of,
    packet_standing,
    plan_packet,
    send_packet,
    speaking_for,
)
from campaign.stages.standing import Standing
from campaign.text import text

#: Stands for standard input, as elsewhere.
STDIN: Final = "-"


@command(
    "send",
    help=text(
        "Send one packet. The reference stands for this packet for good: the same command again sends "
        "nothing more and answers the same. The packet is kept in the campaign `api`."
    ),
    examples=(
        "campaign send --reference order-4711 --openid oXXXX --amount 8.88",
        "campaign send --reference order-4711 --openid - --amount 8.88 --yes --json < openid.txt",
    ),
)
@option(
    "--reference", required=True, help=text("Your own number for this packet, never used for another one.")
)
@option(
    "--openid",
    required=True,
    help=text(
        "The recipient's openid under the official account; - reads it from standard input, out of sight of "
        "this machine's other users."
    ),
)
@option("--amount", required=True, metavar="YUAN", help=text("The amount in yuan, as 8.88."))
@option("--wishing", default="", help=text("The greeting; this and the other texts: else from the settings."))
@option("--send-name", default="", help=text("The sender's name."))
@option("--act-name", default="", help=text("The campaign's name as the recipient sees it."))
@option("--remark", default="", help=text("The remark."))
@option("--scene-id", default="", help=text("PRODUCT_1 to PRODUCT_8, for amounts that need a scene."))
@option("--risk-info", default="", help=text("Risk hints, as posttime=1736900000&clientversion=1.0."))
@option("--yes", is_flag=True, help=text("Do not ask before sending."))
@option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    help=text("Seconds to stay until it is clear what became of the packet (default 30)."),
)
@option("--new-ledger", is_flag=True, help=text("Begin a second ledger for this merchant."))
@option("--reopen", is_flag=True, help=text("Take up a cancelled campaign again."))
@option("--unmask", is_flag=True, help=text("Show openids in full."))
@answers_json
@pass_session
def send(
    session: Session,
    reference: str,
    openid: str,
    amount: str,
    wishing: str,
    send_name: str,
    act_name: str,
    remark: str,
    scene_id: str,
    risk_info: str,
    yes: bool,
    wait_s: float,
    new_ledger: bool,
    reopen: bool,
    unmask: bool,
) -> int:
    settings = session.settings()
    packet = Packet(
        reference=reference,
        re_openid=openid_of(openid, yes=yes),
        amount=amount,
        wishing=wishing,
        send_name=send_name,
        act_name=act_name,
        remark=remark,
        scene_id=scene_id,
        risk_info=risk_info,
    )
    order = order_of(packet, read_options(settings))
    if not yes and not session.interactive:
        raise UsageError(
            text("There is no terminal to ask on, so nothing was sent."),
            advice=text("Add --yes if the packet may be paid without a question."),
        )

    def agree() -> bool:
        return yes or session.ask(
            text(
                "Send {yuan} yuan to {openid} through {gateway} now?",
                yuan=yuan_grouped(order.total_amount),
                openid=mask_openid(order.re_openid),
                gateway=settings.gateway_name(),
            )
        )

    with interruptible() as stop:
        paid = pay(
            order,
            settings,
            session,
            SystemClock(),
            stop,
            gateway=lambda: open_gateway(settings, session),
            agree=agree,
            wait_s=wait_s,
            new_ledger=new_ledger,
            reopen=reopen,
        )
    if paid is None:
        session.say(text("Nothing was sent and nothing was recorded."))
        return 0
    standing, sent = paid
    if session.json:
        session.answer_json(
            {
                **as_json(standing, session, unmask=unmask),
                "reference": reference,
                "mch_billno": sent.entry.mch_billno,
                "record": record_of(sent, unmask=unmask),
            }
        )
    else:
        tell(standing, session)
        session.tell(
            text("Reference {reference} is {number}.", reference=reference, number=sent.entry.mch_billno)
        )
    return exit_code([standing], interrupted=stop.asked())


def pay(
    order: PacketOrder,
    settings: Settings,
    speaker: Speaker,
    clock: Clock,
    stop: Stop,
    *,
    gateway: Callable[[], AbstractContextManager[Gateway]],
    agree: Callable[[], bool],
    wait_s: float,
    new_ledger: bool = False,
    reopen: bool = False,
) -> tuple[Standing, SentPacket] | None:
    """Send a packet, once, or find out what became of it; where it stands. None: nobody agreed to it.

    Args:
        gateway: opened only where there is something to send or to ask.
        agree: asked once, only before something new is sent.
        wait_s: how long to stay for other packets' turns, and for an answer.

    Raises:
        PlanConflict: its reference stands for another packet. And whatever `run` raises.
    """
    sender = settings.sender()
    with (
        hold_turn(settings.ledger_path(), clock, wait_s=wait_s),
        ledger_to_run(settings, speaker, clock, new_ledger=new_ledger) as ledger,
        other_ledgers(settings, clock) as others,
    ):
        drafted = draft_packet(ledger, order, sender=sender)
        if drafted.pending:
            _refuse_beyond_budget(settings, ledger, drafted.pending[0])
            if not agree():
                return None
        halt = None
        number = speaking_for(ledger, order, sender)
        known = ledger.entry(number)
        if drafted.pending or (known and is_open(known)):
            plan_packet(ledger, drafted, reopen=reopen, now_s=clock.now_s())
            with (
                gateway() as wire,
                open_desk(settings, ledger, wire, clock, stop, other_ledgers=others.while_spending) as desk,
            ):
                halt = send_packet(
                    desk,
                    number,
                    wait_s=wait_s,
                    pause=stop.pause,
                    say_behind=lambda: speaker.say(
                        text(
                            "This ledger may be older than the truth, or new: the packet is asked about "
                            "before it is sent, so nobody is paid twice."
                        ),
                        style="yellow",
                    ),
                )
        sent = ledger.sent_packet(mch_billno=number)
        assert sent is not None
        return packet_standing(ledger, sent.entry, halt=halt, now_s=clock.now_s()), sent


def openid_of(said: str, *, yes: bool) -> str:
    """What ``--openid`` says, or the line on standard input that it points to.

    Raises:
        UsageError: the answer to our question would have to come from there, too.
    """
    if said != STDIN:
        return said
    if not yes:
        raise UsageError(
            text("With --openid - there is nobody to ask, so nothing was sent."),
            advice=text("Add --yes if the packet may be paid without a question."),
        )
    return sys.stdin.readline().strip()


def read_options(settings: Settings) -> ReadOptions:
    """What the settings say about a packet's values."""
    return ReadOptions(
        mch_id=settings.merchant.mch_id,
        defaults=settings.packet_defaults(),
        limits=settings.limits.as_limits(),
    )


def _refuse_beyond_budget(settings: Settings, ledger: Ledger, order: PacketOrder) -> None:
    limits = settings.limits.as_limits()
    rate, counted_fen = settings.gateway.sends_per_second, ledger.counted_fen(CAMPAIGN)
    planned = forecast([order], limits, sends_per_second=rate, counted_fen=counted_fen)
    if problems := budget_problems(planned, limits, order.source):
        raise SheetRejected(
            text("{problem}. Nothing was sent.", problem=problems[0].problem), advice=problems[0].advice
        )
