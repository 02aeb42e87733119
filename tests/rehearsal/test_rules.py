"""WeChat Pay's rules as the reference has them: what is refused, stored, paid, and what becomes of it."""

from __future__ import annotations

import pytest

from campaign.domain.days import moment_s
from campaign.rehearsal.replies import Ending
from campaign.wechat.envelope import from_xml
from tests.rehearsal.world import ASK, GROUP, KEY, MINI, SEND, World, number, packet, question, signed


def test_a_good_request_is_paid_once_and_echoed() -> None:
    """R3.1: SUCCESS three times over, the request's own values, and a send_listid."""
    world = World()
    answer = world.send()
    assert answer["return_code"] == answer["result_code"] == answer["err_code"] == "SUCCESS"
    assert [answer[f] for f in ("mch_billno", "mch_id", "wxappid", "re_openid", "total_amount")] == [
        number(1), "1900000109", "wx0123456789abcdef", "oAlice", "188",
    ]  # fmt: skip
    assert len(str(answer["send_listid"])) == 30
    assert "sign" not in answer
    assert world.paid() == 1
    assert world.books.balance_fen() == 1_000_000 - 188


@pytest.mark.parametrize(
    "field",
    [
        "act_name", "client_ip", "mch_billno", "mch_id", "nonce_str", "re_openid", "remark", "send_name",
        "total_amount", "total_num", "wishing", "wxappid",
    ],
)  # fmt: skip
def test_every_required_field_is_required(field: str) -> None:
    """R2.1: without it, PARAM_ERROR, and nothing is stored."""
    world = World()
    assert world.send(**{field: ""})["err_code"] == "PARAM_ERROR"
    assert world.books.orders() == []


@pytest.mark.parametrize(
    "change, err_code",
    [
        # R2.3: bytes of UTF-8, and "fewer than"
        ({"act_name": "2017年度四季度微信抽奖"}, "SUCCESS"),  # 31 bytes
        ({"act_name": "2017年度四季度微信抽奖活动"}, "PARAM_ERROR"),  # 37 bytes
        ({"act_name": "x" * 32}, "PARAM_ERROR"),
        ({"send_name": "红" * 10}, "SUCCESS"),
        ({"send_name": "红" * 11}, "PARAM_ERROR"),
        ({"wishing": "x" * 127}, "SUCCESS"),
        ({"wishing": "x" * 128}, "PARAM_ERROR"),
        ({"remark": "x" * 255}, "SUCCESS"),
        ({"remark": "x" * 256}, "PARAM_ERROR"),
        ({"re_openid": "o" * 31}, "SUCCESS"),
        ({"re_openid": "o" * 32}, "PARAM_ERROR"),
        ({"nonce_str": "n" * 32}, "SUCCESS"),
        ({"nonce_str": "n" * 33}, "PARAM_ERROR"),
        ({"risk_info": "r" * 128}, "SUCCESS"),
        ({"risk_info": "r" * 129}, "PARAM_ERROR"),
        ({"mch_billno": "a" * 28}, "SUCCESS"),
        ({"mch_billno": "a" * 29}, "PARAM_ERROR"),
        ({"mch_billno": "abc-1"}, "PARAM_ERROR"),
        ({"mch_billno": "１２３"}, "PARAM_ERROR"),  # full-width digits
        ({"total_num": "2"}, "PARAM_ERROR"),
        ({"total_amount": "188.0"}, "PARAM_ERROR"),
        ({"total_amount": "-188"}, "PARAM_ERROR"),
        ({"total_amount": "0"}, "PARAM_ERROR"),
        ({"total_amount": "0188"}, "PARAM_ERROR"),
        ({"client_ip": "::1"}, "PARAM_ERROR"),
        ({"client_ip": "300.1.1.1"}, "PARAM_ERROR"),
        ({"scene_id": "PRODUCT_9"}, "PARAM_ERROR"),
        ({"mch_id": "1900000108"}, "PARAM_ERROR"),
        ({"wxappid": "wx0123456789abcdee"}, "PARAM_ERROR"),
        # R2.2
        ({"total_amount": "99"}, "MONEY_LIMIT"),
        ({"total_amount": "100"}, "SUCCESS"),
        ({"total_amount": "20000"}, "SUCCESS"),
        ({"total_amount": "20001"}, "MONEY_LIMIT"),
        ({"total_amount": "20001", "scene_id": "PRODUCT_2"}, "SUCCESS"),
        ({"total_amount": "50", "scene_id": "PRODUCT_2"}, "SUCCESS"),
        ({"total_amount": "29", "scene_id": "PRODUCT_2"}, "MONEY_LIMIT"),
        ({"total_amount": "49901", "scene_id": "PRODUCT_2"}, "MONEY_LIMIT"),
        # R0.13, R7.3
        ({"sign_type": "MD5"}, "SIGN_ERROR"),
        ({"appid": "wx0123456789abcdef"}, "SIGN_ERROR"),
        ({"trade_type": "JSAPI"}, "SIGN_ERROR"),
        ({"wishing": " 祝您好运"}, "SIGN_ERROR"),
        ({"wishing": "祝您好运\u3000"}, "SIGN_ERROR"),
        ({"act_name": "a b"}, "SUCCESS"),
        # R1.1: a direct merchant has no sub-merchants
        ({"sub_mch_id": "1900000110", "msgappid": "wx0123456789abcdef"}, "ACCEPTMODE_ERROR"),
        ({"re_openid": "o Alice"}, "OPENID_ERROR"),
    ],
)
def test_field_rules(change: dict[str, str], err_code: str) -> None:
    """Each rule of R2 on its own; what is refused stores no order."""
    world = World()
    parameters = packet(**change)  # type: ignore[arg-type]
    answer = from_xml(world.reply(parameters).body)
    assert answer["err_code"] == err_code
    assert len(world.books.orders()) == (err_code == "SUCCESS")


