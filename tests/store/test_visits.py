"""Messages on patients, as the store applies them: demographics, the visit of open orders, arrival."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mwl.errors import Location, Severity, Unacceptable
from mwl.lifecycle import StepEvent
from mwl.model import (
    Arrival,
    OrderAction,
    OrderMessage,
    PatientChange,
    PatientMessage,
    ProcedureChange,
    WorklistItem,
    name_value,
    text,
)
from mwl.query import WorklistQuery
from mwl.store import Store, Transaction, effects, steps, tables, transitions
from mwl.store.outcome import Outcome

NAME, BIRTH, STATE, STEP_ID = "00100010", "00100030", "00400020", "00400009"
VISIT, ISSUER, ROUTE, LOCATION = "00380010", "00380014", "00380016", "00380300"


def element(vr: str, *values: object) -> dict:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def patient(patient_id: str = "PID001", issuer: str = "HOSP_A", name: str = "DOE^JOHN", **more: dict) -> dict:
    document = {NAME: element("PN", name_value(name)), "00100020": element("LO", patient_id), **more}
    return document | ({"00100021": element("LO", issuer)} if issuer else {})


def visit(number: str = "V1", issuer: str = "", route: str = "I") -> dict:
    document = {ROUTE: element("LO", route)}
    if number:
        document[VISIT] = element("LO", number)
    if issuer:
        document[ISSUER] = element("SQ", {"00400031": element("UT", issuer)})
    return document


def order(n: str, *, of: dict | None = None, day: str = "20260705", **more: dict) -> OrderMessage:
    procedure = {
        "00402017": element("LO", f"F{n}"), "00401001": element("SH", f"RP{n}"),
        "0020000D": element("UI", f"1.2.276.0.99.{n}"), **more,
    }  # fmt: skip
    step = {
        STEP_ID: element("SH", f"S{n}"),
        "00400002": element("DA", day),
        "00400003": element("TM", "0900"),
    }
    return OrderMessage("RIS", of or patient(), (ProcedureChange(OrderAction.CREATE, procedure, (step,)),))


def adt(of: dict | None = None, of_visit: dict | None = None, **more) -> PatientMessage:
    change = PatientChange(of or patient(), of_visit or {}, at=Location("PID", 1))
    return PatientMessage("RIS", (change,), **more)


def send(store: Store, message: object) -> Outcome:
    def work(tx: Transaction) -> Outcome:
        return effects.apply(tx, message, source="hl7 RIS 9", uid_root=None, told=())  # type: ignore[arg-type]

    return store.write_now(work)


def items(store: Store) -> dict[str, WorklistItem]:
    """Return every step there is, by step ID."""
    found = store.read_now(lambda tx: steps.load(tx, steps.match(tx, WorklistQuery())))
    return {text(each.step, STEP_ID): each for each in found}


def happen(store: Store, step_key: int, *events: StepEvent) -> None:
    for event in events:
        store.write_now(
            lambda tx, event=event: transitions.advance(tx, step_key, event, source="console test")
        )


def states(store: Store) -> dict[str, str]:
    return {step_id: text(each.step, STATE) for step_id, each in items(store).items()}


# ── demographics ──


def test_f_h14_a_new_name_reaches_the_patient_of_this_issuer_alone(store):
    """A08: every step of the patient has the new name; the same ID of another issuer keeps its own."""
    for n, of in (("1", patient()), ("3", patient()), ("12", patient(issuer="HOSP_B"))):
        send(store, order(n, of=of))
    before = items(store)

    send(store, adt(patient(name="NEW^NAME")))

    after = items(store)
    assert [text(after[each].patient, NAME) for each in ("S1", "S3", "S12")] == [
        "NEW^NAME",
        "NEW^NAME",
        "DOE^JOHN",
    ]
    assert before["S1"].ref != after["S1"].ref
    assert before["S12"].ref == after["S12"].ref


def test_what_a_message_does_not_say_stays_and_what_it_empties_goes(store):
    """D-25, for demographics as for orders."""
    send(
        store, order("1", of=patient(**{BIRTH: element("DA", "19700101"), LOCATION: element("LO", "WARD1")}))
    )

    send(store, adt(patient(**{BIRTH: element("DA")})))

    (item,) = items(store).values()
    assert item.patient[BIRTH] == {"vr": "DA"}
    assert text(item.patient, LOCATION) == "WARD1"


def test_the_location_moves_with_the_patient(store):
    """A02: the next query shows where the patient is."""
    send(store, order("1", of=patient(**{LOCATION: element("LO", "WARD1")})))

    send(store, adt(patient(**{LOCATION: element("LO", "ICU 2")})))

    assert text(items(store)["S1"].patient, LOCATION) == "ICU 2"


@pytest.mark.parametrize(("keeps", "count"), [(False, 0), (True, 1)])
def test_a_patient_without_order_is_stored_where_the_profile_says_so(store, keeps, count):
    """Policy `unknown`; either way the message is taken."""
    outcome = send(store, adt(keeps_unknown=keeps))

    stored = store.read_now(lambda tx: tx.connection.scalars(select(tables.patients.c.key)).all())
    assert len(stored) == count
    assert (outcome.patients, outcome.findings) == (tuple(stored), ())


def test_a_message_sent_twice_changes_nothing(store):
    """No revision moves, so no device's cached list is thrown away."""
    send(store, order("1"))
    send(store, adt(of_visit=visit()))
    before = items(store)

    outcome = send(store, adt(of_visit=visit()))

    assert items(store) == before
    assert (outcome.patients, outcome.procedures, outcome.steps) == ((1,), (1,), ())


