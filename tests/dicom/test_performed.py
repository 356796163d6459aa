"""The performed step service on a real store: statuses, what is stored, what the RIS is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from dicom.performing import (
    COMMENT,
    DEFLATED,
    END_DATE,
    END_TIME,
    ERROR_ID,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    ITEMS,
    SERIES,
    STATUS,
    STEP_ID,
    TAGS,
    TOLD,
    U1,
    U2,
    document,
    element,
    encoded,
    ended,
    n_create,
    reported,
    scheduled,
    series,
    states,
    stored,
    told,
)
from prometheus_client import REGISTRY

from mwl.dicom.encoding import decode_dataset
from mwl.dicom.performed import PerformedService
from mwl.dicom.service import N_CREATE_RQ, N_SET_RQ
from mwl.dicom.uids import is_uid
from mwl.errors import Unavailable
from mwl.mapping import paths
from mwl.model import Document, WorklistItem, name_value, text, values
from mwl.store import Store
from mwl.store.linking import Remark


@pytest.fixture
def nc(f0_items: dict[str, WorklistItem]) -> Callable[..., Document]:
    """The base N-CREATE of F.3, of the steps named; ``t00400241=None`` leaves an attribute out."""

    def make(*steps: str, **changes: dict[str, Any] | None) -> Document:
        return n_create(*(f0_items[step] for step in steps or ("S1",)), **changes)

    return make


@pytest.fixture
def service(store: Store, devices: Any, generic: Any) -> PerformedService:
    """The service by the generic profile, which tolerates; RIS is told."""
    return PerformedService(store, devices(anyone=generic), TOLD)


@pytest.fixture
def strict(store: Store, devices: Any, profile: Any) -> PerformedService:
    """The service by a profile that tolerates nothing."""
    return PerformedService(store, devices(anyone=profile("mpps: {accept: {strict: true}}")), TOLD)


@pytest.fixture
def tolerant(store: Store, devices: Any, profile: Any) -> PerformedService:
    """The service by a profile that takes repetitions."""
    lines = "mpps: {accept: {repeat: idempotent, nset_after_final: ack}}"
    return PerformedService(store, devices(anyone=profile(lines)), TOLD)


@pytest.fixture
def create(ask: Any) -> Callable[..., Any]:
    """Send N-CREATE."""

    async def send(service: Any, document: Document, uid: str | None = U1, **more: Any) -> Any:
        return await ask(service, N_CREATE_RQ, encoded(document), uid=uid, **more)

    return send


@pytest.fixture
def change(ask: Any) -> Callable[..., Any]:
    """Send N-SET."""

    async def send(service: Any, document: Document, uid: str | None = U1, **more: Any) -> Any:
        return await ask(service, N_SET_RQ, encoded(document), uid=uid, **more)

    return send


# --- N-CREATE ------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
async def test_f_m01_a_step_begins(service: Any, store: Store, ask: Any, nc: Any, syntax: str) -> None:
    """0000 after the commit: stored, the scheduled step STARTED, the RIS told."""
    answer = await ask(service, N_CREATE_RQ, encoded(nc(), syntax), uid=U1, syntax=syntax)

    assert answer.finals == [(0x0000, None, {INSTANCE: U1})]
    assert states(store, "S1") == ["STARTED"]
    assert told(store) == [("IP", "ACC1001")]
    assert text(document(store), STEP_ID) == "PPS1"


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED", "SCHEDULED", "IN_PROGRESS"])
async def test_f_m02_a_step_that_does_not_begin_is_refused(
    service: Any, store: Store, create: Any, nc: Any, state: str
) -> None:
    """0106 with the offending attribute alone; nothing is stored, in either mode."""
    answer = await create(service, nc(t00400252=element("CS", state)))

    assert (answer.final, answer.fields[INSTANCE]) == (0x0106, U1)
    assert decode_dataset(answer.data, EXPLICIT) == {STATUS: element("CS", state)}
    assert (stored(store), states(store, "S1"), told(store)) == (None, ["SCHEDULED"], [])


async def test_a_state_that_is_no_text_is_refused_without_being_sent_back(
    strict: Any, ask: Any, nc: Any
) -> None:
    """Its bytes are no value of the attribute: the comment has to do."""
    raw = encoded(nc()).replace(b"IN PROGRESS ", b"\xff\xfe PROGRESS ")

    answer = await ask(strict, N_CREATE_RQ, raw, uid=U1)

    assert (answer.final, answer.data) == (0x0106, None)


async def test_f_m03_a_missing_attribute(
    service: Any, strict: Any, store: Store, create: Any, nc: Any, caplog: Any
) -> None:
    """Strict: 0120 with the tag; lenient: taken and reported."""
    refused = await create(strict, nc(t00400241=None))
    assert (refused.final, refused.data, stored(store)) == (0x0120, None, None)
    assert refused.fields[TAGS] == [0x00400241]
    assert refused.fields[COMMENT]

    with caplog.at_level(logging.WARNING, "mwl"):
        taken = await create(service, nc(t00400241=None))

    assert (taken.final, states(store, "S1")) == (0x0000, ["STARTED"])
    assert reported(caplog) == ["a type 1 attribute is missing: PerformedStationAETitle"]
    assert stored(store).remarks == (Remark.IRREGULAR,)


async def test_f_m04_an_empty_attribute(service: Any, strict: Any, create: Any, nc: Any, caplog: Any) -> None:
    """Strict: 0121 with the empty attribute; lenient: taken and reported."""
    refused = await create(strict, nc(t00400253=element("SH")))
    assert refused.final == 0x0121
    assert decode_dataset(refused.data, EXPLICIT) == {STEP_ID: {"vr": "SH"}}

    with caplog.at_level(logging.WARNING, "mwl"):
        assert (await create(service, nc(t00400253=element("SH")))).final == 0x0000

    assert len(reported(caplog)) == 1


async def test_a_missing_study_is_shown_where_it_is_missing(
    strict: Any, create: Any, nc: Any, f0_items: dict[str, WorklistItem]
) -> None:
    """0121 with the sequence, its item and nothing else."""
    without = {tag: each for tag, each in scheduled(f0_items["S1"]).items() if tag != "0020000D"}

    answer = await create(strict, nc(t00400270=element("SQ", without)))

    assert answer.final == 0x0121
    assert decode_dataset(answer.data, EXPLICIT) == {ITEMS: element("SQ", {"0020000D": {"vr": "UI"}})}


async def test_f_m05_a_second_one_is_a_duplicate(service: Any, store: Store, create: Any, nc: Any) -> None:
    """0111, also of two at once; one row, one message."""
    answers = await asyncio.gather(*(create(service, nc()) for _ in range(3)))

    assert sorted(answer.final for answer in answers) == [0x0000, 0x0111, 0x0111]
    assert all(answer.fields[INSTANCE] == U1 for answer in answers)
    assert told(store) == [("IP", "ACC1001")]


async def test_m03_a_repetition_is_done_already_where_that_is_tolerated(
    tolerant: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """A retry after a lost answer: 0000 where nothing in it differs from the first, 0111 where anything does."""
    answers = [
        await create(tolerant, nc()),
        await create(tolerant, nc()),
        await create(tolerant, nc(t00400253=element("SH", "PPS2"))),
        await create(tolerant, nc(), calling="CT2"),
    ]
    await change(tolerant, {SERIES: series("1.2.3")})
    later = await create(tolerant, nc())

    assert [answer.final for answer in (*answers, later)] == [0x0000, 0x0000, 0x0111, 0x0111, 0x0000]
    assert told(store) == [("IP", "ACC1001")]


async def test_f_m06_a_uid_is_assigned_where_none_is_sent(
    service: Any, store: Store, create: Any, nc: Any
) -> None:
    """B-06: the response carries it, and it is the one to be set."""
    answer = await create(service, nc(), uid=None)

    assert answer.final == 0x0000
    assert is_uid(answer.fields[INSTANCE])
    assert stored(store, answer.fields[INSTANCE]) is not None


@pytest.mark.parametrize("uid", ["1.2.03", "1..2", "abc", "1.2." + "3" * 64, "1.2.٣", "1.2.3 "])
async def test_a_malformed_uid_is_an_invalid_instance(
    service: Any, store: Store, create: Any, change: Any, nc: Any, uid: str
) -> None:
    """0117, whichever operation, and it is named."""
    for answer in (await create(service, nc(), uid=uid), await change(service, {}, uid=uid)):
        assert (answer.final, answer.fields[INSTANCE]) == (0x0117, uid)
    assert told(store) == []


async def test_a_request_without_data_set_is_refused(
    service: Any, store: Store, ask: Any, create: Any, nc: Any
) -> None:
    """N-CREATE misses its state; N-SET must not seem to have set anything."""
    created = await ask(service, N_CREATE_RQ, None, uid=U1)
    await create(service, nc())
    changed = await ask(service, N_SET_RQ, None, uid=U1)

    assert (created.final, created.fields[TAGS]) == (0x0120, [0x00400252])
    assert changed.final == 0x0110
    assert changed.fields[COMMENT]
    assert ERROR_ID not in changed.fields


@pytest.mark.parametrize("field", [N_CREATE_RQ, N_SET_RQ])
async def test_bytes_that_are_no_data_set_are_a_processing_failure(
    service: Any, ask: Any, field: int
) -> None:
    """0110 with a comment, and no Error ID: the step is not final."""
    answer = await ask(service, field, b"\x08\x00\x05\x00CS\xff\xff", uid=U1)

    assert (answer.final, answer.data) == (0x0110, None)
    assert answer.fields[COMMENT]
    assert ERROR_ID not in answer.fields


async def test_an_objection_is_written_in_any_syntax(strict: Any, ask: Any, nc: Any) -> None:
    """Deflated as well, where nothing at all is something: a list of tags comes without a data set."""
    asked = {"uid": U1, "syntax": DEFLATED}

    missing = await ask(strict, N_CREATE_RQ, encoded(nc(t00400241=None), DEFLATED), **asked)
    empty = await ask(strict, N_CREATE_RQ, encoded(nc(t00400253=element("SH")), DEFLATED), **asked)

    assert missing.data is None
    assert decode_dataset(empty.data, DEFLATED) == {STEP_ID: {"vr": "SH"}}


# --- N-SET ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["service", "strict"])
@pytest.mark.parametrize("wrong", [{}, {STATUS: element("CS", "ABORTED")}, {"00100020": element("LO", "X")}])
async def test_f_m07_an_unknown_instance_is_said_to_be_unknown(
    request: Any, change: Any, mode: str, wrong: Document
) -> None:
    """0112, whatever else is wrong."""
    answer = await change(request.getfixturevalue(mode), wrong)

    assert (answer.final, answer.fields[INSTANCE]) == (0x0112, U1)
    assert ERROR_ID not in answer.fields


@pytest.mark.parametrize("mode", ["service", "strict"])
@pytest.mark.parametrize(
    "change_of",
    [{SERIES: series("9.9")}, {STATUS: element("CS", "IN PROGRESS")}, {STATUS: element("CS", "ABORTED")},
     {"00100020": element("LO", "PID999")}, {}],
)  # fmt: skip
async def test_f_m08_a_final_step_is_no_longer_updated(
    request: Any, store: Store, create: Any, change: Any, nc: Any, mode: str, change_of: Document
) -> None:
    """0110 with Error ID A710 and the standard's words, whatever is set; nothing changes."""
    service = request.getfixturevalue(mode)
    await create(service, nc())
    await change(service, ended("COMPLETED"))
    before = stored(store)

    answer = await change(service, change_of)

    assert (answer.final, answer.data) == (0x0110, None)
    assert answer.fields[ERROR_ID] == 0xA710
    assert answer.fields[COMMENT] == "Performed Procedure Step Object may no longer be updated"
    assert stored(store) == before


