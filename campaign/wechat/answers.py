"""Their words in ours: every error code and status of the v2 calls, once (R4, R5).

Pure, and distrustful: an answer that cannot be read, that speaks of another order, or that uses a
word which is not in these tables teaches us nothing about the money. Texts for people
(``err_code_des``, ``return_msg``) are never decided upon (R0.7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from campaign.domain.answer import Claim, Outcome, QueryAnswer, Reach, SendAnswer, Status
from campaign.domain.verdict import Owner
from campaign.errors import SetupError
from campaign.text import Text, text
from campaign.wechat.envelope import HBLIST, Fields, Malformed, flat, from_xml
from campaign.wechat.signing import sign_matches


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means to a person, what helps, and who does it."""

    cause: Text
    advice: Text
    owner: Owner


@dataclass(frozen=True, slots=True)
class SendCode:
    """An ``err_code`` of ``sendredpack``: what it says about the money, whom it concerns, in words."""

    outcome: Outcome
    reach: Reach
    cause: Text
    advice: Text
    owner: Owner


#: For a code that is in no table. It may be new (R0.7), so the money may have moved.
UNKNOWN_CODE: Final = SendCode(
    Outcome.UNKNOWN,
    Reach.BREAKER,
    text("WeChat Pay answered with a code that this program does not know"),
    text("wait: the program asks what became of the packet; if that stays open, ask WeChat Pay's support"),
    Owner.OPERATOR,
)

_OTHER_FACTS: Final = SendCode(
    Outcome.MISMATCH,
    Reach.SECOND,
    text("WeChat Pay holds an order under this number with another openid or amount"),
    text("do not send it again; compare the row with what was sent and look the number up on the platform"),
    Owner.ENGINEER,
)
_DAY_OVER_LIMITED: Final = SendCode(
    Outcome.BLOCKED,
    Reach.PAUSE,
    text("the merchant has sent as many packets as WeChat Pay allows in one day"),
    text("run again tomorrow, or ask WeChat Pay for a higher limit and then run again"),
    Owner.OPERATOR,
)

