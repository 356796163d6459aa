"""What a system is told, as the shipped profile words it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from textwrap import dedent, indent
from typing import Any

import pytest

from mwl.errors import BadDocument
from mwl.mapping.systems.status_facts import Scope
from mwl.mapping.systems.status_template import MOST_REPEATED, OutgoingMessage, StatusFacts, parse_field
from mwl.mapping.systems.system import SystemProfile
from mwl.model import Document, OrderMessage, StatusEvent, name_value

AT = "2026-07-05T09:20:00+02:00"


def element(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def code(value: str, meaning: str, scheme: str) -> Document:
    return {
        "00080100": element("SH", value),
        "00080104": element("LO", meaning),
        "00080102": element("SH", scheme),
    }


def series(protocol: str, images: int, *operators: str, physician: str = "HOUSE^GREG") -> Document:
    """Return an item of the Performed Series Sequence."""
    return {
        "00181030": element("LO", protocol),
        "00081050": element("PN", name_value(physician)),
        "00081070": element("PN", *map(name_value, operators)),
        "00081140": element("SQ", *({"00081155": element("UI", f"1.2.{n}")} for n in range(images))),
    }


PERFORMED: Document = {
    "00400241": element("AE", "CT1"),
    "00400242": element("SH", "ROOM 1"),
    "00400244": element("DA", "20260705"),
    "00400245": element("TM", "091500.25"),
    "00400250": element("DA", "20260705"),
    "00400251": element("TM", "093000"),
    "00400260": element("SQ", code("PC1", "Head", "99X"), code("PC2", "Neck", "99X")),
    "00400270": element("SQ", {"0020000D": element("UI", "1.2.3.4")}),
    "00400280": element("ST", "moved\r\na lot"),
    "00081032": element("SQ", code("P5", "CT head", "99X")),
    "00400340": element("SQ", series("HEAD", 2, "TECH^TINA"), series("HEAD", 3, "TECH^TINA", "TECH^TOM")),
}
DOSE: Document = {
    "00400300": element("US", 12),
    "00400301": element("US", 2),
    "0018115E": element("DS", "12.5"),
    "00408302": element("DS", "0.7"),
    "00400316": element("DS", "0.02"),
    "00400310": element("ST", "collimated"),
    "0040030E": element(
        "SQ",
        {
            "00180060": element("DS", "120"),
            "00188151": element("DS", "80000"),
            "00181150": element("IS", "100"),
        },
        {"00180060": element("DS", "80")},
    ),
}
STATED = code("110501", "Equipment failure", "DCM")

Told = dict[str, list[dict[int, Any]]]
Tell = Callable[..., Told]


@pytest.fixture
def tell(
    generic: SystemProfile, read: Callable[..., OrderMessage], make_order: Callable[..., str]
) -> Callable[..., Told]:
    """Tell an event of the order that a message made, and return the fields of its segments by name."""

    def _tell(
        event: str = "CM",
        performed: Document | None = PERFORMED,
        *,
        kind: str = "ORM^O01",
        profile: SystemProfile = generic,
        steps: int = 1,
        reason: str = "",
        **fields: str,
    ) -> Told:
        order = read(make_order(**fields))
        (change,) = order.procedures
        row = {"event": event, "patient": order.patient, "procedure": change.procedure,
               "steps": list(change.steps) * steps, "performed": performed, "reason": reason, "at": AT}  # fmt: skip
        facts = StatusFacts.of(row, control_id="77", sender=("MWL", "HOSP"), receiver=("RIS", "CLINIC"))
        message = profile.status_message(kind, facts)
        found: Told = {}
        for name, values in message.segments:
            found.setdefault(name, []).append({number: _er7(value) for number, value in values.items()})
        return found

    return _tell


def _er7(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "~".join("^".join("&".join(part) for part in repetition) for repetition in value)


def observed(told: Told) -> dict[str, list[str]]:
    """Return the observations: value and unit of each code."""
    found: dict[str, list[str]] = {}
    for fields in told.get("OBX", []):
        unit = fields.get(6, "").partition("^")[0]
        found.setdefault(fields[3].partition("^")[0], []).append(f"{fields[5]} {unit}".strip())
    return found


def test_a_completed_step_is_told(tell: Tell) -> None:
    """Numbers as they were ordered, what happened, when, by whom (C-30, C-32, C.6)."""
    told = tell()

    assert list(told) == ["MSH", "PID", "PV1", "ORC", "OBR", "NTE", "OBX"]
    assert told["MSH"] == [
        {3: "MWL", 4: "HOSP", 5: "RIS", 6: "CLINIC", 7: "20260705092000+0200", 9: "ORM^O01", 10: "77", 11: "P",
         12: "2.3.1", 18: "UNICODE UTF-8"}]  # fmt: skip
    assert told["PID"] == [{3: "PID001^^^HOSP_A", 5: "DOE^JOHN"}]
    assert told["ORC"] == [{1: "SC", 2: "P1^PLC", 3: "F1^FIL", 5: "CM", 9: "20260705092000+0200"}]
    assert told["OBR"] == [
        {1: "1", 2: "P1^PLC", 3: "F1^FIL", 4: "RP1^Chest CT^L", 7: "20260705091500", 8: "20260705093000",
         18: "ACC1", 19: "RPID1", 20: "SPS1", 22: "20260705092000+0200", 24: "CT", 25: "R",
         34: "&TECH&TINA~&TECH&TOM", 44: "P5^CT head^99X"}]  # fmt: skip
    assert told["NTE"] == [{1: "1", 2: "L", 3: "moved\r\na lot"}]
    assert observed(told) == {
        "113014": ["1.2.3.4"], "110119": ["CT1"], "121013": ["ROOM 1"], "121114": ["^HOUSE^GREG"],
        "125203": ["HEAD", "PC1^Head^99X~PC2^Neck^99X"], "SERIES": ["2"], "IMAGES": ["5"]}  # fmt: skip


def test_observations_are_numbered_through(tell: Tell) -> None:
    """OBX-1 counts those that are there, whatever is left out between them."""
    told = tell(performed={**PERFORMED, **DOSE})

    numbers = [fields[1] for fields in told["OBX"]]
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    assert len({(fields[3], fields[4]) for fields in told["OBX"]}) == len(numbers)


def test_the_dose_is_told_where_the_device_reports_it(tell: Tell) -> None:
    """With DICOM's units, and a sub-ID for each exposure."""
    told = tell(performed={**PERFORMED, **DOSE})

    found = observed(told)
    assert {each: found[each] for each in found if each[:3] in ("113", "EXP", "ENT", "121") and each != "113014"} == {
        "EXPOSURES": ["2"], "113730": ["12 s"], "113722": ["12.5 dGy.cm2"], "ENTRANCE_DOSE": ["0.7 mGy"],
        "113518": ["0.02 dGy"], "121106": ["collimated"], "113733": ["120 kV", "80 kV"],
        "113734": ["80000 uA"], "113824": ["100 ms"], "121013": ["ROOM 1"], "121114": ["^HOUSE^GREG"]}  # fmt: skip
    assert [each[4] for each in told["OBX"] if each[3].startswith("113733")] == ["1", "2"]
    assert not observed(tell()).keys() & {"EXPOSURES", "113722", "113733"}


