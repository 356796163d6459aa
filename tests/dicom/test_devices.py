"""Who may associate, through which profile, and what a profile hears of the association."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from mwl.dicom.devices import CALLED_AE_NOT_RECOGNISED, CALLING_AE_NOT_RECOGNISED
from mwl.dicom.performed import PERFORMED_STEP, PerformedService
from mwl.dicom.service import C_FIND_RQ, N_CREATE_RQ, AssociationFacts, NotAuthorized
from mwl.dicom.worklist import WorklistService
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
