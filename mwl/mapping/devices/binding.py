"""From an effective profile to a `DeviceProfile`: every written line becomes a step.

Everything that can be worked out once is worked out here: variables of the device, paths, patterns,
guards, the site's character set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar
from zoneinfo import ZoneInfo

from mwl.errors import BadDocument
from mwl.mapping.devices.operations.accept import Accept
from mwl.mapping.devices.operations.codec import chains
from mwl.mapping.devices.operations.criteria import Selection
from mwl.mapping.devices.operations.encode import Charset, Wire
from mwl.mapping.devices.operations.match import Recognition
from mwl.mapping.devices.operations.operation import (
    Binding,
    ListStep,
    Operation,
    Predicate,
    Run,
    Stage,
    Step,
)
from mwl.mapping.devices.operations.order import Limit
from mwl.mapping.devices.operations.performed import Mpps
from mwl.mapping.devices.operations.require import Require
from mwl.mapping.devices.operations.select import Filter, HideStatus
from mwl.mapping.devices.operations.session import Session
from mwl.mapping.devices.operations.shape import Return
from mwl.mapping.devices.operations.sources import Sources
from mwl.mapping.devices.operations.uid import Uid
from mwl.mapping.devices.operations.window import Window
from mwl.mapping.devices.profile import Header, Placed, placed
from mwl.mapping.devices.stages import DeviceProfile
from mwl.mapping.facts import SiteFacts
from mwl.mapping.tables import ColumnFiles
from mwl.mapping.written import Effective, digest, in_order
from mwl.model import Document

Kind = TypeVar("Kind", bound=Operation)


def bind(
    profile: Header, written: Effective, site: SiteFacts, tables: ColumnFiles | None = None
) -> DeviceProfile:
    """Return *profile*, which was read from *written*, ready for work; *tables* are those it may name.

    Raises `BadDocument` with what only shows now: a value that is none of its attribute's VR, a
    variable, character set or table that does not exist.
    """
    return _Binder(profile, written, site, tables or ColumnFiles(())).bound()


class _Binder:
    """Turns operations into steps and settings."""

    def __init__(self, profile: Header, written: Effective, site: SiteFacts, tables: ColumnFiles) -> None:
        self._profile = profile
        self._site = site
        self._placed = list(placed(profile))
        if not any(isinstance(each.operation, Return) for each in self._placed):
            # An answer always has the shape of its request, which is made before anything is required of it.
            behind = (n for n, each in enumerate(self._placed) if each.operation.number > Return.number)
            self._placed.insert(next(behind, len(self._placed)), Placed(Return(), ()))
        operations = tuple((each.operation, each.place) for each in self._placed)
        self._binding = Binding(written, site, operations, tables)

    def bound(self) -> DeviceProfile:
        steps = [step for each in self._placed for step in self._steps(each)]
        steps.sort(key=lambda step: (step.last, step.settles))  # stable: all others keep their order
        list_steps = [step for each in self._placed for step in self._list_steps(each)]
        accept = self._setting(Accept)
        charset, returned = self._setting(Charset), self._setting(Return)
        recognition = self._recognition()
        written, missing_id = self._binding.profile, accept.missing_message_id
        selections = [
            *self._selections(HideStatus),
            *self._selections(Filter),
            *self._selections(Sources),
        ]
        mpps = self._setting(Mpps)
        sends_on = mpps.sends_on(self._at(mpps))
        chooser = charset.chooser(self._at(charset), always_label=returned.labels_charset)
        if problems := tuple(dict.fromkeys(self._binding.problems)):
            raise BadDocument(problems)
        return DeviceProfile(
            name=self._profile.profile,
            status=self._profile.status,
            digest=digest(
                [
                    in_order({**written.data, "notes": None, "tests": None}),
                    str(self._site),
                    self._binding.tables_read,
                ]
            ),
            written=written,
            reads=frozenset(self._binding.reads),
            limit=self._setting(Limit),
            session=self._setting(Session),
            lenient=accept.lenient,
            missing_message_id=missing_id if isinstance(missing_id, int) else None,
            wire=self._setting(Wire),
            mpps=mpps,
            local_filter=self._profile.local_filter is not None,
            notes=self._profile.notes,
            _steps={stage: tuple(step for step in steps if step.stage is stage) for stage in Stage},
            _list_steps=tuple(list_steps),
            _selections=tuple(selections),
            _checks=tuple(check for each in self._all(Require) for check in each.checks(self._at(each))),
            _uniques=tuple(one for each in self._all(Require) for one in each.uniques(self._at(each))),
            _chooser=chooser,
            _chains=chains(self._binding),
            _sends_on=sends_on,
            _step_studies=any(uid.per_step for uid in self._all(Uid)),
            zone=next((ZoneInfo(window.tz) for window in self._all(Window) if window.tz), None),
            relabelling=accept.relabelling(self._at(accept)),
            recognition=recognition,
        )

    def _recognition(self) -> Recognition | None:
        match = self._profile.match
        if match is None:
            return None
        # Which profile answers is settled before it does: its answers depend on nothing `match` reads.
        binding = replace(self._binding, operation="match", place=("match",), reads=set())
        rank = (*match.weight, self._profile.priority)
        return Recognition(match.recognise(binding), rank, binding.origin())

    def _steps(self, each: Placed) -> Iterator[Step]:
        guards = [guard.compile(self._binding.at(each.operation, place)) for guard, place in each.guards]
        for step in each.operation.compile(self._binding.at(each.operation, each.place)):
            yield _guarded(step, guards) if guards else step

    def _list_steps(self, each: Placed) -> Iterator[ListStep]:
        yield from each.operation.arrange(self._binding.at(each.operation, each.place))

    def _all(self, kind: type[Kind]) -> list[Kind]:
        return [each.operation for each in self._placed if isinstance(each.operation, kind)]

    def _setting(self, kind: type[Kind], default: Kind | None = None) -> Kind:
        found = self._all(kind)
        return found[0] if found else default or kind()

    def _at(self, operation: Operation) -> Binding:
        place = next((each.place for each in self._placed if each.operation is operation), ())
        return self._binding.at(operation, place)

    def _selections(self, kind: type[HideStatus | Filter | Sources]) -> Iterator[Selection]:
        for operation in self._all(kind):
            yield from operation.selections(self._at(operation))


def _guarded(step: Step, guards: list[Predicate]) -> Step:
    apply, conforms = step.apply, step.stage is Stage.CONFORM

    def guarded(document: Document, run: Run) -> Document:
        tested = run.item if conforms else document  # the whole item, asked for or not
        return apply(document, run) if all(guard(tested, run) for guard in guards) else document

    return replace(step, apply=guarded)