#: R5.1, row by row. REFUSED is the pre-acceptance list of R4.1: such a request stored no order.
SEND_CODES: Final[Mapping[str, SendCode]] = {
    "SYSTEMERROR": SendCode(
        Outcome.UNKNOWN,
        Reach.BREAKER,
        text("WeChat Pay was busy and did not say whether it took the packet"),
        text("nothing to do: the program asks, and repeats under the same number if need be"),
        Owner.OPERATOR,
    ),
    "PROCESSING": SendCode(
        Outcome.PROCESSING,
        Reach.BREAKER,
        text("WeChat Pay took the request and decides later"),
        text("wait: the program asks after 20 minutes; if many rows show this, look at the balance"),
        Owner.OPERATOR,
    ),
    # Its order did exist; only FAILED from gethbinfo proves that it is dead (R5.1).
    "SEND_FAILED": SendCode(
        Outcome.UNKNOWN,
        Reach.BREAKER,
        text("WeChat Pay says that this packet has failed or expired"),
        text(
            "wait until the program has confirmed it; then `campaign reissue` can give the row a new number"
        ),
        Owner.OPERATOR,
    ),
    "NOTENOUGH": SendCode(
        Outcome.BLOCKED,
        Reach.PAUSE,
        text("the merchant's balance is not enough"),
        text(
            "top up the operation account (运营账户) if the merchant has opened one, else the basic account"
            " (基本账户); then run again"
        ),
        Owner.FINANCE,
    ),
    "FREQ_LIMIT": SendCode(
        Outcome.THROTTLED,
        Reach.PACE,
        text("requests came faster than WeChat Pay allows"),
        text("nothing to do: the program slows down; if it happens often, lower gateway.sends_per_second"),
        Owner.OPERATOR,
    ),
    "SECOND_OVER_LIMITED": SendCode(
        Outcome.THROTTLED,
        Reach.PACE,
        text("more packets in one minute than WeChat Pay allows"),
        text("nothing to do: the program slows down; if it happens often, lower gateway.sends_per_second"),
        Owner.OPERATOR,
    ),
    "SENDNUM_LIMIT": SendCode(
        Outcome.BLOCKED,
        Reach.PERSON,
        text("this recipient has got as many packets today as the merchant allows"),
        text("run again tomorrow, or raise the daily number per user (单用户单日领取上限) on the platform"),
        Owner.OPERATOR,
    ),
    "RCVDAMOUNT_LIMIT": SendCode(
        Outcome.BLOCKED,
        Reach.PERSON,
        text("this recipient has got as much money today as the merchant allows"),
        text(
            "run again tomorrow, or raise the daily amount per user (单用户单日领取金额上限) on the platform"
        ),
        Owner.OPERATOR,
    ),
    "SENDAMOUNT_LIMIT": SendCode(
        Outcome.BLOCKED,
        Reach.PAUSE,
        text("the merchant has sent as much money today as its daily limit allows"),
        text("run again tomorrow, or raise the daily amount (单日发送金额上限) on the platform first"),
        Owner.FINANCE,
    ),
    "DAY_OVER_LIMITED": _DAY_OVER_LIMITED,
    "DAY_ OVER_LIMITED": _DAY_OVER_LIMITED,  # as old tables print it
    "MONEY_LIMIT": SendCode(
        Outcome.REFUSED,
        Reach.BREAKER,
        text("the amount is outside what WeChat Pay allows for one packet"),
        text(
            "correct the amount, or apply for the scene's quota on the platform (产品设置) and set scene_id"
        ),
        Owner.OPERATOR,
    ),
    "PARAM_ERROR": SendCode(
        Outcome.REFUSED,
        Reach.BREAKER,
        text("WeChat Pay refused a field of the request"),
        text(
            "correct the field that WeChat Pay's text names, in the sheet or in campaign.toml; then run again"
        ),
        Owner.OPERATOR,
    ),
    "OPENID_ERROR": SendCode(
        Outcome.REFUSED,
        Reach.BREAKER,
        text("the openid does not belong to the account that sends"),
        text(
            "put the recipient's openid under merchant.wxappid into the sheet and run it again (without an "
            "id column this row stays listed as not paid); if every row is refused, wxappid is wrong"
        ),
        Owner.OPERATOR,
    ),
    "ILLEGAL_APPID": SendCode(
        Outcome.REFUSED,
        Reach.ABORT,
        text("wxappid is not an official account's appid"),
        text("set merchant.wxappid to the official account's appid, not a mobile app's; then run again"),
        Owner.ENGINEER,
    ),
    # Risky recipient, caller IP or missing permission: the code alone does not say which.
    "NO_AUTH": SendCode(
        Outcome.BLOCKED,
        Reach.BREAKER,
        text("WeChat Pay intercepted it: a risky recipient, a caller IP not listed, or no permission"),
        text(
            "one row: the recipient should use a normal, active WeChat account; many rows: check the IP list"
            " and the product's permission on the platform"
        ),
        Owner.RECIPIENT,
    ),
    "FATAL_ERROR": _OTHER_FACTS,
    "金额和原始单参数不一致": _OTHER_FACTS,  # in the code column of older tables
    "CA_ERROR": SendCode(
        Outcome.REFUSED,
        Reach.ABORT,
        text("WeChat Pay does not accept the merchant's certificate"),
        text("get this merchant number's API certificate and name it in campaign.toml; then run again"),
        Owner.ENGINEER,
    ),
    "SIGN_ERROR": SendCode(
        Outcome.REFUSED,
        Reach.ABORT,
        text("WeChat Pay does not accept the signature"),
        text("check that merchant.api_key is the APIv2 key of this merchant number; then run again"),
        Owner.ENGINEER,
    ),
    "XML_ERROR": SendCode(
        Outcome.REFUSED,
        Reach.BREAKER,
        text("WeChat Pay could not read the request"),
        text("look for unusual characters in the row's texts; if every row is refused, report it as a bug"),
        Owner.ENGINEER,
    ),
    "API_METHOD_CLOSED": SendCode(
        Outcome.BLOCKED,
        Reach.ABORT,
        text("sending by API is switched off for this merchant"),
        text("switch it on on the platform (产品中心, 现金红包, 产品设置); then run again"),
        Owner.OPERATOR,
    ),
    "MSGAPPID_ERROR": SendCode(
        Outcome.REFUSED,
        Reach.ABORT,
        text("msgappid is not bound to the service provider or the sub-merchant"),
        text("bind it on the platform, or correct merchant.msgappid; then run again"),
        Owner.ENGINEER,
    ),
    "ACCEPTMODE_ERROR": SendCode(
        Outcome.REFUSED,
        Reach.ABORT,
        text("service provider and sub-merchant are not related"),
        text("correct merchant.sub_mch_id, or set up the relation on the platform; then run again"),
        Owner.ENGINEER,
    ),
    "PAYER_ACCOUNT_ABNORMAL": SendCode(
        Outcome.BLOCKED,
        Reach.ABORT,
        text("WeChat Pay has restricted the merchant's account"),
        text("look for notices on the platform and settle them with WeChat Pay; then run again"),
        Owner.FINANCE,
    ),
}

