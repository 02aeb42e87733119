"""Hands that carry requests: threads here, in-line ones in the tests."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, Protocol, TypeVar

T = TypeVar("T")

#: How long results wait for company, so that one durable commit serves many of them (choices: 20 ms).
LINGER_S: Final = 0.02
_COMPANY_MAX: Final = 32


class Crew(Protocol[T]):
    """Runs jobs beside each other and hands their results back in batches."""

    #: How many jobs can run at the same time.
    size: int

    @property
    def running(self) -> int:
        """Jobs that were started and whose results were not handed back yet."""

    def start(self, job: Callable[[], T]) -> None:
        """Let somebody carry out the job."""

    def finished(self) -> list[T]:
        """Wait for a result, and return it with those that came at about the same time.

        Raises:
            whatever a job raised: a job translates what it expects, so that would be a bug.
        """


class ThreadCrew(Generic[T]):
    """A crew of threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="campaign")
        self._results: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        self._running = 0

    @property
    def running(self) -> int:
        return self._running

    def start(self, job: Callable[[], T]) -> None:
        self._running += 1
        self._pool.submit(self._carry, job)

    def finished(self) -> list[T]:
        if not self._running:
            return []
        company = min(_COMPANY_MAX, max(1, self._running // 2))
        batch = [self._take(None)]
        until = time.monotonic() + LINGER_S
        while len(batch) < company:
            try:
                batch.append(self._take(max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def close(self) -> None:
        """Wait for what still runs; nothing new is taken."""
        self._pool.shutdown(wait=True)

    def _carry(self, job: Callable[[], T]) -> None:
        try:
            self._results.put(job())
        except BaseException as error:  # noqa: BLE001 - the main thread raises it; a thread would lose it
            self._results.put(error)

    def _take(self, timeout_s: float | None) -> T:
        result = self._results.get(timeout=timeout_s)
        self._running -= 1
        if isinstance(result, BaseException):
            raise result
        return result
