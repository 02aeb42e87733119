"""Each recipient's sums: of every row once, in an order that does not depend on theirs."""

from __future__ import annotations

import errno
from collections import defaultdict
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.money import Sum
from campaign.ledger.people import People

PARTS = st.lists(
    st.tuples(
        st.sampled_from(("oA", "oB", "oa", "o元", "o𠮷", "")),
        st.integers(1, 499_900),
        st.booleans(),
        st.integers(0, 499_900),
    )
)


@given(PARTS)
def test_everybody_has_the_sums_of_their_rows_and_who_got_most_comes_first(parts):
    planned: defaultdict[str, Sum] = defaultdict(Sum)
    paid: defaultdict[str, Sum] = defaultdict(Sum)
    with closing(People()) as people:
        for openid, fen, was_paid, paid_fen in parts:
            people.add(openid, fen, paid=was_paid, paid_fen=paid_fen)
            planned[openid].add(fen)
            paid[openid].rows += was_paid
            paid[openid].fen += paid_fen
        expected = sorted(planned, key=lambda who: (-paid[who].fen, who))
        assert list(people.ranked()) == [
            (who, planned[who].rows, planned[who].fen, paid[who].rows, paid[who].fen) for who in expected
        ]


def test_more_rows_than_are_kept_in_memory_are_counted_too():
    with closing(People()) as people:
        for n in range(9_001):
            people.add(f"o{n % 3_000:04d}", 100, paid=True, paid_fen=100)
        found = list(people.ranked())
    assert found[0] == ("o0000", 4, 400, 4, 400)
    assert len(found) == 3_000
    assert sum(person.rows for person in found) == 9_001


def test_a_full_disk_is_a_failing_file_of_the_report():
    """The report's own words for it follow from the OSError."""
    with closing(People()) as people:
        people._db.execute("PRAGMA max_page_count = 2")
        for n in range(1_999):
            people.add(f"o{n:027d}", 100, paid=True, paid_fen=100)
        with pytest.raises(OSError, match="full") as refused:
            people.add("oLast", 100, paid=True, paid_fen=100)
    assert refused.value.errno == errno.ENOSPC
