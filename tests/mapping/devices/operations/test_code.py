"""P27: code sequences a device accepts."""

from __future__ import annotations

import pytest

from mwl.mapping.devices.device import Report

RP = "RequestedProcedureCodeSequence"
PROTOCOL = "SPS.ScheduledProtocolCodeSequence"


def code(value: str = "", scheme: str = "", meaning: str = "", **more: str) -> dict[str, str]:
    """Return a code item without its empty parts."""
    parts = {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning, **more}
    return {name: text for name, text in parts.items() if text}


SENT = {"PatientName": "DOE^JANE", "PatientID": "P1", "SPS.Modality": "CT"}
GOOD = code("C1", "99X", "Chest")


@pytest.mark.parametrize(
    ("options", "items", "expected"),
    [
        ("drop_incomplete: true", [GOOD, code("C2"), code("", "99X", "m"), code("C3", "99X")], [GOOD, code("C3", "99X")]),
        ("drop_incomplete: true", [code("", "", "m")], []),
        ("drop_incomplete: true", [code("", "99X", "m", LongCodeValue="long")], [code("", "99X", "m", LongCodeValue="long")]),
        ("drop_incomplete: true", [code("", "", "m", URNCodeValue="urn:x")], [code("", "", "m", URNCodeValue="urn:x")]),
        ("complete: [value, scheme, meaning]", [GOOD, code("C2", "99X")], [GOOD]),
        ("complete: [meaning]", [code("", "", "only")], [code("", "", "only")]),
        ("max: 2", [GOOD] * 3, [GOOD] * 2),
        ("default_scheme: 99SITE", [code("C2", "", "m"), GOOD, code("", "", "m")],
         [code("C2", "99SITE", "m"), GOOD, code("", "", "m")]),
        ("default_scheme: 99SITE, drop_incomplete: true", [code("C2", "", "m")], [code("C2", "99SITE", "m")]),
        ("max: 5", [GOOD], [GOOD]),
    ],
)  # fmt: skip
def test_p27_items_are_completed_dropped_and_limited(answer, options, items, expected):
    """Scheme first, then completeness, then the number; nothing is made up to complete an item (F34)."""
    assert answer(f"code: {{tag: {RP}, {options}}}", {RP: items}) == {RP: expected}


@pytest.mark.parametrize(
    ("options", "stored", "expected"),
    [
        ("rename_scheme: {L: 99OLD, 99X: SCT}", {RP: [code("A", "L"), GOOD]}, {RP: [code("A", "99OLD"), {**GOOD, "CodingSchemeDesignator": "SCT"}]}),
        ("rename_scheme: {L: 99OLD}, default_scheme: L", {RP: [code("A")]}, {RP: [code("A", "L")]}),
        # F33: the same items elsewhere; without items nothing is taken away there
        (f"copy_to: [{PROTOCOL}]", {RP: [GOOD], PROTOCOL: [code("old")]}, {RP: [GOOD], PROTOCOL: [GOOD]}),
        (f"copy_to: {PROTOCOL}, max: 1", {RP: [GOOD, GOOD], PROTOCOL: []}, {RP: [GOOD], PROTOCOL: [GOOD]}),
        (f"copy_to: {PROTOCOL}", {RP: [], PROTOCOL: [GOOD]}, {RP: [], PROTOCOL: [GOOD]}),
        # a text as a code, only where there is none
        ("from_text: AdmissionID, default_scheme: 99TXT", {RP: [], "AdmissionID": "CHEST"}, {RP: [code("CHEST", "99TXT", "CHEST")], "AdmissionID": "CHEST"}),
        ("from_text: {value: AdmissionID, meaning: PatientState}, default_scheme: 99TXT",
         {RP: [], "AdmissionID": "C1", "PatientState": "Chest"},
         {RP: [code("C1", "99TXT", "Chest")], "AdmissionID": "C1", "PatientState": "Chest"}),
        ("from_text: AdmissionID, default_scheme: 99TXT", {RP: [GOOD], "AdmissionID": "C"}, {RP: [GOOD], "AdmissionID": "C"}),
        ("from_text: AdmissionID, default_scheme: 99TXT", {RP: [], "AdmissionID": "x" * 17}, {RP: [], "AdmissionID": "x" * 17}),
        ("from_text: AdmissionID, default_scheme: 99TXT", {RP: [], "AdmissionID": ""}, {RP: [], "AdmissionID": ""}),
    ],
)  # fmt: skip
def test_p27_codes_are_renamed_copied_and_made_of_texts(answer, options, stored, expected):
    """Before completeness is judged, and before they are counted."""
    assert answer(f"code: {{tag: {RP}, {options}}}", stored) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (f"tag: '*CodeSequence', copy_to: {PROTOCOL}", "need one sequence in 'tag'"),
        (f"tag: [{RP}, {PROTOCOL}], from_text: AdmissionID, default_scheme: L", "need one sequence in 'tag'"),
        (f"tag: {RP}, from_text: AdmissionID", "from_text needs 'default_scheme'"),
        ("tag: AdmissionID, max: 1", "AdmissionID is no sequence"),
        (f"tag: {RP}, copy_to: AdmissionID", "AdmissionID is no sequence"),
    ],
)
def test_p27_what_makes_no_sense_is_refused(problems, options, message):
    """One message for one mistake."""
    (found,) = problems(site=f"profile: site\nstatus: evidence\ncode: {{{options}}}\n")

    assert message in found


