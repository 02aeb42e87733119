"""Sent packets in the schema of R9.1: yuan as given, openids hidden, and the status as WeChat Pay says it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.days import HOUR_S
from campaign.domain.entry import Flag
from campaign.domain.mask import mask_openid
from campaign.domain.money import fen_from_yuan, yuan_text
from campaign.domain.state import State
from campaign.domain.verdict import Verdict, evidence, verdict
from campaign.errors import NotFinished, SetupError, UsageError
from campaign.ledger.records import SentPacket
from campaign.rehearsal.rules import RehearsalMerchant
from campaign.stages.records import (
    ask_status,
    ask_unclaimed,
    find_packet,
    list_records,
    masked_xml,
    record_of,
)
from campaign.stages.standing import standing
from tests.builders import entry
from tests.simulation.machine import API_KEY, MCH_ID, WXAPPID, Machine, orders

OPENID = "oSAMPLE_not_a_person_0000001"
SHEET = orders(f"{OPENID} 1.10", "oB 8.88", "oC 3.00")
#: What R9.1 promises of a record.
SCHEMA = {
    *(
        "id",
        "pk",
        "type",
        "official_account_id",
        "miniapp_id",
        "re_openid",
        "send_name",
        "act_name",
        "remark",
    ),
    *("wishing", "scene_id", "risk_info", "amt_type", "total_amount", "total_num", "mch_billno", "status"),
    *("created_at", "updated_at", "raw_result", "result"),
}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7)) as made:
        made.run(SHEET)
        yield made


@pytest.fixture
def page(machine: Machine) -> Callable[..., dict[str, Any]]:
    def go(**which: Any) -> dict[str, Any]:
        with machine.look() as ledger:
            return list_records(ledger, **which)

    return go


@pytest.fixture
def ask(machine: Machine) -> Callable[..., dict[str, Any]]:
    """``campaign records status``."""

    def go(id: int = 1, **options: Any) -> dict[str, Any]:  # noqa: A002
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            return ask_status(desk, find_packet(ledger, str(id)), **options)

    return go


Page = Callable[..., dict[str, Any]]


# Lists


def test_the_schema_is_that_of_the_reference(page: Page) -> None:
    answer = page()
    assert answer["meta"] == {"limit": 20, "next": None, "offset": 0, "previous": None, "total_count": 3}
    for record in answer["objects"]:
        assert record.keys() >= SCHEMA
        assert record["id"] == record["pk"]
        assert record["result"].keys() == {"mch_billno", "send_listid", "return_code"}
        assert record["result"]["mch_billno"] == record["mch_billno"]
        assert (record["type"], record["total_num"], record["official_account_id"]) == ("normal", 1, WXAPPID)
        assert record["result"]["return_code"] == "SUCCESS"
        assert record["result"]["send_listid"] in record["raw_result"]
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize(
    "limit, offset, before, after, rows",
    [
        (1, 0, None, "?limit=1&offset=1", 1),
        (1, 1, "?limit=1&offset=0", "?limit=1&offset=2", 1),
        (1, 2, "?limit=1&offset=1", None, 1),
        (2, 1, "?limit=2&offset=0", None, 2),
        (3, 0, None, None, 3),
        (3, 9, "?limit=3&offset=6", None, 0),
    ],
)
def test_each_page_names_its_neighbours(
    page: Page, limit: int, offset: int, before: str | None, after: str | None, rows: int
) -> None:
    answer = page(limit=limit, offset=offset)
    assert (answer["meta"]["previous"], answer["meta"]["next"]) == (before, after)
    assert len(answer["objects"]) == rows


@pytest.mark.parametrize("limit, offset", [(0, 0), (1001, 0), (20, -1), (20, 2**63)])
def test_no_page_is_endless(page: Page, limit: int, offset: int) -> None:
    with pytest.raises(UsageError):
        page(limit=limit, offset=offset)


def test_without_a_ledger_there_are_no_records() -> None:
    assert list_records(None)["meta"]["total_count"] == 0
    with pytest.raises(UsageError):
        find_packet(None, "1")


def test_unclaimed_are_those_that_wait_for_twenty_hours(machine: Machine, page: Page) -> None:
    now_s = machine.clock.now_s()
    assert page(unclaimed_at_s=now_s + 20 * HOUR_S - 60)["objects"] == []
    assert page(unclaimed_at_s=now_s + 20 * HOUR_S)["meta"]["total_count"] == 3


@pytest.fixture
def nudge(machine: Machine, page: Page) -> Callable[..., tuple[list[str], int]]:
    """``campaign records list --unclaimed``: who is to be reminded, and how many could not be asked."""

    def go(*, limit: int = 20, offset: int = 0) -> tuple[list[str], int]:
        now_s = machine.clock.now_s()
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            unclear = ask_unclaimed(desk, limit=limit, offset=offset, campaign=None, now_s=now_s)
        listed = page(unclaimed_at_s=now_s, limit=limit, offset=offset, unmask=True)["objects"]
        assert unclear or all(record["asked_at"] >= int(now_s) for record in listed)
        return [record["re_openid"] for record in listed], unclear

    return go


def open_packets(machine: Machine, *openids: str) -> None:
    """These people open their packets now; nobody else ever does."""
    for known in machine.orders_at_gateway().values():
        claimed_s = machine.clock.true_s() if known.re_openid in openids else None
        machine.books._write(known._replace(claimed_s=claimed_s), None)


def test_whoever_opened_his_packet_meanwhile_is_not_reminded(
    machine: Machine, page: Page, nudge: Callable[..., tuple[list[str], int]]
) -> None:
    """The timetable asked at twelve hours; the list asks again before it names anybody."""
    machine.later(20.5 * HOUR_S)
    open_packets(machine, OPENID)
    assert page(unclaimed_at_s=machine.clock.now_s())["meta"]["total_count"] == 3
    assert nudge() == (["oB", "oC"], 0)
    questions = machine.wire.questions
    assert nudge(limit=1) == (["oB"], 0)
    assert machine.wire.questions == questions + 1, "only the page is asked about"


def test_who_moves_up_on_a_page_is_asked_too(
    machine: Machine, nudge: Callable[..., tuple[list[str], int]]
) -> None:
    machine.later(20.5 * HOUR_S)
    open_packets(machine, OPENID, "oB")
    assert nudge(limit=1) == (["oC"], 0)


def test_a_list_that_could_not_ask_says_so(
    machine: Machine, nudge: Callable[..., tuple[list[str], int]]
) -> None:
    machine.later(20.5 * HOUR_S)
    machine.faults(reset_before={"endpoint": "gethbinfo"})
    assert nudge() == ([OPENID, "oB", "oC"], 3)


@given(st.integers(1, 10**9))
def test_yuan_are_what_was_written_and_no_product(fen: int) -> None:
    """The float's shortest text, which is what JSON carries, is the amount again."""
    packet = SentPacket(
        id=1, entry=replace(entry(), total_amount=fen), created_at_s=0.0, updated_at_s=0.0, raw=b""
    )
    shown = json.dumps(record_of(packet)["total_amount"])
    assert fen_from_yuan(shown) == fen
    assert float(shown) == float(yuan_text(fen))


