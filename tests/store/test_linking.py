"""The ladder from an MPPS item to a scheduled step, without a database."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.conduct import (
    ACCESSION_AND_STATION,
    LADDER,
    PATIENT_AND_TIME,
    STEP_AND_ACCESSION,
    STEP_AND_PROCEDURE,
    STEP_AND_STUDY,
    STUDY,
    Conduct,
    Key,
    Rung,
)
from mwl.store.linking import TRAITS, Candidate, Choice, Numbers, Remark, choose, near, ranked, wanted

S1 = Numbers(
    step_id="S1", requested_procedure_id="RP1001", accession="ACC1001", accession_issuer="HOSP_A",
    studies=frozenset({"1.1001"}), patient_id="PID001", issuer="HOSP_A", modality="CT",
    stations=frozenset({"CT_ROOM1"}),
)  # fmt: skip
S3 = replace(S1, step_id="S3", modality="MR", stations=frozenset({"MR_1"}))
OTHER = Numbers(
    step_id="S2", requested_procedure_id="RP1002", accession="ACC1002", studies=frozenset({"1.1002"}),
    patient_id="PID002", issuer="HOSP_A", modality="CT", stations=frozenset({"CT_ROOM1"}),
)  # fmt: skip
STORED = [Candidate(1, S1), Candidate(3, S3), Candidate(2, OTHER)]
EMPTY = Numbers()


def only(**stated) -> Numbers:
    return replace(EMPTY, **stated)


@pytest.mark.parametrize(
    ("item", "step", "rung"),
    [
        pytest.param(S1, 1, STEP_AND_PROCEDURE, id="everything returned"),
        pytest.param(only(step_id="S1", requested_procedure_id="RP1001"), 1, STEP_AND_PROCEDURE, id="IDs alone"),
        pytest.param(only(step_id="S3", accession="ACC1001"), 3, STEP_AND_ACCESSION, id="accession"),
        pytest.param(only(step_id="S3", studies=frozenset({"1.1001"})), 3, STEP_AND_STUDY, id="study and step"),
        pytest.param(only(studies=frozenset({"1.1002"})), 2, STUDY, id="study of one step"),
        pytest.param(only(step_id="X", studies=frozenset({"1.1002"})), 2, STUDY, id="step ID made anew"),
        pytest.param(only(studies=frozenset({"1.1001"}), modality="MR"), 3, STUDY, id="B-30 modality"),
        pytest.param(
            only(studies=frozenset({"1.1001"}), stations=frozenset({"MR_1"})), 3, STUDY, id="B-30 station"
        ),
        pytest.param(
            only(accession="ACC1001", stations=frozenset({"MR_1", "NX"})), 3, ACCESSION_AND_STATION,
            id="M11 accession and station",
        ),
    ],
)  # fmt: skip
def test_the_first_rung_with_one_step_decides(item, step, rung):
    """Each rung leads to its step when the ones before it cannot."""
    choice = choose(item, STORED)

    assert (choice.step_key, choice.rung) == (step, rung)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(EMPTY, id="nothing"),
        pytest.param(only(step_id="S1"), id="step ID alone"),
        pytest.param(only(patient_id="PID001", issuer="HOSP_A", modality="CT"), id="patient alone"),
        pytest.param(only(accession="ACC1001"), id="accession alone"),
        pytest.param(only(studies=frozenset({"1.9"}), modality="CT", stations=frozenset({"CT_ROOM1"})), id="M06"),
    ],
)  # fmt: skip
def test_too_little_links_nothing(item):
    """An item that does not name a step is unscheduled, not guessed at."""
    assert choose(item, STORED) == Choice()


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(only(studies=frozenset({"1.1001"})), id="no step ID"),
        pytest.param(only(studies=frozenset({"1.1001"}), step_id="X", modality="CT"), id="another step ID"),
        pytest.param(only(accession="ACC1001", stations=frozenset({"CT_ROOM1", "MR_1"})), id="two stations"),
    ],
)
def test_several_steps_are_none_and_are_reported(item):
    """The steps of a study are not all performed because one of them was."""
    assert choose(item, STORED) == Choice(remarks=(Remark.AMBIGUOUS,))


def test_zero_length_numbers_never_match():
    """An order without numbers is not the order of a device that sends none."""
    blank = [Candidate(1, EMPTY), Candidate(2, replace(EMPTY, studies=frozenset({"1.1"})))]

    assert choose(EMPTY, blank) == Choice()


def test_short_numbers_of_another_order_are_not_enough():
    """Step "1" of procedure "1" is everywhere: study, accession or patient must agree where both know them."""
    stored = [Candidate(1, replace(S1, step_id="1", requested_procedure_id="1"))]
    item = replace(OTHER, step_id="1", requested_procedure_id="1", stations=frozenset())

    assert choose(item, stored) == Choice()


def test_short_numbers_are_told_apart_by_what_else_agrees():
    """Two orders use the same IDs; the study tells which is meant."""
    stored = [
        Candidate(1, replace(S1, step_id="1", requested_procedure_id="1")),
        Candidate(2, replace(OTHER, step_id="1", requested_procedure_id="1")),
    ]
    item = only(step_id="1", requested_procedure_id="1", studies=frozenset({"1.1002"}))

    assert choose(item, stored) == Choice(2, STEP_AND_PROCEDURE)


def test_f_m23_a_differing_patient_breaks_no_exact_link():
    """The IDs hold, the difference is reported."""
    assert choose(replace(S1, patient_id="PID999"), STORED) == Choice(
        1, STEP_AND_PROCEDURE, (Remark.PATIENT_DIFFERS,)
    )


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(only(studies=frozenset({"1.1002"}), patient_id="PID999"), id="F51 study"),
        pytest.param(only(studies=frozenset({"1.1002"}), patient_id="PID002", issuer="HOSP_B"), id="F51 issuer"),
    ],
)  # fmt: skip
def test_f51_a_differing_patient_breaks_a_weak_link(item):
    """A study alone closes no order of another patient."""
    assert choose(item, STORED) == Choice(remarks=(Remark.PATIENT_DIFFERS,))


def test_f51_an_accession_of_another_patient_closes_nothing():
    """Accession and station fit, but nothing else does."""
    item = only(accession="ACC1002", stations=frozenset({"CT_ROOM1"}), patient_id="PID999")

    assert choose(item, STORED).step_key is None


def test_m07_an_edited_accession_is_linked_by_study_and_reported():
    """The right order is found by its Study Instance UID; the number that differs is reported."""
    item = replace(OTHER, step_id="", requested_procedure_id="", accession="TYPED")

    assert choose(item, STORED) == Choice(2, STUDY, (Remark.NUMBERS_DIFFER,))


def test_m14_no_patient_is_no_difference():
    """An empty Patient ID is unknown, not another patient."""
    assert choose(replace(S1, patient_id="", issuer=""), STORED) == Choice(1, STEP_AND_PROCEDURE)


def test_order_numbers_lead_to_their_step():
    """A placer's or filler's number finds the order that has it, of whatever study."""
    stored = [Candidate(1, replace(S1, placer="P1", filler="F1")), Candidate(2, replace(OTHER, placer="P2"))]

    by_placer = choose(only(placer="P1", studies=frozenset({"9.9"}), patient_id="PID001"), stored)
    by_filler = choose(only(filler="F1"), stored)

    assert (by_placer.step_key, by_placer.rung.name) == (1, "placer number")
    assert by_placer.remarks == (Remark.NUMBERS_DIFFER,)  # the study is another
    assert (by_filler.step_key, by_filler.rung.name) == (1, "filler number")


def test_an_order_number_of_another_patient_closes_nothing():
    """Two departments may count their orders alike (F51)."""
    stored = [Candidate(1, replace(S1, placer="77", accession=""))]

    assert choose(only(placer="77", patient_id="PID002"), stored).step_key is None


def test_a_placer_number_of_another_system_is_another_number():
    """Its issuer tells."""
    stored = [Candidate(1, replace(S1, placer="77", placer_issuer="RIS_A"))]

    assert choose(only(placer="77", placer_issuer="RIS_B"), stored).step_key is None


EMERGENCY = only(
    studies=frozenset({"9.9"}), patient_id="PID001", issuer="HOSP_A", modality="CT",
    stations=frozenset({"CT_ROOM1"}), start="20260705091000.000000",
)  # fmt: skip
PLANNED = replace(S1, start="20260705090000.000000")


def test_m06_patient_station_and_time_propose_a_step_and_link_none():
    """The patient's next exam at this scanner may be the one that was done, and may not."""
    assert choose(EMERGENCY, [Candidate(1, PLANNED)]) == Choice(remarks=(Remark.PROBABLE,))


