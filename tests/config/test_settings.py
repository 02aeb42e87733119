"""What `campaign.toml` may say, and what each mistake in it is answered with."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from campaign.config import load_settings
from campaign.config.model import GatewayTable
from campaign.domain.decision import Policy
from campaign.domain.packet import Sender
from campaign.errors import SetupError

KEY = "Abcdefghijklmnopqrstuvwxyz012345"

MERCHANT = f'[merchant]\nmch_id = "1900000109"\nwxappid = "wx0123456789abcdef"\napi_key = "{KEY}"\n'
LIMITS = '[limits]\ncampaign_yuan = "5000.00"\n'
REHEARSAL = f'{MERCHANT}[gateway]\nurl = "rehearsal"\n{LIMITS}'
REAL = (
    '[merchant]\nmch_id = "1900000109"\nwxappid = "wx0123456789abcdef"\napi_key = "env:A_KEY"\n'
    f'certificate = "c.pem"\nprivate_key = "k.pem"\n{LIMITS}'
)


@pytest.fixture(autouse=True)
def only_our_environment(monkeypatch, tmp_path):
    """No setting of the machine that runs the tests has a say."""
    for name in [name for name in os.environ if name.upper().startswith("CAMPAIGN_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(folder: Path, content: str, mode: int = 0o600) -> Path:
    file = folder / "campaign.toml"
    file.write_text(content, encoding="utf-8")
    file.chmod(mode)
    return file


def refusal(file: Path, **how) -> str:
    with pytest.raises(SetupError) as caught:
        load_settings(file, **how)
    assert caught.value.exit_code == 4
    assert caught.value.advice is not None
    return str(caught.value)


def test_defaults_are_the_contracts(tmp_path):
    """A file with nothing but merchant and budget has section 8's values."""
    settings = load_settings(write(tmp_path, REAL))
    assert settings.gateway.urls == ("https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com")
    assert (settings.gateway.sends_per_second, settings.gateway.workers) == (20, None)
    assert (settings.gateway.connect_timeout_s, settings.gateway.read_timeout_s) == (5, 15)
    assert settings.policy() == Policy()
    limits = settings.limits.as_limits()
    assert (limits.campaign_fen, limits.in_doubt_fen, limits.person_day_packets) == (500_000, 200_000, 10)
    assert (limits.person_day_fen, limits.merchant_day_fen) == (100_000, 100_000_000)
    assert settings.breaker.as_policy().consecutive == 5
    assert settings.sender() == Sender(
        mch_id="1900000109", wxappid="wx0123456789abcdef", client_ip="127.0.0.1"
    )
    assert settings.ledger_path() == tmp_path / "campaign.db"
    assert settings.gateway_name() == "api.mch.weixin.qq.com"


def test_paths_start_from_the_settings_folder(tmp_path, monkeypatch):
    """Wherever the command is run."""
    folder = tmp_path / "spring"
    folder.mkdir()
    monkeypatch.chdir("/")
    settings = load_settings(write(folder, REAL))
    assert settings.merchant.certificate == folder / "c.pem"
    assert settings.merchant.private_key == folder / "k.pem"
    assert settings.ledger_path() == folder / "campaign.db"
    assert settings.file == folder / "campaign.toml"


@pytest.mark.parametrize(
    "url, path",
    [
        ("sqlite:///campaign.db", "campaign.rehearsal.db"),
        ("sqlite:///books/spring.db", "books/spring.rehearsal.db"),
        ("sqlite:////elsewhere/x.db", "/elsewhere/x.rehearsal.db"),
    ],
)
def test_rehearsal_has_its_own_ledger_beside_the_real_one(tmp_path, url, path):
    settings = load_settings(write(tmp_path, f'{REHEARSAL}[ledger]\nurl = "{url}"\n'))
    assert settings.ledger_path() == tmp_path / path
    assert settings.gateway_name() == "rehearsal"


def test_named_file_then_beside_the_sheet_then_here(tmp_path, monkeypatch):
    """--config wins; without it the sheet's folder; without a file there the working directory."""
    for name in ("sheet", "here", "named"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, REHEARSAL)
    monkeypatch.chdir(tmp_path / "here")
    sheet = tmp_path / "sheet" / "lantern.xlsx"
    named = tmp_path / "named" / "campaign.toml"
    assert load_settings(named, beside=sheet).file == named
    assert load_settings(beside=sheet).file.parent.name == "sheet"
    (tmp_path / "sheet" / "campaign.toml").unlink()
    assert load_settings(beside=sheet).file.parent.name == "here"
    assert load_settings().file.parent.name == "here"


