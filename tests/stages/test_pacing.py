"""Never more than the limit in any second, hardly fewer, and one pace for everybody."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.errors import StorageError
from campaign.ports import Permit, SystemClock
from campaign.stages import pacing
from campaign.stages.pacing import GUARD_S, LIMIT_MAX, SharedPacer


@dataclass
class LateClock:
    """Virtual time in which sleepers wake a little late, as real ones do."""

    at_s: float = 5000.0
    late: random.Random = field(default_factory=lambda: random.Random(1))
    late_s_max: float = 0.0
    slept: int = 0

    def now_s(self) -> float:
        return self.at_s + 1.7e9

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept += 1
        self.at_s += seconds + self.late.uniform(0, self.late_s_max)


def leave(pacer: SharedPacer, clock: LateClock) -> float:
    """Let one request leave, and tell when."""
    pacer.acquire()
    return clock.at_s


def most_in_a_window(moments: list[float], window_s: float = 1.0) -> int:
    """The largest number of moments in any window (closed at its start, open at its end)."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_the_windows_are_counted_right() -> None:
    """The measure that the others rely on."""
    assert most_in_a_window([0.0, 0.5, 0.999, 1.0, 1.6]) == 3
    assert most_in_a_window([0.0, 1.0, 2.0]) == 1


@settings(max_examples=60, deadline=None)
@given(
    limit=st.sampled_from([1, 2, 3, 20, 30, 200, 500]),
    late_s=st.sampled_from([0.0, 0.0005, 0.02, 0.4]),
    pauses=st.lists(st.tuples(st.integers(1, 80), st.floats(0.001, 3.0)), max_size=6),
    seed=st.integers(0, 10**6),
)
def test_no_sliding_second_ever_exceeds_the_limit(
    limit: int, late_s: float, pauses: list[tuple[int, float]], seed: int
) -> None:
    """Whatever sleepers, pauses and bursts of work there are; nor does any minute."""
    clock = LateClock(late_s_max=late_s, late=random.Random(seed))
    pacer = SharedPacer(None, limit, clock)
    moments = []
    for requests, pause_s in [*pauses, (3 * limit, 0.0)]:
        moments += [leave(pacer, clock) for _ in range(requests)]
        clock.at_s += pause_s
    assert most_in_a_window(moments) <= limit
    assert most_in_a_window(moments, 60.0) <= 60 * limit


@pytest.mark.parametrize("limit", [1, 7, 20, 30, 200, 500, 3000])
@pytest.mark.parametrize("late_s_max", [0.0, 0.0002, 0.0015])
def test_nearly_all_of_the_limit_is_used(limit: int, late_s_max: float) -> None:
    """At least 99.5 % while there is work, although every sleeper wakes late."""
    clock = LateClock(late_s_max=late_s_max)
    pacer = SharedPacer(None, limit, clock)
    leave(pacer, clock)
    began_s = clock.at_s
    requests = 20 * limit
    for _ in range(requests):
        last_s = leave(pacer, clock)
    assert requests / (last_s - began_s) >= 0.995 * limit


@settings(max_examples=80, deadline=None)
@given(
    limit=st.sampled_from([1, 2, 5, 30, 200]),
    lateness=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.002, 0.03, 0.4, 0.9, 3.0]), min_size=5, max_size=40),
)
def test_what_counts_is_when_a_request_is_written(limit: int, lateness: list[float]) -> None:
    """Some take their leave and are written only later; the others go on meanwhile, and the limit holds."""
    clock = LateClock()
    pacer = SharedPacer(None, limit, clock)
    moments: list[float] = []
    late: list[tuple[float, Permit]] = []

    def write(permit: Permit) -> None:
        pacer.use(permit)
        moments.append(clock.at_s)

    for n in range(4 * limit + 40):
        while isinstance(taken := pacer.take([clock.at_s]), float):
            # Who opens a connection meanwhile writes in between.
            until_s = clock.at_s + taken
            for ready in sorted(late):
                if ready[0] <= until_s:
                    late.remove(ready)
                    clock.at_s = max(clock.at_s, ready[0])
                    write(ready[1])
            clock.at_s = max(clock.at_s, until_s)
        [permit] = taken
        if wait_s := lateness[n % len(lateness)]:
            late.append((clock.at_s + wait_s, permit))
        else:
            write(permit)
    for ready_s, permit in sorted(late):
        clock.at_s = max(clock.at_s, ready_s)
        write(permit)
    assert len(moments) == 4 * limit + 40
    assert most_in_a_window(moments) <= limit


