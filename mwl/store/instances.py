"""Performed steps as they are stored: the row, what a person should look at in it, and who has.

Remarks are lines of one text.  Those of `mwl.store.linking.Remark` say what is remarkable; any other is a
note of what a person, or the clock, did and why.  A remark that is new needs somebody to look again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, select

from mwl.errors import Refusal, Refused
from mwl.lifecycle import PerformedState
from mwl.model import Document, text
from mwl.store.linking import Remark
from mwl.store.prepared import Prepared, change
from mwl.store.promoted import dump, load
from mwl.store.tables import performed, performed_links
from mwl.store.transaction import Transaction

STATUS = "00400252"
"""Performed Procedure Step Status."""

_WORDS = frozenset(remark.value for remark in Remark)


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """A performed step as stored; instants are UTC, as the tables hold them."""

    key: int
    uid: str
    state: PerformedState
    calling_ae: str  # of the N-CREATE
    document: Document
    revision: int
    remarks: tuple[Remark, ...] = ()
    notes: tuple[str, ...] = ()
    settled_by: str = ""  # who has looked at the remarks; "": nobody has
    settled_at: str = ""
    created_at: str = ""
    updated_at: str = ""  # when its device, a person or the clock last changed it

    @property
    def source(self) -> str:
        """How the history of a scheduled step names it."""
        return f"mpps {self.uid} {self.calling_ae}"

    @property
    def unsettled(self) -> bool:
        """Whether a person should look at it."""
        return bool(self.remarks) and not self.settled_by


def get(tx: Transaction, uid: str) -> PerformedStep | None:
    """Return the performed step of this SOP Instance UID, None if there is none."""
    row = _BY_UID.first(tx.connection, {"uid": uid})
    return None if row is None else step(row)


def held(tx: Transaction, uid: str) -> PerformedStep:
    """Do as `get`, with the row locked until the transaction ends; raises `Refused` (UNKNOWN)."""
    return _found(_HELD_BY_UID.first(tx.connection, {"uid": uid}), uid)


def numbered(tx: Transaction, key: int, *, lock: bool = False) -> PerformedStep:
    """Return the performed step of this key; raises `Refused` (UNKNOWN)."""
    found = select(performed).where(performed.c.key == key)
    return _found(tx.connection.execute(found.with_for_update() if lock else found).one_or_none(), key)


def _found(row: Any, name: object) -> PerformedStep:
    if row is None:
        raise Refused(Refusal.UNKNOWN, "no such performed step", performed=name)
    return step(row)


def links(tx: Transaction, key: int) -> dict[int, str]:
    """Return the scheduled steps that a performed step is linked to, each with the rule, in order."""
    rows = _LINKS.all(tx.connection, {"performed": key})
    return dict(sorted((row.step_key, row.rule) for row in rows))


def changed(
    tx: Transaction, stored: PerformedStep, state: PerformedState, document: Document
) -> PerformedStep:
    """Store another state and document; what is the same already is not written."""
    if (state, document) == (stored.state, stored.document):
        return stored
    after = replace(stored, state=state, document=document, revision=stored.revision + 1, updated_at=tx.stamp)
    _write(tx, after, state=state.value, document=dump(document), revision=after.revision,
           updated_at=tx.stamp)  # fmt: skip
    return after


def remarked(tx: Transaction, stored: PerformedStep, remarks: Iterable[Remark]) -> PerformedStep:
    """Store *remarks* in place of those there are; nobody has looked at one that is new."""
    found = tuple(sorted(set(remarks)))
    if set(found) == set(stored.remarks):
        return stored
    after = replace(stored, remarks=found)
    if set(found) - set(stored.remarks):
        after = replace(after, settled_by="", settled_at="")
    return _remembered(tx, after)


def noted(tx: Transaction, stored: PerformedStep, note: str) -> PerformedStep:
    """Add a line on what was done, and why, by whom the line names."""
    line = " ".join(f"{tx.stamp[:19]}Z {note}".split())
    return _remembered(tx, replace(stored, notes=(*stored.notes, line)))


def settled(tx: Transaction, stored: PerformedStep, by: str) -> PerformedStep:
    """Remember that a person has looked at it."""
    return _remembered(tx, replace(stored, settled_by=by, settled_at=tx.stamp))


def _remembered(tx: Transaction, after: PerformedStep) -> PerformedStep:
    lines = "\n".join([*after.remarks, *after.notes])
    _write(tx, after, remarks=lines, settled_by=after.settled_by, settled_at=after.settled_at)
    return after


def _write(tx: Transaction, after: PerformedStep, **columns: object) -> None:
    change(performed, tuple(columns)).run(tx.connection, {"row": after.key, **columns})


def stated(document: Document) -> PerformedState:
    """Return the state a data set states; raises `ValueError` for none of DICOM's."""
    return PerformedState(text(document, STATUS).strip())  # a trailing pad is not part of it (F-M30)


def step(row: Any) -> PerformedStep:
    """Return a row of the table as a performed step."""
    lines = row.remarks.splitlines()
    return PerformedStep(
        key=row.key, uid=row.sop_instance_uid, state=PerformedState(row.state), calling_ae=row.calling_ae,
        document=load(row.document), revision=row.revision,
        remarks=tuple(Remark(line) for line in lines if line in _WORDS),
        notes=tuple(line for line in lines if line not in _WORDS),
        settled_by=row.settled_by, settled_at=row.settled_at,
        created_at=row.created_at, updated_at=row.updated_at,
    )  # fmt: skip


_OF_UID = select(performed).where(performed.c.sop_instance_uid == bindparam("uid"))
_BY_UID, _HELD_BY_UID = Prepared(_OF_UID), Prepared(_OF_UID.with_for_update())
_LINKS = Prepared(
    select(performed_links.c.step_key, performed_links.c.rule).where(
        performed_links.c.performed_key == bindparam("performed")
    )
)