def test_no_settings_file_says_how_to_make_one(tmp_path):
    with pytest.raises(SetupError) as caught:
        load_settings(beside=tmp_path / "x" / "lantern.xlsx")
    assert str(tmp_path / "campaign.toml") in str(caught.value)
    assert "campaign init" in str(caught.value.advice)
    assert "missing.toml" in refusal(Path("missing.toml"))


@pytest.mark.parametrize(
    "change, words",
    [
        (("workers = 4", "wrokers = 4"), ["line 7", "[gateway] wrokers", "perhaps workers"]),
        (("workers = 4", "zzz = 4"), ["[gateway] zzz", "there are: url"]),
        (("workers = 4", "workers = 0"), ["[gateway] workers", "at least 1"]),
        (("workers = 4", "workers = true"), ["[gateway] workers", "yes-or-no"]),
        (("workers = 4", 'workers = "many"'), ["[gateway] workers", "whole number"]),
        (("workers = 4", "workers = 4.5"), ["whole number"]),
        (("workers = 4", "sends_per_second = inf"), ["sends_per_second", "finite"]),
        (("workers = 4", "sends_per_second = nan"), ["sends_per_second"]),
        (("workers = 4", "sends_per_second = -1"), ["more than 0"]),
        (("workers = 4", "read_timeout_s = 0"), ["read_timeout_s"]),
        (("workers = 4", 'transport = "httpx"'), ["transport", "'requests'", "'curl'"]),
        (("[gateway]", "[gatway]"), ["[gatway]", "perhaps gateway"]),
        (("[gateway]", "[_env_file]"), ["[_env_file]", "is not a setting"]),
        (('campaign_yuan = "5000.00"', ""), ["campaign_yuan", "most that one campaign may spend"]),
        (('"5000.00"', '"5000.001"'), ["line 9", "campaign_yuan", "two decimals"]),
        (('"5000.00"', '"-1"'), ["campaign_yuan"]),
        (('"5000.00"', '"0"'), ["campaign_yuan", "more than nothing"]),
        (('"5000.00"', '"Infinity"'), ["campaign_yuan"]),
        (('"5000.00"', "inf"), ["campaign_yuan"]),
        (('"5000.00"', "[5000]"), ["campaign_yuan"]),
        (('"5000.00"', "true"), ["campaign_yuan"]),
        (('"1900000109"', "1900000109"), ["mch_id", "text in quotes"]),
        (('"1900000109"', '"19000"'), ["mch_id", "8 to 16 digits"]),
        (("wx0123456789abcdef", "gh_0123456789"), ["wxappid"]),
        (('[limits]', '[packet]\nclient_ip = "::1"\n[limits]'), ["client_ip", "IPv4"]),
        (('[limits]', '[timing]\npoll_s = [60, 60]\n[limits]'), ["poll_s", "rising"]),
        (('[limits]', '[timing]\npoll_s = []\n[limits]'), ["poll_s"]),
        (('[limits]', '[timing]\ndoubt_ask_s = -1\n[limits]'), ["doubt_ask_s"]),
        (('[limits]', '[breaker]\nshare = 1.5\n[limits]'), ["share", "at most 1"]),
        (('[limits]', '[parked]\nrepeat = "never"\n[limits]'), ["repeat", "'ask', 'auto'"]),
        (('[limits]', '[ledger]\nurl = "postgresql://x"\n[limits]'), ["[ledger] url", "sqlite:///"]),
        (('[limits]', '[rehearsal]\nfaults = "{oops"\n[limits]'), ["faults", "JSON"]),
        (('[limits]', '[campaign]\nlang = "fr"\n[limits]'), ["lang", "'zh', 'en'"]),
        (('[limits]', '[bill]\naccount = "Fees"\n[limits]'), ["[bill] account", "'Basic', 'Operation'"]),
        (('[limits]', '[bill]\npacket_names = "红包"\n[limits]'), ["[bill] packet_names"]),
        (("[limits]", "[limits"), ["line 8", "not valid TOML"]),
        (("url =", "workers = 4\nurl ="), ["not valid TOML"]),
        (("[gateway]\n", "gateway = 3\n#"), ["gateway"]),
    ],
)  # fmt: skip
def test_every_mistake_names_place_and_cause(tmp_path, change, words):
    """File, line where it can be found, table, key and what is wrong with it."""
    good = REHEARSAL.replace('url = "rehearsal"\n', 'url = "rehearsal"\nworkers = 4\n')
    bad = good.replace(*change, 1)
    assert bad != good
    load_settings(write(tmp_path, good))
    message = refusal(write(tmp_path, bad))
    for word in [str(tmp_path / "campaign.toml"), *words]:
        assert word in message


