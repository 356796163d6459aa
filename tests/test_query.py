"""Criteria on canonical items: the matching rules A-21 to A-48 as `holds` decides them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.model import STEP_SEQUENCE, StepRef, WorklistItem, name_value
from mwl.query import (
    SOURCE,
    START_DATE,
    START_TIME,
    Criterion,
    Op,
    fold,
    holds,
    name_groups,
    name_matches,
    name_patterns,
    normal_time,
    pattern,
)

NAME = ("00100010",)
PATIENT_ID = ("00100020",)
STATION = (STEP_SEQUENCE, "00400001")
MODALITY = (STEP_SEQUENCE, "00080060")
PHYSICIAN = (STEP_SEQUENCE, "00400006")
CODES = (STEP_SEQUENCE, "00400008")
IS_CT, IS_US = (Criterion(MODALITY, Op.IN, (modality,)) for modality in ("CT", "US"))

NAMES = {
    "S1": "DOE^JOHN^Q",
    "S2": "DOE^JANE",
    "S3": "DOE^JOHN^Q",
    "S4": "Doe^Johnathan",
    "S5": "MÜLLER^JÜRGEN",
    "S6": "Wang^XiaoDong=王^小东",
    "S7": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "S8": "Hong^Gildong=洪^吉洞=홍^길동",
    "S9": "Иванов^Иван",
    "S12": "ROE^RICHARD",
}
"""Patient names of the visible steps of the C-FIND data set (F.0)."""


def element(vr: str, *values: object) -> dict:
    """Return an element; without values an empty one."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def step(**changes: dict) -> WorklistItem:
    """Return step S4 of the data set, which has two stations; *changes* are elements of its step, by tag."""
    document = {
        "00080060": element("CS", "US"),
        "00400001": element("AE", "US_1", "US_2"),
        "00400002": element("DA", "20260706"),
        "00400003": element("TM", "140000"),
        "00400006": element("PN"),
        "00400008": element(
            "SQ",
            {"00080100": element("SH", "ABD"), "00080102": element("SH", "99L")},
            {"00080100": element("SH", "PEL"), "00080102": element("SH", "99M")},
        ),
        **{tag.removeprefix("t"): value for tag, value in changes.items()},
    }
    patient = {"00100010": element("PN", name_value(NAMES["S4"])), "00100020": element("LO", "PID003 ")}
    return WorklistItem(StepRef(4, 1, 1, 1), patient, {}, document, "RIS")


def matching(key: str) -> set[str]:
    """Return which steps of the data set a key on Patient's Name matches."""
    return {name for name, stored in NAMES.items() if name_matches(key, stored)}


@pytest.mark.parametrize(
    ("vector", "key", "expected"),
    [
        ("F-C12", "DOE*", {"S1", "S2", "S3", "S4"}),
        ("F-C13", "DOE^J?NE", {"S2"}),
        ("F-C14", "DOE^JOHN", set()),
        ("F-C15", "DOE^JOHN^Q^^", {"S1", "S3"}),
        ("F-C29", "D_E*", set()),
        ("F-C29", "%", set()),
        ("F-C30", "王*", {"S6"}),
        ("F-C31", "*王*", {"S6"}),
        ("F-C32", "Wang^XiaoDong", {"S6"}),
        ("A-23", "müller^jürgen", {"S5"}),
        ("A-23", "иванов*", {"S9"}),
        ("A-24", "DOE^JANE^^^==", {"S2"}),
        ("A-24", "DOE^JANE^*", {"S2"}),
        ("A-24", "DOE^JOHN^*", {"S1", "S3"}),
        ("A-24", "DOE^*^*^*", {"S1", "S2", "S3", "S4"}),
        ("A-24", "DOE^JANE^?", set()),
        ("A-24", "DOE^JANE^*^DR", set()),
        ("A-24", "Wang^XiaoDong^*=王^小东^*=*^*", {"S6"}),
        ("A-25", "=山田^太郎", {"S7"}),
        ("A-25", "Hong*=洪*=홍*", {"S8"}),
        ("A-25", "Hong*=王*", set()),
    ],
)
def test_names_match_group_by_group(vector, key, expected):
    """The vectors of F.1 on Patient's Name, and the rules behind them."""
    assert matching(key) == expected, vector


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("ﾔﾏﾀﾞ*", "Yamada^Tarou==ヤマダ^タロウ"),
        ("STRASSE", "Straße"),
        ("ＤＯＥ*", "DOE^JANE"),
        ("DOE ^JANE ", "DOE ^JANE"),
    ],
)
def test_width_and_compatibility_forms_do_not_separate_names(key, stored):
    """A-23: half-width katakana, full-width Latin and sharp s are folded on both sides."""
    assert name_matches(key, stored)


