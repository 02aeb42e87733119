"""Sending at full speed over mTLS at 0 ms, durable and paced, beside what others do with the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tests.bench.figures import Figure, Target, unmeasured
from tests.bench.ground import TRANSPORTS, Ground, Sent, cpu_us, in_turn, middle, missing, rate

_NOTE = (
    "`campaign run` in a process of its own, ledger durable, limit 10,000/s; rows/s from the first to the "
    "last arrival at the gateway, CPU of the client between the two; each side at its best connection "
    "count; medians of 3 runs in turn"
)
_TARGETS = {
    "requests": {
        "wechatpy, 32 threads": Target(2.5, 1.8),
        "wechatpy, serial": Target(1.6, 1.3),
        "prepared requests": Target(0.85, 0.7),
        # No target of their own: a loop of one's own must not be better than wechatpy's.
        "requests.Session loop": Target(1.6, 1.3),
        "requests.post loop": Target(1.6, 1.3),
    },
    "curl": {"wechatpy, serial": Target(13, 8)},
}
_ABOVE_LIBCURL = Target(100, 150, "µs", lower=True)
_CEILING = Target(1.2, 1.0)
#: Connections that are tried, and rows of a trial and of a run.
_OURS = {"requests": ((1, 2, 4, 8, 16), 800, 3_000), "curl": ((8, 16, 32, 128), 4_000, 15_000)}
_PREPARED = ((1, 2, 4, 8), 800, 3_000)
_LIBCURL = ((4, 16, 64), 10_000, 40_000)


def measure(ground: Ground) -> Iterator[Figure]:
    """Every transport of ours against every peer."""
    present = [transport for transport in TRANSPORTS if not missing(transport)]
    contenders: dict[str, Callable[[], Sent]] = {
        "wechatpy, serial": partial(ground.peer, "wechatpy", 1_500, 1),
        "wechatpy, 32 threads": partial(ground.peer, "wechatpy", 1_500, 32),
        "requests.post loop": partial(ground.peer, "plain", 250, 1),
        "requests.Session loop": partial(ground.peer, "session", 1_500, 1),
        "prepared requests": _best(partial(ground.peer, "prepared"), *_PREPARED),
        "libcurl": _best(partial(ground.peer, "libcurl"), *_LIBCURL),
    }
    for transport in present:
        contenders[transport] = _best(partial(_ours, ground, transport), *_OURS[transport])
    runs = in_turn(contenders)
    for name, results in runs.items():
        ground.say(f"send, {name}: {middle(results)}")
    for transport, targets in _TARGETS.items():
        for peer, target in targets.items():
            name = f"send, 0 ms, {transport} : {peer}"
            if transport not in present:
                yield unmeasured(name, target, missing(transport))
                continue
            ours, theirs = runs[transport], runs[peer]
            ratio = rate(ours) / rate(theirs)
            yield Figure(name, str(middle(ours)), str(middle(theirs)), ratio, target, _NOTE)
    name = "send, 0 ms, curl: CPU a row above bare libcurl"
    if "curl" in present:
        ours, theirs = runs["curl"], runs["libcurl"]
        above_us = cpu_us(ours) - cpu_us(theirs)
        yield Figure(name, str(middle(ours)), str(middle(theirs)), above_us, _ABOVE_LIBCURL, _NOTE)
    else:
        yield unmeasured(name, _ABOVE_LIBCURL, missing("curl"))
    yield _ceiling(runs, present)


def _ours(ground: Ground, transport: str, rows: int, workers: int) -> Sent:
    return ground.campaign(rows, transport=transport, workers=workers)


def _best(
    run: Callable[[int, int], Sent], counts: Sequence[int], trial_rows: int, rows: int
) -> Callable[[], Sent]:
    """The same with the connection count that was fastest in one short trial of each."""
    best = max(counts, key=lambda count: run(trial_rows, count).arrivals.per_second)
    return partial(run, rows, best)


def _ceiling(runs: dict[str, list[Sent]], present: Sequence[str]) -> Figure:
    """The gateway answers faster than we send, or our figures are the gateway's."""
    fastest = max((middle(runs[transport]) for transport in present), key=lambda s: s.arrivals.per_second)
    ceiling = fastest.arrivals.ceiling_per_second
    return Figure(
        "the gateway's own ceiling : our fastest run",
        f"{fastest.arrivals.per_second:,.0f} rows/s",
        f"{ceiling:,.0f} answers/s; bare libcurl drew {rate(runs['libcurl']):,.0f}",
        ceiling / fastest.arrivals.per_second,
        _CEILING,
        "answers per second of the gateway's CPU during that run; nearer than 1.2 × a row is gateway-bound",
    )
