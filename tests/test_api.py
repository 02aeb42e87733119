"""`from campaign import RedPack`: the names of R9.1, and a repeat that never pays twice."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from campaign import RedPack
from campaign.domain.billno import mch_billno
from campaign.errors import (
    CampaignHeld,
    NeedsPerson,
    NotFinished,
    PlanConflict,
    SetupError,
    UsageError,
)
from campaign.ledger.lock import hold_campaign
from campaign.ledger.registry import STATE_DIR_VARIABLE
from campaign.ports import Gateway, SystemClock
from campaign.rehearsal.books import Books
from campaign.rehearsal.faults import Faults
from campaign.rehearsal.memory import MemoryTransport
from campaign.rehearsal.rules import RehearsalMerchant, Rules
from campaign.wechat.client import RedpackClient
from tests.acceptance.world import APPID, KEY, MCH_ID, Desk, warm_pace

OPENID = "oSAMPLE_not_a_person_0000001"
#: As the reference's sample has it: everything that it calls required.
PARAMS = {
    "type": "normal",
    "re_openid": OPENID,
    "send_name": "天虹百货",
    "official_account_id": APPID,
    "total_amount": 1.1,
    "total_num": 1,
    "act_name": "猜灯谜抢红包",
    "remark": "猜越多得越多,快来抢!",
    "wishing": "祝您元宵节快乐!",
}
#: Of the reference ``order-1``.
NUMBER = mch_billno(mch_id=MCH_ID, campaign_id="api", row_key="order-1")


@pytest.fixture
def rules() -> Iterator[Rules]:
    books = Books(balance_fen=10_000_000, now_s=SystemClock().now_s())
    merchant = RehearsalMerchant(mch_id=MCH_ID, wxappid=APPID, api_key=KEY, sends_per_second=0)
    yield Rules(books, merchant, clock=SystemClock())
    books.close()


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_pace(tmp_path_factory.mktemp("pace") / "sends.pace")


@pytest.fixture
def desk(tmp_path: Path, rules: Rules, warm: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A folder with settings, whose gateway is in memory; counts how often that was opened."""
    made = Desk(tmp_path / "desk")
    made.opened = 0  # type: ignore[attr-defined]

    @contextmanager
    def in_memory(*_: object) -> Iterator[Gateway]:
        made.opened += 1  # type: ignore[attr-defined]
        yield RedpackClient(transport=MemoryTransport(rules), api_key=KEY, mch_id=MCH_ID, appid=APPID)

    monkeypatch.setattr("campaign.api.open_gateway", in_memory)
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(made.state))
    monkeypatch.chdir(made.folder)
    made.lends_pace(warm)
    return made


@pytest.fixture
def red_pack(desk: Desk) -> Iterator[RedPack]:
    with RedPack() as opened:
        yield opened


@pytest.fixture
def paid(rules: Rules) -> Callable[[], list[tuple[str, int]]]:
    """Openid and fen of every order that money left for."""
    return lambda: [(o.re_openid, o.total_amount) for o in rules.books.orders() if o.paid_s is not None]


Paid = Callable[[], list[tuple[str, int]]]


# Sending


def test_yuan_go_in_and_one_packet_goes_out(red_pack: RedPack, paid: Paid) -> None:
    first = red_pack.send_red_pack(PARAMS, reference="order-1")
    assert first.keys() == {"return_code", "mch_billno", "send_listid"}
    assert first["return_code"] == "SUCCESS"
    assert first["mch_billno"] == NUMBER
    assert paid() == [(OPENID, 110)]


def test_the_same_reference_answers_the_same_and_sends_nothing(
    red_pack: RedPack, desk: Desk, paid: Paid
) -> None:
    first = red_pack.send_red_pack(PARAMS, reference="order-1")
    assert red_pack.send_red_pack(PARAMS, reference="order-1") == first
    with RedPack(desk.folder) as another:
        assert another.send_red_pack(PARAMS, reference="order-1") == first
    assert len(paid()) == 1
    assert desk.opened == 1  # type: ignore[attr-defined]


