"""Orders, as the store applies them: made once, changed in place, cancelled, refused, applied whole."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from mwl.errors import Finding, Location, Severity, Unacceptable
from mwl.lifecycle import StepEvent
from mwl.model import OrderAction, OrderMessage, ProcedureChange, name_value, text
from mwl.store import Store, Transaction, open_store, orders, performed, tables, transitions
from mwl.store.orders import OrderOutcome
from mwl.store.promoted import load

STATE, STEP_ID, STATIONS, DATE, TIME = "00400020", "00400009", "00400001", "00400002", "00400003"
NAME, SEX, UID, ACCESSION, ALERTS = "00100010", "00100040", "0020000D", "00080050", "00102000"
CREATE, UPDATE, CANCEL = OrderAction.CREATE, OrderAction.UPDATE, OrderAction.CANCEL

LEVELS = [
    tables.patients, tables.patient_names, tables.name_keys, tables.procedures, tables.steps, tables.step_stations,
    tables.step_history,
]  # fmt: skip


def element(vr: str, *values: object) -> dict:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def patient(patient_id: str = "PID001", issuer: str = "HOSP_A", name: str = "DOE^JOHN^Q", **more) -> dict:
    document = {NAME: element("PN", name_value(name)), "00100020": element("LO", patient_id), **more}
    return {**document, "00100021": element("LO", issuer)} if issuer else document


def procedure(n: str = "1001", *, placer: str = "", filler: str = "", accession: str | None = None,
              requested: str | None = None, uid: str | None = None, issuer: str = "", **more) -> dict:  # fmt: skip
    numbers = {
        "00402016": placer, "00402017": filler, ACCESSION: f"ACC{n}" if accession is None else accession,
        "00401001": f"RP{n}" if requested is None else requested,
        UID: f"1.2.276.0.99.{n}" if uid is None else uid,
    }  # fmt: skip
    document = {tag: element("UI" if tag == UID else "LO", value) for tag, value in numbers.items() if value}
    if issuer:
        entity = element("SQ", {"00400031": element("UT", issuer)})
        document |= {"00400026": entity, "00400027": entity, "00080051": entity}
    return document | more


def step(step_id: str = "S1", *, start: str = "20260705", at: str = "090000", stations=("CT_ROOM1",)) -> dict:
    return {
        STEP_ID: element("SH", step_id), "00080060": element("CS", "CT"),
        DATE: element("DA", start), TIME: element("TM", at), STATIONS: element("AE", *stations),
    }  # fmt: skip


def change(action: OrderAction, document: dict, *steps: dict) -> ProcedureChange:
    return ProcedureChange(action, document, steps)


def order(*changes: ProcedureChange, of: dict | None = None, system: str = "RIS") -> OrderMessage:
    return OrderMessage(system, of or patient(), changes)


def send(store: Store, message: OrderMessage, **more) -> OrderOutcome:
    options = {"source": "hl7 RIS 1", "uid_root": "1.2.3", "told": (), **more}
    return store.write_now(lambda tx: orders.apply(tx, message, **options))


def refused(store: Store, message: OrderMessage) -> list[Finding]:
    with pytest.raises(Unacceptable) as caught:
        send(store, message)
    return list(caught.value.findings)


def everything(store: Store) -> list:
    """Return every row of every level, revisions included; what the clock wrote stays out."""

    def read(tx: Transaction) -> list:
        clock = {"created_at", "updated_at", "at"}
        columns = [[c for c in table.c if c.name not in clock] for table in LEVELS]
        return [sorted(map(tuple, tx.connection.execute(select(*chosen)))) for chosen in columns]

    return store.read_now(read)


def rows(store: Store, table) -> list:
    return store.read_now(lambda tx: tx.connection.execute(select(table).order_by(table.c.key)).all())


def documents(store: Store, table) -> list[dict]:
    return [load(row.document) for row in rows(store, table)]


def states(store: Store) -> list[str]:
    return [row.state for row in rows(store, tables.steps)]


def history(store: Store) -> list[tuple[str, str, str]]:
    return [(row.event, row.before, row.after) for row in rows(store, tables.step_history)]


def move(store: Store, key: int, *events: StepEvent) -> None:
    for event in events:
        store.write_now(lambda tx, event=event: transitions.advance(tx, key, event, source="console test"))


def begin(store: Store, uid: str = "9.1", **numbers: str) -> None:
    """Let a device create a performed step for the study 1.2.276.0.99.1001, whose state is IN PROGRESS."""
    item = {UID: element("UI", "1.2.276.0.99.1001"), STEP_ID: element("SH", "S1")}
    document = {"00400252": element("CS", "IN PROGRESS"), "00400270": element("SQ", item), **numbers}
    store.write_now(lambda tx: performed.create(tx, uid, document, calling_ae="CT1", told=()))


def test_a_new_order_becomes_one_step_of_one_procedure_of_one_patient(store):
    """An order makes the three levels, with the promoted columns, stations, names and the first history."""
    outcome = send(store, order(change(CREATE, procedure(), step(stations=("US_1", "US_2")))))

    [person], [asked], [made] = (rows(store, t) for t in (tables.patients, tables.procedures, tables.steps))
    assert (person.patient_id, person.issuer, person.revision) == ("PID001", "HOSP_A", 1)
    assert (asked.patient_key, asked.system, asked.accession) == (person.key, "RIS", "ACC1001")
    assert (made.procedure_key, made.step_id, made.state) == (asked.key, "S1", "SCHEDULED")
    assert [row.ae_title for row in rows(store, tables.step_stations)] == ["US_1", "US_2"]
    assert [row.folded for row in rows(store, tables.patient_names)] == ["doe^john^q"]
    assert history(store) == [("create", "", "SCHEDULED")]
    assert text(load(made.document), STATE) == "SCHEDULED"
    assert (outcome.procedures, outcome.steps, outcome.findings) == ((asked.key,), (made.key,), ())


@pytest.mark.parametrize("action", [CREATE, UPDATE])
def test_f_h05_the_same_order_twice_changes_nothing(store, action):
    """Sending an order again makes no row, changes no document and bumps no revision."""
    message = order(change(action, procedure(), step()), change(action, procedure("1002"), step("S2")))
    send(store, message)
    before = everything(store)

    send(store, message)

    assert everything(store) == before


def test_f_h06_the_same_order_with_another_time_moves_its_one_step(store):
    """A known order is updated in place: the step keeps its key, its station rows follow the start."""
    send(store, order(change(CREATE, procedure(), step())))

    send(store, order(change(CREATE, procedure(), step(at="101500"))))

    [made] = rows(store, tables.steps)
    assert (made.start, made.revision) == ("20260705101500.000000", 2)
    assert [row.start for row in rows(store, tables.step_stations)] == [made.start]
    assert [row.revision for row in rows(store, tables.procedures)] == [1]


def test_f_h07_a_change_request_leaves_the_numbers_alone(store):
    """An update that knows only placer and time changes the start and nothing else."""
    send(store, order(change(CREATE, procedure(placer="P1"), step())))
    sparse = {"00402016": element("LO", "P1")}

    send(
        store, order(change(UPDATE, sparse, {STEP_ID: element("SH", "S1"), DATE: element("DA", "20260706")}))
    )

    [made], [asked] = rows(store, tables.steps), rows(store, tables.procedures)
    assert made.start == "20260706090000.000000"
    assert (asked.accession, asked.study_instance_uid, asked.revision) == ("ACC1001", "1.2.276.0.99.1001", 1)


def test_an_update_of_an_unknown_order_makes_it(store):
    """C.4: a change request for an order that never came is taken for the order."""
    send(store, order(change(UPDATE, procedure(), step())))

    assert states(store) == ["SCHEDULED"]


def test_f_h08_a_cancelled_order_cancels_every_step(store):
    """A cancellation that names no step cancels all steps of the procedure; (0040,0020) and history follow."""
    send(store, order(change(CREATE, procedure(), step("S1"), step("S3"))))

    send(store, order(change(CANCEL, procedure())), source="hl7 RIS 77")

    assert states(store) == ["CANCELED", "CANCELED"]
    assert [text(d, STATE) for d in documents(store, tables.steps)] == ["CANCELED", "CANCELED"]
    assert rows(store, tables.step_history)[-1].source == "hl7 RIS 77"


def test_a_cancellation_that_names_a_step_cancels_that_step(store):
    """The other steps of the procedure stay on the worklist."""
    send(store, order(change(CREATE, procedure(), step("S1"), step("S3"))))

    send(store, order(change(CANCEL, procedure(), {STEP_ID: element("SH", "S3")})))

    assert states(store) == ["SCHEDULED", "CANCELED"]


def test_a_cancellation_by_placer_alone_cancels_all_its_procedures(store):
    """One placer number that stands for two procedures names both when nothing tells them apart."""
    both = [change(CREATE, procedure(n, placer="P1"), step(f"S{n}")) for n in ("1001", "1002")]
    send(store, order(*both))

    send(store, order(change(CANCEL, {"00402016": element("LO", "P1")})))

    assert states(store) == ["CANCELED", "CANCELED"]


def test_f_h09_an_exam_that_runs_is_not_stopped_by_a_cancellation(store):
    """STARTED stays STARTED; the answer carries a warning, and the history says once that it was cancelled."""
    made = send(store, order(change(CREATE, procedure(), step())))
    move(store, made.steps[0], StepEvent.BEGIN)

    outcome = send(store, order(change(CANCEL, procedure())))
    send(store, order(change(CANCEL, procedure())))

    assert states(store) == ["STARTED"]
    assert [(f.severity, f.code) for f in outcome.findings] == [(Severity.WARNING, 206)]
    assert history(store)[-2:] == [
        ("begin", "SCHEDULED", "STARTED"),
        ("asked to cancel", "STARTED", "STARTED"),
    ]


@pytest.mark.parametrize(
    "action", [CANCEL, OrderAction.DISCONTINUE, OrderAction.ARRIVE, OrderAction.COMPLETE]
)
def test_f_h10_moving_an_unknown_order_is_an_error_and_makes_nothing(store, action):
    """An unknown order is error 204 at the ORC of its group, and not even its patient is made."""
    known, unknown = change(CREATE, procedure(), step()), change(action, procedure("1002"))

    findings = refused(store, order(known, unknown))

    assert [(f.location, f.code) for f in findings] == [(Location("ORC", 2, 2), 204)]
    assert everything(store) == [[]] * len(LEVELS)


def test_a_cancellation_of_an_unknown_step_is_an_error(store):
    """Nothing is cancelled when the step that was named does not exist."""
    send(store, order(change(CREATE, procedure(), step())))

    findings = refused(store, order(change(CANCEL, procedure(), {STEP_ID: element("SH", "S9")})))

    assert [(str(f.location), f.code) for f in findings] == [("OBR-20", 204)]
    assert states(store) == ["SCHEDULED"]


@pytest.mark.parametrize(
    ("action", "state"),
    [
        pytest.param(OrderAction.DISCONTINUE, "DISCONTINUED", id="F-H11"),
        pytest.param(OrderAction.COMPLETE, "COMPLETED", id="F-H13"),
        pytest.param(OrderAction.ARRIVE, "ARRIVED", id="F-H64"),
    ],
)
def test_an_order_moves_its_steps(store, action, state):
    """F-H11, F-H13, F-H64: the state follows the action; sent twice, it moves once."""
    send(store, order(change(CREATE, procedure(), step())))

    outcomes = [send(store, order(change(action, procedure()))) for _ in range(2)]

    assert states(store) == [state]
    assert [outcome.findings for outcome in outcomes] == [(), ()]
    assert len(history(store)) == 2


@pytest.mark.parametrize("action", [CREATE, UPDATE])
@pytest.mark.parametrize(
    "events",
    [
        (StepEvent.ARRIVE,), (StepEvent.BEGIN,), (StepEvent.BEGIN, StepEvent.COMPLETE),
        (StepEvent.BEGIN, StepEvent.DISCONTINUE),
    ],
)  # fmt: skip
def test_peer_failure_7_a_late_order_throws_no_step_back(store, action, events):
    """A late NW or XO changes attributes and leaves the state where the exam has brought it."""
    made = send(store, order(change(CREATE, procedure(), step())))
    move(store, made.steps[0], *events)
    [state] = states(store)

    send(store, order(change(action, procedure(), step(at="101500"))))

    assert states(store) == [state]
    [document] = documents(store, tables.steps)
    assert (text(document, STATE), text(document, TIME)) == (state, "101500")


def test_an_order_that_comes_again_after_its_cancellation_is_open_again(store):
    """A new order with the numbers of a cancelled one reopens the step, and the history says so."""
    message = order(change(CREATE, procedure(), step()))
    send(store, message)
    send(store, order(change(CANCEL, procedure())))

    send(store, message)

    assert states(store) == ["SCHEDULED"]
    assert history(store)[-2:] == [("cancel", "SCHEDULED", "CANCELED"), ("reopen", "CANCELED", "SCHEDULED")]


def test_an_update_does_not_reopen_a_cancelled_order(store):
    """A late change request changes attributes of a cancelled step and leaves it cancelled."""
    send(store, order(change(CREATE, procedure(), step())))
    send(store, order(change(CANCEL, procedure())))

    send(store, order(change(UPDATE, procedure(), step(at="101500"))))

    assert states(store) == ["CANCELED"]


def test_nothing_is_done_for_nothing(store):
    """A message that asks for nothing touches not even the patient."""
    outcome = send(store, order(change(OrderAction.NOTHING, procedure(), step())))

    assert outcome == OrderOutcome((), ())
    assert everything(store) == [[]] * len(LEVELS)


def test_f_h40_an_empty_element_empties_and_an_absent_one_keeps(store):
    """D-25: "" deletes, absence keeps, on each level; only levels that changed get a new revision."""
    alerts = {ALERTS: element("LO", "LATEX"), SEX: element("CS", "F")}
    send(store, order(change(CREATE, procedure(), step()), of=patient(**alerts)))

    send(store, order(change(UPDATE, procedure(), step()), of=patient(**{ALERTS: {"vr": "LO", "Value": []}})))

    [document] = documents(store, tables.patients)
    assert document[ALERTS] == {"vr": "LO"}
    assert text(document, SEX) == "F"
    levels = (tables.patients, tables.procedures, tables.steps)
    assert [rows(store, table)[0].revision for table in levels] == [2, 1, 1]


def test_f_h14_a_new_name_reaches_the_patient_of_that_issuer_alone(store):
    """The same ID of another issuer is another patient (C-44)."""
    send(store, order(change(CREATE, procedure(), step())))
    other = patient(issuer="HOSP_B", name="ROE^RICHARD")
    send(store, order(change(CREATE, procedure("2001"), step("S12")), of=other))

    send(store, order(change(UPDATE, procedure(), step()), of=patient(name="SMITH^JOHN")))

    assert [row.folded for row in rows(store, tables.patient_names)] == ["roe^richard", "smith^john"]
    assert [text(d, NAME) for d in documents(store, tables.patients)] == ["SMITH^JOHN", "ROE^RICHARD"]


def test_a_message_without_order_changes_the_patient(store):
    """Demographics alone are merged: nothing else is made."""
    send(store, order(of=patient(name="王^小东")))

    assert [text(d, NAME) for d in documents(store, tables.patients)] == ["王^小东"]
    assert rows(store, tables.procedures) == []


def test_f_h17_an_order_without_patient_id_is_an_error(store):
    """No patient is made up for an order that names none."""
    findings = refused(store, order(change(CREATE, procedure(), step()), of=patient("")))

    assert [(str(f.location), f.code) for f in findings] == [("PID-3", 101)]


def test_f_h57_one_bad_group_stops_the_whole_message(store):
    """Every error is reported, with its group, and nothing of the good group is kept."""
    numberless = procedure(accession="", requested="", uid="")

    findings = refused(
        store,
        order(
            change(CREATE, procedure(), step()),
            change(CREATE, numberless, step("S2")),
            change(CREATE, procedure("1003"), {}),
        ),
    )

    assert [(str(f.location), f.code) for f in findings] == [("ORC[2]-2", 101), ("OBR[3]-20", 101)]
    assert everything(store) == [[]] * len(LEVELS)


def test_f_h59_a_study_without_uid_gets_one_that_never_changes(store):
    """The derived UID lies under the site's root and outlives updates, another root and resending."""
    message = order(change(CREATE, procedure(uid=""), step()))
    send(store, message)
    [asked] = rows(store, tables.procedures)

    send(store, message, uid_root="9.9")
    send(store, order(change(UPDATE, procedure(uid="", filler="F1"), step(at="101500"))))
    send(store, order(change(UPDATE, procedure(uid="", **{UID: {"vr": "UI"}}), step())))

    [after] = rows(store, tables.procedures)
    assert asked.study_instance_uid.startswith("1.2.3.")
    assert after.study_instance_uid == asked.study_instance_uid
    assert text(load(after.document), UID) == asked.study_instance_uid


