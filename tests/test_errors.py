"""The tree of exceptions is cut by what the reader has to do, and its drawing is true."""

from __future__ import annotations

import inspect
import re

import pytest

from campaign import errors
from campaign.errors import CampaignError, GatewayError, NoAnswer, NotSent
from campaign.text import text

CLASSES = {
    name: cls for name, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, CampaignError)
}


def drawn() -> dict[str, tuple[str | None, int | None]]:
    """The drawing in the module's docstring: class -> (parent, exit code where one is noted)."""
    tree: dict[str, tuple[str | None, int | None]] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    (?P<branch>(?:[│ ]   )*(?:[├└]── )?)(?P<name>[A-Z]\w+)", line)
        if match is None:
            continue
        depth = len(match["branch"]) // 4
        code = re.search(r"exit (\d+)$", line)
        tree[match["name"]] = (above.get(depth - 1), int(code[1]) if code else None)
        above[depth] = match["name"]
    return tree


def test_the_drawing_has_every_class_and_no_other():
    assert set(drawn()) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_class_hangs_where_it_is_drawn_and_exits_as_noted(name):
    parent, code = drawn()[name]
    if parent is not None:
        assert CLASSES[name].__base__ is CLASSES[parent]
    if code is not None:
        assert CLASSES[name].exit_code == code
    assert CLASSES[name].__doc__


@pytest.mark.parametrize(
    "name, code",
    [
        ("UsageError", 2),
        ("SheetRejected", 3),
        ("SetupError", 4),
        ("NotFinished", 5),
        ("StorageError", 5),
        ("PlanConflict", 7),
        ("KeyChanged", 7),
        ("SameListAgain", 7),
        ("CampaignHeld", 7),
        ("LedgerRefused", 7),
    ],
)
def test_the_exit_codes_are_the_contracts(name, code):
    """Section 7 of the architecture; programs outside this repository rely on them."""
    assert CLASSES[name].exit_code == code


def test_only_what_provably_never_left_cannot_have_paid():
    assert not NotSent.may_have_paid
    assert all(cls.may_have_paid for cls in (GatewayError, NoAnswer))


def test_the_facts_of_an_error_are_attributes_and_its_english_is_for_logs():
    error = errors.PlanConflict(text("row {row} was sent", row=7), advice=text("undo it"))
    assert error.message.facts == {"row": 7}
    assert str(error) == "row 7 was sent"
    assert str(error.advice) == "undo it"
    assert CampaignError(text("x")).advice is None
