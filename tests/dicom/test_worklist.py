"""The worklist service on a real store: what is sent, with which status, and what is never asked twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from dicom.asking import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    STEP,
    STEP_ID,
    advance,
    change,
    counted,
    encoded,
    identifier,
    ids,
    sent,
)

from mwl.dicom import worklist
from mwl.dicom.response_cache import MEBIBYTE, ResponseCache
from mwl.dicom.service import C_FIND_RQ, AssociationEnded
from mwl.dicom.worklist import WorklistService
from mwl.errors import Unavailable
from mwl.lifecycle import StepEvent
from mwl.model import Document, WorklistItem, items, text, values
from mwl.query import WorklistQuery
from mwl.store import Store, Transaction, steps

STATUS = "00400020"
VISIBLE = "S1 S2 S3 S4 S5 S6 S7 S8 S9 S12"
DATE, TIME = "SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartTime"
AET, PHYSICIAN = "SPS.ScheduledStationAETitle", "SPS.ScheduledPerformingPhysicianName"
OFFENDING, COMMENT = 0x00000901, 0x00000902


@pytest.fixture
def service(store: Store, devices: Callable[..., Any], generic: Any) -> WorklistService:
    """The service for anyone, by the generic profile."""
    return WorklistService(store, devices(anyone=generic))


@pytest.fixture
def find(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Query a service: the step ID is always asked for."""

    async def query(service: WorklistService, keys: Mapping[str, str] | None = None, **more: Any) -> Any:
        asked = identifier({"SPS.ScheduledProcedureStepID": "", **(keys or {})})
        return await ask(service, C_FIND_RQ, encoded(asked, more.get("syntax", EXPLICIT)), **more)

    return query


# --- what is sent --------------------------------------------------------------------------------

VECTORS = [
    ("F-C01", {DATE: "20260705"}, "S1 S2 S12"),
    ("F-C02", {DATE: "20260705", "SPS.Modality": "CT", AET: "CT_ROOM1"}, "S1 S2 S12"),
    ("F-C03", {DATE: "20260705-20260707", TIME: "1000-1800"}, "S2 S12 S3 S4 S5 S6 S7"),
    ("F-C04", {DATE: "20260706", TIME: "1000-1800"}, "S4"),
    ("F-C05", {DATE: "20260706-"}, "S3 S4 S5 S6 S7 S8 S9"),
    ("F-C06", {DATE: "-20260705"}, "S1 S2 S12"),
    ("F-C07", {DATE: "20260706-", TIME: "0900-"}, "S4 S5 S6 S7 S8 S9"),
    ("F-C07b", {DATE: "-20260706", TIME: "-1400"}, "S1 S2 S12 S3 S4"),
    ("F-C08", {DATE: "", TIME: "0800-1000"}, "S1 S3"),
    ("F-C10", {"PatientID": "PID001"}, "S1 S12 S3"),
    ("F-C11", {"PatientID": "PID001", "IssuerOfPatientID": "HOSP_A"}, "S1 S3"),
    ("F-C12", {"PatientName": "DOE*"}, "S1 S2 S3 S4"),
    ("F-C13", {"PatientName": "DOE^J?NE"}, "S2"),
    ("F-C14", {"PatientName": "DOE^JOHN"}, ""),
    ("F-C15", {"PatientName": "DOE^JOHN^Q^^"}, "S1 S3"),
    ("A-24", {"PatientName": "DOE^JANE^*"}, "S2"),
    ("A-24b", {"PatientName": "DOE^*^*^*"}, "S1 S2 S3 S4"),
    ("F-C16", {PHYSICIAN: "*"}, "S1 S2 S12 S3 S4 S5 S6 S7 S8 S9"),
    ("F-C17", {PHYSICIAN: "SMITH*"}, "S1 S2 S12"),
    ("F-C18", {AET: "US_2"}, "S4"),
    ("F-C19", {AET: "ct_room1"}, ""),
    ("F-C20", {AET: " CT_ROOM1 "}, "S1 S2 S12"),
    ("F-C21", {AET: "CT_ROOM*"}, "S1 S2 S12 S6"),
    ("F-C22", {"SPS.Modality": "CT\\MR"}, "S1 S2 S12 S3 S6 S7"),
    ("F-C23", {"PatientName": "", "PatientID": ""}, "S1 S2 S12 S3 S4 S5 S6 S7 S8 S9"),
    ("F-C27", {"StudyInstanceUID": "1.2.276.0.99.1001\\1.2.276.0.99.1002"}, "S1 S2 S3"),
    ("F-C28", {"AccessionNumber": "ACC1001"}, "S1 S3"),
    ("F-C29a", {"PatientName": "D_E*"}, ""),
    ("F-C29b", {"PatientName": "%"}, ""),
    ("F-C30", {"PatientName": "王*"}, "S6"),
    ("F-C31", {"PatientName": "*王*"}, "S6"),
    ("F-C32", {"PatientName": "Wang^XiaoDong"}, "S6"),
    ("F-C44", {"QueryRetrieveLevel": "PATIENT", "PatientID": "PID002"}, "S2"),
    ("F-C47", {"SPS.ScheduledProcedureStepStatus": "COMPLETED"}, "S10"),
    ("F-C47b", {"SPS.ScheduledProcedureStepStatus": "CANCELED"}, "S11"),
    ("A-48", {"SPS.ScheduledProcedureStepStatus": "", DATE: "20260705"}, "S1 S2 S12"),
    ("F-C48a", {DATE: "20260705", TIME: "0900"}, "S1"),
    ("F-C48b", {DATE: "20260705", TIME: "090000.000"}, "S1"),
    ("F-C49", {DATE: "20260707", TIME: "-1800"}, "S6 S7"),
    ("F-C50", {"PatientID": "PID001 "}, "S1 S12 S3"),
    ("F16", {DATE: "*", "PatientID": "PID002"}, "S2"),
    ("F17", {DATE: "20260705", TIME: "9-10"}, "S1 S2"),
]


