"""P16 to P24: what happens to the values of an answer."""

from __future__ import annotations

import pytest

DESCRIPTION = "RequestedProcedureDescription"


@pytest.mark.parametrize(
    ("lines", "stored", "expected"),
    [
        # P16 set, default, clear, remove
        ("set: {AdmissionID: A}", {"AdmissionID": "X"}, {"AdmissionID": "A"}),
        ("set: {AdmissionID: $calling_ae}", {"AdmissionID": ""}, {"AdmissionID": "CT1"}),
        ("set: {AdmissionID: 'on $today for $calling_ae'}", {"AdmissionID": ""}, {"AdmissionID": "on 20260705 for CT1"}),
        ("set: {SPS.ScheduledProcedureStepStartTime: $now}", {"SPS.ScheduledProcedureStepStartTime": ""},
         {"SPS.ScheduledProcedureStepStartTime": "093000"}),
        ("set: {StudyDate: $now}", {"StudyDate": ""}, {"StudyDate": "20260705"}),
        ("set: {AdmissionID: $now}", {"AdmissionID": ""}, {"AdmissionID": "20260705093000"}),
        ("set: {MedicalAlerts: [A, B]}", {"MedicalAlerts": ""}, {"MedicalAlerts": ["A", "B"]}),
        ("set: {PregnancyStatus: 4, PatientWeight: 70.5}", {"PregnancyStatus": "", "PatientWeight": ""},
         {"PregnancyStatus": 4, "PatientWeight": "70.5"}),
        ("set: {RequestingPhysician: A^B=C}", {"RequestingPhysician": ""}, {"RequestingPhysician": "A^B=C"}),
        ("set: {SPS.ScheduledStationAETitle: $calling_ae, unsafe: true}", {"SPS.ScheduledStationAETitle": ["A", "B"]},
         {"SPS.ScheduledStationAETitle": "CT1"}),
        ("set: {PregnancyStatus: $calling_ae}", {"PregnancyStatus": "2"}, {"PregnancyStatus": 2}),
        ("default: {AdmissionID: A}", {"AdmissionID": ""}, {"AdmissionID": "A"}),
        ("default: {AdmissionID: A}", {"AdmissionID": "X"}, {"AdmissionID": "X"}),
        ("clear: [AdmissionID]", {"AdmissionID": "X"}, {"AdmissionID": ""}),
        ("clear: AdmissionID", {"PatientID": "X"}, {"PatientID": "X"}),
        ("remove: [AdmissionID, SPS.Modality]", {"AdmissionID": "X", "SPS.Modality": "CT", "SPS.PreMedication": "M"},
         {"SPS.PreMedication": "M"}),
        ("remove: [AdmissionID]", {"AdmissionID": ""}, {}),
        # P17 copy, move
        ("copy: {from: AdmissionID, to: SPS.ScheduledProcedureStepLocation}",
         {"AdmissionID": "A1", "SPS.ScheduledProcedureStepLocation": "L"},
         {"AdmissionID": "A1", "SPS.ScheduledProcedureStepLocation": "A1"}),
        ("copy: {from: AdmissionID, to: CurrentPatientLocation}",
         {"AdmissionID": "", "CurrentPatientLocation": "L"}, {"AdmissionID": "", "CurrentPatientLocation": "L"}),
        ("copy: {from: RequestingPhysician, to: AdmissionID}", {"RequestingPhysician": "A^B", "AdmissionID": ""},
         {"RequestingPhysician": "A^B", "AdmissionID": "A^B"}),
        ("copy: {from: AdmissionID, to: PregnancyStatus}", {"AdmissionID": "x", "PregnancyStatus": "1"},
         {"AdmissionID": "x", "PregnancyStatus": 1}),
        ("copy: {from: ReferencedStudySequence, to: AdmissionID}",
         {"ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1.2"}], "AdmissionID": "x"},
         {"ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1.2"}], "AdmissionID": "x"}),
        ("move: {from: AdmissionID, to: CurrentPatientLocation}", {"AdmissionID": "A", "CurrentPatientLocation": "L"},
         {"AdmissionID": "", "CurrentPatientLocation": "A"}),
        # P20 replace
        ("replace: {tag: RequestedProcedureDescription, from: '^XR ', to: ''}", {DESCRIPTION: "XR Chest"}, {DESCRIPTION: "Chest"}),
        ("replace: {tag: '*Description', from: '(\\w)-(\\d)', to: '\\2\\1'}", {DESCRIPTION: "a-1 b-2"}, {DESCRIPTION: "1a 2b"}),
        ("replace: {tag: RequestingPhysician, from: x, to: y}", {"RequestingPhysician": "xa^xb=xc"}, {"RequestingPhysician": "ya^yb=yc"}),
        ("replace: {tag: AdmissionID, from: '.', to: ''}", {"AdmissionID": "abc"}, {"AdmissionID": ""}),
        # P21 text
        ("text: {tags: [PatientName, '*Description'], ops: [collapse, trim, upper]}",
         {"PatientName": "Doe^Jane", DESCRIPTION: "  chest   ct ", "SPS.ScheduledProcedureStepDescription": "x"},
         {"PatientName": "DOE^JANE", DESCRIPTION: "CHEST CT", "SPS.ScheduledProcedureStepDescription": "X"}),
        ("text: {tags: AdmissionID, ops: [ascii, lower]}", {"AdmissionID": "MÜLLER"}, {"AdmissionID": "muller"}),
        ("text: {tags: PatientName, ops: title}", {"PatientName": "DOE^JANE"}, {"PatientName": "Doe^Jane"}),
        ("text: {tags: PatientComments, ops: [one_line, strip_control]}", {"PatientComments": "a \r\n b\x07c"},
         {"PatientComments": "a bc"}),
        ("text: {tags: PatientName, ops: ['allow:A-Za-z0-9 ^.-']}", {"PatientName": "Do,e=X"}, {"PatientName": "Doe=X"}),
        ("text: {tags: '*', ops: lower}", {"PatientID": "ABC", "AdmissionID": "ABC", "StudyDate": "20260101"},
         {"PatientID": "ABC", "AdmissionID": "abc", "StudyDate": "20260101"}),
        ("text: {tags: 'SPS.*Description', ops: lower}", {DESCRIPTION: "AB", "SPS.ScheduledProcedureStepDescription": "AB"},
         {DESCRIPTION: "AB", "SPS.ScheduledProcedureStepDescription": "ab"}),
    ],
)  # fmt: skip
def test_an_operation_changes_what_it_names(answer, lines, stored, expected):
    """P16, P17, P20, P21: each operation, on the values it is for and those it leaves alone."""
    assert answer(lines, stored) == expected


