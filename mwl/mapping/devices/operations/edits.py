"""P16: constants and variables put into the answer, and values taken out of it."""

from __future__ import annotations

from collections.abc import Iterator

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import NEVER_INVENTED, Lint, identity_lint
from mwl.mapping.devices.operations.notation import Paths, PathText, Scalars
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, ListOf, Run, Stage, Step
from mwl.mapping.devices.operations.values import Value, value
from mwl.mapping.elements import ABSENT, has_value
from mwl.model import Document
from mwl.query import Path


class _Constants(Lines):
    """A value for each attribute."""

    __pydantic_extra__: dict[PathText, Scalars]

    unsafe: bool = False
    """The lines beside this one may name identities, and may invent what the order does not say (L2)."""

    def lint(self) -> Iterator[Lint]:
        """Refuse what misinforms, unless the same profile says `unsafe`."""
        if not self.unsafe:
            for text in self.lines:
                yield from identity_lint(text, (text,))
                if paths.parse_path(text)[-1] in NEVER_INVENTED:
                    yield Lint(
                        "unsafe", f"{text} would be made up: add 'unsafe: true' if that is meant", (text,)
                    )


class Set(_Constants):
    """Attributes whose value is this, whatever the order says (P16)."""

    key = "set"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            yield binding.step(_setting(path, value(written, path, binding, text)), text)


class Default(_Constants):
    """Attributes whose value is this where the order has none (P16)."""

    key = "default"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            yield binding.step(_where_empty(path, value(written, path, binding, text)), text)


class _Removals(ListOf[Paths]):
    def lint(self) -> Iterator[Lint]:
        for index, text in enumerate(self.root):
            yield from identity_lint(text, (index,))


class Clear(_Removals):
    """Attributes that are sent zero-length (P16)."""

    key = "clear"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each attribute."""
        for index, text in enumerate(self.root):
            yield binding.step(_clearing(paths.parse_path(text)), index)


class Remove(_Removals):
    """Attributes that are not sent at all, even when they are asked for (P16)."""

    key = "remove"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each attribute."""
        for index, text in enumerate(self.root):
            yield binding.step(_removing(paths.parse_path(text)), index)


def _setting(path: Path, make: Value) -> Apply:
    def apply(document: Document, run: Run) -> Document:
        made = make(run)
        return document if made is None else paths.put(document, path, made)

    return apply


def _where_empty(path: Path, make: Value) -> Apply:
    setting = _setting(path, make)

    def apply(document: Document, run: Run) -> Document:
        return document if has_value(paths.get(document, path)) else setting(document, run)

    return apply


def _clearing(path: Path) -> Apply:
    def apply(document: Document, _run: Run) -> Document:
        element = paths.get(document, path)
        if element is None or not element.get("Value"):
            return document
        return paths.put(document, path, {"vr": element["vr"]})

    return apply


def _removing(path: Path) -> Apply:
    def apply(document: Document, _run: Run) -> Document:
        reachable = len(path) == 1 or has_value(paths.get(document, path[:-1]))
        return paths.put(document, path, ABSENT) if reachable else document

    return apply