def test_all_mistakes_are_told_at_once(tmp_path):
    bad = f'{REHEARSAL}x = 1\n[timing]\ndoubt_ask_s = "soon"\n'
    assert len(refusal(write(tmp_path, bad)).splitlines()) == 2


@pytest.mark.parametrize("content", [b"\xff\xfe[\x00", "[merchant]\n# 商户".encode("gbk")])
def test_other_encodings_are_named(tmp_path, content):
    file = tmp_path / "campaign.toml"
    file.write_bytes(content)
    file.chmod(0o600)
    assert "UTF-8" in refusal(file)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    """Windows editors write one."""
    assert load_settings(write(tmp_path, "\ufeff" + REHEARSAL)).gateway.is_rehearsal


@pytest.mark.parametrize(
    "yuan, fen", [('"5000.00"', 500_000), ("5000.10", 500_010), ("5000", 500_000), ('" 1.5 "', 150)]
)
def test_amounts_become_fen_without_a_float(tmp_path, yuan, fen):
    settings = load_settings(write(tmp_path, REHEARSAL.replace('"5000.00"', yuan)))
    assert settings.limits.campaign_fen == fen


@given(fen=st.integers(min_value=1, max_value=10**15))
def test_no_amount_is_changed_by_reading(tmp_path_factory, fen):
    """Quoted or not: the file's digits are the fen."""
    folder = tmp_path_factory.getbasetemp()
    yuan = f"{fen // 100}.{fen % 100:02d}"
    for written in (f'"{yuan}"', yuan):
        settings = load_settings(write(folder, REHEARSAL.replace('"5000.00"', written)))
        assert settings.limits.campaign_fen == fen


@given(
    content=st.text(max_size=200)
    | st.from_regex(r"(\[[a-z_]+\]\n|[a-z_]+ = (\d+|\"[a-z]*\"|\[\]|\{\})\n)*", fullmatch=True)
)
def test_any_text_is_settings_or_one_setup_error(tmp_path_factory, content):
    """No other exception comes out of a settings file."""
    folder = tmp_path_factory.getbasetemp()
    file = folder / "any.toml"
    file.write_text(content, encoding="utf-8", errors="replace")
    file.chmod(0o600)
    with pytest.raises(SetupError):
        load_settings(file)


# ------------------------------------------------------------------ environment


