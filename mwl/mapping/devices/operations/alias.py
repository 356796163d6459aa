"""P9 `alias`: another word for the same thing, on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field

from mwl.mapping import paths
from mwl.mapping.devices.operations import reported
from mwl.mapping.devices.operations.keys import means_anything
from mwl.mapping.devices.operations.lint import Lint, identity_lint, invention_lint
from mwl.mapping.devices.operations.notation import Flag, PathText, Scalar, Scalars
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.request import any_of, asked_texts, asking, single
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import edit_texts
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
    both: dict[Scalar, Scalars] = Field(default_factory=dict)
    """A value of the device, and the one stored value it stands for, in what it asks and in what it gets."""
    unsafe: Flag = False
    """Answers may have other names for an identity, which come back so in images (L2), and another sex,
    name or birth date than the order; and a key may stand for all there is (L9)."""
    when: When | None = None
    """Only where this holds."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for the key, one for the answer and one for what is performed."""
        path = paths.parse_path(self.tag)
        asked = {**self.both, **self.query}
        shown = {stored: names[0] for stored, names in self.response.items() if names}
        shown = {**{names[0]: device for device, names in self.both.items() if names}, **shown}
        if asked:
            where = "query" if self.query else "both"
            yield binding.step(_asked(path, asked, binding.origin(where)), where)
        if shown:
            where = "response" if self.response else "both"
            yield binding.step(_shown(path, shown), where, stage=Stage.RESPOND)
        yield binding.step(_reported(path, Meanings(asked, shown)), stage=Stage.MPPS)

    def opens(self) -> Iterator[Path]:
        """Yield the key, where a word of it means everything."""
        asked, path = (*self.query.values(), *self.both.values()), paths.parse_path(self.tag)
        if any(means_anything(meant, path) for stored in asked for meant in stored):
            yield path

    def lint(self) -> Iterator[Lint]:
        """Refuse an answer that is no function (L4), and another name for an identity (L2)."""
        if (self.response or self.both) and not self.unsafe:
            yield from identity_lint(self.tag, ("tag",))
            yield from invention_lint(self.tag, ("tag",))
        for stored, names in self.response.items():
            if len(names) != 1:
                yield Lint("L4", f"{stored} must have one value in 'response'", ("response", stored))
        named: dict[str, str] = {}
        for device, meant in self.both.items():
            if len(meant) != 1:
                yield Lint("L4", f"{device} must stand for one value in 'both'", ("both", device))
                continue
            first = named.setdefault(meant[0], device)
            if first != device or self.response.get(meant[0], (device,)) != (device,):
                yield Lint("L4", f"{meant[0]} would have more than one name in answers", ("both", device))


@dataclass(frozen=True, slots=True)
class Meanings:
    """What the device's words stand for, as far as one word stands for one thing."""

    asked: dict[str, tuple[str, ...]]  # the device's word → the stored values it means
    shown: dict[str, str]  # a stored value → the device's word

    def stored(self, word: str) -> str:
        """Return the stored value that *word* stands for; a word that may stand for several stays."""
        possible = {stored for stored, name in self.shown.items() if name == word}
        if word not in self.shown:
            possible.add(word)
        if meant := set(self.asked.get(word, ())):
            possible = possible & meant or meant
        return possible.pop() if len(possible) == 1 else word


def _asked(path: Path, table: dict[str, tuple[str, ...]], origin: str) -> Apply:
    def apply(keys: Document, _run: Run) -> Document:
        key = paths.get(keys, path)
        asked = asked_texts(key)
        if key is None or not any(value in table for value in asked):
            return keys
        meant = dict.fromkeys(stored for value in asked for stored in table.get(value, (value,)))
        return paths.put(keys, path, any_of(asking(single(key), list(meant)), origin))

    return apply


def _reported(path: Path, meanings: Meanings) -> Apply:
    def back(text: str) -> str:
        return meanings.stored(text.strip()) if text.strip() else text

    def apply(performed: Document, _run: Run) -> Document:
        return reported.edited(performed, path, lambda element: edit_texts(element, back))

    return apply


def _shown(path: Path, table: dict[str, str]) -> Apply:
    def apply(document: Document, _run: Run) -> Document:
        element = paths.get(document, path)
        if element is None:
            return document
        edited = edit_texts(element, lambda value: table.get(value.strip(), value))
        return document if edited is element else paths.put(document, path, edited)

    return apply
