"""Three-way match: each discrepancy between ledger, gethbinfo and bill is named once, and nothing else is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.bill import Bill, BillLine
from campaign.domain.days import DAY_S, beijing_text
from campaign.domain.entry import Entry, Flag, Tally, Todo
from campaign.domain.finding import Finding, Kind
from campaign.domain.matching import Match, match
from campaign.domain.state import Evidence, State
from campaign.domain.verdict import Owner
from campaign.text import text
from tests.builders import MCH_ID, NOW_S, entry
from tests.domain.bills import NAMES, bill, line

REFUND_TIME = "2026-03-04 20:05:00"


def sent(row: str = "oA 1.88", state: State = State.ACCEPTED, **changes: Any) -> Entry:
    """A row that WeChat Pay took in the lantern festival's evening, as the ledger has it."""
    status = {State.ACCEPTED: "SENT", State.RECEIVED: "RECEIVED", State.REFUNDED: "REFUND"}.get(state, "")
    facts: dict[str, Any] = {
        "state": state,
        "tally": Tally(attempts=1),
        "status": status,
        "first_sent_at_s": NOW_S,
        "last_sent_at_s": NOW_S,
        "accepted_at_s": NOW_S + 1,
        "asked_at_s": NOW_S + 2 * DAY_S,
    }
    if state is State.REFUNDED:
        facts |= {"refund_time": REFUND_TIME, "refund_amount": entry(row).total_amount}
    return entry(row, **(facts | changes))


def debit(of: Entry, **changes: Any) -> BillLine:
    return line(f"-{of.total_amount / 100:.2f}", of.mch_billno, **changes)


def refund(of: Entry, **changes: Any) -> BillLine:
    return line(f"+{of.total_amount / 100:.2f}", of.mch_billno, **({"at": REFUND_TIME} | changes))


def matched(*entries: Entry, bills: list[Bill] | Bill, **how: Any) -> Match:
    bills = [bills] if isinstance(bills, Bill) else bills
    return match(entries, bills, names=NAMES, mch_id=MCH_ID, **how)


def the_finding(found: Match) -> Finding:
    """The one and only."""
    [finding] = found.findings
    assert not found.clean
    return finding


A, B, C = sent("oA 1.88"), sent("oB 8.88", State.RECEIVED), sent("oC 6.66", State.REFUNDED)
WHOLE = (debit(A), debit(B), debit(C), refund(C))


def test_rows_and_lines_that_fit_leave_nothing_over():
    """A debit for each paid row, a credit for the one that came back; sums of both sides agree."""
    found = matched(A, B, C, bills=bill(*WHOLE))
    assert found.clean
    assert (found.rows, found.by_number, found.by_amount, found.outside) == (3, 4, 0, 0)
    assert found.ledger_sent == found.bill_sent
    assert (found.bill_sent.rows, found.bill_sent.fen) == (3, 188 + 888 + 666)
    assert (found.bill_refunded.fen, found.ledger_refunded.fen) == (666, 666)


