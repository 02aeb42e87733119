"""An openid shows its first two and last four characters to everybody but finance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.mask import mask_inside, mask_openid


@pytest.mark.parametrize("openid, shown", [
    ("oSAMPLE_not_a_person_0000001", "oS…0001"),
    ("oSAMPLE00001", "oS…0001"),
    ("oSAMPLE0001", "…"),  # half of it would be told
    ("o", "…"),
    ("", ""),
])  # fmt: skip
def test_what_is_shown(openid, shown):
    assert mask_openid(openid) == shown


@given(openid=st.text(alphabet="oABC-_019", min_size=1, max_size=40))
def test_never_more_than_six_characters_and_never_more_than_half(openid):
    shown = mask_openid(openid).replace("…", "")
    assert len(shown) <= min(6, len(openid) / 2)


@pytest.mark.parametrize("words, hidden", [
    ("oSAMPLE_not_a_person_0000001", "oS…0001"),
    ("oSAMPLE_not_a_person_0000001 #2", "oS…0001 #2"),
    ("用户oSAMPLE_not_a_person_0000001今日", "用户oS…0001今日"),
    ("by oANOTHER_not_a_person_000002", "by oA…0002"),
    ("oSHORT", "oSHORT"),
    ("", ""),
])  # fmt: skip
def test_inside_a_text_every_openid_is_masked(words, hidden):
    assert mask_inside(words, "oSAMPLE_not_a_person_0000001") == hidden


def test_a_short_openid_is_masked_where_it_stands_alone_only():
    assert mask_inside("oA", "oA") == "…"
    assert mask_inside("oAsis", "oA") == "oAsis"
