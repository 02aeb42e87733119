"""A sheet that is unchanged is not read again; whatever decides what its plan is makes it read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from campaign.domain.answer import Outcome, Reach, SendAnswer
from campaign.domain.decision import Step
from campaign.domain.state import Evidence, State
from campaign.ledger.records import SendResult
from campaign.ledger.store import Ledger
from tests.acceptance.world import HereDesk, Served

Rows = list[tuple[str, str]]
#: Not the command of that name in it.
run_module = import_module("campaign.cli.run")
unchanged_module = import_module("campaign.cli.unchanged")


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many sheets were read since the last call."""
    read, count = run_module.read_sheet, 0

    def counting(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        return read(*arguments)

    def since() -> int:
        nonlocal count
        before, count = count, 0
        return before

    monkeypatch.setattr(run_module, "read_sheet", counting)
    return since


@pytest.fixture
def half_done(desk: HereDesk, gateway: Served, people: Rows) -> HereDesk:
    """Six rows planned, and nothing sent: the account is empty."""
    desk.sheet(people)
    gateway.set_faults({"notenough": 1})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    gateway.set_faults({})
    return desk


def paid(gateway: Served, rows: Rows) -> list[int]:
    counted = gateway.paid()
    return [counted[who] for who, _ in rows]


def test_an_unchanged_sheet_is_finished_without_being_read(
    half_done: HereDesk, gateway: Served, people: Rows, readings: Callable[[], int]
) -> None:
    result = half_done.run("run", "lantern.csv", "--yes")
    assert (result.code, readings()) == (0, 0)
    assert "Sheet and settings are unchanged. Still to be sent: 5 packets" in result.err
    assert paid(gateway, people) == [1] * 6


def test_a_finished_campaign_is_not_read_either(
    half_done: HereDesk, people: Rows, readings: Callable[[], int]
) -> None:
    half_done.run("run", "lantern.csv", "--yes")
    result = half_done.run("run", "lantern.csv", "--yes")
    assert (result.code, readings()) == (0, 0)
    assert "Every row of this sheet was sent before" in result.err


CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "title": {"campaign": {"title": "元宵"}},
    "send_name": {"packet": {"send_name": "别家"}},
    "act_name": {"packet": {"act_name": "抽奖"}},
    "wishing": {"packet": {"wishing": "新年快乐"}},
    "remark": {"packet": {"remark": "快"}},
    "client_ip": {"packet": {"client_ip": "192.0.2.99"}},
    "scene_id": {"packet": {"scene_id": "PRODUCT_2"}},
    "risk_info": {"packet": {"risk_info": "posttime=1"}},
    "columns": {"columns": {"amount": "amount_yuan"}},
    "sub_mch_id": {"merchant": {"sub_mch_id": "1900000110", "msgappid": "wxfedcba9876543210"}},
    "campaign_yuan": {"limits": {"campaign_yuan": "60000.00"}},
    "in_doubt_yuan": {"limits": {"in_doubt_yuan": "1999.00"}},
    "person_day_packets": {"limits": {"person_day_packets": 9}},
    "person_day_yuan": {"limits": {"person_day_yuan": "999.00"}},
    "merchant_day_yuan": {"limits": {"merchant_day_yuan": "999999.00"}},
}


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_reads_the_sheet_again(
    half_done: HereDesk, setting: str, readings: Callable[[], int]
) -> None:
    half_done.configure(CHANGES[setting])
    half_done.run("run", "lantern.csv", "--yes")
    assert readings() >= 1


@pytest.mark.parametrize(
    "options", [["--limit", "6"], ["--include-hidden"], ["--allow-repeats"], ["--name", "x"]]
)
def test_another_option_reads_the_sheet_again(
    half_done: HereDesk, options: list[str], readings: Callable[[], int]
) -> None:
    half_done.run("run", "lantern.csv", "--yes", *options)
    assert readings() >= 1


def test_so_does_a_worksheet_that_is_named(
    half_done: HereDesk, tmp_path: Path, readings: Callable[[], int]
) -> None:
    half_done.run("run", "lantern.csv", "--yes", "--sheet", "lantern.csv")
    assert readings() >= 1


def test_so_does_a_changed_byte_in_the_sheet(
    half_done: HereDesk, people: Rows, readings: Callable[[], int]
) -> None:
    half_done.sheet([*people[:5], (people[5][0], "2.00")])
    half_done.run("run", "lantern.csv", "--yes")
    assert readings() >= 1
    assert {entry.total_amount for entry in half_done.entries()} == {101, 102, 103, 104, 105, 200}


def test_so_do_other_rules(
    half_done: HereDesk, monkeypatch: pytest.MonkeyPatch, readings: Callable[[], int]
) -> None:
    monkeypatch.setattr(unchanged_module, "_rules", lambda: "another version")
    half_done.run("run", "lantern.csv", "--yes")
    assert readings() >= 1


