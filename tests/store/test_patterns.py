"""Wildcards as ranges: nothing that matches lies outside."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mwl.query import pattern
from mwl.store import patterns

EDGES = "A*?\ud7fb\ue000\U0010fffe\U0010ffff"
WILDCARDS = st.text(st.sampled_from(EDGES), max_size=5)
VALUES = st.text(st.sampled_from(EDGES.replace("*", "").replace("?", "")), min_size=1, max_size=5)


@given(WILDCARDS, VALUES)
def test_a_range_holds_everything_that_matches(wildcard: str, value: str) -> None:
    """And nothing else, where the range alone is said to decide."""
    matches = pattern(wildcard).fullmatch(value) is not None
    found = patterns.bounds(wildcard)
    inside = found is None or found[0].encode() <= value.encode() < found[1].encode()

    assert inside or not matches
    if patterns.is_range(wildcard):
        assert found is not None
        assert inside == matches


def test_the_end_of_a_range_is_no_surrogate() -> None:
    """After U+D7FF comes U+E000."""
    assert patterns.bounds("a\ud7ff*") == ("a\ud7ff", "a\ue000")


def test_a_range_that_cannot_end_is_none() -> None:
    """No character follows U+10FFFF: the range of what stands before it has to do."""
    assert patterns.bounds("\U0010ffff*") is None
    assert patterns.bounds("a\U0010ffff*") == ("a", "b")
    assert not patterns.is_range("a\U0010ffff*")


def test_metacharacters_of_the_database_are_literal() -> None:
    """Only the two wildcards of DICOM mean anything (A-27)."""
    assert patterns.glob("a[b]**c?") == "a[[]b]*c?"
    assert patterns.like("a%b_c\\d**e?") == "a\\%b\\_c\\\\d%e_"
