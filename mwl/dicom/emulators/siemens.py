"""Siemens: fluoroscopy and the radiography system Aristos."""

from __future__ import annotations

from mwl.dicom.emulators.assumed import ASSUMED_KEYS, THE_KEYS
from mwl.dicom.emulators.description import (
    EBE,
    ELE,
    ILE,
    VERIFICATION,
    WORKLIST,
    Device,
    Evidence,
    Judge,
    Query,
)
from mwl.dicom.emulators.rules import codes_with, legible

_TODAY = "SPS.ScheduledProcedureStepStartDate={today}"

FLUOROSCOPY = Device(
    name="sim-siemens-flc",
    plays="Siemens fluoroscopy, Siemens_FLC_80",
    known_for="asks without Message ID (0000,0110); proposes Verification beside the worklist",
    evidence=(Evidence("B", "S13", "log of an association and its command, fo-dicom issue 1288"),),
    assumed=THE_KEYS,
    ae="FLC1028",
    called="worklist",
    implementation_uid="1.3.12.2.1107.5.3.4",
    implementation_version="Siemens_FLC_80",
    max_pdu=64_234,
    proposes=((VERIFICATION, (ELE, ILE, EBE)), (WORKLIST, (ELE, ILE, EBE))),
    message_id=None,  # F52
    queries={"today": Query((*ASSUMED_KEYS, "SPS.Modality=RF", _TODAY))},
    judge=Judge(remarks=(legible,)),
)

ARISTOS = Device(
    name="sim-siemens-aristos",
    plays="Siemens Aristos radiography",
    known_for="does not show an item with a code that lacks its value or its scheme",
    evidence=(Evidence("B", "S14", "field report of its event log, DCMTK forum thread 1620"),),
    assumed=(*THE_KEYS, "its implementation and transfer syntaxes"),
    ae="ARISTOS",
    queries={
        "today": Query(
            (
                *ASSUMED_KEYS,
                "RequestedProcedureCodeSequence",
                "SPS.ScheduledProtocolCodeSequence",
                "SPS.Modality=DX",
                _TODAY,
            )
        )
    },
    judge=Judge(  # F24
        refuses=(
            codes_with(
                "value",
                "scheme",
                of=("RequestedProcedureCodeSequence", "SPS.ScheduledProtocolCodeSequence"),
            ),
        ),
        remarks=(legible,),
    ),
)
