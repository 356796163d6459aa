"""P11 `sources`: which of several ordering systems a device is served from, and which of them is believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field

from mwl.mapping import paths
from mwl.mapping.devices.operations.criteria import Make, Selection
from mwl.mapping.devices.operations.lint import Lint, identity_lint
from mwl.mapping.devices.operations.notation import PathText, Scalars
from mwl.mapping.devices.operations.operation import Binding, Entry, Options, Stage
from mwl.mapping.elements import has_value
from mwl.model import Document
from mwl.query import SOURCE, Criterion, Op, Path


class Sources(Options):
    """Whose orders are on the list, and whose word counts where two systems know the same step (P11)."""

    key = "sources"
    stage = Stage.SELECT
    number = 11

    allow: Scalars = ()
    """Systems, by their names in the configuration, whose orders are on the list; none named: all."""
    deny: Scalars = ()
    """Systems whose orders are not."""
    order: Scalars = ()
    """Which system's step leads where `merge` or `dedupe` makes one line of several; the first best."""
    prefer: dict[PathText, Scalars] = Field(default_factory=dict)
    """Attributes that such a line takes from another system than the one that leads, if that has a value."""

    def selections(self, binding: Binding) -> Iterator[Selection]:
        """Yield the conditions of `allow` and `deny`."""
        for names, negate, key in ((self.allow, False, "allow"), (self.deny, True, "deny")):
            if names:
                origin = binding.origin(key)
                yield Selection(_of(Criterion(SOURCE, Op.IN, names, negate, origin=origin)), origin)

    def lint(self) -> Iterator[Lint]:
        """Refuse a line whose identity is another step's: what comes back would mean that one."""
        for text in self.prefer:
            yield from identity_lint(text, ("prefer", text))


def _of(criterion: Criterion) -> Make:
    return lambda _run: criterion


@dataclass(frozen=True, slots=True)
class Precedence:
    """Who leads, and who is believed about what."""

    order: tuple[str, ...] = ()
    prefer: tuple[tuple[Path, tuple[str, ...]], ...] = ()

    def ranked(self, members: Sequence[Entry]) -> list[Entry]:
        """Return *members*, those of the better system first."""
        return sorted(members, key=lambda member: _rank(self.order, member.item.system))

    def believed(self, document: Document, members: Sequence[Entry]) -> Document:
        """Return *document* with the values of the systems that are preferred for them."""
        for path, systems in self.prefer:
            best = sorted(
                (member for member in members if member.item.system in systems),
                key=lambda member: _rank(systems, member.item.system),
            )
            for member in best:
                element = paths.get(member.item.merged(), path)
                if element is not None and has_value(element):
                    document = paths.put(document, path, element)
                    break
        return document


def _rank(order: Sequence[str], system: str) -> int:
    return order.index(system) if system in order else len(order)


def precedence(binding: Binding) -> Precedence:
    """Return what the profile says of its systems."""
    sources = next((each for each, _ in binding.operations if isinstance(each, Sources)), None)
    if sources is None:
        return Precedence()
    prefer = tuple((paths.parse_path(text), systems) for text, systems in sources.prefer.items())
    return Precedence(sources.order, prefer)