@pytest.mark.parametrize(
    "lines, kind, owner, row",
    [
        # the five that issue D plants
        (WHOLE[1:], Kind.NOT_IN_BILL, Owner.FINANCE, A),
        ((WHOLE[0], *WHOLE), Kind.TWO_DEBITS, Owner.ENGINEER, A),
        ((replace(WHOLE[0], fen=189), *WHOLE[1:]), Kind.AMOUNT_DIFFERS, Owner.FINANCE, A),
        ((*WHOLE, line("-5.00", "SOMEBODY-ELSES")), Kind.NOT_IN_LEDGER, Owner.FINANCE, None),
        (WHOLE[:3], Kind.REFUND_MISSING, Owner.FINANCE, C),
        # and their relatives
        ((*WHOLE, replace(WHOLE[0], flow_id="another")), Kind.TWO_DEBITS, Owner.ENGINEER, A),
        ((*WHOLE, replace(WHOLE[3], flow_id="another")), Kind.TWO_REFUNDS, Owner.FINANCE, C),
        ((*WHOLE[:3], replace(WHOLE[3], fen=665)), Kind.AMOUNT_DIFFERS, Owner.FINANCE, C),
        ((*WHOLE, refund(B)), Kind.REFUND_UNEXPECTED, Owner.FINANCE, B),
        ((*WHOLE, refund(A)), Kind.REFUND_UNEXPECTED, Owner.OPERATOR, A),
        ((*WHOLE, line("+5.00", "SOMEBODY-ELSES")), Kind.NOT_IN_LEDGER, Owner.FINANCE, None),
        ((*WHOLE, line("-5.00", "X", name="神秘扣款")), Kind.UNKNOWN_BUSINESS, Owner.ENGINEER, None),
    ],
)  # fmt: skip
def test_each_discrepancy_is_named_once_with_its_owner(lines, kind, owner, row):
    """On days that the bill covers, whichever of its lines is concerned."""
    days = ["2026-03-03", "2026-03-04"]
    finding = the_finding(matched(A, B, C, bills=bill(*lines, days=days)))
    assert (finding.kind, finding.owner, finding.entry) == (kind, owner, row)
    assert str(finding.reason)
    assert str(finding.advice)


def test_two_debits_are_told_first():
    lines = [line("-5.00", "SOMEBODY-ELSES"), *WHOLE, replace(WHOLE[1], flow_id="another", fen=999)]
    found = matched(A, B, C, bills=bill(*lines))
    assert [finding.kind for finding in found.findings] == [Kind.TWO_DEBITS, Kind.NOT_IN_LEDGER]
    assert {each.fen for each in found.findings[0].lines} == {888, 999}


def test_the_age_of_a_finding_is_that_of_the_money():
    days = ["2026-03-03", "2026-03-04"]
    found = matched(
        A, B, C, bills=bill(debit(B), debit(C), line("-5.00", "X", at="2026-03-04 01:02:03"), days=days)
    )
    ages = {finding.kind: beijing_text(finding.since_s) for finding in found.findings}
    assert ages == {
        Kind.NOT_IN_BILL: "2026-03-03 20:00:00",
        Kind.REFUND_MISSING: REFUND_TIME,
        Kind.NOT_IN_LEDGER: "2026-03-04 01:02:03",
    }


@pytest.mark.parametrize(
    "state, evidence, owner",
    [
        (State.PLANNED, None, Owner.ENGINEER),
        (State.CANCELLED, None, Owner.ENGINEER),
        (State.REJECTED, Evidence.DEAD, Owner.ENGINEER),
        (State.REJECTED, Evidence.UNSTORED, Owner.ENGINEER),
        (State.IN_DOUBT, None, Owner.OPERATOR),
        (State.PARKED, None, Owner.OPERATOR),
    ],
)
def test_a_debit_for_a_row_that_is_not_paid_by_the_ledger(state, evidence, owner):
    """Named once, even if the money came back; what the ledger has not decided, reconcile may explain."""
    row = sent(state=state, evidence=evidence)
    for lines in ([debit(row)], [debit(row), refund(row)]):
        finding = the_finding(matched(row, bills=bill(*lines)))
        assert (finding.kind, finding.owner) == (Kind.DEBIT_UNEXPECTED, owner)


@pytest.mark.parametrize(
    "state", [State.PLANNED, State.CANCELLED, State.REJECTED, State.IN_DOUBT, State.PARKED]
)
def test_no_line_is_wanted_for_a_row_that_is_not_paid(state):
    evidence = Evidence.DEAD if state is State.REJECTED else None
    row = sent(state=state, evidence=evidence)
    assert matched(row, bills=bill(days=["2026-03-03", "2026-03-04"])).clean


def test_a_packet_that_wechat_has_not_decided_may_have_a_debit_or_none():
    """SENDING (R4): neither is a discrepancy."""
    row = sent(status="SENDING")
    assert matched(row, bills=bill(days=["2026-03-03"])).clean
    assert matched(row, bills=bill(debit(row))).clean


# -- which days a bill speaks of


