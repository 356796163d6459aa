"""What a device's profile makes of the objections to an MPPS request (P34 `mpps.accept`).

A strict profile refuses what PS3.4 F.7.2 forbids.  Any other takes what can be taken without harm to
anybody, and reports it: an exam that was refused is an exam nobody knows of.  Three things nobody
tolerates: a state that is none, one that is missing, and a request that says nothing.

Code strings that devices write in lower case, or with characters CS has not (M13), are put right before
anything is judged; the bytes as they came are kept with the performed step.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mwl.dicom.performed_rules import Fault, Objection
from mwl.errors import MwlError
from mwl.mapping import paths
from mwl.mapping.devices.operations.performed import PerformedTolerance
from mwl.model import Document, Element, text
from mwl.query import Path, normal_time

LATE = dt.timedelta(days=1)
"""How long after an exam its report is late: the longest are over the same day."""

_NEVER = frozenset({Fault.NO_CHANGE, Fault.STATE_MISSING, Fault.NOT_BEGUN, Fault.UNKNOWN_STATE})
_STRICTLY = frozenset({Fault.FORBIDDEN, Fault.UNCREATED, Fault.ILLEGAL, Fault.STATE_EMPTY})
_LACKING = frozenset({
    Fault.MISSING, Fault.ABSENT, Fault.EMPTY, Fault.INSIDE, Fault.INSIDE_ABSENT, Fault.UNFINISHED,
})  # fmt: skip
_OPTIONS = {
    Fault.NO_CODE: "empty_code_sequences", Fault.NO_IMAGE: "empty_image_list", Fault.LATE: "late",
    Fault.STRANGER: "calling_ae_differs", Fault.APART: "separate_associations",
}  # fmt: skip
_SERIOUS = frozenset({Fault.MISSING, Fault.EMPTY, Fault.UNFINISHED, Fault.STATE_EMPTY})

_LONGEST = 16  # characters of CS
_NOT_IN_CS = re.compile(r"[^A-Z0-9 _]")  # PS3.5 Table 6.2-1
_BEGUN = (paths.tag("PerformedProcedureStepStartDate"), paths.tag("PerformedProcedureStepStartTime"))
_ENDED = (paths.tag("PerformedProcedureStepEndDate"), paths.tag("PerformedProcedureStepEndTime"))
_MOST_NAMED = 20  # attributes in one line of the log


class Objected(MwlError):
    """A rule is broken that this device's profile does not tolerate."""

    def __init__(self, objection: Objection) -> None:
        super().__init__(objection.fault.comment)
        self.objection = objection


@dataclass(frozen=True, slots=True)
class Tolerated:
    """What is taken all the same: for the log, and what is not done of it (0107)."""

    findings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # tags
    serious: bool = False  # a person should look at it


def tolerated(objections: Iterable[Objection], tolerance: PerformedTolerance) -> Tolerated:
    """Return what of the objections is tolerated; raises `Objected` with the first that is not."""
    findings: list[str] = []
    left_out: list[str] = []
    serious = False
    for objection in objections:
        if refused := _refused(objection, tolerance):
            raise Objected(refused)
        if objection.fault is Fault.UNRECOGNISED:
            if not tolerance.strict:
                continue  # kept: it may be the standard's of a later edition
            left_out += objection.tags
        elif objection.fault in _OPTIONS:
            continue  # nothing to remark: the standard allows it
        serious |= objection.fault in _SERIOUS
        findings.append(said(objection.fault.comment, objection.places))
    return Tolerated(tuple(findings), tuple(left_out), serious)


def _refused(objection: Objection, tolerance: PerformedTolerance) -> Objection | None:
    """Return the part of an objection that is refused, None where all of it is tolerated."""
    fault = objection.fault
    if fault in _NEVER or (tolerance.strict and fault in _STRICTLY | _LACKING):
        return objection
    if fault in _OPTIONS:
        return objection if getattr(tolerance, _OPTIONS[fault]) == "reject" else None
    if fault in _LACKING:
        return _insisted_on(objection, tolerance.missing)
    return None


def _insisted_on(objection: Objection, missing: str | tuple[str, ...]) -> Objection | None:
    if isinstance(missing, str):
        return objection if missing == "reject" else None
    wanted = {paths.parse_path(each) for each in missing}
    found = {path: element for path, element in objection.found.items() if path in wanted}
    return Objection(objection.fault, found) if found else None


def said(comment: str, places: Iterable[Path]) -> str:
    """Return a finding for the log: what, and which attributes; no values."""
    names = [paths.show(path) for path in places]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{comment}: {', '.join(names[:_MOST_NAMED])}{more}"


def cleaned(document: Document) -> tuple[Document, tuple[Path, ...]]:
    """Return *document* with code strings as CS has them, and where they were not (M13)."""
    changed: dict[Path, None] = {}
    return _cleaned(document, (), changed), tuple(changed)


def _cleaned(document: Document, inside: Path, changed: dict[Path, None]) -> Document:
    return {tag: _element(element, (*inside, tag), changed) for tag, element in document.items()}


def _element(element: Element, path: Path, changed: dict[Path, None]) -> Element:
    values = element.get("Value")
    if not values or element["vr"] not in ("CS", "SQ"):
        return element
    if element["vr"] == "SQ":
        inner = [_cleaned(each, path, changed) if isinstance(each, dict) else each for each in values]
        return {**element, "Value": inner}
    legal = [_code(each) if isinstance(each, str) else each for each in values]
    if legal == values:
        return element
    changed[path] = None
    return {**element, "Value": legal}


def _code(value: str) -> str:
    return _NOT_IN_CS.sub("_", value.strip().upper())[:_LONGEST].rstrip()


def objections_to_time(document: Document, now: dt.datetime) -> Iterator[Objection]:
    """Yield that an exam was over long before *now*, a time of the site like those of *document*."""
    stamp = _instant(document, _ENDED, now.tzinfo) or _instant(document, _BEGUN, now.tzinfo)
    if stamp is not None and now - stamp > LATE:
        yield Objection(Fault.LATE)


def _instant(document: Document, at: tuple[str, str], zone: dt.tzinfo | None) -> dt.datetime | None:
    date, time = (text(document, tag).strip() for tag in at)
    try:
        return dt.datetime.strptime(date + normal_time(time), "%Y%m%d%H%M%S.%f").replace(tzinfo=zone)
    except ValueError:
        return None
