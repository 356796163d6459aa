"""Why a device is, or is not, sent a step: every verdict with the key, line or value that decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from workbench.house import House

from mwl.lifecycle import StepEvent
from mwl.store.funnel import Count
from mwl.workbench import provenance
from mwl.workbench.explain import Explanation, Failure, Told
from mwl.workbench.keys import DEVICE
from mwl.workbench.verdict import Verdict

TODAY = "SPS.ScheduledProcedureStepStartDate=20260705"
STATION = "SPS.ScheduledStationAETitle=CT1"
CT = "SPS.Modality=CT"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hospital with one device and nothing on record."""
    made = House(tmp_path)
    yield made
    made.store.close_now()


def told(explanation: Explanation) -> Told:
    """Return what became of a query that was understood."""
    assert isinstance(explanation.result, Told)
    return explanation.result


def line(origin: str) -> str:
    """Return a line of a profile without its folder."""
    return Path(origin).name


# ── verdicts ──


class Case(NamedTuple):
    """What is done to step 1 before CT1 asks, and what becomes of it."""

    name: str
    verdict: Verdict
    keys: tuple[str, ...] = (CT, TODAY)
    profile: str = ""
    before: Callable[[House, int], object] = lambda _house, _step: None
    misses: tuple[tuple[str, str, str, str], ...] = ()  # name, wanted, found, who set it
    left_out: tuple[str, str] | None = None  # attribute and line


GENERIC_HIDES = ("SPS.ScheduledProcedureStepStatus", "none of COMPLETED, DISCONTINUED, CANCELED")