def test_with_a_lost_ledger_as_well(red_pack: RedPack, desk: Desk, paid: Paid) -> None:
    first = red_pack.send_red_pack(PARAMS, reference="order-1")
    desk.lose_ledger()
    assert red_pack.send_red_pack(PARAMS, reference="order-1")["mch_billno"] == first["mch_billno"]
    assert len(paid()) == 1


def test_the_command_line_and_this_are_one(
    red_pack: RedPack, desk: Desk, paid: Paid, capfd: pytest.CaptureFixture[str]
) -> None:
    from campaign.cli import main

    first = red_pack.send_red_pack(PARAMS, reference="order-1")
    arguments = ["--reference", "order-1", "--openid", OPENID, "--amount", "1.1", "--yes", "--json"]
    assert main(["send", *arguments]) == 0
    assert first["mch_billno"] in capfd.readouterr().out
    assert len(paid()) == 1


def test_another_packet_needs_another_reference(red_pack: RedPack, desk: Desk, paid: Paid) -> None:
    red_pack.send_red_pack(PARAMS, reference="order-1")
    with pytest.raises(PlanConflict):
        red_pack.send_red_pack({**PARAMS, "total_amount": 1.11}, reference="order-1")
    red_pack.send_red_pack(PARAMS, reference="order-2")
    assert paid() == [(OPENID, 110)] * 2
    assert desk.opened == 1  # type: ignore[attr-defined]


def test_threads_share_it_and_a_reference_is_still_paid_once(red_pack: RedPack, paid: Paid) -> None:
    answers: dict[str, set[str]] = {f"order-{n}": set() for n in range(3)}
    errors: list[BaseException] = []

    def call(reference: str) -> None:
        try:
            answers[reference].add(red_pack.send_red_pack(PARAMS, reference=reference)["mch_billno"])
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=call, args=(f"order-{n % 3}",)) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [len(numbers) for numbers in answers.values()] == [1, 1, 1]
    assert len(paid()) == 3


@pytest.mark.parametrize(
    "yuan, fen",
    [
        (1.1, 110),
        (1, 100),
        ("1.88", 188),
        (Decimal("2.50"), 250),
        (Decimal("1E+2"), 10_000),
        (199.99, 19_999),
    ],
)
def test_a_float_means_the_number_that_it_shows(red_pack: RedPack, paid: Paid, yuan: Any, fen: int) -> None:
    red_pack.send_red_pack({**PARAMS, "total_amount": yuan}, reference="order-1")
    assert paid() == [(OPENID, fen)]


def test_texts_that_are_not_given_come_from_the_settings(red_pack: RedPack) -> None:
    red_pack.send_red_pack({"type": "normal", "re_openid": OPENID, "total_amount": 1}, reference="order-1")
    record = red_pack.get_sent_red_pack(1)
    assert (record["send_name"], record["wishing"]) == ("天虹百货", "祝您元宵节快乐!")


