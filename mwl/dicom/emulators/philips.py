"""Philips: the ultrasound HD7 and the mammography system MammoDiagnost."""

from __future__ import annotations

from dataclasses import replace

from mwl.dicom.emulators import reports
from mwl.dicom.emulators.assumed import ASSUMED_KEYS, THE_KEYS
from mwl.dicom.emulators.description import (
    ELE,
    ILE,
    SECONDS,
    WORKLIST,
    Device,
    Evidence,
    Judge,
    Performing,
    Query,
)
from mwl.dicom.emulators.rules import legible

_TODAY = "SPS.ScheduledProcedureStepStartDate={today}"

# Parts 3 to 5: the series stands in N-CREATE already, its images are never listed, the protocol is a
# constant; what the worklist gave may be edited, the accession number above all.
_SERIES = (*reports.SERIES, "ProtocolName=CLR Standard")
_SCHEDULED = Performing(reports.CREATE, reports.SCHEDULED, _SERIES, reports.COMPLETED, series_at_once=True)

HD7 = Device(
    name="sim-philips-hd7",
    plays="Philips HD7 and HD7XE ultrasound",
    known_for="MPPS without images, its series at once, its accession number edited, or without an order",
    evidence=(Evidence("A", "S9", "Philips HD7/HD7XE 3.0 conformance statement 000245000000008, parts 3-5"),),
    assumed=(*THE_KEYS, "its implementation"),
    ae="HD7",
    proposes=((WORKLIST, (ELE, ILE)),),
    queries={"today": Query((*ASSUMED_KEYS, "SPS.Modality=US", _TODAY))},
    judge=Judge(remarks=(legible,)),
    performing={
        "scheduled": (_SCHEDULED,),
        "edited": (replace(_SCHEDULED, scheduled=(*reports.SCHEDULED, "AccessionNumber=EDITED")),),  # M07
        "unscheduled": (  # M06: no order's numbers, a study of its own, no Referenced Study Sequence
            replace(
                _SCHEDULED,
                items=0,
                create=(*reports.CREATE, "Modality=US", "StudyID"),
                scheduled=(
                    "StudyInstanceUID={study}",
                    "AccessionNumber",
                    "RequestedProcedureID",
                    "RequestedProcedureDescription",
                    "ScheduledProcedureStepID",
                    "ScheduledProcedureStepDescription",
                    "ScheduledProtocolCodeSequence",
                ),
            ),
        ),
    },
)

MAMMOGRAPHY = Device(
    name="sim-philips-mg",
    plays="Philips MammoDiagnost",
    known_for="gives up after 240 seconds; may cancel; takes FF01 for a match",
    evidence=(Evidence("A", "S11", "Philips MammoDiagnost conformance statement XPR 031-090167, page 27"),),
    assumed=(*THE_KEYS, "its implementation and transfer syntaxes"),
    ae="MAMMO",
    timeout=240 * SECONDS,  # F54: its "RIS query timeout", then A-ABORT
    queries={"today": Query((*ASSUMED_KEYS, "SPS.Modality=MG", _TODAY))},
    judge=Judge(failed="the worklist query failed", remarks=(legible,)),
)
