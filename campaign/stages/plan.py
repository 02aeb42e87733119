"""Give every row of a sheet its entry and its number, or refuse the sheet as a whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from campaign.domain.campaign import Campaign
from campaign.domain.checks import FIELD_NAMES
from campaign.domain.days import beijing_day
from campaign.domain.mask import mask_openid
from campaign.domain.money import yuan_grouped, yuan_text
from campaign.domain.order import PacketOrder
from campaign.domain.overlap import COMPARED_S, Overlap, is_another_list, overlap
from campaign.domain.packet import Sender
from campaign.domain.plan import ORDINAL_KEYS, Clash, Conflicting, Draft, draft_plan
from campaign.domain.state import State
from campaign.errors import Conflict, KeyChanged, PlanConflict, SameListAgain
from campaign.ledger.registry import Listed
from campaign.ledger.seen import Pair
from campaign.ledger.store import Ledger
from campaign.text import Text, text

_OPENID_LIKE: Final = re.compile(r"o[0-9A-Za-z_-]{20,}")
#: So many conflicts are told one by one; the rest is counted.
_TOLD: Final = 10


class CommonRows(Protocol):
    """`Registry.common_rows` for one campaign."""

    def __call__(self, pairs: Iterable[Pair], *, since_s: float) -> list[Pair]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetFacts:
    """What the ledger remembers of a sheet beside its rows."""

    file: str
    #: SHA-256 of the file's bytes, hexadecimal.
    digest: str
    key_column: str
    own_headers: tuple[str, ...] = ()
    #: The sheet shows a part of the campaign on purpose.
    partial: bool = False
    #: Of everything that decides what planning it does, where somebody may ask for the same again.
    plan_digest: str = ""


def draft(
    ledger: Ledger,
    orders: Sequence[PacketOrder],
    *,
    campaign: str,
    sheet: SheetFacts,
    sender: Sender,
) -> Draft:
    """Compare the sheet with the ledger; writes nothing, so it can be shown before anybody agrees.

    Raises:
        PlanConflict: a row that was sent now has another openid, amount or text.
        KeyChanged: people would get a second number under another key.
    """
    known = ledger.campaign(campaign)
    result = draft_plan(
        orders,
        ledger.known(campaign) if known else (),
        campaign=campaign,
        mch_id=sender.mch_id,
        sender=sender,
        key_column=sheet.key_column,
        known_key_column=known.key_column if known else None,
        partial=sheet.partial,
    )
    if result.conflicts:
        raise _conflict(campaign, result.conflicts)
    return result


def plan(ledger: Ledger, drafted: Draft, *, sheet: SheetFacts, title: str, now_s: float) -> None:
    """Write a draft into the ledger in one transaction; from here on every number is remembered.

    Raises:
        PlanConflict: a row's earlier number, whose death was proven, may have been paid after all.
    """
    with ledger.atomic():
        _require_over(ledger, drafted)
        known = ledger.campaign(drafted.campaign)
        tied = sheet.partial and known is not None
        # What was sent with other values may be refused yet, and would take the present ones then. What a
        # later number rests on may be contradicted yet, by the funds bill as well.
        judged_anew = drafted.outdated or any(tie.issue > 1 for tie in drafted.orders.ties())
        record = known or Campaign(
            name=drafted.campaign, title=title, key_column=sheet.key_column, created_at_s=now_s
        )
        ledger.save_campaign(
            replace(
                record,
                title=title or record.title,
                sheet_file=record.sheet_file if tied else sheet.file,
                sheet_digest=record.sheet_digest if tied else sheet.digest,
                own_headers=record.own_headers if tied else sheet.own_headers,
                plan_digest="" if judged_anew else sheet.plan_digest,
            ),
            now_s,
        )
        ledger.plan_entries(drafted.campaign, drafted.entries(), now_s)
        for entry in drafted.revisions():
            ledger.revise(entry, now_s, "the sheet or the settings changed before anything was stored")
        ledger.list_entries(drafted.unlisted, now_s, listed=False)
        ledger.list_entries(drafted.relisted, now_s, listed=True)


def _require_over(ledger: Ledger, drafted: Draft) -> None:
    """While a person looked at the draft WeChat Pay may have contradicted what a second number rests on, and
    at any time since the first one's death the funds bill may have.
    """
    if not drafted.rests_on:
        return
    by_bill = ledger.debited(drafted.campaign)
    for number in drafted.rests_on:
        entry = ledger.entry(number)
        if entry is None or entry.flag is not None or number in by_bill:
            raise PlanConflict(
                text(
                    "{number} may have been paid after all, so its row gets no other number. Nothing was "
                    "sent.",
                    number=number,
                ),
                advice=_ADVICE[Clash.NOT_DEAD],
            )


def refuse_same_list(
    ledgers: Sequence[Ledger],
    drafted: Draft,
    *,
    sheet: SheetFacts,
    also_pays: Collection[str],
    now_s: float,
) -> list[Overlap]:
    """Compare what would be planned with the merchant's other campaigns of the last 30 days.

    Args:
        ledgers: the campaign's own ledger, then the merchant's others.

    Returns:
        overlaps too small to refuse, which a person has to agree to.

    Raises:
        SameListAgain: this list, or most of it, is paid by another campaign; or the sheet is another
            list than the one its own campaign has recorded.
    """
    claims = drafted.claims
    found: list[Overlap] = []
    own = ledgers[0]
    _refuse_another_list(own, drafted, sheet)
    for ledger in ledgers:
        for other in ledger.campaigns():
            same_name = other.name == drafted.campaign
            if not claims or other.name in also_pays or (same_name and ledger is own):
                continue
            numbers = set(map(drafted.number, claims.lines())) if same_name else frozenset[str]()
            paid = ledger.paid_pairs(other.name, since_s=now_s - COMPARED_S)
            # One name in two ledgers: the same numbers cannot pay twice, but other keys give others.
            pairs = (
                (openid, fen)
                for number, openid, fen in paid
                if not (same_name and (number in numbers or own.known_as(number)))
            )
            common = overlap(claims, other.name, pairs, same_file=other.sheet_digest == sheet.digest)
            if common.is_same_list:
                raise _same_list(common)
            if common.rows:
                found.append(common)
    return found


@dataclass(frozen=True, slots=True)
class Lost:
    """A campaign whose record is lost, with its ledger or from it."""

    listed: Listed
    #: Of these (openid, fen), those that it had; in `Registry.common_rows`' words.
    common_rows: CommonRows
    #: The ledger has it, in an older state.
    known: bool = False


def refuse_lost_list(
    lost: Iterable[Lost],
    drafted: Draft,
    *,
    sheet: SheetFacts,
    also_pays: Collection[str],
    now_s: float,
) -> list[Overlap]:
    """Compare what would be planned with what is remembered of campaigns whose record is lost.

    Their bill numbers hold only under the same name and with the same keys; under others WeChat Pay
    knows none of them, and asking it first would help nobody.

    Returns:
        overlaps too small to refuse, which a person has to agree to.

    Raises:
        KeyChanged: this campaign's rows were told apart by another column.
        SameListAgain: another campaign had this very file, or most of these people and amounts.
    """
    found: list[Overlap] = []
    # What is planned already, too: the lost campaign may have paid it since it was compared.
    orders = drafted.pending
    for each in lost:
        listed = each.listed
        if listed.campaign == drafted.campaign and listed.key_column == sheet.key_column:
            continue
        if listed.campaign == drafted.campaign and not listed.given_up:
            changed = Conflicting(
                clash=Clash.KEY_COLUMN, field="id", was=listed.key_column, now=sheet.key_column
            )
            raise _conflict(drafted.campaign, [changed])
        if listed.campaign in also_pays:
            continue
        recent = now_s - listed.created_at_s < COMPARED_S
        same_file = listed.sheet_digest == sheet.digest
        if recent and same_file and not each.known:
            raise SameListAgain(
                text(
                    "This very file was run as the campaign {campaign}, whose ledger is lost. Nothing was "
                    "sent.",
                    campaign=listed.campaign,
                ),
                advice=text(
                    "Run it under that name: `campaign run SHEET --name {campaign}`. If these people are to "
                    "be paid once more on purpose, add --also-pays {campaign}.",
                    campaign=listed.campaign,
                ),
            )
        had = each.common_rows(orders.payments(), since_s=now_s - COMPARED_S)
        common = overlap(orders, listed.campaign, had, same_file=False)
        if common.is_same_list:
            raise _same_list(common)
        if common.rows:
            found.append(common)
    return found


def _same_list(common: Overlap) -> SameListAgain:
    return SameListAgain(
        text(
            "{rows} of the {all} rows to be paid, {yuan} yuan, have the same openid and amount in the "
            "campaign {campaign}. Nothing was sent.",
            rows=common.rows,
            all=common.of_rows,
            yuan=yuan_grouped(common.fen),
            campaign=common.campaign,
        ),
        advice=text(
            "If this is a copy of that list, run that campaign again instead: `campaign run SHEET --name "
            "{campaign}`. If these people are to be paid once more on purpose, add --also-pays {campaign}.",
            campaign=common.campaign,
        ),
    )


def _refuse_another_list(ledger: Ledger, drafted: Draft, sheet: SheetFacts) -> None:
    totals = ledger.totals(drafted.campaign)
    rows = sum(count for count, _ in totals.values())
    finished = not totals[State.PLANNED][0]
    if sheet.partial or not is_another_list(drafted, known_rows=rows, finished=finished):
        return
    known = ledger.campaign(drafted.campaign)
    assert known is not None
    raise SameListAgain(
        text(
            "The campaign {campaign} has {rows} rows, planned on {date}, and this sheet lacks {missing} of "
            "them and brings {new} new ones: it looks like another list under the same name. Rows that were "
            "sent will not be sent again. Nothing was sent.",
            campaign=drafted.campaign,
            rows=rows,
            date=beijing_day(known.created_at_s).isoformat(),
            missing=drafted.missing,
            new=len(drafted.new),
        ),
        advice=text(
            "If it is another list, give it a name of its own with --name. If it is the same one, put the "
            "missing rows back; to stop paying for good what was not sent yet, use `campaign cancel "
            "{campaign}`.",
            campaign=drafted.campaign,
        ),
    )


def _conflict(campaign: str, conflicts: Sequence[Conflicting]) -> Conflict:
    lines: list[Text] = [_told(c) for c in conflicts[:_TOLD]]
    kind: type[Conflict] = (
        KeyChanged if conflicts[0].clash in (Clash.KEY_COLUMN, Clash.OTHER_KEY) else PlanConflict
    )
    message = text(
        "The sheet disagrees with what campaign {campaign} has recorded; nothing was sent. {first}",
        campaign=campaign,
        first=lines[0],
    )
    for line in lines[1:]:
        message = text("{before}\n{line}", before=message, line=line)
    if len(conflicts) > _TOLD:
        message = text("{before}\n… and {more} more.", before=message, more=len(conflicts) - _TOLD)
    return kind(message, advice=_ADVICE[conflicts[0].clash])


def _told(conflict: Conflicting) -> Text:
    order = conflict.order
    where = (
        text("{sheet}, row {row}", sheet=order.source.sheet, row=order.source.row)
        if order
        else text("row {row} as recorded", row=conflict.row)
    )
    was, now = shown_fact(conflict.field, conflict.was), shown_fact(conflict.field, conflict.now)
    match conflict.clash:
        case Clash.EDITED:
            return text(
                "{where}: {field} was {was} when it was sent, and is {now} now.",
                where=where,
                field=shown_field(conflict.field),
                was=was,
                now=now,
            )
        case Clash.KEY_COLUMN:
            return text(
                "The rows were told apart by {was}, and now would be by {now}, so people would get new "
                "numbers.",
                was=_KEY_COLUMNS.get(conflict.was, conflict.was),
                now=_KEY_COLUMNS.get(conflict.now, conflict.now),
            )
        case Clash.OTHER_KEY:
            return text(
                "{where}: {openid} has an entry in this campaign already, under the key {was} "
                "(row {row} at the time); under {now} they would be paid again.",
                where=where,
                openid=mask_openid(order.re_openid if order else ""),
                was=_shown_key(conflict.was),
                now=_shown_key(conflict.now),
                row=conflict.row,
            )
        case Clash.REORDERED:
            return text(
                "{where}: {openid} had {was} rows when one of them was sent, and has {now} now, or in "
                "another order.",
                where=where,
                openid=mask_openid(order.re_openid if order else ""),
                was=conflict.was,
                now=conflict.now,
            )
        case Clash.NOT_DEAD:
            return text(
                "{where}: a second number is asked for, but the first one, {was}, is {now} and not "
                "proven dead.",
                where=where,
                was=conflict.was,
                now=conflict.now,
            )


def shown_field(field: str) -> Text:
    """A field in the words of the sheet's columns; its name at WeChat Pay stands beside it."""
    word = FIELD_NAMES[field]
    return word if field in word.template else text("{word} ({name})", word=word, name=field)


