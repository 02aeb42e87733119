"""The stand-in's funds bill (R10.2, R10.4), written from its books.

WeChat Pay makes the bill of a day at 09:00 of the next. Here that happens ``time_scale`` times faster,
counted from the beginning of the day, so a scaled rehearsal can look at today's money today; such a bill
holds what has happened so far. All money is on the basic account.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from campaign.domain.bill import BillLine
from campaign.domain.days import DAY_S, HOUR_S, beijing_text, day_start_s
from campaign.domain.money import yuan_text
from campaign.rehearsal.books import Books, Money
from campaign.rehearsal.faults import NO_STRIKE
from campaign.rehearsal.replies import Refusal, Reply, delivered, refused
from campaign.wechat.envelope import Malformed, flat, from_xml
from campaign.wechat.fields import DOWNLOADFUNDFLOW
from campaign.wechat.signing import sign_hmac_sha256

if TYPE_CHECKING:
    from campaign.rehearsal.rules import RehearsalMerchant

#: From the beginning of a day to its bill (R10.2).
READY_S: Final = DAY_S + 9 * HOUR_S
#: The first day that has a bill (R10.2).
FIRST_DAY: Final = date(2017, 6, 1)

_DATE: Final = re.compile(r"[0-9]{8}", re.ASCII)
_HEADER: Final = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额（元）,账户结余（元）,"
    "资金变更提交申请人,备注,业务凭证号"
)
_SUMMARY: Final = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
#: Kind of money -> 业务名称, 业务类型, 申请人. WeChat Pay's own names for packets are not published (R10.4).
_BUSINESS: Final = {
    "packet": ("现金红包", "现金红包", "API"),
    "refund": ("现金红包", "现金红包退款", "system"),
    "top_up": ("充值/提现", "充值", "finance"),
}


def answer_bill(
    books: Books, merchant: RehearsalMerchant, body: bytes, *, now_s: float, certificate_of: str | None
) -> tuple[Reply, str]:
    """Answer ``downloadfundflow``: the reply and its err_code, empty for a bill."""
    try:
        content, zipped = _bill(books, merchant, body, now_s, certificate_of)
    except Refusal as refusal:
        return delivered(refused({}, refusal), NO_STRIKE), refusal.err_code
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return Reply(
        gzip.compress(content, mtime=0) if zipped else content,
        content_type="application/x-gzip" if zipped else "text/plain; charset=utf-8",
        digest=f"SHA={digest}",
    ), ""


def _bill(
    books: Books, merchant: RehearsalMerchant, body: bytes, now_s: float, certificate_of: str | None
) -> tuple[bytes, bool]:
    try:
        request = flat(from_xml(body))
    except Malformed:
        raise Refusal("XML_ERROR") from None
    for name in sorted(DOWNLOADFUNDFLOW.required):
        if not request.get(name):
            raise Refusal("PARAM_ERROR", f"{name}字段必填")
    if (request["mch_id"], request["appid"]) != (merchant.mch_id, merchant.wxappid):
        raise Refusal("PARAM_ERROR", "商户号和appid不匹配")
    if certificate_of not in (None, merchant.mch_id):
        raise Refusal("CA_ERROR")
    signed = request["sign_type"] == "HMAC-SHA256" and request["sign"] == sign_hmac_sha256(
        request, merchant.api_key
    )
    if not signed or DOWNLOADFUNDFLOW.undocumented(request):
        raise Refusal("SIGN_ERROR")
    if request["account_type"] not in ("Basic", "Operation", "Fees"):
        raise Refusal("PARAM_ERROR", "account_type错误")
    if request.get("tar_type", "GZIP") != "GZIP":
        raise Refusal("PARAM_ERROR", "tar_type错误")
    day = _day(request["bill_date"])
    start_s = day_start_s(day)
    if now_s < start_s:
        raise Refusal("PARAM_ERROR", "bill_date错误")
    if now_s < start_s + READY_S / merchant.time_scale:
        raise Refusal("BILL_CREATING", "账单生成中，请稍后再试")
    lines = list(lines_of(books, merchant.mch_id, day)) if request["account_type"] == "Basic" else []
    if not lines:
        raise Refusal("NO_BILL_EXIST", "账单不存在")
    return written(lines), "tar_type" in request


def _day(bill_date: str) -> date:
    try:
        if _DATE.fullmatch(bill_date) and (day := date.fromisoformat(bill_date)) >= FIRST_DAY:
            return day
    except ValueError:
        pass
    raise Refusal("PARAM_ERROR", "bill_date错误")


def lines_of(books: Books, mch_id: str, day: date) -> Iterator[BillLine]:
    """The movements of one Beijing day, by time. The first balance is no movement."""
    start_s, end_s = day_start_s(day), day_start_s(day + timedelta(days=1))
    balance_fen = 0
    movements = sorted(books.money(), key=lambda money: (money.kind != "opening", money.at_s))
    for money in movements:
        balance_fen += money.fen
        if money.kind != "opening" and start_s <= money.at_s < end_s:
            yield _line(books, mch_id, money, balance_fen)


def _line(books: Books, mch_id: str, money: Money, balance_fen: int) -> BillLine:
    order = books.order(money.mch_billno) if money.mch_billno else None
    name, kind, applicant = _BUSINESS[money.kind]
    if money.kind == "top_up" and money.fen < 0:
        kind = "提现"
    # A packet moves money at most twice, so its order's number and the kind name the movement for good.
    own_no = order.send_listid[-12:] if order else f"{int(money.at_s * 100) % 10**12:012d}"
    flow_id = f"{mch_id}{beijing_text(money.at_s)[:10].replace('-', '')}{_FLOW_KIND[money.kind]}{own_no}"
    return BillLine(
        billed_at_s=float(int(money.at_s)),
        business_no=order.send_listid if order else flow_id,
        flow_id=flow_id,
        business_name=name,
        business_type=kind,
        incoming=money.fen >= 0,
        fen=abs(money.fen),
        balance_fen=balance_fen,
        applicant=applicant,
        note="",
        voucher_no=money.mch_billno or "",
    )


_FLOW_KIND: Final = {"packet": "1", "refund": "2", "top_up": "3"}
_ESCAPED: Final = {"\x01": " ", "\r": "\\r", "\n": "\\n"}


def written(lines: Iterable[BillLine]) -> bytes:
    """The file of these movements, with its summary."""
    rows = [_HEADER]
    income: list[int] = []
    outgo: list[int] = []
    for line in lines:
        (income if line.incoming else outgo).append(line.fen)
        fields = (
            beijing_text(line.billed_at_s),
            line.business_no,
            line.flow_id,
            line.business_name,
            line.business_type,
            "收入" if line.incoming else "支出",
            yuan_text(line.fen),
            yuan_text(line.balance_fen),
            line.applicant,
            "".join(_ESCAPED.get(character, character) for character in line.note),
            line.voucher_no,
        )
        rows.append(",".join(f"`{field}" for field in fields))
    sums = (
        f"{len(income) + len(outgo)}.0",
        f"{len(income)}.0",
        yuan_text(sum(income)),
        f"{len(outgo)}.0",
        yuan_text(sum(outgo)),
    )
    rows += [_SUMMARY, ",".join(f"`{value}" for value in sums)]
    return ("\r\n".join(rows) + "\r\n").encode()