@pytest.mark.parametrize(("vector", "keys", "expected"), VECTORS, ids=[vector[0] for vector in VECTORS])
async def test_a_query_is_answered_as_the_standard_says(
    service: WorklistService, find: Any, vector: str, keys: dict[str, str], expected: str
) -> None:
    """Each step once, by start (A-47), as FF00; then 0000 without an identifier (A-09)."""
    answer = await find(service, keys)

    assert ids(answer) == expected, vector
    assert {status for status, _ in answer.pendings} <= {0xFF00}
    assert answer.finals == [(0x0000, None, {})]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
async def test_f_c52_every_transfer_syntax_gets_the_same(
    service: WorklistService, find: Any, syntax: str
) -> None:
    """Query and answers are in the syntax of the context."""
    answer = await find(service, {"PatientName": "王*", "PregnancyStatus": ""}, syntax=syntax)

    (item,) = sent(answer, syntax)
    assert item["00100010"]["Value"] == [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}]


async def test_f_c28_each_step_of_a_procedure_is_an_answer_of_its_own(
    service: WorklistService, find: Any
) -> None:
    """A-08: two steps, two responses with the procedure's attributes, one step item in each."""
    answer = await find(service, {"AccessionNumber": "ACC1001", "RequestedProcedureID": ""})

    assert [len(values(each, STEP)) for each in sent(answer)] == [1, 1]
    assert [text(each, "00401001") for each in sent(answer)] == ["RP1001", "RP1001"]


async def test_f_c33_f_c34_only_what_was_asked_for_comes_back(service: WorklistService, ask: Any) -> None:
    """A-10, A-45: nothing beside the keys and (0008,0005)."""
    keys = identifier({"PatientName": "DOE^JANE", "SPS.Modality": "CT"})

    (item,) = sent(await ask(service, C_FIND_RQ, encoded(keys)))

    assert set(item) == {"00080005", "00100010", STEP}
    assert item[STEP]["Value"] == [{"00080060": {"vr": "CS", "Value": ["CT"]}}]


async def test_f_c35_what_is_not_known_comes_back_empty(service: WorklistService, find: Any) -> None:
    """A-18, A-19: zero-length, and a sequence without items."""
    keys = {"PatientID": "PID002", "PatientWeight": "", "AdmissionID": "", "ReferencedPatientSequence": ""}

    (item,) = sent(await find(service, keys))

    assert (item["00101030"], item["00380010"]) == ({"vr": "DS"}, {"vr": "LO"})
    assert item["00081120"] == {"vr": "SQ"}


