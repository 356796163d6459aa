"""A database of either kind, brokers on it, a RIS: for tests in which something ends that should not have."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from endurance.campaign import Campaign
from endurance.postgres import Missing, Postgres, making
from endurance.stage import Stage, staged
from foreign.dicom.presence import missing

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that may be stopped and started; a test that stops it starts it again."""
    try:
        with making() as server:
            yield server
    except Missing:
        missing("PostgreSQL", "Debian: postgresql")


@pytest.fixture
def postgres_stage(postgres: Postgres, tmp_path: Path) -> Iterator[Stage]:
    """A stage on PostgreSQL."""
    name = f"mwl{next(_numbers)}"
    with staged(tmp_path, postgres.make(name), lambda sql: postgres.run(name, sql)) as stage:
        yield stage


@pytest.fixture
def sqlite_stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage on SQLite, where a broker that starts takes leases back."""
    with staged(tmp_path, f"sqlite:///{tmp_path / 'mwl.db'}") as stage:
        yield stage


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """A stage on each kind of database."""
    name = "sqlite_stage" if request.param == "sqlite" else "postgres_stage"
    found: Stage = request.getfixturevalue(name)
    return found


@pytest.fixture
def campaign() -> Callable[..., Campaign]:
    """Exams on the brokers of a stage."""

    def on(stage: Stage, address: Callable[[str], tuple[str, int]], seed: int = 1) -> Campaign:
        return Campaign(
            seed, address, stage.moments, stage.ris, stage.database, before_the_end=stage.expire_leases
        )

    return on
