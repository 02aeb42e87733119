"""Hands that carry requests: threads or one loop here, in-line ones in the tests.

A job says what it waits for instead of waiting: leave to send, a pause, an answer. So the same job can
block a thread of its own, or be one of hundreds that a single thread carries on as their turns come.
"""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from campaign.errors import GatewayError
from campaign.ports import Clock, Exchange, Line, Pacer, Permit

T = TypeVar("T")

#: How long results wait for company, so that one durable commit serves many of them (choices: 20 ms).
LINGER_S: Final = 0.02
#: While a commit is written the line is listened to for so many seconds at a time: on a fast disk that is
#: about what it takes.
_MOMENT_S: Final = 0.0003
#: More results than so many do not make a commit cheaper.
COMPANY_MAX: Final = 32
#: Threads at the start of a run, at most, before anything was measured: enough for 500 requests a second that
#: take an eighth of a second each.
HANDS_AT_FIRST: Final = 64
#: How often the number of threads is thought over, in seconds, and after how many requests at least.
_LOOK_EVERY_S: Final = 0.25
_LOOK_AT_LEAST_AT: Final = 4
#: So many requests of one line leave together, in about a millisecond.
_LEAVE_TOGETHER: Final = 16
#: More than the mean are under way at times, and when another process ends, its share of the pace is ours at
#: once; beside them some wait for the pace.
_MARGIN: Final = 2.0
_WAITING_HANDS: Final = 2
#: With such a share of them under way, the threads may be what keeps the pace down.
_ALL_BUSY: Final = 0.8


@dataclass(slots=True)
class Leave:
    """A job wants to send its next request at a moment that the pace allows."""

    pacer: Pacer
    permit: Permit | None = None

    def now(self) -> None:
        """Wait for that moment."""
        self.permit = self.pacer.acquire()

    def use(self) -> None:
        """The request is about to be written."""
        if self.permit:
            self.pacer.use(self.permit)


@dataclass(frozen=True, slots=True)
class Pause:
    """A job wants to wait."""

    clock: Clock
    seconds: float

    def now(self) -> None:
        """Wait."""
        self.clock.sleep(self.seconds)


#: What a job may wait for. An exchange gives its answer, or raises `GatewayError` inside the job.
Step: TypeAlias = Leave | Pause | Exchange[Any]
Job: TypeAlias = Generator[Step, Any, T]


def _wait_for(step: Step) -> object:
    return step.now()


def carry_out(job: Job[T], wait_for: Callable[[Step], object] = _wait_for) -> T:
    """Carry a job out here and now, waiting wherever it waits."""
    try:
        step = next(job)
        while True:
            try:
                outcome = wait_for(step)
            except GatewayError as error:
                step = job.throw(error)
            else:
                step = job.send(outcome)
    except StopIteration as end:
        result: T = end.value
        return result


class Crew(Protocol[T]):
    """Runs jobs beside each other and hands their results back in batches."""

    #: How many requests can be under way at the same time.
    size: int

    @property
    def running(self) -> int:
        """Jobs that were started and whose results were not handed back yet."""

    def start(self, job: Job[T]) -> None:
        """Let somebody carry out the job."""

    def finished(self) -> list[T]:
        """Wait for a result, and return it with those that came at about the same time.

        Raises:
            whatever a job raised: a job translates what it expects, so that would be a bug.
        """

    @property
    def carry_on(self) -> Callable[[], None] | None:
        """Carries on for a moment what is under way, while its caller waits for something else.

        None where it goes on by itself.
        """

    def close(self) -> None:
        """Nothing new is taken."""


