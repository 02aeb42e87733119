"""Their words in ours, row by row (R5.1, R5.3, R4), and what is never believed."""

from __future__ import annotations

import re
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.domain.answer import Claim, Outcome, Reach, SendAnswer, Status
from campaign.wechat import answers
from campaign.wechat.answers import QUERY_CODES, SEND_CODES, STATUSES, explain, read_query, read_send
from campaign.wechat.envelope import to_xml
from campaign.wechat.signing import sign_md5
from tests.bench.gateway import accepted
from tests.wechat.test_envelope import edits, hostile

KEY = "192006250b4c09247ec02edce69f6a2d"
MCH_BILLNO = "1900000109202501150000000001"
OPENID = "oExampleOpenid00000000000001"
EXPECTED = {"mch_billno": MCH_BILLNO, "re_openid": OPENID, "total_amount": "188", "mch_id": "1900000109"}

#: A live server's answers (R3.1, R3.2), each as fields to be changed by the tests.
ACCEPTED = {
    "return_code": "SUCCESS",
    "return_msg": "发放成功",
    "result_code": "SUCCESS",
    "err_code": "SUCCESS",
    "err_code_des": "发放成功",
    "mch_billno": MCH_BILLNO,
    "mch_id": "1900000109",
    "wxappid": "wx0123456789abcdef",
    "re_openid": OPENID,
    "total_amount": "188",
    "send_listid": "1000041701202501153000000000001",
}
FAILED = {**ACCEPTED, "result_code": "FAIL", "return_msg": "x", "err_code_des": "帐号余额不足"}
FOUND = {
    "return_code": "SUCCESS",
    "return_msg": "OK",
    "result_code": "SUCCESS",
    "err_code": "SUCCESS",
    "err_code_des": "OK",
    "mch_billno": MCH_BILLNO,
    "mch_id": "1900000109",
    "detail_id": "1000041701202501153000000000001",
    "status": "SENT",
    "send_type": "API",
    "hb_type": "NORMAL",
    "total_num": "1",
    "total_amount": "188",
    "send_time": "2025-01-15 10:00:00",
}
NOT_FOUND = {
    "return_code": "SUCCESS",
    "return_msg": "指定单号数据不存在",
    "result_code": "FAIL",
    "err_code": "NOT_FOUND",
    "err_code_des": "指定单号数据不存在",
    "mch_billno": MCH_BILLNO,
    "mch_id": "1900000109",
}


def send(fields: dict[str, str] | bytes, **changes: str | None):  # type: ignore[no-untyped-def]
    return read_send(_body(fields, changes), expected=EXPECTED, api_key=KEY)


def query(fields: dict[str, str] | bytes, **changes: str | None):  # type: ignore[no-untyped-def]
    return read_query(_body(fields, changes), mch_billno=MCH_BILLNO, api_key=KEY)


def _body(fields: dict[str, str] | bytes, changes: dict[str, str | None]) -> bytes:
    """The fields as XML; a change to None takes a field away."""
    if isinstance(fields, bytes):
        return fields
    return to_xml({name: value for name, value in {**fields, **changes}.items() if value is not None})


# ---------------------------------------------------------------- sends: the usual answer, and all others


def read_slowly(body: bytes, expected: dict[str, str]) -> SendAnswer:
    """As if no answer were usual."""
    with mock.patch.object(answers, "_USUAL", re.compile(r"(?!)")):
        return read_send(body, expected=expected, api_key=KEY)


@st.composite
def nearly_usual(draw: st.DrawFn) -> bytes:
    """An accepted answer, each value bare or in a section, in which a few things were changed."""
    values = st.sampled_from([*ACCEPTED.values(), "FAIL", "0", "OK", "", " 188 ", "189"]) | hostile | edits
    fields = list(ACCEPTED.items())
    for _ in range(draw(st.integers(0, 2))):
        n = draw(st.integers(0, len(fields) - 1))
        other = draw(st.sampled_from([*ACCEPTED, "sign", "hblist", "x"]))
        fields[n : n + draw(st.integers(0, 2))] = draw(
            st.sampled_from([[], [(other, ACCEPTED.get(other, "1"))], [(fields[n][0], draw(values))]])
        )
    parts = ["<xml>"]
    for name, value in fields:
        section = ("<![CDATA[", "]]>") if draw(st.booleans()) else ("", "")
        parts += [draw(st.sampled_from(["", "\n"])), f"<{name}>", section[0], value, section[1], f"</{name}>"]
    parts += ["</xml>"]
    for edit in draw(st.lists(edits | hostile, max_size=1)):
        place = draw(st.integers(0, len(parts)))
        parts[place : place + draw(st.integers(0, 1))] = [edit]
    body = "".join(parts).encode()
    cut = draw(st.integers(0, len(body)))
    return body if draw(st.integers(0, 9)) else body[:cut] + draw(st.binary(max_size=2)) + body[cut:]


