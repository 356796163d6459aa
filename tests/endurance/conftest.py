"""A database of either kind, brokers on it, a RIS: for tests in which something ends that should not have."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from foreign.dicom.presence import missing

from endurance.campaign import Campaign, Moments
from endurance.postgres import Missing, Postgres, making
from endurance.ris import Ris
from endurance.serving import Serving

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Let pynetdicom not speak of connections that end: they end all the time here."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that may be stopped and started; a test that stops it starts it again."""
    try:
        with making() as server:
            yield server
    except Missing:
        missing("PostgreSQL", "Debian: postgresql")


@dataclass
class Stage:
    """A database and a RIS, and whoever enters."""

    folder: Path
    database: str
    ris: Ris
    moments: Moments
    brokers: list[Serving]
    age: Callable[[str], None]
    """Run an SQL statement on the database: how time passes."""

    def broker(self) -> Serving:
        """Return another broker on the database; it is not started."""
        broker = Serving(self.folder / f"broker{len(self.brokers)}", self.database, ris=self.ris.port)
        self.brokers.append(broker)
        return broker

    def expire_leases(self) -> None:
        """Let the leases of brokers run out that were killed; it takes 120 s where nobody helps."""
        killed = [pid for each in self.brokers for pid in each.pids if pid != each.process.pid]
        for pid in killed:
            self.age(f"UPDATE outbox SET lease_until = created_at WHERE lease_owner LIKE '%:{pid}:%'")


@pytest.fixture
def postgres_stage(postgres: Postgres, tmp_path: Path) -> Iterator[Stage]:
    """A stage on PostgreSQL."""
    name = f"mwl{next(_numbers)}"
    yield from _stage(tmp_path, postgres.make(name), lambda sql: postgres.run(name, sql))


@pytest.fixture
def sqlite_stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage on SQLite, where a broker that starts takes leases back."""
    yield from _stage(tmp_path, f"sqlite:///{tmp_path / 'mwl.db'}", lambda _: None)


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """A stage on each kind of database."""
    name = "sqlite_stage" if request.param == "sqlite" else "postgres_stage"
    found: Stage = request.getfixturevalue(name)
    return found


def _stage(folder: Path, database: str, age: Callable[[str], None]) -> Iterator[Stage]:
    moments = Moments()
    ris = Ris(moments.told)
    stage = Stage(folder, database, ris, moments, [], age)
    yield stage
    for broker in stage.brokers:
        broker.close()
    ris.close()


@pytest.fixture
def campaign() -> Callable[..., Campaign]:
    """Exams on the brokers of a stage."""

    def on(stage: Stage, address: Callable[[str], tuple[str, int]], seed: int = 1) -> Campaign:
        return Campaign(seed, address, stage.moments, stage.ris, before_the_end=stage.expire_leases)

    return on
