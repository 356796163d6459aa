"""Incidents F01 to F13: the list is empty, or not the device's own (9.1)."""

from __future__ import annotations

from dataclasses import replace

from incidents import page
from incidents.incident import Incident, value
from incidents.intake import Intake, reproduce
from incidents.ward import DAY, Ward
from mwl.dicom.emulators import DEVICES, Device, Emulator, Judge
from mwl.dicom.emulators.description import ILE
from mwl.model import Document
from mwl.store import callers
from mwl.store.callers import Caller
from mwl.workbench.hints import HintKind, hints

US = "SPS.Modality"
STATION, PLACE, STATUS = (
    "SPS.ScheduledStationAETitle",
    "SPS.ScheduledProcedureStepLocation",
    "SPS.ScheduledProcedureStepStatus",
)
STEPS = "00400100"

F01 = Incident(
    "F01", "asks for its AE title, today; the RIS schedules on rooms and knows no AE titles",
    on="samsung-us-medison",
    fix="""
ignore_keys: [SPS.ScheduledStationAETitle]
filter: {include: [{SPS.ScheduledProcedureStepLocation: US-2}]}
set: {SPS.ScheduledStationAETitle: $calling_ae, unsafe: true}
""",
    orders=[{US: "US", STATION: None, PLACE: room} for room in ("US-2", "US-2", "US-3")],
    device="sim-medison", query="accuvix today",
)  # fmt: skip
F02 = Incident(
    "F02", "sends no station key; three rooms share the worklist",
    on="radlink-cr",
    before="default_key: null",
    fix="default_key: {SPS.ScheduledStationAETitle: $calling_ae}",
    orders=[{US: "CR", STATION: ae} for ae in ("{ae}", "ROOM2", "ROOM3")],
    device="sim-radlink",
    more={"named": "default_key: {SPS.ScheduledStationAETitle: $calling_ae}"},
)  # fmt: skip
F03 = Incident(
    "F03", "asks for its AE title; the order names three",
    on="ge-ct-connectpro",
    fix="set: {SPS.ScheduledStationAETitle: $calling_ae, unsafe: true}",
    orders=[{STATION: ["CT_A", "{ae}", "CT_C"]}, {STATION: ["CT_A", "CT_C"]}],
    query="this scanner/today", tells="SPS.ScheduledStationAETitle",
)  # fmt: skip
F04 = Incident(
    "F04", "asks for DX; the RIS orders CR",
    fix="alias: {tag: SPS.Modality, query: {DX: [DX, CR]}, response: {CR: DX}}",
    orders=[{US: "CR"}, {US: "DX"}, {US: "MG"}],
    device="sim-siemens-aristos", missed=1,
)  # fmt: skip
ORDER = (
    "MSH|^~\\&|{{application}}|HOSP|MWL|HOSP|20260704120000||ORM^O01|{n}|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID{n}^^^HOSP||DOE^JANE||19700101|F\n"
    "ORC|NW|PL{n}^RIS|FI{n}^RIS||||1^once^^20260705093000^^S\n"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|X{n}^Exam^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||{modality}"
    "|||1^once^^20260705093000^^S\n"
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\n"
)
F05 = Intake(
    "F05", "asks for CT; the RIS orders TC",
    before="step: {Modality: {table: {CT: CT, MR: MR}}}",
    fix="step: {Modality: {table: {TC: CT, RM: MR, RX: DX, USG: US, MMG: MG}}}",
    messages=[ORDER.format(n=n, modality=word) for n, word in enumerate(("TC", "CT", "RM"), 1)],
    device="sim-ge-ct", query="this modality/today",
)  # fmt: skip
F06 = Incident(
    "F06", "writes modality and date at the root, and no item of the step",
    before="accept: {root_sps_keys: as_sent}",
    fix="accept: {root_sps_keys: lift}",
    orders=[{}, {US: "MR"}, {"SPS.ScheduledProcedureStepStartDate": "20260706"}],
    device="sim-lowcost-cn",
)  # fmt: skip


