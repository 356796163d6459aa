"""The worklist service with profiles that make the list themselves, and what it says of doubtful items."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from dicom.asking import EXPLICIT, STEP, STEP_ID, change, encoded, identifier, ids, key_of, sent

from mwl.dicom import responses, worklist
from mwl.dicom.encoding import decode_dataset
from mwl.dicom.service import C_FIND_RQ
from mwl.dicom.worklist import WorklistService
from mwl.lifecycle import StepEvent
from mwl.model import OrderAction, OrderMessage, ProcedureChange, items, text, values
from mwl.store import Store, Transaction, orders, steps, transitions

DESCRIPTION = "00400007"
WANTED = {"SPS.ScheduledProcedureStepDescription": "", "StudyInstanceUID": "", "PatientID": ""}


@pytest.fixture
def find(ask: Any) -> Any:
    """Query a service: step ID, description, study and patient are asked for."""

    async def query(service: WorklistService, keys: dict[str, str] | None = None, **more: Any) -> Any:
        asked = identifier({"SPS.ScheduledProcedureStepID": "", **WANTED, **(keys or {})})
        return await ask(service, C_FIND_RQ, encoded(asked), **more)

    return query


@pytest.fixture
def serving(store: Store, devices: Any, profile: Any) -> Any:
    """A service for anyone, by a profile of a few lines."""
    return lambda lines: WorklistService(store, devices(anyone=profile(lines)))


@pytest.fixture
def loads(monkeypatch: Any) -> list[int]:
    """How many steps each load from the store was for."""
    found: list[int] = []
    load = steps.load
    monkeypatch.setattr(steps, "load", lambda tx, refs: (found.append(len(refs)), load(tx, refs))[1])
    return found


def messages(caplog: Any, name: str) -> list[dict[str, Any]]:
    """Return the fields of the events of one name."""
    return [record.fields for record in caplog.records if record.getMessage() == name]


async def test_f29_steps_of_one_study_are_one_response(serving: Any, find: Any, caplog: Any) -> None:
    """P13: the first step's identity, both descriptions, and the log tells how many stand behind others."""
    service = serving('merge: {by: [StudyInstanceUID], join: {SPS.ScheduledProcedureStepDescription: " + "}}')

    with caplog.at_level(logging.INFO, "mwl"):
        answer = await find(service, {"PatientID": "PID001"})

    found = [
        (text(next(items(each, STEP)), STEP_ID), text(next(items(each, STEP)), DESCRIPTION))
        for each in sent(answer)
    ]
    assert [step for step, _ in found] == ["S1", "S12"]
    assert " + " in found[0][1]
    assert messages(caplog, "worklist query answered")[0]["joined"] == 1


async def test_a_line_of_several_steps_is_kept_and_made_anew_when_any_of_them_changes(
    store: Store, serving: Any, find: Any
) -> None:
    """The response is known by all steps it stands for, with their revisions."""
    service = serving('merge: {by: [StudyInstanceUID], join: {SPS.ScheduledProcedureStepDescription: " + "}}')
    asked = {"PatientID": "PID001"}

    first, again = await find(service, asked), await find(service, asked)
    change(store, "S3", "step", DESCRIPTION, {"vr": "LO", "Value": ["Changed"]})
    after = await find(service, asked)

    assert first.pendings == again.pendings
    assert text(next(items(sent(after)[0], STEP)), DESCRIPTION).endswith(" + Changed")
    assert sent(after)[1] == sent(first)[1]


async def test_p12_every_protocol_of_a_step_is_a_response(store: Store, serving: Any, find: Any) -> None:
    """Each with one code; their bytes are kept apart."""
    codes = [
        {"00080100": {"vr": "SH", "Value": [value]}, "00080102": {"vr": "SH", "Value": ["L"]}}
        for value in "AB"
    ]
    change(store, "S2", "step", "00400008", {"vr": "SQ", "Value": codes})
    service = serving("split: per_protocol_code")

    for _ in range(2):
        answer = await find(
            service, {"PatientID": "PID002", "SPS.ScheduledProtocolCodeSequence.CodeValue": ""}
        )
        found = sent(await find(service, {"PatientID": "PID002"}))

        assert ids(answer) == "S2 S2"
        assert len(found) == 2


@pytest.mark.parametrize(
    ("overflow", "expected", "final"),
    [
        ("truncate", "S9 S8 S7", 0x0000),
        ("nearest_now", "S2 S12 S1", 0x0000),
        ("status_a700", "S9 S8 S7", 0xA700),
    ],
)
async def test_p15_a_list_is_sorted_and_then_cut(
    serving: Any, find: Any, overflow: str, expected: str, final: int
) -> None:
    """The first of the device's own order, or those nearest to now in that order."""
    service = serving(
        f"sort: [{{by: SPS.ScheduledProcedureStepStartDate, descending: true}}, {{by: SPS.ScheduledProcedureStepID, descending: true}}]\n"
        f"limit: {{max: 3, overflow: {overflow}}}"
    )

    answer = await find(service)

    assert (ids(answer), answer.final) == (expected, final)