@pytest.mark.parametrize(
    "change, named",
    [
        ({"type": "fission"}, "2024-06-05"),
        ({"type": "mini_program"}, "mini program"),
        ({"type": ""}, "type"),
        ({"type": None}, "type"),
        ({"total_num": 3}, "total_num"),
        ({"re_openid": ""}, "re_openid"),
        ({"re_openid": 7}, "re_openid"),
        ({"total_amount": 1.005}, "two decimals"),
        ({"total_amount": 0.1 + 0.2}, "two decimals"),
        ({"total_amount": True}, "total_amount"),
        ({"total_amount": float("nan")}, "total_amount"),
        ({"total_amount": float("inf")}, "total_amount"),
        ({"total_amount": 1e300}, "total_amount"),
        ({"total_amount": -1}, "amount"),
        ({"total_amount": 0}, "amount"),
        ({"total_amount": [1]}, "total_amount"),
        ({"official_account_id": "wx0000000000000000"}, "official_account_id"),
        ({"client_ip": "192.0.2.1"}, "client_ip"),
        ({"wishing": "🧧"}, "wishing"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_opened(
    red_pack: RedPack, desk: Desk, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError) as refused:
        red_pack.send_red_pack({**PARAMS, **change}, reference="order-1")
    assert named in str(refused.value)
    assert desk.opened == 0  # type: ignore[attr-defined]
    assert not desk.ledger_file.exists()


@pytest.mark.parametrize("reference", ["", " ", None, 7, "a\nb"])
def test_a_reference_is_required(red_pack: RedPack, reference: Any) -> None:
    with pytest.raises(UsageError):
        red_pack.send_red_pack(PARAMS, reference=reference)
    with pytest.raises(TypeError):
        red_pack.send_red_pack(PARAMS)  # type: ignore[call-arg]


def test_what_wechat_pay_refuses_needs_a_person(red_pack: RedPack, rules: Rules, paid: Paid) -> None:
    rules.faults = Faults.parse({"openid_error": 1})
    with pytest.raises(NeedsPerson) as refused:
        red_pack.send_red_pack(PARAMS, reference="order-1")
    assert refused.value.message.facts["err_code"] == "OPENID_ERROR"
    assert refused.value.advice
    assert OPENID not in str(refused.value)
    assert paid() == []


def test_a_doubt_is_not_finished_and_the_same_call_goes_on(desk: Desk, rules: Rules, paid: Paid) -> None:
    """Paid, but WeChat Pay had not said so: no error may lead to a second packet."""
    rules.faults = Faults.parse({"systemerror_paid": 1, "not_found": 1})
    desk.configure({"timing": {"not_found_repeat_s": 1.0}})
    with RedPack(wait_s=0.3) as red_pack, pytest.raises(NotFinished) as left:
        red_pack.send_red_pack(PARAMS, reference="order-1")
    rules.faults = Faults.parse({})
    with RedPack(wait_s=10) as red_pack:
        answer = red_pack.send_red_pack(PARAMS, reference="order-1")
    assert answer["mch_billno"] == left.value.message.facts["mch_billno"]
    assert len(paid()) == 1


def test_another_process_is_waited_for_but_not_for_ever(desk: Desk) -> None:
    with (
        hold_campaign(desk.ledger_file, "api"),
        RedPack(wait_s=0.2) as red_pack,
        pytest.raises(CampaignHeld),
    ):
        red_pack.send_red_pack(PARAMS, reference="order-1")


def test_the_whole_way_through_the_built_in_rehearsal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing replaced: HTTPS, certificates, XML, and a stand-in that is started and stopped by itself."""
    desk = Desk(tmp_path / "desk")
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(desk.state))
    with RedPack(desk.folder) as red_pack:
        number = red_pack.send_red_pack(PARAMS, reference="order-1")["mch_billno"]
        assert red_pack.get_red_pack_status(mch_billno=number)["total_amount"] == "110"


# Looking up


def test_records_are_listed_and_found(red_pack: RedPack) -> None:
    for n in range(3):
        red_pack.send_red_pack(PARAMS, reference=f"order-{n}")
    page = red_pack.get_sent_red_pack_list(limit=2)
    assert (page["meta"]["total_count"], page["meta"]["next"]) == (3, "?limit=2&offset=2")
    [last] = red_pack.get_sent_red_pack_list(2, 2)["objects"]
    assert red_pack.get_sent_red_pack(last["id"]) == last
    assert red_pack.get_sent_red_pack(str(last["id"])) == last
    assert (last["reference"], last["total_amount"]) == ("order-2", 1.1)


def test_the_status_is_found_by_number_or_id(red_pack: RedPack) -> None:
    number = red_pack.send_red_pack(PARAMS, reference="order-1")["mch_billno"]
    by_number = red_pack.get_red_pack_status(mch_billno=number)
    assert red_pack.get_red_pack_status(id=1)["mch_billno"] == by_number["mch_billno"] == number
    assert by_number["total_amount"] == "110"


@pytest.mark.parametrize("which", [{}, {"mch_billno": NUMBER, "id": 1}, {"mch_billno": "no such"}, {"id": 9}])
def test_exactly_one_packet_is_asked_about(red_pack: RedPack, which: dict[str, Any]) -> None:
    red_pack.send_red_pack(PARAMS, reference="order-1")
    with pytest.raises(UsageError):
        red_pack.get_red_pack_status(**which)


def test_before_the_first_packet_there_is_nothing(red_pack: RedPack, desk: Desk) -> None:
    assert red_pack.get_sent_red_pack_list()["objects"] == []
    with pytest.raises(UsageError):
        red_pack.get_sent_red_pack(1)
    assert not desk.ledger_file.exists()


def test_openids_are_hidden_unless_asked_for(red_pack: RedPack, desk: Desk) -> None:
    red_pack.send_red_pack(PARAMS, reference="order-1")
    assert OPENID not in str(red_pack.get_sent_red_pack_list())
    with RedPack(unmask=True) as open_book:
        assert open_book.get_sent_red_pack(1)["re_openid"] == OPENID


def test_a_frame_has_what_was_sent_and_what_the_report_says_of_it(
    red_pack: RedPack, desk: Desk, paid: Paid
) -> None:
    for n in range(3):
        red_pack.send_red_pack(PARAMS, reference=f"order-{n}")
    frame = red_pack.frame("API ")
    assert list(frame["row_key"]) == ["order-0", "order-1", "order-2"]
    assert set(frame["verdict"]) == {"paid_unclaimed"}
    assert frame["paid_amount"].sum() == sum(fen for _, fen in paid()) == 330
    assert set(frame["person"]) == {1}
    assert OPENID not in frame.to_csv()
    with RedPack(unmask=True) as open_book:
        assert set(open_book.frame()["re_openid"]) == {OPENID}


def test_a_frame_waits_for_no_run_and_makes_none_wait(red_pack: RedPack, desk: Desk) -> None:
    red_pack.send_red_pack(PARAMS, reference="order-1")
    with hold_campaign(desk.ledger_file, "api"), desk.ledger() as ledger, ledger.atomic():
        assert len(red_pack.frame()) == 1


def test_before_the_first_packet_a_frame_is_empty_and_no_campaign_has_one(
    red_pack: RedPack, desk: Desk
) -> None:
    assert red_pack.frame().empty
    assert not desk.ledger_file.exists()
    for name in ("lantern", ""):
        with pytest.raises(UsageError, match="no campaign"):
            red_pack.frame(name)


# As a library


def test_it_speaks_to_the_log_and_not_to_the_terminal(
    red_pack: RedPack, desk: Desk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    red_pack.send_red_pack(PARAMS, reference="order-1")
    desk.lose_ledger()
    with caplog.at_level(logging.INFO, logger="campaign"):
        red_pack.send_red_pack(PARAMS, reference="order-1")
    assert "vanished" in caplog.text
    assert OPENID not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_it_can_be_closed_and_used_again(red_pack: RedPack, desk: Desk, paid: Paid) -> None:
    red_pack.send_red_pack(PARAMS, reference="order-1")
    red_pack.close()
    red_pack.close()
    red_pack.send_red_pack(PARAMS, reference="order-2")
    assert desk.opened == 2  # type: ignore[attr-defined]
    assert len(paid()) == 2


@pytest.mark.parametrize("config", ["campaign.toml", ".", None])
def test_the_settings_are_a_file_or_its_folder(desk: Desk, config: str | None) -> None:
    with RedPack(config) as red_pack:
        assert red_pack.get_sent_red_pack_list()["meta"]["limit"] == 20


@pytest.mark.parametrize("config", ["no such.toml", "elsewhere"])
def test_missing_settings_are_not_looked_for_elsewhere(desk: Desk, config: str) -> None:
    """A folder that has none does not pay with those of the working directory."""
    Path("elsewhere").mkdir(exist_ok=True)
    with pytest.raises(SetupError):
        RedPack(config)


def test_importing_the_package_costs_nothing() -> None:
    """The interface is loaded when it is asked for."""
    program = "import sys, campaign; assert len([m for m in sys.modules if m.startswith('campaign')]) == 1"
    program += "; from campaign import RedPack; assert RedPack.__module__ == 'campaign.api'"
    program += "; assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_has_nothing_else() -> None:
    import campaign

    assert set(campaign.__all__) == {"RedPack", "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'RedPacks'"):
        _ = campaign.RedPacks  # type: ignore[attr-defined]