def test_f_h59_another_database_derives_the_same_uid(store, tmp_path):
    """Two brokers that share nothing give the same order the same study."""
    message = order(change(CREATE, procedure(uid=""), step()))
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    try:
        send(other, order(change(CREATE, procedure("7"), step())))
        for each in (store, other):
            send(each, message)

        derived = {rows(each, tables.procedures)[-1].study_instance_uid for each in (store, other)}
    finally:
        other.close_now()

    assert len(derived) == 1


def test_peer_failure_9_another_or_no_study_uid_makes_no_second_item(store):
    """The order is found by its numbers; while no exam has begun the new UID counts."""
    send(store, order(change(CREATE, procedure(), step())))

    send(store, order(change(UPDATE, procedure(uid="1.2.3.4"), step())))
    send(store, order(change(UPDATE, procedure(uid=""), step())))

    [asked] = rows(store, tables.procedures)
    assert (asked.study_instance_uid, asked.revision) == ("1.2.3.4", 2)
    assert len(rows(store, tables.steps)) == 1


def test_a_study_uid_stays_once_an_exam_has_begun(store):
    """Images may carry the stored UID by then; the message is applied but for it, with a warning."""
    send(store, order(change(CREATE, procedure(), step())))
    begin(store)

    outcome = send(store, order(change(UPDATE, procedure(uid="1.2.3.4"), step(at="101500"))))

    [asked], [document] = rows(store, tables.procedures), documents(store, tables.steps)
    assert asked.study_instance_uid == "1.2.276.0.99.1001"
    assert text(document, TIME) == "101500"
    assert [(f.severity, f.code) for f in outcome.findings] == [(Severity.WARNING, 205)]


