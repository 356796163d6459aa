"""Statements that every message runs: compiled once, and handed to the driver as they are.

Theory of operation.  SQLAlchemy's way from a statement to the driver costs ten times what SQLite takes to
find a row, and an order runs twenty statements.  A `Prepared` is written like any other; it is compiled
once for each kind of database, and its parameters then go to the driver's cursor, inside the transaction
of the connection it is given.  What a type asks for on the way in and out is done, and errors become
SQLAlchemy's, so that nobody else sees a difference.

All its parameters are bound by name, whenever it runs.  One with a list that expands is compiled for each
length, up to `LONGEST`; above that, and for none at all, SQLAlchemy runs it.  Rows that are inserted together
are one statement, too: each call of the driver lets the threads that wait for the interpreter go at it, and
costs a trip to a server.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, exc, insert, update
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter, ClauseList

from mwl.store.engine import forget_row

Processor = Callable[[Any], Any]
Values = Mapping[str, Any]

TOGETHER = 16
"""Rows that one statement inserts at most: an order has a handful of any kind."""

LONGEST = 8
"""Values of a list that a statement is compiled for: the steps of an order, the stations of a step."""

_NOTHING: Values = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the words of one kind of database."""

    text: str
    placed: Callable[[Values], Sequence[Any]] | None  # parameters in their places; None: it takes names
    given: Values  # parameters a caller may leave out
    inward: tuple[tuple[str, Processor], ...]  # what a type makes of a parameter
    outward: tuple[tuple[int, Processor], ...]  # what a type makes of a column
    row: Callable[[Sequence[Any]], Any]

    def parameters(self, values: Values) -> Sequence[Any] | Values:
        if self.given:
            values = {**self.given, **values}
        if self.inward:
            values = {**values, **{name: made(values[name]) for name, made in self.inward}}
        return values if self.placed is None else self.placed(values)

    def made(self, found: Sequence[Any]) -> Any:
        if self.outward:
            cells = list(found)
            for position, processor in self.outward:
                cells[position] = processor(cells[position])
            found = cells
        return self.row(found)


class Prepared:
    """A statement, to be run on any connection of any kind."""

    def __init__(self, statement: Executable, given: Values | None = None) -> None:
        """*given* are parameters that a caller may leave out."""
        self._statement, self._given = statement, given or {}
        self._compiled: dict[object, _Compiled] = {}  # by the kind of database and the lengths of the lists
        # Those that it states itself are part of it.
        self._lists = sorted({each.key for each in _lists(statement) if each.value is None})

    def run(self, connection: Connection, values: Values = _NOTHING) -> None:
        """Run it for its effect."""
        if self._lists:
            connection.execute(self._statement, values)
            return
        compiled, cursor = self._for(connection.dialect), _cursor(connection)
        try:
            cursor.execute(compiled.text, compiled.parameters(values))
        except connection.dialect.loaded_dbapi.Error as error:
            raise _told(connection, cursor, compiled, error) from error

    def all(self, connection: Connection, values: Values) -> list[Any]:
        """Return the rows; their columns are attributes."""
        if not self._lists:
            compiled = self._for(connection.dialect)
        elif all(0 < len(values[name]) <= LONGEST for name in self._lists):
            compiled, values = self._for_lists(connection.dialect, values)
        else:
            return list(connection.execute(self._statement, values))
        cursor = _cursor(connection)
        try:
            cursor.execute(compiled.text, compiled.parameters(values))
            found = cursor.fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            raise _told(connection, cursor, compiled, error) from error
        return [compiled.made(row) for row in found]

    def first(self, connection: Connection, values: Values) -> Any:
        """Return the first row, None where there is none."""
        found = self.all(connection, values)
        return found[0] if found else None

    def scalar(self, connection: Connection, values: Values) -> Any:
        """Return the first column of the first row, None where there is none."""
        found = self.all(connection, values)
        return found[0][0] if found else None

    def scalars(self, connection: Connection, values: Values) -> list[Any]:
        """Return the first column of the rows."""
        return [row[0] for row in self.all(connection, values)]

    def _for(self, dialect: Dialect) -> _Compiled:
        if (known := self._compiled.get(dialect.name)) is None:
            stated = next(_lists(self._statement), None) is not None
            statement = _spread(self._statement, {}) if stated else self._statement
            known = self._compiled[dialect.name] = _compile(statement, dialect, self._given)
        return known

    def _for_lists(self, dialect: Dialect, values: Values) -> tuple[_Compiled, Values]:
        lengths = tuple(len(values[name]) for name in self._lists)
        if (known := self._compiled.get((dialect.name, lengths))) is None:
            spread = _spread(self._statement, dict(zip(self._lists, lengths, strict=True)))
            known = self._compiled[dialect.name, lengths] = _compile(spread, dialect, self._given)
        one_by_one = {f"{name}_{n}": each for name in self._lists for n, each in enumerate(values[name])}
        return known, {**values, **one_by_one}