async def test_m04_a_set_after_the_end_is_acknowledged_where_that_is_tolerated(
    tolerant: Any, store: Store, create: Any, change: Any, nc: Any, caplog: Any
) -> None:
    """0000, nothing changed, reported."""
    await create(tolerant, nc())
    await change(tolerant, ended("COMPLETED"))
    before = stored(store)

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await change(tolerant, {SERIES: series("9.9")})

    assert (answer.final, stored(store)) == (0x0000, before)
    assert len(reported(caplog)) == 1


@pytest.mark.parametrize("mode", ["service", "strict"])
async def test_f_m09_a_step_is_completed(
    request: Any, store: Store, create: Any, change: Any, nc: Any, mode: str
) -> None:
    """0000; the scheduled step leaves the worklist, the RIS hears IP and CM in order."""
    service = request.getfixturevalue(mode)
    await create(service, nc())

    answer = await change(service, ended("COMPLETED"))

    assert answer.finals == [(0x0000, None, {INSTANCE: U1})]
    assert states(store, "S1") == ["COMPLETED"]
    assert told(store) == [("IP", "ACC1001"), ("CM", "ACC1001")]


@pytest.mark.parametrize(
    ("vector", "empty", "vr"), [("F-M10", END_TIME, "TM"), ("F-M10", END_DATE, "DA"), ("F-M11", SERIES, "SQ")]
)
async def test_a_final_state_needs_its_attributes(
    service: Any, strict: Any, store: Store, create: Any, change: Any, nc: Any, caplog: Any,
    vector: str, empty: str, vr: str,
) -> None:  # fmt: skip
    """Strict: 0121 and the step goes on; lenient: taken and reported (B-12)."""
    await create(strict, nc())
    lacking = ended("COMPLETED") | {empty: element(vr)}

    refused = await change(strict, lacking)
    assert (refused.final, states(store, "S1")) == (0x0121, ["STARTED"]), vector
    assert decode_dataset(refused.data, EXPLICIT) == {empty: {"vr": vr}}
    with caplog.at_level(logging.WARNING, "mwl"):
        taken = await change(service, lacking)

    assert (taken.final, states(store, "S1")) == (0x0000, ["COMPLETED"])
    assert reported(caplog) == [f"a final state needs this attribute: {paths.keyword(empty)}"]
    assert stored(store).remarks == (Remark.IRREGULAR,)


