"""What an MPPS request must hold: PS3.4 Table F.7.2-1 as data, and what a request has against it.

Nothing here decides what becomes of a request: `mwl.dicom.performed_tolerance` weighs the objections
by the device's profile.  The first in a list is the one to answer with: a state that is none comes
before what is missing, and that before what is empty.

An item of a sequence cannot be pointed at by the tag of what it lacks: what is missing inside comes back
as a data set with the sequence, and 0121, the one status that has room for it (B-12, B-14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from mwl.dicom import status
from mwl.lifecycle import PerformedState
from mwl.mapping import paths
from mwl.mapping.devices.operations.legal import is_legal
from mwl.model import Document, Element, items, values
from mwl.query import Path


class Need(StrEnum):
    """What the table asks of the SCU."""

    VALUE = "1"
    ELEMENT = "2"  # it may be empty
    NOTHING = "3"
    NEVER = "NA"


_1, _2, _3, _NA = Need


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of the table: an attribute, and what N-CREATE, N-SET and a final state ask of it."""

    tag: str
    create: Need
    set: Need = _3
    final: Need = _3
    items: tuple[Rule, ...] = ()


def _rule(
    keyword: str, create: Need, set_: Need = _3, final: Need = _3, items: tuple[Rule, ...] = ()
) -> Rule:
    return Rule(paths.tag(keyword), create, set_, final, items)


def _inside(need: Need, *keywords: str) -> tuple[Rule, ...]:
    return tuple(_rule(keyword, need, need) for keyword in keywords)


