"""Vectors F-C: what a worklist query finds, and what comes back, with DCMTK's findscu as the device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_CANCEL
from pynetdicom.sop_class import ModalityPerformedProcedureStep, Verification

from acceptance.find_orders import Step, f0, load, load_f0, report
from acceptance.find_vectors import A900, VECTORS, VISIBLE, Vector
from foreign.dicom.answer import CANCEL, PENDING, SUCCESS, Answer
from foreign.dicom.clients import Findscu, associated, find
from foreign.dicom.device import connected, implicit
from foreign.dicom.identifier import STEPS, WORKLIST, identifier

MAPPINGS = Path(__file__).parent / "mappings"
DEVICES = {
    "*": {"profile": "generic"},
    "LENIENT": {"profile": "lenient"},
    "LITERAL": {"profile": "literal"},
    "CANDID": {"profile": "candid"},
    "ALL": {"profile": "everything"},
    "THOUSAND": {"profile": "thousand"},
}
OUT_OF_RESOURCES = 0xA700
ALL_KEYS = (
    "step", "date=20260705-20260707", "PatientName", "SpecificCharacterSet=ISO_IR 192", "station",
    "PatientWeight", "PregnancyStatus", "SPS.ScheduledProtocolCodeSequence",
)  # fmt: skip


@pytest.fixture(scope="module")
def broker(serving: Any, fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker that holds F.0."""
    folder = tmp_path_factory.mktemp("keys")
    with serving(folder, devices=DEVICES, mappings=str(MAPPINGS)) as running:
        load_f0(running, fixtures)
        yield running


