"""P27 `code`: code sequences whose items a device accepts, or none.

One item without a value or scheme can hide a whole order (F24), so an incomplete item is dropped
rather than sent, and reported; nothing is made up to complete it.  Where a text is all there is, the
engineer may say that it is the code (`from_text`).

Items are judged and counted when every step that makes or changes them has run, whichever profile of a
stack wrote it: `generic` drops an item without scheme, and a vendor's profile above it names one (F34).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.editing import Unhandled, editing
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import Flag, Number, Paths, PathText, Scalar, Selectors, either
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import has_value, texts
from mwl.model import STEP_SEQUENCE, Document, Element
from mwl.query import Path

_CODE_VALUE = "00080100"
_VALUE = (_CODE_VALUE, "00080119", "00080120")  # Code Value, Long Code Value, URN Code Value
_URN = "00080120"
_SCHEME = "00080102"
_MEANING = "00080104"
CODE_MACRO = frozenset({*_VALUE, _SCHEME, "00080103", _MEANING})
"""The code macro's attributes of return type 1, 1C and 3; none of them means anything zero-length."""

_LONGEST_CODE, _LONGEST_MEANING = 16, 64  # characters: SH and LO (PS3.5 6.2)


class FromText(BaseModel):
    """The attributes whose texts are a code, where a sequence has none."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    value: PathText
    """The code value, of at most 16 characters."""
    meaning: PathText | None = None
    """The code meaning; none: the same as the value."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``AdmissionID`` for ``{value: AdmissionID}``."""
        return {"value": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"type": "string"}, core, handler)


