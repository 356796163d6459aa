"""P8 `window`: which days a device is answered for, whatever it asks.

The night shift asks for today at ten past midnight (F20), a clock is a day behind (F19), a console asks
for all the days there ever were (F16, F22).  The window lies around today: whole days, or hours from now.

Where an hour bounds it, dates and times of the key become one interval (A-40), and the times that the
device sent count no more.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.keys import WIDEST
from mwl.mapping.devices.operations.notation import Flag, spelled
from mwl.mapping.devices.operations.operation import Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.request import asked_values, matching_nothing, standing_apart
from mwl.model import Document
from mwl.query import START_DATE, START_TIME, Path

_KEY = re.compile(r"(?P<first>\d{8})?(?:(?P<range>-)(?P<last>\d{8})?)?")
_FIRST_CLOCK, _LAST_CLOCK = "000000", "235959.999999"


def _checked_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None
    return name


SpanText: TypeAlias = Annotated[
    str,
    spelled("[0-9]{1,4}[dh]", "a number of days or of hours: 2d, 6h"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,4}[dh]$"}),
]
"""A number of days or of hours: 2d, 6h."""

Zone: TypeAlias = Annotated[str, AfterValidator(_checked_zone)]
"""A zone of the IANA database: Europe/Berlin."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days a key asks for, YYYYMMDD; "" is open.  With a clock, HHMMSS, a bound is a time of its day."""

    first: str = ""
    last: str = ""
    first_clock: str = ""
    last_clock: str = ""

    def __contains__(self, day: str) -> bool:
        return (not self.first or self.first <= day) and (not self.last or day <= self.last)


class WhenKey(BaseModel):
    """What the date key must be like; several tests must all hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    eq_today: Flag | None = None
    """It asks for today alone."""
    lt_today: Flag | None = None
    """It asks for days before today alone: the device's clock may be behind."""
    gt_today: Flag | None = None
    """It asks for days after today alone."""
    empty: Flag | None = None
    """It asks for every day."""

    def holds(self, asked: Days, today: str) -> bool:
        """Tell whether the days *asked* for are so."""
        tests = (
            (self.eq_today, asked == Days(today, today)),
            (self.lt_today, "" < asked.last < today),
            (self.gt_today, asked.first > today),
            (self.empty, asked == Days()),
        )
        return all(wanted is None or wanted is found for wanted, found in tests)


class Window(Options):
    """Which days a device is answered for, around today (P8)."""

    key = "window"
    stage = Stage.QUERY
    number = 8

    mode: Literal["widen", "replace", "clamp"] = "widen"
    """widen: a key that holds today gets the whole window as well; replace: the window is the key; clamp:
    of what is asked, no more than the window."""
    back: SpanText = "0d"
    """How far the window goes back: days (1d) before today, hours (6h) before now; today is always in it."""
    ahead: SpanText = "0d"
    """How far it goes ahead."""
    empty: Literal["as_sent", "today"] = "as_sent"
    """A date key without a value, or none at all, asks for every day; or for today."""
    time: Literal["combined", "ignore", "separate"] = "combined"
    """Ranges of dates and times are one interval (the standard); the times do not count; or they count
    on each day."""
    unsafe: Flag = False
    """It may be so wide that the day counts no more, where station and modality do not either (L9)."""
    when_key: WhenKey | None = None
    """Only where the date key is so."""
    tz: Zone | None = None
    """The zone of the device's clock, where it is not the site's: its keys and answers are in it."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step."""
        yield binding.step(self._apply)

    def opens(self) -> Iterator[Path]:
        """Yield the date, where the window is so wide that it tells no days apart."""
        days = sum(int(span[:-1]) / (1 if span.endswith("d") else 24) for span in (self.back, self.ahead))
        if self.mode != "clamp" and days > WIDEST:
            yield START_DATE

    def _apply(self, keys: Document, run: Run) -> Document:
        now = run.facts.now.astimezone(zoneinfo.ZoneInfo(self.tz)) if self.tz else run.facts.now
        asked, today = _asked(keys), f"{now:%Y%m%d}"
        if asked is None or (self.when_key is not None and not self.when_key.holds(asked, today)):
            return keys
        if self.empty == "today" and asked == Days():
            asked = Days(today, today)
        answered = self._answered(asked, today, now)
        keys = _with_times(keys, answered, self.time)
        return keys if answered == _asked(keys) else _with_dates(keys, answered)

    def _answered(self, asked: Days, today: str, now: dt.datetime) -> Days:
        window = self._around(now)
        if self.mode == "replace":
            return window
        if self.mode == "clamp":
            return _cut(asked, window)
        return _widened(asked, window) if today in asked else asked

    def _around(self, now: dt.datetime) -> Days:
        first, first_clock = _bound(now, self.back, -1)
        last, last_clock = _bound(now, self.ahead, 1)
        return Days(first, last, first_clock, last_clock)


