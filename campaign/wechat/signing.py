"""Signatures of the v2 protocol (R7.1)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


def sign_md5(parameters: Mapping[str, str], key: str) -> str:
    """The signature of the red packet endpoints: upper-case hex, 32 characters.

    Args:
        parameters: raw values, neither URL-encoded nor XML-escaped; ``sign`` and empty values are
            left out, as WeChat Pay does.
        key: the APIv2 key.
    """
    return md5(message_of(parameters, key))


def sign_hmac_sha256(parameters: Mapping[str, str], key: str) -> str:
    """The signature of ``downloadfundflow`` (R10.2): 64 characters; the red packet calls refuse it."""
    message = message_of(parameters, key)
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest().upper()


def sign_matches(parameters: Mapping[str, str], key: str) -> bool:
    """Whether ``parameters["sign"]`` is the MD5 signature of all other parameters, known or not."""
    return hmac.compare_digest(parameters.get("sign", "").encode(), sign_md5(parameters, key).encode())


def message_of(parameters: Mapping[str, str], key: str) -> bytes:
    """What is hashed: the non-empty parameters in order, then the key."""
    # Names are ASCII, so Python's order of code points is the byte order that R7.1 asks for.
    pairs = [f"{name}={value}" for name, value in sorted(parameters.items()) if value and name != "sign"]
    return "&".join([*pairs, f"key={key}"]).encode()


def md5(message: bytes) -> str:
    """The signature of such a message: upper-case hex, 32 characters."""
    # Not our choice of hash; the flag lets it work where a FIPS build forbids MD5 for security.
    return hashlib.md5(message, usedforsecurity=False).hexdigest().upper()