async def test_f_c18_all_values_come_back_where_one_matched(service: WorklistService, find: Any) -> None:
    """A-11, A-30: the stored value, not the key's."""
    (item,) = sent(await find(service, {AET: "US_2", "PatientName": "doe*"}))

    assert next(items(item, STEP))["00400001"]["Value"] == ["US_1", "US_2"]
    assert text(item, "00100010") == "Doe^Johnathan"


@pytest.mark.parametrize("step", [{"vr": "SQ"}, {"vr": "SQ", "Value": [{}]}], ids=["F-C24", "F-C25"])
async def test_an_empty_step_sequence_asks_for_the_whole_step(
    service: WorklistService, ask: Any, step: dict[str, Any]
) -> None:
    """A-44: all ten, each with one step item of every attribute the worklist has."""
    answer = await ask(service, C_FIND_RQ, encoded({"00100010": {"vr": "PN"}, STEP: step}))

    found = sent(answer)
    assert len(found) == 10
    assert all(len(values(each, STEP)) == 1 for each in found)
    wanted = {"00400001", "00400002", "00400003", "00080060", "00400006", "00400007", STEP_ID, STATUS}
    assert all(wanted <= set(next(items(each, STEP))) for each in found)


async def test_f_c26_the_first_of_two_step_items_counts_where_that_is_tolerated(
    service: WorklistService, devices: Any, profile: Any, store: Store, ask: Any
) -> None:
    """A-43: generic takes the first, a strict profile refuses."""
    keys = identifier({"SPS.ScheduledProcedureStepID": "", "SPS.Modality": "US"})
    keys[STEP]["Value"].append({"00080060": {"vr": "CS", "Value": ["MR"]}})
    strict = WorklistService(store, devices(anyone=profile("accept: {extra_sps_items: reject}")))

    assert ids(await ask(service, C_FIND_RQ, encoded(keys))) == "S4"
    refused = await ask(strict, C_FIND_RQ, encoded(keys))

    assert (refused.pendings, refused.final) == ([], 0xA900)
    assert refused.fields[OFFENDING] == [0x00400100]


async def test_the_first_of_several_character_sets_may_be_empty(
    service: WorklistService, ask: Any, f0_items: dict[str, WorklistItem]
) -> None:
    r"""A-52: ``\ISO 2022 IR 87`` is a request for Japanese, and is answered with it."""
    keys = identifier({"PatientID": "PID006", "PatientName": ""})

    (item,) = sent(await ask(service, C_FIND_RQ, encoded(keys, charset="\\ISO 2022 IR 87")))

    assert item["00080005"]["Value"] == [None, "ISO 2022 IR 87"]
    assert item["00100010"] == f0_items["S7"].patient["00100010"]


@pytest.mark.parametrize(
    ("pending", "with_private", "without"),
    [("auto", 0xFF01, 0xFF00), ("FF00", 0xFF00, 0xFF00), ("FF01", 0xFF01, 0xFF01)],
)
async def test_f_c36_a_key_that_cannot_be_used_is_a_warning_unless_the_profile_says_otherwise(
    store: Store, devices: Any, profile: Any, find: Any, pending: str, with_private: int, without: int
) -> None:
    """A-20: never a failure; the private attribute is not returned."""
    service = WorklistService(store, devices(anyone=profile(f"session: {{pending: {pending}}}")))

    private = await find(service, {"PatientID": "PID002", "(0009,1001)": ""})
    plain = await find(service, {"PatientID": "PID002", "PatientComments": ""})

    assert [status for status, _ in private.pendings] == [with_private]
    assert [status for status, _ in plain.pendings] == [without]
    assert "00091001" not in sent(private)[0]
    assert sent(plain)[0]["00104000"] == {"vr": "LT"}