def test_a_key_never_matches_an_absent_group():
    """A-21: a name without an ideographic group is not found by a pattern for one."""
    assert not name_matches("=*王*", "DOE^JANE")
    assert not name_matches("*", "")


@given(st.text("ab*^", max_size=8), st.text("ab^", max_size=6).filter(lambda name: name.rstrip("^")))
def test_a_missing_component_is_an_empty_one(key, stored):
    """A-24, against the definition: a name may be written with as many empty components as the key has."""
    wanted, name = key.rstrip("^"), stored.rstrip("^")
    written_out = [name + "^" * count for count in range(len(key) + 1)]

    expected = any(pattern(wanted).fullmatch(each) for each in written_out)
    assert name_matches(key, stored) == expected


def test_a_key_of_nothing_but_stars_and_carets_is_read_in_one_pass():
    """A peer's longest key costs as much as any other of its length."""
    (patterns,) = name_patterns("a" + "^*" * 100_000)

    assert patterns == ("a^*", "a")


def test_accents_are_significant():
    """A-23: only case, width and compatibility forms are folded."""
    assert not name_matches("MULLER*", "MÜLLER^JÜRGEN")


@given(st.text(min_size=1, max_size=40))
def test_every_name_matches_itself_whatever_is_in_it(name):
    """A key of letters alone finds the name it spells; regular expressions and SQL have no say."""
    stored = name.translate({ord(c): "x" for c in "*?=^"}).strip() or "x"

    assert name_matches(stored, stored) or not fold(stored).strip()


@given(st.text(alphabet="ab*?%_\\.[^", max_size=12), st.text(alphabet="ab%_\\.[^", max_size=12))
def test_a_pattern_matches_what_its_definition_says(wildcard, text):
    """A-27, against a plain reading of the definition: * any run, ? one character, the rest itself."""

    def plainly(key: str, rest: str) -> bool:
        if not key:
            return not rest
        if key[0] == "*":
            return any(plainly(key[1:], rest[n:]) for n in range(len(rest) + 1))
        return bool(rest) and key[0] in ("?", rest[0]) and plainly(key[1:], rest[1:])

    assert bool(pattern(wildcard).fullmatch(text)) == plainly(re.sub(r"\*+", "*", wildcard), text)


def test_a_question_mark_is_one_character_not_one_byte():
    """A-27: an ideograph is one."""
    assert pattern("?").fullmatch("王")
    assert not pattern("?").fullmatch("王王")


def test_trailing_empty_components_do_not_count():
    """A-24: DOE^JOHN^^^ is DOE^JOHN."""
    assert name_groups("DOE^JOHN^^^=王^^ ") == ("doe^john", "王")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("09", "090000.000000"),
        ("0900", "090000.000000"),
        ("090000.000", "090000.000000"),
        ("22:30", "223000.000000"),
        ("101010.5 ", "101010.500000"),
    ],
)
def test_times_are_compared_by_meaning(written, meant):
    """A-34: 2230 is 223000 (F-C48)."""
    assert normal_time(written) == meant


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (Criterion(STATION, Op.IN, ("US_2",)), True),  # F-C18, A-30
        (Criterion(STATION, Op.IN, ("us_2",)), False),  # F-C19
        (Criterion(STATION, Op.IN, (" US_1 ",)), True),  # F-C20
        (Criterion(STATION, Op.IN, ("CT_1", "US_1")), True),
        (Criterion(STATION, Op.IN, ("US_1\\US_2",)), False),
        (Criterion(STATION, Op.WILDCARD, ("US_*",)), True),  # F-C21
        (Criterion(STATION, Op.WILDCARD, ("us_*",)), False),
        (Criterion(MODALITY, Op.WILDCARD, ("?",)), False),
        (Criterion(PATIENT_ID, Op.IN, ("PID003",)), True),  # padding is not significant
        (Criterion(PHYSICIAN, Op.NAME, ("SMITH*",)), False),  # F-C17
        (Criterion(PHYSICIAN, Op.PRESENT), False),
        (Criterion(STATION, Op.PRESENT), True),
        (Criterion(("00080050",), Op.PRESENT), False),
        (Criterion(STATION, Op.IN, ("US_1",), negate=True), False),
        (Criterion(STATION, Op.IN, ("CT_1",), negate=True), True),
        (Criterion(("00080050",), Op.IN, ("A",), negate=True), True),
        (Criterion(NAME, Op.NAME, ("ROE*", "DOE*")), True),
    ],
)
def test_values_are_matched_as_the_standard_says(criterion, expected):
    """Single values, lists, wildcards, absence and negation."""
    assert holds(criterion, step()) is expected


