"""The bench measures what it says: its verdicts, its table, its windows, and its gateway (no timing here)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.answer import Outcome, Status
from campaign.ports import SystemClock
from campaign.stages.pacing import SharedPacer
from campaign.wechat.certificate import ClientCertificate
from campaign.wechat.client import RedpackClient
from campaign.wechat.transport import RequestsTransport
from tests.bench.big import BigCampaign
from tests.bench.clients import APPID, KEY, PEERS
from tests.bench.figures import Figure, Target, Verdict, as_json, quantity, table, unmeasured
from tests.bench.gateway import MCH_ID, Gateway, serving
from tests.bench.ground import Ground
from tests.bench.parts.pace import logged, per_second
from tests.bench.profile import shares_us
from tests.bench.sampled import subject
from tests.bench.windows import fullest
from tests.builders import entry, order

HIGHER = Target(2.5, 1.8)
LOWER = Target(0.25, 0.4, "s", lower=True)


@pytest.mark.parametrize(
    "target, value, verdict",
    [
        (HIGHER, 2.6, Verdict.GOAL),
        (HIGHER, 2.5, Verdict.GOAL),
        (HIGHER, 2.49, Verdict.LEAST),
        (HIGHER, 1.8, Verdict.LEAST),
        (HIGHER, 1.79, Verdict.MISSED),
        (LOWER, 0.25, Verdict.GOAL),
        (LOWER, 0.26, Verdict.LEAST),
        (LOWER, 0.4, Verdict.LEAST),
        (LOWER, 0.41, Verdict.MISSED),
        (HIGHER, None, Verdict.MISSED),
        (LOWER, None, Verdict.MISSED),
        (LOWER, float("nan"), Verdict.MISSED),
    ],
)
def test_a_figure_reaches_its_goal_or_the_least_or_misses_and_missing_is_a_miss(
    target: Target, value: float | None, verdict: Verdict
) -> None:
    assert target.verdict(value) is verdict


@pytest.mark.parametrize("goal, least, lower", [(1, 2, False), (2, 1, True)])
def test_a_target_whose_least_is_better_than_its_goal_is_refused(
    goal: float, least: float, lower: bool
) -> None:
    with pytest.raises(ValueError, match="better"):
        Target(goal, least, lower=lower)


@pytest.mark.parametrize(
    "value, unit, shown",
    [
        (0.85, "×", "0.85 ×"),
        (13, "×", "13.0 ×"),
        (99.5, "%", "99.5 %"),
        (100, "%", "100 %"),
        (1234.5, "MB", "1,234 MB"),
        (20, "rows", "20 rows"),
        (None, "s", "—"),
    ],
)
def test_a_number_is_shown_with_as_many_digits_as_it_is_worth(
    value: float | None, unit: str, shown: str
) -> None:
    assert quantity(value, unit) == shown


def test_the_table_has_every_row_with_its_target_and_says_each_note_once() -> None:
    figures = [
        Figure("send", "900 rows/s", "450 rows/s", 2.0, HIGHER, "in turn"),
        Figure("start", "0.1 s", "0.01 s", 0.1, LOWER),
        Figure("again", "800 rows/s", "450 rows/s", 1.7, HIGHER, "in turn"),
        unmeasured("curl", HIGHER, "not there"),
    ]
    head, _, *rows = table(figures).splitlines()
    assert head.split() == ["figure", "ours", "peer", "or", "limit", "ratio", "goal", "least", "verdict"]
    assert [row.split()[0] for row in rows] == ["send", "start", "again", "curl", "[1]", "[2]"]
    assert [row.split()[-1] for row in rows[:4]] == ["least", "goal", "missed", "missed"]
    assert "≥ 2.50 ×" in rows[0]
    assert "≤ 0.40 s" in rows[1]
    assert rows[4:] == ["[1] in turn", "[2] not there"]


def test_json_has_the_numbers_and_the_verdicts() -> None:
    figures = [Figure("send", "a", "b", 2.0, HIGHER), unmeasured("curl", LOWER, "no")]
    said = json.loads(as_json(figures, load=0.5))
    assert [(f["value"], f["goal"], f["verdict"]) for f in said["figures"]] == [
        (2.0, 2.5, "least"),
        (None, 0.25, "missed"),
    ]
    assert said["machine"]["cores"]
    assert said["machine"]["load_before"] == 0.5


@pytest.mark.parametrize(
    "moments, window, most",
    [
        ([], 1, 0),
        ([5.0], 1, 1),
        ([0.0, 0.5, 0.999], 1, 3),
        ([0.0, 1.0], 1, 1),  # exactly a second later is another second
        ([0.0, 0.9, 1.1, 1.2], 1, 3),
        ([3.0, 0.0, 0.1], 1, 2),  # in any order
        ([0.0, 0.0, 0.0], 1, 3),
    ],
)
def test_the_fullest_window_slides(moments: list[float], window: float, most: int) -> None:
    assert fullest(moments, window) == most


def test_the_rate_leaves_the_opening_out() -> None:
    """One request in the first second, then ten a second."""
    moments_s = [5.0, *(6.0 + n / 10 for n in range(31))]
    assert per_second(moments_s, from_s=1.0) == pytest.approx(10.0)
    assert per_second(moments_s, from_s=0.0) == pytest.approx(31 / 4)


@given(st.lists(st.integers(0, 40)), st.integers(1, 10))
def test_the_fullest_window_is_the_one_that_counting_finds(moments: list[int], window: int) -> None:
    counted = [sum(begin <= moment < begin + window for moment in moments) for begin in range(41)]
    assert fullest([float(moment) for moment in moments], window) == max(counted)


def test_the_pace_files_log_gives_back_the_moments_of_leaving(tmp_path: Path) -> None:
    clock = SystemClock()
    pacer = SharedPacer(tmp_path / "sends.pace", 10_000, clock)
    began_s = clock.monotonic_s()
    for _ in range(3):
        pacer.acquire()
    pacer.close()
    moments_s = logged(tmp_path / "sends.pace")
    assert len(moments_s) == 3
    assert all(began_s <= moment_s <= clock.monotonic_s() for moment_s in moments_s)


@pytest.mark.parametrize(
    "files, found",
    [
        (["lxml/etree.py", "campaign/wechat/envelope.py", "campaign/wechat/answers.py"], "parse"),
        (["campaign/wechat/envelope.py", "campaign/wechat/client.py"], "signing, XML"),
        (["lib/ssl.py", "urllib3/x.py", "campaign/wechat/transport.py", "campaign/wechat/client.py"], "HTTP"),
        (["json/encoder.py", "campaign/ledger/rows.py", "campaign/stages/shift.py"], "ledger"),
        (["campaign/stages/pacing.py", "campaign/stages/shift.py"], "pace"),
        (["campaign/stages/shift.py"], "shift"),
        (["site.py"], "other"),
    ],
)
def test_a_stack_belongs_to_the_subject_of_its_innermost_known_frame(files: list[str], found: str) -> None:
    assert subject(iter([f"/somewhere/{file}" for file in files])) == found


def test_samples_become_microseconds_of_a_row_the_dearest_first() -> None:
    assert shares_us({"ledger": 1, "HTTP": 3}, 400.0) == {"HTTP": 300.0, "ledger": 100.0}
    assert list(shares_us({"ledger": 1, "HTTP": 3}, 400.0)) == ["HTTP", "ledger"]


def test_every_commit_of_a_ledger_is_seen_to_reach_the_disk_and_can_be_made_slower(tmp_path: Path) -> None:
    program = """
