"""One text for one mapping, quickly made for a million of them, too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.canonical import canonical_json, canonical_rows

_TEXT = st.text(st.sampled_from('ab%s{}"\\\n\x00\x7f元🧧: ,'), max_size=6)


@given(names=st.lists(_TEXT, max_size=5), rows=st.lists(st.lists(_TEXT, min_size=5, max_size=5), max_size=3))
def test_a_row_reads_as_its_mapping(names: list[str], rows: list[list[str]]) -> None:
    """Whatever is in names and values, and in whichever order; of a repeated name the last value counts."""
    values = [row[: len(names)] for row in rows]
    assert canonical_rows(names, values) == [canonical_json(dict(zip(names, v, strict=True))) for v in values]
