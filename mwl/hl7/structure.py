"""What the standard's own grammar says of a message: hl7apy's structural findings, without its defects.

They are advice: many a RIS breaks the grammar in places nobody reads, and none of it refuses a message.
hl7apy is given the message as our reader split it, in the form it can judge:

* line ends are CR, MSH-2 holds four delimiters, MSH-12 a version it knows (the nearest one below);
* Z segments are left out: it would drop them, or the whole message with them;
* what is no segment at all is left out and told.

And of what it says is left away what is wrong: that *every* alternative of a choice is missing, and
that an empty value stands in no table.  A segment that it drops without a word is told.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from mwl.errors import Severity
from mwl.hl7.escapes import Delimiters
from mwl.hl7.message import Message, Segment

_OLDEST: Final = "2.3.1"  # what a message without version is judged by: the one most senders mean
_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}")

# Events whose messages share a structure (HL7 table 0354), for messages that do not name theirs in
# MSH-9.3; of several the first that the version has.
_SHARED: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("A04", "A08", "A13"), ("A01",)),
    **dict.fromkeys(("A05", "A14", "A28", "A31"), ("A05", "A01")),
    "A07": ("A06",),
    **dict.fromkeys(("A10", "A11"), ("A09",)),
    "A12": ("A12", "A09"),
    "A47": ("A30",),
    **dict.fromkeys(("A34", "A36"), ("A30",)),
    "A40": ("A39",),
    **{f"S{number}": ("S12",) for number in range(13, 27)},
}

_UNSTATED: Final = {"ORM": "O01"}  # HL7 2.2 has no event in MSH-9


@dataclass(frozen=True, slots=True)
class StructuralFinding:
    """One thing in which a message departs from the grammar; *text* may hold a value of it."""

    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was judged by which grammar, and what was found."""

    version: str
    structure: str  # "ORM_O01"; "" where the version has none for this kind of message
    findings: tuple[StructuralFinding, ...]


def judge(message: Message) -> Judgement:
    """Return what the grammar of the message's version says of it; never raises."""
    version = _version(message.header.version)
    structure = _structure(message, version)
    if not structure:
        text = f"HL7 {version} has no message {message.header.kind or 'without a type'}: nothing to judge by"
        return Judgement(version, "", (StructuralFinding(Severity.WARNING, text),))
    segments = [each for each in message.segments if _SEGMENT.fullmatch(each.name)]
    ours = [StructuralFinding(Severity.ERROR, text) for text in _no_segments(message.segments)]
    found = _judged([each for each in segments if not each.name.startswith("Z")], message, version, structure)
    return Judgement(version, structure, tuple(dict.fromkeys((*ours, *found))))


@lru_cache(maxsize=256)
def field_names(version: tuple[int, ...], segment: str) -> Mapping[int, str]:
    """Return what the standard calls the fields of a segment; nothing for a segment it does not have."""
    from hl7apy import load_reference
    from hl7apy.exceptions import HL7apyException

    try:
        fields = load_reference(segment, "Segment", _version(version))[1]
    except HL7apyException:
        return {}
    named = ((int(name.partition("_")[2]), reference[3]) for name, reference, *_ in fields)
    return {number: name.replace("_", " ").capitalize() for number, name in named if name}


def _version(stated: tuple[int, ...]) -> str:
    """Return the latest version hl7apy knows that is not after the one *stated*."""
    from hl7apy import SUPPORTED_LIBRARIES

    known = sorted(tuple(map(int, each.split("."))) for each in SUPPORTED_LIBRARIES)
    before = [each for each in known if each <= stated]
    return ".".join(map(str, before[-1])) if before else _OLDEST


def _structure(message: Message, version: str) -> str:
    """Return the name of the message's structure, "" where the version has none."""
    from hl7apy import load_reference
    from hl7apy.exceptions import HL7apyException

    header = message.header
    trigger = header.trigger or _UNSTATED.get(header.message_type, "")
    events = (trigger, *_SHARED.get(trigger, ()))
    for name in (header.text(9, 3), *(f"{header.message_type}_{event}" for event in events)):
        try:
            load_reference(name, "Message", version)
        except (HL7apyException, KeyError):
            continue
        return name
    return ""


def _no_segments(segments: Iterable[Segment]) -> Iterator[str]:
    for number, segment in enumerate(segments, 1):
        if not _SEGMENT.fullmatch(segment.name):
            yield f"line {number} is no segment"


