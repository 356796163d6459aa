"""Recent performed steps without a scheduled one, by the numbers they say: what a new order looks through.

Every order asks, and hardly any finds one; to read the documents each time would cost more than the order
itself.  So each process remembers the numbers of the exams it has read, and reads only what came since: the
latest rows once more, since another broker may commit a lower key later, or a key may be given anew after
a rollback.  What is remembered is no more than a hint: whoever finds a key reads the row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Row, bindparam, exists, func, select

from mwl.lifecycle import PerformedState
from mwl.model import Document, items, text
from mwl.store.promoted import column, load
from mwl.store.tables import performed, performed_links
from mwl.store.transaction import Transaction

_AGAIN: Final = 100
"""Rows before the last that are read once more."""

_STEP_ATTRIBUTES, _PATIENT_ID = "00400270", "00100020"
_NUMBERS = ("00080050", "00402016", "00402017")  # accession, placer, filler


class Unlinked:
    """What one process remembers of one database."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._known: dict[int, str] = {}  # SOP Instance UID, by key
        self._keys: dict[str, set[int]] = {}  # by number
        self._age: deque[tuple[str, int, frozenset[str]]] = deque()

    def find(self, tx: Transaction, numbers: Iterable[str], since: str) -> list[int]:
        """Return the keys of performed steps, heard of after an instant, that said one of *numbers*."""
        self._forget(since)
        for row in self._new(tx, since):
            self._remember(row)
        return sorted(set().union(*(self._keys.get(number, ()) for number in numbers)))

    def _new(self, tx: Transaction, since: str) -> Iterator[Row[Any, Any, Any, Any]]:
        last = tx.connection.scalar(_LAST) or 0
        if self._last is None:
            yield from tx.connection.execute(_RECENT, {"since": since})
        else:
            yield from tx.connection.execute(_LATEST, {"behind": self._last - _AGAIN, "since": since})
        self._last = last

    def _remember(self, row: Row[Any, Any, Any, Any]) -> None:
        if self._known.get(row.key) == row.sop_instance_uid:
            return
        said = frozenset(_numbers(load(row.document)))
        self._known[row.key] = row.sop_instance_uid
        self._age.append((row.updated_at, row.key, said))
        for number in said:
            self._keys.setdefault(number, set()).add(row.key)

    def _forget(self, since: str) -> None:
        while self._age and self._age[0][0] < since:
            _, key, said = self._age.popleft()
            self._known.pop(key, None)
            for number in said:
                self._keys[number].discard(key)
                if not self._keys[number]:
                    del self._keys[number]


def _numbers(document: Document) -> Iterator[str]:
    scopes = [
        (document, _PATIENT_ID),
        *((item, tag) for item in items(document, _STEP_ATTRIBUTES) for tag in _NUMBERS),
    ]
    yield from (number for scope, tag in scopes if (number := column(text(scope, tag))))


_REMEMBERED: WeakKeyDictionary[Engine, Unlinked] = WeakKeyDictionary()


def of(tx: Transaction) -> Unlinked:
    """Return what this process remembers of the database of a transaction."""
    return _REMEMBERED.setdefault(tx.connection.engine, Unlinked())


_FOUND = select(
    performed.c.key, performed.c.sop_instance_uid, performed.c.updated_at, performed.c.document
).where(
    performed.c.updated_at >= bindparam("since"),
    ~exists().where(performed_links.c.performed_key == performed.c.key),
)
_RECENT = _FOUND.where(performed.c.state.in_([state.value for state in PerformedState])).order_by(
    performed.c.key
)
_LATEST = _FOUND.where(performed.c.key > bindparam("behind")).order_by(performed.c.key)
_LAST = select(func.max(performed.c.key))