# Openids


def test_openids_are_hidden_everywhere_unless_asked_for(page: Page) -> None:
    """In the raw answer as well, and where the openid is the row's key."""
    assert OPENID not in json.dumps(page())
    assert "<re_openid><![CDATA[oB" not in json.dumps(page())
    shown = page(unmask=True)["objects"][0]
    assert shown["re_openid"] == shown["reference"] == OPENID
    assert OPENID in shown["raw_result"]


@pytest.mark.parametrize("key", [f"{OPENID} #2", f"2026-03/{OPENID}"])
def test_an_openid_in_a_row_key_is_hidden_too(machine: Machine, key: str) -> None:
    """A person's second row has the openid with a number as its key; an id column may have what it likes."""
    with machine.look() as ledger:
        packet = find_packet(ledger, "1")
    packet = replace(packet, entry=replace(packet.entry, row_key=key))
    assert OPENID not in json.dumps(record_of(packet))
    assert record_of(packet, unmask=True)["reference"] == key


@pytest.mark.parametrize(
    "xml",
    [
        f"<xml><re_openid><![CDATA[{OPENID}]]></re_openid></xml>",
        f"<xml><re_openid>{OPENID}</re_openid></xml>",
        f"<xml><openid>\n {OPENID} </openid></xml>",
        f"<xml><RE_OPENID><![CDATA[ {OPENID}]]>",
        f"<html>{OPENID}, sorry</html>",
        "<hblist><hbinfo><openid>oOTHER_not_a_person_00000001</openid></hbinfo></hblist>",
        f"<re_openid>{OPENID}</re_openid>" * 3,
        f"<!-- {OPENID} -->",
        "<html>oOTHER_not_a_person_00000001</html>",
        f"{OPENID[:20]}<re_openid>{OPENID}",
    ],
)
def test_however_broken_an_answer_is_nobody_can_be_read_from_it(xml: str) -> None:
    hidden = masked_xml(xml, OPENID)
    assert OPENID not in hidden
    assert "oOTHER_not_a_person_00000001" not in hidden
    assert len(hidden) < len(xml)


