"""Which rule of PS3.4 Table F.7.2-1 a request breaks, and what the device is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.dicom import performed_rules as rules
from mwl.dicom.performed_rules import Objection, object_to_create, object_to_set, settable
from mwl.model import Document, name_value

STATUS, ITEMS, STUDY, STATION, STEP_ID = "00400252", "00400270", "0020000D", "00400241", "00400253"
END_DATE, END_TIME, SERIES = "00400250", "00400251", "00400340"


def element(vr: str, *values: object) -> dict[str, Any]:
    """Return an element; without values an empty one."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def created(**changes: dict[str, Any] | None) -> Document:
    """Return the base N-CREATE of F.3; ``t00400241=None`` leaves an attribute out."""
    document: dict[str, Any] = {
        ITEMS: element("SQ", {STUDY: element("UI", "1.2.3")}),
        STEP_ID: element("SH", "PPS1"), STATION: element("AE", "CT_ROOM1"),
        "00400244": element("DA", "20260705"), "00400245": element("TM", "091000"),
        STATUS: element("CS", "IN PROGRESS"), "00080060": element("CS", "CT"),
        END_DATE: element("DA"), END_TIME: element("TM"), SERIES: element("SQ"),
        "00100020": element("LO", "PID001"), "00400280": element("ST"),
    }  # fmt: skip
    document |= {tag.removeprefix("t"): value for tag, value in changes.items()}
    return {tag: value for tag, value in document.items() if value is not None}


FINAL = {END_DATE: element("DA", "20260705"), END_TIME: element("TM", "0930"), SERIES: element("SQ", {})}


def told(found: Objection | None) -> tuple[int, tuple[str, ...], bool] | None:
    """Return what matters of an objection."""
    return found and (found.status, found.tags, found.tolerable)


@pytest.mark.parametrize(
    ("vector", "changes", "expected"),
    [
        ("F-M01", {}, None),
        ("F-M30", {"t00400252": element("CS", "IN PROGRESS ")}, None),
        ("F-M02", {"t00400252": element("CS", "COMPLETED")}, (0x0106, (STATUS,), False)),
        ("B-02", {"t00400252": element("CS", "in progress")}, (0x0106, (STATUS,), False)),
        ("B-02", {"t00400252": element("CS")}, (0x0106, (STATUS,), False)),
        ("B-14", {"t00400252": None}, (0x0120, (STATUS,), False)),
        ("F-M03", {"t00400241": None}, (0x0120, (STATION,), True)),
        ("F-M03", {"t00400241": None, "t00080060": None}, (0x0120, (STATION, "00080060"), True)),
        ("F-M04", {"t00400253": element("SH")}, (0x0121, (STEP_ID,), True)),
        ("B.2", {"t00400270": element("SQ")}, (0x0121, (ITEMS,), True)),
        ("B.2", {"t00400270": element("SQ", {})}, (0x0121, (ITEMS,), True)),
        ("B.2", {"t00400270": element("SQ", {STUDY: element("UI")})}, (0x0121, (ITEMS,), True)),
    ],
)
def test_a_created_step_begins_and_has_its_type_1_attributes(
    vector: str, changes: dict[str, Any], expected: Any
) -> None:
    """Only the state cannot be tolerated: a step that has not begun has no place here."""
    assert told(object_to_create(created(**changes))) == expected, vector


def test_what_is_wrong_with_the_state_comes_first() -> None:
    """What is tolerated must not hide what is not."""
    found = object_to_create(created(t00400252=element("CS", "COMPLETED"), t00400241=None))

    assert told(found) == (0x0106, (STATUS,), False)


@pytest.mark.parametrize(
    ("document", "offending"),
    [
        (created(t00400252=element("CS", "DONE")), {STATUS: element("CS", "DONE")}),
        (created(t00400253=element("SH")), {STEP_ID: element("SH")}),
        (
            created(t00400270=element("SQ", {"00080050": element("SH", "ACC1")})),
            {ITEMS: element("SQ", {STUDY: element("UI")})},
        ),
        (created(t00400241=None), {}),
    ],
)
def test_an_objection_holds_what_is_sent_back(document: Document, offending: Document) -> None:
    """B-14: the attributes it is about with their values, and no other: no patient."""
    found = object_to_create(document)

    assert found is not None
    assert found.offending == offending


@pytest.mark.parametrize(
    ("vector", "change", "expected"),
    [
        ("F-M09", {STATUS: element("CS", "COMPLETED"), **FINAL}, None),
        ("F-M12", {STATUS: element("CS", "IN PROGRESS"), SERIES: element("SQ")}, None),
        ("F-M12", {SERIES: element("SQ", {})}, None),
        ("F-M10", {STATUS: element("CS", "COMPLETED"), **FINAL, END_TIME: element("TM")}, (0x0121, (END_TIME,), True)),
        ("F-M11", {STATUS: element("CS", "DISCONTINUED"), **FINAL, SERIES: element("SQ")}, (0x0121, (SERIES,), True)),
        ("B-12", {STATUS: element("CS", "COMPLETED")}, (0x0121, (END_DATE, END_TIME, SERIES), True)),
        ("F-M13", {"00100020": element("LO", "PID999")}, (0x0105, ("00100020",), True)),
        ("B-10", {"00400281": element("SQ")}, (0x0105, ("00400281",), True)),
        ("F-M14", {STATUS: element("CS", "ABORTED")}, (0x0106, (STATUS,), False)),
        ("B-07", {STATUS: element("CS")}, (0x0121, (STATUS,), True)),
    ],
)  # fmt: skip
def test_a_set_changes_what_may_be_changed(vector: str, change: Document, expected: Any) -> None:
    """An unknown state is never tolerated: it could be taken for a final one."""
    assert told(object_to_set(change, created())) == expected, vector


def test_what_was_set_before_counts_for_the_final_state() -> None:
    """End and series may come in steps of their own (B-12)."""
    assert object_to_set({STATUS: element("CS", "COMPLETED")}, {**created(), **FINAL}) is None


def test_what_identifies_is_never_set() -> None:
    """F-M13: neither the patient nor the order nor the step's own numbers."""
    change = {
        "00100020": element("LO", "PID999"), "00100010": element("PN", name_value("ROE")),
        ITEMS: element("SQ"), STEP_ID: element("SH", "X"), STATUS: element("CS", "COMPLETED"), **FINAL,
    }  # fmt: skip

    assert settable(change) == {STATUS: element("CS", "COMPLETED"), **FINAL}


def test_an_empty_state_sets_none() -> None:
    """The step goes on as it was."""
    assert settable({STATUS: element("CS"), SERIES: element("SQ")}) == {SERIES: element("SQ")}


VALUES = st.sampled_from([[], [None], [""], ["COMPLETED"], ["IN PROGRESS"], [{}], [{"Alphabetic": "X"}], [1]])
DOCUMENTS = st.dictionaries(
    st.sampled_from([STATUS, ITEMS, SERIES, STATION, "00100020", END_DATE, "00091001"]),
    st.builds(lambda vr, values: {"vr": vr, "Value": values}, st.sampled_from(["CS", "SQ", "UN"]), VALUES),
)


@given(DOCUMENTS, DOCUMENTS)
def test_whatever_a_device_sends_is_judged(document: Document, stored: Document) -> None:
    """No data set breaks the rules' own workings, and what is tolerated can be stored."""
    for found in (object_to_create(document), object_to_set(document, stored)):
        assert found is None or (found.comment and found.status in (0x0105, 0x0106, 0x0120, 0x0121))
    assert not settable(document).keys() & rules._NOT_IN_SET
