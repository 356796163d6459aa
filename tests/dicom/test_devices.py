"""Who may associate, through which profile, and what a profile hears of the association."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mwl.dicom.devices import CALLED_AE_NOT_RECOGNISED, CALLING_AE_NOT_RECOGNISED, Devices
from mwl.dicom.encoding import encode_dataset
from mwl.dicom.performed import PERFORMED_STEP, PerformedService
from mwl.dicom.service import C_FIND_RQ, N_CREATE_RQ, AssociationFacts, NotAuthorized
from mwl.dicom.worklist import WorklistService
from mwl.mapping.text.charset import DEFAULT
from mwl.model import STEP_SEQUENCE
from mwl.store import Store

EXPLICIT = "1.2.840.10008.1.2.1"


def caller(calling: str, called: str = "MWL") -> AssociationFacts:
    """Return an association of this caller."""
    return AssociationFacts(calling, called, "10.0.0.7", "1.2.3", "SCANNER_1")


@pytest.mark.parametrize(
    ("calling", "called", "expected"),
    [
        ("CT1", "MWL", None),
        ("CT2", "MWL", CALLING_AE_NOT_RECOGNISED),
        ("ct1", "MWL", CALLING_AE_NOT_RECOGNISED),
        ("CT1", "mwl", CALLED_AE_NOT_RECOGNISED),
        ("CT1", "", CALLED_AE_NOT_RECOGNISED),
        ("*", "MWL", CALLING_AE_NOT_RECOGNISED),
        ("", "MWL", CALLING_AE_NOT_RECOGNISED),
    ],
)
def test_only_configured_devices_are_admitted(
    devices: Callable[..., Any], generic: Any, calling: str, called: str, expected: Any
) -> None:
    """E-05: AE titles are compared exactly, the called one as well."""
    assert devices(CT1=generic).admit(caller(calling, called)) == expected


def test_anyone_is_admitted_where_anyone_is_configured(devices: Callable[..., Any], generic: Any) -> None:
    """A name of its own is stronger; figures are labelled by the configuration's key."""
    configured = devices(CT1=generic, anyone=generic)

    assert configured.admit(caller("XY")) is None
    assert configured.of(caller("XY")).label == "*"
    assert configured.of(caller("CT1")).label == "CT1"


def test_a_profile_hears_the_time_of_the_site(devices: Callable[..., Any], generic: Any) -> None:
    """Beside who asks and from where."""
    facts = devices(CT1=generic).facts(caller("CT1"))

    assert (facts.calling_ae, facts.called_ae, facts.address) == ("CT1", "MWL", "10.0.0.7")
    assert (facts.implementation_uid, facts.implementation_version) == ("1.2.3", "SCANNER_1")
    assert facts.now.isoformat() == "2026-07-05T11:15:00+02:00"
    assert facts.now.utcoffset() == dt.timedelta(hours=2)


def test_a_device_that_is_configured_no_more_may_ask_nothing(
    devices: Callable[..., Any], generic: Any
) -> None:
    """A reload may take a device away whose association is open."""
    with pytest.raises(NotAuthorized):
        devices(CT2=generic).of(caller("CT1"))


async def test_such_a_device_is_told_so_on_the_wire(
    store: Store, devices: Callable[..., Any], generic: Any, start: Any, request_octets: Any
) -> None:
    """0124 to C-FIND and to N-CREATE; the association stays, and can be released."""
    without = devices(CT2=generic)
    running = await start(WorklistService(store, without), PerformedService(store, without, frozenset()))
    contexts = [(WorklistService.sop_classes[0], [EXPLICIT]), (PERFORMED_STEP, [EXPLICIT])]
    peer = await running.associated(request_octets(*contexts))

    peer.request(C_FIND_RQ, data=b"\x10\x00\x20\x00LO\x00\x00")
    found, _ = await peer.response()
    peer.request(N_CREATE_RQ, sop_class=PERFORMED_STEP, context=3, data=b"\x10\x00\x20\x00LO\x00\x00")
    created, _ = await peer.response()

    assert (found.get(0x900), created.get(0x900)) == (0x0124, 0x0124)
    await peer.release()


SCANNER = "match: {impl_uid: '1.2.3'}\nwire: {ts: [ILE]}"
ULTRASOUND = "match: {query: {SPS.Modality: US}}"


def shared(own: Any, *others: Any) -> Devices:
    """Configure CT1, whose AE title several devices share."""
    return Devices("MWL", {"CT1": own}, ZoneInfo("UTC"), shared_by={"CT1": others})


def asked(modality: str) -> tuple[bytes, str]:
    """Return an identifier that asks for a modality."""
    step = {"00080060": {"vr": "CS", "Value": [modality]}}
    return encode_dataset({STEP_SEQUENCE: {"vr": "SQ", "Value": [step]}}, EXPLICIT, DEFAULT), EXPLICIT


def test_p1_devices_that_share_an_ae_title_have_profiles_of_their_own(
    generic: Any, profile: Callable[[str], Any]
) -> None:
    """A query by what it asks, an association by what it says; a performed step has the title's own."""
    scanner, ultrasound = profile(SCANNER), profile(ULTRASOUND)
    found = shared(generic, ultrasound, scanner)
    other = dataclasses.replace(caller("CT1"), implementation_uid="9")

    def served(device: Any) -> Any:
        assert device.label == "CT1"
        return device.profile

    assert served(found.asking(other, *asked("US"))) is ultrasound
    assert served(found.asking(caller("CT1"), *asked("CT"))) is scanner
    assert served(found.asking(other, *asked("CT"))) is generic
    assert served(found.asking(other, b"\x01\x02\x03", EXPLICIT)) is generic
    assert served(found.recognised(caller("CT1"))) is scanner
    assert served(found.recognised(other)) is generic
    assert served(found.of(caller("CT1"))) is generic
    assert found.asking(caller("CT2"), *asked("US")) is None


def test_p1_a_query_that_fits_no_profile_is_told_once(
    profile: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """12.3 f: a software update changes what a device says of itself; it is served, and somebody hears."""
    found = shared(profile(SCANNER), profile(ULTRASOUND))
    updated = dataclasses.replace(caller("CT1"), implementation_uid="1.2.4")

    with caplog.at_level(logging.WARNING):
        devices = [found.asking(each, *asked("CT")) for each in (caller("CT1"), updated, updated)]

    assert [each.label for each in devices if each] == ["CT1"] * 3
    (told,) = [each for each in caplog.records if "fits no profile" in each.getMessage()]
    assert told.levelno == logging.WARNING
