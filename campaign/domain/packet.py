"""The request parameters of ``sendredpack`` (R2.1): a pure function of the order and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.domain.billno import nonce_str
from campaign.domain.order import PacketOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who pays, as the request says it: the merchant's part of every request. No secret is in it."""

    mch_id: str
    wxappid: str
    #: IPv4 of the calling machine (R2.1).
    client_ip: str
    #: Service-provider mode (R1.1); empty for a direct merchant.
    sub_mch_id: str = ""
    msgappid: str = ""
    consume_mch_id: str = ""


def request_parameters(order: PacketOrder, billno: str, sender: Sender) -> dict[str, str]:
    """Every parameter but ``sign``; absent and empty mean the same to WeChat Pay, so empty ones are left out.

    The same order, number and sender give the same mapping, ``nonce_str`` included (R5.4).
    """
    parameters = {
        "act_name": order.act_name,
        "client_ip": sender.client_ip,
        "consume_mch_id": sender.consume_mch_id,
        "mch_billno": billno,
        "mch_id": sender.mch_id,
        "msgappid": sender.msgappid,
        "nonce_str": nonce_str(billno),
        "re_openid": order.re_openid,
        "remark": order.remark,
        "risk_info": order.risk_info,
        "scene_id": order.scene_id,
        "send_name": order.send_name,
        "sub_mch_id": sender.sub_mch_id,
        "total_amount": str(order.total_amount),
        "total_num": "1",
        "wishing": order.wishing,
        "wxappid": sender.wxappid,
    }
    return {name: value for name, value in parameters.items() if value}
