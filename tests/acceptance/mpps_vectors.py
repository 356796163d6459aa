"""Vectors F-M and incidents M: what a device reports, what it is answered, and what becomes of the step.

A vector has an order of its own, with the numbers ``{n}`` (`hl7_wire.ORDER`), and a performed step ``{u}``.
It is played step by step: `Says` is a request and its answer, `Sees` how the worklist has the scheduled
step then.  What the RIS is told of the order in the end stands in `told`.

What is no dialogue of one device (concurrent requests, a broker that is killed, a clock) is a test
elsewhere; `ELSEWHERE` says where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Attributes: TypeAlias = Mapping[str, Any]

NO_LONGER = "Performed Procedure Step Object may no longer be updated"


def scheduled(n: str = "{n}", **changes: Any) -> dict[str, Any]:
    """Return a Scheduled Step Attributes item as a device copies it from the worklist."""
    item = {
        "StudyInstanceUID": f"1.2.276.0.99.{n}", "ReferencedStudySequence": [], "AccessionNumber": f"ACC{n}",
        "RequestedProcedureID": f"RP{n}", "RequestedProcedureDescription": "",
        "ScheduledProcedureStepID": f"SPS{n}", "ScheduledProcedureStepDescription": "",
        "ScheduledProtocolCodeSequence": [],
    }  # fmt: skip
    return item | changes


def created(**changes: Any) -> dict[str, Any]:
    """Return the base N-CREATE of F.3; an attribute changed to None is left out."""
    document = {
        "ScheduledStepAttributesSequence": [scheduled()], "PatientName": "DOE^JOHN", "PatientID": "P{n}",
        "IssuerOfPatientID": "HOSP_A", "PatientBirthDate": "19580312", "PatientSex": "M",
        "ReferencedPatientSequence": [], "PerformedProcedureStepID": "PPS{n}", "PerformedStationAETitle": "CT1",
        "PerformedStationName": "", "PerformedLocation": "", "PerformedProcedureStepStartDate": "20260705",
        "PerformedProcedureStepStartTime": "091000", "PerformedProcedureStepStatus": "IN PROGRESS",
        "PerformedProcedureStepDescription": "", "PerformedProcedureTypeDescription": "",
        "ProcedureCodeSequence": [], "PerformedProcedureStepEndDate": "", "PerformedProcedureStepEndTime": "",
        "PerformedProcedureStepDiscontinuationReasonCodeSequence": [], "Modality": "CT", "StudyID": "",
        "PerformedProtocolCodeSequence": [], "PerformedSeriesSequence": [],
    }  # fmt: skip
    return {keyword: value for keyword, value in (document | changes).items() if value is not None}


def series(*images: str) -> list[dict[str, Any]]:
    """Return one performed series with these images."""
    references = [
        {
            "ReferencedSOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "ReferencedSOPInstanceUID": f"1.2.276.0.99.9.{uid}",
        }
        for uid in images
    ]
    return [{
        "PerformingPhysicianName": "", "OperatorsName": "", "ProtocolName": "HEAD", "SeriesDescription": "",
        "SeriesInstanceUID": "1.2.276.0.99.8.{n}", "RetrieveAETitle": "",
        "ReferencedImageSequence": references, "ReferencedNonImageCompositeSOPInstanceSequence": [],
    }]  # fmt: skip


def ended(state: str = "COMPLETED", **changes: Any) -> dict[str, Any]:
    """Return the N-SET that ends a step."""
    document = {
        "PerformedProcedureStepStatus": state, "PerformedProcedureStepEndDate": "20260705",
        "PerformedProcedureStepEndTime": "093000", "PerformedSeriesSequence": series("1", "2"),
    }  # fmt: skip
    return {keyword: value for keyword, value in (document | changes).items() if value is not None}


def discontinued(code: str) -> dict[str, Any]:
    """Return the N-SET that discontinues a step for a reason of DICOM's own."""
    reason = [{"CodeValue": code, "CodingSchemeDesignator": "DCM", "CodeMeaning": "reason"}]
    return ended("DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=reason)


@dataclass(frozen=True)
class Says:
    """A request, and the answer that is due; *has* are attributes of its data set, as text."""

    operation: str
    attributes: Attributes | None = None
    status: int = 0x0000
    uid: str = "{u}"
    error_id: int | None = None
    comment: str = ""
    tags: tuple[str, ...] = ()
    has: Mapping[str, str] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    calling: str = ""
    together: bool = False


@dataclass(frozen=True)
class Sees:
    """The state of the scheduled step ``SPS{n}``, and whether it is on the worklist."""

    state: str
    listed: bool = True
    n: str = "{n}"


Step: TypeAlias = Says | Sees


@dataclass(frozen=True, init=False)
class Vector:
    """What is said and seen, in order; and what the RIS hears of it, by ORC-5."""

    id: str
    steps: tuple[Step, ...]
    told: tuple[str, ...]
    device: str
    order: tuple[str, ...]
    then: tuple[str, ...]
    remarks: tuple[str, ...]
    why: str

    def __init__(
        self, id: str, *steps: Step, told: str = "", device: str = "WS", order: Sequence[str] = (),  # noqa: A002
        then: Sequence[str] = (), remarks: Sequence[str] = (), why: str = "",
    ) -> None:  # fmt: skip
        """*order* changes the order, *then* is a second message before anything is reported."""
        for name, value in (
            ("id", id), ("steps", steps), ("told", tuple(told.split())), ("device", device), ("order", tuple(order)),
            ("then", tuple(then)), ("remarks", tuple(remarks)), ("why", why),
        ):  # fmt: skip
            object.__setattr__(self, name, value)


IRREGULAR = "its device left out, or changed, what the standard does not let it"
BEGINS = Says("N-CREATE", created())
ENDS = Says("N-SET", ended())
STARTED, SCHEDULED = Sees("STARTED"), Sees("SCHEDULED")
COMPLETED, DISCONTINUED = Sees("COMPLETED", listed=False), Sees("DISCONTINUED", listed=False)
UNSCHEDULED = created(ScheduledStepAttributesSequence=[scheduled(
    AccessionNumber="", RequestedProcedureID="", ScheduledProcedureStepID="", StudyInstanceUID="1.2.276.0.98.{n}",
)])  # fmt: skip
TWO = ("{n}", "{n}1")
GROUP = created(ScheduledStepAttributesSequence=[scheduled(n) for n in TWO])

VECTORS = (
    Vector("F-M01", BEGINS, STARTED, told="IP"),
    Vector(
        "F-M02",
        Says("N-CREATE", created(PerformedProcedureStepStatus="COMPLETED"), 0x0106,
             has={"PerformedProcedureStepStatus": "COMPLETED"}, comment="a performed step begins IN PROGRESS"),
        Says("N-GET", asks=("PerformedProcedureStepStatus",), status=0x0112), SCHEDULED,
    ),
    Vector("F-M03 strict", Says("N-CREATE", created(PerformedStationAETitle=None), 0x0120,
                                tags=("PerformedStationAETitle",)), SCHEDULED, device="STRICT"),
    Vector("F-M03 lenient", Says("N-CREATE", created(PerformedStationAETitle=None)), STARTED, told="IP",
           remarks=(IRREGULAR,)),
    Vector("F-M04 strict", Says("N-CREATE", created(PerformedProcedureStepID=""), 0x0121,
                                has={"PerformedProcedureStepID": ""}), SCHEDULED, device="STRICT"),
    Vector("F-M04 lenient", Says("N-CREATE", created(PerformedProcedureStepID="")), STARTED, told="IP",
           remarks=(IRREGULAR,)),
    Vector("F-M05", BEGINS, Says("N-CREATE", created(), 0x0111), STARTED, told="IP"),
    Vector("F-M06", Says("N-CREATE", created(), uid=""), STARTED, told="IP"),
    Vector("F-M07", Says("N-SET", ended(), 0x0112), SCHEDULED),
    Vector(
        "F-M08", BEGINS, ENDS,
        Says("N-SET", ended("DISCONTINUED"), 0x0110, error_id=0xA710, comment=NO_LONGER),
        Says("N-SET", {"PerformedSeriesSequence": series("9")}, 0x0110, error_id=0xA710, comment=NO_LONGER),
        Says("N-GET", asks=("PerformedProcedureStepStatus",), has={"PerformedProcedureStepStatus": "COMPLETED"}),
        COMPLETED, told="IP CM",
    ),
    Vector("F-M09", BEGINS, STARTED, ENDS, COMPLETED, told="IP CM"),
    Vector("F-M09 strict", BEGINS, ENDS, COMPLETED, told="IP CM", device="STRICT"),
    Vector("F-M10 strict", BEGINS, Says("N-SET", ended(PerformedProcedureStepEndTime=None), 0x0121,
                                        has={"PerformedProcedureStepEndTime": ""}), STARTED,
           told="IP", device="STRICT"),
    Vector("F-M10 lenient", BEGINS, Says("N-SET", ended(PerformedProcedureStepEndTime=None)), COMPLETED,
           told="IP CM", remarks=(IRREGULAR,)),
    Vector("F-M11 strict", BEGINS, Says("N-SET", ended(PerformedSeriesSequence=[]), 0x0121,
                                        has={"PerformedSeriesSequence": ""}), STARTED, told="IP", device="STRICT"),
    Vector("F-M11 lenient", BEGINS, Says("N-SET", ended(PerformedSeriesSequence=[])), COMPLETED, told="IP CM",
           remarks=(IRREGULAR,)),
    Vector(
        "F-M12", BEGINS,
        Says("N-SET", {"PerformedProcedureStepStatus": "IN PROGRESS", "PerformedSeriesSequence": series("1")}),
        Says("N-SET", {"PerformedSeriesSequence": series("1", "2")}),
        Says("N-GET", asks=("PerformedSeriesSequence",),
             has={"PerformedSeriesSequence.ReferencedImageSequence.ReferencedSOPInstanceUID":
                  "1.2.276.0.99.9.1 1.2.276.0.99.9.2"}),
        STARTED, told="IP",
    ),
    Vector("F-M13 strict", BEGINS, Says("N-SET", {"PatientID": "PID999"}, 0x0105, tags=("PatientID",)),
           STARTED, told="IP", device="STRICT"),
    Vector(
        "F-M13 lenient", BEGINS,
        Says("N-SET", {"PatientID": "PID999", "PerformedLocation": "", "PerformedProcedureStepDescription": "Head"},
             0x0107, tags=("PatientID",)),
        Says("N-GET", asks=("PatientID", "PerformedProcedureStepDescription"),
             has={"PatientID": "P{n}", "PerformedProcedureStepDescription": "Head"}),
        STARTED, told="IP", remarks=(IRREGULAR,),
        why="what is left out is said (0107); what a device only repeats, here the location, is not worth a warning",
    ),
    Vector("F-M14", BEGINS, Says("N-SET", ended("ABORTED"), 0x0106, has={"PerformedProcedureStepStatus": "ABORTED"}),
           STARTED, told="IP"),
    Vector("F-M14 several", BEGINS,
           Says("N-SET", ended("COMPLETED\\ABORTED"), 0x0106, comment="the state is not one of a performed step"),
           STARTED, told="IP"),
    Vector("F-M15", BEGINS, Says("N-SET", discontinued("110501")), DISCONTINUED, told="IP DC"),
    Vector(
        "F-M16",
        Says("N-CREATE", created(SpecificCharacterSet="ISO_IR 100", PatientName="MÜLLER^JÜRGEN")),
        Says("N-SET", {"SpecificCharacterSet": "ISO_IR 192", "PerformedProcedureStepDescription": "胸部"}),
        Says("N-GET", asks=("PatientName", "PerformedProcedureStepDescription"),
             has={"SpecificCharacterSet": "ISO_IR 192", "PatientName": "MÜLLER^JÜRGEN",
                  "PerformedProcedureStepDescription": "胸部"}),
        told="IP",
    ),
    Vector("F-M17", BEGINS, Says("N-SET", discontinued("110514")), SCHEDULED, told="IP SC",
           remarks=("the wrong worklist entry was selected",)),
    Vector("F-M17 cancelled", BEGINS, STARTED, Says("N-SET", discontinued("110514")),
           Sees("CANCELED", listed=False), told="IP CA", then=("ORC-1=CA", "MSH-7=20260701130000"),
           remarks=("its order was cancelled", "the wrong worklist entry was selected")),
    Vector("F-M18", Says("N-CREATE", UNSCHEDULED), SCHEDULED,
           remarks=("no scheduled step is meant by it",)),
    Vector("F-M20", BEGINS, ENDS, COMPLETED, Says("N-CREATE", created(), uid="{u}.2"), STARTED,
           Says("N-SET", ended(), uid="{u}.2"), COMPLETED, told="IP CM IP CM"),
    Vector("F-M21", Says("N-CREATE", {**GROUP, "PatientID": ""}), STARTED, Sees("STARTED", n="{n}1"), ENDS,
           COMPLETED, Sees("COMPLETED", listed=False, n="{n}1"), told="IP CM",
           why="of one patient, or of none that is named: an exam of somebody else closes no order (F51)"),
    Vector("F-M22", BEGINS, Says("N-SET", ended("DISCONTINUED")), Says("N-CREATE", created(), uid="{u}.2"),
           Says("N-SET", ended(), uid="{u}.2"), COMPLETED, told="IP DC IP CM"),
    Vector("F-M23", Says("N-CREATE", created(PatientID="PID999")), STARTED, told="IP",
           remarks=("its patient is not the order's",)),
    Vector("F-M24", BEGINS, STARTED, told="IP", then=("ORC-1=CA", "MSH-7=20260701130000"),
           remarks=("its order was cancelled",)),
    Vector("F-M25", BEGINS,
           Says("N-GET", asks=("PerformedProcedureStepStatus", "PatientID"),
                has={"PerformedProcedureStepStatus": "IN PROGRESS", "PatientID": "P{n}"}),
           Says("N-GET", asks=("PerformedProcedureStepStatus", "ImagerPixelSpacing"), status=0x0001,
                has={"PerformedProcedureStepStatus": "IN PROGRESS"}),
           Says("N-GET", asks=("PatientID",), uid="1.2.276.0.97.{n}", status=0x0112), told="IP"),
    Vector("F-M26", BEGINS, Says("N-ACTION", status=0x0211), Says("N-DELETE", status=0x0211), STARTED, told="IP"),
    Vector("F-M30", Says("N-CREATE", created(PerformedProcedureStepStatus="IN PROGRESS ")), STARTED, told="IP"),
    Vector("M01", Says("N-CREATE", created(), 0x0117, uid=""), SCHEDULED, device="INSISTING",
           why="by default one is assigned and returned: F-M06"),
    Vector("M02", Says("N-CREATE", created(**ended())), COMPLETED,
           Says("N-SET", ended("DISCONTINUED")), COMPLETED, told="IP CM", device="LEGACY"),
    Vector("M03", BEGINS, BEGINS, Says("N-CREATE", created(PerformedProcedureStepID="X"), 0x0111), STARTED,
           told="IP", device="LEGACY"),
    Vector("M04", BEGINS, ENDS, Says("N-SET", {"PerformedSeriesSequence": series("9")}),
           Says("N-GET", asks=("PerformedSeriesSequence",),
                has={"PerformedSeriesSequence.ReferencedImageSequence.ReferencedSOPInstanceUID":
                     "1.2.276.0.99.9.1 1.2.276.0.99.9.2"}),
           COMPLETED, told="IP CM", device="LEGACY"),
    Vector("M05", Says("N-SET", {**created(), **ended()}), COMPLETED, told="IP CM", device="LEGACY",
           remarks=(IRREGULAR,)),
    Vector("M06", Says("N-CREATE", UNSCHEDULED), STARTED, told="IP", device="STATION",
           order=("ORC-7=^^^20260705093000",),
           why="by patient, station and time; without that rung it is kept as unscheduled (F-M18)"),
    Vector("M07", Says("N-CREATE", created(ScheduledStepAttributesSequence=[scheduled(
        AccessionNumber="EDITED", ScheduledProcedureStepID="")])), STARTED,
        Says("N-SET", ended(PerformedSeriesSequence=series())), COMPLETED, told="IP CM",
        remarks=("a number of it is not the order's",)),
    Vector("M08", Says("N-CREATE", GROUP), ENDS, COMPLETED, Sees("COMPLETED", listed=False, n="{n}1"),
           told="IP CM", order=("same patient",)),
    Vector("M09", BEGINS, ENDS, COMPLETED,
           Says("N-CREATE", created(PerformedProcedureStepID="POST"), uid="{u}.2"), COMPLETED,
           told="IP CM", device="ATTACHING"),
    Vector("M10", BEGINS, STARTED, Says("N-SET", ended("DISCONTINUED")), SCHEDULED, told="IP SC",
           device="REOPENING"),
    Vector("M11", Says("N-CREATE", created(), calling="NX_WL"), Says("N-SET", ended(), calling="NX_MPPS"),
           COMPLETED, told="IP CM", device="NX_WL"),
    Vector("M13", Says("N-CREATE", created(PatientBirthDate=None, StudyID=None, Modality="ct", PatientSex="m")),
           Says("N-GET", asks=("Modality", "PatientSex"), has={"Modality": "CT", "PatientSex": "M"}),
           STARTED, told="IP"),
    Vector("M13 insisting", Says("N-CREATE", created(PerformedStationAETitle=None), 0x0120,
                                 tags=("PerformedStationAETitle",)), SCHEDULED, device="INSISTING"),
    Vector("M14", Says("N-CREATE", created(PatientID="")), STARTED, told="IP"),
    Vector("M15", BEGINS, STARTED, told="IP", then=("ORC-1=CA", "MSH-7=20260701130000"),
           remarks=("its order was cancelled",)),
    Vector("M15 refused", Says("N-CREATE", created(), 0x0110), Sees("CANCELED", listed=False),
           then=("ORC-1=CA", "MSH-7=20260701130000"), device="INSISTING"),
    Vector("M16", Says("N-CREATE", created(
        PerformedStationAETitle="SCANNER7",
        ScheduledStepAttributesSequence=[scheduled(RequestedProcedureID="X-RP{n}", ScheduledProcedureStepID="X-SPS{n}",
                                                   StudyInstanceUID="1.2.276.0.98.{n}", AccessionNumber="")])),
        STARTED, told="IP", device="CODED"),
)  # fmt: skip

WHAT: Mapping[str, str] = {
    "F-M01": "an exam begins",
    "F-M02": "it is over when it is created",
    "F-M03 strict": "no Performed Station AE Title",
    "F-M03 lenient": "the same; a person is shown it",
    "F-M04 strict": "an empty Performed Procedure Step ID",
    "F-M04 lenient": "the same; a person is shown it",
    "F-M05": "created twice",
    "F-M06": "no SOP Instance UID: the response carries one",
    "F-M07": "nobody created it",
    "F-M08": "set after its end",
    "F-M09": "an exam is completed",
    "F-M09 strict": "the same, strictly",
    "F-M10 strict": "completed without end time",
    "F-M10 lenient": "the same; a person is shown it",
    "F-M11 strict": "completed without a series",
    "F-M11 lenient": "the same; a person is shown it",
    "F-M12": "one image, then two: the list is the last one",
    "F-M13 strict": "a Patient ID is set",
    "F-M13 lenient": "the same beside a description, which is set",
    "F-M14": "a state nobody knows",
    "F-M14 several": "two states at once",
    "F-M15": "discontinued, equipment failure (110501)",
    "F-M16": "created in ISO_IR 100, set in ISO_IR 192, read in one set",
    "F-M17": "discontinued, wrong worklist entry (110514); a person is shown it",
    "F-M17 cancelled": "the same, of an order that was cancelled: nobody must be examined because of it",
    "F-M18": "unscheduled; a person is shown it",
    "F-M20": "performed once more after its end",
    "F-M21": "one exam of two orders",
    "F-M22": "two exams of one step, one discontinued",
    "F-M23": "another Patient ID; a person is shown it",
    "F-M24": "the order was cancelled; a person is shown it",
    "F-M25": "asked for: what is there, what is not supported, who is not known",
    "F-M26": "operations nobody offers",
    "F-M30": "IN PROGRESS with a trailing pad",
    "M01": "no SOP Instance UID, for a profile that insists on one",
    "M02": "one shot: over when it is created",
    "M03": "the same N-CREATE after a lost answer, and another one",
    "M04": "set after its end: acknowledged, nothing changed",
    "M05": "set, and nobody created it: made of what is set",
    "M06": "neither step nor procedure is named",
    "M07": "accession edited, no step ID, no image",
    "M08": "two procedures of a patient in one exam",
    "M09": "post-processing begins when the exam did, without codes",
    "M10": "discontinued because the images were moved",
    "M11": "begun as one AE title of the device, ended as the other",
    "M13": "type 2 attributes missing, code strings in lower case",
    "M13 insisting": "an attribute missing that the profile names",
    "M14": "an empty Patient ID",
    "M15": "an order that was cancelled while the device was off-line",
    "M15 refused": "the same, for a profile that wants no such exam",
    "M16": "station and numbers as the device knows them",
}
"""What each vector is about."""

INEXPRESSIBLE: Mapping[str, Mapping[str, str]] = {
    "dcmjs-dimse": {
        "F-M06": "it always sends a UID",
        "M01": "it always sends a UID",
        "F-M16": "it writes UTF-8 alone",
    },
}
"""What a client cannot say, and why."""

_ONWARD, _KILLED = "tests/acceptance/test_mpps_onward.py", "tests/acceptance/test_status_killed.py"
_OPTIONS, _WATCHING = "tests/dicom/test_performed_options.py", "tests/store/test_watching.py"

ELSEWHERE: Mapping[str, str] = {
    "F-M05, at once": f"{_ONWARD}::test_f_m05_of_many_at_once_one_creates_the_step",
    "F-M19": "tests/store/test_performed.py::test_f_m19_an_order_finds_the_exam_that_came_before_it",
    "F-M27": f"{_ONWARD}::test_f_m27_a_subscriber_hears_by_n_event_report",
    "F-M28": f"{_KILLED}::test_f_m28_killed_between_the_commit_and_the_message",
    "F-M28, sent on": f"{_ONWARD}::test_killed_while_it_sends_on_it_sends_the_rest_after_the_restart",
    "F-M29": f"{_KILLED}::test_f_m29_killed_while_the_ris_is_down",
    "F-M29, lost": "tests/broker/test_forwarder.py::test_a_peer_that_has_lost_a_step_gets_it_again",
    "F-M29, sent on": f"{_ONWARD}::test_a_peer_that_is_away_holds_up_nobody",
    "M01, assigned": f"{_OPTIONS}::test_m01_a_uid_is_assigned_or_insisted_on",
    "M11, insisting": f"{_OPTIONS}::test_m11_a_profile_may_want_the_title_it_knows",
    "M12": f"{_WATCHING}::test_m12_a_step_that_nobody_reports_is_idle",
    "M15, late": f"{_OPTIONS}::test_m15_a_profile_may_refuse_what_comes_late",
}
"""What is no dialogue of one device with the broker, and the test that shows it."""