CASES = [
    Case("what matches is sent", Verdict.SENT),
    Case(
        "a key of the device keeps it away",
        Verdict.NOT_MATCHED,
        keys=("SPS.Modality=MR", TODAY),
        misses=(("SPS.Modality", "MR", "CT", DEVICE),),
    ),
    Case(
        "every key that does is told",
        Verdict.NOT_MATCHED,
        keys=("SPS.Modality=MR", "PatientName=ROE*", "SPS.ScheduledProcedureStepStartDate=20260706-20260707"),
        misses=(
            ("PatientName", "ROE*", "DOE^JANE^1", DEVICE),
            ("SPS.Modality", "MR", "CT", DEVICE),
            ("SPS.ScheduledProcedureStepStartDate", "20260706-20260707", "20260705", DEVICE),
        ),
    ),
    Case(
        "date and time are one interval",
        Verdict.NOT_MATCHED,
        keys=(
            "SPS.ScheduledProcedureStepStartDate=20260704-20260705",
            "SPS.ScheduledProcedureStepStartTime=060000-080000",
        ),
        misses=(
            (
                "SPS.ScheduledProcedureStepStartDate and Time",
                "20260704060000-20260705080000",
                "20260705 090000",
                DEVICE,
            ),
        ),
    ),
    Case(
        "a key that the profile set is told with its line",
        Verdict.NOT_MATCHED,
        profile="default_key: {SPS.ScheduledStationAETitle: ROOM9}\n",
        misses=(("SPS.ScheduledStationAETitle", "ROOM9", "CT1", "site.yaml:4 default_key"),),
    ),
    Case(
        "a line of the profile filters it out",
        Verdict.FILTERED,
        profile="filter: {exclude: [{RequestedProcedureDescription: {glob: 'Che*'}}]}\n",
        misses=(("RequestedProcedureDescription", "not Che*", "Chest", "site.yaml:4"),),
    ),
    Case(
        "a finished step is hidden",
        Verdict.HIDDEN,
        before=lambda house, step: house.happen(step, StepEvent.COMPLETE, "mpps 1.2.3 CT1"),
        misses=((*GENERIC_HIDES, "COMPLETED", "generic.yaml"),),
    ),
    Case(
        "a cancelled one is called so, whatever else keeps it away",
        Verdict.CANCELLED,
        keys=("SPS.Modality=MR", TODAY),
        before=lambda house, step: house.happen(step, StepEvent.CANCEL, "hl7 RIS 7", "patient has left"),
        misses=(("SPS.Modality", "MR", "CT", DEVICE), (*GENERIC_HIDES, "CANCELED", "generic.yaml")),
    ),
    Case("a step on hold is on no list", Verdict.HELD, before=lambda house, step: house.hold(step)),
    Case(
        "a required value that is missing withholds it",
        Verdict.WITHHELD,
        profile="require: [{type1: [SPS.ScheduledPerformingPhysicianName], on_fail: skip_item}]\n",
        left_out=("SPS.ScheduledPerformingPhysicianName", "site.yaml:4"),
    ),
    Case(
        "a limit takes what is farthest from now",
        Verdict.BEYOND_LIMIT,
        profile="limit: {max: 1, overflow: nearest_now}\n",
        before=lambda house, _step: house.order(2, SPS__ScheduledProcedureStepStartTime="093000"),
    ),
    Case(
        "so does one of a list that is arranged",
        Verdict.BEYOND_LIMIT,
        profile="limit: {max: 1, overflow: truncate}\nsort: [{by: PatientName, descending: true}]\n",
        before=lambda house, _step: house.order(2),
    ),
    Case(
        "a double is in the entry of the other step",
        Verdict.JOINED,
        profile="dedupe: {by: [RequestedProcedureDescription], keep: last}\n",
        before=lambda house, _step: house.order(
            2, PatientID="PID001", AccessionNumber="ACC1", SPS__ScheduledProcedureStepStartTime="110000"
        ),
    ),
    Case("a query that fails answers for nothing", Verdict.NOT_ANSWERED, keys=("PatientBirthDate=today",)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_on_a_step_names_what_decided(house, case):
    """The key with what it wants and finds, the line of the profile, or the attribute."""
    house.profile(case.profile)
    step = house.order(1, SPS__ScheduledProcedureStepStartTime="090000")
    case.before(house, step)

    explanation = house.explain(*case.keys, step=step)
    (fate,) = explanation.fates
    misses = tuple(
        (miss.key.name, miss.key.wanted, miss.found, f"{line(miss.key.origin)} {miss.key.operation}".strip())
        for miss in fate.misses
    )

    assert fate.verdict is case.verdict
    assert [miss[:3] for miss in misses] == [miss[:3] for miss in case.misses]
    assert all(found[3].startswith(wanted[3]) for found, wanted in zip(misses, case.misses, strict=True))
    if case.left_out:
        assert fate.response is not None
        assert (fate.response.path, line(fate.response.origin)) == case.left_out
    assert explanation.sent is (case.verdict in (Verdict.SENT, Verdict.JOINED))


def test_every_verdict_has_a_case():
    """None is only imagined."""
    assert {case.verdict for case in CASES} == set(Verdict)


def test_a_hidden_step_comes_with_its_history(house):
    """Who moved it, when and why."""
    step = house.order(1)
    house.happen(step, StepEvent.CANCEL, "console anna", "patient has left")

    (fate,) = house.explain(CT, step=step).fates

    assert [(entry.event, entry.source, entry.reason) for entry in fate.history] == [
        ("create", "hl7 RIS 1", ""),
        ("cancel", "console anna", "patient has left"),
    ]


def test_a_status_that_the_device_asks_for_is_its_own_key(house):
    """Then `hide_status` hides nothing, and says nothing (A-48)."""
    step = house.order(1)

    (fate,) = house.explain("SPS.ScheduledProcedureStepStatus=COMPLETED", step=step).fates

    assert fate.verdict is Verdict.NOT_MATCHED
    assert [(miss.key.origin, miss.key.wanted) for miss in fate.misses] == [(DEVICE, "COMPLETED")]


# ── where an order is ──


def test_steps_are_found_by_accession_number_or_patient(house):
    """Those nearest to now first, on hold or not."""
    first = house.order(1, PatientID="PID001", SPS__ScheduledProcedureStepStartDate="20260601")
    second = house.order(2, PatientID="PID001")
    house.hold(second)

    by_patient = house.explain(CT, patient="PID001")
    by_accession = house.explain(CT, accession="ACC1")

    assert [fate.item.ref.key for fate in by_patient.fates] == [second, first]
    assert [fate.item.ref.key for fate in by_accession.fates] == [first]


def test_a_patient_is_followed_through_a_merge(house):
    """What came under the old ID is the survivor's now."""
    step = house.order(1, PatientID="OLD")
    house.order(2, PatientID="NEW", SPS__ScheduledProcedureStepStartDate="20270101")
    house.merge("OLD", "NEW")

    found = house.explain(CT, TODAY, patient="OLD")

    assert found.whereabouts is not None
    assert [(each.patient_id, each.merged_into and each.merged_into.patient_id)
            for each in found.whereabouts.patients] == [("OLD", "NEW")]  # fmt: skip
    assert found.fates[0].item.ref.key == step
    assert found.fates[0].verdict is Verdict.SENT
    assert "merge" in [entry.event for entry in found.fates[0].history]


def test_an_order_that_was_refused_is_found_in_the_journal(house):
    """By its accession number, with the outcome and the error."""
    house.message("AE", "error: OBR-4: no such code [207]", accession="ACC7")
    house.message("AA", accession="ACC8")

    found = house.explain(CT, accession="ACC7").whereabouts

    assert found is not None
    assert found.items == ()
    assert [(each.outcome, each.error) for each in found.messages] == [
        ("AE", "error: OBR-4: no such code [207]")
    ]


def test_what_never_came_is_nowhere(house):
    """No step, no message, no patient."""
    found = house.explain(CT, accession="ACC9").whereabouts

    assert found is not None
    assert (found.items, found.messages, found.patients) == ((), (), ())


# ── the list ──


def test_the_funnel_counts_after_each_key_and_without_each(house):
    """One key keeps two steps away, another one a third."""
    for n, station in enumerate(("ROOM1", "ROOM1", "CT1"), 1):
        house.order(n, SPS__ScheduledStationAETitle=station, SPS__Modality="MR" if n == 3 else "CT")

    funnel = told(house.explain(CT, STATION, TODAY)).funnel

    assert funnel.on_record == Count(3)
    assert [(left.key.name, left.count.number) for left in funnel.left] == [
        ("SPS.Modality", 2),
        ("SPS.ScheduledStationAETitle", 0),
        ("SPS.ScheduledProcedureStepStartDate", 0),
        ("SPS.ScheduledProcedureStepStatus", 0),
    ]
    assert [([key.name for key in each.keys], each.count.number, each.found) for each in funnel.loosened] == [
        (["SPS.Modality"], 1, funnel.loosened[0].found),
        (["SPS.ScheduledStationAETitle"], 2, funnel.loosened[1].found),
    ]
    found = [[(each.value, each.steps) for each in values] for values in funnel.loosened[1].found]
    assert found == [[("ROOM1", 2)]]


def test_the_window_of_days_is_widened_until_it_lets_something_in(house):
    """The newest are told with their distance from it."""
    house.order(1, SPS__ScheduledProcedureStepStartDate="20260708")
    house.order(2, SPS__ScheduledProcedureStepStartDate="20260630")
    house.order(3, SPS__ScheduledProcedureStepStartDate="20260708", SPS__Modality="MR")

    funnel = told(house.explain(CT, TODAY)).funnel

    assert [(each.count.number, each.wider) for each in funnel.loosened] == [(2, 0), (2, 7)]
    assert [(each.accession, each.days) for each in funnel.newest] == [("ACC2", -5), ("ACC1", 3)]
    assert funnel.newest_fit


def test_two_keys_are_tried_together_where_none_alone_is_to_blame(house):
    """What the steps have in the place of each is told."""
    house.order(1, SPS__ScheduledStationAETitle="ROOM1", SPS__Modality="MR")

    (pair,) = told(house.explain(CT, STATION, TODAY)).funnel.loosened

    assert [key.name for key in pair.keys] == ["SPS.Modality", "SPS.ScheduledStationAETitle"]
    assert [[each.value for each in values] for values in pair.found] == [["MR"], ["ROOM1"]]


def test_steps_on_hold_that_would_match_are_counted(house):
    """They are on no list, and no key is to blame."""
    house.hold(house.order(1))
    house.hold(house.order(2, SPS__Modality="MR"))

    funnel = told(house.explain(CT)).funnel

    assert (funnel.on_record, funnel.matching, funnel.held) == (Count(0), Count(0), Count(1))


def test_today_s_modalities_are_told_where_the_key_finds_none(house):
    """Only those of today."""
    house.order(1, SPS__Modality="MR")
    house.order(2, SPS__Modality="CR")
    house.order(3, SPS__Modality="US", SPS__ScheduledProcedureStepStartDate="20260706")

    funnel = told(house.explain("SPS.Modality=DX", TODAY)).funnel

    assert {each.value: each.steps for each in funnel.modalities_today} == {"MR": 1, "CR": 1}


def test_a_rewritten_key_is_told_as_sent_and_as_matched(house):
    """With the operation and the line that rewrote it."""
    house.profile("set_key: {SPS.ScheduledStationAETitle: [CT1, CT2]}\n")
    house.order(1, SPS__ScheduledStationAETitle="CT2")

    found = told(house.explain("SPS.ScheduledStationAETitle=CT9"))
    (key,) = (each for each in found.keys if each.name == "SPS.ScheduledStationAETitle")

    assert (key.wanted, key.operation, line(key.origin)) == ("CT1 or CT2", "set_key", "site.yaml:4")
    assert len(found.sent) == 1
    assert [(note.path, note.operation) for note in found.rewritten] == [
        ("SPS.ScheduledStationAETitle", "set_key")
    ]


def test_a_tolerance_is_told_with_its_line(house):
    """A key at the root is lifted into the step (F06)."""
    house.order(1)

    found = told(house.explain("Modality=CT"))

    assert {note.operation for note in found.tolerated} == {"accept"}
    assert {line(note.origin).partition(":")[0] for note in found.tolerated} == {"generic.yaml"}
    assert [key.name for key in found.keys if key.origin == DEVICE] == ["SPS.Modality"]


# ── what is sent ──


def test_every_value_sent_knows_what_set_it(house):
    """As stored, changed by a line, or put there by one."""
    house.profile("truncate: {PatientName: 6}\nset: {RequestedProcedureDescription: HEAD}\n")
    step = house.order(1)

    (fate,) = house.explain(CT, step=step).fates
    assert fate.response is not None
    assert fate.response.composed is not None
    values = {
        each.name: each
        for each in provenance.returned(fate.item, fate.response.composed.document, fate.response.notes)
    }

    assert values["AccessionNumber"].source == "order"
    assert values["AccessionNumber"].changes == ()
    cut, put = values["PatientName"], values["RequestedProcedureDescription"]
    assert (cut.source, cut.stored, cut.element) == (
        "profile",
        {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE^1"}]},
        {"vr": "PN", "Value": [{"Alphabetic": "DOE^JA"}]},
    )
    assert [(note.operation, line(note.origin)) for note in cut.changes] == [("truncate", "site.yaml:4")]
    assert [(note.operation, line(note.origin)) for note in put.changes] == [("set", "site.yaml:5")]


def test_what_was_taken_out_is_told(house):
    """A value that is stored, asked for and not sent; what nobody asked for is no loss."""
    house.profile("remove: [RequestedProcedureDescription]\n")
    step = house.order(1)

    (fate,) = house.explain(CT, step=step).fates
    assert fate.response is not None
    lost = provenance.dropped(fate.response.notes)

    assert [(each.name, each.stored["Value"], each.change.operation) for each in lost] == [
        ("RequestedProcedureDescription", ["Chest"], "remove")
    ]


def test_the_character_set_is_told_with_what_was_done_for_it(house):
    """Which one, why, and what was written in other letters."""
    house.profile("charset: {fixed: ISO_IR 100, unfit: transliterate}\n")
    step = house.order(1, PatientName="王^小明")

    (fate,) = house.explain(CT, step=step).fates
    assert fate.response is not None
    why, origin = provenance.charset(fate.response.notes)

    assert why.startswith("ISO_IR 100, from the profile; PatientName: ")
    assert line(origin) == "site.yaml:4"


def test_what_the_device_may_refuse_is_told(house):
    """By entry, attribute and line; it is sent all the same."""
    house.profile("require: [{max_len: {PatientID: 4}, on_fail: report}]\n")
    house.order(1)

    found = told(house.explain(CT))

    assert len(found.sent) == 1
    assert [(each.entry, each.report.path, line(each.report.origin)) for each in found.doubts] == [
        (0, "PatientID", "site.yaml:4")
    ]


# ── who asks ──


def test_a_device_is_answered_by_its_entry_and_the_files_of_its_profile(house):
    """The entry, the line that names the profile, and each file of it."""
    found = house.explain(CT)

    assert found.device is not None
    assert (found.device.label, line(found.device.written)) == ("CT1", "mwl.yaml:6")
    assert [(name, line(file)) for name, file in found.device.files] == [
        ("site", "site.yaml"),
        ("generic", "generic.yaml"),
    ]


def test_a_caller_that_is_no_device_gets_no_list(house):
    """The steps named are on record all the same."""
    step = house.order(1)

    found = house.explain(CT, ae="CT9", step=step)

    assert found.device is None
    assert isinstance(found.result, Failure)
    assert found.result.status is None
    assert [fate.verdict for fate in found.fates] == [Verdict.NOT_ANSWERED]


def test_a_key_that_cannot_be_read_is_named(house):
    """With the status that the device gets (A-13)."""
    house.order(1)

    found = house.explain("PatientBirthDate=today")

    assert found.result == Failure(0xA900, "the key is not a date", "PatientBirthDate")


def test_a_change_to_what_is_flattened_is_told(house):
    """The value is sent at another level than the one it was changed at."""
    house.profile("truncate: {SPS.ScheduledPerformingPhysicianName: 3}\nseq: {SPS: {flatten: true}}\n")
    step = house.order(1, SPS__ScheduledPerformingPhysicianName="HOUSE^G")

    (fate,) = house.explain(CT, step=step).fates

    assert fate.response is not None
    assert fate.response.composed is not None
    assert "SPS.ScheduledPerformingPhysicianName" in {note.path for note in fate.response.notes}


def test_where_all_is_returned_what_was_taken_out_is_told(house):
    """Whether it was asked for or not."""
    house.profile("return: {mode: all}\nremove: [PatientComments]\n")
    step = house.order(1, PatientComments="none")

    (fate,) = house.explain(CT, step=step).fates

    assert fate.response is not None
    assert [each.name for each in provenance.dropped(fate.response.notes)] == ["PatientComments"]
