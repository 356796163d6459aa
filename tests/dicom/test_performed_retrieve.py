"""N-GET on a real store: what is known of a performed step, and in which letters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dicom.performing import (
    COMMENT,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    STATUS,
    STEP_ID,
    TAGS,
    TOLD,
    U1,
    element,
    encoded,
    ended,
    n_create,
)
from prometheus_client import REGISTRY

from mwl.dicom.devices import Devices
from mwl.dicom.encoding import decode_dataset
from mwl.dicom.performed import PerformedService
from mwl.dicom.performed_retrieve import RetrieveService
from mwl.dicom.service import N_CREATE_RQ, N_GET_RQ, N_SET_RQ
from mwl.errors import Unavailable
from mwl.model import Document, WorklistItem, name_value, text
from mwl.store import Store

CHARSET, NAME, PATIENT, DESCRIPTION = "00080005", "00100010", "00100020", "00400254"
LATIN = element("CS", "ISO_IR 100")


@pytest.fixture
def retrieve(store: Store, devices: Any, generic: Any) -> RetrieveService:
    """The service by the generic profile."""
    return RetrieveService(store, devices(anyone=generic))


@pytest.fixture
async def created(
    store: Store, devices: Any, generic: Any, ask: Any, f0_items: dict[str, WorklistItem]
) -> Callable[..., Any]:
    """Store a performed step."""
    mpps = PerformedService(store, devices(anyone=generic), TOLD)

    async def make(charset: str = "ISO_IR 192", **changes: Any) -> Document:
        document = n_create(f0_items["S1"], **changes)
        await ask(mpps, N_CREATE_RQ, encoded(document, charset=charset), uid=U1)
        return document

    make.mpps = mpps  # type: ignore[attr-defined]
    return make


@pytest.fixture
def get(ask: Any) -> Callable[..., Any]:
    """Ask for attributes, by their tags; none: all."""

    async def send(service: Any, *tags: str, uid: str | None = U1, syntax: str = EXPLICIT) -> Any:
        more = {TAGS: tuple(int(tag, 16) for tag in tags)} if tags else None
        return await ask(service, N_GET_RQ, None, uid=uid, syntax=syntax, more=more)

    return send


async def test_who_is_given_a_performed_step_is_told(retrieve: Any, created: Any, get: Any) -> None:
    """Whoever audits hears of it; of one that is not there nothing is to be told."""
    told: list[str] = []
    retrieve._on_read = lambda _who, step: told.append(step.uid)
    await created()

    await get(retrieve)
    await get(retrieve, uid="1.2.3.4.5.6")

    assert told == [U1]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
async def test_f_m25_what_is_asked_for_is_returned(
    retrieve: Any, created: Any, get: Any, syntax: str
) -> None:
    """0000 with these attributes and their character set, and no other."""
    await created()

    answer = await get(retrieve, STATUS, PATIENT, syntax=syntax)

    assert (answer.final, answer.fields) == (0x0000, {INSTANCE: U1})
    assert decode_dataset(answer.data, syntax) == {
        CHARSET: LATIN, STATUS: element("CS", "IN PROGRESS"), PATIENT: element("LO", "PID001"),
    }  # fmt: skip


async def test_f_m25_without_a_list_all_is_returned(retrieve: Any, created: Any, get: Any) -> None:
    """As it is stored."""
    document = await created()

    answer = await get(retrieve)

    found = decode_dataset(answer.data, EXPLICIT)
    found.pop(CHARSET, None)
    assert (answer.final, found) == (0x0000, document)


async def test_f_m25_what_is_not_supported_is_named(retrieve: Any, created: Any, get: Any) -> None:
    """0001 with the tags and the rest; what the table has and the device left out comes back empty."""
    await created(t00400281=None)

    answer = await get(retrieve, STATUS, "00400281", "00181110", "00091001")

    assert (answer.final, answer.fields) == (0x0001, {INSTANCE: U1, TAGS: [0x00181110, 0x00091001]})
    assert decode_dataset(answer.data, EXPLICIT) == {
        CHARSET: LATIN, STATUS: element("CS", "IN PROGRESS"), "00400281": element("SQ"),
    }  # fmt: skip


async def test_f_m25_an_unknown_instance(retrieve: Any, get: Any) -> None:
    """0112; a malformed one is 0117."""
    unknown, malformed = await get(retrieve, STATUS), await get(retrieve, STATUS, uid="1.02")

    assert (unknown.final, unknown.data, malformed.final) == (0x0112, None, 0x0117)
    assert unknown.fields[COMMENT]


async def test_the_character_set_may_be_asked_for(retrieve: Any, created: Any, get: Any) -> None:
    """It comes in any case, and is none that is not supported."""
    await created()

    answer = await get(retrieve, CHARSET)

    assert (answer.final, decode_dataset(answer.data, EXPLICIT)) == (0x0000, {CHARSET: LATIN})


async def test_f_m16_one_character_set_comes_out(retrieve: Any, created: Any, get: Any, ask: Any) -> None:
    """A name written in ISO_IR 100 and a text in ISO_IR 192, both readable."""
    await created("ISO_IR 100", t00100010=element("PN", name_value("MÜLLER^JÜRGEN")))
    await ask(created.mpps, N_SET_RQ, encoded({DESCRIPTION: element("LO", "胸部")}), uid=U1)

    answer = await get(retrieve, NAME, DESCRIPTION)

    found = decode_dataset(answer.data, EXPLICIT)
    assert (text(found, NAME), text(found, DESCRIPTION)) == ("MÜLLER^JÜRGEN", "胸部")
    assert text(found, CHARSET) == "ISO_IR 192"


async def test_a_device_is_answered_in_a_set_it_reads(
    store: Store, devices: Any, profile: Any, created: Any, get: Any, ask: Any
) -> None:
    """Its profile says which: in Latin letters where it has no other; nothing where it may not be changed."""
    await created(t00100010=element("PN", name_value("Иванов^Иван")))
    latin = RetrieveService(store, devices(anyone=profile("charset: {fixed: ISO_IR 100}")))
    strict = RetrieveService(store, devices(anyone=profile("charset: {fixed: ISO_IR 100, unfit: skip_item}")))

    answer, refused = await get(latin, NAME), await get(strict, NAME)

    found = decode_dataset(answer.data, EXPLICIT)
    assert (text(found, NAME), text(found, CHARSET)) == ("Ivanov^Ivan", "ISO_IR 100")
    assert (refused.final, refused.data) == (0x0110, None)


async def test_the_state_is_the_latest(retrieve: Any, created: Any, get: Any, ask: Any) -> None:
    """What was set is what is got; identifying attributes are those of the N-CREATE."""
    await created()
    await ask(created.mpps, N_SET_RQ, encoded(ended("COMPLETED")), uid=U1)

    found = decode_dataset((await get(retrieve, STATUS, STEP_ID)).data, EXPLICIT)

    assert (text(found, STATUS), text(found, STEP_ID)) == ("COMPLETED", "PPS1")


async def test_times_come_back_in_the_device_s_zone(
    store: Store, profile: Any, ask: Any, get: Any, f0_items: dict[str, WorklistItem]
) -> None:
    """As it had sent them (P8 `window.tz`); what is stored is the site's."""
    bound = profile("window: {tz: UTC}")
    known = Devices("MWL", {"CT1": bound}, ZoneInfo("Europe/Berlin"), lambda: dt.datetime.now(dt.UTC))
    await ask(PerformedService(store, known, TOLD), N_CREATE_RQ, encoded(n_create(f0_items["S1"])), uid=U1)

    answer = await get(RetrieveService(store, known), "00400244", "00400245")

    assert text(decode_dataset(answer.data, EXPLICIT), "00400245") == "091000"