def test_what_has_begun_has_no_end_and_no_numbers_yet(tell: Tell) -> None:
    """When, where and by whom is told at once."""
    told = tell("IP")

    assert told["OBR"][0][7] == "20260705091500"
    assert 8 not in told["OBR"][0]
    assert "NTE" not in told
    assert observed(told).keys() == {"113014", "110119", "121013", "121114", "125203"}


def test_a_device_that_made_nothing_is_told_with_noughts(tell: Tell) -> None:
    """A series list that is empty, and one that was never sent, are two things."""
    assert observed(tell("DC", {**PERFORMED, "00400340": {"vr": "SQ"}}))["IMAGES"] == ["0"]
    assert "IMAGES" not in observed(tell("CM", {}))


@pytest.mark.parametrize(
    ("event", "performed", "status", "result"),
    [
        ("IP", None, "IP", "I"), ("CM", None, "CM", "R"), ("DC", None, "DC", "X"), ("DC", PERFORMED, "DC", "A"),
        ("SC", None, "SC", "S"), ("CA", None, "CA", "X"), ("ARRIVED", None, "SC", "S"), ("READY", None, "SC", "S"),
    ],
)  # fmt: skip
def test_order_and_result_status_follow_the_event(
    event: str, performed: Document | None, status: str, result: str, tell: Tell
) -> None:
    """ORC-5 is the event, OBR-25 what it means for results: nothing made, or something (C.6)."""
    told = tell(event, performed)

    assert (told["ORC"][0][5], told["OBR"][0][25]) == (status, result)
    assert told["ORC"][0].get(25) == (event if status == "SC" != event else None)


