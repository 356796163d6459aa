"""The life of a step on the running broker: what links, what a person and the clock do, what the RIS hears.

The device is pynetdicom, the RIS python-hl7; what one device says and is answered in one dialogue is
`test_mpps_table`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from acceptance.mpps_vectors import created, ended, scheduled
from acceptance.status_exam import ORDER, outbox, send, told
from foreign.dicom.clients import associated, find
from foreign.dicom.identifier import identifier
from foreign.dicom.performing import PynetdicomReporter, Request, Response

UID = "1.2.276.0.99.7.1"
START = "20260705093000"
PROFILES = {
    "a-study-each": "uid: {StudyInstanceUID: {per_sps: derive}}",
    "one-line": "merge: {by: [StudyInstanceUID]}",
    "silent": "mpps: {idle: 1s}",
}


@pytest.fixture
def mappings(tmp_path: Path) -> str:
    """A folder with profiles of the site."""
    folder = tmp_path / "mappings" / "devices"
    folder.mkdir(parents=True)
    for name, lines in PROFILES.items():
        (folder / f"{name}.yaml").write_text(f"profile: {name}\nstatus: hypothesis\n{lines}\n", "utf-8")
    return str(folder.parent)


def order(broker: Any, n: int, study: int | None = None, changes: Mapping[str, str] = {}) -> None:
    """Order exam *n*, of its own patient, study and numbers or of those of another, with *changes* of its text."""
    message = ORDER.format(n=n, patient=study or n, name="DOE^JANE", system="RIS", control_id=f"C{n}")
    for number in ("ACC{}|", "RP{}|", "1.2.276.0.99.{}^"):
        message = message.replace(number.format(n), number.format(study or n))
    for old, new in changes.items():
        message = message.replace(old, new)
    assert send(broker, message) == "AA"


def report(
    broker: Any, attributes: dict[str, Any], operation: str = "N-CREATE", calling: str = "CT1"
) -> Response:
    """Report something of the one performed step."""
    request = Request(operation, UID, attributes, calling=calling)
    [response] = PynetdicomReporter().report(broker.addresses["dicom"], [request])
    return response


def performed(n: int, **changes: Any) -> dict[str, Any]:
    """Return an N-CREATE for step *n*, copied from its worklist item."""
    item = scheduled(str(n), **changes.pop("item", {}))
    return created(
        ScheduledStepAttributesSequence=[item], PatientID=f"PID{n}", IssuerOfPatientID="HOSP", **changes
    )


def worklist(broker: Any, calling: str = "CT1", *keys: str) -> list[Any]:
    """Return what a device is shown, by step ID."""
    with associated(broker.addresses["dicom"], calling=calling) as association:
        asked = identifier("PatientID", "StudyInstanceUID", "AccessionNumber", "step", "state", *keys)
        return sorted(
            find(association, asked),
            key=lambda each: each.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID,
        )


def steps(broker: Any) -> list[str]:
    """Return the states of all steps, by key, with those on hold marked."""
    done = broker.run("steps", "list", "--json")
    assert done.returncode == 0, done.stderr
    found = sorted(json.loads(done.stdout), key=lambda each: each["key"])
    return [each["step"]["00400020"]["Value"][0] + (" held" if each["held"] else "") for each in found]


def mwl(broker: Any, *arguments: str) -> str:
    done = broker.run(*arguments)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def heard(broker: Any) -> list[str]:
    return [row["facts"]["event"] for row in outbox(broker)]


def told_nowhere() -> Any:
    """Return a system that is never reached: what it is told stays in the outbox."""
    return told(9, on=["IP", "CM", "DC", "SC", "CA", "ARRIVED", "READY"])


def test_f_m19_an_order_comes_after_its_exam(start_broker: Callable[..., Any]) -> None:
    """By accession number, with another study: its step is completed already, and the RIS hears so at once."""
    broker = start_broker(systems=told_nowhere())
    alone = {"StudyInstanceUID": "1.2.3.4.5", "RequestedProcedureID": "", "ScheduledProcedureStepID": ""}
    assert report(broker, performed(1, item=alone, PerformedStationAETitle="CT1")).status == 0
    assert report(broker, ended(), "N-SET").status == 0
    waiting = json.loads(mwl(broker, "performed", "list", "--unlinked", "--json"))

    order(broker, 1)

    assert [each["remarks"] for each in waiting] == [["no scheduled step is meant by it"]]
    assert (steps(broker), heard(broker)) == (["COMPLETED"], ["IP", "CM"])
    assert json.loads(mwl(broker, "performed", "list", "--unlinked", "--json")) == []
    assert worklist(broker) == []


def test_f28_a_derived_study_leads_to_its_own_step(start_broker: Callable[..., Any], mappings: str) -> None:
    """Three steps of one study, each with a UID of its own: what comes back with one means that step."""
    broker = start_broker(mappings=mappings, devices={"CT1": {"profile": "a-study-each"}})
    for n in (11, 12, 13):
        order(broker, n, 11)
    shown = worklist(broker)
    studies = [each.StudyInstanceUID for each in shown]
    own = {
        "StudyInstanceUID": studies[1],
        "ScheduledProcedureStepID": "",
        "AccessionNumber": "",
        "RequestedProcedureID": "",
    }

    assert report(broker, performed(11, item=own)).status == 0

    assert len(set(studies)) == 3
    assert steps(broker) == ["SCHEDULED", "STARTED", "SCHEDULED"]


def test_f29_one_line_of_three_steps_closes_all_three(
    start_broker: Callable[..., Any], mappings: str
) -> None:
    """What is performed of the line is performed of every step behind it, and of no other study's."""
    broker = start_broker(mappings=mappings, devices={"CT1": {"profile": "one-line"}})
    for n in (11, 12, 13):
        order(broker, n, 11)
    order(broker, 21)
    shown = worklist(broker)
    line = shown[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepID
    item = {"ScheduledProcedureStepID": line}

    assert report(broker, performed(11, item=item)).status == 0
    assert report(broker, ended(), "N-SET").status == 0

    assert len(shown) == 2
    assert steps(broker) == ["COMPLETED"] * 3 + ["SCHEDULED"]


async def test_f51_another_patients_exam_waits_for_a_person(
    start_broker: Callable[..., Any], ris: Any
) -> None:
    """It begins the step and does not end it; confirmed by hand it does, and the RIS is told with her reason."""
    broker = await asyncio.to_thread(start_broker, systems=told(ris.port))
    await asyncio.to_thread(order, broker, 1)

    await asyncio.to_thread(report, broker, {**performed(1), "PatientID": "PID999"})
    begun = await ris.next()
    await asyncio.to_thread(report, broker, ended(), "N-SET")
    held_up = await asyncio.to_thread(steps, broker)
    listed = await asyncio.to_thread(mwl, broker, "performed", "list", "--unsettled")
    said = await asyncio.to_thread(
        mwl, broker, "performed", "link", "1", "1", "--by", "anna", "--reason", "same person"
    )
    done = await ris.next()

    assert (held_up, await asyncio.to_thread(steps, broker)) == (["STARTED"], ["COMPLETED"])
    assert "! its patient is not the order's" in listed
    assert said == "performed step 1 is linked to step 1, which is COMPLETED\n"
    assert (begun["ORC"][5], done["ORC"][5]) == ("IP", "CM")
    assert begun["PID"][3].startswith("PID1^")


def test_a_person_puts_right_what_the_device_took_wrong(start_broker: Callable[..., Any]) -> None:
    """Unlinked from one step and linked to the other: both states, the history and the RIS follow."""
    broker = start_broker(systems=told_nowhere())
    order(broker, 1)
    order(broker, 2)
    report(broker, performed(1))
    report(broker, ended(), "N-SET")

    mwl(broker, "performed", "unlink", UID, "--by", "anna", "--reason", "wrong patient")
    mwl(broker, "performed", "link", UID, "2", "--by", "anna", "--reason", "it was hers")

    history = json.loads(mwl(broker, "steps", "show", "2", "--json"))["history"]
    assert (steps(broker), heard(broker)) == (["SCHEDULED", "COMPLETED"], ["IP", "CM", "SC", "IP", "CM"])
    assert (history[-1]["source"], history[-1]["reason"]) == ("console anna", "it was hers")
    assert [each.AccessionNumber for each in worklist(broker)] == ["ACC1"]


async def test_steps_are_moved_by_hand_and_the_ris_hears(start_broker: Callable[..., Any], ris: Any) -> None:
    """From arrival to cancellation and back; the device's list follows at once."""
    events = ["IP", "CM", "DC", "SC", "CA", "ARRIVED", "READY"]
    broker = await asyncio.to_thread(start_broker, systems=told(ris.port, on=events))
    await asyncio.to_thread(order, broker, 1)

    lists, said = [], []
    for command in ("arrive", "ready", "cancel", "reopen", "complete"):
        await asyncio.to_thread(
            mwl, broker, "steps", command, "1", "--reason", f"to {command}", "--by", "anna"
        )
        message = await ris.next()
        said.append((message["ORC"][5], f"to {command}" in str(message)))
        lists.append(len(await asyncio.to_thread(worklist, broker)))

    assert [code for code, _ in said] == ["SC", "SC", "CA", "SC", "CM"]
    assert said[2][1]  # the reason is in the message
    assert lists == [1, 1, 0, 1, 0]
    refused = await asyncio.to_thread(broker.run, "steps", "cancel", "1", "--reason", "late")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "step 1 is COMPLETED: cancel is not possible, reopen is" in refused.stderr


def test_b_08_a_step_that_was_closed_takes_nothing_more(start_broker: Callable[..., Any]) -> None:
    """By hand; the device is answered 0110 with Error ID A710."""
    broker = start_broker(systems=told_nowhere())
    order(broker, 1)
    report(broker, performed(1))

    mwl(broker, "performed", "close", "1", "--discontinued", "--reason", "switched off")
    late = report(broker, ended(), "N-SET")

    assert (f"{late.status:04X}", f"{late.error_id:04X}") == ("0110", "A710")
    assert (steps(broker), heard(broker)) == (["DISCONTINUED"], ["IP", "DC"])


def test_b_08_the_clock_ends_what_nobody_ends(start_broker: Callable[..., Any]) -> None:
    """Reported first; ended where the configuration says so, and then refused to the device."""
    broker = start_broker(systems=told_nowhere())
    order(broker, 1)
    report(broker, performed(1))
    old = sqlite3.connect(broker.folder / "mwl.db")
    with old:
        old.execute("UPDATE performed SET updated_at = '2026-01-01T00:00:00.000000+00:00'")
    old.close()

    broker.reload()
    reported = broker.until("performed step open too long")
    first = steps(broker)
    written = yaml.safe_load((broker.folder / "mwl.yaml").read_text("utf-8"))
    broker.configure({**written, "watch": {"performed": {"close": "1d"}}})
    broker.reload()
    closed = broker.until("performed step ended by the clock")
    late = report(broker, ended(), "N-SET")

    assert (reported["performed"], reported["device"], closed["state"]) == (UID, "CT1", "DISCONTINUED")
    assert (first, steps(broker), heard(broker)) == (["STARTED"], ["DISCONTINUED"], ["IP", "DC"])
    assert (f"{late.status:04X}", f"{late.error_id:04X}") == ("0110", "A710")


def test_m12_a_list_does_not_fill_with_what_nobody_reports(
    start_broker: Callable[..., Any], mappings: str
) -> None:
    """A device without MPPS: its old step leaves, with the reason "idle"; scheduled anew it is back."""
    devices = {"CT1": {"profile": "silent"}, "US1": {"profile": "generic"}}
    broker = start_broker(mappings=mappings, devices=devices, systems=told_nowhere())
    order(broker, 1, changes={START: "20200705093000"})
    order(broker, 2, changes={START: "20200705093000", "CT1": "US1"})
    before = worklist(broker, "US1")
    assert broker.stop() == 0

    broker.start()
    gone = broker.until("idle steps left the worklists")
    after = worklist(broker, "US1")
    held = steps(broker)
    order(broker, 1, changes={START: "20990705093000", "|C1|": "|C3|", "|NW|": "|XO|"})

    assert ([each.AccessionNumber for each in before], gone["steps"]) == (["ACC1", "ACC2"], 1)
    assert ([each.AccessionNumber for each in after], held) == (["ACC2"], ["SCHEDULED held", "SCHEDULED"])
    assert (steps(broker), heard(broker)) == (["SCHEDULED"] * 2, [])
    lines = json.loads(mwl(broker, "steps", "show", "1", "--json"))["history"]
    assert [(each["event"], each["source"].split()[0], each["reason"]) for each in lines[1:]] == [
        ("hold", "clock", "idle"), ("release", "hl7", "it has a new start"),
    ]  # fmt: skip
