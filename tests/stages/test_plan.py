"""Every row of a sheet gets its entry and its number once, or the sheet is refused as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from campaign.domain.billno import Tie
from campaign.domain.plan import ORDINAL_KEYS
from campaign.domain.state import State
from campaign.errors import Conflict, KeyChanged, PlanConflict, SameListAgain, SheetRejected
from campaign.ledger.records import EventKind
from tests.simulation.machine import DAY_S, Machine, corrected, order, orders
from tests.simulation.parts import Crash

SHEET = orders("oA 1.88", "oB 8.88", "oC 3.00")
#: The gateway holds nothing and answers everything with this, so nothing is sent.
NOTHING_LEAVES = {"refused": 1.0}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7)) as made:
        yield made


def test_the_same_re_ordered_or_extended_sheet_plans_only_what_is_new(machine: Machine) -> None:
    machine.run(SHEET)
    numbers = set(machine.entries())
    machine.run(orders("oC 3.00", "oA 1.88", "oB 8.88"))
    assert set(machine.entries()) == numbers
    machine.run(orders("oC 3.00", "oA 1.88", "oB 8.88", "oD 2.00"))
    assert len(machine.entries()) == 4
    assert len(machine.wire.letters) == 4


def test_the_numbers_are_the_same_without_the_ledger(machine: Machine) -> None:
    machine.run(SHEET)
    numbers = set(machine.entries())
    machine.disk.lose()
    machine.run(SHEET)
    assert set(machine.entries()) == numbers


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"re_openid": "oZ"}, "openid (re_openid)"),
        ({"total_amount": 999}, "amount (total_amount)"),
        ({"wishing": "另一句"}, "greeting (wishing)"),
        ({"remark": "另一句"}, "remark was"),
        ({"scene_id": "PRODUCT_2"}, "scene (scene_id)"),
    ],
)
def test_a_row_that_was_sent_cannot_be_edited(
    machine: Machine, changes: dict[str, object], field: str
) -> None:
    """The message names the sheet, the row and the field, and nothing of the sheet is sent."""
    sheet = orders("1 oA 1.88", "2 oB 8.88", keys="id")
    machine.run(sheet, keys="id")
    edited = [*corrected(sheet, 3, **changes), order(4, "oC", 300, key="3")]
    with pytest.raises(PlanConflict) as refused:
        machine.run(edited, keys="id")
    assert "lantern, row 3" in str(refused.value)
    assert field in str(refused.value)
    assert len(machine.wire.letters) == 2


def test_a_row_that_was_never_sent_takes_the_sheets_present_values(machine: Machine) -> None:
    machine.faults(**NOTHING_LEAVES)
    machine.run(SHEET)
    machine.faults()
    machine.run(corrected(SHEET, 3, total_amount=500))
    assert [e.total_amount for e in machine.entries().values()] == [188, 500, 300]
    with machine.look() as ledger:
        assert any(event.kind is EventKind.REVISED for event in ledger.events())


def test_changed_settings_reach_what_was_never_sent_and_leave_the_rest_alone(machine: Machine) -> None:
    machine.run(SHEET)
    machine.sender = replace(machine.sender, client_ip="192.0.2.99")
    machine.run([*SHEET, order(5, "oD", 400)])
    assert [e.parameters["client_ip"] for e in machine.entries().values()] == ["192.0.2.10"] * 3 + [
        "192.0.2.99"
    ]


def test_another_key_column_is_refused(machine: Machine) -> None:
    machine.run(SHEET)
    with pytest.raises(KeyChanged):
        machine.run(orders("1 oA 1.88", "2 oB 8.88", "3 oC 3.00", keys="id"), keys="id")
    assert len(machine.wire.letters) == 3


def test_an_id_that_changed_under_a_person_is_refused(machine: Machine) -> None:
    machine.run(orders("1 oA 1.88", "2 oB 8.88", keys="id"), keys="id")
    with pytest.raises(KeyChanged):
        machine.run(orders("1 oA 1.88", "22 oB 8.88", keys="id"), keys="id")
    assert len(machine.wire.letters) == 2


@pytest.mark.parametrize(
    "rows",
    [
        ("oA 2.00", "oA 1.00", "oB 3.00"),  # re-ordered
        ("oA 2.00", "oB 3.00"),  # the first one removed
        ("oA 9.00", "oA 1.00", "oA 2.00", "oB 3.00"),  # one inserted in front
    ],
)
def test_a_persons_repeated_rows_keep_their_places_once_one_was_sent(
    machine: Machine, rows: tuple[str, ...]
) -> None:
    machine.run(orders("oA 1.00", "oA 2.00", "oB 3.00", keys=ORDINAL_KEYS), keys=ORDINAL_KEYS)
    with pytest.raises(PlanConflict):
        machine.run(orders(*rows, keys=ORDINAL_KEYS), keys=ORDINAL_KEYS)
    assert len(machine.wire.letters) == 3


def test_a_persons_repeated_rows_may_grow_at_the_end(machine: Machine) -> None:
    sheet = ("oA 1.00", "oA 2.00")
    machine.run(orders(*sheet, keys=ORDINAL_KEYS), keys=ORDINAL_KEYS)
    machine.run(orders(*sheet, "oA 4.00", keys=ORDINAL_KEYS), keys=ORDINAL_KEYS)
    assert len(machine.paid()) == 3


def test_a_row_that_was_removed_before_it_was_sent_does_not_block_the_sheet_later(machine: Machine) -> None:
    """Three rows planned, one taken away, two sent: the sheet with two goes on being accepted."""
    machine.faults(**NOTHING_LEAVES)
    machine.run(orders("oA 1.00", "oA 2.00", "oA 3.00", keys=ORDINAL_KEYS), keys=ORDINAL_KEYS)
    machine.faults()
    fewer = orders("oA 1.00", "oA 2.00", keys=ORDINAL_KEYS)
    machine.run(fewer, keys=ORDINAL_KEYS)
    machine.run(fewer, keys=ORDINAL_KEYS)
    assert sorted(o.total_amount for o in machine.paid().values()) == [100, 200]


@pytest.mark.parametrize("keys", ["re_openid", ORDINAL_KEYS])
def test_a_refused_openid_can_be_corrected_in_the_original_sheet(machine: Machine, keys: str) -> None:
    """Although the openid is the key, and the corrected sheet thus lacks a row that was sent."""
    machine.faults(openid_error={"openids": ["oWrong"]})
    machine.run(orders("oA 1.88", "oWrong 8.88", "oC 3.00", keys=keys), keys=keys)
    assert machine.states() == "accepted rejected accepted"
    machine.run(orders("oA 1.88", "oB 8.88", "oC 3.00", keys=keys), keys=keys)
    assert sorted(o.re_openid for o in machine.paid().values()) == ["oA", "oB", "oC"]


def test_a_row_that_left_the_sheet_is_not_sent_and_comes_back_with_it(machine: Machine) -> None:
    machine.faults(**NOTHING_LEAVES)
    machine.run(SHEET)
    machine.faults()
    machine.run(SHEET[:2])
    assert {o.re_openid for o in machine.paid().values()} == {"oA", "oB"}
    machine.run(SHEET)
    assert {o.re_openid for o in machine.paid().values()} == {"oA", "oB", "oC"}


def test_a_pilot_sends_its_rows_only(machine: Machine) -> None:
    machine.faults(**NOTHING_LEAVES)
    machine.run(SHEET)
    machine.faults()
    machine.run(SHEET[:1], partial=True)
    assert {o.re_openid for o in machine.paid().values()} == {"oA"}


def _dead(machine: Machine, sheet: list, keys: str) -> Tie:  # type: ignore[type-arg]
    machine.faults(send_failed={"openids": ["oA"], "to_position": 1})
    machine.run(sheet, keys=keys)
    machine.faults()
    [dead] = [e for e in machine.entries().values() if e.state is State.REJECTED]
    return Tie(campaign="lantern", row_key=dead.row_key, issue=2)


@pytest.mark.parametrize("keys", ["re_openid", ORDINAL_KEYS])
def test_a_second_number_follows_the_proof_of_death(machine: Machine, keys: str) -> None:
    """With --allow-repeats, too, where the person has other rows under other keys."""
    rows = ("oA 1.00", "oB 2.00") if keys == "re_openid" else ("oA 1.00", "oA 2.00")
    tie = _dead(machine, orders(*rows, keys=keys), keys)
    machine.run([replace(order(2, "oA", 100), tie=tie)], keys=keys, partial=True)
    assert sorted(o.total_amount for o in machine.paid().values()) == [100, 200]


@pytest.mark.parametrize("openid", ["oB", "oOther"])
def test_no_second_number_without_proof_of_death(machine: Machine, openid: str) -> None:
    """Whether or not the sheet with the second number names the same person."""
    machine.run(SHEET)
    tie = Tie(campaign="lantern", row_key="oB", issue=2)
    with pytest.raises(Conflict):
        machine.run([replace(order(2, openid, 888), tie=tie)], partial=True)
    assert len(machine.wire.letters) == 3


def test_the_same_list_under_another_name_is_refused(machine: Machine) -> None:
    machine.run(SHEET)
    with pytest.raises(SameListAgain):
        machine.run(SHEET, name="lantern - 副本")
    machine.run(SHEET, name="lantern - 副本", also_pays=["lantern"])
    assert len(machine.paid()) == 6


def test_a_withdrawn_list_that_a_copy_has_paid_is_not_paid_when_it_is_reopened(
    machine: Machine,
) -> None:
    """Its rows are not new. But when the copy was compared with them, they were withdrawn."""
    machine.stop_asked = True
    machine.run(SHEET)
    machine.cancel()
    machine.stop_asked = False
    machine.run(SHEET, name="lantern - 副本")
    assert len(machine.paid()) == 3
    with pytest.raises(SameListAgain):
        machine.run(SHEET, reopen=True)
    assert machine.states() == "cancelled cancelled cancelled"
    machine.run(SHEET, reopen=True, also_pays=["lantern - 副本"])
    assert len(machine.paid()) == 6


def test_nor_after_a_sheet_without_those_rows_has_reopened_the_campaign(machine: Machine) -> None:
    """A pilot, or a reissue: what it lacks is planned again with the rest, and was compared with nobody."""
    machine.stop_asked = True
    machine.run(SHEET)
    machine.cancel()
    machine.stop_asked = False
    machine.run(SHEET[1:], name="lantern - 副本")
    machine.run(SHEET[:1], partial=True, reopen=True)
    assert len(machine.paid()) == 3
    with pytest.raises(SameListAgain):
        machine.run(SHEET)
    assert len(machine.paid()) == 3


@pytest.mark.parametrize("changes", [{"total_amount": 300}, {"re_openid": "oC"}])
def test_a_row_that_is_corrected_to_what_another_campaign_paid_is_not_paid(
    machine: Machine, changes: dict[str, object]
) -> None:
    """Refused at first, so the other campaign could not meet it; corrected, it is its row."""
    machine.faults(openid_error={"openids": ["oBad"]})
    refused = [order(2, "oBad" if "re_openid" in changes else "oC", 300 if "re_openid" in changes else 100)]
    machine.faults(openid_error={"openids": ["oBad", "oC"]})
    machine.run([replace(refused[0], row_key="1")], keys="id")
    assert machine.states() == "rejected"
    machine.faults()
    machine.run(orders("oC 3.00"), name="other")
    with pytest.raises(SameListAgain):
        machine.run([replace(refused[0], row_key="1", **changes)], keys="id")  # type: ignore[arg-type]
    assert len(machine.paid()) == 1


def test_another_list_under_the_same_name_is_refused(machine: Machine) -> None:
    machine.run(SHEET)
    with pytest.raises(SameListAgain):
        machine.run(orders("oX 1.88", "oY 8.88", "oZ 3.00"))
    assert len(machine.wire.letters) == 3


def test_a_sheet_beyond_the_budget_plans_nothing(machine: Machine) -> None:
    machine.limits = replace(machine.limits, campaign_fen=1000)
    with pytest.raises(SheetRejected):
        machine.run(SHEET)
    assert not machine.entries()


def test_a_crash_while_planning_leaves_all_rows_or_none(machine: Machine) -> None:
    """At whatever commit the process dies, the next run finds a whole plan or an empty ledger."""
    for step in range(1, 9):
        steps = 0

        def die(name: str, step: int = step) -> None:
            nonlocal steps
            steps += 1
            if steps == step:
                raise Crash(name)

        with Machine(Random(step)) as victim:
            victim.point = die
            try:
                victim.run(SHEET)
            except Crash:
                victim.point = lambda _: None
                assert len(victim.entries()) in (0, 3)
                victim.run(SHEET)
            victim.later(DAY_S)
            assert len(victim.paid()) == 3
