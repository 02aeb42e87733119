"""`campaign run`: every row once, whatever happens between the commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from campaign.domain.mask import mask_openid
from campaign.domain.state import State
from campaign.ledger.lock import hold_campaign
from tests.acceptance.world import HereDesk, Served, differences, wait_for
from tests.sheet.sheets import xlsx_file

Rows = list[tuple[str, str]]
#: Not the command of that name in it.
run_module = import_module("campaign.cli.run")
NEEDS_KEYS = {"row", "re_openid", "mch_billno", "state", "err_code", "reason", "advice"}


def paid(gateway: Served, rows: Rows) -> list[int]:
    """How often each of these people was paid."""
    counted = gateway.paid()
    return [counted[who] for who, _ in rows]


@pytest.fixture
def requests(gateway: Served) -> Callable[[], int]:
    """How many send requests the gateway has met since the last call."""
    seen = gateway.sends().total()

    def since() -> int:
        nonlocal seen
        before, seen = seen, gateway.sends().total()
        return seen - before

    return since


# ------------------------------------------------------------------ the ordinary way


def test_every_row_is_paid_once_and_both_books_agree(desk: HereDesk, gateway: Served, people: Rows) -> None:
    desk.sheet(people)
    result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 0, result
    assert "6 wait to be opened" in result.out
    assert paid(gateway, people) == [1] * 6
    assert differences(desk, gateway) == []


def test_the_answer_as_json(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """One object with the contract's keys; everything else is on stderr."""
    desk.sheet(people)
    answer = desk.run("run", "lantern.csv", "--yes", "--json").json
    assert answer == {
        "schema_version": 1,
        "gateway": gateway.url.removeprefix("https://"),
        "campaign": "lantern",
        "title": "",
        "rows": 6,
        "states": {"accepted": 6},
        "fen": {"accepted": 621, "total": 621},
        "cancelled": False,
        "halted": None,
        "needs_person": [],
    }


def test_the_built_in_gateway_needs_no_other_process(
    make_desk: Callable[..., HereDesk], people: Rows
) -> None:
    desk = make_desk("alone")
    desk.gateway = None
    desk.configure({"gateway": {"url": "rehearsal", "ca_bundle": ""}})
    desk.sheet(people)
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert result.code == 0, result
    assert result.json["gateway"] == "rehearsal"
    assert result.json["states"] == {"accepted": 6}
    assert "REHEARSAL" in result.err


