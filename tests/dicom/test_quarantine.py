"""Unknown callers are let in a few at a time, and a flood of them costs a bounded amount."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mwl.dicom import quarantine
from mwl.dicom.devices import CALLED_AE_NOT_RECOGNISED, CALLING_AE_NOT_RECOGNISED, Devices
from mwl.dicom.performed import PERFORMED_STEP, PerformedService
from mwl.dicom.quarantine import PER_ADDRESS, QUERIES, Quarantine
from mwl.dicom.service import C_ECHO_RQ, C_FIND_RQ, N_CREATE_RQ, AssociationFacts
from mwl.dicom.verification import VERIFICATION
from mwl.dicom.worklist import WORKLIST_FIND, WorklistService
from mwl.store import Store

EXPLICIT = "1.2.840.10008.1.2.1"
KEYS = b"\x10\x00\x20\x00LO\x00\x00"  # Patient ID, universal
ZONE = ZoneInfo("Europe/Berlin")
Hold = Callable[..., Awaitable[Any]]


def caller(address: str) -> AssociationFacts:
    """Return an association from an address."""
    return AssociationFacts("CT9", "MWL", address, held=True)


def test_one_address_has_room_for_a_few() -> None:
    """Another address is not kept out by it, and who leaves makes room."""
    entered: list[AssociationFacts] = []
    held = Quarantine(100, entered.append)

    for _ in range(PER_ADDRESS):
        assert held.room("10.0.0.7")
        held.enter(caller("10.0.0.7"))

    assert len(entered) == PER_ADDRESS
    assert not held.room("10.0.0.7")
    assert held.room("10.0.0.8")
    held.leave(caller("10.0.0.7"))
    assert held.room("10.0.0.7")


def test_all_addresses_together_have_a_bound() -> None:
    """Associations of configured devices stay free."""
    held = Quarantine(3, lambda _: None)
    for n in range(3):
        held.enter(caller(f"10.0.0.{n}"))

    assert not held.room("10.0.0.9")
    for n in range(3):
        held.leave(caller(f"10.0.0.{n}"))
    assert held.room("10.0.0.9")
    assert not held._held  # what is empty is forgotten


def test_a_flood_of_queries_is_not_kept() -> None:
    """So many at once, then so many a minute, of each address."""
    now = [0.0]
    held = Quarantine(9, lambda _: None, lambda: now[0])

    assert [held.keeps("10.0.0.7") for _ in range(QUERIES + 5)] == [True] * QUERIES + [False] * 5
    assert held.keeps("10.0.0.8")
    now[0] += 60 / QUERIES
    assert [held.keeps("10.0.0.7") for _ in range(2)] == [True, False]
    now[0] += 3600
    assert sum(held.keeps("10.0.0.7") for _ in range(2 * QUERIES)) == QUERIES


def test_addresses_are_forgotten() -> None:
    """Anybody on the network may have any number of them."""
    held = Quarantine(9, lambda _: None)
    for n in range(quarantine._ADDRESSES + 50):
        held.keeps(f"10.0.{n >> 8}.{n & 255}")

    assert len(held._allowances) == quarantine._ADDRESSES


# --- on the wire ---------------------------------------------------------------------------------


@pytest.fixture
def held() -> tuple[Quarantine, list[AssociationFacts]]:
    """A quarantine with room for two, and who came in."""
    entered: list[AssociationFacts] = []
    return Quarantine(2, entered.append), entered


@pytest.fixture
def hold(store: Store, generic: Any, start: Any, held: Any) -> Hold:
    """Start an acceptor that knows CT1, and holds everybody else."""

    async def begin() -> Any:
        devices = Devices("MWL", {"CT1": generic}, ZONE, quarantine=held[0])
        return await start(
            WorklistService(store, devices),
            PerformedService(store, devices, frozenset()),
            admit=devices.admit,
            known=lambda facts: devices.known(facts) is not None,
            quarantine=held[0],
        )

    return begin


def proposal(request_octets: Any, calling: str) -> bytes:
    """Return a request for all three services."""
    contexts = [(uid, [EXPLICIT]) for uid in (WORKLIST_FIND, PERFORMED_STEP, VERIFICATION)]
    octets: bytes = request_octets(*contexts, calling=calling)
    return octets


async def test_a_held_caller_may_verify_and_nothing_else(hold: Hold, held: Any, request_octets: Any) -> None:
    """C-ECHO is answered; C-FIND and N-CREATE get 0124, on an association that stays."""
    running = await hold()
    peer = await running.associated(proposal(request_octets, "CT9"))

    statuses = []
    for field, sop_class, context in (
        (C_ECHO_RQ, VERIFICATION, 5),
        (C_FIND_RQ, WORKLIST_FIND, 1),
        (N_CREATE_RQ, PERFORMED_STEP, 3),
    ):
        data = None if field == C_ECHO_RQ else KEYS
        peer.request(field, sop_class=sop_class, context=context, data=data)
        statuses.append((await peer.response())[0].get(0x900))

    assert statuses == [0x0000, 0x0124, 0x0124]
    assert [each.calling_ae for each in held[1]] == ["CT9"]
    assert held[1][0].held
    await peer.release()


async def test_a_configured_device_is_not_in_quarantine(hold: Hold, held: Any, request_octets: Any) -> None:
    """It is not counted, however many of the others there are."""
    running = await hold()
    strangers = [await running.associated(proposal(request_octets, f"X{n}")) for n in range(2)]

    peer = await running.associated(proposal(request_octets, "CT1"))
    peer.request(C_FIND_RQ, data=KEYS)
    statuses = await peer.statuses()

    assert statuses[-1] == 0x0000
    assert [each.calling_ae for each in held[1]] == ["X0", "X1"]
    for each in (peer, *strangers):
        await each.release()


async def test_a_quarantine_that_is_full_rejects(hold: Hold, request_octets: Any) -> None:
    """As if nobody were held, until one leaves."""
    running = await hold()
    first, second = [await running.associated(proposal(request_octets, f"X{n}")) for n in range(2)]

    third = await running.connect()
    third.send(proposal(request_octets, "X2"))
    kind, body = await third.receive()
    rejection = CALLING_AE_NOT_RECOGNISED
    assert (kind, tuple(body[1:])) == (3, (rejection.result, rejection.source, rejection.reason))
    await third.close()
    await first.release()
    fourth = await running.associated(proposal(request_octets, "X3"))
    await fourth.release()
    await second.release()


def test_who_calls_another_is_never_held(generic: Any, held: Any) -> None:
    """It is not this broker that is meant."""
    devices = Devices("MWL", {"CT1": generic}, ZONE, quarantine=held[0])

    assert devices.admit(AssociationFacts("CT9", "OTHER")) == CALLED_AE_NOT_RECOGNISED
    assert devices.admit(AssociationFacts("CT9", "MWL")) is None


def test_where_anyone_may_ask_nobody_is_unknown(generic: Any, held: Any) -> None:
    """`"*"` stands for them all."""
    devices = Devices("MWL", {"*": generic}, ZONE, quarantine=held[0])

    assert devices.known(AssociationFacts("CT9", "MWL")) is not None
