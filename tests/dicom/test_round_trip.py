"""What a device was shown comes back, in queries and as performed, and means the same step (R1, R2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from mwl.dicom.devices import Devices
from mwl.dicom.encoding import decode_dataset, encode_dataset
from mwl.dicom.performed import PerformedService
from mwl.dicom.service import C_FIND_RQ, N_CREATE_RQ
from mwl.dicom.worklist import WorklistService
from mwl.handles import shortened
from mwl.mapping.paths import parse_path, put, vr
from mwl.mapping.text.charset import UTF8
from mwl.model import Document, OrderAction, OrderMessage, ProcedureChange, WorklistItem, items, text
from mwl.store import Store, orders, performed, tables

SYNTAX = "1.2.840.10008.1.2.1"
STEP, ATTRIBUTES, STATION = "00400100", "00400270", "00400241"
LONG = "HOSP-2025-0003344556"
UID = "1.2.276.0.99.7.1"
COPIED = ("0020000D", "00080050", "00401001")

ALL = """
    uid: {StudyInstanceUID: {per_sps: derive}}
    alias: {tag: SPS.Modality, both: {TC: CT}}
    codec:
      - {tag: PatientID, op: pad, width: 10}
      - {tag: AccessionNumber, op: shorten}
      - {tag: RequestedProcedureID, op: slice, table: {RP: R}}
      - {tag: SPS.ScheduledProcedureStepID, op: suffix, text: /1}
      - {tag: SPS.ScheduledStationAETitle, op: station_map, table: {CT_ROOM1: CT1}}
    """
PER_STEP = "uid: {StudyInstanceUID: {per_sps: derive}}"


def keys(asked: Mapping[str, str]) -> bytes:
    """Return an identifier of paths and values."""
    document: Document = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}
    returned = ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID", "PatientID", "PatientName",
                "SPS.ScheduledProcedureStepID", "SPS.ScheduledStationAETitle", "SPS.Modality")  # fmt: skip
    for path, value in {**dict.fromkeys(returned, ""), **asked}.items():
        kind = vr(parse_path(path)[-1])
        document = put(document, parse_path(path), {"vr": kind, "Value": [value]} if value else {"vr": kind})
    return encode_dataset(document, SYNTAX, UTF8)


def begun(*answers: Document, keep: tuple[str, ...] = COPIED, step_id: bool = True) -> bytes:
    """Return the N-CREATE of a device that copies what it got."""
    attributes = []
    for answer in answers:
        step = next(items(answer, STEP))
        copied = {tag: answer[tag] for tag in keep}
        attributes.append({**copied, "00400009": step["00400009"]} if step_id else copied)
    first, step = answers[0], next(items(answers[0], STEP))
    document: Document = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, ATTRIBUTES: {"vr": "SQ", "Value": attributes},
        "00100010": first["00100010"], "00100020": first["00100020"], "00080060": step["00080060"],
        "00400253": {"vr": "SH", "Value": ["PPS1"]}, "00400252": {"vr": "CS", "Value": ["IN PROGRESS"]},
        STATION: {"vr": "AE", "Value": step["00400001"]["Value"][:1]},
        "00400244": {"vr": "DA", "Value": ["20260705"]}, "00400245": {"vr": "TM", "Value": ["091000"]},
    }  # fmt: skip
    return encode_dataset(document, SYNTAX, UTF8)


class Device:
    """A device with a profile of a few lines, before the broker's two services."""

    def __init__(self, store: Store, devices: Devices, ask: Callable[..., Awaitable[Any]]) -> None:
        self.store, self.ask = store, ask
        self.worklist = WorklistService(store, devices)
        self.mpps = PerformedService(store, devices, frozenset())

    async def find(self, **asked: str) -> list[Document]:
        wanted = {path.replace("__", "."): value for path, value in asked.items()}
        answer = await self.ask(self.worklist, C_FIND_RQ, keys(wanted))
        assert answer.final == 0
        return [decode_dataset(data, SYNTAX) for _, data in answer.pendings]

    async def begin(self, data: bytes, **more: Any) -> int:
        answer = await self.ask(self.mpps, N_CREATE_RQ, data, uid=UID, **more)
        return int(answer.final)

    def linked(self) -> list[tuple[str, str]]:
        """Return step ID and rule of each link of the performed step."""
        link, step = tables.performed_links, tables.steps
        chosen = select(step.c.step_id, link.c.rule).join(step, step.c.key == link.c.step_key)
        return self.store.read_now(lambda tx: sorted(map(tuple, tx.connection.execute(chosen))))

    def stored(self) -> performed.PerformedStep:
        found = self.store.read_now(lambda tx: performed.get(tx, UID))
        assert found is not None
        return found