def test_without_a_patient_id_nothing_is_done(store):
    """101 where the patient is identified."""
    with pytest.raises(Unacceptable) as caught:
        send(store, adt({NAME: element("PN", name_value("DOE^JOHN"))}))

    (finding,) = caught.value.findings
    assert (finding.code, finding.location) == (101, Location("PID", 1))


# ── the visit ──


def test_the_visit_reaches_open_orders_and_finished_ones_keep_theirs(store):
    """Waiting and running steps get the visit's attributes; what is over keeps what it had."""
    for n in "1234":
        send(store, order(n, **visit(route="O")))
    happen(store, 2, StepEvent.BEGIN)
    happen(store, 3, StepEvent.BEGIN, StepEvent.COMPLETE)
    happen(store, 4, StepEvent.CANCEL)

    outcome = send(store, adt(of_visit=visit(route="I")))

    routes = {step_id: text(each.procedure, ROUTE) for step_id, each in items(store).items()}
    assert routes == {"S1": "I", "S2": "I", "S3": "O", "S4": "O"}
    assert outcome.procedures == (1, 2)


def test_a_procedure_with_one_open_step_is_open(store):
    """The visit stands with the procedure: one step that waits is reason enough."""
    send(store, order("1", **visit(route="O")))
    more = order("1")
    step = {**more.procedures[0].steps[0], STEP_ID: element("SH", "S9")}
    change = ProcedureChange(OrderAction.UPDATE, more.procedures[0].procedure, (step,))
    send(store, OrderMessage("RIS", patient(), (change,)))
    happen(store, 1, StepEvent.BEGIN, StepEvent.COMPLETE)

    send(store, adt(of_visit=visit(route="I")))

    assert text(items(store)["S9"].procedure, ROUTE) == "I"


@pytest.mark.parametrize(
    ("stored", "sent", "reached"),
    [
        pytest.param(visit("V1", route="O"), visit("V1"), True, id="the same"),
        pytest.param(visit("V1", route="O"), visit("V2"), False, id="another"),
        pytest.param(visit("", route="O"), visit("V1"), True, id="none known"),
        pytest.param(visit("V1", route="O"), visit(""), True, id="none told"),
        pytest.param(visit("V1", "HIS", route="O"), visit("V1", "CLINIC"), False, id="of another issuer"),
        pytest.param(visit("V1", "HIS", route="O"), visit("V1"), True, id="issuer not told"),
    ],
)
def test_an_order_of_another_visit_is_not_touched(store, stored, sent, reached):
    """An outpatient's order for next month does not become one of today's stay."""
    send(store, order("1", **stored))

    send(store, adt(of_visit=sent))

    assert text(items(store)["S1"].procedure, ROUTE) == ("I" if reached else "O")


