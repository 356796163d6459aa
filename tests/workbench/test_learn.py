"""A draft loads, says on what each line rests, and changes no answer but as it says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from mwl.dicom import answering
from mwl.dicom.answering import Question
from mwl.dicom.encoding import encode_dataset
from mwl.mapping.devices.device import DeviceProfile, DeviceProfiles, load_devices
from mwl.mapping.facts import Facts, SiteFacts
from mwl.mapping.text.charset import DEFAULT
from mwl.model import Document, WorklistItem
from mwl.store.associations import AssociationRecord
from mwl.workbench import learn
from mwl.workbench.learn import Draft
from mwl.workbench.samples import Sample

SHIPPED = Path(__file__).parents[2] / "mappings"
SITE = SiteFacts()
DAY = dt.datetime(2026, 7, 5, 10, 0, tzinfo=dt.UTC)
FIND = "1.2.840.10008.5.1.4.31"
ILE, ELE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
STEP = "00400100"

MINIMAL: Document = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]},
    STEP: {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}, "00400009": {"vr": "SH"}}]},
}
BROKEN: Document = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
    "00080052": {"vr": "CS", "Value": ["STUDY"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "00091001": {"vr": "LO", "Value": ["x"]},
    "00100020": {"vr": "LO"},
    "001021C0": {"vr": "US", "Value": [0]},
    STEP: {
        "vr": "SQ",
        "Value": [
            {"00400002": {"vr": "DA", "Value": ["20260705"]}, "00400003": {"vr": "TM", "Value": ["8-12"]}},
            {"00400001": {"vr": "AE", "Value": ["CT9"]}},
        ],
    },
}
EMPTY: Document = {"00100020": {"vr": "LO"}, STEP: {"vr": "SQ"}}
ANY_DATE: Document = {STEP: {"vr": "SQ", "Value": [{"00400002": {"vr": "DA", "Value": ["*"]}}]}}


def sample(keys: Document = MINIMAL, **facts: Any) -> Sample:
    """Return a captured query of CT9, which proposes both usual syntaxes."""
    record = AssociationRecord.of([(FIND, [ELE, ILE])], max_pdu=16384)
    known = {"implementation_uid": "1.2.3.4", "implementation_version": "SCANNER_1", "association": record}
    return Sample(keys, "CT9", **{**known, "first": DAY, "last": DAY, "status": "0000", **facts})


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """A site's folder, and the shipped one."""
    (tmp_path / "devices").mkdir()
    return [tmp_path, SHIPPED]


@pytest.fixture
def site(folders: list[Path]) -> Any:
    """Write profiles into the site's folder, and load all."""

    def write(**profiles: str) -> DeviceProfiles:
        for name, lines in profiles.items():
            path = folders[0] / "devices" / f"{name}.yaml"
            path.write_text(f"profile: {name}\nstatus: partial\n{lines}\n")
        return load_devices(folders)

    return write


@pytest.fixture
def drafted(folders: list[Path], site: Any) -> Any:
    """Draft a profile for CT9 and load it; the draft and the profile."""

    def draft(*samples: Sample, in_use: str = "", **profiles: str) -> tuple[Draft, DeviceProfile]:
        made = learn.draft("CT9", samples or (sample(),), site(**profiles), SITE, in_use)
        return made, learn.load(made.text, made.name, folders, SITE)

    return draft


def told(profile: DeviceProfile, keys: Document, item: WorklistItem) -> tuple[Any, ...]:
    """Return all that a device hears of an item, and what is matched."""
    question = Question(encode_dataset(keys, ELE, DEFAULT), ELE)
    asked = answering.read(question, profile, Facts("CT9", "MWL", now=DAY), dt.UTC)
    query = asked.query
    criteria = tuple(dataclasses.replace(each, origin="") for each in query.criteria)
    return criteria, query.limit, asked.pending, answering.compose(asked, item).data


