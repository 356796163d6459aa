"""P8: which days a device is answered for, and the sugar for the most common wishes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from mwl.dicom.matching import BadIdentifier, understand
from mwl.query import holds

DATE, TIME = "SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartTime"
TODAY = "20260705"


@pytest.fixture
def found(bind, doc, item, facts):
    """Which of some starts ("0705 0930") satisfy keys that a profile of a few lines rewrote."""

    def find(lines: str, keys: dict, *starts: str, now: str = "0705 0930") -> list[str]:
        at = dt.datetime.strptime(f"2026{now}", "%Y%m%d %H%M").replace(tzinfo=dt.UTC)
        profile = bind(lines)
        rewritten = profile.rewrite(doc(keys), dataclasses.replace(facts, now=at))
        criteria = understand(rewritten).criteria
        items = {each: item({DATE: f"2026{each[:4]}", TIME: f"{each[5:]}00"}) for each in starts}
        return [each for each, one in items.items() if all(holds(c, one) for c in criteria)]

    return find


@pytest.fixture
def rewritten(bind, doc, flat, facts):
    """Date and time keys as a profile of a few lines rewrites them on 5 July."""

    def rewrite(lines: str, date: str | None, time: str | None = None) -> tuple:
        keys = {path: value for path, value in ((DATE, date), (TIME, time)) if value is not None}
        keys = flat(bind(lines).rewrite(doc(keys), facts))
        return keys.get(DATE), keys.get(TIME)

    return rewrite


def test_f20_the_night_shift_sees_the_evening(found):
    """At ten past midnight today's list begins six hours ago, and still ends with today."""
    window, starts = "window: {back: 6h}", ("0704 1800", "0704 1850", "0705 0700", "0705 2300", "0706 0001")

    assert found(window, {DATE: TODAY}, *starts, now="0705 0010") == ["0704 1850", "0705 0700", "0705 2300"]
    assert found(window, {DATE: TODAY}, *starts, now="0705 1200") == ["0705 0700", "0705 2300"]
    assert found(window, {DATE: TODAY, TIME: "0600-0800"}, *starts, now="0705 0010") == [
        "0704 1850",
        "0705 0700",
        "0705 2300",
    ]


def test_f20_another_day_is_answered_as_asked(found):
    """The window is around today: who asks for a day without today gets that day."""
    window = "window: {back: 6h}"

    assert found(window, {DATE: "20260710"}, "0704 1850", "0710 0800", now="0705 0010") == ["0710 0800"]
    assert found(window, {}, "0101 0000", "0704 1850", now="0705 0010") == ["0101 0000", "0704 1850"]


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (TODAY, "20260704-20260707"),
        ("20260704-20260706", "20260704-20260707"),
        ("20260601-20260731", "20260601-20260731"),
        ("20260705-", "20260704-"),
        ("-20260705", "-20260707"),
        ("20260706", "20260706"),
        ("2026.07.05", "20260704-20260707"),
        ("", ""),
        (None, None),
    ],
)
def test_p8_a_key_that_holds_today_is_widened(rewritten, date, expected):
    """By whole days; what is open stays open."""
    assert rewritten("window: {back: 1d, ahead: 2d}", date)[0] == expected


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (TODAY, "20260704-20260707"),
        ("20200101", "20260704-20260707"),
        ("", "20260704-20260707"),
        (None, "20260704-20260707"),
        ("*", "20260704-20260707"),
    ],
)
def test_p8_a_key_is_replaced(rewritten, date, expected):
    """Whatever it was; F16 with `star_is_universal`."""
    lines = "accept: {bad_values: {DA: star_is_universal}}\nwindow: {mode: replace, back: 1d, ahead: 2d}"

    assert rewritten(lines, "" if date == "*" else date)[0] == expected


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("20260101-20261231", "20260704-20260707"),
        ("", "20260704-20260707"),
        ("20260706-", "20260706-20260707"),
        ("-20260705", "20260704-20260705"),
        (TODAY, TODAY),
    ],
)
def test_p8_a_key_is_cut_to_the_window(rewritten, date, expected):
    """F16: all the days there ever were become those around today."""
    assert rewritten("window: {mode: clamp, back: 1d, ahead: 2d}", date)[0] == expected


def test_p8_what_lies_outside_the_window_finds_nothing(found):
    """No failure, and above all not everything."""
    window = "window: {mode: clamp, back: 1d}"

    assert found(window, {DATE: "20260101"}, "0101 0800", "0705 0800") == []


