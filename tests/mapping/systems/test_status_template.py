"""What a system is told, as the shipped profile words it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from mwl.errors import BadDocument
from mwl.mapping.systems.status_template import OutgoingMessage, StatusFacts, parse_field
from mwl.mapping.systems.system import SystemProfile
from mwl.model import Document, OrderMessage

AT = "2026-07-05T09:20:00+02:00"
PERFORMED: Document = {
    "00400244": {"vr": "DA", "Value": ["20260705"]},
    "00400245": {"vr": "TM", "Value": ["091500.25"]},
    "00400250": {"vr": "DA", "Value": ["20260705"]},
    "00400251": {"vr": "TM", "Value": ["093000"]},
    "00400340": {
        "vr": "SQ",
        "Value": [{"00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]}}],
    },
}


@pytest.fixture
def tell(
    generic: SystemProfile, read: Callable[..., OrderMessage], make_order: Callable[..., str]
) -> Callable[..., dict[str, dict[int, Any]]]:
    """Tell an event of the order that a message made, and return the fields by segment."""

    def _tell(
        event: str = "CM", performed: Document | None = PERFORMED, **fields: str
    ) -> dict[str, dict[int, Any]]:
        order = read(make_order(**fields))
        (change,) = order.procedures
        row = {"event": event, "patient": order.patient, "procedure": change.procedure, "step": change.steps[0],
               "performed": performed, "at": AT}  # fmt: skip
        facts = StatusFacts.of(row, control_id="77", sender=("MWL", "HOSP"), receiver=("RIS", "CLINIC"))
        message = generic.status_message("ORM^O01", facts)
        assert (message.structure, message.version) == ("ORM_O01", "2.3.1")
        assert [name for name, _ in message.segments] == ["MSH", "PID", "ORC", "OBR"]
        return {name: dict(found) for name, found in message.segments}

    return _tell


def _er7(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "~".join("^".join("&".join(part) for part in repetition) for repetition in value)


def test_a_completed_step_is_told(tell: Callable[..., dict[str, dict[int, Any]]]) -> None:
    """Numbers as they were ordered, what happened, and when (C-30, C-32, C.6)."""
    told = tell()

    assert {number: _er7(value) for number, value in told["MSH"].items()} == {
        3: "MWL", 4: "HOSP", 5: "RIS", 6: "CLINIC", 7: "20260705092000+0200", 9: "ORM^O01", 10: "77", 11: "P",
        12: "2.3.1", 18: "UNICODE UTF-8"}  # fmt: skip
    assert {number: _er7(value) for number, value in told["PID"].items()} == {
        3: "PID001^^^HOSP_A",
        5: "DOE^JOHN",
    }
    assert {number: _er7(value) for number, value in told["ORC"].items()} == {
        1: "SC", 2: "P1^PLC", 3: "F1^FIL", 5: "CM", 9: "20260705092000+0200"}  # fmt: skip
    assert {number: _er7(value) for number, value in told["OBR"].items()} == {
        1: "1", 2: "P1^PLC", 3: "F1^FIL", 4: "RP1^Chest CT^L", 7: "20260705091500", 8: "20260705093000",
        18: "ACC1", 19: "RPID1", 20: "SPS1", 22: "20260705092000+0200", 24: "CT", 25: "R"}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "performed", "result"),
    [("IP", None, "I"), ("CM", None, "R"), ("DC", None, "X"), ("DC", PERFORMED, "A"), ("SC", None, "S")],
)
def test_the_result_status_follows_the_event(
    event: str, performed: Document | None, result: str, tell: Callable[..., dict[str, dict[int, Any]]]
) -> None:
    """ORC-5 is the event, OBR-25 what it means for results: nothing made, or something (C.6)."""
    told = tell(event, performed)

    assert _er7(told["ORC"][5]) == event
    assert told["OBR"][25] == result


def test_f_m21_placer_and_filler_go_back_as_received(tell: Callable[..., dict[str, dict[int, Any]]]) -> None:
    """Namespace, universal ID and type, in the sender's own spelling; a number never sent is not told."""
    told = tell(ORC_2="p 1^Ns^1.2.3^iso", ORC_3="", OBR_3="", OBR_2="")

    assert _er7(told["ORC"][2]) == "p 1^Ns^1.2.3^iso"
    assert 3 not in told["ORC"]


def test_names_go_back_in_hl7s_order(tell: Callable[..., dict[str, dict[int, Any]]]) -> None:
    """Suffix before prefix, a repetition for each representation."""
    told = tell(PID_5="Yamada^Tarou^^Jr^Dr^^L^A~山田^太郎^^^^^L^I")

    assert _er7(told["PID"][5]) == "Yamada^Tarou^^Jr^Dr^^L^A~山田^太郎^^^^^L^I"


def test_a_value_never_becomes_a_component(tell: Callable[..., dict[str, dict[int, Any]]]) -> None:
    """A template is split before it is filled: whoever composes the message escapes each part."""
    told = tell(ORC_2=r"P\S\1\T\2^PLC")

    assert told["ORC"][2] == ((("P^1&2",), ("PLC",)),)


def test_what_was_not_done_has_no_times(tell: Callable[..., dict[str, dict[int, Any]]]) -> None:
    """A field of which nothing is known is left out."""
    told = tell("SC", None)

    assert not {7, 8} & told["OBR"].keys()


def test_a_field_with_nothing_but_its_frame_is_left_out() -> None:
    """Fixed components around an empty reference say nothing; fixed text alone is said."""
    facts = StatusFacts("IP", "1", dt.datetime.fromisoformat(AT))

    assert parse_field("{procedure.StudyInstanceUID}^100^Application^DICOM").fill(facts) == ()
    assert parse_field("SC").fill(facts) == ((("SC",),),)
    assert parse_field("{step.Modality|event}&x~{event}").fill(facts) == ((("IP", "x"),), (("IP",),))


def test_an_alternative_kind_is_a_few_lines(site_profile: Callable[[str], SystemProfile]) -> None:
    """A site words another kind of message without code."""
    profile = site_profile(
        'status: {ORU^R01: {version: 2.5.1, segments: {OBX: {5: "{performed.SOPInstanceUID|event}"}}}}'
    )

    message = profile.status_message("ORU^R01", StatusFacts("IP", "1", dt.datetime.fromisoformat(AT)))

    assert message == OutgoingMessage("ORU^R01", "2.5.1", (("OBX", {5: ((("IP",),),)}),))
    assert "ORM^O01" in profile.templates


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("{evnt}", "unknown reference 'evnt': did you mean 'event'?"),
        ("{patient.PatientNam}", "unknown attribute 'PatientNam': did you mean 'PatientName'?"),
        ("{visit.AdmissionID}", "unknown reference 'visit.AdmissionID'"),
        ("{event", "a brace without its partner"),
        ("{patient}", "unknown reference 'patient': did you mean 'patient.'?"),
    ],
)
def test_a_wrong_reference_is_an_error_of_the_profile(
    field: str, message: str, site_profile: Callable[[str], SystemProfile]
) -> None:
    """It is found when the profile is bound, at its line, with the nearest right word."""
    with pytest.raises(BadDocument) as bad:
        site_profile(f'status:\n  ORM^O01:\n    segments:\n      PID: {{3: "{field}"}}')
    (problem,) = bad.value.problems
    assert (problem.line, problem.column) == (5, 16)
    assert message in problem.message