def test_what_sqlite_utils_would_import_for_itself_is_not_there_until_it_is_over(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """In a process of its own, which makes the ledger: half a second, for types that no command has."""
    desk.sheet(people)
    code = (
        "import sys; from campaign.cli import main; code = main(['run', 'lantern.csv', '--yes']); "
        # Their parts, too: they themselves are taken out again.
        "known = {'sqlite_utils', 'numpy', 'pandas'} & {name.partition('.')[0] for name in sys.modules}; "
        "import pandas; sys.exit(code or ' '.join(known - {'sqlite_utils'}) or 'sqlite_utils' not in known)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=desk.folder, env=desk.env)
    assert result.returncode == 0, result.stderr


def test_a_pilot_pays_the_first_rows_and_the_full_run_the_others(
    desk: HereDesk, gateway: Served, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes", "--limit", "2", "--json").json["rows"] == 2
    assert requests() == 2
    assert desk.run("run", "lantern.csv", "--yes", "--json").json["states"] == {"accepted": 6}
    assert requests() == 4
    assert paid(gateway, people) == [1] * 6


def test_a_finished_campaign_run_again_asks_nobody_anything(
    desk: HereDesk, people: Rows, make_desk: Callable[..., HereDesk]
) -> None:
    """Not even a gateway is needed."""
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    desk.configure({"gateway": {"url": "https://127.0.0.1:9"}})
    result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 0, result
    assert "nothing new is sent" in result.err


def test_a_re_ordered_and_extended_sheet_pays_only_what_is_new(
    desk: HereDesk, gateway: Served, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people[:4])
    desk.run("run", "lantern.csv", "--yes")
    assert requests() == 4
    desk.sheet([people[5], *reversed(people[:4]), people[4]])
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert requests() == 2
    assert paid(gateway, people) == [1] * 6


def test_rows_removed_before_they_were_sent_are_not_sent(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """And coming back to the sheet they are."""
    desk.sheet(people)
    gateway.set_faults({"notenough": 1})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    gateway.set_faults({})
    desk.sheet(people[:4])
    desk.run("run", "lantern.csv", "--yes")
    assert paid(gateway, people) == [1, 1, 1, 1, 0, 0]
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert paid(gateway, people) == [1] * 6


@pytest.mark.parametrize("name", ["春节 & 元宵 (final) v2.csv", "a'b;$(x)%20.csv", "-x.csv", "ß.ü.csv"])
def test_odd_file_names_name_campaigns(desk: HereDesk, people: Rows, name: str) -> None:
    desk.sheet(people[:1], name=name)
    result = desk.run("run", "--yes", "--json", "--", name)
    assert result.code == 0, result
    assert desk.run("status", "--json", "--", result.json["campaign"]).json["states"] == {"accepted": 1}


def test_a_name_makes_a_sheet_a_campaign_of_its_own(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    assert (
        desk.run("run", "lantern.csv", "--yes", "--name", " Spring ", "--json").json["campaign"] == "spring"
    )


def test_one_person_with_two_rows_needs_a_word(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """--allow-repeats says it; without, the sheet is refused."""
    rows = [people[0], people[1], people[0]]
    desk.sheet(rows)
    assert desk.run("run", "lantern.csv", "--yes").code == 3
    assert paid(gateway, people)[0] == 0
    assert desk.run("run", "lantern.csv", "--yes", "--allow-repeats").code == 0
    assert paid(gateway, people)[:2] == [2, 1]


def test_worksheet_and_hidden_rows_are_chosen(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """A hidden row is left out and named, unless --include-hidden says to pay it."""
    path, book, sheet = xlsx_file(desk.folder, ["openid", "amount"], *people[:3], name="lantern.xlsx")
    book.create_sheet("other").append(["openid", "amount"])
    book["other"].append(people[3])
    sheet.row_dimensions[3].hidden = True
    book.save(path)
    shown = desk.run("run", "lantern.xlsx", "--yes", "--sheet", "名单")
    assert shown.code == 0, shown
    assert "hidden" in shown.err
    assert "row 3" in shown.err
    assert paid(gateway, people[:4]) == [1, 0, 1, 0]
    assert desk.run("run", "lantern.xlsx", "--yes", "--sheet", "名单", "--include-hidden").code == 0
    assert paid(gateway, people[:4]) == [1, 1, 1, 0]


# ------------------------------------------------------------------ the person at the terminal


def test_without_a_terminal_nothing_is_sent_without_yes(
    desk: HereDesk, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    result = desk.run("run", "lantern.csv")
    assert result.code == 2
    assert "--yes" in result.err
    assert not desk.ledger_file.exists()
    assert requests() == 0


@pytest.mark.parametrize("typed, rows_paid", [("n", 0), ("y", 3)])
def test_the_operator_sees_what_it_costs_and_decides(
    desk: HereDesk, gateway: Served, people: Rows, typed: str, rows_paid: int
) -> None:
    """On a real terminal."""
    pexpect = pytest.importorskip("pexpect")
    desk.sheet(people[:3])
    child = pexpect.spawn(
        sys.executable,
        ["-m", "campaign", "run", "lantern.csv", "--wait", "0"],
        cwd=str(desk.folder),
        env=desk.env,
        encoding="utf-8",
        timeout=30,
    )
    child.expect("Packets: 3, people: 3, 3.06 yuan in all")
    child.expect(r"Send 3 packets through \S+ now\? \[y/N\]")
    child.sendline(typed)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert sum(paid(gateway, people)) == rows_paid
    if not rows_paid:
        assert "Nothing was sent and nothing was recorded" in child.before
        assert desk.campaign() is None


# ------------------------------------------------------------------ the sheet disagrees with the ledger


@pytest.mark.parametrize("field, header, was, now, told", [
    ("total_amount", "id,openid,amount,wishing", ["7", "{0}", "1.00", "快乐"], ["7", "{0}", "2.00", "快乐"],
     ["1.00", "2.00"]),
    ("wishing", "id,openid,amount,wishing", ["7", "{0}", "1.00", "快乐"], ["7", "{0}", "1.00", "发财"],
     ["快乐", "发财"]),
    ("re_openid", "id,openid,amount,wishing", ["7", "{0}", "1.00", "快乐"], ["7", "{1}", "1.00", "快乐"],
     ["{0}", "{1}"]),
])  # fmt: skip
def test_an_edited_row_that_was_sent_is_a_conflict(
    desk: HereDesk,
    requests: Callable[[], int],
    person: Callable[[int], str],
    field: str,
    header: str,
    was: list[str],
    now: list[str],
    told: list[str],
) -> None:
    """It names sheet, row, field and both values; openids masked."""
    who = [person(1), person(2)]

    def filled(cells: list[str]) -> list[str]:
        return [cell.format(*who) for cell in cells]

    campaign = f"edited-{who[0]}".lower()
    desk.sheet([["1", person(3), "1.00", "快乐"], filled(was)], header=header)
    assert desk.run("run", "lantern.csv", "--yes", "--name", campaign).code == 0
    assert requests() == 2
    desk.sheet(
        [["1", person(3), "1.00", "快乐"], filled(now), ["8", person(4), "1.00", "快乐"]], header=header
    )
    result = desk.run("run", "lantern.csv", "--yes", "--name", campaign, "--json")
    assert result.code == 7
    assert result.json["error"]["kind"] == "PlanConflict"
    message = result.json["error"]["message"]
    for fact in ["lantern.csv", "row 3", field, *(mask_openid(t) if t in who else t for t in filled(told))]:
        assert fact in message
    assert not any(openid in result.said for openid in who)
    assert requests() == 0


def test_another_key_column_is_a_conflict(desk: HereDesk, people: Rows, requests: Callable[[], int]) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    desk.sheet([(str(n), *row) for n, row in enumerate(people)], header="id,openid,amount")
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert (result.code, result.json["error"]["kind"]) == (7, "KeyChanged")
    assert requests() == 0


def test_a_second_packet_that_a_pilot_did_not_show_has_a_way_on(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """The campaign is bound to openids by then, so an id column and --allow-repeats come too late."""
    desk.sheet([*people, (people[-1][0], "9.99")])
    assert desk.run("run", "lantern.csv", "--yes", "--limit", "3").code == 0
    assert desk.run("run", "lantern.csv", "--yes").code == 3
    late = desk.run("run", "lantern.csv", "--yes", "--allow-repeats")
    assert late.code == 7
    assert "told apart by openid, and now would be by openid and order (--allow-repeats)" in late.err
    assert "somebody's second packet, needs a sheet with a --name of its own" in late.err
    desk.sheet(people)
    desk.sheet([(people[-1][0], "9.99")], name="second.csv")
    assert [desk.run("run", name, "--yes").code for name in ("lantern.csv", "second.csv")] == [0, 0]
    assert paid(gateway, people) == [1] * (len(people) - 1) + [2]


def test_a_copied_list_is_refused_until_somebody_says_so(
    desk: HereDesk, gateway: Served, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    shutil.copy(desk.folder / "lantern.csv", desk.folder / "lantern copy.csv")
    assert requests() == 6
    refused = desk.run("run", "lantern copy.csv", "--yes", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (7, "SameListAgain")
    assert "--also-pays lantern" in refused.err
    assert requests() == 0
    assert desk.run("run", "lantern copy.csv", "--yes", "--also-pays", "lantern").code == 0
    assert paid(gateway, people) == [2] * 6


def test_another_list_under_the_same_name_is_refused(
    desk: HereDesk, person: Callable[[int], str], people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    desk.sheet([(person(n), "1.00") for n in range(20, 26)])
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert (result.code, result.json["error"]["kind"]) == (7, "SameListAgain")
    assert "--name" in result.err
    assert requests() == 0


def test_a_second_run_at_the_same_time_is_told_who_is_at_work(
    desk: HereDesk, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    with hold_campaign(desk.ledger_file, "lantern"):
        result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 7
    assert f"process {os.getpid()}" in result.err
    assert requests() == 0


# ------------------------------------------------------------------ the ledger is not what it was


def test_a_lost_ledger_brings_no_new_order_and_the_operator_is_told(
    desk: HereDesk, gateway: Served, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    orders = gateway.orders().keys()
    desk.lose_ledger()
    result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 0, result
    assert "has vanished" in result.err
    assert "Every row is asked about before it is sent" in result.err
    assert gateway.orders().keys() == orders
    assert requests() == 6
    assert differences(desk, gateway) == []


def test_another_machine_notices_that_its_ledger_is_new(
    make_desk: Callable[..., HereDesk], gateway: Served, people: Rows, requests: Callable[[], int]
) -> None:
    """Nothing here remembers the first ledger; WeChat Pay does."""
    first, second = make_desk("first"), make_desk("second")
    second.state = second.folder / "state"
    for desk in (first, second):
        desk.sheet(people)
    first.run("run", "lantern.csv", "--yes", "--limit", "4")
    assert requests() == 4
    result = second.run("run", "lantern.csv", "--yes")
    assert result.code == 0, result
    assert "Every row is asked about before it is sent" in result.err
    assert requests() == 2
    assert paid(gateway, people) == [1] * 6


def test_an_older_copy_of_the_ledger_is_noticed(
    desk: HereDesk, gateway: Served, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes", "--limit", "2")
    copy = shutil.copytree(desk.folder, desk.folder.with_name("backup"))
    desk.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    desk.lose_ledger()
    shutil.copy(copy / desk.ledger_file.name, desk.ledger_file)
    result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 0, result
    assert "older copy of itself" in result.err
    assert requests() == 0
    assert differences(desk, gateway) == []


def test_a_second_ledger_of_the_merchant_is_refused_until_somebody_says_so(
    make_desk: Callable[..., HereDesk], people: Rows, requests: Callable[[], int]
) -> None:
    first, second = make_desk("first"), make_desk("second")
    first.sheet(people[:3])
    second.sheet(people[3:])
    assert first.run("run", "lantern.csv", "--yes").code == 0
    assert requests() == 3
    refused = second.run("run", "lantern.csv", "--yes")
    assert refused.code == 7
    assert str(first.ledger_file) in refused.err
    assert "--new-ledger" in refused.err
    assert not second.ledger_file.exists()
    assert requests() == 0
    assert second.run("run", "lantern.csv", "--yes", "--new-ledger").code == 0
    assert requests() == 3


def test_a_list_copied_to_a_second_ledger_is_still_the_same_list(
    make_desk: Callable[..., HereDesk], people: Rows, requests: Callable[[], int]
) -> None:
    first, second = make_desk("first"), make_desk("second")
    first.sheet(people)
    second.sheet(people, name="spring.csv")
    assert first.run("run", "lantern.csv", "--yes").code == 0
    assert requests() == 6
    refused = second.run("run", "spring.csv", "--yes", "--new-ledger")
    assert refused.code == 7
    assert "lantern" in refused.err
    assert requests() == 0


def test_one_name_in_two_ledgers_does_not_pay_the_same_people_under_other_keys(
    make_desk: Callable[..., HereDesk], people: Rows, requests: Callable[[], int]
) -> None:
    """The same name gives the same numbers only as long as the same column gives the keys."""
    first, second = make_desk("first"), make_desk("second")
    for desk in (first, second):
        desk.sheet(people)
    assert first.run("run", "lantern.csv", "--yes").code == 0
    assert requests() == 6
    again = ("run", "lantern.csv", "--yes", "--new-ledger")
    refused = second.run(*again, "--allow-repeats", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (7, "SameListAgain")
    assert requests() == 0
    assert second.run(*again).code == 0, "under the same keys the numbers are the same"
    assert requests() == 0


def test_a_copy_that_is_planned_while_the_question_is_open_is_noticed(
    desk: HereDesk,
    gateway: Served,
    people: Rows,
    requests: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two people at two terminals, each asked whether to send, each with a copy of the list."""
    for name in ("lantern.csv", "copy.csv"):
        desk.sheet(people, name=name)
    agreed = run_module._Planner._agreed

    def slow_to_answer(*arguments: Any, **options: Any) -> bool:
        monkeypatch.setattr(run_module._Planner, "_agreed", agreed)
        assert desk.run("run", "copy.csv", "--yes").code == 0
        return agreed(*arguments, **options)

    monkeypatch.setattr(run_module._Planner, "_agreed", slow_to_answer)
    refused = desk.run("run", "lantern.csv", "--yes")
    assert refused.code == 7
    assert "--also-pays copy" in refused.err
    assert requests() == 6
    assert paid(gateway, people) == [1] * 6
    assert desk.campaign("lantern") is None


def test_two_ledgers_never_plan_the_same_list_at_once(
    make_desk: Callable[..., HereDesk],
    people: Rows,
    requests: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither would find it in the other's ledger, where it is not committed yet."""
    first, second = make_desk("first"), make_desk("second")
    first.sheet(people)
    second.sheet(people, name="copy.csv")
    copy = ("run", "copy.csv", "--yes", "--new-ledger", "--json")
    write, refused = run_module._Planner._write, []

    def beside(*arguments: Any) -> None:
        monkeypatch.setattr(run_module._Planner, "_write", write)
        monkeypatch.setattr("campaign.ledger.registry._HELD_S_MAX", 0.0)
        refused.append(second.run(*copy).err)
        write(*arguments)

    monkeypatch.setattr(run_module._Planner, "_write", beside)
    assert first.run("run", "lantern.csv", "--yes").code == 0
    assert second.run(*copy).json["error"]["kind"] == "SameListAgain"
    assert "allowance" in refused[0]
    assert requests() == 6


@pytest.mark.parametrize(
    "name, options, kind",
    [
        ("lantern.csv", ["--allow-repeats"], "KeyChanged"),
        ("copy.csv", [], "SameListAgain"),
    ],
)
def test_a_lost_ledgers_list_is_not_paid_again_under_another_name_or_by_other_keys(
    desk: HereDesk,
    people: Rows,
    requests: Callable[[], int],
    name: str,
    options: list[str],
    kind: str,
) -> None:
    """WeChat Pay knows nothing of the new numbers, so asking it first would not help."""
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    desk.lose_ledger()
    desk.sheet(people, name=name)
    for _ in range(2):
        refused = desk.run("run", name, "--yes", "--json", *options)
        assert (refused.code, refused.json["error"]["kind"]) == (7, kind)
    assert requests() == 0
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert requests() == 0


@pytest.mark.parametrize("options", [[], ["--new-ledger"]])
def test_a_lost_ledgers_list_that_was_copied_and_edited_is_not_paid_again(
    desk: HereDesk, people: Rows, requests: Callable[[], int], options: list[str]
) -> None:
    """Another file, other numbers, and nobody is left who remembers but the registry's digests."""
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    desk.lose_ledger()
    desk.sheet([[people[0][0], "1.77"], *people[1:]], name="copy.csv")
    for _ in range(2):
        refused = desk.run("run", "copy.csv", "--yes", "--json", *options)
        assert (refused.code, refused.json["error"]["kind"]) == (7, "SameListAgain"), refused
        assert "5 of the 6 rows" in refused.json["error"]["message"]
    assert requests() == 0
    agreed = desk.run("run", "copy.csv", "--yes", "--also-pays", "lantern", *options)
    assert agreed.code == 0, agreed
    assert requests() == 6


def test_what_a_killed_run_had_planned_is_known_when_its_ledger_is_lost(
    desk: HereDesk, people: Rows, gateway: Served, requests: Callable[[], int]
) -> None:
    """Killed before its first answer came: it could not remember anything at its end."""
    gateway.set_faults({"answer_lost": {"endpoint": "sendredpack"}})
    desk.sheet(people)
    run = desk.start("run", "lantern.csv", "--yes")
    requests()
    wait_for(lambda: requests() > 0)
    run.kill()
    run.communicate()
    gateway.set_faults({})
    desk.lose_ledger()
    before = gateway.sends()
    desk.sheet([[people[0][0], "1.77"], *people[1:]], name="copy.csv")
    refused = desk.run("run", "copy.csv", "--yes", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (7, "SameListAgain"), refused
    assert gateway.sends() == before


def test_an_older_copy_of_a_ledger_is_noticed_in_another_place(
    desk: HereDesk, make_desk: Callable[..., HereDesk], people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes", "--limit", "2")
    other = make_desk("other")
    other.sheet(people)
    shutil.copy(desk.ledger_file, other.ledger_file)
    desk.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    desk.lose_ledger()
    result = other.run("run", "lantern.csv", "--yes")
    assert result.code == 0, result
    assert "older copy of itself" in result.err
    assert requests() == 0


def test_an_empty_file_is_no_ledger_that_would_hide_a_second_one(
    make_desk: Callable[..., HereDesk], people: Rows, requests: Callable[[], int]
) -> None:
    first, second = make_desk("first"), make_desk("second")
    for desk in (first, second):
        desk.sheet(people)
    first.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    second.ledger_file.touch()
    assert second.run("run", "lantern.csv", "--yes").code == 7
    assert requests() == 0


def test_nothing_is_sent_while_another_ledger_of_the_merchant_cannot_be_read(
    make_desk: Callable[..., HereDesk], people: Rows, requests: Callable[[], int]
) -> None:
    """It may have paid this very list, and today's limits count what it sent."""
    first, second = make_desk("first"), make_desk("second")
    first.sheet(people)
    second.sheet(people, name="copy.csv")
    first.run("run", "lantern.csv", "--yes")
    assert requests() == 6
    with first.ledger_file.open("r+b") as file:
        file.write(b"garbage!" * 4)
    refused = second.run("run", "copy.csv", "--yes", "--new-ledger", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (7, "LedgerRefused")
    assert str(first.ledger_file) in refused.err
    assert requests() == 0


def test_a_conflict_that_sending_brings_about_is_not_told_as_if_nothing_was_sent(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """Both rows of a person were refused, one was removed: fine, until the other one is paid."""
    (who, amount), *_ = people
    desk.sheet([(who, amount), (who, "2.00"), people[1]])
    gateway.set_faults({"openid_error": {"openids": [who]}})
    assert desk.run("run", "lantern.csv", "--yes", "--allow-repeats").code == 6
    gateway.set_faults({})
    desk.sheet([(who, "1.50"), people[1]])
    result = desk.run("run", "lantern.csv", "--yes", "--allow-repeats", "--json")
    assert (result.code, result.json["states"]) == (6, {"accepted": 2, "rejected": 1})
    assert gateway.paid()[who] == 1


def test_a_word_that_cannot_name_a_campaign_is_a_wrong_command_line(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes", "--also-pays", "").code == 2


# ------------------------------------------------------------------ not finished


def test_a_pilot_of_a_campaign_that_was_stopped_does_not_call_the_rest_done(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    desk.sheet(people)
    gateway.set_faults({"notenough": 1})
    assert desk.run("run", "lantern.csv", "--yes", "--wait", "0").code == 5
    gateway.set_faults({})
    result = desk.run("run", "lantern.csv", "--yes", "--limit", "2")
    assert paid(gateway, people) == [1, 1, 0, 0, 0, 0]
    assert "Not sent: 4 planned rows" in result.out
    assert "Done" not in result.out


def test_an_empty_account_stops_the_run_and_the_same_command_goes_on(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """It says how much is missing, in fen for programs and in yuan for people."""
    desk.sheet(people)
    gateway.set_faults({"notenough": {"openids": [who for who, _ in people[2:]]}})
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert result.code == 5, result
    halted = result.json["halted"]
    assert (halted["reason"], halted["err_code"], halted["missing_fen"]) == ("balance", "NOTENOUGH", 418)
    assert "4.18" in halted["advice"]
    assert desk.run("status", "lantern", "--json").json["halted"]["reason"] == "balance"
    gateway.set_faults({})
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert paid(gateway, people) == [1] * 6
    assert desk.run("status", "lantern", "--json").json["halted"] is None


def test_a_persons_daily_limit_holds_only_that_person_back(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    desk.sheet(people)
    gateway.set_faults({"sendnum_limit": {"openids": [people[1][0]]}})
    result = desk.run("run", "lantern.csv", "--yes", "--json", "--wait", "1")
    assert result.code == 5, result
    assert result.json["halted"]["reason"] == "waiting"
    assert result.json["halted"]["until"].endswith("T00:01:00+08:00")  # our clock may be a minute off
    assert paid(gateway, people) == [1, 0, 1, 1, 1, 1]


def test_wait_says_how_long_to_stay_for_rows_that_wait(desk: HereDesk, gateway: Served, people: Rows) -> None:
    """PROCESSING is asked about after `processing_ask_s`: 2 seconds here, 20 minutes in life."""
    desk.sheet(people)
    desk.configure({"timing": {"processing_ask_s": 2}})
    gateway.set_faults({"processing": {"openids": [people[0][0]], "delay_s": 600}})
    left = desk.run("run", "lantern.csv", "--yes", "--json", "--wait", "0")
    assert (left.code, left.json["halted"]["reason"]) == (5, "waiting")
    assert left.json["states"] == {"in_doubt": 1, "accepted": 5}
    stayed = desk.run("run", "lantern.csv", "--yes", "--json", "--wait", "20")
    assert (stayed.code, stayed.json["halted"]) == (0, None)
    assert paid(gateway, people) == [1] * 6


def test_a_gateway_that_is_away_stops_the_run_before_anything_is_sent(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    desk.sheet(people)
    desk.configure({"gateway": {"url": "https://127.0.0.1:9"}})
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert (result.code, result.json["halted"]["reason"]) == (5, "unreachable")
    assert result.json["states"] == {"planned": 6}
    desk.configure({"gateway": {"url": gateway.url}})
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert paid(gateway, people) == [1] * 6


# ------------------------------------------------------------------ needs a person


def test_rows_that_need_a_person_are_named_with_cause_and_next_step(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    desk.sheet(people)
    gateway.set_faults({"openid_error": {"openids": [people[2][0]]}})
    result = desk.run("run", "lantern.csv", "--yes", "--json")
    assert result.code == 6, result
    (need,) = result.json["needs_person"]
    assert need.keys() >= NEEDS_KEYS
    assert (need["row"], need["state"], need["err_code"]) == (4, "rejected", "OPENID_ERROR")
    assert need["re_openid"] == mask_openid(people[2][0])
    assert need["mch_billno"].startswith("1900000109")
    assert need["reason"]
    assert need["advice"]
    assert people[2][0] not in result.said
    unmasked = desk.run("run", "lantern.csv", "--yes", "--json", "--unmask").json
    assert unmasked["needs_person"][0]["re_openid"] == people[2][0]
    told = desk.run("run", "lantern.csv", "--yes")
    assert told.code == 6
    for fact in ("row 4", mask_openid(people[2][0]), need["mch_billno"], need["reason"], need["advice"]):
        assert fact in told.out
    assert people[2][0] not in told.said


def test_not_finished_wins_over_needs_a_person(desk: HereDesk, gateway: Served, people: Rows) -> None:
    desk.sheet(people)
    gateway.set_faults({
        "openid_error": {"openids": [people[0][0]]},
        "sendnum_limit": {"openids": [people[1][0]]},
    })  # fmt: skip
    result = desk.run("run", "lantern.csv", "--yes", "--json", "--wait", "1")
    assert result.code == 5
    assert len(result.json["needs_person"]) == 1


def test_a_corrected_row_that_was_never_stored_is_paid_under_its_own_number(
    desk: HereDesk, gateway: Served, person: Callable[[int], str]
) -> None:
    """With an id column: a wrong openid is put right, and the row keeps its number, however soon that is."""
    wrong, right, name = person(1), person(2), f"correct-{person(0)}".lower()
    gateway.set_faults({"openid_error": {"openids": [wrong]}})
    desk.sheet([("1", wrong, "1.00"), ("2", person(3), "1.00")], header="id,openid,amount")
    assert desk.run("run", "lantern.csv", "--yes", "--name", name).code == 6
    number = desk.entries(name)[0].mch_billno
    desk.sheet([("1", right, "1.00"), ("2", person(3), "1.00")], header="id,openid,amount")
    assert desk.run("run", "lantern.csv", "--yes", "--name", name).code == 0
    assert gateway.orders()[number].re_openid == right
    assert gateway.paid()[right] == 1


# ------------------------------------------------------------------ interrupted


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_lets_answers_arrive_and_the_next_one_finishes(
    desk: HereDesk, gateway: Served, person: Callable[[int], str], how: signal.Signals
) -> None:
    """Exit 130, nothing in doubt, and nobody twice."""
    rows = [(person(n), "1.00") for n in range(60)]
    desk.sheet(rows)
    desk.configure({"gateway": {"sends_per_second": 20}})
    before = gateway.sends().total()
    running = desk.start("run", "lantern.csv", "--yes", "--json")
    wait_for(lambda: gateway.sends().total() >= before + 5)
    running.send_signal(how)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert '"reason": "interrupted"' in out
    sent = gateway.sends().total() - before
    assert 5 <= sent < 60
    states = {entry.state for entry in desk.entries()}
    assert states <= {State.PLANNED, State.ACCEPTED}
    status = desk.run("status", "lantern", "--json")
    assert (status.code, status.json["halted"]["reason"]) == (5, "interrupted")
    desk.configure({"gateway": {"sends_per_second": 1000}})
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert paid(gateway, rows) == [1] * 60
    assert gateway.sends().total() - before == 60


def test_interrupted_twice_it_ends_at_once_and_nothing_is_lost(
    desk: HereDesk, gateway: Served, people: Rows
) -> None:
    """While an answer does not come, the first signal waits for it and the second does not."""
    desk.sheet(people)
    desk.configure({"gateway": {"read_timeout_s": 60}})
    gateway.set_faults({"answer_lost": {"endpoint": "sendredpack"}})
    running = desk.start("run", "lantern.csv", "--yes")
    wait_for(lambda: gateway.paid()[people[0][0]] == 1)
    running.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(timeout=0.5)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=5)
    assert running.returncode == 130
    gateway.set_faults({})
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    assert paid(gateway, people) == [1] * 6
    assert differences(desk, gateway) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_anything_was_planned(
    desk: HereDesk, people: Rows, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Both signals mean the same from the first moment on: exit 130, one sentence, nothing recorded."""
    desk.sheet(people)
    with monkeypatch.context() as here:
        here.setattr("campaign.cli.run.read_sheet", lambda *a, **o: os.kill(os.getpid(), how))
        result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 130
    assert result.err.strip() == "Interrupted. Run the same command again to go on."
    assert not desk.ledger_file.exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# ------------------------------------------------------------------ settings and languages


def test_the_environment_overrides_a_setting(
    desk: HereDesk, people: Rows, requests: Callable[[], int]
) -> None:
    desk.sheet(people)
    desk.environ["CAMPAIGN_LIMITS_CAMPAIGN_YUAN"] = "6.20"
    result = desk.run("run", "lantern.csv", "--yes")
    assert result.code == 3, result
    assert "6.20" in result.err
    assert requests() == 0


def test_the_budget_counts_what_was_sent_before(desk: HereDesk, gateway: Served, people: Rows) -> None:
    desk.sheet(people[:3])
    desk.configure({"limits": {"campaign_yuan": "4.00"}})
    assert desk.run("run", "lantern.csv", "--yes").code == 0
    desk.sheet(people)
    assert desk.run("run", "lantern.csv", "--yes").code == 3
    assert paid(gateway, people) == [1, 1, 1, 0, 0, 0]


def test_in_chinese(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    result = desk.run("run", "lantern.csv", "--yes", "--lang", "zh")
    assert result.code == 0
    assert "等待" in result.said
    assert "taken, not opened yet" not in result.said