@pytest.mark.parametrize("sort", ["", "sort: [SPS.ScheduledProcedureStepStartDate]"])
async def test_p15_a_notice_stands_behind_a_list_that_was_cut(serving: Any, find: Any, sort: str) -> None:
    """Arranged or not: one line more, which is no patient; none where nothing was left out."""
    service = serving(f"limit: {{max: 2, overflow: notice_item, notice: 'MORE^CALL', unsafe: true}}\n{sort}")

    cut, whole = await find(service), await find(service, {"PatientID": "PID002"})

    assert ids(cut) == "S1 S2 NOTICE"
    assert text(sent(cut)[-1], "00100020") == "NOTICE"
    assert cut.final == 0x0000
    assert ids(whole) == "S2"


async def test_f11_of_two_systems_the_better_one_is_on_the_list(
    store: Store, serving: Any, find: Any, f0_items: Any
) -> None:
    """Two feeds know the same exam: one line, the preferred system's, under either's rules."""
    double = f0_items["S2"]
    step = {**double.step, STEP_ID: {"vr": "SH", "Value": ["C2"]}}
    issuer = {"vr": "SQ", "Value": [{"00400031": {"vr": "UT", "Value": ["CARDIO"]}}]}
    numbers = {"0020000D": {"vr": "UI", "Value": ["1.2.276.0.99.9002"]}, "00080051": issuer}
    procedure = {**double.procedure, **numbers, "00401001": {"vr": "SH", "Value": ["CRP2"]}}
    order = OrderMessage("CARDIO", double.patient, (ProcedureChange(OrderAction.CREATE, procedure, (step,)),))
    store.write_now(lambda tx: orders.apply(tx, order, source="hl7 CARDIO", uid_root=None, told=()))
    asked, by = {"PatientID": "PID002"}, "dedupe: {by: [AccessionNumber, SPS.Modality]}"

    answers = [
        ids(await find(serving(lines), asked))
        for lines in ("", by, f"{by}\nsources: {{order: [CARDIO, RIS]}}", "sources: {allow: [CARDIO]}")
    ]

    assert answers == ["S2 C2", "S2", "C2", "C2"]


async def test_a_profile_that_arranges_nothing_loads_nothing_it_has_sent(
    serving: Any, find: Any, loads: list[int]
) -> None:
    """Its list is references; a filter that documents decide is decided once for each of them."""
    service = serving('filter: {exclude: [{PatientName: {regex: "^ROE"}}]}')

    first = await find(service)
    loads.clear()
    again = await find(service)

    assert ids(again) == ids(first) == "S1 S2 S3 S4 S5 S6 S7 S8 S9"
    assert again.pendings == first.pendings
    assert [count for count in loads if count] == []


async def test_a_limit_counts_what_the_filter_leaves(serving: Any, find: Any) -> None:
    """P10: the list is as long as the device takes, though the first steps are none of its."""
    service = serving(
        'filter: {include: [{PatientID: {regex: "00[5-9]$"}}]}\nlimit: {max: 2, overflow: truncate}'
    )

    assert ids(await find(service)) == "S6 S7"


# --- doubts --------------------------------------------------------------------------------------


async def test_f30_what_a_device_may_refuse_is_reported_once(serving: Any, find: Any, caplog: Any) -> None:
    """P30: item, attribute and line, never the value; the item is sent, and asking again says nothing new."""
    service = serving("require: {max_len: {PatientID: 3}, on_fail: report}")

    with caplog.at_level(logging.INFO, "mwl"):
        answers = [await find(service, {"PatientID": "PID002"}) for _ in range(2)]
        answers.append(await find(service, {"PatientID": "PID002", "AccessionNumber": ""}))

    assert [ids(each) for each in answers] == ["S2"] * 3
    (report,) = messages(caplog, "step sent in doubt")
    assert (report["device"], report["step"], report["attribute"]) == ("CT1", 2, "PatientID")
    assert report["reason"] == "a value is longer than the device takes"
    assert report["line"].endswith("site.yaml:4")
    assert "PID002" not in str([record.fields for record in caplog.records])


async def test_what_is_sent_anyway_is_a_remark(serving: Any, find: Any, caplog: Any) -> None:
    """`send_anyway` is no warning."""
    with caplog.at_level(logging.INFO, "mwl"):
        await find(
            serving("require: {max_len: {PatientID: 3}, on_fail: send_anyway}"), {"PatientID": "PID002"}
        )

    (record,) = [each for each in caplog.records if each.getMessage() == "step sent in doubt"]
    assert record.levelno == logging.INFO


