"""P16: constants and variables put into the answer, and values taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint, constant_lint, identity_lint, withholding_lint
from mwl.mapping.devices.operations.notation import TEXTS, Flag, Paths, PathText, Scalars, either
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, Options, Run, Stage, Step
from mwl.mapping.devices.operations.values import Value, sent
from mwl.mapping.elements import ABSENT, has_value
from mwl.model import Document
from mwl.query import Path


class _Constants(Lines):
    """A value for each attribute."""

    __pydantic_extra__: dict[PathText, Scalars]

    unsafe: Flag = False
    """The lines beside this one may name identities, and may invent what the order does not say (L2)."""

    def fills(self) -> Iterator[str]:
        """Yield every line's attribute."""
        yield from self.lines

    def lint(self) -> Iterator[Lint]:
        """Refuse what misinforms, unless the same profile says `unsafe`."""
        if not self.unsafe:
            for text in self.lines:
                yield from identity_lint(text, (text,))
                yield from constant_lint(text, (text,))


class Set(_Constants):
    """Attributes whose value is this, whatever the order says (P16)."""

    key = "set"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            yield binding.step(_setting(path, sent(written, path, binding, text)), text)


class Default(_Constants):
    """Attributes whose value is this where the order has none (P16)."""

    key = "default"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            yield binding.step(_where_empty(path, sent(written, path, binding, text)), text)


class _Removals(Options):
    """Attributes whose value goes."""

    tags: Paths
    """The attributes."""
    unsafe: Flag = False
    """They may be identities, or name, birth date or issuer, by which patients are told apart (L2)."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``[AdmissionID]`` for ``{tags: [AdmissionID]}``."""
        return data if isinstance(data, dict) else {"tags": data}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either(TEXTS, core, handler)

    def lint(self) -> Iterator[Lint]:
        """Refuse what tells patients and steps apart, unless the same profile says `unsafe`."""
        for index, text in enumerate(() if self.unsafe else self.tags):
            keys = ("tags", index)
            yield from [*identity_lint(text, keys)] or withholding_lint(text, keys)

    def _steps(self, binding: Binding, make: Callable[[Path], Apply]) -> Iterator[Step]:
        for index, text in enumerate(self.tags):
            yield binding.step(make(paths.parse_path(text)), *binding.written("tags", index, short=(index,)))


class Clear(_Removals):
    """Attributes that are sent zero-length; a list, or `tags` with `unsafe` beside them (P16)."""

    key = "clear"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each attribute."""
        yield from self._steps(binding, _clearing)


class Remove(_Removals):
    """Attributes that are not sent at all, even when they are asked for; written as `clear` (P16)."""

    key = "remove"
    stage = Stage.RESPOND
    number = 16

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each attribute."""
        yield from self._steps(binding, _removing)


def _setting(path: Path, make: Value) -> Apply:
    shown = paths.show(path)

    def apply(document: Document, run: Run) -> Document:
        made = make(run)
        if made is None:  # a variable that is no value of this VR
            run.report(shown, "what was to be put here is no value of its VR")
            return document
        return paths.put(document, path, made)

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
