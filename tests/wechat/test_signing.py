"""Signatures, against WeChat Pay's published vectors (R7.2, R2.8) and another client's code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.pay.utils import calculate_signature, calculate_signature_hmac

from campaign.wechat.signing import sign_hmac_sha256, sign_matches, sign_md5

KEY = "192006250b4c09247ec02edce69f6a2d"

PUBLISHED = {
    "appid": "wxd930ea5d5a258f4f",
    "mch_id": "10000100",
    "device_info": "1000",
    "body": "test",
    "nonce_str": "ibuaiVcKdpRxkhJA",
}
#: The complete request of R2.9: `_` before letters, Chinese, `&` and `<`.
REQUEST = {
    "act_name": "春季答谢",
    "client_ip": "203.0.113.10",
    "mch_billno": "1900000109202501150000000001",
    "mch_id": "1900000109",
    "nonce_str": "5K8264ILTKCH16CQ2502SI8ZNMTM67VS",
    "re_openid": "oExampleOpenid0000000000001",
    "remark": "A&B <test>",
    "risk_info": "posttime%3D1736900000%26clientversion%3D1.0",
    "scene_id": "PRODUCT_2",
    "send_name": "示例商户",
    "total_amount": "188",
    "total_num": "1",
    "wishing": "祝您好运",
    "wxappid": "wx0123456789abcdef",
}
QUERY = {
    "appid": "wx0123456789abcdef",
    "bill_type": "MCHT",
    "mch_billno": "1900000109202501150000000001",
    "mch_id": "1900000109",
    "nonce_str": "5K8264ILTKCH16CQ2502SI8ZNMTM67VS",
}

names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12).filter(
    lambda name: name not in ("sign", "key")
)
values = st.text(st.characters(codec="utf-8"), max_size=20)
parameter_sets = st.dictionaries(names, values, max_size=8)


@pytest.mark.parametrize(
    "parameters, md5, hmac_sha256",
    [
        (
            PUBLISHED,
            "9A0A8659F005D6984697E2CA0A9CF3B7",
            "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6",
        ),
        (
            REQUEST,
            "4B0A2AF4B4DF23D3D984F41634D4A3A7",
            "08F7D91E8B3FDDC51E3EDD5F7173B854CDB2E18A724E94630C90865456983704",
        ),
        (
            QUERY,
            "31CA237E5C4ACE120A1A4C061C64D54F",
            "6824723075CE259F601890CED2471CA72DCEAAB735FA1D42E080DB35CDEE1263",
        ),
    ],
)
def test_the_vectors_of_the_reference(parameters: dict[str, str], md5: str, hmac_sha256: str) -> None:
    assert sign_md5(parameters, KEY) == md5
    assert sign_hmac_sha256(parameters, KEY) == hmac_sha256


def test_the_order_of_the_parameters_means_nothing() -> None:
    assert sign_md5(dict(reversed(REQUEST.items())), KEY) == sign_md5(REQUEST, KEY)


def test_empty_values_and_the_signature_itself_are_not_signed() -> None:
    assert sign_md5({**REQUEST, "scene": "", "sign": "whatever"}, KEY) == sign_md5(REQUEST, KEY)


@given(parameters=parameter_sets)
def test_another_client_signs_the_same(parameters: dict[str, str]) -> None:
    assert sign_md5(parameters, KEY) == calculate_signature(parameters, KEY)
    assert sign_hmac_sha256(parameters, KEY) == calculate_signature_hmac(parameters, KEY)


@given(parameters=parameter_sets, name=names, value=values)
def test_a_signature_matches_until_anything_is_changed(
    parameters: dict[str, str], name: str, value: str
) -> None:
    signed = {**parameters, "sign": sign_md5(parameters, KEY)}
    assert sign_matches(signed, KEY)
    assert not sign_matches(signed, KEY[::-1])
    changed = {**signed, name: value}
    assert sign_matches(changed, KEY) == (value == parameters.get(name, ""))


@pytest.mark.parametrize("sign", ["", "签名", "4b0a2af4b4df23d3d984f41634d4a3a7"])
def test_no_signature_or_a_misspelt_one_does_not_match(sign: str) -> None:
    assert not sign_matches({**REQUEST, "sign": sign}, KEY)
    assert not sign_matches(REQUEST, KEY)
