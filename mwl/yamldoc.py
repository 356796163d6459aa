"""YAML as engineers mean it, with the place of every value.

PyYAML's `safe_load` lets the last duplicate key win, reads ``on`` as true, ``0012`` as ten and
``12:30:45`` as 45045.  Here a plain scalar is a string unless it is exactly a JSON-like ``true``,
``false``, ``null`` or a decimal number; a duplicate key is an error; every key and value knows its
line and column, so that each mistake is reported where it stands, all of them at once.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from mwl.errors import BadDocument, Problem

Key: TypeAlias = str | int
Place: TypeAlias = tuple[Key, ...]
"""Keys and indexes that lead from the document's root to a value."""

Model = TypeVar("Model", bound=BaseModel)

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "": None, "~": None}
_QUOTED = frozenset("'\"|>")  # quoted or block: always text
_NO_MAPPING = frozenset({"model_type", "dict_type", "mapping_type"})  # pydantic's names for one mistake
_MAX_BYTES = 1 << 20  # a profile of 1 MiB is a mistake; the shipped ones are below 10 KiB
_MAX_DEPTH = 64
_MAX_VALUES = 100_000  # aliases of aliases grow without end


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The plain data of one YAML document and the marks of its keys and values."""

    name: str
    data: Any
    keys: Mapping[Place, Mark] = field(repr=False)
    values: Mapping[Place, Mark] = field(repr=False)

    def problem(self, place: Sequence[Key], message: str, *, at_key: bool = False, **extra: Any) -> Problem:
        """Return a `Problem` at *place*, or at the nearest enclosing value that has a mark."""
        place = tuple(place)
        marks = {**self.values, **self.keys} if at_key else self.values
        while place and place not in marks:
            place = place[:-1]
        mark = marks.get(place, Mark(1, 1))
        return Problem(self.name, mark.line, mark.column, message, **extra)


def load(path: Path) -> list[YamlDocument]:
    """Read every document of a file; raise `BadDocument` where it is unreadable or not YAML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadDocument([Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadDocument([Problem(str(path), line, 1, "is not UTF-8")]) from None
    return parse(text, str(path))


def parse(text: str, name: str) -> list[YamlDocument]:
    """Parse *text* (*name* appears in messages); raise `BadDocument` with every problem found."""
    if len(text) > _MAX_BYTES:
        raise BadDocument([Problem(name, 1, 1, "is larger than 1 MiB")])
    try:
        _check_depth(text, name)
        nodes = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or "is not YAML"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise BadDocument([Problem(name, line, column, message)]) from None
    except yaml.YAMLError as error:  # a control character, for example
        raise BadDocument([Problem(name, 1, 1, str(error).splitlines()[0])]) from None
    readers = [_Reader(name) for _ in nodes]
    documents = [reader.document(node) for reader, node in zip(readers, nodes, strict=True)]
    if problems := [problem for reader in readers for problem in reader.problems]:
        raise BadDocument(problems)
    return documents


def _check_depth(text: str, name: str) -> None:
    """Refuse deep nesting before composing: PyYAML's C composer recurses without a bound and crashes."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise BadDocument([Problem(name, line, 1, "is nested too deeply")])


class _Reader:
    """Turns one node tree into plain data, keeping marks and collecting problems."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[Place, Mark] = {}
        self.values: dict[Place, Mark] = {}
        self.problems: list[Problem] = []

    def document(self, node: yaml.Node | None) -> YamlDocument:
        data = None if node is None else self._value(node, ())
        return YamlDocument(self.name, data, self.keys, self.values)

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self.values[place] = mark = _mark(node)
        if len(place) > _MAX_DEPTH or len(self.values) > _MAX_VALUES:
            raise BadDocument([Problem(self.name, mark.line, mark.column, "aliases make this endless")])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*place, index)) for index, child in enumerate(node.value)]
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, "a key must be plain text")
                continue
            key = key_node.value
            if key in result:
                self._problem(key_node, f"the key {key!r} stands here twice")
            self.keys[*place, key] = _mark(key_node)
            result[key] = self._value(value_node, (*place, key))
        return result

    def _problem(self, node: yaml.Node, message: str) -> None:
        mark = _mark(node)
        self.problems.append(Problem(self.name, mark.line, mark.column, message))


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text = str(node.value)
    if node.style in _QUOTED:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if match := _NUMBER.fullmatch(text):
        return float(text) if match[2] else int(text)
    return text