def test_f31_codes_that_were_left_out_are_reported(bind, item, doc, facts):
    """How many and why, with the line; and nothing of sequences that are not sent."""
    reports: list[Report] = []
    items = [code(f"P{n}", "99X", "" if n < 2 else "m") for n in range(7)]
    profile = bind(f"code: {{tag: {PROTOCOL}, complete: [meaning], max: 3}}")

    for keys in ({PROTOCOL: []}, {"PatientID": ""}):
        profile.respond(item({PROTOCOL: items}), doc(keys), facts, None, reports)

    assert [(each.path, each.message) for each in reports] == [
        (PROTOCOL, "codes left out: 2 incomplete, 2 too many")
    ]


def test_f31_ge_ct_takes_five_codes_with_meaning(answer):
    """Seven protocol codes, one without meaning: five items leave, all complete."""
    items = [code(f"P{n}", "99X", "" if n == 2 else f"Protocol {n}") for n in range(7)]
    wanted = {PROTOCOL: [code("x", "x", "x")]}

    found = answer("", {**SENT, PROTOCOL: items}, wanted, base="ge-ct-connectpro")

    assert [each["CodeValue"] for each in found[PROTOCOL]] == ["P0", "P1", "P3", "P4", "P5"]


@pytest.mark.parametrize(
    "lines",
    [
        f"code: {{tag: {PROTOCOL}, default_scheme: 99SITE}}",
        "code: {tag: '*CodeSequence', default_scheme: 99SITE}",
        f"respond: [{{code: {{tag: {PROTOCOL}, default_scheme: 99SITE}}}}]",
        f"respond: [{{set: {{{PROTOCOL}.CodingSchemeDesignator: 99SITE}}}}]",
    ],
)
def test_f34_a_scheme_is_named_before_incomplete_codes_are_dropped(answer, lines):
    """`generic` drops a code without scheme, but not one that a profile above it completes."""
    stored = {**SENT, PROTOCOL: [code("P1", "", "Chest")], RP: [code("", "", "m")]}

    found = answer(lines, stored, {PROTOCOL: [], RP: []}, base="generic")

    assert found == {PROTOCOL: [code("P1", "99SITE", "Chest")], RP: []}


def test_f33_what_is_copied_is_what_is_sent(answer):
    """Complete, and not too many."""
    items = [code("C0", "", "m"), *(code(f"C{n}", "99X", "m") for n in range(1, 4))]

    found = answer(
        f"code: {{tag: {RP}, max: 2, copy_to: {PROTOCOL}}}", {RP: items, PROTOCOL: []}, base="generic"
    )

    assert found[PROTOCOL] == found[RP] == items[1:3]


def test_f24_a_pattern_reaches_every_code_sequence(answer):
    """Siemens Aristos: no item without value and scheme, at the root or in the step."""
    stored = {
        RP: [code("", "", "m")],
        PROTOCOL: [code("P1")],
        "ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1"}],
    }

    found = answer("code: {tag: '*CodeSequence', drop_incomplete: true}", stored)

    assert found == {RP: [], PROTOCOL: [], "ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1"}]}


def test_a_site_raises_the_vendors_limit(answer):
    """Entries for the same tag go on with the inherited one."""
    items = [code(f"P{n}", "99X", "m") for n in range(9)]

    found = answer(f"code: {{tag: {PROTOCOL}, max: 7}}", {**SENT, PROTOCOL: items}, base="ge-ct-connectpro")

    assert len(found[PROTOCOL]) == 7
