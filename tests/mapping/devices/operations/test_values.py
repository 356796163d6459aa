"""P16 to P24: what happens to the values of an answer."""

from __future__ import annotations

import pytest

from mwl.errors import BadDocument
from mwl.mapping.devices.device import Report
from mwl.mapping.paths import parse_path, vr

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
        ("set: {MedicalAlerts: [A, B], unsafe: true}", {"MedicalAlerts": ""}, {"MedicalAlerts": ["A", "B"]}),
        ("set: {PregnancyStatus: 4, PatientWeight: 70.5, unsafe: true}", {"PregnancyStatus": "", "PatientWeight": ""},
         {"PregnancyStatus": 4, "PatientWeight": "70.5"}),
        ("set: {RequestingPhysician: A^B=C}", {"RequestingPhysician": ""}, {"RequestingPhysician": "A^B=C"}),
        ("set: {SPS.ScheduledStationAETitle: $calling_ae, unsafe: true}", {"SPS.ScheduledStationAETitle": ["A", "B"]},
         {"SPS.ScheduledStationAETitle": "CT1"}),
        ("set: {PregnancyStatus: $calling_ae, unsafe: true}", {"PregnancyStatus": "2"}, {"PregnancyStatus": 2}),
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
        ("text: {tags: PatientName, ops: ['allow:A-Z']}", {"PatientName": "DO'E^JA NE^^DR."}, {"PatientName": "DOE^JANE^^DR"}),
        ("text: {tags: AdmissionID, ops: ['replace:a|b|']}", {"AdmissionID": "abcab"}, {"AdmissionID": "c"}),
        ("text: {tags: AdmissionID, ops: ['replace:ab|.|-']}", {"AdmissionID": "abc.a"}, {"AdmissionID": "-c-a"}),
        ("text: {tags: PatientName, ops: ['replace:E|^|x']}", {"PatientName": "DOE^JANE"}, {"PatientName": "DOx^JANx"}),
        ("text: {tags: PatientName, ops: [trim, collapse]}", {"PatientName": " DOE ^ JANE   M "}, {"PatientName": "DOE^JANE M"}),
        # F33, F40: a name is read as a whole, not group by group
        ("text: {tags: PatientName, ops: [ascii, upper]}", {"PatientName": "Müller^Jürgen"}, {"PatientName": "MULLER^JURGEN"}),
        ("text: {tags: PatientName, ops: [ascii, upper]}", {"PatientName": "Wang^XiaoDong=王^小东"}, {"PatientName": "WANG^XIAODONG"}),
        ("text: {tags: PatientName, ops: ascii}", {"PatientName": "王^小明"}, {"PatientName": "WANG^XIAOMING"}),
        ("text: {tags: PatientName, ops: [ascii, upper]}", {"PatientName": "山田^太郎"}, {"PatientName": "山田^太郎"}),
        ("text: {tags: PatientID, ops: upper, unsafe: true}", {"PatientID": "ab"}, {"PatientID": "AB"}),
        ("replace: {tag: PatientID, from: '^0+', to: '', unsafe: true}", {"PatientID": "007"}, {"PatientID": "7"}),
        ("copy: {from: AccessionNumber, to: RequestedProcedureID, unsafe: true}",
         {"AccessionNumber": "A", "RequestedProcedureID": ""}, {"AccessionNumber": "A", "RequestedProcedureID": "A"}),
        ("template: {AccessionNumber: '{PatientID}-1', unsafe: true}", {"AccessionNumber": "", "PatientID": "P"},
         {"AccessionNumber": "P-1", "PatientID": "P"}),
        ("clear: {tags: [AccessionNumber], unsafe: true}", {"AccessionNumber": "A"}, {"AccessionNumber": ""}),
        ("remove: {tags: AccessionNumber, unsafe: true}", {"AccessionNumber": "A"}, {}),
        ("truncate: {AccessionNumber: 8, unsafe: true}", {"AccessionNumber": "1234567890"}, {"AccessionNumber": "12345678"}),
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
        # by bytes of a character set: two for an umlaut in UTF-8, three or four for Chinese
        ("{max: 10, bytes: ISO_IR 192}", "ÄÖÜÄÖÜ", "ÄÖÜÄÖ"),
        ("{max: 10, bytes: ISO_IR 100}", "ÄÖÜÄÖÜ", "ÄÖÜÄÖÜ"),
        ("{max: 7, bytes: GB18030}", "头部平扫", "头部平"),
        ("{max: 7, bytes: GB18030, keep: tail}", "头部平扫", "部平扫"),
        ("{max: 5, bytes: GB18030, mark: '~'}", "头部平扫", "头部~"),
        ("{max: 4, bytes: ISO_IR 192, keep: middle}", "aÄÖb", "ÄÖ"),
        ("{max: 3, bytes: ISO_IR 100}", "头", "头"),
        ("{max: 1, bytes: ISO_IR 192}", "头", ""),
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
        ("{max: 7, bytes: ISO_IR 192}", "MÜLLER^A=王小东", "MÜLLER=王小"),
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


