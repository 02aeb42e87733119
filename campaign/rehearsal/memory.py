"""The stand-in without a network, for tests and the simulation."""

from __future__ import annotations

from collections.abc import Callable

from campaign.errors import NoAnswer, NotSent
from campaign.ports import nothing
from campaign.rehearsal.replies import Ending
from campaign.rehearsal.rules import Rules
from campaign.text import text
from campaign.wechat.transport import Download

_READ_TIMEOUT_S = 15.0


class MemoryTransport:
    """Hands each request to the rules, and treats their reply as the network would.

    It stands where `campaign.wechat.transport.RequestsTransport` does.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        sleep: Callable[[float], None] = lambda _: None,
        read_timeout_s: float = _READ_TIMEOUT_S,
    ) -> None:
        """``sleep`` waits for slow answers and timeouts; by default nothing waits."""
        self._rules = rules
        self._sleep = sleep
        self._read_timeout_s = read_timeout_s

    @property
    def line(self) -> None:
        """None: one request after the other."""

    def post(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        """The answer's body.

        Raises:
            NotSent: the fault `refused`.
            NoAnswer: the rules let the connection break, the answer is too slow, or its status is not 200.
        """
        return self._answer(path, body, on_write).body

    def download(self, path: str, body: bytes, *, bytes_max: int) -> Download:  # noqa: ARG002
        """The answer's body, however long, with its digest; raises as `post`."""
        return self._answer(path, body, nothing)

    def _answer(self, path: str, body: bytes, on_write: Callable[[], None]) -> Download:
        reply = self._rules.handle(path, body)
        if reply.ending is Ending.REFUSE:
            raise NotSent(text("The rehearsal gateway refused the connection."))
        on_write()
        silent = reply.ending is Ending.SILENCE or reply.delay_s >= self._read_timeout_s
        self._sleep(self._read_timeout_s if silent else reply.delay_s)
        if silent or reply.ending is not Ending.ANSWER or reply.status != 200:
            raise NoAnswer(text("The rehearsal gateway gave no answer."))
        return Download(reply.body, reply.digest)

    def close(self) -> None:
        """There is nothing to give back."""
