"""P17 `copy` and `move`: one attribute's value in another's place, between levels as well."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint, identity_lint
from mwl.mapping.devices.operations.notation import PathText
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import has_value, make, texts
from mwl.model import Document, Element
from mwl.query import Path


class Copy(Options):
    """One attribute's value in another's place; an empty source changes nothing (P17)."""

    key = "copy"
    stage = Stage.RESPOND
    number = 17
    repeats = True
    identity = "to"

    from_: PathText = Field(alias="from")
    """Where the value is taken from."""
    to: PathText
    """Where it is put."""
    when: When | None = None
    """Only where this holds."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step."""
        yield binding.step(_copying(paths.parse_path(self.from_), paths.parse_path(self.to)), "to")

    def lint(self) -> Iterator[Lint]:
        """Refuse an identity as the target."""
        yield from identity_lint(self.to, ("to",))


class Move(Copy):
    """As `copy`, and the source is zero-length afterwards (P17)."""

    key = "move"

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step."""
        yield binding.step(_moving(paths.parse_path(self.from_), paths.parse_path(self.to)), "to")

    def lint(self) -> Iterator[Lint]:
        """Refuse an identity on either side."""
        yield from super().lint()
        yield from identity_lint(self.from_, ("from",))


def _copying(source: Path, target: Path) -> Apply:
    def apply(document: Document, _run: Run) -> Document:
        element = paths.get(document, source)
        if element is None or not has_value(element):
            return document
        fitting = _retyped(element, paths.vr(target[-1]))
        return document if fitting is None else paths.put(document, target, fitting)

    return apply


def _moving(source: Path, target: Path) -> Apply:
    copying = _copying(source, target)

    def apply(document: Document, run: Run) -> Document:
        copied = copying(document, run)
        return document if copied is document else paths.put(copied, source, {"vr": paths.vr(source[-1])})

    return apply


def _retyped(element: Element, vr: str) -> Element | None:
    if element["vr"] == vr:
        return element
    return None if element["vr"] == "SQ" else make(vr, texts(element))
