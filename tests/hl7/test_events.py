"""Messages on patients and appointments, from their bytes to the worklist: the acceptance vectors by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from mwl.hl7.intake import Intake, System
from mwl.mapping import paths
from mwl.mapping.systems.system import load_systems
from mwl.model import WorklistItem, text
from mwl.query import Criterion, Op, WorklistQuery
from mwl.store import Store, steps, tables

Order = Callable[[str], bytes]
MAPPINGS = Path(__file__).parents[2] / "mappings"
PEER = "127.0.0.1:40000"
CT, TWO = "orm-2.3-without-zds", "omi-2.5.1-two-steps"
NAME, PATIENT_ID, LOCATION, WEIGHT = "00100010", "00100020", "00380300", "00101030"


async def found(store: Store, patient_id: str = "") -> list[WorklistItem]:
    """What a query by patient ID finds; without one, everything."""
    criteria = (Criterion((PATIENT_ID,), Op.IN, (patient_id,)),) if patient_id else ()
    return await store.read(lambda tx: steps.load(tx, steps.match(tx, WorklistQuery(criteria))))


async def taken(intake: Intake, order: Order, *names: str) -> None:
    """Send fixtures that are all acknowledged with AA."""
    for name in names:
        assert b"MSA|AA|" in (await intake.receive(order(name), PEER) or b""), name


def error(answer: bytes | None) -> tuple[bytes, bytes]:
    """Return MSA-1 and the first error's place and code as it leaves."""
    lines = {line.split(b"|")[0]: line.split(b"|") for line in (answer or b"").split(b"\r")}
    fields = lines[b"ERR"]
    place = b"@".join([fields[3].split(b"^")[0], fields[2]]) if len(fields) > 3 else fields[1]
    return lines[b"MSA"][1], place


def scheduled(item: WorklistItem) -> tuple[str, str, str]:
    """Return date, time and state of a step."""
    wanted = (
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "ScheduledProcedureStepStatus",
    )
    date, time, state = (text(item.step, paths.tag(each)) for each in wanted)
    return date, time, state


# ── patients ──


async def test_f_h14_a_changed_name_is_on_the_worklist_at_once(intake: Intake, store: Store, order: Order):
    """A08 reaches the steps of this ID and issuer: name, location, weight; the same ID elsewhere keeps its own."""
    await taken(intake, order, CT)
    other = order(CT).replace(b"HOSP_A", b"HOSP_B").replace(b"1101", b"1102")
    await intake.receive(other.replace(b"PIX1102", b"PIX1101"), PEER)

    await taken(intake, order, "adt-a08-2.5.1")

    ours, theirs = await found(store, "PIX1101")
    assert [text(ours.patient, tag) for tag in (NAME, LOCATION, WEIGHT)] == [
        "DOE-MEYER^JOHN^Q",
        "WARD5 3 1",
        "82",
    ]
    assert [text(theirs.patient, tag) for tag in (NAME, LOCATION, WEIGHT)] == ["DOE^JOHN^Q", "WARD3 12 1", ""]


@pytest.mark.parametrize(
    ("name", "location"),
    [("adt-a01-2.3", "WARD5 3 1"), ("adt-a02-2.3", "ICU 2 A"), ("adt-a03-2.3", "WARD5 3 1")],
)
async def test_the_patient_moves_and_the_step_waits_on(
    intake: Intake, store: Store, order: Order, name: str, location: str
):
    """Admission, transfer, discharge: the location is the new one, the step is as scheduled as before."""
    await taken(intake, order, CT, name)

    (item,) = await found(store)
    assert text(item.patient, LOCATION) == location
    assert scheduled(item) == ("20260705", "090000", "SCHEDULED")


async def test_a_person_without_order_is_acknowledged_and_not_stored(
    intake: Intake, store: Store, order: Order
):
    """A28 of a hospital's whole population fills no worklist broker."""
    await taken(intake, order, "adt-a28-2.5.1")

    assert await store.read(lambda tx: tx.connection.scalars(select(tables.patients.c.key)).all()) == []


@pytest.mark.parametrize("event", ["A04", "A05", "A06", "A07", "A09", "A11", "A12", "A13", "A31", "A38"])
async def test_every_event_on_a_patient_is_taken(intake: Intake, store: Store, order: Order, event: str):
    """All say who the patient is and where; none deletes, cancels or moves a step (C-42)."""
    await taken(intake, order, CT)
    raw = order("adt-a08-2.5.1").replace(b"ADT^A08^ADT_A01", f"ADT^{event}".encode())

    answer = await intake.receive(raw, PEER)

    assert b"MSA|AA|" in (answer or b"")
    (item,) = await found(store)
    assert text(item.patient, NAME) == "DOE-MEYER^JOHN^Q"
    assert scheduled(item) == ("20260705", "090000", "SCHEDULED")


