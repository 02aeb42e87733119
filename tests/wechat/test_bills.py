"""Downloading a funds bill: what each answer of WeChat Pay means, and nothing believed that is not whole."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from datetime import date

import pytest

from campaign.domain.days import day_start_s
from campaign.errors import BillRejected, CampaignError, NoAnswer, NotFinished, NotSent, SetupError
from campaign.ports import nothing
from campaign.rehearsal.bills import written
from campaign.text import text
from campaign.wechat.bills import DOWNLOAD_BYTES_MAX, READY_S, FundFlowClient
from campaign.wechat.envelope import BODY_BYTES_MAX, flat, from_xml
from campaign.wechat.transport import Download
from tests.rehearsal.world import KEY, MERCHANT, World, number
from tests.wechat.loopback import LoopbackServer, answer
from tests.wechat.test_transport import transport_to

DAY = date(2026, 11, 22)
#: When its bill is surely made.
LATER_S = day_start_s(DAY) + READY_S
EMPTY = written([])


class Canned:
    """A transport with one answer."""

    def __init__(self, *reply: bytes | str) -> None:
        self.reply = reply
        self.asked: list[tuple[str, bytes, int]] = []

    def post(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        raise AssertionError("a bill is downloaded")

    def download(self, path: str, body: bytes, *, bytes_max: int) -> Download:
        self.asked.append((path, body, bytes_max))
        if isinstance(self.reply[0], Exception):
            raise self.reply[0]
        return Download(*self.reply)

    line = None

    def close(self) -> None:
        pass


def client(transport, key: str = KEY) -> FundFlowClient:
    return FundFlowClient(transport=transport, api_key=key, mch_id=MERCHANT.mch_id, appid=MERCHANT.wxappid)


def refusal(kind: type[CampaignError], *reply, words: str = "") -> CampaignError:
    with pytest.raises(kind) as caught:
        client(Canned(*reply)).bill(DAY, "Basic", now_s=LATER_S)
    assert type(caught.value) is kind
    assert caught.value.advice is not None
    assert words in str(caught.value)
    return caught.value


def xml(**fields: str) -> bytes:
    return "".join(["<xml>", *(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in fields.items()), "</xml>"]).encode()


def test_the_stand_in_takes_the_request_and_its_bill_is_read():
    """Signature, fields and digest, checked by the strict rules of the other side."""
    world = World()
    world.send(1, fen=188)
    world.later(days=1)
    bill = client(world.transport).bill(DAY, "Basic", now_s=LATER_S)
    assert (bill.account, bill.days, bill.flaw) == ("Basic", {DAY}, None)
    [line] = bill.lines
    assert (line.voucher_no, line.fen) == (number(1), 188)


def test_a_day_on_which_nothing_moved_is_a_bill_without_lines():
    """NO_BILL_EXIST: the day is covered all the same."""
    bill = client(World().transport).bill(date(2026, 11, 20), "Operation", now_s=LATER_S)
    assert (bill.lines, bill.days, bill.account) == ((), {date(2026, 11, 20)}, "Operation")


def test_that_there_is_no_bill_yet_does_not_prove_that_nothing_moved():
    """Until ten o'clock of the next day it covers nothing, so no row is missed in it."""
    for now_s, days in ((LATER_S - 1, set()), (LATER_S, {DAY})):
        assert client(Canned(xml(err_code="NO_BILL_EXIST"))).bill(DAY, "Basic", now_s=now_s).days == days


def test_a_bill_that_is_not_made_yet_is_for_later():
    with pytest.raises(NotFinished, match="not made the bill of 2026-11-22"):
        client(World().transport).bill(DAY, "Basic", now_s=LATER_S)


def test_a_wrong_key_is_the_engineers():
    with pytest.raises(SetupError, match="SIGN_ERROR"):
        client(World().transport, key="x" * 32).bill(DAY, "Basic", now_s=LATER_S)


