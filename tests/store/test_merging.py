"""Merges, as the store applies them: everything moves, the prior ID finds the survivor, nothing is undone."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from mwl.conduct import STEP_AND_PROCEDURE
from mwl.errors import Location, Unacceptable
from mwl.lifecycle import StepEvent
from mwl.model import (
    OrderAction,
    OrderMessage,
    PatientChange,
    PatientMessage,
    ProcedureChange,
    WorklistItem,
    name_value,
    text,
)
from mwl.query import Criterion, Op, WorklistQuery
from mwl.store import Store, Transaction, effects, open_store, performed, steps, tables, transitions
from mwl.store.linking import Remark
from mwl.store.outcome import Outcome

ID, NAME, SEX, WEIGHT, STATE = ("00100020",), "00100010", "00100040", "00101030", "00400020"


def element(vr: str, *values: object) -> dict:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def patient(patient_id: str, issuer: str = "HOSP_A", name: str = "", **more: dict) -> dict:
    document = {"00100020": element("LO", patient_id), **more}
    if issuer:
        document["00100021"] = element("LO", issuer)
    return document | ({NAME: element("PN", name_value(name))} if name else {})


def order(n: str, of: dict, action: OrderAction = OrderAction.CREATE) -> OrderMessage:
    procedure = {
        "00402017": element("LO", f"F{n}"), "00080050": element("SH", f"ACC{n}"),
        "00401001": element("SH", f"RP{n}"), "0020000D": element("UI", f"1.2.276.0.99.{n}"),
    }  # fmt: skip
    step = {"00400009": element("SH", f"S{n}"), "00080060": element("CS", "CT"),
            "00400002": element("DA", "20260705"), "00400003": element("TM", "0900")}  # fmt: skip
    return OrderMessage("RIS", of, (ProcedureChange(action, procedure, (step,)),))


def merge(survivor: dict, *prior: dict) -> PatientMessage:
    return PatientMessage("RIS", (PatientChange(survivor, prior=prior, prior_at=Location("MRG", 1, 1)),))


def update(of: dict) -> PatientMessage:
    return PatientMessage("RIS", (PatientChange(of),))


def send(store: Store, message: object, told: tuple[str, ...] = ()) -> Outcome:
    def work(tx: Transaction) -> Outcome:
        return effects.apply(tx, message, source="hl7 RIS 1", uid_root=None, told=told)  # type: ignore[arg-type]

    return store.write_now(work)


def refused(store: Store, message: object) -> tuple[int, str]:
    with pytest.raises(Unacceptable) as caught:
        send(store, message)
    (finding,) = caught.value.findings
    return finding.code, str(finding.location)


def found(store: Store, patient_id: str = "") -> list[WorklistItem]:
    """What a query by patient ID finds; without one, everything."""
    criteria = (Criterion(ID, Op.IN, (patient_id,)),) if patient_id else ()
    return store.read_now(lambda tx: steps.load(tx, steps.match(tx, WorklistQuery(criteria))))


def owners(store: Store) -> dict[str, str]:
    """Return the patient ID under which each step stands, by step ID."""
    return {text(each.step, "00400009"): text(each.patient, "00100020") for each in found(store)}


def rows(store: Store, table) -> list:
    return store.read_now(lambda tx: tx.connection.execute(select(table).order_by(table.c.key)).all())


@pytest.fixture
def two(store: Store) -> Store:
    """A store with an order for each of PID001 and PID003."""
    send(store, order("1", patient("PID001", name="DOE^JOHN", **{SEX: element("CS", "M")})))
    send(store, order("4", patient("PID003", name="DOE^J", **{WEIGHT: element("DS", "80")})))
    return store


def test_f_h15_steps_move_and_the_prior_id_finds_nothing(two):
    """A merge takes the steps along, with every number they have; no query finds the prior ID."""
    before = {text(each.step, "00400009"): each for each in found(two)}

    outcome = send(two, merge(patient("PID001"), patient("PID003")))

    assert owners(two) == {"S1": "PID001", "S4": "PID001"}
    assert found(two, "PID003") == []
    assert [text(each.step, "00400009") for each in found(two, "PID001")] == ["S1", "S4"]
    (moved,) = (each for each in found(two) if text(each.step, "00400009") == "S4")
    assert moved.procedure == before["S4"].procedure
    assert (outcome.procedures, outcome.steps) == ((2,), (2,))
    history = two.read_now(lambda tx: steps.history(tx, moved.ref.key))
    assert [(each.event, each.before, each.after, each.source) for each in history][1:] == [
        ("merge", "SCHEDULED", "SCHEDULED", "hl7 RIS 1")
    ]


def test_every_query_sees_a_merge_at_once(two):
    """The revisions of a moved step are others, although both patients were at the same one."""
    (before,) = found(two, "PID003")

    send(two, merge(patient("PID001"), patient("PID003")))

    after = next(each for each in found(two) if each.ref.key == before.ref.key)
    assert after.ref != before.ref


def test_f_h15_an_order_for_the_prior_id_is_the_survivors(two):
    """It finds the patient that is left; what it says of the person fills gaps and replaces nothing."""
    send(two, merge(patient("PID001"), patient("PID003")))

    send(two, order("5", patient("PID003", name="OLD^NAME", **{WEIGHT: element("DS", "81")})))

    assert owners(two) == {"S1": "PID001", "S4": "PID001", "S5": "PID001"}
    (one, *_) = found(two)
    assert (text(one.patient, NAME), text(one.patient, "00100020")) == ("DOE^JOHN", "PID001")
    assert text(one.patient, WEIGHT) == "81"


@pytest.mark.parametrize("action", [OrderAction.UPDATE, OrderAction.CANCEL])
def test_an_order_is_changed_under_the_prior_id(two, action):
    """XO and CA of a sender that has not heard of the merge find the order."""
    send(two, merge(patient("PID001"), patient("PID003")))

    outcome = send(two, order("4", patient("PID003"), action))

    assert outcome.steps == (2,)


def test_demographics_of_the_prior_id_do_not_replace_the_survivors(two):
    """An update for an ID that is no more changes no name, and no patient ID."""
    send(two, merge(patient("PID001"), patient("PID003")))

    send(two, update(patient("PID003", name="OLD^NAME")))

    assert {(text(each.patient, NAME), text(each.patient, "00100020")) for each in found(two)} == {
        ("DOE^JOHN", "PID001")
    }


def test_the_merge_says_who_the_patient_is(two):
    """What the message says of the survivor counts."""
    send(two, merge(patient("PID001", name="DOE^JOHN^QUINCY"), patient("PID003")))

    assert {text(each.patient, NAME) for each in found(two)} == {"DOE^JOHN^QUINCY"}


def test_an_unknown_survivor_keeps_what_was_known_of_the_prior_patient(two):
    """A47, and A40 before the first order: the ID changes, name and weight stay, UIDs too."""
    (before,) = found(two, "PID003")

    send(two, merge(patient("PID009"), patient("PID003")))

    (after,) = found(two, "PID009")
    assert after.patient == before.patient | patient("PID009")
    assert after.procedure == before.procedure


@pytest.mark.parametrize("survivor", ["PID001", "PID009"])
def test_a_merge_of_a_patient_nobody_knows_is_remembered(two, survivor):
    """The order may come later: then the prior ID is the survivor's already."""
    send(two, merge(patient(survivor), patient("PID007")))

    send(two, order("7", patient("PID007", name="ROE^RITA")))

    assert owners(two)["S7"] == survivor