class Hands:
    """How many threads are worth having, from what their requests took lately.

    As many as have a request under way at the pace that is kept (rate x latency) and a few that wait for
    their moment; but not more than one interpreter can serve, since all others would only wait for it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.wanted = min(most, HANDS_AT_FIRST)
        self._since_s = math.nan
        self._requests = 0
        self._took_s = self._cpu_s = 0.0
        self._shortest_s = math.inf

    def note(self, *, took_s: float, cpu_s: float, now_s: float) -> None:
        """One request was carried out.

        Args:
            took_s: from its start to its answer.
            cpu_s: the part of it that kept the processor busy.
            now_s: monotonic seconds.
        """
        if math.isnan(self._since_s):
            self._since_s = now_s - took_s
        self._requests += 1
        self._took_s += took_s
        self._cpu_s += cpu_s
        self._shortest_s = min(self._shortest_s, took_s)
        length_s = now_s - self._since_s
        if length_s < _LOOK_EVERY_S or self._requests < _LOOK_AT_LEAST_AT:
            return
        under_way = self._took_s / length_s
        # Of several at once the shortest waited least for the interpreter; one alone does not wait for it.
        alone_s = self._shortest_s if self.wanted > 1 else self._took_s / self._requests
        served = alone_s * self._requests / max(self._cpu_s, 1e-9)
        all_busy = under_way >= _ALL_BUSY * self.wanted
        need = 2 * self.wanted if all_busy else under_way * _MARGIN + _WAITING_HANDS
        slowly = self.wanted - max(1, self.wanted // 4)
        self.wanted = max(1, min(self._most, max(slowly, math.ceil(need)), math.floor(served)))
        self._begin_anew(now_s)

    def _begin_anew(self, now_s: float) -> None:
        self._since_s, self._requests = now_s, 0
        self._took_s = self._cpu_s = 0.0
        self._shortest_s = math.inf


class ThreadCrew(Generic[T]):
    """A crew of threads, as many as the work needs and at most ``size``.

    Where one hand is enough, it is that of the caller, who would only wait for it: a job that is handed to
    another thread and back costs more than half a request.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="campaign")
        self._hands = Hands(size)
        self._busy = 0
        self._jobs: deque[Job[T]] = deque()
        self._alone = threading.Lock()
        self._results: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        self._running = 0
        self.carry_on = None

    @property
    def running(self) -> int:
        return self._running

    def start(self, job: Job[T]) -> None:
        self._running += 1
        self._jobs.append(job)
        self._hire()

    def finished(self) -> list[T]:
        if not self._running:
            return []
        company = company_for(self._running)
        batch = self._by_ourselves(company) or [self._take(None)]
        until = time.monotonic() + (LINGER_S if self._busy else 0.0)
        while len(batch) < company:
            try:
                batch.append(self._take(max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def close(self) -> None:
        """Wait for what is under way; nothing new is taken."""
        with self._alone:
            self._jobs.clear()
        self._pool.shutdown(wait=True)

    def _hire(self) -> None:
        """Let threads begin what there are hands for; one hand is our own."""
        with self._alone:
            while self._jobs and self._busy < self._hands.wanted > 1:
                self._busy += 1
                self._pool.submit(self._work, self._jobs.popleft())

    def _by_ourselves(self, company: int) -> list[T]:
        """What one hand does until a commit is worth it; nothing while there are more."""
        batch: list[T] = []
        until = math.inf
        self._hire()
        while len(batch) < company and self._hands.wanted == 1 and time.monotonic() < until:
            try:
                job = self._jobs.popleft()
            except IndexError:
                break
            self._running -= 1
            batch.append(carry_out(job, self._wait_for))
            until = min(until, time.monotonic() + LINGER_S)
        return batch

    def _work(self, job: Job[T] | None) -> None:
        """What one hand does until there is nothing more for it."""
        while job is not None:
            try:
                self._results.put(carry_out(job, self._wait_for))
            except BaseException as error:  # noqa: BLE001 - the main thread raises it; a thread would lose it
                self._results.put(error)
            with self._alone:
                needed = self._busy <= self._hands.wanted > 1
                job = self._jobs.popleft() if self._jobs and needed else None
                if job is None:
                    self._busy -= 1

    def _wait_for(self, step: Step) -> object:
        if not isinstance(step, Exchange):
            return step.now()
        began_s, busy_s = time.monotonic(), time.thread_time()
        try:
            return step.now()
        finally:
            now_s, cpu_s = time.monotonic(), time.thread_time() - busy_s
            with self._alone:
                self._hands.note(took_s=now_s - began_s, cpu_s=cpu_s, now_s=now_s)

    def _take(self, timeout_s: float | None) -> T:
        result = self._results.get(timeout=timeout_s)
        self._running -= 1
        if isinstance(result, BaseException):
            raise result
        return result


class LineCrew(Generic[T]):
    """A crew of one: it carries all jobs on by turns, on the thread that waits for their results."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self.size = line.size
        self._line = line
        self._clock = clock
        self._running = 0
        #: Jobs that want leave, each with the moment since when, in that order.
        self._leaving: dict[Pacer, deque[tuple[float, Job[T], Leave]]] = defaultdict(deque)
        self._pausing: list[tuple[float, int, Job[T]]] = []
        self._pauses = itertools.count()
        #: Requests that became ready while every place on the line was taken.
        self._ready: deque[_Waiting] = deque()
        self._results: list[T] = []

    @property
    def running(self) -> int:
        return self._running

    def start(self, job: Job[T]) -> None:
        self._running += 1
        self._go_on(job)

    def finished(self) -> list[T]:
        company, until_s = company_for(self._running), math.inf
        while self._running and len(self._results) < company:
            now_s = self._clock.monotonic_s()
            if self._results:
                until_s = min(until_s, now_s + LINGER_S)
                if now_s >= until_s:
                    break
            next_s = self._send_off()
            self._take_in(min(next_s, until_s) - now_s)
        # The network has something to do while the results are booked.
        self._send_off()
        self._take_in(0.0)
        handed, self._results = self._results, []
        self._running -= len(handed)
        return handed

    def carry_on(self) -> None:
        """See `Crew`."""
        self._send_off()
        self._take_in(_MOMENT_S)

    def close(self) -> None:
        """Nothing: what is under way ends with the line."""

    def _send_off(self) -> float:
        """Let every job go on that may now, and return when the next one may (never, where none waits)."""
        while self._pausing and self._pausing[0][0] <= self._clock.monotonic_s():
            self._go_on(heapq.heappop(self._pausing)[2])
        next_s = self._pausing[0][0] if self._pausing else math.inf
        while self._ready and self._line.room:
            self._begin(self._ready.popleft())
        for pacer, jobs in self._leaving.items():
            # Leave is taken only for what can be written at this moment: more would be late.
            block = min(len(jobs), self._line.room, _LEAVE_TOGETHER)
            if block <= 0:
                continue
            taken = pacer.take([since_s for since_s, _, _ in islice(jobs, block)])
            if isinstance(taken, float):
                next_s = min(next_s, self._clock.monotonic_s() + taken)
                continue
            for permit in taken:
                _, job, leave = jobs.popleft()
                leave.permit = permit
                self._go_on(job)
            if jobs and self._line.room:
                next_s = self._clock.monotonic_s()
        return next_s

    def _go_on(self, job: Job[T], outcome: object = None, error: GatewayError | None = None) -> None:
        """Carry a job to its next wait, or to its end."""
        try:
            step = job.send(outcome) if error is None else job.throw(error)
        except StopIteration as end:
            self._results.append(end.value)
            return
        if isinstance(step, Exchange):
            if self._line.room:
                self._begin(_Waiting(job, step))
            else:
                self._ready.append(_Waiting(job, step))
        elif isinstance(step, Leave):
            self._leaving[step.pacer].append((self._clock.monotonic_s(), job, step))
        else:
            until_s = self._clock.monotonic_s() + step.seconds
            heapq.heappush(self._pausing, (until_s, next(self._pauses), job))

    def _begin(self, waiting: _Waiting) -> None:
        exchange = waiting.exchange
        self._line.begin(exchange.path, exchange.body, waiting, exchange.on_write)

    def _take_in(self, wait_s: float) -> None:
        for waiting, came in self._line.landed(max(0.0, wait_s)):
            assert isinstance(waiting, _Waiting)
            if isinstance(came, GatewayError):
                self._go_on(waiting.job, error=came)
            else:
                self._go_on(waiting.job, waiting.exchange.read(came))


class _Waiting(NamedTuple):
    """A job that waits for an answer."""

    job: Job[Any]
    exchange: Exchange[Any]


def company_for(running: int) -> int:
    """How many results of so many jobs are worth waiting for."""
    return min(COMPANY_MAX, max(1, running // 2))
