"""The written form of a device profile: what is refused, where, and with which words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mwl.errors import BadDocument, Severity
from mwl.mapping.devices.device import SiteFacts, load_devices
from mwl.mapping.devices.operations import OPERATIONS
from mwl.mapping.devices.operations.operation import Stage
from mwl.mapping.devices.profile import schema_text

SHIPPED = Path(__file__).parents[3] / "mappings"
HEADER = "profile: site\nstatus: partial\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("trunkate: {PatientName: 3}", "3:1: error: unknown key 'trunkate': did you mean 'truncate'?"),
        (
            "set:\n  PatientSx: O",
            "4:3: error: unknown attribute 'PatientSx': did you mean 'PatientSex'? [L1]",
        ),
        (
            "ignore_keys: [PatientID, SPS.Modalitee]",
            "3:26: error: unknown attribute 'Modalitee' in 'SPS.Modalitee': did you mean 'Modality'? [L1]",
        ),
        ("format: {'*Daate': YYYYMMDD}", "3:10: error: no attribute's keyword matches '*Daate' [L1]"),
        ("limit: {max: many}", "3:14: error: max: input should be a valid integer"),
        ("limit: {max: 0}", "3:14: error: max: input should be greater than or equal to 1"),
        ("limit: 200", "3:8: error: limit: keys and values are expected here"),
        ("wire: {ts: [ILE, XLE]}", "3:18: error: ts: input should be 'ILE', 'ELE', 'EBE'"),
        ("replace: {tag: PatientName, from: '(', to: x}", "3:35: error: from: is no regular expression"),
        ("replace: {tag: PatientName, from: 'a', to: '\\2'}", "error: replace: 'to' does not go with 'from'"),
        (
            "text: {tags: PatientName, ops: [uper]}",
            "3:33: error: ops: unknown operation 'uper': did you mean 'upper'?",
        ),
        ("template: {AdmissionID: 'a [b'}", "3:25: error: AdmissionID: '[' is not closed"),
        ("template: {AdmissionID: '{PatientNam}'}", "3:25: error: unknown attribute 'PatientNam'"),
        (
            "filter: {exclude: [{SPS.Modality: {inn: [CT]}}]}",
            "3:36: error: unknown key 'inn': did you mean 'in'?",
        ),
        (
            "respond: [{set: {AdmissionID: A}, clear: [AdmissionID]}]",
            "3:11: error: respond: a step is one operation",
        ),
        ("respond: [{when: {PatientID: x}}]", "3:11: error: respond: a step is one operation"),
        (
            "query: [{sett_key: {PatientID: x}}]",
            "3:10: error: unknown key 'sett_key': did you mean 'set_key'?",
        ),
        ("query: [{set: {PatientID: x}}]", "3:10: error: unknown key 'set'"),
        ("set: {RequestedProcedureCodeSequence: x}", "3:39: error: set: x is no value of VR SQ"),
        (
            "set: {SPS..Modality: CT}",
            "3:7: error: the name of an attribute is missing in 'SPS..Modality' [L1]",
        ),
        ("window: {back: 3x}", "3:16: error: back: a number of days or of hours: 2d, 6h"),
        ("dates: tomorrow", "3:8: error: dates: today, as_asked, or so many days around today: +-2"),
        ("set: {InstanceNumber: yes}", "3:23: error: set: yes is no value of VR IS"),
        ("set: {AdmissionID: $caling_ae}", "3:20: error: set: there is no variable $caling_ae: did you mean"),
        ("set: {AdmissionID: $var.rom}\nvars: {room: 1}", "3:20: error: the variable 'rom' is not declared"),
        ("charset: {fixed: ISO_IR 999, unfit: skip_item}", "3:18: error: charset: there is no character set"),
        (
            "require: {type1: [PatientID], fill: {PatientID: derive}, on_fail: fill}",
            "3:49: error: require: only",
        ),
        ("status: sure", "the key 'status' stands here twice"),
    ],
)
def test_a_mistake_is_reported_at_its_line_and_column(problems, lines, expected):
    """One mistake gives one message, in the file and at the place where it stands."""
    found = problems(site=HEADER + lines)

    assert len(found) == 1
    assert found[0].startswith("site.yaml:")
    assert expected in found[0]


def test_all_mistakes_are_reported_at_once_and_each_once(problems):
    """A mistake in a profile that others rest on is one message, not one for each of them."""
    found = problems(
        generic="profile: generic\nlimit: {max: x}\nset: {Foo: 1}\n",
        ct="profile: ct\nstatus: evidence\nwire: {}\n---\nprofile: ct1\nextends: ct\nstatus: evidence\n",
        mr="profile: mr\nstatus: guess\n",
        shipped=False,
    )

    assert sorted(found) == [
        "generic.yaml:1:1: error: the key 'status' is missing here",
        "generic.yaml:2:14: error: max: input should be a valid integer",
        "generic.yaml:3:7: error: unknown attribute 'Foo' [L1]",
        "mr.yaml:2:9: error: status: input should be 'evidence', 'partial' or 'hypothesis'",
    ]


def test_a_profile_without_status_is_refused(problems):
    """Rule 3: every profile says what it rests on; it does not inherit that."""
    assert problems(site="profile: site\n") == ["site.yaml:1:1: error: the key 'status' is missing here"]


@pytest.mark.parametrize(
    "lines",
    [
        "set: {PatientID: X}",
        "default: {SPS.ScheduledStationAETitle: X}",
        "clear: [AccessionNumber]",
        "remove: [StudyInstanceUID]",
        "copy: {from: AdmissionID, to: RequestedProcedureID}",
        "move: {from: AccessionNumber, to: AdmissionID}",
        "template: {SPS.ScheduledProcedureStepID: '{AccessionNumber}'}",
        "replace: {tag: PatientID, from: a, to: b}",
        "text: {tags: [AccessionNumber], ops: [upper]}",
        "truncate: {PatientID: 20}",
        "alias: {tag: SPS.ScheduledStationAETitle, response: {A: B}}",
        "respond: [{set: {PatientID: X}}]",
    ],
)
def test_l2_identities_are_left_alone(problems, lines):
    """R2, L2: what comes back in MPPS and images changes through a codec only."""
    found = problems(site=HEADER + lines)

    assert len(found) == 1
    assert "is an identity" in found[0]
    assert found[0].endswith("[L2]")


def test_l2_gives_way_to_unsafe_in_the_same_profile_only(problems, bind):
    """`unsafe` covers the lines beside it; a profile that extends this one must say it again."""
    base = "profile: base\nstatus: evidence\nset: {SPS.ScheduledStationAETitle: $calling_ae, unsafe: true}\n"

    assert problems(base=base) == []
    assert problems(
        base=base, site="profile: site\nstatus: partial\nextends: base\nset: {PatientID: X}\n"
    ) == [
        (
            "site.yaml:4:7: error: set: PatientID is an identity, which comes back in MPPS and images: "
            "only a codec may change it [L2]"
        )
    ]


@pytest.mark.parametrize("lines", ["default: {PatientBirthDate: '19000101'}", "set: {PatientSex: O}"])
def test_f38_nothing_is_made_up_unless_marked(problems, lines):
    """12.3 b: an invented birth date, sex or name needs `unsafe: true`."""
    found = problems(site=HEADER + lines)

    assert len(found) == 1
    assert "would be made up" in found[0]
    assert problems(site=HEADER + lines.replace("}", ", unsafe: true}")) == []


def test_l3_short_identities_keep_their_length(problems):
    """L3: sixteen characters of an accession number are the least, and L2 stands for the rest."""
    found = problems(site=HEADER + "truncate: {AccessionNumber: 12}")

    assert found[0].endswith("[L3]")
    assert problems(site=HEADER + "truncate: {AccessionNumber: 16}")[0].endswith("[L2]")


def test_l4_an_answer_has_one_value(problems):
    """L4: an alias that is no function in the direction of the response is refused."""
    found = problems(site=HEADER + "alias: {tag: SPS.Modality, response: {CR: [DX, CR]}}")

    assert found == ["site.yaml:3:39: error: alias: CR must have one value in 'response' [L4]"]


@pytest.mark.parametrize(
    ("lines", "place", "code"),
    [
        ("charset: {fixed: ISO_IR 100}", (3, 11), "L5"),
        (
            "match: {impl_uid: '1.2.3'}\n---\nprofile: twin\nstatus: partial\nmatch: {impl_uid: '1.2.3'}",
            (7, 1),
            "L8",
        ),
    ],
)
def test_doubts_are_warnings(write, lines, place, code):
    """L5, L8: the set loads, and says what the engineer should look at."""
    (warning,) = load_devices([write(site=HEADER + lines), SHIPPED]).warnings

    assert (warning.line, warning.column) == place
    assert warning.code == code
    assert warning.severity is Severity.WARNING


def test_a_variable_without_default_is_asked_for_when_bound(write):
    """The set loads; binding without the variable names the line that uses it, a wrong kind the value."""
    text = HEADER + "vars: {most: null}\nlimit: {max: $var.most}\n"
    devices = load_devices([write(site=text), SHIPPED])

    assert devices.bind("site", {"most": 7}, SiteFacts()).limit.max == 7
    with pytest.raises(BadDocument, match=r"site.yaml:4:14: error: the variable 'most' has no value"):
        devices.bind("site", {}, SiteFacts())
    with pytest.raises(BadDocument, match=r"site.yaml:4:14: error: max: input should be a valid integer"):
        devices.bind("site", {"most": "x"}, SiteFacts())


def test_bind_names_a_variable_nobody_declared(shipped):
    """A typing mistake in the configuration's `vars` is not silently ignored."""
    with pytest.raises(BadDocument, match="no variable 'lon': did you mean 'long'"):
        shipped.bind("ge-ct-connectpro", {"lon": True}, SiteFacts())


