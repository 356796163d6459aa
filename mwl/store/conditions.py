"""Which criteria promoted columns decide, exactly as `mwl.query.holds` does, and with which tests.

A `Condition` is a *shape*, all that decides the text of the SQL, and the *values* that are bound: the
same question with other values has the same shape.  A shape is a disjunction (the alternatives) of
conjunctions (the pieces).  A criterion that columns cannot decide exactly has no condition: it is
*residual* and is decided on the documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import NamedTuple, TypeAlias

from mwl.lifecycle import CLOSED, StepState
from mwl.model import STEP_SEQUENCE
from mwl.query import SOURCE, START_DATE, START_TIME, Criterion, Op, Path, name_patterns
from mwl.store import patterns
from mwl.store.promoted import column, storable

PATIENT_ID: Path = ("00100020",)
ISSUER: Path = ("00100021",)
PATIENT_NAME: Path = ("00100010",)
ACCESSION: Path = ("00080050",)
PROCEDURE_ID: Path = ("00401001",)
STUDY: Path = ("0020000D",)
STATION: Path = (STEP_SEQUENCE, "00400001")
MODALITY: Path = (STEP_SEQUENCE, "00080060")
STEP_ID: Path = (STEP_SEQUENCE, "00400009")
STATE: Path = (STEP_SEQUENCE, "00400020")
HELD: Path = (STEP_SEQUENCE, "held")
"""Whether the order is on hold: of the step, and no attribute of its own."""

TEXTS = frozenset({PATIENT_ID, ISSUER, ACCESSION, PROCEDURE_ID, STUDY, STATION, MODALITY, STEP_ID, STATE})
"""Promoted attributes that are compared as they are; start and name have rules of their own."""

KEYS = 9
"""In the place of a component group: the keys of fuzzy matching, which have a table of their own."""

_DATE = 8  # characters of DA


class Test(StrEnum):
    """What is asked of a column; in brackets the value it binds."""

    EQUAL = "equal"  # (value)
    AMONG = "among"  # (list of values)
    FROM = "from"  # (lowest)
    TO = "to"  # (highest)
    BELOW = "below"  # (lowest that is too high)
    PATTERN = "pattern"  # (wildcards)
    FILLED = "filled"  # (): there is a value
    NEVER = "never"  # ()
    NAMED = "named"  # (): the patient has a name, were it without a letter
    SHOWN = "shown"  # (): the order is not on hold
    OPEN = "open"  # (): the step is not finished


BINDING = frozenset(Test) - {Test.FILLED, Test.NEVER, Test.NAMED, Test.SHOWN, Test.OPEN}
"""Tests that bind a value; each binds one."""


class Piece(NamedTuple):
    """A test, and for a name the component group it is meant for; None is any."""

    test: Test
    group: int | None = None


Value: TypeAlias = str | list[str]
Alternative: TypeAlias = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the text of the SQL."""

    path: Path
    alternatives: tuple[Alternative, ...]
    negate: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """A criterion that columns decide; *values* in the order of the shape's pieces."""

    shape: Shape
    values: tuple[Value, ...]


SHOWN = Condition(Shape(HELD, ((Piece(Test.SHOWN),),), negate=False), ())
"""The condition of every worklist: a step whose order is on hold is on none (C.4)."""

OPEN = Condition(Shape(STATE, ((Piece(Test.OPEN),),), negate=False), ())
"""What follows from most profiles: an index of such steps stays short, however old the database is."""


def only_open(conditions: Sequence[Condition]) -> bool:
    """Tell whether *conditions* let no step through that is finished."""
    return any(_only_open(each) for each in conditions if each.shape.path == STATE)


def _only_open(condition: Condition) -> bool:
    tests = {piece.test for pieces in condition.shape.alternatives for piece in pieces}
    if not tests <= {Test.EQUAL, Test.AMONG}:
        return False
    named = {state for value in condition.values for state in ([value] if isinstance(value, str) else value)}
    return named >= CLOSED if condition.shape.negate else named <= _OPEN_STATES


_OPEN_STATES = frozenset(StepState) - CLOSED

_Tests: TypeAlias = list[tuple[Piece, list[Value]]]
"""The pieces of one alternative, each with what it binds."""


def understood(criterion: Criterion) -> Condition | None:
    """Return *criterion* as a condition on columns, None when it is residual."""
    if criterion.folds:  # columns are compared as they are
        return None
    match _tests(criterion):
        case None:
            return None
        case alternatives:
            shape = tuple(tuple(piece for piece, _ in tests) for tests in alternatives)
            bound = tuple(value for tests in alternatives for _, values in tests for value in values)
            return Condition(Shape(criterion.path, shape, criterion.negate), bound)


