"""The rules of WeChat Pay's red packets as the reference has them, strict where it leaves a choice.

One promise: a bill number pays at most once. No I/O but the books, no clock but the one handed in.

Time: what WeChat Pay does by itself (issuing, opening, the 24 hours to open, three days to close, 30 days
to forget) happens ``time_scale`` times faster, counted from the order. The calendar is the clock's own:
``send_time`` and its like are the moments at which it really happened, and daily caps follow real
Beijing days, so a client whose clock is not scaled sees nothing that its own clock contradicts. An
order's moments are fixed when it is stored or paid, and another scale later does not move them.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from campaign.domain.days import DAY_S, HOUR_S, beijing_day
from campaign.rehearsal.bills import answer_bill
from campaign.rehearsal.books import Books, Order, Request, Visit
from campaign.rehearsal.faults import NO_STRIKE, SENDS, Faults, Rule, Strike, Subject, draw
from campaign.rehearsal.replies import (
    NEW_CODE,
    UNTOUCHED,
    WORDS,
    Refusal,
    Reply,
    accepted,
    delivered,
    described,
    digest_of,
    refused,
)
from campaign.wechat.envelope import Malformed, flat, from_xml
from campaign.wechat.fields import (
    BILL_TYPE,
    DOWNLOADFUNDFLOW,
    GETHBINFO,
    NOTIFY_WAY,
    SENDGROUPREDPACK,
    SENDMINIPROGRAMHB,
    SENDREDPACK,
    Call,
)
from campaign.wechat.signing import sign_matches

#: R4: an unopened packet goes back; the time that takes is not published.
CLAIM_WINDOW_S: Final = 24 * HOUR_S
REFUND_TAKES_S: Final = 600.0
#: R4: WeChat closes an order that it did not pay.
CLOSING_S: Final = 3 * DAY_S
#: R4: the query window.
FORGOTTEN_S: Final = 30 * DAY_S
#: How long `processing` and `failed_later` take unless their rule says otherwise.
PROCESSING_S: Final = 600.0
FAILING_S: Final = 300.0

#: WeChat Pay's defaults (R6); money in fen.
SENDS_PER_SECOND: Final = 30
PERSON_DAY_PACKETS: Final = 10
PERSON_DAY_FEN: Final = 100_000
MERCHANT_DAY_FEN: Final = 100_000_000

#: Most bytes of UTF-8 (R2.1, R2.3).
BYTES_MAX: Final = {
    "nonce_str": 32,
    "mch_billno": 28,
    "send_name": 31,
    "re_openid": 31,
    "wishing": 127,
    "act_name": 31,
    "remark": 255,
    "scene_id": 32,
    "risk_info": 128,
}
SCENES: Final = frozenset(f"PRODUCT_{n}" for n in range(1, 9))

#: Faults that refuse before an order is looked for -> the code they answer.
_REFUSALS: Final = {
    "systemerror": "SYSTEMERROR",
    "unknown_code": NEW_CODE,
    "freq_limit": "FREQ_LIMIT",
    "ca_error": "CA_ERROR",
    "sign_error": "SIGN_ERROR",
    "illegal_appid": "ILLEGAL_APPID",
    "api_method_closed": "API_METHOD_CLOSED",
    "payer_account_abnormal": "PAYER_ACCOUNT_ABNORMAL",
    "openid_error": "OPENID_ERROR",
    "second_over_limited": "SECOND_OVER_LIMITED",
    "day_over_limited": "DAY_OVER_LIMITED",
}
#: Faults that block the payment, after which an order may be kept.
_BLOCKS: Final = {
    "no_auth": "NO_AUTH",
    "notenough": "NOTENOUGH",
    "sendnum_limit": "SENDNUM_LIMIT",
    "rcvdamount_limit": "RCVDAMOUNT_LIMIT",
    "sendamount_limit": "SENDAMOUNT_LIMIT",
}

_CALLS: Final[dict[str, Call]] = {
    call.path: call for call in (SENDREDPACK, SENDGROUPREDPACK, SENDMINIPROGRAMHB, GETHBINFO)
}
_ALNUM: Final = re.compile(r"[0-9A-Za-z]+", re.ASCII)
_OPENID: Final = re.compile(r"[0-9A-Za-z_-]+", re.ASCII)
_FEN: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_BEYOND_BMP: Final = re.compile("[\U00010000-\U0010ffff]")


class Clock(Protocol):
    """All that the rules need of a clock."""

    def now_s(self) -> float:
        """Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalMerchant:
    """The merchant as WeChat Pay knows it, with what is set on its platform (R6). Money in fen."""

    mch_id: str
    wxappid: str
    api_key: str = field(repr=False)
    #: Service-provider mode (R1.1): then a request must name them; empty for a direct merchant.
    sub_mch_id: str = ""
    msgappid: str = ""
    #: 0 is no limit.
    sends_per_second: int = SENDS_PER_SECOND
    queries_per_second: int = 0
    packet_min_fen: int = 100
    packet_max_fen: int = 20_000
    #: With a ``scene_id``; the band that a merchant's page was seen with (R2.2).
    scene_min_fen: int = 30
    scene_max_fen: int = 49_900
    person_day_packets: int = PERSON_DAY_PACKETS
    person_day_fen: int = PERSON_DAY_FEN
    merchant_day_fen: int = MERCHANT_DAY_FEN
    #: Share of the blocked requests (balance, caps, risk) whose order is kept as SENDING with a reason.
    keeps_blocked: float = 0.5
    #: Share of the packets that are opened in time.
    claim_share: float = 0.85
    time_scale: float = 1.0


