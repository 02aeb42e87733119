"""The world's parts: time, hands, wire and disk, each of which a seed may let fail at any step."""

from __future__ import annotations

import heapq
import re
import sqlite3
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar

from campaign.domain.days import beijing_day
from campaign.errors import GatewayError, NoAnswer, NotSent
from campaign.ports import Permit, nothing
from campaign.rehearsal.memory import MemoryTransport
from campaign.stages.crew import Job, carry_out
from campaign.text import text
from campaign.wechat.envelope import flat, from_xml

T = TypeVar("T")

SEND_PATH = "/mmpaymkttransfers/sendredpack"


class Crash(BaseException):
    """The process ends here, at once; only what was durable or had left remains."""


class Broken(AssertionError):
    """A promise was broken."""


class VirtualClock:
    """Time that passes only when somebody waits; what was scheduled happens at its moment."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        #: How far the machine's clock is wrong; the gateway's (`true_s`) never is.
        self.error_s = 0.0

    def now_s(self) -> float:
        return self._now_s + self.error_s

    def true_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        until_s = self._now_s + max(seconds, 0.0)
        while self._later and self._later[0][0] <= until_s:
            at_s, _, happens = heapq.heappop(self._later)
            self._now_s = max(self._now_s, at_s)
            happens()
        self._now_s = max(self._now_s, until_s)

    def at(self, at_s: float, happens: Callable[[], None]) -> None:
        """Let something happen by itself when the time comes."""
        self._count += 1
        heapq.heappush(self._later, (at_s, self._count, happens))


class TrueClock:
    """The gateway's view of the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self.now_s = clock.true_s


class VirtualPacer:
    """Even spacing, for the questions; nobody counts those."""

    def __init__(self, clock: VirtualClock, per_second: float) -> None:
        self._clock = clock
        self._gap_s = 1 / per_second
        self._next_s = 0.0

    def acquire(self) -> Permit:
        self._clock.sleep(self._next_s - self._clock.monotonic_s())
        now_s = self._clock.monotonic_s()
        self._next_s = now_s + self._gap_s
        return Permit(0, now_s)

    def use(self, permit: Permit) -> None:
        """Late or not, nobody counts."""

    def slow_down(self) -> None:
        self._next_s = self._clock.monotonic_s() + 1.0


class InlineCrew(Generic[T]):
    """Carries jobs out one by one; which is next, and when its result is handed back, the seed decides."""

    def __init__(self, size: int, rng: Random, meanwhile: Random | None = None) -> None:
        """``meanwhile``: decides what is carried out while a commit is written; without it nothing is."""
        self.size = size
        self._rng = rng
        self._meanwhile = meanwhile
        self._jobs: list[Job[T]] = []
        self._results: list[T] = []
        self.carry_on = self._carry_on if meanwhile else None

    @property
    def running(self) -> int:
        return len(self._jobs) + len(self._results)

    def start(self, job: Job[T]) -> None:
        self._jobs.append(job)

    def finished(self) -> list[T]:
        rng = self._rng
        while self._jobs and (not self._results or rng.random() < 0.6):
            self._results.append(carry_out(self._jobs.pop(rng.randrange(len(self._jobs)))))
        rng.shuffle(self._results)
        count = rng.randint(1, len(self._results)) if self._results else 0
        handed, self._results = self._results[:count], self._results[count:]
        return handed

    def _carry_on(self) -> None:
        assert self._meanwhile
        if self._jobs:
            job = self._jobs.pop(self._meanwhile.randrange(len(self._jobs)))
            self._results.append(carry_out(job))


