"""Which requests are sent on to other SCPs, in whose words, and what subscribers hear of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dicom.performing import (
    BIG_ENDIAN,
    SERIES,
    STATUS,
    TOLD,
    U1,
    element,
    encoded,
    ended,
    kept,
    n_create,
    series,
    waiting,
)

from mwl.dicom.performed import PerformedService
from mwl.dicom.service import N_CREATE_RQ, N_SET_RQ
from mwl.model import Document, WorklistItem, text
from mwl.store import Store
from mwl.store.onward import Onward, Route

PACS = Onward((Route("PACS"),), ("VIEWER",))


@pytest.fixture
def nc(f0_items: dict[str, WorklistItem]) -> Callable[..., Document]:
    """The base N-CREATE of F.3 for S1."""
    return lambda **changes: n_create(f0_items["S1"], **changes)


@pytest.fixture
def by(store: Store, devices: Any, profile: Any) -> Callable[..., PerformedService]:
    """The service by a profile with these lines under `mpps`."""

    def make(written: str = "", onward: Onward = PACS) -> PerformedService:
        return PerformedService(store, devices(anyone=profile(f"mpps: {{{written}}}")), TOLD, onward=onward)

    return make


@pytest.fixture
def report(ask: Any) -> Callable[..., Any]:
    """Send N-CREATE, or N-SET."""

    async def send(service: Any, document: Document, *, sets: bool = False, **more: Any) -> Any:
        field = N_SET_RQ if sets else N_CREATE_RQ
        return await ask(service, field, encoded(document, **more), uid=U1)

    return send


def forwarded(store: Store) -> list[tuple[str, str]]:
    """Return operation and destination of what is sent on, oldest first."""
    return [(row.event, row.destination) for row in waiting(store, "forward")]


def heard(store: Store) -> list[int]:
    """Return the event types that are notified, oldest first."""
    return [row.facts["type"] for row in waiting(store, "notification")]


async def test_what_changed_anything_is_sent_on(by: Any, store: Store, report: Any, nc: Any) -> None:
    """By reference to the bytes that are kept; what was refused, or repeated, is not."""
    service = by("accept: {repeat: idempotent, nset_after_final: ack}")
    await report(service, nc())
    await report(service, nc())
    await report(service, ended("ABORTED"), sets=True)
    await report(service, {SERIES: series("1.1")}, sets=True)
    await report(service, ended("COMPLETED"), sets=True)
    await report(service, {SERIES: series("9.9")}, sets=True)

    rows = waiting(store, "forward")
    assert [(row.event, row.facts["ends"]) for row in rows] == [
        ("N-CREATE", False), ("N-SET", False), ("N-SET", True),
    ]  # fmt: skip
    assert [row.facts["request"] for row in rows] == [each.key for each in kept(store)[:3]]
    assert {row.facts["document"] for row in rows} == {None}
    assert len({row.thread for row in rows}) == 1


async def test_f_m27_subscribers_hear_what_happened(by: Any, store: Store, report: Any, nc: Any) -> None:
    """1 in progress, 4 updated, 2 completed; nothing where nothing changed."""
    service = by()
    await report(service, nc())
    await report(service, {SERIES: series("1.1")}, sets=True)
    await report(service, {SERIES: series("1.1")}, sets=True)
    await report(service, ended("COMPLETED"), sets=True)

    assert heard(store) == [1, 4, 2]


@pytest.mark.parametrize(("state", "notice"), [("COMPLETED", 2), ("DISCONTINUED", 3)])
async def test_m02_a_step_that_was_over_is_sent_on_as_other_scps_take_it(
    by: Any, store: Store, report: Any, nc: Any, state: str, notice: int
) -> None:
    """An N-CREATE in progress and the N-SET that ends it: what came would be refused everywhere."""
    over = nc(**{f"t{tag}": each for tag, each in ended(state).items()})

    await report(by("accept: {ncreate_final: synthesise}"), over)

    create, change = waiting(store, "forward")
    assert (create.event, change.event, change.facts["ends"]) == ("N-CREATE", "N-SET", True)
    assert create.facts["document"] == over | {STATUS: element("CS", "IN PROGRESS")}
    assert change.facts["document"] == ended(state)
    assert heard(store) == [1, notice]


async def test_m05_an_n_set_that_made_a_step_is_sent_on_as_it_came(
    by: Any, store: Store, report: Any
) -> None:
    """The peer may well know the step; what follows is sent on, too."""
    service = by("accept: {nset_unknown: create}")
    await report(service, {SERIES: series("1.1")}, sets=True)
    await report(service, ended("COMPLETED"), sets=True)

    assert forwarded(store) == [("N-SET", "PACS"), ("N-SET", "PACS")]
    assert heard(store) == [1, 2]


@pytest.mark.parametrize(
    ("forward", "sent"),
    [
        ("", True),
        ("forward: {include: [{Modality: CT}]}", True),
        ("forward: {include: [{Modality: MR}, {Modality: [US, CT]}]}", True),
        ("forward: {include: [{Modality: MR}]}", False),
        ("forward: {exclude: [{PerformedStationAETitle: CT_ROOM1}]}", False),
        ("forward: {include: [{Modality: CT}], exclude: [{$calling_ae: CT1}]}", False),
    ],
)
async def test_p36_a_profile_says_which_steps_are_sent_on(
    by: Any, store: Store, report: Any, nc: Any, forward: str, sent: bool
) -> None:
    """By what is stored of the N-CREATE: the code string is put right before; an N-SET follows it."""
    service = by(forward)
    await report(service, nc(t00080060=element("CS", "ct")))
    await report(service, ended("COMPLETED"), sets=True)

    assert forwarded(store) == ([("N-CREATE", "PACS"), ("N-SET", "PACS")] if sent else [])
    assert heard(store) == [1, 2]  # subscribers ask for what they want to know


async def test_a_destination_gets_what_its_devices_perform(
    by: Any, store: Store, report: Any, nc: Any
) -> None:
    """The device of these tests is CT1."""
    onward = Onward((Route("CTS", frozenset({"CT1"})), Route("MRS", frozenset({"MR1"})), Route("ALL")))

    await report(by(onward=onward), nc())

    assert forwarded(store) == [("N-CREATE", "CTS"), ("N-CREATE", "ALL")]


async def test_a_profile_may_have_the_broker_s_words_sent(
    by: Any, store: Store, report: Any, nc: Any
) -> None:
    """Clean, and led back: what is stored; of an N-SET without what may not be set."""
    service = by("forward: {values: canonical}")
    await report(service, nc(t00080060=element("CS", "ct")))
    await report(service, {**ended("COMPLETED"), "00100020": element("LO", "PID999")}, sets=True)

    create, change = waiting(store, "forward")
    assert text(create.facts["document"], "00080060") == "CT"
    assert (create.facts["request"], change.facts["document"]) == (None, ended("COMPLETED"))


async def test_requests_in_any_syntax_are_kept_and_sent_on(by: Any, store: Store, ask: Any, nc: Any) -> None:
    """The transfer syntax stands with the bytes."""
    await ask(by(), N_CREATE_RQ, encoded(nc(), BIG_ENDIAN), uid=U1, syntax=BIG_ENDIAN)

    assert [each.transfer_syntax for each in kept(store)] == [BIG_ENDIAN]
    assert len(forwarded(store)) == 1