#: R5.3: whom a failing question concerns beside its row. It never teaches anything about the money.
QUERY_CODES: Final[Mapping[str, Reach]] = {
    "CA_ERROR": Reach.ABORT,
    "SIGN_ERROR": Reach.ABORT,
    "NO_AUTH": Reach.ABORT,
    "XML_ERROR": Reach.ABORT,
    "PARAM_ERROR": Reach.ABORT,
    "FREQ_LIMIT": Reach.PACE,
    "SYSTEMERROR": Reach.ROW,
    "PSYSTEMERROR": Reach.ROW,  # as WeCom's table prints it
}

_NOT_FOUND_CODE: Final = "NOT_FOUND"
_NOT_FOUND: Final = Explanation(
    text("WeChat Pay does not know this number (yet)"),
    text("wait: the program asks again and repeats under the same number; this alone proves no failure"),
    Owner.OPERATOR,
)

#: R4, and the spelling that one would expect.
STATUSES: Final[Mapping[str, Status]] = {
    "SENDING": Status.SENDING,
    "SENT": Status.SENT,
    "FAILED": Status.FAILED,
    "RECEIVED": Status.RECEIVED,
    "RFUND_ING": Status.RFUND_ING,
    "REFUND_ING": Status.RFUND_ING,
    "REFUND": Status.REFUND,
}

#: What ``err_code`` may say beside result_code SUCCESS (R3.1).
_NO_ERROR: Final = frozenset({"", "0", "SUCCESS", "OK"})
#: What the answer to a send repeats of its request; other values belong to another request (R7.3).
_ECHOED: Final = ("mch_billno", "re_openid", "total_amount")


#: The answer to a send that was accepted, as live servers write it (R3.1): nearly every answer there is. Its
#: values hold nothing that a parser changes, refuses or takes for markup.
_WORD: Final = "[0-9A-Za-z_-]{1,64}+"
_TEXT: Final = r"[^\]<&\x00-\x08\x0b-\x1f\ufffd-\uffff]{0,256}+"
_USUAL: Final = re.compile(
    "<xml>\n?"
    + "".join(
        rf"<{name}>(?P<{name}_section><!\[CDATA\[)?+(?P<{name}>{value})(?({name}_section)\]\]>)</{name}>\n?"
        for name, value in (
            ("return_code", "SUCCESS"),
            ("return_msg", _TEXT),
            ("result_code", "SUCCESS"),
            ("err_code", "SUCCESS|OK|0"),
            ("err_code_des", _TEXT),
            ("mch_billno", _WORD),
            ("mch_id", _WORD),
            ("wxappid", _WORD),
            ("re_openid", _WORD),
            ("total_amount", _WORD),
            ("send_listid", _WORD),
        )
    )
    + "</xml>"
)


def explain(err_code: str) -> Explanation:
    """What a code means, in words for the person who can do something about it."""
    if err_code == _NOT_FOUND_CODE:
        return _NOT_FOUND
    code = SEND_CODES.get(err_code, UNKNOWN_CODE)
    return Explanation(code.cause, code.advice, code.owner)


def refused_settings(err_code: str) -> SetupError:
    """The error for a code that blames the settings (`Reach.ABORT`), with what it means and what helps."""
    meaning = explain(err_code)
    return SetupError(meaning.cause, advice=meaning.advice)


