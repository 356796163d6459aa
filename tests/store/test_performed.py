"""Performed steps: stored, linked, followed by the scheduled steps, reported to the ordering system."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from mwl.conduct import STEP_AND_PROCEDURE, STUDY
from mwl.errors import Refusal, Refused
from mwl.lifecycle import PerformedState, StepState
from mwl.model import OrderAction, OrderMessage, ProcedureChange, StatusEvent, name_value
from mwl.store import Store, Transaction, open_store, orders, outbox, performed, progress, tables
from mwl.store.linking import Remark
from mwl.store.performed import Outcome

STATUS, ITEMS, SERIES, REASON, PATIENT_ID = "00400252", "00400270", "00400340", "00400281", "00100020"
UID, ACCESSION, REQUESTED, STEP_ID = "0020000D", "00080050", "00401001", "00400009"
IN_PROGRESS, COMPLETED, DISCONTINUED = PerformedState
WRONG_ENTRY = ("110514", "DCM")
U1, U2 = "1.2.840.1", "1.2.840.2"
TOLD = frozenset(("RIS", event) for event in StatusEvent)


def element(vr: str, *values: object) -> dict:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def order(n: str = "1001", *steps: str, patient_id: str = "PID001", system: str = "RIS",
          action: OrderAction = OrderAction.CREATE, uid: str = "") -> OrderMessage:  # fmt: skip
    patient = {"00100010": element("PN", name_value("DOE^JOHN")), PATIENT_ID: element("LO", patient_id)}
    procedure = {
        ACCESSION: element("SH", f"ACC{n}"), REQUESTED: element("SH", f"RP{n}"),
        UID: element("UI", uid or f"1.2.276.0.99.{n}"), "00402016": element("LO", f"P{n}"),
    }  # fmt: skip
    made = [
        {STEP_ID: element("SH", s), "00080060": element("CS", "CT"), "00400001": element("AE", f"CT_{s}")}
        for s in steps
    ]
    return OrderMessage(system, patient, (ProcedureChange(action, procedure, tuple(made)),))


def item(n: str = "1001", step: str = "S1", **replaced: dict) -> dict:
    """Return a Scheduled Step Attributes item as a device copies it from the worklist."""
    numbers = {
        UID: element("UI", f"1.2.276.0.99.{n}"), ACCESSION: element("SH", f"ACC{n}"),
        REQUESTED: element("SH", f"RP{n}"), STEP_ID: element("SH", step),
    }  # fmt: skip
    return numbers | replaced


def unscheduled(uid: str = "1.2.276.0.99.1001") -> dict:
    """Return an item with nothing but a Study Instance UID (B-34)."""
    return {UID: element("UI", uid)} | {tag: element("SH") for tag in (ACCESSION, REQUESTED, STEP_ID)}


def began(*items: dict, patient_id: str = "PID001", state: str = "IN PROGRESS", **more: dict) -> dict:
    return {
        STATUS: element("CS", state), ITEMS: element("SQ", *items), PATIENT_ID: element("LO", patient_id),
        "00080060": element("CS", "CT"), **more,
    }  # fmt: skip


def ended(state: PerformedState, reason: tuple[str, str] | None = None) -> dict:
    document = {STATUS: element("CS", state.value)}
    if reason:
        document[REASON] = element(
            "SQ", {"00080100": element("SH", reason[0]), "00080102": element("SH", reason[1])}
        )
    return document


def send(store: Store, message: OrderMessage, told=TOLD) -> tuple[int, ...]:
    return store.write_now(lambda tx: orders.apply(tx, message, source="hl7", uid_root=None, told=told)).steps


def create(store: Store, uid: str = U1, document: dict | None = None, told=TOLD) -> Outcome:
    sent = document or began(item())
    return store.write_now(lambda tx: performed.create(tx, uid, sent, calling_ae="CT1", told=told))


def update(store: Store, uid: str, document: dict, told=TOLD) -> Outcome:
    return store.write_now(lambda tx: performed.update(tx, uid, document, calling_ae="CT1", told=told))


def refusal(work, *arguments) -> Refusal:
    with pytest.raises(Refused) as caught:
        work(*arguments)
    return caught.value.reason


def rows(store: Store, table) -> list:
    return store.read_now(lambda tx: tx.connection.execute(select(table).order_by(table.c.key)).all())


def states(store: Store) -> list[str]:
    return [row.state for row in rows(store, tables.steps)]


def reported(store: Store) -> list[tuple[str, str]]:
    """Return what the systems will hear, in the order of writing: accession number and event."""
    waiting = reversed(store.read_now(outbox.browse))
    return [(row.facts["procedure"][ACCESSION]["Value"][0], row.facts["event"]) for row in waiting]


def events(store: Store) -> list[str]:
    return [event for _, event in reported(store)]


@pytest.fixture
def s1(store: Store) -> int:
    """The key of step S1 of order 1001, scheduled."""
    [key] = send(store, order("1001", "S1"))
    return key


def test_f_m01_a_performed_step_starts_its_scheduled_step(store, s1):
    """The step is STARTED, linked by its IDs, and the RIS hears IP with the facts as they then were."""
    outcome = create(store)

    [link] = rows(store, tables.performed_links)
    [row] = store.read_now(outbox.browse)
    assert (outcome.linked, outcome.findings, states(store)) == ((s1,), (), ["STARTED"])
    assert (link.step_key, link.rule) == (s1, STEP_AND_PROCEDURE.name)
    assert (row.destination, row.facts["event"]) == ("RIS", "IP")
    assert row.thread == f"procedure:{rows(store, tables.procedures)[0].key}"
    assert row.facts["patient"][PATIENT_ID]["Value"] == ["PID001"]
    assert row.facts["procedure"]["00402016"]["Value"] == ["P1001"]
    assert row.facts["steps"][0]["00400020"]["Value"] == ["STARTED"]
    assert row.facts["performed"] == outcome.step.document


def test_f_m05_a_second_creation_is_refused_and_changes_nothing(store, s1):
    """One row, one message."""
    create(store)

    assert refusal(create, store, U1, began(item(), patient_id="PID002")) is Refusal.DUPLICATE
    assert (len(rows(store, tables.performed)), events(store)) == (1, ["IP"])


async def test_f_m05_of_two_creations_at_once_one_is_refused(database_url):
    """Two brokers on one database, each with its own writer: the unique constraint decides (B-04)."""
    brokers = [open_store(database_url) for _ in range(2)]
    send(brokers[0], order("1001", "S1"))

    def work(tx: Transaction) -> Outcome:
        return performed.create(tx, U1, began(item()), calling_ae="CT1", told=TOLD)

    try:
        outcomes = await asyncio.gather(*(b.write(work) for b in brokers * 3), return_exceptions=True)
        stored, sent = len(rows(brokers[0], tables.performed)), events(brokers[0])
    finally:
        for broker in brokers:
            await broker.close()

    refused = [each.reason for each in outcomes if isinstance(each, Refused)]
    assert refused == [Refusal.DUPLICATE] * 5
    assert (stored, sent) == (1, ["IP"])


def test_f_m07_setting_an_unknown_step_is_refused(store):
    """There is nothing to set, and nothing is made."""
    assert refusal(update, store, "1.2.3", ended(COMPLETED)) is Refusal.UNKNOWN
    assert rows(store, tables.performed) == []


@pytest.mark.parametrize("state", [COMPLETED, DISCONTINUED])
@pytest.mark.parametrize("document", [{}, ended(COMPLETED), ended(IN_PROGRESS), {SERIES: element("SQ")}])
def test_f_m08_what_has_ended_may_not_be_set(store, state, document):
    """Whatever the N-SET holds, the stored instance and the outbox stay as they are."""
    create(store)
    update(store, U1, ended(state))
    before = rows(store, tables.performed), reported(store)

    assert refusal(update, store, U1, document) is Refusal.FINAL
    assert (rows(store, tables.performed), reported(store)) == before


def test_f_m09_completion_completes_the_step_and_is_reported(store, s1):
    """The RIS hears IP, then CM, in one thread."""
    create(store)

    outcome = update(store, U1, ended(COMPLETED))

    assert (outcome.linked, states(store), events(store)) == ((s1,), ["COMPLETED"], ["IP", "CM"])
    assert len({row.thread for row in store.read_now(outbox.browse)}) == 1


def test_f_m12_sequences_are_replaced_whole_and_the_rest_stays(store, s1):
    """B-09: the stored list is the last one sent; an intermediate N-SET moves and reports nothing."""
    create(store, U1, began(item(), **{"00400254": element("LO", "THORAX")}))
    series = [{"0020000E": element("UI", uid)} for uid in ("1.1", "1.2")]
    update(store, U1, {SERIES: element("SQ", series[0])})

    update(store, U1, ended(IN_PROGRESS) | {SERIES: element("SQ", *series)})

    stored = store.read_now(lambda tx: performed.get(tx, U1))
    assert stored.document[SERIES]["Value"] == series
    assert stored.document["00400254"]["Value"] == ["THORAX"]
    assert (stored.revision, states(store), events(store)) == (3, ["STARTED"], ["IP"])


def test_setting_what_is_set_changes_nothing(store, s1):
    """A repeated intermediate N-SET spends no revision."""
    create(store)
    update(store, U1, {SERIES: element("SQ")})
    before = rows(store, tables.performed)

    update(store, U1, {SERIES: element("SQ")})

    assert rows(store, tables.performed) == before


def test_f_m15_discontinuation_discontinues_the_step(store, s1):
    """A reason other than the wrong entry ends the exam; the RIS hears DC."""
    create(store)

    outcome = update(store, U1, ended(DISCONTINUED, ("110501", "DCM")))

    assert (states(store), events(store), outcome.findings) == (["DISCONTINUED"], ["IP", "DC"], ())


def test_f_m17_the_wrong_entry_puts_the_step_back_on_the_worklist(store, s1):
    """B-33: the step is SCHEDULED again, the RIS hears SC and no DC, a person hears of it."""
    create(store)

    outcome = update(store, U1, ended(DISCONTINUED, WRONG_ENTRY))

    assert (states(store), events(store)) == (["SCHEDULED"], ["IP", "SC"])
    assert outcome.findings == (Remark.WRONG_ENTRY,)


def test_the_wrong_entry_does_not_stop_an_exam_that_runs(store, s1):
    """A withdrawn performed step counts for nothing beside another one of the same step."""
    create(store, U1)
    create(store, U2)

    update(store, U1, ended(DISCONTINUED, WRONG_ENTRY))
    running = states(store)
    update(store, U2, ended(COMPLETED))

    assert (running, states(store), events(store)) == (["STARTED"], ["COMPLETED"], ["IP", "IP", "CM"])


def test_the_wrong_entry_does_not_reopen_what_its_order_closed(store, s1):
    """An order discontinued by the RIS meanwhile stays so."""
    create(store)
    send(store, order("1001", action=OrderAction.DISCONTINUE))

    update(store, U1, ended(DISCONTINUED, WRONG_ENTRY))

    assert states(store) == ["DISCONTINUED"]


def test_f_m18_an_unscheduled_exam_touches_no_step(store, s1):
    """It is kept and reported to a person, to no system."""
    outcome = create(store, U1, began(unscheduled("1.2.276.0.99.7")))

    assert (outcome.linked, outcome.findings) == ((), (Remark.UNSCHEDULED,))
    assert (states(store), events(store), len(rows(store, tables.performed))) == (["SCHEDULED"], [], 1)


@pytest.mark.parametrize("document", [{STATUS: element("CS", "IN PROGRESS")}, began(), began({})])
def test_peer_failure_18_missing_step_attributes_are_an_unscheduled_exam(store, document):
    """No item, or an empty one, is no reason to lose the exam."""
    assert create(store, U1, document).findings == (Remark.UNSCHEDULED,)


@pytest.mark.parametrize(
    ("end", "state", "heard"),
    [
        (None, "STARTED", ["IP"]),
        (COMPLETED, "COMPLETED", ["IP", "CM"]),
        (DISCONTINUED, "DISCONTINUED", ["IP", "DC"]),
    ],
)
def test_f_m19_an_order_finds_the_exam_that_came_before_it(store, end, state, heard):
    """A later order with the exam's Study Instance UID is made in the state the exam has reached."""
    create(store, U1, began(unscheduled()))
    if end:
        update(store, U1, ended(end))

    send(store, order("1001", "S1"))

    assert (states(store), events(store)) == ([state], heard)
    assert [link.rule for link in rows(store, tables.performed_links)] == [STUDY.name]


