"""What PS3.4 Table F.7.2-1 has against a request, and what the device is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.dicom import performed_rules as rules
from mwl.dicom.performed_rules import (
    NOT_IN_SET,
    Fault,
    Objection,
    objections_to_create,
    objections_to_set,
    objections_to_values,
    settable,
)
from mwl.model import Document, name_value

STATUS, ITEMS, STUDY, STATION, STEP_ID = "00400252", "00400270", "0020000D", "00400241", "00400253"
END_DATE, END_TIME, SERIES, CODES = "00400250", "00400251", "00400340", "00081032"
PROTOCOL, IMAGES, INSTANCE = "00181030", "00081140", "00081155"
ALWAYS = (Fault.NO_CODE, Fault.NO_IMAGE)
"""What the standard allows: a profile may object to it."""


def element(vr: str, *values: object) -> dict[str, Any]:
    """Return an element; without values an empty one."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def item(**changes: Any) -> Document:
    """Return a Scheduled Step Attributes item that lacks nothing."""
    empty = {"00081110": "SQ", "00080050": "SH", "00401001": "SH", "00321060": "LO", "00400009": "SH",
             "00400007": "LO", "00400008": "SQ"}  # fmt: skip
    document = {STUDY: element("UI", "1.2.3"), **{tag: element(vr) for tag, vr in empty.items()}}
    return changed(document, changes)


def series(*images: Document, **changes: Any) -> Document:
    """Return a Performed Series item that lacks nothing."""
    document = {
        "0020000E": element("UI", "1.2.3.4"), PROTOCOL: element("LO", "HEAD"), "00081050": element("PN"),
        "00081070": element("PN"), "0008103E": element("LO"), "00080054": element("AE"),
        IMAGES: element("SQ", *images), "00400220": element("SQ"),
    }  # fmt: skip
    return changed(document, changes)


def created(**changes: dict[str, Any] | None) -> Document:
    """Return the base N-CREATE of F.3; ``t00400241=None`` leaves an attribute out."""
    document: dict[str, Any] = {
        ITEMS: element("SQ", item()),
        "00100010": element("PN", name_value("DOE^JOHN")), "00100020": element("LO", "PID001"),
        "00100030": element("DA"), "00100040": element("CS"), "00081120": element("SQ"),
        STEP_ID: element("SH", "PPS1"), STATION: element("AE", "CT_ROOM1"),
        "00400242": element("SH"), "00400243": element("SH"),
        "00400244": element("DA", "20260705"), "00400245": element("TM", "091000"),
        STATUS: element("CS", "IN PROGRESS"), "00400254": element("LO"), "00400255": element("LO"),
        CODES: element("SQ"), END_DATE: element("DA"), END_TIME: element("TM"), "00080060": element("CS", "CT"),
        "00200010": element("SH"), "00400260": element("SQ"), SERIES: element("SQ"), "00400280": element("ST"),
    }  # fmt: skip
    return changed(document, changes)


def changed(document: Document, changes: dict[str, Any]) -> Document:
    """Return a document with other values, by ``t`` and the tag; None leaves one out."""
    document = document | {tag.removeprefix("t"): value for tag, value in changes.items()}
    return {tag: value for tag, value in document.items() if value is not None}


def to_create(document: Document, *, over: bool = False) -> tuple[Objection, ...]:
    """Return all that an N-CREATE has against it."""
    return (*objections_to_create(document, over=over), *objections_to_values(document))


def to_set(change: Document, stored: Document | None) -> tuple[Objection, ...]:
    """Return all that an N-SET has against it."""
    return (*objections_to_set(change, stored), *objections_to_values(change))


IMAGE = {"00081150": element("UI", "1.2.840.10008.5.1.4.1.1.2"), INSTANCE: element("UI", "1.2.9")}
CODED = element("SQ", {"00080100": element("SH", "CTH")})
FINAL = {
    END_DATE: element("DA", "20260705"), END_TIME: element("TM", "0930"), SERIES: element("SQ", series(IMAGE)),
    CODES: CODED, "00400260": CODED,
}  # fmt: skip
COMPLETED = {STATUS: element("CS", "COMPLETED")}


def told(found: tuple[Objection, ...]) -> list[tuple[str, int, tuple[str, ...]]]:
    """Return what matters of objections: fault, status, attributes."""
    return [(each.fault.name, each.fault.status, each.tags) for each in found if each.fault not in ALWAYS]