def with_two_items(identifier: Document) -> Document:
    """Return a query whose step has a second item, for another modality."""
    first = identifier[STEPS]["Value"][0]
    return {**identifier, STEPS: {"vr": "SQ", "Value": [first, {"00080060": {"vr": "CS", "Value": ["MR"]}}]}}


F07 = Incident(
    "F07", "sends two items in the step's sequence",
    before="accept: {extra_sps_items: reject}",
    fix="accept: {extra_sps_items: first}",
    orders=[{}, {US: "MR"}],
    query="this modality/today", shape=with_two_items,
)  # fmt: skip
F08 = Incident(
    "F08", "sends the step's sequence without an item",
    before="accept: {empty_sps: as_sent}",
    fix="accept: {empty_sps: expand}",
    device="sim-radlink", tells="SPS.ScheduledPerformingPhysicianName", shape=lambda identifier: {**identifier, STEPS: {"vr": "SQ"}},
)  # fmt: skip
F10 = Incident(
    "F10", "asks for the step's status with an empty key; five are scheduled, three are done",
    before="hide_status: null",
    fix="hide_status: [COMPLETED, DISCONTINUED, CANCELED]",
    orders=[*[{US: "US"}] * 5, *[{US: "US", "state": "COMPLETED"}] * 3],
    device="sim-medison",
)  # fmt: skip
TWICE = {"PatientID": "PID1", "AccessionNumber": "ACC1", US: "US", "RequestedProcedureID": "RP1"}
F11 = Incident(
    "F11", "may ask one worklist; cardiology and radiology order the same exam",
    fix="""
sources: {order: [CARDIO, RIS]}
dedupe: {by: [AccessionNumber]}
""",
    orders=[
        {**TWICE, "system": "RIS", "RequestedProcedureDescription": "Heart"},
        {US: "US", "system": "RIS"},
        {**TWICE, "system": "CARDIO", "RequestedProcedureDescription": "Echo", "StudyInstanceUID": "1.2.276.0.99.3"},
    ],
    device="sim-terason",
)  # fmt: skip
F12 = Incident(
    "F12", "asks for every CT of the hospital; four of sixty are for the emergency room",
    on="ge-ct-connectpro",
    fix="filter: {include: [{SPS.ScheduledProcedureStepLocation: [ER, TRAUMA]}]}",
    orders=[{PLACE: "ER" if n in (7, 30) else "TRAUMA" if n in (31, 59) else "WARD 3"} for n in range(1, 61)],
    query="this modality/today",
)  # fmt: skip
LOCALLY = replace(
    DEVICES["sim-ge-logiq7"],
    judge=Judge(refuses=(lambda _item: iter(["its own criteria leave it out"]),), empty="no patients"),
)
F13 = Incident(
    "F13", "is sent twelve, and filters them by criteria of its own",
    on="ge-us-logiq",
    fix="local_filter: possible",
    orders=[{US: "US"}] * 12,
    device=LOCALLY,
)  # fmt: skip
INCIDENTS = [F01, F02, F03, F04, F05, F06, F07, F08, F10, F11, F12, F13]


def test_F01_a_room_s_orders_reach_the_device_in_it(ward: Ward) -> None:
    """P5 ignores the station, P10 keeps to the room, P16 says that the step is the caller's."""
    was, now = ward.reproduce(F01)

    assert (was.sent, was.seen.log) == ([], ["the console says: no items found"])
    assert "3 if SPS.ScheduledStationAETitle is ignored" in was.said[0]
    assert now.shown == [1, 2]
    assert (now.values(STATION), now.values(PLACE)) == (["F01"] * 2, ["US-2"] * 2)
    assert now.fixed_by == {"ignore_keys", "filter", "set"}
    assert [value(item.merged(), STATION) for item in ward.items()] == [None] * 3