def test_a_request_that_leaves_in_time_is_not_logged_again() -> None:
    """The hot path costs one look at the clock."""
    clock = LateClock()
    pacer = SharedPacer(None, 30, clock)
    permit = pacer.acquire()
    state = bytes(pacer._state)
    pacer.use(permit)
    assert bytes(pacer._state) == state
    clock.at_s += 0.1
    pacer.use(permit)
    assert bytes(pacer._state) != state


def test_a_leave_that_has_grown_old_is_not_used() -> None:
    """Half a window later somebody may follow it soon: the request waits for another one."""
    clock = LateClock()
    pacer = SharedPacer(None, 1, clock)
    old = pacer.acquire()
    clock.at_s += 0.6
    pacer.use(old)
    assert clock.at_s >= old.at_s + 1


def test_requests_are_spread_evenly() -> None:
    """Not thirty at once and then nothing: the next one is always a thirtieth of a second away."""
    clock = LateClock()
    pacer = SharedPacer(None, 30, clock)
    leave(pacer, clock)
    clock.at_s += 100
    moments = [leave(pacer, clock) for _ in range(300)]
    gaps = [after - before for before, after in pairwise(moments)]
    assert max(gaps) == pytest.approx((1 + GUARD_S) / 30)
    assert min(gaps) == pytest.approx((1 + GUARD_S) / 30)


@settings(max_examples=60, deadline=None)
@given(
    limit=st.sampled_from([1, 5, 30, 200, 10_000]),
    pauses=st.lists(st.sampled_from([0.0, 0.0004, 0.002, 0.05, 0.3, 1.5]), min_size=3, max_size=30),
    together=st.integers(1, 20),
)
def test_leave_for_many_at_once_is_what_one_after_the_other_would_get(
    limit: int, pauses: list[float], together: int
) -> None:
    clock = LateClock()
    many, single = SharedPacer(None, limit, clock), SharedPacer(None, limit, clock)
    waiting: list[float] = []
    for pause_s in pauses:
        waiting += [clock.at_s] * together
        clock.at_s += pause_s
        taken = many.take(waiting)
        one_by_one: list[Permit] = []
        while len(one_by_one) < len(waiting):
            one = single.take([waiting[len(one_by_one)]])
            if isinstance(one, float):
                break
            one_by_one += one
        assert (taken if isinstance(taken, list) else []) == one_by_one
        if isinstance(taken, float):
            assert taken == one
        del waiting[: len(one_by_one)]


def test_those_who_wait_catch_up_after_a_stall() -> None:
    """Everything stood still for 80 ms in the middle of the work: no capacity is lost, nor after a long one
    more than that is made up for."""
    for stall_s, caught_up in ((0.08, 16), (5.0, 20)):
        clock = LateClock()
        pacer = SharedPacer(None, 200, clock)
        for _ in range(250):
            leave(pacer, clock)
        arrived_s = clock.at_s
        clock.at_s += stall_s
        at_once = 0
        while isinstance(pacer.take([arrived_s]), list):
            at_once += 1
        assert at_once == pytest.approx(caught_up, abs=1)


@pytest.mark.parametrize("per_second, window_s, most", [(0.5, 2.0, 1), (0.1, 10.0, 1), (2.9, 1.0, 2)])
def test_limits_that_are_not_whole(per_second: float, window_s: float, most: int) -> None:
    """Below one, a request in so many seconds; above, the whole part."""
    clock = LateClock()
    pacer = SharedPacer(None, per_second, clock)
    moments = [leave(pacer, clock) for _ in range(20)]
    assert most_in_a_window(moments, window_s) == most


@pytest.mark.parametrize("per_second", [0, -1, LIMIT_MAX + 1, float("nan"), float("inf")])
def test_a_limit_that_cannot_be_kept_is_refused(per_second: float) -> None:
    """The settings check it; this is our own mistake."""
    with pytest.raises(ValueError, match="per_second"):
        SharedPacer(None, per_second, LateClock())


