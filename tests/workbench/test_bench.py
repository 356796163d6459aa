"""What the broker would use for a device, from the files of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench.house import NOW, House

from mwl.dicom.encoding import decode_dataset
from mwl.errors import BadDocument, Refused
from mwl.workbench.bench import EXPLICIT_LE

ANYONE = """\
site: {{timezone: Europe/Berlin}}
mappings: {folder}/mappings
dicom: {{ae_title: LIST}}
devices:
  CT1: {{profile: site, vars: {{room: "7"}}}}
  US1: {{profile: nowhere}}
  "*": {{profile: generic}}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hospital that takes anyone, and knows CT1."""
    made = House(tmp_path)
    made.configure(ANYONE.format(folder=tmp_path))
    made.profile("vars: {room: null}\nset: {SPS.ScheduledProcedureStepLocation: $var.room}\n")
    yield made
    made.store.close_now()


def test_a_device_has_its_own_entry_before_that_of_anyone(house):
    """By its calling AE title."""
    bench = house.bench

    assert [(label, profile.name) for label, profile in map(bench.profile, ("CT1", "MR9"))] == [
        ("CT1", "site"),
        ("*", "generic"),
    ]


def test_who_has_no_entry_is_refused(house):
    """As its associations are."""
    text = (house.folder / "mwl.yaml").read_text().replace('  "*": {profile: generic}\n', "")
    house.configure(text)

    with pytest.raises(Refused, match="MR9 is not under devices"):
        house.bench.profile("MR9")


def test_who_is_held_in_quarantine_is_told_apart(house):
    """It is let in, and its queries are kept and refused."""
    text = (house.folder / "mwl.yaml").read_text().replace('  "*": {profile: generic}\n', "")
    house.configure(text + "capture: {unknown: hold}\n")

    with pytest.raises(Refused, match="held in quarantine"):
        house.bench.profile("MR9")


def test_a_wrong_entry_is_a_mistake_at_its_line(house):
    """And no other device is kept from being looked at."""
    bench = house.bench

    with pytest.raises(BadDocument) as caught:
        bench.profile("US1")

    assert [problem.line for problem in caught.value.problems] == [6]
    assert bench.profile("CT1")[1].name == "site"


def test_a_draft_stands_in_for_its_namesake_and_sees_the_others(house, tmp_path):
    """A file beside the folder, with the device's variables; of several profiles the last is meant."""
    draft = tmp_path / "draft.yaml"
    draft.write_text(
        "profile: base\nstatus: hypothesis\nvars: {room: null}\n---\n"
        "profile: site\nstatus: hypothesis\nextends: base\nset: {AdmissionID: $var.room}\n"
    )

    found = house.bench.draft(str(draft), "CT1")

    assert found.name == "site"
    assert found.written.chain == ("generic", "base", "site")
    assert found.written.data["set"] == {"AdmissionID": "7"}
    assert house.bench.draft("generic", "MR9").name == "generic"


def test_a_draft_that_is_nowhere_is_refused(house, tmp_path):
    """Neither a profile nor a file, or a file without a profile."""
    empty = tmp_path / "empty.yaml"
    empty.write_text("# nothing\n")

    with pytest.raises(Refused, match="no profile and no file 'generi': did you mean 'generic'"):
        house.bench.draft("generi", "CT1")
    with pytest.raises(Refused, match="holds no profile"):
        house.bench.draft(str(empty), "CT1")


def test_facts_are_those_of_a_captured_caller_or_of_the_title_alone(house):
    """At the site's time."""
    bench = house.bench

    alone, seen = bench.facts("CT1"), bench.facts("CT1", house.captured(implementation_uid="1.2.3"))

    assert (alone.called_ae, alone.address) == ("LIST", "")
    assert (seen.called_ae, seen.address, seen.implementation_uid) == ("MWL", "10.0.0.7", "1.2.3")
    assert alone.now == NOW
    assert alone.now.hour == 9


def test_a_question_is_a_document_written_or_bytes_as_they_are(house):
    """In the character set that it states."""
    name = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ö"}]}}  # fmt: skip

    written = house.bench.question(name)
    kept = house.bench.question(b"\0", transfer_syntax="1.2.840.10008.1.2", fuzzy=True)

    assert decode_dataset(written.identifier, EXPLICIT_LE) == name
    assert (kept.identifier, kept.transfer_syntax, kept.fuzzy) == (b"\0", "1.2.840.10008.1.2", True)


def test_p1_a_query_is_served_by_the_profile_that_it_fits(house):
    """Where several devices share an AE title; the line of the configuration says which."""
    folder = house.folder / "mappings" / "devices"
    (folder / "us.yaml").write_text(
        "profile: us\nstatus: partial\nvars: {most: null}\nlimit: {max: $var.most}\n"
        "match: {query: {SPS.Modality: US}}\n"
    )
    text = (house.folder / "mwl.yaml").read_text()
    shared = "CT1: {profile: generic, shared_by: [{profile: us, vars: {most: 3}}]}"
    house.configure(text.replace('CT1: {profile: site, vars: {room: "7"}}', shared))
    bench = house.bench

    def served(modality):
        keys = {"00400100": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": [modality]}}]}}
        found = bench.serving("CT1", bench.facts("CT1"), bench.question(keys))
        return found.label, found.profile.name, found.profile.limit.max, found.place[2:]

    assert served("US") == ("CT1", "us", 3, ("shared_by", 0))
    assert served("CT") == ("CT1", "generic", 200, ("profile",))
