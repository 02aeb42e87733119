"""The stand-in's books: they balance, survive everything a process can suffer, and pay a number once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.errors import SetupError
from campaign.rehearsal import books as books_module
from campaign.rehearsal.books import Books, Order, ReadOnlyBooks
from campaign.rehearsal.faults import KINDS
from tests.rehearsal.world import NOON_S, World, number, packet, question

OPENIDS = ("oAlice", "oBob", "oCarol")

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.integers(1, 4),
            st.sampled_from(OPENIDS),
            st.sampled_from([99, 100, 188, 20_000]),
        ),
        st.tuples(st.just("ask"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.sampled_from([0.4, 5, 700, 90_000, 260_000])),
        st.tuples(st.just("top_up"), st.sampled_from([-200, 100, 50_000])),
        st.tuples(st.just("faults"), st.sampled_from(sorted(KINDS))),
        st.tuples(st.just("reopen")),
    ),
    max_size=40,
)


def check(books: Books, balance_before: int) -> None:
    """What must be true after every step."""
    money = books.money()
    assert books.balance_fen() == sum(m.fen for m in money)
    assert balance_before == books.opening_fen() + books.topped_up_fen()
    assert books.balance_fen() == balance_before - books.paid_total_fen() + books.refunded_total_fen()
    orders = {o.mch_billno: o for o in books.orders()}
    for kind, sign in (("packet", -1), ("refund", 1)):
        moved = [(m.mch_billno, m.fen) for m in money if m.kind == kind]
        assert len({n for n, _ in moved}) == len(moved), "a number moved money twice"
        assert all(n in orders and fen == sign * orders[n].total_amount for n, fen in moved)
    paid = {m.mch_billno for m in money if m.kind == "packet"}
    assert paid == {n for n, o in orders.items() if o.paid_s is not None}
    assert {m.mch_billno for m in money if m.kind == "refund"} <= paid


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=steps,
    keeps=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**20),
    scale=st.sampled_from([1, 5000]),
)
def test_whatever_is_asked_a_number_pays_at_most_once_and_the_books_balance(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[object, ...]],
    keeps: float,
    seed: int,
    scale: int,
) -> None:
    """Opening + top-ups - paid + refunded = closing, after every single step."""
    path = tmp_path_factory.mktemp("books") / "books.db"
    put_in = 30_000
    world = World(
        seed=seed, books=Books(path, balance_fen=put_in, now_s=NOON_S), keeps_blocked=keeps, time_scale=scale,
        person_day_fen=40_000, sends_per_second=3,
    )  # fmt: skip
    bound: dict[str, tuple[str, int]] = {}
    for step in steps:
        match step:
            case ("send", int(n), str(openid), int(fen)):
                world.reply(packet(n, openid, fen))
            case ("ask", int(n)):
                world.reply(question(n), "/mmpaymkttransfers/gethbinfo")
            case ("wait", float(seconds) | int(seconds)):
                world.later(s=seconds)
            case ("top_up", int(fen)):
                put_in += fen
                world.books.top_up(fen, world.clock.now_s())
            case ("faults", str(kind)):
                world.rules.faults = world.rules.faults.parse({kind: 0.7})
            case ("reopen",):
                world.books.close()
                world.books = world.rules.books = Books(path, balance_fen=put_in, now_s=world.clock.now_s())
        check(world.books, put_in)
        for order in world.books.orders():
            facts = (order.re_openid, order.total_amount)
            assert bound.setdefault(order.mch_billno, facts) == facts, "an order changed its facts"
    world.books.close()


def test_the_database_itself_refuses_a_second_payment() -> None:
    """Even if the rules were wrong."""
    books = Books(balance_fen=1000)
    order = Order("1", "oA", 100, "L1", 0.0, paid_s=0.0, sent_s=1.0)
    books.pay(order)
    with pytest.raises(sqlite3.IntegrityError):
        books.pay(order)
    assert books.paid_total_fen() == 100


def test_orders_money_and_what_is_due_survive_the_end_of_the_process(tmp_path: Path) -> None:
    """A refund that fell due while nobody served is booked at the next opening's first request."""
    path = tmp_path / "books.db"
    world = World(books=Books(path, balance_fen=1000, now_s=NOON_S), claim_share=0.0)
    sent = world.send()
    world.books.close()
    again = World(books=Books(path, balance_fen=1000, now_s=NOON_S), claim_share=0.0)
    again.later(h=30)
    assert again.ask()["detail_id"] == sent["send_listid"]
    assert again.status() == "REFUND"
    assert again.books.balance_fen() == 1000
    assert again.send(2)["send_listid"] != sent["send_listid"]
    again.books.close()


