"""Beijing days: where midnight is, and how far from it a request counts on both days."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.days import (
    DAY_S,
    MIDNIGHT_MARGIN_S,
    beijing_day,
    beijing_days,
    beijing_text,
    beijing_time,
    counted_alike_s,
    day_start_s,
    moment_s,
    next_day_start_s,
    rfc3339,
)

#: 2026-03-04 00:00:00 in Beijing.
MIDNIGHT_S = moment_s("2026-03-04 00:00:00")
THIRD, FOURTH = date(2026, 3, 3), date(2026, 3, 4)

#: From 1992 on, when China's last summer time was over, to the end of the century after this one.
MOMENTS = st.floats(moment_s("1992-01-01 00:00:00"), moment_s("2199-12-31 23:59:59"))


@pytest.mark.parametrize(
    "offset_s, day", [(-1, THIRD), (-0.001, THIRD), (0, FOURTH), (1, FOURTH), (DAY_S - 0.001, FOURTH)]
)
def test_a_day_begins_at_midnight_in_beijing(offset_s, day):
    assert beijing_day(MIDNIGHT_S + offset_s) == day


def test_midnight_in_beijing_is_four_in_the_afternoon_of_the_day_before_in_utc():
    assert rfc3339(MIDNIGHT_S) == "2026-03-04T00:00:00+08:00"
    assert MIDNIGHT_S % DAY_S == 16 * 3600


@pytest.mark.parametrize(
    "offset_s, days",
    [
        (-61, (THIRD,)),
        (-60.001, (THIRD,)),
        (-60, (THIRD, FOURTH)),
        (-1, (THIRD, FOURTH)),
        (0, (THIRD, FOURTH)),
        (59.999, (THIRD, FOURTH)),
        (60, (FOURTH,)),
        (12 * 3600, (FOURTH,)),
    ],
)
def test_a_request_within_a_minute_of_midnight_counts_on_both_days(offset_s, days):
    assert beijing_days(MIDNIGHT_S + offset_s) == days


@given(MOMENTS)
def test_every_moment_lies_in_its_day(at_s):
    day = beijing_day(at_s)
    assert day_start_s(day) <= at_s < day_start_s(day) + DAY_S
    assert day in beijing_days(at_s)
    assert len(beijing_days(at_s)) <= 2


@given(
    MOMENTS, st.floats(-3 * DAY_S, 3 * DAY_S) | st.sampled_from([0, MIDNIGHT_MARGIN_S, -MIDNIGHT_MARGIN_S])
)
def test_what_leaves_within_the_span_counts_on_no_other_day(at_s, later_s):
    """Just then, and also around midnight, where a request counts on two days."""
    for begun_s in (at_s, day_start_s(beijing_day(at_s))):
        from_s, until_s = counted_alike_s(begun_s)
        assert from_s <= begun_s < until_s
        for left_s in (begun_s + later_s, from_s, until_s, from_s - 1e-3, until_s - 1e-3):
            alike = set(beijing_days(left_s)) <= set(beijing_days(begun_s))
            assert alike == (from_s <= left_s < until_s)


@given(MOMENTS)
def test_the_next_day_is_reached_once_and_for_one_day_only(at_s):
    """Who waits for tomorrow is then counted on tomorrow alone, and does not wait longer than needed."""
    later_s = next_day_start_s(at_s)
    assert at_s + MIDNIGHT_MARGIN_S < later_s <= at_s + DAY_S + MIDNIGHT_MARGIN_S
    assert beijing_days(later_s) == (beijing_day(later_s),)
    assert (beijing_day(later_s) - beijing_day(at_s)).days == 1


@given(st.integers(int(moment_s("1992-01-01 00:00:00")), int(moment_s("2199-12-31 23:59:59"))))
def test_wechats_text_goes_there_and_back(at_s):
    assert moment_s(beijing_text(at_s)) == at_s


@pytest.mark.parametrize("text", ["2000-02-29 12:00:00", "2100-03-01 00:00:00", "9999-12-30 23:59:59"])
def test_far_dates_keep_beijings_eight_hours(text):
    assert beijing_text(moment_s(text)) == text
    assert beijing_time(moment_s(text)).utcoffset().total_seconds() == 8 * 3600


@pytest.mark.parametrize(
    "text", ["", "2026-03-04", "2026-03-04T00:00:00", "2026/03/04 00:00:00", "2026-02-30 00:00:00", "soon"]
)
def test_another_form_of_time_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - its words are nobody's contract
        moment_s(text)


def test_rfc3339_names_its_offset_and_whole_seconds():
    assert rfc3339(MIDNIGHT_S + 0.75) == "2026-03-04T00:00:00+08:00"


@given(st.integers(0, 4 * 10**12))
def test_the_quick_arithmetic_is_that_of_the_time_zone(at_ms: int) -> None:
    """China kept summer time until 1991; from then on there are no more surprises to know about."""
    at_s = at_ms / 1000
    there = datetime.fromtimestamp(at_s, ZoneInfo("Asia/Shanghai"))
    assert beijing_day(at_s) == there.date()
    assert rfc3339(at_s) == there.isoformat(timespec="seconds")
    assert beijing_text(at_s) == f"{there:%Y-%m-%d %H:%M:%S}"
    if not there.fold and there.utcoffset() == timedelta(hours=8):
        assert moment_s(beijing_text(at_s)) == math.floor(at_s)