def test_f_m19_the_exam_goes_on_after_its_order_has_come(store):
    """Once linked, the exam moves the step like any other; sending the order again changes nothing."""
    create(store, U1, began(unscheduled()))
    send(store, order("1001", "S1"))
    send(store, order("1001", "S1"))

    update(store, U1, ended(COMPLETED))

    assert (states(store), events(store)) == (["COMPLETED"], ["IP", "CM"])


def test_f_m19_an_exam_of_another_patient_is_not_adopted(store):
    """A Study Instance UID alone does not join two patients (F51)."""
    create(store, U1, began(unscheduled(), patient_id="PID999"))

    send(store, order("1001", "S1"))

    assert (states(store), rows(store, tables.performed_links)) == (["SCHEDULED"], [])


def test_f_m19_an_exam_is_not_adopted_by_an_order_of_several_steps(store):
    """Which of the steps was performed is not known."""
    create(store, U1, began(unscheduled()))

    send(store, order("1001", "S1", "S2"))

    assert states(store) == ["SCHEDULED", "SCHEDULED"]


def test_f_m19_a_withdrawn_exam_is_not_adopted(store):
    """What was begun by mistake starts nothing."""
    create(store, U1, began(unscheduled()))
    update(store, U1, ended(DISCONTINUED, WRONG_ENTRY))

    send(store, order("1001", "S1"))

    assert (states(store), events(store)) == (["SCHEDULED"], [])


