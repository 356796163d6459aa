"""Playing a device against pynetdicom's provider: queries, cancelling, polling, and what is reported."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom.dataset import Dataset

from foreign.dicom.provider import PENDING, item
from mwl.dicom.emulators import DEVICES, Emulator, Unplayable, emulate
from mwl.dicom.emulators import emulator as emulators
from mwl.mapping.elements import texts
from mwl.model import text

TODAY = dt.date(2026, 7, 5)
NOON = dt.datetime(2026, 7, 5, 12, 0, 0)  # noqa: DTZ001  a device's own clock
AT = ("127.0.0.1", 1)


def failing(status: int, comment: str = "") -> Dataset:
    """Return a final response."""
    found = Dataset()
    found.Status, found.ErrorComment = status, comment
    return found


def test_what_is_shown_is_what_came(provider):
    """Matches, statuses, and the octets of each match."""
    at = provider.start(item(1), item(2))

    seen = emulate("sim-ge-ct", "this scanner/today", at=at, ae="CT7", today=TODAY)

    (asked,) = provider.asked
    (step,) = asked.ScheduledProcedureStepSequence
    assert (step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate) == ("CT7", "20260705")
    assert [text(each, "00100020") for each in seen.shown] == ["PID1", "PID2"]
    assert (seen.statuses, seen.status, seen.error) == ([PENDING, PENDING, 0], 0, "")
    assert seen.shown == seen.received
    assert all(b"DOE^JANE" in raw for raw in seen.raw)
    assert seen.content


@pytest.mark.parametrize("status", [0xFF00, 0xFF01])
def test_every_device_takes_both_pending_statuses(provider, status):
    """FF01 is a match, too."""
    at = provider.start(item(), status=status)

    for name in DEVICES:
        device = replace(DEVICES[name], message_id=1)
        assert len(emulate(device, at=at, typed="X").shown) == 1, name


def test_a_failure_is_an_error_and_no_empty_list(provider):
    """A-14: in the console's own words, with status and comment."""
    at = provider.start()
    provider.answer = lambda event: [(PENDING, item()), (failing(0xA700, "too many"), None)]

    seen = emulate("sim-esaote", at=at)

    assert seen.error == "query failed (A700: too many)"
    assert (seen.status, len(seen.shown), seen.content) == (0xA700, 1, False)


def response(status: int) -> bytes:
    """Return a C-FIND response without a data set, as a PDU."""
    command = bytes.fromhex(
        "00000000040000003a000000"
        "0000020016000000312e322e3834302e31303030382e352e312e342e3331"
        "0000000102000000208000002001020000000100000000080200000001010000000902000000"
    ) + struct.pack("<H", status)
    return struct.pack(">BxIIBB", 4, len(command) + 6, len(command) + 2, 1, 3) + command


def test_a_match_without_a_data_set_is_not_shown(scripted):
    """There is nothing to show."""
    peer = scripted(b"", response(PENDING) + response(0))

    seen = emulate("sim-terason", at=peer.at)

    assert seen.not_shown == [({}, "a match without a data set")]
    assert (seen.statuses, seen.error) == ([PENDING, 0], "")


def test_a_device_that_gives_up_waits_no_longer_than_its_time(scripted):
    """It cancels, is not answered, and aborts; the console says the same."""
    peer = scripted(b"", response(PENDING))

    seen = emulate("sim-ge-ct", at=peer.at, on_bad="abort", timeout=0.3)
    peer.close()

    assert seen.error == "an entry of the worklist is wrong: the update was aborted"
    assert peer.heard == [1, 4, 4, 4, 7]


def test_a_match_that_cannot_be_read_is_not_shown(provider, monkeypatch):
    """The others are; its octets are kept."""
    at = provider.start(item(1), item(2))
    read = emulators.decode_dataset

    def first_is_rubbish(raw: bytes, syntax: str) -> Any:
        return read(raw[:-3] if b"PID1" in raw else raw, syntax)

    monkeypatch.setattr(emulators, "decode_dataset", first_is_rubbish)

    seen = emulate("sim-terason", at=at)

    ((unread, reason),) = seen.not_shown
    assert unread == {}
    assert reason.startswith("it cannot be read: ")
    assert [text(each, "00100020") for each in seen.shown] == ["PID2"]
    assert (len(seen.raw), len(seen.received)) == (2, 2)