@pytest.mark.parametrize(
    ("vector", "changes", "expected"),
    [
        ("F-M01", {}, []),
        ("F-M30", {"t00400252": element("CS", "IN PROGRESS ")}, []),
        ("F-M02", {"t00400252": element("CS", "SCHEDULED")}, [("NOT_BEGUN", 0x0106, (STATUS,))]),
        ("B-02", {"t00400252": element("CS", "in progress")}, [("NOT_BEGUN", 0x0106, (STATUS,))]),
        ("B-02", {"t00400252": element("CS")}, [("NOT_BEGUN", 0x0106, (STATUS,)), ("EMPTY", 0x0121, (STATUS,))]),
        ("B-14", {"t00400252": None}, [("STATE_MISSING", 0x0120, (STATUS,))]),
        ("F-M03", {"t00400241": None}, [("MISSING", 0x0120, (STATION,))]),
        ("F-M03", {"t00400241": None, "t00080060": None}, [("MISSING", 0x0120, (STATION, "00080060"))]),
        ("F-M04", {"t00400253": element("SH")}, [("EMPTY", 0x0121, (STEP_ID,))]),
        ("M13", {"t00100030": None, "t00400254": None}, [("ABSENT", 0x0120, ("00100030", "00400254"))]),
        ("M13", {"t00080060": element("CS", "ct")}, [("ILLEGAL", 0x0106, ("00080060",))]),
        ("M13", {"t00100040": element("CS", "X")}, [("ILLEGAL", 0x0106, ("00100040",))]),
        ("B.2", {"t00400270": element("SQ")}, [("EMPTY", 0x0121, (ITEMS,))]),
        ("B.2", {"t00400270": element("SQ", item(t0020000D=None))}, [("INSIDE", 0x0121, (ITEMS,))]),
        ("B.2", {"t00400270": element("SQ", item(t0020000D=element("UI")))}, [("INSIDE", 0x0121, (ITEMS,))]),
        ("B.2", {"t00400270": element("SQ", item(), item(t00080050=None))}, [("INSIDE_ABSENT", 0x0121, (ITEMS,))]),
        ("B.2", {"t00400340": element("SQ", series(t00181030=None))}, [("INSIDE", 0x0121, (SERIES,))]),
        ("B.2", {"t00400340": element("SQ", series(IMAGE | {INSTANCE: element("UI")}))},
         [("INSIDE", 0x0121, (SERIES,))]),
        ("B.2", {"t00081120": element("SQ", {})}, [("INSIDE", 0x0121, ("00081120",))]),
        ("0107", {"t00070099": element("UN")}, []),
        ("0107", {"t00080099": element("UN"), "t00091001": element("LO", "X")},
         [("UNRECOGNISED", 0x0107, ("00080099",))]),
    ],
)  # fmt: skip
def test_what_the_table_asks_of_a_created_step(vector: str, changes: dict[str, Any], expected: Any) -> None:
    """Type 1 and 2 at every level, the state, values of their VR; private attributes are nobody's affair."""
    assert told(to_create(created(**changes))) == expected, vector


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_m02_a_step_that_is_over_is_held_against_a_final_state_as_well(state: str) -> None:
    """Where that is taken at all."""
    document = created(t00400252=element("CS", state))

    assert told(to_create(document)) == [
        ("NOT_BEGUN", 0x0106, (STATUS,)), ("UNFINISHED", 0x0121, (END_DATE, END_TIME, SERIES)),
    ]  # fmt: skip
    assert told(to_create(document, over=True)) == [("UNFINISHED", 0x0121, (END_DATE, END_TIME, SERIES))]
    assert told(to_create({**document, **FINAL}, over=True)) == []


def test_what_is_wrong_with_the_state_comes_first() -> None:
    """What is tolerated must not hide what is not."""
    found = to_create(created(t00400252=element("CS", "COMPLETED"), t00400241=None))

    assert [each.fault for each in found[:2]] == [Fault.NOT_BEGUN, Fault.MISSING]


@pytest.mark.parametrize(
    ("document", "offending"),
    [
        (created(t00400252=element("CS", "DONE")), {STATUS: element("CS", "DONE")}),
        (created(t00400253=element("SH")), {STEP_ID: element("SH")}),
        (
            created(t00400270=element("SQ", item(t0020000D=None))),
            {ITEMS: element("SQ", {STUDY: element("UI")})},
        ),
        (
            created(t00400340=element("SQ", series(IMAGE | {INSTANCE: element("UI", "1.02")}))),
            {SERIES: element("SQ", {IMAGES: element("SQ", {INSTANCE: element("UI", "1.02")})})},
        ),
    ],
)
def test_an_objection_holds_what_is_sent_back(document: Document, offending: Document) -> None:
    """B-14: the attributes it is about with their values, and no other: no patient."""
    first, *_ = to_create(document)

    assert first.data_set() == offending