def test_peer_failure_2_two_groups_of_one_placer_are_two_procedures(store):
    """Each group keeps its own accession number, Study Instance UID and step."""
    groups = [change(CREATE, procedure(n, placer="P1"), step(f"S{n}")) for n in ("1001", "1002")]

    send(store, order(*groups))

    found = [(row.accession, row.study_instance_uid) for row in rows(store, tables.procedures)]
    assert found == [("ACC1001", "1.2.276.0.99.1001"), ("ACC1002", "1.2.276.0.99.1002")]
    assert [row.step_id for row in rows(store, tables.steps)] == ["S1001", "S1002"]


def test_peer_failure_6_a_message_may_change_order_and_step_at_once(store):
    """An unchanged first step stops neither the order level nor the second step."""
    send(store, order(change(CREATE, procedure(), step("S1"), step("S2"))))
    described = procedure(**{"00321060": element("LO", "CT THORAX")})

    send(store, order(change(UPDATE, described, step("S1"), step("S2", at="111500"))))

    assert [row.revision for row in rows(store, tables.procedures)] == [2]
    assert [row.revision for row in rows(store, tables.steps)] == [1, 2]


def test_numbers_of_another_patient_are_not_merged(store):
    """The same accession number for two patients of one system is somebody's mistake: error 205."""
    send(store, order(change(CREATE, procedure(), step())))

    findings = refused(store, order(change(CREATE, procedure(), step()), of=patient("PID002")))

    assert [(str(f.location), f.code) for f in findings] == [("ORC-2", 205)]
    assert len(rows(store, tables.patients)) == 1


