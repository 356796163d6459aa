"""Esaote: the MR systems O-scan and G-scan."""

from __future__ import annotations

from mwl.dicom.emulators.assumed import ASSUMED_KEYS, THE_KEYS
from mwl.dicom.emulators.description import Device, Evidence, Judge, Query
from mwl.dicom.emulators.rules import legible

SCAN = Device(
    name="sim-esaote",
    plays="Esaote O-scan and G-scan",
    known_for='says "query failed" at any status but success and pending',
    evidence=(Evidence("A", "S31", "Esaote O-scan conformance statement r3.1, page 33"),),
    assumed=(*THE_KEYS, "its implementation"),
    ae="OSCAN",
    queries={
        "today": Query((*ASSUMED_KEYS, "SPS.Modality=MR", "SPS.ScheduledProcedureStepStartDate={today}"))
    },
    judge=Judge(failed="query failed", remarks=(legible,)),  # F35
)
