"""`campaign status`: where the money is, and what needs a person."""

from __future__ import annotations

import subprocess
import sys

from campaign.domain.mask import mask_openid
from tests.acceptance.world import HereDesk, Served

Rows = list[tuple[str, str]]


def test_before_the_first_run(desk: HereDesk) -> None:
    """Nothing is there, nothing is made, and that is no error."""
    assert desk.run("status").out == "No campaign was run yet.\n"
    result = desk.run("status", "--json")
    assert (result.code, result.json["campaigns"]) == (0, [])
    assert not desk.ledger_file.exists()


#: What reading, sending and reporting need, and `status` does not; each costs a good part of a second.
HEAVY = (
    *("pandas", "numpy", "sqlite_utils", "openpyxl", "xlsxwriter", "python_calamine", "jinja2", "PIL"),
    *("requests", "urllib3", "pycurl", "cryptography", "aiohttp", "lxml", "tenacity", "charset_normalizer"),
    *("campaign.wechat.transport", "campaign.rehearsal", "campaign.sheet"),
)


def test_nothing_is_imported_that_it_does_not_use(desk: HereDesk, people: Rows) -> None:
    """In a process of its own, with a campaign to tell about."""
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    code = (
        "import sys; from campaign.cli import main; code = main(['status']); "
        f"sys.exit(code or ' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=desk.folder, env=desk.env)
    assert (result.returncode, result.stderr) == (0, "")
    assert "lantern" in result.stdout


def test_each_campaign_is_told_by_the_name_that_commands_take(desk: HereDesk, people: Rows) -> None:
    """One title in the settings stands above all of them; no name is broken, however long it is."""
    desk.configure({"campaign": {"title": "元宵节"}})
    long = "猜灯谜抢红包活动福田店与南山店会员名单2026年3月"
    desk.sheet(people[:4])
    desk.sheet(people[4:], name=f"{long}.csv")
    desk.run("run", "lantern.csv", "--yes")
    desk.run("run", f"{long}.csv", "--yes")
    told = desk.run("status").out
    assert [f"元宵节 · {name}\n" in told for name in ("lantern", long)] == [True, True]


def test_one_campaign_or_all_of_them(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people[:4])
    desk.sheet(people[4:], name="spring.csv")
    desk.run("run", "lantern.csv", "--yes")
    desk.run("run", "spring.csv", "--yes")
    one = desk.run("status", "lantern", "--json").json
    assert (one["campaign"], one["rows"]) == ("lantern", 4)
    assert one["states"] == {"accepted": 4}
    assert one["fen"] == {"accepted": 410, "total": 410}
    whole = desk.run("status", "--json").json
    assert [campaign["campaign"] for campaign in whole["campaigns"]] == ["lantern", "spring"]
    assert {"states", "fen", "halted", "needs_person"} <= whole["campaigns"][1].keys()
    told = desk.run("status").out
    assert "lantern" in told
    assert "spring" in told
    assert "4.10" in told


def test_a_name_is_found_however_it_is_written(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    assert desk.run("status", " LANTERN ", "--json").json["campaign"] == "lantern"


def test_an_unknown_name_is_a_wrong_command_line(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    result = desk.run("status", "latern")
    assert result.code == 2
    assert "'latern'" in result.err
    assert "lantern." in result.err


def test_it_needs_no_gateway_and_no_key(desk: HereDesk, people: Rows) -> None:
    desk.sheet(people)
    desk.run("run", "lantern.csv", "--yes")
    (desk.folder / "api_key.txt").unlink()
    desk.configure({"gateway": {"url": "https://127.0.0.1:9"}})
    (desk.folder / "api_key.txt").unlink()
    assert desk.run("status", "lantern").code == 0


def test_what_needs_a_person_is_exit_6(desk: HereDesk, gateway: Served, people: Rows) -> None:
    desk.sheet(people)
    gateway.set_faults({"send_failed": {"openids": [people[1][0]]}})
    desk.run("run", "lantern.csv", "--yes")
    result = desk.run("status", "lantern", "--json")
    assert result.code == 6
    (need,) = result.json["needs_person"]
    assert (need["row"], need["re_openid"], need["state"]) == (3, mask_openid(people[1][0]), "rejected")
    assert (
        desk.run("status", "lantern", "--json", "--unmask").json["needs_person"][0]["re_openid"]
        == people[1][0]
    )