class Rules:
    """Answers requests. Thread-safe: one request at a time."""

    def __init__(
        self,
        books: Books,
        merchant: RehearsalMerchant,
        *,
        clock: Clock,
        faults: Faults | None = None,
        seed: int = 0,
    ) -> None:
        self.books = books
        self.merchant = merchant
        #: May be replaced at any time.
        self.faults = faults or Faults()
        self.seed = seed
        self._clock = clock
        self._lock = threading.Lock()
        self._sends = _Window(merchant.sends_per_second)
        self._queries = _Window(merchant.queries_per_second)

    def handle(self, path: str, body: bytes, *, certificate_of: str | None = None) -> Reply:
        """Answer one request; what it changes is in the books before this returns.

        Args:
            certificate_of: the merchant number in the client certificate; None where there is none to see.
        """
        if path == DOWNLOADFUNDFLOW.path:
            return self._bill(body, certificate_of)
        call = _CALLS.get(path)
        if call is None:
            return Reply(status=404)
        endpoint = path.rpartition("/")[2]
        try:
            request = flat(from_xml(body))
        except Malformed:
            request = {}
        number = request.get("mch_billno", "")
        with self._lock, self.books.transaction():
            now = self._clock.now_s()
            self._settle(now)
            strike = self._strike(endpoint, request, self._visit(endpoint, number))
            if strike.before:
                err_code, reply = "", UNTOUCHED[strike.before.kind]
            else:
                fields = self._judge(call, request, strike.ruling, now, certificate_of)
                err_code = fields.get("err_code", "")
                reply = delivered(fields, strike)
            self.books.log(Request(now, endpoint, number[:64], digest_of(request), err_code, str(strike)))
        return reply

    def _bill(self, body: bytes, certificate_of: str | None) -> Reply:
        with self._lock, self.books.transaction():
            now = self._clock.now_s()
            self._settle(now)
            reply, err_code = answer_bill(
                self.books, self.merchant, body, now_s=now, certificate_of=certificate_of
            )
            endpoint = DOWNLOADFUNDFLOW.path.rpartition("/")[2]
            self.books.log(Request(now, endpoint, "", b"", err_code, ""))
        return reply

    def settle(self) -> None:
        """Let happen what is due by now, as the next request would."""
        with self._lock, self.books.transaction():
            self._settle(self._clock.now_s())

    # -- the way in

    def _visit(self, endpoint: str, number: str) -> Visit:
        if not number or len(number) > BYTES_MAX["mch_billno"]:
            return Visit(0, 1)
        return self.books.visit(number, sending=endpoint in SENDS)

    def _strike(self, endpoint: str, request: Mapping[str, str], visit: Visit) -> Strike:
        if not self.faults.rules:
            return NO_STRIKE
        number = request.get("mch_billno", "")
        openid = request.get("re_openid", "")
        if not openid and (order := self.books.order(number)):
            openid = order.re_openid
        subject = Subject(
            endpoint=endpoint,
            mch_billno=number,
            re_openid=openid,
            position=visit.position,
            ordinal=visit.ordinal,
            balance_fen=self.books.balance_fen(),
        )
        return self.faults.strike(subject, self.seed)

    def _judge(
        self, call: Call, request: dict[str, str], ruling: Rule | None, now: float, certificate_of: str | None
    ) -> dict[str, str]:
        try:
            self._check(call, request, certificate_of)
            self._refuse(call, ruling, now)
            if call is GETHBINFO:
                return self._query(request, ruling, now)
            return self._send(call, request, ruling, now)
        except Refusal as refusal:
            return refused(request, refusal)

    def _check(self, call: Call, request: Mapping[str, str], certificate_of: str | None) -> None:
        """Parameters, then certificate, then signature, in WeChat Pay's order (R5.2)."""
        if not request:
            raise Refusal("XML_ERROR", echo=False)
        if call is SENDGROUPREDPACK:
            raise Refusal("API_METHOD_CLOSED", "裂变红包已下线，请使用普通红包", echo=False)  # R1
        for wrong in _parameter_problems(call, request):
            raise Refusal("PARAM_ERROR", wrong, echo=False)
        merchant = self.merchant
        if request["mch_id"] != merchant.mch_id:
            raise Refusal("PARAM_ERROR", "找不到对应的商户号", echo=False)
        if request.get("wxappid", merchant.wxappid) != merchant.wxappid:
            raise Refusal("PARAM_ERROR", "商户号和wxappid不匹配", echo=False)
        if certificate_of not in (None, merchant.mch_id):
            raise Refusal("CA_ERROR")
        sent = {name for name, value in request.items() if value}
        if call.undocumented(sent) or not sign_matches(request, merchant.api_key):
            raise Refusal("SIGN_ERROR")
        if any(value != value.strip() for value in request.values()):
            raise Refusal("SIGN_ERROR")  # R7.3: blanks around a value are stripped before it is checked
        if call is not GETHBINFO:
            self._check_provider(request)

    def _check_provider(self, request: Mapping[str, str]) -> None:
        merchant = self.merchant
        if request.get("sub_mch_id", "") != merchant.sub_mch_id:
            raise Refusal("ACCEPTMODE_ERROR")
        if merchant.sub_mch_id and request.get("msgappid", "") not in (merchant.wxappid, merchant.msgappid):
            raise Refusal("MSGAPPID_ERROR")

    def _refuse(self, call: Call, ruling: Rule | None, now: float) -> None:
        if ruling and (code := _REFUSALS.get(ruling.kind)):
            raise Refusal(code, echo=code != "SYSTEMERROR")
        window = self._queries if call is GETHBINFO else self._sends
        if not window.admits(now):
            raise Refusal("FREQ_LIMIT")  # leaves no record (R11)

    # -- sending

    def _send(self, call: Call, request: dict[str, str], ruling: Rule | None, now: float) -> dict[str, str]:
        fen, openid = int(request["total_amount"]), request["re_openid"]
        order = self.books.order(request["mch_billno"])
        if order is None:
            self._check_amount(fen, request.get("scene_id", ""))
            if not _OPENID.fullmatch(openid):
                raise Refusal("OPENID_ERROR")
            order = Order(
                request["mch_billno"],
                openid,
                fen,
                self.books.new_listid(now),
                now,
                failed_s=self._after(now, CLOSING_S),
            )
        elif (order.re_openid, order.total_amount) != (openid, fen):
            raise Refusal("FATAL_ERROR")
        elif order.status(now) == "FAILED":
            raise Refusal("SEND_FAILED")
        elif order.doomed:
            raise Refusal("PROCESSING")
        if order.paid_s is None:
            self._pay(order, ruling, now, claims=call is SENDREDPACK)
        elif ruling and ruling.kind == "repeat_refused":
            raise Refusal("SEND_FAILED", "该红包已发放，请勿重复发放")
        return accepted(request, order, with_package=call is SENDMINIPROGRAMHB)

    def _check_amount(self, fen: int, scene_id: str) -> None:
        merchant = self.merchant
        low, high = merchant.packet_min_fen, merchant.packet_max_fen
        if scene_id:
            low, high = min(low, merchant.scene_min_fen), max(high, merchant.scene_max_fen)
        if not low <= fen <= high:
            raise Refusal("MONEY_LIMIT")

    def _pay(self, order: Order, ruling: Rule | None, now: float, *, claims: bool) -> None:
        """Pay an order that is not paid, or store why not.

        Raises:
            Refusal: it is not paid now.
        """
        kind, reason = (ruling.kind, ruling.reason) if ruling else ("", "")
        if kind in ("processing", "processing_unpaid"):
            assert ruling is not None
            wait_s = PROCESSING_S if ruling.delay_s is None else ruling.delay_s
            pay_s = self._after(now, wait_s) if kind == "processing" else None
            self.books.put(order._replace(pay_s=pay_s, reason=""))
            raise Refusal("PROCESSING")
        if kind == "held":
            self.books.put(order._replace(pay_s=None, reason=reason or WORDS["NO_AUTH"]))
            return
        if kind in ("failed_later", "send_failed"):
            failed_s = now if kind == "send_failed" else self._after(now, FAILING_S)
            self.books.put(order._replace(failed_s=failed_s, reason=reason, doomed=1))
            if kind == "send_failed":
                raise Refusal("SEND_FAILED", "红包发放失败，请更换单号再重试")
            return
        block = _BLOCKS.get(kind) or self._block(order, now)
        if block:
            self._keep_blocked(order, block, reason or WORDS[block])
            raise Refusal(block)
        self.books.pay(self._paid(order, now, claims=claims))

    def _block(self, order: Order, now: float) -> str:
        """Which cap or lack forbids paying this order now (R6); empty when none does."""
        merchant, fen = self.merchant, order.total_amount
        day = beijing_day(now).isoformat()
        if self.books.day_fen(day) + fen > merchant.merchant_day_fen:
            return "SENDAMOUNT_LIMIT"
        packets, person_fen = self.books.person_day(day, order.re_openid)
        if packets + 1 > merchant.person_day_packets:
            return "SENDNUM_LIMIT"
        if person_fen + fen > merchant.person_day_fen:
            return "RCVDAMOUNT_LIMIT"
        return "NOTENOUGH" if fen > self.books.balance_fen() else ""

    def _keep_blocked(self, order: Order, code: str, reason: str) -> None:
        """Keep a blocked order as SENDING with a reason, or forget it: both were seen (R5.1)."""
        known = self.books.order(order.mch_billno) is not None
        if known or draw(self.seed, "keep", code, order.mch_billno) < self.merchant.keeps_blocked:
            self.books.put(order._replace(pay_s=None, reason=reason))

    def _paid(self, order: Order, now: float, *, claims: bool) -> Order:
        """The order as paid now, with its whole future."""
        sent_s = self._after(now, 1 + 4 * self._draw("issue", order))
        paid = order._replace(pay_s=None, paid_s=now, sent_s=sent_s, failed_s=None, reason="")
        # A mini-program packet is opened through a front end (R2.6), and nobody here has one.
        if claims and self._draw("claims", order) < self.merchant.claim_share:
            # Most people look soon, a few at the last moment.
            hesitation_s = 5 + (CLAIM_WINDOW_S - 60) * self._draw("opens", order) ** 4
            return paid._replace(claimed_s=self._after(sent_s, hesitation_s))
        refunding_s = self._after(sent_s, CLAIM_WINDOW_S)
        refunded_s = self._after(refunding_s, 60 + REFUND_TAKES_S * self._draw("returns", order))
        return paid._replace(refunding_s=refunding_s, refunded_s=refunded_s)

    def _settle(self, now: float) -> None:
        """What happens by itself: PROCESSING orders are paid, unopened packets come back."""
        for event, order in self.books.due(now):
            if event == "refund":
                self.books.take_back(order)
            elif order.paid_s is None and order.pay_s is not None and order.status(order.pay_s) != "FAILED":
                block = self._block(order, order.pay_s)
                if block:
                    self.books.put(order._replace(pay_s=None, reason=WORDS[block]))
                else:
                    self.books.pay(self._paid(order, order.pay_s, claims=True))

    # -- asking

    def _query(self, request: Mapping[str, str], ruling: Rule | None, now: float) -> dict[str, str]:
        order = self.books.order(request["mch_billno"])
        if ruling and ruling.kind == "not_found_systemerror":
            # The documentation's own sample (R3.2).
            raise Refusal("SYSTEMERROR", WORDS["NOT_FOUND"], return_code="FAIL")
        forgotten = order is None or now >= self._after(order.stored_s, FORGOTTEN_S)
        if forgotten or request["appid"] != self.merchant.wxappid or (ruling and ruling.kind == "not_found"):
            raise Refusal("NOT_FOUND")
        assert order is not None
        return described(order, self.merchant.mch_id, now)

    def _after(self, since_s: float, seconds: float) -> float:
        return since_s + seconds / self.merchant.time_scale

    def _draw(self, purpose: str, order: Order) -> float:
        return draw(self.seed, purpose, order.mch_billno)


