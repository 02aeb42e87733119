"""An openid as everybody but finance sees it, and a key as everybody does."""

from __future__ import annotations

import re
from typing import Final

_SHOWN_FIRST = 2
_SHOWN_LAST = 4
#: What looks like an openid, wherever it stands. Not ``\b``, to which a Chinese character is a letter.
_OPENID: Final = re.compile(r"(?<![0-9A-Za-z])o[0-9A-Za-z_-]{27}(?![0-9A-Za-z_-])")
#: What has the form of a key or a signature.
_KEY_LIKE: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Za-z]{32}|[0-9A-F]{64})(?![0-9A-Za-z])")
#: An openid that is shorter than this may be a part of any word.
_LONG: Final = 2 * (_SHOWN_FIRST + _SHOWN_LAST)


def mask_openid(openid: str) -> str:
    """Show the first two and the last four characters; nothing of an id so short that half would be told."""
    if len(openid) < _LONG:
        return "…" if openid else ""
    return f"{openid[:_SHOWN_FIRST]}…{openid[-_SHOWN_LAST:]}"


def mask_inside(words: str, re_openid: str = "") -> str:
    """A text with this openid, and whatever else looks like one, masked; what is one wholly, too."""
    if words == re_openid:
        return mask_openid(words)
    if len(re_openid) >= _LONG:
        words = words.replace(re_openid, mask_openid(re_openid))
    return _OPENID.sub(lambda found: mask_openid(found[0]), words)


def hide_keys(words: str) -> str:
    """A text without whatever looks like a key or a signature."""
    return _KEY_LIKE.sub("[hidden]", words)
