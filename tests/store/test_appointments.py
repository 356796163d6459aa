"""Appointments, as the store applies them: which order, which step, moved, cancelled, made, taken over."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from mwl.errors import Finding, Location, Severity, Unacceptable
from mwl.lifecycle import StepEvent
from mwl.model import (
    Document,
    OrderAction,
    OrderMessage,
    ProcedureChange,
    ScheduleMessage,
    WorklistItem,
    name_value,
    text,
)
from mwl.query import WorklistQuery
from mwl.store import Store, Transaction, effects, performed, steps, tables, transitions
from mwl.store.outcome import Outcome

STATE, STEP_ID, DATE, TIME, MODALITY = "00400020", "00400009", "00400002", "00400003", "00080060"
END_DATE, END_TIME, STATION, PROTOCOL = "00400004", "00400005", "00400010", "00400008"
PLACER, FILLER, ACCESSION, PROCEDURE_ID, CODES, UID = (
    "00402016", "00402017", "00080050", "00401001", "00321064", "0020000D",
)  # fmt: skip
MOVES = frozenset({DATE, TIME, END_DATE, END_TIME, STATION})
BOOK, MOVE, CANCEL = OrderAction.CREATE, OrderAction.UPDATE, OrderAction.CANCEL
AT = Location("SCH", 1)


def element(vr: str, *values: object) -> dict:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def code(value: str) -> dict:
    return element("SQ", {"00080100": element("SH", value), "00080102": element("SH", "L")})


def patient(patient_id: str = "PID001") -> Document:
    return {"00100010": element("PN", name_value("DOE^JOHN")), "00100020": element("LO", patient_id)}


def numbers(placer: str = "", filler: str = "", **more: dict) -> Document:
    stated = {
        PLACER: element("LO", placer) if placer else {},
        FILLER: element("LO", filler) if filler else {},
    }
    return {tag: each for tag, each in stated.items() if each} | more


def step(step_id: str = "S1", protocol: str = "CTH", day: str = "20260705", at: str = "090000") -> Document:
    return {
        STEP_ID: element("SH", step_id), MODALITY: element("CS", "CT"), DATE: element("DA", day),
        TIME: element("TM", at), PROTOCOL: code(protocol),
    }  # fmt: skip


def order(*parts: Document, n: str = "1", of: Document | None = None, service: str = "CTHEAD",
          action: OrderAction = OrderAction.CREATE, uid: bool = True) -> OrderMessage:  # fmt: skip
    procedure = {
        **numbers(f"P{n}", f"F{n}"), ACCESSION: element("SH", f"ACC{n}"), PROCEDURE_ID: element("SH", f"RP{n}"),
        CODES: code(service),
    }  # fmt: skip
    if uid:
        procedure[UID] = element("UI", f"1.2.276.0.99.{n}")
    return OrderMessage("RIS", of or patient(), (ProcedureChange(action, procedure, parts or (step(),)),))


def service(protocol: str = "", day: str = "20260706", at: str = "103000", **more: dict) -> Document:
    document = {DATE: element("DA", day), TIME: element("TM", at), **more}
    return document | ({PROTOCOL: code(protocol)} if protocol else {})


def appointment(
    action: OrderAction,
    *links: Document,
    services: tuple[Document, ...] = (service(),),
    of: Document | None = None,
    **more,
) -> ScheduleMessage:
    return ScheduleMessage(
        "RIS", action, of or patient(), links or (numbers("P1", "F1"),), more.pop("procedure", {}), services,
        moves=MOVES, at=AT, **more,
    )  # fmt: skip


def booking(*services: Document, service_code: str = "USABD", **more) -> ScheduleMessage:
    """An appointment that says enough to make an order: its number stands in for those of the order."""
    procedure = {
        ACCESSION: element("SH", "AF9"), PROCEDURE_ID: element("SH", "AF9"), CODES: code(service_code),
    }  # fmt: skip
    made = services or ({**service("USABD"), STEP_ID: element("SH", "1"), MODALITY: element("CS", "US")},)
    assumed = frozenset({ACCESSION, PROCEDURE_ID, STEP_ID})
    links = (numbers("AP9", "AF9"), {CODES: code(service_code)})
    options = {"services": made, "procedure": procedure, "assumed": assumed, **more}
    return appointment(options.pop("action", BOOK), *links, **options)


def send(store: Store, message: object) -> Outcome:
    def work(tx: Transaction) -> Outcome:
        return effects.apply(tx, message, source="hl7 RIS 7", uid_root="1.2.3", told=())  # type: ignore[arg-type]

    return store.write_now(work)


def refused(store: Store, message: object) -> list[tuple[int, str]]:
    with pytest.raises(Unacceptable) as caught:
        send(store, message)
    return [(each.code, str(each.location)) for each in caught.value.findings]


def items(store: Store) -> list[WorklistItem]:
    return store.read_now(lambda tx: steps.load(tx, steps.match(tx, WorklistQuery())))


def starts(store: Store) -> dict[str, str]:
    return {text(e.step, STEP_ID): text(e.step, DATE) + text(e.step, TIME) for e in items(store)}


def states(store: Store) -> dict[str, str]:
    return {text(each.step, STEP_ID): text(each.step, STATE) for each in items(store)}


def happen(store: Store, step_key: int, *events: StepEvent) -> None:
    for event in events:
        store.write_now(
            lambda tx, event=event: transitions.advance(tx, step_key, event, source="console test")
        )


def warned(outcome: Outcome) -> list[tuple[int, str]]:
    assert all(each.severity is Severity.WARNING for each in outcome.findings)
    return [(each.code, str(each.location)) for each in outcome.findings]


# ── a known order ──


def test_f_h63_an_appointment_books_moves_and_cancels_the_orders_step(store):
    """S12, S13, S15 on one order: the same step throughout, each with its line of history."""
    send(store, order())

    made = [
        send(store, appointment(BOOK, services=(service(day="20260706"),))),
        send(store, appointment(MOVE, services=(service(day="20260707"),))),
        send(store, appointment(CANCEL, services=(service(day="20260707"),))),
    ]

    assert [(each.procedures, each.steps, each.findings) for each in made] == [((1,), (1,), ())] * 3
    assert (starts(store), states(store)) == ({"S1": "20260707103000"}, {"S1": "CANCELED"})
    history = store.read_now(lambda tx: steps.history(tx, 1))
    assert [(each.event, each.reason) for each in history] == [
        ("create", ""),
        ("move", "20260705090000 to 20260706103000"),
        ("move", "20260706103000 to 20260707103000"),
        ("cancel", "by its appointment"),
    ]


def test_of_a_known_step_only_the_schedule_changes(store):
    """What the exam is, the order says: modality, codes and numbers stay."""
    send(store, order())
    (before,) = items(store)
    said = service("OTHER", **{MODALITY: element("CS", "MR"), STATION: element("SH", "CT2")})

    send(store, appointment(MOVE, services=(said,), procedure={ACCESSION: element("SH", "X")}))

    (after,) = items(store)
    assert after.procedure == before.procedure
    assert after.step == {
        **before.step, DATE: element("DA", "20260706"), TIME: element("TM", "103000"),
        STATION: element("SH", "CT2"),
    }  # fmt: skip


def test_a_new_begin_without_an_end_leaves_no_old_end(store):
    """The end of the old appointment is not the end of the new one."""
    send(store, order())
    ends = {END_DATE: element("DA", "20260706"), END_TIME: element("TM", "110000")}
    send(store, appointment(BOOK, services=(service(**ends),)))

    send(store, appointment(MOVE, services=(service(day="20260708"),)))

    (item,) = items(store)
    assert (item.step[END_DATE], item.step[END_TIME]) == ({"vr": "DA"}, {"vr": "TM"})


def test_an_appointment_sent_twice_changes_nothing(store):
    """No revision, no line of history."""
    send(store, order())
    send(store, appointment(MOVE))
    before = items(store), store.read_now(lambda tx: steps.history(tx, 1))

    send(store, appointment(MOVE))

    assert (items(store), store.read_now(lambda tx: steps.history(tx, 1))) == before


@pytest.mark.parametrize("action", [BOOK, MOVE])
@pytest.mark.parametrize("events", [(StepEvent.BEGIN,), (StepEvent.BEGIN, StepEvent.COMPLETE)])
def test_c_52_a_step_that_has_begun_keeps_its_schedule(store, action, events):
    """Taken with a warning: a running exam is not thrown back."""
    send(store, order())
    happen(store, 1, *events)
    before = items(store)

    outcome = send(store, appointment(action))

    assert items(store) == before
    assert warned(outcome) == [(206, "SCH")]


def test_an_appointment_does_not_cancel_what_runs(store):
    """S15 and S26 for an exam that has begun: it runs on, and that is reported."""
    send(store, order())
    happen(store, 1, StepEvent.BEGIN)

    outcome = send(store, appointment(CANCEL))

    assert states(store) == {"S1": "STARTED"}
    assert warned(outcome) == [(206, "SCH")]


def test_a_booking_puts_a_cancelled_step_back(store):
    """S15, then S12 again: the step is scheduled, at the new time."""
    send(store, order())
    send(store, appointment(CANCEL))

    outcome = send(store, appointment(BOOK))

    assert (states(store), starts(store)) == ({"S1": "SCHEDULED"}, {"S1": "20260706103000"})
    assert outcome.findings == ()
    (item,) = items(store)
    assert item.ref.step_revision == 4


def test_a_move_does_not_put_a_cancelled_step_back(store):
    """Whether the order or the appointment was cancelled cannot be told: it stays, and that is reported."""
    send(store, order())
    send(store, appointment(CANCEL))

    outcome = send(store, appointment(MOVE))

    assert (states(store), starts(store)) == ({"S1": "CANCELED"}, {"S1": "20260705090000"})
    assert warned(outcome) == [(206, "SCH")]


def test_an_older_message_does_not_move_a_step_back(store):
    """S13 that was overtaken fills gaps and replaces nothing, like an order."""
    send(store, order())
    early, late = (dt.datetime(2026, 7, 4, hour, tzinfo=dt.UTC) for hour in (8, 9))
    send(store, appointment(MOVE, services=(service(day="20260707"),), sent_at=late))

    outcome = send(store, appointment(MOVE, services=(service(day="20260706"),), sent_at=early))

    assert starts(store) == {"S1": "20260707103000"}
    assert warned(outcome) == [(206, "SCH")]


# ── which step ──


def two_steps() -> OrderMessage:
    return order(step("S1", "CTH"), step("S2", "CTN", at="093000"))


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param((service("CTN"),), {"S1": "20260705090000", "S2": "20260706103000"}, id="by protocol"),
        pytest.param((service(),), {"S1": "20260706103000", "S2": "20260706103000"}, id="no code: all"),
        pytest.param((service("CTHEAD"),), {"S1": "20260706103000", "S2": "20260706103000"}, id="no step's code"),
        pytest.param(
            (service("CTN", at="110000"), service("CTH", at="120000")),
            {"S1": "20260706120000", "S2": "20260706110000"}, id="each its own",
        ),
        pytest.param(
            (service(at="110000"), service("CTN", at="120000")),
            {"S1": "20260706110000", "S2": "20260706120000"}, id="the first for the others",
        ),
        pytest.param(
            (service(**{STEP_ID: element("SH", "S1")}),),
            {"S1": "20260706103000", "S2": "20260705093000"}, id="by step ID",
        ),
        pytest.param((), {"S1": "20260705090000", "S2": "20260705093000"}, id="all services withdrawn"),
    ],
)  # fmt: skip
def test_a_service_is_the_step_it_names(store, services, expected):
    """By step ID or protocol code; what is no step in particular stands for those that are not named."""
    send(store, two_steps())

    send(store, appointment(MOVE, services=services))

    assert starts(store) == expected


def test_a_cancellation_may_be_for_one_step(store):
    """S15 that names a service leaves the other step; without one it is for all."""
    send(store, two_steps())

    send(store, appointment(CANCEL, services=(service("CTN"),)))

    assert states(store) == {"S1": "SCHEDULED", "S2": "CANCELED"}
    send(store, appointment(CANCEL, services=({},)))
    assert states(store) == {"S1": "CANCELED", "S2": "CANCELED"}


def test_what_is_over_is_not_meant_while_anything_waits(store):
    """A second appointment of an order moves the step that is left, and warns of nothing."""
    send(store, two_steps())
    happen(store, 1, StepEvent.BEGIN, StepEvent.COMPLETE)

    outcome = send(store, appointment(MOVE))

    assert starts(store) == {"S1": "20260705090000", "S2": "20260706103000"}
    assert outcome.findings == ()


# ── which order ──


def test_the_entries_are_asked_in_turn(store):
    """Order numbers first; where they find nothing, the appointment's; then the service."""
    send(store, order(n="1"))
    send(store, order(n="2", service="MRHEAD"))
    unknown, by_second, by_service = numbers("P8", "F8"), numbers("P2", "F2"), {CODES: code("CTHEAD")}

    outcome = [
        send(store, appointment(MOVE, unknown, by_second, by_service)),
        send(store, appointment(MOVE, unknown, by_service)),
    ]

    assert [each.procedures for each in outcome] == [(2,), (1,)]


