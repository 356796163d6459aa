"""P22 `pn`: which groups and components of a person name a device gets, and in which script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator

from mwl.mapping import paths
from mwl.mapping.devices.operations.checks import COMPONENTS
from mwl.mapping.devices.operations.editing import Unhandled, guarded
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import Flag, Number, Paths
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.template import DELIMITERS, Piece, TemplateText, composed
from mwl.mapping.devices.operations.truncate import Cut
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import edit_values
from mwl.mapping.text.readings import derived
from mwl.model import Document

Group: TypeAlias = Literal["alphabetic", "ideographic", "phonetic"]
Component: TypeAlias = Literal["family", "given", "middle", "prefix", "suffix"]
Rule: TypeAlias = Literal["pinyin", "hepburn", "rr", "fullwidth_kana"]
Name: TypeAlias = dict[str, str]

_PATIENT = paths.parse_path("PatientName")


class Pn(Options):
    """A person name in the groups and components that the device reads (P22)."""

    key = "pn"
    stage = Stage.RESPOND
    number = 22
    repeats = True
    identity = "tag"

    tag: Paths
    """The names."""
    derive: dict[Group, Rule] = Field(default_factory=dict)
    """Groups made of what the name holds: pinyin of Chinese characters, hepburn of kana, rr of Korean
    syllables, fullwidth_kana of half-width ones; a group in Latin letters stays."""
    swap: tuple[Group, Group] | None = None
    """Two groups that take each other's place."""
    keep: tuple[Component, ...] = ()
    """The components that stay; none named: all."""
    drop: tuple[Component, ...] = ()
    """The components that go."""
    order: tuple[Component, ...] = ()
    """Components in the places of family, given, middle, prefix and suffix, in this order; those that are
    not named follow."""
    prefix: dict[Component, TemplateText] = Field(default_factory=dict)
    """What is put before a component, as in `template`."""
    suffix: dict[Component, TemplateText] = Field(default_factory=dict)
    """What is put behind a component, as in `template`."""
    emit: tuple[Group, ...] = ()
    """The groups that are sent; none named: all.  A name that has none of them is sent as it is."""
    max_per_group: Annotated[Number, Field(ge=1, le=64)] | None = None
    """Characters of each group, cut as `truncate` cuts a name."""
    unsafe: Flag = False
    """Neither family nor given name may stay: nothing tells the patient (L2)."""
    when: When | None = None
    """Only where this holds."""

    @field_validator("swap")
    @classmethod
    def _two(cls, groups: tuple[Group, Group] | None) -> tuple[Group, Group] | None:
        if groups is not None and groups[0] == groups[1]:
            raise ValueError("a group cannot take its own place")
        return groups

    def lint(self) -> Iterator[Lint]:
        """Refuse to leave nothing of a patient's name, unless the same profile says `unsafe`."""
        patient = any(paths.parse_path(text) == _PATIENT for text in self.tag)
        if patient and not self.unsafe and not self._kept & {"family", "given"}:
            message = "nothing is left of the patient's name: add 'unsafe: true' if that is meant"
            yield Lint("L2", message, ("drop" if self.drop else "keep",))

    @property
    def _kept(self) -> set[str]:
        return set(self.keep or COMPONENTS) - set(self.drop)

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each name."""
        changes = list(self._changes(binding))
        for index, text in enumerate(self.tag):
            path = paths.parse_path(text)
            if paths.vr(path[-1]) != "PN":
                binding.problem(f"{text} is no person name", "tag", index)
            yield binding.step(_naming(text, changes), *binding.written("tag", index, short=("tag",)))

    def _changes(self, binding: Binding) -> Iterator[Change]:
        for group, rule in self.derive.items():
            yield _deriving(_tag(group), rule)
        if self.swap:
            yield _swapping(*map(_tag, self.swap))
        if self.keep or self.drop:
            kept = self._kept
            yield _by_component(lambda parts: [p if c in kept else "" for c, p in _named(parts)])
        if self.order:
            order = [*self.order, *(each for each in COMPONENTS if each not in self.order)]
            yield _by_component(lambda parts: [dict(_named(parts))[component] for component in order])
        for component, text in self.prefix.items():
            yield _adding(component, composed(text, binding, "prefix", component), before=True)
        for component, text in self.suffix.items():
            yield _adding(component, composed(text, binding, "suffix", component), before=False)
        if self.emit:
            yield _emitting(frozenset(map(_tag, self.emit)))
        if self.max_per_group is not None:
            yield _cutting(Cut(max=self.max_per_group))


Change: TypeAlias = Callable[[Name, Document, Run], Name]
"""Makes something of one name of an item."""


def _tag(group: str) -> str:
    return group.capitalize()  # as the JSON model calls it


def _named(parts: list[str]) -> list[tuple[str, str]]:
    return list(zip(COMPONENTS, [*parts, *[""] * len(COMPONENTS)], strict=False))


def _naming(selector: str, changes: list[Change]) -> Apply:
    path = paths.parse_path(selector)

    def apply(document: Document, run: Run) -> Document:
        def renamed(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            name = {group: text for group, text in value.items() if text}
            for change in changes:
                name = change(name, document, run)
            return {group: text for group, text in name.items() if text}

        element = paths.get(document, path)
        if element is None:
            return document
        changed = guarded(lambda each, _run: edit_values(each, renamed), path, element, run)
        return document if changed is element else paths.put(document, path, changed)

    return apply


def _deriving(group: str, rule: str) -> Change:
    return lambda name, _document, _run: derived(name, group, rule)


def _swapping(one: str, other: str) -> Change:
    def change(name: Name, _document: Document, _run: Run) -> Name:
        return {**name, one: name.get(other, ""), other: name.get(one, "")}

    return change


def _by_component(rearranged: Callable[[list[str]], list[str]]) -> Change:
    def change(name: Name, _document: Document, _run: Run) -> Name:
        return {group: "^".join(rearranged(text.split("^"))).rstrip("^") for group, text in name.items()}

    return change


def _adding(component: str, text: Piece, *, before: bool) -> Change:
    position = COMPONENTS.index(component)

    def change(name: Name, document: Document, run: Run) -> Name:
        added = DELIMITERS.sub(" ", text(document, run))
        return {group: _with(found, position, added, before=before) for group, found in name.items()}

    return change


def _with(group: str, position: int, added: str, *, before: bool) -> str:
    parts = [*group.split("^")]
    parts += [""] * (position + 1 - len(parts))
    parts[position] = f"{added}{parts[position]}" if before else f"{parts[position]}{added}"
    return "^".join(parts).rstrip("^")


def _emitting(groups: frozenset[str]) -> Change:
    def change(name: Name, _document: Document, _run: Run) -> Name:
        kept = {group: text for group, text in name.items() if group in groups}
        if name and not any(text.strip("^ ") for text in kept.values()):
            raise Unhandled("the name has none of the groups that are to be sent, and is sent as it is")
        return kept

    return change


def _cutting(cut: Cut) -> Change:
    return lambda name, _document, _run: {group: cut.name(text) for group, text in name.items()}
