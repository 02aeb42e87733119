"""The client: what it signs and posts, and that no secret shows."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from campaign.domain.answer import Outcome, Status
from campaign.domain.billno import mch_billno
from campaign.domain.order import PacketOrder, Source
from campaign.domain.packet import Sender, request_parameters
from campaign.errors import NoAnswer
from campaign.ports import Gateway, nothing
from campaign.text import text
from campaign.wechat.client import RedpackClient
from campaign.wechat.envelope import from_xml, to_xml
from campaign.wechat.fields import GETHBINFO, SENDGROUPREDPACK, SENDMINIPROGRAMHB, SENDREDPACK
from campaign.wechat.signing import sign_matches

KEY = "192006250b4c09247ec02edce69f6a2d"
MCH_ID = "1900000109"
APPID = "wx0123456789abcdef"
BILLNO = mch_billno(mch_id=MCH_ID, campaign_id="lantern", row_key="oA")
ORDER = PacketOrder(
    source=Source(file="lantern.xlsx", sheet="Sheet1", row=2),
    row_key="oA",
    re_openid="oA",
    total_amount=188,
    wishing="祝您元宵节快乐!",
    send_name="天虹百货",
    act_name="猜灯谜",
    remark="A&B ]]> <x>",
)
DIRECT = Sender(mch_id=MCH_ID, wxappid=APPID, client_ip="192.0.2.10")
PROVIDER = Sender(
    mch_id=MCH_ID,
    wxappid=APPID,
    client_ip="192.0.2.10",
    sub_mch_id="1900000110",
    msgappid="wx00000000000000aa",
    consume_mch_id="1900000110",
)


class Recorder:
    """A transport that remembers what it was given and answers with prepared bodies."""

    def __init__(self, *answers: dict[str, str] | Exception) -> None:
        self._answers = list(answers)
        self.posts: list[tuple[str, bytes]] = []
        self.closed = False

    def post(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        on_write()
        self.posts.append((path, body))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return to_xml(answer)

    line = None

    def close(self) -> None:
        self.closed = True


def client_over(recorder: Recorder) -> RedpackClient:
    return RedpackClient(transport=recorder, api_key=KEY, mch_id=MCH_ID, appid=APPID)


def _accepted(parameters: dict[str, str]) -> dict[str, str]:
    return {"return_code": "SUCCESS", "result_code": "SUCCESS", "send_listid": "100", **parameters}


@pytest.mark.parametrize("sender", [DIRECT, PROVIDER])
def test_a_send_is_signed_and_has_only_documented_fields(sender: Sender) -> None:
    parameters = request_parameters(ORDER, BILLNO, sender)
    recorder = Recorder(_accepted({"mch_billno": BILLNO}))
    answer = client_over(recorder).send_redpack(parameters)
    assert (answer.outcome, answer.send_listid) == (Outcome.ACCEPTED, "100")
    [(path, body)] = recorder.posts
    fields = {name: str(value) for name, value in from_xml(body).items()}
    assert path == "/mmpaymkttransfers/sendredpack"
    assert sign_matches(fields, KEY)
    assert {**parameters, "sign": fields["sign"]} == fields
    assert set(fields) >= SENDREDPACK.required
    assert not SENDREDPACK.undocumented(fields)
    assert "sign_type" not in fields


def test_a_repeat_is_the_same_bytes() -> None:
    """R5.4: the safest re-entry is the original body."""
    parameters = request_parameters(ORDER, BILLNO, DIRECT)
    recorder = Recorder(_accepted({}), _accepted({}))
    client_over(recorder).send_redpack(parameters)
    client_over(recorder).send_redpack(dict(parameters))
    assert recorder.posts[0] == recorder.posts[1]


def test_an_answer_for_another_row_is_unknown() -> None:
    recorder = Recorder(_accepted({"mch_billno": BILLNO, "total_amount": "999"}))
    answer = client_over(recorder).send_redpack(request_parameters(ORDER, BILLNO, DIRECT))
    assert answer.outcome is Outcome.UNKNOWN


def test_a_question_has_exactly_its_six_fields() -> None:
    """R2.7: appid, not wxappid; anything else ends in SIGN_ERROR."""
    recorder = Recorder(_accepted({"mch_billno": BILLNO, "status": "SENT"}))
    assert client_over(recorder).query(BILLNO).status is Status.SENT
    [(path, body)] = recorder.posts
    fields = {name: str(value) for name, value in from_xml(body).items()}
    assert path == "/mmpaymkttransfers/gethbinfo"
    assert sign_matches(fields, KEY)
    assert set(fields) == GETHBINFO.required
    assert (fields["mch_billno"], fields["bill_type"]) == (BILLNO, "MCHT")
    assert (fields["appid"], fields["mch_id"]) == (APPID, MCH_ID)


def test_an_undocumented_field_never_leaves() -> None:
    recorder = Recorder()
    with pytest.raises(AssertionError):
        client_over(recorder).send_redpack(request_parameters(ORDER, BILLNO, DIRECT) | {"sub_appid": "wx1"})
    assert recorder.posts == []


def test_no_answer_passes_through_and_nothing_is_repeated() -> None:
    recorder = Recorder(NoAnswer(text("nothing")))
    with pytest.raises(NoAnswer):
        client_over(recorder).send_redpack(request_parameters(ORDER, BILLNO, DIRECT))
    assert len(recorder.posts) == 1


def test_the_key_shows_neither_in_the_repr_nor_in_logs_nor_in_the_body(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder(_accepted({}))
    client = client_over(recorder)
    with caplog.at_level(logging.DEBUG):
        client.send_redpack(request_parameters(ORDER, BILLNO, DIRECT))
    assert KEY not in repr(client)
    assert KEY not in caplog.text
    assert KEY.encode() not in recorder.posts[0][1]


def test_closing_the_client_closes_its_transport() -> None:
    recorder = Recorder()
    gateway: Gateway = client_over(recorder)
    gateway.close()
    assert recorder.closed


def test_the_four_calls_differ_as_the_reference_says() -> None:
    """R2.5, R2.6: neither has client_ip, each has one word of its own."""
    for call, own in ((SENDGROUPREDPACK, "amt_type"), (SENDMINIPROGRAMHB, "notify_way")):
        assert "client_ip" not in call.required | call.optional
        assert own in call.required
    assert "risk_info" not in SENDMINIPROGRAMHB.optional
    assert SENDREDPACK.undocumented(["client_ip", "appid", "sign_type"]) == {"appid", "sign_type"}