@pytest.mark.parametrize(
    "sent_at, days, kind",
    [
        ("20:00", ["2026-03-03"], Kind.NOT_IN_BILL),
        ("20:00", ["2026-03-02"], None),
        ("20:00", ["2026-03-04"], None),
        ("20:00", [], None),
        # near midnight either day may have the line, and both must be known before it is missed
        ("23:59", ["2026-03-03"], None),
        ("23:59", ["2026-03-03", "2026-03-04"], Kind.NOT_IN_BILL),
        ("00:00", ["2026-03-03"], None),
        ("00:00", ["2026-03-02", "2026-03-03"], Kind.NOT_IN_BILL),
    ],
)
def test_a_line_is_missed_only_on_days_that_the_bills_cover(sent_at, days, kind):
    hour, minute = map(int, sent_at.split(":"))
    at_s = NOW_S + (hour - 20) * 3600 + minute * 60
    row = sent(first_sent_at_s=at_s, last_sent_at_s=at_s, accepted_at_s=at_s + 1)
    found = matched(row, bills=bill(days=days))
    assert [finding.kind for finding in found.findings] == ([kind] if kind else [])
    assert found.outside == (0 if kind else 1)


def test_the_days_of_a_file_are_those_from_its_first_line_to_its_last():
    lines = [
        line("-5.00", "X", at="2026-03-01 10:00:00", name="交易"),
        line("-5.00", "Y", at="2026-03-05 10:00:00", name="交易"),
    ]
    assert the_finding(matched(A, bills=bill(*lines))).kind is Kind.NOT_IN_BILL


def test_a_row_that_an_older_ledger_sent_is_missed_nowhere():
    """Found paid by a question: nobody knows on which day the money left."""
    row = sent(tally=Tally(), first_sent_at_s=None, last_sent_at_s=None)
    assert matched(row, bills=bill(days=["2026-03-03"])).outside == 1


def test_a_refund_without_a_time_is_missed_when_every_day_up_to_its_news_is_covered():
    row = sent(state=State.REFUNDED, refund_time="", settled_at_s=NOW_S + DAY_S)
    days = ["2026-03-03", "2026-03-04"]
    assert the_finding(matched(row, bills=bill(debit(row), days=days))).kind is Kind.REFUND_MISSING
    assert matched(row, bills=bill(debit(row), days=days[:1])).clean


# -- by which numbers


def test_wechats_own_number_leads_to_the_row_where_ours_is_not_in_the_bill():
    """Column 2 (R10.1), as the answer to the request or to the question has it."""
    row = sent(send_listid="1000041701", detail_id="")
    other = sent("oB 8.88", detail_id="1000041702")
    lines = [line("-1.88", "", business_no="1000041701"), line("-8.88", "", business_no="1000041702")]
    found = matched(row, other, bills=bill(*lines))
    assert found.clean
    assert found.by_number == 2


def test_a_line_with_our_number_belongs_to_that_row_whatever_its_other_number_says():
    a, b = sent("oA 1.88", send_listid="L1"), sent("oB 1.88", send_listid="L2")
    crossed = [replace(debit(a), business_no="L2"), replace(debit(b), business_no="L1")]
    assert matched(a, b, bills=bill(*crossed)).clean
    finding = the_finding(matched(a, b, bills=bill(crossed[0])))
    assert (finding.kind, finding.entry) == (Kind.NOT_IN_BILL, b)


def test_lines_of_other_campaigns_are_set_aside():
    """By either number; neither foreign nor counted as this campaign's."""
    other = sent("oX 3.33")
    lines = [*WHOLE, debit(other), line("-4.44", "", business_no="L9")]
    elsewhere = [(other.mch_billno, "", ""), ("Z" * 28, "L9", "L9")]
    found = matched(A, B, C, bills=bill(*lines), elsewhere=elsewhere)
    assert found.clean
    assert (found.elsewhere, found.by_number) == (2, 4)
    assert found.accounts[0].sent_fen == 188 + 888 + 666 + 333 + 444


