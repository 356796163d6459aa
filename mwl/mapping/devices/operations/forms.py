"""P24 `format`: dates and times in exactly the form a device insists on.

A value that is no date or time at all becomes empty: `require` then decides what happens to the item,
because a device may drop its whole list for one such value (F23, F27).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from mwl.mapping.devices.operations.editing import editing
from mwl.mapping.devices.operations.notation import SelectorText
from mwl.mapping.devices.operations.operation import Binding, Lines, Stage, Step
from mwl.mapping.elements import edit_texts
from mwl.model import Element

Form: TypeAlias = Literal["YYYYMMDD", "HHMMSS", "HHMM"]

_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)?([0-5]\d|60)?(\.\d{1,6})?")
_VR: dict[str, str] = {"YYYYMMDD": "DA", "HHMMSS": "TM", "HHMM": "TM"}


class Format(Lines):
    """Dates and times in exactly one form; what is neither becomes empty (P24)."""

    key = "format"
    stage = Stage.RESPOND
    number = 24
    __pydantic_extra__: dict[SelectorText, Form]

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line; a form works on attributes of its own VR alone."""
        for text, form in self.lines.items():
            vr, write = _VR[form], _FORMS[form]
            yield binding.step(editing(text, _writing(vr, write), vr=vr), text)


def _writing(vr: str, write: Callable[[str], str]) -> Callable[[Element], Element]:
    return lambda element: edit_texts(element, write) if element["vr"] == vr else element


def _date(text: str) -> str:
    digits = text.strip().replace(".", "").replace("-", "")
    try:
        dt.date.fromisoformat(digits)
    except ValueError:
        return ""
    return digits if digits.isdigit() and len(digits) == 8 else ""


def _time(text: str, digits: int) -> str:
    match = _TIME.fullmatch(text.strip().replace(":", ""))
    if match is None or (match[3] and not match[2]) or (match[4] and not match[3]):
        return ""
    return f"{match[1]}{match[2] or '00'}{match[3] or '00'}"[:digits]


_FORMS: dict[str, Callable[[str], str]] = {
    "YYYYMMDD": _date,
    "HHMMSS": lambda text: _time(text, 6),
    "HHMM": lambda text: _time(text, 4),
}