class Writer:
    """In place of the thread that writes a ledger's commits: how long each takes, the seed decides."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def submit(self, write: Callable[..., object], *args: object) -> Written:
        before, after = self._rng.choice([(0, 0), (0, 0), (1, 0), (0, 1), (1, 1)])
        return Written(partial(write, *args), before, after)

    def shutdown(self) -> None:
        """Nothing is under way between two commits."""


@dataclass
class Written:
    """A commit under way, as its future; one that is durable may not be known to be yet."""

    write: Callable[[], object]
    #: So many moments pass before it is durable, and after that before it is known to be.
    before: int
    after: int
    _written: bool = False
    _error: BaseException | None = None

    def done(self) -> bool:
        if self.before:
            self.before -= 1
            return False
        self._end()
        self.after -= 1
        return self.after < 0 or self._error is not None

    def result(self) -> None:
        self._end()
        if self._error:
            raise self._error

    def _end(self) -> None:
        if self._written:
            return
        self._written = True
        try:
            self.write()
        except BaseException as error:  # noqa: BLE001 - kept for who asks for the result
            self._error = error


@dataclass(slots=True)
class Letter:
    """One send request that left this machine."""

    at_s: float
    mch_billno: str
    body: bytes
    #: Set when the gateway has it.
    arrived: bool = False


@dataclass
class Wire:
    """The network in front of the stand-in: it may keep a request for minutes, and it remembers them all.

    It checks, as the requests pass, what can be judged from outside: the same number never stands for
    other parameters while an order may exist under it, pace, the gap between repeats and their last day.
    """

    inner: MemoryTransport
    clock: VirtualClock
    rng: Random
    #: Called before and after each request; may raise `Crash`.
    point: Callable[[str], None]
    #: Called with the number of a send request that is about to leave.
    before_send: Callable[[str], None] = lambda _: None
    sends_per_second: float = 20.0
    latency_s: float = 0.0
    #: Share of the send requests that arrive long after the client has given up.
    late_share: float = 0.0
    late_max_s: float = 150.0
    #: False while the machine's clock was set, or the ledger lost: then these checks prove nothing.
    strict: bool = True
    stored: Callable[[str], bool] = lambda _: False
    letters: list[Letter] = field(default_factory=list)
    by_number: dict[str, list[Letter]] = field(default_factory=lambda: defaultdict(list))
    questions: int = 0
    #: How many requests arrived late.
    late: int = 0
    _recent: deque[float] = field(default_factory=deque)

    def post(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        sending = path == SEND_PATH
        self.point("before the request")
        on_write()
        letter = None
        if sending:
            letter = self._check(flat(from_xml(body)))
        else:
            self.questions += 1
        self.clock.sleep(self.latency_s * self.rng.random())
        if letter and self.late_share and self.rng.random() < self.late_share:
            wait_s = self.rng.uniform(1, self.late_max_s)
            self.clock.at(self.clock.true_s() + wait_s, lambda: self._arrive(letter, path, body))
            self.point("after the request")
            self.clock.sleep(15.0)
            raise NoAnswer(text("the request is still on its way"))
        try:
            return self.inner.post(path, body)
        except NotSent:
            if letter:  # it never left, so it proves nothing and forbids nothing
                self.letters.remove(letter)
                self.by_number[letter.mch_billno].remove(letter)
            raise
        finally:
            if letter:
                letter.arrived = True
            self.point("after the request")

    def close(self) -> None:
        """Nothing to give back."""

    def _arrive(self, letter: Letter, path: str, body: bytes) -> None:
        letter.arrived = True
        self.late += 1
        with suppress(GatewayError):  # whatever it answers, nobody listens any more
            self.inner.post(path, body)

    def _check(self, request: dict[str, str]) -> Letter:
        now_s, number = self.clock.true_s(), request["mch_billno"]
        self.before_send(number)
        request.pop("sign")
        body = repr(sorted(request.items())).encode()
        earlier = self.by_number[number]
        if self.strict:
            on_the_way = not all(before.arrived for before in earlier)
            if earlier and earlier[-1].body != body and (on_the_way or self.stored(number)):
                raise Broken(f"{number} was sent with other parameters while an order may exist under it")
            if earlier and now_s - earlier[-1].at_s < 1.0:
                raise Broken(f"{number} was repeated after {now_s - earlier[-1].at_s:.3f} s")
            if self.stored(number) and now_s - earlier[0].at_s > 72 * 3600 + 10:
                raise Broken(
                    f"{number} was repeated {(now_s - earlier[0].at_s) / 3600:.1f} h after its first request"
                )
        letter = Letter(now_s, number, body)
        self.letters.append(letter)
        earlier.append(letter)
        self._check_pace(now_s)
        return letter

    def _check_pace(self, now_s: float) -> None:
        recent = self._recent
        recent.append(now_s)
        while recent and now_s - recent[0] >= 1.0 - 1e-6:
            recent.popleft()
        if len(recent) > self.sends_per_second:
            raise Broken(f"{len(recent)} requests within one second")

    def days_of(self, number: str, stored_s: float) -> set[str]:
        """The Beijing days on which a request for this number left, from the one that stored its order on."""
        letters = self.by_number.get(number, [])
        first_s = max((each.at_s for each in letters if each.at_s <= stored_s), default=stored_s)
        return {beijing_day(each.at_s).isoformat() for each in letters if each.at_s >= first_s}


_connect = sqlite3.connect
_execute = sqlite3.Connection.execute


class _Connection(sqlite3.Connection):
    """A connection to the ledger that stops at its commits; the next process gets it again."""

    disk: Disk
    #: An earlier process had it, so it is set up already.
    reused = False

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if sql[0] not in _NOTED:
            return _execute(self, sql, *values)
        if sql == "COMMIT":
            self.disk.before_commit()
            cursor = _execute(self, sql, *values)
            self.disk.after_commit(self)
            return cursor
        if sql.startswith("BEGIN"):
            self.disk.before_begin(self)
            return _execute(self, sql, *values)
        if self.reused and _SETS_UP.match(sql):
            return self.cursor()
        # What is durable is decided here, not by a real disk.
        return _execute(self, _FAST.get(sql, sql), *values)

    def close(self) -> None:
        """What a process leaves behind when it ends: an open transaction is undone."""
        if self.in_transaction:
            super().execute("ROLLBACK")
        self.reused = True
        self.disk.busy.remove(self)
        self.disk.idle.append(self)

    def unplug(self) -> None:
        """Close it for good."""
        super().close()


#: What a process sets for its connection; the schema's version is the file's.
_SETS_UP = re.compile("PRAGMA (?!user_version)[a-z_]+ = ")
#: The first letters of BEGIN, COMMIT and PRAGMA.
_NOTED = "BCP"

#: Opening and closing a ledger was most of what a story did. Nothing damages the file here but `Disk`.
_FAST = {
    "PRAGMA synchronous = FULL": "PRAGMA synchronous = OFF",
    "PRAGMA journal_mode = WAL": "PRAGMA journal_mode = MEMORY",
    "PRAGMA quick_check(1)": "SELECT 'ok'",
}


@dataclass
class Disk:
    """The ledger's file, its older copies, and everything that can happen at a commit."""

    path: Path
    rng: Random
    point: Callable[[str], None]
    #: Share of the commits that find the disk full.
    full_share: float = 0.0
    #: Share of the commits of which somebody keeps a copy.
    copy_share: float = 0.0
    #: How many commits found it full.
    was_full: int = 0
    copies: list[bytes] = field(default_factory=list)
    #: Connections that no process has now.
    idle: list[_Connection] = field(default_factory=list)
    #: Connections that processes have.
    busy: list[_Connection] = field(default_factory=list)

    def connect(self, *args: Any, **kwargs: Any) -> sqlite3.Connection:
        """A process opens the file."""
        connection = self.idle.pop() if self.idle else self._new_connection(*args, **kwargs)
        connection.disk = self
        self.busy.append(connection)
        return connection

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        """What the last process that is gone would find in the file now."""
        return self.idle[-1].execute(sql).fetchall()

    def before_begin(self, connection: _Connection) -> None:
        """What SQLite would wait for, for ever: here one process after the other takes a step."""
        if any(other.in_transaction for other in self.busy if other is not connection):
            raise Broken("two processes write the ledger at once")

    def _new_connection(self, *args: Any, **kwargs: Any) -> _Connection:
        # Without locks, which `before_begin` stands for.
        uri = f"{self.path.as_uri()}?nolock=1"
        return _connect(uri, *args, uri=True, factory=_Connection, cached_statements=512, **kwargs)

    def before_commit(self) -> None:
        self.point("before the commit")
        if self.full_share and self.rng.random() < self.full_share:
            self.was_full += 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"  # type: ignore[misc]
            raise error

    def after_commit(self, connection: sqlite3.Connection) -> None:
        if self.copy_share and self.rng.random() < self.copy_share:
            self.copies.append(connection.serialize())
        self.point("after the commit")

    def lose(self) -> None:
        """The file is gone."""
        self.unmount()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def unmount(self) -> None:
        """No process has the file open any more."""
        while self.idle:
            self.idle.pop().unplug()

    def restore(self, copy: bytes) -> None:
        """An older copy takes its place."""
        self.lose()
        self.path.write_bytes(copy)


@contextmanager
def mounted(disks: Sequence[Disk]) -> Iterator[None]:
    """While this lasts, connections to these disks' files are ours."""
    ours = {disk.path: disk for disk in disks}

    def connect(database: Any, *args: Any, **kwargs: Any) -> sqlite3.Connection:
        disk = ours.get(database)
        return disk.connect(*args, **kwargs) if disk else _connect(database, *args, **kwargs)

    before, sqlite3.connect = sqlite3.connect, connect  # as `patch` does, in a tenth of the time
    try:
        yield
    finally:
        sqlite3.connect = before