@pytest.fixture
def device(store: Store, devices: Any, profile: Any, ask: Any) -> Callable[[str], Device]:
    """Make a device that the broker knows by a profile of a few lines."""
    return lambda lines: Device(store, devices(anyone=profile(lines)), ask)


@pytest.fixture
def long_accession(store: Store, f0_items: dict[str, WorklistItem]) -> None:
    """The order of S1 has an accession number longer than DICOM's 16 characters."""
    item = f0_items["S1"]
    procedure = {**item.procedure, "00080050": {"vr": "SH", "Value": [LONG]}}
    change = ProcedureChange(OrderAction.UPDATE, procedure, (item.step,))
    message = OrderMessage("RIS", item.patient, (change,))
    store.write_now(lambda tx: orders.apply(tx, message, source="hl7 RIS", uid_root=None, told=()))


@pytest.mark.usefixtures("long_accession")
async def test_m16_every_identity_comes_back_as_it_is_stored(device: Any) -> None:
    """All codecs at once: the device's words are in the answer, and none is in what is stored."""
    ct = device(ALL)
    (shown,) = await ct.find(SPS__ScheduledProcedureStepID="S1/1")
    step = next(items(shown, STEP))

    assert text(shown, "00100020") == "0000PID001"
    assert text(shown, "00080050") == shortened(LONG)
    assert text(shown, "00401001") == "R1001"
    assert (text(step, "00400001"), text(step, "00080060")) == ("CT1", "TC")

    assert await ct.begin(begun(shown)) == 0

    assert ct.linked() == [("S1", "step ID + requested procedure ID")]
    document = ct.stored().document
    (attributes,) = items(document, ATTRIBUTES)
    assert text(attributes, "00080050") == LONG
    assert text(attributes, "0020000D") == "1.2.276.0.99.1001"
    assert (text(document, "00100020"), text(document, STATION)) == ("PID001", "CT_ROOM1")
    assert text(document, "00080060") == "CT"


@pytest.mark.usefixtures("long_accession")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"PatientID": "0000PID001"}, "S1 S3 S12"),
        ({"PatientID": "0000PID00?", "SPS__Modality": "TC"}, "S1 S2 S6 S12"),
        ({"AccessionNumber": shortened(LONG)}, "S1 S3"),
        ({"RequestedProcedureID": "R1002"}, "S2"),
        ({"SPS__Modality": "TC", "SPS__ScheduledStationAETitle": "CT1"}, "S1 S2 S12"),
        ({"SPS__ScheduledStationAETitle": "CT*", "PatientID": "0000PID006"}, ""),
        ({"PatientID": "9999PID001"}, ""),
    ],
)
async def test_r1_what_was_shown_is_found_again(device: Any, asked: dict[str, str], found: str) -> None:
    """By each identity in the form it was shown in, and by wildcards on it; S3 is of S1's order."""
    answers = await device(ALL).find(**asked)

    shown = {text(next(items(each, STEP)), "00400009").removesuffix("/1") for each in answers}
    assert shown == set(found.split())


