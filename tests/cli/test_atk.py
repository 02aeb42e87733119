from __future__ import annotations
import shutil
from collections.abc import Callable
import pytest
from tests.acceptance.world import HereDesk, Served, differences, wait_for

Rows = list[tuple[str, str]]


def paid(gateway, rows):
    counted = gateway.paid()
    return [counted[who] for who, _ in rows]


def test_second_ledger_other_keys(desk, make_desk, gateway, people):
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    other = make_desk("other")
    other.sheet(people)
    r = other.run("run", "lantern.csv", "--yes", "--new-ledger", "--allow-repeats")
    print(r)
    assert paid(gateway, people) == [1] * 6


def test_also_pays_empty(desk, people):
    desk.sheet(people)
    r = desk.run("run", "lantern.csv", "--yes", "--also-pays", "")
    print(r)
    assert r.code == 2


def test_lost_then_conflict_then_run(desk, gateway, people, person):
    """rows 1..8 unknown new."""
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    for p in desk.folder.glob("*.db*"):
        p.unlink()
    # first attempt: no --yes -> refused 2? use a sheet with conflict
    desk.sheet(people)
    r = desk.run("run", "lantern.csv", "--yes", "--also-pays", "")
    r = desk.run("run", "lantern.csv", "--yes", "-v")
    print(r)
    assert "vanished" in r.err or "older than the truth" in r.err


def test_cancel_in_doubt(desk, gateway, people):
    desk.sheet(people)
    gateway.set_faults({"timeout_after": 1.0, "timeouts": 1.0, "drop_answer": 1.0})
    r = desk.run("run", "lantern.csv", "--yes", "--wait", "0")
    print(r)
    r = desk.run("cancel", "lantern", "--yes")
    print(r)
    r = desk.run("status", "lantern")
    print(r)
    assert 0


def test_unlisted_status(desk, gateway, people):
    desk.sheet(people)
    gateway.set_faults({"notenough": 1})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    gateway.set_faults({})
    r = desk.run("run", "lantern.csv", "--yes", "--limit", "2")
    print(r)
    r = desk.run("status", "lantern")
    print(r)
    assert 0
