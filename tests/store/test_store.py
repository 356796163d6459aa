"""Reading: beside the loop, from one moment, with what went wrong told as it was."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import insert, select

from mwl.errors import Unavailable
from mwl.store import Store, Transaction, open_store
from mwl.store.tables import patients

PATIENT = {"patient_id": "P1", "issuer": "", "document": "{}"}


async def test_reads_run_side_by_side_outside_of_the_loop(store: Store) -> None:
    """Two reads wait for one another in threads, while the loop goes on."""
    meeting = threading.Barrier(2, timeout=30)

    def meet(_: Transaction) -> int:
        meeting.wait()
        return threading.get_ident()

    first, second = await asyncio.gather(store.read(meet), store.read(meet))

    assert len({first, second, threading.get_ident()}) == 3


async def test_a_read_raises_what_its_work_raised(store: Store) -> None:
    """And the next read on that thread is none the worse."""

    def fail(tx: Transaction) -> None:
        tx.connection.execute(select(patients)).all()
        raise KeyError("x")

    for _ in range(8):
        with pytest.raises(KeyError):
            await store.read(fail)

    assert await store.read(lambda tx: tx.connection.execute(select(patients)).all()) == []


async def test_a_read_must_not_write(store: Store) -> None:
    """The database refuses, and nothing is there afterwards."""
    with pytest.raises(Unavailable):
        await store.read(lambda tx: tx.connection.execute(insert(patients), PATIENT))

    assert await store.read(lambda tx: tx.connection.execute(select(patients)).all()) == []


async def test_a_read_sees_what_was_acknowledged(store: Store) -> None:
    """Every thread's connection does, at once."""
    for number in range(1, 9):
        patient = {**PATIENT, "patient_id": f"P{number}"}
        await store.write(lambda tx, row=patient: tx.connection.execute(insert(patients), row) and None)
        seen = await asyncio.gather(
            *(
                store.read(lambda tx: len(tx.connection.execute(select(patients.c.key)).all()))
                for _ in range(4)
            )
        )
        assert seen == [number] * 4


def test_commands_read_and_write_without_a_loop(store: Store) -> None:
    """They wait instead."""
    store.write_now(lambda tx: tx.connection.execute(insert(patients), PATIENT) and None)

    assert store.read_now(lambda tx: tx.connection.execute(select(patients.c.patient_id)).scalar()) == "P1"


async def test_the_broker_answers_a_ping(store: Store) -> None:
    """As long as it is open."""
    await store.ping()
    await store.close()

    with pytest.raises(Unavailable):
        await store.ping()


async def test_two_stores_share_a_database(store: Store, database_url: str) -> None:
    """What one acknowledges the other sees: several brokers may serve one hospital."""
    other = open_store(database_url)
    await store.write(lambda tx: tx.connection.execute(insert(patients), PATIENT) and None)

    seen = await other.read(lambda tx: tx.connection.execute(select(patients.c.patient_id)).scalars().all())
    await other.close()

    assert seen == ["P1"]


def test_an_unused_store_can_be_closed_twice(database_url: str) -> None:
    """Stopping what never did anything is legal."""
    store = open_store(database_url)
    store.close_now()
    store.close_now()

    with pytest.raises(Unavailable):
        store.read_now(lambda tx: None)
