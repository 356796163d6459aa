"""The performed steps that devices report: lines that several of them share (PS3.4 Table F.7.2-1)."""

from __future__ import annotations

SCHEDULED = (
    "StudyInstanceUID<StudyInstanceUID",
    "ReferencedStudySequence<ReferencedStudySequence",
    "AccessionNumber<AccessionNumber",
    "RequestedProcedureID<RequestedProcedureID",
    "RequestedProcedureDescription<RequestedProcedureDescription",
    "ScheduledProcedureStepID<SPS.ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription<SPS.ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence<SPS.ScheduledProtocolCodeSequence",
)
CREATE = (
    "SpecificCharacterSet<SpecificCharacterSet",
    "PatientName<PatientName",
    "PatientID<PatientID",
    "PatientBirthDate<PatientBirthDate",
    "PatientSex<PatientSex",
    "ReferencedPatientSequence",
    "PerformedProcedureStepID=P{began}",
    "PerformedStationAETitle={ae}",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepStartDate={today}",
    "PerformedProcedureStepStartTime={began}",
    "PerformedProcedureStepStatus=IN PROGRESS",
    "PerformedProcedureStepDescription",
    "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence",
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence",
    "Modality<SPS.Modality",
    "StudyID<RequestedProcedureID",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
)
SERIES = (
    "PerformingPhysicianName",
    "OperatorsName",
    "ProtocolName=STANDARD",
    "SeriesInstanceUID={series}",
    "SeriesDescription",
    "RetrieveAETitle",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
)
COMPLETED = (
    "PerformedProcedureStepStatus=COMPLETED",
    "PerformedProcedureStepEndDate={today}",
    "PerformedProcedureStepEndTime={ended}",
)
DISCONTINUED = (*COMPLETED, "PerformedProcedureStepStatus=DISCONTINUED")


def without(lines: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """Return *lines* without those that write the attributes *names*."""
    return tuple(line for line in lines if line.replace("<", "=").partition("=")[0] not in names)
