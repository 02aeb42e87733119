"""The request of a packet: R2.1's fields, nothing else, and the same bytes for the same entry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from campaign.domain.billno import nonce_str
from campaign.domain.packet import request_parameters
from tests.builders import SENDER, billno, order

ROW = order("oA 1.88", scene_id="PRODUCT_2", risk_info="posttime%3d1")


def test_a_direct_merchants_request_is_exactly_this():
    """An undocumented field ends in SIGN_ERROR (R0.13)."""
    number = billno(ROW)
    assert request_parameters(ROW, number, SENDER) == {
        "act_name": "猜灯谜抢红包",
        "client_ip": "192.0.2.10",
        "mch_billno": number,
        "mch_id": "1900000109",
        "nonce_str": nonce_str(number),
        "re_openid": "oA",
        "remark": "猜越多得越多,快来抢!",
        "risk_info": "posttime%3d1",
        "scene_id": "PRODUCT_2",
        "send_name": "天虹百货",
        "total_amount": "188",
        "total_num": "1",
        "wishing": "祝您元宵节快乐!",
        "wxappid": "wx0123456789abcdef",
    }


def test_a_service_provider_adds_its_three_fields():
    provider = replace(
        SENDER, sub_mch_id="1900000110", msgappid="wxfedcba9876543210", consume_mch_id="1900000111"
    )
    added = request_parameters(ROW, "N", provider).items() - request_parameters(ROW, "N", SENDER).items()
    assert dict(added) == {
        "sub_mch_id": "1900000110",
        "msgappid": "wxfedcba9876543210",
        "consume_mch_id": "1900000111",
    }


@pytest.mark.parametrize("field", ["scene_id", "risk_info"])
def test_an_empty_field_is_left_out(field):
    """Empty and absent are the same to WeChat Pay, and an empty one must not be signed (R7.1)."""
    parameters = request_parameters(replace(ROW, **{field: ""}), "N", SENDER)
    assert field not in parameters
    assert "" not in parameters.values()


def test_the_same_entry_gives_the_same_request_whatever_else_the_row_says():
    """R5.4: where the row stands and what the operator noted beside it is not part of the request."""
    moved = replace(ROW, source=replace(ROW.source, row=99, sheet="二"), own={"姓名": "王"}, row_key="other")
    assert request_parameters(moved, "N", SENDER) == request_parameters(ROW, "N", SENDER)
