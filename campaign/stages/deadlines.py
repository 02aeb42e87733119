"""The deadline board of a campaign."""

from __future__ import annotations

from functools import partial

from campaign.domain.deadline import Deadline
from campaign.domain.deadline import deadlines as deadlines_of
from campaign.ledger.store import Ledger


def deadlines(ledger: Ledger, name: str, *, now_s: float) -> list[Deadline]:
    """What ends for the campaign's packets, the nearest first."""
    return deadlines_of(partial(ledger.aged, name), now_s=now_s)
