"""The forecast as an operator reads it before agreeing."""

from __future__ import annotations

from typing import Final

from campaign.cli.frame import Session
from campaign.domain.forecast import Forecast
from campaign.domain.money import yuan_grouped
from campaign.text import Text, text

_BAR_WIDTH: Final = 24
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


def tell_forecast(planned: Forecast, session: Session) -> None:
    """Print totals, sizes, a small histogram, duration and what the caps make of it."""
    say = session.say
    say(
        text(
            "Packets: {rows}, people: {people}, {total} yuan in all "
            "(smallest {smallest}, middle {median}, largest {largest}).",
            rows=planned.rows,
            people=planned.people,
            total=yuan_grouped(planned.total_fen),
            smallest=yuan_grouped(planned.smallest_fen),
            median=yuan_grouped(planned.median_fen),
            largest=yuan_grouped(planned.largest_fen),
        )
    )
    if len(planned.histogram) > 1:
        _tell_histogram(planned, session)
    _tell_time_and_budget(planned, session)


def tell_rest(planned: Forecast, session: Session) -> None:
    """Print what is left of a campaign whose sheet and settings are those of its last run."""
    session.say(
        text(
            "Sheet and settings are unchanged. Still to be sent: {rows} packets, {total} yuan.",
            rows=planned.rows,
            total=yuan_grouped(planned.total_fen),
        )
    )
    _tell_time_and_budget(planned, session)


def _tell_time_and_budget(planned: Forecast, session: Session) -> None:
    say = session.say
    say(text("Sending takes about {time} at the configured pace.", time=duration(planned.seconds)))
    if planned.days > 1:
        say(
            text(
                "The daily limits spread it over {days} days: run the same command again on each of them.",
                days=planned.days,
            )
        )
    say(
        text(
            "Budget left after this: {left} yuan.",
            left=yuan_grouped(planned.budget_left_fen - planned.total_fen),
        )
    )


def duration(seconds: float) -> Text:
    """A duration in the two units that matter."""
    whole = max(1, round(seconds))
    if whole < 2 * _MINUTE_S:
        return text("{seconds} s", seconds=whole)
    if whole < 2 * _HOUR_S:
        return text("{minutes} minutes", minutes=round(whole / _MINUTE_S))
    return text(
        "{hours} hours {minutes} minutes", hours=whole // _HOUR_S, minutes=whole % _HOUR_S // _MINUTE_S
    )


def _tell_histogram(planned: Forecast, session: Session) -> None:
    most = max(rows for _, rows in planned.histogram)
    lower = 0
    for bound, rows in planned.histogram:
        label = f"≤ {yuan_grouped(bound)}" if bound is not None else f"> {yuan_grouped(lower)}"
        session.console.print(f"  {label:>12}  {'█' * max(1, round(rows / most * _BAR_WIDTH))} {rows:,}")
        lower = bound or lower