def test_the_same_id_of_another_issuer_is_not_merged(two):
    """C-44: identity is the ID and who assigned it."""
    send(two, merge(patient("PID001"), patient("PID003", "HOSP_B")))

    assert owners(two) == {"S1": "PID001", "S4": "PID003"}


def test_a_merge_sent_again_changes_nothing(two):
    """Whether by a retry or a replay: no row, no revision, no line of history."""
    message = merge(patient("PID001"), patient("PID003"))
    send(two, message)
    before = [rows(two, table) for table in (tables.patients, tables.procedures, tables.step_history)]

    outcome = send(two, message)

    assert (outcome.procedures, outcome.steps) == ((), ())
    assert [rows(two, t) for t in (tables.patients, tables.procedures, tables.step_history)] == before


def test_f_h16_a_patient_is_not_merged_into_itself(two):
    """PID-3 and MRG-1 the same: 205."""
    assert refused(two, merge(patient("PID001"), patient("PID001"))) == (205, "MRG-1")


def test_several_prior_ids_are_merged_at_once(two):
    """MRG-1 may repeat; the patient's own ID among them is passed over."""
    send(two, order("5", patient("PID005")))

    send(two, merge(patient("PID001"), patient("PID001"), patient("PID003"), patient("PID005")))

    assert set(owners(two).values()) == {"PID001"}


