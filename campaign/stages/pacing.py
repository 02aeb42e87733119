"""The pace: never more requests in any second than allowed, and hardly fewer.

A grid spreads the requests evenly; beside it a log of the last requests makes sure that the limit holds
in every sliding second whatever the grid, a sleeping thread or another process did. (A token bucket
alone let 59 requests into one second at a limit of 30.) What holds in every second holds in every minute:
sixty seconds laid end to end cover it. All processes of one merchant share both
through a small file; a process that finds nothing trustworthy in it waits one whole second out.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from campaign.errors import StorageError
from campaign.ports import Clock, Permit
from campaign.text import text

#: The log knows so many requests; no limit may be higher.
LIMIT_MAX: Final = 32_768
#: What a request may be delayed between our leave and the wire without breaking the limit there.
GUARD_S: Final = 0.0045
#: The log's part of it. The rest lets a late thread catch up with the grid without waiting for the log.
_LOG_GUARD_S: Final = 0.004
#: So much later than its leave a request may be written without anybody being told; it may arrive later by as
#: much again, which the log's part of the guard covers.
_ON_TIME_S: Final = 0.002
#: A request that left late arrives still later, by as much again and at most by this.
_LATE_THERE_S_MAX: Final = 0.003
#: The share of a window after which a leave that was not used is worth nothing: soon somebody will follow it.
_STALE: Final = 0.5
#: So much lateness of those who wait is caught up with. A pause is lost, and never becomes a burst.
_CATCH_UP_S: Final = 0.1
#: Who came so much after the grid's moment, from a sleep of its own or another thread, was in time.
_NEARLY_S: Final = 0.01
#: After FREQ_LIMIT everybody goes at half the rate; then a hundredth of the limit comes back each second.
_SLOWER: Final = 0.5
_RECOVERY_PER_S: Final = 0.01
_SLOWEST: Final = 1 / 32
#: Answers to requests that left together are one reason to slow down, not many.
_ONE_REASON_S: Final = 1.0


class _Header(NamedTuple):
    """What is shared beside the log; times are the clock's monotonic seconds."""

    #: Requests since the file was begun; number n, from 1, stands at place ``n % LIMIT_MAX`` of the log.
    requests: int
    #: The grid: nothing leaves before this.
    next_at_s: float
    last_at_s: float
    #: The share of the limit that was left when it was slowed down last, and when that was.
    factor: float
    slowed_at_s: float


#: Changes with the layout, and with nothing else.
_MAGIC: Final = b"pace0001"
_HEADER: Final = struct.Struct("<8s16sQdddd")
_CHECK: Final = struct.Struct("<I")
#: A request's number and moment: what was damaged does not have the number that belongs there.
_LOGGED: Final = struct.Struct("<Qd")
_LOG_AT: Final = 128
_SIZE: Final = _LOG_AT + LIMIT_MAX * _LOGGED.size