import sqlite3, sys, time
from tests.bench.syncs import Witness
witness = Witness(delay_s=0.01)
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE t (a)")
before, began_s = len(witness.moments_s), time.monotonic()
for number in range(20):
    db.execute("INSERT INTO t VALUES (?)", (number,))
print(len(witness.moments_s) - before, time.monotonic() - began_s >= 20 * 0.01)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.db")], capture_output=True, text=True
    )
    assert done.stdout.split() == ["20", "True"], done.stderr


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("gateway"), seconds_max=60) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[RedpackClient]:
    certificate = ClientCertificate.from_pem(
        gateway.certs / "client.pem", gateway.certs / "client.key", now_s=SystemClock().now_s()
    )
    transport = RequestsTransport(
        [gateway.url],
        certificate=certificate,
        ca_bundle=gateway.certs / "ca.pem",
        connections=1,
        connect_timeout_s=5,
        read_timeout_s=5,
    )
    client = RedpackClient(transport=transport, api_key=KEY, mch_id=MCH_ID, appid=APPID)
    yield client
    client.close()


def test_our_client_believes_what_the_gateway_answers(gateway: Gateway, client: RedpackClient) -> None:
    gateway.begin()
    sent = entry(order("oA 1.88"))
    answer = client.send_redpack(sent.parameters)
    assert answer.outcome is Outcome.ACCEPTED
    assert answer.send_listid
    assert client.query(sent.mch_billno).status is Status.NOT_FOUND
    gateway.tell("unknown RECEIVED")
    assert client.query(sent.mch_billno).status is Status.RECEIVED
    gateway.tell("unknown NOT_FOUND")
    seen = gateway.seen()
    assert (len(seen.sends_s), seen.numbers, len(seen.queries_s)) == (1, 1, 2)
    assert seen.connections == seen.open_max == 1


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_sends_each_row_once(gateway: Gateway, tmp_path: Path, peer: str) -> None:
    ground = Ground(tmp_path, gateway, say=print)
    sent = ground.peer(peer, 5, 2 if peer in ("prepared", "libcurl") else 1)
    assert sent.arrivals.numbers == 5
    assert sent.ended.cpu_s > 0


def test_a_programs_peak_memory_is_its_own_and_not_its_parents(gateway: Gateway, tmp_path: Path) -> None:
    ballast = bytearray(200 * 2**20)
    ground = Ground(tmp_path, gateway, say=print)
    small, large = (
        ground.run(["-c", f"import time; kept = bytearray({size}); time.sleep(0.2)"]).peak_mb
        for size in (1, 100 * 2**20)
    )
    assert small < 50 < 100 < large < len(ballast) / 2**20


def test_a_program_that_fails_is_an_error_and_no_figure(gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        Ground(tmp_path, gateway, say=print).run(["-c", "raise SystemExit('no such thing')"])


def test_nothing_goes_on_when_the_bench_ends_before_its_time(gateway: Gateway, tmp_path: Path) -> None:
    ground = Ground(tmp_path, gateway, say=print)
    running = ground.start(["-c", "import time; time.sleep(600)"])
    ground.close()
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)


def test_the_rest_of_a_big_campaign_is_accepted_in_fast_motion(gateway: Gateway, tmp_path: Path) -> None:
    """By the ledger's own means, so that a change of those is noticed here and not after ten minutes."""
    big = BigCampaign(Ground(tmp_path, gateway, say=print), 600)
    big.accept(600)
    states = json.loads(big.status().out)["states"]
    assert sum(states.values()) == 600
    assert states["accepted"] > 500, "the rest was under way when its first run was stopped"
