"""Handles in the store: kept with the order, led back to the identity, and never two for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import func, select, update
from store.ris import Ris, bind, order, value

from mwl.errors import Refused
from mwl.handles import Known, Lookups, shortened, step_study
from mwl.query import Criterion, Fold, Op, WorklistQuery, holds
from mwl.store import Store, handles, steps, tables

Make: TypeAlias = Callable[..., Ris]

LONG = "HOSP-2025-0003344556"
PATIENT, ACCESSION, STUDY, NAME = ("00100020",), ("00080050",), ("0020000D",), ("00100010",)
LONGER = "procedure: {AccessionNumber: {max: 32}}"


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Make:
    """Make a system whose profile has these lines."""
    return lambda text="": Ris(store, bind(site=tmp_path, text=text))


def found(store: Store, *criteria: Criterion) -> list[str]:
    """Return the step IDs that satisfy *criteria*; `holds` must say the same."""

    def work(tx):
        everything = steps.load(tx, steps.match(tx, WorklistQuery()))
        matched = steps.load(tx, steps.match(tx, WorklistQuery(criteria)))
        agreed = [item for item in everything if all(holds(each, item) for each in criteria)]
        assert matched == agreed
        assert steps.count(tx, WorklistQuery(criteria)) == len(matched)
        return [str(value(item, "SPS.ScheduledProcedureStepID")) for item in matched]

    return store.read_now(work)


def count(store: Store) -> int:
    return store.read_now(lambda tx: tx.connection.scalar(select(func.count()).select_from(tables.handles)))


def test_a_long_number_is_refused_unless_the_profile_takes_it(make: Make, store: Store) -> None:
    """F48: 102, data type; nothing of the order is stored."""
    ris = make()

    assert [code for code, _ in ris.refused(order(OBR_18=LONG))] == [102]
    assert ris.steps == []
    assert count(store) == 0


def test_a_long_number_is_taken_whole_and_found_by_its_handle(make: Make, store: Store) -> None:
    """F48: what is stored is what was sent; the handle is kept with it."""
    ris = make(LONGER)
    ris.send(order(OBR_18=LONG))
    ris.send(order(ORC_2="P2^PLC", ORC_3="F2^FIL", OBR_2="P2^PLC", OBR_3="F2^FIL", OBR_18="A2",
                   OBR_19="RPID2", OBR_20="SPS2", ZDS_1="1.2.276.0.99.2"))  # fmt: skip

    assert value(ris.steps[0], "AccessionNumber") == LONG
    assert found(store, Criterion(ACCESSION, Op.HANDLE, (shortened(LONG),))) == ["SPS1"]
    assert found(store, Criterion(ACCESSION, Op.HANDLE, (LONG,))) == ["SPS1"]
    assert found(store, Criterion(ACCESSION, Op.HANDLE, ("A2",))) == ["SPS2"]
    assert found(store, Criterion(ACCESSION, Op.HANDLE, ("A2", shortened(LONG)))) == ["SPS1", "SPS2"]
    assert found(store, Criterion(ACCESSION, Op.HANDLE, ("H222222222222222",))) == []
    wanted = ("00080050", shortened(LONG))
    assert store.read_now(lambda tx: handles.known(tx, Lookups(frozenset({wanted})))) == Known({wanted: LONG})


def test_a_number_longer_than_admitted_is_refused(make: Make) -> None:
    """The profile says how long; 64 is the most."""
    ris = make("procedure: {AccessionNumber: {max: 1000}}")

    assert [code for code, _ in ris.refused(order(OBR_18="A" * 65))] == [102]
    ris.send(order(OBR_18="A" * 64))


def test_the_same_order_again_keeps_one_handle(make: Make, store: Store) -> None:
    """D-30: applied twice, a message changes nothing the second time."""
    ris = make(LONGER)
    ris.send(order(OBR_18=LONG))
    kept = count(store)

    ris.send(order(OBR_18=LONG))
    ris.send(order(OBR_18=LONG, ORC_7="^^^20260706090000^^S"))

    assert kept == 1
    assert count(store) == 1


def test_two_numbers_never_share_a_handle(make: Make, store: Store) -> None:
    """The order is refused rather than shown as another."""
    make(LONGER).send(order(OBR_18=LONG))

    def occupy(tx):
        tx.connection.execute(update(tables.handles).values(value="another"))

    store.write_now(occupy)
    with pytest.raises(Refused):
        store.write_now(lambda tx: handles.keep(tx, {"00080050": {"vr": "SH", "Value": [LONG]}}))


def test_f50_capitals_lead_to_the_one_who_is_written_otherwise(make: Make, store: Store) -> None:
    """The device's AB12 is ab12."""
    make().send(order(PID_3="ab12^^^HOSP_A"))

    assert found(store, Criterion(PATIENT, Op.HANDLE, ("AB12",))) == ["SPS1"]
    wanted = Lookups(frozenset({("00100020", "AB12")}))
    assert store.read_now(lambda tx: handles.known(tx, wanted)).values == {("00100020", "AB12"): "ab12"}


