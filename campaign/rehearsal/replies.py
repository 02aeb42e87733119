"""What the stand-in answers: WeChat Pay's words and XML, and what may become of them on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from campaign.domain.days import beijing_text
from campaign.rehearsal.books import Order
from campaign.rehearsal.faults import Strike

#: A code that no list has.
NEW_CODE: Final = "NEW_CODE_2027"
#: WeChat Pay's own texts (R3, R4, R5), for people only.
WORDS: Final = {
    "SYSTEMERROR": "系统繁忙,请稍后再试.",
    "PROCESSING": "请求已受理，请稍后使用原单号查询发放结果",
    "SEND_FAILED": "该订单已经过期，请更换商户单号",
    "NOTENOUGH": "帐号余额不足，请到商户平台充值后再重试",
    "FREQ_LIMIT": "超过频率限制，请稍后再试",
    "SENDNUM_LIMIT": "该用户今日操作次数超过限制，如有需要请登录微信支付商户平台更改API安全配置",
    "RCVDAMOUNT_LIMIT": "该用户今日领取金额超过限制，如有需要请登录微信支付商户平台更改API安全配置",
    "SENDAMOUNT_LIMIT": "您的商户号今日发放金额超过限制，如有需要请登录微信支付商户平台更改API安全配置",
    "SECOND_OVER_LIMITED": "企业红包的按分钟发放受限",
    "DAY_OVER_LIMITED": "企业红包的按天日发放受限",
    "MONEY_LIMIT": "红包金额发放限制，每个红包的平均金额必须在1.00元到200.00元之间",
    "OPENID_ERROR": "openid和appid不匹配",
    "ILLEGAL_APPID": "非法appid，请确认是否为公众号的appid，不能为APP的appid",
    "NO_AUTH": "发放失败，此请求可能存在风险，已被微信拦截",
    "FATAL_ERROR": "重复请求，但参数与原单不一致",
    "CA_ERROR": "证书出错，请登录微信支付商户平台下载证书",
    "SIGN_ERROR": "签名错误",
    "XML_ERROR": "请求的xml格式错误，或者post的数据为空",
    "API_METHOD_CLOSED": "你的商户号API发放方式已关闭，请联系管理员在商户平台开启",
    "MSGAPPID_ERROR": "msgappid与服务商或子商户没有绑定关系",
    "ACCEPTMODE_ERROR": "服务商与子商户的受理关系校验失败",
    "PAYER_ACCOUNT_ABNORMAL": "商户账户异常",
    "NOT_FOUND": "指定单号数据不存在",
    NEW_CODE: "新的错误",
}

XML_TYPE: Final = "text/xml; charset=utf-8"


class Ending(StrEnum):
    """What the transport does with a reply."""

    ANSWER = "answer"
    #: No connection at all.
    REFUSE = "refuse"
    #: The connection is reset instead of an answer.
    RESET = "reset"
    #: Nothing is ever answered.
    SILENCE = "silence"
    #: The connection ends in the middle of the answer.
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request."""

    body: bytes = b""
    status: int = 200
    content_type: str = XML_TYPE
    ending: Ending = Ending.ANSWER
    delay_s: float = 0.0
    #: The header ``Digest`` (R10.2).
    digest: str = ""


class Refusal(Exception):
    """An answer with result_code FAIL."""

    def __init__(
        self, err_code: str, words: str = "", *, echo: bool = True, return_code: str = "SUCCESS"
    ) -> None:
        super().__init__(err_code)
        self.err_code = err_code
        self.return_code = return_code
        self.words = words or WORDS[err_code]
        #: Whether the request's own values are repeated (R3.1: some refusals come without).
        self.echo = echo


def digest_of(request: Mapping[str, str]) -> bytes:
    """What two requests share when all their parameters but ``sign`` are equal."""
    pairs = "\0".join(
        f"{name}={request[name]}" for name in sorted(request) if name != "sign" and request[name]
    )
    return hashlib.blake2b(pairs.encode("utf-8", "replace"), digest_size=8).digest()


# -- what is answered

_ECHOED: Final = ("mch_billno", "mch_id", "wxappid", "re_openid", "total_amount")


def _head(words: str, result_code: str, err_code: str) -> dict[str, str]:
    return {
        "return_code": "SUCCESS",
        "return_msg": words,
        "result_code": result_code,
        "err_code": err_code,
        "err_code_des": words,
    }


def refused(request: Mapping[str, str], refusal: Refusal) -> dict[str, str]:
    """The fields of an answer with result_code FAIL."""
    fields = _head(refusal.words, "FAIL", refusal.err_code) | {"return_code": refusal.return_code}
    if refusal.echo:
        fields |= {name: request[name] for name in _ECHOED if name in request}
    return fields


def accepted(request: Mapping[str, str], order: Order, *, with_package: bool) -> dict[str, str]:
    """The fields of a send's answer with result_code SUCCESS; a mini program gets its ``package`` (R3.3)."""
    fields = _head("发放成功", "SUCCESS", "SUCCESS") | {name: request[name] for name in _ECHOED}
    fields["send_listid"] = order.send_listid
    if with_package:
        token = digest_of(request).hex()
        fields["package"] = (
            f"sendid={token}&ver=8&sign={token[::-1]}&mchid={request['mch_id']}&appid={request['wxappid']}"
        )
    return fields


