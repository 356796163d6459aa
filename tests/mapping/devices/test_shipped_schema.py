"""The shipped profiles are valid by the JSON Schema that editors read, and the schema refuses mistakes."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mwl import yamldoc
from mwl.mapping.devices.device import load_devices
from mwl.mapping.devices.operations import OPERATIONS
from mwl.mapping.devices.profile import Profile

SHIPPED = Path(__file__).parents[3] / "mappings"
PROFILES = load_devices([SHIPPED])


def test_they_are_valid_by_the_schema_that_editors_read():
    """No key is unknown to it, and no value of another kind."""
    schema = json.loads((SHIPPED / "device.schema.json").read_text("utf-8"))

    mistakes = {name: list(_wrong(PROFILES.written[name].data, schema, schema)) for name in PROFILES.names}

    assert {name: found for name, found in mistakes.items() if found} == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": {"max": "many"}},
        {"limti": {}},
        {"code": {"tag": "PatientName", "complete": ["x"]}},
        {"status": "rumour"},
        {"match": {"impl": "1"}},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(wrong):
    """So that the test above can fail."""
    schema = json.loads((SHIPPED / "device.schema.json").read_text("utf-8"))

    assert list(_wrong({"profile": "x", "status": "partial", **wrong}, schema, schema))


# What neither a shipped profile nor the manual's examples say.
OTHERS = """
match: {tls_cn: ct1.example, query: {all: [{Modality: {eq: CT}}, {SPS.Modality: {charset_fits: ISO_IR 100}}]}}
window: {back: 1d, when_key: {eq_today: true, gt_today: false}}
sources: {deny: [RIS]}
merge: {by: [AccessionNumber], study_uid: first, first: [PatientComments], min: [PatientWeight]}
sort: [{by: PatientName, descending: true}]
limit: {max: 3, overflow: notice_item, notice: there are more}
pn: {tag: PatientName, swap: [alphabetic, ideographic], drop: [suffix], prefix: {given: "*"}}
codec: {tag: PatientID, op: pad, width: 8, char: "0", side: right}
code: {tag: "*CodeSequence", rename_scheme: {L: 99L}}
seq: {RequestedProcedureCodeSequence: {max_items: 3}}
uid: {StudyInstanceUID: {if_missing: derive, root: 1.2.3, suppress: false}}
require: {type2: [PatientSex], on_fail: [fill, skip_item]}
session: {fuzzy_names: true}
mpps: {accept: {strict: true, no_uid: reject}, state: {several: all, multi: any, closed_by: same_device}}
"""
MANUAL = (SHIPPED.parent / "docs" / "field-engineer.md").read_text("utf-8")
INSTEAD = [7, "7", 1, 1.5, True, None, "yes", "x", {}, [], ["x"], [7]]
"""What an engineer may write where something else belongs."""
# A mistake in the kind of a value, by pydantic's names; whether a word is right the schema need not know.
OF_KIND = {
    "bool_type", "dict_type", "extra_forbidden", "float_type", "frozen_set_type", "int_type", "list_type",
    "literal_error", "mapping_type", "missing", "model_type", "string_type", "tuple_type",
}  # fmt: skip


def _samples() -> list[dict[str, Any]]:
    """Return profiles that say whatever can be said."""
    blocks = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
    documents = [each.data for text in (OTHERS, *blocks) for each in yamldoc.parse(text, "manual")]
    known = {*Profile.model_json_schema(by_alias=True)["properties"]}
    written = [{"profile": "x", "status": "partial", **each} for each in documents if isinstance(each, dict)]
    shipped = [dict(PROFILES.written[name].data) for name in PROFILES.names]
    return [*shipped, *(each for each in written if each.keys() <= known)]


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    yield at
    for key, each in inner:
        yield from _places(each, (*at, key))


def _put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[at[0]] = _put(value[at[0]], at[1:], new)
    return copied


def _others(value: Any) -> Iterator[Any]:
    """Yield what may stand in the place of *value*: other kinds, a list of it, what a list or mapping holds."""
    yield from (*INSTEAD, [value])
    if isinstance(value, list) and value:
        yield value[0]
    if isinstance(value, dict):
        yield {**value, "nonsense": 1}


def _changed() -> Iterator[dict[str, Any]]:
    """Yield each sample's lines with one value in another form, no two alike in place and value."""
    seen: set[object] = set()
    for document in _samples():
        for key in document.keys() - {"tests", "notes", "vars"}:
            for at in _places(document[key]):
                value = functools.reduce(operator.getitem, at, document[key])
                shape = (key, *("#" if isinstance(each, int) else each for each in at))
                for new in _others(value):
                    if (shape, repr(new)) not in seen:
                        seen.add((shape, repr(new)))
                        yield {"profile": "x", "status": "partial", key: _put(document[key], at, new)}


def _loaders_mistakes(data: dict[str, Any]) -> list[str]:
    """Return the kinds of mistakes that the loader finds in *data*; it takes null and single ones first."""
    repeated = {key for key, kind in OPERATIONS.items() if kind.repeats}
    taken = {
        key: [value] if key in repeated and isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }
    try:
        Profile.model_validate(taken)
    except ValidationError as error:
        return [each["type"] for each in error.errors(include_url=False, include_context=False)]
    return []


def test_the_schema_and_the_loader_take_the_same_forms():
    """An editor marks nothing that the broker takes, and lets no value of the wrong kind pass."""
    schema = json.loads((SHIPPED / "device.schema.json").read_text("utf-8"))
    marked, passed = [], []

    for data in _changed():
        wrong, mistakes = list(_wrong(data, schema, schema)), _loaders_mistakes(data)
        if wrong and not mistakes:
            marked.append((data, wrong))
        if mistakes and not wrong and OF_KIND.intersection(mistakes):
            passed.append((data, mistakes))

    assert (marked, passed) == ([], [])


def test_every_key_that_can_be_said_is_compared():
    """The samples of the test above leave none out."""
    schema = json.loads((SHIPPED / "device.schema.json").read_text("utf-8"))
    said = {key for each in _samples() for at in _places(each) for key in at}
    forms = [form for each in schema["$defs"].values() for form in (each, *each.get("anyOf", ()))]
    kinds = {name for name in schema["$defs"] if name.startswith("Example") or name == "Expected"}
    of_examples = {key for name in kinds for key in schema["$defs"][name].get("properties", ())}

    assert {key for form in forms for key in form.get("properties", ())} - of_examples - said == set()


_KINDS = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _wrong(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> Iterator[str]:
    """Yield what of *value* the schema refuses: the parts of JSON Schema that pydantic writes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _wrong(value, root["$defs"][name], root, at)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices and not any(not list(_wrong(value, each, root, at)) for each in choices):
        yield f"{at}: {value!r}"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{at}: {value!r} is no {' or '.join(kinds)}"
        return
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        yield f"{at}: {value!r}"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{at}: {value!r}"
    if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        yield from (f"{at}: {key} is missing" for key in schema.get("required", ()) if key not in value)
        for key, each in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", True))
            if inner is False:
                yield f"{at}.{key} is unknown"
            elif inner is not True:
                yield from _wrong(each, inner, root, f"{at}.{key}")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{at}: {len(value)} values"
        first = schema.get("prefixItems", ())
        for index, each in enumerate(value):
            kind = first[index] if index < len(first) else schema.get("items", {})
            yield from _wrong(each, kind, root, f"{at}[{index}]")
