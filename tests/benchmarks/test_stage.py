"""The hospitals that benchmarks are run on: made once, copied for those that change them."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from postgresql import serving
from servers import Missing
from sqlalchemy import func, select
from stage import PostgresqlHouse, SqliteHouse, folder_for

from foreign.dicom.presence import missing
from mwl.model import StepRef
from mwl.store import open_store, steps, tables

STEPS = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request, tmp_path):
    """Where databases are kept."""
    if request.param == "sqlite":
        yield SqliteHouse(tmp_path)
        return
    with ExitStack() as stack:
        folder = stack.enter_context(folder_for(None))  # pytest's may not be entered by another user
        try:
            server = stack.enter_context(serving(folder / "postgresql"))
        except Missing:
            missing("PostgreSQL", "postgresql")
        yield PostgresqlHouse(server)


def count(url: str) -> int:
    """Return how many steps a database has."""
    store = open_store(url)
    try:
        counting = select(func.count()).select_from(tables.steps)
        return store.read_now(lambda tx: tx.connection.execute(counting).scalar_one())
    finally:
        store.close_now()


def test_a_hospital_is_made_once_and_a_copy_is_another_database(house):
    """What is done to the copy is not done to the hospital."""
    hospital = house.hospital(STEPS)
    made = count(hospital)
    with house.copied(hospital) as copy:
        store = open_store(copy)
        try:
            store.write_now(lambda tx: tx.connection.execute(tables.step_stations.delete()))
            store.write_now(lambda tx: tx.connection.execute(tables.steps.delete()))
        finally:
            store.close_now()
        left = count(copy)

    assert (made, left) == (STEPS, 0)
    assert house.hospital(STEPS) == hospital
    assert count(hospital) == STEPS
    assert house.size(hospital) > 0


def test_the_steps_of_a_hospital_can_be_loaded(house):
    """They are what an order would have made: patient, procedure and step."""
    store = open_store(house.hospital(STEPS))
    try:
        (item,) = store.read_now(lambda tx: steps.load(tx, [StepRef(1, 1, 1, 1)]))
    finally:
        store.close_now()

    assert item.patient["00100020"]["Value"] == ["PID00000001"]
    assert item.step["00400001"]["Value"] == ["BENCH"]
