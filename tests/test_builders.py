"""The tests' own notation does what it says."""

from __future__ import annotations

from campaign.domain.billno import mch_billno
from campaign.ports import Clock
from tests.builders import CAMPAIGN, MCH_ID, NOW_S, ManualClock, billno, entry, orders, repeats, tied


def test_rows():
    first, second = orders("oA 1.88", "7: oB 8.88")
    assert (first.row_key, first.re_openid, first.total_amount, first.source.row) == ("oA", "oA", 188, 2)
    assert (second.row_key, second.re_openid, second.total_amount, second.source.row) == ("7", "oB", 888, 3)
    assert [row.row_key for row in repeats("oA 1.00", "oB 1.00", "oA 1.00")] == ["oA #1", "oB #1", "oA #2"]


def test_entries_have_the_number_of_their_row():
    number = mch_billno(mch_id=MCH_ID, campaign_id=CAMPAIGN, row_key="oA", issue=2)
    row = tied("oB 1.00", key="oA", issue=2)
    assert billno(row) == entry(row).mch_billno == entry(row).parameters["mch_billno"] == number


def test_the_clock_stands_still_until_somebody_sleeps():
    manual = ManualClock()
    clock: Clock = manual
    before = clock.monotonic_s()
    clock.sleep(1.5)
    clock.sleep(-1)
    assert (clock.now_s() - NOW_S, clock.monotonic_s() - before, manual.slept) == (1.5, 1.5, [1.5, -1])
    manual.step(-3600)
    assert (clock.now_s() - NOW_S, clock.monotonic_s() - before) == (1.5 - 3600, 1.5)