def test_l2_holds_for_what_a_variable_hides(write, problems):
    """What comes from the device is linted when it is known, the lines beside it at once."""
    text = HEADER + "vars: {tags: null}\nclear: $var.tags\n"
    devices = load_devices([write(site=text), SHIPPED])

    assert devices.bind("site", {"tags": ["AdmissionID"]}, SiteFacts()).name == "site"
    with pytest.raises(BadDocument, match="L2"):
        devices.bind("site", {"tags": ["PatientID"]}, SiteFacts())
    (found,) = problems(site=f"{text}set: {{PatientID: X}}\n")
    assert found.endswith("[L2]")


def test_p1_a_profile_is_offered_to_the_devices_it_matches(write, facts):
    """Globs on what the association says; the most specific profile comes first, then the higher priority."""
    text = """
        profile: any-ct
        status: partial
        match: {calling_ae: "CT*"}
        ---
        profile: this-ct
        status: partial
        match: {calling_ae: [MR1, CT1], impl_uid: "1.2.*"}
        ---
        profile: chosen-ct
        status: partial
        priority: 1
        match: {calling_ae: "C*"}
        ---
        profile: mr
        status: partial
        match: {calling_ae: "MR*"}
        ---
        profile: either
        status: partial
        match: {any: [{impl_uid: "9"}, {impl_version: "CTOS_*"}]}
        priority: -1
        """
    devices = load_devices([write(site=text), SHIPPED])

    assert devices.matching(facts) == ["this-ct", "chosen-ct", "any-ct", "either"]