def read_send(body: bytes, *, expected: Mapping[str, str], api_key: str | None = None) -> SendAnswer:
    """What the answer to one send request says about the money.

    Args:
        expected: the request's parameters; an answer that repeats others is not believed.
        api_key: verifies ``sign`` if there is one (R0.12); without it a signed answer is not believed.
    """
    usual = _USUAL.fullmatch(body.decode(errors="replace"))
    if usual is not None and usual.group(*_ECHOED) == tuple([expected[name] for name in _ECHOED]):
        return SendAnswer(Outcome.ACCEPTED, send_listid=usual["send_listid"], raw=body)
    try:
        fields = from_xml(body)
    except Malformed:
        return _nothing_learned(body)
    said = _trimmed(fields)
    if not _signature_holds(fields, api_key):
        return _nothing_learned(body)
    for name in _ECHOED:
        if said.get(name, "") not in ("", expected[name]):
            return _nothing_learned(body)
    err_code = _err_code(said)
    code = UNKNOWN_CODE
    if said.get("return_code") == "SUCCESS" and said.get("result_code") == "FAIL":
        code = SEND_CODES.get(err_code, UNKNOWN_CODE)
    elif _succeeded(said) and said.get("mch_billno"):
        return SendAnswer(outcome=Outcome.ACCEPTED, send_listid=said.get("send_listid", ""), raw=body)
    return SendAnswer(
        outcome=code.outcome,
        reach=code.reach,
        err_code=err_code,
        err_code_des=_for_people(said),
        raw=body,
    )


def _nothing_learned(body: bytes) -> SendAnswer:
    return SendAnswer(outcome=Outcome.UNKNOWN, reach=Reach.BREAKER, raw=body)


def read_query(body: bytes, *, mch_billno: str, api_key: str | None = None) -> QueryAnswer:
    """What the answer to one question says about the order ``mch_billno``.

    A status counts only where the answer names the same number; ``api_key`` as in `read_send`.
    """
    try:
        fields = from_xml(body)
    except Malformed:
        return QueryAnswer(raw=body)
    said = _trimmed(fields)
    echo = said.get("mch_billno", "")
    if echo not in ("", mch_billno) or not _signature_holds(fields, api_key):
        return QueryAnswer(raw=body)
    if _succeeded(said) and echo:
        return _order(said, _claims(fields), raw=body)
    err_code = _err_code(said)
    found_nothing = (
        said.get("return_code") == "SUCCESS"
        and said.get("result_code") == "FAIL"
        and err_code == _NOT_FOUND_CODE
        and bool(echo)
    )
    return QueryAnswer(
        status=Status.NOT_FOUND if found_nothing else None,
        reach=QUERY_CODES.get(err_code, Reach.ROW),
        err_code=err_code,
        err_code_des=_for_people(said),
        raw=body,
    )


def _order(said: Mapping[str, str], claims: tuple[Claim, ...], *, raw: bytes) -> QueryAnswer:
    """An order that they have. Everything but its status is optional (R3.2)."""
    return QueryAnswer(
        status=STATUSES.get(said.get("status", "")),
        detail_id=said.get("detail_id", ""),
        total_amount=_fen(said.get("total_amount", "")),
        reason=said.get("reason", ""),
        refund_time=said.get("refund_time", ""),
        refund_amount=_fen(said.get("refund_amount", "")),
        claims=claims,
        raw=raw,
    )


def _claims(fields: Fields) -> tuple[Claim, ...]:
    """Who opened it; a claim without a readable amount is left to ``raw``."""
    hblist = fields.get(HBLIST, [])
    assert not isinstance(hblist, str), "from_xml gives a list"
    return tuple(
        Claim(
            openid=hbinfo.get("openid", "").strip(),
            amount=amount,
            rcv_time=hbinfo.get("rcv_time", "").strip(),
        )
        for hbinfo in hblist
        if (amount := _fen(hbinfo.get("amount", "").strip())) is not None
    )


def _succeeded(said: Mapping[str, str]) -> bool:
    """Both flags say SUCCESS and no code contradicts them."""
    return (
        said.get("return_code") == "SUCCESS" and said.get("result_code") == "SUCCESS" and not _err_code(said)
    )


def _err_code(said: Mapping[str, str]) -> str:
    """The code, empty where it only says that there is no error."""
    err_code = said.get("err_code", "")
    return "" if err_code in _NO_ERROR else err_code


def _signature_holds(fields: Fields, api_key: str | None) -> bool:
    """Whether ``sign`` is absent, as it should be (R0.12), or right. No rule signs an ``hblist``."""
    if not fields.get("sign"):
        return True
    return api_key is not None and HBLIST not in fields and sign_matches(flat(fields), api_key)


def _trimmed(fields: Fields) -> dict[str, str]:
    return {name: value.strip() for name, value in fields.items() if isinstance(value, str)}


def _for_people(said: Mapping[str, str]) -> str:
    return said.get("err_code_des") or said.get("return_msg", "")


def _fen(value: str) -> int | None:
    """A whole number of fen; None for anything else. Fifteen digits are more than all money there is."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 15 else None