STATED = Conduct(ladder=(replace(PATIENT_AND_TIME, proposes=False),))


def test_p35_a_profile_may_link_by_patient_station_and_time():
    """It states the rung; what was proposed is linked."""
    choice = choose(EMERGENCY, [Candidate(1, PLANNED)], STATED)

    assert choice == Choice(1, STATED.ladder[0], (Remark.NUMBERS_DIFFER,))
    assert choice.rung.name == "patient ID + station + within 6h"


@pytest.mark.parametrize(
    ("item", "stored", "waits"),
    [
        pytest.param(EMERGENCY, PLANNED, False, id="something was done of it"),
        pytest.param(EMERGENCY, replace(PLANNED, start="20260705160000"), True, id="too late"),
        pytest.param(EMERGENCY, replace(PLANNED, start=""), True, id="never"),
        pytest.param(replace(EMERGENCY, start=""), PLANNED, True, id="no start"),
        pytest.param(replace(EMERGENCY, accession="TYPED"), PLANNED, True, id="another accession number"),
        pytest.param(replace(EMERGENCY, patient_id="PID002"), PLANNED, True, id="another patient"),
        pytest.param(replace(EMERGENCY, stations=frozenset({"CT_ROOM2"})), PLANNED, True, id="elsewhere"),
        pytest.param(replace(EMERGENCY, start="9 o'clock"), PLANNED, True, id="no time"),
    ],
)
def test_the_weakest_rung_leads_nowhere_else(item, stored, waits):
    """Not to what was done, to another day, to another order."""
    assert choose(item, [Candidate(1, stored, waits)], STATED) == Choice()


