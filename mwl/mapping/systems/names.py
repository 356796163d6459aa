"""Names of people: HL7's order of components into DICOM's, and back.

HL7 XPN is family, given, middle, suffix, prefix, degree; XCN has an ID in front of the same.  DICOM PN
is family, given, middle, prefix, suffix: the two at the end change places (C.3).  DICOM has no place
for a degree; it follows the suffix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mwl.mapping.systems.hl7paths import Found
from mwl.mapping.systems.source import Repetition

# HL7 table 0465: name representation codes, and the component group each fills (PS3.5 6.2.1.1).
_GROUPS: Final = {"A": "Alphabetic", "I": "Ideographic", "P": "Phonetic"}
_CODES: Final = {group: code for code, group in _GROUPS.items()}
_LEGAL = "L"  # HL7 table 0200
_FAMILY = 1
_TYPE, _REPRESENTATION = 7, 8  # components of XPN

# C-10: what would part a name's components or groups, or the values of an element.
_FORBIDDEN = re.compile(r"[\^=\\\x00-\x1f\x7f-\x9f]+")


def read_xpn(found: Sequence[Found], warn: Callable[[Found, str], None]) -> dict[str, str]:
    """Return the person name of a field's repetitions: one group for each representation (F-H38).

    Of several names in one representation the legal one is taken, else the first.
    """
    groups: dict[str, str] = {}
    legal: set[str] = set()
    for each in found:
        group = _GROUPS.get(each.part(_REPRESENTATION).upper(), "Alphabetic")
        is_legal = each.part(_TYPE).upper() == _LEGAL
        if group in groups and (group in legal or not is_legal):
            continue
        if name := _pn(each, _FAMILY, warn):
            groups[group] = name
            if is_legal:
                legal.add(group)
    return {group: groups[group] for group in _GROUPS.values() if group in groups}


def read_xcn(found: Sequence[Found], warn: Callable[[Found, str], None]) -> dict[str, str]:
    """Return the person name of an XCN, or of the sub-components of an NDL's first component (CNN)."""
    for each in found:
        if name := _pn(each, _FAMILY + 1, warn):
            return {"Alphabetic": name}
    return {}


def _pn(found: Found, family: int, warn: Callable[[Found, str], None]) -> str:
    raw = [found.part(number) for number in range(family, min(family + 6, len(found.parts) + 1))]
    if _FORBIDDEN.search("".join(raw)):
        raw = [_FORBIDDEN.sub(" ", part).strip() for part in raw]
        warn(found, "characters that would part the name were replaced by a blank")
    if len(raw) <= 3:  # as most are: family, given and middle name stand in DICOM's order
        return "^".join(raw).rstrip("^")
    family_name, given, middle, suffix, prefix, degree = (*raw, "", "")[:6]
    ending = " ".join(filter(None, (suffix, degree)))
    return f"{family_name}^{given}^{middle}^{prefix}^{ending}".rstrip("^")


def write_xpn(values: Iterable[object]) -> tuple[Repetition, ...]:
    """Return a person name (JSON model) as XPN: a repetition a group, typed where there are several."""
    name = next((value for value in values if isinstance(value, dict)), {})
    groups = [(code, name[group]) for group, code in _CODES.items() if name.get(group)]
    return tuple(_xpn(text, code if len(groups) > 1 else "") for code, text in groups)


def _xpn(text: str, code: str) -> Repetition:
    family, given, middle, prefix, suffix = (*text.split("^"), *[""] * 5)[:5]
    parts = [family, given, middle, suffix, prefix, "", _LEGAL if code else "", code]
    while parts and not parts[-1]:
        parts.pop()
    return tuple((part,) for part in parts)
