"""System profiles as files: what may be written, what is refused and where, what is shipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mwl.errors import BadDocument
from mwl.mapping import paths
from mwl.mapping.systems.system import (
    SystemProfile,
    SystemProfiles,
    examine_systems,
    load_systems,
    schema_text,
)
from mwl.model import OrderMessage

MAPPINGS = Path(__file__).parents[3] / "mappings"


def test_the_schema_in_the_mappings_folder_is_current() -> None:
    """An editor checks a profile against what the broker takes; `mwl mapping schema` writes it."""
    assert (MAPPINGS / "system.schema.json").read_text(encoding="utf-8") == schema_text()


def test_every_shipped_profile_points_to_the_schema() -> None:
    """The first line tells an editor where it is."""
    lines = {
        path.read_text(encoding="utf-8").splitlines()[0] for path in (MAPPINGS / "systems").glob("*.yaml")
    }

    assert lines == {"# yaml-language-server: $schema=../system.schema.json"}


def test_every_modality_of_the_shipped_table_is_a_code_string() -> None:
    """A row that could not be sent would drop the modality of every order it fits."""
    from mwl.mapping.systems.fitting import fit
    from mwl.mapping.systems.lookup import read_csv

    rows = read_csv(MAPPINGS / "tables" / "modality.csv")

    assert all(fit("CS", modality) == (modality, "", False) for _, modality in rows)


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        ("ORM^O01", "order", 201), ("ORM", "order", 201), ("OMI^O23^OMI_O23", "order", 201),
        ("SIU^S12", "schedule", 201), ("SIU^S23", "ignore", 201), ("ADT^A08", "patient", 201),
        ("ADT^A10", "arrival", 201), ("ADT^A40", "merge", 201), ("ADT^A37", "ignore", 201), ("ADT^Z99", None, 201), ("MDM^T02", None, 200),
        ("ORM^O99", None, 201), ("", None, 200),
    ],
)  # fmt: skip
def test_f_h18_f_h19_messages_are_taken_ignored_or_refused(
    message: str, kind: str | None, code: int, generic: SystemProfile
) -> None:
    """200 for a type nobody knows, 201 for an event of a known one."""
    assert generic.kind(message) == kind
    assert generic.refusal_code(message) == code


def test_a_site_says_what_differs_and_keeps_the_rest(
    site_profile: Callable[[str], SystemProfile],
    read: Callable[..., OrderMessage],
    make_order: Callable[..., str],
) -> None:
    """Tables add up, null withdraws a line, a private attribute is kept, a condition guards a line."""
    profile = site_profile(
        """
vars: {ward: "PV1-3.1"}
accept: {messages: {"ADT^*": ignore, MDM^T02: ignore}, charset: {default: "8859/1", aliases: {LATIN: "8859/1"}}}
order: {control: {actions: {SC_IP: arrive, "*_CM": complete}}}
patient:
  PatientState: null
  CurrentPatientLocation: $var.ward
procedure:
  RequestedProcedurePriority: {default: LOW}
  IssuerOfAccessionNumberSequence.LocalNamespaceEntityID: {default: OUR_RIS}
  IssuerOfAccessionNumberSequence: null
step:
  Modality: {table: [{SONO: US}, modality]}
  (0009,1001): {from: ZXX-1, vr: LO, max: 4}
  RequestedContrastAgent: {from: ZXX-2, when: {OBR-24: [CT, MR], ZXX-3: {present: false}}}