def test_the_rules_are_the_code_that_reads_checks_and_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = unchanged_module._rules.__wrapped__
    before = rules()
    file = tmp_path / "checks.py"
    monkeypatch.setattr(unchanged_module.campaign.sheet, "__path__", [str(tmp_path)])
    file.write_text("BYTES_MAX = 31\n")
    here = rules()
    file.write_text("BYTES_MAX = 32\n")
    assert len({before, here, rules()}) == 3


def test_a_sheet_that_was_planned_in_part_is_read_again_as_a_whole(
    desk: HereDesk, gateway: Served, people: Rows, readings: Callable[[], int]
) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes", "--limit", "2")
    readings()
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert readings() >= 1
    assert paid(gateway, people) == [1] * 6


def test_the_other_sheet_of_the_campaign_is_read_when_its_turn_comes(
    half_done: HereDesk, gateway: Served, people: Rows, readings: Callable[[], int]
) -> None:
    """Planning another file took rows off the list; the first file puts them back."""
    half_done.sheet(people[:5], name="shorter.csv")
    gateway.set_faults({"notenough": 1})
    half_done.run("run", "shorter.csv", "--yes", "--name", "lantern")
    gateway.set_faults({})
    readings()
    assert half_done.run("run", "lantern.csv", "--yes").code == 0
    assert readings() >= 1
    assert paid(gateway, people) == [1] * 6


def test_the_budget_is_looked_at_although_the_sheet_is_not(
    half_done: HereDesk, monkeypatch: pytest.MonkeyPatch, readings: Callable[[], int]
) -> None:
    """Whatever ate it since: here the whole of it, behind our back."""
    monkeypatch.setattr(Ledger, "counted_fen", lambda _self, _campaign: 5_000_000)
    result = half_done.run("run", "lantern.csv", "--yes")
    assert (result.code, readings()) == (3, 0)
    assert "campaign_yuan" in result.err
    assert State.ACCEPTED not in {entry.state for entry in half_done.entries()}


def test_a_plan_that_somebody_replaced_meanwhile_is_not_sent(
    half_done: HereDesk, people: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look at the ledger and our holding the campaign."""
    looked = run_module.unchanged

    def overtaken(*arguments: Any, **options: Any) -> Any:
        found = looked(*arguments, **options)
        monkeypatch.setattr(run_module, "unchanged", looked)
        half_done.sheet(people[:5], name="shorter.csv")
        assert half_done.run("run", "shorter.csv", "--yes", "--name", "lantern").code == 0
        return found

    monkeypatch.setattr(run_module, "unchanged", overtaken)
    result = half_done.run("run", "lantern.csv", "--yes")
    assert result.code == 7
    assert "was just planned anew" in result.err


def test_with_a_second_ledger_the_lists_are_compared_again(
    half_done: HereDesk, make_desk: Callable[..., HereDesk], people: Rows, readings: Callable[[], int]
) -> None:
    """It may have paid the same people since this sheet was planned."""
    other = make_desk("other")
    other.sheet([(f"{who[:5]}Z{who[6:]}", yuan) for who, yuan in people], name="others.csv")
    assert other.run("run", "others.csv", "--yes", "--new-ledger").code in (0, 5)
    readings()
    assert half_done.run("run", "lantern.csv", "--yes").code == 0
    assert readings() >= 1


@pytest.mark.parametrize("more", [[], ["--also-pays", "copy"]])
def test_what_another_campaign_pays_meanwhile_is_not_taken_up_again(
    half_done: HereDesk, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    """While a refused row does not count as paid, another process may plan a copy of the list."""
    taken_up: list[bool] = []

    def refused_while_a_copy_is_planned(
        desk: Any, campaign: str, *, replan: Callable[[], bool], **_: Any
    ) -> None:
        ledger, now_s = desk.ledger, desk.clock.now_s()
        [entry] = ledger.sendable(campaign, now_s=now_s, limit=1)
        [sending] = ledger.begin_sends(
            [entry], limits=desk.limits, now_s=now_s, owner="us", lease_s=9
        ).entries
        answer = SendAnswer(outcome=Outcome.REFUSED, reach=Reach.ABORT)
        step = Step(state=State.REJECTED, evidence=Evidence.UNSTORED)
        ledger.end_sends([SendResult(entry=sending, answer=answer, step=step)], now_s)
        ledger.save_campaign(replace(ledger.campaign(campaign), name="copy"), now_s)
        ledger.add_entries([replace(entry, campaign="copy", mch_billno=f"{entry.mch_billno[:-1]}#")], now_s)
        assert ledger.may_take_up_again(campaign)
        taken_up.append(replan())

    monkeypatch.setattr(run_module, "send", refused_while_a_copy_is_planned)
    half_done.run("run", "lantern.csv", "--yes", *more)
    assert taken_up == [bool(more)]