async def test_a_profile_may_have_an_order_of_its_own(
    store: Store, devices: Any, profile: Any, find: Any
) -> None:
    """P15: over the whole answer, not slice by slice."""
    service = WorklistService(store, devices(anyone=profile("sort: [{by: PatientID, descending: true}]")))

    assert ids(await find(service, {DATE: "20260705-20260706"})) == "S5 S4 S2 S1 S12 S3"


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "key", "value", "tag"),
    [
        ("F-C42", DATE, "2026-07-05", 0x00400002),
        ("F-C42", DATE, "20261332", 0x00400002),
        ("F-C42", DATE, "20260707-20260705", 0x00400002),
        ("F-C09", TIME, "2300-0100", 0x00400003),
        ("rule 6", "PatientName", "x" * 2000, 0x00100010),
        ("rule 6", "StudyInstanceUID", "\\".join(["1.2"] * 2000), 0x0020000D),
    ],
)
async def test_an_illegal_key_is_named(
    service: WorklistService, find: Any, vector: str, key: str, value: str, tag: int
) -> None:
    """A900 with the offending element and a comment that quotes nothing; no identifier, no match."""
    answer = await find(service, {key: value})

    assert (answer.pendings, answer.final, answer.data) == ([], 0xA900, None), vector
    assert answer.fields[OFFENDING] == [tag]
    assert 0 < len(answer.fields[COMMENT]) <= 64
    assert value not in answer.fields[COMMENT]


async def test_f_c42_a_lenient_device_finds_nothing_by_an_illegal_key(
    store: Store, devices: Any, profile: Any, find: Any
) -> None:
    """A-13: a typing mistake never widens the list."""
    service = WorklistService(store, devices(anyone=profile("accept: {lenient: true}")))

    answer = await find(service, {DATE: "2026-07-05"})

    assert (answer.pendings, answer.final) == ([], 0x0000)


@pytest.mark.parametrize(
    "data",
    [None, b"", encoded({}), encoded({"00080052": {"vr": "CS", "Value": ["PATIENT"]}})],
    ids=["none", "empty", "character set alone", "level alone"],
)
async def test_a_request_without_keys_is_never_answered_with_the_whole_list(
    service: WorklistService, ask: Any, data: bytes | None
) -> None:
    """12.2: it is malformed, and would get items without attributes."""
    answer = await ask(service, C_FIND_RQ, data)

    assert (answer.pendings, answer.final) == ([], 0xA900)


async def test_f_c43_bytes_that_are_no_data_set_are_said_to_be_so(service: WorklistService, ask: Any) -> None:
    """C002, which tells a decoding failure from any other."""
    answer = await ask(service, C_FIND_RQ, b"\x10\x00\x10\x00PN\xff\xff")

    assert (answer.pendings, answer.final, answer.data) == ([], 0xC002, None)
    assert 0 < len(answer.fields[COMMENT]) <= 64


@pytest.mark.parametrize("begun", [False, True])
async def test_f_c41_a_store_that_does_not_answer_is_never_an_empty_list(
    store: Store, service: WorklistService, find: Any, said: Any, monkeypatch: Any, begun: bool
) -> None:
    """A-14: the query fails, at whichever read; nothing final is said, and the failure is counted."""
    monkeypatch.setattr(worklist, "_SLICE", 4)
    before = counted("mwl_worklist_queries_total", device="*", status="C001")
    answer = said(store.close_now if begun else lambda: None)
    if not begun:
        store.close_now()

    with pytest.raises(Unavailable):
        await find(service, answer=answer)

    assert answer.finals == []
    assert len(answer.pendings) == (4 if begun else 0)
    assert counted("mwl_worklist_queries_total", device="*", status="C001") == before + 1


async def test_f_c41_a_device_hears_of_the_failure(
    store: Store, service: WorklistService, start: Any
) -> None:
    """On the wire: C001 and no match; the association stays for the next query."""
    running = await start(service)
    peer = await running.associated()
    await store.close()

    peer.find(1)
    first = await peer.statuses()
    peer.find(2)
    second = await peer.statuses()

    assert (first, second) == ([0xC001], [0xC001])


async def test_an_association_that_ends_is_no_failed_query(
    service: WorklistService, find: Any, said: Any
) -> None:
    """A-63: nobody is there to be answered, and nothing is counted."""
    total = "mwl_worklist_queries_total"
    before = counted(total, device="*", status="C003")

    def gone() -> None:
        raise AssociationEnded("released")

    with pytest.raises(AssociationEnded):
        await find(service, answer=said(gone))

    assert counted(total, device="*", status="C003") == before


# --- C-CANCEL ------------------------------------------------------------------------------------


