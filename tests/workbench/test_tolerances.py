"""Which tolerances a device's queries need, each by itself."""

from __future__ import annotations

from typing import Any

import pytest

from mwl.mapping.devices.operations.accept import Accept
from mwl.model import Document
from mwl.store.associations import AssociationRecord
from mwl.workbench.samples import Sample
from mwl.workbench.tolerances import needs

STEP = "00400100"


def step(**inner: Any) -> Document:
    """Return an identifier with these keys of the step, by tag."""
    return {STEP: {"vr": "SQ", "Value": [inner]}}


WELL_FORMED = step(
    **{"00080060": {"vr": "CS", "Value": ["CT"]}, "00400003": {"vr": "TM", "Value": ["0800-1200"]}}
)
NEEDY: dict[str, tuple[Document, object]] = {
    "root_sps_keys": ({"00080060": {"vr": "CS"}}, "lift"),
    "extra_sps_items": ({STEP: {"vr": "SQ", "Value": [WELL_FORMED[STEP]["Value"][0]] * 2}}, "first"),
    "empty_sps": ({STEP: {"vr": "SQ"}}, "expand"),
    "unknown_keys": ({"00100001": {"vr": "LO"}}, "ignore"),
    "private": (step(**{"00091001": {"vr": "LO"}, "00080060": {"vr": "CS"}}), "ignore"),
    "qr_level": ({"00080052": {"vr": "CS", "Value": ["STUDY"]}}, "ignore"),
    "bad_values.DA": (step(**{"00400002": {"vr": "DA", "Value": ["*"]}}), "star_is_universal"),
    "bad_values.TM": (step(**{"00400003": {"vr": "TM", "Value": ["8-12"]}}), "hours_ok"),
    "bad_values.US": ({"001021C0": {"vr": "US", "Value": [0]}}, "zero_is_universal"),
}


def places(*samples: Sample) -> list[str]:
    return [".".join(need.place) for need in needs(samples)]


def test_a_query_by_the_book_needs_none() -> None:
    """As the standard has it."""
    assert needs([Sample(WELL_FORMED)]) == []


@pytest.mark.parametrize("name", NEEDY)
def test_a_query_that_is_not_by_the_book_needs_one(name: str) -> None:
    """The one that the profile language has for it, in a form that it takes."""
    keys, value = NEEDY[name]
    (need,) = needs([Sample(keys), Sample(WELL_FORMED)])

    assert (".".join(need.place), need.value, need.seen) == (name, value, 1)
    *outer, key = need.place
    written = {outer[0]: {key: need.value}} if outer else {key: need.value}
    assert Accept.model_validate(written)


def test_a_sequence_with_an_empty_item_is_an_empty_one() -> None:
    """F08 has two forms."""
    assert places(Sample({STEP: {"vr": "SQ", "Value": [{}]}})) == ["empty_sps"]


def test_a_request_without_message_id_needs_one() -> None:
    """F52: it is not in the identifier."""
    record = AssociationRecord(missing_message_id=True)

    assert places(Sample(WELL_FORMED, association=record)) == ["missing_message_id"]