def test_the_request_holds_what_r10_2_asks_for_and_no_secret():
    transport = Canned(EMPTY)
    client(transport).bill(DAY, "Operation", now_s=LATER_S)
    [(path, body, bytes_max)] = transport.asked
    fields = flat(from_xml(body))
    assert path == "/pay/downloadfundflow"
    assert (fields["bill_date"], fields["account_type"]) == ("20261122", "Operation")
    assert (fields["sign_type"], len(fields["sign"])) == ("HMAC-SHA256", 64)
    assert bytes_max == DOWNLOAD_BYTES_MAX > BODY_BYTES_MAX
    assert KEY.encode() not in body
    assert KEY not in repr(client(transport))


@pytest.mark.parametrize(
    "fields, kind, words",
    [
        ({"return_code": "FAIL", "err_code": "BILL_CREATING"}, NotFinished, "2026-11-22"),
        ({"return_code": "SUCCESS", "result_code": "FAIL", "err_code": "SYSTEMERROR"}, NotFinished, "busy"),
        ({"return_code": "FAIL", "return_msg": "Bill Creating"}, NotFinished, "not made"),
        ({"return_code": "FAIL", "error_code": "PARAM_ERROR"}, SetupError, "PARAM_ERROR"),
        ({"return_code": "FAIL", "return_msg": "签名错误"}, SetupError, "签名错误"),
        ({"return_code": "FAIL", "err_code": "CA_ERROR", "err_code_des": "证书"}, SetupError, "证书"),
        ({"return_code": "FAIL"}, SetupError, "–"),
    ],
)
def test_each_complaint_goes_to_the_one_who_can_help(fields, kind, words):
    """Codes decide; an old answer has the code's words in return_msg."""
    refusal(kind, xml(**fields), words=words)


@pytest.mark.parametrize("fields", [{"err_code": "NO_BILL_EXIST"}, {"return_msg": "No Bill Exist"}])
def test_no_bill_is_no_error(fields):
    assert client(Canned(xml(return_code="FAIL", **fields))).bill(DAY, "Basic", now_s=LATER_S).lines == ()


@pytest.mark.parametrize("error", [NotSent(text("no way")), NoAnswer(text("silence"))])
def test_a_broken_line_is_for_later_and_says_why(error):
    refusal(NotFinished, error, words=str(error))


@pytest.mark.parametrize(
    "body", [b"<html><body>Sign in</body></html>", b"<xml>", b"\xef\xbb\xbf <x/>", b"hello"]
)
def test_what_is_neither_bill_nor_complaint_is_refused(body):
    refusal(BillRejected, body)


def test_the_digest_must_fit():
    """Over the bill, or over what came packed; another one means damage, none means none was given."""
    packed = gzip.compress(EMPTY)
    for content in (EMPTY, packed):
        digest = f"SHA={hashlib.sha1(content).hexdigest()}"
        assert client(Canned(packed, digest)).bill(DAY, "Basic", now_s=LATER_S).flaw is None
    assert client(Canned(packed, "MD5=abc")).bill(DAY, "Basic", now_s=LATER_S).flaw is None
    refusal(BillRejected, packed, "SHA=" + "0" * 40, words="digest")


def test_over_http_a_bill_may_be_longer_than_an_answer_and_brings_its_digest():
    """The transport's limit for ordinary answers does not hold for downloads; the caller's does."""
    body = b"x" * (BODY_BYTES_MAX + 1)
    raw = b"HTTP/1.1 200 OK\r\nDigest: SHA=abc\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with LoopbackServer(answer(raw)) as server, transport_to(server.url) as transport:
        assert transport.download("/pay/x", b"<xml/>", bytes_max=len(body)) == (body, "SHA=abc")
    with (
        LoopbackServer(answer(raw)) as server,
        transport_to(server.url) as transport,
        pytest.raises(NoAnswer, match="too long"),
    ):
        transport.download("/pay/x", b"<xml/>", bytes_max=len(body) - 1)
