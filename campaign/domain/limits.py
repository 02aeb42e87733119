"""What may still be spent: the caps that are checked before a request leaves (section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from campaign.domain.entry import Claim, Entry
from campaign.domain.state import COMMITTED, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's and WeChat Pay's caps; amounts in fen."""

    campaign_fen: int
    in_doubt_fen: int
    person_day_packets: int = 10
    person_day_fen: int = 100_000
    merchant_day_fen: int = 100_000_000


class Cap(StrEnum):
    """Which cap holds an entry back."""

    CAMPAIGN = "campaign"
    IN_DOUBT = "in_doubt"
    PERSON_DAY = "person_day"
    MERCHANT_DAY = "merchant_day"


@dataclass(slots=True)
class Used:
    """What is counted already, read from the ledger in the transaction that spends; amounts in fen.

    Entries in doubt, parked, accepted and received count; refunded ones too for the campaign. For a
    day's caps an entry counts on every Beijing day on which a request for it left.
    """

    campaign_fen: int
    in_doubt_fen: int
    #: For each Beijing day that the coming requests fall on.
    merchant_day_fen: dict[date, int]
    #: (day, openid) -> (packets, fen)
    person_day: dict[tuple[date, str], tuple[int, int]]

    def add_elsewhere(self, other: Used) -> None:
        """Count what another ledger of the same merchant has used; a campaign's budget is its own."""
        self.in_doubt_fen += other.in_doubt_fen
        for day, fen in other.merchant_day_fen.items():
            self.merchant_day_fen[day] = self.merchant_day_fen.get(day, 0) + fen
        for key, (packets, fen) in other.person_day.items():
            ours = self.person_day.get(key, (0, 0))
            self.person_day[key] = (ours[0] + packets, ours[1] + fen)


class Allowance:
    """Spends from the caps, one packet at a time, and says which cap forbids the next one."""

    def __init__(self, limits: Limits, used: Used, days: tuple[date, ...]) -> None:
        """``days``: the Beijing days on which a request sent now is counted (one or two)."""
        self._limits = limits
        self._used = used
        self._days = days

    def forbids(self, entry: Entry | Claim, *, counted_days: frozenset[date] = frozenset()) -> Cap | None:
        """The first cap that one more request for this entry would break; None when it may leave.

        Args:
            entry: as it is before the request; what its state counts for already is not counted twice.
            counted_days: the days on which an earlier request for it is counted already.
        """
        limits, used, fen = self._limits, self._used, entry.total_amount
        if entry.state not in COMMITTED and used.campaign_fen + fen > limits.campaign_fen:
            return Cap.CAMPAIGN
        if entry.state is not State.IN_DOUBT and used.in_doubt_fen + fen > limits.in_doubt_fen:
            return Cap.IN_DOUBT
        for day in self._days:
            if day in counted_days:
                continue
            if used.merchant_day_fen.get(day, 0) + fen > limits.merchant_day_fen:
                return Cap.MERCHANT_DAY
            packets, day_fen = used.person_day.get((day, entry.re_openid), (0, 0))
            if packets + 1 > limits.person_day_packets or day_fen + fen > limits.person_day_fen:
                return Cap.PERSON_DAY
        return None

    def spend(self, entry: Entry | Claim, *, counted_days: frozenset[date] = frozenset()) -> None:
        """Count a request that `forbids` allowed."""
        used, fen = self._used, entry.total_amount
        if entry.state not in COMMITTED:
            used.campaign_fen += fen
        if entry.state is not State.IN_DOUBT:
            used.in_doubt_fen += fen
        for day in self._days:
            if day in counted_days:
                continue
            used.merchant_day_fen[day] = used.merchant_day_fen.get(day, 0) + fen
            packets, day_fen = used.person_day.get((day, entry.re_openid), (0, 0))
            used.person_day[day, entry.re_openid] = (packets + 1, day_fen + fen)


def days_needed(per_person: Mapping[str, tuple[int, int]], total_fen: int, limits: Limits) -> int:
    """How many Beijing days a sheet takes at least under the daily caps, from 1.

    Args:
        per_person: openid -> (packets, fen) of the rows to be sent.
    """
    days = max(1, -(-total_fen // limits.merchant_day_fen))
    for packets, fen in per_person.values():
        days = max(days, -(-packets // limits.person_day_packets), -(-fen // limits.person_day_fen))
    return days