async def test_f_c37_a_cancelled_query_ends_between_slices(
    service: WorklistService, find: Any, said: Any, monkeypatch: Any
) -> None:
    """A-60: FE00 without identifier; what was sent before stays sent, what comes after is not read."""
    monkeypatch.setattr(worklist, "_SLICE", 3)
    heard = asyncio.Event()

    answer = await find(service, answer=said(heard.set), cancelled=heard.is_set)

    assert len(answer.pendings) == 3
    assert answer.finals == [(0xFE00, None, {})]
    assert (await find(service)).final == 0x0000


async def test_a_cancel_while_the_last_responses_leave_is_heard(
    service: WorklistService, find: Any, said: Any
) -> None:
    """The last slice may have been cut short by it."""
    heard = asyncio.Event()

    answer = await find(service, answer=said(heard.set), cancelled=heard.is_set)

    assert answer.final == 0xFE00


async def test_a_query_cancelled_before_it_began_sends_nothing(service: WorklistService, find: Any) -> None:
    """Whether or not something matches."""
    for keys in ({}, {"PatientID": "nobody"}):
        answer = await find(service, keys, cancelled=lambda: True)

        assert (answer.pendings, answer.final) == ([], 0xFE00)


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overflow", "expected", "final"),
    [
        ("truncate", "S1 S2 S12", 0x0000),
        ("nearest_now", "S1 S2 S12", 0x0000),
        ("status_a700", "S1 S2 S12", 0xA700),
    ],
)
async def test_f_c40_more_than_the_limit_is_cut_or_refused_and_never_b001(
    store: Store, devices: Any, profile: Any, find: Any, caplog: Any, overflow: str, expected: str, final: int
) -> None:
    """A-12: as many as the device takes, then what its profile says; a cut is reported."""
    limited = profile(f"limit: {{max: 3, overflow: {overflow}}}")
    service = WorklistService(store, devices(anyone=limited))

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await find(service)

    assert ids(answer) == expected
    assert (answer.final, answer.data) == (final, None)
    cut = [record for record in caplog.records if record.getMessage() == "worklist cut at the device's limit"]
    assert len(cut) == (0 if final else 1)


async def test_the_nearest_to_now_are_kept(store: Store, devices: Any, profile: Any, find: Any) -> None:
    """At 11:15 of July 5, in the site's zone, S2 at 10:30 is nearer than S1 at 9:00."""
    service = WorklistService(store, devices(anyone=profile("limit: {max: 1, overflow: nearest_now}")))

    assert ids(await find(service)) == "S2"


async def test_as_many_as_the_limit_are_no_overflow(
    store: Store, devices: Any, profile: Any, find: Any
) -> None:
    """A700 only where something was left out."""
    service = WorklistService(store, devices(anyone=profile("limit: {max: 10, overflow: status_a700}")))

    answer = await find(service)

    assert (len(answer.pendings), answer.final) == (10, 0x0000)


# --- what cannot be sent -------------------------------------------------------------------------

UNSENDABLE = {
    "a value the device requires is missing": ("step", "00400002", {"vr": "DA"}),
    "a value that its VR cannot hold": ("patient", "001021C0", {"vr": "US", "Value": ["four"]}),
    "a document that is none": ("patient", "001021C0", "SECRET"),
}


@pytest.mark.parametrize("wrong", list(UNSENDABLE))
async def test_a_step_that_cannot_be_sent_is_left_out_and_reported(
    store: Store, service: WorklistService, find: Any, caplog: Any, wrong: str
) -> None:
    """A-18, R5: one bad item never costs the list; the log names the step and not the patient."""
    change(store, "S2", *UNSENDABLE[wrong])
    before = counted("mwl_worklist_items_left_out_total", device="*")

    with caplog.at_level(logging.INFO, "mwl"):
        first = await find(service, {"PatientName": "", "PregnancyStatus": "", DATE: ""})
        second = await find(service, {"PatientName": "", "PregnancyStatus": "", DATE: ""})

    assert ids(first) == ids(second) == "S1 S12 S3 S4 S5 S6 S7 S8 S9"
    assert (first.final, second.final) == (0x0000, 0x0000)
    reports = [record for record in caplog.records if record.getMessage() == "step left out of a worklist"]
    assert len(reports) == 1  # a device asks every minute
    assert reports[0].fields["step"] == 2
    assert "SECRET" not in str([record.fields for record in caplog.records])
    assert counted("mwl_worklist_items_left_out_total", device="*") == before + 2
    answered = [record for record in caplog.records if record.getMessage() == "worklist query answered"]
    assert [(each.fields["sent"], each.fields["left_out"]) for each in answered] == [(9, 1), (9, 1)]


