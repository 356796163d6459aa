"""From an order message to what is to be changed.

Theory of operation.  The message is cut into its orders (groups), each order into its steps where it has
segments for them.  Every order's control code is decided first: one that asks for nothing is not read.
What remains is read by the three levels of the profile.  Orders that speak of one requested procedure
become one change with several steps (C-05); of one step, one step whose sequences add up (C-06).  All
mistakes of the message are collected before it is refused, whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from dataclasses import dataclass, field

from mwl.mapping import paths
from mwl.mapping.facts import SiteFacts
from mwl.mapping.hl7paths import Hl7Path
from mwl.mapping.order_control import OrderControl
from mwl.mapping.order_structure import Structure
from mwl.mapping.reading import Reading
from mwl.mapping.rules import Level
from mwl.mapping.source import Source
from mwl.mapping.timestamps import stamp_offset
from mwl.mapping.trace import Trace
from mwl.model import Document, OrderAction, OrderMessage, ProcedureChange, items
from mwl.model import text as text_of

DUPLICATE_KEY, DISAGREEMENT = 205, 207  # HL7 table 0357 (D-19, C-14)


@dataclass(frozen=True, slots=True)
class Same:
    """When two groups speak of one thing, and how what they say is joined; all are tags."""

    by: tuple[str, ...] = ()
    agree: tuple[str, ...] = ()
    union: tuple[str, ...] = ()

    def key(self, document: Document) -> tuple[str, ...] | None:
        """Return what tells the thing apart; None where *document* has nothing that does."""
        key = tuple(text_of(document, tag) for tag in self.by)
        return key if any(key) else None

    def disagreement(self, one: Document, other: Document) -> str:
        """Return the tag of an attribute that may not differ and does, or ""."""
        pairs = ((tag, text_of(one, tag), text_of(other, tag)) for tag in self.agree)
        return next((tag for tag, mine, theirs in pairs if mine and theirs and mine != theirs), "")

    def join(self, one: Document, other: Document) -> None:
        """Add to *one* what *other* says besides."""
        for tag, element in other.items():
            if tag in self.union:
                present = list(items(one, tag))
                added = [item for item in items(other, tag) if item not in present]
                if added:
                    one[tag] = {"vr": "SQ", "Value": [*present, *added]}
            if tag not in one or "Value" not in one[tag]:
                one[tag] = element


@dataclass(slots=True)
class _Change:
    """A procedure change that grows."""

    action: OrderAction
    procedure: Document
    steps: list[Document] = field(default_factory=list)
    assumed: set[str] = field(default_factory=set)

    def finished(self) -> ProcedureChange:
        return ProcedureChange(self.action, self.procedure, tuple(self.steps), frozenset(self.assumed))


@dataclass(frozen=True, slots=True)
class OrderReader:
    """A profile's way to take an order message apart."""

    patient: Level
    procedure: Level
    step: Level
    control: OrderControl
    structure: Structure
    steps: tuple[str, ...] = ()
    offset: Hl7Path | None = None
    compare: tuple[tuple[Hl7Path, Hl7Path], ...] = ()
    same_procedure: Same = Same()
    same_step: Same = Same()

    def read(
        self,
        source: Source,
        system: str,
        site: SiteFacts,
        sent_at: dt.datetime | None,
        trace: Trace | None = None,
    ) -> OrderMessage:
        """Return what the message asks for; raise `Unacceptable` with every mistake of it."""
        reading = Reading(zone=site.timezone, offset=self._offset(source), trace=trace)
        orders = self._orders(source, reading)
        patient: Document = {}
        if any(action is not OrderAction.NOTHING for _, action in orders):
            patient, _ = self.patient.read(source, reading)
        changes: dict[Hashable, _Change] = {}
        for number, (group, action) in enumerate(orders):
            if action is OrderAction.NOTHING:
                changes[number] = _Change(action, {})
            else:
                reading.known = dict(patient)
                self._read_order(group, action, number, changes, reading)
        reading.check()
        procedures = tuple(change.finished() for change in changes.values())
        return OrderMessage(system, patient, procedures, sent_at, reading.warnings)

    def _offset(self, source: Source) -> dt.tzinfo | None:
        found = self.offset.find(source) if self.offset else None
        return stamp_offset(found[0].part(1)) if found else None

    def _orders(self, source: Source, reading: Reading) -> list[tuple[Source, OrderAction]]:
        """Return the groups and what each asks for, in the message's order; raise where that is unclear."""
        groups = source.groups(self.structure.starts)
        self.structure.check_message(source, groups, reading)
        decided = [(group, self.control.action(group, reading)) for group in groups]
        asking = [group for group, action in decided if action is not OrderAction.NOTHING]
        self.structure.check_groups(asking, reading)
        reading.check()
        return [(group, action) for group, action in decided if action is not None]

    def _read_order(
        self,
        group: Source,
        action: OrderAction,
        number: int,
        changes: dict[Hashable, _Change],
        reading: Reading,
    ) -> None:
        reading.new = action is OrderAction.CREATE
        reading.fills = action in (OrderAction.CREATE, OrderAction.UPDATE)  # an unknown one may be made
        self._compare(group, reading)
        procedure, assumed = self.procedure.read(group, reading)
        key = self.same_procedure.key(procedure)
        change = changes.setdefault(number if key is None else (action, key), _Change(action, procedure))
        if change.procedure is not procedure:
            self._join(self.same_procedure, change.procedure, procedure, group, reading)
        change.assumed |= assumed
        known = reading.known
        for view in (group.groups(self.steps) if self.steps else ()) or (group,):
            reading.known = dict(known)
            step, assumed = self.step.read(view, reading)
            change.assumed |= assumed
            self._add_step(change, step, view, reading)

    def _add_step(self, change: _Change, step: Document, view: Source, reading: Reading) -> None:
        key = self.same_step.key(step)
        earlier = [each for each in change.steps if key is not None and self.same_step.key(each) == key]
        if earlier:
            self._join(self.same_step, earlier[0], step, view, reading)
        else:
            change.steps.append(step)

    def _join(self, same: Same, one: Document, other: Document, view: Source, reading: Reading) -> None:
        if tag := same.disagreement(one, other):
            text = f"an order before this one gives the same {paths.keyword(same.by[0])} another"
            reading.error(self.structure.place(view), f"{text} {paths.keyword(tag)}", DUPLICATE_KEY)
        same.join(one, other)

    def _compare(self, group: Source, reading: Reading) -> None:
        for one, other in self.compare:
            mine, theirs = one.find(group), other.find(group)
            if mine and theirs and mine[0].part(1) != theirs[0].part(1):
                reading.warn(theirs[0], f"{other.text} differs from {one.text}", DISAGREEMENT)