def _judged(
    segments: list[Segment], message: Message, version: str, structure: str
) -> Iterator[StructuralFinding]:
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.parser import parse_message
    from hl7apy.validation import Validator

    lines = [_msh(message, version, structure), *(each.text for each in segments[1:])]
    with tempfile.TemporaryDirectory(prefix="mwl-") as folder:
        report = Path(folder) / "report"  # the only way to all findings; the folder is its owner's alone
        try:
            parsed = parse_message("\r".join(lines) + "\r", validation_level=VALIDATION_LEVEL.TOLERANT)
            _validate(Validator, parsed, report)
        except Exception as error:  # noqa: BLE001 - whatever breaks in a judge is no fault of the message
            text = f"hl7apy could not judge it ({type(error).__name__})"
            yield StructuralFinding(Severity.WARNING, text)
            return
        yield from _dropped(segments, parsed, version, structure)
        ours = "<Field MSH_9" if _borrowed(message, structure) else None
        for line in report.read_text("utf-8").splitlines():
            if (finding := _worded(line)) and not (ours and ours in line):
                yield finding


def _validate(validator: Any, parsed: Any, report: Path) -> None:
    from hl7apy.exceptions import ValidationError

    try:
        validator.validate(parsed, report_file=str(report))
    except ValidationError:  # the first finding; all of them are in the report
        pass


def _msh(message: Message, version: str, structure: str) -> str:
    """Return MSH in the form hl7apy takes."""
    d: Delimiters = message.header.delimiters
    fields = list(message.header.fields)
    fields += [""] * (13 - len(fields))
    fields[2] = d.component + d.repetition + (d.escape or "\\") + d.subcomponent
    if _borrowed(message, structure):
        fields[9] = d.component.join((message.header.message_type, message.header.trigger, structure))
    fields[12] = version
    return d.field.join(("MSH", *fields[2:]))


def _borrowed(message: Message, structure: str) -> bool:
    """Tell whether the structure is that of another event, which hl7apy finds in MSH-9.3 alone."""
    header = message.header
    return structure not in (header.text(9, 3), f"{header.message_type}_{header.trigger}")


def _dropped(
    segments: Iterable[Segment], parsed: Any, version: str, structure: str
) -> Iterator[StructuralFinding]:
    kept = Counter(_names(parsed))
    for name, count in Counter(each.name for each in segments).items():
        if kept[name] < count:
            times = f" ({count - kept[name]} of {count})" if kept[name] else ""
            text = f"{name} has no place where it stands in {structure} of HL7 {version}{times}"
            yield StructuralFinding(Severity.WARNING, text)


def _names(element: Any) -> Iterator[str]:
    for child in element.children:
        if child.classname == "Segment":
            yield child.name
        else:
            yield from _names(child)


# ── hl7apy's words in ours ──

_MISSING = re.compile(r"Missing required child (?P<parent>\w+)\.(?P<child>\w+)")
_EXCEEDED = re.compile(r"Child limit exceeded (?P<parent>\w+)\.(?P<child>\w+)")
_TABLE = re.compile(
    r"Value (?P<value>.*) not in table HL7(?P<table>\w+) in element (?P<parent>\w+)\.(?P<child>\w+)"
)
_LENGTH = re.compile(r"Exceeded max length \((?P<most>\d+)\) of (?P<parent>\w+)\.(?P<child>\w+)")
_UNKNOWN = re.compile(r"Invalid children detected for <(?P<what>Segment|Field|Component) (?P<name>\w+).*")


def _worded(line: str) -> StructuralFinding | None:
    """Return a line of the report as a finding; None for one that is not true."""
    kind, _, said = line.partition(": ")
    severity = Severity.ERROR if kind == "Error" else Severity.WARNING
    text: str | None = said
    if found := _MISSING.fullmatch(said):
        text = None if found["parent"].endswith("_CHOICE") else f"{_place(**found.groupdict())} is required"
    elif found := _EXCEEDED.fullmatch(said):
        text = f"{_place(**found.groupdict())} stands more often than is allowed"
    elif found := _TABLE.fullmatch(said):
        where = _place(found["parent"], found["child"])
        text = f"{where}: {found['value']!r} is not in HL7 table {found['table']}" if found["value"] else None
    elif found := _LENGTH.fullmatch(said):
        text = f"{_place(found['parent'], found['child'])} is longer than {found['most']} characters"
    elif found := _UNKNOWN.fullmatch(said):
        text = f"{found['name'].replace('_', '-')} has parts that its version does not know"
    return StructuralFinding(severity, text) if text else None


def _place(parent: str, child: str) -> str:
    """Return OBR.OBR_24 as OBR-24, OBR_4.CE_3 as OBR-4.3, ORM_O01_ORDER.ORC as it is."""
    name, _, number = child.rpartition("_")
    if name == parent and number.isdecimal():
        return f"{parent}-{number}"
    segment, _, field = parent.partition("_")
    if _SEGMENT.fullmatch(segment) and field.isdecimal() and number.isdecimal():
        return f"{segment}-{field}.{number}"
    return f"{child} in {parent}"
