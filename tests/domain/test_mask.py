"""An openid shows its first two and last four characters to everybody but finance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.mask import mask_openid


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
