"""Requests laid out once for many are byte for byte what the general form makes of each."""

from __future__ import annotations

from collections.abc import Mapping
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.wechat import bodies
from campaign.wechat.bodies import Bodies
from campaign.wechat.envelope import from_xml, to_xml
from campaign.wechat.fields import GETHBINFO, SENDREDPACK, Call
from campaign.wechat.signing import sign_md5
from tests.wechat.test_envelope import cdata_ends, digits, hostile, sendable
from tests.wechat.test_signing import KEY, QUERY, REQUEST

keys = st.just(KEY) | st.text("ab1%&]>", max_size=6)
#: What a hole, a section or a message could be mistaken for.
tricks = st.lists(
    st.sampled_from(["%", "%b", "%s", "%%", "<![CDATA[", "]]>", "&key=", "\0", "1"]), max_size=4
).map("".join)
words = st.text("0123456789ABCabc_-", min_size=1, max_size=32)
values = words | digits | st.just("") | sendable | cdata_ends | tricks | hostile


def in_full(parameters: Mapping[str, str], key: str) -> bytes | type[Exception]:
    """The general form, or how it refuses."""
    try:
        return to_xml({**dict(sorted(parameters.items())), "sign": sign_md5(parameters, key)})
    except ValueError as error:
        return type(error)


def made(by: Bodies, parameters: Mapping[str, str]) -> bytes | type[Exception]:
    try:
        return by.of(parameters)
    except ValueError as error:
        return type(error)


@st.composite
def request_of(draw: st.DrawFn, call: Call) -> dict[str, str]:
    """Parameters in any order, the optional ones there or not."""
    optional = draw(st.sets(st.sampled_from(sorted(call.required | call.optional)))) - {*call.own, "sign"}
    names = draw(st.permutations([*call.own, *sorted(optional)]))
    return {name: draw(words | values if name in call.own else values) for name in names}


@settings(max_examples=500)
@given(first=request_of(SENDREDPACK), others=st.lists(request_of(SENDREDPACK), max_size=3), key=keys)
def test_every_send_is_what_the_general_form_makes_of_it(
    first: dict[str, str], others: list[dict[str, str]], key: str
) -> None:
    """Also of the next ones: with the same wording and own values, and with another wording."""
    by = Bodies(SENDREDPACK, key)
    for other in (first, *others):
        same_wording = first | {name: other[name] for name in SENDREDPACK.own}
        assert made(by, same_wording) == in_full(same_wording, key)
        assert made(by, other) == in_full(other, key)


@given(parameters=request_of(GETHBINFO), key=keys)
def test_every_question_is_what_the_general_form_makes_of_it(parameters: dict[str, str], key: str) -> None:
    assert made(Bodies(GETHBINFO, key), parameters) == in_full(parameters, key)


@pytest.mark.parametrize("call, parameters", [(SENDREDPACK, REQUEST), (GETHBINFO, QUERY)])
def test_the_requests_of_the_reference_have_its_signatures_whatever_their_order(
    call: Call, parameters: dict[str, str]
) -> None:
    by = Bodies(call, KEY)
    body = by.of(parameters)
    assert from_xml(body) == {**parameters, "sign": sign_md5(parameters, KEY)}
    assert by.of(dict(reversed(parameters.items()))) == body


def test_what_a_wording_shares_is_laid_out_once() -> None:
    by = Bodies(SENDREDPACK, KEY)
    by.of(REQUEST)
    with mock.patch.object(bodies, "to_xml", side_effect=AssertionError):
        for n in range(3):
            by.of({**REQUEST, "mch_billno": f"190000010920250115000000000{n}", "total_amount": f"{n}"})
        with pytest.raises(AssertionError):
            by.of({**REQUEST, "wishing": "another"})


@pytest.mark.parametrize("name", ["sub_appid", "sign_type", "sign"])
@pytest.mark.parametrize("value", ["o1", "o 1", ""])
def test_an_undocumented_field_never_leaves(value: str, name: str) -> None:
    """Whichever way the body is made, and however often it is tried."""
    by = Bodies(SENDREDPACK, KEY)
    for _ in range(2):
        with pytest.raises(AssertionError):
            by.of({**REQUEST, "re_openid": value, name: "x"})
