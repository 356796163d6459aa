"""What every operation of a device profile is, and what it becomes when a profile is bound.

Theory of operation.  An operation is one class: a pydantic model of what an engineer writes, with the
key it is written under, the stage it runs in and its number in the reference (P1 to P36).  When a
profile is bound to a device, `compile` turns each written line into a `Step`: a function from document
to document, with variables, paths and patterns already worked out.  A step never changes the document
it is given; it returns it, or a new one.  That is what makes running it, tracing it and caching its
result safe.  What concerns the list and not an item (P11 to P15) becomes a `ListStep`, from entries to
entries, in the same way.

A step is total (R7): a value that it cannot handle stays as the operation's policy says, and is
reported (`Run.report`) with the line; nothing but `Withheld` is ever raised on purpose.

To add an operation, write one class in a module of this folder and, if the module is new, name it in
`mwl.mapping.devices.operations`.  The written form, the JSON Schema, the lint and `explain` follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel

from mwl.errors import MwlError, Problem
from mwl.handles import UNKNOWN, Known
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.facts import Facts, SiteFacts
from mwl.mapping.tables import ColumnFiles
from mwl.mapping.trace import Trace
from mwl.mapping.written import Effective
from mwl.model import Document, StepRef, WorklistItem
from mwl.query import Path
from mwl.yamldoc import Place

Root = TypeVar("Root")


class Stage(StrEnum):
    """The stages of a query, in the order in which they run (R3)."""

    ACCEPT = "accept"
    QUERY = "query"
    SELECT = "select"
    RESPOND = "respond"
    CONFORM = "conform"
    ENCODE = "encode"
    SESSION = "session"
    MPPS = "mpps"


@dataclass(frozen=True, slots=True)
class Report:
    """Something a step could not handle, or that a device may refuse; holds no patient data."""

    path: str
    message: str
    origin: str  # file:line of the profile
    operation: str
    serious: bool = True  # whether somebody has to know; else it is for who asks


@dataclass(slots=True)
class Run:
    """What a step may read beside the document it works on, and where it reports."""

    facts: Facts
    requested: Document  # the identifier as `accept` left it
    item: Document = field(default_factory=dict)  # conform: the whole item, before it was cut to the request
    trace: Trace | None = None
    source: str = ""  # the system that ordered the item; "" while there is none
    stored: WorklistItem | None = None  # the item as it is stored
    known: Known = UNKNOWN  # mpps: what the store leads back
    step: Step | ListStep | None = None  # the one that runs
    reports: list[Report] = field(default_factory=list)

    def report(self, path: str, message: str, *, serious: bool = True) -> None:
        """Take note of something about the attribute at *path* (no value), with the line that runs."""
        if self.step is not None:
            self.reports.append(Report(path, message, self.step.origin, self.step.operation, serious))


Apply: TypeAlias = Callable[[Document, Run], Document]
Predicate: TypeAlias = Callable[[Document, Run], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """One written line at work."""

    stage: Stage
    operation: str
    origin: str  # file:line
    apply: Apply
    last: bool = False  # after all others of its stage, whatever its number
    settles: bool = False  # after all that change values, before the last: it judges what they leave


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list: what is shown, and the steps it stands for, the one that leads first.

    What is shown follows from the profile, *refs* and *part* alone: an encoded response is kept by them.
    """

    item: WorklistItem
    refs: tuple[StepRef, ...]
    part: int = 0  # which of the lines that one step was split into; 0: all of it

    @classmethod
    def of(cls, item: WorklistItem) -> Entry:
        """Return the entry of a step that is neither merged nor split."""
        return cls(item, (item.ref,))


Arrange: TypeAlias = Callable[[list[Entry], Run], list[Entry]]


@dataclass(frozen=True, slots=True)
class ListStep:
    """One written line about the list, at work."""

    operation: str
    origin: str  # file:line
    apply: Arrange


