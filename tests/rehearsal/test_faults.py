"""Every fault: what the client sees, what happened to the money, and whether the number can still be paid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from campaign.domain.answer import Outcome
from campaign.errors import NoAnswer, NotSent, SetupError
from campaign.rehearsal.faults import KINDS, Faults, Phase, Subject
from campaign.wechat.client import RedpackClient
from tests.rehearsal.world import KEY, SEND, World, number, packet, signed

# What one send under the fault looks like to a client that trusts nothing, how often money left, and
# what the query says one second and one day later.
NOT_SENT, NO_ANSWER = "NotSent", "NoAnswer"
SENT_UNDER_FAULT = [
    ("refused", NOT_SENT, 0, "NOT_FOUND", "NOT_FOUND"),
    ("reset_before", NO_ANSWER, 0, "NOT_FOUND", "NOT_FOUND"),
    ("http_502_before", NO_ANSWER, 0, "NOT_FOUND", "NOT_FOUND"),
    ("systemerror", "SYSTEMERROR", 0, "NOT_FOUND", "NOT_FOUND"),
    ("unknown_code", "NEW_CODE_2027", 0, "NOT_FOUND", "NOT_FOUND"),
    ("freq_limit", "FREQ_LIMIT", 0, "NOT_FOUND", "NOT_FOUND"),
    ("no_auth", "NO_AUTH", 0, "NOT_FOUND", "NOT_FOUND"),
    ("ca_error", "CA_ERROR", 0, "NOT_FOUND", "NOT_FOUND"),
    ("sign_error", "SIGN_ERROR", 0, "NOT_FOUND", "NOT_FOUND"),
    ("illegal_appid", "ILLEGAL_APPID", 0, "NOT_FOUND", "NOT_FOUND"),
    ("api_method_closed", "API_METHOD_CLOSED", 0, "NOT_FOUND", "NOT_FOUND"),
    ("payer_account_abnormal", "PAYER_ACCOUNT_ABNORMAL", 0, "NOT_FOUND", "NOT_FOUND"),
    ("openid_error", "OPENID_ERROR", 0, "NOT_FOUND", "NOT_FOUND"),
    ("notenough", "NOTENOUGH", 0, "NOT_FOUND", "NOT_FOUND"),
    ("sendnum_limit", "SENDNUM_LIMIT", 0, "NOT_FOUND", "NOT_FOUND"),
    ("rcvdamount_limit", "RCVDAMOUNT_LIMIT", 0, "NOT_FOUND", "NOT_FOUND"),
    ("sendamount_limit", "SENDAMOUNT_LIMIT", 0, "NOT_FOUND", "NOT_FOUND"),
    ("second_over_limited", "SECOND_OVER_LIMITED", 0, "NOT_FOUND", "NOT_FOUND"),
    ("day_over_limited", "DAY_OVER_LIMITED", 0, "NOT_FOUND", "NOT_FOUND"),
    ("processing", "PROCESSING", 1, "SENDING", "RECEIVED"),
    ("processing_unpaid", "PROCESSING", 0, "SENDING", "SENDING"),
    ("held", "", 0, "SENDING", "SENDING"),
    ("failed_later", "", 0, "SENDING", "FAILED"),
    ("send_failed", "SEND_FAILED", 0, "FAILED", "FAILED"),
    ("repeat_refused", "", 1, "SENDING", "RECEIVED"),
    ("answer_lost", NO_ANSWER, 1, "SENDING", "RECEIVED"),
    ("reset_after", NO_ANSWER, 1, "SENDING", "RECEIVED"),
    ("http_500_after", NO_ANSWER, 1, "SENDING", "RECEIVED"),
    ("systemerror_paid", "SYSTEMERROR", 1, "SENDING", "RECEIVED"),
    ("unknown_code_paid", "NEW_CODE_2027", 1, "SENDING", "RECEIVED"),
    ("return_code_fail", "268458547", 1, "SENDING", "RECEIVED"),
    ("truncated", "unknown", 1, "SENDING", "RECEIVED"),
    ("cut", NO_ANSWER, 1, "SENDING", "RECEIVED"),
    ("empty", "unknown", 1, "SENDING", "RECEIVED"),
    ("html", "unknown", 1, "SENDING", "RECEIVED"),
    ("not_utf8", "unknown", 1, "SENDING", "RECEIVED"),
    ("wrong_charset", "unknown", 1, "SENDING", "RECEIVED"),
    ("doctype", "unknown", 1, "SENDING", "RECEIVED"),
    ("huge", "unknown", 1, "SENDING", "RECEIVED"),
    ("wrong_billno", "unknown", 1, "SENDING", "RECEIVED"),
    ("wrong_amount", "unknown", 1, "SENDING", "RECEIVED"),
    ("wrong_openid", "unknown", 1, "SENDING", "RECEIVED"),
    ("odd_shape", "", 1, "SENDING", "RECEIVED"),
    ("slow", "", 1, "SENDING", "RECEIVED"),
]


def client(world: World) -> RedpackClient:
    return RedpackClient(
        transport=world.transport, api_key=KEY, mch_id="1900000109", appid="wx0123456789abcdef"
    )


def seen(world: World, n: int = 1) -> str:
    """What a send looks like: the exception, the code, empty for accepted, ``unknown`` for rubbish."""
    try:
        answer = client(world).send_redpack(packet(n))
    except (NotSent, NoAnswer) as error:
        return type(error).__name__
    if answer.outcome is Outcome.UNKNOWN and answer.err_code in ("", "SUCCESS"):
        return "unknown"
    return "" if answer.outcome is Outcome.ACCEPTED else answer.err_code


@pytest.mark.parametrize("fault, looks, paid, soon, tomorrow", SENT_UNDER_FAULT)
def test_a_send_under_a_fault(fault: str, looks: str, paid: int, soon: str, tomorrow: str) -> None:
    """One row for each fault that a send can meet."""
    world = World({fault: {"endpoint": "sendredpack"}}, claim_share=1.0)
    assert seen(world) == looks
    world.later(s=0.5)
    assert world.status() == soon
    world.later(h=24)
    assert world.status() == tomorrow
    assert world.paid() == paid


@pytest.mark.parametrize("fault", [row[0] for row in SENT_UNDER_FAULT])
def test_a_fault_leaves_the_number_payable_exactly_if_it_says_so(fault: str) -> None:
    """When the fault is over, the same number sent again is paid, once in all; or it never is."""
    world = World({fault: {"endpoint": "sendredpack", "attempts_max": 1}})
    world.send_quietly()
    world.later(s=400)
    world.send_quietly()
    world.later(days=1)
    world.rules.settle()
    # An openid of another account stays one: there the fault does not end.
    payable = KINDS[fault].payable or fault == "openid_error"
    assert world.paid() == payable


def test_the_table_above_has_every_fault_that_a_send_can_meet() -> None:
    """Nothing is added without a row."""
    assert {row[0] for row in SENT_UNDER_FAULT} == {
        k for k, kind in KINDS.items() if "sendredpack" in kind.endpoints
    }


@pytest.mark.parametrize(
    "fault, status, err_code, detail",
    [
        ("systemerror", None, "SYSTEMERROR", ""),
        ("unknown_code", None, "NEW_CODE_2027", ""),
        ("freq_limit", None, "FREQ_LIMIT", ""),
        ("ca_error", None, "CA_ERROR", ""),
        ("sign_error", None, "SIGN_ERROR", ""),
        ("not_found", "NOT_FOUND", "NOT_FOUND", ""),
        ("not_found_systemerror", None, "SYSTEMERROR", ""),
        ("return_code_fail", None, "268458547", ""),
        ("truncated", None, "", ""),
        ("empty", None, "", ""),
        ("html", None, "", ""),
        ("not_utf8", None, "", ""),
        ("wrong_charset", None, "", ""),
        ("doctype", None, "", ""),
        ("huge", None, "", ""),
        ("wrong_billno", None, "", ""),
        ("unknown_status", None, "", ""),
        ("odd_shape", "RECEIVED", "", ""),
        ("no_claims", "RECEIVED", "", "no claims"),
        ("other_detail_id", "RECEIVED", "", "other id"),
    ],
)
def test_a_question_under_a_fault(fault: str, status: str | None, err_code: str, detail: str) -> None:
    """A failing query teaches nothing; the order is as it was."""
    world = World({fault: {"endpoint": "gethbinfo"}}, claim_share=1.0)
    sent = client(world).send_redpack(packet())
    world.later(h=24)
    answer = client(world).query(number(1))
    assert answer.status == status
    assert answer.err_code in (err_code, err_code or "SUCCESS")
    if status == "RECEIVED":
        assert (answer.claims == ()) == (detail == "no claims")
        assert (answer.detail_id != sent.send_listid) == (detail == "other id")
    assert world.paid() == 1


def test_the_other_spelling_of_rfund_ing() -> None:
    """R4 asks to accept both."""
    world = World({"refund_ing": 1}, claim_share=0.0)
    world.send()
    world.later(h=24, s=30)
    assert world.ask()["status"] == "REFUND_ING"


def test_processing_is_paid_by_itself_once_even_if_it_is_repeated_before() -> None:
    """R5.1: the repeat and the late payment are one payment."""
    world = World({"processing": {"delay_s": 1200, "attempts_max": 1}})
    assert world.send()["err_code"] == "PROCESSING"
    world.later(s=600)
    assert world.paid() == 0
    assert world.send()["err_code"] == "SUCCESS"
    world.later(h=1)
    world.status()
    assert world.paid() == 1


def test_processing_that_meets_an_empty_account_is_held_then_closed() -> None:
    """R11: PROCESSING, SENDING for hours, FAILED."""
    world = World({"processing": {"attempts_max": 1}}, balance_fen=100)
    world.send()
    world.later(h=1)
    assert world.ask()["reason"]
    world.later(days=3)
    assert world.status() == "FAILED"
    assert world.paid() == 0


def test_the_repeat_of_a_paid_number_may_be_refused() -> None:
    """R5.4: a second send was seen to fail; that is no proof that the first one did."""
    world = World({"repeat_refused": 1})
    assert world.send()["err_code"] == "SUCCESS"
    assert world.send()["err_code"] == "SEND_FAILED"
    assert world.status() == "SENDING"


def test_notenough_from_a_given_balance() -> None:
    """The account seems empty at 9,600.00 yuan."""
    world = World({"notenough": {"balance_fen": 960_000}}, person_day_packets=1000)
    codes = [world.send(n, fen=20_000)["err_code"] for n in range(4)]
    assert codes == ["SUCCESS", "SUCCESS", "SUCCESS", "NOTENOUGH"]


def test_a_delay_longer_than_the_clients_patience_is_no_answer() -> None:
    """Processed all the same."""
    world = World({"slow": {"delay_s": 20}})
    with pytest.raises(NoAnswer):
        world.send()
    assert world.paid() == 1


@pytest.mark.parametrize(
    "rule, struck",
    [
        ({"positions": [2, 4]}, [2, 4]),
        ({"from_position": 4}, [4, 5]),
        ({"to_position": 2}, [1, 2]),
        ({"openids": ["oP3"]}, [3]),
        ({"mch_billnos": [number(5)]}, [5]),
        ({"from_position": 2, "openids": ["oP1", "oP2"]}, [2]),
        ([{"positions": [1]}, {"positions": [5]}], [1, 5]),
        ({"share": 0}, []),
        (1, [1, 2, 3, 4, 5]),
    ],
)
def test_whom_a_rule_strikes(rule: object, struck: list[int]) -> None:
    """Positions count bill numbers, so a repeat keeps its own."""
    world = World({"systemerror": rule})
    for _ in range(2):
        codes = {n: world.send(n, f"oP{n}")["err_code"] for n in range(1, 6)}
        assert [n for n, code in codes.items() if code == "SYSTEMERROR"] == struck


def test_a_share_is_about_that_share_and_differs_by_seed_but_never_by_order() -> None:
    """A pure function of seed, number and ordinal: a failing seed replays."""
    faults = Faults.parse({"reset_before": 0.3})

    def struck(seed: int, numbers: list[int], ordinal: int = 1) -> set[int]:
        requests = {
            n: Subject(endpoint="sendredpack", mch_billno=number(n), ordinal=ordinal) for n in numbers
        }
        return {n for n, request in requests.items() if faults.strike(request, seed).before}

    everyone = list(range(1000))
    assert struck(1, everyone) == struck(1, everyone[::-1])
    assert 250 < len(struck(1, everyone)) < 350
    assert struck(1, everyone) != struck(2, everyone) != struck(1, everyone, ordinal=2)


def test_faults_of_different_phases_strike_together_and_the_first_of_one_phase_wins() -> None:
    """A slow answer may also be a lost one."""
    strike = Faults.parse({"reset_after": 1, "empty": 1, "slow": 1, "held": 1, "freq_limit": 1}).strike(
        Subject(endpoint="sendredpack", mch_billno="1"), 0
    )
    assert str(strike) == "held reset_after slow"


@pytest.mark.parametrize(
    "document",
    [
        {"no_such_fault": 1},
        {"slow": 1.5},
        {"slow": -0.1},
        {"slow": True},
        {"slow": "often"},
        {"slow": None},
        {"slow": {"sahre": 0.5}},
        {"slow": {"share": "0.5"}},
        {"slow": {"positions": [0]}},
        {"slow": {"positions": 3}},
        {"slow": {"openids": []}},
        {"slow": {"openids": [1]}},
        {"slow": {"endpoint": "sendgroupredpack"}},
        {"unknown_status": {"endpoint": "sendredpack"}},
        {"slow": {"delay_s": -1}},
        {"slow": {"delay_s": float("nan")}},
        {"notenough": {"balance_fen": 1.5}},
        {"slow": [0.5, "x"]},
        {"slow": {"salt": "x"}},
    ],
)
def test_a_wrong_document_is_refused_by_name(document: dict[str, object]) -> None:
    """A typing error must not quietly become a rehearsal without faults."""
    with pytest.raises(SetupError) as caught:
        Faults.parse(document)
    assert next(iter(document)) in str(caught.value)
    assert caught.value.advice


def test_documents_come_as_json_text_as_a_file_and_as_a_mapping(tmp_path: Path) -> None:
    """The three forms of --faults and of [rehearsal] faults."""
    document = {"slow": {"share": 0.5, "delay_s": 2}}
    file = tmp_path / "faults.json"
    file.write_text(json.dumps(document))
    assert Faults.read(document) == Faults.read(json.dumps(document)) == Faults.read(file)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"slow": NaN}'])
def test_a_wrong_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Unreadable, not JSON, not an object."""
    file = tmp_path / "faults.json"
    file.write_bytes(content)
    with pytest.raises(SetupError):
        Faults.read(file)
    with pytest.raises(SetupError):
        Faults.read(tmp_path / "missing.json")


def test_every_fault_says_what_it_does() -> None:
    """The help lists them; before, ruling, answer, delay are all there."""
    assert {kind.phase for kind in KINDS.values()} == set(Phase)
    assert all(str(kind.says) for kind in KINDS.values())
    assert {name for name, kind in KINDS.items() if not kind.payable} == {
        "openid_error",
        "failed_later",
        "send_failed",
    }


def test_a_reset_before_leaves_no_order_but_is_remembered_as_a_request() -> None:
    """So that a test can count what was sent, not only what was processed."""
    world = World({"reset_before": 1})
    world.rules.handle(SEND, signed(packet()))
    (request,) = world.books.requests()
    assert (request.err_code, request.fault, request.mch_billno) == ("", "reset_before", number(1))
