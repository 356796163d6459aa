"""P30 `require`: what a device refuses to go without, and what happens then.

Only what is about to be sent is judged: an attribute nobody asked for cannot hide an item.  Filling
takes the value from a safe source and never touches what is stored.  What is sent although a check
fails is reported, once an item and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from mwl.mapping import paths
from mwl.mapping.devices.operations.checks import (
    Check,
    Finder,
    Parts,
    Unique,
    absent,
    holding,
    illegal,
    judged,
    lacking,
    longer,
    part,
)
from mwl.mapping.devices.operations.lint import IDENTITY, Lint, invention_lint
from mwl.mapping.devices.operations.notation import (
    Flag,
    Length,
    Paths,
    PathText,
    Selectors,
    as_list,
    checked_path,
)
from mwl.mapping.devices.operations.operation import (
    Apply,
    Binding,
    Options,
    Report,
    Run,
    Stage,
    Step,
    Withheld,
)
from mwl.mapping.devices.operations.uid import STUDY, derived_study
from mwl.mapping.devices.operations.values import text_value
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import ABSENT, has_value, make, texts
from mwl.model import Document, Element
from mwl.query import Path

DERIVE = "derive"

_SAFE = {
    paths.tag("ScheduledStationAETitle"): {"$calling_ae"},
    paths.tag("StudyInstanceUID"): {DERIVE},
    paths.tag("RequestedProcedureID"): {"AccessionNumber"},
    paths.tag("ScheduledProcedureStepID"): {"RequestedProcedureID", "AccessionNumber"},
}
"""Where a missing identity may come from: what stands for the same order, or who asks (F26)."""


def _checked_source(text: str) -> str:
    return text if text == DERIVE or text.startswith("$") else checked_path(text)


SourceText: TypeAlias = Annotated[str, AfterValidator(_checked_source)]
Policy: TypeAlias = Literal["fill", "skip_item", "send_anyway", "report"]
Fill: TypeAlias = Callable[[Document, Run], Element | None]


class Require(Options):
    """What must be there and in which form, and what happens to an item that fails (P30)."""

    key = "require"
    stage = Stage.CONFORM
    number = 30
    repeats = True

    type1: Parts = ()
    """Attributes that must have a value when they are sent, or one component of it: `PatientName.family`."""
    type2: Paths = ()
    """Attributes that must be sent, if zero-length, asked for or not; `fill` sends them."""
    vr: Selectors = ()
    """Attributes whose values must be what their VR allows, in form, characters and length; `*` for all."""
    max_len: dict[PathText, Length] = Field(default_factory=dict)
    """How many characters a value may have; of each group in a person name."""
    forbid_chars: dict[PathText, str] = Field(default_factory=dict)
    """Characters that no value may have."""
    unique: Paths = ()
    """Attributes whose value two items of one list should not share (F28, F29): reported, never acted on."""
    fill: dict[PathText, SourceText] = Field(default_factory=dict)
    """Where a missing value may come from: a fact such as `$calling_ae`, an attribute, or `derive`."""
    on_fail: Annotated[
        tuple[Policy, ...],
        BeforeValidator(as_list, json_schema_input_type=Policy | list[Policy]),
    ] = ("report",)
    """What is tried, in this order: `fill`; then `skip_item`, or `report` or `send_anyway`, which send the
    item as it is, with a warning in the log or a remark."""

    unsafe: Flag = False
    """`fill` may take an identity from what is another's, or make up a name, birth date or sex (L2)."""
    when: When | None = None
    """Only items for which this holds; `unique` is for all."""

    @field_validator("on_fail")
    @classmethod
    def _ends_with_a_decision(cls, policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
        for policy, later in pairwise(policies):
            if policy != "fill":
                raise ValueError(f"after {policy} nothing else is tried, so {later} never is")
        return policies

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each attribute that can be filled, or cost the item."""
        for text, source in self.fill.items():
            if source == DERIVE and paths.parse_path(text) != STUDY:
                binding.problem("only StudyInstanceUID can be derived", "fill", text)
        for index, text in enumerate(self.type1):
            path, _ = part(text)
            if fills := [*self._fills(path, binding)]:
                yield binding.step(_filling(path, fills), "type1", index)
        if "fill" in self.on_fail:
            for index, text in enumerate(self.type2):
                yield binding.step(_present(paths.parse_path(text)), "type2", index)
        if "skip_item" in self.on_fail:
            for check, *keys in self._checks(binding):
                yield binding.step(_withholding(check), *keys)

    def lint(self) -> Iterator[Lint]:
        """Refuse to fill an identity from what is none of its own, unless the same profile says `unsafe`."""
        if self.unsafe:
            return
        for text, source in self.fill.items():
            tag = paths.parse_path(text)[-1]
            safe = _SAFE.get(tag, set())
            yield from invention_lint(text, ("fill", text))
            # `derive` for anything but a study is a mistake of its own.
            if tag in IDENTITY and source != DERIVE and source not in safe:
                known = f"only {' or '.join(sorted(safe))}" if safe else "nothing"
                yield Lint("L2", f"{text} is an identity: {known} may stand for it", ("fill", text))

    def fills(self) -> Iterator[str]:
        """Yield what may come from elsewhere, if it may."""
        yield from self.fill if "fill" in self.on_fail else ()

    def checks(self, binding: Binding) -> Iterator[Check]:
        """Yield what is reported of an answer that is sent all the same."""
        guard = self.when.compile(binding, "when") if self.when else None
        if "skip_item" not in self.on_fail:
            yield from (replace(check, guard=guard) for check, *_ in self._checks(binding))

    def uniques(self, binding: Binding) -> Iterator[Unique]:
        """Yield the attributes that two answers of one list should not share."""
        for index, text in enumerate(self.unique):
            message = "another item of the list has the same value"
            yield Unique(paths.parse_path(text), self._report(text, message, binding, "unique", index))

    def _checks(self, binding: Binding) -> Iterator[tuple[Check, str, str | int]]:
        """Yield each check with where it is written."""

        def check(finder: Finder, text: str, message: str, *keys: str | int) -> Check:
            return Check(finder, self._report(text, message, binding, *keys))

        for index, text in enumerate(self.type1):
            path, component = part(text)
            message = "a value that the device requires is missing"
            finder = judged(path, lacking(component))
            yield check(finder, paths.show(path), message, "type1", index), "type1", index
        for index, text in enumerate(self.type2):
            message = "an attribute that the device requires is missing"
            yield check(absent(paths.parse_path(text)), text, message, "type2", index), "type2", index
        for index, text in enumerate(self.vr):
            message = "a value is none that its VR allows"
            yield check(illegal(text), text, message, "vr", index), "vr", index
        for text, most in self.max_len.items():
            message = "a value is longer than the device takes"
            finder = judged(paths.parse_path(text), longer(most))
            yield check(finder, text, message, "max_len", text), "max_len", text
        for text, forbidden in self.forbid_chars.items():
            message = "a value has a character that the device refuses"
            finder = judged(paths.parse_path(text), holding(frozenset(forbidden)))
            yield check(finder, text, message, "forbid_chars", text), "forbid_chars", text

    def _report(self, path: str, message: str, binding: Binding, *keys: str | int) -> Report:
        serious = "send_anyway" not in self.on_fail
        return Report(path, message, binding.origin(*keys), self.key, serious)

    def _fills(self, path: Path, binding: Binding) -> Iterator[Fill]:
        if "fill" in self.on_fail:
            for name, source in self.fill.items():
                if paths.parse_path(name) == path:
                    yield _source(source, binding, path, "fill", name)


def _withholding(check: Check) -> Apply:
    def apply(answer: Document, _run: Run) -> Document:
        for report in check.failures(answer):
            raise Withheld(report.message, report.path, report.origin)
        return answer

    return apply


def _present(path: Path) -> Apply:
    empty: Element = {"vr": paths.vr(path[-1])}

    def apply(answer: Document, run: Run) -> Document:
        if paths.get(answer, path) is not None:
            return answer
        stored = paths.get(run.item, path)
        return paths.put(answer, path, empty if stored is None or stored is ABSENT else stored)

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
        return lambda _answer, run: derived_study(run.item, root)
    if source.startswith("$"):
        text = text_value(source, binding, *keys, vr=vr)
        return lambda _answer, run: make(vr, [text(run.facts)])
    path = paths.parse_path(source)
    # What another line filled stands in the answer; what nobody asked for only in the item.
    return lambda answer, run: make(vr, texts(paths.get(answer, path)) or texts(paths.get(run.item, path)))
