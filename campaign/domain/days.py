"""Beijing days: WeChat Pay's daily caps, bills and timetables follow the calendar of Asia/Shanghai."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

BEIJING: Final = ZoneInfo("Asia/Shanghai")

#: A request this near to midnight may be counted by WeChat Pay on either day, so we count it on both.
MIDNIGHT_MARGIN_S: Final = 60.0

#: The form of every time in an answer of WeChat Pay.
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")

HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S

#: China has been at UTC+8 without summer time since 1991: from then on plain arithmetic does, ten times as
#: fast, which counts in a report of a million rows.
_OFFSET_S: Final = 8 * HOUR_S
_UNIX_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - without a zone, for differences only
_UNIX_EPOCH_ORDINAL: Final = _UNIX_EPOCH.toordinal()
_PLAIN_FROM: Final = datetime(1992, 1, 1)  # noqa: DTZ001 - Beijing's wall clock
_PLAIN_FROM_S: Final = (_PLAIN_FROM - _UNIX_EPOCH).total_seconds() - _OFFSET_S


def beijing_day(at_s: float) -> date:
    """The Beijing calendar day of a moment in Unix seconds."""
    if at_s < _PLAIN_FROM_S:
        return beijing_time(at_s).date()
    return date.fromordinal(_UNIX_EPOCH_ORDINAL + int((at_s + _OFFSET_S) // DAY_S))


def beijing_days(at_s: float) -> tuple[date, ...]:
    """The one or two Beijing days on which a request that left at this moment is counted."""
    return tuple(sorted({beijing_day(at_s - MIDNIGHT_MARGIN_S), beijing_day(at_s + MIDNIGHT_MARGIN_S)}))


def counted_alike_s(at_s: float) -> tuple[float, float]:
    """From when until when a request may leave and count on no day but those of one leaving at ``at_s``."""
    days = beijing_days(at_s)
    return day_start_s(days[0]) + MIDNIGHT_MARGIN_S, day_start_s(days[-1]) + DAY_S - MIDNIGHT_MARGIN_S


def day_range(first: date, last: date) -> Iterator[date]:
    """Every day from the first to the last, both included."""
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def day_start_s(day: date) -> float:
    """The first moment of a Beijing day, in Unix seconds."""
    return datetime.combine(day, time.min, BEIJING).timestamp()


def next_day_start_s(at_s: float) -> float:
    """A moment that is surely in the next Beijing day, past the margin in which clocks may differ."""
    return day_start_s(beijing_day(at_s) + timedelta(days=1)) + MIDNIGHT_MARGIN_S


def beijing_time(at_s: float) -> datetime:
    """A moment in Unix seconds as aware Beijing time."""
    return datetime.fromtimestamp(at_s, UTC).astimezone(BEIJING)


def rfc3339(at_s: float) -> str:
    """A moment in Unix seconds as RFC 3339 text in Beijing time, to the second."""
    if at_s < _PLAIN_FROM_S:
        return beijing_time(at_s).isoformat(timespec="seconds")
    return f"{_wall_clock(at_s).isoformat()}+08:00"


def moment_s(beijing_text: str) -> float:
    """Unix seconds of WeChat Pay's ``YYYY-MM-DD HH:MM:SS`` (Beijing time, R3.2).

    Raises:
        ValueError: the text has another form.
    """
    if not _MOMENT.fullmatch(beijing_text):
        raise ValueError(beijing_text)
    naive = datetime.fromisoformat(beijing_text)
    if naive < _PLAIN_FROM:
        return naive.replace(tzinfo=BEIJING).timestamp()
    return (naive - _UNIX_EPOCH).total_seconds() - _OFFSET_S


def beijing_text(at_s: float) -> str:
    """A moment in Unix seconds as WeChat Pay writes it, ``YYYY-MM-DD HH:MM:SS`` in Beijing time."""
    if at_s < _PLAIN_FROM_S:
        return beijing_time(at_s).strftime("%Y-%m-%d %H:%M:%S")
    return _wall_clock(at_s).isoformat(" ")


def _wall_clock(at_s: float) -> datetime:
    """What clocks in Beijing show, to the second, since 1992."""
    return _UNIX_EPOCH + timedelta(seconds=at_s // 1 + _OFFSET_S)
