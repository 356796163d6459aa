"""P7 `wildcard`: what a typed name or a scanned number means, and what does not count in comparing.

A barcode reader brings the stars of its code along, a keyboard has no accents, and a console appends no
``*`` where the person before it expects one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import Flag, PathText, as_list, either
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, Run, Stage, Step
from mwl.mapping.devices.operations.request import asked_values, folding, matched_by, rewritten
from mwl.model import Document, Element
from mwl.query import Fold, Op, Path

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # VRs with wildcards
_MODES = ("as_sent", "none", "prefix", "contains", "strip_edges")


class Form(BaseModel):
    """How one key is matched."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mode: Literal["as_sent", "none", "prefix", "contains", "strip_edges"] = "as_sent"
    """prefix: what begins so; contains: what holds it; strip_edges: without * and blanks at its ends (a
    barcode's); none: * and ? are characters like any other."""
    fold: Annotated[
        tuple[Fold, ...],
        BeforeValidator(as_list, json_schema_input_type=Fold | list[Fold]),
    ] = ()
    """What does not count: case, diacritics, kana (hiragana, katakana and their width)."""
    components: Flag = False
    """prefix and contains mean each component of a person name, not the name as a whole."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``prefix`` for ``{mode: prefix}``."""
        return {"mode": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"enum": list(_MODES)}, core, handler)


class Wildcard(Lines):
    """How text that is typed or scanned is matched, key by key (P7)."""

    key = "wildcard"
    stage = Stage.QUERY
    number = 7
    __pydantic_extra__: dict[PathText, Form]

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each key."""
        for text, form in self.lines.items():
            path = paths.parse_path(text)
            if paths.vr(path[-1]) not in _TEXT:
                binding.problem(f"{text} is no text: wildcards mean nothing in it", text)
            yield binding.step(_matching(path, form), text)


def _matching(path: Path, form: Form) -> Apply:
    change = _named(form) if paths.vr(path[-1]) == "PN" else _CHANGES[form.mode]

    def apply(keys: Document, _run: Run) -> Document:
        key = paths.get(keys, path)
        if key is None or not asked_values(key):
            return keys
        return paths.put(keys, path, _marked(rewritten(key, change), form))

    return apply


def _marked(key: Element, form: Form) -> Element:
    if form.mode == "none":
        key = matched_by(key, Op.IN)
    return folding(key, form.fold) if form.fold else key


def _named(form: Form) -> Callable[[str], str]:
    """Return the change for a person name: group by group, or component by component."""
    change = _CHANGES[form.mode]

    def component(text: str) -> str:
        return change(text) if text.strip() else text

    def group(text: str) -> str:
        if not form.components or form.mode == "strip_edges":
            return component(text.rstrip("^ "))
        return "^".join(component(part) for part in text.rstrip("^ ").split("^"))

    return lambda name: "=".join(group(part) for part in name.split("="))


def _prefix(text: str) -> str:
    return text if text.endswith("*") else f"{text}*"


def _contains(text: str) -> str:
    return f"*{text.strip('*')}*"


def _stripped(text: str) -> str:
    return text.strip("* ") or text


def _same(text: str) -> str:
    return text


_CHANGES: dict[str, Callable[[str], str]] = {
    "as_sent": _same, "none": _same, "prefix": _prefix, "contains": _contains, "strip_edges": _stripped,
}  # fmt: skip
