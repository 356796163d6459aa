"""P20 `replace` and P21 `text`: what engineers do to words.

`replace` works on a text, or on one group of a person name, as a whole.  `text` works on each component
of a name by itself, so whatever it takes away, the delimiters between groups and components stay (F39);
its `ascii` reads a name as the whole it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mwl.expressions import Expression, expression
from mwl.mapping.devices.operations.editing import Change, Unhandled, editing
from mwl.mapping.devices.operations.invention import invention_by
from mwl.mapping.devices.operations.lint import Lint, identity_lint
from mwl.mapping.devices.operations.notation import Flag, Selectors, as_list
from mwl.mapping.devices.operations.operation import Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.when import RegexText, When
from mwl.mapping.elements import PERSON_GROUPS, edit_texts, edit_values
from mwl.mapping.text.charset import DEFAULT
from mwl.mapping.text.romanise import fit_name, transliterate
from mwl.model import Element
from mwl.yamldoc import suggestion

_TEXT_VR = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # CR, LF and TAB may be meant (PS3.5 6.2)
_LINE_BREAKS = re.compile(r"[ \t]*[\r\n]+[ \t]*")
_GROUP = re.compile(r"\\(\d|g<)")
_BLANKS = re.compile(r"[ \t]+")

_OPERATIONS: dict[str, Callable[[str], str]] = {
    "trim": str.strip,
    "collapse": lambda text: _BLANKS.sub(" ", text),
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "strip_control": lambda text: _CONTROL.sub("", text),
    "one_line": lambda text: _LINE_BREAKS.sub(" ", text),
}
_ASCII, _ALLOW, _REPLACE = "ascii", "allow:", "replace:"
_WORDS = [*_OPERATIONS, _ASCII, _ALLOW, _REPLACE]


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
    unsafe: Flag = False
    """It may be an identity that is changed, which comes back in MPPS and images (L2), or make up a name,
    birth date or sex."""
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
        found, to = expression(self.from_), self.to
        for index, selector in enumerate(self.tag):
            yield binding.step(editing(selector, _replacing(found, to)), "tag", index)

    def lint(self) -> Iterator[Lint]:
        """Refuse identities, unless the same profile says `unsafe`."""
        if not self.unsafe:
            yield from _selectors_lint(self.tag, "tag")
            found, to = re.compile(self.from_), self.to
            # With a group it is what was there, in other words.
            from_nothing = not _GROUP.search(to) and bool(found.sub(to, ""))
            change = partial(found.sub, to)
            yield from invention_by(self.tag, "tag", change, from_nothing=from_nothing)


def _replacing(found: Expression, to: str) -> Change:
    def change(element: Element, _run: Run) -> Element:
        if element["vr"] not in _TEXT_VR:
            return element
        return edit_texts(element, lambda text: _replaced(found, to, text))

    return change


def _replaced(found: Expression, to: str, text: str) -> str:
    if len(text) > found.seen:
        raise Unhandled(f"a text is longer than the {found.seen} characters that the expression is fit for")
    return found.compiled.sub(to, text)


def _checked(name: str) -> str:
    word, colon, rest = name.partition(":")
    if word + colon not in _WORDS:
        raise ValueError(f"unknown operation {name!r}{suggestion(name, _WORDS)}")
    if word + colon == _ALLOW:
        try:
            re.compile(f"[^{rest}]")
        except re.error as error:
            raise ValueError(f"the characters after 'allow:' are no set: {error}") from None
    elif word + colon == _REPLACE and not all(rest.split("|")[:-1] or [""]):
        raise ValueError("after 'replace:' come texts and what takes their place, as in 'replace:=|,| '")
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
        BeforeValidator(as_list, json_schema_input_type=OperationName | list[OperationName]),
    ]
    """trim, collapse, upper, lower, title, ascii, strip_control, one_line; allow: and the characters that
    may stay, as in a regular expression's set; replace: and texts with | between them, of which the last
    takes the place of the others."""
    unsafe: Flag = False
    """It may be an identity that is changed, which comes back in MPPS and images (L2), or make up a name,
    birth date or sex."""
    when: When | None = None
    """Only where this holds."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each selector."""
        change = _chain(self.ops)
        for index, selector in enumerate(self.tags):
            yield binding.step(editing(selector, change), "tags", index)

    def lint(self) -> Iterator[Lint]:
        """Refuse identities, unless the same profile says `unsafe`."""
        if not self.unsafe:
            yield from _selectors_lint(self.tags, "tags")
            # The others keep names apart: to try them would read Chinese, whose tables take long to load.
            if not any(name.startswith((_ALLOW, _REPLACE)) for name in self.ops):
                return
            chain = [_operation(name) for name in self.ops]
            yield from invention_by(self.tags, "tags", lambda text: str(_all(chain, text)))


def _chain(names: Sequence[str]) -> Change:
    """Return the operations as one change, made to each value in turn."""
    on_names = [_on_name(name) for name in names]
    on_texts = [_on_text(name) for name in names]

    def change(element: Element, _run: Run) -> Element:
        if element["vr"] == "PN":
            return edit_values(element, lambda value: _all(on_names, value))
        if element["vr"] not in _TEXT_VR:
            return element
        return edit_values(element, lambda value: _all(on_texts, value))

    return change


def _all(chain: Sequence[Callable[[Any], Any]], value: Any) -> Any:
    for operation in chain:
        value = operation(value)
    return value


def _on_text(name: str) -> Callable[[Any], Any]:
    edit = _operation(name)
    return lambda value: edit(value) if isinstance(value, str) else value


def _on_name(name: str) -> Callable[[Any], Any]:
    if name == _ASCII:
        return _name_in_ascii
    edit = _operation(name)

    def on_group(group: str) -> str:
        return "^".join(edit(component) for component in group.split("^"))

    def on_name(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        groups = ((group, on_group(value[group])) for group in PERSON_GROUPS if value.get(group))
        return {group: text for group, text in groups if text.strip("^ ")}

    return on_name


def _name_in_ascii(value: Any) -> Any:
    if not isinstance(value, dict) or not any(value.values()):
        return value
    fitted, _ = fit_name(value, DEFAULT)
    if not fitted:
        raise Unhandled("a name has no reading in Latin letters")
    return fitted


def _operation(name: str) -> Callable[[str], str]:
    word, colon, rest = name.partition(":")
    match word + colon:
        case "allow:":
            forbidden = re.compile(f"[^{rest}]")
            return lambda text: forbidden.sub("", text)
        case "replace:":
            *found, to = rest.split("|")
            pattern = re.compile("|".join(map(re.escape, found)))
            return lambda text: pattern.sub(lambda _match: to, text)
        case "ascii":
            return transliterate
    return _OPERATIONS[name]


def _selectors_lint(selectors: tuple[str, ...], key: str) -> Iterator[Lint]:
    for index, selector in enumerate(selectors):
        if "*" not in selector and "?" not in selector:
            yield from identity_lint(selector, (key, index))
