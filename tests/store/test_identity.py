"""Which stored procedure an order means, without a database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.store.identity import Found, OrderNumbers, means, pick

MINE = OrderNumbers("RIS", 1)
STORED = replace(
    MINE, placer="P1", filler="F1", accession="A1", requested_procedure_id="R1", study_instance_uid="1.1"
)


HAVING = replace(STORED, step_ids=frozenset({"S1"}))  # of the steps the message names


def sent(*step_ids: str, **numbers: str) -> OrderNumbers:
    return replace(MINE, step_ids=frozenset(step_ids), **numbers)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(
            sent("S1", accession="A1", requested_procedure_id="R1", placer="P9", filler="F9"), id="1"
        ),
        pytest.param(sent(filler="F1", placer="P9", accession="A9"), id="2 corrected numbers"),
        pytest.param(sent(filler="F1", study_instance_uid="9.9"), id="2 another study"),
        pytest.param(sent(placer="P1"), id="3"),
        pytest.param(
            sent(placer="P1", accession="A9", requested_procedure_id="R1"), id="3 corrected accession"
        ),
        pytest.param(sent(accession="A1"), id="4"),
        pytest.param(sent(study_instance_uid="1.1", requested_procedure_id="R1"), id="5 study and procedure"),
        pytest.param(sent(study_instance_uid="1.1"), id="5 study alone, without numbers"),
        pytest.param(sent(requested_procedure_id="R1"), id="5 procedure alone"),
    ],
)
def test_numbers_that_mean_the_stored_procedure(numbers):
    """Each rung finds it, also when weaker numbers changed."""
    assert means(numbers, HAVING)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(sent(), id="nothing"),
        pytest.param(
            sent(placer="P1", filler="F1", accession="A1", requested_procedure_id="R2"), id="procedure"
        ),
        pytest.param(sent(placer="P1", filler="F2"), id="another filler of one placer"),
        pytest.param(sent(placer="P1", accession="A2"), id="another accession of one placer"),
        pytest.param(sent(placer="P2", accession="A1"), id="another placer of one accession"),
        pytest.param(
            sent(filler="F2", accession="A1", requested_procedure_id="R1"),
            id="another filler of one procedure",
        ),
        pytest.param(
            sent(placer="P2", accession="A1", requested_procedure_id="R1"),
            id="another placer of one procedure",
        ),
        pytest.param(
            sent("S2", filler="F2", accession="A1", requested_procedure_id="R1"),
            id="another step of one procedure",
        ),
        pytest.param(sent("S1", filler="F2", placer="P1"), id="a step ID without the procedure"),
        pytest.param(sent(accession="A2", study_instance_uid="1.1"), id="study alone, with numbers"),
        pytest.param(
            sent(requested_procedure_id="R1", study_instance_uid="9.9"), id="procedure, other study"
        ),
        pytest.param(sent(requested_procedure_id="R1", accession="A9"), id="procedure, other accession"),
    ],
)
def test_numbers_that_mean_another_procedure(numbers):
    """What contradicts, or is too little, is another order."""
    assert not means(numbers, HAVING if "S1" in numbers.step_ids else STORED)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(("RIS", 1, "A"), ("HIS", 2, "A"), True, id="qualified, between systems and patients"),
        pytest.param(("RIS", 1, "A"), ("RIS", 1, "B"), False, id="two issuers"),
        pytest.param(("RIS", 1, ""), ("RIS", 2, ""), True, id="one system"),
        pytest.param(("RIS", 1, ""), ("RIS", 1, "A"), True, id="one system, issuer left out"),
        pytest.param(("RIS", 1, ""), ("HIS", 1, ""), True, id="two systems, one patient"),
        pytest.param(("RIS", 1, ""), ("HIS", 2, ""), False, id="two systems, two patients"),
    ],
)
def test_a_number_counts_within_its_issuer(one, other, same):
    """Issuer, else system, else patient tells whether equal numbers are the same number."""
    numbers = [
        OrderNumbers(system, patient, placer="P1", placer_issuer=i) for system, patient, i in (one, other)
    ]

    assert means(*numbers) is same


def test_the_same_numbers_of_another_patient_are_reported_and_not_found():
    """No key comes back: the caller cannot merge by accident."""
    assert pick(STORED, [(7, replace(STORED, patient_key=2))]) == Found((), True, True)


def test_another_order_of_another_patients_procedure_is_reported():
    """The accession number and the procedure are somebody else's, whatever the order's own numbers are."""
    other = replace(STORED, patient_key=2)

    assert pick(sent(filler="F2", accession="A1", requested_procedure_id="R1"), [(7, other)]).other_patient


def test_another_order_of_one_procedure_has_its_study():
    """Nothing is found, and the study is told; another accession number is another study."""
    numbers = sent(filler="F2", accession="A1", requested_procedure_id="R1")

    assert pick(numbers, [(7, STORED)]) == Found(shared_study="1.1")
    assert pick(replace(numbers, accession="A2"), [(7, STORED)]) == Found()


def test_of_several_orders_the_one_with_the_named_step_is_meant():
    """With the procedure's numbers the step counts more than the order's number, otherwise less."""
    known = [(1, HAVING), (2, replace(STORED, filler="F2"))]

    assert pick(sent("S1", placer="P1"), known).keys == (1,)
    assert pick(sent("S1", filler="F2"), known).keys == (2,)
    assert pick(sent("S1", filler="F2", accession="A1", requested_procedure_id="R1"), known).keys == (1,)


def test_of_several_procedures_the_one_that_agrees_most_is_meant():
    """A placer number shared by two procedures is told apart by the rest."""
    known = [
        (1, STORED),
        (2, replace(STORED, filler="", accession="", requested_procedure_id="", placer="P1")),
    ]

    assert pick(sent(placer="P1", requested_procedure_id="R1"), known).keys == (1,)


def test_procedures_that_cannot_be_told_apart_are_all_found():
    """A placer number alone means every procedure of it."""
    known = [
        (1, STORED),
        (2, replace(STORED, filler="F2", requested_procedure_id="R2", study_instance_uid="2")),
    ]

    assert pick(sent(placer="P1"), known).keys == (1, 2)


SHORT = st.sampled_from(["", "1", "2"])
ANY = st.builds(
    OrderNumbers, st.sampled_from(["RIS", "HIS"]), st.integers(1, 2),
    *[SHORT] * 6, requested_procedure_id=SHORT, study_instance_uid=SHORT,
)  # fmt: skip


@given(numbers=ANY)
def test_an_order_means_itself(numbers):
    """What was made from a message is found by the same message."""
    stored = replace(numbers, study_instance_uid=numbers.study_instance_uid or "derived")
    identified = numbers.any or numbers.study_instance_uid

    assert means(numbers, stored) is bool(identified)


@given(numbers=ANY, other=ANY)
def test_the_study_uid_alone_finds_nothing_that_has_numbers(numbers, other):
    """With numbers, an order is found by at least one of them."""
    if numbers.any and means(numbers, other):
        pairs = zip(numbers.numbers[::2], other.numbers[::2], strict=True)
        assert any(one == two != "" for one, two in pairs)


@given(numbers=ANY, other=ANY)
def test_another_requested_procedure_is_never_meant(numbers, other):
    """Procedures of one order are told apart by their IDs."""
    ids = {numbers.requested_procedure_id, other.requested_procedure_id} - {""}
    if len(ids) == 2:
        assert not means(numbers, other)
