"""`mwl mapping check`: every mistake at its line, of the whole set or of what was named."""

from __future__ import annotations

import pytest

HEADER = "profile: {name}\nstatus: hypothesis\n"


@pytest.fixture
def write(tmp_path):
    """Write a device profile of the site, or a file elsewhere; return its path as one names it."""

    def put(name: str, lines: str = "", folder: str = "mappings/devices"):
        path = tmp_path / folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER.format(name=name) + lines)
        return path.relative_to(tmp_path)

    return put


EXAMPLE = """\
tests:
  - name: the name is returned
    query: {{PatientName: ""}}
    steps: [{{PatientName: DOE^JANE}}]
    expect: {{items: [{{PatientName: {name}}}]}}
"""


def test_a_sound_set_has_no_findings(mwl, write):
    """The shipped profiles are checked with it, their examples are run."""
    write("our-ct", EXAMPLE.format(name="DOE^JANE"))

    outcome = mwl("mapping", "check")

    assert (outcome.code, outcome.out, outcome.err) == (0, "", "errors: 0, warnings: 0\n")


def test_every_mistake_is_told_at_its_line(mwl, write, tmp_path):
    """Profiles of both sides and the configuration's own lines about them, in one go."""
    write("our-ct", "vars: {room: 1}\nset: {PatientNmae: x}\n")
    write("our-mr", "limit: {mx: 3}\n")
    systems = tmp_path / "mappings" / "systems"
    systems.mkdir()
    (systems / "ours.yaml").write_text("profile: ours\nstep: {Modlity: {from: OBR-24}}\n")
    (tmp_path / "mwl.yaml").write_text(
        "devices:\n  CT1: {profile: our-ct, vars: {rom: 2}}\n  CT2: {profile: our-tc}\n"
    )

    outcome = mwl("mapping", "check")

    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        "mappings/devices/our-ct.yaml:4:7: error: unknown attribute 'PatientNmae': did you mean 'PatientName'? [L1]",
        "mappings/devices/our-mr.yaml:3:9: error: unknown key 'mx': did you mean 'max'?",
        "mappings/systems/ours.yaml:2:8: error: unknown attribute 'Modlity': did you mean 'Modality'?",
        "mwl.yaml:2:38: error: vars: the profile 'our-ct' has no variable 'rom': did you mean 'room'?",
        "mwl.yaml:3:18: error: there is no profile 'our-tc' for devices: did you mean 'our-ct'?",
    ]


def test_a_wrong_configuration_ends_with_78(mwl, write, tmp_path):
    """The profiles are checked all the same."""
    write("our-ct", "nonsense: 1\n")
    (tmp_path / "mwl.yaml").write_text("dicom: {ae_titel: X}\n")

    outcome = mwl("mapping", "check")

    assert outcome.code == 78
    assert [line.partition(":")[0] for line in outcome.out.splitlines()] == [
        "mwl.yaml",
        "mappings/devices/our-ct.yaml",
    ]


def test_warnings_count_only_where_they_are_told_to(mwl, write):
    """Two profiles for the same devices are doubtful, and no mistake."""
    for name in ("our-ct", "our-mr"):
        write(name, "match: {impl_uid: '1.2.3'}\n")

    outcome = mwl("mapping", "check")

    assert outcome.code == 0
    assert ": warning: " in outcome.out
    assert outcome.out.rstrip().endswith("[L8]")
    assert mwl("mapping", "check", "--strict").code == 1


@pytest.mark.parametrize("named", ["our-ct", "devices/our-ct", "mappings/devices/our-ct.yaml"])
def test_what_was_named_is_told_of_and_nothing_else(mwl, write, named):
    """A name, or the file it stands in; with what it extends."""
    write("base", "limit: {mx: 3}\n")
    write("our-ct", "extends: base\nset: {PatientNmae: x}\n")
    write("our-mr", "nonsense: 1\n")

    outcome = mwl("mapping", "check", named)

    assert outcome.code == 1
    assert [line.partition(":")[0] for line in outcome.out.splitlines()] == [
        "mappings/devices/base.yaml",
        "mappings/devices/our-ct.yaml",
    ]
    assert mwl("mapping", "check", "generic").code == 0


