"""The functions a profile names with ``as:``: from what a path found to a value.

Two kinds.  A *text* function gives one text for each place found; the rule then looks it up, joins it
and makes it fit its attribute.  A *structure* function gives finished values: names of people, items of
sequences.  All are total: whatever the text, they return, or raise `Unfit` with a reason for the sender.

Numbers in here are places inside HL7 data types, which are the same in every message; places of fields
stand in profiles only.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mwl.mapping import paths
from mwl.mapping.systems.fitting import MAXIMUM, Unfit, fit, identifier, is_plain
from mwl.mapping.systems.hl7paths import DELETE, Found
from mwl.mapping.systems.names import read_xcn, read_xpn
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.timestamps import BadStamp, Stamp, read_day, read_stamp
from mwl.model import Document
from mwl.model import text as text_of

TextFunction: TypeAlias = Callable[[Found, Reading], str]


@dataclass(frozen=True, slots=True)
class Structure:
    """A function whose values are finished, and the VR they are of.

    One that *settles* speaks of an identifier: the field that holds the identifier decides, also where
    it does not name an issuer; another field's issuer would make another identifier of it.
    """

    vr: str
    read: Callable[[Sequence[Found], Reading, str], list[Any]]
    """Called with the places found and the rule's coding scheme; returns the values."""
    settles: bool = False


def first_part(found: Found, _: Reading) -> str:
    """Return the first sub-component of the first part."""
    return found.part(1)


def _text(found: Found, _: Reading) -> str:
    return found.text()


def _meaning(found: Found, _: Reading) -> str:
    return found.whole(2) or found.whole(1)


def _date(found: Found, reading: Reading) -> str:
    text = found.part(1)
    day = read_day(text)
    if not text or day:
        return day
    if _VAGUE.fullmatch(text):
        reading.warn(found, "is not a whole date and was left empty")
        return DELETE  # F-H35: known to be unknown, not unsaid
    reading.warn(found, "is not a date and was left out")  # a slip of the sender erases nothing
    return ""


_VAGUE = re.compile(r"\d{4}(0[1-9]|1[0-2])?|0+", re.ASCII)
"""A year, a month, or zeros for a day that nobody knows."""


def _ts_date(found: Found, reading: Reading) -> str:
    return _stamp(found, reading).date


def _ts_time(found: Found, reading: Reading) -> str:
    return _stamp(found, reading).time or "000000"  # F-T12: a day without a time begins at midnight


def _stamp(found: Found, reading: Reading) -> Stamp:
    try:
        return read_stamp(found.part(1), reading.zone, reading.offset)
    except BadStamp as error:
        raise Unfit(str(error)) from None


def _end_date(found: Found, reading: Reading) -> str:
    return _end(found, reading)[:8]


def _end_time(found: Found, reading: Reading) -> str:
    return _end(found, reading)[8:]


def _end(found: Found, reading: Reading) -> str:
    """Return when a step is over that takes so many minutes, "" where its start is not known."""
    minutes = found.part(1)
    if not (minutes.isascii() and minutes.isdigit()) or not 0 < int(minutes[:6]) <= _LONGEST:
        raise Unfit("is no duration in minutes")
    date, time = text_of(reading.known, _START_DATE), text_of(reading.known, _START_TIME)
    if not date or not time:
        return ""
    begin = dt.datetime.fromisoformat(f"{date}T{time[:6]}")
    try:
        return f"{begin + dt.timedelta(minutes=int(minutes)):%Y%m%d%H%M%S}".zfill(14)
    except OverflowError:  # the last days of the calendar
        return ""


_LONGEST = 31 * 24 * 60  # minutes; a step that takes longer is a mistake
_START_DATE = paths.tag("ScheduledProcedureStepStartDate")
_START_TIME = paths.tag("ScheduledProcedureStepStartTime")


def _xpn(found: Sequence[Found], reading: Reading, _: str) -> list[Any]:
    name = read_xpn(found, reading.warn)
    return [_cut(found[0], name, reading)] if name else []


def _xcn(found: Sequence[Found], reading: Reading, _: str) -> list[Any]:
    name = read_xcn(found, reading.warn)
    return [_cut(found[0], name, reading)] if name else []


def _cut(found: Found, name: Mapping[str, str], reading: Reading) -> dict[str, str]:
    if all(len(text) <= MAXIMUM["PN"] and is_plain(text) for text in name.values()):  # as a rule
        return dict(name)
    fitted = {group: fit("PN", text) for group, text in name.items()}
    for note in {each.note for each in fitted.values() if each.note}:
        reading.warn(found, note)
    return {group: each.value for group, each in fitted.items()}


