"""What an MPPS request must hold: PS3.4 Table F.7.2-1 as data, and the checks made from it.

Only the type 1 rules of N-CREATE, of the final state, and the attributes N-SET may not carry are
here: type 2 and 3 attributes ask nothing of the broker (section B.2 of the attribute table).
"""

from __future__ import annotations

from dataclasses import dataclass

from mwl.dicom import status
from mwl.lifecycle import PerformedState
from mwl.model import Document, items, text

STATUS = "00400252"
SCHEDULED_STEP_ATTRIBUTES = "00400270"
STUDY_INSTANCE_UID = "0020000D"
PERFORMED_SERIES = "00400340"

_CREATE_TYPE_1 = (
    SCHEDULED_STEP_ATTRIBUTES,
    "00400253",
    "00400241",
    "00400244",
    "00400245",
    STATUS,
    "00080060",
)
_FINAL_TYPE_1 = ("00400250", "00400251", PERFORMED_SERIES)  # end date, end time, at least one series (B-12)
_NOT_IN_SET = frozenset({
    SCHEDULED_STEP_ATTRIBUTES, "00100010", "00100020", "00100030", "00100040", "00100021", "00100024",
    "00101002", "00081120", "00380010", "00380014", "00380060", "00380062", "00380064", "00400253",
    "00400241", "00400242", "00400243", "00400244", "00400245", "00080060", "00200010",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Objection:
    """A rule that is broken: the DIMSE status it deserves and the attributes it is about."""

    status: int
    tags: tuple[str, ...]
    comment: str


def object_to_create(document: Document, *, strict: bool) -> Objection | None:
    """Return what forbids an N-CREATE; a state other than IN PROGRESS always does (B-02)."""
    if text(document, STATUS).strip() != PerformedState.IN_PROGRESS:
        return Objection(status.INVALID_ATTRIBUTE_VALUE, (STATUS,), "a performed step begins IN PROGRESS")
    if not strict:
        return None
    if absent := tuple(tag for tag in _CREATE_TYPE_1 if tag not in document):
        return Objection(status.MISSING_ATTRIBUTE, absent, "a type 1 attribute is missing")
    if empty := tuple(tag for tag in _CREATE_TYPE_1 if not document[tag].get("Value")):
        return Objection(status.MISSING_ATTRIBUTE_VALUE, empty, "a type 1 attribute is empty")
    if not all(text(item, STUDY_INSTANCE_UID) for item in items(document, SCHEDULED_STEP_ATTRIBUTES)):
        return Objection(
            status.MISSING_ATTRIBUTE_VALUE, (STUDY_INSTANCE_UID,), "a Study Instance UID is missing"
        )
    return None


def object_to_set(document: Document, stored: Document | None, *, strict: bool) -> Objection | None:
    """Return what forbids an N-SET; a state nobody knows always does, and is never taken as final (B-07)."""
    state = text(document, STATUS).strip()
    if STATUS in document and state not in tuple(PerformedState):
        return Objection(
            status.INVALID_ATTRIBUTE_VALUE, (STATUS,), "the state is not one of a performed step"
        )
    if not strict:
        return None
    if forbidden := tuple(tag for tag in document if tag in _NOT_IN_SET):
        return Objection(status.NO_SUCH_ATTRIBUTE, forbidden, "an attribute may not be set")
    merged = {**(stored or {}), **document}
    if state in (PerformedState.COMPLETED, PerformedState.DISCONTINUED):
        empty = tuple(tag for tag in _FINAL_TYPE_1 if not merged.get(tag, {}).get("Value"))
        if empty:
            return Objection(status.MISSING_ATTRIBUTE_VALUE, empty, "a final state needs this attribute")
    return None


def settable(document: Document) -> Document:
    """Return an N-SET's attributes without those that identify: a device cannot move an exam (F-M13)."""
    return {tag: element for tag, element in document.items() if tag not in _NOT_IN_SET}
