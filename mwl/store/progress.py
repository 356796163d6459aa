"""What performed steps do to scheduled steps, and what the ordering systems hear of it.

A scheduled step's state follows from all performed steps that are linked to it, not from the last
message (B-32): STARTED while any is IN PROGRESS, else COMPLETED when one is, else DISCONTINUED.  One
that was discontinued because the wrong worklist entry had been selected counts as if it had never
been (B-33); if nothing else is left, the step goes back on the worklist.  MPPS is the truth of what
happened (B-36): it moves a step on even if its order was cancelled or closed by hand meanwhile.  Only
the way back is open to a step that runs, and to no other.

A system hears IP when a performed step begins, and when one ends what has become of the scheduled
steps: CM, DC, or SC for a step that is back on the worklist (C.6).  While another performed step of
theirs still runs it hears nothing new; the last one to end reports.  One row a requested procedure
and event, however many of its steps are concerned (C-32).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import RowMapping, select

from mwl import lifecycle
from mwl.lifecycle import PerformedState, StepEvent, StepState
from mwl.model import Document, items, text
from mwl.store import outbox, transitions
from mwl.store.promoted import load
from mwl.store.tables import patients, performed, performed_links, procedures, steps
from mwl.store.transaction import Transaction

_DISCONTINUATION_REASON, _CODE, _SCHEME = "00400281", "00080100", "00080102"
_WRONG_ENTRY = ("110514", "DCM")  # "Incorrect worklist entry selected"

_LEADS_TO = {
    StepState.STARTED: StepEvent.BEGIN,
    StepState.COMPLETED: StepEvent.COMPLETE,
    StepState.DISCONTINUED: StepEvent.DISCONTINUE,
}
_REPORTED_AS = {
    StepState.COMPLETED: "CM",
    StepState.DISCONTINUED: "DC",
    StepState.SCHEDULED: "SC",
}


def withdrawn(state: PerformedState, document: Document) -> bool:
    """Tell whether a performed step was discontinued for the wrong worklist entry (B-33)."""
    reasons = ((text(item, _CODE), text(item, _SCHEME)) for item in items(document, _DISCONTINUATION_REASON))
    return state is PerformedState.DISCONTINUED and _WRONG_ENTRY in reasons


def goal(counted: Collection[PerformedState]) -> StepState:
    """Return the state that the performed steps of a scheduled step give it, withdrawn ones left out."""
    if not counted:
        return StepState.SCHEDULED
    if PerformedState.IN_PROGRESS in counted:
        return StepState.STARTED
    return StepState.COMPLETED if PerformedState.COMPLETED in counted else StepState.DISCONTINUED


def follow(tx: Transaction, step_key: int, *, source: str) -> StepState:
    """Bring a scheduled step to the state its performed steps give it, and return that state."""
    # The lock first: what another broker has committed to this step's performed steps is seen after it.
    state = transitions.state(tx, step_key)
    wanted = goal(_counted(tx, step_key))
    if wanted is state:
        return state
    if wanted is StepState.SCHEDULED:
        return _reopen(tx, step_key, state, source)
    event = _LEADS_TO[wanted]
    if lifecycle.advance(state, event) is None:
        transitions.advance(tx, step_key, StepEvent.BEGIN, source=source)
    reason = "the order was cancelled" if state is StepState.CANCELLED else ""
    return transitions.advance(tx, step_key, event, source=source, reason=reason)


def _reopen(tx: Transaction, step_key: int, state: StepState, source: str) -> StepState:
    if state is not StepState.STARTED:  # closed by its order meanwhile: that stands
        return state
    reason = "the wrong worklist entry was selected"
    return transitions.advance(tx, step_key, StepEvent.REOPEN, source=source, reason=reason)


def _counted(tx: Transaction, step_key: int) -> list[PerformedState]:
    linked = (
        select(performed.c.state, performed.c.document)
        .select_from(performed.join(performed_links))
        .where(performed_links.c.step_key == step_key)
    )
    found = [(PerformedState(row.state), load(row.document)) for row in tx.connection.execute(linked)]
    return [state for state, document in found if not withdrawn(state, document)]


def report_begun(
    tx: Transaction, step_keys: Sequence[int], document: Document, *, told: Collection[str]
) -> None:
    """Tell the systems of these steps that a performed step, whose *document* is given, has begun."""
    for rows in _by_procedure(tx, step_keys):
        _report(tx, rows[0], "IP", document, told)


def report_ended(
    tx: Transaction, step_keys: Sequence[int], document: Document, *, told: Collection[str]
) -> None:
    """Tell the systems of these steps what has become of them now that a performed step has ended."""
    for rows in _by_procedure(tx, step_keys):
        states = {StepState(row["state"]) for row in rows}
        reported = [event for state, event in _REPORTED_AS.items() if state in states]
        if reported and StepState.STARTED not in states:
            _report(tx, rows[0], reported[0], document, told)


def _by_procedure(tx: Transaction, step_keys: Sequence[int]) -> Iterable[list[RowMapping]]:
    levels = (
        select(
            steps.c.state, steps.c.document, steps.c.procedure_key, procedures.c.system,
            procedures.c.document.label("procedure"), patients.c.document.label("patient"),
        )
        .select_from(steps.join(procedures).join(patients))
        .where(steps.c.key.in_(step_keys))
        .order_by(steps.c.key)
    )  # fmt: skip
    grouped: dict[int, list[RowMapping]] = {}
    for row in tx.connection.execute(levels).mappings():
        grouped.setdefault(row["procedure_key"], []).append(row)
    return grouped.values()


def _report(tx: Transaction, row: RowMapping, event: str, document: Document, told: Collection[str]) -> None:
    if row["system"] not in told:
        return
    facts = {
        "event": event,
        "patient": load(row["patient"]),
        "procedure": load(row["procedure"]),
        "step": load(row["document"]),
        "performed": document,
        "at": tx.now.isoformat(),
    }
    outbox.enqueue_status(
        tx, destination=row["system"], thread=f"procedure:{row['procedure_key']}", facts=facts
    )