@settings(max_examples=25, deadline=None)
@given(
    limit=st.sampled_from([1, 5, 30, 100]),
    turns=st.lists(st.tuples(st.booleans(), st.floats(0, 0.3)), min_size=20, max_size=120),
)
def test_two_processes_share_one_pace(tmp_path_factory: pytest.TempPathFactory, limit: int, turns) -> None:
    """Their requests together keep the limit, whoever comes when."""
    path = tmp_path_factory.mktemp("pace") / "sends.pace"
    clock = LateClock()
    pacers = [SharedPacer(path, limit, clock), SharedPacer(path, limit, clock)]
    moments = []
    for first, pause_s in turns:
        moments.append(leave(pacers[first], clock))
        clock.at_s += pause_s
    moments += [leave(pacers[n % 2], clock) for n in range(2 * limit)]
    assert most_in_a_window(moments) <= limit
    for pacer in pacers:
        pacer.close()


def test_two_processes_with_different_limits(tmp_path: Path) -> None:
    """Each keeps its own limit, and counts what the other one sends."""
    path = tmp_path / "sends.pace"
    clock = LateClock()
    slow, fast = SharedPacer(path, 5, clock), SharedPacer(path, 20, clock)
    together, by_slow = [], []
    for turn in range(200):
        together.append(leave(slow if turn % 40 == 0 else fast, clock))
        if turn % 40 == 0:
            by_slow.append(together[-1])
    assert most_in_a_window(together) <= 20
    for moment in by_slow:
        assert sum(moment - 1 <= m < moment for m in together) < 5


def test_a_restart_does_not_forget_the_last_second(tmp_path: Path) -> None:
    """The next process goes on where the last one stopped, without waiting in vain."""
    path = tmp_path / "sends.pace"
    clock = LateClock()
    moments = []
    for _ in range(8):
        pacer = SharedPacer(path, 10, clock)
        moments += [leave(pacer, clock) for _ in range(7)]
        pacer.close()
    assert most_in_a_window(moments) <= 10
    assert moments[-1] - moments[0] < 55 / 10 * 1.02


def damaged_boot(content: bytearray) -> None:
    content[20] ^= 1


def damaged_count(content: bytearray) -> None:
    content[24] ^= 1


def damaged_moment(content: bytearray) -> None:
    content[32:40] = bytes(8)


def emptied(content: bytearray) -> None:
    content.clear()


def all_ones(content: bytearray) -> None:
    content[:] = b"\xff" * len(content)


