"""P33: what a device gets where the broker cannot answer, asks too often, or cancels."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from dicom.asking import change, encoded, identifier, ids

from mwl.dicom import worklist
from mwl.dicom.last_good import LastGood
from mwl.dicom.response_cache import ResponseCache
from mwl.dicom.service import C_FIND_RQ
from mwl.dicom.worklist import WorklistService
from mwl.errors import Unavailable
from mwl.store import Store

STALE = "session: {on_error: stale, stale: 120s}"


class Clock:
    """Seconds as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """It stands still until it is moved."""
    return Clock()


@pytest.fixture
def serving(store: Store, devices: Any, profile: Any, clock: Clock) -> Callable[..., WorklistService]:
    """A service for anyone, by a profile of a few lines, whose lists age by the test's clock."""

    def serve(lines: str, **session: Any) -> WorklistService:
        bound = profile(lines)
        bound = replace(bound, session=bound.session.model_copy(update=session))
        cache = ResponseCache()
        cache.lists = LastGood(clock=clock)
        return WorklistService(store, devices(anyone=bound), cache)

    return serve


@pytest.fixture
def find(ask: Any) -> Callable[..., Any]:
    """Query a service for a patient."""

    async def query(service: WorklistService, patient: str = "PID001", **more: Any) -> Any:
        keys = identifier({"SPS.ScheduledProcedureStepID": "", "PatientID": patient})
        return await ask(service, C_FIND_RQ, encoded(keys), **more)

    return query


@pytest.fixture
def reads(store: Store, monkeypatch: Any) -> list[int]:
    """Counts what the store is asked."""
    asked: list[int] = []
    read = store.read

    async def counting(work: Any) -> Any:
        asked.append(1)
        return await read(work)

    monkeypatch.setattr(store, "read", counting)
    return asked


async def test_f35_the_last_good_list_takes_the_place_of_a_failure(
    store: Store, serving: Any, find: Any, clock: Clock, caplog: Any
) -> None:
    """Esaote: the same bytes, success, and the log tells that it is old, and how old."""
    service = serving(STALE)
    good = await find(service)
    await store.close()
    clock.now = 119

    with caplog.at_level(logging.INFO, "mwl"):
        stale = await find(service)

    assert stale.pendings == good.pendings
    assert (ids(stale), stale.final) == ("S1 S12 S3", 0x0000)
    in_place, answered = (record for record in caplog.records if "worklist" in record.getMessage())
    assert in_place.levelno == logging.ERROR
    assert (in_place.fields["device"], in_place.fields["setting"]) == ("CT1", "session.on_error: stale")
    assert answered.fields["list_age"] == 119
    assert "PID001" not in str([record.fields for record in caplog.records])


async def test_f35_a_list_that_is_too_old_is_a_failure(
    store: Store, serving: Any, find: Any, clock: Clock
) -> None:
    """Never an invented empty list, and never yesterday's."""
    service = serving(STALE)
    await find(service)
    await store.close()
    clock.now = 121

    with pytest.raises(Unavailable):
        await find(service)


@pytest.mark.parametrize(
    "other", [{"patient": "PID002"}, {"calling": "MR1"}, {"syntax": "1.2.840.10008.1.2"}]
)
async def test_another_question_has_no_last_good_list(
    store: Store, serving: Any, find: Any, ask: Any, other: dict[str, str]
) -> None:
    """Neither another patient's, nor another device's, nor one in other bytes."""
    service = serving(STALE)
    await find(service)
    await store.close()
    keys = identifier({"SPS.ScheduledProcedureStepID": "", "PatientID": other.pop("patient", "PID001")})

    with pytest.raises(Unavailable):
        await ask(service, C_FIND_RQ, encoded(keys, other.get("syntax", "1.2.840.10008.1.2.1")), **other)


async def test_a_list_that_has_begun_to_leave_is_not_made_whole_with_an_old_one(
    store: Store, serving: Any, find: Any, said: Any, monkeypatch: Any
) -> None:
    """A device would show a patient twice: it hears of the failure instead."""
    monkeypatch.setattr(worklist, "_SLICE", 1)
    service = serving(f"{STALE}\nset: {{PatientComments: $now}}")  # nothing encoded is kept
    await find(service)
    answer = said(store.close_now)

    with pytest.raises(Unavailable):
        await find(service, answer=answer)

    assert len(answer.pendings) == 1
    assert answer.finals == []


