"""What consoles object to, rule by rule: each shown to speak, and to be silent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mwl.dicom.emulators import rules
from mwl.dicom.emulators.keys import data_set
from mwl.mapping import paths
from mwl.model import Document

CODES = "SPS.ScheduledProtocolCodeSequence"


def item(*lines: str) -> Document:
    """Return a worklist item written as lines."""
    return data_set(lines, {})


def said(rule: rules.Rule, *lines: str) -> list[str]:
    """Return what *rule* says of an item."""
    return list(rule(item(*lines)))


def codes(*each: Mapping[str, str]) -> Document:
    """Return an item with protocol codes; "" is an attribute without value."""
    items = [data_set([f"{name}={value}" for name, value in code.items()], {}) for code in each]
    return paths.put({}, paths.parse_path(CODES), {"vr": "SQ", "Value": items})


def test_type_1_must_have_a_value():
    """Absent or empty; a name without letters is none."""
    rule = rules.with_value("PatientName", "SPS.Modality")

    assert said(rule, "PatientName=DOE", "SPS.Modality=CT") == []
    assert said(rule, "PatientName", "SPS.ScheduledProcedureStepID=1") == [
        "PatientName is empty",
        "SPS.Modality is absent",
    ]


def test_type_2_must_be_present():
    """It may be empty."""
    rule = rules.present("PatientWeight")

    assert said(rule, "PatientWeight") == []
    assert said(rule) == ["PatientWeight is absent"]


@pytest.mark.parametrize("time", ["0830", "083000.000", "08:30"])
def test_a_value_of_another_form_is_named(time):
    """F23: exactly six digits."""
    rule = rules.formed("SPS.ScheduledProcedureStepStartTime", r"\d{6}", "exactly six digits")

    assert said(rule, "SPS.ScheduledProcedureStepStartTime=083000") == []
    assert said(rule, f"SPS.ScheduledProcedureStepStartTime={time}") == [
        f"SPS.ScheduledProcedureStepStartTime {time!r} is not exactly six digits"
    ]


def test_what_is_cut_is_counted_by_group():
    """F30: a name has the length of its longest group."""
    rule = rules.cut("PatientName", 8)

    assert said(rule, "PatientName=DOE^JANE=王^小明=DOE^JANE") == []
    assert said(rule, "PatientName=王^小明=DOE^JANETTE") == ["PatientName is cut to 8 of 11 characters"]


def test_more_items_than_are_used_are_counted():
    """F31: five protocol codes."""
    rule = rules.at_most(CODES, 1)

    assert list(rule(codes({"CodeValue": "A"}))) == []
    assert list(rule(codes({"CodeValue": "A"}, {"CodeValue": "B"}))) == [f"{CODES}: 1 of 2 items are used"]


@pytest.mark.parametrize(
    ("code", "lacking"),
    [
        ({"CodeValue": "A", "CodingSchemeDesignator": "L"}, []),
        ({"CodeValue": "A", "CodingSchemeDesignator": ""}, ["Coding Scheme Designator"]),
        ({"CodeValue": "A"}, ["Coding Scheme Designator"]),
        ({"CodeMeaning": "x"}, ["Code Value", "Coding Scheme Designator"]),
    ],
)
def test_an_incomplete_code_is_named_by_what_it_lacks(code, lacking):
    """F24: any one item is enough; a sequence without items is none."""
    rule = rules.codes_with("value", "scheme", of=(CODES, "RequestedProcedureCodeSequence"))

    complete = {"CodeValue": "B", "CodingSchemeDesignator": "L"}

    assert list(rule(codes(complete, code))) == [f"{CODES} has an item without {name}" for name in lacking]
    assert said(rule, CODES) == []


def test_what_becomes_of_a_code_may_be_said():
    """F34: the scheme is stored as UNKNOWN."""
    rule = rules.codes_with("scheme", of=(CODES,), then="it is stored as UNKNOWN")

    assert list(rule(codes({"CodeValue": "A"}))) == [
        f"{CODES} has an item without Coding Scheme Designator: it is stored as UNKNOWN"
    ]


def test_another_character_set_is_refused():
    """F41: ISO_IR 100 is asked for and must come back; ASCII needs no label."""
    rule = rules.labelled("ISO_IR 100")

    assert said(rule, "SpecificCharacterSet=ISO_IR 100", "PatientName=MÜLLER") == []
    assert said(rule, "PatientName=DOE") == []
    assert said(rule, "SpecificCharacterSet=ISO_IR 192", "PatientName=DOE") == [
        "SpecificCharacterSet is ISO_IR 192, not ISO_IR 100"
    ]
    assert said(rule, "PatientName=MÜLLER") == [
        "SpecificCharacterSet is absent, and not all is ASCII; ISO_IR 100 is expected"
    ]


def test_text_that_cannot_be_read_is_remarked():
    """Wherever it stands."""
    assert said(rules.legible, "PatientName=DOE") == []
    assert said(rules.legible, "SPS.ScheduledProcedureStepDescription=\ufffd") == [
        "SPS.ScheduledProcedureStepDescription cannot be read under its character set"
    ]


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("SPS.ScheduledStationAETitle", "CT1", "A_TITLE_TOO_LONG_"),
        ("PatientSex", "F", "f"),
        ("PatientBirthDate", "20240229", "20230229"),
        ("PatientBirthDate", "20240229", "2024-02-29"),
        ("PatientWeight", "61.5", "heavy"),
        ("InstanceNumber", "12", "1.2"),
        ("RequestedProcedureDescription", "x" * 64, "x" * 65),
        ("PatientName", "x" * 64 + "=" + "y" * 64, "x" * 65),
        ("AccessionNumber", "x" * 16, "x" * 17),
        ("SPS.ScheduledProcedureStepStartTime", "0830", "2460"),
        ("StudyInstanceUID", "1.2.3", "1.02.3"),
    ],
)
def test_a_value_its_vr_does_not_allow_is_refused(path, good, bad):
    """PS3.5 Table 6.2-1; at any depth."""
    rule = rules.value_representations()

    assert said(rule, f"{path}={good}") == []
    assert [line.split(" is no ")[0] for line in list(rule(raw(path, bad)))] == [path]


def raw(path: str, value: str) -> Document:
    """Return an item with a value as it came, right or wrong."""
    parsed = paths.parse_path(path)
    vr = paths.vr(parsed[-1])
    return paths.put({}, parsed, {"vr": vr, "Value": [{"Alphabetic": value} if vr == "PN" else value]})


def test_only_some_value_representations_may_be_judged():
    """F38: a console that minds its codes, and no date."""
    rule = rules.value_representations("CS")

    assert list(rule(raw("PatientBirthDate", "unknown"))) == []
    assert list(rule(raw("PatientSex", "f"))) == ["PatientSex is no value of CS"]
