"""`campaign reconcile`: what became of the packets, as often as one likes."""

from __future__ import annotations

import sqlite3

import pytest

from campaign.domain.state import State
from campaign.ledger.lock import hold_campaign
from tests.acceptance.world import HereDesk, Served, differences, wait_for

Rows = list[tuple[str, str]]


def test_before_the_first_run_there_is_nothing_to_ask(desk: HereDesk) -> None:
    result = desk.run("reconcile", "--json")
    assert (result.code, result.json["campaigns"]) == (0, [])


def test_packets_are_followed_until_they_are_opened(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """Opened or come back: every row ends settled, and the books agree (a day is half a minute here)."""
    desk.configure({"timing": {"poll_s": [0.3, 0.6, 0.9, 1.2, *range(2, 60)]}})
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")

    def settled() -> bool:
        result = desk.run("reconcile", "lantern", "--json")
        assert result.code == 0, result
        return set(result.json["states"]) <= {"received", "refunded"}

    wait_for(settled, seconds=45)
    assert differences(desk, gateway) == []
    assert gateway.sends().keys() >= {entry.mch_billno for entry in desk.entries()}


def test_the_answer_as_json(desk: HereDesk, people: Rows) -> None:
    """The same keys as run and status; with a name one campaign, without all."""
    desk.sheet(people)
    run = desk.run("run", "lantern.csv", "--yes", "--json").json
    one = desk.run("reconcile", "lantern", "--json").json
    assert one.keys() == run.keys()
    whole = desk.run("reconcile", "--json").json
    assert [campaign["campaign"] for campaign in whole["campaigns"]] == ["lantern"]


def test_a_doubt_is_resolved_without_a_second_payment(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """The run could not wait for the answer; reconcile asks, and repeats nothing that exists."""
    desk.sheet(people)
    desk.configure({"timing": {"doubt_ask_s": 2}})
    gateway.set_faults({"systemerror_paid": {"openids": [people[0][0]]}})
    left = desk.run("run", "lantern.csv", "--yes", "--json", "--wait", "0")
    assert (left.code, left.json["states"]) == (5, {"in_doubt": 1, "accepted": 5})
    wait_for(lambda: "in_doubt" not in desk.run("reconcile", "lantern", "--json").json["states"])
    assert gateway.paid()[people[0][0]] == 1
    assert differences(desk, gateway) == []


def test_what_is_due_to_be_repeated_is_repeated(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """SYSTEMERROR unpaid, then NOT_FOUND: the same number again."""
    desk.sheet(people)
    gateway.set_faults({"systemerror": {"openids": [people[0][0]], "endpoint": "sendredpack"}})
    desk.configure({"timing": {"doubt_ask_s": 2}})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    gateway.set_faults({})
    wait_for(lambda: desk.run("reconcile", "lantern").code == 0)
    assert gateway.paid()[people[0][0]] == 1
    numbers = {entry.mch_billno for entry in desk.entries()}
    assert len(numbers) == 6
    assert sorted(gateway.sends()[number] for number in numbers) == [1, 1, 1, 1, 1, 2]


def test_nothing_is_sent_for_the_first_time(desk: HereDesk, gateway: Served, people: Rows) -> None:
    desk.sheet(people)
    gateway.set_faults({"notenough": 1})
    desk.run("run", "lantern.csv", "--yes", "--wait", "0")
    gateway.set_faults({})
    planned = {e.mch_billno for e in desk.entries() if e.state is State.PLANNED}
    assert planned
    desk.run("reconcile")
    assert not planned & gateway.sends().keys()


def test_beside_a_run_it_asks_only(desk: HereDesk, gateway: Served, people: Rows) -> None:
    desk.sheet(people)
    desk.configure({"timing": {"doubt_ask_s": 0.3}})
    gateway.set_faults({"systemerror": {"openids": [people[0][0]], "endpoint": "sendredpack"}})
    desk.run("run", "lantern.csv", "--yes", "--wait", "0")
    gateway.set_faults({})
    before = gateway.sends().total()
    with hold_campaign(desk.ledger_file, "lantern"):
        result = desk.run("reconcile", "lantern")
    assert "asking only" in result.err
    assert gateway.sends().total() == before


def test_a_cancelled_campaign_is_only_asked_about(desk: HereDesk, gateway: Served, people: Rows) -> None:
    desk.sheet(people)
    desk.configure({"timing": {"doubt_ask_s": 0.3}})
    gateway.set_faults({"systemerror": {"openids": [people[0][0]], "endpoint": "sendredpack"}})
    desk.run("run", "lantern.csv", "--yes", "--wait", "0")
    gateway.set_faults({})
    desk.run("cancel", "lantern", "--yes")
    before = gateway.sends().total()
    desk.run("reconcile", "lantern")
    assert gateway.sends().total() == before


def test_an_unreachable_gateway_is_exit_5_and_changes_nothing(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    desk.configure({"timing": {"poll_s": [0.01, 0.02]}})
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    before = desk.entries()
    desk.configure({"gateway": {"url": "https://127.0.0.1:9"}})
    result = desk.run("reconcile", "lantern", "--json")
    assert (result.code, result.json["halted"]["reason"]) == (5, "unreachable")
    assert [entry.state for entry in desk.entries()] == [entry.state for entry in before]


@pytest.mark.parametrize("named", [True, False])
def test_interrupted_before_it_asked_anything_it_still_answers(
    desk: HereDesk, people: Rows, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """Exit 130, and one JSON object."""
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    monkeypatch.setattr("campaign.cli.desk.Stop.asked", lambda self: True)
    result = desk.run("reconcile", *(["lantern"] if named else []), "--json")
    assert result.code == 130
    answer = result.json if named else result.json["campaigns"][0]
    assert answer["states"] == {"accepted": 6}


def test_the_ledgers_file_is_for_its_owner_alone(desk: HereDesk, people: Rows) -> None:
    """It holds openids; and it is durable, so that no answer is forgotten."""
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    assert desk.ledger_file.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(desk.ledger_file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_packet_that_wechat_pay_holds_needs_a_person_and_is_repeated_on_a_word(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """Held is exit 6, not 5: running again without removing the cause helps nobody. Then the same number."""
    desk.configure({"timing": {"poll_s": [0.01, 3600]}})
    desk.sheet(people)
    gateway.set_faults({"held": {"openids": [people[0][0]]}})
    desk.run("run", "lantern.csv", "--yes")
    held = desk.run("reconcile", "lantern", "--json")
    assert (held.code, held.json["states"]["parked"], held.json["halted"]) == (6, 1, None)
    (need,) = held.json["needs_person"]
    assert (need["row"], need["state"]) == (2, "parked")
    assert gateway.paid()[people[0][0]] == 0
    gateway.set_faults({})
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert gateway.paid()[people[0][0]] == 1
    number = next(entry.mch_billno for entry in desk.entries() if entry.re_openid == people[0][0])
    assert gateway.sends()[number] == 2
