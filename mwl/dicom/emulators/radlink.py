"""Radlink: CR Pro."""

from __future__ import annotations

from mwl.dicom.emulators.description import Device, Evidence, Judge, Query
from mwl.dicom.emulators.rules import legible

# Tables 8 and 9 of page 49, whole.
_KEYS = (
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AdditionalPatientHistory",
    "StudyInstanceUID",
    "RequestedProcedureDescription",
    "SPS.Modality=CR",
    "SPS.ScheduledProcedureStepStartDate",
    "SPS.ScheduledProcedureStepStartTime",
    "SPS.ScheduledPerformingPhysicianName",
    "SPS.ScheduledProcedureStepDescription",
    "RequestedProcedureID",
    "ReasonForTheRequestedProcedure",
)

CR_PRO = Device(
    name="sim-radlink",
    plays="Radlink CR Pro",
    known_for="asks without a station: it may be shown the lists of all rooms",
    evidence=(Evidence("A", "S35", "Radlink CR Pro setup and installation guide, page 49"),),
    assumed=("its implementation and transfer syntaxes",),
    ae="RADLINK",
    queries={  # F02
        "today": Query((*_KEYS, "SPS.ScheduledProcedureStepStartDate={today}")),
        "accession": Query((*_KEYS, "AccessionNumber={typed}"), typed="an accession number"),
        "patient ID": Query((*_KEYS, "PatientID={typed}"), typed="a Patient ID"),
        "patient name": Query((*_KEYS, "PatientName={typed}"), typed="a patient's name"),
    },
    judge=Judge(remarks=(legible,)),
)