def test_a_study_uid_of_another_patient_is_refused(store):
    """Two patients' images under one Study Instance UID are refused before they are made."""
    send(store, order(change(CREATE, procedure(), step())))
    taken = procedure("1002", uid="1.2.276.0.99.1001")

    findings = refused(store, order(change(CREATE, taken, step("S2")), of=patient("PID002")))

    assert [f.code for f in findings] == [205]


def test_two_systems_may_use_the_same_number_for_two_patients(store):
    """A number without issuer is unique in its system only."""
    send(store, order(change(CREATE, procedure(uid=""), step())))

    send(store, order(change(CREATE, procedure(uid=""), step()), of=patient("PID002"), system="RIS2"))

    uids = {row.study_instance_uid for row in rows(store, tables.procedures)}
    assert len(uids) == 2


def test_two_systems_mean_the_same_order_by_an_issuer_qualified_number(store):
    """A second system updates the first one's order, whose status still goes to the first."""
    send(store, order(change(CREATE, procedure(placer="P1", issuer="HIS"), step())))
    sparse = {k: v for k, v in procedure(placer="P1", issuer="HIS").items() if k in ("00402016", "00400026")}

    send(store, order(change(UPDATE, sparse, step(at="101500")), system="HIS"))

    assert [row.system for row in rows(store, tables.procedures)] == ["RIS"]
    assert [row.start for row in rows(store, tables.steps)] == ["20260705101500.000000"]


