"""Every query that is over is told of: what was asked, what became of it, and never at the device's cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mwl.dicom.encoding import encode_dataset
from mwl.dicom.observing import UNKNOWN, Observation, recorded, tell
from mwl.dicom.service import (
    C_FIND_RQ,
    AssociationEnded,
    AssociationFacts,
    Command,
    Context,
    ProposedContext,
    Request,
)
from mwl.dicom.worklist import WORKLIST_FIND, WorklistService
from mwl.errors import Unavailable
from mwl.mapping.paths import parse_path, vr
from mwl.mapping.text.charset import DEFAULT
from mwl.model import Document
from mwl.store import Store

EXPLICIT = "1.2.840.10008.1.2.1"


class Watch:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def answered(self, seen: Observation) -> None:
        self.seen.append(seen)


class Broken:
    """An observer that fails."""

    def answered(self, seen: Observation) -> None:
        raise ValueError("a defect")


@pytest.fixture
def watch() -> Watch:
    """Someone who looks on."""
    return Watch()


def identifier(**keys: str) -> bytes:
    """Return keys of the step as a device sends them."""
    step: Document = {}
    for name, value in keys.items():
        tag = parse_path(name)[-1]
        step[tag] = {"vr": vr(tag), "Value": [value]} if value else {"vr": vr(tag)}
    return encode_dataset({"00400100": {"vr": "SQ", "Value": [step]}}, EXPLICIT, DEFAULT)


KEYS = identifier(Modality="CT", ScheduledProcedureStepID="")


@pytest.fixture
def service(
    store: Store, devices: Callable[..., Any], generic: Any, watch: Watch
) -> Callable[..., WorklistService]:
    """The service with someone who looks on."""

    def make(profile: Any = None, **more: Any) -> WorklistService:
        return WorklistService(store, devices(CT1=profile or generic), observers=(watch,), **more)

    return make


async def test_a_query_is_told_of_with_its_bytes_and_its_result(
    service: Any, watch: Watch, ask: Any, generic: Any
) -> None:
    """As it came, with the entry of the configuration and the profile that answered."""
    answer = await ask(service(), C_FIND_RQ, KEYS)

    (seen,) = watch.seen
    assert (seen.identifier, seen.transfer_syntax, seen.device) == (KEYS, EXPLICIT, "CT1")
    assert (seen.status, seen.profile) == (0x0000, generic)
    assert seen.matched == seen.sent == len(answer.pendings) > 0
    assert (seen.association.calling_ae, seen.association.address) == ("CT1", "127.0.0.1")
    assert (seen.left_out, seen.left_out_count, seen.missing_message_id) == ((), 0, False)
    assert seen.seconds > 0


async def test_a_step_that_is_left_out_is_told_of_with_its_line(
    service: Any, watch: Watch, ask: Any, profile: Any
) -> None:
    """At the first query and at those that are answered from the cache."""
    needs = profile("require: {max_len: {SPS.Modality: 1}, on_fail: skip_item}")
    strict = service(needs)

    for _ in range(2):
        await ask(strict, C_FIND_RQ, KEYS)

    first, second = watch.seen
    assert (first.sent, first.left_out) == (0, second.left_out)
    assert first.matched == first.left_out_count == len(first.left_out) > 0
    assert first.left_out[0].path == "SPS.Modality"
    assert "site.yaml:4" in first.left_out[0].origin
    assert not first.left_out[0].intended


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", 0xA900), (b"\x08\x00\x05\x00CS\xff\x00", 0xC002), (identifier(Modality="*"), 0)],
)
async def test_a_query_that_is_refused_is_told_of(
    service: Any, watch: Watch, ask: Any, data: bytes, status: int
) -> None:
    """That is when somebody wants to see it."""
    await ask(service(), C_FIND_RQ, data)

    assert [(each.identifier, each.status) for each in watch.seen] == [(data, status)]


async def test_a_query_that_the_database_fails_is_told_of(
    service: Any, watch: Watch, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the status that the device gets."""
    failing = service()

    async def away(work: Any) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(failing._store, "read", away)
    with pytest.raises(Unavailable):
        await ask(failing, C_FIND_RQ, KEYS)

    assert [each.status for each in watch.seen] == [0xC001]


@pytest.mark.parametrize("how", [AssociationEnded("lost"), asyncio.CancelledError()])
async def test_a_device_that_hangs_up_is_told_of_without_a_status(
    service: Any, watch: Watch, ask: Any, said: Any, how: BaseException
) -> None:
    """How far it came is what there is to know."""

    class Gone(said):  # type: ignore[misc]
        async def stream(self, pendings: Any, status: int) -> int:
            raise how

    with pytest.raises(type(how)):
        await ask(service(), C_FIND_RQ, KEYS, answer=Gone())

    (seen,) = watch.seen
    assert (seen.status, seen.sent) == (None, 0)
    assert seen.matched > 0


async def test_a_caller_that_no_entry_stands_for_is_answered_0124_and_told_of(
    service: Any, watch: Watch, ask: Any
) -> None:
    """It has no profile; its keys are not looked at."""
    answer = await ask(service(), C_FIND_RQ, KEYS, calling="CT9")

    (seen,) = watch.seen
    assert (answer.final, answer.pendings) == (0x0124, [])
    assert (seen.device, seen.profile, seen.status, seen.identifier) == (UNKNOWN, None, 0x0124, KEYS)


async def test_a_request_without_message_id_is_marked(service: Any, watch: Watch, said: Any) -> None:
    """F52: the engineer must know that the profile tolerates it."""
    facts = AssociationFacts("CT1", "MWL")
    request = Request(
        Command({0x100: C_FIND_RQ}), KEYS, Context(1, WORKLIST_FIND, EXPLICIT), facts, lambda: False
    )

    await service().handle(request, said())

    assert watch.seen[0].missing_message_id


async def test_an_observer_that_fails_harms_nobody(
    store: Store, devices: Any, generic: Any, watch: Watch, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the device nor the next observer."""
    both = WorklistService(store, devices(CT1=generic), observers=(Broken(), watch))

    answer = await ask(both, C_FIND_RQ, KEYS)

    assert answer.final == 0x0000
    assert len(watch.seen) == 1
    assert "observer failed" in caplog.messages


def test_a_defect_is_logged_without_what_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    """An identifier may hold a patient's name."""
    seen = Observation(AssociationFacts("CT1", "MWL"), "CT1", EXPLICIT, b"DOE^JANE", None, 0)

    tell((Broken(),), seen)

    assert "DOE" not in caplog.text
    assert "DOE" not in repr(seen)


def test_an_association_is_recorded_with_what_it_proposed() -> None:
    """Beside who called whom, which has columns of its own."""
    contexts = (ProposedContext(1, WORKLIST_FIND, (EXPLICIT,)),)
    facts = AssociationFacts("CT1", "MWL", max_pdu=4096, contexts=contexts, fuzzy=True)

    found = recorded(facts, missing_message_id=True)

    assert [(each.abstract_syntax, each.transfer_syntaxes) for each in found.contexts] == [
        (WORKLIST_FIND, (EXPLICIT,))
    ]
    assert (found.max_pdu, found.fuzzy, found.timezone, found.missing_message_id) == (4096, True, False, True)
