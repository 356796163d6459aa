"""What each device is known for, against pynetdicom's provider: its judge is shown to object, and not to."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from pydicom.dataset import Dataset

from foreign.dicom.provider import item
from mwl.dicom.emulators import DEVICES, emulate
from mwl.model import text

TODAY = dt.date(2026, 7, 5)


def code(**values: str) -> list[Dataset]:
    """Return a code sequence of one item."""
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return [found]


def reasons(seen: Any) -> list[str]:
    return [reason for _, reason in seen.not_shown]


def remarks(seen: Any) -> list[str]:
    return [remark for _, remark in seen.remarks]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PatientName": ""}, "PatientName is empty"),
        ({"PatientID": ...}, "PatientID is absent"),
        ({"ScheduledStationAETitle": ""}, "SPS.ScheduledStationAETitle is empty"),
        ({"PregnancyStatus": ...}, "PregnancyStatus is absent"),
        ({"RequestedContrastAgent": ...}, "SPS.RequestedContrastAgent is absent"),
        ({"ScheduledProcedureStepStartTime": "0830"}, "StartTime '0830' is not exactly six digits"),
        ({"SpecificCharacterSet": "ISO_IR 192"}, "SpecificCharacterSet is ISO_IR 192, not ISO_IR 100"),
        ({"AccessionNumber": "ACC-2025-000334455"}, "AccessionNumber is no value of SH"),
    ],
)
def test_a_ge_ct_refuses_what_its_statement_says(provider, changes, reason):
    """F23, F26, F27: one item is refused with its reason, the others are shown."""
    at = provider.start(item(1), item(2, **changes), item(3))

    seen = emulate("sim-ge-ct", at=at, today=TODAY)

    ((refused, why),) = seen.not_shown
    assert reason in why
    assert text(refused, "00080050") in ("ACC2", "ACC-2025-000334455")
    assert [text(each, "00080050") for each in seen.shown] == ["ACC1", "ACC3"]
    assert (seen.status, seen.error) == (0, "")


def test_a_ge_ct_may_abort_at_a_bad_item(provider):
    """F27, the other page of its statement: it cancels, aborts, and keeps what it has."""
    at = provider.start(item(1), item(2, PatientName=""), item(3))

    seen = emulate("sim-ge-ct", at=at, today=TODAY, on_bad="abort")

    assert [text(each, "00080050") for each in seen.shown] == ["ACC1"]
    assert len(seen.not_shown) == 1
    assert seen.error == "an entry of the worklist is wrong: the update was aborted"
    assert seen.log == ["C-CANCEL was sent after 2 matches"]
    assert provider.aborted.acquire(timeout=30)


def test_a_ge_ct_shortens_what_it_shows(provider):
    """F30, F31: nothing of this is a reason to refuse."""
    at = provider.start(
        item(
            1,
            PatientName="A" * 41,
            RequestedProcedureDescription="B" * 60,
            PatientID="C" * 20,
            ScheduledProcedureStepSequence=item_with_codes(7),
        )
    )

    seen = emulate("sim-ge-ct", at=at, today=TODAY)

    assert len(seen.shown) == 1
    assert remarks(seen) == [
        "PatientName is cut to 32 of 41 characters",
        "PatientID is cut to 16 of 20 characters",
        "RequestedProcedureDescription is cut to 22 of 60 characters",
        "SPS.ScheduledProtocolCodeSequence: 5 of 7 items are used",
        *["SPS.ScheduledProtocolCodeSequence has an item without Code Meaning"] * 7,
    ]


def item_with_codes(count: int) -> list[Dataset]:
    """Return a scheduled step with protocol codes that have no meaning."""
    (step,) = item().ScheduledProcedureStepSequence
    step.ScheduledProtocolCodeSequence = code(CodeValue="A", CodingSchemeDesignator="L") * count
    return [step]


def test_a_logiq_7_shows_the_last_of_one_study(provider):
    """F28, F29: three steps, one Study Instance UID, one line."""
    at = provider.start(*(item(n, StudyInstanceUID="1.2.3") for n in (1, 2, 3)), item(4))

    seen = emulate("sim-ge-logiq7", at=at)

    assert [text(each, "00080050") for each in seen.shown] == ["ACC3", "ACC4"]
    assert reasons(seen) == ["a later entry has the same StudyInstanceUID"] * 2


@pytest.mark.parametrize(
    ("codes", "shown"),
    [
        ([], True),
        (code(CodeValue="A", CodingSchemeDesignator="L"), True),
        (code(CodeValue="A", CodeMeaning="x"), False),
        (code(CodeValue="", CodingSchemeDesignator="", CodeMeaning=""), False),
    ],
)
def test_an_aristos_does_not_show_an_incomplete_code(provider, codes, shown):
    """F24: whoever echoes the skeleton of its query makes an empty list."""
    at = provider.start(item(RequestedProcedureCodeSequence=codes))

    seen = emulate("sim-siemens-aristos", at=at)

    assert (len(seen.shown), len(seen.not_shown)) == (shown, not shown)
    assert all(
        reason.startswith("RequestedProcedureCodeSequence has an item without ") for reason in reasons(seen)
    )


def test_a_siemens_fluoroscopy_is_not_answered_by_everybody(provider):
    """F52: a request without Message ID is met with silence; the console waits."""
    at = provider.start(item())

    seen = emulate("sim-siemens-flc", at=at, timeout=0.5)

    assert (seen.error, seen.statuses) == ("no answer within 0.5 seconds", [])
    assert provider.asked == []
    assert provider.aborted.acquire(timeout=30)


def test_a_medison_says_that_it_found_nothing(provider):
    """It asked for everything, with an empty code."""
    at = provider.start()

    seen = emulate("sim-medison", at=at)

    (step,) = provider.asked[0].ScheduledProcedureStepSequence
    (empty,) = step.ScheduledProtocolCodeSequence
    assert [bool(element.value) for element in empty] == [False] * 4
    assert seen.log == ["the console says: no items found"]


def test_an_agfa_stores_a_code_without_scheme_as_unknown(provider):
    """F34: it is shown, and wrong in the images."""
    at = provider.start(item(RequestedProcedureCodeSequence=code(CodeValue="A", CodeMeaning="x")))

    seen = emulate("sim-agfa-nx", at=at)

    assert len(seen.shown) == 1
    assert remarks(seen) == [
        "RequestedProcedureCodeSequence has an item without Coding Scheme Designator: it is stored as UNKNOWN"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PatientBirthDate": ""}, "PatientBirthDate is empty"),
        ({"Modality": "ct"}, "SPS.Modality is no value of CS"),
    ],
)
def test_a_low_cost_console_minds_what_servers_fill_for_it(provider, changes, reason):
    """F38."""
    at = provider.start(item(1), item(2, **changes))

    seen = emulate("sim-lowcost-cn", at=at)

    assert reasons(seen) == [reason]
    assert len(seen.shown) == 1


@pytest.mark.parametrize(("query", "label"), [("name", b"GB18030"), ("name without label", b"")])
def test_a_low_cost_console_writes_gb18030(provider, query, label):
    """F42: with or without saying so."""
    at = provider.start(item())

    emulate("sim-lowcost-cn", query, at=at, typed="王^小明")

    (raw,) = provider.encoded
    assert "王^小明".encode("gb18030") in raw
    assert (b"GB18030" in raw) == bool(label)


def test_a_foreign_console_in_japan_mislabels(provider):
    """F43: Shift-JIS under ISO_IR 100."""
    at = provider.start(item())

    emulate("sim-jp-foreign", "name", at=at, typed="山田^太郎")

    (raw,) = provider.encoded
    assert "山田^太郎".encode("shift_jis") in raw
    assert b"ISO_IR 100" in raw


@pytest.mark.parametrize(
    "name", [name for name in DEVICES if name not in ("sim-ge-ct", "sim-ge-ct-postproc")]
)
def test_what_no_device_minds_is_not_refused(provider, name):
    """Only who is known to refuse does: an item in UTF-8, and without a type 2 attribute."""
    at = provider.start(item(SpecificCharacterSet="ISO_IR 192", PatientName="王^小明", PregnancyStatus=...))

    seen = emulate(replace(DEVICES[name], message_id=1), at=at)

    assert (len(seen.shown), reasons(seen)) == (1, [])