def test_an_update_that_fits_two_orders_is_refused(store):
    """A change that could mean either of two procedures changes neither."""
    send(store, order(*(change(CREATE, procedure(n, placer="P1"), step(n)) for n in ("1001", "1002"))))

    findings = refused(store, order(change(UPDATE, {"00402016": element("LO", "P1")}, step("S9"))))

    assert [f.code for f in findings] == [205]


def test_a_step_without_id_is_the_only_step_of_its_order(store):
    """A change request that leaves the step ID out means the one step there is."""
    send(store, order(change(CREATE, procedure(), step())))
    unnamed = {TIME: element("TM", "101500"), STEP_ID: {"vr": "SH"}}

    send(store, order(change(UPDATE, procedure(), unnamed)))

    [document] = documents(store, tables.steps)
    assert (text(document, TIME), text(document, STEP_ID)) == ("101500", "S1")


def test_the_state_is_no_matter_of_the_message(store):
    """A (0040,0020) in an order neither makes nor changes a state."""
    sent = {**step(), STATE: element("CS", "COMPLETED")}

    send(store, order(change(CREATE, procedure(), sent)))

    assert states(store) == ["SCHEDULED"]
    assert [text(d, STATE) for d in documents(store, tables.steps)] == ["SCHEDULED"]


def test_private_and_nested_attributes_are_kept(store):
    """What the engineer maps is stored as it is."""
    extra = {
        "00411011": element("LO", "Zimmer 5"),
        "00400008": element("SQ", {"00080100": element("SH", "X")}),
    }

    send(store, order(change(CREATE, procedure(), step() | extra)))

    [document] = documents(store, tables.steps)
    assert {tag: document[tag] for tag in extra} == extra