@settings(max_examples=1000)
@given(body=nearly_usual())
def test_the_usual_answer_says_at_a_glance_what_it_says_when_read(body: bytes) -> None:
    """No answer may say anything else for being recognised as a whole."""
    assert read_send(body, expected=EXPECTED, api_key=KEY) == read_slowly(body, EXPECTED)


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize(
    "value",
    ["", "]", "<a/>", "&lt;", "a]]>b", "\r", "\x08", "\ufffd", "\ufffe", "😀", "<!DOCTYPE", "x" * 2000],
)
def test_no_place_of_the_usual_answer_takes_what_a_parser_would_not(name: str, value: str) -> None:
    sections = {other: f"<![CDATA[{said}]]>" for other, said in ACCEPTED.items()}
    for others in (ACCEPTED, sections):
        for written in (value, ACCEPTED[name] + value, f"<![CDATA[{value}]]>"):
            fields = {**others, name: written}
            body = f"<xml>{''.join(f'<{n}>{v}</{n}>' for n, v in fields.items())}</xml>".encode()
            assert read_send(body, expected=EXPECTED) == read_slowly(body, EXPECTED)


def test_an_answer_as_live_servers_write_it_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "from_xml", None)
    body = accepted({**EXPECTED, "wxappid": "wx0123456789abcdef"}, 7)
    answer = read_send(body, expected=EXPECTED)
    assert answer == SendAnswer(
        outcome=Outcome.ACCEPTED, send_listid="1000041701000000000000000007", raw=body
    )
    assert send(ACCEPTED).send_listid == ACCEPTED["send_listid"]


# ---------------------------------------------------------------- sends: the table

#: R5.1, copied by hand and in its order, so that the code's table is checked against a second one.
TABLE = [
    ("SYSTEMERROR", Outcome.UNKNOWN, Reach.BREAKER),
    ("PROCESSING", Outcome.PROCESSING, Reach.BREAKER),
    ("SEND_FAILED", Outcome.UNKNOWN, Reach.BREAKER),
    ("NOTENOUGH", Outcome.BLOCKED, Reach.PAUSE),
    ("FREQ_LIMIT", Outcome.THROTTLED, Reach.PACE),
    ("SENDNUM_LIMIT", Outcome.BLOCKED, Reach.PERSON),
    ("RCVDAMOUNT_LIMIT", Outcome.BLOCKED, Reach.PERSON),
    ("SENDAMOUNT_LIMIT", Outcome.BLOCKED, Reach.PAUSE),
    ("SECOND_OVER_LIMITED", Outcome.THROTTLED, Reach.PACE),
    ("DAY_OVER_LIMITED", Outcome.BLOCKED, Reach.PAUSE),
    ("DAY_ OVER_LIMITED", Outcome.BLOCKED, Reach.PAUSE),
    ("MONEY_LIMIT", Outcome.REFUSED, Reach.BREAKER),
    ("PARAM_ERROR", Outcome.REFUSED, Reach.BREAKER),
    ("OPENID_ERROR", Outcome.REFUSED, Reach.BREAKER),
    ("ILLEGAL_APPID", Outcome.REFUSED, Reach.ABORT),
    ("NO_AUTH", Outcome.BLOCKED, Reach.BREAKER),
    ("FATAL_ERROR", Outcome.MISMATCH, Reach.SECOND),
    ("金额和原始单参数不一致", Outcome.MISMATCH, Reach.SECOND),
    ("CA_ERROR", Outcome.REFUSED, Reach.ABORT),
    ("SIGN_ERROR", Outcome.REFUSED, Reach.ABORT),
    ("XML_ERROR", Outcome.REFUSED, Reach.BREAKER),
    ("API_METHOD_CLOSED", Outcome.BLOCKED, Reach.ABORT),
    ("MSGAPPID_ERROR", Outcome.REFUSED, Reach.ABORT),
    ("ACCEPTMODE_ERROR", Outcome.REFUSED, Reach.ABORT),
    ("PAYER_ACCOUNT_ABNORMAL", Outcome.BLOCKED, Reach.ABORT),
]


