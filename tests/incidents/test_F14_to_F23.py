"""Incidents F14 to F23: dates and times (9.2), on a day that has begun three hours ago."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest

from incidents import page
from incidents.incident import Incident, value
from incidents.intake import Intake, fates, played
from incidents.played import mended, steady
from incidents.ward import Ward

DATE, TIME = "SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartTime"


def early_morning() -> tuple[str, int]:
    """Return a zone in which it is three in the morning, or two, and its hours ahead of UTC, never 0."""
    hour = dt.datetime.now(dt.UTC).hour
    ahead = 3 - hour or -1
    ahead = ahead + 24 if ahead < -12 else ahead
    return f"Etc/GMT{-ahead:+d}", ahead


ZONE, AHEAD = early_morning()
CONFIGURED = {
    "site": {"name": "HOSP", "timezone": ZONE},
    "clock": lambda: dt.datetime.now(dt.UTC),
}

F14 = Incident(
    "F14", "asks for a range of days, its time key zero length",
    on="ge-ct-connectpro",
    orders=[{DATE: f"{{d[{n}]}}"} for n in (-2, -1, 0, 1, 2)],
    query="this modality/both", mends="none: ranges include their ends",
)  # fmt: skip
F15 = Incident(
    "F15", "asks for days in four forms: day, from, until, and empty",
    orders=[{DATE: f"{{d[{n}]}}"} for n in (-1, 0, 1)],
    device="sim-lowcost-cn", mends="none: the forms are the standard's",
)  # fmt: skip
F16 = Incident(
    "F16", "asks for the date *",
    before="accept: {bad_values: {DA: null}}",
    fix="""
accept: {bad_values: {DA: star_is_universal}}
window: {mode: clamp, back: 1d, ahead: 7d}
""",
    orders=[{DATE: f"{{d[{n}]}}"} for n in (-3, 0, 5, 30)],
    device="sim-lowcost-cn", query="star", more={"ALL": "accept: {bad_values: {DA: star_is_universal}}"},
)  # fmt: skip
F17 = Incident(
    "F17", "asks for the hours 9-14",
    before="accept: {bad_values: {TM: null}}",
    fix="accept: {bad_values: {TM: hours_ok}}",
    orders=[{TIME: "123000"}, {TIME: "150000"}],
    query="this modality/today", keys=[f"{TIME}=9-14"],
)  # fmt: skip
F18 = Incident(
    "F18", "asks for two days and 8 to 10 o'clock, and means each day",
    fix="window: {time: separate}",
    orders=[{DATE: "{d[0]}", TIME: "200000"}, {DATE: "{d[1]}", TIME: "090000"}, {DATE: "{d[1]}", TIME: "110000"}],
    query="this modality/after", keys=[f"{TIME}=080000-100000"], more={"IGNORE": "window: {time: ignore}"},
)  # fmt: skip
F19 = Incident(
    "F19", "asks for yesterday: its clock is behind",
    on="ge-ct-connectpro",
    fix="window: {mode: replace, when_key: {lt_today: true}}",
    orders=[{}, {DATE: "{d[1]}"}],
    query="this modality/today", device_day=-1, captured=True,
)  # fmt: skip
F20 = Incident(
    "F20", "asks for today just after midnight; the order is of ten to twelve",
    on="ge-ct-connectpro",
    fix="window: {back: 6h}",
    orders=[{DATE: "{d[-1]}", TIME: "235000"}, {TIME: "080000"}, {DATE: "{d[-1]}", TIME: "120000"}],
    query="this modality/today", missed=1,
)  # fmt: skip
ORDER = (
    "MSH|^~\\&|{{application}}|HOSP|MWL|HOSP|20260704120000+0000||ORM^O01|{n}|P|2.3.1\n"
    "PID|1||PID{n}^^^HOSP||DOE^JANE||19700101|F\n"
    "ORC|NW|PL{n}^RIS|FI{n}^RIS||||1^once^^{start}^^S\n"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|X{n}^Exam^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT"
    "|||1^once^^{start}^^S\n"
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\n"
)
LOCAL = dt.datetime(2026, 7, 5, 0 if AHEAD > 0 else 23, 30, tzinfo=dt.UTC)  # in the site's zone
STAMPS = [f"{at:%Y%m%d%H%M%S}" for at in (LOCAL - dt.timedelta(hours=AHEAD),)]
F21 = Intake(
    "F21", "asks for the day; the RIS writes times in UTC, and says so in MSH-7 alone",
    before="order: {offset: null}",
    fix="order: {offset: MSH-7}",
    messages=[
        ORDER.format(n=1, start=STAMPS[0]),
        ORDER.format(n=2, start=f"{STAMPS[0]}+0000"),
        ORDER.format(n=3, start=f"{LOCAL - dt.timedelta(hours=AHEAD - 8):%Y%m%d%H%M%S}+0800"),
    ],
    query="this modality/today",
)  # fmt: skip
F22 = Incident(
    "F22", "asks for no day; thirty orders are open",
    before="limit: null",
    fix="""
window: {empty: today}
limit: {max: 20}
""",
    orders=[{DATE: f"{{d[{0 if n < 25 else n}]}}"} for n in range(30)],
    query="this modality/all days",
)  # fmt: skip
F23 = Incident(
    "F23", "wants a time of six digits; orders have four, or fractions, or rubbish",
    on="ge-ct-connectpro",
    before="format: null",
    fix="format: {SPS.ScheduledProcedureStepStartTime: HHMMSS}",
    orders=[{TIME: "0830"}, {TIME: "083000.000"}, {TIME: {"vr": "TM", "Value": ["8h30"]}}],
    query="this modality/today", missed=3,
)  # fmt: skip
INCIDENTS = [F14, F15, F16, F17, F18, F19, F20, F21, F22, F23]


def test_F14_a_range_includes_both_its_days(ward: Ward) -> None:
    """The matcher's own: from the first day to the last."""
    was, now = ward.reproduce(F14)

    assert was.shown == now.shown == [2, 3, 4]
    assert now.fixed_by == set()