@pytest.mark.parametrize("first", [0, 1])
def test_chains_end_at_one_patient(two, first):
    """PID003 into PID002 into PID001, in whatever order the two messages come."""
    messages = [merge(patient("PID002"), patient("PID003")), merge(patient("PID001"), patient("PID002"))]

    for message in messages[first:] + messages[:first]:
        send(two, message)
    send(two, order("5", patient("PID003")))

    assert set(owners(two).values()) == {"PID001"}
    into = {row.patient_id: row.merged_into for row in rows(two, tables.patients)}
    assert into == {"PID001": None, "PID002": 1, "PID003": 1}


def test_a_merge_of_a_patient_with_its_own_prior_id_is_one_merge(two):
    """The prior IDs of the prior patient may be named again."""
    send(two, merge(patient("PID003"), patient("PID004")))

    send(two, merge(patient("PID001"), patient("PID003"), patient("PID004")))

    assert set(owners(two).values()) == {"PID001"}


@pytest.mark.parametrize(
    ("survivor", "prior"),
    [
        pytest.param("PID003", "PID001", id="back again"),
        pytest.param("PID002", "PID003", id="into a third patient"),
        pytest.param("PID009", "PID003", id="into a patient nobody knows"),
    ],
)
def test_a_merge_is_not_taken_back(two, survivor, prior):
    """Which orders came with whom is not known any more: refused, and nothing changes."""
    send(two, order("2", patient("PID002")))
    send(two, merge(patient("PID001"), patient("PID003")))
    before = [rows(two, table) for table in (tables.patients, tables.procedures)]

    assert refused(two, merge(patient(survivor), patient(prior))) == (205, "MRG-1")
    assert [rows(two, table) for table in (tables.patients, tables.procedures)] == before


def test_finished_and_running_steps_move_as_they_are(two):
    """A merge moves what happened, too, and changes no state."""
    two.write_now(lambda tx: transitions.advance(tx, 2, StepEvent.BEGIN, source="mpps"))

    send(two, merge(patient("PID001"), patient("PID003")))

    assert {text(each.step, "00400009"): text(each.step, STATE) for each in found(two, "PID001")} == {
        "S1": "SCHEDULED", "S4": "STARTED",
    }  # fmt: skip


# ── performed steps ──

ITEM = {"0020000D": element("UI", "1.2.276.0.99.4"), "00080050": element("SH", "ACC4")}


def began(of: dict) -> dict:
    return {**of, "00400252": element("CS", "IN PROGRESS"), "00400270": element("SQ", ITEM)}


def perform(store: Store, document: dict) -> performed.Outcome:
    return store.write_now(
        lambda tx: performed.create(tx, "1.2.276.0.99.8", document, calling_ae="CT1", told=())
    )


@pytest.mark.parametrize("issuer", ["HOSP_A", ""])
def test_a_device_that_asked_before_the_merge_returns_the_patients_prior_id(two, issuer):
    """The study alone links it, which a patient who differs would prevent, and nothing is remarked."""
    send(two, merge(patient("PID001"), patient("PID003")))

    outcome = perform(two, began(patient("PID003", issuer)))

    assert (outcome.linked, outcome.findings) == ((2,), ())


def test_short_numbers_find_the_step_under_the_prior_id(two):
    """Step and procedure ID, with the patient alone to support them."""
    send(two, merge(patient("PID001"), patient("PID003")))
    item = {"00400009": element("SH", "S4"), "00401001": element("SH", "RP4")}

    outcome = perform(two, {**began(patient("PID003")), "00400270": element("SQ", item)})

    assert outcome.linked == (2,)
    assert {row.rule for row in rows(two, tables.performed_links)} == {STEP_AND_PROCEDURE.name}