@pytest.mark.parametrize("err_code, outcome, reach", TABLE)
def test_each_code_says_one_thing_about_the_money_and_one_about_the_run(
    err_code: str, outcome: Outcome, reach: Reach
) -> None:
    answer = send(FAILED, err_code=err_code)
    assert (answer.outcome, answer.reach, answer.err_code) == (outcome, reach, err_code)
    assert answer.err_code_des == "帐号余额不足"


def test_the_tables_have_the_same_rows() -> None:
    assert set(SEND_CODES) == {row[0] for row in TABLE}


def test_only_the_named_pre_acceptance_codes_say_that_no_order_was_stored() -> None:
    """R4.1: every other refusal may hide an order."""
    refused = {code for code, meaning in SEND_CODES.items() if meaning.outcome is Outcome.REFUSED}
    assert refused == {
        "PARAM_ERROR",
        "SIGN_ERROR",
        "CA_ERROR",
        "XML_ERROR",
        "OPENID_ERROR",
        "ILLEGAL_APPID",
        "MONEY_LIMIT",
        "MSGAPPID_ERROR",
        "ACCEPTMODE_ERROR",
    }


@pytest.mark.parametrize(
    "err_code",
    ["268458547", "NOT_FOUND", "V2_BRAND_NEW", "notenough", "NOT ENOUGH", "NOTENOUGH.", "PARAM_ERROR_2"],
)
def test_an_unlisted_code_is_unknown(err_code: str) -> None:
    answer = send(FAILED, err_code=err_code)
    assert (answer.outcome, answer.reach, answer.err_code) == (Outcome.UNKNOWN, Reach.BREAKER, err_code)


@pytest.mark.parametrize("err_code", [None, "", "SUCCESS", "0"])
def test_a_failure_without_a_code_is_unknown(err_code: str | None) -> None:
    answer = send(FAILED, err_code=err_code)
    assert (answer.outcome, answer.reach, answer.err_code) == (Outcome.UNKNOWN, Reach.BREAKER, "")


@pytest.mark.parametrize("err_code", [" NOTENOUGH", "NOTENOUGH\n", "\u3000NOTENOUGH "])
def test_codes_are_trimmed(err_code: str) -> None:
    assert send(FAILED, err_code=err_code).err_code == "NOTENOUGH"


def test_the_text_for_people_decides_nothing() -> None:
    answer = send(FAILED, err_code="SYSTEMERROR", err_code_des="发放成功", return_msg="发放成功")
    assert answer.outcome is Outcome.UNKNOWN
    answer = send(ACCEPTED, err_code_des="帐号余额不足", return_msg="签名错误")
    assert answer.outcome is Outcome.ACCEPTED


# ---------------------------------------------------------------- sends: accepted or not


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"err_code": "0"},
        {"err_code": None, "err_code_des": None},
        {"re_openid": None, "total_amount": None, "mch_id": None},
        {"re_openid": "", "total_amount": ""},
        {"mch_billno": f" {MCH_BILLNO} "},
        {"package": "sendid=1&ver=8", "something_new": "x"},
    ],
)
def test_an_acceptance_names_our_number_and_contradicts_nothing(changes: dict[str, str | None]) -> None:
    answer = send(ACCEPTED, **changes)
    assert answer.outcome is Outcome.ACCEPTED
    assert answer.send_listid == "1000041701202501153000000000001"
    assert answer.err_code == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"mch_billno": "1900000109202501150000000002"},
        {"mch_billno": MCH_BILLNO.lower() + "x"},
        {"mch_billno": None},
        {"mch_billno": ""},
        {"re_openid": "oSomebodyElse"},
        {"re_openid": OPENID.upper()},
        {"total_amount": "1880"},
        {"total_amount": "188.0"},
        {"total_amount": "1.88"},
        {"total_amount": "１８８"},
        {"return_code": None},
        {"return_code": "FAIL"},
        {"return_code": "success"},
        {"result_code": None},
        {"result_code": "FAIL"},
        {"result_code": "OK"},
        {"err_code": "NOTENOUGH"},
        {"sign": "4B0A2AF4B4DF23D3D984F41634D4A3A7"},
    ],
)
def test_an_acceptance_with_anything_wrong_is_unknown(changes: dict[str, str | None]) -> None:
    answer = send(ACCEPTED, **changes)
    assert (answer.outcome, answer.reach) == (Outcome.UNKNOWN, Reach.BREAKER)
    assert answer.send_listid == ""