async def test_what_a_filter_leaves_out_is_not_reported(
    store: Store, devices: Any, profile: Any, find: Any, caplog: Any
) -> None:
    """P10: a test that only the loaded item can answer excludes on purpose."""
    filtered = profile('filter: {exclude: [{PatientID: {regex: "^PID00[1-4]$"}}]}')
    service = WorklistService(store, devices(anyone=filtered))

    with caplog.at_level(logging.WARNING, "mwl"):
        answers = [await find(service) for _ in range(2)]

    assert [ids(each) for each in answers] == ["S6 S7 S8 S9"] * 2
    assert caplog.records == []


# --- what is kept --------------------------------------------------------------------------------


@pytest.fixture
def loads(monkeypatch: Any) -> list[list[int]]:
    """The keys of every load from the store."""
    found: list[list[int]] = []
    load = steps.load

    def listening(tx: Transaction, refs: Any) -> Any:
        found.append([ref.key for ref in refs])
        return load(tx, refs)

    monkeypatch.setattr(steps, "load", listening)
    return found


async def test_the_same_query_again_loads_nothing(service: WorklistService, find: Any, loads: Any) -> None:
    """And gets the same bytes."""
    first = await find(service, {"SPS.Modality": "CT"})
    second = await find(service, {"SPS.Modality": "CT"})

    assert len(loads) == 1
    assert first.pendings == second.pendings != []


async def test_other_keys_for_the_same_attributes_find_what_is_kept(
    service: WorklistService, find: Any, loads: Any
) -> None:
    """A response depends on what is asked for, not on what is matched."""
    await find(service, {DATE: "20260705"})
    await find(service, {DATE: "20260705-20260706"})

    assert [len(keys) for keys in loads] == [3, 3]


async def test_an_update_is_seen_by_the_very_next_query(
    store: Store, service: WorklistService, find: Any, loads: Any
) -> None:
    """Of the step and of the patient, and only what changed is loaded."""
    asked = {"PatientName": "", "SPS.ScheduledProcedureStepStatus": "", "PatientID": "PID001"}
    await find(service, asked)
    advance(store, "S1", StepEvent.BEGIN)
    after_the_step = await find(service, asked)
    change(store, "S12", "patient", "00100010", {"vr": "PN", "Value": [{"Alphabetic": "ROE^RICKY"}]})
    after_the_patient = await find(service, asked)

    assert [text(next(items(each, STEP)), STATUS) for each in sent(after_the_step)] == [
        "STARTED", "SCHEDULED", "SCHEDULED"]  # fmt: skip
    assert text(sent(after_the_patient)[1], "00100010") == "ROE^RICKY"
    assert [len(keys) for keys in loads] == [3, 1, 1]


@pytest.mark.parametrize(
    "other",
    [
        {"calling": "US1"},
        {"syntax": IMPLICIT},
        {"keys": {"PatientName": ""}},
    ],
    ids=["profile", "transfer syntax", "attributes"],
)
async def test_nothing_is_shared_that_differs(
    store: Store, devices: Any, generic: Any, profile: Any, find: Any, loads: Any, other: dict[str, Any]
) -> None:
    """Two devices with different profiles, two syntaxes, two shapes: each its own responses."""
    chatty = profile("set: {PatientComments: hello}")
    service = WorklistService(store, devices(CT1=generic, US1=chatty))
    asked = {"PatientComments": "", "PatientID": "PID003"}

    first = await find(service, asked)
    second = await find(service, {**asked, **other.pop("keys", {})}, **other)

    assert len(loads) == 2
    assert len(first.pendings) == len(second.pendings) == 1
    assert first.pendings != second.pendings


async def test_a_profile_that_was_changed_finds_nothing_of_the_old_one(
    store: Store, devices: Any, profile: Any, find: Any
) -> None:
    """A reload keeps the cache: the same device, asking the same, is answered as its profile now says."""
    cache = ResponseCache()
    asked = {"PatientComments": "", "PatientID": "PID003"}
    answers = []
    for comment in ("before", "after"):
        bound = profile(f"set: {{PatientComments: {comment}}}")
        service = WorklistService(store, devices(CT1=bound), cache)
        answers.append(text(sent(await find(service, asked))[0], "00104000"))

    assert answers == ["before", "after"]


