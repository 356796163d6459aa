"""What a device insists on (P30): a finder for each kind, which names what of an answer fails it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.legal import is_legal
from mwl.mapping.devices.operations.notation import TEXTS, all_tags, as_list, checked_path
from mwl.mapping.devices.operations.operation import Predicate, Report, Run
from mwl.mapping.elements import PERSON_GROUPS, has_value, texts
from mwl.model import Document, Element, items
from mwl.query import Path

COMPONENTS = ("family", "given", "middle", "prefix", "suffix")
"""The components of a person name's group (PS3.5 6.2.1.1)."""


def checked_part(text: str) -> str:
    """Return *text*, which is a path, or a name's path with one of its components: ``PatientName.family``."""
    name, _, component = text.rpartition(".")
    if component in COMPONENTS and name:
        checked_path(name)
        if paths.vr(paths.parse_path(name)[-1]) == "PN":
            return text
    return checked_path(text)


Parts: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(checked_part)], ...], BeforeValidator(as_list), WithJsonSchema(TEXTS)
]
"""Paths, and components of names."""

Finder: TypeAlias = Callable[[Document], Iterator[str]]
"""Yields the paths of what fails; "" stands for the path that is reported in any case."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a device insists on."""

    find: Finder
    report: Report
    guard: Predicate | None = None  # on the whole item; None: every item is judged

    def failures(self, answer: Document, run: Run | None = None) -> Iterator[Report]:
        """Yield what of *answer* fails; *run* knows the item it was made of."""
        if run is not None and self.guard is not None and not self.guard(run.item, run):
            return
        for path in self.find(answer):
            yield replace(self.report, path=path) if path else self.report


@dataclass(frozen=True, slots=True)
class Unique:
    """An attribute that two answers of one list should not share."""

    path: Path
    report: Report


def part(text: str) -> tuple[Path, str]:
    """Return the path of an attribute and the component of its names that is meant; "" is all of it."""
    name, _, component = text.rpartition(".")
    if component in COMPONENTS and name:
        return paths.parse_path(name), component
    return paths.parse_path(text), ""


def judged(path: Path, fails: Callable[[Element], bool]) -> Finder:
    """Judge one attribute; what is not sent is not judged."""

    def find(answer: Document) -> Iterator[str]:
        element = paths.get(answer, path)
        if element is not None and fails(element):
            yield ""

    return find


def absent(path: Path) -> Finder:
    """Tell whether an attribute is not sent at all."""

    def find(answer: Document) -> Iterator[str]:
        if paths.get(answer, path) is None:
            yield ""

    return find


def illegal(selector: str) -> Finder:
    """Find values that their VR does not allow; a pattern looks at any depth, and at identities too."""
    before, _, last = selector.rpartition(".")
    if "*" not in last and "?" not in last:
        return judged(paths.parse_path(selector), lambda element: not is_legal(element))
    tags, under = all_tags(last), paths.parse_path(before) if before else ()

    def find(answer: Document) -> Iterator[str]:
        level = [answer]
        for sequence in under:
            level = [item for each in level for item in items(each, sequence)]
        for document in level:
            yield from _illegal_in(document, tags, under)

    return find


def _illegal_in(document: Document, tags: frozenset[str], under: Path) -> Iterator[str]:
    for tag, element in document.items():
        path = (*under, tag)
        if element["vr"] == "SQ":
            for item in items(document, tag):
                yield from _illegal_in(item, tags, path)
        elif tag in tags and not is_legal(element):
            yield paths.show(path)


def lacking(component: str) -> Callable[[Element], bool]:
    """Tell whether an element has no value; with *component*, no name that has it in any group."""
    if not component:
        return lambda element: not has_value(element)
    position = COMPONENTS.index(component)

    def fails(element: Element) -> bool:
        groups = (
            value.get(group, "")
            for value in element.get("Value", ())
            if isinstance(value, dict)
            for group in PERSON_GROUPS
        )
        return not any([*group.split("^"), *[""] * 5][position].strip() for group in groups)

    return fails


def longer(most: int) -> Callable[[Element], bool]:
    """Tell whether a value has more characters than *most*; a name, in one group."""
    return lambda element: max(_lengths(element), default=0) > most


def _lengths(element: Element) -> Iterator[int]:
    for value in element.get("Value", ()):
        if isinstance(value, dict):
            yield from (len(value.get(group, "")) for group in PERSON_GROUPS)
        elif value is not None:
            yield len(str(value))


def holding(forbidden: frozenset[str]) -> Callable[[Element], bool]:
    """Tell whether a value has one of these characters."""
    return lambda element: any(forbidden & set(text) for text in texts(element))
