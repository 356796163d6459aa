"""What is asked for where no document or log tells what a device asks for.

A stand-in, so that the device can be played at all: what every worklist provider must return, without
a station.  A description that uses it says so in `Device.assumed`.
"""

from __future__ import annotations

THE_KEYS = ("which keys it sends",)

ASSUMED_KEYS = (
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
    "SPS.Modality",
    "SPS.ScheduledStationAETitle",
    "SPS.ScheduledProcedureStepStartDate",
    "SPS.ScheduledProcedureStepStartTime",
    "SPS.ScheduledPerformingPhysicianName",
    "SPS.ScheduledProcedureStepDescription",
    "SPS.ScheduledProcedureStepID",
)
"""PS3.4 Table K.6-1: the required keys, and what every list shows."""
