"""From identifiers to criteria: the vectors of F.1 that concern matching alone."""

from __future__ import annotations

import pytest

from mwl.dicom.matching import BadIdentifier, understand
from mwl.mapping.paths import parse_path, vr
from mwl.model import Document, WorklistItem, name_value
from mwl.query import Op, holds

VISIBLE = "S1 S2 S3 S4 S5 S6 S7 S8 S9 S12"


def identifier(**keys: str | None) -> Document:
    """Build an identifier: keywords, those of the step with the prefix SPS_; None or "" is zero-length."""
    root: Document = {}
    step: Document = {}
    for name, value in keys.items():
        keyword = name.removeprefix("SPS_")
        tag = parse_path(keyword)[-1]
        element = {"vr": vr(tag)}
        if value:
            parts = value.split("\\")
            element["Value"] = [name_value(part) for part in parts] if element["vr"] == "PN" else parts
        (step if name.startswith("SPS_") else root)[tag] = element
    if step:
        root["00400100"] = {"vr": "SQ", "Value": [step]}
    return root


def matches(items: dict[str, WorklistItem], keys: Document, *, lenient: bool = False) -> str:
    """Return the step IDs that match among the visible ones, as one line."""
    criteria = understand(keys, lenient=lenient).criteria
    visible = {name: items[name] for name in VISIBLE.split()}
    return " ".join(name for name, item in visible.items() if all(holds(c, item) for c in criteria))


DATE, TIME = "SPS_ScheduledProcedureStepStartDate", "SPS_ScheduledProcedureStepStartTime"
AET, PHYSICIAN = "SPS_ScheduledStationAETitle", "SPS_ScheduledPerformingPhysicianName"

VECTORS = [
    ("F-C01", {DATE: "20260705"}, "S1 S2 S12"),
    ("F-C02", {DATE: "20260705", "SPS_Modality": "CT", AET: "CT_ROOM1"}, "S1 S2 S12"),
    ("F-C03", {DATE: "20260705-20260707", TIME: "1000-1800"}, "S2 S3 S4 S5 S6 S7 S12"),
    ("F-C04", {DATE: "20260706", TIME: "1000-1800"}, "S4"),
    ("F-C05", {DATE: "20260706-"}, "S3 S4 S5 S6 S7 S8 S9"),
    ("F-C06", {DATE: "-20260705"}, "S1 S2 S12"),
    ("F-C07", {DATE: "20260706-", TIME: "0900-"}, "S4 S5 S6 S7 S8 S9"),
    ("F-C07b", {DATE: "-20260706", TIME: "-1400"}, "S1 S2 S3 S4 S12"),
    ("F-C08", {DATE: "", TIME: "0800-1000"}, "S1 S3"),
    ("F-C10", {"PatientID": "PID001"}, "S1 S3 S12"),
    ("F-C11", {"PatientID": "PID001", "IssuerOfPatientID": "HOSP_A"}, "S1 S3"),
    ("F-C12", {"PatientName": "DOE*"}, "S1 S2 S3 S4"),
    ("F-C13", {"PatientName": "DOE^J?NE"}, "S2"),
    ("F-C14", {"PatientName": "DOE^JOHN"}, ""),
    ("F-C15", {"PatientName": "DOE^JOHN^Q^^"}, "S1 S3"),
    ("F-C16", {PHYSICIAN: "*"}, VISIBLE),
    ("F-C17", {PHYSICIAN: "SMITH*"}, "S1 S2 S12"),
    ("F-C18", {AET: "US_2"}, "S4"),
    ("F-C19", {AET: "ct_room1"}, ""),
    ("F-C20", {AET: " CT_ROOM1 "}, "S1 S2 S12"),
    ("F-C21", {AET: "CT_ROOM*"}, "S1 S2 S6 S12"),
    ("F-C22", {"SPS_Modality": "CT\\MR"}, "S1 S2 S3 S6 S7 S12"),
    ("F-C23", {"PatientName": "", "PatientID": ""}, VISIBLE),
    ("F-C27", {"StudyInstanceUID": "1.2.276.0.99.1001\\1.2.276.0.99.1002"}, "S1 S2 S3"),
    ("F-C28", {"AccessionNumber": "ACC1001"}, "S1 S3"),
    ("F-C29a", {"PatientName": "D_E*"}, ""),
    ("F-C29b", {"PatientName": "%"}, ""),
    ("F-C30", {"PatientName": "王*"}, "S6"),
    ("F-C31", {"PatientName": "*王*"}, "S6"),
    ("F-C32", {"PatientName": "Wang^XiaoDong"}, "S6"),
    ("F-C48a", {DATE: "20260705", TIME: "0900"}, "S1"),
    ("F-C48b", {DATE: "20260705", TIME: "090000.000"}, "S1"),
    ("F-C49", {DATE: "20260707", TIME: "-1800"}, "S6 S7"),
    ("F-C50", {"PatientID": "PID001 "}, "S1 S3 S12"),
    ("F-X21", {"PatientName": "M?LLER*"}, "S5"),
    ("F-X23", {"PatientName": "MU\u0308LLER*"}, "S5"),
]


