"""Dates and times of a device whose clock is in another time zone (A-46, PS3.4 C.2.2.2.5.4).

Steps are kept in the site's wall time.  Where timezone query adjustment was negotiated and the
identifier states Timezone Offset From UTC (0008,0201), start date and time of its keys are read in
that zone, and those of the responses are written in it, with (0008,0201) beside them.  Without
negotiation (0008,0201) is ignored, and never returned; a device that cannot negotiate has its zone in its
profile (P8 `window.tz`), and performs in it as well.

A start time without a date stays as it is: which instant it means would depend on the day.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

from mwl.model import Document, WorklistItem, text
from mwl.query import START_DATE, START_TIME, Criterion, Op, normal_time

OFFSET = "00080201"
_FORM = re.compile(r"([+-])(0\d|1[0-4])([0-5]\d)")
_WALL = "%Y%m%d%H%M%S.%f"
_PERFORMED = (("00400244", "00400245"), ("00400250", "00400251"))  # start and end: date, time
_FIRST, _LAST = "000000.000000", "235959.999999"


def stated(keys: Document) -> dt.timezone | None:
    """Return the zone an identifier states; None where it states none, or none that exists."""
    match = _FORM.fullmatch(text(keys, OFFSET).strip())
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
    return dt.timezone(-offset if sign == "-" else offset)


def written(zone: dt.timezone) -> str:
    """Return *zone* as a value of (0008,0201)."""
    return dt.datetime.now(zone).strftime("%z")


def in_site_time(criteria: tuple[Criterion, ...], zone: dt.tzinfo, site: dt.tzinfo) -> tuple[Criterion, ...]:
    """Return criteria on the start, given in *zone*, as criteria in the site's wall time."""
    date = next((c for c in criteria if c.path == START_DATE and c.op in (Op.RANGE, Op.SPAN)), None)
    if date is None or not any(date.values):
        return criteria
    time = next((c for c in criteria if c.path == START_TIME and c.op is Op.RANGE), None)
    low, high = date.values
    used = [date]
    if date.op is Op.RANGE:
        clock, last_clock = _FIRST, _LAST
        if time is not None and low == high:  # one day: its hours are an interval
            clock, last_clock = time.values[0] or _FIRST, time.values[1] or _LAST
            used.append(time)
        low, high = low and low + clock, high and high + last_clock
    try:
        bounds = (low and _moved(low, zone, site), high and _moved(high, zone, site))
    except (ValueError, OverflowError):  # the sixtieth second, or the year zero
        return criteria
    others = tuple(c for c in criteria if c not in used)
    return (*others, Criterion(START_DATE, Op.SPAN, bounds, origin=date.origin))


def in_zone(item: WorklistItem, zone: dt.tzinfo, site: dt.tzinfo) -> WorklistItem:
    """Return *item* with its start in *zone*; one without date and time stays as it is."""
    step = _with_moved(item.step, START_DATE[-1], START_TIME[-1], site, zone)
    return item if step is item.step else replace(item, step=step)


def performed_in_site_time(performed: Document, zone: dt.tzinfo, site: dt.tzinfo) -> Document:
    """Return a performed step with its start and its end, given in *zone*, in the site's wall time."""
    for date, time in _PERFORMED:
        performed = _with_moved(performed, date, time, zone, site)
    return performed


def performed_in_zone(performed: Document, zone: dt.tzinfo, site: dt.tzinfo) -> Document:
    """Return a performed step with its start and its end, given in the site's wall time, in *zone*."""
    return performed_in_site_time(performed, site, zone)


def _with_moved(document: Document, date: str, time: str, source: dt.tzinfo, target: dt.tzinfo) -> Document:
    day, clock = text(document, date), text(document, time)
    if not day or not clock:
        return document
    try:
        moved = _moved(day + normal_time(clock), source, target)
    except (ValueError, OverflowError):
        return document
    return {
        **document,
        date: {"vr": "DA", "Value": [moved[:8]]},
        time: {"vr": "TM", "Value": [moved[8:14]]},
    }


def _moved(wall: str, source: dt.tzinfo, target: dt.tzinfo) -> str:
    instant = dt.datetime.strptime(wall, _WALL).replace(tzinfo=source)
    return instant.astimezone(target).strftime(_WALL)