def test_every_operation_states_its_number_and_documents_its_fields():
    """R6: what `explain` prints, the manual and the editor's help come from the classes."""
    for key, kind in OPERATIONS.items():
        assert kind.key == key
        assert kind.stage in Stage
        assert f"(P{kind.number}" in kind.__doc__
        for name, field in kind.model_fields.items():
            assert name in ("when", "root") or field.description, f"{key}.{name}"


def test_the_json_schema_in_the_tree_is_current():
    """`mwl mapping schema` wrote it from the models; run it again after a change."""
    assert (SHIPPED / "device.schema.json").read_text("utf-8") == schema_text()


def test_the_json_schema_knows_the_shorthand():
    """Editors accept what the loader accepts: one mapping for a list of one, a number for a cut."""
    schema = json.loads(schema_text())

    code = schema["properties"]["code"]["anyOf"]
    assert {"$ref": "#/$defs/Code"} in code
    assert {"items": {"$ref": "#/$defs/Code"}, "type": "array"} in code
    assert {"type": "integer"} in schema["$defs"]["Cut"]["anyOf"]
    assert "profile" in schema["required"]


@pytest.mark.parametrize("path", sorted((SHIPPED / "devices").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_file_points_to_the_schema(path):
    """The first line is the language server's."""
    first = path.read_text("utf-8").splitlines()[0]

    assert first == "# yaml-language-server: $schema=../device.schema.json"


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("calling_ae: CT1", True),
        ("calling_ae: 'C*'", True),
        ("calling_ae: [NX_WL, CT1]", True),
        ("calling_ae: {regex: 'CT[0-9]'}", True),
        ("calling_ae: {regex: 'T[0-9]'}", False),
        ("calling_ae: {glob: 'CT*', regex: '.*2'}", False),
        ("ip: 127.0.0.1", True),
        ("ip: [10.0.0.0/8, 127.0.0.0/8]", True),
        ("ip: 10.1.0.0/16", False),
        ("ip: '::1'", False),
        ("tls_cn: ct1.example", False),
        ("calling_ae: CT1, ip: 10.1.0.0/16", False),
        ("any: [{ip: 10.1.0.0/16}, {impl_version: 'CTOS*'}]", True),
    ],
)
def test_p1_each_line_of_a_match(write, facts, line, fits):
    """All lines must hold, each by any of its patterns."""
    text = f"profile: site\nstatus: partial\nmatch: {{{line}}}\n"

    assert ("site" in load_devices([write(site=text), SHIPPED]).matching(facts)) is fits


