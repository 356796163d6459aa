"""P24 `format`: dates, times, ages and numbers in exactly the form a device insists on.

A date or time that is none at all becomes empty: `require` then decides what happens to the item, because
a device may drop its whole list for one such value (F23, F27).  So does a number or an age that cannot be
read.  Either is reported.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias

from mwl.mapping import paths
from mwl.mapping.devices.operations import ages
from mwl.mapping.devices.operations.editing import Change, Unhandled, editing
from mwl.mapping.devices.operations.notation import SelectorText
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, Run, Stage, Step
from mwl.mapping.devices.operations.values import fact
from mwl.mapping.elements import edit_texts, has_value, texts
from mwl.model import Document, Element
from mwl.query import Path

Form: TypeAlias = Literal["YYYYMMDD", "HHMMSS", "HHMM", "age", "integer", "decimal", "kg", "m"]

_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)?([0-5]\d|60)?(\.\d{1,6})?")
_QUANTITY = re.compile(r"([+-]?\d{1,12}(?:[.,]\d{0,6})?)\s*([a-zA-Z]*)")
_LONGEST = 32  # characters of a number that is read; DS has 16
_LARGEST = 12  # power of ten
_BIRTH_DATE = paths.parse_path("PatientBirthDate")
# DICOM's units of weight and size (PS3.3 C.7.2.2), and what people write instead.
_MASS = {"kg": Decimal(1), "g": Decimal("0.001"), "lb": Decimal("0.45359237"), "lbs": Decimal("0.45359237")}
_LENGTH = {"m": Decimal(1), "cm": Decimal("0.01"), "mm": Decimal("0.001")}
_NUMBERS = frozenset({"DS", "IS"})
_VRS: dict[str, frozenset[str]] = {
    "YYYYMMDD": frozenset({"DA"}),
    "HHMMSS": frozenset({"TM"}),
    "HHMM": frozenset({"TM"}),
    "age": frozenset({"AS"}),
}


class Format(Lines):
    """Dates, times, ages and numbers in exactly one form; what cannot be read becomes empty (P24)."""

    key = "format"
    stage = Stage.RESPOND
    number = 24
    __pydantic_extra__: dict[SelectorText, Form]

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line; a form works on attributes of its own VR alone."""
        for text, form in self.lines.items():
            vrs = _VRS.get(form, _NUMBERS)
            write = _FORMS[form]
            if "*" not in text and "?" not in text:
                path = paths.parse_path(text)
                if (vr := paths.vr(path[-1])) not in vrs:
                    binding.problem(f"{text} has VR {vr}: {form} is no form of it", text)
                if form == "age":
                    fact("today", binding, text)
                    yield binding.step(_aged(path), text)
            yield binding.step(editing(text, _writing(vrs, write)), text)


def _writing(vrs: frozenset[str], write: Callable[[str], str]) -> Change:
    def change(element: Element, _run: Run) -> Element:
        if element["vr"] not in vrs:
            return element
        written = edit_texts(element, write)
        if written is not element and len(texts(written)) < len(texts(element)):
            raise Unhandled(f"a value of VR {element['vr']} cannot be read, and is sent empty", written)
        return written

    return change


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


def _age(text: str) -> str:
    found = ages.parse(text) or ages.parse(f"{text.strip()}Y")  # a bare number is years, as people write it
    return str(found) if found else ""


def _aged(path: Path) -> Apply:
    """Put the age today where none is stated and the day of birth is known: computed, not made up."""

    def apply(document: Document, run: Run) -> Document:
        births = texts(paths.get(document, _BIRTH_DATE))
        if has_value(paths.get(document, path)) or not births or not _date(births[0]):
            return document
        age = ages.between(dt.date.fromisoformat(_date(births[0])), run.facts.now.date())
        return paths.put(document, path, {"vr": "AS", "Value": [str(age)]}) if age else document

    return apply


def _quantity(text: str, units: Mapping[str, Decimal]) -> str:
    """Return a quantity in the attribute's own unit, in which a bare number is."""
    number, unit = _read(text)
    own = units.get(unit, None) if unit else Decimal(1)
    return "" if number is None or own is None else _plain(number * own)


def _number(text: str) -> str:
    number, unit = _read(text)
    return "" if number is None or unit else _plain(number)


def _integer(text: str) -> str:
    number, unit = _read(text)
    return "" if number is None or unit else str(int(number.to_integral_value()))


def _read(text: str) -> tuple[Decimal | None, str]:
    if len(text) > _LONGEST:
        return None, ""
    if match := _QUANTITY.fullmatch(text.strip()):
        return Decimal(match[1].replace(",", ".")), match[2].lower()
    try:
        number = Decimal(text.strip())  # with an exponent, as DS may have
    except InvalidOperation:
        return None, ""
    return (number, "") if number.is_finite() and abs(number.adjusted()) <= _LARGEST else (None, "")


def _plain(number: Decimal) -> str:
    """Return *number* without exponent, in at most 16 characters (DS)."""
    text = f"{round(number, 4):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if len(text) <= 16 else ""


_FORMS: dict[str, Callable[[str], str]] = {
    "YYYYMMDD": _date,
    "HHMMSS": lambda text: _time(text, 6),
    "HHMM": lambda text: _time(text, 4),
    "age": _age,
    "integer": _integer,
    "decimal": _number,
    "kg": lambda text: _quantity(text, _MASS),
    "m": lambda text: _quantity(text, _LENGTH),
}
