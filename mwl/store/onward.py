"""What of a performed step leaves for other DICOM applications: rows of the outbox, written with the change.

Two kinds, each to peers by their names in the configuration.  A *forward* repeats a request to another
SCP: an archive, a dose system.  A *notification* says that something happened to a performed step, and
nothing of what (PS3.4 F.9).  Rows about one performed step leave for one peer in the order in which they
were written, so an N-CREATE comes before its N-SETs.

A later request follows the first: a peer that was not sent the N-CREATE, because it was not configured or
the device's profile left it out, could make nothing of an N-SET.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sqlalchemy import select

from mwl.lifecycle import OutboxState, PerformedState
from mwl.model import Document
from mwl.store import outbox, tables
from mwl.store.instances import PerformedStep
from mwl.store.transaction import Transaction

CREATE: Final = "N-CREATE"
SET: Final = "N-SET"

FORWARD: Final = "forward"
NOTIFICATION: Final = "notification"


class Notice(IntEnum):
    """Event types of the MPPS Notification SOP class (PS3.4 Table F.9.2-1)."""

    IN_PROGRESS = 1
    COMPLETED = 2
    DISCONTINUED = 3
    UPDATED = 4  # anything but the state
    DELETED = 5  # it is not kept any more (`retention.finished`)


ENDED: Final = {
    PerformedState.COMPLETED: Notice.COMPLETED,
    PerformedState.DISCONTINUED: Notice.DISCONTINUED,
}


@dataclass(frozen=True, slots=True)
class Route:
    """A peer that performed steps are sent on to, and whose; None: everybody's."""

    name: str
    devices: frozenset[str] | None = None

    def takes(self, device: str) -> bool:
        """Tell whether it gets what this device performs."""
        return self.devices is None or device in self.devices


@dataclass(frozen=True, slots=True)
class Onward:
    """Who gets performed steps, and who hears of them."""

    routes: tuple[Route, ...] = ()
    subscribers: tuple[str, ...] = ()


NOBODY: Final = Onward()

_OF_THE_END = ("00400252", "00400250", "00400251", "00400340")  # state, date, time, series


@dataclass(frozen=True, slots=True)
class Copy:
    """A request to be sent on: as it is kept (`mwl.store.requests`), or as *document*, in Unicode."""

    operation: str  # CREATE, SET
    request: int | None = None
    document: Document | None = None
    ends: bool = False  # whether it states a final state


def send_first(tx: Transaction, step: PerformedStep, copies: Sequence[Copy], onward: Onward) -> None:
    """Have a new performed step sent on to all that get this device's."""
    _send(tx, step, copies, [route.name for route in onward.routes if route.takes(step.calling_ae)])


def send_next(tx: Transaction, step: PerformedStep, copies: Sequence[Copy], onward: Onward) -> None:
    """Have a later request sent on to those that were sent the first."""
    names = [route.name for route in onward.routes]
    _send(tx, step, copies, _begun_with(tx, step, names) if names else ())


def closed(tx: Transaction, step: PerformedStep, onward: Onward) -> None:
    """Have both kinds of peers learn of a step that a person, or the clock, has ended (B-08)."""
    end = {tag: step.document[tag] for tag in _OF_THE_END if step.document.get(tag, {}).get("Value")}
    send_next(tx, step, [Copy(SET, document=end, ends=True)], onward)
    notify(tx, step, [ENDED[step.state]], onward)


def notify(tx: Transaction, step: PerformedStep, notices: Iterable[Notice], onward: Onward) -> None:
    """Have the subscribers hear what happened to a performed step."""
    for notice in notices:
        _notify(tx, step.key, step.uid, notice, onward)


def _notify(tx: Transaction, key: int, uid: str, notice: Notice, onward: Onward) -> None:
    facts = {"event": notice.name.replace("_", " "), "type": notice.value, "uid": uid}
    for name in onward.subscribers:
        outbox.enqueue(
            tx, destination=name, thread=_thread(NOTIFICATION, key), facts=facts, kind=NOTIFICATION
        )


def deleted(tx: Transaction, steps: Iterable[tuple[int, str]], onward: Onward) -> None:
    """Have the subscribers hear that performed steps are not kept any more, each a key and a UID."""
    for key, uid in steps:
        _notify(tx, key, uid, Notice.DELETED, onward)


def _send(tx: Transaction, step: PerformedStep, copies: Sequence[Copy], names: Iterable[str]) -> None:
    for name in names:
        for copy in copies:
            facts = {
                "event": copy.operation, "uid": step.uid, "request": copy.request,
                "document": copy.document, "ends": copy.ends,
            }  # fmt: skip
            outbox.enqueue(tx, destination=name, thread=_thread(FORWARD, step.key), facts=facts, kind=FORWARD)


def _begun_with(tx: Transaction, step: PerformedStep, names: Collection[str]) -> list[str]:
    rows = tables.outbox
    sent = select(rows.c.destination).where(
        rows.c.state.in_([state.value for state in OutboxState]),  # all: the index begins with it
        rows.c.destination.in_(names),
        rows.c.thread == _thread(FORWARD, step.key),
    )
    found = set(tx.connection.execute(sent).scalars())
    return [name for name in names if name in found]


def _thread(kind: str, key: int) -> str:
    return f"{kind}:{key}"