class _Window:
    """At most so many in any sliding second; refused ones do not count."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._admitted: deque[float] = deque()

    def admits(self, now: float) -> bool:
        if not self._per_second:
            return True
        admitted = self._admitted
        # The second comparison: a clock that was set back must not close the window for ever.
        while admitted and (now - admitted[0] >= 1 or admitted[0] > now):
            admitted.popleft()
        if len(admitted) >= self._per_second:
            return False
        admitted.append(now)
        return True


#: At most, in UTF-8.
_BYTES_OF_A_CHARACTER: Final = 4


def _parameter_problems(call: Call, request: Mapping[str, str]) -> list[str]:
    """What PARAM_ERROR would say about a request, in R5.2's words."""
    problems = [f"{name}字段必填" for name in sorted(call.required) if not request.get(name)]
    problems += [
        f"{name}字段必填,并且少于{most + 1}字符"
        for name, most in BYTES_MAX.items()
        if len(value := request.get(name, "")) > most // _BYTES_OF_A_CHARACTER
        and len(value.encode("utf-8", "replace")) > most
    ]
    if problems:
        return problems
    if not _ALNUM.fullmatch(request["mch_billno"]):
        problems.append("输入的商户订单号有误")
    if _BEYOND_BMP.search("".join(request.values())):
        problems.append("参数含有不支持的字符")  # the real code is unknown (R7.3)
    if call is GETHBINFO:
        if request["bill_type"] != BILL_TYPE:
            problems.append("bill_type错误")
        return problems
    if not _FEN.fullmatch(request["total_amount"]):
        problems.append("红包金额有误")
    if request["total_num"] != "1":
        problems.append("total_num必须为1")
    if request.get("scene_id") and request["scene_id"] not in SCENES:
        problems.append("scene_id错误")
    if "client_ip" in call.required and not _is_ipv4(request["client_ip"]):
        problems.append("client_ip必须是合法的IP字符串")
    if "notify_way" in call.required and request["notify_way"] != NOTIFY_WAY:
        problems.append("notify_way错误")
    return problems


@lru_cache
def _is_ipv4(address: str) -> bool:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return True