def test_every_event_has_its_words(generic: SystemProfile, tell: Tell) -> None:
    """Whatever the configuration may ask for, in every kind of message."""
    for kind in generic.templates:
        for event in StatusEvent:
            told = tell(event.value, None, kind=kind)
            assert told["ORC"][0][5]
            assert told["OBR"][0][25]


@pytest.mark.parametrize("event", ["DC", "SC"])
def test_the_reason_of_a_discontinuation_is_told(event: str, tell: Tell) -> None:
    """Code, meaning and scheme as the device sent them; a person's words where a person ended it."""
    told = tell(event, {**PERFORMED, "00400281": element("SQ", STATED)})

    assert told["ORC"][0][16] == "110501^Equipment failure^DCM"
    assert tell(event, None, reason="the patient fainted")["ORC"][0][16] == "^the patient fainted"
    assert 16 not in tell("IP", {**PERFORMED, "00400281": element("SQ", STATED)})["ORC"][0]


def test_a_step_that_is_back_has_no_times(tell: Tell) -> None:
    """They were another exam's (B-33)."""
    told = tell("SC", {**PERFORMED, "00400281": element("SQ", code("110514", "Incorrect entry", "DCM"))})

    assert not {7, 8, 34, 44} & told["OBR"][0].keys()
    assert "OBX" not in told


def test_the_study_is_the_one_the_images_are_in(tell: Tell) -> None:
    """B-34: a device may make one study of several orders; where it names several, each order has its own."""

    def studies(*uids: str) -> list[str]:
        items = [{"0020000D": element("UI", uid)} for uid in uids]
        return observed(tell(performed={**PERFORMED, "00400270": element("SQ", *items)}))["113014"]

    assert studies("9.9", "9.9") == ["9.9"]
    assert studies("9.9", "8.8") == ["1.2.3.4"]
    assert studies() == ["1.2.3.4"]


def test_f_m21_placer_and_filler_go_back_as_received(tell: Tell) -> None:
    """Namespace, universal ID and type, in the sender's own spelling; a number never sent is not told."""
    told = tell(ORC_2="p 1^Ns^1.2.3^iso", ORC_3="", OBR_3="", OBR_2="")

    assert told["ORC"][0][2] == "p 1^Ns^1.2.3^iso"
    assert 3 not in told["ORC"][0]


def test_names_go_back_in_hl7s_order(tell: Tell) -> None:
    """Suffix before prefix, a repetition for each representation."""
    told = tell(PID_5="Yamada^Tarou^^Jr^Dr^^L^A~山田^太郎^^^^^L^I")

    assert told["PID"][0][5] == "Yamada^Tarou^^Jr^Dr^^L^A~山田^太郎^^^^^L^I"


