"""Consoles known by what servers in one region had to learn about them, not by a vendor's name."""

from __future__ import annotations

from mwl.dicom.emulators.assumed import ASSUMED_KEYS, THE_KEYS
from mwl.dicom.emulators.description import EBE, ELE, ILE, WORKLIST, Device, Evidence, Judge, Query
from mwl.dicom.emulators.rules import legible, value_representations, with_value

# F06: the step's keys at the root, no item of the step, and private attributes.
_ROOT_KEYS = (
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
    "Modality=CT",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepID",
    "(0009,0010)=CONSOLE",
    "(0009,1001)",
)
_DATE = "ScheduledProcedureStepStartDate"
_LABEL = "SpecificCharacterSet=GB18030"

LOW_COST_CHINA = Device(
    name="sim-lowcost-cn",
    plays="low-cost consoles, as servers in China meet them",
    known_for="keys at the root, private tags, five forms of a date, GB18030 with or without a label",
    evidence=(Evidence("C", "S41", "what two forks of the open DicomSCP worklist server accept and fill"),),
    assumed=("its implementation", "which attributes it asks for"),
    ae="CONSOLE",
    proposes=((WORKLIST, (ILE, ELE, EBE)),),
    queries={
        "day": Query((_LABEL, *_ROOT_KEYS, f"{_DATE}={{today}}")),  # F15
        "from": Query((_LABEL, *_ROOT_KEYS, f"{_DATE}={{today}}-")),
        "until": Query((_LABEL, *_ROOT_KEYS, f"{_DATE}=-{{today}}")),
        "between": Query((_LABEL, *_ROOT_KEYS, f"{_DATE}={{before}}-{{after}}")),
        "empty date": Query((_LABEL, *_ROOT_KEYS)),
        "star": Query((_LABEL, *_ROOT_KEYS, f"{_DATE}=*")),  # F16
        "name": Query((_LABEL, *_ROOT_KEYS, "PatientName={typed}"), typed="a patient's name"),  # F42
        "name without label": Query(
            (*_ROOT_KEYS, "PatientName={typed}"), typed="a patient's name", codec="gb18030"
        ),
    },
    judge=Judge(
        refuses=(with_value("PatientBirthDate"), value_representations("CS")),  # F38
        remarks=(legible,),
    ),
)

FOREIGN_JAPAN = Device(
    name="sim-jp-foreign",
    plays="foreign-made consoles in Japan",
    known_for="writes Japanese in Shift-JIS and labels it ISO_IR 100",
    evidence=(Evidence("B", "S43", "note on dcm4che and Japanese consoles, itr-tert, 2022"),),
    assumed=(*THE_KEYS, "its implementation and transfer syntaxes", "how it reads what it gets"),
    ae="JPCT",
    queries={  # F43
        "today": Query(
            (
                "SpecificCharacterSet=ISO_IR 100",
                *ASSUMED_KEYS,
                "SPS.Modality=CT",
                "SPS.ScheduledProcedureStepStartDate={today}",
            )
        ),
        "name": Query(
            ("SpecificCharacterSet=ISO_IR 100", *ASSUMED_KEYS, "PatientName={typed}"),
            typed="a patient's name",
            codec="shift_jis",
        ),
    },
    judge=Judge(),
)
