"""What a sheet will cost and how long it will take, said before anybody agrees to it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from campaign.domain.limits import Limits, days_needed
from campaign.domain.money import yuan_grouped, yuan_text
from campaign.domain.order import PacketOrder, RowProblem, Source, as_orders
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
    sheet = as_orders(orders)
    amounts: Counter[int] = Counter()
    for _, fens in sheet.payment_columns():
        amounts.update(fens)
    rows = amounts.total()
    if not rows:
        return Forecast(rows=0, people=0, total_fen=0, budget_left_fen=left)
    total_fen = sum(fen * times for fen, times in amounts.items())
    people, of_several = sheet.people()
    return Forecast(
        rows=rows,
        people=people,
        total_fen=total_fen,
        smallest_fen=min(amounts),
        median_fen=_median_low(amounts),
        largest_fen=max(amounts),
        histogram=_histogram(amounts),
        seconds=rows / sends_per_second,
        days=max(
            days_needed(of_several, total_fen, limits),
            days_needed({"": (1, max(amounts))}, total_fen, limits),
        ),
        budget_left_fen=left,
    )


def budget_problems(planned: Forecast, limits: Limits, source: Source) -> list[RowProblem]:
    """Why the sheet as a whole may not be paid under the operator's own limits."""
    problems = []
    # Where nothing more is to be sent, a budget that was lowered since stops nothing.
    if planned.total_fen > max(planned.budget_left_fen, 0):
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


def _median_low(amounts: Counter[int]) -> int:
    """The middle amount; of an even number of rows the lower one of the two in the middle."""
    ascending = sorted(amounts)
    upto = accumulate(amounts[fen] for fen in ascending)
    middle = (amounts.total() + 1) // 2
    return next(fen for fen, rows in zip(ascending, upto, strict=True) if rows >= middle)


def _histogram(amounts: Counter[int]) -> tuple[tuple[int | None, int], ...]:
    counts = [0] * (len(_CLASSES) + 1)
    for fen, rows in amounts.items():
        counts[bisect_left(_CLASSES, fen)] += rows
    bounds: tuple[int | None, ...] = (*_CLASSES, None)
    return tuple((bound, rows) for bound, rows in zip(bounds, counts, strict=True) if rows)