def endless(event: Any) -> Iterator[tuple[int, Dataset | None]]:
    """Answer until the device cancels."""
    while not event.is_cancelled:
        yield PENDING, item()
    yield 0xFE00, None


def test_a_device_cancels_after_so_many_matches(provider):
    """F53: what comes after that is still taken, and FE00 is no error to who asked for it."""
    at = provider.start()
    provider.answer = endless

    seen = emulate("sim-philips-mg", at=at, cancel_after=3)

    assert seen.log == ["C-CANCEL was sent after 3 matches"]
    assert (seen.status, seen.error) == (0xFE00, "")
    assert len(seen.shown) >= 3


def test_a_cancel_that_nobody_asked_for_is_an_error(provider):
    """The provider ended the list."""
    at = provider.start(item(), final=0xFE00)

    assert emulate("sim-philips-mg", at=at).error == "the worklist query failed (FE00)"


def test_an_answer_is_bounded(provider, monkeypatch):
    """A provider that never ends is left."""
    monkeypatch.setattr(emulators, "MOST_ITEMS", 5)
    at = provider.start()
    provider.answer = endless

    seen = emulate("sim-philips-mg", at=at)

    assert (seen.error, len(seen.shown)) == ("more than 5 matches", 5)
    assert provider.aborted.acquire(timeout=30)


def test_a_device_on_a_timer_asks_again(provider):
    """As often as is said and no more, each time in an association of its own."""
    at = provider.start(item())
    waited: list[float] = []

    runs = list(Emulator("sim-terason", at).poll(3, 7.5, "broad", wait=waited.append))

    assert [len(seen.shown) for seen in runs] == [1, 1, 1]
    assert waited == [7.5, 7.5]
    assert len(provider.requests) == 3


def test_polling_is_bounded(provider, monkeypatch):
    """Whatever is asked for."""
    monkeypatch.setattr(emulators, "MOST_POLLS", 2)
    at = provider.start(item())

    assert len(list(Emulator("sim-terason", at).poll(10**9, 0))) == 2


def test_any_query_can_be_asked(provider):
    """A test's own identifier, as this device would send it."""
    at = provider.start(item())

    seen = Emulator("sim-ge-ct", at).ask({"00400100": {"vr": "SQ"}}, "own")

    (asked,) = provider.asked
    assert len(asked.ScheduledProcedureStepSequence) == 0
    assert (seen.query, len(seen.shown)) == ("own", 1)


@pytest.mark.parametrize("host", ["10.0.0.5", "192.0.2.1", "::ffff:10.0.0.5", "pacs.example", "0.0.0.0"])
def test_another_machine_must_be_asked_for_by_name(host):
    """A played device speaks to the machine it is played on; nothing is sent."""
    with pytest.raises(Unplayable, match="is not this machine"):
        Emulator("sim-ge-ct", (host, 104))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_the_loopback_is_this_machine(host):
    """In its forms."""
    assert Emulator("sim-ge-ct", (host, 104)).at == (host, 104)


def test_another_machine_may_be_asked_for():
    """By who says so."""
    assert Emulator("sim-ge-ct", ("10.0.0.5", 104), beyond_loopback=True).at == ("10.0.0.5", 104)


def test_the_titles_are_the_device_s_or_those_given():
    """Who plays a device of their own reports under its title, too, unless that is given."""
    own, other, both = (
        Emulator("sim-agfa-nx", AT),
        Emulator("sim-agfa-nx", AT, ae="XR1"),
        Emulator("sim-agfa-nx", AT, ae="XR1", performing_ae="XR1_MPPS"),
    )

    assert [(each.ae, each.performing_ae) for each in (own, other, both)] == [
        ("NX_WL", "NX_MPPS"),
        ("XR1", "XR1"),
        ("XR1", "XR1_MPPS"),
    ]
    assert Emulator("sim-siemens-flc", AT).called == "worklist"
    assert own.called == "MWL"


# ── performed steps ──