class Insertion(Prepared):
    """What inserts rows of a table; made by `new`."""

    def __init__(self, table: Table, *, key: bool) -> None:
        columns = [column for column in table.columns if column.autoincrement is not True]
        self._table = table
        self._defaults = {
            column.name: getattr(column.default, "arg", None)
            for column in columns
            if column.default is not None or column.nullable
        }
        self._columns = [column.name for column in columns]
        self._several: dict[int, Prepared] = {}  # by the number of rows
        statement = insert(table).values({name: bindparam(name) for name in self._columns})
        super().__init__(statement.returning(table.c.key) if key else statement, self._defaults)

    def run_all(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Insert *rows*."""
        for begin in range(0, len(rows), TOGETHER):
            some = rows[begin : begin + TOGETHER]
            if (statement := self._several.get(len(some))) is None:
                statement = self._several[len(some)] = self._rows(len(some))
            filled = [{**self._defaults, **row} for row in some]
            names = self._columns
            numbered = {f"{name}_{n}": row[name] for n, row in enumerate(filled) for name in names}
            statement.run(connection, numbered)

    def _rows(self, count: int) -> Prepared:
        rows: list[dict[str, Any]] = [
            {name: bindparam(f"{name}_{n}") for name in self._columns} for n in range(count)
        ]
        return Prepared(insert(self._table).values(rows))


def new(table: Table, *, key: bool = False) -> Insertion:
    """Return what inserts a row of *table*, and with *key* returns its key.

    What is not bound has its column's default, or is NULL where that is allowed.
    """
    return Insertion(table, key=key)


@lru_cache(maxsize=200)
def change(table: Table, names: tuple[str, ...]) -> Prepared:
    """Return what changes these columns of the row of *table* whose key is bound as ``row``."""
    changed = update(table).where(table.c.key == bindparam("row"))
    return Prepared(changed.values({name: bindparam(name) for name in names}))


def _lists(statement: Any) -> Iterator[BindParameter[Any]]:
    return (
        each for each in visitors.iterate(statement) if isinstance(each, BindParameter) and each.expanding
    )


def _spread(statement: Any, lengths: Mapping[str, int]) -> Any:
    """Return *statement* with as many parameters in place of each list."""

    def instead(element: Any, **_: object) -> Any:
        if not isinstance(element, BindParameter) or not element.expanding:
            return None
        if element.value is not None:
            each = [bindparam(None, value, type_=element.type, unique=True) for value in element.value]
        else:
            names = [f"{element.key}_{n}" for n in range(lengths[element.key])]
            each = [bindparam(name, type_=element.type) for name in names]
        return ClauseList(*each).self_group(against=operators.in_op)

    return visitors.replacement_traverse(statement, {}, instead)


def _compile(statement: Executable, dialect: Dialect, given: Values) -> _Compiled:
    compiled: SQLCompiler = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    binds = compiled.binds.items()
    columns = list(getattr(statement, "exported_columns", ()))  # a SELECT's, or RETURNING's
    inward = [(name, bind.type.dialect_impl(dialect).bind_processor(dialect)) for name, bind in binds]
    outward = [each.type.dialect_impl(dialect).result_processor(dialect, None) for each in columns]
    return _Compiled(
        str(compiled),
        None if compiled.positiontup is None else _in_places(compiled.positiontup),
        {**{name: bind.value for name, bind in binds if not bind.required}, **given},
        tuple((name, processor) for name, processor in inward if processor is not None),
        tuple((n, processor) for n, processor in enumerate(outward) if processor is not None),
        _row([each.key for each in columns]),
    )


def _in_places(names: Sequence[str]) -> Callable[[Values], Sequence[Any]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: [values[name] for name in names]


def _row(names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    kind: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024  known only here
    make: Callable[[Sequence[Any]], Any] = kind._make
    return make


def _cursor(connection: Connection) -> Any:
    if not connection.in_transaction():
        connection.begin()  # as SQLAlchemy does before whatever comes first
    return connection.connection.cursor()


def _told(connection: Connection, cursor: Any, compiled: _Compiled, error: Any) -> BaseException:
    """Return a driver's error as SQLAlchemy would raise it."""
    dialect = connection.dialect
    forget_row(error)
    lost = dialect.is_disconnect(error, connection.connection, cursor)
    if lost:
        connection.invalidate(error)
    told: BaseException = exc.DBAPIError.instance(
        compiled.text, None, error, dialect.loaded_dbapi.Error,
        hide_parameters=True, connection_invalidated=lost, dialect=dialect,
    )  # fmt: skip
    return told
