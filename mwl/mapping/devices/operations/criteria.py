"""Tests of `when` as criteria: what a filter leaves to the store (P10).

Every filter becomes criteria, so that it is decided before a limit is, and by one rule for all: the
store runs what columns can decide, and `mwl.query.holds` the rest, on the documents.  A test that is not
about the item (a variable, who asks, what is asked for) is decided when the query comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from mwl.mapping import paths
from mwl.mapping.devices.operations.operation import Binding, Predicate, Run
from mwl.mapping.devices.operations.request import asked_values
from mwl.mapping.devices.operations.values import text_value
from mwl.mapping.devices.operations.when import AgeRange, Test, When, about_no_item, tests_of
from mwl.mapping.facts import Facts
from mwl.model import Document
from mwl.query import SOURCE, Criterion, Op, Path

BIRTH_DATE = paths.parse_path("PatientBirthDate")

Decided: TypeAlias = Criterion | bool
"""A criterion, or what is known without looking at an item."""

Make: TypeAlias = Callable[[Run], Decided]


@dataclass(frozen=True, slots=True)
class Selection:
    """A condition of the profile on items, and the key that switches it off."""

    make: Make
    origin: str
    unless_asked: Path | None = None  # an explicit key on this attribute is stronger

    def criterion(self, keys: Document, run: Run) -> Criterion | None:
        """Return the criterion for the identifier *keys*; None where nothing is to be decided."""
        if self.unless_asked is not None and asked_values(paths.get(keys, self.unless_asked)):
            return None
        decided = self.make(run)
        if isinstance(decided, bool):
            return None if decided else Criterion((), Op.ANY, origin=self.origin)
        return decided


def lines(when: When, binding: Binding, *keys: str | int) -> Iterator[Selection]:
    """Yield *when* as conditions that must all hold, each with the line it came from."""
    for make, origin in _parts(when, binding, *keys):
        yield Selection(make, origin)


def whole(when: When, binding: Binding, *keys: str | int) -> Make:
    """Return *when* as one condition."""
    return _combined(Op.ALL, [make for make, _ in _parts(when, binding, *keys)], binding.origin(*keys))


def any_of(entries: Sequence[When], binding: Binding, *keys: str | int) -> Make:
    """Return the condition that one of *entries* holds."""
    makes = [whole(entry, binding, *keys, index) for index, entry in enumerate(entries)]
    return _combined(Op.ANY, makes, binding.origin(*keys))


def negated(make: Make) -> Make:
    """Return the opposite condition."""
    return lambda run: _opposite(make(run))


def _parts(when: When, binding: Binding, *keys: str | int) -> Iterator[tuple[Make, str]]:
    for name, test in when.tests.items():
        origin = binding.origin(*keys, name)
        if about_no_item(name):
            yield _constant(tests_of(name, test, binding, *keys, name)), origin
        else:
            for make in _criteria(paths.parse_path(name), test, origin, binding, *keys, name):
                yield make, origin
            if test.requested is not None:
                asked = test.model_copy(update=dict.fromkeys(_OF_VALUES))
                yield _constant(tests_of(name, asked, binding, *keys, name)), origin
    if when.source is not None:
        wanted = _values(when.source, binding, *keys, "source")
        yield _criterion(SOURCE, Op.IN, wanted, binding.origin(*keys, "source")), binding.origin(*keys)
    if when.age is not None:
        yield _born(when.age, binding.origin(*keys, "age")), binding.origin(*keys, "age")
    if when.all is not None:
        for index, each in enumerate(when.all):
            yield from _parts(each, binding, *keys, "all", index)
    if when.any is not None:
        yield any_of(when.any, binding, *keys, "any"), binding.origin(*keys, "any")
    if when.not_ is not None:
        yield negated(whole(when.not_, binding, *keys, "not")), binding.origin(*keys, "not")


_OF_VALUES = tuple(name for name in Test.model_fields if name != "requested")


def _criteria(path: Path, test: Test, origin: str, binding: Binding, *keys: str | int) -> Iterator[Make]:
    for wanted in (test.eq, test.in_):
        if wanted is not None:
            yield _criterion(path, Op.IN, _values(wanted, binding, *keys), origin)
    if test.glob is not None:
        yield _criterion(path, Op.WILDCARD, _values(test.glob, binding, *keys), origin)
    if test.regex is not None:
        yield _fixed(Criterion(path, Op.REGEX, (test.regex,), origin=origin))
    if test.len_gt is not None:
        yield _fixed(Criterion(path, Op.LONGER, (str(test.len_gt),), origin=origin))
    for present in (test.present, None if test.empty is None else not test.empty):
        if present is not None:
            yield _fixed(Criterion(path, Op.PRESENT, negate=not present, origin=origin))
    if test.charset_fits is not None:
        binding.problem("charset_fits is for guards: a filter cannot ask it", *keys, "charset_fits")


def _fixed(criterion: Criterion) -> Make:
    return lambda _run: criterion


def _criterion(path: Path, op: Op, values: Sequence[Callable[[Facts], str]], origin: str) -> Make:
    return lambda run: Criterion(path, op, tuple(value(run.facts) for value in values), origin=origin)


def _born(age: AgeRange, origin: str) -> Make:
    def make(run: Run) -> Criterion:
        return Criterion(BIRTH_DATE, Op.RANGE, age.births(run.facts.now.date()), origin=origin)

    return make


def _constant(predicates: Iterable[Predicate]) -> Make:
    tests = list(predicates)
    return lambda run: all(test({}, run) for test in tests)


def _combined(op: Op, makes: Sequence[Make], origin: str) -> Make:
    decides = op is Op.ANY  # one True decides ANY, one False decides ALL

    def make(run: Run) -> Decided:
        found = [each(run) for each in makes]
        if any(each is decides for each in found):
            return decides
        open_ = tuple(each for each in found if not isinstance(each, bool))
        if not open_:
            return not decides
        return open_[0] if len(open_) == 1 else Criterion((), op, within=open_, origin=origin)

    return make


def _opposite(decided: Decided) -> Decided:
    if isinstance(decided, bool):
        return not decided
    return replace(decided, negate=not decided.negate)


def _values(written: Sequence[str], binding: Binding, *keys: str | int) -> tuple[Callable[[Facts], str], ...]:
    return tuple(text_value(text, binding, *keys) for text in written)
