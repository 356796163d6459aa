"""P26: the Study Instance UID, which nothing else touches."""

from __future__ import annotations

import dataclasses

import pytest

from mwl.handles import Known, Lookups, step_key, step_study
from mwl.mapping.devices.device import SiteFacts
from mwl.model import StepRef
from mwl.query import Criterion, Op, holds

PER_STEP = "uid: {StudyInstanceUID: {per_sps: derive}}"
STORED = {"StudyInstanceUID": "1.2.3", "SPS.ScheduledProcedureStepID": "S1"}


def of(item, key, **lines):
    """A worklist item of this key."""
    return dataclasses.replace(item({**STORED, **lines}), ref=StepRef(key, 1, 1, 1))


@pytest.fixture
def shown(bind, item, doc, flat, facts):
    """The Study Instance UID that a step is shown with."""

    def show(key, profile=PER_STEP, site=None, **lines):
        keys = doc({"StudyInstanceUID": ""})
        answer = bind(profile, site=site).respond(of(item, key, **lines), keys, facts)
        return flat(answer)["StudyInstanceUID"]

    return show


def test_f28_each_step_has_a_study_of_its_own(shown):
    """LOGIQ 7 keeps one entry a study: three steps of one study are three, today and tomorrow."""
    uids = [shown(key) for key in (1, 2, 3)]

    assert len(set(uids)) == 3
    assert uids == [shown(key) for key in (1, 2, 3)]
    assert uids[0] == step_study("1.2.3", "S1", 1, None)
    assert [step_key(uid) for uid in uids] == [1, 2, 3]


def test_f28_an_update_of_the_step_keeps_its_uid(shown):
    """What the UID is made of is study and step alone."""
    assert shown(1, PatientName="DOE^JANE") == shown(1, PatientName="ROE^JANE")


def test_f28_a_uid_is_of_the_step_as_it_is_stored(bind, item, doc, flat, facts):
    """A codec on the step ID does not make another study of it."""
    lines = f"{PER_STEP}\ncodec: {{tag: SPS.ScheduledProcedureStepID, op: suffix, text: /1}}"
    keys = doc({"StudyInstanceUID": "", "SPS.ScheduledProcedureStepID": ""})

    answer = flat(bind(lines).respond(of(item, 1), keys, facts))

    assert answer == {
        "StudyInstanceUID": step_study("1.2.3", "S1", 1, None),
        "SPS.ScheduledProcedureStepID": "S1/1",
    }


def test_uids_stand_under_the_root_of_the_line_or_the_site(shown):
    """In that order; else under 2.25."""
    lines = "uid: {StudyInstanceUID: {per_sps: derive, root: 1.2.9}}"

    assert shown(1, site=SiteFacts(uid_root="1.2.8")).startswith("1.2.8.")
    assert shown(1, lines, site=SiteFacts(uid_root="1.2.8")).startswith("1.2.9.")
    assert shown(1).startswith("2.25.")


def test_f28_a_step_is_asked_for_by_its_own_study(bind, doc, item, facts):
    """The criterion holds for that step and for no other of the study."""
    from mwl.dicom.matching import understand

    profile, uid = bind(PER_STEP), step_study("1.2.3", "S1", 7, None)
    (criterion,) = understand(profile.rewrite(doc({"StudyInstanceUID": uid}), facts)).criteria

    assert criterion == Criterion(("0020000D",), Op.STEP_STUDY, (uid,))
    assert holds(criterion, of(item, 7))
    assert not holds(criterion, of(item, 8))
    assert not holds(criterion, of(item, 7, **{"SPS.ScheduledProcedureStepID": "S2"}))


def test_any_other_study_is_asked_for_as_it_is(bind, doc, facts):
    """A device may know the study from elsewhere."""
    rewritten = bind(PER_STEP).rewrite(doc({"StudyInstanceUID": "1.2.3"}), facts)

    assert rewritten == doc({"StudyInstanceUID": "1.2.3"})


def test_f28_a_performed_step_means_study_and_step(bind, doc, flat, facts):
    """The UID is led back wherever it stands, and says which step it is where the item does not."""
    profile, uid = bind(PER_STEP), step_study("1.2.3", "S1", 7, None)
    performed = doc(
        {
            "ScheduledStepAttributesSequence": [
                {"StudyInstanceUID": uid, "ReferencedStudySequence": [{"ReferencedSOPInstanceUID": uid}]},
                {"StudyInstanceUID": uid, "ScheduledProcedureStepID": "edited"},
                {"StudyInstanceUID": "1.9"},
            ]
        }
    )

    assert profile.lookups(performed) == Lookups(studies=frozenset({uid}))
    led = flat(profile.canonical(performed, facts, Known(steps={uid: ("1.2.3", "S1")})))
    assert led["ScheduledStepAttributesSequence"] == [
        {
            "StudyInstanceUID": "1.2.3",
            "ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1.2.3"}],
            "ScheduledProcedureStepID": "S1",
        },
        {"StudyInstanceUID": "1.2.3", "ScheduledProcedureStepID": "edited"},
        {"StudyInstanceUID": "1.9"},
    ]
    assert profile.canonical(performed, facts) == performed


def test_p26_a_study_is_derived_where_there_is_none(answer):
    """The same for every step of one order; one that is there stays."""
    lines = "uid: {StudyInstanceUID: {if_missing: derive}}"
    first = {"StudyInstanceUID": "", "AccessionNumber": "A1", "SPS.ScheduledProcedureStepID": "S1"}

    made = answer(lines, first)["StudyInstanceUID"]

    assert made.startswith("2.25.")
    assert answer(lines, {**first, "SPS.ScheduledProcedureStepID": "S2"})["StudyInstanceUID"] == made
    assert answer(lines, {**first, "AccessionNumber": "A2"})["StudyInstanceUID"] != made
    assert answer(lines, {**first, "StudyInstanceUID": "1.2"})["StudyInstanceUID"] == "1.2"


def test_p26_a_study_is_not_sent(answer):
    """The device makes its own; `require` does not put one back."""
    lines = "uid: {StudyInstanceUID: {suppress: true}}"

    assert answer(lines, {"StudyInstanceUID": "1.2", "PatientID": "1"}, base="[]") == {"PatientID": "1"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{PatientID: {if_missing: derive}}", "only StudyInstanceUID"),
        ("{StudyInstanceUID: {suppress: true, per_sps: derive}}", "cannot be derived as well"),
        ("{StudyInstanceUID: {per_sps: derive, root: 1.02.3}}", "no root of UIDs"),
        ("{StudyInstanceUID: {per_sps: derive, root: 1.2.840.113619.6.50.1234567}}", "longer than 24"),
    ],
)
def test_p26_what_makes_no_uid_is_refused(problems, line, expected):
    """At its line."""
    (found,) = problems(site=f"profile: site\nstatus: evidence\nuid: {line}\n")

    assert found.startswith("site.yaml:3:")
    assert expected in found