def test_what_wechat_calls_packets_is_learned_from_the_lines_of_rows():
    """R10.4: the names are not published. A row's line shows one, and then a stranger's is known."""
    lines = [debit(A, name="营销红包支出"), line("-5.00", "STRANGER", name="营销红包支出")]
    finding = the_finding(matched(A, bills=bill(*lines)))
    assert finding.kind is Kind.NOT_IN_LEDGER
    assert "STRANGER" in str(finding.reason)


def test_other_business_is_counted_and_no_discrepancy():
    """Also where its order number looks like ours."""
    lines = [*WHOLE, line("+99.00", MCH_ID + "2" * 18, name="交易"), line("+500.00", name="充值/提现")]
    found = matched(A, B, C, bills=bill(*lines))
    assert found.clean
    assert found.other == 2
    [account] = found.accounts
    assert (account.other_fen, account.top_ups_fen) == (9900, 50_000)


def test_an_unknown_business_is_named_once_however_many_lines_it_has():
    lines = [line("-5.00", f"X{n}", name=name) for n, name in enumerate(["甲", "乙", "甲", "甲"])]
    found = matched(A, bills=bill(debit(A), *lines))
    assert [finding.kind for finding in found.findings] == [Kind.UNKNOWN_BUSINESS] * 2
    assert any("3 lines, 15.00 yuan" in str(finding.reason) for finding in found.findings)


# -- by amount and day


def test_where_the_bill_has_no_numbers_of_ours_amount_and_day_decide():
    """R10.5; each line serves one row."""
    rows = [sent(f"o{n} 1.88") for n in range(3)] + [sent("oX 8.88")]
    lines = [line("-1.88", f"V{n}") for n in range(3)] + [line("-8.88", "V9")]
    found = matched(*rows, bills=bill(*lines))
    assert found.clean
    assert (found.by_number, found.by_amount) == (0, 4)
    finding = the_finding(matched(*rows, bills=bill(*lines[1:])))
    assert finding.kind is Kind.NOT_IN_BILL
    assert finding.entry is not None
    assert finding.entry.total_amount == 188
    finding = the_finding(matched(*rows, bills=bill(*lines, line("-1.88", "V8"))))
    assert finding.kind is Kind.NOT_IN_LEDGER


def test_a_stranger_with_the_amount_of_a_missing_line_does_not_hide_it():
    """Where numbers work, they alone decide: the row and the stranger are both named."""
    lines = [debit(B), line("-1.88", "STRANGER")]
    found = matched(A, B, bills=bill(*lines))
    assert {finding.kind for finding in found.findings} == {Kind.NOT_IN_LEDGER, Kind.NOT_IN_BILL}


def test_an_unknown_number_of_our_own_shape_is_never_matched_by_amount():
    """Somebody paid it under a number as only this program makes them: a lost ledger's."""
    found = matched(A, bills=bill(line("-1.88", MCH_ID + "Z" * 18)))
    assert {finding.kind for finding in found.findings} == {Kind.NOT_IN_LEDGER, Kind.NOT_IN_BILL}


def test_another_day_or_amount_or_direction_is_no_match():
    days = ["2026-03-02", "2026-03-03"]
    for stranger in (line("-1.88", at="2026-03-02 10:00:00"), line("-1.89"), line("+1.88")):
        found = matched(A, bills=bill(stranger, days=days))
        assert {finding.kind for finding in found.findings} == {Kind.NOT_IN_LEDGER, Kind.NOT_IN_BILL}


def test_near_midnight_the_line_may_be_on_the_next_day():
    late_s = NOW_S + 4 * 3600 - 30
    row = sent(first_sent_at_s=late_s, last_sent_at_s=late_s, accepted_at_s=late_s)
    assert matched(row, bills=bill(line("-1.88", at="2026-03-04 00:00:10"))).by_amount == 1


