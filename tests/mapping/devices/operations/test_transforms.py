"""P25: whatever is shown comes back as it is stored, and patterns find what they are meant to find."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mwl.mapping.devices.operations.transforms import (
    Affix,
    Mapped,
    Pad,
    Slice,
    Unpad,
    Unshowable,
    shown,
    stored,
    stored_patterns,
)
from mwl.query import pattern

# Few characters, so that what is added is also found inside values.
values = st.text("0A1-", min_size=1, max_size=9)
texts = st.text("0A1-", min_size=1, max_size=3)
fillings = st.builds(Pad, st.integers(2, 9), st.sampled_from("0A"), st.booleans())
unfillings = st.builds(Unpad, st.integers(2, 9), st.sampled_from("0A"), st.booleans())
tables = st.dictionaries(texts, texts, min_size=1, max_size=3)
transforms = st.one_of(
    fillings,
    unfillings,
    st.builds(Affix, texts, st.booleans()),
    st.builds(Slice, tables, st.booleans()),
    st.builds(Mapped, tables),
)
chains = st.lists(transforms, min_size=1, max_size=3)
wildcards = st.text("0A1-*?", min_size=1, max_size=7)


@given(chains, values)
def test_what_is_shown_comes_back_as_it_is_stored(chain, value):
    """Whatever the lines say, even contradictory ones: a value that would not come back is not shown."""
    try:
        text = shown(chain, value, 64)
    except Unshowable:
        return

    assert stored(chain, text) == value


@given(chains, values, values)
def test_no_two_values_are_shown_alike(chain, one, other):
    """So a device never takes two patients for one."""
    assume(one != other)
    try:
        assert shown(chain, one, 64) != shown(chain, other, 64)
    except Unshowable:
        return


@given(chains, values, wildcards)
def test_a_pattern_finds_whatever_is_shown_so(chain, value, wanted):
    """Nothing is missed that a device could see and ask for."""
    try:
        text = shown(chain, value, 64)
    except Unshowable:
        return
    assume(pattern(wanted).fullmatch(text))

    assert any(pattern(each).fullmatch(value) for each in stored_patterns(chain, wanted))


@pytest.mark.parametrize(
    ("transform", "value", "text"),
    [
        (Pad(8, "0", right=False), "12345", "00012345"),
        (Pad(8, "0", right=False), "123456789", "123456789"),
        (Pad(8, "X", right=True), "123", "123XXXXX"),
        (Unpad(8, "0", right=False), "00012345", "12345"),
        (Affix("RAD-", right=False), "123", "RAD-123"),
        (Affix("/1", right=True), "123", "123/1"),
        (Slice({"HOSP1": "A", "HOSP2": "B"}, right=False), "HOSP2-77", "B-77"),
        (Slice({"HOSP1": "A"}, right=True), "77-HOSP1", "77-A"),
        (Slice({"RAD-": ""}, right=False), "RAD-77", "77"),
        (Mapped({"CT_1": "CT1"}), "CT_1", "CT1"),
        (Mapped({"CT_1": "CT1"}), "MR_1", "MR_1"),
    ],
)
def test_p25_each_form_does_what_it_says(transform, value, text):
    """One example of each, in both directions."""
    assert shown([transform], value, 64) == text
    assert stored([transform], text) == value


@pytest.mark.parametrize(
    ("transform", "value"),
    [
        (Pad(8, "0", right=False), "0123"),  # the device's 00000123 would be 123
        (Pad(8, "0", right=False), "0"),
        (Unpad(8, "0", right=False), "123"),  # the device's 123 would be 00000123
        (Slice({"RAD-": ""}, right=False), "77"),  # the device's 77 would be RAD-77
        (Mapped({"CT_1": "CT1"}), "CT1"),  # the device's CT1 is CT_1
    ],
)
def test_p25_a_value_that_would_not_come_back_is_not_shown(transform, value):
    """The reason says so without the value."""
    with pytest.raises(Unshowable, match="would not come back") as caught:
        shown([transform], value, 64)

    assert value not in str(caught.value)


def test_p25_a_value_is_never_cut():
    """One that becomes too long for its VR is not shown."""
    with pytest.raises(Unshowable, match="more than the 16 characters"):
        shown([Affix("RADIOLOGY-", right=False)], "1234567", 16)


@pytest.mark.parametrize(
    ("transform", "wanted", "expected"),
    [
        (Pad(8, "0", right=False), "000123*", {"000123??*", "00123??", "0123??", "123??"}),
        (Affix("RAD-", right=False), "RAD-12*", {"12*"}),
        (Affix("RAD-", right=False), "R*", {"*"}),
        (Affix("RAD-", right=False), "12*", set()),
        (Affix("/1", right=True), "12?/1", {"12?"}),
        (Slice({"HOSP1": "A"}, right=False), "A-7*", {"A-7*", "HOSP1-7*"}),
        (Mapped({"CT_1": "CT1"}), "CT*", {"CT*", "CT_1"}),
    ],
)
def test_p25_wildcards_are_led_back_piece_by_piece(transform, wanted, expected):
    """A pattern of what the device knows becomes patterns of what is stored."""
    assert set(stored_patterns([transform], wanted)) == expected