def test_one_of_several_orders_for_the_service_is_not_guessed(store):
    """Two open orders of the same code: the appointment tells not which, and is refused."""
    send(store, order(n="1"))
    send(store, order(n="2"))

    assert refused(store, appointment(CANCEL, {CODES: code("CTHEAD")})) == [(204, "SCH")]


def test_a_finished_order_is_not_the_one_for_the_service(store):
    """Of an old exam and an open order the open one is meant."""
    send(store, order(n="1"))
    happen(store, 1, StepEvent.BEGIN, StepEvent.COMPLETE)
    send(store, order(n="2"))

    assert send(store, appointment(MOVE, {CODES: code("CTHEAD")})).procedures == (2,)


def test_another_patients_order_for_the_service_is_not_meant(store):
    """The service finds orders of the patient alone."""
    send(store, order())

    assert refused(store, appointment(CANCEL, {CODES: code("CTHEAD")}, of=patient("PID002"))) == [
        (204, "SCH")
    ]


@pytest.mark.parametrize("known", [True, False])
def test_an_unknown_order_is_not_cancelled(store, known):
    """204 where the appointment begins; no patient is made of it."""
    if known:
        send(store, order(n="2"))

    assert refused(store, appointment(CANCEL)) == [(204, "SCH")]

    stored = store.read_now(lambda tx: tx.connection.scalars(select(tables.patients.c.key)).all())
    assert len(stored) == int(known)