def test_the_visit_is_told_where_the_order_had_one(tell: Tell) -> None:
    """PV1-2 must stand: U where the class is not known.  Without a visit there is no PV1."""
    visit = "PV1||I|WARD1^101^2||||||||||||||||VN1^^^HOSP&1.2.3&ISO"

    assert tell(PV1=visit)["PV1"] == [{2: "I", 3: "^^^^^^^^WARD1 101 2", 19: "VN1^^^HOSP&1.2.3&ISO"}]
    assert tell(PV1="PV1|||||||||||||||||||VN1")["PV1"] == [{2: "U", 19: "VN1"}]
    assert "PV1" not in tell(PV1="")


def test_a_value_never_becomes_a_component(
    generic: SystemProfile, read: Callable[..., OrderMessage], make_order: Callable[..., str]
) -> None:
    """A template is split before it is filled: whoever composes the message escapes each part."""
    procedure = read(make_order(ORC_2=r"P\S\1\T\2^PLC")).procedures[0].procedure
    facts = StatusFacts("IP", "1", dt.datetime.fromisoformat(AT), procedure=procedure)

    (orc,) = (fields for name, fields in generic.status_message("ORM^O01", facts).segments if name == "ORC")

    assert orc[2] == ((("P^1&2",), ("PLC",)),)


def test_what_was_not_done_has_no_times(tell: Tell) -> None:
    """A field of which nothing is known is left out."""
    assert not {7, 8} & tell("SC", None)["OBR"][0].keys()


# --- the other kinds of message ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "segments"),
    [
        ("OMG^O19", ["MSH", "PID", "PV1", "ORC", "TQ1", "OBR", "NTE", "OBX"]),
        ("OMI^O23", ["MSH", "PID", "PV1", "ORC", "TQ1", "OBR", "NTE", "OBX", "IPC"]),
        ("ORU^R01", ["MSH", "PID", "PV1", "ORC", "OBR", "NTE", "OBX"]),
    ],
)
def test_each_kind_has_the_segments_of_its_grammar(kind: str, segments: list[str], tell: Tell) -> None:
    """HL7 2.5.1 (C-31): ORC TQ1 OBR, and what is known of the step in each."""
    told = tell(kind=kind)

    assert list(told) == segments
    assert (told["MSH"][0][9], told["MSH"][0][12]) == (f"{kind}^{kind.replace('^', '_')}", "2.5.1")
    assert told["OBR"] == tell()["OBR"]
    assert told["OBX"] == tell()["OBX"]


def test_a_step_has_an_ipc_of_its_own(tell: Tell) -> None:
    """One message for the procedure, and each step in it (C-32)."""
    told = tell(kind="OMI^O23", steps=2, OBR_4="RP1^Chest CT^L^SP1^CT chest plain^L")

    assert (
        told["IPC"]
        == [{1: "ACC1", 2: "RPID1", 3: "1.2.3.4", 4: "SPS1", 5: "CT", 6: "SP1^CT chest plain^L"}] * 2
    )
    assert told["TQ1"] == [{1: "1", 7: "20260705090000", 9: "S"}]


def test_an_accession_number_keeps_its_issuer(tell: Tell) -> None:
    """Where a message has a field for it (C-32)."""
    told = tell(kind="OMI^O23", IPC="IPC|A1^NS^1.2.3^ISO|RP1^NS|1.2.3.4|SPS1|CT")

    assert told["IPC"][0][1] == "A1^NS^1.2.3^ISO"


# --- the language --------------------------------------------------------------------------------

FACTS = StatusFacts("IP", "1", dt.datetime.fromisoformat(AT))


def test_a_field_with_nothing_but_its_frame_is_left_out() -> None:
    """Fixed components around an empty reference say nothing; fixed text alone is said."""
    scope = Scope(FACTS)

    assert parse_field("{procedure.StudyInstanceUID}^100^Application^DICOM").fill(scope) == ()
    assert parse_field("SC").fill(scope) == ((("SC",),),)
    assert parse_field("{step.Modality|event}&x~{event}").fill(scope) == ((("IP", "x"),), (("IP",),))


