"""GE: CT with ConnectPro, its post-processing, and the ultrasound LOGIQ 7."""

from __future__ import annotations

from mwl.dicom.emulators import reports
from mwl.dicom.emulators.assumed import ASSUMED_KEYS, THE_KEYS
from mwl.dicom.emulators.description import (
    EBE,
    ELE,
    ILE,
    WORKLIST,
    Device,
    Evidence,
    Judge,
    Performing,
    Query,
)
from mwl.dicom.emulators.rules import (
    at_most,
    codes_with,
    cut,
    formed,
    labelled,
    legible,
    present,
    value_representations,
    with_value,
)

_STATEMENT = "GE Discovery, LightSpeed and BrightSpeed, DICOM conformance statement DOC0500644 r4"
_PROTOCOL = "SPS.ScheduledProtocolCodeSequence"
_DATE, _TIME = "SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartTime"

_CT_KEYS = (
    "SpecificCharacterSet=ISO_IR 100",
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferencedStudySequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "PregnancyStatus",
    "StudyInstanceUID",
    "RequestingPhysician",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
    "SPS.Modality",
    "SPS.RequestedContrastAgent",
    "SPS.ScheduledStationAETitle",
    "SPS.ScheduledProcedureStepStartDate",
    "SPS.ScheduledProcedureStepStartTime",  # always zero length
    "SPS.ScheduledPerformingPhysicianName",
    "SPS.ScheduledProcedureStepDescription",
    "SPS.ScheduledProtocolCodeSequence",
    "SPS.ScheduledProcedureStepID",
    "SPS.ScheduledStationName",
    "SPS.ScheduledProcedureStepLocation",
    "SPS.PreMedication",
)
_SELECTIONS = {
    "this scanner": ("SPS.Modality=CT", "SPS.ScheduledStationAETitle={ae}"),
    "this modality": ("SPS.Modality=CT",),
    "all": (),
}
_DAYS = {
    "today": (f"{_DATE}={{today}}",),
    "before": (f"{_DATE}={{before}}-{{today}}",),
    "after": (f"{_DATE}={{today}}-{{after}}",),
    "both": (f"{_DATE}={{before}}-{{after}}",),
    "all days": (),
}
_CT_QUERIES = {
    **{
        f"{selection}/{days}": Query((*_CT_KEYS, *chosen, *dated))
        for selection, chosen in _SELECTIONS.items()
        for days, dated in _DAYS.items()
    },
    "requested procedure": Query(
        (*_CT_KEYS, "RequestedProcedureID={typed}"), typed="a Requested Procedure ID"
    ),
}

_CT_JUDGE = Judge(
    refuses=(
        with_value(
            "PatientName",
            "PatientID",
            "StudyInstanceUID",
            "RequestedProcedureID",
            "SPS.ScheduledStationAETitle",
            _DATE,
            _TIME,
            "SPS.ScheduledProcedureStepID",
        ),
        present(
            "AccessionNumber",
            "ReferringPhysicianName",
            "PatientBirthDate",
            "PatientSex",
            "PatientWeight",
            "MedicalAlerts",
            "Allergies",
            "PregnancyStatus",
            "RequestingPhysician",
            "SPS.Modality",
            "SPS.RequestedContrastAgent",
        ),
        formed(_DATE, r"\d{8}", "exactly eight digits"),
        formed(_TIME, r"\d{6}", "exactly six digits"),
        value_representations(),
        labelled("ISO_IR 100"),
    ),
    remarks=(
        cut("PatientName", 32),
        cut("PatientID", 16),
        cut("ReferringPhysicianName", 32),
        cut("RequestedProcedureDescription", 22),
        at_most(_PROTOCOL, 5),
        at_most("ReferencedStudySequence", 1),
        codes_with("meaning", of=(_PROTOCOL,)),
        legible,
    ),
    failed="the schedule could not be updated",
)

_EXAM = Performing(reports.CREATE, reports.SCHEDULED, reports.SERIES, reports.COMPLETED)

# Page 111: no Referenced Patient Sequence, no Scheduled Protocol Code Sequence, code sequences without
# items, the exam's own start; it ends at the moment of the click.
_POST_PROCESSING = Performing(
    reports.without(reports.CREATE, "ReferencedPatientSequence"),
    reports.without(reports.SCHEDULED, "ScheduledProtocolCodeSequence"),
    reports.SERIES,
    reports.COMPLETED,
)

CT = Device(
    name="sim-ge-ct",
    plays="GE CT: LightSpeed, BrightSpeed, Discovery",
    known_for="refuses an item without its type 1 and 2 attributes, or with a time that is not six digits",
    evidence=(Evidence("A", "S1", f"{_STATEMENT}, pages 82-84, 90-93, 138, 140"),),
    assumed=("the attributes of its MPPS that the standard leaves open",),
    ae="CT1",
    implementation_uid="1.2.840.113619.6.50",
    max_pdu=50_000,
    queries=_CT_QUERIES,
    judge=_CT_JUDGE,
    performing={
        "scheduled": (_EXAM,),
        "discontinued": (
            Performing(reports.CREATE, reports.SCHEDULED, reports.SERIES, reports.DISCONTINUED),
        ),
        "group": (Performing(reports.CREATE, reports.SCHEDULED, reports.SERIES, reports.COMPLETED, items=2),),
    },
)

CT_POST_PROCESSING = Device(
    name="sim-ge-ct-postproc",
    plays="GE CT: post-processing of an exam",
    known_for="reports a second performed step, with the exam's start time and empty code sequences",
    evidence=(Evidence("A", "S1", f"{_STATEMENT}, page 111"),),
    assumed=("the attributes of its MPPS that the standard leaves open",),
    ae="CT1",
    implementation_uid="1.2.840.113619.6.50",
    max_pdu=50_000,
    queries=_CT_QUERIES,
    judge=_CT_JUDGE,
    performing={"after the exam": (_EXAM, _POST_PROCESSING), "alone": (_POST_PROCESSING,)},
)

LOGIQ_7 = Device(
    name="sim-ge-logiq7",
    plays="GE LOGIQ 7 ultrasound",
    known_for="of several items with one Study Instance UID, shows the last only",
    evidence=(Evidence("A", "S2", "GE LOGIQ 7 conformance statement 2316173-100 r7.03, parts 3, 4, 14"),),
    assumed=THE_KEYS,
    ae="LOGIQ7",
    implementation_uid="1.2.840.113619.6.115",
    implementation_version="LOGIQ 7_4",
    max_pdu=32_768,
    proposes=((WORKLIST, (ELE, EBE, ILE)),),
    queries={"today": Query((*ASSUMED_KEYS, "SPS.Modality=US", f"{_DATE}={{today}}"))},
    judge=Judge(last_of="StudyInstanceUID", remarks=(legible,)),
)
