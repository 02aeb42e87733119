"""``[gateway] transport``: the same commands over either library, and no surprise where one is missing."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from tests.acceptance.world import HereDesk, Served

Rows = list[tuple[str, str]]


@pytest.mark.parametrize("transport", ["requests", "curl"])
def test_everybody_is_paid_once_and_asked_about(
    desk: HereDesk, gateway: Served, people: Rows, transport: str
) -> None:
    """Doctor's question, the first questions of a run, its sends, and those of the reconciliation."""
    desk.configure({"gateway": {"transport": transport}})
    desk.sheet(people)
    before = gateway.sends()
    assert desk.run("doctor").code == 0
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert result.code == 0, result
    assert result.json["states"] == {"accepted": len(people)}
    assert desk.run("reconcile", "lantern").code == 0
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert gateway.sends() - before == Counter(entry.mch_billno for entry in desk.entries())


def test_without_pycurl_nothing_is_sent_and_the_way_out_is_named(
    desk: HereDesk, gateway: Served, people: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycurl", None)
    monkeypatch.delitem(sys.modules, "campaign.wechat.curl", raising=False)
    desk.configure({"gateway": {"transport": "curl"}})
    desk.sheet(people)
    before = gateway.sends()
    result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 4
    assert 'pip install "campaign[fast]"' in result.err
    assert gateway.sends() == before


def test_a_gateway_that_is_gone_is_told_alike(desk: HereDesk, people: Rows) -> None:
    """Whichever library finds that out: nothing left, so the same command finishes later."""
    told = []
    desk.sheet(people)
    for transport in ("requests", "curl"):
        changes = {"transport": transport, "url": "https://127.0.0.1:9", "backup_url": ""}
        desk.configure({"gateway": changes})
        result = desk.run("run", "lantern.csv", "--yes", "--wait", "0", "--json")
        assert result.code == 5
        told.append((result.json["halted"], result.json["states"]))
    assert told[0] == told[1]
    assert told[0][0]["reason"] == "unreachable"
    assert told[0][1] == {"planned": len(people)}