def test_characters_beyond_the_bmp_are_refused() -> None:
    """R7.3. Our own envelope refuses to write one, so this body is written by hand."""
    parameters = packet(wishing="祝\U0001f9e7")
    from campaign.wechat.signing import sign_md5

    inside = "".join(
        f"<{name}><![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]></{name}>"
        for name, value in (parameters | {"sign": sign_md5(parameters, KEY)}).items()
    )
    world = World()
    answer = from_xml(world.rules.handle(SEND, f"<xml>{inside}</xml>".encode()).body)
    assert answer["err_code"] == "PARAM_ERROR"


@pytest.mark.parametrize(
    "body", [b"", b"not xml", b"<xml></xml>", b"<!DOCTYPE x><xml><a>1</a></xml>", b"\xff"]
)
def test_what_is_not_xml_is_an_xml_error(body: bytes) -> None:
    """R5.1."""
    assert from_xml(World().rules.handle(SEND, body).body)["err_code"] == "XML_ERROR"


def test_a_wrong_key_is_a_sign_error_and_an_altered_value_too() -> None:
    """R7.1: the signature covers everything that is sent."""
    world = World()
    other_key = world.rules.handle(SEND, signed(packet(), key="x" * 32))
    altered = world.rules.handle(SEND, signed(packet()).replace(b">188<", b">189<"))
    unsigned = world.rules.handle(
        SEND, signed(packet()).replace(b"<sign>", b"<sing>").replace(b"</sign>", b"</sing>")
    )
    codes = [from_xml(reply.body)["err_code"] for reply in (other_key, altered, unsigned)]
    assert codes == ["SIGN_ERROR", "SIGN_ERROR", "PARAM_ERROR"]
    assert world.books.orders() == []


def test_parameters_are_checked_before_the_certificate_and_that_before_the_signature() -> None:
    """R5.2."""
    rules = World().rules

    def code(body: bytes, certificate_of: str | None) -> object:
        return from_xml(rules.handle(SEND, body, certificate_of=certificate_of).body)["err_code"]

    bad_parameter = signed(packet(total_num="2"), key="x" * 32)
    assert code(bad_parameter, "1999999999") == "PARAM_ERROR"
    assert code(signed(packet(), key="x" * 32), "1999999999") == "CA_ERROR"
    assert code(signed(packet(), key="x" * 32), "1900000109") == "SIGN_ERROR"
    assert code(signed(packet()), "1900000109") == "SUCCESS"