def performing(provider: Any, device: str, *items: Dataset, **how: Any) -> tuple[Emulator, list[Any]]:
    """Return a device, and what its console shows of *items*."""
    at = provider.start(*items)
    emulator = Emulator(device, at, today=TODAY, clock=lambda: NOON, **how)
    emulator.device = replace(emulator.device, judge=DEVICES["sim-terason"].judge)
    return emulator, emulator.run().shown


def test_an_exam_is_begun_and_completed(provider):
    """N-CREATE and N-SET on one instance, in associations of their own, with the order's numbers."""
    ct, shown = performing(provider, "sim-ge-ct", item(1))

    reports = ct.perform(*shown)

    (_, _, uid, created), (_, _, same, completed) = provider.told
    (scheduled,) = created.ScheduledStepAttributesSequence
    (series,) = completed.PerformedSeriesSequence
    assert [each[:2] for each in provider.told] == [("N-CREATE", "CT1"), ("N-SET", "CT1")]
    assert uid == same == reports[0].uid
    assert (scheduled.ScheduledProcedureStepID, scheduled.RequestedProcedureID) == ("SPS1", "RP1")
    assert (scheduled.AccessionNumber, scheduled.StudyInstanceUID) == ("ACC1", "1.2.276.0.99.1")
    assert (created.PatientName, created.PatientID, created.StudyID) == ("DOE^JANE", "PID1", "RP1")
    assert (created.PerformedProcedureStepStatus, created.PerformedSeriesSequence) == ("IN PROGRESS", [])
    assert (created.PerformedProcedureStepStartDate, created.PerformedProcedureStepStartTime) == (
        "20260705",
        "120000",
    )
    assert (completed.PerformedProcedureStepStatus, completed.PerformedProcedureStepEndTime) == (
        "COMPLETED",
        "120000",
    )
    assert series.ProtocolName
    assert [(each.operation, each.state, each.status, each.taken) for each in reports] == [
        ("N-CREATE", "IN PROGRESS", 0, True),
        ("N-SET", "COMPLETED", 0, True),
    ]
    assert len(provider.requests) == 3


@pytest.mark.parametrize(
    ("name", "variant"), [(name, variant) for name in DEVICES for variant in DEVICES[name].performing]
)
def test_what_is_set_was_created(provider, name, variant):
    """PS3.4 F.7.2.2: a device may set only what it has created."""
    emulator, _ = performing(provider, name)

    emulator.perform({}, {}, variant=variant)

    pairs = list(zip(provider.told[::2], provider.told[1::2], strict=True))
    assert pairs
    for (_, _, _, created), (_, _, _, modified) in pairs:
        assert {element.tag for element in modified} <= {element.tag for element in created}


def test_a_group_is_one_exam_of_several_procedures(provider):
    """M08: an item of Scheduled Step Attributes for each."""
    ct, shown = performing(provider, "sim-ge-ct", item(1), item(2))

    ct.perform(*shown, variant="group")

    created = provider.told[0][3]
    found = [each.ScheduledProcedureStepID for each in created.ScheduledStepAttributesSequence]
    assert found == ["SPS1", "SPS2"]
    with pytest.raises(Unplayable, match="2 worklist items are needed"):
        ct.begin(shown[0], variant="group")


def test_post_processing_is_a_second_performed_step(provider):
    """M09: the exam's start, code sequences without items, and attributes that are not sent."""
    post, shown = performing(provider, "sim-ge-ct-postproc", item(1))

    post.perform(*shown, variant="after the exam")

    (_, _, exam, first), _, (_, _, processing, second), (_, _, _, ended) = provider.told
    (scheduled,) = second.ScheduledStepAttributesSequence
    assert exam != processing
    assert second.PerformedProcedureStepStartTime == first.PerformedProcedureStepStartTime
    assert [second.ProcedureCodeSequence, second.PerformedProtocolCodeSequence] == [[], []]
    assert "ReferencedPatientSequence" not in second
    assert "ScheduledProtocolCodeSequence" not in scheduled
    assert "ReferencedPatientSequence" in first
    assert ended.PerformedProcedureStepStatus == "COMPLETED"


