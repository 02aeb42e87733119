"""The Protocols behind which there are two implementations, so that tests can hand in their own world."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from campaign.domain.answer import QueryAnswer, SendAnswer
from campaign.errors import GatewayError

T = TypeVar("T")


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


def nothing() -> None:
    """Who wants to be told when a request leaves, and nobody does."""


class Post(Protocol):
    """Carries a body to a path and brings the answer's body."""

    def __call__(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        """
        Args:
            on_write: called once the connection stands, right before the first byte is written.
        """


class Exchange(NamedTuple, Generic[T]):
    """One request, signed and ready to leave, and how its answer is read."""

    path: str
    body: bytes
    read: Callable[[bytes], T]
    post: Post
    #: Called right before its first byte is written; not at all where it never leaves.
    on_write: Callable[[], None] = nothing

    def __repr__(self) -> str:
        return f"Exchange(path={self.path!r})"  # the body names people

    def telling(self, on_write: Callable[[], None]) -> Exchange[T]:
        """The same, telling when it leaves."""
        return Exchange(self.path, self.body, self.read, self.post, on_write)

    def now(self) -> T:
        """Carry it out, and wait for the answer.

        Raises:
            NotSent: no byte of the request left.
            NoAnswer: it left and no trustworthy answer came back.
        """
        return self.read(self.post(self.path, self.body, self.on_write))


class Line(Protocol):
    """Has many requests under way at once without a thread for each."""

    #: How many can be under way at once.
    size: int

    @property
    def room(self) -> int:
        """How many more can begin now."""

    def begin(self, path: str, body: bytes, tag: object, on_write: Callable[[], None] = nothing) -> None:
        """Let a request leave with the next `landed`; there has to be room. ``on_write`` as for `Post`."""

    def landed(self, wait_s: float) -> list[tuple[object, bytes | GatewayError]]:
        """Carry all of them on and wait for an answer; the answers that came, with their requests' tags.

        Args:
            wait_s: at most so long; 0 only looks.
        """


class Gateway(Protocol):
    """WeChat Pay, or its stand-in. One exchange is one request: nothing here retries. Thread-safe."""

    @property
    def line(self) -> Line | None:
        """What can carry many exchanges on one thread, where there is such a thing."""

    def sending(self, parameters: Mapping[str, str]) -> Exchange[SendAnswer]:
        """The request that sends one packet (``sendredpack``).

        Args:
            parameters: every request parameter but ``sign``, as the ledger froze them.
        """

    def asking(self, mch_billno: str, *, appid: str = "") -> Exchange[QueryAnswer]:
        """The question what became of one bill number (``gethbinfo``).

        Args:
            appid: the account under which it was sent, where that may be another than the settings name
                now: WeChat Pay finds no order under the wrong one.
        """

    def close(self) -> None:
        """Give the connections back."""


class Permit(NamedTuple):
    """Leave for one request at one moment."""

    #: Its number in the log of all requests.
    number: int
    #: The clock's monotonic seconds.
    at_s: float


class Pacer(Protocol):
    """The merchant's rate limit, shared by everything that sends for that merchant. Thread-safe."""

    def acquire(self) -> Permit:
        """Return when one more request may leave at this moment."""

    def use(self, permit: Permit) -> None:
        """The request is about to be written: what counts is this moment, however late it is.

        Waits for leave anew where the permit is too old by now.
        """

    def take(self, arrived_s: Sequence[float]) -> list[Permit] | float:
        """Take leave for the first of these requests, as many as may leave now.

        Args:
            arrived_s: since when each has been ready, in the clock's monotonic seconds.

        Returns:
            a permit for each that may leave; where none may, how many seconds to wait before trying again.
        """

    def slow_down(self) -> None:
        """WeChat Pay said FREQ_LIMIT: send less for a while, everybody."""