@pytest.mark.parametrize("mode", ["service", "strict"])
async def test_f_m12_sequences_are_replaced_and_the_rest_stays(
    request: Any, store: Store, create: Any, change: Any, nc: Any, mode: str
) -> None:
    """B-09: the last list exactly; IN PROGRESS again is legal (B-07)."""
    service = request.getfixturevalue(mode)
    await create(service, nc())
    going_on = {STATUS: element("CS", "IN PROGRESS")}

    first = await change(service, {**going_on, SERIES: series("1.1")})
    second = await change(service, {**going_on, SERIES: series("1.1", "1.2")})

    (one,) = values(document(store), SERIES)
    assert [text(image, "00081155") for image in values(one, "00081140")] == ["1.1", "1.2"]
    assert (first.final, second.final) == (0x0000, 0x0000)
    assert text(document(store), STEP_ID) == "PPS1"
    assert told(store) == [("IP", "ACC1001")]


async def test_f_m13_what_identifies_is_not_set(
    service: Any, strict: Any, store: Store, create: Any, change: Any, nc: Any, caplog: Any
) -> None:
    """Strict: 0105 with the tag; lenient: 0107 with it, the rest is set, PatientID is not, and it is reported."""
    await create(strict, nc())
    setting = {"00100020": element("LO", "PID999"), SERIES: series("1.1")}

    refused = await change(strict, setting)
    assert (refused.final, refused.fields[TAGS], refused.data) == (0x0105, [0x00100020], None)
    assert values(document(store), SERIES) == []
    with caplog.at_level(logging.WARNING, "mwl"):
        taken = await change(service, setting)

    assert (taken.final, taken.fields[TAGS], taken.data) == (0x0107, [0x00100020], None)
    assert text(document(store), "00100020") == "PID001"
    assert len(values(document(store), SERIES)) == 1
    assert reported(caplog) == ["an attribute may not be set: PatientID"]


