"""The stand-in's funds bill: its books, day by day, in WeChat Pay's form."""

from __future__ import annotations

import gzip
import hashlib
from datetime import date, timedelta

import pytest

from campaign.domain.bill import Bill
from campaign.domain.days import beijing_text
from campaign.rehearsal.replies import Reply
from campaign.wechat.envelope import from_xml, to_xml
from campaign.wechat.fields import DOWNLOADFUNDFLOW
from campaign.wechat.fundflow import parse_bill
from campaign.wechat.signing import sign_hmac_sha256, sign_md5
from tests.rehearsal.world import KEY, World, number

SUNDAY = date(2026, 11, 22)


def request(day: str = "20261122", **changes: str) -> dict[str, str]:
    parameters = {
        "account_type": "Basic",
        "appid": "wx0123456789abcdef",
        "bill_date": day,
        "mch_id": "1900000109",
        "nonce_str": "NONCE",
        "sign_type": "HMAC-SHA256",
    }
    return {name: value for name, value in (parameters | changes).items() if value}


def fetch(world: World, day: str = "20261122", **changes: str) -> Reply:
    wanted = request(day, **changes)
    return world.rules.handle(DOWNLOADFUNDFLOW.path, to_xml(wanted | {"sign": sign_hmac_sha256(wanted, KEY)}))


def bill(world: World, day: date = SUNDAY) -> Bill:
    return parse_bill(fetch(world, f"{day:%Y%m%d}").body, file=str(day))


def err_code(reply: Reply) -> object:
    return from_xml(reply.body)["err_code"]


def test_a_packet_is_one_debit_with_both_its_numbers():
    """业务凭证号 is our bill number, 微信支付业务单号 what the send answer said (R10.1)."""
    world = World(claim_share=1.0)
    answer = world.send(1, fen=188)
    world.later(days=1)
    [line] = bill(world).lines
    assert (line.voucher_no, line.business_no) == (number(1), answer["send_listid"])
    assert (line.incoming, line.fen, line.balance_fen) == (False, 188, 1_000_000 - 188)
    assert beijing_text(line.billed_at_s) == "2026-11-22 12:00:00"


def test_an_unopened_packet_is_a_debit_and_a_credit_on_the_day_it_came_back():
    world = World(claim_share=0.0)
    world.send(1, fen=188)
    world.later(days=2)
    [debit] = bill(world).lines
    [credit] = bill(world, SUNDAY + timedelta(days=1)).lines
    assert (credit.incoming, credit.fen, credit.balance_fen) == (True, 188, 1_000_000)
    assert (credit.voucher_no, credit.business_no) == (debit.voucher_no, debit.business_no)
    assert credit.flow_id != debit.flow_id
    refunded = world.ask(1)["refund_time"]
    assert beijing_text(credit.billed_at_s) == refunded


def test_opening_plus_top_ups_less_sent_plus_refunds_is_closing():
    """Over a week, day by day, whatever happened; each day opens as the one before closed."""
    world = World(claim_share=0.5)
    balance_fen = 1_000_000
    for day in range(7):
        for n in range(5):
            world.send(10 * day + n, openid=f"o{n}", fen=100 + 7 * n)
            world.later(h=1)
        if day == 3:
            world.books.top_up(50_000, world.clock.now_s())
        world.later(h=19)
    world.later(days=2)
    for day in range(8):
        found = bill(world, SUNDAY + timedelta(days=day))
        assert found.flaw is None
        for line in found.lines:
            balance_fen += line.change_fen
            assert line.balance_fen == balance_fen
        assert len({line.flow_id for line in found.lines}) == len(found.lines)
    assert (
        balance_fen
        == world.books.balance_fen()
        == 1_050_000 - (world.books.paid_total_fen() - world.books.refunded_total_fen())
    )


def test_the_bill_of_a_day_is_the_same_whenever_it_is_fetched():
    """What came back later belongs to a later day."""
    world = World(claim_share=0.0)
    for n in range(5):
        world.send(n, openid=f"o{n}")
    world.later(h=21)
    first = fetch(world).body
    world.later(days=10)
    assert fetch(world).body == first


def test_a_bill_is_made_at_nine_of_the_next_day():
    """A scaled stand-in has it earlier, with what has happened so far."""
    world = World()
    world.send(1)
    assert err_code(fetch(world)) == "BILL_CREATING"
    world.later(h=20, s=3599)
    assert err_code(fetch(world)) == "BILL_CREATING"
    world.later(s=1)
    assert len(bill(world).lines) == 1
    scaled = World(time_scale=1440.0)
    scaled.send(1)
    assert len(bill(scaled).lines) == 1


def test_it_is_packed_on_request_and_comes_with_its_digest():
    world = World()
    world.send(1)
    world.later(days=1)
    plain, packed = fetch(world), fetch(world, tar_type="GZIP")
    assert gzip.decompress(packed.body) == plain.body
    assert plain.digest == packed.digest == f"SHA={hashlib.sha1(plain.body).hexdigest()}"


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"bill_date": "20261121"}, "NO_BILL_EXIST"),
        ({"account_type": "Operation"}, "NO_BILL_EXIST"),
        ({"account_type": "basic"}, "PARAM_ERROR"),
        ({"account_type": ""}, "PARAM_ERROR"),
        ({"bill_date": "2026-11-22"}, "PARAM_ERROR"),
        ({"bill_date": "20261131"}, "PARAM_ERROR"),
        ({"bill_date": "20170531"}, "PARAM_ERROR"),
        ({"bill_date": "20991231"}, "PARAM_ERROR"),
        ({"tar_type": "ZIP"}, "PARAM_ERROR"),
        ({"mch_id": "1900000110"}, "PARAM_ERROR"),
        ({"appid": "wx000"}, "PARAM_ERROR"),
        ({"sign_type": "MD5"}, "SIGN_ERROR"),
        ({"device_info": "x"}, "SIGN_ERROR"),
    ],
)
def test_a_request_that_deserves_no_bill_is_told_why(changes, code):
    world = World()
    world.send(1)
    world.later(days=1)
    assert err_code(fetch(world, **changes)) == code


def test_only_hmac_sha256_and_the_merchants_certificate_open_it():
    """R10.2."""
    world = World()
    wanted = request()
    body = to_xml(wanted | {"sign": sign_md5(wanted, KEY)})
    assert err_code(world.rules.handle(DOWNLOADFUNDFLOW.path, body)) == "SIGN_ERROR"
    body = to_xml(wanted | {"sign": sign_hmac_sha256(wanted, KEY)})
    reply = world.rules.handle(DOWNLOADFUNDFLOW.path, body, certificate_of="1900000110")
    assert err_code(reply) == "CA_ERROR"
    assert err_code(world.rules.handle(DOWNLOADFUNDFLOW.path, b"nonsense")) == "XML_ERROR"


def test_a_withdrawal_is_money_out_and_no_packet():
    world = World()
    world.books.top_up(-5_000, world.clock.now_s())
    world.later(days=1)
    [line] = bill(world).lines
    assert (line.incoming, line.fen, line.voucher_no, line.business_type) == (False, 5_000, "", "提现")