@pytest.mark.parametrize(("vector", "keys", "expected"), VECTORS, ids=[vector[0] for vector in VECTORS])
def test_a_query_matches_what_the_standard_says(
    vector: str, keys: dict[str, str], expected: str, f0_items: dict[str, WorklistItem]
) -> None:
    """Each vector of F.1 gives exactly its steps."""
    assert matches(f0_items, identifier(**keys)) == expected, vector


@pytest.mark.parametrize(
    ("key", "value", "tag"),
    [
        (DATE, "2026-07-05", "00400002"),
        (DATE, "20261332", "00400002"),
        (DATE, "20260707-20260705", "00400002"),
        (TIME, "2300-0100", "00400003"),
        (TIME, "250000", "00400003"),
        (DATE, "-", "00400002"),
        (DATE, "*", "00400002"),
    ],
)
def test_f_c42_f_c09_an_illegal_key_names_its_element(key: str, value: str, tag: str) -> None:
    """A key that breaks its own form is refused with its tag, and leniently matches nothing."""
    with pytest.raises(BadIdentifier) as refused:
        understand(identifier(**{key: value}))

    assert refused.value.tag == tag
    lenient = understand(identifier(**{key: value}), lenient=True)
    assert [c.op for c in lenient.criteria] == [Op.IN]
    assert lenient.criteria[0].values == ()


def test_f_c26_two_step_items_are_refused() -> None:
    """A sequence key has exactly one item (A-43)."""
    keys = identifier(SPS_Modality="CT")
    keys["00400100"]["Value"].append({})

    with pytest.raises(BadIdentifier) as refused:
        understand(keys)

    assert refused.value.tag == "00400100"


@pytest.mark.parametrize("step", [{"vr": "SQ"}, {"vr": "SQ", "Value": [{}]}])
def test_f_c24_f_c25_an_empty_step_sequence_is_universal(step: dict[str, object]) -> None:
    """A sequence of no item, or of one empty item, restricts nothing (A-44)."""
    assert understand({"00400100": step}).criteria == ()


def test_f_c36_f_c44_unknown_keys_are_listed_and_ignored() -> None:
    """A private key is unsupported; a Query/Retrieve level is simply not a key (A-02, A-20)."""
    keys = identifier(PatientName="DOE*")
    keys["00091001"] = {"vr": "UN"}
    keys["00080052"] = {"vr": "CS", "Value": ["PATIENT"]}

    understood = understand(keys)

    assert understood.unsupported == (("00091001",),)
    assert [c.path for c in understood.criteria] == [("00100010",)]


