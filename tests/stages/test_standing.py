"""Where a campaign stands: the one source of the answers of run, status and reconcile."""

from __future__ import annotations

from campaign.domain.answer import Outcome, Status
from campaign.domain.decision import Step
from campaign.domain.finding import debit_unexpected, missing, not_in_ledger
from campaign.domain.state import Evidence, State
from campaign.stages.standing import standing
from tests.domain.bills import line
from tests.ledger.build import NOON_S, ask, begun, end, now, open_ledger, plan


def test_what_the_last_match_found_about_a_row_needs_a_person() -> None:
    """Paid by everything that WeChat Pay says, and not on the bill: nobody may call that done."""
    with open_ledger() as ledger:
        first, second = plan(ledger, "oA 1.00", "oB 2.00")
        for entry in (first, second):
            end(ledger, begun(ledger, entry), Outcome.ACCEPTED)
        found = missing(second, incoming=False, fen=200, since_s=NOON_S)
        foreign = not_in_ledger(line("-1.88"))
        assert standing(ledger, "lantern", now_s=NOON_S + 60).needs == ()
        ledger.keep_match("lantern", [], [], [found, foreign], NOON_S + 60)
        ((entry, need),) = standing(ledger, "lantern", now_s=NOON_S + 60).needs
    assert (entry.mch_billno, need.reason, need.owner) == (second.mch_billno, found.reason, found.owner)


def test_of_a_dead_row_that_the_bill_has_a_debit_for_nobody_reads_that_it_was_not_paid() -> None:
    """Nor how to pay it again, before the debit is explained."""
    with open_ledger() as ledger:
        (row,) = plan(ledger, "oA 1.00")
        sent = end(ledger, begun(ledger, row), Outcome.UNKNOWN)
        ask(ledger, sent, Status.FAILED, Step(state=State.REJECTED, evidence=Evidence.DEAD))
        found = debit_unexpected(now(ledger, row), [line("-1.00", row.mch_billno)])
        ledger.keep_match("lantern", [], [], [found], NOON_S + 60)
        ((_, need),) = standing(ledger, "lantern", now_s=NOON_S + 60).needs
    assert (need.reason, need.advice) == (found.reason, found.advice)


def test_that_a_payment_is_not_on_the_bill_is_no_news_once_wechat_pay_calls_it_failed() -> None:
    """Both say now that nothing was paid: what is left to do is what any dead row needs."""
    with open_ledger() as ledger:
        (row,) = plan(ledger, "oA 1.00")
        taken = end(ledger, begun(ledger, row), Outcome.ACCEPTED)
        found = missing(taken, incoming=False, fen=100, since_s=NOON_S)
        ledger.keep_match("lantern", [], [], [found], NOON_S + 60)
        ask(ledger, taken, Status.FAILED, Step(state=State.REJECTED, evidence=Evidence.DEAD))
        ((_, need),) = standing(ledger, "lantern", now_s=NOON_S + 120).needs
    assert "reissue" in str(need.advice)
