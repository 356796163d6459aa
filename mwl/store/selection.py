"""Conditions as one SELECT.

Theory of operation
-------------------
One condition *drives*: the query walks the index it stands on, and looks at the others row by row.
SQLite chooses badly without statistics (an index that gives the order seems to it worth a walk over
all steps), so the order of the tables is stated: it takes CROSS JOIN for an order.  PostgreSQL keeps
statistics by itself and chooses for itself.

Statements are built once a combination of shapes and kept, so a device that asks the same question
with another date finds a statement whose SQL is compiled already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, reduce
from itertools import count, groupby
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Join,
    Select,
    String,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from mwl.query import SOURCE, START_DATE, START_TIME, Path
from mwl.store import conditions as c
from mwl.store import patterns
from mwl.store.conditions import Condition, Piece, Shape, Test, Value
from mwl.store.driving import driver
from mwl.store.tables import (
    name_keys,
    patient_names,
    patients,
    procedures,
    step_stations,
    steps,
    unfinished,
)

COLUMNS: dict[Path, ColumnElement[Any]] = {
    c.PATIENT_ID: patients.c.patient_id,
    c.ISSUER: patients.c.issuer,
    c.ACCESSION: procedures.c.accession,
    c.PROCEDURE_ID: procedures.c.requested_procedure_id,
    c.STUDY: procedures.c.study_instance_uid,
    c.STATION: step_stations.c.ae_title,
    c.MODALITY: steps.c.modality,
    c.STEP_ID: steps.c.step_id,
    c.STATE: steps.c.state,
    c.HELD: steps.c.held,
    START_DATE: steps.c.start,
    START_TIME: steps.c.start_time,
    SOURCE: procedures.c.system,
}
"""The column that holds each promoted attribute; a name has rows of its own."""


PAGE = 500
"""Rows read at a time when it is not known how many will be asked for."""


class Window(StrEnum):
    """Which end of the result is asked for, and in which order."""

    ALL = "all"  # from the earliest start
    AFTER = "after"  # from an instant on
    BEFORE = "before"  # from before an instant, backwards
    NEWEST = "newest"  # from the one that came last, whenever it starts
    ANY = "any"  # in no order: the first that are found


@dataclass(frozen=True, slots=True)
class Row:
    """A step that satisfies the conditions: its key, the revisions of its levels, its start."""

    key: int
    patient_revision: int
    procedure_revision: int
    step_revision: int
    start: str


class Selection:
    """All steps that satisfy some conditions, ready to be read from either end, or counted."""

    def __init__(self, connection: Connection, conditions: Sequence[Condition]) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name
        self._shapes = tuple(condition.shape for condition in conditions)
        self._driver = driver(conditions)
        self._values = dict(_bound(conditions, self._dialect))

    def rows(
        self, window: Window = Window.ALL, instant: str = "", most: int | None = None, *, paged: bool = False
    ) -> Iterator[Row]:
        """Yield the steps in the order of *window*, *most* at most.

        *paged* reads them as they are asked for, at the price of more round trips.
        """
        statement = _statement(self._shapes, self._driver, window, most is not None, self._dialect)
        values = {**self._values, "instant": instant, "most": most}
        options = {"yield_per": PAGE} if paged else {}
        for row in self._connection.execute(statement, values, execution_options=options):
            yield Row(*row)

    def count(self, most: int | None = None) -> int:
        """Return how many steps there are; with *most*, counting ends there."""
        counting = _counting(self._shapes, self._driver, most is not None, self._dialect)
        return int(self._connection.execute(counting, {**self._values, "most": most}).scalar_one())


def _bound(conditions: Sequence[Condition], dialect: str) -> Iterator[tuple[str, Value]]:
    """Yield name and value of each bound parameter: they are numbered in the order of the pieces."""
    number = 0
    for condition in conditions:
        values = iter(condition.values)
        for piece in _pieces(condition.shape):
            if piece.test in c.BINDING:
                value = next(values)
                if piece.test is Test.PATTERN:
                    value = patterns.glob(str(value)) if dialect == "sqlite" else patterns.like(str(value))
                yield f"v{number}", value
                number += 1


def _pieces(shape: Shape) -> Iterator[Piece]:
    for alternative in shape.alternatives:
        yield from alternative


@lru_cache(maxsize=1000)
def _counting(shapes: tuple[Shape, ...], driver: int | None, limited: bool, dialect: str) -> Select[Any]:
    found = _statement(shapes, driver, Window.ALL, limited, dialect).order_by(None).subquery()
    return select(func.count()).select_from(found)


@lru_cache(maxsize=1000)
def _statement(
    shapes: tuple[Shape, ...], driver: int | None, window: Window, limited: bool, dialect: str
) -> Select[Any]:
    path = None if driver is None else shapes[driver].path
    # The driving table carries a copy of the start: one index then decides station and day.
    start, key = steps.c.start, steps.c.key
    if path == c.STATION:
        start, key = step_stations.c.start, step_stations.c.step_key
    statement = select(
        key,
        patients.c.revision.label("patient_revision"),
        procedures.c.revision.label("procedure_revision"),
        steps.c.revision.label("step_revision"),
        start,
    ).select_from(_tables(path))
    names = (f"v{number}" for number in count())
    for position, shape in enumerate(shapes):
        statement = statement.where(_expression(shape, names, start, dialect, driving=position == driver))
        if path == c.STATION and shape == c.OPEN.shape:
            statement = statement.where(
                step_stations.c.closed.is_(false())
            )  # the same, where the walk begins
    if path == c.STATION and not _is_single(shapes[driver or 0]):
        statement = statement.distinct()  # a step with two of the stations asked for is one step
    if limited:
        statement = statement.limit(bindparam("most", type_=Integer))
    match window:
        case Window.ALL:
            return statement.order_by(start, key)
        case Window.AFTER:
            return statement.where(start >= bindparam("instant")).order_by(start, key)
        case Window.BEFORE:
            return statement.where(start < bindparam("instant")).order_by(start.desc(), key.desc())
        case Window.NEWEST:
            return statement.order_by(key.desc())
        case Window.ANY:
            return statement


def _is_single(shape: Shape) -> bool:
    return [piece.test for piece in _pieces(shape)] == [Test.EQUAL]


def _tables(path: Path | None) -> FromClause:
    """Return the three levels joined, in the order that begins at the attribute *path*."""
    if path == c.STATION:
        return _nested(step_stations, steps, procedures, patients)
    if path in {c.PATIENT_ID, c.PATIENT_NAME}:
        return _nested(patients, procedures, steps)
    if path in {c.STUDY, c.ACCESSION, c.PROCEDURE_ID}:
        return _nested(procedures, steps, patients)
    return _nested(steps, procedures, patients)


def _nested(*tables: FromClause) -> FromClause:
    return reduce(_Nested, tables)


class _Nested(Join):
    """A join whose left side is the outer loop."""

    inherit_cache = True


@compiles(_Nested, "sqlite")
def _cross_join(join: _Nested, compiler: SQLCompiler, **options: Any) -> str:
    options["asfrom"] = True
    left = compiler.process(join.left, **options)
    right = compiler.process(join.right, **options)
    on = compiler.process(cast("ColumnElement[bool]", join.onclause), **options)
    return f"{left} CROSS JOIN {right} ON {on}"


def _expression(
    shape: Shape, names: Iterator[str], start: ColumnElement[str], dialect: str, *, driving: bool
) -> ColumnElement[bool]:
    """Return the condition; *start* is the column that holds the start in this statement."""
    other = step_stations.alias()
    if shape.path == c.PATIENT_NAME:
        decided = _by_name([_named(pieces, names, dialect) for pieces in shape.alternatives], driving=driving)
        return not_(decided) if shape.negate else decided
    column = start if shape.path == START_DATE else COLUMNS[shape.path]
    if shape.path == c.STATION and not driving:
        column = other.c.ae_title
    decided = or_(
        *(
            and_(*(_test(column, piece.test, names, dialect) for piece in pieces))
            for pieces in shape.alternatives
        )
    )
    if shape.path == c.STATION and not driving:
        decided = exists().where(other.c.step_key == steps.c.key, decided)
    return not_(decided) if shape.negate else decided


def _by_name(named: Sequence[Select[Any]], *, driving: bool) -> ColumnElement[bool]:
    """Return whether the patient is among those that one of the alternatives selects."""
    if not driving:
        return or_(*(each.where(_patient_of(each) == patients.c.key).exists() for each in named))
    # One IN: PostgreSQL answers a disjunction of several by walking all patients, steps and procedures.
    return patients.c.key.in_(named[0] if len(named) == 1 else union(*named))


def _named(pieces: Sequence[Piece], names: Iterator[str], dialect: str) -> Select[Any]:
    """Select the patients of one alternative; each component group is a row of its own."""
    selected: Select[Any] | None = None
    for group, asked in groupby(pieces, key=lambda piece: piece.group):
        rows = (name_keys if group == c.KEYS else patient_names).alias()
        tests = [_test(rows.c.folded, piece.test, names, dialect) for piece in asked]
        if group not in {None, c.KEYS}:
            tests.append(rows.c.representation == group)
        if selected is None:
            selected = select(rows.c.patient_key).where(*tests)
        else:
            same = rows.c.patient_key == _patient_of(selected)
            selected = selected.where(exists().where(same, *tests))
    return cast("Select[Any]", selected)  # an alternative has at least one piece


def _patient_of(named: Select[Any]) -> ColumnElement[int]:
    return named.selected_columns.patient_key


def _test(column: ColumnElement[str], test: Test, names: Iterator[str], dialect: str) -> ColumnElement[bool]:
    match test:
        case Test.FILLED:
            return column != literal("")
        case Test.NEVER:
            return false()
        case Test.NAMED:
            return true()
        case Test.SHOWN:
            return column.is_(false())
        case Test.OPEN:
            return unfinished(column)
        case Test.AMONG:
            return column.in_(bindparam(next(names), expanding=True))
    value: BindParameter[str] = bindparam(next(names), type_=String)
    match test:
        case Test.EQUAL:
            return column == value
        case Test.FROM:
            return column >= value
        case Test.TO:
            return column <= value
        case Test.BELOW:
            return column < value
        case Test.PATTERN:
            return column.bool_op("GLOB")(value) if dialect == "sqlite" else column.like(value, escape="\\")
