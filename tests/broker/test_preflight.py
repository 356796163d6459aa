"""What was ordered is looked at beside the broker's work: once it is committed, and again when it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import pytest

from mwl import metrics
from mwl.broker import Broker, bind, preflight
from mwl.broker.preflight import Preflight, View
from mwl.errors import Unavailable
from mwl.hl7.sender import send
from mwl.lifecycle import StepState
from mwl.model import OrderAction, OrderMessage, ProcedureChange
from mwl.store import Store, doubts, open_store, orders
from mwl.store.outcome import Outcome
from mwl.store.tables import steps

NAMELESS = {"00100010": {"vr": "PN"}}
ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260705080000||{kind}|{control_id}|P|2.3.1|||||DEU|UNICODE UTF-8\r"
    "PID|1||PID002^^^HOSP_A||{name}||19800101|F\r"
    "PV1|1|O\r"
)
STEP = (
    "ORC|NW|P1002|F1002||SC||1^^^20260705103000^^R\r"
    "OBR|1|P1002|F1002|CTHEAD^CT head^99L||||||||||||2201^SMITH^ANNA||ACC1002|RP1002|SP1002|CT1|||CT"
    "|||1^^^20260705103000^^R\r"
    "ZDS|1.2.276.0.99.1002^^Application^DICOM\r"
)


@pytest.fixture
async def store(file) -> AsyncIterator[Store]:
    """A store of its own."""
    opened = await asyncio.to_thread(open_store, file.load().database)
    yield opened
    await opened.close()


@pytest.fixture
def looking(store, file) -> Preflight:
    """A preflight that works when it is told to."""
    profiles = bind(file.load())
    return Preflight(store, View(profiles.devices, "MWL", ZoneInfo("Europe/Berlin")))


async def order(store: Store, item, **patient: dict) -> Outcome:
    """Have *item* ordered for CT1, with the patient's attributes changed."""
    step = {**item.step, "00400001": {"vr": "AE", "Value": ["CT1"]}}
    change = ProcedureChange(OrderAction.CREATE, item.procedure, (step,))
    message = OrderMessage(item.system, {**item.patient, **patient}, (change,))
    return await store.write(lambda tx: orders.apply(tx, message, source="hl7", uid_root=None, told=()))


async def found(store: Store) -> list[str]:
    """Return the attributes in doubt."""
    keys = await store.read(doubts.doubtful)
    kept = await store.read(lambda tx: doubts.of_steps(tx, keys))
    return [each.path for about in kept.values() for each in about]


def told(caplog, name: str) -> list[dict]:
    return [each.fields for each in caplog.records if each.getMessage() == name]


def count(outcome: str) -> float:
    return metrics.preflight_steps.labels(outcome)._value.get()


async def test_what_is_found_is_kept_told_and_counted(store, looking, f0_items, caplog):
    """The log names step, message, device and line, and no patient."""
    before = count("withheld")
    done = await order(store, f0_items["S2"], **NAMELESS)

    looking.note(1, done)
    with caplog.at_level(logging.INFO, "mwl"):
        await looking.finish()

    assert await found(store) == ["PatientName"]
    assert count("withheld") == before + 1
    (event,) = told(caplog, "order in doubt")
    assert (event["step"], event["message"], event["device"], event["withheld"]) == (
        done.steps[0], 1, "CT1", True,
    )  # fmt: skip
    (line,) = event["doubts"]
    assert line.startswith("PatientName: a value that the device requires is missing (")


async def test_a_doubt_ends_when_its_cause_is_mended(store, looking, f0_items, caplog):
    """By a later message on the patient, whichever order it was about; and once only it is told."""
    done = await order(store, f0_items["S2"], **NAMELESS)
    looking.note(1, done)
    await looking.finish()
    caplog.clear()

    with caplog.at_level(logging.INFO, "mwl"):
        looking.note(2, done)
        await looking.finish()
        assert told(caplog, "order in doubt") == []
        looking.note(3, await order(store, f0_items["S2"]))
        await looking.finish()

    assert await found(store) == []
    assert told(caplog, "order no longer in doubt") == [{"step": done.steps[0]}]


async def test_a_queue_that_is_full_counts_what_it_leaves_out(looking, monkeypatch):
    """Nobody waits for it, and memory is bounded."""
    monkeypatch.setattr(preflight, "WAITING", 1)
    before = count("skipped")

    for number in range(3):
        looking.note(number, Outcome(steps=(1,)))

    assert count("skipped") == before + 2


async def test_it_is_put_off_while_messages_pour_in(looking, monkeypatch):
    """Nothing but the end of the broker cuts short a wait for a moment without one."""
    monkeypatch.setattr(preflight, "_QUIET", 3600.0)
    looking.note(1, Outcome(steps=(1,)))
    waiting = asyncio.create_task(looking._quiet())
    await asyncio.sleep(0)
    assert not waiting.done()

    looking._stopping.set()
    await asyncio.wait_for(waiting, 30)


