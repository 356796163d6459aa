"""Paths into HL7 messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.errors import Location
from mwl.mapping.systems.hl7paths import BadPath, Condition, Hl7Path, looks_like_path, parse_path

MESSAGE = (
    "MSH|^~\\&|RIS\r"
    'PID|||A&a1&a2^b^^H&1.2&ISO~B^^^X~C|""|DOE^JOHN^""\r'
    "OBX|1|NM|29463-7^Body Weight^LN||80|kg\r"
    "OBX|2|NM|8302-2^body height^LN||180|cm\r"
    "NTE|1||one~two\rNTE|2||three\r"
)


@pytest.fixture
def found(source: Callable[[str], Any]) -> Callable[[str], list[str]]:
    """The texts a path finds in the message above."""
    return lambda path: [each.text() for each in parse_path(path).find(source(MESSAGE))]


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("PID-3", ["A&a1&a2^b^^H&1.2&ISO"]),
        ("PID-3.1", ["A&a1&a2"]),
        ("PID-3.1.2", ["a1"]),
        ("PID-3.4.3", ["ISO"]),
        ("PID-3.1-2", ["A&a1&a2^b"]),
        ("PID-3[2].4", ["X"]),
        ("PID-3[*].1", ["A&a1&a2", "B", "C"]),
        ("PID-3[rest].1", ["B", "C"]),
        ("PID-3[4=x].1", ["B"]),
        ("PID-3[4.2=1.2].2", ["b"]),
        ("PID-3[4=nobody].1", []),
        ("PID-3[9].1", []),
        ("PID-3.9", []),
        ("PID-99", []),
        ("ZZZ-1", []),
        ("OBX[2]-6", ["cm"]),
        ("OBX[3.1=29463-7]-5", ["80"]),
        ("OBX[3.2=Body Height]-5", ["180"]),
        ("OBX[3.2=Blood]-5", []),
        ("OBX[*]-6", ["kg", "cm"]),
        ("NTE[*]-3[*]", ["one", "two", "three"]),
    ],
)
def test_a_path_finds(path: str, texts: list[str], found: Callable[[str], list[str]]) -> None:
    """A path finds what it names, in order, and nothing that is absent."""
    assert found(path) == texts


def test_two_quotes_are_a_wish_to_delete_whatever_part_is_asked_for(source: Callable[[str], Any]) -> None:
    """A field that is to be removed is so in all its parts; a part that is, alone (D-25)."""
    message = source(MESSAGE)

    assert [parse_path(path).find(message)[0].deleted for path in ("PID-4", "PID-4.1", "PID-4.2.3")] == [
        True
    ] * 3
    assert parse_path("PID-5.3").find(message)[0].deleted
    assert not parse_path("PID-5").find(message)[0].deleted


def test_where_something_stood_is_known(source: Callable[[str], Any]) -> None:
    """A finding can name segment, occurrence, field, and a repetition that is not the first."""
    message = source(MESSAGE)

    assert parse_path("PID-3[2].4").find(message)[0].location == Location("PID", 1, 3, 2)
    assert parse_path("OBX[3.1=8302-2]-5").find(message)[0].location == Location("OBX", 2, 5)


def test_the_profile_picks_a_repetition(source: Callable[[str], Any]) -> None:
    """A path without an index means the repetition the profile picks, and `rest` the others."""
    picks = {("PID", 3): (Condition((4,), "x"), 1)}
    path, rest = parse_path("PID-3.1"), parse_path("PID-3[rest].1")
    assert isinstance(path, Hl7Path)
    assert isinstance(rest, Hl7Path)

    assert [each.part(1) for each in path.bound(picks).find(source(MESSAGE))] == ["B"]
    assert [each.part(1) for each in rest.bound(picks).find(source(MESSAGE))] == ["A", "C"]


def test_a_path_beside_another_stays_in_its_segment(source: Callable[[str], Any]) -> None:
    """The unit of a value is read where the value was found."""
    message = source(MESSAGE)
    value, unit = parse_path("OBX[3.1=8302-2]-5").find(message)[0], parse_path("OBX-6")
    assert isinstance(unit, Hl7Path)

    assert unit.beside(value)[0].text() == "cm"


@pytest.mark.parametrize(
    "text",
    ["", "PID", "PID-", "PID-0", "pid-3", "PID-3.0", "PID-3.1.2.3", "PID-3.4-4", "PID-3[]", "PID-3[x]",
     "PID-3[0]", "PID[rest]-3", "PID-3[4=]x", "PID-3.", "PI-3", "PID-3[²]", "."],
)  # fmt: skip
def test_what_is_no_path_is_refused(text: str) -> None:
    """A wrong path is an error when the profile is bound, never while a message is read."""
    with pytest.raises(BadPath):
        parse_path(text)


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    """Whatever an engineer writes, parsing ends in a path or in `BadPath`."""
    try:
        path = parse_path(text)
    except BadPath:
        return
    assert path.text == text
    assert looks_like_path(text)