def test_a_file_that_is_no_yaml_is_named_by_its_own_name(mwl, write):
    """It has no other."""
    write("our-ct", "  x: y\n")

    outcome = mwl("mapping", "check", "our-ct")

    assert (outcome.code, outcome.out.count("\n")) == (1, 1)
    assert outcome.out.startswith("mappings/devices/our-ct.yaml:3:")
    assert mwl("mapping", "check", "./mappings/devices/our-ct.yaml").out == outcome.out
    write("our-mr")
    assert mwl("mapping", "check", "./mappings/devices/our-mr.yaml").code == 0


def test_a_draft_is_checked_as_if_it_stood_in_the_folder(mwl, write, tmp_path):
    """It may extend the others, stands in for its namesake, and is bound with its devices' variables."""
    write("our-ct", "vars: {room: 1}\n")
    (tmp_path / "mwl.yaml").write_text("devices:\n  CT1: {profile: our-ct, vars: {room: 2}}\n")
    draft = write("our-ct", "extends: [ge-ct-connectpro]\n", "drafts")

    outcome = mwl("mapping", "check", draft)

    assert outcome.code == 1
    assert outcome.out == "mwl.yaml:2:39: error: vars: the profile 'our-ct' has no variable 'room'\n"
    assert mwl("mapping", "check").code == 0


def test_a_draft_of_a_system_is_known_by_what_it_says(mwl, tmp_path):
    """Its keys are those of the other side."""
    (tmp_path / "draft.yaml").write_text("profile: ours\nstep: {Modlity: {from: OBR-24}}\n")

    outcome = mwl("mapping", "check", "draft.yaml")

    assert outcome.out == "draft.yaml:2:8: error: unknown attribute 'Modlity': did you mean 'Modality'?\n"


def test_an_example_that_fails_is_a_mistake(mwl, write):
    """At the line of what it expects; only those of what was named are run."""
    write("our-ct", EXAMPLE.format(name="DOE^JOHN"))
    write("our-mr")

    outcome = mwl("mapping", "check")

    assert outcome.code == 1
    assert outcome.out.startswith("mappings/devices/our-ct.yaml:7:")
    assert mwl("mapping", "check", "our-mr").code == 0


def test_a_profile_that_is_not_there_is_wrong_usage(mwl, write):
    """With a suggestion."""
    write("our-ct")

    outcome = mwl("mapping", "check", "our-tc")

    assert outcome.code == 2
    assert "did you mean 'our-ct'?" in outcome.err


def test_programs_get_every_part_of_a_finding(mwl, write):
    """As JSON."""
    write("our-ct", "set: {PatientNmae: x}\n")

    (finding,) = mwl("mapping", "check", "--json").json

    assert finding == {
        "file": "mappings/devices/our-ct.yaml",
        "line": 3,
        "column": 7,
        "severity": "error",
        "code": "L1",
        "message": "unknown attribute 'PatientNmae': did you mean 'PatientName'?",
    }


@pytest.mark.parametrize("folder", ["drafts", "mappings/devices"])
@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_a_file_without_a_profile_is_told_where_it_is_named(mwl, write, folder, text):
    """In the folder it may stand: nobody asked about it."""
    path = write("empty", folder=folder)
    path.write_text(text)

    named, whole = mwl("mapping", "check", path), mwl("mapping", "check")

    assert (named.code, named.out) == (1, f"{path}:1:1: error: no profile in it\n")
    assert whole.code == 0


@pytest.mark.parametrize("head", ["profile: [x]", "profile: x\nextends: {a: b}", "extends: generic"])
def test_a_wrong_name_hides_no_other_mistake(mwl, write, head):
    """All are told at once, those of systems, too."""
    device = write("our-ct")
    device.write_text(f"{head}\nstatus: hypothesis\nvars: {{room: 1}}\nlimit: {{mx: 3}}\n")
    system = device.parents[1] / "systems" / "ours.yaml"
    system.parent.mkdir()
    system.write_text(f"{head}\nstp: {{Modality: {{from: OBR-24}}}}\n")

    lines = mwl("mapping", "check").out.splitlines()

    assert len(lines) == 4
    assert sum(line.startswith(f"{device}:") for line in lines) == 2
    assert any("unknown key 'mx': did you mean 'max'?" in line for line in lines)
    assert any("unknown key 'stp': did you mean 'step'?" in line for line in lines)


def test_a_wrong_name_hides_no_unknown_parent(mwl, write):
    """Nor variables that are none."""
    path = write("our-ct")
    path.write_text("profile: [x]\nextends: generc\nstatus: hypothesis\nvars: [room]\n")

    found = [line.split(":")[1] for line in mwl("mapping", "check", path).out.splitlines()]

    assert found == ["1", "2", "4"]
