"""An openid as everybody but finance sees it."""

from __future__ import annotations

_SHOWN_FIRST = 2
_SHOWN_LAST = 4


def mask_openid(openid: str) -> str:
    """Show the first two and the last four characters; nothing of an id so short that half would be told."""
    if len(openid) < 2 * (_SHOWN_FIRST + _SHOWN_LAST):
        return "…" if openid else ""
    return f"{openid[:_SHOWN_FIRST]}…{openid[-_SHOWN_LAST:]}"
