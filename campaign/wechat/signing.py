"""Signatures of the v2 protocol (R7.1)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

#: What WeCom's second signature covers, whatever else is sent (R2.8).
WORKWX_FIELDS: Final = (
    "act_name",
    "mch_billno",
    "mch_id",
    "nonce_str",
    "re_openid",
    "total_amount",
    "wxappid",
)


def sign_md5(parameters: Mapping[str, str], key: str) -> str:
    """The signature of the red packet endpoints: upper-case hex, 32 characters.

    Args:
        parameters: raw values, neither URL-encoded nor XML-escaped; ``sign`` and empty values are
            left out, as WeChat Pay does.
        key: the APIv2 key.
    """
    return md5(message_of(parameters, key=key))


def sign_hmac_sha256(parameters: Mapping[str, str], key: str) -> str:
    """The signature of ``downloadfundflow`` (R10.2): 64 characters; the red packet calls refuse it."""
    message = message_of(parameters, key=key)
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest().upper()


def workwx_sign(parameters: Mapping[str, str], secret: str) -> str:
    """WeCom's signature with the payment app's secret, which ``sign`` then covers too (R2.8)."""
    covered = {name: parameters[name] for name in WORKWX_FIELDS}
    return md5(message_of(covered, secret=secret))


def sign_matches(parameters: Mapping[str, str], key: str) -> bool:
    """Whether ``parameters["sign"]`` is the MD5 signature of all other parameters, known or not."""
    return hmac.compare_digest(parameters.get("sign", "").encode(), sign_md5(parameters, key).encode())


def message_of(parameters: Mapping[str, str], **secret: str) -> bytes:
    """What is hashed: the non-empty parameters in order, then the secret under its name."""
    # Names are ASCII, so Python's order of code points is the byte order that R7.1 asks for.
    pairs = [f"{name}={value}" for name, value in sorted(parameters.items()) if value and name != "sign"]
    pairs += [f"{name}={value}" for name, value in secret.items()]
    return "&".join(pairs).encode()


def md5(message: bytes) -> str:
    """The signature of such a message: upper-case hex, 32 characters."""
    # Not our choice of hash; the flag lets it work where a FIPS build forbids MD5 for security.
    return hashlib.md5(message, usedforsecurity=False).hexdigest().upper()