async def test_linking_two_patients_merges_nothing(intake: Intake, store: Store, order: Order):
    """A24 and A37 are acknowledged; the patients stay two (C-42)."""
    await taken(intake, order, CT, TWO)

    answer = await intake.receive(order("adt-a34-2.3").replace(b"A34", b"A24"), PEER)

    assert b"MSA|AA|" in (answer or b"")
    assert len(await found(store, "PIX1101")) == 1


async def test_f_h64_a_patient_who_has_come_is_arrived(intake: Intake, store: Store, order: Order):
    """A10 on the day of the exam: SCHEDULED becomes ARRIVED; the exam of another patient waits on."""
    await taken(intake, order, CT, TWO, "adt-a10-2.5.1")

    ct, *others = await found(store)
    assert scheduled(ct) == ("20260705", "090000", "ARRIVED")
    assert {scheduled(each)[2] for each in others} == {"SCHEDULED"}


async def test_f_h15_a_merged_patients_steps_are_the_survivors(intake: Intake, store: Store, order: Order):
    """A40: the step moves with its numbers and UID, the prior ID finds nothing, its later orders follow."""
    await taken(intake, order, CT)
    (before,) = await found(store)

    await taken(intake, order, "adt-a40-2.5.1-two", "orm-xo")

    assert await found(store, "PIX1101") == []
    (after,) = await found(store, "PIX1308")
    assert after.procedure == before.procedure
    assert (after.ref.key, text(after.patient, NAME)) == (before.ref.key, "DOE^JOHN^Q")
    assert scheduled(after) != scheduled(before)


async def test_each_group_of_a_merge_is_one(intake: Intake, store: Store, order: Order):
    """Two patients, three prior IDs, one message; unknown ones are remembered for later orders."""
    await taken(intake, order, CT, TWO, "adt-a40-2.5.1-two")
    late = order(TWO).replace(b"PIX1103", b"PIX1310").replace(b"1103", b"1104")

    await intake.receive(late, PEER)

    assert len(await found(store, "PIX1308")) == 1
    assert len(await found(store, "PIX1103")) == 4


@pytest.mark.parametrize(("name", "survivor"), [("adt-a34-2.3", "PIX1307"), ("adt-a47-2.5.1", "PIX1311")])
async def test_older_merges_and_changed_ids_move_the_steps(
    intake: Intake, store: Store, order: Order, name: str, survivor: str
):
    """A34 of 2.3, and A47: the survivor was unknown and has the step, the birth date stays known."""
    await taken(intake, order, CT, name)

    (item,) = await found(store, survivor)
    assert text(item.patient, "00100030") == "19580312"


@pytest.mark.parametrize("event", [b"A18", b"A30", b"A36"])
async def test_other_merges_are_merges(intake: Intake, store: Store, order: Order, event: bytes):
    """They name the survivor in PID-3 and the prior patient in MRG-1 as well."""
    await taken(intake, order, CT)

    answer = await intake.receive(order("adt-a34-2.3").replace(b"A34", event), PEER)

    assert b"MSA|AA|" in (answer or b"")
    assert len(await found(store, "PIX1307")) == 1


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        pytest.param(
            "adt-a34-2.3", b"MRG|PIX1101", b"MRG|PIX1307",
            (b"AE", b"MRG^1^1^205&Duplicate key identifier&HL70357"), id="F-H16",
        ),
        pytest.param("adt-a08-2.5.1", b"PIX1101^^^HOSP_A^MR", b"", (b"AE", b"101@PID^1^3"), id="F-H17"),
        pytest.param("adt-a47-2.5.1", b"MRG|PIX1101^^^HOSP_A^MR", b"MRG|", (b"AE", b"101@MRG^1^1"), id="C-43"),
        pytest.param("adt-a08-2.5.1", b"ADT^A08^", b"ADT^Z99^", (b"AR", b"201@MSH^1^9"), id="F-H19"),
    ],
)  # fmt: skip
async def test_what_cannot_be_applied_says_where_and_changes_nothing(
    intake: Intake,
    store: Store,
    order: Order,
    name: str,
    old: bytes,
    new: bytes,
    expected: tuple[bytes, bytes],
):
    """AE or AR with place and code; the worklist is as before."""
    await taken(intake, order, CT)
    before = await found(store)

    answer = await intake.receive(order(name).replace(old, new), PEER)

    code, place = error(answer)
    assert (code, place[: len(expected[1])]) == expected
    assert await found(store) == before


async def test_a_merge_with_one_bad_group_changes_nothing(intake: Intake, store: Store, order: Order):
    """Whole or not at all, for merges as for orders."""
    await taken(intake, order, CT, TWO)
    before = await found(store)
    raw = order("adt-a40-2.5.1-two").replace(b"MRG|PIX1309", b"MRG|PIX1103").replace(b"~PIX1310", b"~PIX1103")

    answer = await intake.receive(raw, PEER)

    assert error(answer)[0] == b"AE"
    assert await found(store) == before