def other(patient: str, **fields: str) -> str:
    """Return another order, of another patient."""
    return order(PID_3=f"{patient}^^^HOSP_A", PID_5="ROE^JANE", ORC_2="P2^PLC", ORC_3="F2^FIL",
                 OBR_2="P2^PLC", OBR_3="F2^FIL", OBR_18="ACC2", OBR_19="RPID2", OBR_20="SPS2",
                 ZDS_1="1.2.276.0.99.2", **fields)  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [("ab12", "AB12"), ("AB12", "ab12"), ("ab12", "aB12")])
def test_f50_two_patients_who_differ_in_capitals_alone_are_refused(
    make: Make, first: str, second: str
) -> None:
    """By the policy: a device that shows capitals would take them for one."""
    ris = make("order: {policies: {other_spelling: refuse}}")
    ris.send(order(PID_3=f"{first}^^^HOSP_A"))

    assert ris.refused(other(second)) == [(205, "ORC-2")]
    assert len(ris.steps) == 1
    ris.send(order(PID_3=f"{first}^^^HOSP_A", ORC_7="^^^20260706090000^^S"))


def test_f50_without_the_policy_both_are_taken_and_capitals_mean_nobody(make: Make, store: Store) -> None:
    """Who is called so himself is not taken for the other."""
    ris = make()
    ris.send(order(PID_3="ab12^^^HOSP_A"))
    ris.send(other("AB12"))

    assert len(ris.steps) == 2
    wanted = Lookups(frozenset({("00100020", "AB12")}))
    assert store.read_now(lambda tx: handles.known(tx, wanted)) == Known()


def test_f50_two_spellings_that_were_merged_are_one_patient(make: Make) -> None:
    """The mistake is mended by the system that made it."""
    ris = make("order: {policies: {other_spelling: refuse}}")
    ris.send(order(PID_3="ab12^^^HOSP_A"))
    merge = ["MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701110000||ADT^A40|2|P|2.3.1", "EVN|A40|20260701110000",
             "PID|||AB12^^^HOSP_A||DOE^JOHN", "MRG|ab12^^^HOSP_A"]  # fmt: skip
    ris.send("\r".join(merge))

    ris.send(other("AB12").replace("ROE^JANE", "DOE^JOHN"))

    assert len(ris.steps) == 2


def test_f50_accession_numbers_that_differ_in_capitals_alone_are_refused(make: Make) -> None:
    """They are shown in capitals as well."""
    ris = make("order: {policies: {other_spelling: refuse}}")
    ris.send(order(OBR_18="acc2"))

    assert ris.refused(other("PID002")) == [(205, "ORC-2")]


