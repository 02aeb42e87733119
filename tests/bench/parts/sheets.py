"""Big sheets: read, check and plan; resume; status; reconcile; and what a run keeps in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.bench.big import ENOUGH, Begun, BigCampaign, big_campaign
from tests.bench.figures import Figure, Target
from tests.bench.ground import ROUNDS, Ended, Ground

SMALL, MIDDLE, BIG = 10_000, 100_000, 1_000_000

_READ = Target(2.5, 4, "×", lower=True)
_READ_MB = Target(500, 800, "MB", lower=True)
_LINEAR = Target(1.1, 1.3, "×", lower=True)
_FIRST_REQUEST = Target(1.5, 3, "s", lower=True)
_STATUS = Target(0.5, 1, "s", lower=True)
_GROWTH = Target(50, 150, "MB", lower=True)

_ONCE = "one run only, since it is long"
_READ_NOTE = (
    "`campaign run` of an .xlsx with id, name, openid, amount: CPU (in brackets all time) from the start of "
    "the process to its first request, so read, check, plan, commit; of all time about a second is the "
    f"pace's, which knows no past here; the middle of {ROUNDS}, as of the bare read"
)
#: What only reads the file, with the fastest reader there is, from Python.
_BARE = """
import sys
from python_calamine import CalamineWorkbook
for row in CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0).iter_rows():
    pass
"""


def measure(ground: Ground) -> Iterator[Figure]:
    """One million rows through their whole life; ten thousand and a hundred thousand beside them."""
    small, middle, big = (big_campaign(ground, rows) for rows in (SMALL, MIDDLE, BIG))
    for one in (small, middle, big):
        ground.say(f"read + check + plan, {one.rows:,} rows: {one.first}")
    firsts, reads = [big.first], [_bare_read(ground, big)]
    for _ in range(ROUNDS - 1):
        firsts.append(big.another_first())
        reads.append(_bare_read(ground, big))
    first = sorted(firsts, key=lambda one: one.first_cpu_s)[ROUNDS // 2]
    bare = sorted(reads, key=lambda read: read.cpu_s)[ROUNDS // 2]
    yield Figure(
        "1 M rows: read + check + plan, CPU",
        f"{first.first_cpu_s:.1f} s ({first.first_wall_s:.1f} s)",
        f"{bare.cpu_s:.1f} s ({bare.wall_s:.1f} s), a bare read by calamine",
        first.first_cpu_s / bare.cpu_s,
        _READ,
        _READ_NOTE,
    )
    yield Figure(
        "1 M rows: peak memory of a first run",
        f"{first.ended.peak_mb:,.0f} MB",
        f"{bare.peak_mb:,.0f} MB, a bare read",
        first.ended.peak_mb,
        _READ_MB,
        _READ_NOTE,
    )
    yield Figure(
        "read + check + plan, CPU a row: 1 M : 100 k",
        _per_row(first, BIG),
        _per_row(middle.first, MIDDLE),
        first.first_cpu_s / BIG / (middle.first.first_cpu_s / MIDDLE),
        _LINEAR,
        f"growth is linear at 1 ×; {_ONCE}",
    )
    for one in (small, big):
        one.accept(one.rows // 2)
    resumed = {one.rows: one.begin("run", str(one.sheet), "--yes") for one in (small, big)}
    yield Figure(
        "1 M rows: resume half done, CPU to the first request",
        str(resumed[BIG]),
        f"{resumed[SMALL]} with 10 k rows",
        resumed[BIG].first_cpu_s,
        _FIRST_REQUEST,
        f"the same command again; {_ONCE}",
    )
    yield _grown(
        "memory of a run, 10 k → 1 M rows", resumed, "a resumed run, stopped after its first requests"
    )
    yield _status(ground)
    for one in (small, big):
        one.accept(one.rows)
    ground.gateway.tell("unknown RECEIVED")
    asked = {one.rows: one.begin("reconcile", one.name) for one in (small, big)}
    ground.gateway.tell("unknown NOT_FOUND")
    note = f"every packet is open and due; stopped after the first {ENOUGH} questions"
    yield Figure(
        "1 M open entries: reconcile, CPU to the first question",
        str(asked[BIG]),
        f"{asked[SMALL]} with 10 k",
        asked[BIG].first_cpu_s,
        _FIRST_REQUEST,
        note,
    )
    yield _grown("memory of a reconcile, 10 k → 1 M open entries", asked, note)


def _bare_read(ground: Ground, campaign: BigCampaign) -> Ended:
    return ground.run(["-c", _BARE, str(campaign.sheet)])


def _per_row(begun: Begun, rows: int) -> str:
    return f"{1e6 * begun.first_cpu_s / rows:.1f} µs"


def _grown(name: str, begun: dict[int, Begun], note: str) -> Figure:
    before_mb, after_mb = begun[SMALL].ended.peak_mb, begun[BIG].ended.peak_mb
    grown_mb = after_mb - before_mb
    return Figure(name, f"{after_mb:,.0f} MB", f"{before_mb:,.0f} MB with 10 k", grown_mb, _GROWTH, note)


def _status(ground: Ground) -> Figure:
    """Half of a million rows is accepted; nothing needs a person."""
    big = big_campaign(ground, BIG)
    runs = sorted((big.status() for _ in range(3)), key=lambda ended: ended.cpu_s)
    assert json.loads(runs[1].out)["rows"] == BIG
    return Figure(
        "1 M entries: status, CPU",
        f"{runs[1].cpu_s:.2f} s, peak {runs[1].peak_mb:,.0f} MB",
        "the limit",
        runs[1].cpu_s,
        _STATUS,
        "median of 3",
    )