def test_two_steps_of_the_patient_in_the_time_are_none():
    """Which was done is not known."""
    stored = [Candidate(1, PLANNED), Candidate(2, replace(PLANNED, step_id="S9", start="20260705100000"))]

    assert choose(EMERGENCY, stored, STATED) == Choice(remarks=(Remark.AMBIGUOUS,))


def test_a_step_without_a_time_is_near_all_day():
    """An order may name the day alone."""
    within = dt.timedelta(hours=1)

    assert near("20260705091000", "20260705", within)
    assert not near("20260705235900", "20260706", within)
    assert near("20260705235900", "20260706001000", within)


def test_p35_the_ladder_of_a_profile_is_the_whole_ladder():
    """A device whose step IDs mean nothing is linked by accession number and station alone."""
    conduct = Conduct(ladder=(ACCESSION_AND_STATION,))
    item = replace(S3, step_id="1", accession="ACC1001", stations=frozenset({"MR_1"}))

    assert choose(item, STORED, conduct).rung == ACCESSION_AND_STATION
    assert choose(replace(item, accession=""), STORED, conduct) == Choice()


def test_p35_differences_in_numbers_may_be_left_unreported():
    """For a device whose operators edit; another patient is reported all the same."""
    quiet = Conduct(reports_differences=False)
    item = replace(S1, accession="TYPED")

    assert choose(item, STORED, quiet).remarks == ()
    assert choose(replace(item, patient_id="PID999"), STORED, quiet).remarks == (Remark.PATIENT_DIFFERS,)


def test_m11_a_station_is_the_device_by_any_of_its_titles():
    """The worklist asks as NX_WL, the exam is reported by NX_MPPS: one workstation."""
    document = {
        "00400241": {"vr": "AE", "Value": ["NX_MPPS"]},
        "00400270": {"vr": "SQ", "Value": [{"00080050": {"vr": "SH", "Value": ["ACC1001"]}}]},
    }
    stored = [Candidate(1, replace(S1, stations=frozenset({"NX_ROOM"})))]

    [item] = wanted(document, "NX_WL", Conduct(titles=frozenset({"NX_WL", "NX_MPPS", "NX_ROOM"})))

    assert item.stations == {"NX_WL", "NX_MPPS", "NX_ROOM"}
    assert choose(item, stored).rung == ACCESSION_AND_STATION