@pytest.mark.parametrize(
    ("query", "found"),
    [("day", [2]), ("from", [2, 3]), ("until", [1, 2]), ("between", [1, 2, 3]), ("empty date", [1, 2, 3])],
)
def test_F15_every_form_of_a_date_is_understood(ward: Ward, query: str, found: list[int]) -> None:
    """The matcher's own: single, open on either side, range, and universal."""
    ward.reproduce(F15)

    assert ward.ask(replace(F15, query=query)).shown == found


def test_F16_a_star_is_every_day_and_then_some(ward: Ward) -> None:
    """P4 takes it for universal, P8 keeps the list to a week."""
    was, now = ward.reproduce(F16)
    everything = ward.ask(F16, "ALL")

    assert (was.seen.status, was.shown) == (0xA900, [])
    assert now.shown == [2, 3]
    assert now.fixed_by == {"accept", "window"}
    assert everything.shown == [1, 2, 3, 4]


def test_F17_hours_of_one_digit_are_hours(ward: Ward) -> None:
    """P4: nine to two, and not three."""
    was, now = ward.reproduce(F17)

    assert was.seen.status == 0xA900
    assert (now.shown, now.fixed_by) == ([1], {"accept"})


def test_F18_dates_and_times_are_one_interval_or_not(ward: Ward) -> None:
    """P8 against the standard: combined, each day by itself, or days alone."""
    was, now = ward.reproduce(F18)
    ignoring = ward.ask(F18, "IGNORE")

    assert was.shown == [1, 2]
    assert (now.shown, now.fixed_by) == ([2], {"window"})
    assert ignoring.shown == [1, 2, 3]


def test_F19_a_clock_that_is_behind_is_told_of_and_mended(ward: Ward) -> None:
    """P8 puts today in the place of a day before it."""
    was, now = ward.reproduce(F19)
    tomorrow = ward.ask(replace(F19, device_day=1, captured=False))

    assert was.shown == []
    assert any("device date is 1 day behind" in line for line in was.said)
    assert (now.shown, now.fixed_by) == ([1], {"window"})
    assert tomorrow.shown == [2]


def test_F20_the_night_shift_sees_what_was_ordered_before_midnight(ward: Ward) -> None:
    """P8 widens today backwards; a query for another day stays what it is."""
    was, now = ward.reproduce(F20)
    yesterday = replace(F20, device_day=-1, missed=0)

    assert was.shown == [2]
    assert "the device asks for SPS.ScheduledProcedureStepStartDate" in was.said[0]
    assert (now.shown, now.fixed_by) == ([1, 2], {"window"})
    assert ward.ask(yesterday, "OLD").shown == ward.ask(yesterday).shown == [3, 1]


def in_utc(ward: Ward) -> list[str]:
    """Play F21; what is told of it depends on the hour, so its row is written here."""
    was, now = played(ward, F21, "OLD", today=LOCAL.date()), played(ward, F21, today=LOCAL.date())
    assert (was.answers, now.answers) == (["AA"] * 3, ["AA"] * 3)
    assert (was.shown, sorted(now.shown)) == ([2, 3], [1, 2, 3])
    local = f"{LOCAL:%Y%m%d}", f"{LOCAL:%H%M%S}"
    assert [(value(item.merged(), DATE), value(item.merged(), TIME)) for item in ward.items()] == [local] * 3
    said = re.sub(r"CT, \d{8} \d{6}", "CT", " ".join(fates(was)))
    said = steady(re.sub(r"has \d{8}", "has the day beside it", said))
    return ["F21", F21.happens, f"{len(was.shown)} shown", said, mended(F21), f"{len(now.shown)} shown"]


def test_F21_a_time_in_utc_is_stored_as_the_site_s(ward: Ward) -> None:
    """P24's counterpart at intake: the day is the local one, whichever way the offset is stated."""
    ward.rows["F21"] = in_utc(ward)


def test_F22_a_list_of_all_days_has_an_end(ward: Ward) -> None:
    """P8 takes today, P15 no more than the device gets, and `explain` tells of the rest."""
    was, now = ward.reproduce(F22)

    assert len(was.shown) == 30
    assert (len(now.shown), now.direct.overflow) == (20, True)
    assert max(now.shown) <= 25
    assert any("more than 20 match, the limit" in line for line in now.said)
    assert now.fixed_by == {"window"}


def test_F23_times_have_six_digits_or_cost_their_item(ward: Ward) -> None:
    """P24 writes what can be read; what cannot is left out by P30, and told."""
    was, now = ward.reproduce(F23)

    assert (was.shown, len(was.reasons)) == ([], 3)
    assert "is not exactly six digits" in was.reasons[0]
    assert (now.shown, now.values(TIME)) == ([1, 2], ["083000"] * 2)
    assert now.withheld == [(3, TIME, "a value that the device requires is missing")]
    assert "format" in now.fixed_by
    assert value(ward.items()[-1].merged(), TIME) == "8h30"


def test_the_page_says_what_happened(ward: Ward) -> None:
    """docs/incidents.md, F14 to F23."""
    page.check(ward, "F14 to F23", {"F21": in_utc})