async def test_a_database_that_does_not_answer_is_a_failure(retrieve: Any, store: Store, get: Any) -> None:
    """And it is counted."""
    figure = ("mwl_performed_requests_total", {"operation": "N-GET", "status": "0110"})
    before = REGISTRY.get_sample_value(*figure) or 0
    await store.close()

    with pytest.raises(Unavailable):
        await get(retrieve, STATUS)

    assert REGISTRY.get_sample_value(*figure) == before + 1


async def test_f_m26_each_class_has_its_own_operations(
    retrieve: Any, created: Any, start: Any, request_octets: Any
) -> None:
    """N-GET is the retrieve class's, N-CREATE and N-SET are not: 0211; the rest is nobody's."""
    await created()
    running = await start(created.mpps, retrieve)
    contexts = [("1.2.840.10008.3.1.2.3.3", [EXPLICIT]), ("1.2.840.10008.3.1.2.3.4", [EXPLICIT])]
    peer = await running.associated(request_octets(*contexts))
    found = {}
    for context, (sop_class, _) in zip((1, 3), contexts, strict=True):
        for field in (0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150):
            peer.request(field, sop_class=sop_class, context=context, elements={0x1000: "1.2", 0x1001: U1})
            command, _ = await peer.response()
            found[context, field] = command.get(0x900)

    assert {key for key, status in found.items() if status != 0x0211} == {
        (1, 0x0120),
        (1, 0x0140),
        (3, 0x0110),
    }
    assert found[3, 0x0110] == 0x0000