def test_what_is_not_for_the_worklist_touches_nothing(store):
    """An appointment of another department: not even the patient."""
    assert send(store, appointment(OrderAction.NOTHING)) == Outcome()
    assert store.read_now(lambda tx: tx.connection.scalars(select(tables.patients.c.key)).all()) == []


# ── an order nobody has heard of ──


def test_f_h63_an_appointment_that_says_enough_makes_the_order(store):
    """S12 alone: a step on the worklist, with a Study UID; S13 moves it, S15 cancels it."""
    made = send(store, booking())

    (item,) = items(store)
    assert (text(item.procedure, ACCESSION), text(item.step, MODALITY)) == ("AF9", "US")
    assert text(item.procedure, UID).startswith("1.2.3.")
    assert (made.procedures, made.steps) == ((1,), (1,))
    send(store, booking(service(day="20260709"), action=MOVE))
    assert starts(store) == {"1": "20260709103000"}
    send(store, booking(action=CANCEL))
    assert states(store) == {"1": "CANCELED"}
    assert len(items(store)) == 1


def test_what_is_lacking_is_what_the_message_is_refused_for(store):
    """Nothing half done; where the order is known, the same message lacks nothing."""
    lacking = (Finding(Location("AIG", 1, 4), 101, "Modality is required"),)

    assert refused(store, appointment(BOOK, lacking=lacking)) == [(101, "AIG-4")]
    assert items(store) == []
    send(store, order())
    assert send(store, appointment(BOOK, lacking=lacking)).steps == (1,)