def test_p1_a_certificate_names_the_device(write, facts):
    """Where the listener asks for one; an IPv4 address may come in the form of IPv6."""
    text = "profile: site\nstatus: partial\nmatch: {tls_cn: 'ct*.example', ip: 10.0.0.0/8}\n"
    devices = load_devices([write(site=text), SHIPPED])
    shown = dataclasses.replace(facts, common_name="ct1.example", address="::ffff:10.1.2.3")

    assert devices.matching(shown) == ["site"]
    assert devices.matching(dataclasses.replace(shown, address="not an address")) == []


def test_p1_what_names_one_thing_is_more_specific(write, facts):
    """Of equally many lines: an AE title before a pattern, an address before a network."""
    text = "".join(
        f"---\nprofile: {name}\nstatus: partial\nmatch: {{{line}}}\n"
        for name, line in (
            ("a-pattern", "calling_ae: 'CT*'"),
            ("b-network", "ip: 127.0.0.0/8"),
            ("c-title", "calling_ae: CT1"),
            ("d-address", "ip: 127.0.0.1"),
            ("e-two", "calling_ae: 'C*', ip: 127.0.0.0/8"),
        )
    )

    found = load_devices([write(site=text.removeprefix("---\n")), SHIPPED]).matching(facts)

    assert found == ["e-two", "c-title", "d-address", "a-pattern", "b-network"]


@pytest.mark.parametrize("line", ["ip: 10.1.0.0/99", "ip: ct1", "calling_ae: {regex: '('}"])
def test_p1_a_match_that_means_nothing_is_refused(problems, line):
    """At its line."""
    (found,) = problems(site=f"profile: site\nstatus: partial\nmatch: {{{line}}}\n")

    assert found.startswith("site.yaml:3:")


@pytest.mark.parametrize("operation", ["clear", "remove"])
@pytest.mark.parametrize("tag", ["PatientName", "PatientBirthDate", "IssuerOfPatientID"])
def test_l2_what_tells_patients_apart_is_not_taken_away(problems, operation, tag):
    """By mistake: in a stage's list as at the top; `unsafe` says that it is meant."""
    flat = problems(site=f"{HEADER}{operation}: [AdmissionID, {tag}]")
    listed = problems(site=f"{HEADER}respond:\n  - {operation}: [{tag}]\n    when: {{PatientSex: O}}")

    for found in (flat, listed):
        assert len(found) == 1
        assert f"{operation}: without {tag} an item cannot be told apart" in found[0]
        assert found[0].endswith("[L2]")
    assert problems(site=f"{HEADER}{operation}: {{tags: [{tag}], unsafe: true}}") == []


@pytest.mark.parametrize(
    ("head", "own"),
    [
        ("profile: our site\nstatus: partial", ["a name of letters, digits"]),
        ("profile: site\nstatus: partial\nextends: genreic", ["did you mean 'generic'"]),
        ("profile: site\nstatus: partly", ["status: "]),
        ("profile: site", ["the key 'status' is missing"]),
        ("profile: site\nstatus: partial\nlimit: {max: many}", ["max: "]),
        ("profile: site\nstatus: partial\nvars: {x: 1}\ndefault: {AdmissionID: $var.y}", ["'y'"]),
    ],
)
def test_a_mistake_hides_no_other(problems, head, own):
    """What only lint and binding find is told beside what the form finds, and beside a wrong name."""
    lines = "clear: [PatientID]\nmap: {table: nowhere.csv, key: AdmissionID}\ntruncate: {PatientNmae: 3}\n"

    found = problems(site=f"{head}\n{lines}")

    told = [*own, "[L2]", "[L1]", *([] if "'y'" in own else ["'nowhere.csv'"])]
    assert [sum(each in line for line in found) for each in told] == [1] * len(told)
    assert len(found) == len(told)
