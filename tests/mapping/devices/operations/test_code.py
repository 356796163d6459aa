"""P27: code sequences a device accepts."""

from __future__ import annotations

import pytest

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


def test_f31_ge_ct_takes_five_codes_with_meaning(answer):
    """Seven protocol codes, one without meaning: five items leave, all complete."""
    items = [code(f"P{n}", "99X", "" if n == 2 else f"Protocol {n}") for n in range(7)]
    wanted = {PROTOCOL: [code("x", "x", "x")]}

    found = answer("", {**SENT, PROTOCOL: items}, wanted, base="ge-ct-connectpro")

    assert [each["CodeValue"] for each in found[PROTOCOL]] == ["P0", "P1", "P3", "P4", "P5"]


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