def test_another_patients_id_still_breaks_the_link(two):
    """The prior IDs of one patient are nobody else's."""
    send(two, merge(patient("PID001"), patient("PID003")))

    outcome = perform(two, began(patient("PID003", "HOSP_B")))

    assert outcome.linked == ()
    assert Remark.PATIENT_DIFFERS in outcome.findings


def test_links_stay_and_an_exam_without_order_finds_it_after_the_merge(two):
    """The exam was made under the new ID before the merge came: then it is the order's."""
    assert perform(two, began(patient("PID001"))).linked == ()

    send(two, merge(patient("PID001"), patient("PID003")))

    assert [row.step_key for row in rows(two, tables.performed_links)] == [2]
    assert text(next(e.step for e in found(two) if e.ref.key == 2), STATE) == "STARTED"
    send(two, merge(patient("PID000"), patient("PID001")))
    assert [row.step_key for row in rows(two, tables.performed_links)] == [2]


# ── properties ──

IDS = [f"P{n}" for n in range(5)]
EDGES = st.tuples(*(st.none() | st.integers(0, n - 1) for n in range(1, len(IDS))))


def root(patient_id: str, parents: dict[str, str]) -> str:
    while patient_id in parents:
        patient_id = parents[patient_id]
    return patient_id


def history(parents: dict[str, str]) -> list[object]:
    orders = [order(str(n), patient(each, name=f"N{each}")) for n, each in enumerate(IDS)]
    updates = [update(patient(each, name=f"M{each}")) for each in IDS]
    return [*orders, *updates, *(merge(patient(into), patient(each)) for each, into in parents.items())]


@given(edges=EDGES, data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_order_of_the_messages_each_step_ends_with_the_survivor(store, edges, data):
    """Orders, updates and merges in any order: one row an ID, each step with the patient who is left."""
    store.write_now(lambda tx: tx.connection.execute(tables.patients.delete()))
    parents = {IDS[n]: IDS[into] for n, into in enumerate(edges, 1) if into is not None}
    messages = data.draw(st.permutations(history(parents)))

    for message in messages:
        send(store, message)

    assert owners(store) == {f"S{n}": root(each, parents) for n, each in enumerate(IDS)}
    stored = rows(store, tables.patients)
    assert sorted(row.patient_id for row in stored) == IDS
    keys = {row.patient_id: row.key for row in stored}
    assert {row.patient_id: row.merged_into for row in stored} == {
        each: keys[root(each, parents)] if each in parents else None for each in IDS
    }
    named = {row.patient_key for row in rows(store, tables.patient_names)}
    assert named <= {row.key for row in stored if row.merged_into is None}


MERGES = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=8)


@given(merges=MERGES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_merges_whatever_make_a_circle_or_lose_a_step(store, merges):
    """Refused or not: every ID leads to a living patient in one step, and all steps are there."""
    store.write_now(lambda tx: tx.connection.execute(tables.patients.delete()))
    for n, each in enumerate(IDS):
        send(store, order(str(n), patient(each)))

    for survivor, prior in merges:
        try:
            send(store, merge(patient(survivor), patient(prior)))
        except Unacceptable:
            continue

    stored = {row.key: row for row in rows(store, tables.patients)}
    gone = [row for row in stored.values() if row.merged_into is not None]
    assert all(stored[row.merged_into].merged_into is None for row in gone)
    assert sorted(owners(store)) == [f"S{n}" for n in range(len(IDS))]
    assert {row.patient_key for row in rows(store, tables.procedures)}.isdisjoint(row.key for row in gone)


async def test_two_brokers_agree_on_a_merge_and_an_order_at_once(database_url):
    """While one merges, the other takes orders for the prior ID: in the end all are the survivor's."""
    brokers = [open_store(database_url) for _ in range(2)]

    def work(message: object):
        return lambda tx: effects.apply(tx, message, source="hl7", uid_root=None, told=())

    try:
        await asyncio.gather(
            *(brokers[0].write(work(merge(patient(f"N{n}"), patient(f"O{n}")))) for n in range(10)),
            *(brokers[1].write(work(order(f"{n}", patient(f"O{n}")))) for n in range(10)),
        )
        assert owners(brokers[0]) == {f"S{n}": f"N{n}" for n in range(10)}
    finally:
        for broker in brokers:
            await broker.close()