def test_f19_a_clock_that_is_behind_gets_today(rewritten):
    """Only where the device asks for days before today alone."""
    window = "window: {mode: replace, when_key: {lt_today: true}}"

    assert rewritten(window, "20260704")[0] == TODAY
    assert rewritten(window, "20260704-20260705")[0] == "20260704-20260705"
    assert rewritten(window, "20260706")[0] == "20260706"
    assert rewritten(window, "-20260704")[0] == TODAY


@pytest.mark.parametrize(
    ("test", "fitting"),
    [
        ("eq_today: true", [TODAY]),
        ("gt_today: true", ["20260706-"]),
        ("empty: true", [""]),
        ("eq_today: false", ["20260704", "", "20260706-"]),
        ("lt_today: false, empty: false", [TODAY, "20260706-"]),
    ],
)
def test_p8_each_test_of_the_date_key(rewritten, test, fitting):
    """All of them must hold."""
    window = f"window: {{mode: replace, back: 9d, when_key: {{{test}}}}}"
    dates = [TODAY, "20260704", "", "20260706-"]

    assert [date for date in dates if rewritten(window, date)[0] == "20260626-20260705"] == fitting


@pytest.mark.parametrize(("date", "expected"), [("", TODAY), (None, TODAY), ("20260101", "20260101")])
def test_f22_no_date_means_today(rewritten, date, expected):
    """9000 open orders are not what a console without a date key wants."""
    assert rewritten("window: {empty: today}", date)[0] == expected


def test_f22_no_date_means_today_and_what_is_around_it(rewritten):
    """Filled first, then widened."""
    assert rewritten("window: {empty: today, ahead: 1d}", "")[0] == "20260705-20260706"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("combined", ["0705 2000", "0706 0900"]),
        ("separate", ["0706 0900"]),
        ("ignore", ["0705 2000", "0706 0900", "0706 1100"]),
    ],
)
def test_f18_what_two_ranges_mean(found, mode, expected):
    """One interval, each day from eight to ten, or the days alone."""
    keys = {DATE: "20260705-20260706", TIME: "080000-100000"}

    assert found(f"window: {{time: {mode}}}", keys, "0705 2000", "0706 0900", "0706 1100") == expected


def test_a_key_that_is_no_date_stays_for_the_judge(bind, doc, facts):
    """A-13: it is no reason to send the window."""
    rewritten = bind("window: {mode: replace}").rewrite(doc({DATE: "tomorrow"}), facts)

    with pytest.raises(BadIdentifier):
        understand(rewritten)


def test_f21_today_is_that_of_the_device(bind, doc, flat, facts):
    """Half past nine in the evening of UTC is tomorrow in Shanghai."""
    profile = bind("window: {mode: replace, tz: Asia/Shanghai}")
    late = dataclasses.replace(facts, now=dt.datetime(2026, 7, 5, 21, 30, tzinfo=dt.UTC))

    assert flat(profile.rewrite(doc({DATE: ""}), late))[DATE] == "20260706"
    assert profile.zone == ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    "line", ["{back: 1}", "{back: 1w}", "{tz: Mars/Olympus}", "{mode: shrink}", "{when_key: {today: true}}"]
)
def test_a_window_that_means_nothing_is_refused(problems, line):
    """At its line."""
    (found,) = problems(site=f"profile: site\nstatus: evidence\nwindow: {line}\n")

    assert found.startswith("site.yaml:3:")


@pytest.mark.parametrize("key", ["20260701", "", None])
@pytest.mark.parametrize(
    ("line", "expected"), [("today", TODAY), ("+-2", "20260703-20260707"), ("+-0", TODAY)]
)
def test_p8_dates_says_it_in_a_word(rewritten, line, key, expected):
    """Whatever the device asked for."""
    assert rewritten(f"dates: {line}", key)[0] == expected


def test_p8_dates_as_asked_withdraws_what_is_inherited(write, doc, facts):
    """A site undoes its vendor's line."""
    from mwl.mapping.devices.device import SiteFacts, load_devices

    text = """
        profile: generic
        status: evidence
        dates: today
        ---
        profile: site
        status: evidence
        dates: as_asked
        """
    profile = load_devices([write(site=text)]).bind("site", {}, SiteFacts())
    keys = doc({DATE: "20260101"})

    assert profile.rewrite(keys, facts) == keys


def test_a_window_of_hours_is_one_interval(rewritten):
    """What matching makes one interval of (A-40): both keys have the same form."""
    assert rewritten("window: {mode: replace, back: 24h, ahead: 1d}", TODAY) == (
        "20260704-20260706",
        "093000-235959.999999",
    )