def test_each_service_is_a_step_of_a_new_order(store):
    """Two services, two steps."""
    parts = [{**service(each), STEP_ID: element("SH", n)} for n, each in (("1", "A"), ("2", "B"))]

    send(store, booking(*parts))

    assert sorted(starts(store)) == ["1", "2"]


def test_numbers_of_another_patients_order_make_none(store):
    """205: a mistake, or a merge not yet heard of."""
    send(store, order())

    assert refused(store, appointment(BOOK, of=patient("PID002"))) == [(205, "SCH")]


def test_an_order_without_any_number_is_not_made(store):
    """101: a device could not name it."""
    assert refused(store, appointment(BOOK, {CODES: code("CTHEAD")})) == [(101, "SCH")]


# ── the order comes later ──


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(numbers("P1", "F1"), id="by its numbers"),
        pytest.param(numbers("", "F1"), id="by the filler's"),
        pytest.param(numbers("AP9", "AF9"), id="by service and day"),
    ],
)
def test_the_order_takes_the_place_of_what_the_appointment_made(store, link):
    """One exam, one step: with the order's numbers, UID and step ID in place of what was made up."""
    made = booking(service_code="CTHEAD")
    send(store, ScheduleMessage(**{**{f: getattr(made, f) for f in made.__slots__}, "links": (link,)}))

    send(store, order(step(day="20260706", at="110000")))

    (item,) = items(store)
    assert [text(item.procedure, tag) for tag in (PLACER, FILLER, ACCESSION, PROCEDURE_ID, UID)] == [
        "P1", "F1", "ACC1", "RP1", "1.2.276.0.99.1",
    ]  # fmt: skip
    assert (item.step[STEP_ID]["Value"], starts(store)) == (["S1"], {"S1": "20260706110000"})
    assert item.ref.key == 1
    send(store, order(step(day="20260706", at="110000")))
    assert len(items(store)) == 1