@pytest.mark.parametrize(
    ("template", "stored", "expected"),
    [
        ("{RequestedProcedureDescription}[ *{RequestedProcedureComments}*]", {}, "CHEST"),
        ("{RequestedProcedureDescription}[ *{RequestedProcedureComments}*]",
         {"RequestedProcedureComments": "ISOLATION"}, "CHEST *ISOLATION*"),
        ("[{AdmissionID}/{CurrentPatientLocation}: ]{SPS.Modality}", {"AdmissionID": "A"}, "CT"),
        ("[{AdmissionID}/{CurrentPatientLocation}: ]{SPS.Modality}",
         {"AdmissionID": "A", "CurrentPatientLocation": "W"}, "A/W: CT"),
        ("{$calling_ae} {PatientName}", {"PatientName": "DOE^JANE"}, "CT1 DOE^JANE"),
        ("{{x}} [[y]]", {}, "{x} [y]"),
        ("{AdmissionID}", {}, ""),
        ("plain[ and optional]", {}, "plain and optional"),
    ],
)  # fmt: skip
def test_f36_a_template_composes_text(answer, template, stored, expected):
    """P18: optional parts go when a value inside is empty; delimiters written twice stand for themselves."""
    stored = {
        DESCRIPTION: "CHEST",
        "SPS.Modality": "CT",
        "SPS.ScheduledProcedureStepDescription": "",
        **stored,
    }

    found = answer(f"template: {{SPS.ScheduledProcedureStepDescription: '{template}'}}", stored)

    assert found["SPS.ScheduledProcedureStepDescription"] == expected
    assert found[DESCRIPTION] == "CHEST"


