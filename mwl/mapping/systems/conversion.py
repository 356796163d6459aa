"""From what a path found to the values of an attribute.

A text goes: function, values to ignore, table, unit, join, and at last whatever its VR asks for.  It ends
as a value, as nothing (the next path is asked), as a wish to delete, or as a mistake that refuses the
message.  What was changed or left out on the way is reported and never silent.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NoReturn, Protocol

from mwl.mapping.systems.fitting import (
    LONGEST_NUMBER,
    MAXIMUM,
    Unfit,
    fit,
    identifier,
    is_code_string,
    is_plain,
    is_uid,
    uid,
)
from mwl.mapping.systems.functions import Structure, TextFunction, first_part
from mwl.mapping.systems.hl7paths import DELETE, Found, Hl7Path
from mwl.mapping.systems.lookup import Table
from mwl.mapping.systems.reading import Reading

DATA_TYPE: Final = 102  # HL7 table 0357 (D-19)
TABLE_VALUE: Final = 103

INTEGERS: Final[Mapping[str, int]] = {"US": 0xFFFF, "UL": 0xFFFF_FFFF, "IS": 2**31 - 1}
"""VRs of integers an order may fill, and the largest of each; IS stays a text (DICOM JSON keeps its form)."""

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_FINEST = 6  # decimals after a conversion of units: a gram in tonnes


class Mistake(Exception):
    """A value for which the message is refused; the rule catches and reports it."""

    def __init__(self, found: Found, text: str, code: int) -> None:
        super().__init__(text)
        self.found, self.text, self.code = found, text, code


class Conversion(Protocol):
    """Makes the values of one attribute."""

    @property
    def name(self) -> str:
        """The function's name, for a trace."""
        ...

    @property
    def settles(self) -> bool:
        """Whether the first path that finds anything decides, also where no value comes of it."""
        ...

    @property
    def bare(self) -> bool:
        """Whether a first part is the value, as long as it fits."""
        ...

    def takes(self, text: str) -> bool:
        """Tell of a first part, where the conversion is `bare`, that it is the value; else ask `values`."""
        ...

    def values(self, found: Sequence[Found], reading: Reading) -> list[Any] | None:
        """Return the values, [] where there is none, None where the element is to be emptied.

        Raises `Mistake`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Structured:
    """Values that a function finishes by itself: names and items."""

    name: str
    function: Structure
    scheme: str
    many: bool
    bare: bool = False

    @property
    def settles(self) -> bool:
        """See `Conversion`."""
        return self.function.settles

    def takes(self, text: str) -> bool:
        """See `Conversion`."""
        raise NotImplementedError(text)

    def values(self, found: Sequence[Found], reading: Reading) -> list[Any] | None:
        """See `Conversion`."""
        return self.function.read(found, reading, self.scheme)[: None if self.many else 1]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A table, and what becomes of a value it does not hold: ``keep``, ``drop``, ``empty``, ``error``."""

    table: Table
    miss: str


