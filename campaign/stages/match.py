"""Match the ledger with what WeChat Pay said and with what the funds bills show (R10.5).

The bills are kept in the ledger, since a row's money may be on the bill of either of two days, and the
night fetches them one by one. What a match brings is kept there, too: the report shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Final

from campaign.domain.bill import Bill, BusinessNames
from campaign.domain.days import DAY_S, beijing_day
from campaign.domain.matching import Match
from campaign.domain.matching import match as match_entries
from campaign.errors import BillRejected, UsageError
from campaign.ledger.records import KeptBill
from campaign.ledger.store import Ledger
from campaign.text import text
from campaign.wechat.fundflow import parse_bill

_DAY: Final = timedelta(days=1)
#: How long after its last movement a packet's money may still move: WeChat Pay forgets it after 30 days.
_AFTERMATH_S: Final = 30 * DAY_S


def match(
    ledger: Ledger,
    campaign_name: str,
    bills: Sequence[Bill],
    *,
    names: BusinessNames,
    mch_id: str,
    opening_fen: int | None = None,
    closing_fen: int | None = None,
) -> Match:
    """Match one campaign with these bills and those that the ledger keeps; changes nothing.

    Args:
        bills: of the merchant; lines of the ledger's other campaigns are recognised and set aside.
        opening_fen: what the accounts held before the first line, where somebody knows it.
        closing_fen: what they held after the last.

    Raises:
        UsageError: no such campaign.
        BillRejected: a kept bill was altered, and none of these replaces it.
    """
    if ledger.campaign(campaign_name) is None:
        raise UsageError(
            text("the ledger knows no campaign {campaign}", campaign=campaign_name),
            advice=text("`campaign status` lists the campaigns."),
        )
    return match_entries(
        ledger.entries(campaign_name),
        sorted(
            [*bills, *_kept(ledger, campaign_name, bills)], key=lambda bill: min(bill.days, default=date.max)
        ),
        elsewhere=ledger.numbers(but=campaign_name),
        names=names,
        mch_id=mch_id,
        opening_fen=opening_fen,
        closing_fen=closing_fen,
    )


def keep(ledger: Ledger, campaign_name: str, found: Match, *, now_s: float) -> None:
    """Keep a match and its bills in the ledger, for the report."""
    with ledger.atomic():
        whole = [bill for bill in found.bills if not any(_is_part(bill, other) for other in found.bills)]
        for bill in whole:
            ledger.keep_bill(bill, now_s, beside={other.content for other in whole if other.lines})
        ledger.keep_match(campaign_name, found.days, found.pairs, found.findings, now_s)


def touched(ledger: Ledger, campaign_name: str) -> tuple[date, date] | None:
    """The first and last Beijing day on whose bills the campaign's money can stand; None: nothing moved."""
    first_s, last_s = ledger.moved(campaign_name)
    if last_s is None:
        return None
    first = date.min if first_s is None else beijing_day(first_s) - _DAY
    return first, beijing_day(last_s + _AFTERMATH_S)


def _kept(ledger: Ledger, campaign_name: str, bills: Sequence[Bill]) -> Iterator[Bill]:
    """The kept bills of the campaign's days, but for those that the given ones replace.

    Raises:
        BillRejected: somebody or something altered one of them, and none of the given ones replaces it.
    """
    days = touched(ledger, campaign_name)
    if days is None:
        return
    for kept in ledger.kept_bills(*days):
        read, unread = _read(kept), Bill(file=kept.file, account=kept.account, asked_days=kept.days)
        if any(_replaces(given, read or unread) for given in bills):
            continue
        if read is None:
            raise _altered(kept, campaign_name)
        yield read


def _read(kept: KeptBill) -> Bill | None:
    """What a kept file says; None where it was altered."""
    if kept.content is None:
        return None
    if not kept.content:
        return Bill(file=kept.file, account=kept.account, asked_days=kept.asked_days)
    with suppress(BillRejected):
        return parse_bill(kept.content, file=kept.file, account=kept.account, days=kept.asked_days)
    return None


def _altered(kept: KeptBill, campaign_name: str) -> BillRejected:
    return BillRejected(
        text(
            "The funds bill {file} of {days} was altered in the ledger, and cannot be used.",
            file=kept.file,
            days=tuple(day.isoformat() for day in sorted(kept.days)),
        ),
        advice=text(
            "Match it once more, downloaded again (`campaign match {campaign} --date … --download`) or as "
            "the file that you have: it takes the place of the altered one. `campaign audit` says whether "
            "anything else was altered.",
            campaign=campaign_name,
        ),
    )


def _replaces(given: Bill, kept: Bill) -> bool:
    """Whether a bill takes the place of an older one of its days: not one that was saved before the day was
    over and waited since, for lines do not disappear from an account.
    """
    if given.account != kept.account or not kept.days <= given.days or _is_part(given, kept):
        return False
    if given.account or not kept.lines:
        return True
    # Where nobody said whose they are, they are one account's if they have a movement in common.
    moved = {line.flow_id for line in given.lines}
    return any(line.flow_id in moved for line in kept.lines)


def _is_part(bill: Bill, whole: Bill) -> bool:
    """Whether another bill of the same account and days has all lines of this one, and more."""
    return (
        len(bill.lines) < len(whole.lines)
        and bill.account == whole.account
        and bill.days <= whole.days
        and set(bill.lines) < set(whole.lines)
    )
