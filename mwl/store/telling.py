"""What the systems that ordered are told of their steps: what happened, with the facts as they then were.

Performed steps say that something begins (`begun`) and, when one ends, what has become of the
scheduled steps (`ended`): CM, DC, SC for a step that is back on the worklist (C.6), or CA where its order
was cancelled meanwhile.  While another performed step of theirs still runs the system hears nothing new;
the last one to end reports.  Everything else that moves a step (a person, a clock, another system's
message) says so by `moved`.

There is one row for each requested procedure and event, however many of its steps are concerned
(C-32), written in the transaction of the change.  Nobody is told what its own message has said (C-34):
it knows, and two that echo one another would do so for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import bindparam, select

from mwl.lifecycle import WAITING, StepState
from mwl.model import Document, StatusEvent
from mwl.store import outbox
from mwl.store.prepared import Prepared
from mwl.store.promoted import load
from mwl.store.tables import patients, performed, performed_links, procedures, steps
from mwl.store.transaction import Transaction

Told: TypeAlias = Collection[tuple[str, StatusEvent]]
"""Who wants to hear of what: names of systems, each with an event."""

REPORTED: Final = {
    StepState.STARTED: StatusEvent.BEGUN,
    StepState.COMPLETED: StatusEvent.COMPLETED,
    StepState.DISCONTINUED: StatusEvent.DISCONTINUED,
    StepState.SCHEDULED: StatusEvent.REOPENED,
    StepState.CANCELLED: StatusEvent.CANCELLED,
    StepState.ARRIVED: StatusEvent.ARRIVED,
    StepState.READY: StatusEvent.READY,
}
"""What is told of a step that has come into a state."""

_REASON = "00400281"  # Performed Procedure Step Discontinuation Reason Code Sequence
_ENDINGS: Final = (
    StatusEvent.COMPLETED, StatusEvent.DISCONTINUED, StatusEvent.REOPENED, StatusEvent.CANCELLED,
)  # fmt: skip
"""What a performed step that ends may lead to; of several the first counts."""


def begun(tx: Transaction, step_keys: Collection[int], document: Document, *, told: Told) -> None:
    """Tell the systems of these steps that a performed step, whose *document* is given, has begun."""
    for rows in _by_procedure(tx, step_keys, told):
        _tell(tx, rows, StatusEvent.BEGUN, document, told)


def ended(tx: Transaction, step_keys: Collection[int], document: Document, *, told: Told) -> None:
    """Tell the systems of these steps what has become of them now that a performed step has ended."""
    for rows in _by_procedure(tx, step_keys, told):
        states = {StepState(row.state) for row in rows}
        reached = {StatusEvent.REOPENED if each in WAITING else REPORTED[each] for each in states}
        event = next((each for each in _ENDINGS if each in reached), None)
        if event is not None and StepState.STARTED not in states:
            _tell(tx, rows, event, document, told)


def moved(tx: Transaction, step_keys: Collection[int], *, told: Told, by: str = "", reason: str = "") -> None:
    """Tell the systems of these steps, whose state has changed, which state each is in now.

    *by* is the system whose message said so, "" where it was none's: it is not told (C-34).  *reason*
    is a person's, or the clock's.  What a device last reported of a step goes along.
    """
    for rows in _by_procedure(tx, step_keys, told):
        if rows[0].system == by:
            continue
        for state in dict.fromkeys(row.state for row in rows):
            concerned = [row for row in rows if row.state == state]
            document = _performed(tx, [row.key for row in concerned])
            _tell(tx, concerned, REPORTED[StepState(state)], document, told, reason)


def _by_procedure(tx: Transaction, step_keys: Collection[int], told: Told) -> Iterable[Sequence[Any]]:
    if not told or not step_keys:
        return ()
    grouped: dict[int, list[Any]] = {}
    for row in _LEVELS.all(tx.connection, {"steps": list(step_keys)}):
        grouped.setdefault(row.procedure_key, []).append(row)
    return grouped.values()


def _performed(tx: Transaction, step_keys: Sequence[int]) -> Document:
    """Return what a device reported last of one of these steps, without why it gave up then."""
    found = _PERFORMED.scalar(tx.connection, {"steps": list(step_keys)})
    return {tag: each for tag, each in load(found).items() if tag != _REASON} if found else {}


def _tell(
    tx: Transaction,
    rows: Sequence[Any],
    event: StatusEvent,
    document: Document,
    told: Told,
    reason: str = "",
) -> None:
    first = rows[0]
    if (first.system, event) not in told:
        return
    facts: dict[str, Any] = {
        "event": event.value,
        "patient": load(first.patient),
        "procedure": load(first.procedure),
        "steps": [load(row.document) for row in rows],
        "performed": document,
        "reason": reason,
        "at": tx.now.isoformat(),
        outbox.ABOUT: [row.key for row in rows],
    }
    thread = f"procedure:{first.procedure_key}"
    outbox.enqueue(tx, destination=first.system, thread=thread, facts=facts)


# Built once: every order asks.
_LEVELS = Prepared(
    select(
        steps.c.key, steps.c.state, steps.c.document, steps.c.procedure_key, procedures.c.system,
        procedures.c.document.label("procedure"), patients.c.document.label("patient"),
    )
    .select_from(steps.join(procedures).join(patients))
    .where(steps.c.key.in_(bindparam("steps", expanding=True)))
    .order_by(steps.c.key)
)  # fmt: skip
_PERFORMED = Prepared(
    select(performed.c.document)
    .select_from(performed.join(performed_links))
    .where(performed_links.c.step_key.in_(bindparam("steps", expanding=True)))
    .order_by(performed.c.key.desc())
    .limit(1)
)