def test_what_was_assumed_names_no_order_and_replaces_nothing(store):
    """A number put in by the profile fills the gap of a new order; it finds none and overwrites none."""
    send(store, order(change(CREATE, procedure(placer="P1"), step())))
    stand_ins = procedure("1001", placer="P2", accession="ACC1001", requested="P2", uid="")
    guessed = ProcedureChange(CREATE, stand_ins, (step("P2"),), frozenset({ACCESSION, "00401001", STEP_ID}))

    send(store, order(guessed))
    before = everything(store)
    known = ProcedureChange(
        UPDATE, procedure("7", placer="P1", uid=""), (), frozenset({ACCESSION, "00401001"})
    )
    send(store, order(guessed, known))

    assert [(row.placer, row.accession) for row in rows(store, tables.procedures)] == [
        ("P1", "ACC1001"), ("P2", "ACC1001"),
    ]  # fmt: skip
    assert everything(store) == before


def test_an_assumed_step_id_means_the_only_step_there_is(store):
    """A new order sent again without its step ID makes no second step."""
    send(store, order(change(CREATE, procedure(), step())))
    again = ProcedureChange(CREATE, procedure(), (step("RP1001", at="101500"),), frozenset({STEP_ID}))

    send(store, order(again))

    assert [(row.step_id, row.start[8:12]) for row in rows(store, tables.steps)] == [("S1", "1015")]


