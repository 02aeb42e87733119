"""Two ledgers of one merchant, a lost one, and one that is older than the truth: nobody is paid twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from campaign.errors import Conflict, KeyChanged, SameListAgain
from tests.simulation.machine import DAY_S, Machine, order, orders
from tests.simulation.parts import Crash

SHEET = orders("oA 1.88", "oB 8.88", "oC 3.00")
COPY = [replace(SHEET[0], total_amount=177), *SHEET[1:]]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7)) as made:
        yield made


def test_a_second_ledger_is_begun_only_on_purpose(machine: Machine) -> None:
    machine.run(SHEET)
    machine.place = 1
    with pytest.raises(Conflict):
        machine.run(orders("oD 1.00"), name="moon")
    assert not machine.path.exists()
    machine.run(orders("oD 1.00"), name="moon", new_ledger=True)
    assert len(machine.paid()) == 4
    machine.run(orders("oD 1.00", "oE 1.00"), name="moon")
    assert len(machine.paid()) == 5


def test_the_other_ledgers_packets_count_against_a_persons_day(machine: Machine) -> None:
    machine.limits = replace(machine.limits, person_day_packets=1)
    machine.run(SHEET)
    machine.place = 1
    machine.run(orders("oA 2.00", "oD 2.00"), name="moon", new_ledger=True)
    assert sorted(o.re_openid for o in machine.paid().values()) == ["oA", "oB", "oC", "oD"]
    machine.later(DAY_S)
    machine.run(orders("oA 2.00", "oD 2.00"), name="moon")
    assert len(machine.paid()) == 5


def test_the_other_ledgers_lists_are_compared(machine: Machine) -> None:
    machine.run(SHEET)
    machine.place = 1
    with pytest.raises(SameListAgain):
        machine.run(COPY, name="copy", new_ledger=True)
    assert len(machine.paid()) == 3


@pytest.mark.parametrize("new_ledger", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_a_lost_ledgers_list_is_known_although_it_was_copied_and_edited(
    machine: Machine, place: int, new_ledger: bool
) -> None:
    """Also when a new ledger was begun in its place: giving a ledger up does not forget what it paid."""
    machine.run(SHEET)
    machine.disk.lose()
    machine.place = place
    for _ in range(2):
        with pytest.raises(SameListAgain):
            machine.run(COPY, name="copy", new_ledger=new_ledger)
    assert len(machine.paid()) == 3
    machine.run(orders("oD 1.00"), name="moon", new_ledger=new_ledger)
    machine.run(COPY, name="copy", also_pays=["lantern"])
    assert len(machine.paid()) == 7


def test_after_thirty_days_a_lost_list_is_compared_no_more(machine: Machine) -> None:
    machine.run(SHEET)
    machine.disk.lose()
    machine.later(31 * DAY_S)
    machine.run(COPY, name="copy")
    assert len(machine.paid()) == 6


def test_one_common_row_of_many_needs_a_person_to_agree(machine: Machine) -> None:
    """Fewer than 20 rows, and fewer than one in twenty."""
    machine.run(SHEET)
    machine.disk.lose()
    others = [order(n, f"oX{n}", 100) for n in range(3, 43)]
    with pytest.raises(SameListAgain, match="nobody is there"):
        machine.run([SHEET[0], *others], name="moon")
    assert len(machine.paid()) == 3


def test_a_lost_campaign_may_not_be_paid_again_by_other_keys(machine: Machine) -> None:
    """Other keys give other numbers, so neither the name nor a question to WeChat Pay would help.

    The run that is refused leaves a new, empty ledger in the lost one's place, which lacks it all the same.
    """
    machine.run(SHEET)
    machine.disk.lose()
    by_id = [replace(each, row_key=str(n)) for n, each in enumerate(COPY)]
    with pytest.raises(KeyChanged):
        machine.run(by_id, keys="id")
    machine.place = 1
    with pytest.raises(KeyChanged):
        machine.run(by_id, keys="id", new_ledger=True)
    assert len(machine.paid()) == 3


def test_a_list_that_was_withdrawn_in_an_old_backup_is_not_paid_after_its_copy_was(machine: Machine) -> None:
    """The backup has it planned and knows nothing of the copy; the registry does."""
    machine.stop_asked = True
    machine.run(SHEET)
    backup = machine.path.read_bytes()
    machine.cancel()
    machine.stop_asked = False
    machine.run(SHEET, name="copy")
    machine.disk.restore(backup)
    with pytest.raises(SameListAgain):
        machine.run(SHEET)
    assert len(machine.paid()) == 3


def test_rows_that_a_backup_lacks_are_known_when_they_are_copied(machine: Machine) -> None:
    machine.run(SHEET[:1])
    backup = machine.path.read_bytes()
    machine.run(SHEET)
    machine.disk.restore(backup)
    with pytest.raises(SameListAgain):
        machine.run([order(2, "oZ", 500), *SHEET[1:]], name="copy")
    assert len(machine.paid()) == 3


def test_what_a_run_that_died_had_sent_is_known_when_its_ledger_is_lost(machine: Machine) -> None:
    """It remembers who is to get what before the first request leaves, whatever step it dies at."""
    for step in range(1, 60):
        with Machine(Random(step)) as victim:
            steps = 0

            def die(name: str, at: int = step) -> None:
                nonlocal steps
                steps += 1
                if steps == at:
                    raise Crash(name)

            victim.point = die
            try:
                victim.run(SHEET)
            except Crash:
                victim.point = lambda _: None
                victim.disk.lose()
                sent = {letter.mch_billno for letter in victim.wire.letters}
                if sent:
                    with pytest.raises(SameListAgain):
                        victim.run(COPY, name="copy")
                    assert len(victim.paid()) == len(sent & victim.paid().keys())
                else:
                    victim.run(SHEET)
                    assert len(victim.paid()) == 3
            else:
                break
    else:
        pytest.fail("a run has fewer steps than that")


def test_a_vanished_ledger_is_noticed_although_the_first_questions_find_nothing(machine: Machine) -> None:
    """New rows stand above those that it had sent; each row is asked about before it is sent."""
    sent = [order(n, f"oX{n}", 100) for n in range(20, 40)]
    machine.run(sent)
    machine.disk.lose()
    machine.run([*(order(n, f"oX{n}", 100) for n in range(2, 20)), *sent])
    assert machine.said_behind == 1
    assert len(machine.wire.letters) == 38
