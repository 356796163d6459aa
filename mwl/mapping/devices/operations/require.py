"""P30 `require`: what a device refuses to go without, and what happens then.

Only what is about to be sent is judged: an attribute nobody asked for cannot hide an item.  Filling
takes the value from a safe source and never touches what is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import Length, Paths, PathText, as_list, checked_path
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step, Withheld
from mwl.mapping.devices.operations.values import text_value
from mwl.mapping.elements import PERSON_GROUPS, has_value, make, texts
from mwl.model import Document, Element, values
from mwl.query import Path

DERIVE = "derive"
_STUDY = paths.parse_path("StudyInstanceUID")
_PROCEDURE_IDENTITY = tuple(
    paths.parse_path(name)
    for name in (
        "IssuerOfPatientID",
        "PatientID",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
        "AccessionNumber",
        "RequestedProcedureID",
    )
)


def _checked_source(text: str) -> str:
    return text if text == DERIVE or text.startswith("$") else checked_path(text)


SourceText: TypeAlias = Annotated[str, AfterValidator(_checked_source)]
Policy: TypeAlias = Literal["fill", "skip_item", "send_anyway", "report"]


Fill: TypeAlias = Callable[[Document, Run], Element | None]


class Require(Options):
    """What must be there, what may not be too long, and what happens to an item that fails (P30)."""

    key = "require"
    stage = Stage.CONFORM
    number = 30
    repeats = True

    type1: Paths = ()
    """Attributes that must have a value when they are sent."""
    max_len: dict[PathText, Length] = Field(default_factory=dict)
    """How many characters a value may have; of each group in a person name."""
    unique: Paths = ()
    """Attributes whose value two items of one list should not share (F28, F29): reported, never acted on."""
    fill: dict[PathText, SourceText] = Field(default_factory=dict)
    """Where a missing value may come from: a variable, another attribute, or `derive` for the study."""
    on_fail: Annotated[
        tuple[Policy, ...],
        BeforeValidator(as_list),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = ("report",)
    """What is tried: fill, then skip_item; send_anyway and report send the item as it is."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each attribute that can be filled, or cost the item."""
        for text, source in self.fill.items():
            if source == DERIVE and paths.parse_path(text) != _STUDY:
                binding.problem("only StudyInstanceUID can be derived", "fill", text)
        for index, text in enumerate(self.type1):
            if fills := [*self._fills(paths.parse_path(text), binding)]:
                yield binding.step(_filling(paths.parse_path(text), fills), "type1", index)
            yield from self._skipping(_type1(text, binding, index), binding, "type1", index)
        for text, most in self.max_len.items():
            yield from self._skipping(_length(text, most, binding), binding, "max_len", text)

    def checks(self, binding: Binding) -> Iterator[Check]:
        """Yield what is reported of an answer that is sent all the same."""
        yield from (_type1(text, binding, index) for index, text in enumerate(self.type1))
        yield from (_length(text, most, binding) for text, most in self.max_len.items())

    def uniques(self, binding: Binding) -> Iterator[tuple[Path, str]]:
        """Yield the attributes that two answers of one list should not share, and who says so."""
        yield from (
            (paths.parse_path(text), binding.origin("unique", i)) for i, text in enumerate(self.unique)
        )

    def _fills(self, path: Path, binding: Binding) -> Iterator[Fill]:
        if "fill" in self.on_fail:
            for name, source in self.fill.items():
                if paths.parse_path(name) == path:
                    yield _source(source, binding, path, "fill", name)

    def _skipping(self, check: Check, binding: Binding, *keys: str | int) -> Iterator[Step]:
        if "skip_item" in self.on_fail:
            yield binding.step(_withholding(check), *keys)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a device insists on.  What is not sent is not judged."""

    path: Path
    origin: str
    message: str
    fails: Callable[[Element], bool]

    def failed(self, answer: Document) -> bool:
        """Tell whether *answer* does without it."""
        element = paths.get(answer, self.path)
        return element is not None and self.fails(element)


def _type1(text: str, binding: Binding, index: int) -> Check:
    message = "a value that the device requires is missing"
    return Check(paths.parse_path(text), binding.origin("type1", index), message, _is_empty)


def _is_empty(element: Element) -> bool:
    return not has_value(element)


def _length(text: str, most: int, binding: Binding) -> Check:
    message = "a value is longer than the device takes"
    origin = binding.origin("max_len", text)
    return Check(
        paths.parse_path(text), origin, message, lambda element: max(_lengths(element), default=0) > most
    )


def _lengths(element: Element) -> Iterator[int]:
    for value in element.get("Value", ()):
        if isinstance(value, dict):
            yield from (len(value.get(group, "")) for group in PERSON_GROUPS)
        elif value is not None:
            yield len(str(value))


def _withholding(check: Check) -> Apply:
    def apply(answer: Document, _run: Run) -> Document:
        if check.failed(answer):
            raise Withheld(check.message, paths.show(check.path), check.origin)
        return answer

    return apply


def _filling(path: Path, fills: list[Fill]) -> Apply:
    def apply(answer: Document, run: Run) -> Document:
        element = paths.get(answer, path)
        if element is None or has_value(element):
            return answer
        for fill in fills:
            found = fill(answer, run)
            if found is not None and has_value(found):
                return paths.put(answer, path, found)
        return answer

    return apply


def _source(source: str, binding: Binding, target: Path, *keys: str | int) -> Fill:
    vr = paths.vr(target[-1])
    if source == DERIVE:
        root = binding.site.uid_root
        return lambda _answer, run: _derived_study(run.item, root)
    if source.startswith("$"):
        text = text_value(source, binding, *keys, vr=vr)
        return lambda _answer, run: make(vr, [text(run.facts)])
    path = paths.parse_path(source)
    # What another line filled stands in the answer; what nobody asked for only in the item.
    return lambda answer, run: make(vr, texts(paths.get(answer, path)) or texts(paths.get(run.item, path)))


def _derived_study(item: Document, root: str | None) -> Element | None:
    """Return a Study Instance UID made of the procedure's identity: the same for each of its steps.

    Intake derives and stores one for every order; this is for an item that came another way.
    """
    parts = [str(value) for path in _PROCEDURE_IDENTITY for value in values(item, path[-1])]
    if not any(parts):
        return None
    number = int.from_bytes(hashlib.sha256("\\".join(parts).encode()).digest()[:16], "big")
    # PS3.5 B.2: under 2.25 stands a UUID as a decimal; 39 digits leave 24 characters for a root.
    return {"vr": "UI", "Value": [f"{root or '2.25'}.{number}"[:64]]}
