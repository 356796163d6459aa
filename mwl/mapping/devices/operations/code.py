"""P27 `code`: code sequences whose items a device accepts, or none.

One item without a value or scheme can hide a whole order (F24), so an incomplete item is dropped
rather than sent, and nothing is made up to complete it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import Field

from mwl.mapping.devices.operations.editing import editing
from mwl.mapping.devices.operations.notation import Selectors
from mwl.mapping.devices.operations.operation import Binding, Options, Stage, Step
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import has_value
from mwl.model import Document, Element

_VALUE = ("00080100", "00080119", "00080120")  # Code Value, Long Code Value, URN Code Value
_URN = "00080120"
_SCHEME = "00080102"
_MEANING = "00080104"
CODE_MACRO = frozenset({*_VALUE, _SCHEME, "00080103", _MEANING})
"""The code macro's attributes of return type 1, 1C and 3; none of them means anything zero-length."""


class Code(Options):
    """Items of code sequences that are complete, and no more of them than the device takes (P27)."""

    key = "code"
    stage = Stage.RESPOND
    number = 27
    repeats = True
    identity = "tag"

    tag: Selectors
    """The sequences; `*CodeSequence` for all, at any depth."""
    drop_incomplete: bool = False
    """Drop an item without code value, or without coding scheme."""
    complete: tuple[Literal["value", "scheme", "meaning"], ...] = ()
    """Drop an item that lacks one of these."""
    default_scheme: str | None = None
    """The coding scheme of an item that names none (F34)."""
    max: Annotated[int, Field(ge=1)] | None = None
    """How many items are sent at most."""
    when: When | None = None
    """Only where this holds."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each selector."""
        parts = {*self.complete, *(("value", "scheme") if self.drop_incomplete else ())}
        scheme = {_SCHEME: {"vr": "SH", "Value": [self.default_scheme]}} if self.default_scheme else {}
        for index, selector in enumerate(self.tag):
            yield binding.step(editing(selector, _fitting(frozenset(parts), scheme, self.max)), "tag", index)


def _fitting(parts: frozenset[str], scheme: Document, most: int | None) -> Callable[[Element], Element]:
    def change(element: Element) -> Element:
        items = element.get("Value")
        if element["vr"] != "SQ" or not items:
            return element
        completed = [_with_scheme(item, scheme) for item in items] if scheme else items
        kept = [item for item in completed if _complete(item, parts)][:most]
        if len(kept) == len(items) and all(new is old for new, old in zip(kept, items, strict=True)):
            return element
        return {"vr": "SQ", "Value": kept}

    return change


def _with_scheme(item: Document, scheme: Document) -> Document:
    has_code = any(has_value(item.get(tag)) for tag in _VALUE)
    return {**item, **scheme} if has_code and not has_value(item.get(_SCHEME)) else item


def _complete(item: Document, parts: frozenset[str]) -> bool:
    if "value" in parts and not any(has_value(item.get(tag)) for tag in _VALUE):
        return False
    # A URN names its own scheme (PS3.3 8.1).
    if "scheme" in parts and not has_value(item.get(_SCHEME)) and not has_value(item.get(_URN)):
        return False
    return "meaning" not in parts or has_value(item.get(_MEANING))
