"""Whose value counts where a performed step and its order differ (P35 `conflict`).

What a device said is stored as it said it (B-35).  What its system is told of it holds the order's value
where the device's profile prefers that: an accession number that an operator has edited goes no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mwl.conduct import Conducts
from mwl.model import STEP_SEQUENCE, Document, Element, StepRef, WorklistItem, items, text
from mwl.query import Path
from mwl.store import instances
from mwl.store import steps as stored
from mwl.store.instances import PerformedStep
from mwl.store.transaction import Transaction

_STEP_ATTRIBUTES, _STEP_ID = "00400270", "00400009"


def agreed(tx: Transaction, step: PerformedStep, conducts: Conducts) -> Document:
    """Return what a performed step says, with the order's values where they are preferred."""
    sides = conducts.of(step.calling_ae).preferred
    paths = [path for path, side in sides.items() if side == "worklist"]
    linked = instances.links(tx, step.key) if paths else {}
    if not linked:
        return step.document
    orders = stored.load(tx, [StepRef(key, 0, 0, 0) for key in linked])
    return _with_orders(step.document, orders, paths)


def _with_orders(document: Document, orders: Sequence[WorklistItem], paths: Iterable[Path]) -> Document:
    scheduled = [_filled(item, _meant(item, orders), paths) for item in items(document, _STEP_ATTRIBUTES)]
    after = _filled(document, orders[0], paths)
    return {**after, _STEP_ATTRIBUTES: {"vr": "SQ", "Value": scheduled}} if scheduled else after


def _meant(item: Document, orders: Sequence[WorklistItem]) -> WorklistItem:
    wanted = text(item, _STEP_ID)
    return next((each for each in orders if text(each.step, _STEP_ID) == wanted), orders[0])


def _filled(said: Document, order: WorklistItem, paths: Iterable[Path]) -> Document:
    """Return what is said with the order's values of these attributes: nothing is added."""
    found = {path[-1]: _of(order, path) for path in paths if path[-1] in said}
    return {**said, **{tag: element for tag, element in found.items() if element is not None}}


def _of(order: WorklistItem, path: Path) -> Element | None:
    if path[0] == STEP_SEQUENCE:
        return order.step.get(path[-1])
    return {**order.patient, **order.procedure}.get(path[-1])
