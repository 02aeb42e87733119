"""Secrets come by reference, are closed to others, and are never shown."""

from __future__ import annotations

import sys
import traceback
import types

import pytest

from campaign.config import load_settings
from campaign.errors import SetupError
from tests.config.test_settings import KEY, REAL, REHEARSAL, only_our_environment, write

__all__ = ["only_our_environment"]


def with_key(reference: str) -> str:
    return REAL.replace("env:A_KEY", reference)


def test_key_from_the_environment(tmp_path, monkeypatch):
    settings = load_settings(write(tmp_path, REAL))
    monkeypatch.setenv("A_KEY", KEY)
    assert settings.merchant.api_key.get_secret_value() == KEY


def test_key_from_a_closed_file_in_the_settings_folder(tmp_path, monkeypatch):
    """The line end that editors add is not part of it."""
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    (tmp_path / "key.txt").chmod(0o600)
    settings = load_settings(write(tmp_path, with_key("file:key.txt")))
    monkeypatch.chdir("/")
    assert settings.merchant.api_key.get_secret_value() == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_key_file_open_to_others_is_refused(tmp_path, mode):
    (tmp_path / "key.txt").write_text(KEY)
    (tmp_path / "key.txt").chmod(mode)
    with pytest.raises(SetupError) as caught:
        _ = load_settings(write(tmp_path, with_key("file:key.txt"))).merchant.api_key
    assert f"chmod 600 {tmp_path / 'key.txt'}" in str(caught.value.advice)


def test_key_from_the_keyring(tmp_path, monkeypatch):
    """Service and name as written; a locked keyring is a sentence."""
    monkeypatch.setitem(sys.modules, "keyring", fake_keyring({("wechat", "apiv2/1"): KEY}))
    monkeypatch.setitem(sys.modules, "keyring.errors", sys.modules["keyring"].errors)
    settings = load_settings(write(tmp_path, with_key("keyring:wechat/apiv2/1")))
    assert settings.merchant.api_key.get_secret_value() == KEY
    with pytest.raises(SetupError, match="nothing is there"):
        _ = load_settings(write(tmp_path, with_key("keyring:wechat/none"))).merchant.api_key
    with pytest.raises(SetupError, match="cannot be opened"):
        _ = load_settings(write(tmp_path, with_key("keyring:locked/none"))).merchant.api_key
    with pytest.raises(SetupError, match="SERVICE/NAME"):
        _ = load_settings(write(tmp_path, with_key("keyring:wechat"))).merchant.api_key


@pytest.mark.parametrize("scheme", ["env:", "file:", "keyring:wechat/", "keyring:"])
def test_a_key_that_stands_where_its_place_belongs_is_not_repeated(tmp_path, monkeypatch, scheme):
    """The likeliest slip of whoever sets this up first."""
    monkeypatch.setitem(sys.modules, "keyring", fake_keyring({}))
    monkeypatch.setitem(sys.modules, "keyring.errors", sys.modules["keyring"].errors)
    with pytest.raises(SetupError, match="api_key") as caught:
        _ = load_settings(write(tmp_path, with_key(scheme + KEY))).merchant.api_key
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_without_the_keyring_library_the_other_ways_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SetupError) as caught:
        _ = load_settings(write(tmp_path, with_key("keyring:a/b"))).merchant.api_key
    assert "campaign[keyring]" in str(caught.value.advice)


@pytest.mark.parametrize("reference", ["env:NOT_THERE", "env:", "file:none.txt", "file:"])
def test_a_missing_key_is_named(tmp_path, reference):
    with pytest.raises(SetupError, match=r"\[merchant\] api_key"):
        _ = load_settings(write(tmp_path, with_key(reference))).merchant.api_key