def test_a_key_that_asks_for_nothing_is_supported_where_it_can_be_returned() -> None:
    """A-20: FF01 is for what cannot be returned, and for a value that cannot be matched."""
    comments, institution = {"vr": "LT", "Value": ["x"]}, {"00080100": {"vr": "SH"}}

    assert understand({"00104000": {"vr": "LT"}}).unsupported == ()
    assert understand({"00080082": {"vr": "SQ", "Value": [institution]}}).unsupported == ()
    assert understand({"00104000": comments}).unsupported == (("00104000",),)
    assert understand({"00100FFE": {"vr": "UN"}}).unsupported == (("00100FFE",),)


def test_group_lengths_are_no_keys() -> None:
    """At any depth."""
    length = {"vr": "UL", "Value": [4]}
    codes = {"vr": "SQ", "Value": [{"00080000": length}]}

    understood = understand(
        {"00100000": length, "00400100": {"vr": "SQ", "Value": [{"00400000": length, "00400008": codes}]}}
    )

    assert (understood.criteria, understood.unsupported) == ((), ())


def test_the_dictionary_and_not_the_device_says_what_a_value_is(f0_items: dict[str, WorklistItem]) -> None:
    """A device that writes dates and names under another VR means them all the same."""
    step = {"00400002": {"vr": "LO", "Value": ["20260706-"]}, "00080060": {"vr": "LO", "Value": ["U?"]}}
    keys = {"00100010": {"vr": "LO", "Value": ["doe*"]}, "00400100": {"vr": "SQ", "Value": [step]}}

    assert matches(f0_items, keys) == "S4"


@pytest.mark.parametrize(
    ("keys", "tag"),
    [
        ({"00100020": {"vr": "UN", "InlineBinary": "UElEMDAx"}}, "00100020"),
        ({"00100010": {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["1"]}}]}}, "00100010"),
        ({"00400100": {"vr": "LO", "Value": ["CT"]}}, "00400100"),
        ({"00321064": {"vr": "SQ", "Value": [{}, {}]}}, "00321064"),
        ({"00321064": {"vr": "LO", "Value": ["X"]}}, "00321064"),
        ({"00100010": {"vr": "PN", "Value": [name_value("x" * 2000)]}}, "00100010"),
        ({"0020000D": {"vr": "UI", "Value": ["1.2"] * 2000}}, "0020000D"),
    ],
)
def test_a_key_that_says_something_unreadable_never_widens_the_list(keys: Document, tag: str) -> None:
    """It is refused, or leniently matches nothing; only a zero-length key is universal."""
    with pytest.raises(BadIdentifier) as refused:
        understand(keys)

    assert refused.value.tag == tag
    if tag != "00400100":
        assert [c.values for c in understand(keys, lenient=True).criteria] == [()]


def test_the_keys_of_a_code_sequence_must_hold_in_one_item(f0_items: dict[str, WorklistItem]) -> None:
    """A value from one item and a scheme from another do not add up to a match (A-43)."""
    codes = [{"00080100": {"vr": "SH", "Value": [value]}, "00080102": {"vr": "SH", "Value": [scheme]}}
             for value, scheme in (("P1", "L"), ("P2", "M"))]  # fmt: skip
    item = f0_items["S1"]
    item = WorklistItem(item.ref, item.patient, item.procedure,
                        {**item.step, "00400008": {"vr": "SQ", "Value": codes}}, "RIS")  # fmt: skip

    def asks(value: str, scheme: str) -> Document:
        code = {"00080100": {"vr": "SH", "Value": [value]}, "00080102": {"vr": "SH", "Value": [scheme]}}
        return {"00400100": {"vr": "SQ", "Value": [{"00400008": {"vr": "SQ", "Value": [code]}}]}}

    def found(keys: Document) -> bool:
        return all(holds(criterion, item) for criterion in understand(keys).criteria)

    assert found(asks("P1", "L"))
    assert not found(asks("P1", "M"))
