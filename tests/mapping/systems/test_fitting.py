"""Values that must fit their VR."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.mapping.systems.fitting import MAXIMUM, MULTILINE, Unfit, fit, identifier, uid


@given(st.sampled_from(sorted(MAXIMUM)), st.text(max_size=100), st.none() | st.integers(1, 200))
def test_whatever_comes_in_fits(vr: str, text: str, limit: int | None) -> None:
    """A value that comes out has no more characters than its VR allows, no control character, no backslash."""
    value = fit(vr, text, limit).value

    assert len(value) <= min(MAXIMUM[vr], limit or MAXIMUM[vr])
    if vr not in MULTILINE:
        assert not any(character == "\\" or ord(character) < 32 for character in value)


@given(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), max_size=64)
)
def test_what_fits_is_not_touched(text: str) -> None:
    """A value that fits comes out as it is, and nothing is reported."""
    assert fit("LO", text) == (text, "", False)


def test_a_text_of_lines_keeps_them() -> None:
    """Line ends of any kind become CR LF; backslashes stay, for such a text has one value."""
    assert fit("LT", "a\nb\rc\r\nd\\e\x07").value == "a\r\nb\r\nc\r\nd\\e "


def test_an_identifier_is_never_altered() -> None:
    """An identifier comes out as it is or not at all: it comes back in images (C-22)."""
    assert identifier(" A 1", 16) == " A 1"
    for text in ("A\\1", "A\n1", "A" * 17):
        with pytest.raises(Unfit):
            identifier(text, 16)


@pytest.mark.parametrize("text", ["1.2.840.10008", "2.25.0", "0.1"])
def test_a_uid_is_taken(text: str) -> None:
    """Digits and dots, without leading zeros."""
    assert uid(text) == text


@pytest.mark.parametrize("text", ["1.2.x.bad", "1", "1..2", "1.02", "1.2.", "", "1." + "2" * 63, "1.²"])
def test_what_is_no_uid_is_refused(text: str) -> None:
    """F-H60: an invalid UID is a mistake of the sender's, not a value to mend."""
    with pytest.raises(Unfit):
        uid(text)


@pytest.mark.parametrize(
    ("text", "value"), [("ct", "CT"), ("A_1 B", "A_1 B"), ("röntgen", ""), ("C" * 17, "")]
)
def test_a_code_string_is_one_or_left_out(text: str, value: str) -> None:
    """Code strings are upper case; what cannot be one is left out, and said so."""
    fitted = fit("CS", text)

    assert fitted.value == value
    assert bool(fitted.note) is not bool(value)
