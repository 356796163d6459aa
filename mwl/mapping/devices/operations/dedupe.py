"""P14 `dedupe`: of steps that say the same, one is on the list (F11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from mwl.mapping import paths
from mwl.mapping.devices.operations.grouping import grouped, joined, union_of_codes
from mwl.mapping.devices.operations.merge import start
from mwl.mapping.devices.operations.notation import Paths, glob_tags
from mwl.mapping.devices.operations.operation import Binding, Entry, ListStep, Options, Predicate, Run, Stage
from mwl.mapping.devices.operations.sources import Precedence, precedence
from mwl.mapping.devices.operations.when import When
from mwl.model import STEP_SEQUENCE, Document

_CODE_SEQUENCES = glob_tags("*CodeSequence")


class Dedupe(Options):
    """Of several steps that are the same exam, one is on the list; the others are counted (P14)."""

    key = "dedupe"
    stage = Stage.SELECT
    number = 14

    by: Annotated[Paths, Field(min_length=1)]
    """Steps of one patient whose values here are equal are the same exam."""
    keep: Literal["first", "earliest", "last"] = "first"
    """Which stays: the first or last in the order of the list, those of a better system (`sources.order`)
    before others; or the one that starts earliest, whoever ordered it."""
    codes: Literal["own", "union"] = "own"
    """Its code sequences hold its own codes, or those of all."""
    when: When | None = None
    """Only steps for which this holds can be the same exam."""

    def arrange(self, binding: Binding) -> Iterator[ListStep]:
        """Yield the one step."""
        by, trust = [paths.parse_path(text) for text in self.by], precedence(binding)
        guard: Predicate = self.when.compile(binding, "when") if self.when else lambda _document, _run: True

        def apply(entries: list[Entry], run: Run) -> list[Entry]:
            return [self._kept(group, trust) for group in grouped(entries, by, guard, run)]

        yield binding.list_step(apply)

    def _kept(self, group: list[Entry], trust: Precedence) -> Entry:
        if len(group) == 1:
            return group[0]
        kept = self._leading(group, trust)
        document = kept.item.merged()
        if self.codes == "union":
            others = [member.item.merged() for member in group if member is not kept]
            document = _with_codes(document, others)
        return joined(kept, trust.believed(document, trust.ranked(group)), group)

    def _leading(self, group: Sequence[Entry], trust: Precedence) -> Entry:
        if self.keep == "earliest":
            return min(group, key=lambda entry: start(entry.item.merged()) or "~")
        best = trust.ranked(group if self.keep == "first" else list(reversed(group)))
        return best[0]


def _with_codes(document: Document, others: Sequence[Document]) -> Document:
    found = [*_sequences([document, *others], ()), *_sequences([document, *others], (STEP_SEQUENCE,))]
    for path in found:
        element = union_of_codes([document, *others], path)
        if element is not None:
            document = paths.put(document, path, element)
    return document


def _sequences(documents: Sequence[Document], under: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the paths of all code sequences directly at a level."""
    tags: dict[str, None] = {}
    for document in documents:
        level = document
        for sequence in under:
            level = (level.get(sequence, {}).get("Value") or [{}])[0]
        tags |= dict.fromkeys(tag for tag in level if tag in _CODE_SEQUENCES)
    return [(*under, tag) for tag in tags]