@pytest.mark.parametrize(
    ("vector", "change", "expected"),
    [
        ("F-M09", {**COMPLETED, **FINAL}, []),
        ("F-M12", {STATUS: element("CS", "IN PROGRESS"), SERIES: element("SQ")}, []),
        ("F-M12", {SERIES: element("SQ", series())}, []),
        ("F-M10", {**COMPLETED, **FINAL, END_TIME: element("TM")}, [("UNFINISHED", 0x0121, (END_TIME,))]),
        ("F-M11", {STATUS: element("CS", "DISCONTINUED"), **FINAL, SERIES: element("SQ")},
         [("UNFINISHED", 0x0121, (SERIES,))]),
        ("B-12", COMPLETED, [("UNFINISHED", 0x0121, (END_DATE, END_TIME, SERIES))]),
        ("B.2", {SERIES: element("SQ", series(t0020000E=None))}, [("INSIDE", 0x0121, (SERIES,))]),
        ("B.2", {SERIES: element("SQ", series(t00081070=None))}, [("INSIDE_ABSENT", 0x0121, (SERIES,))]),
        ("F-M13", {"00100020": element("LO", "PID999")}, [("FORBIDDEN", 0x0105, ("00100020",))]),
        ("B-10", {"00400281": element("SQ")}, [("UNCREATED", 0x0105, ("00400281",))]),
        ("F-M14", {STATUS: element("CS", "ABORTED")}, [("UNKNOWN_STATE", 0x0106, (STATUS,))]),
        ("B-07", {STATUS: element("CS", "COMPLETED", "ABORTED")}, [("UNKNOWN_STATE", 0x0106, (STATUS,))]),
        ("B-07", {STATUS: element("CS", "COMPLETED", "COMPLETED")}, [("UNKNOWN_STATE", 0x0106, (STATUS,))]),
        ("B-07", {STATUS: element("CS")}, [("STATE_EMPTY", 0x0121, (STATUS,))]),
        ("M13", {"00400255": element("LO", "x" * 65)}, [("ILLEGAL", 0x0106, ("00400255",))]),
    ],
)  # fmt: skip
def test_a_set_changes_what_may_be_changed(vector: str, change: Document, expected: Any) -> None:
    """By the table, and by what was created; 0120 is not among the answers to N-SET (B-12)."""
    assert told(to_set(change, created())) == expected, vector


def test_what_was_set_before_counts_for_the_final_state() -> None:
    """End and series may come in steps of their own (B-12); a series that lacks something counts too."""
    lacking = {**created(), **FINAL, SERIES: element("SQ", series(IMAGE, t00181030=None))}

    assert told(to_set(COMPLETED, {**created(), **FINAL})) == []
    assert told(to_set(COMPLETED, lacking)) == [("INSIDE", 0x0121, (SERIES,))]


def test_m05_a_step_that_nobody_created_has_no_attribute_that_may_not_be_set() -> None:
    """It is made of what is set, whoever it names; its state counts all the same."""
    change = {**created(), STATUS: element("CS", "DONE")}

    assert told(to_set(change, None)) == [("UNKNOWN_STATE", 0x0106, (STATUS,))]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({}, []),
        ({CODES: element("SQ")}, [Fault.NO_CODE]),
        ({SERIES: element("SQ", series(IMAGE), series())}, [Fault.NO_IMAGE]),
        ({SERIES: element("SQ", series(t00400220=element("SQ", IMAGE)))}, []),
    ],
)
def test_m07_m09_what_a_profile_may_object_to_at_the_end(change: Document, faults: list[Fault]) -> None:
    """Empty codes, and a series without an object; the standard has nothing against them."""
    found = to_set({**COMPLETED, **FINAL, **change}, created())

    assert [each.fault for each in found] == faults


def test_what_identifies_is_never_set() -> None:
    """F-M13: neither the patient nor the order nor the step's own numbers."""
    change = {
        "00100020": element("LO", "PID999"), "00100010": element("PN", name_value("ROE")),
        ITEMS: element("SQ"), STEP_ID: element("SH", "X"), **COMPLETED, **FINAL,
    }  # fmt: skip

    assert settable(change) == {**COMPLETED, **FINAL}


def test_an_empty_state_sets_none() -> None:
    """The step goes on as it was."""
    assert settable({STATUS: element("CS"), SERIES: element("SQ")}) == {SERIES: element("SQ")}


def test_the_table_names_every_attribute_once() -> None:
    """And each of them is the standard's."""
    tags = [rule.tag for rule in rules.TABLE]

    assert len(tags) == len(set(tags)) == 33
    assert all(map(rules.is_recognised, tags))


VALUES = st.sampled_from([[], [None], [""], ["COMPLETED"], ["IN PROGRESS"], [{"Alphabetic": "X"}], [1]])
ELEMENTS = st.one_of(
    st.builds(
        lambda vr, values: {"vr": vr, "Value": values}, st.sampled_from(["CS", "UN", "PN", "LO"]), VALUES
    ),
    st.sampled_from(
        [element("SQ"), element("SQ", {}), element("SQ", series({}), {SERIES: element("SQ", {})})]
    ),
)
DOCUMENTS = st.dictionaries(
    st.sampled_from([STATUS, ITEMS, SERIES, STATION, "00100020", END_DATE, "00091001"]), ELEMENTS
)


@given(DOCUMENTS, DOCUMENTS)
def test_whatever_a_device_sends_is_judged(document: Document, stored: Document) -> None:
    """No data set breaks the rules' own workings."""
    for found in (to_create(document), to_set(document, stored)):
        for each in found:
            assert each.fault.comment
            assert set(each.data_set()) == set(each.tags)
    assert not settable(document).keys() & NOT_IN_SET