def test_F02_a_device_without_a_station_key_gets_its_own_room(ward: Ward) -> None:
    """P6 fills the key that is not sent, and leaves one that is."""
    was, now = ward.reproduce(F02)
    named = ward.ask(replace(F02, keys=[f"{STATION}=ROOM2"]), "named")

    assert was.shown == [1, 2, 3]
    assert now.shown == [1]
    assert now.fixed_by == {"default_key"}
    assert [value(item, STATION) for item in named.seen.received] == ["ROOM2"]
    assert named.fixed_by == set()


def test_F03_any_of_several_stations_matches(ward: Ward) -> None:
    """The matcher tests each value; P16 sends one, for a console that cuts the list at 16 characters."""
    was, now = ward.reproduce(F03)

    assert was.shown == now.shown == [1]
    assert was.values(STATION) == [["CT_A", "F03_OLD", "CT_C"]]
    assert now.values(STATION) == ["F03"]
    assert now.fixed_by == {"set"}
    assert value(ward.items()[0].merged(), STATION) == ["CT_A", "F03", "CT_C"]


def test_F04_a_dx_room_gets_what_was_ordered_as_cr(ward: Ward) -> None:
    """P9 leads the query to both and shows one; the performed step finds the order that says CR."""
    was, now = ward.reproduce(F04)
    reports = ward.perform(now, now.seen.shown[0])

    assert was.shown == [2]
    assert "the device asks for SPS.Modality DX, and the step has CR" in was.said[0]
    assert (now.shown, now.values(US)) == ([1, 2], ["DX", "DX"])
    assert now.fixed_by == {"alias"}
    assert [each.status for each in reports] == [0, 0]
    assert ward.states() == {1: "COMPLETED", 2: "SCHEDULED", 3: "SCHEDULED"}
    assert [value(item.merged(), US) for item in ward.items()] == ["CR", "DX", "MG"]


def test_F05_local_words_for_modalities_are_read_at_the_door(ward: Ward) -> None:
    """P9's counterpart at intake: what is stored is CT, whoever asks (R1)."""
    was, now = reproduce(ward, F05)

    assert (was.answers, now.answers) == (["AA"] * 3, ["AA"] * 3)
    assert was.shown == [2]
    assert now.shown == [1, 2]
    assert [value(item.merged(), US) for item in ward.items()] == ["CT", "CT", "MR"]
    assert now.tried.explanation is not None
    assert [str(fate.verdict) for fate in now.tried.explanation.fates] == ["sent", "sent", "not matched"]


def test_F06_keys_at_the_root_are_the_step_s(ward: Ward) -> None:
    """P4 lifts them; unlifted they match nothing, and the list is the whole hospital's."""
    was, now = ward.reproduce(F06)
    nested = ward.ask(replace(F06, device="sim-ge-ct", query="this modality/today"))

    assert was.sent == [1, 2, 3]
    assert now.shown == [1]
    assert now.fixed_by == {"accept"}
    told = now.explanation.told
    assert told is not None
    assert "Modality" in {note.path for note in told.tolerated}
    assert nested.sent == now.sent


def test_F07_of_two_items_the_first_counts(ward: Ward) -> None:
    """P4; without it the query fails, and says which attribute is wrong."""
    was, now = ward.reproduce(F07)

    assert (was.seen.status, was.shown) == (0xA900, [])
    assert "A900" in was.said[0]
    assert (now.seen.status, now.shown) == (0, [1])
    assert now.fixed_by == {"accept"}


def test_F08_a_sequence_without_an_item_asks_for_the_whole_step(ward: Ward) -> None:
    """P4: required attributes are there, zero-length where the order has none."""
    was, now = ward.reproduce(F08)

    assert was.sent == now.shown == [1]
    assert was.values("SPS.ScheduledPerformingPhysicianName") == [None]
    assert now.values("SPS.ScheduledPerformingPhysicianName") == [""]
    assert now.values("SPS.ScheduledProcedureStepID") == ["SPS1"]
    assert now.fixed_by == {"accept"}


