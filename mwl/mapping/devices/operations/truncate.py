"""P23 `truncate`: values that a device cannot show in full, cut where it does least harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.editing import editing
from mwl.mapping.devices.operations.lint import SHORT_IDENTITY, Lint, identity_lint
from mwl.mapping.devices.operations.notation import Length, PathText, either
from mwl.mapping.devices.operations.operation import Binding, Lines, Stage, Step
from mwl.mapping.elements import edit_texts
from mwl.model import Element


class Cut(BaseModel):
    """How long a value may be, and where it is cut."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max: Length
    """Characters; of each group in a person name."""
    keep: Literal["head", "tail", "middle"] = "head"
    """The part that stays."""
    at: Literal["word", "character"] = "word"
    """Whether half a word may stay; a word longer than all is cut in any case."""
    mark: str = ""
    """Put where something was cut, and counted."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``32`` for ``{max: 32}``."""
        return data if isinstance(data, dict) else {"max": data}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"type": "integer"}, core, handler)

    def text(self, text: str) -> str:
        """Return *text* cut."""
        if len(text) <= self.max:
            return text
        room = max(self.max - len(self.mark), 1)
        if self.keep == "tail":
            return self.mark[: self.max - 1] + self._tail(text, room)
        if self.keep == "middle":
            start = (len(text) - room) // 2
            return text[start : start + room].strip() + self.mark[: self.max - 1]
        return self._head(text, room) + self.mark[: self.max - 1]

    def _head(self, text: str, room: int) -> str:
        head = text[:room]
        if self.at == "word" and _inside_word(text, room) and " " in head.strip():
            head = head[: head.rindex(" ")]
        return head.rstrip()

    def _tail(self, text: str, room: int) -> str:
        tail = text[-room:]
        if self.at == "word" and _inside_word(text, len(text) - room) and " " in tail.strip():
            tail = tail.partition(" ")[2]
        return tail.lstrip()

    def name(self, group: str) -> str:
        """Return one group of a person name cut so that it stays a valid name (F30).

        Middle name, prefix and suffix go first; then the given name is cut, because a family name
        alone tells fewer patients apart; the family name last.
        """
        if len(group) <= self.max:
            return group
        components = group.split("^")
        while len(components) > 2 and len("^".join(components)) > self.max:
            components.pop()
        family, *rest = components
        room = self.max - len(family) - 1
        if not rest or room < 1:
            return self.text(family)
        given = self.model_copy(update={"max": room}).text(rest[0]) if len(rest) == 1 else rest[0]
        return "^".join([family, given, *rest[1:]]).rstrip("^")


def _inside_word(text: str, at: int) -> bool:
    return not text[at - 1].isspace() and not text[at].isspace()


class Truncate(Lines):
    """Values cut to a length the device can take; never an identity (P23)."""

    key = "truncate"
    stage = Stage.RESPOND
    number = 23
    __pydantic_extra__: dict[PathText, Cut]

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line."""
        for text, cut in self.lines.items():
            yield binding.step(editing(text, _cutting(cut)), text)

    def lint(self) -> Iterator[Lint]:
        """Refuse identities (12.3 c)."""
        for text, cut in self.lines.items():
            if paths.parse_path(text)[-1] in SHORT_IDENTITY and cut.max < 16:
                yield Lint(
                    "L3", f"{text} must keep its 16 characters: two orders could look like one", (text,)
                )
            else:
                yield from identity_lint(text, (text,))


def _cutting(cut: Cut) -> Callable[[Element], Element]:
    def change(element: Element) -> Element:
        return edit_texts(element, cut.name if element["vr"] == "PN" else cut.text)

    return change
