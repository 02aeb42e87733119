"""The same list twice, under another name or under the same one."""

from __future__ import annotations

import pytest

from campaign.domain.order import as_orders
from campaign.domain.overlap import is_another_list, overlap
from campaign.domain.plan import Draft, Fate
from tests.builders import CAMPAIGN, MCH_ID, SENDER, orders


def sheet(rows: int):
    return orders(*(f"o{i} 1.88" for i in range(rows)))


def paid(rows: int, fen: int = 188):
    return [(order.re_openid, fen) for order in sheet(rows)]


@pytest.mark.parametrize(
    "rows, common, same_file, refused",
    [
        (1000, 20, False, True),  # twenty rows are a list
        (1000, 19, False, False),  # fewer, of many, are asked about
        (100, 5, False, True),  # one in twenty
        (100, 4, False, False),
        (3, 1, False, True),  # of a small sheet one row is a large share
        (1000, 1, True, True),  # the very same file
        (1000, 0, True, False),  # the same file, but nothing of it was paid
        (1000, 0, False, False),
    ],
)
def test_what_is_the_same_list_again(rows, common, same_file, refused):
    found = overlap(sheet(rows), "other", paid(common), same_file=same_file)
    assert (found.rows, found.fen, found.is_same_list) == (common, 188 * common, refused)


def test_another_amount_is_another_packet():
    assert overlap(sheet(10), "other", paid(10, fen=189), same_file=False).rows == 0


def test_a_row_is_matched_once():
    twice = paid(1) * 3
    assert overlap(sheet(1), "other", twice, same_file=False).rows == 1


@pytest.mark.parametrize(
    "known_rows, missing, new, finished, another",
    [
        (100, 0, 50, True, False),  # a sheet that only grew
        (100, 0, 0, True, False),
        (100, 10, 0, False, False),  # a tenth may be missing
        (100, 11, 0, False, True),
        (100, 1, 1, False, False),  # half way, somebody was exchanged
        (100, 1, 1, True, True),  # finished: a sheet that differs is another list
        (100, 1, 0, True, False),  # nothing new would be paid
    ],
)
def test_another_list_under_the_same_name(known_rows, missing, new, finished, another):
    draft = Draft(
        campaign=CAMPAIGN,
        mch_id=MCH_ID,
        sender=SENDER,
        orders=as_orders(sheet(new)),
        fates=bytearray([Fate.NEW] * new),
        missing=missing,
    )
    assert is_another_list(draft, known_rows=known_rows, finished=finished) is another
