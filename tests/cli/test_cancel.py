"""`campaign cancel`, and `campaign run --reopen`."""

from __future__ import annotations

from campaign.ledger.lock import hold_campaign
from tests.acceptance.world import HereDesk, Served

Rows = list[tuple[str, str]]


def half_sent(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """Two rows are paid; then the money runs out."""
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes", "--limit", "2").code == 0
    gateway.set_faults({"notenough": 1})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    gateway.set_faults({})


def test_what_was_not_sent_is_withdrawn(desk: HereDesk, gateway: Served, people: Rows) -> None:
    half_sent(desk, gateway, people)
    planned = desk.run("status", "lantern", "--json").json["states"]["planned"]
    result = desk.run("cancel", "lantern", "--yes", "--json")
    assert result.json["withdrawn"] == planned
    assert result.json["cancelled"] is True
    assert result.json["states"]["cancelled"] == planned
    assert result.json["states"]["accepted"] == 2


def test_with_rows_withdrawn_not_every_packet_was_taken(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes", "--limit", "2").code == 0
    assert "every packet was taken" in desk.run("status", "lantern").out
    gateway.set_faults({"refused": 1})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    told = desk.run("cancel", "lantern", "--yes")
    assert told.code == 0
    assert "every packet" not in told.out
    assert "2 packets wait to be opened" in told.out


def test_what_is_in_doubt_keeps_a_cancelled_campaign_from_being_done(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """It may have been paid, and is still asked about."""
    desk.sheet(people)
    gateway.set_faults({"processing": {"openids": [people[0][0]]}})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    result = desk.run("cancel", "lantern", "--yes", "--json")
    assert result.code == 5, result
    assert result.json["states"]["in_doubt"] == 1
    assert result.json["halted"]["reason"] == "waiting"
    told = desk.run("status", "lantern")
    assert told.code == 5
    assert "Done" not in told.out


def test_without_a_terminal_it_needs_yes(desk: HereDesk, gateway: Served, people: Rows) -> None:
    half_sent(desk, gateway, people)
    result = desk.run("cancel", "lantern")
    assert result.code == 2
    assert "Withdraw everything of lantern" in result.err
    assert desk.run("status", "lantern", "--json").json["cancelled"] is False


def test_a_cancelled_campaign_is_not_run_unless_it_is_reopened(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    half_sent(desk, gateway, people)
    desk.run("cancel", "lantern", "--yes")
    before = gateway.sends().total()
    refused = desk.run("run", "lantern.csv", "--yes")
    assert refused.code == 7
    assert "--reopen" in refused.err
    assert gateway.sends().total() == before
    assert desk.run("run", "lantern.csv", "--yes", "--reopen").code == 0
    counted = gateway.paid()
    assert [counted[openid] for openid, _ in people] == [1] * 6


def test_not_while_a_run_is_at_work(desk: HereDesk, gateway: Served, people: Rows) -> None:
    half_sent(desk, gateway, people)
    with hold_campaign(desk.ledger_file, "lantern"):
        result = desk.run("cancel", "lantern", "--yes")
    assert result.code == 7
    assert "Another run holds the campaign lantern" in result.err


def test_an_unknown_campaign(desk: HereDesk) -> None:
    assert desk.run("cancel", "lantern", "--yes").code == 2
