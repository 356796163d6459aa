"""P3: guards."""

from __future__ import annotations

import pytest

STORED = {
    "SPS.Modality": "CT",
    "PatientID": "P1",
    "AdmissionID": "",
    "MedicalAlerts": ["A", "B"],
    "RequestedProcedureDescription": "CT CHEST",
    "RequestedProcedureCodeSequence": [{"CodeValue": "C1"}, {"CodeValue": "C2"}],
}


@pytest.mark.parametrize(
    ("guard", "holds"),
    [
        ("SPS.Modality: CT", True),
        ("SPS.Modality: {eq: MR}", False),
        ("SPS.Modality: [MR, CT]", True),
        ("SPS.Modality: {in: [CR, DX]}", False),
        ("PatientID: {present: true}", True),
        ("PatientID: {present: false}", False),
        ("AdmissionID: {empty: true}", True),
        ("CurrentPatientLocation: {empty: false}", False),
        ("PatientID: {glob: 'P?'}", True),
        ("PatientID: {glob: [X, 'Q*']}", False),
        ("PatientID: {regex: '^P[0-9]$'}", True),
        ("RequestedProcedureDescription: {len_gt: 7}", True),
        ("RequestedProcedureDescription: {len_gt: 8}", False),
        ("RequestedProcedureDescription: {len_gt: 7, glob: 'MR*'}", False),
        ("MedicalAlerts: B", True),
        ("RequestedProcedureCodeSequence.CodeValue: C2", True),
        ("PatientID: {requested: true}", True),
        ("AdmissionID: {requested: false}", False),
        ("PatientWeight: {requested: false}", True),
        ("any: [{PatientID: X}, {SPS.Modality: CT}]", True),
        ("any: [{PatientID: X}, {SPS.Modality: MR}]", False),
        ("all: [{PatientID: P1}, {SPS.Modality: CT}]", True),
        ("not: {PatientID: P1}", False),
        ("not: {any: [{PatientID: X}, {not: {SPS.Modality: CT}}]}", True),
        ("SPS.Modality: CT, PatientID: P2", False),
        ("var.long: true", True),
        ("var.long: false", False),
        ("var.rooms: ER 2", True),
        ("var.nothing: {empty: true}", True),
        ("$calling_ae: {glob: 'CT*'}", True),
        ("$impl_version: {present: true}", True),
        ("PatientID: $var.id", True),
        ("PatientID: $calling_ae", False),
    ],
)
def test_p3_a_guard_decides_whether_a_step_runs(answer, guard, holds):
    """All lines of a guard must hold, each by any of the attribute's values."""
    lines = f"""
        vars: {{long: true, rooms: [ER 1, ER 2], id: P1, nothing: ''}}
        respond:
          - set: {{CurrentPatientLocation: DONE}}
            when: {{{guard}}}
        """
    requested = {
        **dict.fromkeys(STORED, ""),
        "CurrentPatientLocation": "",
        "RequestedProcedureCodeSequence": [],
    }

    found = answer(lines, STORED, requested)

    assert (found["CurrentPatientLocation"] == "DONE") is holds


def test_p3_a_guard_inside_an_operation_is_the_same(answer):
    """Operations written with options take `when` among them; both guards must hold."""
    inner = "replace: {tag: AdmissionID, from: a, to: b, when: {SPS.Modality: MR}}"
    both = "respond: [{replace: {tag: AdmissionID, from: a, to: b, when: {SPS.Modality: CT}}, when: {PatientID: X}}]"
    stored = {"AdmissionID": "a", "SPS.Modality": "CT", "PatientID": "P"}

    assert answer(inner, stored)["AdmissionID"] == "a"
    assert answer(both, stored)["AdmissionID"] == "a"
    assert answer(inner.replace("MR", "CT"), stored)["AdmissionID"] == "b"


def test_a_guard_on_an_unknown_variable_is_a_mistake(problems):
    """It would never hold, silently."""
    text = "profile: site\nstatus: partial\nrespond:\n  - clear: [AdmissionID]\n    when: {var.rooom: x}\nvars: {room: 1}\n"

    assert problems(site=text) == [
        "site.yaml:5:23: error: clear: the variable 'rooom' is not declared in 'vars': did you mean 'room'?"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "set: {AdmissionID: A}\nfilter: {exclude: [{PatientComments: {regex: '(a+)+'}}]}",
        "match: {calling_ae: {regex: '(a+)+'}}",
        "match: {query: {PatientComments: {regex: '(a+)+'}}}",
        "replace: {tag: PatientComments, from: '(a+)+', to: ''}",
        "respond: [{set: {AdmissionID: A}, when: {PatientComments: {regex: '(a+)+'}}}]",
    ],
)
def test_an_expression_that_may_take_for_ever_is_refused(problems, line):
    """Wherever one may stand: text of orders and of devices is held against it."""
    (found,) = problems(site=f"profile: site\nstatus: partial\nextends: []\n{line}\n")

    assert "may take for ever: a repetition stands inside a repetition" in found


def test_a_text_that_is_too_long_for_an_expression_is_left_alone_and_told(bind, doc, item, facts):
    """Its beginning decides a guard; nothing is replaced in part of it."""
    text = "a" * 3000 + " b"
    profile = bind(
        "replace: {tag: PatientComments, from: '.*a.*b', to: ''}\n"
        "respond: [{set: {AdmissionID: A}, when: {PatientComments: {regex: 'a b'}}}]"
    )
    reports = []

    answer = profile.respond(
        item({"PatientComments": text, "AdmissionID": "B"}),
        doc({"PatientComments": "", "AdmissionID": ""}),
        facts,
        reports=reports,
    )

    assert answer["00104000"]["Value"] == [text]
    assert answer["00380010"]["Value"] == ["A"]
    assert [each.message for each in reports] == [
        "a text is longer than the 181 characters that the expression is fit for"
    ]