def described(order: Order, mch_id: str, now: float) -> dict[str, str]:
    """The fields of ``gethbinfo``'s answer about an order (R3.2)."""
    status = order.status(now)
    fields = _head("OK", "SUCCESS", "SUCCESS") | {
        "mch_billno": order.mch_billno,
        "mch_id": mch_id,
        "detail_id": order.send_listid,
        "status": status,
        "send_type": "API",
        "hb_type": "NORMAL",
        "total_num": "1",
        "total_amount": str(order.total_amount),
    }
    if order.reason:
        fields["reason"] = order.reason
    fields["send_time"] = beijing_text(order.stored_s if order.paid_s is None else order.paid_s)
    if status == "REFUND" and order.refunded_s is not None:
        fields["refund_time"] = beijing_text(order.refunded_s)
        fields["refund_amount"] = str(order.total_amount)
    if status == "RECEIVED" and order.claimed_s is not None:
        fields["hblist"] = (
            f"<hbinfo>\n<openid><![CDATA[{order.re_openid}]]></openid>\n<amount>{order.total_amount}</amount>\n"
            f"<rcv_time><![CDATA[{beijing_text(order.claimed_s)}]]></rcv_time>\n</hbinfo>"
        )
    return fields


_BARE: Final = frozenset({"total_amount", "total_num", "refund_amount"})


def _xml(fields: Mapping[str, str]) -> str:
    """An answer in the shape of R3: text in CDATA, numbers bare."""
    lines = ["<xml>"]
    for name, value in fields.items():
        if name == "hblist":
            value = f"\n{value}\n"
        elif name not in _BARE or not value.isdigit():
            value = f"<![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]>"
        lines.append(f"<{name}>{value}</{name}>")
    lines.append("</xml>")
    return "\n".join(lines)


# -- what goes wrong on the way

UNTOUCHED: Final = {
    "refused": Reply(ending=Ending.REFUSE),
    "reset_before": Reply(ending=Ending.RESET),
    "http_502_before": Reply(b"<html><h1>502 Bad Gateway</h1></html>", 502, "text/html"),
}
_SLOW_S: Final = 1.0
_NUMERIC_CODE: Final = "268458547"  # of the documentation's sample (R3.1)


def delivered(fields: dict[str, str], strike: Strike) -> Reply:
    """The answer as it arrives."""
    delay_s = 0.0
    if strike.delay:
        delay_s = _SLOW_S if strike.delay.delay_s is None else strike.delay.delay_s
    kind = strike.answer.kind if strike.answer else ""
    if kind in _ENDINGS:
        return Reply(_xml(fields).encode(), ending=_ENDINGS[kind], delay_s=delay_s)
    if kind == "http_500_after":
        return Reply(b"<html><h1>500</h1></html>", 500, "text/html", delay_s=delay_s)
    content_type = "text/html" if kind == "html" else XML_TYPE
    return Reply(_spoiled(kind, _altered(kind, fields)), content_type=content_type, delay_s=delay_s)


_ENDINGS: Final = {"reset_after": Ending.RESET, "answer_lost": Ending.SILENCE, "cut": Ending.CUT}


def _altered(kind: str, fields: dict[str, str]) -> dict[str, str]:
    """Well-formed answers that say something else."""
    match kind:
        case "systemerror_paid":
            return _head(WORDS["SYSTEMERROR"], "FAIL", "SYSTEMERROR")
        case "unknown_code_paid":
            echoed = {name: value for name, value in fields.items() if name in _ECHOED}
            return _head(WORDS[NEW_CODE], "FAIL", NEW_CODE) | echoed
        case "return_code_fail":
            head = _head(WORDS["SYSTEMERROR"], "FAIL", _NUMERIC_CODE)
            return fields | head | {"return_code": "FAIL"}
        case "wrong_billno" if fields.get("mch_billno"):
            number = fields["mch_billno"]
            return fields | {"mch_billno": number[:-1] + ("1" if number[-1] == "0" else "0")}
        case "wrong_amount" if "total_amount" in fields:
            return fields | {"total_amount": str(int(fields["total_amount"]) + 1)}
        case "wrong_openid" if "re_openid" in fields:
            return fields | {"re_openid": fields["re_openid"][::-1] + "x"}
        case "other_detail_id" if "detail_id" in fields:
            return fields | {"detail_id": fields["detail_id"][:-1] + "X"}
        case "no_claims":
            return {name: value for name, value in fields.items() if name != "hblist"}
        case "unknown_status" if "status" in fields:
            return fields | {"status": "PONDERING"}
        case "refund_ing" if fields.get("status") == "RFUND_ING":
            return fields | {"status": "REFUND_ING"}
        case "odd_shape":
            odd = dict(reversed(fields.items()))
            return {"new_field": "1", **odd, "package_hint": ""}
        case _:
            return fields


def _spoiled(kind: str, fields: dict[str, str]) -> bytes:
    """The answer's bytes."""
    xml = _xml(fields)
    match kind:
        case "truncated":
            return xml.encode()[: len(xml) // 2]
        case "empty":
            return b""
        case "html":
            return b"<!DOCTYPE html><html><body>Please sign in</body></html>"
        case "not_utf8":
            return xml.encode().replace(b"</return_msg>", b"\xff\xfe</return_msg>")
        case "wrong_charset":
            return f'<?xml version="1.0" encoding="GBK"?>{xml}'.encode("gbk", "replace")
        case "doctype":
            return b'<!DOCTYPE xml [<!ENTITY e "SUCCESS">]>' + xml.encode()
        case "huge":
            return xml.replace("</xml>", f"<padding>{'x' * 2_000_000}</padding></xml>").encode()
        case "odd_shape":
            return b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>\n" + xml.encode()
        case _:
            return xml.encode()
