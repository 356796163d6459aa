"""Ultrasound machines of vendors with one description each: Samsung Medison, Terason."""

from __future__ import annotations

from mwl.dicom.emulators.assumed import ASSUMED_KEYS, THE_KEYS
from mwl.dicom.emulators.description import Device, Evidence, Judge, Query
from mwl.dicom.emulators.rules import legible

# As logged: every key zero length, and a code item in which four attributes are (F25).
_MEDISON_KEYS = (
    *ASSUMED_KEYS,
    "SPS.ScheduledProtocolCodeSequence.CodeValue",
    "SPS.ScheduledProtocolCodeSequence.CodingSchemeDesignator",
    "SPS.ScheduledProtocolCodeSequence.CodingSchemeVersion",
    "SPS.ScheduledProtocolCodeSequence.CodeMeaning",
    "SPS.ScheduledStationName",
    "SPS.ScheduledProcedureStepLocation",
    "SPS.PreMedication",
    "SPS.ScheduledProcedureStepStatus",
    "SPS.CommentsOnTheScheduledProcedureStep",
    "NamesOfIntendedRecipientsOfResults",
    "RequestedProcedureComments",
    "ImagingServiceRequestComments",
)

MEDISON = Device(
    name="sim-medison",
    plays="Samsung Medison ultrasound",
    known_for="asks for everything, with a code item whose attributes are all empty; takes 16000 bytes a PDU",
    evidence=(
        Evidence("B", "S17", "log of an association and its identifier, pynetdicom issue 791"),
        Evidence("B", "S18", "Accuvix, comp.protocols.dicom, 2008"),
    ),
    assumed=(
        "keys of its patient and request that the log's excerpt leaves out",
        "Accuvix: the time of a whole day",
    ),
    ae="MEDISON",
    implementation_uid="1.2.410.200001.101.11.801",
    implementation_version="V8",
    max_pdu=16_000,
    queries={
        "worklist": Query(_MEDISON_KEYS),
        "accuvix today": Query(  # F01
            (
                *_MEDISON_KEYS,
                "SPS.Modality=US",
                "SPS.ScheduledStationAETitle={ae}",
                "SPS.ScheduledProcedureStepStartDate={today}",
                "SPS.ScheduledProcedureStepStartTime=000000-235959",
            )
        ),
    },
    judge=Judge(empty="no items found", remarks=(legible,)),
)

TERASON = Device(
    name="sim-terason",
    plays="Terason t3000 ultrasound",
    known_for="repeats a broad query for as long as it is on",
    evidence=(Evidence("A", "S34", "Terason t3000 user guide, page 229"),),
    assumed=(*THE_KEYS, "its implementation and transfer syntaxes", "how often it asks"),
    ae="TERASON",
    queries={
        "broad": Query((*ASSUMED_KEYS, "SPS.Modality=US", "SPS.ScheduledProcedureStepStartDate={today}")),
        "patient name": Query((*ASSUMED_KEYS, "PatientName={typed}"), typed="a patient's name"),
        "accession": Query((*ASSUMED_KEYS, "AccessionNumber={typed}"), typed="an accession number"),
        "birth date": Query((*ASSUMED_KEYS, "PatientBirthDate={typed}"), typed="a birth date"),
    },
    judge=Judge(remarks=(legible,)),
)
