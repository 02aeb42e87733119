"""Many connections hide latency, and are made once."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.figures import Figure, Target, unmeasured
from tests.bench.ground import ROUNDS, TRANSPORTS, Ground, middle, missing, rate

_CONNECTIONS = 128
_LATENCY_S = 0.1
_ROWS = 5_000
_SHARE = {"requests": Target(65, 55, "%"), "curl": Target(85, 80, "%")}
_NEW = Target(1.0, 1.05, "×", lower=True)


def measure(ground: Ground) -> Iterator[Figure]:
    """Rows a second beside connections ÷ latency; connections made beside those open at once."""
    ideal = _CONNECTIONS / _LATENCY_S
    for transport in TRANSPORTS:
        names = (f"send, 100 ms, 128 conn., {transport}: share of ideal", f"new connections, {transport}")
        if why := missing(transport):
            yield unmeasured(names[0], _SHARE[transport], why)
            yield unmeasured(names[1], _NEW, why)
            continue
        runs = [
            ground.campaign(_ROWS, transport=transport, workers=_CONNECTIONS, latency_s=_LATENCY_S)
            for _ in range(ROUNDS)
        ]
        share = 100 * rate(runs) / ideal
        note = f"from the first to the last arrival, the start with few requests included; median of {ROUNDS}"
        yield Figure(names[0], str(middle(runs)), f"{ideal:,.0f} rows/s", share, _SHARE[transport], note)
        worst = max((sent.arrivals for sent in runs), key=lambda seen: seen.connections / seen.open_max)
        yield Figure(
            names[1],
            f"{worst.connections} made",
            f"{worst.open_max} open at once",
            worst.connections / worst.open_max,
            _NEW,
            f"the gateway counts, over {_ROWS:,} rows with {_CONNECTIONS} connections; the worst of {ROUNDS}",
        )
