"""Group commit: many changes, one COMMIT, none acknowledged before it.

Theory of operation
-------------------
One thread owns the only connection that changes the database.  Changes arrive in a bounded queue.
The thread takes the first, then everything else that is waiting: what arrived while the last COMMIT
was under way shares the next one.  Nobody waits on purpose for company, so a lone change pays one
COMMIT, and under load the cost of the disk's flush is divided by the length of the queue.

Each change runs in its own savepoint.  A change that raises is rolled back to it, alone; the
others stay.  Its caller, like every other, hears of it only after COMMIT: a result never overtakes
the fact, and two outcomes of one batch never contradict each other.

Two things need a second try, and each change gets exactly one, alone, in a transaction of its own:

* The batch broke: COMMIT failed, the connection was lost, a lock was not to be had.  Nothing of it
  was acknowledged.  When COMMIT's own answer was lost the changes may nevertheless be there, so a
  change must bear being made twice, which every message and every MPPS request must anyway.
* The change broke a constraint.  Another broker on the same database may have inserted the row
  between our look and our insert; the second look sees it.

What fails again fails for its caller: `Unavailable`, or the error itself.  When no transaction can
even begin, the rest of the batch fails at once; a second wait for each would only hold up the queue.

A full queue refuses (`Unavailable`) instead of growing: the peer's protocol says "try again".
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, exc, text

from mwl import metrics
from mwl.errors import Unavailable
from mwl.logs import event
from mwl.store.engine import CannotBegin, Link, means_unavailable
from mwl.store.prepared import Prepared
from mwl.store.transaction import Transaction

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work: TypeAlias = Callable[[Transaction], T]

WAITING = 10_000
"""Changes that may wait; at 1,000 a second that is the ten seconds an MLLP sender waits at most."""

BATCH = 256
"""Changes that share a commit at most: bounds what one lost connection makes us do again."""


@dataclass(slots=True)
class _Change:
    work: Work[Any]
    future: Future[Any] = field(default_factory=Future)


@dataclass(slots=True)
class _Outcome:
    """What became of a change inside its savepoint; final once the transaction is committed."""

    change: _Change
    result: Any = None
    error: BaseException | None = None
    topics: Iterable[str] = ()

    @property
    def lost_a_race(self) -> bool:
        """Whether somebody else may have inserted what this change looked for in vain."""
        return isinstance(self.error, exc.IntegrityError)


class Writer:
    """The one thread that changes the database."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], dt.datetime],
        announce: Callable[[set[str]], None],
        *,
        waiting: int = WAITING,
    ) -> None:
        self._link = Link(engine, writing=True, alone=True)
        self._clock = clock
        self._announce = announce
        self._queue: queue.Queue[_Change | None] = queue.Queue()
        self._waiting = waiting
        self._open = True
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mwl-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue *work*; the future is settled after the COMMIT that holds it.

        Raises `Unavailable` when the queue is full or closed.
        """
        change = _Change(work)
        with self._gate:  # nothing may slip in behind the mark that ends the queue
            if not self._open:
                raise Unavailable("the store is closed")
            if self._queue.qsize() >= self._waiting:
                raise Unavailable("too many changes are waiting for the database")
            self._queue.put(change)
        return change.future

    def close(self) -> None:
        """Finish what is queued, then end the thread; closing twice is allowed."""
        with self._gate:
            if self._open:
                self._open = False
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._collect()
            if batch:
                self._write(batch)
        self._link.close()

    def _collect(self) -> tuple[list[_Change], bool]:
        """Wait for a change and take what stands behind it; False when the queue has ended."""
        batch: list[_Change] = []
        taken = self._queue.get()
        while taken is not None:
            if taken.future.set_running_or_notify_cancel():
                batch.append(taken)
            if len(batch) >= BATCH:
                return batch, True
            try:
                taken = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _write(self, batch: Sequence[_Change]) -> None:
        again: Sequence[_Change]
        try:
            outcomes = self._commit(batch)
        except CannotBegin as error:
            _fail(batch, error)
            return
        except Exception as error:  # noqa: BLE001 - whatever broke the batch, this thread must go on
            cause = error.fields if isinstance(error, Unavailable) else {"cause": type(error).__name__}
            event(logger, logging.WARNING, "group commit failed", changes=len(batch), **cause)
            again = batch
        else:
            again = [outcome.change for outcome in outcomes if outcome.lost_a_race]
            self._settle([outcome for outcome in outcomes if not outcome.lost_a_race])
        for position, change in enumerate(again):
            try:
                outcomes = self._commit([change])
            except CannotBegin as error:
                _fail(again[position:], error)
                return
            except Exception as error:  # noqa: BLE001 - as above; the caller gets it
                _fail([change], error)
            else:
                self._settle(outcomes)

    def _commit(self, batch: Sequence[_Change]) -> list[_Outcome]:
        """Make the changes in one transaction and return what became of each, once that is so."""
        began = time.perf_counter()
        with self._link.transaction() as connection:
            outcomes = [self._perform(connection, change) for change in batch]
        metrics.commit_seconds.observe(time.perf_counter() - began)
        metrics.commit_size.observe(len(batch))
        return outcomes

    def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        for outcome in outcomes:
            if outcome.error is None:
                outcome.change.future.set_result(outcome.result)
            else:
                outcome.change.future.set_exception(outcome.error)
        if topics := {topic for outcome in outcomes for topic in outcome.topics}:
            self._announce(topics)

    def _perform(self, connection: Connection, change: _Change) -> _Outcome:
        # Plain statements: SQLAlchemy's nested transactions cost as much as a small change.
        _BEGIN.run(connection)
        try:
            transaction = Transaction(connection, self._clock())
            result = change.work(transaction)
        except BaseException as error:  # it belongs to the caller, who gets it as it is
            if means_unavailable(error):
                raise
            _TAKE_BACK.run(connection)
            _KEEP.run(connection)
            return _Outcome(change, error=error)
        _KEEP.run(connection)
        return _Outcome(change, result=result, topics=transaction.topics)


_BEGIN, _KEEP, _TAKE_BACK = (
    Prepared(text(f"{words} SAVEPOINT change".strip())) for words in ("", "RELEASE", "ROLLBACK TO")
)


def _fail(changes: Sequence[_Change], error: Exception) -> None:
    for change in changes:
        # One exception a caller: each grows a traceback of its own.
        own = type(error)(str(error), **error.fields) if isinstance(error, Unavailable) else error
        change.future.set_exception(own)
