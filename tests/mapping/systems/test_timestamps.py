"""HL7 time stamps on the site's wall clock."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.mapping.systems.timestamps import BadStamp, Stamp, read_day, read_stamp, stamp_offset

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("20260705", Stamp("20260705", "")),
        ("2026070509", Stamp("20260705", "090000")),
        ("202607050930", Stamp("20260705", "093000")),
        ("20260705093015", Stamp("20260705", "093015")),
        ("20260705093015.1234", Stamp("20260705", "093015.1234")),
        ("20260715233000-0500", Stamp("20260716", "063000")),
        ("20260705+0000", Stamp("20260705", "")),
        ("00010101000000+1400", None),
        ("202607", None),
        ("20260732", None),
        ("20260705250000", None),
        ("20260705090000x", None),
        ("20260705 0900", None),
        ("20260705090000+9900", None),
        ("²⁰260705", None),
        ("", None),
    ],
)
def test_a_stamp_is_read(text: str, stamp: Stamp | None) -> None:
    """A stamp of a day or more is read; anything else is refused, never guessed at (D-28)."""
    if stamp is None:
        with pytest.raises(BadStamp):
            read_stamp(text, BERLIN)
    else:
        assert read_stamp(text, BERLIN) == stamp


def test_f_t01_an_offset_is_converted_to_the_site() -> None:
    """A time in another zone is shown on the site's wall clock, on the site's day."""
    assert read_stamp("20260715233000-0500", BERLIN) == Stamp("20260716", "063000")


def test_f_t02_a_default_offset_speaks_for_stamps_without_one() -> None:
    """MSH-7's offset counts for a stamp that states none, and not for one that states its own."""
    utc = stamp_offset("20260714120000+0000")

    assert read_stamp("20260715080000", BERLIN, utc) == Stamp("20260715", "100000")
    assert read_stamp("20260715080000+0200", BERLIN, utc) == Stamp("20260715", "080000")
    assert read_stamp("20260715", BERLIN, utc) == Stamp("20260715", "")


def test_f_t03_a_time_the_clock_skips_is_kept_as_written() -> None:
    """02:30 on the day the clock goes forward stays 02:30."""
    assert read_stamp("20260329023000", BERLIN) == Stamp("20260329", "023000")


def test_f_t04_both_hours_of_the_clock_going_back_are_the_same_wall_time() -> None:
    """The two instants that read 02:30 are both shown as 02:30."""
    stamps = {read_stamp(f"20261025023000{offset}", BERLIN) for offset in ("+0200", "+0100")}

    assert stamps == {Stamp("20261025", "023000")}


def test_f_t10_a_repeated_local_time_is_kept_as_written() -> None:
    """01:30 on the day New York's clock goes back stays 01:30."""
    assert read_stamp("20261101013000", NEW_YORK) == Stamp("20261101", "013000")


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{0,16}(\.[0-9]{1,6})?([+-][0-9]{4})?", fullmatch=True))
def test_any_text_is_a_stamp_or_refused(text: str) -> None:
    """Whatever a sender writes, the result is a real date and time, or `BadStamp`."""
    try:
        stamp = read_stamp(text, BERLIN, stamp_offset(text))
    except BadStamp:
        return
    assert dt.datetime.strptime(stamp.date, "%Y%m%d")  # noqa: DTZ007  a date alone
    assert not stamp.time or dt.time.fromisoformat(stamp.time[:6])


@given(
    st.dates(min_value=dt.date(1000, 1, 1)), st.sampled_from(["", "12", "1200", "120000", "120000.5-0100"])
)
def test_a_day_is_read_as_written(day: dt.date, time: str) -> None:
    """A birth date is the day as written, in whatever zone: nobody is born the day before."""
    assert read_day(f"{day:%Y%m%d}{time}") == f"{day:%Y%m%d}"


@pytest.mark.parametrize("text", ["", "1970", "197001", "19700230", "unknown", "19700101x"])
def test_what_is_no_whole_day_is_none(text: str) -> None:
    """Reduced precision and nonsense give no day (F-H35)."""
    assert read_day(text) == ""
