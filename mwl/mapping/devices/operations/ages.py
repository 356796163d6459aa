"""Ages as DICOM writes them (AS, PS3.5 6.2): ``018Y``, ``006M``, ``02W``, ``10D``."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

_WRITTEN = re.compile(r"\s*(\d{1,3})\s*([DWMYdwmy])\s*")
_DAYS = {"D": 1, "W": 7}


@dataclass(frozen=True, slots=True)
class Age:
    """So many days, weeks, months or years."""

    number: int
    unit: str  # D, W, M or Y

    def __str__(self) -> str:
        return f"{self.number:03}{self.unit}"

    def birthday(self, today: dt.date) -> dt.date:
        """Return the last day of birth of those who have this age on *today*."""
        try:
            if self.unit in _DAYS:
                return today - dt.timedelta(days=self.number * _DAYS[self.unit])
            months = self.number * (12 if self.unit == "Y" else 1)
            year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
            last = calendar.monthrange(year, month + 1)[1]
            return dt.date(year, month + 1, min(today.day, last))
        except (ValueError, OverflowError):
            return dt.date.min


def parse(text: str) -> Age | None:
    """Return the age that *text* states; None for a number without a unit, and for anything else."""
    match = _WRITTEN.fullmatch(text)
    return Age(int(match[1]), match[2].upper()) if match else None


def between(birth: dt.date, today: dt.date) -> Age | None:
    """Return the age of one born on *birth*, in the unit that says most; None before the birth."""
    days = (today - birth).days
    months = (today.year - birth.year) * 12 + today.month - birth.month - (today.day < birth.day)
    if days < 0 or months >= 12_000:
        return None
    if months >= 24:
        return Age(months // 12, "Y")
    return Age(months, "M") if months >= 3 else Age(days, "D")


def _checked(text: str) -> str:
    if parse(text) is None:
        raise ValueError("an age is a number of days, weeks, months or years: 18Y, 6M, 2W, 10D")
    return text


AgeText: TypeAlias = Annotated[str, AfterValidator(_checked)]
"""An age: ``18Y``."""
