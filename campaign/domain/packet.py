"""The request parameters of ``sendredpack`` (R2.1): a pure function of the order and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from campaign.domain.billno import nonce_str
from campaign.domain.order import PacketOrder, Wording, wording_of


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
    return shared_parameters(wording_of(order), sender) | own_parameters(
        billno, nonce_str(billno), order.re_openid, order.total_amount
    )


#: The parameters that no two packets share, in alphabetical order.
OWN_PARAMETERS: Final = ("mch_billno", "nonce_str", "re_openid", "total_amount")


def own_parameters(billno: str, nonce: str, re_openid: str, total_amount: int) -> dict[str, str]:
    """`OWN_PARAMETERS`.

    Args:
        total_amount: fen.
    """
    return {
        "mch_billno": billno,
        "nonce_str": nonce,
        "re_openid": re_openid,
        "total_amount": str(total_amount),
    }


def shared_parameters(wording: Wording, sender: Sender) -> dict[str, str]:
    """The parameters that all packets of one wording share."""
    parameters = {
        **wording._asdict(),
        "client_ip": sender.client_ip,
        "consume_mch_id": sender.consume_mch_id,
        "mch_id": sender.mch_id,
        "msgappid": sender.msgappid,
        "sub_mch_id": sender.sub_mch_id,
        "total_num": "1",
        "wxappid": sender.wxappid,
    }
    return {name: value for name, value in parameters.items() if value}
