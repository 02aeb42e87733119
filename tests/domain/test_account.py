"""An account's arithmetic holds to the fen, or the place where it breaks is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.account import Account, Break, Segment, check_balances, reckon
from campaign.domain.bill import Bill, Business, BusinessNames
from tests.domain.bills import NAMES, bill, line

MONDAY, TUESDAY, WEDNESDAY = "2026-03-02", "2026-03-03", "2026-03-04"


def day(date: str, *yuan: str, opening_fen: int, file: str = "", account: str = "") -> Bill:
    """A day's bill: packets and refunds by sign."""
    lines = [line(each, f"V{n}", at=f"{date} {10 + n}:00:00") for n, each in enumerate(yuan)]
    return bill(*lines, opening_fen=opening_fen, file=file or f"{date}.csv", account=account, days=[date])


def reckoned(*bills: Bill, names: BusinessNames = NAMES) -> tuple[list[Account], list[Break]]:
    covered = frozenset().union(*(each.days for each in bills))
    segments = [Segment(each.account, [(row, names.kind_of(row)) for row in each.lines]) for each in bills]
    return reckon(segments, covered)


def without(whole: Bill, place: int) -> Bill:
    return replace(whole, lines=whole.lines[:place] + whole.lines[place + 1 :])


def test_each_kind_of_business_has_its_term():
    """opening + top-ups - sent + refunds + other = closing; a withdrawal is a negative top-up."""
    lines = [
        line("+1000.00", name="充值/提现"),
        line("-200.00", name="充值/提现"),
        line("-8.88"),
        line("+1.88"),
        line("+50.00", name="交易"),
        line("-3.00", name="nobody knows"),
    ]
    [account], breaks = reckoned(bill(*lines, opening_fen=5_000))
    assert not breaks
    assert (account.opening_fen, account.top_ups_fen, account.sent_fen) == (5_000, 80_000, 888)
    assert (account.refunded_fen, account.other_fen) == (188, 4_700)
    assert account.closing_fen == 5_000 + 80_000 - 888 + 188 + 4_700
    assert account.difference_fen == 0


def test_days_are_one_reckoning_in_whatever_order_they_are_given():
    days = [
        day(MONDAY, "-1.00", "-2.00", opening_fen=10_000),
        day(TUESDAY, "+1.00", opening_fen=9_700),
        day(WEDNESDAY, "-5.00", opening_fen=9_800),
    ]
    for order in (days, days[::-1]):
        [account], breaks = reckoned(*order)
        assert not breaks
        assert (account.opening_fen, account.closing_fen, account.difference_fen) == (10_000, 9_300, 0)


WHOLE = day(MONDAY, "-1.00", "-2.00", "-3.00", "+1.00", opening_fen=10_000)
STRANGER = line("-9.00", balance_fen=9_900, line=9)


@pytest.mark.parametrize(
    "broken, places, difference_fen",
    [
        (without(WHOLE, 2), [5], 300),
        (replace(WHOLE, lines=(*WHOLE.lines[:2], WHOLE.lines[1], *WHOLE.lines[2:])), [3], -200),
        (replace(WHOLE, lines=(*WHOLE.lines[:2], replace(WHOLE.lines[2], fen=301), WHOLE.lines[3])), [4], -1),
        (replace(WHOLE, lines=(*WHOLE.lines[:3], replace(WHOLE.lines[3], incoming=False))), [5], -200),
        (replace(WHOLE, lines=(*WHOLE.lines[:1], STRANGER, *WHOLE.lines[1:])), [9], -900),
    ],
)  # fmt: skip
def test_what_breaks_it_is_named_by_its_line(broken, places, difference_fen):
    """A line missing, doubled, altered, turned round, or slipped in."""
    [account], breaks = reckoned(broken)
    assert [each.line for each in breaks] == places
    assert account.difference_fen == difference_fen


def test_a_line_missing_at_a_days_end_shows_at_the_next_days_beginning():
    tuesday = day(TUESDAY, "-1.00", opening_fen=WHOLE.lines[-1].balance_fen)
    [account], [gap] = reckoned(without(WHOLE, 3), tuesday)
    assert (gap.file, gap.line) == (f"{TUESDAY}.csv", 2)
    assert f"{MONDAY}.csv" in str(gap.reason)
    assert account.difference_fen == -100


def test_a_day_without_a_bill_begins_a_new_reckoning():
    """Nobody can say what moved on it; a day on which nothing moved is known to be empty."""
    wednesday = day(WEDNESDAY, "-1.00", opening_fen=5_000)
    accounts, breaks = reckoned(WHOLE, wednesday)
    assert len(accounts) == 2
    assert not breaks
    [account], [_] = reckoned(WHOLE, bill(days=[TUESDAY]), wednesday)
    assert account.difference_fen != 0


def test_two_accounts_are_kept_apart_by_name_or_by_balance():
    """The same days of both; the files need not say whose they are."""
    for names in (("Basic", "Operation"), ("", "")):
        bills = [
            day(date, "-1.00", opening_fen=opening_fen - 100 * n, file=f"{opening_fen}-{n}", account=account)
            for account, opening_fen in zip(names, (10_000, 70_000), strict=True)
            for n, date in enumerate((MONDAY, TUESDAY))
        ]
        accounts, breaks = reckoned(*bills)
        assert not breaks
        assert sorted(account.opening_fen for account in accounts) == [10_000, 70_000]
        assert sorted(account.closing_fen for account in accounts) == [9_800, 69_800]


def test_what_somebody_knows_of_the_balances_is_checked():
    accounts, _ = reckoned(WHOLE)
    assert check_balances(accounts) == []
    assert check_balances(accounts, opening_fen=10_000, closing_fen=9_500) == []
    [opening, closing] = check_balances(accounts, opening_fen=10_001, closing_fen=0)
    assert "100.01" in str(opening)
    assert "100.00" in str(opening)
    assert "95.00" in str(closing)
    assert len(check_balances([], opening_fen=1)) == 1


moves = st.lists(st.tuples(st.booleans(), st.integers(1, 300)), min_size=3, max_size=20)


@given(moves, st.integers(0, 10**6), st.data())
def test_money_that_moves_without_a_line_is_always_off_by_its_amount(moves, opening_fen, data):
    """Any line but the ends is taken out: the difference is that line's, the break is at its successor."""
    yuan = [f"{'+' if incoming else '-'}{fen / 100:.2f}" for incoming, fen in moves]
    whole = bill(*(line(each, f"V{n}") for n, each in enumerate(yuan)), opening_fen=opening_fen)
    [account], breaks = reckoned(whole)
    assert (account.difference_fen, breaks) == (0, [])
    place = data.draw(st.integers(1, len(moves) - 2))
    [account], [where] = reckoned(without(whole, place))
    assert account.difference_fen == -whole.lines[place].change_fen
    assert where.line == whole.lines[place + 1].line


def test_names_decide_by_name_or_type_and_packets_come_first():
    assert NAMES.kind_of(line("-1.00", business_name="退款", business_type="现金红包退款")) is Business.PACKET
    assert NAMES.kind_of(line("-1.00", business_name="x", business_type="充值/提现")) is Business.TOP_UP
    assert NAMES.kind_of(line("-1.00", business_name="交易", business_type="x")) is Business.OTHER
    assert NAMES.kind_of(line("-1.00", business_name="", business_type="")) is Business.UNKNOWN
