"""What is looked up when somebody asks: bounded labels, and the database asked no more often than needed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import REGISTRY
from store.exams import House, began, order, unscheduled

from mwl import config
from mwl.broker import census
from mwl.broker.census import Census
from mwl.store import open_store

BERLIN = ZoneInfo("Europe/Berlin")
STANDING = {"database": True, "dicom": False}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Orders and exams on a database of their own."""
    made = House()
    made.now = dt.datetime(2026, 7, 4, 22, 30, tzinfo=dt.UTC)  # the 5th in Berlin
    made.store = open_store(f"sqlite:///{tmp_path / 'mwl.db'}", clock=lambda: made.now)
    yield made
    made.store.close_now()


def figure(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_steps_of_the_sites_day_are_counted_by_state(house: House, tmp_path: Path) -> None:
    """Not those of another day; an exam without an order is counted as well."""
    house.send(order("1", "S1", start="20260705 090000"))
    house.send(order("2", "S2", start="20260704 235900"))
    house.create("1.2.3", began(unscheduled()))
    settings = config.load(_empty(tmp_path), {})

    await Census(house.store).take(settings, BERLIN, STANDING)

    assert figure("mwl_steps_today", state="SCHEDULED") == 1
    assert figure("mwl_steps_today", state="COMPLETED") == 0
    assert figure("mwl_performed_unlinked") == 1
    assert [figure("mwl_part_up", part=part) for part in STANDING] == [1, 0]
    assert figure("mwl_store_waiting") == 0


async def test_the_database_is_not_asked_again_at_once(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that ask in one quarter of a minute get the same figure; whether parts work is always new."""
    settings, counting = config.load(_empty(tmp_path), {}), Census(house.store)
    await counting.take(settings, BERLIN, STANDING)
    house.send(order("1", "S1", start="20260705 090000"))

    await counting.take(settings, BERLIN, {"database": False})
    early = figure("mwl_steps_today", state="SCHEDULED")
    monkeypatch.setattr(census, "EVERY", 0.0)
    await counting.take(settings, BERLIN, STANDING)

    assert (early, figure("mwl_steps_today", state="SCHEDULED")) == (0, 1)


async def test_without_a_database_the_last_figures_stay(house: House, tmp_path: Path) -> None:
    """That it is away is told by its own figure."""
    house.send(order("1", "S1", start="20260705 090000"))
    settings = config.load(_empty(tmp_path), {})
    await Census(house.store).take(settings, BERLIN, STANDING)
    house.store.close_now()

    await Census(house.store).take(settings, BERLIN, {"database": False})

    assert figure("mwl_steps_today", state="SCHEDULED") == 1
    assert figure("mwl_part_up", part="database") == 0


def _empty(folder: Path) -> Path:
    (folder / "mwl.yaml").write_text("{}\n")
    return folder / "mwl.yaml"
