"""Issue D's month, in small; ``python -m tests.acceptance.month`` lives the whole one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from campaign.domain.finding import Kind
from tests.acceptance.month import Month


@pytest.mark.parametrize("seed", [7])
def test_a_month_closes_to_the_fen_and_every_planted_discrepancy_is_told_once(
    tmp_path: Path, seed: int
) -> None:
    month = Month(folder=tmp_path, campaigns=3, rows=150, seed=seed, share=0.02)
    try:
        month.live()
        assert month.check() == []
        kinds = Counter(kind for kind, _, _ in month.expected.elements())
        assert kinds.keys() == {
            Kind.NOT_IN_BILL,
            Kind.TWO_DEBITS,
            Kind.AMOUNT_DIFFERS,
            Kind.NOT_IN_LEDGER,
            Kind.REFUND_MISSING,
            Kind.ANSWERS_DIFFER,
        }
        month.expected.popitem()
        assert month.check() != [], "the check sees one that was not planted"
    finally:
        month.machine.close()
