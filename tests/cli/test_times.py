"""Instants as people write them, in the site's time."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from mwl.cli.times import instant, shown

BERLIN = ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 7, 5, 22, 30, tzinfo=dt.UTC)  # 00:30 on the 6th in Berlin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-07-05T22:30+02:00"),
        ("45 m", "2026-07-05T23:45+02:00"),
        ("3d", "2026-07-03T00:30+02:00"),
        ("1w", "2026-06-29T00:30+02:00"),
        ("today", "2026-07-06T00:00+02:00"),
        ("Yesterday", "2026-07-05T00:00+02:00"),
        ("9:05", "2026-07-06T09:05+02:00"),
        ("10:30:15", "2026-07-06T10:30:15+02:00"),
        ("2026-07-05", "2026-07-05T00:00+02:00"),
        ("20260705", "2026-07-05T00:00+02:00"),
        ("2026-01-05", "2026-01-05T00:00+01:00"),
        ("2026-07-05T10:30", "2026-07-05T10:30+02:00"),
        ("2026-07-05 10:30", "2026-07-05T10:30+02:00"),
        ("2026-07-05T10:30Z", "2026-07-05T10:30+00:00"),
        ("2026-07-05T10:30+05:00", "2026-07-05T10:30+05:00"),
    ],
)
def test_a_time_is_written_as_it_comes_to_mind(text, expected):
    """What names no offset is the site's wall clock."""
    assert instant(text, BERLIN, NOW) == dt.datetime.fromisoformat(expected)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-02-30", "h", "-2h", "2y"])
def test_what_is_no_time_is_refused(text):
    """Whoever asked says what to write instead."""
    with pytest.raises(ValueError, match=r".*"):
        instant(text, BERLIN, NOW)


def test_an_instant_is_shown_on_the_sites_clock():
    """To the second."""
    assert shown("2026-07-05T22:30:15.123456+00:00", BERLIN) == "2026-07-06 00:30:15"
