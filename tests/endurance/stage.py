"""A database, a RIS that is told, and the brokers on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from endurance.campaign import Moments
from endurance.ris import Ris
from endurance.serving import Serving


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

    def broker(self, *, workers: int = 1) -> Serving:
        """Return another broker on the database; it is not started."""
        folder = self.folder / f"broker{len(self.brokers)}"
        broker = Serving(folder, self.database, ris=self.ris.port, workers=workers)
        self.brokers.append(broker)
        return broker

    def expire_leases(self) -> None:
        """Let the leases of brokers run out that were killed; it takes 120 s where nobody helps."""
        for pid in {pid for each in self.brokers for pid in each.ended}:
            self.age(f"UPDATE outbox SET lease_until = created_at WHERE lease_owner LIKE '%:{pid}:%'")


@contextmanager
def staged(folder: Path, database: str, age: Callable[[str], None] = lambda _: None) -> Iterator[Stage]:
    """Hold a stage; whoever still plays on it in the end is killed."""
    moments = Moments()
    ris = Ris(moments.told)
    stage = Stage(folder, database, ris, moments, [], age)
    try:
        yield stage
    finally:
        for broker in stage.brokers:
            broker.close()
        ris.close()
