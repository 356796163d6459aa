"""P19: values looked up in a table."""

from __future__ import annotations

import pytest

from mwl.errors import BadDocument
from mwl.mapping.devices.device import Excluded, Report, SiteFacts, Withheld, load_devices

RP, PROTOCOL = "RequestedProcedureCodeSequence", "SPS.ScheduledProtocolCodeSequence"
KEY = f'"{RP}[0].CodeValue"'
EACH = f'"{PROTOCOL}[*].CodeValue"'


def code(value: str, scheme: str = "L", meaning: str = "m") -> dict[str, str]:
    """Return a code item."""
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


@pytest.fixture
def reported(bind, item, doc, facts):
    """Answer and return what was reported: path and message."""

    def run(lines: str, stored: dict, wanted: dict) -> list[tuple[str, str]]:
        reports: list[Report] = []
        bind(lines).respond(item(stored), doc(wanted), facts, None, reports)
        return [(each.path, each.message) for each in reports]

    return run


@pytest.mark.parametrize(
    ("lines", "stored", "expected"),
    [
        # A table of texts takes the key's own place.
        ("{table: {US: ULTRASOUND, CT: TOMO}, key: AdmissionID}", {"AdmissionID": "ct"}, {"AdmissionID": "TOMO"}),
        ("{table: {US: ULTRASOUND}, key: AdmissionID}", {"AdmissionID": "MR"}, {"AdmissionID": "MR"}),
        ("{table: {US: ULTRASOUND}, key: AdmissionID, miss: default, default: OTHER}", {"AdmissionID": "MR"},
         {"AdmissionID": "OTHER"}),
        ("{table: {US: ULTRASOUND}, key: AdmissionID, miss: default, default: OTHER}", {"AdmissionID": ""},
         {"AdmissionID": ""}),
        ("{table: {'C*': TOMO, '*': '?'}, key: AdmissionID}", {"AdmissionID": "CTX"}, {"AdmissionID": "TOMO"}),
        ("{table: {7: '007'}, key: AdmissionID}", {"AdmissionID": "7"}, {"AdmissionID": "007"}),
        # Several outputs; an empty cell leaves its output alone.
        ("{table: {A: {x: X, y: ''}}, key: AdmissionID, out: {PatientState: x, MedicalAlerts: y}}",
         {"AdmissionID": "A", "PatientState": "", "MedicalAlerts": "old"},
         {"AdmissionID": "A", "PatientState": "X", "MedicalAlerts": "old"}),
        ("{table: {A: {x: X}}, key: AdmissionID, out: {PatientState: x}, miss: default, default: {PatientState: D}}",
         {"AdmissionID": "B", "PatientState": ""}, {"AdmissionID": "B", "PatientState": "D"}),
        # Parts of the code item the key stands in.
        (f"{{table: {{A: {{c: F1, t: Chest}}}}, key: {KEY}, out: {{code: c, scheme: 99SITE, meaning: t}}}}",
         {RP: [code("A"), code("A")]}, {RP: [code("F1", "99SITE", "Chest"), code("A")]}),
        (f"{{table: {{A: F1}}, key: '{RP}[1].CodeValue'}}", {RP: [code("A"), code("A")]}, {RP: [code("A"), code("F1")]}),
        (f"{{table: {{A: F1}}, key: '{RP}[last].CodeValue'}}", {RP: [code("A")] * 3}, {RP: [code("A"), code("A"), code("F1")]}),
        (f"{{table: {{A: F1}}, key: {EACH}}}", {PROTOCOL: [code("A"), code("B")]}, {PROTOCOL: [code("F1"), code("B")]}),
        (f"{{table: {{A: F1}}, key: {RP}.CodeValue}}", {RP: [code("A")]}, {RP: [code("F1")]}),
        (f"{{table: {{A: F1}}, key: {KEY}}}", {RP: []}, {RP: []}),
        # F32: what has no row is left out.
        (f"{{table: {{A: F1}}, key: {EACH}, miss: drop_code}}", {PROTOCOL: [code("B"), code("A")]}, {PROTOCOL: [code("F1")]}),
        (f"{{table: {{A: F1}}, key: {EACH}, miss: drop_code}}", {PROTOCOL: [code("B")]}, {PROTOCOL: []}),
        # Only where a guard holds.
        ("{table: {A: B}, key: AdmissionID, when: {PatientState: x}}", {"AdmissionID": "A", "PatientState": "y"},
         {"AdmissionID": "A", "PatientState": "y"}),
    ],
)  # fmt: skip
def test_p19_a_row_fills_its_outputs(answer, lines, stored, expected):
    """By keys without regard to case, item by item, and nothing else is touched."""
    assert answer(f"map: {lines}", stored) == expected


@pytest.mark.parametrize(("miss", "kind"), [("drop_item", Excluded), ("error", Withheld)])
def test_p19_a_miss_may_cost_the_item(answer, miss, kind):
    """On purpose, or as an error; the message names the code, which is no patient's."""
    with pytest.raises(kind) as error:
        answer(f"map: {{table: {{A: F1}}, key: {KEY}, miss: {miss}}}", {RP: [code("RX-2")]})

    assert type(error.value) is kind
    assert (error.value.reason, error.value.path) == ("the code RX-2 is not in the table", f"{RP}.CodeValue")
    assert error.value.origin.endswith("site.yaml:4")