@pytest.mark.parametrize(
    ("form", "attribute", "value", "expected"),
    [
        ("kg", "PatientWeight", "70.5", "70.5"),
        ("kg", "PatientWeight", "70,5 kg", "70.5"),
        ("kg", "PatientWeight", "3500 g", "3.5"),
        ("kg", "PatientWeight", "155LB", "70.3068"),
        ("kg", "PatientWeight", "70 stone", ""),
        ("kg", "PatientWeight", "heavy", ""),
        ("m", "PatientSize", "172 cm", "1.72"),
        ("m", "PatientSize", "1.72", "1.72"),
        ("decimal", "PatientWeight", "7.05e1", "70.5"),
        ("decimal", "PatientWeight", "1e999999999", ""),
        ("decimal", "PatientWeight", "nan", ""),
        ("decimal", "PatientWeight", "1" * 100, ""),
        ("integer", "PatientWeight", "70,5", "70"),
        ("integer", "PatientWeight", "71.5", "72"),
        ("age", "PatientAge", "45", "045Y"),
        ("age", "PatientAge", "6 m", "006M"),
        ("age", "PatientAge", "045Y", "045Y"),
        ("age", "PatientAge", "old", ""),
        ("age", "PatientAge", "", "050Y"),
    ],
)
def test_p24_numbers_and_ages(bind, item, doc, flat, facts, form, attribute, value, expected):
    """P24: in the attribute's own unit; an age that is not stated is computed from the date of birth."""
    stored = item({"PatientBirthDate": "19760705"} if form == "age" else {})
    (tag,) = parse_path(attribute)
    stored.patient[tag] = {"vr": vr(tag), "Value": [value] if value else []}  # as it came, whatever it is

    found = flat(bind(f"format: {{{attribute}: {form}}}").respond(stored, doc({attribute: ""}), facts))

    assert found[attribute] == expected


@pytest.mark.parametrize(
    ("birth", "expected"),
    [("20240705", "002Y"), ("20240706", "023M"), ("20260405", "003M"), ("20260406", "090D"), ("20260705", "000D"),
     ("20260706", ""), ("1976", ""), ("", "")],
)  # fmt: skip
def test_p24_a_computed_age_is_in_the_unit_that_says_most(answer, birth, expected):
    """Days, months, years; no age without a whole date of birth, or before it."""
    assert (
        answer("format: {PatientAge: age}", {"PatientAge": "", "PatientBirthDate": birth})["PatientAge"]
        == expected
    )


