"""`campaign send`: one packet by its reference, at most once."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from tests.acceptance.world import Desk, HereDesk, Result, Served, differences

Person = Callable[[int], str]


def send(desk: Desk, openid: str, *more: str, reference: str = "", amount: str = "1.88") -> Result:
    """Without a reference one that no other test uses: the gateway is everybody's."""
    reference = reference or desk.folder.parent.name
    return desk.run("send", "--reference", reference, "--openid", openid, "--amount", amount, *more)


def test_a_packet_is_sent_once_and_answered_the_same_ever_after(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    first = send(desk, person(1), "--yes", "--json")
    assert (first.code, first.json["states"], first.json["fen"]["total"]) == (0, {"accepted": 1}, 188)
    assert first.json["campaign"] == "api"
    number = first.json["mch_billno"]
    again = send(desk, person(1), "--yes", "--json")
    assert again.json == first.json
    assert gateway.sends()[number] == 1
    assert differences(desk, gateway, "api") == []
    assert person(1) not in first.said + again.said


def test_the_same_reference_for_another_packet_is_a_conflict(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    send(desk, person(1), "--yes")
    for other in (
        send(desk, person(2), "--yes", "--json"),
        send(desk, person(1), "--yes", "--json", amount="2"),
    ):
        assert (other.code, other.json["error"]["kind"]) == (7, "PlanConflict")
    assert gateway.paid()[person(1)] == 1
    assert gateway.paid()[person(2)] == 0


def test_with_a_lost_ledger_it_asks_first_and_pays_nobody_twice(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    number = send(desk, person(1), "--yes", "--json").json["mch_billno"]
    desk.lose_ledger()
    again = send(desk, person(1), "--yes", "--json")
    assert (again.code, again.json["mch_billno"]) == (0, number)
    assert "nobody is paid twice" in again.err
    assert gateway.sends()[number] == 1


def test_the_merchants_day_is_counted_in_its_other_ledgers_too(
    make_desk: Callable[..., HereDesk], gateway: Served, person: Person
) -> None:
    first, second = make_desk("first"), make_desk("second")
    for desk in (first, second):
        desk.configure({"limits": {"merchant_day_yuan": "2.00"}})
    assert send(first, person(1), "--yes").code == 0
    held = send(
        second, person(2), "--yes", "--new-ledger", "--wait", "0", "--json", reference=f"{person(2)}-b"
    )
    assert (held.code, held.json["halted"]["reason"]) == (5, "merchant_limit")
    assert gateway.paid()[person(2)] == 0


def test_the_texts_of_the_packet_come_before_those_of_the_settings(desk: HereDesk, person: Person) -> None:
    answer = send(desk, person(1), "--yes", "--json", "--wishing", "生日快乐", "--scene-id", "PRODUCT_4").json
    record = answer["record"]
    assert (record["wishing"], record["scene_id"]) == ("生日快乐", "PRODUCT_4")
    assert (record["send_name"], record["total_amount"]) == ("天虹百货", 1.88)


def test_without_a_terminal_somebody_has_to_say_yes_ahead(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    refused = send(desk, person(1))
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert not desk.ledger_file.exists()


def test_an_openid_can_come_from_standard_input_where_no_process_list_shows_it(
    desk: HereDesk, gateway: Served, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{person(1)}\n"))
    refused = send(desk, "-")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert send(desk, "-", "--yes").code == 0
    assert gateway.paid()[person(1)] == 1


@pytest.mark.parametrize("answer, sent", [("y", 1), ("n", 0), ("", 0)])
def test_a_person_is_asked_once_with_the_amount(
    desk: HereDesk, gateway: Served, person: Person, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int
) -> None:
    asked = []

    def ask(_session: object, question: object) -> bool:
        asked.append(str(question))
        return answer == "y"

    monkeypatch.setattr("campaign.cli.session.Session.interactive", True)
    monkeypatch.setattr("campaign.cli.session.Session.ask", ask)
    result = send(desk, person(1))
    assert result.code == 0
    assert len(asked) == 1
    assert "1.88 yuan" in asked[0]
    assert person(1) not in asked[0]
    assert gateway.paid()[person(1)] == sent
    if sent:
        send(desk, person(1))
        assert len(asked) == 1, "nothing new is sent, so nobody has to agree"


@pytest.mark.parametrize(
    "wrong", [{"amount": "1.005"}, {"amount": "200.01"}, {"reference": " "}, {"amount": "-1"}, {"amount": ""}]
)
def test_what_cannot_be_sent_is_a_wrong_command_line(
    desk: HereDesk, person: Person, wrong: dict[str, str]
) -> None:
    result = send(desk, person(1), "--yes", "--json", **wrong)
    assert (result.code, result.json["error"]["kind"]) == (2, "UsageError")
    assert not desk.ledger_file.exists()


def test_it_does_not_spend_more_than_the_campaign_may(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    desk.configure({"limits": {"campaign_yuan": "3.00", "in_doubt_yuan": "3.00"}})
    assert send(desk, person(1), "--yes").code == 0
    beyond = send(desk, person(2), "--yes", reference=person(2))
    assert beyond.code == 3
    assert "Nothing was sent" in beyond.err
    assert gateway.paid()[person(2)] == 0


def test_what_wechat_pay_refuses_needs_a_person(desk: HereDesk, gateway: Served, person: Person) -> None:
    gateway.set_faults({"openid_error": {"openids": [person(1)]}})
    refused = send(desk, person(1), "--yes", "--json")
    assert refused.code == 6
    [need] = refused.json["needs_person"]
    assert (need["state"], need["err_code"]) == ("rejected", "OPENID_ERROR")


def test_a_doubt_that_outlasts_the_wait_is_not_finished(
    desk: HereDesk, gateway: Served, person: Person
) -> None:
    """And the same command finishes it."""
    desk.configure({"timing": {"processing_ask_s": 1.5}})
    gateway.set_faults({"processing": {"openids": [person(1)], "attempts_max": 1, "delay_s": 1}})
    left = send(desk, person(1), "--yes", "--json", "--wait", "0.2")
    assert (left.code, left.json["states"], left.json["halted"]["reason"]) == (5, {"in_doubt": 1}, "waiting")
    done = send(desk, person(1), "--yes", "--json")
    assert (done.code, done.json["states"]) == (0, {"accepted": 1})
    assert gateway.paid()[person(1)] == 1