# ── appointments ──


async def test_f_h63_an_appointment_is_booked_moved_and_cancelled(intake: Intake, store: Store, order: Order):
    """S12 makes a step, S13 moves it, S15 cancels it; no order was ever sent."""
    await taken(intake, order, "siu-s12-2.3.1")
    (item,) = await found(store)
    assert scheduled(item) == ("20260707", "090000", "SCHEDULED")
    assert text(item.step, "00080060") == "US"

    await taken(intake, order, "siu-s13-2.3.1")
    assert [scheduled(each) for each in await found(store)] == [("20260708", "140000", "SCHEDULED")]

    await taken(intake, order, "siu-s15-2.3.1")
    assert [scheduled(each) for each in await found(store)] == [("20260708", "140000", "CANCELED")]


async def test_f_h63_where_the_profile_ignores_appointments_nothing_happens(
    intake: Intake, store: Store, order: Order, tmp_path
):
    """C-51: AA, and no step."""
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "ours.yaml").write_text("profile: ours\naccept: {messages: {SIU^S12: ignore}}\n")
    intake.systems = [System("RIS", load_systems([tmp_path, MAPPINGS]).bind("ours"))]

    await taken(intake, order, "siu-s12-2.3.1")

    assert await found(store) == []


async def test_an_appointment_schedules_the_order_it_names(intake: Intake, store: Store, order: Order):
    """SCH-26 and SCH-27 link it; start, end, room and physician come with it, the numbers stay."""
    await taken(intake, order, CT)
    (before,) = await found(store)

    await taken(intake, order, "siu-s12-2.5.1-order")

    (after,) = await found(store)
    assert scheduled(after) == ("20260706", "103000", "SCHEDULED")
    assert after.procedure == before.procedure
    wanted = ("ScheduledProcedureStepEndTime", "ScheduledStationName", "ScheduledProcedureStepLocation")
    assert [text(after.step, paths.tag(each)) for each in wanted] == ["110000", "CTROOM2", "RAD ROOM2"]

    await taken(intake, order, "siu-s26-2.5.1")
    assert [scheduled(each)[2] for each in await found(store)] == ["CANCELED"]


async def test_an_order_after_its_appointment_is_one_exam(intake: Intake, store: Store, order: Order):
    """S12 first, the order second: one step, under the order's numbers."""
    booked = order("siu-s12-2.5.1-order").replace(b"CTH1^", b"CTHEAD^")
    assert b"MSA|AA|" in (await intake.receive(booked, PEER) or b"")
    (made,) = await found(store)

    await taken(intake, order, CT)

    (item,) = await found(store)
    assert item.ref.key == made.ref.key
    assert [text(item.procedure, tag) for tag in ("00080050", "00401001")] == ["ACX1101", "RPX1101"]


async def test_an_appointment_that_says_too_little_is_refused(intake: Intake, store: Store, order: Order):
    """Which modality it is for nobody can tell: AE at the field that would."""
    raw = order("siu-s12-2.3.1").replace(b"|US^Ultrasound", b"|ROOM")

    answer = await intake.receive(raw, PEER)

    assert error(answer) == (b"AE", b"AIG^1^4^101&Required field missing&HL70357")
    assert await found(store) == []


@pytest.mark.parametrize("name", ["adt-a08-2.5.1", "adt-a40-2.5.1-two", "siu-s12-2.5.1-order"])
async def test_the_journal_knows_what_a_message_touched(
    intake: Intake, store: Store, order: Order, name: str
):
    """Patient, procedure and step are linked to the message, in its transaction."""
    await taken(intake, order, CT, name)

    def linked(tx):
        table = tables.message_links
        rows = tx.connection.execute(select(table).where(table.c.message_key == 2)).all()
        return {"patient": any(r.patient_key for r in rows), "step": any(r.step_key for r in rows)}

    assert (await store.read(linked))["patient"]
    assert (await store.read(linked))["step"] is (name != "adt-a08-2.5.1")


@pytest.mark.parametrize(
    "name", ["adt-a08-2.5.1", "adt-a10-2.5.1", "adt-a40-2.5.1-two", "siu-s12-2.5.1-order"]
)
async def test_a_message_sent_again_under_a_new_number_changes_nothing(
    intake: Intake, store: Store, order: Order, name: str
):
    """D-30: the effect is the same without the control ID's help."""
    await taken(intake, order, CT, name)
    before = await found(store)

    answer = await intake.receive(order(name).replace(b"|FIX13", b"|AGAIN"), PEER)

    assert b"MSA|AA|" in (answer or b"")
    assert await found(store) == before