def test_an_openid_of_unusual_length_is_hidden_as_well() -> None:
    assert masked_xml("<html>oSHORT_person_01</html>", "oSHORT_person_01") == "<html>oS…n_01</html>"


def test_what_is_hidden_leaves_the_rest_as_it_was() -> None:
    xml = "<xml><mch_billno><![CDATA[1900000109SNJGQQ1Y91NN9GPS1A]]></mch_billno><fen>188</fen></xml>"
    assert masked_xml(xml, OPENID) == xml
    assert masked_xml("<xml>oA</xml>", "oA") == "<xml>oA</xml>"


# One packet


@pytest.mark.parametrize(
    "id", ["0", "99", "-1", "1.0", "１", "9" * 19, "9" * 40, "", "x" * 28, "' OR 1=1 --"]
)
def test_an_unknown_id_is_refused(machine: Machine, id: str) -> None:  # noqa: A002
    with machine.look() as ledger, pytest.raises(UsageError):
        find_packet(ledger, id)


def test_a_record_is_found_by_number_and_by_id(machine: Machine, page: Page) -> None:
    record = page()["objects"][1]
    with machine.look() as ledger:
        assert find_packet(ledger, str(record["id"])) == find_packet(ledger, record["mch_billno"])
        assert record_of(find_packet(ledger, record["mch_billno"])) == record


def test_a_broken_answer_gives_no_return_code() -> None:
    packet = SentPacket(id=1, entry=entry(), created_at_s=0.0, updated_at_s=0.0, raw=b"<html>\xff")
    assert record_of(packet)["result"]["return_code"] is None


# Its status, asked for now


def test_the_status_is_flat_text_in_fen(machine: Machine, ask: Page) -> None:
    machine.later(60)
    status = ask()
    assert all(isinstance(value, str) for value in status.values())
    assert (status["total_amount"], status["status"], status["err_code"]) == ("110", "SENT", "SUCCESS")
    assert (status["send_type"], status["hb_type"]) == ("API", "NORMAL")
    assert {"mch_billno", "detail_id", "send_time"} <= status.keys()


def test_the_words_of_a_status_name_nobody() -> None:
    with Machine(Random(7)) as machine:
        machine.faults(held={"reason": f"用户{OPENID}存在风险"})
        machine.run(SHEET)
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            assert ask_status(desk, find_packet(ledger, "1"))["reason"] == "用户oS…0001存在风险"
            unmasked = ask_status(desk, find_packet(ledger, "1"), unmask=True)
            assert unmasked["reason"] == f"用户{OPENID}存在风险"


def test_what_it_learns_is_in_the_ledger() -> None:
    merchant = RehearsalMerchant(mch_id=MCH_ID, wxappid=WXAPPID, api_key=API_KEY, claim_share=1.0)
    with Machine(Random(7), merchant=merchant) as machine:
        machine.run(SHEET)
        machine.later(24 * HOUR_S)
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            status = ask_status(desk, find_packet(ledger, "1"))
            assert status["status"] == "RECEIVED"
            assert status["hblist"][0]["openid"] == mask_openid(OPENID)
            unmasked = ask_status(desk, find_packet(ledger, "1"), unmask=True)
            assert unmasked["hblist"][0]["openid"] == OPENID
        first, *others = machine.entries().values()
        assert first.state is State.RECEIVED
        assert {e.state for e in others} == {State.ACCEPTED}