def _tests(criterion: Criterion) -> list[_Tests] | None:
    decide: Callable[[Criterion], list[_Tests] | None] | None = None
    if criterion.path in TEXTS or criterion.path == SOURCE:  # no index: it comes with other conditions
        decide = _TEXT.get(criterion.op)
    elif criterion.path == START_DATE:
        decide = _START.get(criterion.op)
    elif criterion.path == START_TIME:
        decide = _TIME.get(criterion.op)
    elif criterion.path == PATIENT_NAME:
        decide = _NAME.get(criterion.op)
    return decide(criterion) if decide else None


def _one(test: Test, *values: Value) -> _Tests:
    return [(Piece(test), list(values))]


def _filled(_: Criterion) -> list[_Tests]:
    return [_one(Test.FILLED)]


def _among(criterion: Criterion) -> list[_Tests]:
    wanted = sorted({column(value) for value in criterion.values} - {""})
    match wanted:
        case []:
            return [_one(Test.NEVER)]
        case [value]:
            return [_one(Test.EQUAL, value)]
        case _:
            return [_one(Test.AMONG, wanted)]


def _wildcard(criterion: Criterion) -> list[_Tests] | None:
    if any(len(wanted) > patterns.LONGEST for wanted in criterion.values):
        return None
    return [_matching(storable(wanted)) for wanted in criterion.values] or [_one(Test.NEVER)]


def _matching(wildcard: str, group: int | None = None) -> _Tests:
    """Return what tests a value that is not empty against *wildcard*."""
    if not wildcard:
        return [(Piece(Test.NEVER, group), [])]
    if patterns.only_stars(wildcard):
        return [(Piece(Test.FILLED, group), [])]
    if patterns.literal(wildcard) == wildcard:
        return [(Piece(Test.EQUAL, group), [wildcard])]
    tests: _Tests = []
    if (narrowed := patterns.bounds(wildcard)) is not None:
        low, high = narrowed
        tests += [(Piece(Test.FROM, group), [low]), (Piece(Test.BELOW, group), [high])]
    if not patterns.is_range(wildcard):
        tests.append((Piece(Test.PATTERN, group), [wildcard]))
    return tests


def _between(low: str, high: str) -> _Tests:
    tests = _one(Test.FROM, low) if low else _one(Test.FILLED)
    return [*tests, (Piece(Test.TO), [high])] if high else tests


def _range(criterion: Criterion) -> list[_Tests]:
    low, high = (storable(value) for value in criterion.values)
    return [_between(low, high)]


def _dates(criterion: Criterion) -> list[_Tests] | None:
    # The column begins with the date: only whole dates compare alike.
    if any(len(value) not in {0, _DATE} for value in criterion.values):
        return None
    low, high = criterion.values
    return [_between(low, high and _end_of(high))]


def _days(criterion: Criterion) -> list[_Tests] | None:
    days = [storable(value.strip()) for value in criterion.values]
    if any(len(day) != _DATE for day in days):
        return None
    return [_between(day, _end_of(day)) for day in days] or [_one(Test.NEVER)]


def _end_of(day: str) -> str:
    return f"{day}~"  # sorts behind every time of the day


def _names(criterion: Criterion) -> list[_Tests] | None:
    if any(len(wanted) > patterns.LONGEST for wanted in criterion.values):
        return None
    keys = [name_patterns(storable(wanted)) for wanted in criterion.values]
    # PS3.5 6.2.1.2 knows three groups; what more would mean is for the oracle.
    if any(len(groups) > 3 for groups in keys):
        return None
    return [tests for groups in keys for tests in _named(groups)] or [_one(Test.NEVER)]


def _named(groups: Sequence[tuple[str, ...]]) -> list[_Tests]:
    """Return the ways a name can match: every choice of one pattern a group."""
    if len(groups) == 1:
        return [_matching(wanted) for wanted in groups[0]]
    # A group of stars alone is satisfied by a group that is not there.
    asked = [[(n, wanted) for wanted in group] for n, group in enumerate(groups) if group[-1].strip("*")]
    return [
        [test for n, wanted in chosen for test in _matching(wanted, n)] or _one(Test.NAMED)
        for chosen in product(*asked)
    ]


def _sounds(criterion: Criterion) -> list[_Tests] | None:
    if any(len(wanted) > patterns.LONGEST for wanted in criterion.values):
        return None
    return [_matching(storable(wanted), KEYS) for wanted in criterion.values] or [_one(Test.NEVER)]


_TEXT = {Op.IN: _among, Op.WILDCARD: _wildcard, Op.RANGE: _range, Op.PRESENT: _filled}
_START = {Op.IN: _days, Op.RANGE: _dates, Op.SPAN: _range, Op.PRESENT: _filled}
_TIME = {Op.RANGE: _range, Op.PRESENT: _filled}
_NAME = {Op.NAME: _names, Op.SOUNDS: _sounds, Op.PRESENT: lambda _: [_one(Test.NAMED)]}