def test_another_scale_later_does_not_move_what_is_fixed(tmp_path: Path) -> None:
    """An order that came back stays so when the settings change."""
    path = tmp_path / "books.db"
    fast = World(books=Books(path, balance_fen=1000, now_s=NOON_S), claim_share=0.0, time_scale=86_400)
    fast.send()
    fast.later(s=10)
    assert fast.status() == "REFUND"
    fast.books.close()
    slow = World(books=Books(path, balance_fen=1000, now_s=NOON_S), claim_share=0.0, time_scale=1)
    slow.later(s=10)
    assert slow.status() == "REFUND"
    slow.books.close()


def test_ordinals_survive_too_so_that_a_fault_that_is_over_stays_over(tmp_path: Path) -> None:
    """``attempts_max`` counts requests, not requests since the last start."""
    path = tmp_path / "books.db"
    for expected in ("SYSTEMERROR", "SUCCESS"):
        books = Books(path, balance_fen=1000, now_s=NOON_S)
        world = World({"systemerror": {"attempts_max": 1}}, books=books)
        assert world.send()["err_code"] == expected
        books.close()


def test_raising_the_balance_tops_up_and_lowering_it_withdraws(tmp_path: Path) -> None:
    """``balance_yuan`` is all the money ever put in."""
    path = tmp_path / "books.db"
    for balance_fen in (1000, 1500, 1500, 900):
        books = Books(path, balance_fen=balance_fen, now_s=NOON_S)
        assert books.balance_fen() == balance_fen
        books.close()
    kinds = [(m.kind, m.fen) for m in ReadOnlyBooks(path).money()]
    assert kinds == [("opening", 1000), ("top_up", 500), ("top_up", -600)]


def test_one_process_writes_and_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second server on the same books would count money twice."""
    monkeypatch.setattr(books_module, "_HOLD_PATIENCE_S", 0.0)
    path = tmp_path / "books.db"
    world = World(books=Books(path, balance_fen=1000, now_s=NOON_S))
    with pytest.raises(SetupError, match="Another rehearsal gateway"):
        Books(path)
    world.send()
    reader = ReadOnlyBooks(path)
    assert (reader.paid_total_fen(), reader.balance_fen()) == (188, 812)
    assert [o.mch_billno for o in reader.orders()] == [number(1)]
    reader.close()
    world.books.close()
    Books(path, balance_fen=1000).close()


def test_books_are_their_owners_alone(tmp_path: Path) -> None:
    """A real list may be rehearsed, and they hold its openids."""
    before = os.umask(0)
    try:
        books = Books(tmp_path / "books.db", now_s=NOON_S)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("books.db*")} == {0o600}
    books.close()


def test_what_are_no_books_are_refused(tmp_path: Path) -> None:
    """Somebody else's file is not overwritten."""
    path = tmp_path / "sheet.xlsx"
    path.write_bytes(b"PK\x03\x04" + b"x" * 5000)
    with pytest.raises(SetupError, match="is not the books"):
        Books(path)
    assert path.read_bytes().startswith(b"PK\x03\x04x")
    for version in (0, 1, 7):
        other = tmp_path / f"other{version}.db"
        db = sqlite3.connect(other)
        db.executescript(f"CREATE TABLE entry (id); PRAGMA user_version = {version}")
        db.close()
        with pytest.raises(SetupError, match="is not the books"):
            Books(other)


def test_books_in_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    """By name, not with a traceback."""
    with pytest.raises(SetupError, match="cannot be written"):
        Books(tmp_path / "missing" / "books.db")


def test_what_happens_by_halves_did_not_happen() -> None:
    """A transaction that breaks leaves nothing in the file."""
    books = Books(balance_fen=1000)
    stored = Order("1", "oA", 100, "L1", 0.0)

    def half() -> None:
        with books.transaction():
            books.put(stored)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert books.order("1") is None


_KILLED = """
import os, signal, sys
from pathlib import Path
from campaign.rehearsal.books import Books
from tests.rehearsal.world import World, NOON_S
world = World(books=Books(Path(sys.argv[1]), balance_fen=10_000_000, now_s=NOON_S), person_day_packets=10**6,
              person_day_fen=10**9)
for n in range(1, 10**6):
    world.send(n)
    print(n, flush=True)
"""


def test_an_answered_order_survives_kill_9(tmp_path: Path) -> None:
    """The commit precedes the answer."""
    path = tmp_path / "books.db"
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 60:
                os.kill(process.pid, signal.SIGKILL)
                break
        answered = [60, *(int(line) for line in process.stdout if line.endswith("\n"))]
    books = Books(path, balance_fen=10_000_000, now_s=NOON_S)
    stored = {o.mch_billno for o in books.orders()}
    assert {number(n) for n in range(1, max(answered) + 1)} <= stored
    assert books.balance_fen() == 10_000_000 - 188 * len(stored)
    books.close()