def shown_fact(field: str, value: str) -> Text | str:
    """A field's value: yuan beside fen, an openid masked."""
    if field == "total_amount":
        return text("{yuan} yuan ({fen} fen)", yuan=yuan_text(int(value)), fen=value)
    if field == "re_openid":
        return mask_openid(value)
    return repr(value)


def _shown_key(row_key: str) -> str:
    """A row key for people; many sheets have openids as keys."""
    openid, blank, ordinal = row_key.partition(" #")
    shown = mask_openid(openid) if _OPENID_LIKE.fullmatch(openid) else openid
    return repr(f"{shown}{blank}{ordinal}")


#: What told the rows apart, in words.
_KEY_COLUMNS = {
    "id": text("id"),
    "re_openid": text("openid"),
    ORDINAL_KEYS: text("openid and order (--allow-repeats)"),
}
_ADVICE = {
    Clash.EDITED: text(
        "Undo the change in these cells and run again. To pay somebody more, add a row with its own id."
    ),
    Clash.KEY_COLUMN: text(
        "Do as when the campaign was first run: with the same id column, or without one, and with or without "
        "--allow-repeats. A new list, or somebody's second packet, needs a sheet with a --name of its own."
    ),
    Clash.OTHER_KEY: text(
        "Restore the id or openid of that row as it was. Somebody who is to get a second packet needs a row "
        "of their own in a campaign with an id column."
    ),
    Clash.REORDERED: text(
        "Put that person's rows back as they were, the refused ones included, with new ones below them: "
        "a row that is taken away moves those after it. A refused row can be corrected where it stands."
    ),
    Clash.NOT_DEAD: text(
        "Take these rows out of the sheet, or run `campaign reissue` for a new one: it asks WeChat Pay about "
        "every number first."
    ),
}
