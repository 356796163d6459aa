"""Statements that every message runs: compiled once, and handed to the driver as they are.

Theory of operation.  SQLAlchemy's way from a statement to the driver costs ten times what SQLite takes to
find a row, and an order runs twenty statements.  A `Prepared` is written like any other; it is compiled
once for each kind of database, and its parameters then go to the driver's cursor, inside the transaction
of the connection it is given.  What a type asks for on the way in and out is done, and errors become
SQLAlchemy's, so that nobody else sees a difference.

All its parameters are bound by name, whenever it runs; it has no lists that expand.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, exc, insert
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler

from mwl.store.engine import forget_row

Processor = Callable[[Any], Any]
Values = Mapping[str, Any]

_NOTHING: Values = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the words of one kind of database."""

    text: str
    order: Sequence[str] | None  # names of the parameters, place by place; None: the driver takes names
    given: Values  # parameters a caller may leave out
    inward: tuple[tuple[str, Processor], ...]  # what a type makes of a parameter
    outward: tuple[tuple[int, Processor], ...]  # what a type makes of a column
    row: Callable[[Sequence[Any]], Any]

    def parameters(self, values: Values) -> Sequence[Any] | Values:
        if self.given:
            values = {**self.given, **values}
        if self.inward:
            values = {**values, **{name: made(values[name]) for name, made in self.inward}}
        return values if self.order is None else [values[name] for name in self.order]

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
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Values = _NOTHING) -> None:
        """Run it for its effect."""
        compiled, cursor = self._for(connection.dialect), _cursor(connection)
        try:
            cursor.execute(compiled.text, compiled.parameters(values))
        except connection.dialect.loaded_dbapi.Error as error:
            raise _told(connection, cursor, compiled, error) from error

    def run_all(self, connection: Connection, values: Sequence[Values]) -> None:
        """Run it for its effect, once for each of *values*."""
        if not values:
            return
        compiled, cursor = self._for(connection.dialect), _cursor(connection)
        try:
            cursor.executemany(compiled.text, [compiled.parameters(each) for each in values])
        except connection.dialect.loaded_dbapi.Error as error:
            raise _told(connection, cursor, compiled, error) from error

    def all(self, connection: Connection, values: Values) -> list[Any]:
        """Return the rows; their columns are attributes."""
        compiled, cursor = self._for(connection.dialect), _cursor(connection)
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

    def _for(self, dialect: Dialect) -> _Compiled:
        if (known := self._compiled.get(dialect.name)) is None:
            known = self._compiled[dialect.name] = _compile(self._statement, dialect, self._given)
        return known


def new(table: Table, *, key: bool = False) -> Prepared:
    """Return what inserts a row of *table*, and with *key* returns its key.

    What is not bound has its column's default, or is NULL where that is allowed.
    """
    columns = [column for column in table.columns if column.autoincrement is not True]
    given = {
        column.name: getattr(column.default, "arg", None)
        for column in columns
        if column.default is not None or column.nullable
    }
    statement = insert(table).values({column.name: bindparam(column.name) for column in columns})
    return Prepared(statement.returning(table.c.key) if key else statement, given)


def _compile(statement: Executable, dialect: Dialect, given: Values) -> _Compiled:
    compiled: SQLCompiler = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    if compiled.post_compile_params:
        raise ValueError("a list that expands cannot be prepared")
    binds = compiled.binds.items()
    columns = list(getattr(statement, "exported_columns", ()))  # a SELECT's, or RETURNING's
    inward = [(name, bind.type.dialect_impl(dialect).bind_processor(dialect)) for name, bind in binds]
    outward = [each.type.dialect_impl(dialect).result_processor(dialect, None) for each in columns]
    return _Compiled(
        str(compiled),
        compiled.positiontup,
        {**{name: bind.value for name, bind in binds if not bind.required}, **given},
        tuple((name, processor) for name, processor in inward if processor is not None),
        tuple((n, processor) for n, processor in enumerate(outward) if processor is not None),
        _row([each.key for each in columns]),
    )


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
