"""Two brokers on one PostgreSQL are one broker to whoever asks: no order of theirs, no status, is twice or nowhere."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from endurance.campaign import Campaign, kill
from endurance.clients import Device, Sender, Status
from endurance.exams import KNOWN, SUCCESS, Exam, Fate, begun, ended, keys
from endurance.ledger import judge, waiting
from endurance.postgres import Postgres
from endurance.stage import Stage, staged

ROUNDS = 25
KILLS = 3
MERGE = "\r".join((
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701130000||ADT^A40^ADT_A39|M{old}|P|2.5.1||||||UNICODE UTF-8",
    "EVN||20260701130000",
    "PID|1||PID{new}^^^HOSP||DOE^N{new}||19700101|F",
    "MRG|PID{old}^^^HOSP\r",
))  # fmt: skip


class Pair:
    """Two brokers that began at once on an empty database, and a sender and a device at each."""

    def __init__(self, stage: Stage, closing: ExitStack) -> None:
        self.stage, self.brokers = stage, [stage.broker(), stage.broker()]
        self.exams: list[Exam] = []
        for broker in self.brokers:
            broker.begin()
        for broker in self.brokers:
            broker.ready()
        self.senders = [Sender(lambda at=each: at.address("hl7")) for each in self.brokers]
        self.devices = [Device("CT1", lambda at=each: at.address("dicom")) for each in self.brokers]
        for client in (*self.senders, *self.devices):
            closing.callback(client.close)
        self._threads = closing.enter_context(ThreadPoolExecutor(2))

    def exam(self, n: int, *, patient: int | None = None, fate: Fate = Fate.WAITING) -> Exam:
        """Return an exam that is not moved, of which the test will see to everything."""
        self.exams.append(Exam(n, n if patient is None else patient, fate, moved=False, finished=True))
        return self.exams[-1]

    def at_once(self, first: Callable[[], Any], second: Callable[[], Any]) -> list[Any]:
        """Do both at the same moment, and return what came of them."""
        barrier = threading.Barrier(2)

        def begun_together(work: Callable[[], Any]) -> Any:
            barrier.wait(60)
            return work()

        return list(self._threads.map(begun_together, (first, second)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows of the database."""
        engine = create_engine(self.stage.database, poolclass=NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def judged(self) -> list[str]:
        """Return what is wrong, in the database or in a log, once the RIS was told everything."""
        told = self.stage.ris.until(lambda: not waiting(self.stage.database), 60)
        wrong = [] if told else ["the RIS was not told everything"]
        wrong += [str(error) for broker in self.brokers for error in broker.errors]
        return wrong + judge(self.stage.database, self.exams, self.stage.ris.receipts).all()

    def forget(self) -> None:
        """Begin anew with the database and the RIS; keys of rows are never given twice."""
        self.stage.ris.until(lambda: not waiting(self.stage.database), 60)
        self.stage.age("TRUNCATE patients, performed, messages, outbox CASCADE")
        self.stage.ris.receipts.clear()
        self.exams.clear()


@pytest.fixture(scope="module")
def both(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two brokers for the tests of this file."""
    url = postgres.make("pair")
    folder = tmp_path_factory.mktemp("pair")
    with ExitStack() as closing:
        stage = closing.enter_context(staged(folder, url, lambda sql: postgres.run("pair", sql)))
        yield Pair(stage, closing)


@pytest.fixture
def pair(both: Pair) -> Iterator[Pair]:
    """Two brokers on an empty database."""
    yield both
    both.forget()


def sent(sender: Sender, order: Exam, control: str = "NW") -> str:
    """Send an order; note it where it is accepted."""
    message = order.order(control)
    code = sender.send(message)
    if code == "AA":
        order.messages.append(message.split("|", 10)[9])
    return code


def test_orders_for_one_new_patient_at_both_at_once_make_one_patient(pair):
    """Whoever comes second finds the patient that the first has made."""
    answers = []
    for number in range(ROUNDS):
        one, other = (pair.exam(2 * number + at, patient=number) for at in (0, 1))
        answers += pair.at_once(
            lambda o=one: sent(pair.senders[0], o), lambda o=other: sent(pair.senders[1], o)
        )

    assert answers == ["AA"] * (2 * ROUNDS)
    assert pair.rows("SELECT count(*) FROM patients") == [(ROUNDS,)]
    assert pair.judged() == []


def test_the_same_message_at_both_at_once_is_done_once(pair):
    """D-30: a RIS that sends through two lines makes one step and one history, and is told AA by both."""
    answers = []
    for number in range(ROUNDS):
        same = pair.exam(number)
        answers += pair.at_once(*(lambda at=at, o=same: at.send(o.order("NW")) for at in pair.senders))

    assert answers == ["AA"] * (2 * ROUNDS)
    assert pair.judged() == []
    # Each broker may put the bytes on record that it took before it could see the other's.
    kept = pair.rows("SELECT sum(receipts), count(DISTINCT control_id) FROM messages")
    assert kept == [(2 * ROUNDS, ROUNDS)]


def test_a_change_and_a_cancellation_at_both_at_once_leave_one_truth(pair):
    """XO and CA of one order: cancelled, whichever was first; the change is in it, or came late."""
    answers = []
    for number in range(ROUNDS):
        order = pair.exam(number, fate=Fate.CANCELLED)
        assert sent(pair.senders[0], order) == "AA"
        changed, cancelled = order.order("XO"), order.order("CA")
        answers += pair.at_once(
            lambda m=changed: pair.senders[0].send(m), lambda m=cancelled: pair.senders[1].send(m)
        )

    states = pair.rows("SELECT state, count(*) FROM steps GROUP BY state")
    history = pair.rows("SELECT after, count(*) FROM step_history GROUP BY after ORDER BY after")
    assert answers == ["AA"] * (2 * ROUNDS)
    assert states == [("CANCELED", ROUNDS)]
    assert history == [("CANCELED", ROUNDS), ("SCHEDULED", ROUNDS)]
    assert [broker.errors for broker in pair.brokers] == [[], []]


def test_a_merge_and_an_order_at_both_at_once_leave_one_patient(pair):
    """A40 at one, an order for the prior patient at the other: both orders are the surviving patient's."""
    answers, found = [], []
    for number in range(ROUNDS):
        old, new = 2 * number, 2 * number + 1
        first, second = (pair.exam(n, patient=old) for n in (old, new))
        assert sent(pair.senders[0], first) == "AA"
        merge = MERGE.format(old=old, new=new)
        answers += pair.at_once(
            lambda m=merge: pair.senders[0].send(m), lambda o=second: sent(pair.senders[1], o)
        )
        items = [item for each in (first, second) for item in pair.devices[0].find(keys(each.accession))]
        found.append([item.PatientID for item in items])

    assert answers == ["AA"] * (2 * ROUNDS)
    assert found == [[f"PID{2 * number + 1}"] * 2 for number in range(ROUNDS)]
    assert [broker.errors for broker in pair.brokers] == [[], []]


def test_what_one_acknowledged_the_very_next_query_at_the_other_finds(pair):
    """Orders, changes and performed steps: nothing is kept in memory that another broker may change."""
    found, wanted = [], []
    device_a, device_b = pair.devices
    for number in range(ROUNDS):
        order = pair.exam(number, fate=Fate.RUNNING)

        def seen(by: Device, order: Exam = order) -> list[tuple[str, str]]:
            steps = [item.ScheduledProcedureStepSequence[0] for item in by.find(keys(order.accession))]
            return [
                (each.ScheduledProcedureStepStatus, each.ScheduledProcedureStepStartTime) for each in steps
            ]

        found.append([])
        assert seen(device_b) == []
        assert sent(pair.senders[0], order) == "AA"
        found[-1] += seen(device_b)
        assert sent(pair.senders[1], order, "XO") == "AA"
        found[-1] += seen(device_a)
        assert device_a.create(order.uid, begun(order)) == Status(SUCCESS)
        found[-1] += seen(device_b)
        wanted.append([("SCHEDULED", "093000"), ("SCHEDULED", "101500"), ("STARTED", "101500")])

    assert found == wanted


def test_a_performed_step_begins_at_one_and_ends_at_the_other(pair):
    """N-CREATE at A, N-SET at B at once after it; each status is told once, by either, in order."""
    for number in range(ROUNDS):
        order = pair.exam(number, fate=Fate.DONE)
        assert sent(pair.senders[number % 2], order) == "AA"
        assert pair.devices[0].create(order.uid, begun(order)) == Status(SUCCESS)
        assert pair.devices[1].set(order.uid, ended("COMPLETED")) == Status(SUCCESS)

    assert pair.judged() == []
    assert len(pair.stage.ris.receipts) == 2 * ROUNDS  # claimed by one, sent by one


def test_the_same_performed_step_at_both_at_once_is_made_once(pair):
    """B-04: one is answered 0000, the other 0111; of two that end it one is 0000, the other 0110 with A710."""
    created, ends = [], []
    for number in range(ROUNDS):
        order = pair.exam(number, fate=Fate.DONE)
        assert sent(pair.senders[0], order) == "AA"
        created.append(
            pair.at_once(*(lambda at=at, o=order: at.create(o.uid, begun(o)) for at in pair.devices))
        )
        ends.append(
            pair.at_once(*(lambda at=at, o=order: at.set(o.uid, ended("COMPLETED")) for at in pair.devices))
        )

    assert [sorted(each, key=repr) for each in created] == [[Status(SUCCESS), KNOWN]] * ROUNDS
    assert [sorted(status.code for status in each) for each in ends] == [[SUCCESS, 0x0110]] * ROUNDS
    assert pair.judged() == []


def test_an_order_and_its_performed_step_at_both_at_once_find_one_another(pair):
    """F-M19: the exam begins while its order is still on the way; the two are one in the end."""
    for number in range(ROUNDS):
        order = pair.exam(number, fate=Fate.RUNNING)
        answers = pair.at_once(
            lambda o=order: sent(pair.senders[0], o),
            lambda o=order: pair.devices[1].create(o.uid, begun(o)),
        )
        assert answers == ["AA", Status(SUCCESS)]

    assert pair.judged() == []


def test_one_of_two_is_killed_and_the_other_goes_on(pair, campaign):
    """Half of the clients lose a connection, and find their orders at either."""
    stage, chosen = pair.stage, random.Random(5)
    turns = iter(range(1_000_000))

    def either(door: str) -> tuple[str, int]:
        return pair.brokers[next(turns) % 2].address(door)

    exams: Campaign = campaign(stage, either)
    pair.exams = exams.exams
    with exams:
        for _ in range(KILLS):
            kill(chosen.choice(pair.brokers), stage.moments, chosen)

    assert exams.refused == []
    assert pair.judged() == []
    assert len(exams.finished) == len(exams.exams) > KILLS


def test_a_reload_by_one_reaches_the_others(postgres_stage):
    """Whoever is told to read its files again, all read theirs; nobody answers that with another reload."""
    brokers = [postgres_stage.broker(), postgres_stage.broker()]
    for each in brokers:
        with (each.folder / "mwl.yaml").open("a") as written:
            written.write("reload: {watch: false}\n")
        each.start()
        profiles = each.folder / "mappings" / "devices"
        profiles.mkdir(parents=True)
        (profiles / "own.yaml").write_text("profile: own\nextends: generic\nstatus: hypothesis\n")
    brokers[0].process.send_signal(signal.SIGHUP)
    told = [each.told("reloaded") for each in brokers]

    assert [each["why"] for each in told] == ["SIGHUP", "another broker"]
    assert {each["digest"] for each in told} == {told[0]["digest"]}
    assert [each["changed"] for each in told] == [["devices/own"]] * 2
    assert [each.stop() for each in brokers] == [0, 0]
    assert [sum('"reloaded"' in line for line in each.log) for each in brokers] == [1, 1]
