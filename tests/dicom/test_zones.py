"""Devices in another time zone (A-46, F-T06 to F-T08)."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from mwl.dicom import zones
from mwl.model import Document, WorklistItem, text
from mwl.query import START_DATE, START_TIME, Criterion, Op, holds

SITE = ZoneInfo("Europe/Berlin")
UTC = dt.timezone(dt.timedelta(0))


def ranges(date: tuple[str, str] | None, time: tuple[str, str] | None = None) -> tuple[Criterion, ...]:
    """Criteria as matching makes them of a date key and a time key."""
    found = []
    if date:
        found.append(Criterion(START_DATE, Op.RANGE, date))
    if time:
        found.append(Criterion(START_TIME, Op.RANGE, time))
    return tuple(found)


def steps(items: dict[str, WorklistItem], criteria: tuple[Criterion, ...]) -> str:
    moved = zones.in_site_time(criteria, UTC, SITE)
    return " ".join(name for name, item in items.items() if all(holds(c, item) for c in moved))


def test_f_t06_a_day_with_hours_is_read_in_the_devices_zone(f0_items: dict[str, WorklistItem]) -> None:
    """07:00 to 08:30 UTC are 09:00 to 10:30 in Berlin in July."""
    asked = ranges(("20260705", "20260705"), ("070000.000000", "083059.999999"))

    assert steps(f0_items, asked) == "S1 S2"


def test_a_day_alone_is_the_devices_day(f0_items: dict[str, WorklistItem]) -> None:
    """5 July UTC ends at two in the morning of 6 July in Berlin, and begins at two."""
    assert steps(f0_items, ranges(("20260705", "20260705"))) == "S1 S2 S10 S11 S12"
    assert steps(f0_items, ranges(("20260707", "20260707"))) == "S6 S7 S8 S9"


def test_a_combined_interval_is_moved_at_both_ends() -> None:
    """The bounds of a span are instants of the device's wall clock; an open end stays open."""
    span = Criterion(START_DATE, Op.SPAN, ("20260705220000.000000", ""))

    (moved,) = zones.in_site_time((span,), UTC, SITE)

    assert moved.values == ("20260706000000.000000", "")


def test_a_time_without_a_date_and_other_keys_stay() -> None:
    """Which instant it means would depend on the day."""
    other = Criterion(("00100020",), Op.IN, ("PID001",))
    asked = (other, *ranges(None, ("070000.000000", "083059.999999")))

    assert zones.in_site_time(asked, UTC, SITE) == asked


def test_the_answer_is_in_the_devices_zone(f0_items: dict[str, WorklistItem]) -> None:
    """S9 starts at midnight of 8 July in Berlin: ten in the evening of the 7th in UTC."""
    moved = zones.in_zone(f0_items["S9"], UTC, SITE)

    assert text(moved.step, "00400002") == "20260707"
    assert text(moved.step, "00400003") == "220000"
    assert text(f0_items["S9"].step, "00400002") == "20260708"


@pytest.mark.parametrize(
    ("value", "offset"),
    [("+0000", 0), ("-0530", -330), (" +0200 ", 120), ("", None), ("CEST", None), ("+2500", None)],
)
def test_an_offset_is_read_where_it_is_one(value: str, offset: int | None) -> None:
    """Anything else is no zone, and the site's own time counts."""
    keys: Document = {"00080201": {"vr": "SH", "Value": [value]} if value else {"vr": "SH"}}

    zone = zones.stated(keys)

    assert (None if zone is None else zone.utcoffset(None) // dt.timedelta(minutes=1)) == offset
    if zone is not None:
        assert zones.stated({"00080201": {"vr": "SH", "Value": [zones.written(zone)]}}) == zone


def test_an_instant_that_does_not_exist_changes_nothing(f0_items: dict[str, WorklistItem]) -> None:
    """A sixtieth second or the year zero is matched as it is written."""
    asked = ranges(("00000101", "00000101"))

    assert zones.in_site_time(asked, UTC, SITE) == asked


def test_f21_a_device_in_another_zone_performs_in_it() -> None:
    """P8 `window.tz`: start and end are moved; what has no time, or no date, stays."""
    shanghai, berlin = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
    performed = {
        "00400244": {"vr": "DA", "Value": ["20260706"]}, "00400245": {"vr": "TM", "Value": ["0030"]},
        "00400250": {"vr": "DA", "Value": ["20260706"]}, "00400251": {"vr": "TM"},
    }  # fmt: skip

    moved = zones.performed_in_site_time(performed, shanghai, berlin)

    assert moved == {
        **performed,
        "00400244": {"vr": "DA", "Value": ["20260705"]},
        "00400245": {"vr": "TM", "Value": ["183000"]},
    }
    assert zones.performed_in_site_time({}, shanghai, berlin) == {}
