"""Group commit: many changes, one COMMIT, none acknowledged before it.

Theory of operation
-------------------
One thread owns the only connection that changes the database.  Changes arrive in a bounded queue.
The thread takes the first, then everything else that is waiting: what arrived while the last COMMIT
was under way shares the next one.  Nobody waits on purpose for company, so a lone change pays one
COMMIT, and under load the cost of the disk's flush is divided by the length of the queue.

A change that raises is taken back alone; the others stay.  Its caller, like every other, hears of it
only after COMMIT: a result never overtakes the fact, and two outcomes of one batch never contradict
each other.  Hardly any change raises, and a savepoint costs every one: so a batch runs without, and when
a change raises, all is rolled back and done over, each change in a savepoint of its own.  So are the
next batches: who sends what cannot be done will do so again.

Two things need a second try, and each change gets exactly one, in a transaction of its own:

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
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
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


WARY = 64
"""Batches that run with savepoints after one in which a change raised."""


class _TakenBack(Exception):
    """Ends a transaction in which a change raised."""


@dataclass(slots=True)
class Change:
    """A piece of work that waits for its turn; *future* is settled after the COMMIT that holds it."""

    work: Work[Any]
    future: Future[Any] = field(default_factory=Future)
    raised: int = 0  # how often it has
    wake: Callable[[], None] | None = None  # called once it, and all that was settled with it, is


@dataclass(slots=True)
class _Outcome:
    """What became of a change; final once the transaction is committed."""

    change: Change
    result: Any = None
    error: BaseException | None = None
    topics: Iterable[str] = ()

    @property
    def lost_a_race(self) -> bool:
        """Whether somebody else may have inserted what this change looked for in vain, and only once."""
        return isinstance(self.error, exc.IntegrityError) and self.change.raised < 2


class Writer:
    """The one thread that changes the database."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], dt.datetime],
        announce: Callable[[set[str]], None],
        *,
        waiting: int = WAITING,
        given: bool = False,
    ) -> None:
        """A *clock* that is *given* is everybody's (`Transaction.agreed`)."""
        self._link = Link(engine, writing=True, alone=True)
        self._clock, self._given = clock, given
        self._announce = announce
        self._queue: queue.SimpleQueue[Sequence[Change] | None] = queue.SimpleQueue()
        self._most = waiting
        self._waiting = 0  # changes that have come and are in no batch yet
        self._came: deque[Change] = deque()  # those of them that are out of the queue
        self._wary = 0  # batches that are still to be run with savepoints
        self._open = True
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mwl-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue *work*; the future is settled after the COMMIT that holds it.

        Raises `Unavailable` when the queue is full or closed.
        """
        change = Change(work)
        if (refused := self._queued([change])) is not None:
            raise refused
        return change.future

    def take(self, changes: Sequence[Change]) -> None:
        """Queue *changes*; those for which there is no room fail with `Unavailable`."""
        if (refused := self._queued(changes)) is None:
            return
        if len(changes) == 1:
            _fail([each for each in changes if each.future.set_running_or_notify_cancel()], refused)
            _wake(changes)
        else:  # as many as there is room for
            for change in changes:
                self.take([change])

    def _queued(self, changes: Sequence[Change]) -> Unavailable | None:
        with self._gate:  # nothing may slip in behind the mark that ends the queue
            if not self._open:
                return Unavailable("the store is closed")
            if self._waiting + len(changes) > self._most:
                return Unavailable("too many changes are waiting for the database")
            self._waiting += len(changes)
            self._queue.put(changes)
        return None

    @property
    def waiting(self) -> int:
        """How many changes have come and are in no batch yet."""
        return self._waiting

    def close(self) -> None:
        """Finish what is queued, then end the thread; closing twice is allowed."""
        with self._gate:
            if self._open:
                self._open = False
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more or self._came:
            more = self._collect(more)
            taken = [self._came.popleft() for _ in range(min(BATCH, len(self._came)))]
            with self._gate:
                self._waiting -= len(taken)
            if batch := [change for change in taken if change.future.set_running_or_notify_cancel()]:
                self._write(batch)
                _wake(batch)
        self._link.close()

    def _collect(self, more: bool) -> bool:
        """Take what stands in the queue; wait where nothing is at hand; return False when it has ended."""
        while more and not (self._came and self._queue.empty()):
            changes = self._queue.get()
            self._came.extend(changes or ())
            more = changes is not None
        return more

    def _write(self, batch: Sequence[Change]) -> None:
        again: Sequence[Change]
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

    def _commit(self, batch: Sequence[Change]) -> list[_Outcome]:
        """Make the changes in one transaction and return what became of each, once that is so."""
        began = time.perf_counter()
        apart = self._wary > 0 and len(batch) > 1
        outcomes = self._made(batch, apart=apart)
        if apart:
            self._wary -= 1
        elif outcomes[-1].error is not None and len(batch) > 1:
            self._wary = WARY
            outcomes = self._made(batch, apart=True)
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

    def _made(self, batch: Sequence[Change], *, apart: bool) -> list[_Outcome]:
        """Make the changes in one transaction.

        One that raises is taken back alone where they are kept *apart*; else all are, and it is the last.
        """
        outcomes: list[_Outcome] = []
        with suppress(_TakenBack), self._link.transaction() as connection:
            for change in batch:
                # Plain statements: SQLAlchemy's nested transactions cost as much as a small change.
                if apart:
                    _BEGIN.run(connection)
                outcomes.append(self._perform(connection, change))
                if outcomes[-1].error is not None:
                    if not apart:
                        raise _TakenBack
                    _TAKE_BACK.run(connection)
                if apart:
                    _KEEP.run(connection)
        return outcomes

    def _perform(self, connection: Connection, change: Change) -> _Outcome:
        try:
            transaction = Transaction(connection, self._clock(), given=self._given)
            result = change.work(transaction)
        except BaseException as error:  # it belongs to the caller, who gets it as it is
            if means_unavailable(error):
                raise
            change.raised += 1
            return _Outcome(change, error=error)
        return _Outcome(change, result=result, topics=transaction.topics)


_BEGIN, _KEEP, _TAKE_BACK = (
    Prepared(text(f"{words} SAVEPOINT change".strip())) for words in ("", "RELEASE", "ROLLBACK TO")
)


def _wake(changes: Sequence[Change]) -> None:
    for wake in {each.wake for each in changes if each.wake is not None}:
        wake()


def _fail(changes: Sequence[Change], error: Exception) -> None:
    for change in changes:
        # One exception a caller: each grows a traceback of its own.
        own = type(error)(str(error), **error.fields) if isinstance(error, Unavailable) else error
        change.future.set_exception(own)