def test_a_service_provider_names_its_sub_merchant() -> None:
    """R1.1."""
    world = World(sub_mch_id="1900000110", msgappid="wx9999999999999999")
    assert world.send(1)["err_code"] == "ACCEPTMODE_ERROR"
    assert world.send(2, sub_mch_id="1900000110")["err_code"] == "MSGAPPID_ERROR"
    assert world.send(3, sub_mch_id="1900000110", msgappid="wx9999999999999999")["err_code"] == "SUCCESS"
    # and gethbinfo has no such field
    assert world.ask(3, sub_mch_id="1900000110")["err_code"] == "SIGN_ERROR"


# -- the same number again (R5.4)


def test_the_same_request_again_pays_nothing_and_gets_the_same_answer() -> None:
    """Re-entrancy by mch_billno."""
    world = World()
    first = world.send()
    world.later(s=2)
    assert world.send() == first
    assert world.paid() == 1


@pytest.mark.parametrize("change", [{"re_openid": "oBob"}, {"total_amount": "189"}])
def test_the_same_number_for_another_person_or_amount_is_a_fatal_error(change: dict[str, str]) -> None:
    """R5.1; the first order stays as it was."""
    world = World()
    world.send()
    assert from_xml(world.reply(packet(**change)).body)["err_code"] == "FATAL_ERROR"  # type: ignore[arg-type]
    assert [(o.re_openid, o.total_amount) for o in world.books.orders()] == [("oAlice", 188)]
    assert world.books.paid_total_fen() == 188


def test_a_number_that_was_refused_before_an_order_was_stored_is_free() -> None:
    """R5.4: MONEY_LIMIT stored nothing, so a legal amount goes through under the same number."""
    world = World()
    assert world.send(fen=99)["err_code"] == "MONEY_LIMIT"
    assert world.status() == "NOT_FOUND"
    assert world.send(fen=188)["err_code"] == "SUCCESS"


def test_numbers_that_differ_by_case_are_two() -> None:
    """mch_billno is compared exactly."""
    world = World()
    assert world.send(mch_billno="abc")["err_code"] == "SUCCESS"
    assert world.send(mch_billno="ABC")["err_code"] == "SUCCESS"
    assert world.books.paid_total_fen() == 2 * 188


# -- limits (R6)


def test_an_empty_account_is_notenough_until_it_is_topped_up() -> None:
    """R5.1."""
    world = World(balance_fen=300)
    assert world.send(1)["err_code"] == "SUCCESS"
    assert world.send(2)["err_code"] == "NOTENOUGH"
    world.books.top_up(76, world.clock.now_s())
    assert world.send(2)["err_code"] == "SUCCESS"
    assert world.books.balance_fen() == 0


@pytest.mark.parametrize(
    "merchant, sends, last",
    [
        ({"person_day_packets": 2}, [("oA", 100), ("oA", 100), ("oB", 100), ("oA", 100)], "SENDNUM_LIMIT"),
        ({"person_day_fen": 250}, [("oA", 100), ("oA", 150), ("oB", 100), ("oA", 100)], "RCVDAMOUNT_LIMIT"),
        ({"merchant_day_fen": 350}, [("oA", 100), ("oB", 250), ("oC", 100)], "SENDAMOUNT_LIMIT"),
    ],
)
def test_daily_caps_hold_until_midnight_in_beijing(
    merchant: dict[str, int], sends: list[tuple[str, int]], last: str
) -> None:
    """R6: by the calendar of Beijing, not 24 hours."""
    world = World(**merchant)
    world.clock.at_s = moment_s("2026-11-22 23:59:50")
    codes = [world.send(n, openid, fen)["err_code"] for n, (openid, fen) in enumerate(sends)]
    assert codes == ["SUCCESS"] * (len(sends) - 1) + [last]
    world.later(s=9)
    openid, fen = sends[-1]
    assert world.send(len(sends) - 1, openid, fen)["err_code"] == last
    world.later(s=1)
    assert world.send(len(sends) - 1, openid, fen)["err_code"] == "SUCCESS"


def test_no_sliding_second_takes_more_than_the_limit_and_what_is_refused_leaves_no_record() -> None:
    """R6, R11: thirty, wherever the second begins."""
    world = World(sends_per_second=30, person_day_packets=1000)
    codes = []
    for n in range(100):
        codes.append(world.send(n)["err_code"])
        world.later(s=0.02)
    admitted = [n * 0.02 for n, code in enumerate(codes) if code == "SUCCESS"]
    assert set(codes) == {"SUCCESS", "FREQ_LIMIT"}
    assert max(sum(t <= other < t + 0.9999 for other in admitted) for t in admitted) == 30
    refused = codes.index("FREQ_LIMIT")
    assert world.status(refused) == "NOT_FOUND"
    world.later(s=1)
    assert world.send(refused)["err_code"] == "SUCCESS"