@pytest.mark.parametrize("name", ["mch_billno", "re_openid", "total_amount"])
@pytest.mark.parametrize("err_code", [row[0] for row in TABLE])
def test_a_refusal_of_another_request_is_not_ours(name: str, err_code: str) -> None:
    """Neither its outcome nor its code."""
    answer = send(FAILED, err_code=err_code, **{name: "7"})
    assert (answer.outcome, answer.err_code) == (Outcome.UNKNOWN, "")


@pytest.mark.parametrize("missing", [None, ""])
def test_a_refusal_may_leave_out_the_echo(missing: str | None) -> None:
    """Live servers do so for PARAM_ERROR and SYSTEMERROR (R3.1)."""
    changes = dict.fromkeys(("mch_billno", "re_openid", "total_amount", "mch_id"), missing)
    assert send(FAILED, err_code="PARAM_ERROR", **changes).outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    "fields",
    [
        {"return_code": "FAIL", "return_msg": "签名失败"},
        {**FAILED, "return_code": "FAIL", "err_code": "268458547"},
        {**FAILED, "return_code": "FAIL", "err_code": "PARAM_ERROR"},
        {**FAILED, "return_code": "", "err_code": "PARAM_ERROR"},
    ],
)
def test_without_communication_nothing_is_known(fields: dict[str, str]) -> None:
    """Both shapes of R3.1; even a code of the pre-acceptance list proves nothing here (R0.3)."""
    answer = send(fields)
    assert (answer.outcome, answer.reach) == (Outcome.UNKNOWN, Reach.BREAKER)


def test_what_people_read_falls_back_to_the_return_message() -> None:
    assert send({"return_code": "FAIL", "return_msg": "签名失败"}).err_code_des == "签名失败"


def test_a_signed_answer_is_believed_only_if_the_signature_holds() -> None:
    signed = {**ACCEPTED, "sign": sign_md5(ACCEPTED, KEY)}
    assert send(signed).outcome is Outcome.ACCEPTED
    assert send(signed, send_listid="1").outcome is Outcome.UNKNOWN
    assert read_send(to_xml(signed), expected=EXPECTED).outcome is Outcome.UNKNOWN
    assert send(ACCEPTED, sign="").outcome is Outcome.ACCEPTED


def test_the_answer_is_kept_as_it_came() -> None:
    for body in (to_xml(ACCEPTED), to_xml(FAILED), b"<html>", b""):
        assert send(body).raw == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502</body></html>",
        to_xml(ACCEPTED)[:-3],
        to_xml(ACCEPTED).decode().encode("gbk"),
        b"\xff",
    ],
)
def test_what_cannot_be_read_is_unknown(body: bytes) -> None:
    assert (send(body).outcome, send(body).reach) == (Outcome.UNKNOWN, Reach.BREAKER)
    assert (query(body).status, query(body).reach) == (None, Reach.ROW)


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize(
    "word, status",
    [
        ("SENDING", Status.SENDING),
        ("SENT", Status.SENT),
        ("FAILED", Status.FAILED),
        ("RECEIVED", Status.RECEIVED),
        ("RFUND_ING", Status.RFUND_ING),
        ("REFUND_ING", Status.RFUND_ING),
        ("REFUND", Status.REFUND),
        (" SENT\n", Status.SENT),
        ("NOT_FOUND", None),
        ("sent", None),
        ("CLOSED", None),
        ("", None),
        (None, None),
    ],
)
def test_each_status(word: str | None, status: Status | None) -> None:
    """NOT_FOUND is an error code; as a status it would be a new word."""
    assert query(FOUND, status=word).status is status


def test_all_words_of_the_table_are_tested() -> None:
    assert set(STATUSES) == {"SENDING", "SENT", "FAILED", "RECEIVED", "RFUND_ING", "REFUND_ING", "REFUND"}


