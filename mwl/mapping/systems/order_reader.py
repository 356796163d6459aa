"""From an order message to what is to be changed.

Theory of operation.  The message is cut into its orders (groups), each order into its steps where it has
segments for them.  Every order's control code is decided first: one that asks for nothing is not read.
What remains is read by the three levels of the profile.  Groups that speak of one requested procedure
become one change with several steps, unless their own numbers say that they are several orders: each of
these is a change, and later cancelled, by itself (C-05).  Groups that name one step become one step whose
sequences add up, whatever their numbers (C-06).  A step segment that names another procedure is a step
of that one.  Where an order names no step, the catalogue may know of several.  All mistakes of the
message are collected before it is refused, whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mwl.mapping import paths
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.catalogue import Catalogue
from mwl.mapping.systems.fitting import MAXIMUM
from mwl.mapping.systems.hl7paths import Hl7Path
from mwl.mapping.systems.order_control import OrderControl
from mwl.mapping.systems.order_structure import Structure
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.rules import Level
from mwl.mapping.systems.source import Source
from mwl.mapping.systems.timestamps import read_instant
from mwl.mapping.trace import Trace
from mwl.model import Document, OrderAction, OrderMessage, OrderPolicies, ProcedureChange, items
from mwl.model import text as text_of

DATA_TYPE, DUPLICATE_KEY, DISAGREEMENT = 102, 205, 207  # HL7 table 0357 (D-19, C-14)

_STEP_ID: Final = paths.tag("ScheduledProcedureStepID")
_STUDY: Final = paths.tag("StudyInstanceUID")
_OWN_NUMBERS: Final = (
    (paths.tag("FillerOrderNumberImagingServiceRequest"), paths.tag("OrderFillerIdentifierSequence")),
    (paths.tag("PlacerOrderNumberImagingServiceRequest"), paths.tag("OrderPlacerIdentifierSequence")),
)
"""What tells an order from another, each number with its issuer; the first that can be compared."""

_MAKING: Final = frozenset({OrderAction.CREATE, OrderAction.UPDATE, OrderAction.HOLD, OrderAction.RELEASE})
"""Actions that may make an order nobody knows: what it does not say may be stood in for."""


_SAFE: Final = OrderPolicies()


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
    group: int
    named: set[str] = field(default_factory=set)  # the step IDs that were sent
    steps: list[Document] = field(default_factory=list)
    assumed: set[str] = field(default_factory=set)
    effective_at: dt.datetime | None = None

    def finished(self) -> ProcedureChange:
        return ProcedureChange(
            self.action, self.procedure, tuple(self.steps), frozenset(self.assumed),
            effective_at=self.effective_at, group=self.group,
        )  # fmt: skip


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
    effective: Hl7Path | None = None
    compare: tuple[tuple[Hl7Path, Hl7Path], ...] = ()
    same_procedure: Same = Same()
    same_step: Same = Same()
    catalogue: Catalogue | None = None
    policies: OrderPolicies = _SAFE

    def read(
        self,
        source: Source,
        system: str,
        site: SiteFacts,
        sent_at: dt.datetime | None,
        trace: Trace | None = None,
    ) -> OrderMessage:
        """Return what the message asks for; raise `Unacceptable` with every mistake of it."""
        reading = Reading.of(source, site.timezone, self.offset, trace)
        orders = self._orders(source, reading)
        patient: Document = {}
        if any(action is not OrderAction.NOTHING for _, _, action in orders):
            patient, _ = self.patient.read(source, reading)
        changes: dict[Hashable, list[_Change]] = {}  # by action and requested procedure
        for number, group, action in orders:
            if action is OrderAction.NOTHING:
                changes[number] = [_Change(action, {}, number)]
            else:
                reading.known = dict(patient)
                self._read_order(group, action, number, changes, reading)
        reading.check()
        read = sorted((each for same in changes.values() for each in same), key=lambda each: each.group)
        procedures = tuple(change.finished() for change in read)
        return OrderMessage(system, patient, procedures, sent_at, reading.warnings, self.policies)

    def _orders(self, source: Source, reading: Reading) -> list[tuple[int, Source, OrderAction]]:
        """Return the groups, counted, and what each asks for; raise where that is unclear."""
        groups = source.groups(self.structure.starts)
        self.structure.check_message(source, groups, reading)
        decided = [(group, self.control.action(group, reading)) for group in groups]
        asking = [group for group, action in decided if action is not OrderAction.NOTHING]
        self.structure.check_groups(asking, reading)
        reading.check()
        counted = enumerate(decided, 1)
        return [(number, group, action) for number, (group, action) in counted if action is not None]

    def _read_order(
        self,
        group: Source,
        action: OrderAction,
        number: int,
        changes: dict[Hashable, list[_Change]],
        reading: Reading,
    ) -> None:
        reading.new = action is OrderAction.CREATE
        reading.fills = action in _MAKING
        self._compare(group, reading)
        effective_at = self._effective(group, reading)
        known = reading.known
        for view in (group.groups(self.steps) if self.steps else ()) or (group,):
            reading.known, reading.step = dict(known), 0
            procedure, assumed = self.procedure.read(view, reading)
            steps, stood_in = self._read_steps(view, reading)
            named = set() if _STEP_ID in stood_in else {text_of(step, _STEP_ID) for step in steps} - {""}
            key = self._procedure_key(procedure, assumed)
            same = changes.setdefault(number if key is None else (action, key), [])
            change = self._joined(_Change(action, procedure, number, named), same, view, reading)
            change.assumed |= assumed | stood_in
            change.effective_at = _newest(change.effective_at, effective_at)
            for step in steps:
                self._add_step(change, step, view, reading)

    def _procedure_key(self, procedure: Document, assumed: Collection[str]) -> tuple[str, ...] | None:
        """Return what tells a requested procedure apart within the message; None where nothing does.

        What stands in for a number that was not sent (the accession number, for several orders of one
        visit perhaps) makes no two studies one.
        """
        key = self.same_procedure.key(procedure)
        if key is None or not any(tag in assumed for tag in self.same_procedure.by):
            return key
        return (*key, text_of(procedure, _STUDY))

    def _joined(self, change: _Change, same: list[_Change], view: Source, reading: Reading) -> _Change:
        """Return which of the *same* procedure's changes *change* is part of; itself, added, if of none.

        Groups that name the same step are one, and those that are the same order.  So it is for orders in
        messages of their own (`mwl.store.identity`).
        """
        self._agree(self.same_procedure, [each.procedure for each in same], change.procedure, view, reading)
        parts = [each for each in same if each.named & change.named]
        parts += [each for each in same if not _is_another_order(each.procedure, change.procedure)]
        if not parts:
            same.append(change)
            return change
        self.same_procedure.join(parts[0].procedure, change.procedure)
        parts[0].named |= change.named
        return parts[0]

    # ── steps ──

    def _read_steps(self, view: Source, reading: Reading) -> tuple[Sequence[Document], frozenset[str]]:
        """Return the steps of an order, and which attributes of theirs were assumed."""
        rows = self.catalogue.steps(view, reading) if self.catalogue and reading.fills else ()
        known = reading.known
        if len(rows) > 1 and self._names_step(view, reading):
            reading.step = None  # which of the rows this step is cannot be told
        reading.known = dict(known)
        first, assumed = self.step.read(view, reading)
        if len(rows) < 2 or reading.step is None:
            return (first,), assumed
        steps = []
        for number, row in enumerate(rows):
            reading.known, reading.step = dict(known), number
            step = first if number == 0 else self.step.read(view, reading)[0]
            steps.append(self._numbered(step, row.step, view, reading))
        return steps, assumed

    def _names_step(self, view: Source, reading: Reading) -> bool:
        """Tell whether an order names its step itself: then the catalogue makes no further ones."""
        aside = Reading(reading.zone, reading.offset, new=False, fills=False, known=dict(reading.known))
        return any(leaf.read(view, aside) is not None for leaf in self.step.leaves((_STEP_ID,)))

    def _numbered(self, step: Document, ending: str, view: Source, reading: Reading) -> Document:
        """Return a step that the catalogue made of an order, with a step ID of its own."""
        step_id = text_of(step, _STEP_ID) + ending
        if len(step_id) > MAXIMUM["SH"]:
            text = f"a step ID that ends in {ending!r}, as the catalogue says, is longer than {MAXIMUM['SH']}"
            reading.error(self.structure.place(view), f"{text} characters", DATA_TYPE)
        return {**step, _STEP_ID: {"vr": "SH", "Value": [step_id]}}

    def _add_step(self, change: _Change, step: Document, view: Source, reading: Reading) -> None:
        key = self.same_step.key(step)
        earlier = [each for each in change.steps if key is not None and self.same_step.key(each) == key]
        if earlier:
            self._agree(self.same_step, earlier, step, view, reading)
            self.same_step.join(earlier[0], step)
        else:
            change.steps.append(step)

    def _agree(
        self, same: Same, earlier: Sequence[Document], other: Document, view: Source, reading: Reading
    ) -> None:
        """Report what *other* says differently from those before it, once."""
        if tag := next(filter(None, (same.disagreement(each, other) for each in earlier)), ""):
            text = f"an order before this one gives the same {paths.keyword(same.by[0])} another"
            reading.error(self.structure.place(view), f"{text} {paths.keyword(tag)}", DUPLICATE_KEY)

    # ── what else an order says ──

    def _compare(self, group: Source, reading: Reading) -> None:
        for one, other in self.compare:
            mine, theirs = one.find(group), other.find(group)
            if mine and theirs and mine[0].part(1) != theirs[0].part(1):
                reading.warn(theirs[0], f"{other.text} differs from {one.text}", DISAGREEMENT)

    def _effective(self, group: Source, reading: Reading) -> dt.datetime | None:
        found = self.effective.find(group) if self.effective else []
        return read_instant(found[0].part(1), reading.zone, reading.offset) if found else None


def _is_another_order(one: Document, other: Document) -> bool:
    """Tell whether two orders have other numbers; those of two issuers cannot be compared."""
    for number, issuer in _OWN_NUMBERS:
        mine, theirs = text_of(one, number), text_of(other, number)
        issuers = [each[issuer] for each in (one, other) if each.get(issuer, {}).get("Value")]
        if mine and theirs and not (len(issuers) == 2 and issuers[0] != issuers[1]):
            return mine != theirs
    return False


def _newest(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return max(filter(None, (one, other)), default=None)