def test_another_spelling_of_a_status_is_told_in_the_right_one() -> None:
    merchant = RehearsalMerchant(mch_id=MCH_ID, wxappid=WXAPPID, api_key=API_KEY, claim_share=0.0)
    with Machine(Random(7), merchant=merchant) as machine:
        machine.run(SHEET)
        number = next(iter(machine.entries()))
        order = machine.books.order(number)
        assert order is not None
        assert order.refunding_s is not None
        machine.later(order.refunding_s - machine.clock.true_s() + 1)
        machine.faults(refund_ing=1)
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            assert ask_status(desk, find_packet(ledger, number))["status"] == "RFUND_ING"


def test_not_found_is_an_answer_and_a_doubt_stays_one(machine: Machine, ask: Page) -> None:
    machine.faults(not_found=1)
    status = ask()
    assert (status["result_code"], status["err_code"]) == ("FAIL", "NOT_FOUND")
    assert "status" not in status


@pytest.mark.parametrize(
    "fault", ["reset_before", "truncated", "systemerror", "unknown_status", "wrong_billno"]
)
def test_an_unclear_answer_is_none_and_changes_nothing(machine: Machine, ask: Page, fault: str) -> None:
    before = {number: e.state for number, e in machine.entries().items()}
    machine.faults(**{fault: {"endpoint": "gethbinfo"}})
    with pytest.raises(NotFinished):
        ask()
    assert {number: e.state for number, e in machine.entries().items()} == before


def test_wrong_settings_are_named(machine: Machine, ask: Page) -> None:
    machine.faults(sign_error={"endpoint": "gethbinfo"})
    with pytest.raises(SetupError):
        ask()


def test_a_settled_packet_may_be_asked_about_for_ever(machine: Machine, ask: Page) -> None:
    """The answer is kept as evidence; what is settled stays so."""
    for _ in range(3):
        machine.later(24 * HOUR_S)
        machine.reconcile()
    settled = machine.entries()
    ask()
    assert machine.entries() == settled


@contextmanager
def behind_the_truth() -> Iterator[Machine]:
    """An old backup of the ledger: by it nothing was sent, in truth everything was."""
    with Machine(Random(7)) as machine:
        machine.stop_asked = True
        machine.run(SHEET)
        machine.stop_asked = False
        backup = machine.path.read_bytes()
        machine.run(SHEET)
        machine.disk.restore(backup)
        yield machine


def test_a_withdrawn_packet_that_wechat_pay_knows_is_no_longer_called_unsent() -> None:
    """An old backup of the ledger was cancelled: in truth its packets had left."""
    with behind_the_truth() as machine:
        machine.cancel()
        number = next(iter(machine.entries()))
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            ask_status(desk, find_packet(ledger, number))
        withdrawn = machine.entries()[number]
        assert (withdrawn.state, withdrawn.flag) == (State.CANCELLED, Flag.CONTRADICTION)
        assert verdict(withdrawn) is Verdict.UNKNOWN
        assert "no request" not in str(evidence(withdrawn))
        with machine.look() as ledger:
            [(_, need)] = standing(ledger, "lantern", now_s=machine.clock.now_s()).needs
            assert str(need.reason).startswith("MAY HAVE BEEN PAID")
            assert [pair[0] for pair in ledger.paid_pairs("lantern", since_s=0.0)] == [number]


@pytest.mark.parametrize("cancelled", [False, True], ids=["planned", "withdrawn"])
def test_an_unsent_packet_that_wechat_pay_knows_shows_an_old_ledger(cancelled: bool) -> None:
    """From then on every number of the campaign is asked about before it is sent, if it is taken up again."""
    with behind_the_truth() as machine, machine.ledger() as ledger, machine.desk(ledger) as desk:
        if cancelled:
            ledger.cancel("lantern", machine.clock.now_s())
        ask_status(desk, find_packet(ledger, next(iter(machine.entries()))))
        known = ledger.campaign("lantern")
        assert known is not None
        assert known.ask_first