@pytest.mark.parametrize(
    "err_code, reach",
    [
        ("CA_ERROR", Reach.ABORT),
        ("SIGN_ERROR", Reach.ABORT),
        ("NO_AUTH", Reach.ABORT),
        ("XML_ERROR", Reach.ABORT),
        ("PARAM_ERROR", Reach.ABORT),
        ("FREQ_LIMIT", Reach.PACE),
        ("SYSTEMERROR", Reach.ROW),
        ("PSYSTEMERROR", Reach.ROW),
        ("NOTENOUGH", Reach.ROW),
        ("BRAND_NEW", Reach.ROW),
        ("", Reach.ROW),
    ],
)
@pytest.mark.parametrize("return_code", ["SUCCESS", "FAIL"])
@pytest.mark.parametrize("echo", [MCH_BILLNO, "", None])
def test_a_failing_question_teaches_nothing_about_the_order(
    err_code: str, reach: Reach, return_code: str, echo: str | None
) -> None:
    answer = query(
        NOT_FOUND,
        err_code=err_code,
        return_code=return_code,
        mch_billno=echo,
        status="FAILED",
        total_amount="1",
    )
    assert (answer.status, answer.reach, answer.err_code) == (None, reach, err_code)
    assert answer.total_amount is None


def test_the_codes_of_questions_are_all_tested() -> None:
    assert set(QUERY_CODES) == {
        "CA_ERROR",
        "SIGN_ERROR",
        "NO_AUTH",
        "XML_ERROR",
        "PARAM_ERROR",
        "FREQ_LIMIT",
        "SYSTEMERROR",
        "PSYSTEMERROR",
    }


def test_not_found_names_our_number() -> None:
    assert query(NOT_FOUND).status is Status.NOT_FOUND


@pytest.mark.parametrize(
    "changes",
    [
        {"mch_billno": None},
        {"mch_billno": ""},
        {"mch_billno": MCH_BILLNO[:-1]},
        {"return_code": "FAIL"},
        {"return_code": None},
        {"result_code": None},
        {"result_code": "SUCCESS"},
        {"sign": "x"},
    ],
)
def test_not_found_with_anything_wrong_is_no_evidence(changes: dict[str, str | None]) -> None:
    assert query(NOT_FOUND, **changes).status is None


def test_the_documents_own_sample_of_not_found_stays_unknown() -> None:
    """R3.2: SYSTEMERROR is also a plain outage; the text decides nothing."""
    answer = query(NOT_FOUND, return_code="FAIL", err_code="SYSTEMERROR")
    assert (answer.status, answer.reach) == (None, Reach.ROW)


@pytest.mark.parametrize(
    "changes",
    [
        {"mch_billno": None},
        {"mch_billno": ""},
        {"mch_billno": "1900000109202501150000000002"},
        {"return_code": "FAIL"},
        {"return_code": None},
        {"result_code": "FAIL"},
        {"result_code": None},
        {"err_code": "SYSTEMERROR"},
        {"sign": "x"},
    ],
)
@pytest.mark.parametrize("status", ["FAILED", "RECEIVED", "REFUND", "SENT"])
def test_a_status_with_anything_wrong_around_it_is_not_believed(
    changes: dict[str, str | None], status: str
) -> None:
    assert query(FOUND, status=status, **changes).status is None


def test_an_abort_for_another_number_is_not_ours() -> None:
    assert query(NOT_FOUND, err_code="CA_ERROR", mch_billno="2").reach is Reach.ROW


def test_a_received_packet_brings_its_claims() -> None:
    body = to_xml(FOUND | {"status": "RECEIVED"}).replace(
        b"</xml>",
        b"<hblist><hbinfo><openid>oA</openid><amount>300</amount>"
        b"<rcv_time> 2024-01-15 20:00:05 </rcv_time></hbinfo>"
        b"<hbinfo><openid>oB</openid><status>RECEIVED</status><amount>200</amount></hbinfo>"
        b"<hbinfo><openid>oC</openid></hbinfo></hblist></xml>",
    )
    answer = query(body)
    assert answer.status is Status.RECEIVED
    assert answer.claims == (
        Claim(openid="oA", amount=300, rcv_time="2024-01-15 20:00:05"),
        Claim(openid="oB", amount=200),
    )
    assert (answer.detail_id, answer.total_amount) == ("1000041701202501153000000000001", 188)


def test_a_received_packet_without_claims_is_received() -> None:
    """Reported from practice (R3.2)."""
    assert query(FOUND, status="RECEIVED").claims == ()


def test_a_refund_says_when_and_how_much() -> None:
    answer = query(FOUND, status="REFUND", refund_time="2025-01-16 10:12:07", refund_amount="188")
    assert (answer.refund_time, answer.refund_amount) == ("2025-01-16 10:12:07", 188)