_REFERENCE = _inside(_1, "ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
_STEP_ITEM = (
    *_inside(_1, "StudyInstanceUID"),
    _rule("ReferencedStudySequence", _2, items=_REFERENCE),
    *_inside(_2, "AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"),
    *_inside(_2, "ScheduledProcedureStepID", "ScheduledProcedureStepDescription"),
    *_inside(_2, "ScheduledProtocolCodeSequence"),
)
_SERIES_ITEM = (
    *_inside(_1, "SeriesInstanceUID", "ProtocolName"),
    *_inside(_2, "PerformingPhysicianName", "OperatorsName", "SeriesDescription", "RetrieveAETitle"),
    _rule("ReferencedImageSequence", _2, _2, items=_REFERENCE),
    _rule("ReferencedNonImageCompositeSOPInstanceSequence", _2, _2, items=_REFERENCE),
)

TABLE = (
    _rule("ScheduledStepAttributesSequence", _1, _NA, items=_STEP_ITEM),
    _rule("PatientName", _2, _NA),
    _rule("PatientID", _2, _NA),
    _rule("IssuerOfPatientID", _3, _NA),
    _rule("IssuerOfPatientIDQualifiersSequence", _3, _NA),
    _rule("PatientBirthDate", _2, _NA),
    _rule("PatientSex", _2, _NA),
    _rule("OtherPatientIDsSequence", _3, _NA),
    _rule("ReferencedPatientSequence", _2, _NA, items=_REFERENCE),
    _rule("AdmissionID", _3, _NA),
    _rule("IssuerOfAdmissionIDSequence", _3, _NA),
    _rule("ServiceEpisodeID", _3, _NA),
    _rule("IssuerOfServiceEpisodeIDSequence", _3, _NA),
    _rule("ServiceEpisodeDescription", _3, _NA),
    _rule("PerformedProcedureStepID", _1, _NA),
    _rule("PerformedStationAETitle", _1, _NA),
    _rule("PerformedStationName", _2, _NA),
    _rule("PerformedLocation", _2, _NA),
    _rule("PerformedProcedureStepStartDate", _1, _NA),
    _rule("PerformedProcedureStepStartTime", _1, _NA),
    _rule("PerformedProcedureStepStatus", _1),
    _rule("PerformedProcedureStepDescription", _2),
    _rule("PerformedProcedureTypeDescription", _2),
    _rule("ProcedureCodeSequence", _2),
    _rule("ReasonForPerformedProcedureCodeSequence", _3),
    _rule("PerformedProcedureStepEndDate", _2, _3, _1),
    _rule("PerformedProcedureStepEndTime", _2, _3, _1),
    _rule("CommentsOnThePerformedProcedureStep", _3),
    _rule("PerformedProcedureStepDiscontinuationReasonCodeSequence", _3),
    _rule("Modality", _1, _NA),
    _rule("StudyID", _2, _NA),
    _rule("PerformedProtocolCodeSequence", _2),
    _rule("PerformedSeriesSequence", _2, _3, _1, items=_SERIES_ITEM),  # final: at least one item, note 2
)
"""Table F.7.2-1, without what is of type 3 throughout."""

STATUS = paths.tag("PerformedProcedureStepStatus")
SCHEDULED_STEP_ATTRIBUTES = paths.tag("ScheduledStepAttributesSequence")
PERFORMED_SERIES = paths.tag("PerformedSeriesSequence")
CHARACTER_SET = "00080005"

NOT_IN_SET = frozenset(rule.tag for rule in TABLE if rule.set is Need.NEVER)
"""What identifies an exam: a device cannot move it."""

ENDINGS = frozenset({PerformedState.COMPLETED, PerformedState.DISCONTINUED})

_CODES = tuple(paths.tag(each) for each in ("ProcedureCodeSequence", "PerformedProtocolCodeSequence"))
_IMAGES = tuple(
    paths.tag(each) for each in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
)
_ENUMERATED = {
    paths.tag("PatientSex"): {"M", "F", "O"},
    paths.tag("ArchiveRequested"): {"YES", "NO"},
}  # PS3.3 C.2.2, C.4.15


class Fault(Enum):
    """What may be wrong with a request: the status it deserves, and a comment for the device."""

    NO_CHANGE = (status.PROCESSING_FAILURE, "the request has no modification list")
    STATE_MISSING = (status.MISSING_ATTRIBUTE, "the state is missing")
    NOT_BEGUN = (status.INVALID_ATTRIBUTE_VALUE, "a performed step begins IN PROGRESS")
    UNKNOWN_STATE = (status.INVALID_ATTRIBUTE_VALUE, "the state is not one of a performed step")
    STATE_EMPTY = (status.MISSING_ATTRIBUTE_VALUE, "the state is empty")
    FORBIDDEN = (status.NO_SUCH_ATTRIBUTE, "an attribute may not be set")
    UNCREATED = (status.NO_SUCH_ATTRIBUTE, "an attribute was not created")
    MISSING = (status.MISSING_ATTRIBUTE, "a type 1 attribute is missing")
    ABSENT = (status.MISSING_ATTRIBUTE, "a type 2 attribute is missing")
    EMPTY = (status.MISSING_ATTRIBUTE_VALUE, "a type 1 attribute is empty")
    INSIDE = (status.MISSING_ATTRIBUTE_VALUE, "an item lacks a type 1 attribute, or its value")
    INSIDE_ABSENT = (status.MISSING_ATTRIBUTE_VALUE, "an item lacks a type 2 attribute")
    UNFINISHED = (status.MISSING_ATTRIBUTE_VALUE, "a final state needs this attribute")
    NO_CODE = (status.MISSING_ATTRIBUTE_VALUE, "a code sequence is empty")
    NO_IMAGE = (status.MISSING_ATTRIBUTE_VALUE, "a series has no image")
    ILLEGAL = (status.INVALID_ATTRIBUTE_VALUE, "a value is not one of its attribute")
    UNRECOGNISED = (status.ATTRIBUTE_LIST_ERROR, "an attribute is not known")
    LATE = (status.PROCESSING_FAILURE, "the exam is long over")
    STRANGER = (status.NOT_AUTHORIZED, "it comes from another AE title")
    APART = (status.PROCESSING_FAILURE, "it comes in another association")

    def __init__(self, code: int, comment: str) -> None:
        self.status = code
        self.comment = comment


_MUST_BE_THERE = {Need.VALUE: Fault.MISSING, Need.ELEMENT: Fault.ABSENT}


@dataclass(frozen=True, slots=True)
class Objection:
    """What is wrong with a request, and where; *found* holds what stands there, or should."""

    fault: Fault
    found: Mapping[Path, Element] = field(default_factory=dict)

    @property
    def places(self) -> tuple[Path, ...]:
        """The attributes it is about."""
        return tuple(self.found)

    @property
    def tags(self) -> tuple[str, ...]:
        """Those attributes, one inside a sequence as the sequence."""
        return tuple(dict.fromkeys(path[0] for path in self.found))

    def data_set(self) -> Document:
        """Return the attributes it is about with their values, and nothing else: no patient (B-14)."""
        document: Document = {}
        for path, element in self.found.items():
            document = paths.put(document, path, element)
        return document


NO_CHANGE = Objection(Fault.NO_CHANGE)
"""An N-SET without a data set: the device must not believe that anything was set."""


def objections_to_create(document: Document, *, over: bool = False) -> tuple[Objection, ...]:
    """Return what an N-CREATE has against it; *over* says that one of an exam that has ended is taken."""
    if STATUS not in document:
        return (Objection(Fault.STATE_MISSING, {(STATUS,): _empty(STATUS)}),)
    state = state_of(document)
    begun = state == PerformedState.IN_PROGRESS or (over and state in ENDINGS)
    lacking = list(_lacking(TABLE, document, lambda rule: rule.create, ()))
    found: Iterable[Objection | None] = (
        None if begun else _about(Fault.NOT_BEGUN, document, [STATUS]),
        *(
            _lacked(fault, (path for path, each in lacking if each is fault and len(path) == 1))
            for fault in (Fault.MISSING, Fault.ABSENT, Fault.EMPTY)
        ),
        *_of_the_items(lacking),
        *_of_the_end(document if state in ENDINGS else None),
    )
    return tuple(each for each in found if each is not None)


def objections_to_set(document: Document, stored: Document | None) -> tuple[Objection, ...]:
    """Return what an N-SET has against it; *stored* is IN PROGRESS, None where nobody created it.

    A state nobody knows is never taken for a final one (B-07).
    """
    state = state_of(document)
    unknown = bool(state) and state not in tuple(PerformedState)
    merged = {**(stored or {}), **document}
    known = document if stored is None else stored  # what nobody created has all it says
    forbidden = [tag for tag in document if tag in NOT_IN_SET and stored is not None]
    uncreated = [tag for tag in document if tag not in known and tag not in NOT_IN_SET]  # B-10
    found: Iterable[Objection | None] = (
        _about(Fault.UNKNOWN_STATE, document, [STATUS] if unknown else ()),
        _lacked(Fault.STATE_EMPTY, [(STATUS,)] if STATUS in document and not state else ()),
        _about(Fault.FORBIDDEN, document, forbidden),
        _about(Fault.UNCREATED, document, uncreated),
        *_of_the_end(merged if state in ENDINGS else None),
        *_of_the_items(_in_series(merged if state in ENDINGS else document)),
    )
    return tuple(each for each in found if each is not None)


def objections_to_values(document: Document) -> tuple[Objection, ...]:
    """Return what values have against them, whatever they are for: not of their VR, or of no attribute."""
    illegal = dict(_illegal(document, ()))
    found = (
        Objection(Fault.ILLEGAL, illegal) if illegal else None,
        _about(Fault.UNRECOGNISED, document, [tag for tag in document if not is_recognised(tag)]),
    )
    return tuple(each for each in found if each is not None)


def state_of(document: Document) -> str:
    """Return the state a request states, without padding (F-M30); "" for none, and no state for several."""
    return "\\".join(str(each or "").strip() for each in values(document, STATUS))


def settable(document: Document) -> Document:
    """Return an N-SET's attributes without those that identify (F-M13); a state without a value sets none."""
    stated = bool(state_of(document))
    return {
        tag: element
        for tag, element in document.items()
        if tag not in NOT_IN_SET and (tag != STATUS or stated)
    }


def is_recognised(tag: str) -> bool:
    """Tell whether an attribute is the standard's, or private: a data set of the class may hold both."""
    return paths.is_private(tag) or paths.known(tag)


def _lacking(
    rules: Iterable[Rule], document: Document, need_of: Callable[[Rule], Need], inside: Path
) -> Iterator[tuple[Path, Fault]]:
    """Yield what is missing, or there without the value it needs, at any depth."""
    for rule in rules:
        path, need, element = (*inside, rule.tag), need_of(rule), document.get(rule.tag)
        if element is None:
            if need in _MUST_BE_THERE:
                yield path, _MUST_BE_THERE[need]
        elif need is _1 and not has_value(element):
            yield path, Fault.EMPTY
        for item in _items(document, rule.tag) if rule.items else ():
            yield from _lacking(rule.items, item, need_of, path)


def _in_series(document: Document) -> list[tuple[Path, Fault]]:
    """Return what the items of the performed series lack."""
    rules = [rule for rule in TABLE if rule.tag == PERFORMED_SERIES]
    return list(_lacking(rules, document, lambda rule: rule.set, ()))


def _of_the_items(lacking: Iterable[tuple[Path, Fault]]) -> Iterator[Objection | None]:
    inside = [(path, fault is Fault.ABSENT) for path, fault in lacking if len(path) > 1]
    yield _lacked(Fault.INSIDE, (path for path, absent in inside if not absent))
    yield _lacked(Fault.INSIDE_ABSENT, (path for path, absent in inside if absent))


def _of_the_end(merged: Document | None) -> Iterator[Objection | None]:
    """Yield what a step, as it will be, lacks for a final state (B-12); None: the state is none."""
    if merged is None:
        return
    needed = [rule.tag for rule in TABLE if rule.final is _1]
    yield _lacked(Fault.UNFINISHED, ((tag,) for tag in needed if not has_value(merged.get(tag))))
    yield _lacked(Fault.NO_CODE, ((tag,) for tag in _CODES if not has_value(merged.get(tag))))
    pictured = [any(has_value(item.get(tag)) for tag in _IMAGES) for item in _items(merged, PERFORMED_SERIES)]
    if not all(pictured):
        yield _lacked(Fault.NO_IMAGE, ((PERFORMED_SERIES, tag) for tag in _IMAGES[:1]))


def _illegal(document: Document, inside: Path) -> Iterator[tuple[Path, Element]]:
    for tag, element in document.items():
        path = (*inside, tag)
        if path != (STATUS,) and not (is_legal(element) and _is_enumerated(tag, element)):
            yield path, element
        for item in _items(document, tag):
            yield from _illegal(item, path)


def _is_enumerated(tag: str, element: Element) -> bool:
    allowed = _ENUMERATED.get(tag)
    return allowed is None or all(not value or value in allowed for value in element.get("Value", ()))


def _items(document: Document, tag: str) -> Iterator[Document]:
    """Yield the items of a sequence; what a device sends under another VR is none, a name least of all."""
    return items(document, tag) if document.get(tag, {}).get("vr") == "SQ" else iter(())


def has_value(element: Element | None) -> bool:
    """Tell whether an element is there and holds anything; for a sequence, an item."""
    return element is not None and any(value not in (None, "") for value in element.get("Value", ()))


def _about(fault: Fault, document: Document, tags: Iterable[str]) -> Objection | None:
    found: dict[Path, Element] = {(tag,): document[tag] for tag in tags}
    return Objection(fault, found) if found else None


def _lacked(fault: Fault, places: Iterable[Path]) -> Objection | None:
    found = {path: _empty(path[-1]) for path in places}
    return Objection(fault, found) if found else None


def _empty(tag: str) -> Element:
    return {"vr": paths.vr(tag)}
