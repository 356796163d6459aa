"""P28, P29: exactly what was asked for, in the form of the request."""

from __future__ import annotations

import pytest

from mwl.mapping.devices.device import SiteFacts

STEP = "00400100"
PROTOCOL = "SPS.ScheduledProtocolCodeSequence"
RP = "RequestedProcedureCodeSequence"
CODE = {"CodeValue": "C1", "CodingSchemeDesignator": "99X", "CodeMeaning": "Chest"}
SKELETON = {"CodeValue": "", "CodingSchemeDesignator": "", "CodingSchemeVersion": "", "CodeMeaning": ""}
STORED = {
    "PatientName": "DOE^JOHN^Q",
    "PatientID": "PID001",
    "AdmissionID": "",
    "ReferencedStudySequence": [{"ReferencedSOPClassUID": "1.2", "ReferencedSOPInstanceUID": "1.3"}],
    RP: [CODE, {**CODE, "CodeValue": "C2"}],
    "SPS.Modality": "CT",
    "SPS.ScheduledStationAETitle": ["US_1", "US_2"],
    PROTOCOL: [CODE],
}


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        # F-C33, A-10: nothing else
        ({"PatientName": "", "SPS.Modality": ""}, {"PatientName": "DOE^JOHN^Q", "SPS.Modality": "CT"}),
        # F-C34, A-45: the step's item holds only what was asked for
        ({"SPS.Modality": "CT"}, {"SPS.Modality": "CT"}),
        # F-C18, A-11: the stored value, all of them, and not the key's
        ({"PatientName": "DOE*", "SPS.ScheduledStationAETitle": "US_2"},
         {"PatientName": "DOE^JOHN^Q", "SPS.ScheduledStationAETitle": ["US_1", "US_2"]}),
        # F-C35, A-18, A-19: known and without value, zero-length; sequences without items
        ({"PatientWeight": "", "AdmissionID": "", "ReferencedPatientSequence": []},
         {"PatientWeight": "", "AdmissionID": "", "ReferencedPatientSequence": []}),
        # F-C44, A-02; (0008,0005) and (0008,0201) are never zero-length; group lengths say nothing
        ({"SpecificCharacterSet": "", "TimezoneOffsetFromUTC": "", "QueryRetrieveLevel": "X", "(0010,0000)": ""}, {}),
        # a sequence asked for without items comes whole
        ({"ReferencedStudySequence": [], RP: [{}]},
         {"ReferencedStudySequence": STORED["ReferencedStudySequence"], RP: STORED[RP]}),
        # A-45 in every item of a code sequence; the macro's attributes are never zero-length
        ({RP: [{"CodeValue": "", "CodingSchemeVersion": ""}]}, {RP: [{"CodeValue": "C1"}, {"CodeValue": "C2"}]}),
        ({"ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "", "RetrieveAETitle": ""}]},
         {"ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1.3", "RetrieveAETitle": ""}]}),
        # only the first item of a key counts
        ({RP: [{"CodeValue": ""}, {"CodeMeaning": ""}]}, {RP: [{"CodeValue": "C1"}, {"CodeValue": "C2"}]}),
        # a private key nobody stored is not returned
        ({"(0009,1001)": "", "PatientID": ""}, {"PatientID": "PID001"}),
        ({}, {}),
    ],
)  # fmt: skip
def test_the_answer_has_the_shape_of_the_request(answer, requested, expected):
    """R1 to R4 without a line of profile."""
    assert answer("", STORED, requested) == expected


def test_f_c24_a_step_asked_for_without_items_comes_whole(bind, doc, item, flat, facts):
    """A-44 for the step's own sequence, in both of its forms."""
    for key in ({"vr": "SQ"}, {"vr": "SQ", "Value": [{}]}):
        found = flat(bind("").respond(item(STORED), {STEP: key}, facts))

        assert found == {name: value for name, value in STORED.items() if name.startswith("SPS.")}


@pytest.mark.parametrize("stored", [[], [{}], [SKELETON]])
def test_f25_a_skeleton_does_not_come_back(answer, stored):
    """R4: Medison's all-empty code item asks for codes; where there are none there is no item."""
    assert answer("", {PROTOCOL: stored}, {PROTOCOL: [SKELETON]}) == {PROTOCOL: []}


@pytest.mark.parametrize("stored", [[], [SKELETON], None])
def test_f24_an_empty_sequence_may_be_omitted(answer, stored):
    """P28: for one sequence or for all; the others stay."""
    lines = f"seq: {{default: {{empty: omit}}, {RP}: {{empty: zero_items}}}}"
    held = {"SPS.Modality": "CT"} | ({} if stored is None else {PROTOCOL: stored, RP: stored})

    found = answer(lines, held, {PROTOCOL: [SKELETON], RP: [SKELETON], "SPS.Modality": ""})

    assert found == {"SPS.Modality": "CT", RP: []}


