"""Which row of the order control table counts."""

from __future__ import annotations

import pytest

from mwl.mapping.systems.hl7paths import Hl7Path, parse_path
from mwl.mapping.systems.order_control import OrderControl, Pair, parse_key


def _control(*keys: str) -> OrderControl:
    code = parse_path("ORC-1")
    assert isinstance(code, Hl7Path)
    return OrderControl(code, None, {parse_key(key): key for key in keys})


@pytest.mark.parametrize(
    ("code", "status", "row"),
    [
        ("XO", "CM", "XO_CM"),
        ("SC", "CM", "*_CM"),
        ("XO", "CA", "XO"),
        ("XO", "", "XO"),
        ("ZZ", "", "*"),
        ("ZZ", "CM", "*_CM"),
    ],
)
def test_the_row_that_says_most_counts(code: str, status: str, row: str) -> None:
    """Both, then the status, then the code, then anything: whatever the order they are written in."""
    assert _control("*", "XO", "*_CM", "XO_CM").decide(code, status) == row


def test_without_a_row_for_anything_a_code_can_be_unknown() -> None:
    """No row, no action."""
    assert _control("NW", "*_CM").decide("ZZ", "") is None


def test_f37_a_status_may_be_a_word_of_the_system_s_own() -> None:
    """Some say VERIFIED and CANCELLED; of a word in no row it is known that it is in none."""
    control = _control("XO", "*_VERIFIED", "*_CANCELLED")

    assert control.decide("XO", "CANCELLED") == "*_CANCELLED"
    assert control.decide("XO", "DICTATED") == "XO"
    assert [control.knows(status) for status in ("VERIFIED", "DICTATED")] == [True, False]


@pytest.mark.parametrize("text", ["", "_CM", "NW_", "N W", "NW_CM_X", "**"])
def test_what_is_no_key_is_refused(text: str) -> None:
    """A row that could never count is an error when the profile is bound."""
    with pytest.raises(ValueError, match="CODE_STATUS"):
        parse_key(text)


def test_a_key_is_a_pair() -> None:
    """A code alone stands for any status; letter case does not count."""
    assert parse_key("nw") == Pair("NW", "*")
    assert parse_key("*_Cm") == Pair("*", "CM")
