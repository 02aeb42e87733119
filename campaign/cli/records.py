"""``campaign records list / show / status``: the sent packets, in the schema of R9.1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import click

from campaign.cli.desk import interruptible, open_desk
from campaign.cli.frame import Session, answers_json, group, option, pass_session
from campaign.cli.gateway import open_gateway
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.domain.days import beijing_text
from campaign.domain.state import State
from campaign.domain.verdict import STATE_TEXT
from campaign.ports import SystemClock
from campaign.stages.records import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    Record,
    ask_status,
    ask_unclaimed,
    find_packet,
    list_records,
    record_of,
)
from campaign.text import Text, text

_TO_THE_MINUTE: Final = len("2026-03-03 20:00")
_UNMASK: Final = option("--unmask", is_flag=True, help=text("Show openids in full."))


@group(
    "records",
    help=text("The packets that were sent: list them page by page, show one, ask for its status."),
    examples=(
        "campaign records list --limit 100 --json",
        "campaign records list lantern --unclaimed",
        "campaign records show 17",
        "campaign records status 1900000109ABCDEFGHJKMNPQRSTV",
    ),
)
def records() -> None:
    pass


@records.command(
    "list",
    sentence=text("List what was sent, oldest first: of one campaign, or of all."),
    examples=("campaign records list --limit 100 --offset 200", "campaign records list lantern --unclaimed"),
)
@click.argument("name", required=False)
@option(
    "--limit",
    type=click.IntRange(1, LIMIT_MAX),
    default=LIMIT_DEFAULT,
    help=text("So many records (default 20, at most 1000)."),
)
@option("--offset", type=click.IntRange(min=0), default=0, help=text("Leave out so many from the start."))
@option(
    "--unclaimed",
    is_flag=True,
    help=text(
        "Only packets that nobody opened: taken at least 20 hours ago and still waiting, so that people can "
        "be reminded before the 24 hours end; or gone back and not paid again since (`campaign reissue NAME "
        "--refunded` pays them again). WeChat Pay is asked about each that waits before it is listed."
    ),
)
@_UNMASK
@answers_json
@pass_session
def list_(session: Session, name: str | None, limit: int, offset: int, unclaimed: bool, unmask: bool) -> None:
    settings = session.settings()
    clock = SystemClock()
    now_s = clock.now_s()
    unclear = 0
    with existing_ledger(settings, clock) as ledger:
        campaign = None if name is None else chosen_campaigns(ledger, name)[0]

        def page() -> Record:
            return list_records(
                ledger,
                limit=limit,
                offset=offset,
                campaign=campaign,
                unclaimed_at_s=now_s if unclaimed else None,
                unmask=unmask,
            )

        listed = page()
        if ledger is not None and unclaimed and listed["objects"]:
            with (
                open_gateway(settings, session) as gateway,
                interruptible() as stop,
                open_desk(settings, ledger, gateway, clock, stop) as desk,
            ):
                unclear = ask_unclaimed(desk, limit=limit, offset=offset, campaign=campaign, now_s=now_s)
            listed = page()
    if session.json:
        session.answer_json(listed)
    else:
        _tell_page(listed, session)
    _tell_altered(listed["objects"], session)
    if unclear:
        session.tell(
            text(
                "WeChat Pay gave no clear answer about {count} of them: they may have been opened since they "
                "were asked about last.",
                count=unclear,
            ),
            style="yellow",
        )


@records.command(
    "show",
    sentence=text("Show one record, by its bill number or its id."),
    examples=("campaign records show 17 --json",),
)
@click.argument("number_or_id", metavar="ID")
@_UNMASK
@answers_json
@pass_session
def show(session: Session, number_or_id: str, unmask: bool) -> None:
    with existing_ledger(session.settings(), SystemClock()) as ledger:
        record = record_of(find_packet(ledger, number_or_id), unmask=unmask)
    _tell_fields(record, session)
    _tell_altered([record], session)


@records.command(
    "status",
    sentence=text("Ask WeChat Pay now what became of one packet, by its bill number or its record's id."),
    examples=("campaign records status 17", "campaign records status 1900000109ABCDEFGHJKMNPQRSTV --json"),
)
@click.argument("number_or_id", metavar="ID")
@_UNMASK
@answers_json
@pass_session
def status(session: Session, number_or_id: str, unmask: bool) -> None:
    settings = session.settings()
    clock = SystemClock()
    with existing_ledger(settings, clock) as ledger:
        packet = find_packet(ledger, number_or_id)
        assert ledger is not None
        with (
            open_gateway(settings, session) as gateway,
            interruptible() as stop,
            open_desk(settings, ledger, gateway, clock, stop) as desk,
        ):
            answer = ask_status(desk, packet, unmask=unmask)
    _tell_fields(answer, session)


def _tell_page(page: Record, session: Session) -> None:
    from rich.table import Table

    say, meta = session.speech.say, page["meta"]
    table = Table(box=None, pad_edge=False)
    table.add_column(say(text("id")), justify="right", no_wrap=True)
    table.add_column(say(text("bill number")), no_wrap=True)
    table.add_column(say(text("openid")), no_wrap=True)
    table.add_column(say(text("yuan")), justify="right", no_wrap=True)
    # These give way: what a terminal has no room for, stands on further lines.
    table.add_column(say(text("state")), overflow="fold")
    table.add_column(say(text("planned")), overflow="fold")
    for record in page["objects"]:
        table.add_row(
            str(record["id"]),
            record["mch_billno"],
            record["re_openid"],
            f"{record['total_amount']:.2f}",
            say(STATE_TEXT[State(record["state"])]),
            beijing_text(record["created_at"])[:_TO_THE_MINUTE],
        )
    if page["objects"]:
        session.out.print(table)
    session.tell(
        text(
            "Records {first} to {last} of {all}.",
            first=min(meta["offset"] + 1, meta["total_count"]),
            last=min(meta["offset"] + len(page["objects"]), meta["total_count"]),
            all=meta["total_count"],
        )
        if page["objects"]
        else text("No record here; there are {all}.", all=meta["total_count"])
    )
    if meta["next"]:
        session.tell(text("The next page: --offset {offset}", offset=meta["offset"] + meta["limit"]))


def _tell_altered(records: Sequence[Record], session: Session) -> None:
    """Whose answers the ledger does not have any more as they came."""
    if numbers := [record["mch_billno"] for record in records if record["raw_result"] is None]:
        session.tell(
            text(
                "The ledger is damaged: WeChat Pay's answers to the requests under these numbers are not "
                "there any more as they came: {numbers}. `campaign audit` says what to do.",
                numbers=numbers,
            ),
            style="bold red",
        )


def _tell_fields(fields: dict[str, Any], session: Session) -> None:
    """The fields under their own names, which are WeChat Pay's."""
    if session.json:
        session.answer_json(fields)
        return
    for name, value in fields.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        session.tell(Text("{name}: {shown}", {"name": name, "shown": shown}))
