"""The shipped profiles are valid by the JSON Schema that editors read, and the schema refuses mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mwl.mapping.devices.device import load_devices

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
    if isinstance(value, list) and "items" in schema:
        for index, each in enumerate(value):
            yield from _wrong(each, schema["items"], root, f"{at}[{index}]")
