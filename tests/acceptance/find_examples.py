"""DCMTK's example items as orders, its example queries, and where two servers may differ in answering them.

The thirteen queries as they are shipped ask for stations and modalities that no example item has, and
DCMTK says to edit them; so there are more, one for each point in which worklist servers disagree.
Both servers hold the same ten items.  What differs is named by a letter of `DIFFERENCES`, which says
which clause decides; `why` says it where they find different items.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from acceptance.find_orders import Step
from foreign.dicom.answer import Answer
from foreign.dicom.identifier import STEPS, Identifier, Value, identifier

ALL = "1 2 3 4 5 6 7 8 9 10"


@dataclass(frozen=True)
class Example:
    """A query; *ours* and *theirs* are the numbers of the items found, None for a failed query (A900)."""

    id: str
    query: Identifier = field(repr=False)
    ours: str | None
    theirs: str | None
    why: str = ""


def shipped(files: list[Path]) -> list[Example]:
    """Return the queries of the package; both servers find the same."""
    found = dict.fromkeys((0, 1, 3, 10, 11), ALL) | {5: "2 3 4 6 7 10"}
    return [
        Example(file.stem, _keys(dcmread(file)), found.get(number, ""), found.get(number, ""))
        for number, file in enumerate(files)
    ]


def _keys(dataset: Dataset) -> dict[str, Value]:
    return {
        element.keyword: [_keys(item) for item in element.value]
        if element.VR == "SQ"
        else str(element.value or "")
        for element in dataset
    }


def edited() -> list[Example]:
    """Return queries edited to the items."""
    return [
        _edited("first of two stations", "station=AA32", ours="1 4", theirs="1 4"),
        _edited("second of two stations", "station=AA33", ours="1", theirs="1"),
        _edited("two stations", "station=AA32\\AB45", ours="1 2 4 5", theirs="1 2 4 5"),
        _edited("station wildcard", "station=AA*", ours="1 4 9", theirs="",
                why="Table K.6-1 asks for single values; C.2.2.2.4 admits wildcards in AE: an extension (A-28)"),
        _edited("modality", "modality=CT", ours="2 6 8 9", theirs="2 6 8 9"),
        _edited("two modalities", "modality=CT\\MR", ours="1 2 6 8 9 10", theirs=None,
                why="undefined by C.2.2.2; either value is better than none (A-31)"),
        _edited("date", "date=19951015", ours="1", theirs="1"),
        _edited("dates", "date=19951001-19960131", ours="1 3 4 5", theirs="1 3 4 5"),
        _edited("dates and times", "date=19951015-19960123", "time=080000-140000", ours="1 3 4 5", theirs="1 3 4 5"),
        _edited("one date and times", "date=19951015", "time=080000-090000", ours="1", theirs="1"),
        _edited("a star for a date", "date=*", ours=ALL, theirs=None,
                why="no wildcard in DA (C.2.2.2.4), but what is meant is plain: tolerated (F16)"),
        _edited("name", "PatientName=VIVALDI^ANTONIO", ours="1 2 3", theirs="1 2 3"),
        _edited("name wildcard", "PatientName=H*", ours="4 5 6", theirs="4 5 6"),
        _edited("name in lower case", "PatientName=haydn*", ours="4 5 6", theirs="",
                why="C.2.2.2.1.1 lets PN be compared without case, if declared (A-23)"),
        _edited("name with empty components", "PatientName=VIVALDI^ANTONIO^^^", ours="1 2 3", theirs="",
                why="PS3.5 6.2.1.2: trailing empty components say nothing (A-24)"),
        _edited("Patient ID", "PatientID=HF", ours="4 5 6", theirs="4 5 6"),
        _edited("Patient ID wildcard", "PatientID=B*", ours="7 8", theirs="",
                why="as for stations: an extension (A-28)"),
        _edited("accession number", "AccessionNumber=00007", ours="7", theirs="7"),
        _edited("Study Instance UID", "StudyInstanceUID=1.2.276.0.7230010.3.2.104", ours="4", theirs=ALL,
                why="an optional key that wlmscpfs does not support (Table K.6-1)"),
        _edited("step ID", "step=SPD4564", ours="3", theirs=ALL,
                why="an optional key that wlmscpfs does not support (Table K.6-1)"),
        _edited("station name", "SPS.ScheduledStationName=STN345", ours="9", theirs=ALL,
                why="an optional key that wlmscpfs does not support (Table K.6-1)"),
        _edited("modality at the root", "Modality=CT", ours="2 6 8 9", theirs=ALL,
                why="no key of the worklist there; what is meant is plain: lifted into the step (F06)"),
        _edited("Query/Retrieve Level", "QueryRetrieveLevel=STUDY", ours=ALL, theirs=ALL),
    ]  # fmt: skip


def _edited(name: str, *keys: str, ours: str | None, theirs: str | None, why: str = "") -> Example:
    """Return a query that asks for numbers and names as well."""
    returned = ("PatientName", "PatientID", "AccessionNumber", "RequestedProcedureID", "step", "station")
    named = {key.partition("=")[0] for key in keys}
    query = identifier(*keys, *(key for key in returned if key not in named))
    assert STEPS in query
    return Example(name, query, ours, theirs, why)


def orders(files: list[Path]) -> list[str]:
    """Return an OMI^O23 for each item, with all that the item says."""
    return [_order(dcmread(file)) for file in files]


def _order(item: Dataset) -> str:
    (step,) = item.ScheduledProcedureStepSequence
    said = Step(
        step.ScheduledProcedureStepID,
        name=str(item.PatientName),
        patient_id=item.PatientID,
        issuer="",
        start=step.ScheduledProcedureStepStartDate + step.ScheduledProcedureStepStartTime,
        modality=step.Modality,
        stations="\\".join(_all(step.ScheduledStationAETitle)),
        accession=item.AccessionNumber,
        procedure=item.RequestedProcedureID,
        study=item.StudyInstanceUID,
        more={
            "PID-7": item.PatientBirthDate,
            "PID-8": item.PatientSex,
            "AL1-3": f"^{item.Allergies}",
            "TQ1-9": item.RequestedProcedurePriority,
            "OBR-4": f"^{item.RequestedProcedureDescription}",
            "OBR-13": item.MedicalAlerts,
            "OBR-16": f"^{item.RequestingPhysician}",
            "OBR-34": f"&{step.ScheduledPerformingPhysicianName}",
            "IPC-6": f"^{step.ScheduledProcedureStepDescription}",
            "IPC-7": step.ScheduledStationName,
            "IPC-8": step.ScheduledProcedureStepLocation,
            "ZWL-1": step.RequestedContrastAgent or "",  # mappings/systems/examples.yaml
        },
    )
    return said.order(kind="OMI")


def _all(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def numbers(files: list[Path]) -> dict[str, str]:
    """Return the number of each item by the IDs that responses tell it by."""
    found = {}
    for number, file in enumerate(files, 1):
        item = dcmread(file)
        found[str(item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID)] = str(number)
    return found


# ── what two right answers may differ in ──

_Json = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """Something two right answers may differ in: what it is, and how to leave it out of both."""

    text: str
    without: Callable[[_Json], _Json] = field(repr=False)


def _without(*tags: str) -> Callable[[_Json], _Json]:
    return lambda item: _kept(item, lambda tag, _: tag not in tags)


def _kept(item: _Json, keep: Callable[[str, _Json], bool]) -> _Json:
    """Return what of an item, and of the items in it, is to be kept."""
    return {
        tag: {**element, "Value": [_kept(each, keep) for each in element["Value"]]}
        if element["vr"] == "SQ" and element.get("Value")
        else element
        for tag, element in item.items()
        if keep(tag, element)
    }


DIFFERENCES = {
    "p": Difference(
        "Medical Alerts and Allergies are the patient's (PS3.3 C.2.4), and the items disagree about one patient: "
        "ours holds what the last order said, wlmscpfs what stands in each file",
        _without("00102000", "00102110"),
    ),
    "q": Difference(
        "a sequence that is asked for and has no value: ours sends it with zero items (K.2.2.1.2, A-19), "
        "wlmscpfs leaves it out",
        lambda item: _kept(item, lambda _, element: element["vr"] != "SQ" or bool(element.get("Value"))),
    ),
    "s": Difference(
        "an empty step asks for all that is supported (C.2.2.2.6, A-44), and the two do not support the same "
        "optional attributes: end, state and comments of a step",
        _without("00400004", "00400005", "00400020", "00400400"),
    ),
}
WARNING = "w"
"""wlmscpfs answers FF01 where a key is not supported, ours FF00: the generic profile says so (A-20)."""


def letters(ours: Answer, theirs: Answer) -> str | None:
    """Return by which letters two answers with the same items differ; None where something else differs."""
    mine, other = ([item.to_json_dict() for item in answer] for answer in (ours, theirs))
    needed = "".join(DIFFERENCES)
    if not _same(mine, other, needed):
        return None
    for letter in DIFFERENCES:
        if _same(mine, other, needed.replace(letter, "")):
            needed = needed.replace(letter, "")
    return needed + (WARNING if ours.pending != theirs.pending else "")


def _same(mine: list[_Json], other: list[_Json], but_for: str) -> bool:
    return _comparable(mine, but_for) == _comparable(other, but_for)


def _comparable(items: list[_Json], but_for: str) -> list[str]:
    for letter in but_for:
        items = [DIFFERENCES[letter].without(item) for item in items]
    return sorted(json.dumps(item, sort_keys=True) for item in items)
