"""What goes into a column comes out of it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.domain.canonical import canonical_json
from campaign.ledger.rows import _TYPICAL, packed, packed_together, unpacked, unpacked_together
from tests.ledger.build import NOON_S, entry, open_ledger

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
TRICKY = st.sampled_from(['":""', '"mch_billno":""', "\\", '\\"', "{}", "%s", "\x00", "\u2028", "''"])


@given(st.binary(max_size=3000))
def test_an_answer_is_read_as_it_came(raw: bytes) -> None:
    """Whatever the bytes are, and never much longer than they were."""
    stored = packed(raw)
    assert unpacked(stored) == raw
    assert len(stored) <= len(raw) + 1


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_answers_that_came_together_are_told_apart_again(bodies: list[bytes]) -> None:
    """Empty ones, too; where all are, nothing is kept."""
    stored = packed_together(bodies)
    assert (stored is None) is not any(bodies)
    assert stored is None or unpacked_together(stored) == bodies


def test_an_ordinary_answer_takes_little_room() -> None:
    """The dictionary knows the usual answer."""
    raw = _TYPICAL[-500:].replace(b"[1]", b"[1900000109202501150000000001]")
    assert len(packed(raw)) < len(raw) / 4


def test_the_dictionary_is_frozen() -> None:
    """Answers stored by an older version are read with it: any change of it would lose them."""
    assert blake2b(_TYPICAL, digest_size=8).hexdigest() == "4b5314c7bc9da08f"
    assert unpacked(packed(b"<xml>")) == b"<xml>"


@settings(max_examples=60, deadline=None)
@given(
    openid=WORDS | TRICKY,
    wishing=WORDS | TRICKY,
    own=st.dictionaries(WORDS | TRICKY, st.just("") | WORDS, max_size=3),
    lacking=st.sets(st.sampled_from(["mch_billno", "nonce_str", "re_openid", "total_amount", "remark"])),
    foreign=st.dictionaries(
        st.sampled_from(["nonce_str", "re_openid", "mch_id", "total_amount"]), WORDS | TRICKY
    ),
)
def test_any_parameters_survive_the_shared_wording(openid, wishing, own, lacking, foreign) -> None:
    """Also those that lack an own value, or have another one in its place."""
    planned = entry(openid, key="k", wishing=wishing, own=own)
    parameters = {k: v for k, v in planned.parameters.items() if k not in lacking} | foreign
    planned = replace(planned, parameters=parameters)
    with open_ledger() as ledger:
        ledger.add_entries([planned], NOON_S)
        assert ledger.entry(planned.mch_billno) == planned
        (known,) = ledger.known("lantern")
        assert known.parameters == canonical_json(parameters)
