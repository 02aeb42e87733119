"""Totals that add up, whatever the entries are."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.days import beijing_text, moment_s
from campaign.domain.entry import Flag
from campaign.domain.money import Sum
from campaign.domain.state import Evidence, State
from campaign.domain.summary import Day, Summary, closed_at_s, paid_fen
from campaign.domain.verdict import Verdict, verdict
from tests.report.samples import PARAMETERS, SENT, entry

TIMES = st.sampled_from(["", "2026-03-03 23:59:59", "2026-04-01 00:00:00", "3 March"])

ENTRIES = st.builds(
    lambda state, row, fen, proof, flag, time, activity, back_fen: entry(
        state,
        row=row,
        fen=fen,
        evidence=proof,
        flag=flag,
        rcv_time=time,
        refund_time=time,
        refund_amount=min(back_fen, fen),
        parameters=PARAMETERS | {"act_name": activity},
    ),
    st.sampled_from(State),
    st.integers(2, 6),
    st.integers(1, 499_900),
    st.sampled_from((None, *Evidence)),
    st.sampled_from((None, *Flag)),
    TIMES,
    st.sampled_from(("灯谜", "抽奖")),
    st.sampled_from((0, 1, 188, 499_900)),  # 0: nobody said how much
)


@given(st.lists(ENTRIES))
def test_every_breakdown_counts_every_row_and_every_fen_once(entries):
    summary = Summary.of(entries)
    everything = Sum(len(entries), sum(e.total_amount for e in entries))
    assert summary.totals.planned == everything
    assert summary.totals.difference == Sum(0, 0)
    for parts in (
        summary.totals.verdicts.values(),
        summary.states.values(),
        [activity.planned for activity in summary.activities.values()],
    ):
        assert Sum(sum(p.rows for p in parts), sum(p.fen for p in parts)) == everything


@given(st.lists(ENTRIES))
def test_money_by_day_is_the_money_by_verdict(entries):
    """A refunded packet was sent first, so it is on two days."""
    summary = Summary.of(entries)
    verdicts, days = summary.totals.verdicts, summary.days.values()
    claimed, back = verdicts[Verdict.CLAIMED], verdicts[Verdict.REFUNDED]
    assert sum(d.sent.fen for d in days) == claimed.fen + back.fen + verdicts[Verdict.UNCLAIMED].fen
    assert sum(d.claimed.fen for d in days) == sum(
        e.total_amount for e in entries if _is_claimed(e) and closed_at_s(e, Verdict.CLAIMED)
    )
    assert sum(s.rows for (_, m), s in summary.months.items() if m) == sum(d.refunded.rows for d in days)
    assert sum(d.refunded.fen for d in days) == summary.refunded_fen
    assert summary.paid.fen + summary.refunded_fen == sum(d.sent.fen for d in days)
    assert sum(s.fen for s in summary.months.values()) == sum(d.sent.fen for d in days)
    assert sum(s.fen for (_, m), s in summary.months.items() if m) == summary.refunded_fen
    kept = [s for (_, m), s in summary.months.items() if not m]
    assert summary.paid == Sum(sum(s.rows for s in kept), sum(s.fen for s in kept))
    assert summary.paid.fen == sum(paid_fen(e, verdict(e)) for e in entries)
    assert sum(s.fen for s in summary.claim_hours.values()) == sum(d.claimed.fen for d in days)


def _is_claimed(e):
    return e.state is State.RECEIVED and e.flag not in (Flag.MISMATCH, Flag.CONTRADICTION)


def test_a_breakdown_that_lost_a_row_shows_a_difference():
    summary = Summary.of([entry(State.RECEIVED), entry(State.PLANNED, row=3)])
    summary.totals.verdicts[Verdict.CLAIMED] = Sum()
    assert summary.totals.difference == Sum(1, 188)


def test_a_packet_sent_before_midnight_in_beijing_and_opened_after_it_is_on_two_days():
    sent = moment_s("2026-03-03 23:59:30")
    opened = entry(
        State.RECEIVED, first_sent_at_s=sent, last_sent_at_s=sent, rcv_time=beijing_text(sent + 45)
    )
    assert dict(Summary.of([opened]).days) == {
        date(2026, 3, 3): Day(sent=Sum(1, 188)),
        date(2026, 3, 4): Day(claimed=Sum(1, 188)),
    }


def test_a_month_end_cuts_sending_from_coming_back():
    sent = moment_s("2026-03-31 12:00:00")
    back = entry(
        State.REFUNDED,
        first_sent_at_s=sent,
        last_sent_at_s=sent,
        refund_time="2026-04-01 12:20:00",
        refund_amount=100,
    )
    summary = Summary.of([back])
    assert dict(summary.months) == {("2026-03", "2026-04"): Sum(1, 100), ("2026-03", ""): Sum(0, 88)}
    assert summary.refunded_fen == 100


def test_what_came_back_in_part_only_counts_with_that_part_and_the_rest_is_paid():
    back = entry(State.REFUNDED, fen=188, refund_amount=100, refund_time="2026-04-01 12:20:00")
    summary = Summary.of([back, entry(State.RECEIVED, row=3, fen=200)])
    assert summary.paid == Sum(1, 288)
    assert summary.days[date(2026, 4, 1)].refunded == Sum(1, 100)


@pytest.mark.parametrize("said", ["", "2026/03/03 20:01", "2026-03-03T20:01:00"])
def test_where_wechat_names_no_time_the_moment_we_learned_it_counts(said):
    settled = entry(State.RECEIVED, rcv_time=said, settled_at_s=SENT + 3600)
    assert closed_at_s(settled, Verdict.CLAIMED) == SENT + 3600


def test_hours_until_opening_are_counted_from_the_request_and_never_negative():
    """Their clock and ours may differ by seconds."""
    times = [beijing_text(SENT + s) for s in (-2, 59, 3599, 3600)]
    summary = Summary.of(entry(State.RECEIVED, row=n, rcv_time=t) for n, t in enumerate(times, 2))
    assert {hour: total.rows for hour, total in summary.claim_hours.items()} == {0: 3, 1: 1}


def test_the_money_left_with_the_request_that_was_taken():
    """A repeat follows only where WeChat Pay knew no order, so the last request's day is the day."""
    next_day = moment_s("2026-03-04 09:00:00")
    repeated = replace(entry(State.ACCEPTED), last_sent_at_s=next_day)
    assert set(Summary.of([repeated]).days) == {date(2026, 3, 4)}


def test_codes_are_counted_for_rows_that_went_wrong_only():
    summary = Summary.of(
        [entry(State.REJECTED), entry(State.REJECTED, row=3), entry(State.RECEIVED, row=4, err_code="X")]
    )
    assert dict(summary.err_codes) == {"OPENID_ERROR": Sum(2, 376)}