def test_questions_have_a_limit_of_their_own_where_one_is_set() -> None:
    """R2.7: it exists, its size is not published."""
    world = World(queries_per_second=2)
    assert [world.ask()["err_code"] for _ in range(3)] == ["NOT_FOUND", "NOT_FOUND", "FREQ_LIMIT"]


# -- what becomes of an order (R4)


def test_an_opened_packet_goes_from_sending_to_sent_to_received() -> None:
    """R3.2, R4: with who opened it and when."""
    world = World(claim_share=1.0)
    world.send()
    statuses = [world.status()]
    for _ in range(2000):
        world.later(s=60)
        statuses.append(world.status())
    assert list(dict.fromkeys(statuses)) == ["SENDING", "SENT", "RECEIVED"]
    answer = world.ask()
    (claim,) = answer["hblist"]
    assert isinstance(claim, dict)
    assert (claim["openid"], claim["amount"]) == ("oAlice", "188")
    assert moment_s(str(answer["send_time"])) <= moment_s(claim["rcv_time"]) < world.clock.now_s()
    assert "reason" not in answer
    assert "refund_time" not in answer


def test_an_unopened_packet_comes_back_after_24_hours() -> None:
    """R4: RFUND_ING, then REFUND, and the money is in the account again, once."""
    world = World(claim_share=0.0)
    world.send()
    world.later(h=23.9)
    assert world.status() == "SENT"
    assert world.books.balance_fen() == 1_000_000 - 188
    world.later(h=0.1, s=30)
    assert world.status() == "RFUND_ING"
    world.later(h=1)
    answer = world.ask()
    assert (answer["status"], answer["refund_amount"]) == ("REFUND", "188")
    assert moment_s(str(answer["refund_time"])) < world.clock.now_s()
    world.later(days=5)
    assert world.status() == "REFUND"
    assert world.books.balance_fen() == 1_000_000
    # and the number stays used
    assert world.send()["result_code"] == "SUCCESS"
    assert world.paid() == 1


def test_the_query_names_the_send_listid_and_the_facts_of_the_order() -> None:
    """R3.2, R10.1."""
    world = World()
    sent = world.send(fen=8888)
    answer = world.ask()
    assert answer["detail_id"] == sent["send_listid"]
    assert [answer[f] for f in ("total_amount", "total_num", "send_type", "hb_type", "send_time")] == [
        "8888", "1", "API", "NORMAL", "2026-11-22 12:00:00",
    ]  # fmt: skip


@pytest.mark.parametrize("block", ["NOTENOUGH", "SENDNUM_LIMIT"])
def test_a_blocked_order_may_be_kept_sending_with_a_reason_until_it_is_repeated(block: str) -> None:
    """R0.8, R4: WeChat Pay does not retry it by itself; the same number really sends it."""
    caps = {"balance_fen": 100} if block == "NOTENOUGH" else {"person_day_packets": 0}
    world = World(keeps_blocked=1.0, **caps)
    assert world.send()["err_code"] == block
    world.later(h=47)
    answer = world.ask()
    assert answer["status"] == "SENDING"
    assert answer["reason"]
    assert world.paid() == 0
    world.books.top_up(1000, world.clock.now_s())
    again = world.send()["err_code"]
    assert again == ("SUCCESS" if block == "NOTENOUGH" else block)


def test_an_order_that_is_not_paid_for_three_days_closes_for_good() -> None:
    """R4: SEND_FAILED when it is sent again, FAILED when asked."""
    world = World(keeps_blocked=1.0, balance_fen=100)
    world.send()
    world.later(days=3, s=1)
    assert world.status() == "FAILED"
    world.books.top_up(1000, world.clock.now_s())
    assert world.send()["err_code"] == "SEND_FAILED"
    assert world.status() == "FAILED"
    assert world.paid() == 0


def test_an_order_is_forgotten_after_30_days_but_its_number_still_pays_once() -> None:
    """R4: the query window."""
    world = World()
    world.send()
    world.later(days=29.9)
    assert world.status() != "NOT_FOUND"
    world.later(days=0.2)
    assert world.status() == "NOT_FOUND"
    world.send()
    assert world.paid() == 1