def test_an_alternative_kind_is_a_few_lines(site_profile: Callable[[str], SystemProfile]) -> None:
    """A site words another kind of message without code."""
    profile = site_profile(
        'status: {ZZZ^Z01: {version: 2.5.1, segments: {OBX: {5: "{performed.SOPInstanceUID|event}"}}}}'
    )

    message = profile.status_message("ZZZ^Z01", FACTS)

    assert message == OutgoingMessage("ZZZ^Z01", "2.5.1", (("OBX", {5: ((("IP",),),)}),))
    assert "ORM^O01" in profile.templates


def segments(
    site_profile: Callable[[str], SystemProfile], written: str, facts: StatusFacts
) -> list[tuple[str, dict[int, str]]]:
    """Return what a message of these segments says."""
    profile = site_profile(
        f"status:\n  ZZZ^Z01:\n    version: 2.5.1\n    segments:\n{indent(written, 6 * ' ')}"
    )
    message = profile.status_message("ZZZ^Z01", facts)
    return [(name, {n: _er7(value) for n, value in fields.items()}) for name, fields in message.segments]


def test_a_segment_is_repeated_for_the_items_of_a_sequence(
    site_profile: Callable[[str], SystemProfile],
) -> None:
    """Of nested sequences for all of them; an item that gives nothing makes no segment and no gap in the numbers."""
    facts = dataclasses.replace(
        FACTS,
        performed={
            "00400340": element("SQ", series("A", 2), series("B", 0), {}, series("C", 1)),
        },
    )
    written = """
        OBX series: {each: performed.PerformedSeriesSequence, 1: "{number}", 4: "{item}", 5: "{.ProtocolName}"}
        OBX images: {each: performed.PerformedSeriesSequence.ReferencedImageSequence, 1: "{number}",
                     5: "{.ReferencedSOPInstanceUID}"}
        ZZZ: {1: "{number}", 2: "{step.Modality}"}
    """

    assert segments(site_profile, dedent(written), facts) == [
        ("OBX", {1: "1", 4: "1", 5: "A"}), ("OBX", {1: "2", 4: "2", 5: "B"}), ("OBX", {1: "3", 4: "4", 5: "C"}),
        ("OBX", {1: "4", 5: "1.2.0"}), ("OBX", {1: "5", 5: "1.2.1"}), ("OBX", {1: "6", 5: "1.2.0"})]  # fmt: skip


def test_a_segment_is_not_repeated_without_end(site_profile: Callable[[str], SystemProfile]) -> None:
    """A device decides how many items there are."""
    items = [{"00180060": element("DS", str(n))} for n in range(2000)]
    facts = dataclasses.replace(FACTS, performed={"0040030E": element("SQ", *items)})

    found = segments(site_profile, 'OBX: {each: performed.ExposureDoseSequence, 5: "{.KVP}"}', facts)

    assert len(found) == MOST_REPEATED


def test_a_field_and_a_segment_may_be_of_some_events_alone(
    site_profile: Callable[[str], SystemProfile],
) -> None:
    """What has no meaning at the others is left out there."""
    written = 'ZZ1: {on: [CM, DC], 1: x}\nZZ2: {on: IP, 1: "{event}", 2: {on: CM, text: y}, 3: {text: "{reason}", default: z}}'

    assert segments(site_profile, written, FACTS) == [("ZZ2", {1: "IP", 3: "z"})]


def test_what_stands_for_nothing_does_not_make_a_segment(
    site_profile: Callable[[str], SystemProfile],
) -> None:
    """A default fills a gap in what is told, and is nothing to tell."""
    written = 'ZZ1: {1: x, 2: {text: "{reason}", default: z}}\nZZ2: {1: x}\nZZ3: {1: "{number}", 2: y}'

    assert segments(site_profile, written, FACTS) == [("ZZ2", {1: "x"}), ("ZZ3", {1: "1", 2: "y"})]