def test_f28_the_study_of_a_step_leads_to_that_step(make: Make, store: Store) -> None:
    """Of two steps of one study; a UID made for another database leads nowhere."""
    ris = make()
    ris.send(order())
    ris.send(order(OBR_20="SPS2"))
    one, two = ris.steps
    study = "1.2.276.0.99.1"
    uid = step_study(study, "SPS2", two.ref.key, "1.2.9")

    assert found(store, Criterion(STUDY, Op.STEP_STUDY, (uid,))) == ["SPS2"]
    assert store.read_now(lambda tx: handles.known(tx, Lookups(studies=frozenset({uid})))).steps == {
        uid: (study, "SPS2")
    }
    for strange in (
        step_study("1.2", "SPS2", two.ref.key, None),
        step_study(study, "SPS2", one.ref.key, None),
    ):
        assert found(store, Criterion(STUDY, Op.STEP_STUDY, (strange,))) == []
        assert store.read_now(lambda tx, uid=strange: handles.step_of(tx, uid)) is None


@pytest.mark.parametrize(
    ("typed", "folds", "steps_found"),
    [
        ("muller*", (Fold.DIACRITICS,), ["SPS1"]),
        ("MULLER^JUR*", (Fold.DIACRITICS,), ["SPS1"]),
        ("*uller*", (Fold.DIACRITICS,), ["SPS1"]),
        ("m?ller*", (Fold.DIACRITICS,), ["SPS1"]),
        ("jurgen*", (Fold.DIACRITICS,), []),
        ("muller*", (Fold.KANA,), []),
    ],
)
def test_f46_a_name_is_found_without_its_accents(
    make: Make, store: Store, typed: str, folds: tuple[Fold, ...], steps_found: list[str]
) -> None:
    """Exactly as the documents decide."""
    ris = make()
    ris.send(order(PID_5="MÜLLER^JÜRGEN"))
    ris.send(other("PID002"))

    assert found(store, Criterion(NAME, Op.NAME, (typed,), folds=folds)) == steps_found


def test_f46_the_documents_of_a_few_are_read(make: Make, store: Store) -> None:
    """A name is looked for by its spelling first."""
    ris = make()
    ris.send(order(PID_5="MÜLLER^JÜRGEN"))
    ris.send(other("PID002"))
    criterion = Criterion(NAME, Op.NAME, ("muller*",), folds=(Fold.DIACRITICS,))

    def looked_at(tx):
        return [row.key for row in steps.Found(tx, WorklistQuery((criterion,))).selection.rows()]

    assert store.read_now(looked_at) == [ris.steps[0].ref.key]


def test_a_number_is_found_without_capitals(make: Make, store: Store) -> None:
    """P7 `fold: case` on a number: the columns cannot decide it."""
    make().send(order(PID_3="Ab12^^^HOSP_A"))

    assert found(store, Criterion(PATIENT, Op.IN, ("aB12",), folds=(Fold.CASE,))) == ["SPS1"]
    assert found(store, Criterion(PATIENT, Op.WILDCARD, ("ab*",), folds=(Fold.CASE,))) == ["SPS1"]
    assert found(store, Criterion(PATIENT, Op.WILDCARD, ("x*",), folds=(Fold.CASE,))) == []


def test_f07_alternatives_are_looked_for_by_what_they_have_in_common(make: Make, store: Store) -> None:
    """A CT of the 5th or a CT of the 6th: the documents of other days are not read."""
    ris = make()
    for number, day in enumerate(("20260705", "20260706", "20260901"), 1):
        ris.send(order(OBR_20=f"SPS{number}", ORC_7=f"^^^{day}090000^^S"))
    modality, start = ("00400100", "00080060"), ("00400100", "00400002")
    days = [
        Criterion(
            (), Op.ALL, within=(Criterion(start, Op.RANGE, (day, day)), Criterion(modality, Op.IN, ("CT",)))
        )
        for day in ("20260705", "20260706")
    ]
    either = Criterion((), Op.ANY, within=tuple(days))

    assert found(store, either) == ["SPS1", "SPS2"]
    query = WorklistQuery((either,))
    looked_at = store.read_now(lambda tx: len(list(steps.Found(tx, query).selection.rows())))
    assert looked_at == 2
    assert found(store, Criterion((), Op.ANY, within=(*days, Criterion(modality, Op.IN, ("CT",))))) == [
        "SPS1", "SPS2", "SPS3",
    ]  # fmt: skip
