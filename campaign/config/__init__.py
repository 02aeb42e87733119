"""``campaign.toml`` and the environment become frozen settings; secrets by reference."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import SettingsError

from campaign.config.mistakes import as_error, describe, mistake, unknown
from campaign.config.model import REHEARSAL, WECHAT_HOSTS, Settings, host, is_loopback
from campaign.config.secret import anchored, is_literal, refuse_shared
from campaign.errors import SetupError
from campaign.text import Text, text

__all__ = ["FILE_NAME", "Settings", "find_settings", "load_settings"]

FILE_NAME: Final = "campaign.toml"

#: [timing] to WeChat Pay may be longer than the reference's, never shorter (R0.9, R4, R10.5); seconds.
_TIMING_LEAST: Final = {"doubt_ask_s": 1.0, "processing_ask_s": 1200.0, "poll_s": 60.0}
#: Writable by others, and by the group.
_OTHERS_WRITE: Final = 0o002
_GROUP_WRITES: Final = 0o020

#: A place (table, key) and what is wrong there.
_Finding = tuple[tuple[str, ...], Text]


def load_settings(
    path: Path | None = None, *, beside: Path | None = None, gateway_hosts: Sequence[str] = ()
) -> Settings:
    """Read the settings file, let the environment override it, and refuse what is wrong.

    Args:
        path: the file named with ``--config``; without it, ``campaign.toml`` beside the sheet, then here.
        beside: the sheet.
        gateway_hosts: hosts beyond WeChat Pay's two and loopback that ``--gateway-host`` allows.

    Raises:
        SetupError: no file, or something is wrong in it; names key, line and fix.
    """
    file = find_settings(path, beside=beside)
    source = _read(file)
    try:
        settings = Settings(**_tables(source, file))
    except ValidationError as error:
        # Pydantic's error holds the input, secrets too: it does not travel on.
        raise describe(error, file=file, source=source) from None
    except SettingsError:
        raise _not_json() from None
    settings = _anchored(settings, file)
    found = [
        mistake(place, cause, file=file, source=source)
        for place, cause in _contradictions(settings, gateway_hosts)
    ]
    if found:
        raise as_error(found)
    _refuse_writable(file, settings)
    if any(is_literal(url) for url in settings.notify.urls):
        refuse_shared(file, key=Text("[notify] urls"))
    if settings.merchant.private_key:
        refuse_shared(settings.merchant.private_key, key=Text("[merchant] private_key"))
    if settings.merchant.p12:
        refuse_shared(settings.merchant.p12, key=Text("[merchant] p12"))
    return settings


def find_settings(path: Path | None = None, *, beside: Path | None = None) -> Path:
    """The settings file that holds, absolute.

    Raises:
        SetupError: there is none.
    """
    if path is not None:
        if path.is_file():
            return path.absolute()
        raise SetupError(
            text("There is no settings file {path}.", path=path),
            advice=text("Correct --config, or write a first settings file with `campaign init`."),
        )
    folders = ([beside if beside.is_dir() else beside.parent] if beside else []) + [Path()]
    for folder in folders:
        if (folder / FILE_NAME).is_file():
            return (folder / FILE_NAME).absolute()
    raise SetupError(
        text(
            "There is no settings file: looked for {files}.",
            files=tuple(dict.fromkeys(str((folder / FILE_NAME).absolute()) for folder in folders)),
        ),
        advice=text("Write a first one with `campaign init`, or name yours with --config."),
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SetupError(
            text("{file} is not written in UTF-8.", file=file),
            advice=text("Save it as UTF-8 in your editor."),
        ) from None
    except OSError as error:
        raise SetupError(
            text(
                "{file} cannot be read: {reason}.", file=file, reason=error.strerror or type(error).__name__
            ),
            advice=text("Let your user read it, or name another file with --config."),
        ) from error


def _tables(source: str, file: Path) -> dict[str, Any]:
    """The file's tables; numbers with a point as Decimal, so that no amount passes through a float."""
    try:
        tables = tomllib.loads(source, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:  # a number of 5,000 digits, too
        place = re.search(r"at line (\d+), column (\d+)", str(error))
        line, column = place.groups() if place else (len(source.splitlines()), 1)
        raise SetupError(
            text(
                "{file}, line {line}, column {column}: this is not valid TOML.",
                file=file,
                line=line,
                column=column,
            ),
            advice=text(
                'A line reads key = "value", with straight quotes around text, and around a key in Chinese; '
                "each key stands once."
            ),
        ) from None
    strangers = [name for name in tables if name not in Settings.model_fields]
    if strangers:
        raise as_error([mistake((name,), unknown(name, ""), file=file, source=source) for name in strangers])
    return tables


def _anchored(settings: Settings, file: Path) -> Settings:
    """The settings with relative paths made absolute, from the file's folder."""
    folder = file.parent
    merchant, gateway, rehearsal = settings.merchant, settings.gateway, settings.rehearsal
    paths = {
        name: folder / path
        for name in ("certificate", "private_key", "p12")
        if (path := getattr(merchant, name))
    }
    reference = anchored(merchant.api_key_source, folder)
    updates: dict[str, Any] = {"merchant": merchant.model_copy(update={**paths, "api_key_source": reference})}
    if gateway.ca_bundle:
        updates["gateway"] = gateway.model_copy(update={"ca_bundle": folder / gateway.ca_bundle})
    if settings.notify.urls:
        urls = tuple(anchored(url, folder) for url in settings.notify.urls)
        updates["notify"] = settings.notify.model_copy(update={"urls": urls})
    if isinstance(rehearsal.faults, Path):
        updates["rehearsal"] = rehearsal.model_copy(update={"faults": folder / rehearsal.faults})
    whole = settings.model_copy(update=updates)
    whole._file = file
    return whole


def _contradictions(settings: Settings, gateway_hosts: Sequence[str]) -> Iterator[_Finding]:
    """What no table can know alone."""
    gateway, merchant = settings.gateway, settings.merchant
    if not gateway.url:
        yield ("gateway", "url"), text('must be "rehearsal" or an address as https://api.mch.weixin.qq.com')
        return
    allowed = {_host_alone(name) for name in gateway_hosts} | WECHAT_HOSTS
    for key, url in (("url", gateway.url), ("backup_url", gateway.backup_url)):
        if host(url) and host(url) not in allowed and not is_loopback(host(url)):
            yield (
                ("gateway", key),
                text(
                    "is neither WeChat Pay nor this machine; if that is meant, add --gateway-host {host}",
                    host=host(url),
                ),
            )
    if gateway.backup_url == REHEARSAL:
        yield ("gateway", "backup_url"), text("cannot be the rehearsal: only url can")
    if host(gateway.url) in WECHAT_HOSTS and is_loopback(host(gateway.backup_url)):
        yield ("gateway", "backup_url"), text("must be a host of WeChat Pay's, as url is")
    if not gateway.is_real:
        return
    if is_literal(merchant.api_key_source):
        yield (
            ("merchant", "api_key"),
            text(
                'must say where the key is, as "env:WECHATPAY_API_KEY" or "file:api_key.txt"; '
                "keys stay out of this file"
            ),
        )
    if gateway.ca_bundle:
        yield ("gateway", "ca_bundle"), text("is for tests on this machine only; leave it empty")
    if not merchant.certificate and not merchant.p12:
        yield (
            ("merchant", "certificate"),
            text("is missing: WeChat Pay wants certificate and private_key, or p12"),
        )
    for key, least in _TIMING_LEAST.items():
        value = settings.timing.poll_s[0] if key == "poll_s" else getattr(settings.timing, key)
        if value < least:
            yield ("timing", key), text("may not be below {least:g} seconds with WeChat Pay", least=least)


def _host_alone(name: str) -> str:
    """The host of ``--gateway-host``, which may carry a port or a scheme."""
    return host(name if "//" in name else f"//{name}")


def _refuse_writable(file: Path, settings: Settings) -> None:
    """Whoever may write the file decides where the money goes. Where it has none, its group may."""
    forbidden = _OTHERS_WRITE | _GROUP_WRITES if settings.gateway.is_real else _OTHERS_WRITE
    if os.name == "posix" and file.stat().st_mode & forbidden:
        raise SetupError(
            text("Other users of this machine may change {file}.", file=file),
            advice=text("Close it: chmod 600 {path}", path=file),
        )


def _not_json() -> SetupError:
    for name, value in os.environ.items():
        if name.upper().startswith("CAMPAIGN_") and value.lstrip()[:1] in ("[", "{"):
            try:
                json.loads(value)
            except ValueError:
                return as_error([text("Environment variable {variable} is not valid JSON.", variable=name)])
    return as_error(
        [text("A CAMPAIGN_ environment variable should hold a list or a table, and is not valid JSON.")]
    )
