"""What an MPPS request must hold: PS3.4 Table F.7.2-1 as data, and the checks made from it.

Only the type 1 rules of N-CREATE, of the final state, and the attributes N-SET may not carry are
here: type 2 and 3 attributes ask nothing of the broker (section B.2 of the attribute table).  Most
rules can be broken by a device that is known for it without harm to anybody; those objections are
*tolerable*, and what a device's profile tolerates is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mwl.dicom import status
from mwl.lifecycle import PerformedState
from mwl.model import Document, items, text

STATUS = "00400252"
SCHEDULED_STEP_ATTRIBUTES = "00400270"
STUDY_INSTANCE_UID = "0020000D"
PERFORMED_SERIES = "00400340"
CHARACTER_SET = "00080005"

_CREATE_TYPE_1 = (
    SCHEDULED_STEP_ATTRIBUTES,
    "00400253",
    "00400241",
    "00400244",
    "00400245",
    STATUS,
    "00080060",
)
_FINAL_TYPE_1 = {  # end date, end time, at least one series (B-12)
    "00400250": "DA", "00400251": "TM", PERFORMED_SERIES: "SQ",
}  # fmt: skip
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
    tolerable: bool = True
    offending: Document = field(default_factory=dict)  # what 0106 and 0121 send back (B-14)


NO_MODIFICATIONS = Objection(
    status.PROCESSING_FAILURE, (), "the request has no modification list", tolerable=False
)
"""An N-SET without a data set: the device must not believe that anything was set."""


def object_to_create(document: Document) -> Objection | None:
    """Return a rule that an N-CREATE breaks, one that cannot be tolerated first."""
    if STATUS not in document:
        return Objection(status.MISSING_ATTRIBUTE, (STATUS,), "the state is missing", tolerable=False)
    if text(document, STATUS).strip() != PerformedState.IN_PROGRESS:  # B-02
        return Objection(
            status.INVALID_ATTRIBUTE_VALUE, (STATUS,), "a performed step begins IN PROGRESS",
            tolerable=False, offending={STATUS: document[STATUS]},
        )  # fmt: skip
    if absent := tuple(tag for tag in _CREATE_TYPE_1 if tag not in document):
        return Objection(status.MISSING_ATTRIBUTE, absent, "a type 1 attribute is missing")
    if empty := {tag: document[tag] for tag in _CREATE_TYPE_1 if not document[tag].get("Value")}:
        return _empty(empty, "a type 1 attribute is empty")
    if not all(text(item, STUDY_INSTANCE_UID) for item in items(document, SCHEDULED_STEP_ATTRIBUTES)):
        item: Document = {STUDY_INSTANCE_UID: {"vr": "UI"}}
        return _empty(
            {SCHEDULED_STEP_ATTRIBUTES: {"vr": "SQ", "Value": [item]}}, "a Study Instance UID is missing"
        )
    return None


def object_to_set(document: Document, stored: Document) -> Objection | None:
    """Return a rule that an N-SET on *stored*, which is IN PROGRESS, breaks; see `object_to_create`.

    A state nobody knows is never taken for a final one (B-07).
    """
    state = text(document, STATUS).strip()
    if state and state not in tuple(PerformedState):
        return Objection(
            status.INVALID_ATTRIBUTE_VALUE, (STATUS,), "the state is not one of a performed step",
            tolerable=False, offending={STATUS: document[STATUS]},
        )  # fmt: skip
    if STATUS in document and not state:
        return _empty({STATUS: {"vr": "CS"}}, "the state is empty")
    if forbidden := tuple(tag for tag in document if tag in _NOT_IN_SET):
        return Objection(status.NO_SUCH_ATTRIBUTE, forbidden, "an attribute may not be set")
    if uncreated := tuple(tag for tag in document if tag not in stored):  # B-10
        return Objection(status.NO_SUCH_ATTRIBUTE, uncreated, "an attribute was not created")
    if state in (PerformedState.COMPLETED, PerformedState.DISCONTINUED):
        merged = {**stored, **document}
        empty = {tag: vr for tag, vr in _FINAL_TYPE_1.items() if not merged.get(tag, {}).get("Value")}
        if empty:
            return _empty(
                {tag: {"vr": vr} for tag, vr in empty.items()}, "a final state needs this attribute"
            )
    return None


def _empty(offending: Document, comment: str) -> Objection:
    return Objection(status.MISSING_ATTRIBUTE_VALUE, tuple(offending), comment, offending=offending)


def settable(document: Document) -> Document:
    """Return an N-SET's attributes without those that identify: a device cannot move an exam (F-M13).

    A state without a value sets none.
    """
    stated = bool(text(document, STATUS).strip())
    return {
        tag: element
        for tag, element in document.items()
        if tag not in _NOT_IN_SET and (tag != STATUS or stated)
    }
