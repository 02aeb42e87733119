"""How full a sliding window was."""

from __future__ import annotations

from collections.abc import Sequence


def fullest(moments_s: Sequence[float], window_s: float) -> int:
    """The most moments in any window of this length; one that is exactly so much later is outside.

    Args:
        moments_s: in any order.
    """
    ordered = sorted(moments_s)
    most = first = 0
    for place, moment_s in enumerate(ordered):
        while moment_s - ordered[first] >= window_s:
            first += 1
        most = max(most, place - first + 1)
    return most