@pytest.mark.parametrize(
    ("path", "bounds", "expected"),
    [
        (START_DATE, ("20260706", "20260706"), True),
        (START_DATE, ("20260706", ""), True),  # F-C05
        (START_DATE, ("", "20260705"), False),  # F-C06
        (START_TIME, ("100000.000000", "140000.000000"), True),  # inclusive
        (START_TIME, ("140000.000001", ""), False),
        (START_TIME, ("", "135959.999999"), False),
    ],
)
def test_ranges_include_their_bounds(path, bounds, expected):
    """A-32, A-33: both ends count, an absent end is open."""
    assert holds(Criterion(path, Op.RANGE, bounds), step()) is expected


def test_a_range_finds_nothing_where_nothing_is_stored():
    """A-21: an unknown date lies in no range."""
    assert not holds(Criterion(START_DATE, Op.RANGE, ("", "")), step(t00400002=element("DA")))


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20260705", "0930", False),
        ("20260705", "1000", True),
        ("20260706", "0800", True),
        ("20260705", "2330", True),
        ("20260707", "1800", True),
        ("20260707", "1830", False),
        ("20260708", "", False),
    ],
)
def test_f_c03_date_and_time_are_one_interval(date, time, expected):
    """A-40: July 5 to 7 with 10:00 to 18:00 runs from the 5th at 10:00 to the 7th at 18:00."""
    span = Criterion(START_DATE, Op.SPAN, ("20260705100000.000000", "20260707180000.000000"))
    item = step(t00400002=element("DA", date), t00400003=element("TM", *([time] if time else [])))

    assert holds(span, item) is expected


def test_a_step_without_a_time_starts_with_its_day():
    """A step of which only the day is known is found by a span that covers midnight."""
    span = Criterion(START_DATE, Op.SPAN, ("20260706000000.000000", "20260706120000.000000"))

    assert holds(span, step(t00400003=element("TM")))
    assert not holds(span, step(t00400002=element("DA")))


def code(value: str, scheme: str) -> Criterion:
    """Return the criterion of a sequence key with one item of code and scheme."""
    within = (Criterion(("00080100",), Op.IN, (value,)), Criterion(("00080102",), Op.IN, (scheme,)))
    return Criterion(CODES, Op.ITEM, within=within)


def test_all_keys_of_an_item_must_match_the_same_item():
    """A-43: the code of one item and the scheme of another make no match."""
    assert holds(code("PEL", "99M"), step())
    assert not holds(code("PEL", "99L"), step())


def test_a_path_through_a_sequence_reaches_every_item():
    """A criterion on a nested attribute holds when any item satisfies it."""
    assert holds(Criterion((*CODES, "00080100"), Op.IN, ("PEL",)), step())
    assert not holds(Criterion((*CODES, "00080100"), Op.IN, ("HEAD",)), step(t00400008=element("SQ")))


def test_criteria_are_values():
    """A query can be a key of a cache: equal criteria are equal and hash alike."""
    assert len({code("PEL", "99M"), code("PEL", "99M"), code("ABD", "99L")}) == 2


# --- what filters add ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (Criterion(STATION, Op.REGEX, ("^US_[0-9]$",)), True),
        (Criterion(STATION, Op.REGEX, ("^CT", "2$")), True),
        (Criterion(STATION, Op.REGEX, ("^CT",)), False),
        (Criterion(STATION, Op.LONGER, ("3",)), True),
        (Criterion(STATION, Op.LONGER, ("4",)), False),
        (Criterion(PHYSICIAN, Op.LONGER, ("0",)), False),
        (Criterion((), Op.ANY), False),
        (Criterion((), Op.ALL), True),
        (Criterion((), Op.ANY, negate=True), True),
        (Criterion((), Op.ANY, within=(IS_CT, IS_US)), True),
        (Criterion((), Op.ALL, within=(IS_CT, IS_US)), False),
        (Criterion((), Op.ALL, within=(IS_CT, IS_US), negate=True), True),
        (Criterion((), Op.ALL, within=(IS_US, Criterion((), Op.ANY, within=(IS_US,)))), True),
        (Criterion(SOURCE, Op.IN, ("RIS", "PORTAL")), True),
        (Criterion(SOURCE, Op.IN, ("PORTAL",)), False),
    ],
)
def test_p10_conditions_of_a_filter(criterion, expected):
    """Regular expressions, lengths, combinations, and the system that ordered; step S4 is of RIS."""
    assert holds(criterion, step()) is expected
