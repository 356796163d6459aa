"""Names become profiles: all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mwl.broker import bind, check, load
from mwl.errors import BadDocument


def test_every_name_gets_its_profile(file):
    """Devices and systems, with the site's facts."""
    profiles = bind(file.load())

    assert {title: each.name for title, each in profiles.devices.items()} == {"CT1": "generic"}
    assert {name: each.name for name, each in profiles.systems.items()} == {"RIS": "generic"}
    assert (profiles.site.name, profiles.zone.key) == ("HOSP", "Europe/Berlin")


def test_the_problems_of_both_sides_come_at_once(file):
    """Profiles that do not exist, on either side, and a message the profile cannot word."""
    file.change("CT1: {profile: generic}", "CT1: {profile: generik}")
    file.change(
        "application: RIS, profile: generic",
        'application: RIS, profile: generic, status: {to: "127.0.0.1:1", message: ZZZ^Z99}',
    )

    with pytest.raises(BadDocument) as caught:
        bind(file.load())

    first, second = str(caught.value).splitlines()
    assert "there is no profile 'generik' for devices: did you mean 'generic'?" in first
    assert "has no status message 'ZZZ^Z99'" in second
    assert "mwl.yaml:10:" in second


def test_a_variable_the_profile_does_not_have_is_a_problem(file):
    """`vars:` of a device are checked against its profile."""
    file.change("CT1: {profile: generic}", "CT1: {profile: generic, vars: {nonsense: 1}}")

    with pytest.raises(BadDocument, match="nonsense"):
        bind(file.load())


def test_a_profile_of_the_site_shadows_the_shipped_one(file):
    """The configured folder is searched first."""
    folder = file.folder / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "generic.yaml").write_text("profile: generic\nnonsense: 1\n")

    with pytest.raises(BadDocument, match=r"generic.yaml:2:1"):
        bind(file.load())


def profile(file, name: str, text: str) -> Path:
    """Write a device profile of the site and return its path."""
    path = file.folder / "mappings" / "devices" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"profile: {name}\nstatus: hypothesis\n{text}")
    return path


def mistakes(file, work=bind) -> list[str]:
    """Return what is wrong, as lines without the folder."""
    with pytest.raises(BadDocument) as caught:
        work(file.load() if work is bind else file.path)
    return [line.replace(f"{file.folder}/", "") for line in str(caught.value).splitlines()]


def test_mistakes_in_the_configuration_and_in_profiles_come_at_once(file):
    """Who mends the one has seen the other: both sides, every file, variables included."""
    profile(file, "ct", "vars: {most: 20}\nlimit: {max: $var.most}\n")
    profile(file, "mr", "set: {PatientNmae: x}\n")
    profile(file, "broken", " y: z\n")
    profile(file, "child", "extends: broken\nignore_keys: [PatientNaem]\n")
    file.path.write_text(
        file.path.read_text()
        .replace("ae_title", "ae_titel")
        .replace("profile: generic}\nsystems", "profile: ct, vars: {mst: 1}}\nsystems")
    )

    assert mistakes(file, load) == [
        "mwl.yaml:4:9: error: unknown key 'ae_titel': did you mean 'ae_title'?",
        "mwl.yaml:8:34: error: vars: the profile 'ct' has no variable 'mst': did you mean 'most'?",
        "mappings/devices/broken.yaml:3:3: error: mapping values are not allowed in this context",
        "mappings/devices/child.yaml:4:15: error: unknown attribute 'PatientNaem': did you mean 'PatientName'? [L1]",
        "mappings/devices/mr.yaml:3:7: error: unknown attribute 'PatientNmae': did you mean 'PatientName'? [L1]",
    ]


def test_a_configuration_without_a_mistake_is_loaded_as_it_is(file):
    """Its profiles are bound by whoever runs it."""
    profile(file, "mr", "nonsense: 1\n")

    assert load(file.path, {}) == file.load()


def test_mistakes_of_variables_are_told_where_they_were_given(file):
    """Unknown, missing, and of the wrong kind: at the configuration's line, all three at once."""
    path = profile(
        file,
        "ct",
        "vars: {room: null, most: 20}\nlimit: {max: $var.most}\nset: {SPS.ScheduledProcedureStepLocation: $var.room}\n",
    )
    file.change("CT1: {profile: generic}", "CT1:\n    profile: ct\n    vars:\n      most: many\n      rom: 1")

    kind = "input should be a valid integer"
    line = f"{path.relative_to(file.folder)}:4"
    assert mistakes(file) == [
        "mwl.yaml:11:7: error: vars: the variable 'room' has no value: give it in 'vars'; the profile 'ct' needs it",
        f"mwl.yaml:11:13: error: vars: max: {kind} (this is $var.most of {line})",
        "mwl.yaml:12:12: error: vars: the profile 'ct' has no variable 'rom': did you mean 'room'?",
    ]


