"""P10 `filter` and P15 `sort` and `limit`: which items a device gets to see, and in which order.

Theory of operation.  A filter becomes criteria that the store runs, wherever its tests have a criterion
of their kind.  What has none (a regular expression, a length, alternatives on several attributes) is
decided on the loaded item, which is then `Excluded`.  Both say which line of the profile decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import PathText, Scalar, Scalars, either
from mwl.mapping.devices.operations.operation import (
    Apply,
    Binding,
    Excluded,
    ListOf,
    Options,
    Predicate,
    Run,
    Stage,
    Step,
)
from mwl.mapping.devices.operations.request import asked_values
from mwl.mapping.devices.operations.values import text_value
from mwl.mapping.devices.operations.when import Test, When
from mwl.mapping.elements import gather
from mwl.mapping.facts import Facts
from mwl.model import Document, WorklistItem
from mwl.query import Criterion, Op, Path

STATUS = paths.parse_path("SPS.ScheduledProcedureStepStatus")


@dataclass(frozen=True, slots=True)
class Selection:
    """A criterion of the profile for the store, and what in the identifier switches it off."""

    path: Path
    op: Op
    values: tuple[Callable[[Facts], str], ...]
    negate: bool
    origin: str
    unless_asked: bool = False  # an explicit key on the same attribute is stronger

    def criterion(self, keys: Document, facts: Facts) -> Criterion | None:
        """Return the criterion for an identifier; None where it does not apply."""
        if self.unless_asked and asked_values(paths.get(keys, self.path)):
            return None
        values = tuple(value(facts) for value in self.values)
        return Criterion(self.path, self.op, values, self.negate, origin=self.origin)


class HideStatus(ListOf[Scalars]):
    """States in which a step is off the list, unless the device asks for them by name (P10, A-48, F10)."""

    key = "hide_status"
    stage = Stage.SELECT
    number = 10

    def selections(self, binding: Binding) -> Iterator[Selection]:
        """Yield the one criterion."""
        values = _values(self.root, binding)
        yield Selection(STATUS, Op.IN, values, negate=True, origin=binding.origin(), unless_asked=True)


class Filter(Options):
    """Which items are on this device's list, by tests of what is stored (P10)."""

    key = "filter"
    stage = Stage.SELECT
    number = 10

    include: tuple[When, ...] = ()
    """An item must pass one of these."""
    exclude: tuple[When, ...] = ()
    """An item that passes one of these is left out."""

    def selections(self, binding: Binding) -> Iterator[Selection]:
        """Yield what the store can decide."""
        if len(self.include) == 1:
            for name, test in self.include[0].tests.items():
                yield from _for_the_store(name, test, binding, "include", 0, name)
        for index, entry in enumerate(self.exclude):
            if _is_one_test(entry):
                name, test = next(iter(entry.tests.items()))
                for selection in _for_the_store(name, test, binding, "exclude", index, name):
                    yield replace(selection, negate=not selection.negate)

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield what is left to decide on the loaded item."""
        if self.include and not (len(self.include) == 1 and _is_for_the_store(self.include[0], binding)):
            passes = [entry.compile(binding, "include", i) for i, entry in enumerate(self.include)]
            yield binding.step(_excluding(passes, wanted=True), "include")
        for index, entry in enumerate(self.exclude):
            if not (_is_one_test(entry) and _is_for_the_store(entry, binding)):
                passes = [entry.compile(binding, "exclude", index)]
                yield binding.step(_excluding(passes, wanted=False), "exclude", index)


def _is_one_test(entry: When) -> bool:
    return len(entry.tests) == 1 and not (entry.any or entry.all or entry.not_)


def _is_for_the_store(entry: When, binding: Binding) -> bool:
    """Tell whether criteria say all of *entry*."""
    if entry.any or entry.all or entry.not_:
        return False
    return all(len(list(_for_the_store(name, test, binding))) == 1 for name, test in entry.tests.items())


def _for_the_store(name: str, test: Test, binding: Binding, *keys: str | int) -> Iterator[Selection]:
    """Yield *test*, if it is a single test of an attribute and the store has criteria of its kind."""
    if name.startswith(("$", "var.")) or len(test.model_dump(exclude_none=True)) != 1:
        return
    path, origin = paths.parse_path(name), binding.origin(*keys)
    if wanted := test.eq or test.in_:
        yield Selection(path, Op.IN, _values(wanted, binding, *keys), negate=False, origin=origin)
    elif test.glob:
        yield Selection(path, Op.WILDCARD, _values(test.glob, binding, *keys), negate=False, origin=origin)
    elif test.present is not None or test.empty is not None:
        present = test.present if test.present is not None else not test.empty
        yield Selection(path, Op.PRESENT, (), negate=not present, origin=origin)


def _values(written: Sequence[str], binding: Binding, *keys: str | int) -> tuple[Callable[[Facts], str], ...]:
    return tuple(text_value(text, binding, *keys) for text in written)


def _excluding(passes: Sequence[Predicate], *, wanted: bool) -> Apply:
    def apply(item: Document, run: Run) -> Document:
        if any(passed(item, run) for passed in passes) is not wanted:
            raise Excluded("the profile's filter leaves the item out")
        return item

    return apply


class SortKey(BaseModel):
    """What items are ordered by; one without a value comes last."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    by: PathText
    """The attribute."""
    descending: bool = False
    """Whether the greatest comes first."""
    order: tuple[Scalar, ...] = ()
    """Values in the order wanted; any other comes after them."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``PatientName`` for ``{by: PatientName}``."""
        return {"by": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"type": "string"}, core, handler)

    def rank(self, item: WorklistItem) -> tuple[int, str]:
        """Return what *item* is compared by."""
        found = next(iter(gather(item.merged(), paths.parse_path(self.by))), "")
        return (self.order.index(found) if found in self.order else len(self.order), found)


class Sort(ListOf[tuple[SortKey, ...]]):
    """The order of the items; those that are equal keep the order of their start (P15, A-47)."""

    key = "sort"
    stage = Stage.SELECT
    number = 15

    def ordered(self, items: Sequence[WorklistItem]) -> list[WorklistItem]:
        """Return *items* in this order."""
        result = list(items)
        for key in reversed(self.root):  # sorting is stable: the first key is applied last
            present = [item for item in result if key.rank(item)[1]]
            absent = [item for item in result if not key.rank(item)[1]]
            result = sorted(present, key=key.rank, reverse=key.descending) + absent
        return result


class Limit(Options):
    """How many items a device is sent (P15); leaving some out is always reported (12.3 a)."""

    key = "limit"
    stage = Stage.SELECT
    number = 15

    max: Annotated[int, Field(ge=1)] | None = None
    """The most items of one answer; none: no limit."""
    overflow: Literal["truncate", "nearest_now", "status_a700"] = "nearest_now"
    """Which are sent when there are more: the first, those nearest to now, or the first and then A700."""