def test_an_assumed_step_id_that_could_be_any_step_is_an_error(store):
    """Of several steps none is guessed at."""
    send(store, order(change(CREATE, procedure(), step("S1"), step("S2"))))
    again = ProcedureChange(CREATE, procedure(), (step("RP1001"),), frozenset({STEP_ID}))

    assert [(str(f.location), f.code) for f in refused(store, order(again))] == [("OBR-20", 101)]


async def test_f_h67_the_same_order_from_many_connections_makes_one_step(store):
    """Orders that arrive at once, in one commit or several, make one patient, procedure and step."""
    message = order(change(CREATE, procedure(), step()))

    def work(tx: Transaction) -> OrderOutcome:
        return orders.apply(tx, message, source="hl7 RIS 1", uid_root=None, told=())

    outcomes = await asyncio.gather(*(store.write(work) for _ in range(20)))

    assert len({outcome.steps for outcome in outcomes}) == 1
    assert [len(rows(store, t)) for t in (tables.patients, tables.procedures, tables.steps)] == [1, 1, 1]


async def test_f_h67_two_brokers_that_share_a_database_make_one_step(database_url):
    """Two stores on one database, each with its own writer, agree on one order."""
    message = order(change(CREATE, procedure(), step()))
    brokers = [open_store(database_url) for _ in range(2)]

    def work(tx: Transaction) -> OrderOutcome:
        return orders.apply(tx, message, source="hl7 RIS 1", uid_root=None, told=())

    try:
        outcomes = await asyncio.gather(*(b.write(work) for _ in range(10) for b in brokers))
    finally:
        for broker in brokers:
            await broker.close()

    assert len({outcome.steps for outcome in outcomes}) == 1


NUMBERS = st.sampled_from(["", "1", "2", "A1"])
PROCEDURES = st.builds(
    procedure, placer=NUMBERS, filler=NUMBERS, accession=NUMBERS, requested=NUMBERS,
    uid=st.sampled_from(["", "1.2.3", "1.2.4"]), issuer=st.sampled_from(["", "HIS"]),
)  # fmt: skip
STEPS = st.lists(
    st.builds(step, st.sampled_from(["S1", "S2", "S3"]), at=st.sampled_from(["0900", "1015"])),
    unique_by=lambda document: text(document, STEP_ID), max_size=3,
)  # fmt: skip
MESSAGES = st.builds(
    lambda action, document, steps, of, system, sent_at: replace(
        order(change(action, document, *steps), of=of, system=system), sent_at=sent_at
    ),
    st.sampled_from(list(OrderAction)), PROCEDURES, STEPS,
    st.builds(patient, st.sampled_from(["P1", "P2"]), st.sampled_from(["", "A"])), st.sampled_from(["RIS", "HIS"]),
    st.sampled_from([None, *(dt.datetime(2026, 7, 1, hour, tzinfo=dt.UTC) for hour in (9, 10, 11))]),
)  # fmt: skip