@dataclass(frozen=True, slots=True)
class Unit:
    """Where the unit of a value stands, and what a value in each (case folded) is multiplied by."""

    path: Hl7Path
    factors: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Worded:
    """Values that are texts."""

    name: str
    function: TextFunction
    target: str  # as the profile writes it: opens every remark
    vr: str
    strict: bool  # never altered: fits, or is a mistake
    many: bool
    limit: int | None = None
    cut: bool = True  # what is too long; otherwise it is left out
    lookup: Lookup | None = None
    ignore: Table | None = None
    unit: Unit | None = None
    join: str | None = None
    settles: bool = False
    fits: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    """Tells of most texts that they are values as they are, where they are no longer than `fitting`."""
    fitting: int = field(init=False, repr=False, compare=False)
    bare: bool = field(init=False, repr=False, compare=False)
    """See `Conversion`."""

    def __post_init__(self) -> None:
        held = MAXIMUM.get(self.vr, sys.maxsize)
        if self.vr in NUMBERS:
            fits, most = is_plain, 0
        elif self.vr == "UI":
            fits, most = is_uid, held
        elif self.strict:
            fits, most = is_plain, self._longest(sys.maxsize)
        else:
            fits, most = is_code_string if self.vr == "CS" else is_plain, min(held, self.limit or held)
        object.__setattr__(self, "fits", fits)
        object.__setattr__(self, "fitting", most)
        changes = (self.lookup, self.ignore, self.unit, self.join)
        object.__setattr__(self, "bare", self.function is first_part and changes == (None,) * len(changes))

    def takes(self, text: str) -> bool:
        """See `Conversion`."""
        return len(text) <= self.fitting and self.fits(text)

    def values(self, found: Sequence[Found], reading: Reading) -> list[Any] | None:
        """See `Conversion`."""
        if len(found) == 1 and self.join is None:  # as a rule
            text = self._text(found[0], reading)
            if text == DELETE:
                return None
            if not text:
                return []
            if len(text) <= self.fitting and self.fits(text):
                return [text]
            return list(self._fitted([(found[0], text)], reading))
        texts: list[tuple[Found, str]] = []
        for each in found:
            text = self._text(each, reading)
            if text == DELETE:
                return None
            if text:
                texts.append((each, text))
                if not self.many and self.join is None:
                    break
        if self.join is not None and texts:
            texts = [(texts[0][0], self.join.join(text for _, text in texts))]
        return list(dict.fromkeys(self._fitted(texts, reading)))

    def _text(self, found: Found, reading: Reading) -> str:
        try:
            text = self.function(found, reading)
        except Unfit as error:
            self._refuse(found, error)
        if not text or text == DELETE or (self.ignore and self.ignore.get(text) is not None):
            return text if text == DELETE else ""
        if self.lookup:
            text = self._looked_up(self.lookup, text, found, reading)
        return self._scaled(self.unit, text, found, reading) if self.unit else text

    def _looked_up(self, lookup: Lookup, text: str, found: Found, reading: Reading) -> str:
        value = lookup.table.get(text)
        if value is not None:
            return value or DELETE
        if lookup.miss == "error":
            self._refuse(found, Unfit("stands in no row of its table", TABLE_VALUE))
        instead, done = _MISSES[lookup.miss]
        reading.warn(found, f"{self.target} stands in no row of its table and was {done}", TABLE_VALUE)
        return text if instead is None else instead

    def _scaled(self, unit: Unit, text: str, found: Found, reading: Reading) -> str:
        units = unit.path.beside(found)
        factor = unit.factors.get(units[0].part(1).casefold() if units else "")
        if factor is None:
            reading.warn(found, f"{self.target} has no unit the profile knows and was left out")
            return ""
        if factor == 1 or not _DECIMAL.fullmatch(text) or len(text) > MAXIMUM["DS"]:
            return text  # as written; what is no number is found out when it must fit
        return f"{Decimal(text) * factor:.{_FINEST}f}".rstrip("0").rstrip(".")

    def _fitted(self, texts: Sequence[tuple[Found, str]], reading: Reading) -> Iterator[Any]:
        for found, text in texts:
            try:
                value = self._value(found, text, reading)
            except Unfit as error:
                if self.strict:
                    self._refuse(found, error)
                reading.warn(found, f"{self.target} {error} and was left out", error.code)
                continue
            if value != "":
                yield value

    def _value(self, found: Found, text: str, reading: Reading) -> Any:
        if self.vr == "UI":
            return uid(text)
        if self.vr in NUMBERS:
            return number(self.vr, text)
        if self.strict:
            return identifier(text, self._longest(len(text)))
        fitted = fit(self.vr, text, self.limit)
        if fitted.cut and not self.cut:
            raise Unfit(f"is longer than {self.limit or MAXIMUM[self.vr]} characters")
        if fitted.note:
            reading.warn(found, f"{self.target} {fitted.note}")
        return fitted.value

    def _longest(self, unlimited: int) -> int:
        """Return how many characters an identifier may have; only a profile's *max* goes beyond SH (F48)."""
        held = MAXIMUM.get(self.vr, unlimited)
        if self.limit is None:
            return held
        return min(self.limit, LONGEST_NUMBER if self.vr == "SH" else held)

    def _refuse(self, found: Found, error: Unfit) -> NoReturn:
        raise Mistake(found, f"{self.target} {error}", error.code) from None


_MISSES: Final[Mapping[str, tuple[str | None, str]]] = {
    "keep": (None, "kept as it is"),
    "drop": ("", "left out"),
    "empty": (DELETE, "emptied"),
}

NUMBERS: Final = frozenset({"DS", *INTEGERS})


def number(vr: str, text: str) -> str | int:
    """Return *text* as a value of a numeric VR: as written for DS and IS, an integer for others."""
    if not _DECIMAL.fullmatch(text) or len(text) > MAXIMUM["DS"]:
        raise Unfit("is not a number")
    if vr == "DS":
        return text
    value = Decimal(text)
    if value != value.to_integral_value() or not -INTEGERS[vr] <= value <= INTEGERS[vr]:
        raise Unfit("is not a whole number in range")
    if vr == "IS":
        return str(int(value))
    if value < 0:
        raise Unfit("is not a whole number in range")
    return int(value)
