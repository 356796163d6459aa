"""Agfa: the CR and DR workstation NX."""

from __future__ import annotations

from mwl.dicom.emulators import reports
from mwl.dicom.emulators.description import Device, Evidence, Judge, Performing, Query
from mwl.dicom.emulators.rules import codes_with, legible

# Pages 46 and 47: unexpected attributes are ignored, so what is not asked for does no harm.
_KEYS = (
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferencedStudySequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "RequestingPhysician",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "RequestedProcedureID",
    "SPS.Modality",
    "SPS.RequestedContrastAgent",
    "SPS.ScheduledStationAETitle",
    "SPS.ScheduledProcedureStepStartDate",
    "SPS.ScheduledProcedureStepStartTime",
    "SPS.ScheduledPerformingPhysicianName",
    "SPS.ScheduledProcedureStepDescription",
    "SPS.ScheduledProtocolCodeSequence",
    "SPS.ScheduledProcedureStepID",
    "SPS.ScheduledProcedureStepLocation",
    "SPS.PreMedication",
    "SPS.ScheduledProcedureStepStatus",
)

# Pages 52 to 57: N-CREATE at the first image, N-SET when the session is closed.
_CREATE = (
    *reports.CREATE,
    "PerformedProcedureTypeDescription<RequestedProcedureDescription",
    "CommentsOnThePerformedProcedureStep",
)
_REASON = "PerformedProcedureStepDiscontinuationReasonCodeSequence"
_MOVED = (
    *reports.DISCONTINUED,
    "ProcedureCodeSequence",
    f"{_REASON}.CodeValue",  # an item, and nothing in it
    f"{_REASON}.CodingSchemeDesignator",
    f"{_REASON}.CodingSchemeVersion",
    f"{_REASON}.CodeMeaning",
)

NX = Device(
    name="sim-agfa-nx",
    plays="Agfa NX 2.0 CR and DR workstation",
    known_for="worklist and MPPS under two AE titles; DISCONTINUED says that the images were moved",
    evidence=(
        Evidence("A", "S28", 'Agfa "Workstation NX 2.0" conformance statement HE/001132 r2.0, pages 10-91'),
    ),
    assumed=("its implementation on the network", "how far its range of dates reaches"),
    ae="NX_WL",
    performing_ae="NX_MPPS",  # M11
    max_pdu=65_542,
    queries={
        "broad": Query(
            (
                *_KEYS,
                "SPS.ScheduledStationAETitle={ae}",
                "SPS.Modality=CR",
                "SPS.ScheduledProcedureStepStartDate={today}-{after}",
            )
        ),
        "accession": Query((*_KEYS, "AccessionNumber={typed}"), typed="an accession number"),
    },
    judge=Judge(
        remarks=(
            codes_with(  # F34
                "scheme",
                of=("RequestedProcedureCodeSequence", "SPS.ScheduledProtocolCodeSequence"),
                then="it is stored as UNKNOWN",
            ),
            legible,
        ),
        failed="the RIS query failed",
    ),
    performing={
        "scheduled": (
            Performing(
                _CREATE, reports.SCHEDULED, reports.SERIES, (*reports.COMPLETED, "ProcedureCodeSequence")
            ),
        ),
        "moved": (Performing(_CREATE, reports.SCHEDULED, reports.SERIES, _MOVED),),  # M10
    },
)
