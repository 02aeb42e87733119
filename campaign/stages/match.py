"""Match the ledger with what WeChat Pay said and with what the funds bill shows (R10.5)."""

from __future__ import annotations

from collections.abc import Sequence

from campaign.domain.bill import Bill, BusinessNames
from campaign.domain.matching import Match
from campaign.domain.matching import match as match_entries
from campaign.errors import UsageError
from campaign.ledger.store import Ledger
from campaign.text import text


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
    """Match one campaign with the bills of some days; reads the ledger and changes nothing.

    Args:
        bills: of the merchant; lines of the ledger's other campaigns are recognised and set aside.
        opening_fen: what the accounts held before the first line, where somebody knows it.
        closing_fen: what they held after the last.

    Raises:
        UsageError: no such campaign.
    """
    if ledger.campaign(campaign_name) is None:
        raise UsageError(
            text("the ledger knows no campaign {campaign}", campaign=campaign_name),
            advice=text("`campaign status` lists the campaigns."),
        )
    return match_entries(
        ledger.entries(campaign_name),
        bills,
        elsewhere=ledger.numbers(but=campaign_name),
        names=names,
        mch_id=mch_id,
        opening_fen=opening_fen,
        closing_fen=closing_fen,
    )
