"""HL7 messages and DICOM data sets without anybody in them (PS3.15 Annex E).

What is kept is listed; whatever is not listed is taken for somebody's: its words become pseudonyms, its
dates move.  So a field that nobody thought of, a Z segment, a private tag or a note gives nobody away.
That is the Basic Profile and more, with these of its options: dates are modified and keep their distances,
devices keep their identity (AE titles, applications), UIDs are replaced consistently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mwl.errors import NotUnderstood
from mwl.hl7.escapes import Delimiters, escape, unescape
from mwl.hl7.message import Segment, parse
from mwl.model import Document, Element
from mwl.workbench.pseudonyms import WORD, Pseudonyms

OPTIONS: Final = ("113100", "113105", "113107", "113109")
"""What was done, in codes of CID 7050: Basic Profile; clean descriptors, modified dates, devices kept."""

NOBODYS_SEX: Final = "O"  # a dummy value that a console takes

# ── HL7 ──

# Fields that say nothing of a person: codes, numbers of segments, what is to be done.  Of a field with
# components these alone, counted from 1; () is all of them.
_CODE = (1, 3, 4, 6)
_PRIORITY = (1, 2, 3, 6, 7)
_KEPT: Final[Mapping[str, Mapping[int, Collection[int]]]] = {
    "MSH": dict.fromkeys((1, 2, 9, 11, 12, 13, 15, 16, 17, 18, 19, 20, 21), ()),
    "EVN": dict.fromkeys((1, 4), ()),
    "PID": {1: ()},
    "PV1": {1: (), 2: ()},
    "ORC": {1: (), 5: (), 6: (), 7: _PRIORITY, 16: _CODE, 25: _CODE},
    "OBR": {1: (), 4: _CODE, 5: (), 15: _CODE, 24: (), 25: (), 27: _PRIORITY, 30: (), 44: _CODE, 45: _CODE},
    "OBX": {1: (), 2: (), 3: _CODE, 11: ()},
    "NTE": {1: ()},
    "DG1": {1: ()},
    "AL1": {1: ()},
    "TQ1": {1: (), 9: _CODE},
    "SCH": {6: _CODE, 7: _CODE, 8: _CODE, 25: _CODE},
    "RGS": {1: (), 2: ()},
    "AIS": {1: (), 2: (), 3: _CODE},
    "AIG": {1: (), 2: (), 4: _CODE},
    "AIL": {1: (), 2: ()},
    "AIP": {1: (), 2: ()},
    "IPC": {5: (), 6: _CODE, 9: ()},
    "ZDS": {1: (3, 4)},
    "MSA": {1: (), 6: _CODE},
    "ERR": {2: (), 3: (), 4: ()},
}
_DATES: Final[Mapping[str, Mapping[int, Collection[int]]]] = {
    "MSH": {7: ()},
    "EVN": dict.fromkeys((2, 3, 6), ()),
    "PID": dict.fromkeys((7, 29), ()),
    "PV1": dict.fromkeys((44, 45), ()),
    "ORC": {7: (4, 5), 9: (), 15: ()},
    "OBR": {**dict.fromkeys((6, 7, 8, 14, 22, 36), ()), 27: (4, 5)},
    "OBX": {14: ()},
    "TQ1": dict.fromkeys((7, 8), ()),
    "SCH": {11: (4, 5)},
    "AIS": {4: ()},
    "AIG": {8: ()},
    "AIL": {6: ()},
    "AIP": {6: ()},
}
_BIRTH, _SEX = ("PID", 7), ("PID", 8)
_TELLING = 3  # characters; shorter words are everybody's
_SEGMENTS = re.compile(
    "MSH|EVN|PID|PD1|PV1|PV2|NK1|MRG|ORC|TQ[12]|OBR|OBX|NTE|IPC|DG1|AL1|GT1|IN[123]|ROL|CTI|BLG|SPM|PR1|SFT"
    "|SCH|RGS|AI[SGLP]|MSA|ERR|QA[KD]|ZDS|Z[A-Z0-9]{2}|[FB][HT]S|DSC"
)  # what else begins a line is perhaps a line of a letter


def message(
    text: str, codec: str, names: Pseudonyms, devices: Collection[str] = (), known: Iterable[str] = ()
) -> str:
    """Return a message, or an answer, without anybody in it; a segment a line.

    *devices* are the site's applications and AE titles, which are kept.  *known* are the `identities` in the
    message that an answer is to: it repeats fields of its header.  What cannot be split into fields is words.
    """
    try:
        read = parse(text, codec)
    except NotUnderstood:
        return names.text(text)
    writer = _Writer(read.header.delimiters, codec, names, devices, _own([*known, *identities(text, codec)]))
    return "".join(f"{writer.segment(each)}\n" for each in read.segments)


def _own(identities: Iterable[str]) -> frozenset[str]:
    """Return the words by which a message, or a data set, names somebody: they are kept nowhere in it."""
    words = (word.lower() for text in identities for word in WORD.findall(text))
    return frozenset(word for word in words if len(word) >= _TELLING or not word.isascii())


def _kept_but(own: frozenset[str], value: str, names: Pseudonyms) -> str:
    return WORD.sub(lambda found: names.word(found[0]) if found[0].lower() in own else found[0], value)


_PEOPLE = frozenset({"PID", "PD1", "NK1", "MRG", "GT1", "IN1", "IN2"})
_NUMBERS_OF = {"MSH": (10,), "ORC": (2, 3), "OBR": (2, 3, 18, 19, 20, 21), "IPC": (1, 2)}


def identities(text: str, codec: str) -> Iterator[str]:
    """Yield what tells in a message who somebody is: fields of persons, and the numbers of orders."""
    try:
        read = parse(text, codec)
    except NotUnderstood:
        return
    for segment in read.segments:
        if segment.name in _PEOPLE:
            yield unescape(segment.text.replace("^", " "), read.header.delimiters, codec)
        for number in _NUMBERS_OF.get(segment.name, ()):
            yield segment.raw(number).partition(read.header.delimiters.component)[0]


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the segments of one message anew."""

    marks: Delimiters
    codec: str
    names: Pseudonyms
    devices: Collection[str]
    own: frozenset[str]  # words by which the message names somebody

    def segment(self, segment: Segment) -> str:
        name, separator = segment.name, self.marks.field
        begin = name if _SEGMENTS.fullmatch(name) else self.names.text(name)
        first, count = 1, segment.text.count(separator)
        if name == "MSH":  # whose first field is the separator itself
            begin, first, count = f"{name}{separator}{segment.raw(2)}", 3, count + 1
        return separator.join([begin, *(self._field(segment, n) for n in range(first, count + 1))])

    def _field(self, segment: Segment, number: int) -> str:
        marks = self.marks
        return marks.repetition.join(
            marks.component.join(
                marks.subcomponent.join(
                    self._part(part, segment.name, number, component)
                    for part in written.split(marks.subcomponent)
                )
                for component, written in enumerate(repetition.split(marks.component), 1)
            )
            for repetition in segment.raw(number).split(marks.repetition)
        )

    def _part(self, written: str, segment: str, field: int, component: int) -> str:
        value = unescape(written, self.marks, self.codec)
        if (segment, field) == _SEX:
            return NOBODYS_SEX if value else value
        if value in self.devices and segment not in _PEOPLE:
            return written
        if _among(component, _KEPT.get(segment, {}).get(field)):
            return _kept_but(self.own, written, self.names)
        if (segment, field) == _BIRTH:
            return escape(self.names.births(value), self.marks)
        dates = _among(component, _DATES.get(segment, {}).get(field))
        return escape(self.names.dates(value) if dates else self.names.text(value), self.marks)