def test_p28_one_empty_item_is_sent_to_a_console_that_insists(answer):
    """Against R4, by the profile's word alone: what was asked for is zero-length in it."""
    lines = f"seq: {{{PROTOCOL}: {{empty: one_empty_item}}}}"
    wanted = {PROTOCOL: [{"CodeValue": "", "CodeMeaning": ""}], RP: [SKELETON]}

    assert answer(lines, {PROTOCOL: []}, wanted) == {PROTOCOL: [{"CodeValue": "", "CodeMeaning": ""}], RP: []}
    assert answer(lines, {PROTOCOL: [CODE]}, wanted)[PROTOCOL] == [
        {"CodeValue": "C1", "CodeMeaning": "Chest"}
    ]
    assert answer(lines, {PROTOCOL: []}, {PROTOCOL: []}) == {PROTOCOL: [{}]}


def test_p28_a_sequence_has_so_many_items_at_most(answer):
    """The first ones; its own form goes on with the default."""
    lines = f"seq: {{default: {{max_items: 2, empty: omit}}, {RP}: {{max_items: 1}}}}"
    items = [{**CODE, "CodeValue": str(n)} for n in range(4)]
    stored = {RP: items, PROTOCOL: items, "ReferencedStudySequence": []}

    found = answer(lines, stored, {RP: [], PROTOCOL: [], "ReferencedStudySequence": []})

    assert found == {RP: items[:1], PROTOCOL: items[:2]}
    assert answer(lines, {RP: []}, {RP: [], "PatientID": ""}) == {"PatientID": ""}


def test_p28_a_step_is_flattened_when_all_else_is_done(answer):
    """For a console that reads no sequences: its attributes stand at the root, checked before."""
    lines = """
        seq: {ScheduledProcedureStepSequence: {flatten: true}}
        require: {type1: [SPS.Modality], fill: {SPS.Modality: AdmissionID}, on_fail: [fill, skip_item]}
        """
    stored = {"SPS.Modality": "", "AdmissionID": "CT", "SPS.PreMedication": "none", "PatientID": "P"}
    wanted = {"SPS.Modality": "", "SPS.PreMedication": "", "PatientID": ""}

    assert answer(lines, stored, wanted) == {"Modality": "CT", "PreMedication": "none", "PatientID": "P"}
    assert answer(lines, stored, {"PatientID": ""}) == {"PatientID": "P"}


def test_p28_what_stands_at_the_root_is_stronger_than_what_is_flattened(answer):
    """Two attributes of one tag cannot stand side by side."""
    lines = "seq: {ScheduledProcedureStepSequence: {flatten: true}}"
    stored = {"SPS.PatientState": "step", "PatientState": "patient"}

    assert answer(lines, stored) == {"PatientState": "patient"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("seq: {default: {flatten: true}}", "say which sequence is to be flattened"),
        ("seq: {AdmissionID: {empty: omit}}", "AdmissionID is no sequence"),
    ],
)
def test_p28_what_makes_no_sense_is_refused(problems, lines, message):
    """One message for one mistake."""
    (found,) = problems(site=f"profile: site\nstatus: evidence\n{lines}\n")

    assert message in found


def test_p29_requested_and_always_is_what_requested_means(answer):
    """Both words say the same."""
    for mode in ("requested", "requested+always"):
        lines = f"return: {{mode: {mode}, always: [PatientWeight]}}"

        assert answer(lines, {"PatientID": "P"}) == {"PatientID": "P", "PatientWeight": ""}


def test_r4_an_item_that_says_nothing_is_left_out_of_a_whole_sequence(answer):
    """Empty items inside items go as well; a profile may keep them (R4: unless it says so)."""
    context = [{"ConceptNameCodeSequence": [SKELETON]}, {"ConceptNameCodeSequence": [CODE]}]
    stored = {PROTOCOL: [{**CODE, "ProtocolContextSequence": context}, SKELETON]}

    assert answer("", stored, {PROTOCOL: []}) == {
        PROTOCOL: [{**CODE, "ProtocolContextSequence": [{"ConceptNameCodeSequence": [CODE]}]}]
    }
    kept = answer("seq: {default: {prune_empty_items: false}}", {RP: [{"CodeMeaning": ""}]}, {RP: []})
    assert kept == {RP: [{}]}


