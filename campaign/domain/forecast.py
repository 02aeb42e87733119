"""What a sheet will cost and how long it will take, said before anybody agrees to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final

from campaign.domain.limits import Limits, days_needed
from campaign.domain.money import yuan_grouped, yuan_text
from campaign.domain.order import PacketOrder, RowProblem, Source
from campaign.text import text

#: Upper bounds of the histogram's classes, in fen; the last class is open.
_CLASSES: Final = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Totals of the rows still to be paid; amounts in fen."""

    rows: int
    people: int
    total_fen: int
    smallest_fen: int = 0
    median_fen: int = 0
    largest_fen: int = 0
    #: (upper bound in fen or None, rows), the non-empty classes only.
    histogram: tuple[tuple[int | None, int], ...] = ()
    #: Seconds of sending at the configured pace, on the first day.
    seconds: float = 0.0
    #: Beijing days that the daily caps make of it.
    days: int = 1
    #: What the campaign may still spend before this sheet.
    budget_left_fen: int = 0


def forecast(
    orders: Sequence[PacketOrder], limits: Limits, *, sends_per_second: float, counted_fen: int = 0
) -> Forecast:
    """Sum up the orders that are still to be paid.

    Args:
        counted_fen: what the campaign's budget has been used for already.
    """
    left = limits.campaign_fen - counted_fen
    if not orders:
        return Forecast(rows=0, people=0, total_fen=0, budget_left_fen=left)
    amounts = [order.total_amount for order in orders]
    people: dict[str, tuple[int, int]] = {}
    for order in orders:
        packets, fen = people.get(order.re_openid, (0, 0))
        people[order.re_openid] = (packets + 1, fen + order.total_amount)
    return Forecast(
        rows=len(orders),
        people=len(people),
        total_fen=sum(amounts),
        smallest_fen=min(amounts),
        median_fen=median_low(amounts),
        largest_fen=max(amounts),
        histogram=_histogram(amounts),
        seconds=len(orders) / sends_per_second,
        days=days_needed(people, sum(amounts), limits),
        budget_left_fen=left,
    )


def budget_problems(planned: Forecast, limits: Limits, source: Source) -> list[RowProblem]:
    """Why the sheet as a whole may not be paid under the operator's own limits."""
    problems = []
    if planned.total_fen > planned.budget_left_fen:
        problems.append(
            RowProblem(
                source=source,
                column="total_amount",
                value=yuan_text(planned.total_fen),
                problem=text(
                    "the rows add up to {total} yuan, and the campaign may still spend {left} yuan",
                    total=yuan_grouped(planned.total_fen),
                    left=yuan_grouped(max(planned.budget_left_fen, 0)),
                ),
                advice=text("if the sum is right, raise campaign_yuan under [limits] in campaign.toml"),
            )
        )
    if planned.largest_fen > limits.in_doubt_fen:
        problems.append(
            RowProblem(
                source=source,
                column="total_amount",
                value=yuan_text(planned.largest_fen),
                problem=text(
                    "the largest packet, {largest} yuan, is more than the {limit} yuan that may be in "
                    "doubt at once",
                    largest=yuan_grouped(planned.largest_fen),
                    limit=yuan_grouped(limits.in_doubt_fen),
                ),
                advice=text("raise in_doubt_yuan under [limits] in campaign.toml, or split the packet"),
            )
        )
    return problems


def _histogram(amounts: Sequence[int]) -> tuple[tuple[int | None, int], ...]:
    counts = [0] * (len(_CLASSES) + 1)
    for amount in amounts:
        counts[next((i for i, bound in enumerate(_CLASSES) if amount <= bound), len(_CLASSES))] += 1
    bounds: tuple[int | None, ...] = (*_CLASSES, None)
    return tuple((bound, rows) for bound, rows in zip(bounds, counts, strict=True) if rows)
