"""The Protocols behind which there are two implementations, so that tests can hand in their own world."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from campaign.domain.answer import QueryAnswer, SendAnswer


class Clock(Protocol):
    """Time, and the only way to wait."""

    def now_s(self) -> float:
        """Unix seconds; may step when somebody sets the machine's clock."""

    def monotonic_s(self) -> float:
        """Seconds that never step; comparable between the processes of one boot."""

    def sleep(self, seconds: float) -> None:
        """Wait; zero or less returns at once."""


class SystemClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class Gateway(Protocol):
    """WeChat Pay, or its stand-in. One call is one request: nothing here retries. Thread-safe."""

    def send_redpack(self, parameters: Mapping[str, str]) -> SendAnswer:
        """Send one packet (``sendredpack``).

        Args:
            parameters: every request parameter but ``sign``, as the ledger froze them.

        Raises:
            NotSent: no byte of the request left.
            NoAnswer: it left and no trustworthy answer came back.
        """

    def query(self, mch_billno: str, *, appid: str = "") -> QueryAnswer:
        """Ask what became of one bill number (``gethbinfo``).

        Args:
            appid: the account under which it was sent, where that may be another than the settings name
                now: WeChat Pay finds no order under the wrong one.

        Raises:
            NotSent, NoAnswer: nothing was learned.
        """

    def close(self) -> None:
        """Give the connections back."""


class Pacer(Protocol):
    """The merchant's rate limit, shared by everything that sends for that merchant. Thread-safe."""

    def acquire(self) -> None:
        """Return when one more request may leave at this moment."""

    def slow_down(self) -> None:
        """WeChat Pay said FREQ_LIMIT: send less for a while, everybody."""
