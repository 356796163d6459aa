"""Recent performed steps without a scheduled one, by the numbers they say: what a new order looks through.

Every order asks, and hardly any finds one; to read the documents each time would cost more than the order
itself.  So each process remembers the numbers of the exams it has read, and reads only those that came
since.  The latest keys are looked at once more each time: one may be given anew after a rollback.  What is
remembered is no more than a hint: whoever finds a key reads the row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, and_, bindparam, exists, func, select

from mwl.lifecycle import PerformedState
from mwl.model import Document, items, text
from mwl.store.prepared import Prepared
from mwl.store.promoted import column, load
from mwl.store.tables import performed, performed_links
from mwl.store.transaction import Transaction

_AGAIN: Final = 256
"""Keys before the last that are looked at once more: as many as a commit has changes."""

_TOGETHER: Final = 100
"""Documents that are read by one statement; one may hold thousands of images."""

_STEP_ATTRIBUTES, _PATIENT_ID = "00400270", "00100020"
_STEP_ID, _PROCEDURE_ID = "00400009", "00401001"
_NUMBERS = ("00080050", "00402016", "00402017")  # accession, placer, filler


def pair(step_id: str, procedure_id: str) -> str:
    """Return what stands for step ID and requested procedure ID: each by itself may be as short as "1"."""
    return f"{step_id}\\{procedure_id}" if step_id and procedure_id else ""


@dataclass(frozen=True, slots=True)
class _Exam:
    """What is remembered of one."""

    uid: str
    heard_at: str
    said: frozenset[str]


class Unlinked:
    """What one process remembers of one database."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._known: dict[int, _Exam] = {}
        self._keys: dict[str, set[int]] = {}  # by number
        self._age: deque[tuple[str, int]] = deque()  # when it was heard of, and its key

    def find(self, tx: Transaction, numbers: Iterable[str], since: str) -> list[int]:
        """Return the keys of performed steps, heard of after an instant, that said one of *numbers*."""
        # What is too old by what is known of it may have been heard of once more.
        unread = [*self._outdated(since), *self._new(tx, since)]
        for at in range(0, len(unread), _TOGETHER):
            wanted = {"keys": unread[at : at + _TOGETHER], "since": since}
            for row in tx.connection.execute(_DOCUMENTS, wanted):
                self._remember(row.key, _Exam(row.sop_instance_uid, row.updated_at, _said(row.document)))
        return sorted(set().union(*(self._keys.get(number, ()) for number in numbers)))

    def _new(self, tx: Transaction, since: str) -> list[int]:
        last = _LAST.scalar(tx.connection, {}) or 0
        if self._last is None:
            rows = tx.connection.execute(_RECENT, {"since": since}).all()
        else:
            rows = _LATEST.all(tx.connection, {"behind": min(self._last, last) - _AGAIN, "since": since})
        self._last = last
        return [row.key for row in rows if not self._knows(row.key, row.sop_instance_uid)]

    def _knows(self, key: int, uid: str) -> bool:
        return key in self._known and self._known[key].uid == uid

    def _remember(self, key: int, exam: _Exam) -> None:
        self._forget(key)
        self._known[key] = exam
        self._age.append((exam.heard_at, key))
        for number in exam.said:
            self._keys.setdefault(number, set()).add(key)

    def _outdated(self, since: str) -> list[int]:
        """Forget what was last heard of before *since*, as far as that is known, and return the keys."""
        keys = []
        while self._age and self._age[0][0] < since:
            heard_at, key = self._age.popleft()
            if key in self._known and self._known[key].heard_at == heard_at:
                self._forget(key)
                keys.append(key)
        return keys

    def _forget(self, key: int) -> None:
        exam = self._known.pop(key, None)
        for number in exam.said if exam else ():
            self._keys[number].discard(key)
            if not self._keys[number]:
                del self._keys[number]


def _said(document: str) -> frozenset[str]:
    return frozenset(_numbers(load(document)))


def _numbers(document: Document) -> Iterator[str]:
    scopes = [(document, _PATIENT_ID)]
    for item in items(document, _STEP_ATTRIBUTES):
        scopes += [(item, tag) for tag in _NUMBERS]
        if both := pair(*(column(text(item, tag)) for tag in (_STEP_ID, _PROCEDURE_ID))):
            yield both
    yield from (number for scope, tag in scopes if (number := column(text(scope, tag))))


_REMEMBERED: WeakKeyDictionary[Engine, Unlinked] = WeakKeyDictionary()


def of(tx: Transaction) -> Unlinked:
    """Return what this process remembers of the database of a transaction."""
    return _REMEMBERED.setdefault(tx.connection.engine, Unlinked())


_UNLINKED = and_(
    performed.c.updated_at >= bindparam("since"),
    ~exists().where(performed_links.c.performed_key == performed.c.key),
)
_FOUND = select(performed.c.key, performed.c.sop_instance_uid).where(_UNLINKED).order_by(performed.c.key)
_RECENT = _FOUND.where(performed.c.state.in_([state.value for state in PerformedState]))
_LATEST = Prepared(_FOUND.where(performed.c.key > bindparam("behind")))
_LAST = Prepared(select(func.max(performed.c.key).label("last")))
_DOCUMENTS = select(
    performed.c.key, performed.c.sop_instance_uid, performed.c.updated_at, performed.c.document
).where(_UNLINKED, performed.c.key.in_(bindparam("keys", expanding=True)))
