"""What would send the whole hospital, hide an identity or invent data needs `unsafe` (12.3)."""

from __future__ import annotations

import pytest

HEADER = "profile: site\nstatus: partial\n"
OPEN = "ignore_keys: [SPS.ScheduledStationAETitle, SPS.Modality]\n"


@pytest.mark.parametrize(
    "line",
    [
        "template: {PatientName: 'DOE^JOHN'}",
        "template: {PatientName: 'DOE[ {PatientName}]'}",
        "template: {PatientName: '{AdmissionID}'}",
        "template: {PatientSex: $calling_ae}",
        "map: {table: {'*': O}, key: PatientSex}",
        "map: {table: {A: M}, key: AdmissionID, out: {PatientSex: value}}",
        "map: {table: {A: M}, key: AdmissionID, out: {PatientSex: value}, miss: default, default: O}",
        "replace: {tag: PatientName, from: '^$', to: DOE}",
        "replace: {tag: PatientName, from: '.+', to: DOE}",
        "replace: {tag: PatientBirthDate, from: '....$', to: '0101'}",
        "replace: {tag: '*Date', from: '.*', to: '19000101'}",
        "replace: {tag: PatientSex, from: M, to: F}",
        "text: {tags: '*Sex', ops: ['replace:M|F']}",
        "copy: {from: AdmissionID, to: PatientName}",
        "move: {from: SPS.ScheduledProcedureStepStartDate, to: PatientBirthDate}",
        "alias: {tag: PatientSex, response: {M: F}}",
        "alias: {tag: PatientSex, both: {M: F}}",
        "require: {type1: PatientSex, fill: {PatientSex: AdmissionID}, on_fail: fill}",
    ],
)
def test_f38_nobody_is_given_a_name_birth_date_or_sex_that_no_order_says(problems, line):
    """12.3 b: whichever operation does it, by a constant or from another attribute."""
    (found,) = problems(site=HEADER + line)

    assert found.endswith("[unsafe]")
    assert "would be made up" in found
    assert problems(site=f"{HEADER}{line[:-1]}, unsafe: true}}") == []


@pytest.mark.parametrize(
    "line",
    [
        "return: {never: [PatientID]}",
        "return: {never: [StudyInstanceUID]}",
        "return: {never: [PatientName]}",
        "return: {never: [ScheduledProcedureStepSequence]}",
        "move: {from: PatientName, to: AdmissionID}",
        "require: {type1: PatientID, fill: {PatientID: AccessionNumber}, on_fail: fill}",
        "require: {type1: PatientID, fill: {PatientID: $calling_ae}, on_fail: fill}",
        "require: {type1: AccessionNumber, fill: {AccessionNumber: PatientID}, on_fail: fill}",
        "require: {type1: StudyInstanceUID, fill: {StudyInstanceUID: AccessionNumber}, on_fail: fill}",
        "pn: {tag: PatientName, drop: [family, given, middle, prefix, suffix]}",
        "pn: {tag: PatientName, keep: [suffix]}",
    ],
)
def test_l2_what_tells_patients_and_orders_apart_is_neither_withheld_nor_another_s(problems, line):
    """R2: what is sent without its identity, or under another's, cannot be led back."""
    (found,) = problems(site=HEADER + line)

    assert found.endswith("[L2]")
    assert problems(site=f"{HEADER}{line[:-1]}, unsafe: true}}") == []


@pytest.mark.parametrize(
    "line",
    [
        "window: {mode: replace, back: 3650d}",
        "window: {mode: replace, back: 40d, ahead: 40d}",
        "window: {mode: widen, back: 1600h}",
        "alias: {tag: SPS.ScheduledProcedureStepStartDate, query: {X: ['*']}}",
    ],
)
def test_l9_a_day_that_bounds_nothing_is_no_bound(problems, line):
    """12.3 d: with station and modality ignored as well, whoever asks gets everything."""
    (found,) = problems(site=HEADER + OPEN + line)

    assert found.endswith("[L9]")
    assert problems(site=f"{HEADER}{OPEN}{line[:-1]}, unsafe: true}}") == []
    assert problems(site=HEADER + line) == []


def test_l9_days_in_short_are_a_window_too(problems):
    """`dates` says the same in one word, and `unsafe` stands in ignore_keys then."""
    unsafe = "ignore_keys: {keys: [SPS.ScheduledStationAETitle, SPS.Modality], unsafe: true}\n"

    assert problems(site=f"{HEADER}{OPEN}dates: +-99")[0].endswith("[L9]")
    assert problems(site=f"{HEADER}{unsafe}dates: +-99") == []
    assert problems(site=f"{HEADER}{OPEN}dates: +-30") == []


def test_l9_counts_what_a_profile_and_its_base_open_together(problems):
    """Neither leaves nothing to match by itself; what the device gets is both."""
    base = "profile: base\nstatus: partial\nignore_keys: [SPS.ScheduledStationAETitle, SPS.Modality]\n"
    child = f"{HEADER}extends: base\nset_key: {{SPS.ScheduledProcedureStepStartDate: ''}}\n"

    assert problems(base=base) == []
    (found,) = problems(base=base, site=child)
    assert found.endswith("[L9]")
    assert problems(base=base.replace("[", "{unsafe: true, keys: [").replace("]", "]}"), site=child) == []


@pytest.mark.parametrize(
    "line",
    [
        "template: {PatientName: '{PatientName}[ *{RequestedProcedureComments}*]'}",
        "template: {PatientName: '[{PatientName} *]'}",
        "replace: {tag: PatientName, from: ' +', to: ' '}",
        "replace: {tag: '*Date', from: '[.-]', to: ''}",
        "replace: {tag: PatientName, from: '^(.+)$', to: '\\1 *'}",
        "text: {tags: [PatientName, '*'], ops: [trim, upper, ascii, 'allow:A-Z0-9^ ']}",
        "truncate: {PatientName: {max: 16, mark: '~'}}",
        "pn: {tag: PatientName, derive: {alphabetic: pinyin}, emit: [alphabetic], drop: [suffix]}",
        "alias: {tag: PatientSex, query: {X: [M, F]}}",
        "return: {never: [SPS.ScheduledStationAETitle, PatientSex]}",
        "window: {mode: clamp, back: 3650d}",
    ],
)
def test_what_is_told_in_other_words_is_not_made_up(problems, line):
    """Romanised, cut with a mark, cleaned, or marked: it is the patient's all the same."""
    assert problems(site=HEADER + line) == []