def test_a_visit_becomes_known(store):
    """The order had no visit number, the admission brings it, with its issuer."""
    send(store, order("1"))

    send(store, adt(of_visit=visit("V1", "HIS")))

    procedure = items(store)["S1"].procedure
    assert text(procedure, VISIT) == "V1"
    assert procedure[ISSUER]["Value"] == [{"00400031": element("UT", "HIS")}]


def test_numbers_and_uid_of_the_order_stay(store):
    """A message on the patient changes the visit and nothing else of the order."""
    send(store, order("1"))
    before = items(store)["S1"].procedure

    send(store, adt(of_visit=visit()))

    after = items(store)["S1"].procedure
    assert {tag: each for tag, each in after.items() if tag not in (VISIT, ROUTE)} == before


def test_nothing_is_deleted_or_moved_by_discharge_or_cancellation(store):
    """A03 and A11 are updates: the steps stay, in their states (C-42)."""
    send(store, order("1"))
    before = states(store)

    send(store, adt(of_visit=visit()))

    assert states(store) == before


# ── arrival ──

TODAY = Arrival("20260705")


def test_f_h64_who_has_come_makes_the_days_steps_arrived(store):
    """A10: the steps of the day, of this visit or of none known; others wait on."""
    send(store, order("1", **visit()))
    send(store, order("2"))
    send(store, order("3", day="20260706"))
    send(store, order("4", **visit("V2")))
    send(store, order("5", of=patient("PID002")))

    outcome = send(store, adt(of_visit=visit(), arrival=TODAY))

    assert states(store) == {
        "S1": "ARRIVED", "S2": "ARRIVED", "S3": "SCHEDULED", "S4": "SCHEDULED", "S5": "SCHEDULED",
    }  # fmt: skip
    assert (outcome.steps, outcome.findings) == ((1, 2), ())
    (*_, last) = store.read_now(lambda tx: steps.history(tx, 1))
    assert (last.event, last.after, last.source) == ("arrive", "ARRIVED", "hl7 RIS 9")


def test_only_steps_of_the_very_visit_arrive_where_the_profile_says_so(store):
    """Policy `same_visit`: an order without visit number waits on."""
    send(store, order("1", **visit()))
    send(store, order("2"))

    send(
        store, adt({**patient()}, {VISIT: element("LO", "V1")}, arrival=Arrival("20260705", same_visit=True))
    )

    assert states(store) == {"S1": "ARRIVED", "S2": "SCHEDULED"}


def test_without_a_day_all_open_steps_arrive(store):
    """A profile may leave the day out."""
    send(store, order("1"))
    send(store, order("2", day="20260801"))

    send(store, adt(arrival=Arrival()))

    assert set(states(store).values()) == {"ARRIVED"}


@pytest.mark.parametrize(
    "events", [(StepEvent.BEGIN,), (StepEvent.CANCEL,), (StepEvent.BEGIN, StepEvent.COMPLETE)]
)
def test_an_arrival_moves_nothing_back(store, events):
    """What has begun, is over or cancelled stays so; that nobody waits is reported, and the message taken."""
    send(store, order("1"))
    happen(store, 1, *events)
    before = states(store)

    outcome = send(store, adt(arrival=TODAY))

    assert states(store) == before
    assert [(each.code, each.severity) for each in outcome.findings] == [(204, Severity.WARNING)]


def test_the_arrival_of_a_patient_nobody_knows_is_reported(store):
    """A warning, no error: many patients come for other departments."""
    outcome = send(store, adt(arrival=TODAY))

    assert [(each.code, each.severity) for each in outcome.findings] == [(204, Severity.WARNING)]
