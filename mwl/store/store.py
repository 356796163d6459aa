"""The door to the database: reads in a few threads, writes in one, both awaitable.

The event loop touches no connection but that of `mwl.store.glance`.  A read runs in a short
transaction of its own that sees one snapshot; a write shares a COMMIT with what arrived beside it (see
`mwl.store.writer`).  Either raises what its work raised, and `Unavailable` when the database cannot
answer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, literal, select

from mwl import metrics
from mwl.errors import Unavailable
from mwl.store import engine as engines
from mwl.store import migrations, tables
from mwl.store.engine import Link, Lost
from mwl.store.glance import Glance
from mwl.store.handover import Gathering, Handover
from mwl.store.transaction import Transaction
from mwl.store.writer import Change, T, Work, Writer

READERS = 4
"""Threads that read; SQLite and the interpreter lock gain little from more."""

Listener = Callable[[set[str]], None]


def utc_now() -> dt.datetime:
    """Return the time now, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def open_store(
    url: str,
    *,
    migrate: bool = True,
    clock: Callable[[], dt.datetime] | None = None,
    readers: int = READERS,
) -> Store:
    """Open the database at *url*, with its schema brought up to date unless *migrate* is false.

    A *clock* stands for all there are, the server's included; without one it is the machine's.
    Raises `BadDocument` for a URL that cannot be used, `Unavailable` when the database does not
    answer or, without *migrate*, has an older schema, and `SchemaTooNew`.
    """
    engine = engines.create(url)
    if migrate:
        migrations.upgrade(engine)
    else:
        migrations.require_current(engine)
    return Store(engine, clock=clock, readers=readers)


class Store:
    """Reads and writes; made by `open_store`."""

    def __init__(self, engine: Engine, *, clock: Callable[[], dt.datetime] | None, readers: int) -> None:
        self.engine = engine
        self._clock = clock or utc_now
        self._listeners: list[tuple[asyncio.AbstractEventLoop, Listener]] = []
        self._handovers: WeakKeyDictionary[asyncio.AbstractEventLoop, Handover] = WeakKeyDictionary()
        self._gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, Gathering[Change]] = (
            WeakKeyDictionary()
        )
        self._links: list[Link] = []
        self._own = threading.local()
        self._readers = ThreadPoolExecutor(readers, "mwl-reader", initializer=self._open_link)
        self._writer = Writer(engine, self._clock, self._announce, given=clock is not None)
        self._glance = Glance(engine, self._clock)

    async def read(self, work: Work[T]) -> T:
        """Return what *work* returns, from one snapshot of the database; it must not change anything."""
        return await self._handover().result(self._submit_read(work))

    def glance(self, work: Work[T]) -> T:
        """Do as `read`, at once: for what is known to take next to nothing (see `mwl.store.glance`).

        Raises `NotAtOnce`, and then `read` has to be asked.
        """
        return self._glance.read(work)

    async def write(self, work: Work[T]) -> T:
        """Return what *work* returns, once it is committed.

        Work may run twice (see `mwl.store.writer`), and in a batch with others: it confines itself
        to its transaction.  Cancelling the wait does not undo a change that has begun.
        """
        handover = self._handover()
        change = Change(work, wake=handover.wake)
        self._gathering().add(change)
        return await handover.result(change.future, together=True)

    def read_now(self, work: Work[T]) -> T:
        """Do as `read`, waiting: for commands, never in the event loop."""
        return self._submit_read(work).result()

    def write_now(self, work: Work[T]) -> T:
        """Do as `write`, waiting: for commands, never in the event loop."""
        return self._writer.submit(work).result()

    def on_commit(self, listener: Listener) -> Callable[[], None]:
        """Have *listener* called, in the loop that runs now, with the topics of commits that touch any.

        Returns what ends that; ending it twice is allowed.
        """
        entry = (asyncio.get_running_loop(), listener)
        self._listeners.append(entry)

        def end() -> None:
            with suppress(ValueError):
                self._listeners.remove(entry)

        return end

    @property
    def waiting(self) -> int:
        """How many changes wait for the database."""
        return self._writer.waiting

    async def ping(self) -> None:
        """Raise `Unavailable` unless the database answers a query on the schema."""
        await self.read(lambda tx: tx.connection.execute(_PING).all())

    async def close(self) -> None:
        """Commit what is queued, refuse what comes later, end the threads; twice is allowed."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """Do as `close`, waiting."""
        self._writer.close()
        self._readers.shutdown()
        self._glance.close()
        while self._links:
            self._links.pop().close()
        self.engine.dispose()

    def _handover(self) -> Handover:
        loop = asyncio.get_running_loop()
        if (found := self._handovers.get(loop)) is None:
            found = self._handovers[loop] = Handover()
        return found

    def _gathering(self) -> Gathering[Change]:
        loop = asyncio.get_running_loop()
        if (found := self._gatherings.get(loop)) is None:
            found = self._gatherings[loop] = Gathering(self._writer.take)
        return found

    def _open_link(self) -> None:
        self._own.link = Link(self.engine, writing=False)
        self._links.append(self._own.link)

    def _submit_read(self, work: Work[T]) -> Future[T]:
        try:
            return self._readers.submit(self._read, work)
        except RuntimeError:
            raise Unavailable("the store is closed") from None

    def _read(self, work: Work[T]) -> T:
        try:
            return self._read_once(work)
        except Lost:
            # The server may have been restarted while nobody asked; reading twice harms nobody.
            return self._read_once(work)

    def _read_once(self, work: Work[T]) -> T:
        link: Link = self._own.link
        with metrics.store_seconds.time(), link.transaction() as connection:
            return work(Transaction(connection, self._clock()))

    def _announce(self, topics: set[str]) -> None:
        for loop, listener in tuple(self._listeners):  # the loop's thread may end one meanwhile
            with suppress(RuntimeError):  # that loop is closed: nobody listens any more
                loop.call_soon_threadsafe(listener, topics)


_PING = select(literal(1)).select_from(tables.steps).limit(1)
