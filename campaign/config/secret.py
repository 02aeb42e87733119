"""Secrets by reference: ``env:NAME``, ``file:PATH``, ``keyring:SERVICE/NAME``. Nothing here shows one.

Not even where somebody has written the key itself behind ``env:``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from campaign.domain.mask import hide_keys
from campaign.errors import SetupError
from campaign.text import Text, text

_SCHEMES: Final = ("env:", "file:", "keyring:")
#: Readable by the group or by others.
_SHARED: Final = 0o077


def is_literal(reference: SecretStr) -> bool:
    """Whether the settings hold the secret itself instead of saying where it is."""
    return not reference.get_secret_value().startswith(_SCHEMES)


def variable(reference: SecretStr) -> str:
    """The environment variable that holds the secret; empty where something else does."""
    scheme, _, name = reference.get_secret_value().partition(":")
    return name if scheme == "env" else ""


def anchored(reference: SecretStr, folder: Path) -> SecretStr:
    """The reference with a relative ``file:`` path made absolute, from the settings' folder."""
    scheme, _, rest = reference.get_secret_value().partition(":")
    if scheme != "file" or not rest:
        return reference
    return SecretStr(f"file:{folder / Path(rest).expanduser()}")


def resolve(reference: SecretStr, *, key: Text) -> SecretStr:
    """Fetch the secret.

    Args:
        key: the setting's name, for the error.

    Raises:
        SetupError: it is not where the reference points, or others may read it.
    """
    if is_literal(reference):
        return reference
    scheme, _, rest = reference.get_secret_value().partition(":")
    fetch = {"env": _from_environment, "file": _from_file, "keyring": _from_keyring}[scheme]
    secret = fetch(rest, key).strip()
    if not secret:
        raise SetupError(
            text(
                "{key} points to {scheme}:{place}, and nothing is there.",
                key=key,
                scheme=scheme,
                place=hide_keys(rest),
            ),
            advice=text("Store the secret there, or correct the setting."),
        )
    return SecretStr(secret)


def refuse_shared(path: Path, *, key: Text) -> None:
    """Refuse a secret file that the group or others may read.

    Raises:
        SetupError: names the file and the ``chmod``.
    """
    if os.name == "posix" and path.exists() and path.stat().st_mode & _SHARED:
        raise SetupError(
            text("{key}: other users of this machine may read {path}.", key=key, path=path),
            advice=text("Close it: chmod 600 {path}", path=path),
        )


def _from_environment(name: str, _key: Text) -> str:
    return os.environ.get(name, "")


def _from_file(place: str, key: Text) -> str:
    path = Path(place)
    refuse_shared(path, key=key)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise SetupError(
            text("{key}: the file {path} cannot be read.", key=key, path=hide_keys(place)),
            advice=text("Put the secret there, on one line, readable by you alone (chmod 600)."),
        ) from None


def _from_keyring(place: str, key: Text) -> str:
    service, _, name = place.partition("/")
    if not service or not name:
        raise SetupError(
            text("{key}: a keyring reference reads keyring:SERVICE/NAME.", key=key),
            advice=text("Write the service and the name, with a slash between them."),
        )
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise SetupError(
            text("{key} points to the keyring, and the keyring library is not installed.", key=key),
            advice=text('Install it with pip install "campaign[keyring]", or use env: or file: instead.'),
        ) from None
    try:
        return keyring.get_password(service, name) or ""
    except keyring.errors.KeyringError:
        raise SetupError(
            text("{key}: this machine's keyring cannot be opened.", key=key),
            advice=text("Unlock it, or use env: or file: instead."),
        ) from None
