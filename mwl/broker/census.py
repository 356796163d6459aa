"""The figures that are not counted as things happen, but looked up when somebody asks.

What is asked of the database is asked once in `EVERY` seconds at most, however many ask.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Mapping

from mwl import metrics
from mwl.broker import certificates, tls
from mwl.config import Configuration
from mwl.errors import MwlError
from mwl.store import Store, Transaction, census

EVERY = 15.0
"""Seconds that a figure of the database is good for: Prometheus commonly asks that often."""


class Census:
    """Brings gauges up to date."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counted_at = -EVERY

    async def take(self, configuration: Configuration, zone: dt.tzinfo, standing: Mapping[str, bool]) -> None:
        """Bring all up to date; *standing* is which parts of this process do their work now."""
        metrics.renew(metrics.part_up, {name: float(able) for name, able in standing.items()})
        metrics.store_waiting.set(self._store.waiting)
        if time.monotonic() - self._counted_at < EVERY:
            return
        self._counted_at = time.monotonic()
        ends = await asyncio.to_thread(certificates.ends, tls.own(configuration))
        metrics.renew(metrics.certificate_ends, {name: end.timestamp() for name, end in ends.items()})
        try:
            await self._count(zone)
        except MwlError:  # they keep their last values; `mwl_part_up` tells
            return

    async def _count(self, zone: dt.tzinfo) -> None:
        def count(tx: Transaction) -> tuple[dict[str, float], int]:
            steps = census.steps_of(tx, tx.now.astimezone(zone).date())
            return {state.value: float(number) for state, number in steps.items()}, census.unlinked(tx)

        steps, unlinked = await self._store.read(count)
        metrics.renew(metrics.steps_today, steps)
        metrics.performed_unlinked.set(unlinked)