async def test_a_query_that_is_wrong_gets_no_old_list(serving: Any, find: Any, ask: Any) -> None:
    """Only where the broker cannot answer."""
    service = serving(STALE)
    await find(service)

    answer = await ask(service, C_FIND_RQ, b"")

    assert (answer.pendings, answer.final) == ([], 0xA900)


async def test_an_empty_list_is_a_good_one(store: Store, serving: Any, find: Any) -> None:
    """There was nobody, and that is what is said again."""
    service = serving(STALE)
    await find(service, "nobody")
    await store.close()

    answer = await find(service, "nobody")

    assert (answer.pendings, answer.final) == ([], 0x0000)


@pytest.mark.parametrize(
    ("lines", "final"),
    [("session: {on_error: fail}", None), ("session: {on_error: success_empty, unsafe: true}", 0x0000)],
)
async def test_where_nothing_is_kept_the_profile_decides(
    store: Store, serving: Any, find: Any, lines: str, final: int | None
) -> None:
    """A failure, or by an engineer's explicit word an empty list (12.3 b)."""
    service = serving(lines)
    await find(service)
    await store.close()

    if final is None:
        with pytest.raises(Unavailable):
            await find(service)
    else:
        answer = await find(service)
        assert (answer.pendings, answer.final) == ([], final)
    assert service._lists.size == 0


@pytest.mark.parametrize("stale", [False, True])
async def test_f54_a_device_is_answered_before_it_gives_up(
    store: Store, serving: Any, find: Any, monkeypatch: Any, stale: bool
) -> None:
    """A store that takes too long is one that does not answer: the old list, or a failure."""
    lines = STALE if stale else ""
    service = serving(lines, answer_within=dt.timedelta(milliseconds=20))
    patient = serving(lines)
    patient._lists = service._lists
    good = await find(patient) if stale else None

    async def silent(work: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "read", silent)

    if good is None:
        with pytest.raises(Unavailable, match="answer_within"):
            await find(service)
    else:
        answer = await find(service)
        assert (answer.pendings, answer.final) == (good.pendings, 0x0000)


async def test_min_poll_answers_a_hasty_device_from_memory(
    store: Store, serving: Any, find: Any, clock: Clock, reads: list[int]
) -> None:
    """Terason polls while it is on: within the time the same list, behind it what is true."""
    service = serving("session: {min_poll: 30s}")
    first = await find(service)
    asked = len(reads)
    change(store, "S1", "step", "00400009", {"vr": "SH", "Value": ["S1B"]})

    clock.now = 29
    again = await find(service)
    other = await find(service, "PID002")
    clock.now = 31
    after = await find(service)

    assert again.pendings == first.pendings
    assert ids(other) == "S2"
    assert ids(after) == "S1B S12 S3"
    assert asked < len(reads)


@pytest.mark.parametrize(("lines", "final"), [("", 0xFE00), ("session: {cancel: as_success}", 0x0000)])
async def test_f53_a_cancelled_query_ends_as_the_device_understands_it(
    serving: Any, find: Any, said: Any, monkeypatch: Any, lines: str, final: int
) -> None:
    """No further pendings in either case; half a list is never kept as a good one."""
    monkeypatch.setattr(worklist, "_SLICE", 1)
    service = serving(f"{lines or 'session: {}'}")
    heard = asyncio.Event()

    answer = await find(service, answer=said(heard.set), cancelled=heard.is_set)

    assert (len(answer.pendings), answer.final) == (1, final)


async def test_half_a_list_is_no_good_list(
    store: Store, serving: Any, find: Any, said: Any, monkeypatch: Any
) -> None:
    """What was cancelled is not what the device would get instead of a failure."""
    monkeypatch.setattr(worklist, "_SLICE", 1)
    service = serving(STALE)
    heard = asyncio.Event()
    await find(service, answer=said(heard.set), cancelled=heard.is_set)
    await store.close()

    with pytest.raises(Unavailable):
        await find(service)


async def test_lists_outlive_a_reload(store: Store, devices: Any, profile: Any, find: Any) -> None:
    """Like the responses in them: the profile's digest is part of what was asked."""
    cache, bound = ResponseCache(), profile(STALE)
    good = await find(WorklistService(store, devices(anyone=bound), cache))
    await store.close()

    answer = await find(WorklistService(store, devices(anyone=bound), cache))

    assert answer.pendings == good.pendings
    with pytest.raises(Unavailable):
        await find(WorklistService(store, devices(anyone=profile(f"{STALE}\nlimit: {{max: 5}}")), cache))