@pytest.fixture(scope="module")
def crowded(serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker with 5,000 steps, of which 1,001 are ultrasound."""
    folder = tmp_path_factory.mktemp("crowded")
    with serving(folder, devices=DEVICES, mappings=str(MAPPINGS)) as running:
        load(running, *(_many(number) for number in range(50)))
        yield running


def _many(number: int) -> str:
    """Return an order of 100 steps; of all, 1,001 are ultrasound."""
    segments = Step(f"N{number}", stations="CT_1\\CT_2").order().split("\r")
    ipc = segments.pop().split("|")
    for n in range(number * 100, number * 100 + 100):
        ipc[4], ipc[5] = f"N{n}", "US" if n < 1001 else "CT"
        segments.append("|".join(ipc))
    return "\r".join(segments)


def ask(broker: Any, *keys: str, calling: str = "WS", options: tuple[str, ...] = ()) -> Answer:
    """Query with findscu."""
    return Findscu(*options).find(broker.addresses["dicom"], [identifier(*keys)], calling=calling)[0]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_a_query_finds(broker: Any, vector: Vector) -> None:
    """Exactly these steps, by start, with these statuses and nothing else."""
    answer = Findscu().find(broker.addresses["dicom"], [vector.query], calling=vector.calling)[0]

    assert answer.steps == vector.steps.split()
    assert set(answer.pending) <= {vector.pending}
    assert (answer.final, "".join(answer.offending)) == (vector.final, vector.offending)
    assert bool(answer.comment) == (vector.final != SUCCESS)


def test_f_c18_all_values_of_a_station_come_back(broker: Any) -> None:
    """A-11, A-30: what matched is one of two values, what is returned is what is stored."""
    (item,) = ask(broker, "station=US_2")

    assert list(item.ScheduledProcedureStepSequence[0].ScheduledStationAETitle) == ["US_1", "US_2"]


@pytest.mark.parametrize("query", [{"PatientName": b"", STEPS: []}, {"PatientName": b"", STEPS: [{}]}],
                         ids=["F-C24", "F-C25"])  # fmt: skip
def test_an_empty_step_asks_for_all_of_it(broker: Any, query: Any) -> None:
    """F-C24, F-C25: one item each, with everything the table of the standard has about a step (A-44)."""
    answer = Findscu().find(broker.addresses["dicom"], [query])[0]

    assert answer.steps == VISIBLE.split()
    first = answer.identifiers[0].ScheduledProcedureStepSequence
    assert len(first) == 1
    for keyword in (
        "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime",
        "Modality", "ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription",
        "ScheduledStationName", "ScheduledProcedureStepLocation", "ScheduledProtocolCodeSequence",
        "PreMedication", "ScheduledProcedureStepID", "RequestedContrastAgent", "ScheduledProcedureStepStatus",
    ):  # fmt: skip
        assert keyword in first[0], keyword
    assert first[0].ScheduledStationAETitle == "CT_ROOM1"


def test_f_c28_two_steps_of_a_procedure_repeat_it(broker: Any) -> None:
    """A-08: one response a step; patient and requested procedure are the same in both."""
    first, second = ask(
        broker, "AccessionNumber=ACC1001", "PatientName", "RequestedProcedureID", "StudyInstanceUID", "step"
    )

    del first.ScheduledProcedureStepSequence, second.ScheduledProcedureStepSequence
    assert first == second
    assert first.RequestedProcedureID == "RP1001"


def test_f_c33_only_what_was_asked_for_comes_back(broker: Any) -> None:
    """A-10: no attribute more, the character set excepted."""
    answer = ask(broker, "PatientName", "modality")

    for item in answer:
        assert {element.keyword for element in item} == {"SpecificCharacterSet", "PatientName", STEPS}
        assert [element.keyword for element in item.ScheduledProcedureStepSequence[0]] == ["Modality"]
    assert len(answer) == 10


def test_f_c34_a_step_with_one_key_comes_back_with_one(broker: Any) -> None:
    """A-45: the item holds Modality and no more."""
    answer = ask(broker, "modality=CT")

    items = [list(item.ScheduledProcedureStepSequence) for item in answer]
    assert [[[e.keyword, e.value] for e in step] for steps in items for step in steps] == [
        [["Modality", "CT"]]
    ] * 4


def test_f_c35_what_is_not_known_comes_back_empty(broker: Any) -> None:
    """A-18, A-19: zero-length, never left out; a sequence without items, not with an empty one."""
    query = {**identifier("PatientWeight", "AdmissionID", "step"), "ReferencedPatientSequence": []}
    answer = Findscu().find(broker.addresses["dicom"], [query])[0]

    for item in answer:
        assert item["PatientWeight"].is_empty
        assert item["AdmissionID"].is_empty
        assert len(item.ReferencedPatientSequence) == 0
    assert len(answer) == 10


def test_f_c36_a_private_key_does_not_come_back_with_a_value(broker: Any) -> None:
    """A-20: ignored for matching; without its creator's block it would be nobody's."""
    answer = ask(broker, "PatientName", "(0009,1001)=X", calling="CANDID")

    assert len(answer) == 10
    assert all((0x0009, 0x1001) not in item or item[0x0009, 0x1001].is_empty for item in answer)


def test_f_c37_a_cancel_stops_the_answer(crowded: Any) -> None:
    """FE00 without identifier soon after the third response, and the association is good for more (A-60)."""
    request = Dataset()
    request.PatientName = ""
    with associated(crowded.addresses["dicom"], calling="ALL") as association:
        pending, last = 0, 0
        for status, item in association.send_c_find(request, WORKLIST, msg_id=7):
            last = status.Status
            pending += last == PENDING
            assert (item is None) == (last != PENDING)
            if pending == 3 and last == PENDING:
                association.send_c_cancel(7, query_model=WORKLIST)
        again = find(association, identifier("step=N7"), message_id=8)

    assert last == CANCEL
    assert 3 <= pending < 5000
    assert again.steps == ["N7"]


def test_f_c38_a_late_cancel_is_ignored(broker: Any) -> None:
    """A-61: there is nothing to cancel and nothing to answer."""
    with associated(broker.addresses["dicom"]) as association:
        first = find(association, identifier("step", "date=20260705"), message_id=7)
        association.send_c_cancel(7, query_model=WORKLIST)
        second = find(association, identifier("step", "date=20260705"), message_id=8)

    assert first.steps == second.steps == ["S1", "S2", "S12"]
    assert (first.final, second.final) == (SUCCESS, SUCCESS)


def test_f_c39_a_cancel_of_another_message_changes_nothing(crowded: Any) -> None:
    """The query runs to its end."""
    request = Dataset()
    request.PatientName = ""
    with associated(crowded.addresses["dicom"], calling="ALL") as association:
        statuses = []
        for status, _ in association.send_c_find(request, WORKLIST, msg_id=7):
            statuses.append(status.Status)
            if len(statuses) == 3:
                cancel = C_CANCEL()
                cancel.MessageIDBeingRespondedTo = 99
                context = association.accepted_contexts[0].context_id
                association.dimse.send_msg(cancel, context)

    assert statuses == [PENDING] * 5000 + [SUCCESS]


def test_f_c40_more_matches_than_the_limit_end_with_a_refusal(crowded: Any) -> None:
    """1,000 of 1,001, then A700 with a comment; B001 is not a status of the worklist (A-12)."""
    with associated(crowded.addresses["dicom"], calling="THOUSAND") as association:
        answer = find(association, identifier("step", "modality=US"))

    assert answer.pending == (PENDING,) * 1000
    assert answer.final == OUT_OF_RESOURCES
    assert "limit" in answer.comment


def test_f22_a_list_without_an_end_is_cut_and_the_log_says_so(crowded: Any) -> None:
    """The generic profile sends the 200 nearest in time and then 0000: a console shows them."""
    answer = ask(crowded, "step")

    assert (len(answer), answer.final) == (200, SUCCESS)
    assert any(event["event"] == "worklist cut at the device's limit" for event in crowded.events)


def test_a_request_without_an_identifier_is_not_a_request_for_everything(broker: Any) -> None:
    """A900, naming the element that said there would be none; never the whole list."""
    with connected(broker.addresses["dicom"]) as device:
        device.associate()
        device.find(None)
        (response,) = device.answer()

    assert (response.status, response.command[0x0901]) == (A900, bytes.fromhex("00000008"))


def test_f52_a_request_without_message_id_is_answered(broker: Any) -> None:
    """Some consoles leave it out; they are answered under 1 (P4)."""
    with connected(broker.addresses["dicom"]) as device:
        device.associate()
        device.find(implicit(x00100020=b"PID002"), message_id=None)
        answer = device.answer()

    assert [message.status for message in answer] == [PENDING, SUCCESS]
    assert {message.command[0x0120] for message in answer} == {b"\1\0"}


def test_f25_a_skeleton_of_a_sequence_asks_for_all_and_comes_back_with_values(broker: Any) -> None:
    """A key item of empty attributes is universal; what has no item is sent with none."""
    protocol = "SPS.ScheduledProtocolCodeSequence"
    reasons = "ReasonForRequestedProcedureCodeSequence"
    answer = ask(
        broker, "step", f"{protocol}.CodeValue", f"{protocol}.CodingSchemeDesignator", f"{protocol}.CodeMeaning",
        f"{reasons}.CodeValue", f"{reasons}.CodingSchemeDesignator",
    )  # fmt: skip

    assert answer.steps == VISIBLE.split()
    for item in answer:
        (code,) = item.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("HEAD", "L", "Head")
        assert len(item[reasons].value) == 0


def test_f_c43_bytes_that_are_no_identifier_fail_the_query_alone(broker: Any) -> None:
    """Cxxx with a comment, and the association remains."""
    with connected(broker.addresses["dicom"]) as device:
        device.associate()
        device.find(b"\x10\x00\x10\x00\xff\xff\xff\x00garbage", message_id=5)
        (response,) = device.answer()
        device.find(implicit(x00100020=b"PID002"), message_id=6)
        after = device.answer()

    assert response.status & 0xF000 == 0xC000
    assert response.command[0x0120] == b"\5\0"
    assert response.data == b""
    assert response.command[0x0902].strip()
    assert [message.status for message in after] == [PENDING, SUCCESS]


def test_f_c44_the_level_of_query_retrieve_does_not_come_back(broker: Any) -> None:
    """A-02: there is no level in a worklist."""
    answer = ask(broker, "QueryRetrieveLevel=PATIENT", "PatientName", "step")

    assert len(answer) == 10
    assert all("QueryRetrieveLevel" not in item for item in answer)


def test_f_c47_an_empty_state_shows_no_hidden_step(broker: Any) -> None:
    """F10: a zero-length status key is universal and overrides nothing."""
    assert ask(broker, "state", "step").steps == VISIBLE.split()


def test_f_c51_one_association_serves_every_service(broker: Any, fixtures: Path) -> None:
    """C-ECHO, C-FIND, N-CREATE, C-FIND: the second query shows the step started."""
    begun = Step("M51", start="20260901080000", accession="ACC51", procedure="RP51", study="1.2.276.0.99.51")
    load(broker, begun)
    contexts = (Verification, WORKLIST, ModalityPerformedProcedureStep)
    keys = identifier("step=M51", "state", "date=20260901")
    with associated(broker.addresses["dicom"], *contexts) as association:
        echoed = association.send_c_echo().Status
        before = find(association, keys, message_id=2)
        created = report(association, begun, "IN PROGRESS")
        after = find(association, keys, message_id=4)
        completed = report(association, begun, "COMPLETED")  # off the list again, for the other tests

    assert (echoed, created, completed) == (0, 0, 0)
    assert [item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus for item in (*before, *after)] == [
        "SCHEDULED", "STARTED",
    ]  # fmt: skip


@pytest.mark.parametrize("option", ["-xi", "-xe", "-xb", "-xd"])
def test_f_c52_what_findscu_proposes_makes_no_difference(broker: Any, option: str) -> None:
    """A-03: implicit only, little endian, big endian or deflated first: the same responses."""
    expected = ask(broker, *ALL_KEYS)
    answer = ask(broker, *ALL_KEYS, options=(option,))

    assert list(answer) == list(expected)
    assert (len(answer), answer.final) == (9, SUCCESS)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.name,
)
def test_f_c52_every_transfer_syntax_alone_gives_the_same(broker: Any, syntax: UID) -> None:
    """A device that proposes one transfer syntax gets it, and the same values in it."""
    entity = AE(ae_title="WS")
    entity.add_requested_context(WORKLIST, syntax)
    association = entity.associate(*broker.addresses["dicom"], ae_title="MWL")
    accepted = [context.transfer_syntax for context in association.accepted_contexts]
    answer = find(association, identifier(*ALL_KEYS)) if accepted else None
    association.release()
    expected = ask(broker, *ALL_KEYS)

    assert accepted == [[syntax]]
    assert answer is not None
    assert [item.to_json() for item in answer] == [item.to_json() for item in expected]


def test_f_c53_fifty_devices_at_once_are_all_answered(broker: Any) -> None:
    """No association is refused, none hangs, all get the same list."""
    found: list[list[str]] = []
    together = threading.Barrier(50, timeout=60)

    def device(number: int) -> None:
        with associated(broker.addresses["dicom"], calling=f"DEVICE{number}") as association:
            together.wait()
            found.append(find(association, identifier("step")).steps)

    threads = [threading.Thread(target=device, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert found == [VISIBLE.split()] * 50


def test_the_vectors_speak_of_the_whole_data_set(fixtures: Path) -> None:
    """The table of F.0 is the one the vectors were written for."""
    states = {step.step: state for step, state in f0(fixtures)}

    assert sorted(VISIBLE.split()) == sorted(step for step, state in states.items() if state == "SCHEDULED")
    assert {states["S10"], states["S11"]} == {"COMPLETED", "CANCELED"}