def test_f_m20_an_exam_may_be_appended_to(store, s1):
    """A further performed step after completion starts the step again until it ends as well."""
    create(store, U1)
    update(store, U1, ended(COMPLETED))

    create(store, U2)
    again = states(store)
    update(store, U2, ended(DISCONTINUED))

    assert (again, states(store)) == (["STARTED"], ["COMPLETED"])
    assert events(store) == ["IP", "CM", "IP", "CM"]


def test_f_m21_one_exam_for_two_procedures_moves_and_reports_both(store):
    """The group case: n items, n steps, one message a procedure and event."""
    send(store, order("1001", "S1"))
    send(store, order("1002", "S2", patient_id="PID001"))

    create(store, U1, began(item("1001", "S1"), item("1002", "S2")))
    started = states(store)
    update(store, U1, ended(COMPLETED))

    assert (started, states(store)) == (["STARTED"] * 2, ["COMPLETED"] * 2)
    assert reported(store) == [("ACC1001", "IP"), ("ACC1002", "IP"), ("ACC1001", "CM"), ("ACC1002", "CM")]
    assert len({row.thread for row in store.read_now(outbox.browse)}) == 2


def test_one_exam_for_two_steps_of_a_procedure_is_reported_once(store):
    """One message a procedure and event, however many steps."""
    send(store, order("1001", "S1", "S3"))

    create(store, U1, began(item("1001", "S1"), item("1001", "S3")))
    update(store, U1, ended(COMPLETED))

    assert (states(store), events(store)) == (["COMPLETED"] * 2, ["IP", "CM"])


