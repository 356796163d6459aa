"""From an effective profile to a `DeviceProfile`: every written line becomes a step.

Everything that can be worked out once is worked out here: variables of the device, paths, patterns,
guards, the site's character set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from mwl.errors import BadDocument
from mwl.mapping.devices.operations.accept import Accept
from mwl.mapping.devices.operations.encode import Charset, Wire
from mwl.mapping.devices.operations.operation import Binding, Operation, Predicate, Run, Stage, Step
from mwl.mapping.devices.operations.require import Require
from mwl.mapping.devices.operations.select import Filter, HideStatus, Limit, Selection, Sort
from mwl.mapping.devices.operations.session import Mpps, Session
from mwl.mapping.devices.operations.shape import Return
from mwl.mapping.devices.profile import Header, Placed, placed
from mwl.mapping.devices.stages import DeviceProfile
from mwl.mapping.facts import SiteFacts
from mwl.mapping.written import Effective, digest
from mwl.model import Document

Kind = TypeVar("Kind", bound=Operation)


def bind(profile: Header, written: Effective, site: SiteFacts) -> DeviceProfile:
    """Return *profile*, which was read from *written*, ready for work.

    Raises `BadDocument` with what only shows now: a value that is none of its attribute's VR, a
    variable or character set that does not exist.
    """
    return _Binder(profile, written, site).bound()


class _Binder:
    """Turns operations into steps and settings."""

    def __init__(self, profile: Header, written: Effective, site: SiteFacts) -> None:
        self._profile = profile
        self._site = site
        self._placed = list(placed(profile))
        if not any(isinstance(each.operation, Return) for each in self._placed):
            self._placed.append(Placed(Return(), ()))  # an answer always has the shape of its request
        operations = tuple((each.operation, each.place) for each in self._placed)
        self._binding = Binding(written, site, operations)

    def bound(self) -> DeviceProfile:
        steps = [step for each in self._placed for step in self._steps(each)]
        accept, session = self._setting(Accept), self._setting(Session)
        charset, returned = self._setting(Charset), self._setting(Return)
        written, missing_id = self._binding.profile, accept.missing_message_id
        selections = (*self._selections(HideStatus), *self._selections(Filter))
        chooser = charset.chooser(self._at(charset), always_label=returned.labels_charset)
        if problems := tuple(dict.fromkeys(self._binding.problems)):
            raise BadDocument(problems)
        return DeviceProfile(
            name=self._profile.profile,
            status=self._profile.status,
            digest=digest([{**written.data, "notes": None}, str(self._site)]),
            written=written,
            reads=frozenset(self._binding.reads),
            limit=self._setting(Limit),
            pending_status=session.pending,
            fuzzy_names=session.fuzzy_names,
            lenient=accept.lenient,
            missing_message_id=missing_id if isinstance(missing_id, int) else None,
            transfer_syntaxes=self._setting(Wire).transfer_syntaxes,
            mpps=self._setting(Mpps),
            _steps={stage: tuple(step for step in steps if step.stage is stage) for stage in Stage},
            _selections=selections,
            _sort=self._setting(Sort, Sort(())),
            _checks=tuple(check for each in self._all(Require) for check in each.checks(self._at(each))),
            _uniques=tuple(pair for each in self._all(Require) for pair in each.uniques(self._at(each))),
            _chooser=chooser,
        )

    def _steps(self, each: Placed) -> Iterator[Step]:
        guards = [guard.compile(self._binding.at(each.operation, place)) for guard, place in each.guards]
        for step in each.operation.compile(self._binding.at(each.operation, each.place)):
            yield _guarded(step, guards) if guards else step

    def _all(self, kind: type[Kind]) -> list[Kind]:
        return [each.operation for each in self._placed if isinstance(each.operation, kind)]

    def _setting(self, kind: type[Kind], default: Kind | None = None) -> Kind:
        found = self._all(kind)
        return found[0] if found else default or kind()

    def _at(self, operation: Operation) -> Binding:
        place = next((each.place for each in self._placed if each.operation is operation), ())
        return self._binding.at(operation, place)

    def _selections(self, kind: type[HideStatus | Filter]) -> Iterator[Selection]:
        for operation in self._all(kind):
            yield from operation.selections(self._at(operation))


def _guarded(step: Step, guards: list[Predicate]) -> Step:
    apply = step.apply

    def guarded(document: Document, run: Run) -> Document:
        return apply(document, run) if all(guard(document, run) for guard in guards) else document

    return replace(step, apply=guarded)