def test_scaled_time_shortens_what_happens_by_itself_and_nothing_else() -> None:
    """24 hours in a minute; the calendar and the moments told are the client's own."""
    world = World(claim_share=0.0, time_scale=1440.0, person_day_packets=1)
    world.send(1)
    world.later(s=59)
    assert world.status() == "SENT"
    world.later(s=3)
    answer = world.ask()
    assert (answer["status"], answer["refund_time"]) == ("REFUND", "2026-11-22 12:01:00")
    assert world.send(2)["err_code"] == "SENDNUM_LIMIT"


@pytest.mark.parametrize(
    "change, err_code",
    [
        ({"appid": "wx0123456789abcdee"}, "NOT_FOUND"),  # R4.1: a wrong pair is not told apart
        ({"mch_id": "1900000108"}, "PARAM_ERROR"),
        ({"mch_billno": "1"}, "NOT_FOUND"),
        ({"mch_billno": "a_b"}, "PARAM_ERROR"),
        ({"bill_type": "OTHER"}, "PARAM_ERROR"),
        ({"bill_type": ""}, "PARAM_ERROR"),
        ({"wxappid": "wx0123456789abcdef"}, "SIGN_ERROR"),
        ({}, "SUCCESS"),
    ],
)
def test_question_rules(change: dict[str, str], err_code: str) -> None:
    """R2.7: these six fields and nothing else."""
    world = World()
    world.send()
    assert world.ask(**change)["err_code"] == err_code


def test_not_found_has_the_shape_of_live_servers() -> None:
    """R3.2."""
    answer = World().ask(7)
    assert (answer["return_code"], answer["result_code"], answer["mch_billno"]) == (
        "SUCCESS",
        "FAIL",
        number(7),
    )


# -- the other endpoints (R1)


def test_group_packets_are_shut_down() -> None:
    """R1: since 2024-06-05."""
    parameters = packet(total_num="3", amt_type="ALL_RAND", client_ip="")
    world = World()
    assert from_xml(world.reply(parameters, GROUP).body)["err_code"] == "API_METHOD_CLOSED"
    assert world.books.orders() == []


def test_a_mini_program_packet_brings_its_package_and_comes_back_unopened() -> None:
    """R2.6: nobody here has the front end that would open it."""
    world = World(claim_share=1.0)
    parameters = packet(client_ip="", notify_way="MINI_PROGRAM_JSAPI")
    answer = from_xml(world.reply(parameters, MINI).body)
    assert str(answer["package"]).startswith("sendid=")
    world.later(h=26)
    assert world.status() == "REFUND"
    wrong = from_xml(world.reply(packet(2, client_ip="", notify_way="OTHER"), MINI).body)
    with_ip = from_xml(world.reply(packet(3, notify_way="MINI_PROGRAM_JSAPI"), MINI).body)
    assert (wrong["err_code"], with_ip["err_code"]) == ("PARAM_ERROR", "SIGN_ERROR")


def test_an_unknown_path_is_404() -> None:
    """Only the four calls exist."""
    assert World().rules.handle("/pay/unifiedorder", b"").status == 404


def test_every_request_is_kept_with_what_it_was_answered() -> None:
    """The books are the tests' witness: who asked what, when, and whether a repeat was truly a repeat."""
    world = World({"slow": {"positions": [1]}})
    world.send(1)
    world.later(s=5)
    world.send(1)
    world.send(1, nonce_str="other")
    world.ask(1)
    seen = world.books.requests(number(1))
    assert [(r.endpoint, r.err_code, r.fault) for r in seen] == [
        ("sendredpack", "SUCCESS", "slow"),
        ("sendredpack", "SUCCESS", "slow"),
        ("sendredpack", "SUCCESS", "slow"),
        ("gethbinfo", "SUCCESS", "slow"),
    ]
    assert seen[1].at_s - seen[0].at_s == 5
    assert seen[0].digest == seen[1].digest != seen[2].digest


def test_the_key_shows_nowhere() -> None:
    """Neither in what is printed for a developer, nor in any answer."""
    world = World()
    assert KEY not in repr(world.rules.merchant)
    assert KEY.encode() not in world.reply(packet()).body + world.reply(question(), ASK).body
    assert world.reply(question(), ASK).ending is Ending.ANSWER
