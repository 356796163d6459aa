"""Texts composed of HL7 fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mwl.mapping.systems.hl7paths import BadPath
from mwl.mapping.systems.hl7template import parse_template

MESSAGE = 'PV1||I|WARD1^101\rPID||""'


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{PV1-3.1}", "WARD1"),
        ("{PV1-3.1}[ {PV1-3.2}][ bed {PV1-3.3}]", "WARD1 101"),
        ("[bed {PV1-3.3}, ]{PV1-2}", "I"),
        ("[[{PV1-2}]] {{x}}", "[I] {x}"),
    ],
)
def test_a_template_is_filled(template: str, text: str, source: Callable[[str], Any]) -> None:
    """Paths are filled in; a bracketed part without a value is left out; doubled marks are plain."""
    filled = parse_template(template).fill(source(MESSAGE))

    assert filled is not None
    assert filled.text() == text


def test_a_template_without_any_value_is_absent(source: Callable[[str], Any]) -> None:
    """Fixed text alone says nothing."""
    assert parse_template("bed {PV1-3.3}").fill(source(MESSAGE)) is None


def test_a_template_of_removed_fields_removes(source: Callable[[str], Any]) -> None:
    """Where the message only removes, the attribute is to be emptied."""
    filled = parse_template("{PID-2} {PID-3}").fill(source(MESSAGE))

    assert filled is not None
    assert filled.deleted


@pytest.mark.parametrize("template", ["[{PV1-3}", "{PV1-3}]", "[[{PV1-3}]", "{PV1-3", "{ward}", "[a[b]]"])
def test_a_wrong_template_is_refused(template: str) -> None:
    """A mark without its partner, or a brace without a path, is an error when the profile is bound."""
    with pytest.raises(BadPath):
        parse_template(template)