def test_environment_wins_key_by_key(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMPAIGN_LIMITS_CAMPAIGN_YUAN", "7.01")
    monkeypatch.setenv("CAMPAIGN_GATEWAY_SENDS_PER_SECOND", "3")
    monkeypatch.setenv("CAMPAIGN_TIMING_POLL_S", "[60, 90]")
    monkeypatch.setenv("CAMPAIGN_CAMPAIGN_TITLE", "灯会")
    monkeypatch.setenv("CAMPAIGN_REHEARSAL_FAULTS", '{"lost": 0.5}')
    settings = load_settings(write(tmp_path, REHEARSAL))
    assert settings.limits.campaign_fen == 701
    assert settings.gateway.sends_per_second == 3
    assert settings.gateway.is_rehearsal, "the table's other keys stay the file's"
    assert settings.timing.poll_s == (60, 90)
    assert settings.campaign.title == "灯会"
    assert settings.rehearsal.faults == {"lost": 0.5}


@pytest.mark.parametrize(
    "name, value",
    [
        ("CAMPAIGN_GATEWAY_SPEED", "3"),
        ("CAMPAIGN_GATEWAY_WORKERS", "many"),
        ("CAMPAIGN_LIMITS_CAMPAIGN_YUAN", "-3"),
        ("CAMPAIGN_TIMING_POLL_S", "[60,"),
        ("CAMPAIGN_COLUMNS", "{"),
    ],
)
def test_mistakes_in_the_environment_name_the_variable(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert name in refusal(write(tmp_path, REHEARSAL))


def test_other_programs_variables_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMPAIGN_STATE", "x")
    monkeypatch.setenv("CAMPAIGNER_GATEWAY_SPEED", "x")
    assert load_settings(write(tmp_path, REHEARSAL)).gateway.is_rehearsal


# ------------------------------------------------------------------ where money may go


@pytest.mark.parametrize(
    "url, extra, words",
    [
        ("https://pay.example.com", (), ["pay.example.com", "--gateway-host"]),
        ("https://api.mch.weixin.qq.com.example.com", (), ["--gateway-host"]),
        ("https://pay.example.com", ("other.example.com",), ["--gateway-host"]),
        ("http://api.mch.weixin.qq.com", (), ["https://"]),
        ("http://192.0.2.1", ("192.0.2.1",), ["https://"]),
        ("https://user:secret@api.mch.weixin.qq.com", (), ["url"]),
        ("https://api.mch.weixin.qq.com/sandboxnew", (), ["url"]),
        ("https://api.mch.weixin.qq.com:notaport", (), ["url"]),
        ("ftp://localhost", (), ["url"]),
        ("https://", (), ["url"]),
        ("", (), ["url"]),
    ],
)  # fmt: skip
def test_unknown_hosts_and_plain_http_are_refused(tmp_path, url, extra, words):
    message = refusal(write(tmp_path, f'{REAL}[gateway]\nurl = "{url}"\n'), gateway_hosts=extra)
    for word in words:
        assert word in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "url, hosts, tried",
    [
        ("https://api.mch.weixin.qq.com/", (), ("https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com")),
        ("https://pay.example.com:8443", ("pay.example.com",), ("https://pay.example.com:8443",)),
        ("https://pay.example.com", ("PAY.example.com:443",), ("https://pay.example.com",)),
        ("https://127.0.0.1:8443", (), ("https://127.0.0.1:8443",)),
        ("http://localhost:8080", (), ("http://localhost:8080",)),
        ("https://[::1]:8443", (), ("https://[::1]:8443",)),
        ("rehearsal", (), ()),
    ],
)  # fmt: skip
def test_a_stand_in_never_fails_over_to_wechat_pay(tmp_path, url, hosts, tried):
    """backup_url keeps its default in every line here."""
    settings = load_settings(write(tmp_path, f'{REAL}[gateway]\nurl = "{url}"\n'), gateway_hosts=hosts)
    assert settings.gateway.urls == tried


@pytest.mark.parametrize("backup", ["rehearsal", "https://127.0.0.1:1", "https://pay.example.com"])
def test_wechat_pay_never_fails_over_to_a_stand_in(tmp_path, backup):
    assert "backup_url" in refusal(write(tmp_path, f'{REAL}[gateway]\nbackup_url = "{backup}"\n'))


@pytest.mark.parametrize(
    "key, value", [("doubt_ask_s", "0.9"), ("processing_ask_s", "1199"), ("poll_s", "[59, 1200]")]
)
def test_timing_to_wechat_pay_may_not_be_lowered(tmp_path, key, value):
    timing = f"[timing]\n{key} = {value}\n"
    assert key in refusal(write(tmp_path, REAL + timing))
    load_settings(write(tmp_path, f'{REAL}[gateway]\nurl = "https://localhost:1"\n{timing}'))
    load_settings(write(tmp_path, REHEARSAL + timing))


@pytest.mark.parametrize(
    "change, words",
    [
        (('certificate = "c.pem"\nprivate_key = "k.pem"\n', ""), ["certificate", "p12"]),
        (('private_key = "k.pem"\n', ""), ["belong together"]),
        (('private_key = "k.pem"\n', 'private_key = "k.pem"\np12 = "x.p12"\n'), ["either"]),
        (('private_key = "k.pem"\n', 'private_key = "k.pem"\nsub_mch_id = "1900000110"\n'), ["msgappid"]),
        (('"k.pem"\n', '"k.pem"\nconsume_mch_id = "1900000110"\n'), ["sub_mch_id"]),
        (("[limits]", '[gateway]\nca_bundle = "ca.pem"\n[limits]'), ["ca_bundle"]),
    ],
)  # fmt: skip
def test_merchants_facts_fit_together(tmp_path, change, words):
    load_settings(write(tmp_path, REAL))
    message = refusal(write(tmp_path, REAL.replace(*change, 1)))
    for word in words:
        assert word in message


def test_nothing_can_be_changed_afterwards(tmp_path):
    settings = load_settings(write(tmp_path, REHEARSAL))
    with pytest.raises(ValidationError):
        settings.gateway.url = "https://api.mch.weixin.qq.com"
    with pytest.raises(ValidationError):
        settings.limits = None


def test_digest_for_checks_follows_what_checks_read(tmp_path):
    """Packet, columns, limits and merchant; not the pace or the timing."""
    digest = load_settings(write(tmp_path, REHEARSAL)).digest_for_checks()
    for same in ("[timing]\ndoubt_ask_s = 3\n", "[breaker]\nwindow = 30\n"):
        assert load_settings(write(tmp_path, REHEARSAL + same)).digest_for_checks() == digest
    for other in ('[packet]\nwishing = "hi"\n', '[columns]\nx = "id"\n'):
        assert load_settings(write(tmp_path, REHEARSAL + other)).digest_for_checks() != digest
    assert re.fullmatch("[0-9a-f]{64}", digest)


def test_the_bills_names_can_be_set_and_have_the_documentations_defaults(tmp_path):
    """Both accounts are looked at, unless one is named; names are sets for the match."""
    bill = load_settings(write(tmp_path, REHEARSAL)).bill
    assert bill.accounts == ("Basic", "Operation")
    assert "现金红包" in bill.names().packets
    assert "分账" in bill.names().others
    table = '[bill]\naccount = "Operation"\npacket_names = ["营销红包"]\n'
    bill = load_settings(write(tmp_path, f"{REHEARSAL}{table}")).bill
    assert bill.accounts == ("Operation",)
    assert bill.names().packets == {"营销红包"}


ROBOT = "wecombot://0f1e2d3c-4b5a"


def test_nobody_is_told_until_somebody_says_whom_and_then_of_everything(tmp_path):
    """And bills are left alone at night until somebody wants them."""
    settings = load_settings(write(tmp_path, REHEARSAL))
    assert settings.notify.urls == ()
    assert settings.notify.on == ("finished", "halted", "discrepancies", "deadlines", "certificate")
    assert settings.bill.nightly == "skip"


def test_a_robots_address_is_a_secret(tmp_path):
    """It holds the robot's key: no repr shows it, and a file that others may read may not hold it."""
    table = f'[notify]\nurls = ["{ROBOT}", "file:robot.txt"]\n'
    settings = load_settings(write(tmp_path, REHEARSAL + table))
    assert ROBOT not in repr(settings)
    assert settings.notify.urls[1].get_secret_value() == f"file:{tmp_path / 'robot.txt'}"
    assert "[notify] urls" in refusal(write(tmp_path, REHEARSAL + table, mode=0o644))
    load_settings(write(tmp_path, f'{REHEARSAL}[notify]\nurls = ["env:ROBOT"]\n', mode=0o644))


@pytest.mark.parametrize(
    "table, words",
    [
        (f'urls = "{ROBOT}"', ["[notify] urls", "list"]),
        (f'urls = ["{ROBOT}", 7]', ["[notify] urls", "text in quotes"]),
        ('on = ["everything"]', ["[notify] on", "'finished', 'halted', 'discrepancies'"]),
        ('lang = "fr"', ["[notify] lang", "'zh', 'en'"]),
    ],
)
def test_a_mistake_under_notify_is_named_without_any_address(tmp_path, table, words):
    said = refusal(write(tmp_path, f"{REHEARSAL}[notify]\n{table}\n"))
    assert ROBOT not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    "gateway, connections",
    [
        ({}, 40),  # 20 a second while answers take up to 2 s
        ({"sends_per_second": 1, "queries_per_second": 1}, 16),
        ({"sends_per_second": 200}, 256),
        ({"queries_per_second": 30}, 60),
        ({"sends_per_second": 10_000}, 256),
        ({"workers": 3, "sends_per_second": 500}, 3),  # who writes it means it
        ({"workers": 900}, 900),
    ],
)
def test_there_are_as_many_connections_as_the_pace_needs(gateway: dict[str, float], connections: int) -> None:
    assert GatewayTable.model_validate(gateway).connections == connections