def test_an_item_without_its_step_is_reported(store, s1):
    """The item that names a step links it, the other is remarked on."""
    outcome = create(store, U1, began(item(), item("1077", "S77")))

    assert (outcome.linked, outcome.findings) == ((s1,), (Remark.PARTLY_UNSCHEDULED,))


def test_two_items_of_one_step_link_it_once(store, s1):
    """A device that repeats an item does not break the exam."""
    assert create(store, U1, began(item(), item())).linked == (s1,)


@pytest.mark.parametrize("first", [U1, U2])
def test_f_m22_two_exams_of_one_step_complete_it_whichever_ends_last(store, s1, first):
    """U1 is discontinued, U2 completed: the step is COMPLETED, and that is the last the RIS hears."""
    create(store, U1)
    create(store, U2)
    ends = {U1: DISCONTINUED, U2: COMPLETED}
    last = U2 if first == U1 else U1

    update(store, first, ended(ends[first]))
    between = states(store)
    update(store, last, ended(ends[last]))

    assert (between, states(store), events(store)) == (["STARTED"], ["COMPLETED"], ["IP", "IP", "CM"])


def test_f_m23_a_differing_patient_is_reported_and_not_merged(store, s1):
    """The IDs link; the order's patient stays as it is (B-35)."""
    before = rows(store, tables.patients)

    outcome = create(store, U1, began(item(), patient_id="PID999"))

    assert (outcome.linked, outcome.findings) == ((s1,), (Remark.PATIENT_DIFFERS,))
    assert rows(store, tables.patients) == before


