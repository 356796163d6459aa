"""Study Instance UIDs of orders that came without one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mwl.store import study_uid


@given(
    st.lists(st.text(max_size=20), max_size=8),
    st.sampled_from([None, "", "1.2.3", "1." + "2" * 37, "1" * 60]),
)
def test_a_derived_uid_is_a_valid_uid(identity, root):
    """PS3.5 9.1: at most 64 characters of digits and dots, no component with a leading zero."""
    uid = study_uid.derive(identity, root)

    components = uid.split(".")
    assert len(uid) <= 64
    assert all(part.isdecimal() and (part == "0" or part[0] != "0") for part in components)
    assert uid == study_uid.derive(list(identity), root)


def test_a_derived_uid_lies_under_the_root_or_under_2_25():
    """A root that leaves too few digits would make two orders one study, so it is not used."""
    assert study_uid.derive(["1"], "1.2.276.0").startswith("1.2.276.0.")
    assert study_uid.derive(["1"], None).startswith("2.25.")
    assert study_uid.derive(["1"], "1." + "2" * 50).startswith("2.25.")


@given(st.lists(st.text("ab", max_size=3), max_size=4), st.lists(st.text("ab", max_size=3), max_size=4))
def test_two_identities_are_two_studies(one, other):
    """Nothing slips from one part of the identity into the next."""
    assert (study_uid.derive(one, "1.2.3") == study_uid.derive(other, "1.2.3")) == (one == other)
