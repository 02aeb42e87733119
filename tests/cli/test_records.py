"""`campaign records`: what was sent, page by page, in the schema of R9.1."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from campaign.domain.mask import mask_openid
from campaign.domain.money import yuan_text
from tests.acceptance.world import HereDesk, Served

Rows = list[tuple[str, str]]


@pytest.fixture
def paid(desk: HereDesk, people: Rows) -> Rows:
    """Four rows of one campaign and two of another."""
    desk.sheet(people[:4])
    desk.sheet(people[4:], name="spring.csv")
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert desk.run("run", "spring.csv", "--yes").code == 0
    return people


def test_before_the_first_run_there_are_none(desk: HereDesk) -> None:
    answer = desk.run("records", "list", "--json")
    assert (answer.code, answer.json["objects"], answer.json["meta"]["total_count"]) == (0, [], 0)
    assert desk.run("records", "show", "1").code == 2
    assert desk.run("records", "status", "1").code == 2
    assert not desk.ledger_file.exists()


def test_pages_of_all_campaigns_or_of_one(desk: HereDesk, paid: Rows) -> None:
    first = desk.run("records", "list", "--limit", "4", "--json").json
    assert (first["gateway"], first["meta"]["total_count"]) == (desk.gateway.url.split("//")[1], 6)
    rest = desk.run("records", "list", "--limit", "4", "--offset", "4", "--json").json
    objects = first["objects"] + rest["objects"]
    assert [o["re_openid"] for o in objects] == [mask_openid(openid) for openid, _ in paid]
    assert [o["total_amount"] for o in objects] == [float(yuan) for _, yuan in paid]
    spring = desk.run("records", "list", "spring", "--json").json
    assert spring["objects"] == rest["objects"]
    assert desk.run("records", "list", "no such").code == 2


@pytest.mark.parametrize("wrong", [("--limit", "0"), ("--limit", "1001"), ("--offset", "-1")])
def test_a_page_has_bounds(desk: HereDesk, wrong: tuple[str, str]) -> None:
    assert desk.run("records", "list", *wrong).code == 2


def test_no_openid_is_told_unless_asked_for(desk: HereDesk, paid: Rows) -> None:
    number = desk.entries()[0].mch_billno
    for arguments in (
        ("list",),
        ("list", "--json"),
        ("show", "1"),
        ("status", "1"),
        ("show", number, "--json"),
    ):
        told = desk.run("records", *arguments).said
        assert not any(openid in told for openid, _ in paid), arguments
    assert paid[0][0] in desk.run("records", "show", "1", "--unmask").out
    assert paid[0][0] in desk.run("records", "list", "--unmask", "--json").out


def test_a_terminal_does_not_turn_a_greeting_around(desk: HereDesk, people: Rows) -> None:
    desk.sheet([(*people[0], "a\u202eb")], header="openid,amount,wishing")
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert r"a\u202eb" in desk.run("records", "show", "1").out


def test_one_record_by_number_or_id(desk: HereDesk, paid: Rows) -> None:
    number = desk.entries()[0].mch_billno
    record = desk.run("records", "show", number, "--json").json
    assert (record["mch_billno"], record["result"]["return_code"]) == (number, "SUCCESS")
    assert desk.run("records", "show", str(record["id"]), "--json").json == record
    assert f"mch_billno: {number}\n" in desk.run("records", "show", "1").out


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_list_in_the_terminal_fits_and_names_the_next_page(desk: HereDesk, paid: Rows, lang: str) -> None:
    """Whatever a narrow terminal makes of the rest, number and money are whole."""
    told = desk.run("records", "list", "--limit", "2", "--lang", lang).out
    for at, entry in enumerate(desk.entries()[:2], 1):
        first, *_ = [line for line in told.splitlines() if entry.mch_billno in line]
        assert first.split()[:4] == [
            str(at), entry.mch_billno, mask_openid(entry.re_openid), yuan_text(entry.total_amount)
        ]  # fmt: skip
    assert "…  " not in told
    assert max(map(cell_len, told.splitlines())) <= 80
    assert "--offset 2" in told


def test_the_status_is_asked_for_now(desk: HereDesk, gateway: Served, paid: Rows) -> None:
    number = desk.entries()[0].mch_billno
    status = desk.run("records", "status", number, "--json")
    assert (status.code, status.json["mch_billno"], status.json["total_amount"]) == (0, number, "101")
    assert desk.entries()[0].status == status.json["status"]


def test_the_list_of_people_to_remind(desk: HereDesk, paid: Rows) -> None:
    """Nothing is 20 hours old yet; the ledger's own tests move the clock."""
    assert desk.run("records", "list", "--unclaimed", "--json").json["objects"] == []
    told = " ".join(desk.run("records", "list", "--help").out.split())
    assert "20 hours" in told
    assert "--refunded" in told