class Withheld(MwlError):
    """An item that must not be sent as it is: it is left out and reported, the rest is sent (R5)."""

    def __init__(self, reason: str, path: str = "", origin: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.origin = origin


class Excluded(Withheld):
    """An item that the profile's filter leaves out on purpose; nothing to report."""


@dataclass(slots=True)
class Binding:
    """What an operation is compiled against: the effective profile, its site, the operation's own place."""

    profile: Effective
    site: SiteFacts
    operations: Sequence[tuple[Operation, Place]] = ()
    tables: ColumnFiles = field(default_factory=lambda: ColumnFiles(()))
    problems: list[Problem] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)  # the facts that answers depend on
    tables_read: dict[str, str] = field(default_factory=dict)  # the tables they depend on, and their digests
    operation: str = ""
    stage: Stage = Stage.RESPOND
    place: Place = ()

    def at(self, operation: Operation, place: Place) -> Binding:
        """Return this binding with *operation*, written at *place*, as the one that is compiled."""
        return replace(self, operation=operation.key, stage=operation.stage, place=place)

    def origin(self, *keys: str | int) -> str:
        """Return ``file:line`` of what stands under *keys* of the operation."""
        return self.profile.origin(*self.place, *keys)

    def written(self, *keys: str | int, short: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Return *keys*, or *short* where the shorthand is written that leaves some of them out."""
        return keys if (*self.place, *keys) in self.profile.values else short

    def step(
        self,
        apply: Apply,
        *keys: str | int,
        stage: Stage | None = None,
        last: bool = False,
        settles: bool = False,
    ) -> Step:
        """Return *apply* as a step that came from the line of *keys*."""
        return Step(stage or self.stage, self.operation, self.origin(*keys), apply, last, settles)

    def list_step(self, apply: Arrange, *keys: str | int) -> ListStep:
        """Return *apply* as a step on the list that came from the line of *keys*."""
        return ListStep(self.operation, self.origin(*keys), apply)

    def problem(self, message: str, *keys: str | int) -> None:
        """Report a mistake that only shows when the profile is bound."""
        self.problems.append(self.profile.problem((*self.place, *keys), f"{self.operation}: {message}"))

    @property
    def variables(self) -> dict[str, Any]:
        """The profile's variables with the device's values."""
        found = self.profile.data.get("vars", {})
        return dict(found)


OPERATIONS: dict[str, type[Operation]] = {}
"""Every operation by the key it is written under, in the order of its number."""


class Operation:
    """Base of all operations.  A subclass states key, stage and number and writes `compile`."""

    key: ClassVar[str] = ""
    stage: ClassVar[Stage]
    number: ClassVar[int]
    repeats: ClassVar[bool] = False
    """Written as one mapping or a list of them; profiles that are stacked add theirs."""
    identity: ClassVar[str | None] = None
    """With `repeats`: the entry's key that tells which inherited entry it goes on with."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "key" in cls.__dict__:
            OPERATIONS[cls.key] = cls

    def compile(self, binding: Binding) -> Iterator[Step]:  # noqa: ARG002 - settings make no steps
        """Yield a step for each written line; report what cannot be bound to *binding*."""
        yield from ()

    def arrange(self, binding: Binding) -> Iterator[ListStep]:  # noqa: ARG002 - most are about one item
        """Yield what is done to the list as a whole (P11 to P15)."""
        yield from ()

    def lint(self) -> Iterator[Lint]:
        """Yield what is wrong or doubtful in the written form (L1 to L9)."""
        yield from ()

    def opens(self) -> Iterator[Path]:
        """Yield the keys that it lets match everything, whatever the device sent (L9)."""
        yield from ()

    def fills(self) -> Iterator[str]:
        """Yield the paths of attributes that may get a value by it which the order does not have (L7)."""
        yield from ()


class Options(Operation, BaseModel):
    """An operation written as a mapping of options."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Lines(Operation, BaseModel):
    """An operation written as a mapping, one line for each attribute it works on."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    @property
    def lines(self) -> dict[str, Any]:
        """What is written for each path."""
        return self.__pydantic_extra__ or {}


class ListOf(Operation, RootModel[Root], Generic[Root]):
    """An operation written as a list."""

    model_config = ConfigDict(frozen=True)


class Word(Operation, RootModel[Root], Generic[Root]):
    """An operation written as one word."""

    model_config = ConfigDict(frozen=True)