def _among(component: int, components: Collection[int] | None) -> bool:
    return components is not None and (not components or component in components)


# ── DICOM ──

_OF_THE_PATIENT = "0010"
_SEX_TAG, _BIRTH_TAG = "00100040", "00100030"
_CODE_TAGS = frozenset({"00080100", "00080102", "00080103", "00080104", "00080119", "00080120"})
_MEANINGS = frozenset({"00080104"})  # free text, for people
_CHARSET = "00080005"
_TIME = re.compile(r"[0-9.:*? -]*")
_AS_IT_IS = frozenset({"CS", "AE", "AT"})
_NUMBERS = frozenset({"IS", "DS", "US", "UL", "UV", "SS", "SL", "SV", "FL", "FD"})
_WORDS = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "UR", "PN"})


def document(data: Document, names: Pseudonyms) -> Document:
    """Return a data set without anybody in it; what is neither text nor a date keeps its tag and VR alone."""
    return _document(data, names, _own(identities_of(data)))


def _document(data: Document, names: Pseudonyms, own: frozenset[str]) -> Document:
    return {tag: _element(tag, element, names, own) for tag, element in data.items()}


_IDENTITIES = frozenset({"00080050", "00401001", "00400009", "00402016", "00402017"})


def identities_of(data: Document) -> Iterator[str]:
    """Yield what tells in a data set who somebody is, as `identities` does."""
    for tag, element in data.items():
        for value in element.get("Value", ()):
            if element["vr"] == "SQ":
                yield from identities_of(value)
            elif tag in _IDENTITIES or tag.startswith(_OF_THE_PATIENT) or element["vr"] == "PN":
                yield " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def _element(tag: str, element: Element, names: Pseudonyms, own: frozenset[str]) -> Element:
    vr = str(element["vr"])
    change = _change(tag, vr, names, own)
    values = element.get("Value")
    if values is None or change is None:
        return {"vr": vr}
    return {"vr": vr, "Value": [None if value is None else change(value) for value in values]}


def _change(tag: str, vr: str, names: Pseudonyms, own: frozenset[str]) -> Callable[[Any], Any] | None:
    """Return what is done to a value; None leaves none."""

    def kept(value: Any) -> Any:
        return _kept_but(own, value, names) if isinstance(value, str) else value

    private = int(tag[3], 16) % 2 == 1
    if vr == "SQ":
        return lambda item: _document(item, names, own)
    if tag == _SEX_TAG:
        return lambda _: NOBODYS_SEX
    if tag == _CHARSET or (tag in _CODE_TAGS and tag not in _MEANINGS):
        return kept
    if vr in _WORDS:
        return lambda value: _texts(value, names.text)
    if tag == _BIRTH_TAG:
        return lambda value: _texts(value, names.births)
    if vr in ("DA", "DT"):
        return lambda value: _texts(value, names.dates)
    if vr == "UI":
        return lambda value: _texts(value, names.uid_or_text)
    if vr == "TM":
        return lambda value: value if _TIME.fullmatch(str(value)) else names.text(str(value))
    known = not private and not tag.startswith(_OF_THE_PATIENT)
    return kept if known and vr in _AS_IT_IS | _NUMBERS else None


def _texts(value: Any, change: Callable[[str], str]) -> Any:
    """Change a text, or the groups of a name."""
    if isinstance(value, dict):
        return {group: change(str(text)) for group, text in value.items()}
    return change(str(value))
