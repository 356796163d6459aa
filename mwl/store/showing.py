"""What every list of work must hold of a step: without it no device can be shown the step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from mwl.errors import Finding, Location, Severity
from mwl.model import Document, values
from mwl.store import patients
from mwl.store.transaction import Transaction

_REQUIRED_MISSING: Final = 101  # HL7 table 0357 (D-19)
_PATIENT_NAME: Final = "00100010"
_OF_STEP: Final[Mapping[str, str]] = {"00080060": "Modality", "00400002": "ScheduledProcedureStepStartDate"}


def missing(patient: Document, step: Document) -> list[str]:
    """Return the keywords of what a patient and a step lack (type 1 in PS3.4 K.6.1.2)."""
    name = [] if any(values(patient, _PATIENT_NAME)) else ["PatientName"]
    return [*name, *(keyword for tag, keyword in _OF_STEP.items() if not any(values(step, tag)))]


def unshown(tx: Transaction, sent: Document, steps: Iterable[tuple[Location, Document]]) -> Iterator[Finding]:
    """Yield a warning for what each of the stored *steps* lacks; *sent* is their patient, stored by now.

    An order can be taken, and yet be on no list: that has to be said where the order came from.
    """
    steps = list(steps)
    patient = sent
    # A name that was sent is stored, or another is: only without one the row has to tell.
    if steps and not any(values(sent, _PATIENT_NAME)) and (stored := patients.find(tx, sent)):
        patient = stored.document
    lacks = ((at, keyword) for at, step in steps for keyword in missing(patient, step))
    for at, keyword in dict.fromkeys(lacks):
        text = f"no device can be shown this step: {keyword} is missing"
        yield Finding(at, _REQUIRED_MISSING, text, Severity.WARNING)
