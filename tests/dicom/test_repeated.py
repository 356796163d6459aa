"""A question is understood once, and anew where the clock has a say in it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from mwl.dicom import answering, repeated
from mwl.dicom.answering import Question
from mwl.dicom.encoding import encode_dataset
from mwl.dicom.repeated import Pace, Repeated
from mwl.mapping.devices.device import DeviceProfile, DeviceProfiles, Facts, SiteFacts, load_devices
from mwl.mapping.text.charset import UTF8

IMPLICIT = "1.2.840.10008.1.2"
MORNING = dt.datetime(2026, 7, 5, 8, tzinfo=dt.UTC)
FACTS = Facts("CT1", "MWL", "127.0.0.1", now=MORNING)


def question(**more: bool) -> Question:
    keys = {
        "00100010": {"vr": "PN"},
        "00400100": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}}]},
    }
    return Question(encode_dataset(keys, IMPLICIT, UTF8), IMPLICIT, **more)


@pytest.fixture
def profiles(tmp_path) -> DeviceProfiles:
    from mwl.config import profile_folders

    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "night.yaml").write_text(
        "profile: night\nstatus: hypothesis\nwindow: {empty: today}\n", "utf-8"
    )
    return load_devices(profile_folders(tmp_path))


@pytest.fixture
def read(monkeypatch) -> list[Question]:
    """What was really read."""
    seen: list[Question] = []
    meaning = answering.meaning

    def noted(asked, *rest):
        seen.append(asked)
        return meaning(asked, *rest)

    monkeypatch.setattr(repeated.answering, "meaning", noted)
    return seen


def bound(profiles: DeviceProfiles, name: str) -> DeviceProfile:
    return profiles.bind(name, {}, SiteFacts())


def test_the_same_question_is_understood_once(profiles, read) -> None:
    """And what it means is what reading it anew would give, at the time it is asked."""
    generic, known, later = (
        bound(profiles, "generic"),
        Repeated(),
        replace(FACTS, now=MORNING + dt.timedelta(hours=3)),
    )
    known.read(question(), generic, FACTS, dt.UTC)

    again, _ = known.read(question(), generic, later, dt.UTC)

    assert again == answering.read(question(), generic, later, dt.UTC)
    assert again.query.nearest == "20260705110000"
    assert read == [question(), question()]  # the second by the comparison above


@pytest.mark.parametrize(
    "other",
    [
        {"facts": replace(FACTS, calling_ae="CT2")},
        {"facts": replace(FACTS, address="127.0.0.2")},
        {"question": question(fuzzy=True)},
        {"profile": "ge-ct-connectpro"},
    ],
    ids=["caller", "address", "semantics", "profile"],
)
def test_another_caller_question_or_profile_is_another_question(profiles, read, other) -> None:
    """Whatever a profile may look at tells questions apart."""
    known = Repeated()
    known.read(question(), bound(profiles, "generic"), FACTS, dt.UTC)

    profile = bound(profiles, other.get("profile", "generic"))
    known.read(other.get("question", question()), profile, other.get("facts", FACTS), dt.UTC)

    assert len(read) == 2


def test_a_profile_that_looks_at_the_clock_is_asked_each_time(profiles, read) -> None:
    """Today is another day tomorrow (P8)."""
    night, known = bound(profiles, "night"), Repeated()
    first, _ = known.read(question(), night, FACTS, dt.UTC)

    second, _ = known.read(question(), night, replace(FACTS, now=MORNING + dt.timedelta(days=1)), dt.UTC)

    assert len(read) == 2
    assert first.query.criteria != second.query.criteria


def test_what_is_remembered_is_bounded(profiles, read, monkeypatch) -> None:
    """A device may ask for something else each time: the oldest is forgotten."""
    monkeypatch.setattr(repeated, "_KEPT", 2)
    generic, known = bound(profiles, "generic"), Repeated()
    asked = [replace(FACTS, calling_ae=f"CT{n}") for n in (1, 2, 3, 1)]

    for facts in asked:
        known.read(question(), generic, facts, dt.UTC)

    assert len(read) == 4


def test_a_pace_follows_the_last_time() -> None:
    """A question that became slow goes to a thread again."""
    pace = Pace()
    assert not pace.quick
    pace.took(0.0002)
    assert pace.quick
    pace.took(0.02)
    assert not pace.quick