@pytest.mark.parametrize("keys", [MINIMAL, BROKEN, EMPTY, ANY_DATE])
@pytest.mark.parametrize("base", ["generic", "ge-ct-connectpro"])
def test_a_draft_changes_no_answer(
    drafted: Any, folders: Any, f0_items: Any, keys: Document, base: str
) -> None:
    """It gives what the profile gives that it extends, whatever tolerances the query needs."""
    draft, profile = drafted(sample(keys), in_use=base)
    before = load_devices(folders).bind(base, {}, SITE)

    assert draft.extends == base
    assert told(profile, keys, f0_items["S2"]) == told(before, keys, f0_items["S2"])


@pytest.mark.parametrize("keys", [MINIMAL, BROKEN, EMPTY, ANY_DATE])
def test_every_line_says_on_what_it_rests(drafted: Any, keys: Document) -> None:
    """Each that works, and each note; only headings of what follows do not."""
    draft, _ = drafted(sample(keys), sample())

    bare = [line for line in draft.text.splitlines() if line and "#" not in line]
    assert set(bare) <= {"profile: ct9", "accept:", "  bad_values:", "notes:"}
    assert len(bare) >= 2


def test_tolerances_say_whether_they_are_new(drafted: Any) -> None:
    """What the profile below does already changes nothing; what it does not is said to."""
    strict = "accept: {root_sps_keys: as_sent, bad_values: {TM: null}}"
    draft, profile = drafted(sample(BROKEN), sample(), in_use="strict", strict=strict)

    assert (
        "root_sps_keys: lift # keys of the step at the root: seen in 1 of 2 queries; new: strict does not"
        in draft.text
    )
    assert (
        "TM: hours_ok # a time of *, or of one digit: seen in 1 of 2 queries; new: strict does not"
        in draft.text
    )
    assert "private: ignore # private keys: seen in 1 of 2 queries; as strict does" in draft.text
    assert profile.accept(BROKEN)[STEP]["Value"][0]["00080060"]["Value"] == ["CT"]


def test_a_query_that_was_refused_suggests_and_does_not_decide(drafted: Any) -> None:
    """Leniency would change what it gets: it stands in a comment."""
    draft, profile = drafted(sample(status="A900"), sample())

    assert re.search(
        r"^# accept:\n  # lenient: true # changes answers: .* 1 of 2 queries", draft.text, re.MULTILINE
    )
    assert not profile.lenient


def test_the_profile_that_names_the_device_is_extended(drafted: Any) -> None:
    """By the implementation class UID of most of its queries, before the one in use."""
    draft, _ = drafted(
        sample(),
        sample(),
        sample(implementation_uid="9.9"),
        in_use="other",
        theirs='match: {impl_uid: "1.2.3.*"}',
        other="",
    )

    assert draft.extends == "theirs"
    assert "extends: [theirs] # its `match` names such a device: seen in 2 of 3 queries" in draft.text
    assert 'match: {calling_ae: CT9, impl_uid: "1.2.3.4"} # the UID: seen in 2 of 3 queries' in draft.text


def test_a_profile_that_needs_variables_is_not_extended(drafted: Any) -> None:
    """A draft must load as it is."""
    draft, _ = drafted(
        theirs='match: {impl_uid: "1.2.3.4"}\nvars: {room: null}\nset: {InstitutionName: $var.room}'
    )

    assert draft.extends == "generic"


def test_the_nearest_implementation_is_only_named(drafted: Any) -> None:
    """12.3 f: it is a hint, and the wrong vendor's profile does harm."""
    near, _ = drafted(sample(implementation_uid="1.2.840.113619.6.51"))
    far, _ = drafted(sample(implementation_uid="1.2.840.9.9.9"))

    assert near.extends == far.extends == "generic"
    known = "ge-ct-connectpro (1.2.840.113619.6.50), ge-us-logiq (1.2.840.113619.6.115)"
    assert f"# nearest by implementation class UID: {known}; " in near.text
    assert "nearest" not in far.text