@pytest.mark.parametrize("key", [KEY[:-1], KEY + "x", KEY[:-1] + "_", "密" * 32])
def test_what_is_no_apiv2_key_is_refused_and_not_shown(tmp_path, monkeypatch, key):
    monkeypatch.setenv("A_KEY", key)
    with pytest.raises(SetupError, match="32 letters and digits") as caught:
        _ = load_settings(write(tmp_path, REAL)).merchant.api_key
    assert key not in everything_said(caught.value)


@pytest.mark.parametrize("url, refused", [
    ("https://api.mch.weixin.qq.com", True),
    ("https://pay.example.com", True),
    ("https://127.0.0.1:8443", False),
    ("rehearsal", False),
])  # fmt: skip
def test_a_literal_key_is_for_stand_ins_on_this_machine_only(tmp_path, url, refused):
    file = write(tmp_path, f'{with_key(KEY)}[gateway]\nurl = "{url}"\n')
    if not refused:
        assert load_settings(file).merchant.api_key.get_secret_value() == KEY
        return
    with pytest.raises(SetupError, match="api_key") as caught:
        load_settings(file, gateway_hosts=["pay.example.com"])
    assert KEY not in everything_said(caught.value)


@pytest.mark.parametrize("broken", [
    REHEARSAL.replace("[limits]", "[limts]"),
    REHEARSAL.replace("mch_id", "mch"),
    REHEARSAL.replace("api_key =", "api_ky ="),
    REHEARSAL.replace(f'"{KEY}"', f'["{KEY}"]'),
    REHEARSAL.replace(f'"{KEY}"', f'"{KEY}'),
    REHEARSAL.replace('mch_id = "1900000109"', f'mch_id = "{KEY}"'),
])  # fmt: skip
def test_no_error_repeats_what_the_file_holds(tmp_path, broken):
    """Neither its sentence nor its traceback nor the errors that it came from."""
    with pytest.raises(SetupError) as caught:
        load_settings(write(tmp_path, broken))
    assert KEY not in everything_said(caught.value)


def test_settings_do_not_print_the_key(tmp_path):
    settings = load_settings(write(tmp_path, REHEARSAL))
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.merchant.api_key)):
        assert KEY not in shown


@pytest.mark.parametrize("mode, real, rehearsal", [
    (0o600, True, True),
    (0o644, True, True),
    (0o664, False, True),  # the usual mode where every user has a group of their own
    (0o602, False, False),
    (0o666, False, False),
])  # fmt: skip
def test_a_settings_file_that_others_may_write_is_refused(tmp_path, mode, real, rehearsal):
    for content, accepted in ((REAL, real), (REHEARSAL, rehearsal)):
        file = write(tmp_path, content, mode)
        if accepted:
            load_settings(file)
        else:
            with pytest.raises(SetupError) as caught:
                load_settings(file)
            assert f"chmod 600 {file}" in str(caught.value.advice)


@pytest.mark.parametrize("name, change", [
    ("k.pem", ("", "")),
    ("x.p12", ('certificate = "c.pem"\nprivate_key = "k.pem"', 'p12 = "x.p12"')),
])  # fmt: skip
def test_a_private_key_open_to_others_is_refused(tmp_path, name, change):
    (tmp_path / name).write_text("key")
    (tmp_path / name).chmod(0o600)
    file = write(tmp_path, REAL.replace(*change))
    load_settings(file)
    (tmp_path / name).chmod(0o640)
    with pytest.raises(SetupError) as caught:
        load_settings(file)
    assert f"chmod 600 {tmp_path / name}" in str(caught.value.advice)


def everything_said(error: SetupError) -> str:
    """All that a log of this error could hold."""
    return (
        "".join(traceback.format_exception(error)) + repr(error) + str(error.advice) + repr(error.__context__)
    )


def fake_keyring(stored: dict[tuple[str, str], str]) -> types.ModuleType:
    module = types.ModuleType("keyring")
    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})

    def get_password(service: str, name: str) -> str | None:
        if service == "locked":
            raise errors.KeyringError
        return stored.get((service, name))

    module.errors, module.get_password = errors, get_password
    return module
