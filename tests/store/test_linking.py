"""The ladder from an MPPS item to a scheduled step, without a database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.store.linking import Candidate, Choice, Numbers, Remark, Rung, choose, wanted

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
        pytest.param(S1, 1, Rung.STEP_AND_PROCEDURE, id="everything returned"),
        pytest.param(only(step_id="S1", requested_procedure_id="RP1001"), 1, Rung.STEP_AND_PROCEDURE, id="IDs alone"),
        pytest.param(only(step_id="S3", accession="ACC1001"), 3, Rung.STEP_AND_ACCESSION, id="accession"),
        pytest.param(only(step_id="S3", studies=frozenset({"1.1001"})), 3, Rung.STEP_AND_STUDY, id="study and step"),
        pytest.param(only(studies=frozenset({"1.1002"})), 2, Rung.STUDY, id="study of one step"),
        pytest.param(only(step_id="X", studies=frozenset({"1.1002"})), 2, Rung.STUDY, id="step ID made anew"),
        pytest.param(only(studies=frozenset({"1.1001"}), modality="MR"), 3, Rung.STUDY, id="B-30 modality"),
        pytest.param(
            only(studies=frozenset({"1.1001"}), stations=frozenset({"MR_1"})), 3, Rung.STUDY, id="B-30 station"
        ),
        pytest.param(
            only(accession="ACC1001", stations=frozenset({"MR_1", "NX"})), 3, Rung.ACCESSION_AND_STATION,
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

    assert choose(item, stored) == Choice(2, Rung.STEP_AND_PROCEDURE)


def test_f_m23_a_differing_patient_breaks_no_exact_link():
    """The IDs hold, the difference is reported."""
    assert choose(replace(S1, patient_id="PID999"), STORED) == Choice(
        1, Rung.STEP_AND_PROCEDURE, (Remark.PATIENT_DIFFERS,)
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

    assert choose(item, STORED) == Choice(2, Rung.STUDY, (Remark.NUMBERS_DIFFER,))


def test_m14_no_patient_is_no_difference():
    """An empty Patient ID is unknown, not another patient."""
    assert choose(replace(S1, patient_id="", issuer=""), STORED) == Choice(1, Rung.STEP_AND_PROCEDURE)


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
    studies=SETS, patient_id=SHORT, issuer=SHORT, modality=SHORT, stations=SETS,
)  # fmt: skip


@given(item=ANY, stored=st.lists(ANY, max_size=5))
def test_a_link_always_shares_what_its_rung_says(item, stored):
    """Whatever the numbers, a step is chosen only on equal, non-empty values."""
    choice = choose(item, [Candidate(key, numbers) for key, numbers in enumerate(stored)])

    if choice.step_key is not None:
        found = stored[choice.step_key]
        shared = {
            Rung.STEP_AND_PROCEDURE: item.step_id == found.step_id != ""
            and item.requested_procedure_id == found.requested_procedure_id != "",
            Rung.STEP_AND_ACCESSION: item.step_id == found.step_id != ""
            and item.accession == found.accession != "",
            Rung.STEP_AND_STUDY: item.step_id == found.step_id != "" and item.studies & found.studies,
            Rung.STUDY: item.studies & found.studies,
            Rung.ACCESSION_AND_STATION: item.accession == found.accession != ""
            and item.stations & found.stations,
        }
        assert shared[choice.rung]


@given(item=ANY, stored=st.lists(ANY, max_size=5), data=st.data())
def test_the_order_of_the_candidates_does_not_matter(item, stored, data):
    """The ladder decides, not the order in which the database answers."""
    known = [Candidate(key, numbers) for key, numbers in enumerate(stored)]

    assert choose(item, data.draw(st.permutations(known))) == choose(item, known)
