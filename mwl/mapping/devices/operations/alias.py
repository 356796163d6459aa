"""P9 `alias`: another word for the same thing, on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint, identity_lint
from mwl.mapping.devices.operations.notation import PathText, Scalar, Scalars
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.request import alternatives, any_of
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import edit_texts, texts
from mwl.model import Document
from mwl.query import Path


class Alias(Options):
    """Values that the device knows by another name, in what it asks and in what it gets (P9)."""

    key = "alias"
    stage = Stage.QUERY
    number = 9
    repeats = True
    identity = "tag"

    tag: PathText
    """The attribute whose values have other names."""
    query: dict[Scalar, Scalars] = Field(default_factory=dict)
    """A value the device asks for, and the stored values that are meant by it."""
    response: dict[Scalar, Scalars] = Field(default_factory=dict)
    """A stored value, and the one value the device gets for it."""
    when: When | None = None
    """Only where this holds."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for the key and one for the answer."""
        path = paths.parse_path(self.tag)
        if self.query:
            yield binding.step(_asked(path, self.query, binding.origin("query")), "query")
        if self.response:
            table = {stored: shown[0] for stored, shown in self.response.items()}
            yield binding.step(_shown(path, table), "response", stage=Stage.RESPOND)

    def lint(self) -> Iterator[Lint]:
        """Refuse an answer of several values, and another name for an identity."""
        if self.response:
            yield from identity_lint(self.tag, ("tag",))
        for stored, shown in self.response.items():
            if len(shown) != 1:
                yield Lint("L4", f"{stored} must have one value in 'response'", ("response", stored))


def _asked(path: Path, table: dict[str, tuple[str, ...]], origin: str) -> Apply:
    def apply(keys: Document, _run: Run) -> Document:
        key = paths.get(keys, path)
        asked = texts(key) or alternatives(key)[0]
        if key is None or not any(value in table for value in asked):
            return keys
        meant = dict.fromkeys(stored for value in asked for stored in table.get(value, (value,)))
        return paths.put(keys, path, any_of({"vr": key["vr"], "Value": list(meant)}, origin))

    return apply


def _shown(path: Path, table: dict[str, str]) -> Apply:
    def apply(document: Document, _run: Run) -> Document:
        element = paths.get(document, path)
        if element is None:
            return document
        edited = edit_texts(element, lambda value: table.get(value.strip(), value))
        return document if edited is element else paths.put(document, path, edited)

    return apply