ARCHIVE = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve FIND
MISTAKEN: Device = replace(DEVICES["sim-ge-ct"], proposes=((ARCHIVE, (ILE,)),))


def asks_an_archive_s_question(ward: Ward) -> list[str]:
    """Let the device propose what archives have; return the row of the page."""
    emulator = Emulator(MISTAKEN, ward.at, ae=F10.ae(""), called="MWL", today=DAY)
    seen = emulator.run("this scanner/today")
    ward.until(lambda: callers_of(ward, F10.ae("")))
    told = ward.explained(F10.ae(""), "PatientName")
    hint = next(each.text for each in hints(told) if each.kind is HintKind.WRONG_CLASS)
    mends = "none: the device is set up to ask the worklist, or another AE title"
    return ["F09", "asks an archive's question of the worklist", seen.error, hint, mends, seen.error]


def callers_of(ward: Ward, ae: str) -> list[Caller]:
    """Return what is on record of a caller that came to nothing."""
    found = ward.store.read_now(lambda tx: callers.browse(tx, limit=100))
    return [each for each in found if each.calling_ae == ae]


def test_F09_a_device_that_asks_an_archive_s_question_is_told_of(ward: Ward) -> None:
    """No primitive: its context is refused, the broker logs it once, and `explain` knows the mistake."""
    since = len(ward.broker.events)
    ward.clear()

    ward.rows["F09"] = asks_an_archive_s_question(ward)
    logged = ward.broker.until("presentation contexts refused", since)

    assert (logged["calling_ae"], logged["level"], logged["accepted"]) == ("F10", "warning", 0)
    assert "Study Root" in logged["contexts"][0]
    assert "SOP class not offered" in logged["contexts"][0]
    assert "set up as an archive" in ward.rows["F09"][3]
    assert [each.reason for each in callers_of(ward, "F10")] == [callers.NOTHING_IN_COMMON]


def test_F10_an_empty_status_key_does_not_bring_back_what_is_done(ward: Ward) -> None:
    """P10 hides by state, whatever is asked without a value."""
    was, now = ward.reproduce(F10)

    assert was.sent == [1, 2, 3, 4, 5, 6, 7, 8]
    assert now.shown == [1, 2, 3, 4, 5]
    assert now.fixed_by == {"hide_status"}
    assert now.values(STATUS) == ["SCHEDULED"] * 5


def test_F11_two_feeds_are_one_list_without_doubles(ward: Ward) -> None:
    """P14 drops the double, P11 says whose word counts."""
    was, now = ward.reproduce(F11)

    assert len(was.sent) == 3
    assert now.values("AccessionNumber") == ["ACC1", "ACC2"]
    assert now.values("RequestedProcedureDescription") == ["Echo", "Procedure 2"]
    assert now.fixed_by == {"dedupe"}
    assert len(ward.items()) == 3


def test_F12_an_emergency_ct_gets_its_own_four_of_sixty(ward: Ward) -> None:
    """P10 by where the patient is."""
    was, now = ward.reproduce(F12)

    assert len(was.shown) == 60
    assert now.shown == [7, 30, 31, 59]
    assert now.fixed_by == {"filter"}


def test_F13_a_list_that_the_device_filters_itself_is_told_of(ward: Ward) -> None:
    """Diagnostics: twelve are sent in either case, and the operator sees none."""
    was, now = ward.reproduce(F13)

    assert (len(was.sent), was.shown) == (len(now.sent), now.shown) == (12, [])
    assert not any("filter" in line for line in was.said)
    assert any("12 sent; this device may filter them itself" in line for line in now.said)


def test_the_page_says_what_happened(ward: Ward) -> None:
    """docs/incidents.md, F01 to F13."""
    page.check(ward, "F01 to F13", {"F09": asks_an_archive_s_question})