@pytest.mark.parametrize(
    ("lines", "stored", "told"),
    [
        ("format: {SPS.ScheduledProcedureStepStartTime: HHMMSS}", {"SPS.ScheduledProcedureStepStartTime": "noon"},
         ("SPS.ScheduledProcedureStepStartTime", "a value of VR TM cannot be read, and is sent empty")),
        ("format: {'*Date': YYYYMMDD}", {"PatientBirthDate": "once"},
         ("PatientBirthDate", "a value of VR DA cannot be read, and is sent empty")),
        ("copy: {from: AdmissionID, to: PregnancyStatus}", {"AdmissionID": "x", "PregnancyStatus": ""},
         ("PregnancyStatus", "AdmissionID holds no value of VR US")),
        ("template: {PregnancyStatus: '{AdmissionID}'}", {"AdmissionID": "x", "PregnancyStatus": ""},
         ("PregnancyStatus", "the text composed for it is no value of VR US")),
        ("set: {PregnancyStatus: $calling_ae, unsafe: true}", {"PregnancyStatus": ""},
         ("PregnancyStatus", "what was to be put here is no value of its VR")),
        ("text: {tags: PatientName, ops: ascii}", {"PatientName": "山田^太郎"},
         ("PatientName", "a name has no reading in Latin letters")),
        ("text: {tags: PatientName, ops: upper}", {"PatientName": "a"}, None),
        ("copy: {from: AdmissionID, to: PregnancyStatus}", {"AdmissionID": "x"}, None),
    ],
)  # fmt: skip
def test_r7_what_an_operation_cannot_handle_is_reported_with_its_line(
    bind, item, doc, facts, lines, stored, told
):
    """Attribute and words, never the value; and only of what is sent."""
    reports: list[Report] = []

    bind(lines).respond(item(stored), doc(dict.fromkeys(stored, "")), facts, None, reports)

    assert [(each.path, each.message) for each in reports] == ([told] if told else [])
    assert all(each.origin.endswith("site.yaml:4") and each.serious for each in reports)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("format: {PatientName: YYYYMMDD}", "PatientName has VR PN: YYYYMMDD is no form of it"),
        ("format: {PatientBirthDate: kg}", "PatientBirthDate has VR DA: kg is no form of it"),
        ("template: {ReferencedStudySequence: x}", "ReferencedStudySequence has VR SQ, which holds no text"),
        ("truncate: {PatientBirthDate: 4}", "PatientBirthDate has VR DA: a part of it means something else"),
        ("truncate: {ReferencedSOPInstanceUID: 8}", "ReferencedSOPInstanceUID has VR UI: a part of it means"),
        ("set: {StudyDate: 20260231}", "20260231 is no value of VR DA"),
        ("set: {StationName: CT-ROOM-NUMBER-TWO}", "CT-ROOM-NUMBER-TWO is no value of VR SH"),
        ("default: {BodyPartExamined: Head}", "Head is no value of VR CS"),
        ("default: {PatientState: 'a\\b'}", "is no value of VR LO"),
        ("set: {InstanceNumber: 1.5}", "1.5 is no value of VR IS"),
    ],
)
def test_an_operation_on_an_attribute_it_is_not_for_is_a_mistake(bind, lines, message):
    """It would never do anything."""
    with pytest.raises(BadDocument, match=message):
        bind(lines)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DOE^JANE", "DOE^JANE *MRSA x y z*"),
        ("Yamada^Taro=山田^太郎=やまだ^たろう",
         "Yamada^Taro *MRSA x y z*=山田^太郎 *MRSA x y z*=やまだ^たろう *MRSA x y z*"),
        ("=山田^太郎", "=山田^太郎 *MRSA x y z*"),
    ],
)  # fmt: skip
def test_f36_what_a_template_puts_beside_a_name_is_in_each_of_its_groups(answer, name, expected):
    """A console shows one group of three; and a remark with delimiters makes no groups of its own."""
    lines = "template: {PatientName: '{PatientName}[ *{RequestedProcedureComments}*]'}"
    stored = {"PatientName": name, "RequestedProcedureComments": "MRSA=^x\\y\r\nz"}

    assert answer(lines, stored)["PatientName"] == expected


def test_a_template_may_write_the_groups_of_a_name_itself(answer):
    """P18: with its own `=` between them it is taken as it stands."""
    lines = "template: {RequestingPhysician: '{PatientState}={AdmissionID}'}"
    stored = {"RequestingPhysician": "", "PatientState": "A^B", "AdmissionID": "C^D"}

    assert answer(lines, stored)["RequestingPhysician"] == "A^B=C^D"


@pytest.mark.parametrize(
    "line",
    [
        "template: {AdmissionID: '{PatientComments}'}",
        "copy: {from: PatientComments, to: AdmissionID}",
    ],
)
def test_paragraphs_become_a_line_where_a_line_is_sent(answer, line):
    """PS3.5 6.2: LO has neither line breaks nor a backslash, which would part it in two values."""
    stored = {"PatientComments": "one\r\ntwo\\three", "AdmissionID": ""}

    assert answer(line, stored)["AdmissionID"] == "one two three"


def test_what_a_variable_makes_is_not_sent_where_its_vr_does_not_allow_it(bind, item, doc, facts):
    """R7: it is known when a device asks, and told with the line."""
    reports: list[Report] = []
    profile = bind("set: {BodyPartExamined: 'at $calling_ae'}")

    answer = profile.respond(
        item({"BodyPartExamined": "HEAD"}), doc({"BodyPartExamined": ""}), facts, None, reports
    )

    assert answer["00180015"]["Value"] == ["HEAD"]
    assert [each.message for each in reports] == ["what was to be put here is no value of its VR"]


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
