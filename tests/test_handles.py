"""What stands for an identity: of stated form, always the same, and led back to the right step."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.handles import (
    LONGEST,
    is_step_study,
    may_be_shortened,
    shortened,
    stands_for,
    step_key,
    step_study,
)

keys = st.integers(0, 2**48 - 1)


def test_f48_a_handle_is_always_the_same_and_fits_a_barcode():
    """16 capitals and digits; the very one, since devices and images hold it for years."""
    assert shortened("HOSP-2025-0003344556") == "H4YFN5V6RNSV4DG4"
    assert len(shortened("x" * 500)) == LONGEST
    assert shortened("HOSP-2025-0003344557") != shortened("HOSP-2025-0003344556")


@given(st.text(max_size=80))
def test_a_handle_of_any_text_has_the_form_of_one(value):
    """Whatever a system sends, half a surrogate pair included."""
    assert may_be_shortened(shortened(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("AB12", ""), ("ab12", "AB12"), ("", ""), ("äb12", ""), ("A" * 17, shortened("A" * 17)), ("A" * 16, "")],
)
def test_f50_what_may_stand_for_a_value(value, expected):
    """A handle for what is too long, capitals for small letters, nothing for anything else."""
    assert stands_for(value) == expected


@given(keys, st.sampled_from([None, "1.2.3", "1.2.840.99999.1234567890", "1.2.840.99999.123456789012345.6"]))
def test_f28_the_uid_of_a_step_holds_its_key_and_is_a_uid(key, root):
    """A UUID of version 8 under the root, where there is room, or under 2.25."""
    uid = step_study("1.2.3.4", "SPS1", key, root)

    assert len(uid) <= 64
    assert step_key(uid) == key
    assert uuid.UUID(int=int(uid.rpartition(".")[2])).version == 8
    assert is_step_study(uid, "1.2.3.4", "SPS1", key)


@given(keys, keys)
def test_f28_a_uid_is_of_one_step_alone(one, other):
    """Another key, study or step ID makes another UID: keys begin anew in another database."""
    uid = step_study("1.2.3", "S1", one, None)

    assert is_step_study(uid, "1.2.3", "S1", other) is (one == other)
    assert not is_step_study(uid, "1.2.3", "S2", one)
    assert not is_step_study(uid, "1.2.3S", "1", one)


@pytest.mark.parametrize(
    "uid", ["", "1.2.3", "2.25.x", f"2.25.{2**128}", "2.25.229931147943566611105345425279660747638"]
)
def test_other_uids_are_of_no_step(uid):
    """No key is read out of what was not made here."""
    assert step_key(uid) is None