def test_a_08_the_step_has_its_one_item(answer):
    """Even where nothing that was asked for has a value."""
    assert answer("", {"SPS.Modality": "CT"}, {"SPS.PreMedication": ""}) == {"SPS.PreMedication": ""}


def test_a_step_whose_every_requested_attribute_is_removed_has_no_item(answer):
    """An item without attributes is none."""
    found = answer("remove: [SPS.Modality]", {"SPS.Modality": "CT"}, {"SPS.Modality": ""})

    assert found == {"ScheduledProcedureStepSequence": []}


def test_p29_always_and_never(answer):
    """Attributes are added at both levels, and taken away though asked for; codes keep their macro."""
    lines = f"""
        return:
          always: [SpecificCharacterSet, PatientID, PatientWeight, SPS.Modality, {PROTOCOL}.CodeValue]
          never: [PatientName, SPS.ScheduledStationAETitle]
          unsafe: true
        """
    requested = {"PatientName": "", "SPS.ScheduledStationAETitle": "", "SPS.PreMedication": ""}

    assert answer(lines, STORED, requested) == {
        "PatientID": "PID001",
        "PatientWeight": "",
        "SPS.Modality": "CT",
        "SPS.PreMedication": "",
        PROTOCOL: [{"CodeValue": "C1"}],
    }


def test_p29_always_does_not_narrow_a_sequence_that_is_wanted_whole(answer):
    """A-44 is stronger."""
    found = answer(f"return: {{always: [{RP}.CodeValue, {RP}.LongCodeValue]}}", STORED, {RP: []})

    assert found == {RP: STORED[RP]}


def test_p29_all_returns_what_the_order_holds(answer):
    """Beside it the empty ones that were asked for; `never` still holds."""
    lines = "return: {mode: all, never: [PatientName, SPS.Modality], unsafe: true}"

    found = answer(lines, STORED, {"PatientWeight": "", RP: [{"CodeValue": ""}]})

    assert found["PatientWeight"] == ""
    assert found[RP] == [{"CodeValue": "C1"}, {"CodeValue": "C2"}]
    assert found[PROTOCOL] == [CODE]
    assert "PatientName" not in found
    assert "SPS.Modality" not in found


def test_p29_all_includes_what_the_step_holds(answer):
    """The device asks for one attribute of the step, and gets the others as well."""
    found = answer("return: {mode: all}", STORED, {"SPS.Modality": ""})

    assert {name: found[name] for name in found if name.startswith("SPS.")} == {
        name: value for name, value in STORED.items() if name.startswith("SPS.")
    }


def test_p29_attributes_the_dictionary_does_not_hold(bind, item, flat, facts):
    """Zero-length in the VR they were asked in, or left out; known ones are zero-length in any case (A-18)."""
    keys = {"0008FFF0": {"vr": "LT"}, "00101030": {"vr": "UN"}, "0009FFF0": {"vr": "LO"}}

    assert bind("").respond(item({}), keys, facts) == {"0008FFF0": {"vr": "LT"}, "00101030": {"vr": "DS"}}
    assert bind("return: {unknown: omit}").respond(item({}), keys, facts) == {"00101030": {"vr": "DS"}}


def test_a_private_attribute_that_is_stored_is_returned(bind, item, facts):
    """Any attribute an engineer maps is kept (design 3)."""
    stored = item({})
    stored.procedure["00091001"] = {"vr": "LO", "Value": ["x"]}

    found = bind("").respond(stored, {"00091001": {"vr": "UN"}}, facts)

    assert found == {"00091001": {"vr": "LO", "Value": ["x"]}}


def test_a_46_a_stored_time_zone_is_returned(bind, item, doc, flat, facts):
    """(0008,0201) comes with a value or not at all."""
    found = bind("").respond(
        item({"TimezoneOffsetFromUTC": "+0200"}), doc({"TimezoneOffsetFromUTC": ""}), facts
    )

    assert flat(found) == {"TimezoneOffsetFromUTC": "+0200"}


def test_ge_ct_always_gets_what_it_looks_for(shipped, item, doc, flat, facts):
    """S1: present though perhaps empty, even when the request is short."""
    profile = shipped.bind("ge-ct-connectpro", {}, SiteFacts())
    stored = item({"PatientName": "DOE^JANE", "PatientID": "P1", "SPS.Modality": "CT"})

    found = flat(profile.respond(stored, doc({"PatientName": ""}), facts))

    assert found["PregnancyStatus"] == found["MedicalAlerts"] == found["SPS.RequestedContrastAgent"] == ""
    assert found["SPS.Modality"] == "CT"
    assert "SpecificCharacterSet" not in found