@pytest.mark.parametrize("amount", ["", "188.0", "-188", "1e3", "１８８", "9" * 16, "x", None])
def test_an_amount_that_is_no_number_of_fen_is_none(amount: str | None) -> None:
    assert query(FOUND, total_amount=amount).total_amount is None


def test_a_parked_order_brings_its_reason() -> None:
    assert query(FOUND, status="SENDING", reason="余额不足").reason == "余额不足"


# ---------------------------------------------------------------- whatever they say

words = st.sampled_from(
    [
        "SUCCESS",
        "FAIL",
        "0",
        "",
        " ",
        MCH_BILLNO,
        OPENID,
        "188",
        "189",
        "SENT",
        "FAILED",
        "NOT_FOUND",
        *SEND_CODES,
    ]
) | st.text(st.characters(max_codepoint=0xFFFD, min_codepoint=0x20, exclude_categories=["Cs"]), max_size=8)
names = st.sampled_from([*ACCEPTED, *FOUND, "sign", "reason", "something_new"])


@given(base=st.sampled_from([{}, ACCEPTED, FAILED]), changes=st.dictionaries(names, words, max_size=5))
def test_accepted_is_said_only_of_our_number_openid_and_amount(
    base: dict[str, str], changes: dict[str, str]
) -> None:
    fields = {**base, **changes}
    answer = send(fields)
    if answer.outcome is Outcome.ACCEPTED:
        assert fields["return_code"].strip() == fields["result_code"].strip() == "SUCCESS"
        assert fields["mch_billno"].strip() == MCH_BILLNO
        assert fields.get("re_openid", "").strip() in ("", OPENID)
        assert fields.get("total_amount", "").strip() in ("", "188")
    if answer.outcome is not Outcome.UNKNOWN and answer.outcome is not Outcome.ACCEPTED:
        assert answer.err_code in SEND_CODES


@given(base=st.sampled_from([{}, FOUND, NOT_FOUND]), changes=st.dictionaries(names, words, max_size=5))
def test_a_status_is_learned_only_of_our_number(base: dict[str, str], changes: dict[str, str]) -> None:
    fields = {**base, **changes}
    answer = query(fields)
    if answer.status is not None:
        assert fields["mch_billno"].strip() == MCH_BILLNO
        assert fields["return_code"].strip() == "SUCCESS"
        assert answer.reach is Reach.ROW


@given(body=st.binary(max_size=200))
def test_any_bytes_have_an_answer(body: bytes) -> None:
    assert send(body).outcome is Outcome.UNKNOWN
    assert query(body).status is None


@given(data=st.data(), base=st.sampled_from([ACCEPTED, FAILED, FOUND, NOT_FOUND]))
def test_a_damaged_answer_never_becomes_another_one(data: st.DataObject, base: dict[str, str]) -> None:
    """One byte changed or the rest cut off: no new acceptance, no other order's status."""
    body = bytearray(to_xml(base))
    place = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        del body[place:]
    else:
        body[place] = data.draw(st.integers(0, 255))
    answer, found = send(bytes(body)), query(bytes(body))
    assert answer.outcome is not Outcome.ACCEPTED or base is ACCEPTED or base is FOUND
    assert found.status is None or base is FOUND or base is NOT_FOUND


# ---------------------------------------------------------------- in words


@pytest.mark.parametrize("err_code", [*SEND_CODES, "NOT_FOUND", "BRAND_NEW", "", "268458547"])
def test_every_code_has_a_cause_an_advice_and_an_owner(err_code: str) -> None:
    explanation = explain(err_code)
    assert str(explanation.cause)
    assert str(explanation.advice)
    assert explanation.owner in ("operator", "engineer", "finance", "recipient")


def test_two_codes_are_never_explained_by_the_same_words() -> None:
    aliases = {"DAY_ OVER_LIMITED", "金额和原始单参数不一致"}
    causes = [str(explain(code).cause) for code in SEND_CODES if code not in aliases]
    assert len(causes) == len(set(causes))


def test_an_unknown_code_is_explained_honestly() -> None:
    assert "does not know" in str(explain("BRAND_NEW").cause)


def test_an_empty_balance_names_the_account_to_top_up() -> None:
    """R1.2: packets are paid from the operation account once there is one."""
    assert "运营账户" in str(explain("NOTENOUGH").advice)
    assert explain("NOTENOUGH").owner == "finance"