def test_a_system_whose_profile_waits_for_a_variable_is_told_where_it_names_it(file):
    """No system gives variables: such a profile is meant to be extended."""
    path = file.folder / "mappings" / "systems" / "ours.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "profile: ours\nvars: {scheme: null}\nprocedure: {RequestedProcedureComments: {template: $var.scheme}}\n"
    )
    file.change("application: RIS, profile: generic", "application: RIS, profile: ours")

    (line,) = mistakes(file)
    assert line.startswith("mwl.yaml:10:36: error: the variable 'scheme' has no value")


def test_what_is_doubtful_stops_nothing(file):
    """Warnings go with the set; beside an error they are told with it."""
    twin = "match: {impl_uid: '1.2.3'}\n"
    profile(file, "ct", twin)
    profile(file, "mr", twin)

    found = check(file.load())
    assert [(each.severity, each.code) for each in found.problems] == [("warning", "L8")]
    assert found.profiles.warnings == found.problems
    profile(file, "us", "nonsense: 1\n")
    assert {each.severity for each in check(file.load()).problems} == {"warning", "error"}


def test_a_set_tells_which_profiles_differ_from_another(file):
    """New, gone and changed, and those that rest on what changed; comments are no difference."""
    profile(file, "ct", "limit: {max: 5}\n")
    profile(file, "er", "extends: ct\n")
    profile(file, "mr", "")
    before = bind(file.load())

    path = profile(file, "ct", "limit: {max: 6} # more\n")
    profile(file, "us", "")
    path.with_name("mr.yaml").unlink()
    after = bind(file.load())

    assert after.changed(before) == ["devices/ct", "devices/er", "devices/mr", "devices/us"]
    assert after.digest != before.digest
    path.write_text(path.read_text().replace("more", "comment"))
    assert bind(file.load()).changed(after) == []


def test_f50_capitals_are_shown_where_no_two_patients_become_one(file):
    """A device that knows capitals alone needs systems that refuse what differs in nothing else."""
    profile(file, "capitals", "codec: {tag: PatientID, op: upper}\n")
    file.change("CT1: {profile: generic}", "CT1: {profile: capitals}")

    (mistake,) = mistakes(file)

    assert mistake.startswith("mwl.yaml:")
    assert "RIS may send two that differ in nothing else" in mistake
    strict = file.folder / "mappings" / "systems" / "strict.yaml"
    strict.parent.mkdir(parents=True)
    strict.write_text("profile: strict\norder: {policies: {other_spelling: refuse}}\n")
    file.change("application: RIS, profile: generic", "application: RIS, profile: strict")
    assert bind(file.load()).devices["CT1"].shows_capitals


def test_p1_devices_that_share_an_ae_title_have_profiles_of_their_own(file):
    """Each with variables of its own; the name alone will do."""
    profile(file, "ct", "vars: {room: null}\nmatch: {impl_uid: '1.2'}\nlimit: {max: $var.room}\n")
    profile(file, "us", "match: {query: {SPS.Modality: US}}\n")
    file.change("CT1: {profile: generic}", "CT1: {shared_by: [us, {profile: ct, vars: {room: 7}}]}")

    profiles = bind(file.load())

    assert [each.name for each in profiles.shared_by["CT1"]] == ["us", "ct"]
    assert profiles.shared_by["CT1"][1].limit.max == 7
    assert profiles.devices["CT1"].name == "generic"


def test_p1_what_is_wrong_with_them_is_told_at_their_lines(file):
    """Who is never recognised, whose identities come back in other words, and names of nothing."""
    profile(file, "any-ct", "limit: {max: 3}\n")
    profile(file, "padded", "match: {impl_uid: '1'}\ncodec: {tag: PatientID, op: pad, width: 8, char: '0'}\n")
    profile(file, "us", "vars: {room: null}\nmatch: {impl_uid: '2'}\nlimit: {max: $var.room}\n")
    entries = ["any-ct", "padded", "uss", "{profile: us, vars: {romo: 2}}"]
    lines = "".join(f"\n      - {each}" for each in entries)
    file.change("CT1: {profile: generic}", f"CT1:\n    profile: generik\n    shared_by:{lines}")
    told = mistakes(file)
    file.change("generik", "generic")

    both = [*told, *mistakes(file)]

    assert [line for line in both if "'generik'" in line] == told[:1]
    assert any("'any-ct' has no 'match'" in line for line in told)
    assert any("no profile 'uss' for devices: did you mean 'us'?" in line for line in told)
    assert any("the profile 'us' has no variable 'romo'" in line for line in told)
    assert any("'padded' changes identities" in line for line in mistakes(file))