async def test_a_device_that_repeats_what_identifies_is_not_warned(
    service: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """Many send the whole data set again: nothing of it is left out that is not there already."""
    await create(service, nc())

    answer = await change(service, {**nc(), SERIES: series("1.1")})

    assert answer.finals == [(0x0000, None, {INSTANCE: U1})]
    assert len(values(document(store), SERIES)) == 1


async def test_f_m14_an_unknown_state_changes_nothing(
    service: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """0106 in either mode: it could be taken for a final one."""
    await create(service, nc())
    before = stored(store)

    answer = await change(service, ended("ABORTED"))

    assert answer.final == 0x0106
    assert decode_dataset(answer.data, EXPLICIT) == {STATUS: element("CS", "ABORTED")}
    assert (stored(store), states(store, "S1")) == (before, ["STARTED"])


async def test_an_empty_state_leaves_the_step_in_progress(
    service: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """What is set beside it is set."""
    await create(service, nc())

    answer = await change(service, {STATUS: element("CS"), SERIES: series("1.1")})

    assert (answer.final, states(store, "S1")) == (0x0000, ["STARTED"])
    assert (text(document(store), STATUS), len(values(document(store), SERIES))) == ("IN PROGRESS", 1)


@pytest.mark.parametrize(
    ("vector", "code", "state", "event"),
    [("F-M15", "110501", "DISCONTINUED", "DC"), ("F-M17", "110514", "SCHEDULED", "SC")],
)
async def test_a_step_is_discontinued(
    service: Any, store: Store, create: Any, change: Any, nc: Any, caplog: Any,
    vector: str, code: str, state: str, event: str,
) -> None:  # fmt: skip
    """With the reason that the wrong entry was selected the scheduled step is back, and it is reported."""
    reason = element("SQ", {"00080100": element("SH", code), "00080102": element("SH", "DCM")})
    await create(service, nc())

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await change(service, ended("DISCONTINUED", t00400281=reason))

    assert (answer.final, states(store, "S1")) == (0x0000, [state]), vector
    assert told(store) == [("IP", "ACC1001"), (event, "ACC1001")]
    assert len(reported(caplog)) == (1 if event == "SC" else 0)


async def test_f_m16_each_request_is_read_in_its_own_character_set(
    service: Any, store: Store, ask: Any, nc: Any
) -> None:
    """B-11: what is stored is Unicode, and says nothing of the sets it came in."""
    muller = {"00100010": element("PN", name_value("MÜLLER^JÜRGEN"))}
    await ask(service, N_CREATE_RQ, encoded({**nc(), **muller}, charset="ISO_IR 100"), uid=U1)
    thorax = {"00400254": element("LO", "胸部")}

    answer = await ask(service, N_SET_RQ, encoded(thorax), uid=U1)

    assert answer.final == 0x0000
    assert text(document(store), "00100010") == "MÜLLER^JÜRGEN"
    assert text(document(store), "00400254") == "胸部"
    assert "00080005" not in document(store)


# --- several steps, other orders -----------------------------------------------------------------


async def test_f_m18_an_unscheduled_step_is_taken_and_reported(
    service: Any, store: Store, create: Any, nc: Any, caplog: Any
) -> None:
    """No scheduled step moves, no system is told."""
    empty = {tag: element("SH") for tag in ("00080050", "00401001", "00400009")}
    unscheduled = element("SQ", {"0020000D": element("UI", "1.2.3.99"), **empty})

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await create(service, nc(t00400270=unscheduled))

    assert (answer.final, states(store, "S1"), told(store)) == (0x0000, ["SCHEDULED"], [])
    assert "no scheduled step is meant by it" in reported(caplog)


async def test_f_m20_f_m22_a_step_may_be_performed_again(
    service: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """The scheduled step follows all of its performed steps (B-32)."""
    seen = []
    for uid, state in ((U1, "DISCONTINUED"), (U2, "COMPLETED")):
        assert (await create(service, nc(), uid=uid)).final == 0x0000
        seen += states(store, "S1")
        assert (await change(service, ended(state), uid=uid)).final == 0x0000
        seen += states(store, "S1")

    assert seen == ["STARTED", "DISCONTINUED", "STARTED", "COMPLETED"]


async def test_f_m21_a_group_moves_all_of_its_steps(
    service: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """Two requested procedures, one performed step: both move, both are told of."""
    await create(service, nc("S1", "S2", t00100020=element("LO")))  # theirs are two patients
    begun = states(store, "S1", "S2")
    await change(service, ended("COMPLETED"))

    assert (begun, states(store, "S1", "S2")) == (["STARTED"] * 2, ["COMPLETED"] * 2)
    assert told(store) == [("IP", "ACC1001"), ("IP", "ACC1002"), ("CM", "ACC1001"), ("CM", "ACC1002")]


async def test_f_m23_another_patient_is_reported_and_changes_nobody(
    service: Any, store: Store, create: Any, nc: Any, caplog: Any
) -> None:
    """B-35: the order's patient stays; the log names neither."""
    with caplog.at_level(logging.INFO, "mwl"):
        answer = await create(service, nc(t00100020=element("LO", "PID999")))

    assert (answer.final, states(store, "S1")) == (0x0000, ["STARTED"])
    assert "its patient is not the order's" in reported(caplog)
    assert "PID999" not in str([record.fields for record in caplog.records])


async def test_f_m24_a_cancelled_order_s_exam_is_taken(
    service: Any, store: Store, create: Any, nc: Any, caplog: Any
) -> None:
    """B-36: what a device did has happened."""
    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await create(service, nc("S11"))

    assert (answer.final, states(store, "S11")) == (0x0000, ["STARTED"])
    assert "its order was cancelled" in reported(caplog)


async def test_a_system_that_is_not_told_hears_nothing(
    store: Store, devices: Any, generic: Any, create: Any, nc: Any
) -> None:
    """Who is told is the configuration's affair; the step moves all the same."""
    deaf = PerformedService(store, devices(anyone=generic), frozenset())

    await create(deaf, nc())

    assert (states(store, "S1"), told(store)) == (["STARTED"], [])


# --- failure -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "name"), [(N_CREATE_RQ, "N-CREATE"), (N_SET_RQ, "N-SET")])
async def test_a_store_that_does_not_answer_is_never_a_success(
    service: Any, store: Store, ask: Any, nc: Any, field: int, name: str
) -> None:
    """B-18: nothing final is said here, and the failure is counted."""
    figure = ("mwl_performed_requests_total", {"operation": name, "status": "0110"})
    before = REGISTRY.get_sample_value(*figure) or 0
    await store.close()

    with pytest.raises(Unavailable):
        await ask(service, field, encoded(nc()), uid=U1)

    assert REGISTRY.get_sample_value(*figure) == before + 1


async def test_a_device_hears_of_the_failure(service: Any, store: Store, start: Any, request_octets: Any,
                                              nc: Any) -> None:  # fmt: skip
    """On the wire: 0110 with a comment, so that it sends again."""
    running = await start(service)
    sop_class = next(iter(service.sop_classes))
    peer = await running.associated(request_octets((sop_class, [EXPLICIT])))
    await store.close()

    peer.request(N_CREATE_RQ, sop_class=sop_class, data=encoded(nc()), elements={INSTANCE: U1})
    command, _ = await peer.response()

    assert (command.get(0x900), command.get(INSTANCE)) == (0x0110, U1)
    assert command.get(COMMENT)


async def test_f_m26_other_operations_are_not_offered(service: Any, start: Any, request_octets: Any) -> None:
    """0211 to N-GET, N-ACTION and N-DELETE (B-16)."""
    sop_class = next(iter(service.sop_classes))
    peer = await (await start(service)).associated(request_octets((sop_class, [EXPLICIT])))
    found = []
    for field in (0x0110, 0x0130, 0x0150):
        peer.request(field, sop_class=sop_class, elements={0x1001: U1})
        command, _ = await peer.response()
        found.append(command.get(0x900))

    assert found == [0x0211] * 3
