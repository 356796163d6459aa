"""P20 `replace` and P21 `text`: what engineers do to words.

Both work on text alone, group by group in a person name, so that its delimiters survive (F39).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mwl.mapping.devices.operations.editing import editing
from mwl.mapping.devices.operations.lint import Lint, identity_lint
from mwl.mapping.devices.operations.notation import Selectors
from mwl.mapping.devices.operations.operation import Binding, Options, Stage, Step
from mwl.mapping.devices.operations.when import RegexText, When
from mwl.mapping.elements import edit_texts
from mwl.mapping.text.romanise import transliterate
from mwl.model import Element
from mwl.yamldoc import suggestion

_TEXT_VR = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # CR, LF and TAB may be meant (PS3.5 6.2)
_LINE_BREAKS = re.compile(r"[ \t]*[\r\n]+[ \t]*")
_BLANKS = re.compile(r"[ \t]+")

_OPERATIONS: dict[str, Callable[[str], str]] = {
    "trim": str.strip,
    "collapse": lambda text: _BLANKS.sub(" ", text),
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "ascii": transliterate,
    "strip_control": lambda text: _CONTROL.sub("", text),
    "one_line": lambda text: _LINE_BREAKS.sub(" ", text),
}
_ALLOW = "allow:"


class Replace(Options):
    """Text that a regular expression finds, in other words (P20)."""

    key = "replace"
    stage = Stage.RESPOND
    number = 20
    repeats = True

    tag: Selectors
    """The attributes it works on."""
    from_: RegexText = Field(alias="from")
    """The regular expression."""
    to: str
    """What is put in its place; \\1 is the first group."""
    when: When | None = None
    """Only where this holds."""

    @model_validator(mode="after")
    def _groups_exist(self) -> Replace:
        try:
            re.compile(self.from_).sub(self.to, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"'to' does not go with 'from': {error}") from None
        return self

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each selector."""
        found, to = re.compile(self.from_), self.to
        for index, selector in enumerate(self.tag):
            change = _texts_only(lambda text: found.sub(to, text))
            yield binding.step(editing(selector, change), "tag", index)

    def lint(self) -> Iterator[Lint]:
        """Refuse identities."""
        yield from _selectors_lint(self.tag, "tag")


def _checked(name: str) -> str:
    if name not in _OPERATIONS and not name.startswith(_ALLOW):
        raise ValueError(f"unknown operation {name!r}{suggestion(name, [*_OPERATIONS, _ALLOW])}")
    if name.startswith(_ALLOW):
        try:
            re.compile(f"[^{name.removeprefix(_ALLOW)}]")
        except re.error as error:
            raise ValueError(f"the characters after 'allow:' are no set: {error}") from None
    return name


OperationName: TypeAlias = Annotated[str, AfterValidator(_checked)]


class Text(Options):
    """A chain of plain operations on text, in the order written (P21)."""

    key = "text"
    stage = Stage.RESPOND
    number = 21
    repeats = True

    tags: Selectors
    """The attributes it works on."""
    ops: Annotated[
        tuple[OperationName, ...],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ]
    """trim, collapse, upper, lower, title, ascii, strip_control, one_line, or allow: and the characters
    that may stay, as in a regular expression's set."""
    when: When | None = None
    """Only where this holds."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each selector."""
        chain = [_operation(name) for name in self.ops]
        for index, selector in enumerate(self.tags):
            yield binding.step(
                editing(selector, _texts_only(lambda text: _applied(chain, text))), "tags", index
            )

    def lint(self) -> Iterator[Lint]:
        """Refuse identities."""
        yield from _selectors_lint(self.tags, "tags")


def _operation(name: str) -> Callable[[str], str]:
    if name.startswith(_ALLOW):
        forbidden = re.compile(f"[^{name.removeprefix(_ALLOW)}]")
        return lambda text: forbidden.sub("", text)
    return _OPERATIONS[name]


def _applied(chain: list[Callable[[str], str]], text: str) -> str:
    for operation in chain:
        text = operation(text)
    return text


def _texts_only(change: Callable[[str], str]) -> Callable[[Element], Element]:
    return lambda element: edit_texts(element, change) if element["vr"] in _TEXT_VR else element


def _selectors_lint(selectors: tuple[str, ...], key: str) -> Iterator[Lint]:
    for index, selector in enumerate(selectors):
        if "*" not in selector and "?" not in selector:
            yield from identity_lint(selector, (key, index))