@given(before=st.lists(MESSAGES, max_size=4), message=MESSAGES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_order_applied_twice_is_an_order_applied_once(store, before, message):
    """After any history, a message that was applied changes nothing when it is applied again."""
    wipe(store)
    for earlier in before:
        attempt(store, earlier)
    applied = attempt(store, message)
    once = everything(store)

    again = attempt(store, message)

    assert again == applied
    assert everything(store) == once


@given(messages=st.lists(MESSAGES, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_and_documents_never_disagree(store, messages):
    """After any messages each procedure keeps its UID, each step the state its document states."""
    wipe(store)
    for message in messages:
        attempt(store, message)

    for row in rows(store, tables.steps):
        assert text(load(row.document), STATE) == row.state
        assert text(load(row.document), STEP_ID) == row.step_id
    for row in rows(store, tables.procedures):
        assert text(load(row.document), UID) == row.study_instance_uid != ""


def wipe(store: Store) -> None:
    store.write_now(lambda tx: tx.connection.execute(tables.patients.delete()))


def attempt(store: Store, message: OrderMessage) -> bool:
    try:
        send(store, message)
    except Unacceptable:
        return False
    return True


# ── steps that no device can be shown ──


def lacking(*tags: str) -> dict:
    return {tag: each for tag, each in step().items() if tag not in tags}


def missing(outcome: OrderOutcome) -> list[str]:
    """Return what is told to be missing; every such finding is a warning at its order."""
    assert {(f.location, f.code, f.severity) for f in outcome.findings} <= {
        (Location("ORC", 1), 101, Severity.WARNING)
    }
    return [f.text.removeprefix("no device can be shown this step: ") for f in outcome.findings]


def test_a_step_without_what_every_list_must_hold_is_reported(store: Store):
    """The order is taken, and its sender told what keeps it off every worklist."""
    nameless = {tag: each for tag, each in patient().items() if tag != NAME}

    outcome = send(store, order(change(CREATE, procedure(), lacking("00080060", DATE)), of=nameless))

    assert len(outcome.steps) == 1
    assert missing(outcome) == [
        "PatientName is missing", "Modality is missing", "ScheduledProcedureStepStartDate is missing",
    ]  # fmt: skip


def test_what_is_stored_counts_and_not_what_the_message_says(store: Store):
    """An update that leaves out what is known lacks nothing; one that empties it does."""
    nameless = {tag: each for tag, each in patient().items() if tag != NAME}
    send(store, order(change(CREATE, procedure(), step())))

    partial = {STEP_ID: element("SH", "S1"), TIME: element("TM", "100000")}
    kept = send(store, order(change(UPDATE, procedure(), partial), of=nameless))
    emptied = send(store, order(change(UPDATE, procedure(), step() | {"00080060": element("CS")})))

    assert missing(kept) == []
    assert missing(emptied) == ["Modality is missing"]


def test_a_step_that_is_closed_or_unchanged_is_not_reported(store: Store):
    """Nobody expects it on a list, or it was told before."""
    incomplete = order(change(CREATE, procedure(), lacking("00080060")))
    first, again = send(store, incomplete), send(store, incomplete)
    send(store, order(change(CANCEL, procedure())))

    closed = send(
        store, order(change(UPDATE, procedure(), lacking("00080060") | {TIME: element("TM", "110000")}))
    )
    reopened = send(store, incomplete)

    assert [missing(each) for each in (first, again, closed, reopened)] == [
        ["Modality is missing"], [], [], ["Modality is missing"],
    ]  # fmt: skip
