"""HL7 time stamps: ``YYYY[MM[DD[HH[MM[SS[.S+]]]]]][+/-ZZZZ]`` (D-28).

A stamp without an offset is site time, unless the profile lets MSH-7 speak for the whole message
(F-T02).  A stamp with one is converted to the site's wall clock, which is what devices ask for.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Final, NamedTuple

_STAMP: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)"
    r"(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?)?)?)?)?"
    r"(?P<offset>[+-]\d{4})?",
    re.ASCII,
)
_DATE_DIGITS = 8
_ISO_CHARACTERS = 19  # of a date and time in seconds, without an offset


class BadStamp(ValueError):
    """A text that is no time stamp, or no real moment."""


class Stamp(NamedTuple):
    """A moment on the site's wall clock; *time* is empty where the stamp ends with the day."""

    date: str  # YYYYMMDD
    time: str  # HHMMSS or HHMMSS.F


@lru_cache(maxsize=256)  # date and time of one stamp are read by two lines
def read_stamp(text: str, zone: dt.tzinfo, default: dt.tzinfo | None = None) -> Stamp:
    """Return *text* on the wall clock of *zone*; *default* is the offset of stamps that state none.

    Raises `BadStamp`, also for a stamp less precise than a day.  Local times that a change of the
    clock skips or repeats are taken as they are written (F-T03, F-T10).
    """
    match = _STAMP.fullmatch(text)
    if match is None or not match["day"]:
        raise BadStamp("is not a time stamp of at least YYYYMMDD")
    *numbers, fraction, stated = match.groups()
    try:
        moment = dt.datetime(*[int(each or 0) for each in numbers])  # type: ignore[arg-type] # noqa: DTZ001  the wall clock, as written
    except ValueError:
        raise BadStamp("is not a real date and time") from None
    if not match["hour"]:
        return Stamp(text[:_DATE_DIGITS], "")
    offset = default if stated is None else read_offset(stated)
    if offset is not None:
        moment = _converted(moment, offset, zone)
    date, _, time = moment.isoformat(timespec="seconds")[:_ISO_CHARACTERS].partition("T")
    ending = f".{fraction[:6]}" if fraction else ""  # TM: six digits at most
    return Stamp(date.replace("-", ""), time.replace(":", "") + ending)


def _converted(moment: dt.datetime, offset: dt.tzinfo, zone: dt.tzinfo) -> dt.datetime:
    try:
        return moment.replace(tzinfo=offset).astimezone(zone)
    except OverflowError:  # the first or the last day of the calendar
        raise BadStamp("is not a real date and time") from None


def read_instant(text: str, zone: dt.tzinfo, default: dt.tzinfo | None = None) -> dt.datetime | None:
    """Return the instant that *text* states, aware; None for what is no stamp of at least a minute.

    Without an offset it is one of *default*, or else of *zone*.
    """
    match = _STAMP.fullmatch(text)
    if match is None or not match["minute"]:
        return None
    numbers = [int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    microsecond = int((match["fraction"] or "")[:6].ljust(6, "0"))
    try:
        offset = read_offset(match["offset"]) if match["offset"] else default or zone
        wall = dt.datetime(*numbers)  # type: ignore[arg-type] # noqa: DTZ001  its zone comes now
        return wall.replace(microsecond=microsecond, tzinfo=offset)
    except ValueError:  # of `BadStamp` too
        return None


@lru_cache(maxsize=64)  # a sender has one, or two when its clocks change
def read_offset(text: str) -> dt.tzinfo:
    """Return ``+HHMM`` as a zone; raise `BadStamp` for an impossible one."""
    hours, minutes = int(text[1:3]), int(text[3:5])
    if hours > 14 or minutes > 59:  # the widest in use are -1200 and +1400
        raise BadStamp("has an impossible offset")
    delta = dt.timedelta(hours=hours, minutes=minutes)
    return dt.timezone(-delta if text[0] == "-" else delta)


def stamp_offset(text: str) -> dt.tzinfo | None:
    """Return the offset a stamp states, None where it states none or is no stamp."""
    match = _STAMP.fullmatch(text)
    offset = match and match["offset"]
    try:
        return read_offset(offset) if offset else None
    except BadStamp:
        return None


def read_day(text: str) -> str:
    """Return the day a stamp begins with, as written; "" where there is no whole, real day (F-H35)."""
    match = _STAMP.fullmatch(text)
    if match is None or not match["day"]:
        return ""
    try:
        dt.date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return ""
    return text[:_DATE_DIGITS]
