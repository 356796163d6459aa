"""What would send the whole hospital, hide an identity or invent data needs `unsafe` (12.3)."""

from __future__ import annotations

from functools import partial

import pytest

HEADER = "profile: site\nstatus: partial\nextends: []\n"
OPEN = "ignore_keys: [SPS.ScheduledStationAETitle, SPS.Modality]\n"


@pytest.fixture
def problems(problems):
    """Nothing here rests on a shipped profile: they need not be read."""
    return partial(problems, shipped=False)


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
        "replace: {tag: PatientName, from: '[A-Za-z]', to: X}",
        "replace: {tag: PatientBirthDate, from: '....$', to: '0101'}",
        "replace: {tag: PatientBirthDate, from: '..$', to: '01'}",
        "replace: {tag: PatientBirthDate, from: '^....', to: '1970'}",
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
        "set: {PatientWeight: 70}",
        "set: {PatientAge: 050Y}",
        "default: {MedicalAlerts: NONE}",
        "default: {Allergies: $calling_ae}",
        "template: {MedicalAlerts: NONE}",
        "map: {table: {A: '1'}, key: AdmissionID, out: {PregnancyStatus: value}, miss: default, default: 1}",
    ],
)
def test_nobody_is_given_a_finding_that_nobody_made(problems, line):
    """12.3 b: doses and contrast agents are decided by these, and a constant is the same for everybody."""
    (found,) = problems(site=HEADER + line)

    assert found.endswith("[unsafe]")
    assert "would be the same for every patient" in found
    assert problems(site=f"{HEADER}{line[:-1]}, unsafe: true}}") == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("clear: [ScheduledProcedureStepSequence]", "holds the identities of the step"),
        ("remove: [SPS]", "holds the identities of the step"),
        ("copy: {from: ReferencedStudySequence, to: SPS}", "holds the identities of the step"),
        ("code: {tag: SPS, drop_incomplete: true}", "holds no codes"),
        ("code: {tag: RequestedProcedureCodeSequence, copy_to: SPS}", "holds no codes"),
        ("map: {table: {CT: X}, key: SPS.Modality, miss: drop_code}", "in an item of a code sequence"),
        ("map: {table: {CT: {c: X}}, key: SPS.Modality, out: {code: c}}", "in an item of a code sequence"),
    ],
)
def test_l2_the_step_s_own_sequence_is_neither_replaced_nor_emptied(problems, line, told):
    """Its item holds the step's ID and its station."""
    (found,) = problems(site=HEADER + line)

    assert told in found


def test_a_pattern_of_sequences_leaves_the_step_s_own_alone(bind, item, facts):
    """`*Sequence` means those of codes: the step has no code, and would be dropped as incomplete."""
    profile = bind("code: {tag: '*Sequence', drop_incomplete: true}")
    stored = item({"SPS.Modality": "CT"})

    assert profile.respond(stored, item({"SPS.Modality": ""}).merged(), facts)["00400100"]["Value"]


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
        "text: {tags: PatientName, ops: 'allow:0-9'}",
        "replace: {tag: PatientName, from: '.', to: ''}",
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
        "alias: {tag: SPS.ScheduledProcedureStepStartDate, query: {X: 20260101-20261231}}",
    ],
)
def test_l9_a_day_that_bounds_nothing_is_no_bound(problems, line):
    """12.3 d: with station and modality ignored as well, whoever asks gets everything."""
    (found,) = problems(site=HEADER + OPEN + line)

    assert found.endswith("[L9]")
    assert problems(site=f"{HEADER}{OPEN}{line[:-1]}, unsafe: true}}") == []
    assert problems(site=HEADER + line) == []


@pytest.mark.parametrize("days", ["20260101-", "-20261231", "-", "19000101-20991231", "$today-20991231"])
def test_l9_days_without_end_are_no_bound(problems, days):
    """A range that is open, or so wide that nobody works it off, matches every day there is."""
    (found,) = problems(site=f"{HEADER}{OPEN}set_key: {{SPS.ScheduledProcedureStepStartDate: '{days}'}}")

    assert found.endswith("[L9]")


@pytest.mark.parametrize("days", ["$today", "20260701-20260731", "$today-$today", "20260705"])
def test_l9_a_few_days_are_a_bound(problems, days):
    """A key of so many days is somebody's work."""
    assert problems(site=f"{HEADER}{OPEN}set_key: {{SPS.ScheduledProcedureStepStartDate: '{days}'}}") == []


@pytest.mark.parametrize(
    "line",
    [
        "ignore_keys: [ScheduledProcedureStepSequence]",
        "ignore_keys: [SPS]",
        "set_key: {SPS.Modality: '?*', SPS.ScheduledStationAETitle: '?', SPS.ScheduledProcedureStepStartDate: '-'}",
    ],
)
def test_l9_one_line_can_open_everything(problems, line):
    """The step's sequence holds all three bounds, and a wildcard of any length is none."""
    (found,) = problems(site=HEADER + line)

    assert found.endswith("[L9]")


def test_l9_days_in_short_are_a_window_too(problems):
    """`dates` says the same in one word, and `unsafe` stands in ignore_keys then."""
    unsafe = "ignore_keys: {keys: [SPS.ScheduledStationAETitle, SPS.Modality], unsafe: true}\n"

    assert problems(site=f"{HEADER}{OPEN}dates: +-99")[0].endswith("[L9]")
    assert problems(site=f"{HEADER}{unsafe}dates: +-99") == []
    assert problems(site=f"{HEADER}{OPEN}dates: +-30") == []


def test_l9_counts_what_a_profile_and_its_base_open_together(problems):
    """Neither leaves nothing to match by itself; what the device gets is both."""
    base = "profile: base\nstatus: partial\nextends: []\nignore_keys: [SPS.ScheduledStationAETitle, SPS.Modality]\n"
    child = f"{HEADER.replace('[]', 'base')}set_key: {{SPS.ScheduledProcedureStepStartDate: ''}}\n"

    assert problems(base=base) == []
    (found,) = problems(base=base, site=child)
    assert found.endswith("[L9]")
    assert problems(base=base.replace("[S", "{unsafe: true, keys: [S").replace("y]", "y]}"), site=child) == []


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
        "replace: {tag: PatientName, from: '\\^.*', to: ''}",
        "text: {tags: PatientName, ops: ['allow:A-Z^ ']}",
        "map: {table: {A: LATEX}, key: AdmissionID, out: {MedicalAlerts: value}}",
        "copy: {from: PatientState, to: MedicalAlerts}",
        "pn: {tag: PatientName, derive: {alphabetic: pinyin}, emit: [alphabetic], drop: [suffix]}",
        "alias: {tag: PatientSex, query: {X: [M, F]}}",
        "return: {never: [SPS.ScheduledStationAETitle, PatientSex]}",
        "window: {mode: clamp, back: 3650d}",
    ],
)
def test_what_is_told_in_other_words_is_not_made_up(problems, line):
    """Romanised, cut with a mark, cleaned, or marked: it is the patient's all the same."""
    assert problems(site=HEADER + line) == []