class Code(Options):
    """Items of code sequences that are complete, and no more of them than the device takes (P27)."""

    key = "code"
    stage = Stage.RESPOND
    number = 27
    repeats = True
    identity = "tag"

    tag: Selectors
    """The sequences; `*CodeSequence` for all, at any depth."""
    from_text: FromText | None = None
    """An attribute whose text is the code where the sequence has none; needs `default_scheme`."""
    rename_scheme: dict[Scalar, Scalar] = Field(default_factory=dict)
    """Coding schemes that the device knows by another name."""
    default_scheme: str | None = None
    """The coding scheme of an item that names none (F34)."""
    drop_incomplete: Flag = False
    """Drop an item without code value, or without coding scheme."""
    complete: tuple[Literal["value", "scheme", "meaning"], ...] = ()
    """Drop an item that lacks one of these."""
    max: Annotated[Number, Field(ge=1)] | None = None
    """How many items are sent at most."""
    copy_to: Paths = ()
    """Sequences that get the same items (F33)."""
    when: When | None = None
    """Only where this holds."""

    @model_validator(mode="after")
    def _one_source(self) -> Code:
        patterns = [text for text in self.tag if "*" in text or "?" in text]
        if (self.copy_to or self.from_text) and (patterns or len(self.tag) != 1):
            raise ValueError("copy_to and from_text need one sequence in 'tag', and no pattern")
        if self.from_text and not self.default_scheme:
            raise ValueError("from_text needs 'default_scheme': a code is none without its scheme")
        return self

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the steps for each selector: to make a code and name its scheme; to drop, count and copy."""
        parts = {*self.complete, *(("value", "scheme") if self.drop_incomplete else ())}
        naming, keeping = (
            _Naming(self.default_scheme, self.rename_scheme),
            _Keeping(frozenset(parts), self.max),
        )
        for index, selector in enumerate(self.tag):
            keys = binding.written("tag", index, short=("tag",))
            if self.from_text:
                yield binding.step(_making(paths.parse_path(selector), self.from_text), "from_text")
            if self.default_scheme or self.rename_scheme:
                yield binding.step(editing(selector, naming.change), *keys)
            if parts or self.max:
                yield binding.step(editing(selector, keeping.change), *keys, settles=True)
            for number, target in enumerate(self.copy_to):
                apply = _copying(paths.parse_path(selector), paths.parse_path(target))
                where = binding.written("copy_to", number, short=("copy_to",))
                yield binding.step(apply, *where, settles=True)

    def fills(self) -> Iterator[str]:
        """Yield the sequences that get codes of elsewhere."""
        yield from self.copy_to
        if self.from_text:
            yield from self.tag

    def lint(self) -> Iterator[Lint]:
        """Refuse what is no sequence of codes."""
        named = [("tag", text) for text in self.tag if "*" not in text and "?" not in text]
        for key, text in [*named, *(("copy_to", text) for text in self.copy_to)]:
            tag = paths.parse_path(text)[-1]
            if tag == STEP_SEQUENCE:
                yield Lint("code", f"{text} holds no codes: name a sequence in it", (key,))
            elif paths.vr(tag) not in ("SQ", "UN"):
                yield Lint("code", f"{text} is no sequence", (key,))


@dataclass(frozen=True, slots=True)
class _Naming:
    """Which schemes the items of one sequence name."""

    scheme: str | None
    renamed: dict[str, str]

    def change(self, element: Element, _run: Run) -> Element:
        """Return the sequence with its items named."""
        items = element.get("Value")
        if element["vr"] != "SQ" or not items:
            return element
        named = [self._named(item) if isinstance(item, dict) else item for item in items]
        same = all(new is old for new, old in zip(named, items, strict=True))
        return element if same else {"vr": "SQ", "Value": named}

    def _named(self, item: Document) -> Document:
        scheme = next(iter(texts(item.get(_SCHEME))), "")
        if not scheme:
            has_code = self.scheme and any(has_value(item.get(tag)) for tag in _VALUE)
            return {**item, _SCHEME: {"vr": "SH", "Value": [self.scheme]}} if has_code else item
        new = self.renamed.get(scheme)
        return item if new is None else {**item, _SCHEME: {"vr": "SH", "Value": [new]}}


@dataclass(frozen=True, slots=True)
class _Keeping:
    """Which items of one sequence are sent."""

    parts: frozenset[str]
    most: int | None

    def change(self, element: Element, _run: Run) -> Element:
        """Return the sequence with the items that are sent."""
        items = element.get("Value")
        if element["vr"] != "SQ" or not items:
            return element
        whole = [item for item in items if isinstance(item, dict) and _complete(item, self.parts)]
        kept = whole[: self.most]
        if len(kept) == len(items):
            return element
        changed = {"vr": "SQ", "Value": kept} if kept else {"vr": "SQ"}
        incomplete, many = len(items) - len(whole), len(whole) - len(kept)
        reasons = [f"{incomplete} incomplete"] * bool(incomplete) + [f"{many} too many"] * bool(many)
        raise Unhandled(f"codes left out: {', '.join(reasons)}", changed)


def _complete(item: Document, parts: frozenset[str]) -> bool:
    if "value" in parts and not any(has_value(item.get(tag)) for tag in _VALUE):
        return False
    # A URN names its own scheme (PS3.3 8.1).
    if "scheme" in parts and not has_value(item.get(_SCHEME)) and not has_value(item.get(_URN)):
        return False
    return "meaning" not in parts or has_value(item.get(_MEANING))


def _making(path: Path, texts_of: FromText) -> Apply:
    value, meaning = paths.parse_path(texts_of.value), paths.parse_path(texts_of.meaning or texts_of.value)

    def apply(document: Document, run: Run) -> Document:
        found = next(iter(texts(paths.get(document, value))), "")
        if has_value(paths.get(document, path)) or not found:
            return document
        if len(found) > _LONGEST_CODE:
            run.report(paths.show(path), "the text is too long for a code, and none is made of it")
            return document
        item: Document = {_CODE_VALUE: {"vr": "SH", "Value": [found]}}
        if said := next(iter(texts(paths.get(document, meaning))), ""):
            item[_MEANING] = {"vr": "LO", "Value": [said[:_LONGEST_MEANING].rstrip()]}
        return paths.put(document, path, {"vr": "SQ", "Value": [item]})

    return apply


def _copying(source: Path, target: Path) -> Apply:
    def apply(document: Document, _run: Run) -> Document:
        element = paths.get(document, source)
        if element is None or not has_value(element):
            return document
        return paths.put(document, target, element)

    return apply