_CODE_VALUE = paths.tag("CodeValue")
_LONG_CODE_VALUE = paths.tag("LongCodeValue")
_SCHEME = paths.tag("CodingSchemeDesignator")
_MEANING = paths.tag("CodeMeaning")
_NAMESPACE = paths.tag("LocalNamespaceEntityID")
_UNIVERSAL = paths.tag("UniversalEntityID")
_UNIVERSAL_TYPE = paths.tag("UniversalEntityIDType")
_VRS: Final = {
    tag: paths.vr(tag)
    for tag in (_CODE_VALUE, _LONG_CODE_VALUE, _SCHEME, _MEANING, _NAMESPACE, _UNIVERSAL, _UNIVERSAL_TYPE)
}


def _code(found: Sequence[Found], reading: Reading, scheme: str) -> list[Any]:
    """CE: value, meaning, scheme.  *scheme* stands for one that is not sent; without either, no item."""
    return [item for each in found if (item := _code_item(each, reading, scheme))]


def _code_item(found: Found, reading: Reading, default_scheme: str) -> Document:
    scheme = _part(found, 3, reading, 16) or default_scheme
    value = _part(found, 1, reading, None)
    if not value or not scheme:
        return {}
    meaning = fit("LO", found.whole(2))
    if meaning.note:
        reading.warn(found, f"the meaning {meaning.note}")
    # F-H34: a Code Value has 16 characters; what is longer stands in the attribute made for it.
    item = {
        _CODE_VALUE if len(value) <= 16 else _LONG_CODE_VALUE: value,
        _SCHEME: scheme,
        _MEANING: meaning.value,
    }
    return _item(item)


def _part(found: Found, number: int, reading: Reading, limit: int | None) -> str:
    """Return a part of a code unaltered, or "" with a warning."""
    text = found.part(number)
    if len(text) <= (limit or MAXIMUM["SH"]) and is_plain(text):  # as most are
        return text
    try:
        return identifier(text, len(text) if limit is None else limit)
    except Unfit as error:
        reading.warn(found, f"part {number} {error} and was left out")
        return ""


def _ei(found: Sequence[Found], reading: Reading, _: str) -> list[Any]:
    return _issuers(found, 2, reading)


def _cx(found: Sequence[Found], reading: Reading, _: str) -> list[Any]:
    authorities = [
        each._replace(parts=tuple((part,) for part in each.parts[3])) for each in found if len(each.parts) > 3
    ]
    return _issuers(authorities, 1, reading)


def _issuers(found: Sequence[Found], first: int, reading: Reading) -> list[Any]:
    """Namespace, universal ID and its type, from part *first* on, as received: they must go back (C-32)."""
    items = []
    for each in found:
        namespace, universal, kind = (_part(each, first + offset, reading, None) for offset in range(3))
        if namespace or universal:
            items.append(_item({_NAMESPACE: namespace, _UNIVERSAL: universal, _UNIVERSAL_TYPE: kind}))
    return items


def _item(texts: Mapping[str, str]) -> Document:
    """Return the item of those *texts* that say something."""
    return {tag: {"vr": _VRS[tag], "Value": [value]} for tag, value in texts.items() if value}


TEXTS: Final[Mapping[str, TextFunction]] = {
    "first": first_part,  # the first sub-component: the usual reading of a coded or numeric field
    "identifier": first_part,  # the same, but never altered: the message is refused where it does not fit
    "meaning": _meaning,  # the text of a coded field, else its code
    "text": _text,  # the whole, with ^ and & that a sender forgot to escape
    "date": _date,  # the day as written; empty where it is a month or a year
    "ts_date": _ts_date,  # the day on the site's wall clock
    "ts_time": _ts_time,  # the time on the site's wall clock
    "end_date": _end_date,  # of minutes: the day on which the step is over, by the start read before
    "end_time": _end_time,  # the same: the time
}
STRUCTURES: Final[Mapping[str, Structure]] = {
    "xpn": Structure("PN", _xpn),
    "xcn": Structure("PN", _xcn),
    "code": Structure("SQ", _code),
    "ei": Structure("SQ", _ei, settles=True),
    "cx": Structure("SQ", _cx, settles=True),
}
STRICT: Final = frozenset({"identifier", "ts_date", "ts_time", "end_date", "end_time"})
"""Functions whose value is exact or an error."""

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "date": frozenset({"DA"}),
    "ts_date": frozenset({"DA"}),
    "ts_time": frozenset({"TM"}),
    "end_date": frozenset({"DA"}),
    "end_time": frozenset({"TM"}),
}
"""VRs a text function may fill, where that is not any text."""