async def test_a_character_set_asked_for_is_part_of_what_is_kept(
    service: WorklistService, ask: Any, loads: Any
) -> None:
    """Cyrillic and UTF-8 are other bytes."""
    keys = identifier({"PatientID": "PID008", "PatientName": ""})

    answers = [
        await ask(service, C_FIND_RQ, encoded(keys, charset=charset))
        for charset in ("ISO_IR 144", "ISO_IR 192", "ISO_IR 144")
    ]

    assert len(loads) == 2
    assert [text(sent(each)[0], "00080005") for each in answers] == ["ISO_IR 144", "ISO_IR 192", "ISO_IR 144"]
    assert {text(sent(each)[0], "00100010") for each in answers} == {"Иванов^Иван"}


async def test_what_a_profile_reads_of_the_association_is_part_of_what_is_kept(
    store: Store, devices: Any, profile: Any, find: Any, loads: Any
) -> None:
    """A profile that names the caller answers each in its own name; one that does not is shared by all."""
    naming = profile("set: {PatientComments: $calling_ae}")
    service = WorklistService(store, devices(anyone=naming))
    asked = {"PatientID": "PID002", "PatientComments": ""}

    answers = [await find(service, asked, calling=title) for title in ("CT1", "US1", "CT1")]

    assert [text(sent(each)[0], "00104000") for each in answers] == ["CT1", "US1", "CT1"]
    assert len(loads) == 2


async def test_what_holds_the_time_of_day_is_not_kept(
    store: Store, devices: Any, profile: Any, find: Any, loads: Any
) -> None:
    """It would be another the next second."""
    cache = ResponseCache()
    service = WorklistService(store, devices(anyone=profile("set: {PatientComments: $now}")), cache)

    for _ in range(2):
        (item,) = sent(await find(service, {"PatientID": "PID002", "PatientComments": ""}))
        assert text(item, "00104000") == "20260705111500"

    assert (len(loads), cache.size) == (2, 0)


async def test_the_cache_has_a_capacity(store: Store, devices: Any, generic: Any, find: Any) -> None:
    """What does not fit is made again; the answer is the same."""
    cache = ResponseCache(capacity=2000)
    service = WorklistService(store, devices(anyone=generic), cache)

    first, second = await find(service), await find(service)

    assert 0 < cache.size <= 2000
    assert first.pendings == second.pendings


async def test_a_long_identifier_does_not_fill_the_cache_with_its_name(
    service: WorklistService, ask: Any
) -> None:
    """The key of an entry is of bounded size, whatever a peer asks for."""
    many: Document = {f"0010{n:04X}": {"vr": "LO"} for n in range(0x5000, 0x7000)}
    keys = identifier({"PatientID": "PID002"}) | many

    await ask(service, C_FIND_RQ, encoded(keys))

    cache = service._responses._cache
    ((_, _, kept),) = cache._entries
    assert len(kept) == 16
    assert cache.size < MEBIBYTE


async def test_a_step_that_is_gone_is_left_out(
    store: Store, service: WorklistService, find: Any, monkeypatch: Any
) -> None:
    """Between matching and loading another broker may have removed it."""
    match = steps.match

    def stale(tx: Transaction, query: WorklistQuery, *more: Any) -> Any:
        first, *rest = match(tx, query, *more)
        return [type(first)(999, 1, 1, 1), first, *rest]

    monkeypatch.setattr(steps, "match", stale)

    answer = await find(service, {"PatientID": "PID002"})

    assert (ids(answer), answer.final) == ("S2", 0x0000)


async def test_a_query_is_logged_without_the_patient(
    service: WorklistService, find: Any, caplog: Any
) -> None:
    """F-A16: the caller, the status and the figures."""
    with caplog.at_level(logging.INFO, "mwl"):
        await find(service, {"PatientName": "DOE*", "PatientID": "PID002"})

    ((name, fields),) = [(record.getMessage(), record.fields) for record in caplog.records]
    assert name == "worklist query answered"
    assert (fields["device"], fields["status"], fields["sent"]) == ("CT1", "0000", 1)
    assert "DOE" not in str(fields)
    assert "PID002" not in str(fields)