def test_functions_speak_of_every_item(site_profile: Callable[[str], SystemProfile]) -> None:
    """Each once, in the order they came."""
    facts = dataclasses.replace(
        FACTS,
        performed={
            "00400340": element(
                "SQ", series("A", 2, "A^B^^Dr^Jr", "A^B^^Dr^Jr=甲^乙"), series("B", 1, "", physician="=甲^乙")
            ),
            "00081032": element(
                "SQ", {"00080119": element("UC", "LONG"), "00080102": element("SH", "99X")}, {}
            ),
        },
    )
    written = """
        ZZZ:
          1: {from: performed.PerformedSeriesSequence.OperatorsName, as: xcn}
          2: {from: [performed.PerformedSeriesSequence.PerformingPhysicianName, performed.OperatorsName], as: ndl}
          3: {from: performed.PerformedSeriesSequence.ProtocolName, as: all}
          4: {from: performed.ProcedureCodeSequence, as: codes}
          5: {from: [performed.PerformedSeriesSequence.ReferencedImageSequence, performed.PerformedSeriesSequence], as: count}
          6: {from: performed.PerformedProtocolCodeSequence, as: count}
          7: {from: event, as: all}
    """

    assert segments(site_profile, dedent(written), facts) == [
        ("ZZZ", {1: "^A^B^^Jr^Dr", 2: "&HOUSE&GREG~&甲&乙", 3: "A~B", 4: "LONG^^99X", 5: "5", 7: "IP"})]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("{evnt}", "unknown reference 'evnt': did you mean 'event'?"),
        ("{patient.PatientNam}", "unknown attribute 'PatientNam': did you mean 'PatientName'?"),
        ("{visit.AdmissionID}", "unknown reference 'visit.AdmissionID'"),
        ("{event", "a brace without its partner"),
        ("{patient}", "unknown reference 'patient': did you mean 'patient.'?"),
        ("{.PatientID}", "'.PatientID' begins with a dot: that has a meaning only beside 'each'"),
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


@pytest.mark.parametrize(
    ("segment", "place", "message"),
    [
        ("OBX study: {each: performed.PatientID, 1: x}", (5, 25), "neither 'steps' nor a sequence"),
        ("OBX: {each: stepps, 1: x}", (5, 19), "unknown reference 'stepps'"),
        ("OBX: {eahc: steps}", (5, 13), "'eahc' is no field number: did you mean 'each'?"),
        ("OBX: {on: [CMM], 1: x}", (5, 18), "input should be 'IP', 'CM'"),
        ("OBX: {1: {text: x, onn: CM}}", (5, 26), "unknown key 'onn': did you mean 'on'?"),
        (
            "OBXX study: {1: x}",
            (5, 7),
            "'OBXX study' is no segment such as OBR, or OBX with a word behind it",
        ),
    ],
)
def test_a_wrong_segment_is_an_error_of_the_profile(
    segment: str, place: tuple[int, int], message: str, site_profile: Callable[[str], SystemProfile]
) -> None:
    """At its line and column."""
    with pytest.raises(BadDocument) as bad:
        site_profile(f"status:\n  ORM^O01:\n    segments:\n      {segment}")
    (problem,) = bad.value.problems
    assert message in problem.message
    assert (problem.line, problem.column) == place


def test_a_site_withdraws_a_segment_or_changes_a_field_of_it(
    site_profile: Callable[[str], SystemProfile], tell: Tell
) -> None:
    """By the name it has in the profile."""
    profile = site_profile(
        "status: {ORM^O01: {segments: {PV1: null, NTE: null, OBX images: null, OBX series: {11: F}}}}"
    )

    told = tell(profile=profile)

    assert not {"PV1", "NTE"} & told.keys()
    assert "IMAGES" not in observed(told)
    assert [each[11] for each in told["OBX"] if each[3].startswith("SERIES")] == ["F"]