def test_f32_a_code_that_was_left_out_is_reported(reported):
    """The engineer gets the list of misses; a value that may be a patient's is never named."""
    stored = {PROTOCOL: [code("RX-TOR-2"), code("A")]}
    lines = f"map: {{table: {{A: F1}}, key: {EACH}, miss: drop_code}}"
    alerts = f"map: {{table: {{A: F1}}, key: '{RP}[*].CodeMeaning', miss: drop_code}}"

    assert reported(lines, stored, {PROTOCOL: []}) == [
        (PROTOCOL, "the code RX-TOR-2 is not in the table, and left out")
    ]
    assert reported(lines, stored, {"PatientID": ""}) == []
    assert reported(alerts, {RP: [code("A", meaning="JANE")]}, {RP: []}) == [
        (RP, "a value is not in the table, and left out")
    ]


def test_a_row_that_is_no_value_is_reported(reported):
    """The attribute stays as it was."""
    lines = "map: {table: {A: many}, key: AdmissionID, out: {PregnancyStatus: value}}"

    assert reported(lines, {"AdmissionID": "A"}, {"AdmissionID": ""}) == [
        ("AdmissionID", "the table's text is no value of VR US")
    ]


TABLE = "exam,FCR,text\n33010048,FCR0101-0001,CHEST PA\n"


@pytest.fixture
def fuji(tmp_path):
    """Bind a profile with a table in a file, which is written first."""

    def bind(table: str | None = TABLE, out: str = "{code: FCR, scheme: 99SITE, meaning: text}"):
        (tmp_path / "devices").mkdir(exist_ok=True)
        (tmp_path / "tables").mkdir(exist_ok=True)
        if table is not None:
            (tmp_path / "tables" / "exam2fcr.csv").write_text(table, "utf-8")
        (tmp_path / "devices" / "fuji.yaml").write_text(
            f"profile: fuji\nstatus: partial\nextends: []\nvars: {{table: null}}\n"
            f"map: {{table: $var.table, key: {KEY}, out: {out}}}\n"
            f"code: {{tag: {RP}, copy_to: [{PROTOCOL}, SPS.{RP}]}}\n"
        )
        profiles = load_devices([tmp_path])
        return profiles.bind("fuji", {"table": "exam2fcr.csv"}, SiteFacts())

    return bind


def test_f33_an_exam_code_becomes_the_consoles_menu_code_in_three_places(fuji, item, doc, flat, facts):
    """Fuji FCR: root, protocol and the step's own requested-procedure sequence are equal."""
    stored = item({RP: [code("33010048")]})
    wanted = doc({RP: [], PROTOCOL: [], f"SPS.{RP}": []})

    found = flat(fuji().respond(stored, wanted, facts))

    assert found[RP] == [code("FCR0101-0001", "99SITE", "CHEST PA")]
    assert found[PROTOCOL] == found[f"SPS.{RP}"] == found[RP]


def test_a_changed_table_is_a_changed_profile(fuji):
    """What was encoded with the old one is never found again."""
    assert fuji().digest == fuji().digest
    assert fuji().digest != fuji(TABLE + "33010049,FCR0101-0002,CHEST LAT\n").digest


@pytest.mark.parametrize(
    ("table", "out", "message"),
    [
        (None, "{code: FCR}", "fuji.yaml:5:14: error: map: there is no table 'exam2fcr.csv'"),
        (
            TABLE,
            "{code: FRC}",
            "fuji.yaml:5:.* error: map: the table has no column 'FRC': did you mean 'FCR'",
        ),
        ("exam\n", "{code: FCR}", "exam2fcr.csv:1:1: error: the first line names the columns"),
    ],
)
def test_a_table_that_does_not_fit_is_a_mistake_when_the_profile_is_bound(fuji, table, out, message):
    """It is found before the first patient, at its file and line."""
    with pytest.raises(BadDocument, match=message):
        fuji(table, out)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("{table: {A: B}, key: AdmissionID, miss: drop_code}", "drop_code needs a key in an item"),
        ("{table: {A: {c: B}}, key: AdmissionID, out: {code: c}}", "code, scheme and meaning need a key in an item"),
        ("{table: {A: B}, key: AdmissionID, miss: default}", "'miss: default' and 'default' go together"),
        ("{table: {A: B}, key: AdmissionID, default: X}", "'miss: default' and 'default' go together"),
        ("{table: {A: {c: B}}, key: AdmissionID, out: {PatientState: c}, miss: default, default: {x: y}}",
         "there is no output 'x' for 'default'"),
        ("{table: [A, B], key: AdmissionID}", "the name of a CSV file, or a mapping"),
        ("{table: {A: [B]}, key: AdmissionID}", "'A' stands for a text, or for columns"),
        (f"{{table: {{A: B}}, key: '{RP}[x].CodeValue'}}", "is none of [0], [1], [last] and [*]"),
        (f"{{table: {{A: B}}, key: '{RP}[0]'}}", "ends in an item: name an attribute in it"),
        ("{table: {A: B}, key: AdmissionIDD}", "unknown attribute 'AdmissionIDD': did you mean 'AdmissionID'"),
        ("{table: {A: B}, key: PatientID}", "PatientID is an identity"),
        ("{table: {A: {x: B}}, key: AdmissionID, out: {PatientID: x}}", "PatientID is an identity"),
    ],
)  # fmt: skip
def test_a_map_that_makes_no_sense_is_refused(problems, lines, message):
    """One message for one mistake."""
    found = problems(site=f"profile: site\nstatus: evidence\nmap: {lines}\n")

    assert len(found) == 1
    assert message in found[0]