def validate(document: YamlDocument, model: type[Model], data: Any = None) -> Model:
    """Check a document (or *data* derived from it) against a pydantic model.

    Raises `BadDocument` with one problem per mistake, at its line and column; an unknown key
    names the nearest known one.
    """
    try:
        return model.model_validate(document.data if data is None else data)
    except ValidationError as error:
        raise BadDocument(problems(document, model, error)) from None


def problems(document: YamlDocument, model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Turn pydantic's errors into problems with places and suggestions."""
    return [
        _explain(document, model, dict(detail))
        for detail in error.errors(include_url=False, include_input=False)
    ]


def sound(
    data: Mapping[str, Any],
    model: type[Model],
    error: ValidationError,
    whole: Callable[[Place], Place] = tuple,
    needed: Mapping[str, Any] = MappingProxyType({}),
) -> Model:
    """Return what is left of *data* without the mistakes of *error*, to look for further ones.

    It is never to be used.  *whole* says how much goes with a mistake at a place: the entry it is in, for
    one.  A value inside a list takes the list with it, so that the places of all others stay what they
    are.  *needed* stands in for keys that *model* cannot do without; they make a sound whole by themselves.
    """
    while True:
        left = copy.deepcopy(dict(data))
        for detail in error.errors(include_url=False, include_input=False):
            _take_out(left, whole(detail["loc"]))
        data = {**needed, **({} if left == data else left)}  # a mistake of the whole has no place of its own
        try:
            return model.model_validate(data)
        except ValidationError as next_error:  # of what had not been looked at beside the mistakes
            error = next_error


def _take_out(data: Any, place: Place) -> None:
    """Take out what stands at *place*, or what should hold it."""
    holder, inner = None, data
    for key in place:
        if not isinstance(inner, dict) or key not in inner:
            break
        holder, last, inner = inner, key, inner[key]
    if holder is not None:
        del holder[last]


def _explain(document: YamlDocument, model: type[BaseModel], detail: Mapping[str, Any]) -> Problem:
    place: Place = detail["loc"]
    if at_key := place[-1:] == ("[key]",):  # pydantic's name for the key of a mapping
        place = place[:-1]
    name = next((key for key in reversed(place) if isinstance(key, str)), "the document")
    if detail["type"] == "extra_forbidden":
        known = _field_names(model, place[:-1])
        return document.problem(place, f"unknown key {name!r}{suggestion(name, known)}", at_key=True)
    if detail["type"] == "missing":
        return document.problem(place[:-1], f"the key {name!r} is missing here")
    if detail["type"] in _NO_MAPPING:
        return document.problem(place, f"{name}: keys and values are expected here")
    message = str(detail["msg"]).removeprefix("Value error, ")
    return document.problem(place, f"{name}: {message[:1].lower()}{message[1:]}", at_key=at_key)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean 'x'?" where *name* is close to a known one, else ""."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f": did you mean {close[0]!r}?" if close else ""


def _field_names(model: type[BaseModel], place: Place) -> list[str]:
    """Return the keys allowed at *place* by walking the model's JSON Schema, which resolves unions for us."""
    schema = model.model_json_schema(by_alias=True)
    nodes = [schema]
    for key in place:
        nodes = [found for node in nodes for found in _step(schema, node, key)]
    return sorted(
        {name for node in nodes for each in _flat(schema, node) for name in each.get("properties", ())}
    )


def _step(root: Mapping[str, Any], node: Mapping[str, Any], key: Key) -> list[dict[str, Any]]:
    found = []
    for each in _flat(root, node):
        if isinstance(key, int):
            found.append(each.get("items"))
        else:
            found.append(each.get("properties", {}).get(key) or each.get("additionalProperties"))
    return [each for each in found if isinstance(each, dict)]


def _flat(root: Mapping[str, Any], node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in node:
        return _flat(root, root["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]])
    choices = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
    return [node, *(flat for choice in choices for flat in _flat(root, choice))]
