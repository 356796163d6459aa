"""What the benchmarks ask, and the same items for peers that keep them in memory or in files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from hospital import DAY, MATCHES, NAMES, RARE, STATION, WARD, WEEK
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


def shapes() -> dict[str, tuple[Dataset, int]]:
    """Return what devices ask (identifiers in the field are of these shapes), and how many it matches."""
    days = f"{DAY:%Y%m%d}-{DAY + dt.timedelta(days=WEEK - 1):%Y%m%d}"
    return {
        "station and day": (station_and_day(), MATCHES),
        "patient ID": (keys(PatientID="PID00000001"), 1),
        "accession": (keys(AccessionNumber="ACC00000001"), 1),
        "name prefix": (keys(PatientName=f"{NAMES}*"), MATCHES),
        "modality and range": (keys({"Modality": RARE, "ScheduledProcedureStepStartDate": days}), MATCHES),
    }


def whole_ward() -> Dataset:
    """Return what a list of 5,000 is asked for with."""
    return keys({"ScheduledStationAETitle": WARD, "ScheduledProcedureStepStartDate": f"{DAY:%Y%m%d}"})


_OPTIONAL = (
    "PatientComments", "EthnicGroup", "Occupation", "SmokingStatus", "PatientState", "AdmissionID",
    "CurrentPatientLocation", "InstitutionName", "SpecialNeeds", "AdditionalPatientHistory",
    "ReasonForTheRequestedProcedure", "RequestedProcedureComments", "NamesOfIntendedRecipientsOfResults",
    "RequestedProcedurePriority", "PatientTransportArrangements", "RequestingService",
)  # fmt: skip


def varied(asked: Dataset, number: int) -> Dataset:
    """Add return keys, for each number up to 65535 other ones: no answer that was encoded before will do."""
    asked.OtherPatientIDs = None
    for bit, keyword in enumerate(_OPTIONAL):
        if number >> bit & 1:
            setattr(asked, keyword, None)
    return asked


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
