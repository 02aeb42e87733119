"""The bodies of signed requests. What many of them share is sorted, escaped and laid out once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Final

from campaign.wechat.envelope import to_xml
from campaign.wechat.fields import Call
from campaign.wechat.signing import md5, message_of, sign_md5

#: A campaign has one wording, or a few; where every row has its own, none is met twice.
_FORMS_KEPT: Final = 256
#: What stands for itself in the message that is signed, and in a section of CDATA.
_WORD: Final = re.compile(rb"[0-9A-Za-z_-]+")
_SECTION: Final = b"<![CDATA[%b]]>"


class Bodies:
    """Signs and lays out the requests of one call with one key. Thread-safe.

    The body has the parameters in alphabetical order and ``sign`` at the end, whatever the given order.
    """

    def __init__(self, call: Call, api_key: str) -> None:
        self._call = call
        self._api_key = api_key
        self._own = itemgetter(*call.own)
        self._holes = dict.fromkeys(call.own, "")
        self._form = lru_cache(_FORMS_KEPT)(self._laid_out)

    def of(self, parameters: Mapping[str, str]) -> bytes:
        """One request's body.

        Args:
            parameters: every parameter but ``sign``, raw.

        Raises:
            ValueError: a value has characters that cannot be sent.
        """
        own = tuple(map(str.encode, self._own(parameters)))
        if not (all(own) and _WORD.fullmatch(b"".join(own))):
            return self._in_full(parameters)
        shared = {**parameters, **self._holes}
        message, body = self._form(tuple(shared), tuple(shared.values()))
        values = (*own, md5(message % own).encode())
        return body % tuple([value if value.isdigit() else _SECTION % value for value in values])

    def _in_full(self, parameters: Mapping[str, str]) -> bytes:
        """The same without a form, for whatever values."""
        self._check(parameters)
        # MD5 without sign_type: the red packet calls know nothing else (R7.1).
        return to_xml({**dict(sorted(parameters.items())), "sign": sign_md5(parameters, self._api_key)})

    def _laid_out(self, names: tuple[str, ...], values: tuple[str, ...]) -> tuple[bytes, bytes]:
        """What is signed and what is sent for these parameters, with ``%b`` where an own one belongs."""
        self._check(names)
        form = {
            name: "%b" if name in self._holes else value.replace("%", "%%")
            for name, value in sorted(zip(names, values, strict=True))
        }
        message = message_of(form, self._api_key.replace("%", "%%"))
        # No other value is laid out like a hole: of its own per cent signs each is doubled.
        return message, to_xml({**form, "sign": "%b"}).replace(_SECTION, b"%b")

    def _check(self, names: Collection[str]) -> None:
        assert "sign" not in names, "the signature is made here"
        assert not self._call.undocumented(names), "an undocumented field ends in SIGN_ERROR (R0.13)"
