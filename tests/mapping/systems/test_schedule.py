"""Appointments read with the shipped profile: action, what the order is known by, services, what is lacking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mwl.errors import BadDocument, Unacceptable
from mwl.mapping import paths
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile
from mwl.model import Document, OrderAction, ScheduleMessage

SITE = SiteFacts(name="HOSP", timezone=ZoneInfo("Europe/Berlin"))
MSH = r"MSH|^~\&|RIS|HOSP|MWL|HOSP|20260704100000||SIU^S12|1|P|2.5.1"
SCH = "SCH|AP1^RIS|AF1^RIS" + "|" * 24 + "P1^HIS|F1^RIS"
PID = "PID|1||PID001^^^HOSP_A||DOE^JOHN"
AIS = "AIS|1|A|CTH^Head^L|20260705090000|||30|MIN"
AIG, AIL, AIP = "AIG|1|A|CT2^Scanner 2|CT", "AIL|1|A|RAD^ROOM2", "AIP|1|A|3301^KELLER^PAUL"


@pytest.fixture
def take(generic: SystemProfile, source: Callable[[str], Any]) -> Callable[..., ScheduleMessage]:
    """Read a message of segments with the shipped profile, or another."""

    def _take(*segments: str, profile: SystemProfile = generic) -> ScheduleMessage:
        incoming = profile.read("schedule", source("\r".join(segments)), "RIS", SITE, None)
        assert isinstance(incoming, ScheduleMessage)
        return incoming

    return _take


def refusal(take: Callable[..., ScheduleMessage], *segments: str, **options: object) -> list[tuple[int, str]]:
    with pytest.raises(Unacceptable) as refused:
        take(*segments, **options)
    return [(each.code, str(each.location)) for each in refused.value.findings]


def plain(document: Document) -> dict[str, Any]:
    """Return a document by keyword: the first values alone."""
    return {paths.keyword(tag): (each.get("Value") or [""])[0] for tag, each in document.items()}


@pytest.mark.parametrize(
    ("event", "action"),
    [
        ("S12", OrderAction.CREATE), ("S13", OrderAction.UPDATE), ("S14", OrderAction.UPDATE),
        ("S15", OrderAction.CANCEL), ("S16", OrderAction.DISCONTINUE), ("S17", OrderAction.CANCEL),
        ("S26", OrderAction.CANCEL),
    ],
)  # fmt: skip
def test_the_event_is_what_is_asked_for(take, event: str, action: OrderAction) -> None:
    """C-50, as rows of the profile."""
    assert take(MSH.replace("S12", event), SCH, PID, AIS).action is action


def test_an_order_is_known_by_its_numbers_the_appointments_and_the_service(take) -> None:
    """SCH-26 and SCH-27 first; SCH-1 and SCH-2; the code of AIS-3."""
    first, second, third = map(plain, take(MSH, SCH, PID, AIS).links)

    placer, filler = "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"
    assert [(each[placer], each[filler]) for each in (first, second)] == [("P1", "F1"), ("AP1", "AF1")]
    assert third["RequestedProcedureCodeSequence"]["00080100"]["Value"] == ["CTH"]


def test_what_the_message_does_not_hold_is_no_link(take) -> None:
    """Before HL7 2.5 there is no order number in SCH."""
    links = take(MSH, "SCH|AP1|AF1", PID).links

    assert [set(plain(each)) for each in links] == [
        {"PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"}
    ]


def test_a_service_has_a_start_an_end_and_resources(take) -> None:
    """AIS-4, AIS-7, AIG, AIL, AIP."""
    (service,) = map(plain, take(MSH, SCH, PID, "RGS|1", AIS, AIG, AIL, AIP).services)

    assert {
        key: service[key]
        for key in (
            "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "ScheduledProcedureStepEndDate",
            "ScheduledProcedureStepEndTime", "ScheduledStationName", "ScheduledProcedureStepLocation", "Modality",
            "ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID",
        )
    } == {
        "ScheduledProcedureStepStartDate": "20260705", "ScheduledProcedureStepStartTime": "090000",
        "ScheduledProcedureStepEndDate": "20260705", "ScheduledProcedureStepEndTime": "093000",
        "ScheduledStationName": "CT2", "ScheduledProcedureStepLocation": "RAD ROOM2", "Modality": "CT",
        "ScheduledPerformingPhysicianName": {"Alphabetic": "KELLER^PAUL"},
        "ScheduledProcedureStepDescription": "Head", "ScheduledProcedureStepID": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("segments", "start"),
    [
        pytest.param((AIS,), "090000", id="service"),
        pytest.param(("AIG|1|A|CT2|||||20260705093000",), "093000", id="device"),
        pytest.param(("AIL|1|A|ROOM|||20260705094500",), "094500", id="room"),
        pytest.param(("TQ1|1||||||20260705100000",), "100000", id="timing"),
        pytest.param((), "101500", id="appointment"),
        pytest.param((AIS.replace("0900", "0900") + "-0500",), "090000", id="offset behind another field"),
        pytest.param((AIS.replace("20260705090000", "20260705090000-0500"),), "160000", id="offset"),
    ],
)
def test_the_start_stands_in_the_first_place_that_has_one(
    take, segments: tuple[str, ...], start: str
) -> None:
    """AIS-4, else the resources', else the appointment's own."""
    appointment = "SCH|AP1|AF1|||||||||^^^20260705101500"

    (service,) = map(plain, take(MSH, appointment, PID, *segments).services)

    assert service["ScheduledProcedureStepStartTime"] == start


@pytest.mark.parametrize("duration", ["|", "0|MIN", "x|MIN", "30|DAYS", "30|"])
def test_without_a_duration_in_minutes_there_is_no_end(take, duration: str) -> None:
    """Nothing is guessed, and no exam is refused for it."""
    (service,) = map(plain, take(MSH, SCH, PID, f"AIS|1|A|CTH|20260705090000|||{duration}").services)

    assert "ScheduledProcedureStepEndTime" not in service


def test_resources_belong_to_the_service_before_them(take) -> None:
    """Two services with a room each."""
    second = AIS.replace("AIS|1", "AIS|2").replace("CTH", "CTN")
    services = take(MSH, SCH, PID, AIS, AIL, second, AIL.replace("ROOM2", "ROOM9")).services

    assert [plain(each)["ScheduledProcedureStepLocation"] for each in services] == ["RAD ROOM2", "RAD ROOM9"]
    assert [plain(each)["ScheduledProcedureStepID"] for each in services] == ["1", "2"]


def test_a_service_that_was_taken_out_is_none(take) -> None:
    """AIS-2 = D in S14; when all are out, the appointment has no service left."""
    out = AIS.replace("AIS|1|A", "AIS|2|D")

    assert len(take(MSH, SCH, PID, AIS, out).services) == 1
    assert take(MSH, SCH, PID, out).services == ()


def test_what_stands_in_for_the_orders_numbers_is_marked(take) -> None:
    """An order that comes later takes their place."""
    message = take(MSH, "SCH|AP1|AF1", PID, AIS, AIG)

    procedure = plain(message.procedure)
    assert (procedure["AccessionNumber"], procedure["RequestedProcedureID"]) == ("AF1", "AF1")
    tags = {paths.tag(e) for e in ("AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID")}
    assert message.assumed == tags
    assert message.lacking == ()


def test_what_a_new_order_lacks_is_told_and_refuses_nothing(take) -> None:
    """Only the store knows whether a new order is needed."""
    message = take(MSH, "SCH|AP1|" + "9" * 17, PID, "AIS|1|A|CTH|")

    assert {(each.code, str(each.location)) for each in message.lacking} == {
        (102, "SCH-2"), (101, "AIS-4"), (101, "AIG-4"),
    }  # fmt: skip


def test_a_wrong_start_is_refused_whether_the_order_is_known_or_not(take) -> None:
    """Scheduling times are exact or an error (D-28)."""
    assert refusal(take, MSH, SCH, PID, AIS.replace("20260705090000", "tomorrow")) == [(102, "AIS-4")]


def test_to_cancel_the_numbers_are_enough(take) -> None:
    """A wrong start keeps no cancelled exam on the list."""
    message = take(MSH.replace("S12", "S15"), SCH, PID, AIS.replace("20260705090000", "tomorrow"))

    assert (message.action, message.lacking) == (OrderAction.CANCEL, ())
    assert {(each.code, str(each.location)) for each in message.findings} == {(102, "AIS-4")}


@pytest.mark.parametrize(
    ("segments", "finding"),
    [
        ((PID,), (100, "SCH")), ((SCH,), (100, "PID")), ((SCH, PID, PID), (100, "PID[2]")),
        ((SCH, SCH, PID), (100, "SCH[2]")), ((SCH, "PID|1||"), (101, "PID-3")),
    ],
)  # fmt: skip
def test_an_appointment_is_of_one_patient(take, segments: tuple[str, ...], finding: tuple[int, str]) -> None:
    """One SCH, one PID, with an ID."""
    assert refusal(take, MSH, *segments) == [finding]


def test_an_appointment_has_a_bounded_number_of_services(take) -> None:
    """Each would be a step."""
    assert refusal(take, MSH, SCH, PID, *[AIS] * 501) == [(100, "SCH")]


def test_a_site_says_which_appointments_are_ours(take, site_profile) -> None:
    """Those of other departments change nothing, however little they hold."""
    profile = site_profile('schedule: {when: {"AIL[*]-3.1": RAD}}')

    ours, other = (
        take(MSH, SCH, PID, AIS, AIL.replace("RAD", where), profile=profile) for where in ("RAD", "EYES")
    )

    assert (ours.action, other.action) == (OrderAction.CREATE, OrderAction.NOTHING)
    assert other.patient == {}


def test_a_site_says_where_the_order_number_stands(take, site_profile) -> None:
    """The configured rule: here a Z segment; a list replaces the shipped one whole."""
    profile = site_profile(
        "schedule:\n  order: [{AccessionNumber: {from: ZAP-1, as: identifier}}]\n"
        "  moves: [ScheduledProcedureStepStartDate]\n  control: {actions: {S13: create, S14: nothing}}"
    )

    message = take(MSH.replace("S12", "S13"), SCH, PID, AIS, "ZAP|ACC1", profile=profile)

    assert [plain(each) for each in message.links] == [{"AccessionNumber": "ACC1"}]
    assert message.moves == {paths.tag("ScheduledProcedureStepStartDate")}
    assert message.action is OrderAction.CREATE
    assert take(MSH.replace("S12", "S14"), SCH, PID, profile=profile).action is OrderAction.NOTHING


def test_an_event_without_a_row_is_refused(take) -> None:
    """A profile that takes a message must say what it asks for."""
    assert refusal(take, MSH.replace("S12", "S20"), SCH, PID) == [(103, "MSH-9")]


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("schedule: {moves: [Modalty]}", 20, "unknown attribute 'Modalty'"),
        ("schedule: {moves: [PatientName]}", 20, "schedule.step has no line for PatientName"),
        ("schedule: {control: null}", 11, "the key 'control' is missing"),
        ("schedule: {control: {actions: {S13: hold}}}", 37, "'hold' is for orders"),
        ("schedule: {control: {code: MSH9}}", 28, "'MSH9' is not an HL7 path"),
        ("schedule: {services: [ais]}", 23, "'ais' is no segment"),
        ("schedule: {step: {Modality: {from: AIG4}}}", 36, "'AIG4' is not an HL7 path"),
        ("schedule: {order: [{AccessionNumbr: SCH-1}]}", 21, "unknown attribute 'AccessionNumbr'"),
        (
            "schedule: {procedure: {RequestedProcedureID: {else: Modality}}}",
            53,
            "Modality is not read before",
        ),
        ("schedule: {withdrawn: {AIS: D}}", 24, "'AIS'"),
    ],
)
def test_a_wrong_line_is_reported_at_its_place(line: str, column: int, message: str, site_profile) -> None:
    """As in every section."""
    with pytest.raises(BadDocument) as bad:
        site_profile(line)

    found = [each for each in bad.value.problems if message in each.message]
    assert [(each.line, each.column) for each in found] == [(2, column)]
    assert len(bad.value.problems) == 1
