"""P17 `copy` and `move`: one attribute's value in another's place, between levels as well."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint, identity_lint, invention_lint, withholding_lint
from mwl.mapping.devices.operations.notation import Flag, PathText
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import has_value, in_line, make, texts
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
    unsafe: Flag = False
    """It may be an identity that is changed, which comes back in MPPS and images (L2), or a name, birth
    date or sex that the order does not say."""
    when: When | None = None
    """Only where this holds."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step."""
        yield binding.step(_copying(paths.parse_path(self.from_), paths.parse_path(self.to)), "to")

    def fills(self) -> Iterator[str]:
        """Yield the target."""
        yield self.to

    def lint(self) -> Iterator[Lint]:
        """Refuse an identity, and what is made up, unless the same profile says `unsafe`."""
        if not self.unsafe:
            yield from identity_lint(self.to, ("to",))
            yield from invention_lint(self.to, ("to",))


class Move(Copy):
    """As `copy`, and the source is zero-length afterwards (P17)."""

    key = "move"

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step."""
        yield binding.step(_moving(paths.parse_path(self.from_), paths.parse_path(self.to)), "to")

    def lint(self) -> Iterator[Lint]:
        """Refuse an identity on either side, and to take the name away."""
        yield from super().lint()
        if not self.unsafe:
            found = [*identity_lint(self.from_, ("from",)), *withholding_lint(self.from_, ("from",))]
            yield from found[:1]


def _copying(source: Path, target: Path) -> Apply:
    shown = paths.show(target)

    def apply(document: Document, run: Run) -> Document:
        element = paths.get(document, source)
        if element is None or not has_value(element):
            return document
        fitting = _retyped(element, paths.vr(target[-1]))
        if fitting is None:
            run.report(shown, f"{paths.show(source)} holds no value of VR {paths.vr(target[-1])}")
            return document
        return paths.put(document, target, fitting)

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
    if "SQ" in (element["vr"], vr):
        return None
    return make(vr, [in_line(text, vr) for text in texts(element)])
