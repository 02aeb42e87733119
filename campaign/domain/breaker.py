"""When answers that may concern everybody have become too many: the circuit breaker of the run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from campaign.domain.answer import Outcome, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """``[breaker]``: the run pauses at either threshold."""

    #: So many bad answers one after the other.
    consecutive: int = 5
    #: This share of the last ``window`` answers, once there were so many.
    share: float = 0.5
    window: int = 20


@dataclass(slots=True)
class Breaker:
    """Counts the answers of one run; NO_AUTH, PROCESSING, refusals and unknown answers are bad.

    The code alone cannot say whether one person or the whole merchant is meant (R5.1, NO_AUTH), so
    the run stops when too many come together. Throttled and unsent requests say nothing here.
    """

    policy: BreakerPolicy
    _run: int = 0
    _last: deque[bool] = field(default_factory=deque)
    _bad: int = 0  # of the last

    def note(self, outcome: Outcome, reach: Reach) -> bool:
        """Count one answer; True when the run must pause."""
        if outcome in (Outcome.THROTTLED, Outcome.NOT_SENT):
            return False
        bad = reach is Reach.BREAKER
        self._last.append(bad)
        self._bad += bad
        if len(self._last) > self.policy.window:
            self._bad -= self._last.popleft()
        self._run = self._run + 1 if bad else 0
        full = len(self._last) == self.policy.window
        return self._run >= self.policy.consecutive or (
            full and self._bad >= self.policy.share * self.policy.window
        )

    def headroom_or(self, window: int) -> int:
        """How many requests may be in flight: the window, but after a bad answer no more than it takes
        to reach the consecutive threshold."""
        return max(1, self.policy.consecutive - self._run) if self._run else window