def test_days_are_given_to_rows_so_that_as_many_as_possible_fit():
    """The row that can only be today's gets today's line; the one near midnight takes tomorrow's."""
    late_s = NOW_S + 4 * 3600 - 30
    late = sent("oLate 1.88", first_sent_at_s=late_s, last_sent_at_s=late_s, accepted_at_s=late_s)
    lines = [line("-1.88"), line("-1.88", at="2026-03-04 00:00:10")]
    for rows in ((A, late), (late, A)):
        assert matched(*rows, bills=bill(*lines)).clean


def test_a_row_whose_day_is_over_does_not_take_a_later_days_line():
    """The earlier row is missed, the later one has its line."""
    next_s = NOW_S + DAY_S
    later = sent("oB 1.88", first_sent_at_s=next_s, last_sent_at_s=next_s, accepted_at_s=next_s)
    tomorrows = line("-1.88", at="2026-03-04 20:00:10")
    found = matched(A, later, bills=bill(tomorrows, days=["2026-03-03", "2026-03-04"]))
    assert the_finding(found).entry == A
    assert found.by_amount == 1


# -- ledger and gethbinfo


@pytest.mark.parametrize(
    "changes, owner",
    [
        ({"flag": Flag.MISMATCH}, Owner.ENGINEER),
        ({"flag": Flag.CONTRADICTION}, Owner.FINANCE),
        ({"flag": Flag.OTHER_ID}, Owner.FINANCE),
        ({"send_listid": "L1", "detail_id": "L2"}, Owner.FINANCE),
        ({"status": "REFUND"}, Owner.FINANCE),
    ],
)
def test_answers_that_contradict_the_ledger_are_findings_without_any_bill(changes, owner):
    row = sent(state=State.RECEIVED, **changes)
    finding = the_finding(matched(row, bills=bill(debit(row))))
    assert (finding.kind, finding.owner) == (Kind.ANSWERS_DIFFER, owner)


def test_a_refund_in_part_is_compared_with_what_wechat_says_came_back():
    row = sent(state=State.REFUNDED, refund_amount=100)
    lines = [
        debit(row),
        line("+0.40", row.mch_billno, at=REFUND_TIME),
        line("+0.60", row.mch_billno, at=REFUND_TIME),
    ]
    assert matched(row, bills=bill(*lines)).clean
    assert the_finding(matched(row, bills=bill(*lines[:2]))).kind is Kind.AMOUNT_DIFFERS


# -- several files


def test_a_file_that_is_named_twice_or_overlaps_counts_once():
    """The month's bill and one day of it; but a line twice in one file is an alarm."""
    month = bill(*WHOLE, file="month.csv")
    day = replace(
        month, file="day.csv", lines=tuple(replace(each, file="day.csv") for each in month.lines[:2])
    )
    assert matched(A, B, C, bills=[month, day, month]).clean
    assert matched(A, B, C, bills=[day, month]).clean
    twice = bill(debit(A), debit(A))
    assert the_finding(matched(A, bills=[twice, twice])).kind is Kind.TWO_DEBITS


def test_a_bill_that_contradicts_its_own_summary_is_not_clean():
    flawed = replace(bill(*WHOLE), flaw=text("its lines are others"))
    found = matched(A, B, C, bills=flawed)
    assert found.holds
    assert not found.findings
    assert not found.clean


# -- the property


rows_and_lines = st.lists(
    st.tuples(
        st.sampled_from([State.ACCEPTED, State.RECEIVED, State.REFUNDED, State.PLANNED, State.REJECTED]),
        st.integers(100, 104),
        st.sampled_from(["", "drop", "double", "alter", "drop refund"]),
    ),
    max_size=12,
)