def test_transfer_syntaxes_work_only_where_nothing_is_decided_otherwise(drafted: Any) -> None:
    """In the device's own order; the profile below, or another order, makes them a comment."""
    other = AssociationRecord.of([(FIND, [ILE])])

    assert drafted(sample())[1].transfer_syntaxes == (ELE, ILE)
    assert drafted(sample(), in_use="ge-ct-connectpro")[1].transfer_syntaxes == (ILE,)
    mixed, profile = drafted(sample(), sample(association=other))
    assert profile.transfer_syntaxes == ()
    assert (
        "# wire: {ts: [ELE, ILE]} # proposed so: seen in 1 of 2 queries; in another order otherwise"
        in mixed.text
    )
    assert "wire" not in drafted(Sample(MINIMAL, "CT9"))[0].text


def test_habits_are_notes(drafted: Any) -> None:
    """No answer depends on them, and what a patient is called is none."""
    draft, profile = drafted(sample(count=21, last=DAY + dt.timedelta(minutes=10)), sample(BROKEN))

    notes = profile.written.data["notes"]
    assert "matches SPS.Modality: CT" in notes
    assert "matches PatientName: a whole value" in notes
    assert "matches SPS.ScheduledProcedureStepStartDate: one day, the day it asks" in notes
    assert "asks for, without a value: PatientID, SPS.ScheduledProcedureStepID" in notes
    assert "declares the character set ISO_IR 100" in notes
    assert "asks the same every 30 s or so" in notes
    assert "calls itself SCANNER_1" in notes
    assert "# one query came 21 times in 10 min" in draft.text
    assert "DOE" not in draft.text


def test_what_might_help_stands_in_comments_that_load(drafted: Any, folders: Any) -> None:
    """An engineer takes the mark away, and nothing else."""
    asks = {STEP: {"vr": "SQ", "Value": [{"00400001": {"vr": "AE", "Value": ["CT9"]}}]}}
    draft, _ = drafted(sample(asks), sample())

    assert "# ignore_keys: [SPS.ScheduledStationAETitle]" in draft.text
    taken = re.sub(r"^# (ignore_keys|default_key)", r"\1", draft.text, flags=re.MULTILINE)
    assert taken.count("\nignore_keys") == taken.count("\ndefault_key") == 1
    assert learn.load(taken, draft.name, folders, SITE).name == "ct9"


def test_f43_a_label_that_cannot_be_right_is_suggested_not_to_be_believed(drafted: Any) -> None:
    """Whether it is never right is for a person to judge: such bytes in other words are read so, too."""
    keys: Document = {**MINIMAL, "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}

    draft, profile = drafted(sample(keys, looks="sjis_or_jis"), sample(keys))

    line = next(line for line in draft.text.splitlines() if "charset_label" in line)
    assert line.startswith(
        '# accept: {charset_label: {when_bytes_look: sjis_or_jis, as_label: "ISO_IR 100"}} # '
    )
    assert line.endswith("seen in 1 of 2 queries")
    assert profile.relabelling is None


def test_a_draft_has_a_name_of_its_own() -> None:
    """Made of the AE title, and of none that another profile has."""
    assert learn.free_name("CT9", []) == "ct9"
    assert learn.free_name("CT9", ["ct9", "ct9-2"]) == "ct9-3"
    assert learn.free_name(" CT/9 #", []) == "ct-9"
    assert learn.free_name("##", []) == "device"


@pytest.mark.parametrize("ae", ["CT 9", "A: B", "# 9", "*", "true", "'\"", "007"])
def test_any_ae_title_gives_a_draft_that_loads(folders: list[Path], ae: str) -> None:
    """It stands in YAML, in comments and in a pattern; `match` recognises it and no other."""
    profiles = load_devices(folders)
    hostile = sample(implementation_version="x\n: {", implementation_uid="1.2\nprofile: y")

    draft = learn.draft(ae, [dataclasses.replace(hostile, calling_ae=ae)], profiles, SITE)

    profile = learn.load(draft.text, draft.name, folders, SITE)
    assert profile.status == "hypothesis"
    match = profile.written.data.get("match", {})
    assert match.get("calling_ae", ae) == ae
    assert ("calling_ae" in match) is (ae != "*")