def test_an_agfa_reports_under_another_title(provider):
    """M10, M11: DISCONTINUED with a reason in which nothing has a value."""
    nx, shown = performing(provider, "sim-agfa-nx", item(1))

    nx.perform(*shown, variant="moved")

    (_, by, _, created), (_, again, _, moved) = provider.told
    (reason,) = moved.PerformedProcedureStepDiscontinuationReasonCodeSequence
    assert (by, again) == ("NX_MPPS", "NX_MPPS")
    assert created.PerformedStationAETitle == "NX_WL"
    assert created.PerformedProcedureTypeDescription == "CT head"
    assert moved.PerformedProcedureStepStatus == "DISCONTINUED"
    assert (reason.CodeValue, reason.CodeMeaning) == ("", "")
    assert [created.ProcedureCodeSequence, moved.ProcedureCodeSequence] == [[], []]


@pytest.mark.parametrize(
    ("variant", "accession", "step", "procedure"),
    [("scheduled", "ACC1", "SPS1", "RP1"), ("edited", "EDITED", "SPS1", "RP1"), ("unscheduled", "", "", "")],
)
def test_an_hd7_reports_with_its_series_and_without_images(provider, variant, accession, step, procedure):
    """M06, M07: a constant protocol, an accession number that was edited, an exam without an order."""
    hd7, shown = performing(provider, "sim-philips-hd7", item(1))

    hd7.perform(*shown, variant=variant)

    (_, _, _, created), (_, _, _, completed) = provider.told
    (scheduled,), (series,) = created.ScheduledStepAttributesSequence, created.PerformedSeriesSequence
    assert (scheduled.AccessionNumber, scheduled.ScheduledProcedureStepID) == (accession, step)
    assert scheduled.RequestedProcedureID == procedure
    assert (series.ProtocolName, series.ReferencedImageSequence) == ("CLR Standard", [])
    assert completed.PerformedSeriesSequence[0].SeriesInstanceUID == series.SeriesInstanceUID
    assert ("ReferencedStudySequence" in scheduled) == (variant != "unscheduled")
    assert (scheduled.StudyInstanceUID == "1.2.276.0.99.1") == (variant != "unscheduled")


def test_an_unscheduled_exam_needs_nobody(provider):
    """A patient whom nobody announced."""
    hd7, _ = performing(provider, "sim-philips-hd7")

    reports = hd7.perform(variant="unscheduled")

    assert provider.told[0][3].PatientID == "WALKIN1"
    assert all(report.taken for report in reports)


def test_an_exam_may_take_its_time(provider):
    """Begun and ended apart, with the clock going on."""
    at = provider.start(item(1))
    times = iter([NOON, NOON, NOON + dt.timedelta(minutes=20)])
    ct = Emulator("sim-ge-ct", at, today=TODAY, clock=lambda: next(times))

    exam = ct.begin(*ct.run().shown, began="113000")
    ended = ct.end(exam)

    assert texts(exam.report.attributes["00400245"]) == ["113000"]
    assert texts(ended.attributes["00400251"]) == ["120000"]


def test_a_refused_report_is_told_with_its_status(provider):
    """The device's console says so; nothing is raised."""
    ct, shown = performing(provider, "sim-ge-ct", item(1))
    provider.status = 0x0110

    report = ct.begin(*shown).report

    assert (report.status, report.taken, report.error) == (0x0110, False, "")


def test_a_report_that_comes_to_nothing_says_why(provider):
    """No MPPS there."""
    at = provider.start(item(1), classes=("1.2.840.10008.5.1.4.31",))
    ct = Emulator("sim-ge-ct", at)

    report = ct.set("1.2.3", {})

    assert (report.status, report.taken) == (None, False)
    assert report.error == "no presentation context for 1.2.840.10008.3.1.2.3.3 was accepted"


def test_any_report_can_be_sent(provider):
    """M01: an N-CREATE that leaves the UID to the peer."""
    ct, _ = performing(provider, "sim-ge-ct")

    ct.create("", {"00400252": {"vr": "CS", "Value": ["COMPLETED"]}})

    ((operation, _, uid, told),) = provider.told
    assert (operation, uid, told.PerformedProcedureStepStatus) == ("N-CREATE", "None", "COMPLETED")
