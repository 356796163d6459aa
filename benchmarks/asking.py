"""What the benchmarks ask, and the same items for peers that keep them in memory or in files."""

from __future__ import annotations

from collections.abc import Iterator

from hospital import DAY, MATCHES, STATION
from pydicom.dataset import Dataset

_RETURN = (
    "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate",
    "PatientSex", "PatientWeight", "MedicalAlerts", "Allergies", "PregnancyStatus", "StudyInstanceUID",
    "RequestingPhysician", "RequestedProcedureDescription", "RequestedProcedureID",
)  # fmt: skip
_RETURN_STEP = (
    "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime",
    "Modality", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID",
)  # fmt: skip


def keys(of_step: dict[str, str] | None = None, **of_item: str) -> Dataset:
    """Return an identifier: twenty return keys as a CT asks for, some of them with a value to match."""
    asked, step = Dataset(), Dataset()
    for keyword in _RETURN:
        setattr(asked, keyword, of_item.get(keyword))
    for keyword in _RETURN_STEP:
        setattr(step, keyword, (of_step or {}).get(keyword))
    asked.ScheduledProcedureStepSequence = [step]
    return asked


def station_and_day() -> Dataset:
    """Return what most devices ask most of the time; it has 20 matches."""
    return keys({"ScheduledStationAETitle": STATION, "Modality": "CT",
                 "ScheduledProcedureStepStartDate": f"{DAY:%Y%m%d}"})  # fmt: skip


def items(count: int) -> Iterator[Dataset]:
    """Yield worklist items; the first 20 are those that `station_and_day` asks for."""
    for n in range(count):
        item = keys()
        item.SpecificCharacterSet = "ISO_IR 100"
        item.PatientName, item.PatientID = f"DOE{n}^JANE", f"PID{n}"
        item.PatientBirthDate, item.PatientSex = "19700101", "F"
        item.AccessionNumber, item.RequestedProcedureID = f"ACC{n}", f"RP{n}"
        item.RequestedProcedureDescription = "Examination of the head"
        item.StudyInstanceUID = f"1.2.276.0.99.{n}"
        step = item.ScheduledProcedureStepSequence[0]
        step.ScheduledStationAETitle = STATION if n < MATCHES else f"CT{n % 50}"
        step.Modality, step.ScheduledProcedureStepID = "CT", f"SPS{n}"
        step.ScheduledProcedureStepStartDate = f"{DAY:%Y%m%d}"
        step.ScheduledProcedureStepStartTime = f"{8 + n % 10:02}{n % 60:02}00"
        step.ScheduledProcedureStepDescription = "CT of the head"
        yield item
