"""Identifiers of another day: their start dates are moved in the bytes, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.dicom.emulators.keys import data_set, encoded
from mwl.dicom.encoding import decode_dataset
from mwl.dicom.redating import redate
from mwl.mapping import paths

ILE, ELE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
EBE, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
DATE = paths.parse_path("SPS.ScheduledProcedureStepStartDate")


def identifier(syntax: str, *lines: str) -> bytes:
    """Return an identifier of lines, as a device would encode it."""
    return encoded(data_set(lines, {}), syntax)


@pytest.mark.parametrize("syntax", [ILE, ELE, EBE, DEFLATED])
@pytest.mark.parametrize(
    ("asked", "moved"),
    [
        ("20260228", "20260302"),
        ("20260703-20260705", "20260705-20260707"),
        ("20261231-", "20270102-"),
        ("-20260703", "-20260705"),
        ("2026.07.03", "2026.07.05"),
    ],
)
def test_every_form_of_a_date_is_moved_in_every_transfer_syntax(syntax, asked, moved):
    """Single dates and ranges, over the ends of months and years."""
    came = identifier(syntax, "PatientName=DOE*", f"SPS.ScheduledProcedureStepStartDate={asked}")

    found = redate(came, syntax, 2)

    assert found.dates == ((asked, moved),)
    document = decode_dataset(found.identifier, syntax)
    assert paths.get(document, DATE)["Value"] == [moved]
    assert paths.get(document, ("00100010",)) == paths.get(decode_dataset(came, syntax), ("00100010",))


def test_a_date_at_the_root_is_moved():
    """Low-cost consoles ask for the step at the root (F06)."""
    found = redate(identifier(ILE, "ScheduledProcedureStepStartDate=20250301"), ILE, -1)

    assert found.dates == (("20250301", "20250228"),)


def test_dates_that_say_nothing_of_the_schedule_stay():
    """A birth date is the same every day."""
    came = identifier(ELE, "PatientBirthDate=19800229", "StudyDate=20260703", "SPS.Modality=CT")

    assert redate(came, ELE, 5).identifier == came


@pytest.mark.parametrize("asked", ["*", "", "20261399", "99991231"])
def test_what_is_no_day_stays_as_it_came(asked):
    """What the device wrote is what the profile has to cope with."""
    came = identifier(ELE, f"SPS.ScheduledProcedureStepStartDate={asked}")

    assert redate(came, ELE, 1) == redate(came, ELE, 0)


def test_bytes_that_lie_about_their_characters_survive():
    """Shift-JIS under the label ISO_IR 100 is what a profile is to mend (F43)."""
    keys = [
        "SpecificCharacterSet=ISO_IR 100",
        "PatientName=ﾔﾏﾀﾞ*",
        "SPS.ScheduledProcedureStepStartDate=20260703",
    ]
    came = encoded(data_set(keys, {}), ILE, "shift_jis")

    found = redate(came, ILE, 2)

    assert found.identifier == came.replace(b"20260703", b"20260705")


@given(st.binary(max_size=300), st.sampled_from([ILE, ELE, EBE]), st.integers(-40000, 40000))
def test_any_bytes_keep_their_length(raw, syntax, days):
    """Whatever a peer sent: no error, and nothing is longer or shorter."""
    assert len(redate(raw, syntax, days).identifier) == len(raw)


@given(st.binary(max_size=40))
def test_a_header_without_its_value_is_no_date(tail):
    """A tag at the very end of the bytes is passed over."""
    raw = b"\x40\x00\x02\x00" + tail

    assert len(redate(raw, ILE, 1).identifier) == len(raw)