def half(content: bytearray) -> None:
    del content[len(content) // 2 :]


def damaged_log(content: bytearray) -> None:
    content[128:] = bytes(len(content) - 128)


def log_of_nonsense(content: bytearray) -> None:
    content[128:] = random.Random(7).randbytes(len(content) - 128)


@pytest.mark.parametrize(
    "damage",
    [damaged_boot, damaged_count, damaged_moment, emptied, all_ones, half, damaged_log, log_of_nonsense],
)
def test_a_process_that_does_not_know_the_last_second_waits_one_out(tmp_path: Path, damage) -> None:
    """A damaged file, another boot: ten requests may just have left."""
    path = tmp_path / "sends.pace"
    clock = LateClock()
    pacer = SharedPacer(path, 10, clock)
    moments = [leave(pacer, clock) for _ in range(10)]
    pacer.close()
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    pacer = SharedPacer(path, 10, clock)
    moments += [leave(pacer, clock) for _ in range(30)]
    assert most_in_a_window(moments) <= 10
    assert moments[10] - moments[9] >= 1
    pacer.close()


def test_another_boot_is_an_unknown_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Monotonic seconds of two boots have nothing to do with each other."""
    path = tmp_path / "sends.pace"
    clock = LateClock()
    leave(SharedPacer(path, 10, clock), clock)
    monkeypatch.setattr(pacing, "_boot_id", lambda clock: b"\x01" * 16)
    clock.at_s += 0.2
    began_s = clock.at_s
    assert leave(SharedPacer(path, 10, clock), clock) >= began_s + 1


def test_a_new_file_is_an_unknown_second(tmp_path: Path) -> None:
    """Somebody may have deleted it between two runs."""
    clock = LateClock()
    began_s = clock.at_s
    assert leave(SharedPacer(tmp_path / "sends.pace", 10, clock), clock) >= began_s + 1


def test_a_log_from_the_future_is_not_believed(tmp_path: Path) -> None:
    """A clock that began again (another boot without another id) must not block for days."""
    path = tmp_path / "sends.pace"
    clock = LateClock(at_s=10**6)
    pacer = SharedPacer(path, 10, clock)
    leave(pacer, clock)
    clock.at_s = 50.0
    assert 51 <= leave(pacer, clock) <= 52


def test_freq_limit_halves_the_rate_for_everybody_and_passes(tmp_path: Path) -> None:
    """Half at once, then more by and by, and never above the limit."""
    path = tmp_path / "sends.pace"
    clock = LateClock()
    told, other = SharedPacer(path, 20, clock), SharedPacer(path, 20, clock)
    leave(other, clock)
    told.slow_down()
    moments = [leave(other, clock) for _ in range(1500)]
    first = [m for m in moments if m < moments[0] + 5]
    last = [m for m in moments if m > moments[-1] - 5]
    assert 45 <= len(first) <= 60
    assert len(last) >= 0.98 * 100
    assert most_in_a_window(moments) <= 20


def test_many_answers_at_once_are_one_reason_to_slow_down() -> None:
    """Sixteen requests that were in flight together meet the same FREQ_LIMIT."""
    clock = LateClock()
    pacer = SharedPacer(None, 20, clock)
    leave(pacer, clock)
    for _ in range(16):
        pacer.slow_down()
    moments = [leave(pacer, clock) for _ in range(11)]
    assert moments[10] - moments[0] == pytest.approx(1.0, abs=0.1)


def test_it_never_comes_to_a_stop() -> None:
    """FREQ_LIMIT for an hour leaves a thirtieth of the rate."""
    clock = LateClock()
    pacer = SharedPacer(None, 32, clock)
    for _ in range(300):
        pacer.slow_down()
        leave(pacer, clock)
        clock.at_s += 1.0
    pacer.slow_down()
    began_s = leave(pacer, clock)
    assert leave(pacer, clock) - began_s < 1.2


def test_threads_share_one_pace() -> None:
    """Real threads on a real clock: a third of a second is enough to see."""
    clock = SystemClock()
    pacer = SharedPacer(None, 200, clock)
    moments: list[float] = []

    def work() -> None:
        for _ in range(10):
            pacer.acquire()
            moments.append(clock.monotonic_s())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(moments) == 80
    assert max(moments) - min(moments) >= (80 - 21) / 200  # a tenth of a second may be caught up with
    assert most_in_a_window(moments) <= 200


PROCESS = """
import sys
from pathlib import Path
from campaign.ports import SystemClock
from campaign.stages.pacing import SharedPacer
clock = SystemClock()
pacer = SharedPacer(Path(sys.argv[1]), 50, clock)
for _ in range(int(sys.argv[2])):
    pacer.acquire()
    print(clock.monotonic_s(), flush=True)
"""


def test_real_processes_share_one_pace(tmp_path: Path) -> None:
    """One of them is killed in the middle, which stops nobody."""
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "sends.pace")]
    victim = subprocess.Popen([*command, "1000"], stdout=subprocess.PIPE, text=True)
    others = [subprocess.Popen([*command, "40"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert victim.stdout is not None
    moments = [float(victim.stdout.readline()) for _ in range(10)]
    victim.kill()
    for run in (victim, *others):
        assert run.stdout is not None
        with run.stdout:
            moments += [float(line) for line in run.stdout]
        run.wait(30)
    assert [run.returncode for run in others] == [0, 0]
    assert len(moments) >= 90
    assert most_in_a_window(moments) <= 50


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_pace_file_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Without it two processes might exceed the limit together, so nothing is sent."""

    def refuse(*args: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open" if code != errno.ENOSPC else "pwrite", refuse)
    with pytest.raises(StorageError, match=os.strerror(code)):
        SharedPacer(tmp_path / "sends.pace", 10, LateClock())


def test_only_its_owner_may_use_it(tmp_path: Path) -> None:
    """Anybody who may write it could slow us down, or speed us up."""
    SharedPacer(tmp_path / "sends.pace", 10, LateClock()).close()
    assert (tmp_path / "sends.pace").stat().st_mode & 0o077 == 0