def test_a_person_is_shown_the_most_alike_first():
    """With what agrees and what differs."""
    first, second, third = ranked(replace(EMERGENCY, accession="ACC1001"), STORED, dt.timedelta(hours=6))

    assert [each.step_key for each in (first, second, third)] == [1, 3, 2]
    assert set(first.agrees) == {Key.ACCESSION, Key.PATIENT, Key.STATION}
    assert first.differs == (Key.STUDY,)


def test_every_key_of_a_rung_can_be_compared():
    """A key without a trait would link by nothing."""
    assert set(TRAITS) == set(Key)


def test_accessions_of_two_issuers_are_two_numbers():
    """The same accession number of another issuer is another order's."""
    item = only(step_id="S1", accession="ACC1001", accession_issuer="HOSP_B")

    assert choose(item, STORED) == Choice()


def test_the_items_of_a_document_are_read_with_their_referenced_studies():
    """B-34: in the group case an item may carry a common UID, the original being referenced."""

    def element(*values: object) -> dict:
        return {"vr": "LO", "Value": list(values)}

    document = {
        "00080060": element("CT"), "00400241": element("CT_ROOM1 "), "00100020": element("PID001"),
        "00400270": element(
            {"0020000D": element("9.9"), "00081110": element({"00081155": element("1.1001")})},
            {"0020000D": element("9.9"), "00400009": element("S2"), "00401001": element("RP1002")},
        ),
    }  # fmt: skip

    first, second = wanted(document, "NX_MPPS")

    assert first == only(
        studies=frozenset({"9.9", "1.1001"}), patient_id="PID001", modality="CT",
        stations=frozenset({"CT_ROOM1", "NX_MPPS"}),
    )  # fmt: skip
    assert (second.step_id, second.requested_procedure_id) == ("S2", "RP1002")


SHORT = st.sampled_from(["", "1", "2"])
SETS = st.frozensets(st.sampled_from(["1", "2"]), max_size=2)
ANY = st.builds(
    Numbers, step_id=SHORT, requested_procedure_id=SHORT, accession=SHORT, accession_issuer=SHORT,
    studies=SETS, patient_id=SHORT, issuer=SHORT, modality=SHORT, stations=SETS, placer=SHORT, filler=SHORT,
    start=st.sampled_from(["", "20260705", "20260705090000", "20260706090000"]),
)  # fmt: skip


RUNGS = st.builds(
    Rung,
    st.lists(st.sampled_from(Key), min_size=1, max_size=3, unique=True).map(tuple),
    st.none() | st.just(dt.timedelta(hours=2)),
)
LADDERS = st.just(LADDER) | st.lists(RUNGS, min_size=1, max_size=4).map(tuple)


@given(item=ANY, stored=st.lists(ANY, max_size=5), ladder=LADDERS)
def test_a_link_always_shares_what_its_rung_says(item, stored, ladder):
    """Whatever the numbers and whatever the ladder, a step is chosen only on equal, non-empty values."""
    known = [Candidate(key, numbers) for key, numbers in enumerate(stored)]

    choice = choose(item, known, Conduct(ladder=ladder))

    if choice.step_key is not None:
        found = stored[choice.step_key]
        equal = {
            Key.STEP: item.step_id == found.step_id != "",
            Key.PROCEDURE: item.requested_procedure_id == found.requested_procedure_id != "",
            Key.ACCESSION: item.accession == found.accession != "",
            Key.STUDY: bool(item.studies & found.studies),
            Key.PLACER: item.placer == found.placer != "",
            Key.FILLER: item.filler == found.filler != "",
            Key.STATION: bool(item.stations & found.stations),
            Key.PATIENT: item.patient_id == found.patient_id != "",
        }
        assert choice.rung in ladder
        assert [key for key in choice.rung.keys if not equal[key]] == []
        assert choice.rung.within is None or item.start[:8] == found.start[:8] != ""


@given(item=ANY, stored=st.lists(ANY, max_size=5), data=st.data())
def test_the_order_of_the_candidates_does_not_matter(item, stored, data):
    """The ladder decides, not the order in which the database answers."""
    known = [Candidate(key, numbers) for key, numbers in enumerate(stored)]

    assert choose(item, data.draw(st.permutations(known))) == choose(item, known)
