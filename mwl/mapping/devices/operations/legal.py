"""Whether a value is one that its VR allows (PS3.5 6.2): form, characters and length."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from mwl.mapping.elements import PERSON_GROUPS
from mwl.model import Element

_LONGEST = {
    "AE": 16, "AS": 4, "CS": 16, "DS": 16, "IS": 12, "LO": 64, "LT": 10240, "SH": 16, "ST": 1024, "UI": 64,
}  # fmt: skip
_NAME = 64  # characters of one group
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LINES = frozenset({"LT", "ST", "UT"})
_UNTOLD = frozenset({"SQ", "UN", "OB", "OD", "OF", "OL", "OV", "OW", "AT"})
_FORMS = {
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]*"),
    "DS": re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *"),
    "IS": re.compile(r" *[+-]?\d+ *"),
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)? *"),
    "UI": re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*"),
}
_INTEGERS = {
    "US": (0, 2**16 - 1), "SS": (-(2**15), 2**15 - 1), "UL": (0, 2**32 - 1), "SL": (-(2**31), 2**31 - 1),
    "UV": (0, 2**64 - 1), "SV": (-(2**63), 2**63 - 1),
}  # fmt: skip


def is_legal(element: Element) -> bool:
    """Tell whether every value of *element* is one of its VR; an empty one is."""
    vr = element["vr"]
    if vr in _UNTOLD:
        return True
    judge = _of(vr)
    return all(value in (None, "") or judge(value) for value in element.get("Value", ()))


def _of(vr: str) -> Callable[[Any], bool]:
    if vr == "PN":
        return _name
    if vr == "DA":
        return _date
    if vr in _INTEGERS:
        low, high = _INTEGERS[vr]
        return lambda value: isinstance(value, int) and low <= value <= high
    if vr in ("FL", "FD"):
        return lambda value: isinstance(value, int | float)
    return lambda value: isinstance(value, str) and _text(vr, value)


def _text(vr: str, value: str) -> bool:
    if len(value) > _LONGEST.get(vr, len(value)):
        return False
    if (form := _FORMS.get(vr)) is not None:
        return form.fullmatch(value) is not None
    if vr in _LINES:
        return _CONTROL_IN_LINES.search(value) is None
    return "\\" not in value and _CONTROL.search(value) is None


def _date(value: Any) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{8}", value):
        return False
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _name(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    groups = [value.get(group, "") for group in PERSON_GROUPS]
    return all(
        isinstance(group, str)
        and len(group) <= _NAME
        and group.count("^") <= 4
        and not ({"\\", "="} & set(group))
        and _CONTROL.search(group) is None
        for group in groups
    )