@given(rows_and_lines, st.integers(0, 3), st.booleans())
def test_every_planted_discrepancy_is_named_exactly_once_and_nothing_else_is(plan, strangers, by_listid):
    """Whatever rows there are, with equal amounts too; the account's arithmetic sees what the lines do."""
    entries, lines, planted = [], [], Counter()
    for number, (state, fen, fault) in enumerate(plan):
        evidence = Evidence.DEAD if state is State.REJECTED else None
        row = sent(f"o{number} {fen / 100:.2f}", state, evidence=evidence, send_listid=f"L{number}")
        entries.append(row)
        if state in (State.PLANNED, State.REJECTED):
            continue
        own = {"business_no": f"L{number}", "voucher_no": f"X{number}"} if by_listid else {}
        paid, back = replace(debit(row), **own), replace(refund(row), **own)
        match fault:
            case "drop":
                planted[Kind.NOT_IN_BILL, row.mch_billno] += 1
            case "double":
                planted[Kind.TWO_DEBITS, row.mch_billno] += 1
                lines += [paid, paid]
            case "alter":
                planted[Kind.AMOUNT_DIFFERS, row.mch_billno] += 1
                lines.append(replace(paid, fen=paid.fen + 1))
            case _:
                lines.append(paid)
        if state is State.REFUNDED and fault == "drop refund":
            planted[Kind.REFUND_MISSING, row.mch_billno] += 1
        elif state is State.REFUNDED:
            lines.append(back)
    numbers_work = any(not each.incoming for each in lines)
    for n in range(strangers if numbers_work else 0):
        planted[Kind.NOT_IN_LEDGER, ""] += 1
        lines.append(line(f"-1.0{n}", f"STRANGER{n}"))
    lines.sort(key=lambda each: each.billed_at_s)
    found = matched(*entries, bills=bill(*lines, days=["2026-03-03", "2026-03-04"]))
    named = Counter((f.kind, f.entry.mch_billno if f.entry else "") for f in found.findings)
    assert named == planted
    assert not found.breaks
    assert all(account.difference_fen == 0 for account in found.accounts)


# What the bill knows before we do


def test_a_line_about_a_row_that_is_still_asked_about_is_no_discrepancy() -> None:
    """In doubt when the bill was made; the next answer will say the same. After three days it is one."""
    doubt = sent("oA 1.88", State.IN_DOUBT, todo=Todo.ASK, accepted_at_s=None, asked_at_s=NOW_S + 60)
    found = matched(doubt, bills=bill(debit(doubt), days=["2026-03-03"]))
    assert (found.findings, found.ahead, found.bill_sent.rows) == ([], 1, 0)
    for changes in ({"todo": None}, {"flag": Flag.STUCK}, {"asked_at_s": NOW_S + 3 * DAY_S + 60}):
        late = replace(doubt, **changes)
        assert the_finding(matched(late, bills=bill(debit(late)))).kind is Kind.DEBIT_UNEXPECTED


def test_what_was_only_answered_with_success_is_missed_once_it_was_asked_about() -> None:
    """SUCCESS may fail within minutes; then there is no debit, and the next answer says so."""
    row = sent("oA 1.88", status="", todo=Todo.ASK, asked_at_s=NOW_S + DAY_S)
    empty = bill(debit(B), days=["2026-03-03"])
    found = matched(row, B, bills=empty)
    assert (found.findings, found.ahead) == ([], 1)
    never, too_long = {"asked_at_s": None}, {"asked_at_s": NOW_S + 4 * DAY_S}
    for changes in ({"status": "SENT"}, {"todo": None}, never, too_long):
        assert the_finding(matched(replace(row, **changes), B, bills=empty)).kind is Kind.NOT_IN_BILL
    unasked = the_finding(matched(replace(row, asked_at_s=None), B, bills=empty))
    assert (unasked.owner, "campaign reconcile" in str(unasked.advice)) == (Owner.OPERATOR, True)


@pytest.mark.parametrize("kind", Kind)
def test_every_finding_says_what_should_have_moved_and_what_did(kind: Kind) -> None:
    """None for both, where it is about no amount; else the difference is what finance looks for."""
    of_row = kind not in (Kind.NOT_IN_LEDGER, Kind.UNKNOWN_BUSINESS)
    finding = Finding(
        kind=kind,
        owner=Owner.FINANCE,
        reason=text("x"),
        advice=text("y"),
        since_s=0.0,
        entry=A if of_row else None,
        lines=(debit(A),),
    )
    assert (finding.ledger_fen is None) == (finding.bill_fen is None)
    assert finding.key == replace(finding, since_s=1.0).key