async def test_it_is_not_put_off_for_ever(looking, monkeypatch):
    """Neither for long, nor until the queue is full."""
    monkeypatch.setattr(preflight, "_QUIET", 3600.0)
    looking.note(1, Outcome(steps=(1,)))
    with monkeypatch.context() as patient:
        patient.setattr(preflight, "_PATIENCE", 0.0)
        await asyncio.wait_for(looking._quiet(), 30)

    monkeypatch.setattr(preflight, "WAITING", 1)
    await asyncio.wait_for(looking._quiet(), 30)


async def test_a_database_that_is_away_ends_nothing(looking, caplog, monkeypatch):
    """It is told; the next slice may go well."""
    heard = asyncio.Event()

    class Away:
        async def read(self, work):
            heard.set()
            raise Unavailable("the database does not answer")

        write = read

    monkeypatch.setattr(looking, "_store", Away())
    with caplog.at_level(logging.WARNING, "mwl"):
        await looking.start()
        await asyncio.wait_for(heard.wait(), 30)
        await looking.stop()
        await looking.stop()

    assert told(caplog, "preflight not done")


async def test_a_defect_ends_nothing(looking, caplog, monkeypatch):
    """The broker takes orders and sends lists without it."""
    heard = asyncio.Event()

    async def broken():
        heard.set()
        raise RuntimeError

    monkeypatch.setattr(looking, "_slice", broken)
    await looking.start()
    await asyncio.wait_for(heard.wait(), 30)
    monkeypatch.undo()
    await looking.stop()

    assert "preflight failed" in caplog.messages


async def test_what_waits_when_the_broker_stops_is_looked_at_first(store, looking, f0_items):
    """Unless there is too much of it."""
    await looking.start()
    looking.note(1, await order(store, f0_items["S2"], **NAMELESS))

    await looking.stop()

    assert await found(store) == ["PatientName"]


async def test_too_much_that_waits_is_counted(looking, caplog, monkeypatch):
    """A stop is not held up for long."""
    monkeypatch.setattr(preflight, "_DRAIN", 0)
    await looking.start()
    looking._steps = dict.fromkeys(range(100))

    await looking.stop()

    assert told(caplog, "preflight not finished")


async def test_doubts_about_what_is_done_are_forgotten(store, looking, f0_items):
    """At the start, and once an hour."""
    done = await order(store, f0_items["S2"], **NAMELESS)
    looking.note(1, done)
    await looking.finish()
    closed = steps.update().values(state=StepState.COMPLETED.value)
    await store.write(lambda tx: tx.connection.execute(closed))

    await looking._sweep()

    assert await store.read(doubts.doubtful) == []


class Heard(logging.Handler):
    """Waits for events of the broker in this process."""

    def __init__(self) -> None:
        super().__init__()
        self._came: asyncio.Queue[logging.LogRecord] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        self._loop.call_soon_threadsafe(self._came.put_nowait, record)

    async def until(self, name: str) -> dict:
        async with asyncio.timeout(60):
            while (record := await self._came.get()).getMessage() != name:
                pass
        return record.fields


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    """What the broker logs."""
    handler, logger = Heard(), logging.getLogger("mwl")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_an_order_is_looked_at_after_its_acknowledgement(file, heard):
    """A later message on the patient mends it; so does a profile, once it is taken over."""
    broker = Broker(file.load())
    await broker.start()
    at = broker.addresses["hl7"]

    async def sends(control_id: str, kind: str, name: str, more: str) -> bytes:
        text = ORDER.format(control_id=control_id, kind=kind, name=name) + more
        return await send(at.host, at.port, text.encode())

    assert b"MSA|AA" in await sends("1", "ORM^O01", "", STEP)
    doubt = await heard.until("order in doubt")
    assert (doubt["device"], doubt["withheld"]) == ("CT1", True)
    assert b"MSA|AA" in await sends("2", "ADT^A08", "DOE^JANE", "")
    assert await heard.until("order no longer in doubt") == {"step": doubt["step"]}

    folder = file.folder / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "ct.yaml").write_text("profile: ct\nstatus: hypothesis\nrequire: {max_len: {PatientID: 2}}\n")
    await broker.reload(file.change("CT1: {profile: generic}", "CT1: {profile: ct}"))
    assert b"MSA|AA" in await sends("3", "ORM^O01", "DOE^JANE", STEP)
    assert (await heard.until("order in doubt"))["withheld"] is False
    await broker.reload(file.change("CT1: {profile: ct}", "CT1: {profile: generic}"))
    assert await heard.until("order no longer in doubt") == {"step": doubt["step"]}
    await broker.drain()
