"""P23 `truncate`: values that a device cannot show in full, cut where it does least harm."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.editing import Change, editing
from mwl.mapping.devices.operations.lint import SHORT_IDENTITY, Lint, identity_lint
from mwl.mapping.devices.operations.notation import Flag, Length, PathText, either
from mwl.mapping.devices.operations.operation import Binding, Lines, Run, Stage, Step
from mwl.mapping.devices.operations.when import CharsetLabel
from mwl.mapping.elements import edit_texts
from mwl.mapping.text.charset import Unfit, parse_terms
from mwl.model import Element

_CUT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UT"})


class Cut(BaseModel):
    """How long a value may be, and where it is cut."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max: Length
    """Characters; of each group in a person name."""
    bytes: CharsetLabel | None = None
    """Count the bytes that this character set takes, instead of characters."""
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

    def size(self, text: str) -> int:
        """Return how long *text* is; what the character set lacks is counted as in UTF-8."""
        if self.bytes is None:
            return len(text)
        try:
            return len(parse_terms(self.bytes).encode(text))
        except Unfit:
            return len(text.encode("utf-8", "surrogatepass"))

    def text(self, text: str) -> str:
        """Return *text* cut."""
        if self.size(text) <= self.max:
            return text
        mark = self.mark[: self._longest(self.mark, self.max - 1)]
        room = max(self.max - self.size(mark), 1)
        if self.keep == "tail":
            return mark + self._tail(text, room)
        if self.keep == "middle":
            return self._middle(text, room).strip() + mark
        return self._head(text, room) + mark

    def _longest(self, text: str, room: int) -> int:
        """Return how many characters from the beginning have room."""
        if self.bytes is None:
            return min(max(room, 0), len(text))
        return bisect_right(range(1, len(text) + 1), room, key=lambda number: self.size(text[:number]))

    def _head(self, text: str, room: int) -> str:
        end = self._longest(text, room)
        head = text[:end]
        if self.at == "word" and _inside_word(text, end) and " " in head.strip():
            head = head[: head.rindex(" ")]
        return head.rstrip()

    def _tail(self, text: str, room: int) -> str:
        start = len(text) - self._longest(text[::-1], room)
        tail = text[start:]
        if self.at == "word" and _inside_word(text, start) and " " in tail.strip():
            tail = tail.partition(" ")[2]
        return tail.lstrip()

    def _middle(self, text: str, room: int) -> str:
        for length in range(self._longest(text, room) or 1, 0, -1):
            start = (len(text) - length) // 2
            if self.size(middle := text[start : start + length]) <= room:
                return middle
        return ""

    def name(self, group: str) -> str:
        """Return one group of a person name cut so that it stays a valid name (F30).

        Middle name, prefix and suffix go first; then the given name is cut, because a family name
        alone tells fewer patients apart; the family name last.
        """
        if self.size(group) <= self.max:
            return group
        components = group.split("^")
        while len(components) > 2 and self.size("^".join(components)) > self.max:
            components.pop()
        family, *rest = components
        room = self.max - self.size(f"{family}^")
        if not rest or room < 1:
            return self.text(family)
        given = self.model_copy(update={"max": room}).text(rest[0]) if len(rest) == 1 else rest[0]
        return "^".join([family, given, *rest[1:]]).rstrip("^")


def _inside_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and not text[at - 1].isspace() and not text[at].isspace()


class Truncate(Lines):
    """Values cut to a length the device can take; an identity only by `unsafe: true` (P23)."""

    key = "truncate"
    stage = Stage.RESPOND
    number = 23
    __pydantic_extra__: dict[PathText, Cut]

    unsafe: Flag = False
    """The lines beside this one may cut identities: two orders could look like one (12.3 c, L3)."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line."""
        for text, cut in self.lines.items():
            if (vr := paths.vr(paths.parse_path(text)[-1])) not in _CUT:
                binding.problem(f"{text} has VR {vr}: a part of it means something else", text)
            yield binding.step(editing(text, _cutting(cut)), text)

    def lint(self) -> Iterator[Lint]:
        """Refuse identities (12.3 c), unless the same profile says `unsafe`."""
        for text, cut in self.lines.items():
            if self.unsafe:
                continue
            if paths.parse_path(text)[-1] in SHORT_IDENTITY and cut.max < 16:
                yield Lint(
                    "L3", f"{text} must keep its 16 characters: two orders could look like one", (text,)
                )
            else:
                yield from identity_lint(text, (text,))


def _cutting(cut: Cut) -> Change:
    def change(element: Element, _run: Run) -> Element:
        return edit_texts(element, cut.name if element["vr"] == "PN" else cut.text)

    return change
