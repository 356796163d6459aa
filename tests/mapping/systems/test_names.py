"""Names of people, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.mapping.systems.hl7paths import Found
from mwl.mapping.systems.names import read_xcn, read_xpn, write_xpn

_PART = st.text(alphabet=st.characters(categories=["L", "N"]), max_size=10)


def _silent(found: Found, text: str) -> None:
    pytest.fail(f"nothing should be reported: {text} {found}")


def _found(*parts: str) -> Found:
    return Found(tuple((part,) for part in parts), "^", None, "PID", 1, 5, 1)  # type: ignore[arg-type]


@given(st.tuples(_PART, _PART, _PART, _PART, _PART))
def test_prefix_and_suffix_change_places_and_come_back(parts: tuple[str, ...]) -> None:
    """F-H37: XPN has suffix, prefix; PN has prefix, suffix; what is written back is what came."""
    family, given_name, middle, suffix, prefix = parts

    name = read_xpn([_found(*parts)], _silent)
    written = write_xpn([name])

    assert name.get("Alphabetic", "") == f"{family}^{given_name}^{middle}^{prefix}^{suffix}".rstrip("^")
    back = [sub for part in (written[0] if written else ()) for sub in part]
    assert [*back, *[""] * 5][:5] == list(parts)


def test_groups_are_told_apart_only_where_there_are_several() -> None:
    """One group needs no type; several carry type and representation."""
    assert write_xpn([{"Alphabetic": "DOE^JOHN"}]) == ((("DOE",), ("JOHN",)),)
    assert write_xpn([{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]) == (
        (("Yamada",), ("Tarou",), ("",), ("",), ("",), ("",), ("L",), ("A",)),
        (("山田",), ("太郎",), ("",), ("",), ("",), ("",), ("L",), ("I",)),
    )
    assert write_xpn([]) == ()


def test_a_person_with_an_id_alone_has_no_name() -> None:
    """XCN: the ID is no name; the first repetition with a name gives it."""
    assert read_xcn([_found("7101")], _silent) == {}
    assert read_xcn([_found("7101"), _found("7102", "NELL", "FREDERICK", "", "", "DR")], _silent) == {
        "Alphabetic": "NELL^FREDERICK^^DR"
    }
