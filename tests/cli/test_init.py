"""`campaign init` writes what a newcomer needs to rehearse, and nothing over what is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import openpyxl
import pytest

from campaign.cli import main
from campaign.cli.init import SHEET_NAME, TEMPLATE, sample_sheet, template
from campaign.config import Settings, load_settings
from campaign.config.model import MAIN_HOST
from campaign.i18n import Speech

LANGUAGES = ["en", "zh_CN"]


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "en_US.UTF-8")


def keys_of_settings() -> dict[str, set[str]]:
    tables = {}
    for table, field in Settings.model_fields.items():
        fields = getattr(field.annotation, "model_fields", {})
        tables[table] = {inner.alias or name for name, inner in fields.items()}
    return tables


def test_writes_settings_and_a_sheet_and_says_what_to_do_next(capsys, tmp_path):
    assert main(["init"]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"campaign.toml", SHEET_NAME}
    shown = capsys.readouterr().out
    assert shown.endswith(f"Next:\n  campaign check {SHEET_NAME}\n  campaign run {SHEET_NAME}\n")


def test_makes_the_folder_and_says_how_to_get_there(capsys, tmp_path):
    name = "元宵 节"
    assert main(["init", name]) == 0
    assert (tmp_path / name / "campaign.toml").exists()
    assert f"  cd {shlex.quote(name)}\n" in capsys.readouterr().out


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_settings_load_and_move_no_money(tmp_path, language):
    """As they are, in both languages: a rehearsal with the defaults of every key that has one."""
    assert main(["init", "--lang", language]) == 0
    file = tmp_path / "campaign.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    settings = load_settings(file)
    assert settings.gateway_name() == "rehearsal"
    assert settings.merchant.api_key.get_secret_value()
    written = settings.model_dump()
    plain = Settings(merchant=settings.merchant, limits=settings.limits).model_dump()
    chosen = {"merchant", "limits", "campaign", "packet"}
    assert {t: v for t, v in written.items() if t not in chosen} == {
        t: v | ({"url": "rehearsal"} if t == "gateway" else {}) for t, v in plain.items() if t not in chosen
    }
    assert plain["gateway"]["url"] == f"https://{MAIN_HOST}"
    limits = settings.limits.as_limits()
    defaults = type(settings.limits)(campaign_yuan="1").as_limits()
    assert (limits.in_doubt_fen, limits.person_day_packets) == (
        defaults.in_doubt_fen,
        defaults.person_day_packets,
    )
    assert (limits.person_day_fen, limits.merchant_day_fen) == (
        defaults.person_day_fen,
        defaults.merchant_day_fen,
    )


def test_every_key_is_in_the_template_with_a_comment_of_its_own():
    """And no key that does not exist."""
    told = {table.name: {key.name for key in table.keys} for table in TEMPLATE if table.name != "columns"}
    known = keys_of_settings()
    del known["columns"]
    assert told == known
    for table in TEMPLATE:
        for key in table.keys:
            assert str(key.comment)


@pytest.mark.parametrize("language", LANGUAGES)
def test_idle_keys_are_right_when_the_mark_is_taken_away(language):
    """Whoever needs one removes the #."""
    lively = re.sub(r'(?m)^#("?[\w]+"? = )', r"\1", template(Speech(language)))
    tables = tomllib.loads(lively)
    assert tables["columns"] == {"会员编号": "id"}
    assert {table: set(keys) for table, keys in tables.items() if table != "columns"} == {
        table: keys for table, keys in keys_of_settings().items() if table != "columns"
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_comments_fit_a_screen(language):
    for line in template(Speech(language)).splitlines():
        assert len(line.encode("gbk", "replace")) <= 100, line


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheet_is_an_operators_table(tmp_path, language):
    """Header, then one person a row; ids and amounts as text; openids that nobody can have."""
    path = tmp_path / "x.xlsx"
    path.write_bytes(sample_sheet(Speech(language)))
    header, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    assert header[2:4] == (("openid", "amount (yuan)") if language == "en" else ("用户openid", "金额(元)"))
    assert len(rows) == 5
    for number, name, openid, yuan, wishing in rows:
        assert re.fullmatch(r"o[A-Za-z0-9_-]{27}", openid)
        assert "SAMPLE" in openid
        assert re.fullmatch(r"\d+\.\d\d", yuan)
        assert name in wishing
        assert len(wishing.encode()) < 128
        assert number
    assert len({row[2] for row in rows}) == len({row[0] for row in rows}) == 5


def test_never_writes_over_settings(capsys, tmp_path):
    """Not a byte, not the sheet either."""
    (tmp_path / "campaign.toml").write_text("mine")
    assert main(["init"]) == 2
    assert (tmp_path / "campaign.toml").read_text() == "mine"
    assert not (tmp_path / SHEET_NAME).exists()
    assert "nothing was changed" in capsys.readouterr().err


def test_never_writes_over_a_sheet(capsys, tmp_path):
    (tmp_path / SHEET_NAME).write_text("mine")
    assert main(["init"]) == 0
    assert (tmp_path / SHEET_NAME).read_text() == "mine"
    assert "as it was" in capsys.readouterr().out


def test_a_link_to_nowhere_is_not_followed(tmp_path):
    """A dangling link is somebody's file too."""
    (tmp_path / "campaign.toml").symlink_to(tmp_path / "elsewhere")
    assert main(["init"]) != 0
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made_is_a_sentence(capsys, tmp_path):
    Path(tmp_path / "file").write_text("")
    assert main(["init", "file/inside"]) == 5
    assert "Traceback" not in capsys.readouterr().err
