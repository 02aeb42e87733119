"""The calls of the v2 protocol and the fields each one documents (R2).

Anything undocumented in a request ends in SIGN_ERROR (R0.13). Lengths and value rules are the
domain's (`campaign.domain.checks`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from campaign.domain.packet import OWN_PARAMETERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One endpoint: its path and the names that a request to it may and must carry."""

    path: str
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    #: Required ones that no two requests share, in alphabetical order.
    own: tuple[str, ...] = ()

    def undocumented(self, names: Iterable[str]) -> frozenset[str]:
        """Names that this call does not know."""
        return frozenset(names).difference(self.required, self.optional)


_ANY_PACKET: Final = frozenset(
    {
        "nonce_str",
        "sign",
        "mch_billno",
        "mch_id",
        "wxappid",
        "send_name",
        "re_openid",
        "total_amount",
        "total_num",
        "wishing",
        "act_name",
        "remark",
    }
)
#: Service-provider mode (R1.1).
_PROVIDER: Final = frozenset({"sub_mch_id", "msgappid", "consume_mch_id"})

#: The ordinary packet (R2.1).
SENDREDPACK: Final = Call(
    path="/mmpaymkttransfers/sendredpack",
    required=_ANY_PACKET | {"client_ip"},
    optional=_PROVIDER | {"scene_id", "risk_info"},
    own=OWN_PARAMETERS,
)
#: The group packet (R2.5), shut down on 2024-06-05 (R1).
SENDGROUPREDPACK: Final = Call(
    path="/mmpaymkttransfers/sendgroupredpack",
    required=_ANY_PACKET | {"amt_type"},
    optional=_PROVIDER | {"scene_id", "risk_info"},
)
#: The mini-program packet (R2.6); a front end has to hand it over, so a sheet cannot complete it.
SENDMINIPROGRAMHB: Final = Call(
    path="/mmpaymkttransfers/sendminiprogramhb",
    required=_ANY_PACKET | {"notify_way"},
    optional=_PROVIDER | {"scene_id"},
)
#: The question what became of one order (R2.7); ``appid`` here is ``wxappid`` there.
GETHBINFO: Final = Call(
    path="/mmpaymkttransfers/gethbinfo",
    required=frozenset({"nonce_str", "sign", "mch_billno", "mch_id", "appid", "bill_type"}),
    own=("mch_billno", "nonce_str"),
)

#: The funds bill of one day and account (R10.2); signed with HMAC-SHA256 and nothing else.
DOWNLOADFUNDFLOW: Final = Call(
    path="/pay/downloadfundflow",
    required=frozenset({"nonce_str", "sign", "sign_type", "mch_id", "appid", "bill_date", "account_type"}),
    optional=frozenset({"tar_type"}),
)

#: ``gethbinfo``'s constant ``bill_type``.
BILL_TYPE: Final = "MCHT"
#: ``sendminiprogramhb``'s constant ``notify_way``.
NOTIFY_WAY: Final = "MINI_PROGRAM_JSAPI"
