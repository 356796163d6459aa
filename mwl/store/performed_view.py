"""Performed steps as people see them: the list of what happened, and one with the steps it may mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import exists, select

from mwl.conduct import Conducts
from mwl.errors import Refusal, Refused
from mwl.lifecycle import PerformedState
from mwl.model import StepRef, WorklistItem
from mwl.store import candidates, instances, linking
from mwl.store import steps as stored
from mwl.store.instances import PerformedStep
from mwl.store.linking import Likeness, Numbers
from mwl.store.tables import performed, performed_links
from mwl.store.transaction import Transaction

BEST = 5
"""Candidates that are shown of an item."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which performed steps a person looks for; all that is set must hold."""

    unlinked: bool = False  # to no scheduled step
    open: bool = False  # IN PROGRESS
    unsettled: bool = False  # something is remarkable, and nobody has looked
    device: str = ""  # AE title the device is known by


@dataclass(frozen=True, slots=True)
class Listed:
    """A performed step with the scheduled steps it is linked to, each with the rule."""

    step: PerformedStep
    links: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Possible:
    """A step that an item may mean, with what speaks for it and what against."""

    likeness: Likeness
    item: WorklistItem


@dataclass(frozen=True, slots=True)
class Detail:
    """All there is to know of a performed step."""

    step: PerformedStep
    links: Mapping[int, str]
    linked: Sequence[WorklistItem]
    wanted: Sequence[Numbers]  # what each of its items asks for
    possible: Sequence[Possible] = field(default=())  # the best first, of all items together


def browse(tx: Transaction, wanted: Wanted, limit: int = 100) -> list[Listed]:
    """Return performed steps, the newest first."""
    chosen = select(performed).order_by(performed.c.key.desc()).limit(limit)
    if wanted.unlinked:
        chosen = chosen.where(~exists().where(performed_links.c.performed_key == performed.c.key))
    if wanted.open:
        chosen = chosen.where(performed.c.state == PerformedState.IN_PROGRESS.value)
    if wanted.unsettled:
        chosen = chosen.where(performed.c.remarks != "", performed.c.settled_by == "")
    if wanted.device:
        chosen = chosen.where(performed.c.calling_ae == wanted.device)
    steps = map(instances.step, tx.connection.execute(chosen).all())
    return [Listed(step, instances.links(tx, step.key)) for step in steps]


def named(tx: Transaction, name: str) -> PerformedStep:
    """Return the performed step of this number or SOP Instance UID; raises `Refused` (UNKNOWN)."""
    if name.isascii() and name.isdecimal() and len(name) < 19:  # a UID has a dot, a key 63 bits
        return instances.numbered(tx, int(name))
    step = instances.get(tx, name)
    if step is None:
        raise Refused(Refusal.UNKNOWN, "no such performed step", performed=name)
    return step


def detail(tx: Transaction, name: str, conducts: Conducts) -> Detail:
    """Return a performed step with its links and the steps it may mean; raises `Refused` (UNKNOWN)."""
    step = named(tx, name)
    conduct = conducts.of(step.calling_ae)
    links = instances.links(tx, step.key)
    items = linking.wanted(step.document, step.calling_ae, conduct)
    best: dict[int, Likeness] = {}
    for item in items:
        near = candidates.around(tx, item, conduct)
        for each in linking.ranked(item, near, candidates.DAYS_AROUND)[:BEST]:
            known = best.get(each.step_key)
            best[each.step_key] = each if known is None or each.weight > known.weight else known
    ordered = sorted(
        (each for key, each in best.items() if key not in links), key=lambda each: each.weight, reverse=True
    )
    found = {item.ref.key: item for item in _load(tx, [*links, *(each.step_key for each in ordered)])}
    possible = [Possible(each, found[each.step_key]) for each in ordered if each.step_key in found]
    return Detail(step, links, [found[key] for key in links if key in found], items, possible)


def _load(tx: Transaction, keys: Sequence[int]) -> list[WorklistItem]:
    return stored.load(tx, [StepRef(key, 0, 0, 0) for key in keys])