@pytest.mark.parametrize(
    ("cut", "text", "expected"),
    [
        ("22", "CHEST", "CHEST"),
        ("22", "CT CHEST WITH CONTRAST MEDIUM", "CT CHEST WITH CONTRAST"),
        ("22", "CT CHEST WITH CONTRASTMEDIUM", "CT CHEST WITH"),
        ("10", "ABDOMENTHORAX", "ABDOMENTHO"),
        ("{max: 10, at: character}", "CT CHEST WITH", "CT CHEST W"),
        ("{max: 10, mark: '~'}", "CT CHEST WITH", "CT CHEST~"),
        ("{max: 10, mark: '...'}", "CT CHESTWITH", "CT..."),
        ("{max: 8, keep: tail}", "CT CHEST WITH", "WITH"),
        ("{max: 10, keep: tail}", "CT CHEST WITH", "CHEST WITH"),
        ("{max: 8, keep: tail, at: character, mark: '~'}", "CT CHEST WITH", "~ST WITH"),
        ("{max: 5, keep: middle}", "ABCDEFGHI", "CDEFG"),
        ("{max: 1, mark: '...'}", "ABC", "A"),
    ],
)
def test_f30_text_is_cut_at_a_word(answer, cut, text, expected):
    """P23: as many characters as allowed, and half a word only where a word is longer than all."""
    found = answer(f"truncate: {{RequestedProcedureDescription: {cut}}}", {DESCRIPTION: text})

    assert found == {DESCRIPTION: expected}


@pytest.mark.parametrize(
    ("most", "name", "expected"),
    [
        (32, "DOE^JANE", "DOE^JANE"),
        (32, "SCHMIDT-WEISSENBERGER^ANNA KATHARINA MARIA", "SCHMIDT-WEISSENBERGER^ANNA"),
        (32, "SCHMIDT-WEISSENBERGER^ANNA^KATHARINA^DR", "SCHMIDT-WEISSENBERGER^ANNA"),
        (12, "MUSTERMANN^MAXIMILIAN", "MUSTERMANN^M"),
        (10, "MUSTERMANN^MAXIMILIAN", "MUSTERMANN"),
        (6, "MUSTERMANN^MAX", "MUSTER"),
        (8, "A^B^^DR^PROFESSOR=LONGIDEOGRAPHIC", "A^B^^DR=LONGIDEO"),
    ],
)
def test_f30_a_name_is_cut_group_by_group(answer, most, name, expected):
    """P23: the end of the name goes first, the family name last; what is left is a valid name."""
    assert answer(f"truncate: {{PatientName: {most}}}", {"PatientName": name}) == {"PatientName": expected}


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("083000", "083000"),
        ("0830", "083000"),
        ("08", "080000"),
        ("083000.000", "083000"),
        ("08:30:00", "083000"),
        ("235960", "235960"),
        ("24", ""),
        ("8", ""),
        ("0860", ""),
        ("083.5", ""),
        ("morning", ""),
        ("", ""),
    ],
)
def test_f23_times_have_exactly_six_digits(answer, time, expected):
    """P24: what is no time becomes empty, and `require` decides about the item."""
    name = "SPS.ScheduledProcedureStepStartTime"

    assert answer(f"format: {{{name}: HHMMSS}}", {name: time}) == {name: expected}


@pytest.mark.parametrize(
    ("date", "expected"),
    [("20260705", "20260705"), ("2026.07.05", "20260705"), ("2026-07-05", "20260705"),
     ("20260231", ""), ("202607", ""), ("1.1.1970", ""), ("2026W101", ""), ("", "")],
)  # fmt: skip
def test_p24_dates_have_exactly_eight_digits(answer, date, expected):
    """P24: a pattern works on dates alone, at any depth."""
    stored = {"PatientBirthDate": date, "SPS.ScheduledProcedureStepStartDate": date, "StudyTime": "0830"}

    found = answer("format: {'*Date': YYYYMMDD, '*Time': HHMM}", stored)

    assert found == {
        "PatientBirthDate": expected,
        "SPS.ScheduledProcedureStepStartDate": expected,
        "StudyTime": "0830",
    }


def test_flat_operations_run_by_number_then_the_list_as_written(answer):
    """R3: an engineer orders steps inside the list only."""
    lines = """
        text: {tags: AdmissionID, ops: upper}
        respond:
          - replace: {tag: AdmissionID, from: AB, to: cd}
          - text: {tags: AdmissionID, ops: title}
        set: {AdmissionID: ab}
        """

    assert answer(lines, {"AdmissionID": ""}) == {"AdmissionID": "Cd"}


def test_a_step_reaches_into_sequences_of_sequences(answer):
    """Patterns without a dot name attributes at any depth."""
    stored = {"SPS.ScheduledProtocolCodeSequence": [{"CodeMeaning": "a"}, {"CodeMeaning": "b"}]}

    found = answer("text: {tags: '*Meaning', ops: upper}", stored)

    assert found == {"SPS.ScheduledProtocolCodeSequence": [{"CodeMeaning": "A"}, {"CodeMeaning": "B"}]}