def test_the_order_is_cancelled_although_it_never_came(store):
    """CA names steps the booking does not know by name: it is cancelled."""
    send(store, appointment(BOOK, **_made()))

    outcome = send(store, order(action=CANCEL))

    assert (states(store), outcome.findings) == ({"S1": "CANCELED"}, ())


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(order(step(day="20260709"), service="USABD"), id="another day"),
        pytest.param(order(step(day="20260706"), service="USLEG"), id="another service"),
        pytest.param(
            order(step(day="20260706"), service="USABD", of=patient("PID002")), id="another patient"
        ),
    ],
)
def test_another_order_is_another_exam(store, later):
    """None is lost because it resembles a booking."""
    send(store, booking())

    send(store, later)

    assert len(items(store)) == 2


def test_a_booking_that_has_an_order_takes_no_other(store):
    """Once taken over it is an order like any: the next one of the same service is its own."""
    send(store, booking(service_code="CTHEAD"))
    send(store, order(step(day="20260706"), n="1"))

    send(store, order(step("S9", day="20260706"), n="2"))

    assert sorted(starts(store)) == ["S1", "S9"]


def test_an_order_without_step_id_takes_the_only_step(store):
    """What the order's profile assumed names no step."""
    send(store, booking(service_code="CTHEAD"))
    message = order(step("RP1", day="20260706"))
    change = message.procedures[0]
    assumed = ProcedureChange(change.action, change.procedure, change.steps, frozenset({STEP_ID}))

    send(store, OrderMessage("RIS", patient(), (assumed,)))

    assert starts(store) == {"1": "20260706090000"}


def test_the_steps_a_catalogue_makes_of_an_order_take_the_place_of_those_booked(store):
    """Several steps have IDs of their own, assumed or not: none is on the worklist twice."""
    send(store, booking(service_code="CTHEAD"))
    message = order(step("RP1", day="20260706"), step("RP1-B", day="20260706"))
    change = message.procedures[0]
    assumed = ProcedureChange(change.action, change.procedure, change.steps, frozenset({STEP_ID}))

    for _ in range(2):
        send(store, OrderMessage("RIS", patient(), (assumed,)))

    assert sorted(starts(store)) == ["RP1", "RP1-B"]


def test_an_exam_made_on_the_booking_keeps_its_study(store):
    """The order comes after the images: they carry the UID the device was given."""
    send(store, booking(service_code="CTHEAD"))
    (item,) = items(store)
    uid = text(item.procedure, UID)
    began = {
        **patient(), "00400252": element("CS", "IN PROGRESS"),
        "00400270": element("SQ", {UID: element("UI", uid)}),
    }  # fmt: skip
    store.write_now(lambda tx: performed.create(tx, "1.2.276.0.99.8", began, calling_ae="US1", told=()))

    send(store, order(step(day="20260706")))

    (item,) = items(store)
    assert (text(item.procedure, UID), text(item.procedure, ACCESSION)) == (uid, "ACC1")
    assert text(item.step, STATE) == "STARTED"


def _made() -> dict:
    made = booking(service_code="CTHEAD")
    return {"services": made.services, "procedure": made.procedure, "assumed": made.assumed}


# ── steps that no device can be shown ──


def test_an_appointment_tells_of_steps_that_no_device_can_be_shown(store):
    """Of those it made and of those it moved, by what is stored of them; a cancelled one needs nothing."""
    nameless = {tag: each for tag, each in patient("PID009").items() if tag != "00100010"}
    send(store, order({tag: each for tag, each in step().items() if tag != MODALITY}))

    made = send(store, booking(of=nameless))
    moved = send(store, appointment(MOVE))
    again = send(store, appointment(MOVE))
    cancelled = send(store, appointment(CANCEL))

    assert [[each.text for each in outcome.findings] for outcome in (made, moved, again, cancelled)] == [
        ["no device can be shown this step: PatientName is missing"],
        ["no device can be shown this step: Modality is missing"],
        [],
        [],
    ]
    assert warned(made) == warned(moved) == [(101, str(AT))]
