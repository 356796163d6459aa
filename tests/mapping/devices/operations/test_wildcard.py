"""P7: what a typed name or a scanned number means."""

from __future__ import annotations

import pytest

from mwl.dicom.matching import understand
from mwl.query import Fold, Op, holds


@pytest.fixture
def asked(bind, doc, facts):
    """The one criterion of a key, with a profile of one line."""

    def ask(path: str, form: str, value: object):
        profile = bind(f"wildcard: {{{path}: {form}}}")
        criteria = understand(profile.rewrite(doc({path: value}), facts)).criteria
        return criteria[0] if criteria else None

    return ask


@pytest.mark.parametrize(
    ("form", "value", "op", "expected"),
    [
        ("as_sent", "12*", Op.WILDCARD, "12*"),
        ("none", "12*", Op.IN, "12*"),
        ("none", "12", Op.IN, "12"),
        ("prefix", "12", Op.WILDCARD, "12*"),
        ("prefix", "12*", Op.WILDCARD, "12*"),
        ("contains", "12", Op.WILDCARD, "*12*"),
        ("contains", "*12", Op.WILDCARD, "*12*"),
        ("strip_edges", "*12*", Op.IN, "12"),
        ("strip_edges", "*1*2", Op.WILDCARD, "1*2"),
        ("strip_edges", "**", Op.WILDCARD, "**"),
    ],
)
def test_p7_each_mode_of_a_number(asked, form, value, op, expected):
    """F49: the stars of a barcode are none of DICOM's."""
    criterion = asked("AccessionNumber", form, value)

    assert (criterion.op, criterion.values) == (op, (expected,))


@pytest.mark.parametrize("form", ["as_sent", "none", "prefix", "contains", "strip_edges"])
@pytest.mark.parametrize("value", ["", "*"])
def test_a_key_that_asks_for_everything_stays(asked, form, value):
    """In every mode."""
    assert asked("AccessionNumber", form, value) is None


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("prefix", "DOE", "DOE*"),
        ("prefix", "DOE^J", "DOE^J*"),
        ("{mode: prefix, components: true}", "DOE^J", "DOE*^J*"),
        ("{mode: prefix, components: true}", "DOE^^X", "DOE*^^X*"),
        ("{mode: contains, components: true}", "DOE^J", "*DOE*^*J*"),
        ("contains", "DOE=山", "*DOE*=*山*"),
        ("strip_edges", "*DOE^J*", "DOE^J"),
        ("prefix", "=山", "=山*"),
    ],
)
def test_p7_names_are_meant_group_by_group(asked, form, value, expected):
    """Or component by component."""
    criterion = asked("PatientName", form, value)

    assert (criterion.op, criterion.values) == (Op.NAME, (expected,))


def test_p7_without_wildcards_a_star_is_a_star(asked):
    """No name has one: nothing is found, rather than everything."""
    assert asked("PatientName", "none", "D*").values == ()
    assert asked("PatientName", "none", "DOE").values == ("DOE",)


@pytest.mark.parametrize(
    ("fold", "typed", "stored", "found"),
    [
        ("[case, diacritics]", "muller*", "MÜLLER^JÜRGEN", True),  # F46
        ("diacritics", "muller*", "MÜLLER^JÜRGEN", True),  # case never counts in a name
        ("case", "muller*", "MÜLLER^JÜRGEN", False),
        ("diacritics", "Ostergard^*", "ØSTERGÅRD^IB", True),
        ("diacritics", "strasse", "STRAẞE", True),
        ("kana", "ヤマダ*", "YAMADA^TAROU==やまだ^たろう", True),
        ("kana", "ﾔﾏﾀﾞ*", "YAMADA^TAROU==やまだ^たろう", True),
        ("diacritics", "ヤマタ*", "YAMADA^TAROU==ヤマダ^タロウ", False),  # ダ is no タ with an accent
        ("kana", "ヤマタ*", "YAMADA^TAROU==ヤマダ^タロウ", False),
    ],
)
def test_f46_what_does_not_count_in_a_name(asked, item, fold, typed, stored, found):
    """A keyboard has no accents, and a console one kind of kana."""
    criterion = asked("PatientName", f"{{fold: {fold}}}", typed)

    assert holds(criterion, item({"PatientName": stored})) is found


def test_f46_what_does_not_count_in_a_number(asked, item):
    """ab12 finds AB12 where case does not count, as a whole and by its beginning."""
    whole, start = (asked("PatientID", "{fold: case}", value) for value in ("ab12", "ab*"))

    assert (whole.op, start.op, whole.folds) == (Op.IN, Op.WILDCARD, (Fold.CASE,))
    assert all(holds(each, item({"PatientID": "AB12"})) for each in (whole, start))
    assert not any(holds(each, item({"PatientID": "XY12"})) for each in (whole, start))


def test_p7_wildcards_are_for_texts(problems):
    """A date has ranges."""
    lines = "profile: site\nstatus: evidence\nwildcard: {SPS.ScheduledProcedureStepStartDate: prefix}\n"
    (found,) = problems(site=lines)

    assert found.startswith("site.yaml:3:")
    assert "is no text" in found