async def test_f28_two_lines_of_one_study_are_reported(serving: Any, find: Any, caplog: Any) -> None:
    """P30 unique: the second is named, from fresh responses as from kept ones, and once."""
    service = serving("require: {unique: [StudyInstanceUID], on_fail: report}")

    with caplog.at_level(logging.INFO, "mwl"):
        for keys in ({"PatientID": "PID002"}, {"PatientID": "PID001"}, {"PatientID": "PID001"}):
            await find(service, keys)

    (report,) = messages(caplog, "step sent in doubt")
    assert report["attribute"] == "StudyInstanceUID"
    assert report["reason"] == "another item of the list has the same value"


async def test_an_operation_that_cannot_do_its_work_is_reported(serving: Any, find: Any, caplog: Any) -> None:
    """R7: the value stays, and the line is named."""
    service = serving("copy: {from: PatientID, to: PregnancyStatus}")

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await find(service, {"PatientID": "PID002", "PregnancyStatus": ""})

    assert ids(answer) == "S2"
    assert [each["reason"] for each in messages(caplog, "step sent in doubt")] == [
        "PatientID holds no value of VR US"
    ]


async def test_reports_are_remembered_within_bounds(
    serving: Any, find: Any, caplog: Any, monkeypatch: Any
) -> None:
    """What has been forgotten is said again; memory does not grow with what devices ask."""
    monkeypatch.setattr(responses, "_TOLD", 1)
    service = serving("require: {max_len: {PatientID: 3}, on_fail: report}")

    with caplog.at_level(logging.WARNING, "mwl"):
        for shape in ({}, {"AccessionNumber": ""}):
            await find(service, {"PatientID": "PID00*", **shape})

    assert len(messages(caplog, "step sent in doubt")) > 10
    assert len(service._responses._told) == 1


async def test_a_wire_with_delimiters_says_the_same(serving: Any, find: Any) -> None:
    """P32: undefined lengths and group lengths; other bytes, the same data set."""
    plain, framed = serving(""), serving("wire: {sequences: undefined, group_lengths: present}")

    one, other = [
        (await find(service, {"PatientID": "PID002"})).pendings[0][1] for service in (plain, framed)
    ]

    ungrouped = {
        tag: each for tag, each in decode_dataset(other, EXPLICIT).items() if not tag.endswith("0000")
    }
    assert one != other
    assert b"\xfe\xff\xdd\xe0" in other
    assert ungrouped.keys() == decode_dataset(one, EXPLICIT).keys()
    assert len(values(ungrouped, STEP)) == 1


async def test_the_slices_of_an_arranged_list_are_as_others(
    serving: Any, find: Any, monkeypatch: Any
) -> None:
    """Every line once, whatever the size of a slice."""
    monkeypatch.setattr(worklist, "_SLICE", 3)
    service = serving("sort: [{by: PatientID, descending: true}]")

    assert ids(await find(service)) == "S9 S8 S7 S6 S5 S4 S2 S1 S12 S3"


async def test_a_step_that_ends_leaves_its_line_to_the_others(store: Store, serving: Any, find: Any) -> None:
    """P13: what is completed is off the list; the rest of the study is a line still, under its next step."""
    service = serving("merge: {by: [StudyInstanceUID]}")

    def complete(tx: Transaction) -> None:
        for event in (StepEvent.BEGIN, StepEvent.COMPLETE):
            transitions.advance(tx, key_of(tx, "S1"), event, source="mpps")

    store.write_now(complete)

    assert ids(await find(service, {"PatientID": "PID001"})) == "S12 S3"


@pytest.mark.parametrize(("miss", "warnings"), [("drop_item", 0), ("error", 1)])
async def test_p19_an_item_without_a_row_is_left_out(
    store: Store, serving: Any, find: Any, caplog: Any, miss: str, warnings: int
) -> None:
    """As not for this device, which is nobody's concern; or as an error, which is reported with the code."""
    code = {"00080100": {"vr": "SH", "Value": ["RX-2"]}, "00080102": {"vr": "SH", "Value": ["L"]}}
    change(store, "S2", "step", "00400008", {"vr": "SQ", "Value": [code]})
    key = "SPS.ScheduledProtocolCodeSequence[*].CodeValue"
    service = serving(f"map: {{table: {{CT1: X}}, key: '{key}', miss: {miss}}}")

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await find(service, {"PatientID": "PID002"})

    assert (ids(answer), answer.final) == ("", 0x0000)
    left_out = messages(caplog, "step left out of a worklist")
    assert [each["reason"] for each in left_out] == ["the code RX-2 is not in the table"] * warnings
