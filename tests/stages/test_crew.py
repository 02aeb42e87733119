"""Crews: jobs beside each other on threads or on one line, and as many threads as the work needs."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from campaign.errors import GatewayError, NoAnswer
from campaign.ports import Exchange, nothing
from campaign.stages.crew import COMPANY_MAX, Hands, Job, Leave, LineCrew, Pause, ThreadCrew, carry_out
from campaign.stages.pacing import SharedPacer
from campaign.text import text
from tests.builders import ManualClock
from tests.stages.test_pacing import most_in_a_window

GONE = NoAnswer(text("gone"))


def exchange(name: str, post: Callable[[str, bytes], bytes] = lambda path, body: body) -> Exchange[str]:
    def carry(path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        on_write()
        return post(path, body)

    return Exchange(path="/", body=name.encode(), read=bytes.decode, post=carry)


def job(name: str, **options: object) -> Job[str]:
    """Asks once and says what came of it."""
    try:
        answer: str = yield exchange(name, **options)  # type: ignore[arg-type]
    except GatewayError as error:
        return f"{name}: {error}"
    return f"{name}: {answer}"


@dataclass
class PlayedLine:
    """A line on which every request takes as long as ``takes_s`` says, in virtual time."""

    clock: ManualClock
    size: int = 4
    takes_s: Callable[[str], float] = lambda name: 0.1
    #: What a request waits for a connection before its first byte is written.
    opens_s: Callable[[str], float] = lambda name: 0.0
    fails: set[str] = field(default_factory=set)
    left: list[tuple[float, str]] = field(default_factory=list)
    _begun: list[tuple[float, str, object, Callable[[], None]]] = field(default_factory=list)
    _flying: list[tuple[float, str, object]] = field(default_factory=list)
    most: int = 0

    @property
    def room(self) -> int:
        return self.size - len(self._begun) - len(self._flying)

    def begin(self, path: str, body: bytes, tag: object, on_write: Callable[[], None] = nothing) -> None:
        assert self.room > 0
        name = body.decode()
        self._begun.append((self.clock.monotonic_s() + self.opens_s(name), name, tag, on_write))

    def landed(self, wait_s: float) -> list[tuple[object, bytes | GatewayError]]:
        self._write()
        self.most = max(self.most, len(self._flying))
        now_s = self.clock.monotonic_s()
        waiting = [at_s for at_s, *_ in (*self._flying, *self._begun)]
        assert wait_s < 1e9 or waiting, "waits for ever"
        self.clock.advance(max(0.0, min(wait_s, min(waiting, default=math.inf) - now_s)))
        self._write()
        now_s = self.clock.monotonic_s()
        due = [each for each in self._flying if each[0] <= now_s]
        self._flying = [each for each in self._flying if each[0] > now_s]
        return [(tag, GONE if name in self.fails else name.encode()) for _, name, tag in due]

    def _write(self) -> None:
        """What has its connection by now leaves."""
        for each in sorted(self._begun, key=lambda each: each[0]):
            ready_s, name, tag, on_write = each
            if ready_s > self.clock.monotonic_s():
                continue
            self._begun.remove(each)
            on_write()
            now_s = self.clock.monotonic_s()
            self.left.append((now_s, name))
            self._flying.append((now_s + self.takes_s(name), name, tag))


def all_results(crew: LineCrew[str] | ThreadCrew[str]) -> list[str]:
    results = []
    while crew.running:
        batch = crew.finished()
        assert batch
        results += batch
    return results


# ---------------------------------------------------------------- one line


def test_requests_are_under_way_together_up_to_the_size_of_the_line() -> None:
    line = PlayedLine(ManualClock(), size=3)
    crew: LineCrew[str] = LineCrew(line, line.clock)
    for n in range(10):
        crew.start(job(str(n)))
    began_s = line.clock.monotonic_s()
    assert sorted(all_results(crew)) == [f"{n}: {n}" for n in range(10)]
    assert line.most == 3
    assert line.clock.monotonic_s() - began_s == pytest.approx(0.4, abs=0.03)


def test_what_fails_is_raised_inside_its_own_job() -> None:
    line = PlayedLine(ManualClock(), fails={"b"})
    crew: LineCrew[str] = LineCrew(line, line.clock)
    for name in "abc":
        crew.start(job(name))
    assert sorted(all_results(crew)) == ["a: a", "b: gone", "c: c"]


@pytest.mark.parametrize("limit", [5, 30, 200])
def test_leave_is_taken_at_the_moment_of_sending(limit: int) -> None:
    """Not when the job began: also with slow answers and every place taken no second has more."""
    line = PlayedLine(ManualClock(), size=limit // 4, takes_s=lambda name: 0.05 + int(name) % 7 * 0.03)
    crew: LineCrew[str] = LineCrew(line, line.clock)
    pacer = SharedPacer(None, limit, line.clock)

    def paced(name: str) -> Job[str]:
        yield Leave(pacer)
        return (yield from job(name))

    names = deque(str(n) for n in range(4 * limit))
    done = 0
    while done < 4 * limit:
        while names and crew.running < 64:
            crew.start(paced(names.popleft()))
        done += len(crew.finished())
    moments = [at_s for at_s, _ in line.left]
    assert len(moments) == 4 * limit
    assert most_in_a_window(moments) <= limit


@pytest.mark.parametrize("limit", [1, 5, 30, 200])
@pytest.mark.parametrize("opens_s", [0.004, 0.08, 0.4, 0.7, 1.5, 4.0])
def test_the_limit_holds_where_it_counts_while_connections_are_opened(limit: int, opens_s: float) -> None:
    """A handshake delays some first bytes, by more than a window at worst; the others do not wait for them,
    and still no second has more than the limit. Latency jumps in the middle, and more are opened."""
    line = PlayedLine(
        ManualClock(),
        size=60,
        takes_s=lambda name: 0.02 if int(name) < 2 * limit else 0.25,
        opens_s=lambda name: opens_s if int(name) % 7 < 2 else 0.0,
    )
    crew: LineCrew[str] = LineCrew(line, line.clock)
    pacer = SharedPacer(None, limit, line.clock)

    def paced(name: str) -> Job[str]:
        leave = Leave(pacer)
        yield leave
        return (yield exchange(name).telling(leave.use))

    names = deque(str(n) for n in range(5 * limit))
    done = 0
    while done < 5 * limit:
        while names and crew.running < 64:
            crew.start(paced(names.popleft()))
        done += len(crew.finished())
    moments = [at_s for at_s, _ in line.left]
    assert len(moments) == 5 * limit
    assert most_in_a_window(moments) <= limit


def test_a_pause_holds_up_nobody_else() -> None:
    line = PlayedLine(ManualClock())
    crew: LineCrew[str] = LineCrew(line, line.clock)

    def patient() -> Job[str]:
        yield Pause(line.clock, 5.0)
        return (yield from job("late"))

    crew.start(patient())
    crew.start(job("early"))
    assert crew.finished() == ["early: early"]
    began_s = line.clock.monotonic_s()
    assert crew.finished() == ["late: late"]
    assert line.clock.monotonic_s() - began_s == pytest.approx(5.0, abs=0.15)


def test_results_are_handed_back_in_company_and_without_delay() -> None:
    """As many as a commit wants; a single one waits no longer than the linger."""
    last = 2 * COMPANY_MAX - 1
    line = PlayedLine(ManualClock(), size=last + 1, takes_s=lambda name: 0.1 if int(name) < last else 9.0)
    crew: LineCrew[str] = LineCrew(line, line.clock)
    for n in range(last + 1):
        crew.start(job(str(n)))
    assert len(crew.finished()) >= COMPANY_MAX
    while crew.running > 1:
        crew.finished()
    assert line.clock.monotonic_s() < 1001
    assert crew.finished() == [f"{last}: {last}"]
    assert crew.finished() == []


def test_the_line_goes_on_while_its_caller_waits_for_something_else() -> None:
    line = PlayedLine(ManualClock(), size=1)
    crew: LineCrew[str] = LineCrew(line, line.clock)
    for name in "ab":
        crew.start(job(name))
    while len(line.left) < 2:
        crew.carry_on()
    assert crew.running == 2, "nothing is handed back meanwhile"
    assert all_results(crew) == ["a: a", "b: b"]


def test_a_job_that_waits_for_nothing_is_done_at_once() -> None:
    def nothing() -> Job[str]:
        return "done"
        yield

    line = PlayedLine(ManualClock())
    crew: LineCrew[str] = LineCrew(line, line.clock)
    crew.start(nothing())
    assert crew.finished() == ["done"]


# ---------------------------------------------------------------- threads


def test_threads_carry_jobs_beside_each_other() -> None:
    together = threading.Barrier(4, timeout=10)

    def meet(path: str, body: bytes) -> bytes:
        together.wait()
        return body

    crew: ThreadCrew[str] = ThreadCrew(4)
    for n in range(8):
        crew.start(job(str(n), post=meet))
    assert sorted(all_results(crew)) == [f"{n}: {n}" for n in range(8)]
    crew.close()


def test_a_bug_in_a_job_is_not_lost() -> None:
    def broken() -> Job[str]:
        yield exchange("x")
        raise ZeroDivisionError

    crew: ThreadCrew[str] = ThreadCrew(2)
    crew.start(broken())
    with pytest.raises(ZeroDivisionError):
        crew.finished()
    assert crew.running == 0
    crew.close()


def test_what_has_not_begun_when_the_crew_closes_never_leaves() -> None:
    both_asked, done = threading.Barrier(3, timeout=10), threading.Event()
    posted = []

    def slow(path: str, body: bytes) -> bytes:
        posted.append(body)
        both_asked.wait()
        done.wait(10)
        return body

    crew: ThreadCrew[str] = ThreadCrew(2)
    for n in range(5):
        crew.start(job(str(n), post=slow))
    both_asked.wait()
    threading.Timer(0.05, done.set).start()
    crew.close()
    assert sorted(posted) == [b"0", b"1"]


def test_one_hand_is_the_callers_own() -> None:
    """Nothing is handed to another thread, and what has not begun when the crew closes never leaves."""
    threads = set()

    def post(path: str, body: bytes) -> bytes:
        threads.add(threading.current_thread())
        return body

    crew: ThreadCrew[str] = ThreadCrew(1)
    for n in range(40):
        crew.start(job(str(n), post=post))
    done = crew.finished()
    assert done == [f"{n}: {n}" for n in range(len(done))]
    assert 0 < len(done) <= COMPANY_MAX
    assert crew.running == 40 - len(done)
    assert threads == {threading.current_thread()}
    crew.close()


def test_threads_take_over_as_soon_as_a_request_takes_long() -> None:
    """One hand was enough until the network became slow; the jobs that wait are carried on beside it."""
    crew: ThreadCrew[str] = ThreadCrew(8)
    crew._hands.wanted = 1
    together = threading.Barrier(2, timeout=10)
    for n in range(4):
        crew.start(job(str(n)))
    assert len(crew.finished()) == 2
    crew._hands.wanted = 2
    for n in range(2):
        crew.start(job(str(n), post=lambda path, body: str(together.wait()).encode()))
    assert len(all_results(crew)) == 4
    crew.close()


def test_a_failure_is_raised_inside_the_job_on_any_crew() -> None:
    def fail(path: str, body: bytes) -> bytes:
        raise GONE

    assert carry_out(job("a", post=fail)) == "a: gone"


# ---------------------------------------------------------------- how many hands


def after(
    hands: Hands, seconds: float, *, pace: float, latency_s: float, cpu_s: float, from_s: float
) -> float:
    """Let so many seconds pass as a crew of these hands would work in them; the hands' number is followed.

    One interpreter: the requests of all hands together take at least ``cpu_s`` each.
    """
    now_s = from_s
    while now_s < from_s + seconds:
        alone_s = latency_s + cpu_s
        rate = min(pace, 1 / cpu_s, hands.wanted / alone_s)
        # Who cannot be served at once waits for the interpreter; a lucky one does not.
        under_way = rate * alone_s if rate < 1 / cpu_s else hands.wanted
        for n in range(20):
            now_s += 1 / rate
            took_s = max(alone_s, under_way / rate) if n else alone_s
            hands.note(took_s=took_s, cpu_s=cpu_s, now_s=now_s)
    return now_s


@pytest.mark.parametrize(
    "pace, latency_s, least, most",
    [
        (10_000, 0.0002, 1, 4),  # no network to wait for: more would only wait for the interpreter
        (10_000, 0.1, 128, 128),
        (20, 0.1, 3, 8),
        (30, 0.3, 10, 22),
        (200, 0.1, 42, 45),
        (500, 0.1, 102, 110),
        (500, 1.0, 128, 128),
        (1, 0.1, 1, 4),
    ],
)
def test_there_are_as_many_hands_as_pace_and_latency_need(
    pace: float, latency_s: float, least: int, most: int
) -> None:
    hands = Hands(128)
    after(hands, 60.0, pace=pace, latency_s=latency_s, cpu_s=0.0005, from_s=50.0)
    assert least <= hands.wanted <= most


def test_hands_follow_the_latency() -> None:
    """It jumps from 20 ms to half a second and back; within seconds there are enough, and later fewer."""
    hands = Hands(200)
    now_s = after(hands, 10, pace=200, latency_s=0.02, cpu_s=0.0005, from_s=0.0)
    assert hands.wanted <= 12
    now_s = after(hands, 6, pace=200, latency_s=0.5, cpu_s=0.0005, from_s=now_s)
    assert hands.wanted > 100
    after(hands, 10, pace=200, latency_s=0.02, cpu_s=0.0005, from_s=now_s)
    assert hands.wanted <= 12


@pytest.mark.parametrize("most", [1, 2, 16])
def test_there_are_never_more_hands_than_allowed_nor_none(most: int) -> None:
    hands = Hands(most)
    now_s = 0.0
    for latency_s in (0.5, 0.0001, 30.0, 0.0001):
        now_s = after(hands, 5, pace=1000, latency_s=latency_s, cpu_s=0.001, from_s=now_s)
        assert 1 <= hands.wanted <= most