def test_f_m24_an_exam_of_a_cancelled_order_starts_it(store, s1):
    """MPPS is the truth of what happened (B-36, M15); the contradiction is remarked on."""
    send(store, order("1001", action=OrderAction.CANCEL))

    outcome = create(store)

    assert (states(store), events(store)) == (["STARTED"], ["IP"])
    assert outcome.findings == (Remark.CANCELLED_ORDER,)


def test_f_m30_a_trailing_pad_is_no_part_of_the_state(store, s1):
    """ "IN PROGRESS " is IN PROGRESS."""
    outcome = create(store, U1, began(item(), state="IN PROGRESS "))

    assert outcome.step.state is IN_PROGRESS


def test_a_system_that_wants_no_status_is_told_nothing(store):
    """The state changes all the same."""
    send(store, order("1001", "S1", system="HIS"))

    create(store)

    assert (states(store), events(store)) == (["STARTED"], [])


def test_a_change_that_is_rolled_back_reports_nothing(store, s1):
    """Performed step, state and report are one change (B-18)."""

    def work(tx: Transaction) -> None:
        performed.create(tx, U1, began(item()), calling_ae="CT1", told=TOLD)
        raise Refused(Refusal.FINAL, "withdrawn")

    with pytest.raises(Refused):
        store.write_now(work)

    assert (states(store), events(store), rows(store, tables.performed)) == (["SCHEDULED"], [], [])


def test_an_unknown_instance_is_none(store):
    """Reading what is not there is no error."""
    assert store.read_now(lambda tx: performed.get(tx, "1.2.3")) is None


def test_the_history_names_the_performed_step(store, s1):
    """Who moved the step can be read from its history."""
    create(store)

    assert rows(store, tables.step_history)[-1].source == f"mpps {U1} CT1"


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["create", IN_PROGRESS, COMPLETED, DISCONTINUED, "withdraw"]),
    ),
    max_size=12,
)


@given(actions=ACTIONS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_b_32_the_step_is_in_the_state_its_performed_steps_give_it(store, actions):
    """Whatever devices send, in whatever order, the state follows from all of it together."""
    wipe(store)
    send(store, order("1001", "S1"))
    known: dict[int, PerformedState | None] = {}  # None: withdrawn
    for n, action in actions:
        if action == "create":
            attempt(create, store, str(n))
            known.setdefault(n, IN_PROGRESS)
        elif known.get(n) is IN_PROGRESS:
            known[n] = None if action == "withdraw" else action
            attempt(update, store, str(n), ended_by(action))
        else:
            attempt(update, store, str(n), ended_by(action))

    [state] = states(store)

    assert state == expected([each for each in known.values() if each])


def expected(counted: list[PerformedState]) -> StepState:
    """Return what B-32 says, in its own words."""
    if not counted:
        return StepState.SCHEDULED
    if any(each is IN_PROGRESS for each in counted):
        return StepState.STARTED
    if any(each is COMPLETED for each in counted):
        return StepState.COMPLETED
    return StepState.DISCONTINUED


def ended_by(action: PerformedState | str) -> dict:
    return ended(DISCONTINUED, WRONG_ENTRY) if action == "withdraw" else ended(action)


def attempt(work, *arguments) -> None:
    try:
        work(*arguments)
    except Refused as refused:
        assert refused.reason in Refusal  # noqa: PT017 - which one is the subject of other tests


def wipe(store: Store) -> None:
    for table in (tables.patients, tables.performed, tables.outbox):
        store.write_now(lambda tx, table=table: tx.connection.execute(table.delete()))


@pytest.mark.parametrize("state", [COMPLETED, IN_PROGRESS])
def test_only_a_discontinuation_can_be_for_the_wrong_entry(state):
    """The reason counts with the state it explains, and only in DICOM's own scheme."""
    document = ended(state, WRONG_ENTRY)

    assert not progress.withdrawn(state, document)
    assert progress.withdrawn(DISCONTINUED, document)
    assert not progress.withdrawn(DISCONTINUED, ended(DISCONTINUED, ("110514", "99LOCAL")))