def _bound(now: dt.datetime, span: str, sign: int) -> tuple[str, str]:
    number = sign * int(span[:-1])
    if span.endswith("d"):
        return _written(now.date(), number), ""
    try:
        at = now + dt.timedelta(hours=number)
    except OverflowError:
        return "", ""
    # Today is always in it as a whole.
    return (f"{at:%Y%m%d}", "") if at.date() == now.date() else (f"{at:%Y%m%d}", f"{at:%H%M%S}")


def _written(today: dt.date, days: int) -> str:
    try:
        return f"{today + dt.timedelta(days=days):%Y%m%d}"
    except OverflowError:
        return ""


def _asked(keys: Document) -> Days | None:
    """Return the days that the keys ask for; None where the key is none: that is judged later (A-13)."""
    values = asked_values(paths.get(keys, START_DATE))
    if not values:
        return Days()
    match = _KEY.fullmatch(values[0].replace(".", "").replace(" ", "")) if len(values) == 1 else None
    if match is None or not (match["first"] or match["last"]):
        return None
    first, last = match["first"] or "", match["last"] or ""
    return Days(first, last) if match["range"] else Days(first, first)


def _widened(asked: Days, window: Days) -> Days:
    first, first_clock = asked.first, ""
    if asked.first and (not window.first or window.first < asked.first):
        first, first_clock = window.first, window.first_clock
    last, last_clock = asked.last, ""
    if asked.last and (not window.last or window.last > asked.last):
        last, last_clock = window.last, window.last_clock
    return Days(first, last, first_clock, last_clock)


def _cut(asked: Days, window: Days) -> Days:
    first, first_clock = asked.first, ""
    if asked.first <= window.first:  # "" is before all
        first, first_clock = window.first, window.first_clock
    last, last_clock = asked.last, ""
    if window.last and (not asked.last or asked.last >= window.last):
        last, last_clock = window.last, window.last_clock
    return Days(first, last, first_clock, last_clock)


def _with_dates(keys: Document, days: Days) -> Document:
    key = paths.get(keys, START_DATE) or {"vr": "DA"}
    if days.first and days.last and days.first > days.last:
        return paths.put(keys, START_DATE, matching_nothing(key))
    if not (days.first or days.last):
        return paths.put(keys, START_DATE, {"vr": "DA"})
    clocked = days.first_clock or days.last_clock
    single = days.first == days.last and not clocked
    return paths.put(
        keys, START_DATE, {"vr": "DA", "Value": [days.first if single else f"{days.first}-{days.last}"]}
    )


def _with_times(keys: Document, days: Days, mode: str) -> Document:
    if days.first_clock or days.last_clock:
        first = days.first and (days.first_clock or _FIRST_CLOCK)
        last = days.last and (days.last_clock or _LAST_CLOCK)
        return paths.put(keys, START_TIME, {"vr": "TM", "Value": [f"{first}-{last}"]})
    key = paths.get(keys, START_TIME)
    if key is None or not asked_values(key) or mode == "combined":
        return keys
    return paths.put(keys, START_TIME, {"vr": "TM"} if mode == "ignore" else standing_apart(key))