class SharedPacer:
    """A `Pacer` that all processes naming the same file share; without a file, all its threads."""

    def __init__(self, path: Path | None, per_second: float, clock: Clock) -> None:
        """Open the pace.

        Args:
            path: the shared file (`Registry.pace_path`); None keeps the pace in memory.
            per_second: the limit, above 0 and at most `LIMIT_MAX`; of a fraction above 1 the whole part
                counts, below 1 it is one request in so many seconds.

        Raises:
            StorageError: the file cannot be made or written.
        """
        if not 0 < per_second <= LIMIT_MAX:
            raise ValueError(f"per_second must be above 0 and at most {LIMIT_MAX}")
        self._clock = clock
        #: So many requests in every window of this length.
        self._limit = max(1, math.floor(per_second))
        window_s = max(1.0, 1 / per_second)
        self._log_window_s = window_s + _LOG_GUARD_S
        self._grid_window_s = window_s + GUARD_S
        self._stale_s = window_s * _STALE
        self._boot = _boot_id(clock)
        # One thread waits for its moment, the others for that thread: nobody is woken in vain.
        self._turn = threading.Lock()
        self._using = threading.Lock()
        self._descriptor = None if path is None else _open(path)
        self._state: mmap.mmap | bytearray
        if self._descriptor is None:
            self._state = bytearray(_SIZE)
            self._write(_Header(0, -math.inf, -math.inf, 1.0, -math.inf))
        else:
            self._state = mmap.mmap(self._descriptor, _SIZE)

    def acquire(self) -> Permit:
        """Return when one more request may leave at this moment."""
        arrived_s = self._clock.monotonic_s()
        with self._turn:
            while isinstance(taken := self.take((arrived_s,)), float):
                self._clock.sleep(taken)
        return taken[0]

    def use(self, permit: Permit) -> None:
        """The request is about to be written: a connection had to be opened, or a thread overslept.

        The log gets the moment at which it really leaves, so the request that stands one limit further in
        the log follows it by a whole window, whatever happened in between. What made it late here will hold
        it up for as long over there (a handshake has two sides), so that is added.
        """
        while self._clock.monotonic_s() - permit.at_s > _ON_TIME_S:
            with self._alone():
                now_s = self._clock.monotonic_s()
                header, late_s = self._read(now_s), now_s - permit.at_s
                if late_s <= self._stale_s and permit.number <= header.requests:
                    self._log(permit.number, now_s + min(late_s, _LATE_THERE_S_MAX))
                    self._write(header._replace(last_at_s=now_s))
                    return
            permit = self.acquire()

    def take(self, arrived_s: Sequence[float]) -> list[Permit] | float:
        """See `campaign.ports.Pacer`."""
        permits: list[Permit] = []
        earliest_s = -math.inf
        with self._alone():
            now_s = self._clock.monotonic_s()
            header = self._read(now_s)
            step_s = self._step_s(self._factor(header, now_s))
            number, next_at_s, last_at_s, *slowness = header
            for since_s in arrived_s:
                earliest_s = max(next_at_s, self._logged(number + 1, last_at_s) + self._log_window_s)
                if now_s < earliest_s:
                    break
                number, last_at_s = number + 1, now_s
                self._log(number, now_s)
                # The grid goes on from where it was if we were here in time, or nearly; else it begins anew.
                grid_s = next_at_s if since_s <= next_at_s + _NEARLY_S else since_s
                next_at_s = max(grid_s, now_s - _CATCH_UP_S) + step_s
                permits.append(Permit(number, now_s))
            if permits:
                self._write(_Header(number, next_at_s, last_at_s, *slowness))
        return permits or earliest_s - now_s

    def slow_down(self) -> None:
        """WeChat Pay said FREQ_LIMIT: half the rate for everybody, and back to the limit by and by."""
        with self._alone():
            now_s = self._clock.monotonic_s()
            header = self._read(now_s)
            if now_s - header.slowed_at_s < _ONE_REASON_S:
                return
            factor = max(_SLOWEST, self._factor(header, now_s) * _SLOWER)
            next_at_s = max(header.next_at_s, header.last_at_s + self._step_s(factor))
            self._write(header._replace(factor=factor, slowed_at_s=now_s, next_at_s=next_at_s))

    def close(self) -> None:
        """Give the file back."""
        if isinstance(self._state, mmap.mmap):
            self._state.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _step_s(self, factor: float) -> float:
        return self._grid_window_s / (self._limit * factor)

    @staticmethod
    def _factor(header: _Header, now_s: float) -> float:
        """The share of the limit that is used now."""
        if header.factor >= 1:
            return 1.0
        return min(1.0, header.factor + (now_s - header.slowed_at_s) * _RECOVERY_PER_S)

    # The shared state

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread or process uses the state meanwhile; the system unlocks for the dead."""
        with self._using:
            if self._descriptor is None:
                yield
                return
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _read(self, now_s: float) -> _Header:
        """The header; a new one that waits one window out where the file cannot be believed."""
        magic, boot, *fields = _HEADER.unpack_from(self._state)
        (check,) = _CHECK.unpack_from(self._state, _HEADER.size)
        header = _Header(*fields)
        believed = (
            magic == _MAGIC
            and boot == self._boot
            and check == zlib.crc32(self._state[: _HEADER.size])
            and header.last_at_s <= now_s
        )
        if believed:
            return header
        header = _Header(0, now_s + self._log_window_s, now_s, 1.0, -math.inf)
        self._write(header)
        return header

    def _write(self, header: _Header) -> None:
        packed = _HEADER.pack(_MAGIC, self._boot, *header)
        self._state[: _HEADER.size + _CHECK.size] = packed + _CHECK.pack(zlib.crc32(packed))

    def _logged(self, number: int, last_at_s: float) -> float:
        """When the request left that this one must follow by a whole window."""
        number -= self._limit
        if number < 1:
            return -math.inf
        found, moment = _LOGGED.unpack_from(self._state, self._place(number))
        if found == number and moment <= last_at_s + _LATE_THERE_S_MAX:
            return float(moment)
        return last_at_s  # a damaged log: a whole window after the newest request is always right

    def _log(self, number: int, now_s: float) -> None:
        # Before the header: if we die in between, the place says another number, which is careful.
        _LOGGED.pack_into(self._state, self._place(number), number, now_s)

    @staticmethod
    def _place(number: int) -> int:
        return _LOG_AT + number % LIMIT_MAX * _LOGGED.size


def _boot_id(clock: Clock) -> bytes:
    """Monotonic seconds mean something only until the machine starts again."""
    # Elsewhere the minute of the start; a clock that was set costs one window.
    boot = _linux_boot_id() or str(round((clock.now_s() - clock.monotonic_s()) / 60))
    return hashlib.blake2b(boot.encode(), digest_size=16).digest()


@cache
def _linux_boot_id() -> str:
    """What Linux calls the time since the machine started; empty elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_size != _SIZE:
            # Written, not only lengthened: a full disk is an error here, and would be a signal later.
            os.pwrite(descriptor, bytes(_SIZE), 0)
            os.ftruncate(descriptor, _SIZE)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError as error:
        os.close(descriptor)
        raise _unusable(path, error) from error
    return descriptor


def _unusable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        text("The pace file {path} cannot be used: {cause}.", path=path, cause=error.strerror or str(error)),
        advice=text("Make its folder writable for you; the limit of requests a second is kept through it."),
    )