"""
    )
    text = make_order(ORC_1="SC", ORC_5="IP", OBR_24="SONO", OBR_12="x", ORC_7="", ZXX="ZXX|private|Gd")
    order = read(text, profile=profile)
    (change,) = order.procedures

    assert (profile.kind("ADT^A99"), profile.default_charset, profile.aliases) == (
        "ignore",
        "8859/1",
        {"LATIN": "8859/1"},
    )
    assert change.action == "arrive"
    assert paths.tag("PatientState") not in order.patient
    assert order.patient[paths.tag("CurrentPatientLocation")]["Value"] == ["WARD1"]
    assert change.procedure[paths.tag("RequestedProcedurePriority")]["Value"] == ["LOW"]
    issuer = change.procedure[paths.tag("IssuerOfAccessionNumberSequence")]["Value"]
    assert issuer == [{"00400031": {"vr": "UT", "Value": ["OUR_RIS"]}}]
    (step,) = change.steps
    assert step[paths.tag("Modality")]["Value"] == ["US"]
    assert step["00091001"] == {"vr": "LO", "Value": ["priv"]}
    assert paths.tag("RequestedContrastAgent") not in step


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("patient: {PatientNam: PID-5}", 11, "unknown attribute 'PatientNam': did you mean 'PatientName'?"),
        ("patient: {PatientState: PID5}", 25, "'PID5' is not an HL7 path"),
        ("patient: {PatientState: [PID-5, PID-0]}", 33, "'PID-0' is not an HL7 path"),
        ("patient: {PatientState: PID-3.1.2.3}", 25, "behind the field stands"),
        ("patient: {PatientState: .1}", 25, "only inside 'items'"),
        ("patient: {PatientName: {from: PID-5, as: xnp}}", 42, "unknown function 'xnp': did you mean 'xpn'?"),
        (
            "patient: {PatientName: null, ResponsiblePerson: NK1-2}",
            30,
            "ResponsiblePerson needs as: xpn or xcn",
        ),
        (
            "patient: {PatientState: {from: PID-5, as: xpn}}",
            43,
            "xpn cannot fill PatientState, whose VR is LO",
        ),
        (
            "patient: {PatientSex: {from: PID-8, table: sexes}}",
            44,
            "there is no table 'sexes': did you mean 'sex'?",
        ),
        ("patient: {PatientSex: {frm: PID-8}}", 24, "unknown key 'frm': did you mean 'from'?"),
        (
            "patient: {PatientSex: {from: PID-8, miss: skip}}",
            43,
            "miss: input should be 'keep', 'drop', 'empty' or 'error'",
        ),
        ("patient: {PatientState: {template: '{PV1-3'}}", 36, "a brace without its partner"),
        ("patient: {PatientComments: {max: 3}}", 28, "has nothing to read"),
        ("patient: {PatientAge: {default: 12345}}", 33, "default: '12345' is no value of VR AS"),
        ("patient: {OtherPatientIDsSequence: PID-3}", 11, "OtherPatientIDsSequence needs as: code"),
        (
            "patient: {PatientState.CodeValue: PID-3}",
            11,
            "PatientState in 'PatientState.CodeValue' is no sequence",
        ),
        ("patient: {'(0009,1001)': PID-3}", 11, "give its vr"),
        ("patient: {PatientState: {else: PV1-2}}", 32, "else is for orders"),
        ("step: {SPS.Modality: OBR-24}", 8, "write it without SPS"),
        ("step: {ScheduledProcedureStepID: {else: [Modality]}}", 42, "Modality is not read before this line"),
        ("step: {ScheduledProcedureStepID: {unit: OBX-6}}", 34, "unit and units belong together"),
        ("step: {ScheduledProtocolCodeSequence: {table: sex}}", 40, "table has no effect with as: code"),
        ("order: {control: {actions: {N W: create}}}", 29, "'N W' is not CODE or CODE_STATUS"),
        ("order: {control: {actions: {NW: creat}}}", 33, "input should be 'create'"),
        ("order: {pick: {PID-3.1: [1]}}", 16, "a field alone stands here"),
        ("order: {pick: {PID-3: [first]}}", 24, "between the brackets stands"),
        ("order: {groups: [orc]}", 18, "'orc' is no segment"),
        ("order: {compare: [[ORC-2]]}", 19, "two HL7 paths stand here"),
        ("order: {same_step: {by: [StepID]}}", 26, "unknown attribute 'StepID'"),
        ("accept: {messages: {ORM-O01: order}}", 21, "'ORM-O01' is no message type"),
        ("status: {ORM^O01: {segments: {PID: {three: x}}}}", 37, "'three' is no field number"),
        (
            "status: {ORM^O01: {segments: {PID: {9: {from: event, as: xnp}}}}}",
            58,
            "unknown function 'xnp': did you mean 'xpn'?",
        ),
        (
            "status: {ORM^O01: {segments: {PID: {9: {from: event}}}}}",
            40,
            "a field has a text, or from with as",
        ),
        ("patient: {PatientState: $var.word}", 25, "the variable 'word' is not declared"),
    ],
)
def test_a_wrong_line_is_reported_at_its_place(
    line: str, column: int, message: str, site_profile: Callable[[str], SystemProfile]
) -> None:
    """Every mistake has file, line and column, and the nearest right word where there is one."""
    with pytest.raises(BadDocument) as bad:
        site_profile(line)
    problems = [problem for problem in bad.value.problems if message in problem.message]
    assert [(Path(each.file).name, each.line, each.column) for each in problems] == [("site.yaml", 2, column)]
    assert len(bad.value.problems) == 1


def test_all_mistakes_are_found_at_once(site_profile: Callable[[str], SystemProfile]) -> None:
    """An engineer mends them in one go."""
    with pytest.raises(BadDocument) as bad:
        site_profile("patient: {PatientNam: PID-5, PatientSex: {table: nosuch}}\nstep: {Modality: OBR24}")

    assert [each.line for each in bad.value.problems] == [2, 2, 3]


@pytest.mark.parametrize(
    ("head", "own"),
    [
        ("profile: our site", ["a name of letters, digits"]),
        ("profile: ours\nextends: genreic", ["did you mean 'generic'"]),
        ("profile: ours\nnonsense: 1", ["unknown key 'nonsense'"]),
        ("profile: ours\norder: {control: {actions: {NW: nonsense}}}", ["NW: "]),
        ("profile: ours\nvars: {x: null}\nprocedure: {StudyDescription: $var.x}", []),
    ],
)
def test_a_mistake_hides_no_other(tmp_path: Path, head: str, own: list[str]) -> None:
    """A name that is none, an unknown base, a key that is none: what else is wrong is told beside it."""
    (tmp_path / "systems").mkdir()
    lines = (
        "patient: {PatientNam: PID-5x}\nstep: {Modality: {from: OBR-24, table: nosuch}}\nadt: {groups: [pid]}"
    )
    (tmp_path / "systems" / "ours.yaml").write_text(f"{head}\n{lines}\n")

    found = [str(each) for each in examine_systems([tmp_path, MAPPINGS]).problems]

    told = [*own, "'PatientNam'", "'PID-5x'", "'nosuch'", "'pid'"]
    assert [sum(each in line for line in found) for each in told] == [1] * len(told)
    assert len(found) == len(told)


def test_a_profile_may_wait_for_a_variable(tmp_path: Path) -> None:
    """A profile without a value for a variable loads, to be extended; bound as it is, it says what it lacks."""
    folder = tmp_path / "systems"
    folder.mkdir()
    (folder / "a.yaml").write_text(
        "profile: base\nvars: {z: null}\nstep: {ScheduledStationAETitle: $var.z}\n"
    )
    (folder / "b.yaml").write_text("profile: ours\nextends: base\nvars: {z: ZXX-1}\n")

    profiles = load_systems([tmp_path, MAPPINGS])

    assert {"base", "generic", "ours"} <= set(profiles.names)
    assert profiles.bind("ours").name == "ours"
    with pytest.raises(BadDocument, match="'z' has no value"):
        profiles.bind("base")


def test_a_name_nobody_wrote_is_a_key_error(shipped: SystemProfiles) -> None:
    """Whoever configured it can say where."""
    with pytest.raises(KeyError):
        shipped.bind("nosuch")


def test_the_digest_covers_lines_and_tables(tmp_path: Path, shipped: SystemProfiles) -> None:
    """It changes with what the profile says, and with a table it uses; not with comments."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "sex.csv").write_text("a,b\nM,M\n")
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "site.yaml").write_text("profile: site  # nothing differs\n")

    profiles = load_systems([tmp_path, MAPPINGS])

    digests = {profiles.bind("generic").digest, profiles.bind("site").digest, shipped.bind("generic").digest}
    assert len(digests) == 3
    assert profiles.digest != shipped.digest
    assert load_systems([MAPPINGS]).digest == shipped.digest


def test_an_expression_that_may_take_for_ever_is_refused(
    site_profile: Callable[[str], SystemProfile],
) -> None:
    """The text of a message is held against it."""
    with pytest.raises(BadDocument, match=r"'\(a\+\)\+' may take for ever"):
        site_profile("step: {Modality: {from: OBR-24, when: {OBR-4.1: {regex: '(a+)+'}}}}")
