"""Tells the systems what became of their orders: a courier for each that is told.

How rows leave is the theory of `mwl.hl7.courier`; this part starts the couriers, wakes them when
something was written, and ends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mwl.hl7.courier import Courier, Pace, backoff
from mwl.hl7.destination import Destination
from mwl.store import Store, outbox

__all__ = ["Destination", "Notifier", "Pace", "backoff"]


class Notifier:
    """Delivers the outbox's status rows; start and stop may be called in any order, any number of times."""

    def __init__(
        self,
        store: Store,
        destinations: Sequence[Destination],
        *,
        owner: str,
        pace: Pace = Pace(),  # noqa: B008  frozen
    ) -> None:
        """*owner* names this broker in leases."""
        self._store, self._destinations, self._owner, self._pace = store, tuple(destinations), owner, pace
        self._couriers: list[Courier] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._deafen: Callable[[], None] = _nothing

    async def start(self) -> None:
        """Begin to deliver what waits."""
        if self._tasks:
            return
        self._deafen = self._store.on_commit(self._committed)
        for destination in self._destinations:
            courier = Courier(self._store, destination, owner=self._owner, pace=self._pace)
            self._couriers.append(courier)
            self._tasks.append(asyncio.create_task(courier.run(), name=f"notify {destination.name}"))

    async def stop(self) -> None:
        """Let the exchanges under way end, give back what was claimed, and end."""
        self._deafen()
        for courier in self._couriers:
            courier.end()
        self._couriers = []
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks)

    def _committed(self, topics: set[str]) -> None:
        if outbox.TOPIC in topics:
            for courier in self._couriers:
                courier.wake()


def _nothing() -> None:
    """Stand in for what `Store.on_commit` returns, until there is one."""
