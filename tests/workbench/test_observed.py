"""What a device's queries show of its habits, and that they show nothing of a patient."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mwl.mapping import paths
from mwl.model import Document, name_value
from mwl.store.associations import AssociationRecord
from mwl.workbench import observed
from mwl.workbench.samples import Sample

DAY = dt.datetime(2026, 7, 5, 10, 0, tzinfo=dt.UTC)
FIND, ECHO = "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.1"
ILE, ELE, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"


def keys(**written: str) -> Document:
    """Return an identifier; a name that begins with SPS_ stands in the step's item."""
    document: Document = {}
    for name, value in written.items():
        path = paths.parse_path(name.replace("SPS_", "SPS."))
        vr = paths.vr(path[-1])
        values: list[Any] = [name_value(value)] if vr == "PN" else value.split("\\")
        document = paths.put(document, path, {"vr": vr, "Value": values} if value else {"vr": vr})
    return document


def sample(*, first: dt.datetime | None = DAY, **written: str) -> Sample:
    return Sample(keys(**written), "CT1", first=first, last=first)


def form(path: str, value: str, first: dt.datetime | None = DAY) -> str:
    (use,) = observed.keys([sample(first=first, **{path: value})])
    return use.form


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260705", "one day, the day it asks"),
        ("20260704", "one day, 1 day before the day it asks"),
        ("20260707", "one day, 2 days after the day it asks"),
        ("20260705-20260705", "a range of days, from the day it asks to the day it asks"),
        (
            "20260704-20260708",
            "a range of days, from 1 day before the day it asks to 3 days after the day it asks",
        ),
        ("20260705-", "a range of days with an open end, from the day it asks"),
        ("-20260705", "a range of days with an open beginning, to the day it asks"),
        ("2026.07.05", "one day, the day it asks"),
        ("*", "* alone"),
        ("today", "one day"),
        ("-", "a range without ends"),
    ],
)
def test_the_window_of_dates_is_told_from_the_day_it_was_asked_for(value: str, expected: str) -> None:
    """What a `window` would be made of."""
    assert form("SPS_ScheduledProcedureStepStartDate", value) == expected


def test_a_date_in_a_file_has_no_day_it_was_asked_on() -> None:
    """Then only its form is known."""
    assert form("SPS_ScheduledProcedureStepStartDate", "20260704-20260708", None) == "a range of days"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("SPS_ScheduledStationAETitle", "CT1", "its own AE title"),
        ("SPS_ScheduledStationAETitle", "CT_ROOM2", "CT_ROOM2"),
        ("SPS_Modality", "CT\\PT", "CT\\PT"),
        ("SPS_ScheduledProcedureStepStartTime", "080000-120000", "a range of times"),
        ("SPS_ScheduledProcedureStepStartTime", "0800", "one time"),
        ("PatientName", "DOE*", "a value before a *"),
        ("PatientName", "*DOE", "a value behind a *"),
        ("PatientName", "*DOE*", "a value between two *"),
        ("PatientName", "D?E", "a value with wildcards inside"),
        ("PatientName", "*", "* alone"),
        ("PatientID", "PID1", "a whole value"),
        ("StudyInstanceUID", "1.2.3\\1.2.4", "several values"),
        ("PatientBirthDate", "19700101", "one day"),
        ("AccessionNumber", "", ""),
    ],
)
def test_a_value_is_told_by_its_form(path: str, value: str, expected: str) -> None:
    """Those of keys about the device are named; a patient's never are, a day of birth by no distance either."""
    assert form(path, value) == expected


def test_keys_are_counted_by_path_and_form() -> None:
    """Those with a value first; a step's key counts as such wherever it stands."""
    found = observed.keys(
        [
            sample(Modality="CT", PatientID="", RequestedProcedureCodeSequence=""),
            sample(SPS_Modality="CT", PatientID=""),
            sample(SPS_Modality="", SPS_ScheduledProtocolCodeSequence=""),
        ]
    )

    assert [(use.path, use.form, use.seen) for use in found] == [
        ("SPS.Modality", "CT", 2),
        ("PatientID", "", 2),
        ("RequestedProcedureCodeSequence", "", 1),
        ("SPS.Modality", "", 1),
        ("SPS.ScheduledProtocolCodeSequence", "", 1),
    ]


def test_character_sets_are_counted() -> None:
    """None is one, too."""
    labelled = keys(PatientID="") | {"00080005": {"vr": "CS", "Value": ["", "ISO 2022 IR 87"]}}
    plain = Sample(keys(PatientID=""))

    assert observed.charsets([plain, plain, Sample(labelled)]) == [("", 2), ("ISO 2022 IR 87", 1)]


def test_transfer_syntaxes_are_those_of_the_worklist_in_the_order_proposed() -> None:
    """Others have no name in a profile."""
    record = AssociationRecord.of([(ECHO, [ILE]), (FIND, [ELE, DEFLATED]), (FIND, [ELE, ILE])])
    nothing = AssociationRecord.of([(ECHO, [ILE])])
    samples = [Sample({}, association=each) for each in (record, nothing, AssociationRecord())]

    assert observed.transfer_syntaxes(samples) == [(("ELE", "ILE"), 1)]


def test_a_poll_is_told_by_the_query_that_comes_most_often() -> None:
    """Twice is chance."""
    later = DAY + dt.timedelta(minutes=10)
    often = Sample({}, first=DAY, last=later, count=21)
    twice = Sample({}, first=DAY, last=later, count=2)

    found = observed.poll([twice, often])
    assert found is not None
    assert (found.seconds, found.count) == (30.0, 21)
    assert observed.poll([twice]) is None
    assert observed.poll([Sample({}, count=5)]) is None


def test_who_asks_for_a_station_is_counted() -> None:
    """At the root as well."""
    samples = [
        sample(ScheduledStationAETitle="CT1"),
        sample(SPS_ScheduledStationAETitle="CT1"),
        sample(SPS_ScheduledStationAETitle=""),
        sample(PatientID=""),
    ]

    assert observed.asks_for_station(samples) == 2
