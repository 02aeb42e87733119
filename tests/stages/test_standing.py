"""Where a campaign stands: the one source of the answers of run, status and reconcile."""

from __future__ import annotations

from campaign.domain.answer import Outcome
from campaign.domain.finding import missing, not_in_ledger
from campaign.stages.standing import standing
from tests.domain.bills import line
from tests.ledger.build import NOON_S, begun, end, open_ledger, plan


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