async def test_f28_three_steps_of_a_study_are_three_entries(device: Any) -> None:
    """Each of a study's steps is found by a UID of its own, and performed by it alone."""
    logiq = device(PER_STEP)
    shown = {text(next(items(each, STEP)), "00400009"): each for each in await logiq.find(PatientID="PID001")}
    uids = {step_id: text(each, "0020000D") for step_id, each in shown.items()}

    assert set(uids) == {"S1", "S3", "S12"}
    assert len({*uids.values(), "1.2.276.0.99.1001"}) == 4
    again = await logiq.find(StudyInstanceUID=uids["S3"])
    assert [text(next(items(each, STEP)), "00400009") for each in again] == ["S3"]
    # Nothing but the UID tells which step it is.
    assert await logiq.begin(begun(shown["S3"], keep=("0020000D",), step_id=False)) == 0
    assert logiq.linked() == [("S3", "step ID + Study Instance UID")]
    (attributes,) = items(logiq.stored().document, ATTRIBUTES)
    assert text(attributes, "0020000D") == "1.2.276.0.99.1001"


async def test_f04_a_device_that_says_dx_has_done_the_cr(device: Any) -> None:
    """What stands for several words is no reason not to link."""
    room = device("alias: {tag: SPS.Modality, query: {DX: [DX, MR]}, response: {MR: DX}}")
    shown = {text(next(items(each, STEP)), "00400009"): each for each in await room.find(SPS__Modality="DX")}

    assert set(shown) == {"S3", "S5", "S7", "S9"}
    assert {text(next(items(each, STEP)), "00080060") for each in shown.values()} == {"DX"}
    assert await room.begin(begun(shown["S3"])) == 0
    assert [step_id for step_id, _ in room.linked()] == ["S3"]


async def test_m03_a_repetition_is_the_same_in_the_devices_words(device: Any) -> None:
    """What is compared is what is meant."""
    ct = device(f"{ALL}\nmpps: {{accept: {{repeat: idempotent}}}}".replace("\n    ", "\n"))
    (shown,) = await ct.find(SPS__ScheduledProcedureStepID="S2/1")

    assert await ct.begin(begun(shown)) == 0
    assert await ct.begin(begun(shown)) == 0
    other = {**shown, "00100020": {"vr": "LO", "Value": ["0000PID003"]}}
    assert await ct.begin(begun(other)) == 0x0111


async def test_m11_a_device_performs_under_another_title(store: Store, generic: Any, ask: Any) -> None:
    """The step's station is that of the worklist, the caller of N-CREATE is not: it is one device."""
    devices = Devices("MWL", {"CT_ROOM1": generic}, ZoneInfo("Europe/Berlin"), also={"CT_MPPS": "CT_ROOM1"})
    ct = Device(store, devices, ask)
    answer = await ask(
        ct.worklist, C_FIND_RQ, keys({"SPS.ScheduledProcedureStepID": "S1"}), calling="CT_ROOM1"
    )
    shown = decode_dataset(answer.pendings[0][1], SYNTAX)
    edited = decode_dataset(begun(shown, keep=("00080050",), step_id=False), SYNTAX)
    data = encode_dataset({**edited, STATION: {"vr": "AE", "Value": ["CONSOLE"]}}, SYNTAX, UTF8)

    assert await ct.begin(data, calling="CT_MPPS") == 0

    assert ct.linked() == [("S1", "accession number + station")]
    assert ct.stored().calling_ae == "CT_ROOM1"


async def test_f21_a_device_in_another_zone_asks_and_is_answered_in_it(device: Any) -> None:
    """19:00 in Berlin is one o'clock of the next day in Shanghai; nothing was negotiated, nothing is stated."""
    abroad = device("window: {tz: Asia/Shanghai}")

    (shown,) = await abroad.find(
        SPS__ScheduledProcedureStepStartDate="20260707", SPS__ScheduledProcedureStepID="S5"
    )

    step = next(items(shown, STEP))
    assert text(step, "00400002") == "20260707"
    assert "00080201" not in shown
    assert await abroad.find(SPS__ScheduledProcedureStepStartDate="20260706", PatientID="PID004") == []


async def test_f19_f22_what_a_window_asks_is_answered(device: Any) -> None:
    """The query that reaches the store is the profile's; the answer has the shape that was asked for."""
    (first, *others) = await device("window: {mode: replace}").find(
        SPS__ScheduledProcedureStepStartDate="20200101", SPS__Modality="CT"
    )

    assert {text(next(items(each, STEP)), "00400002") for each in (first, *others)} == {"20260705"}
