"""The small types of the written form: paths, selectors, scalars, and mappings of one to another.

Each takes the shorthand an engineer writes and gives the program one form.  Shorthand is taken before
validation, not by a union: a union reports a mistake once for each of its branches.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import re
from functools import lru_cache
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydicom.datadict import keyword_dict

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import IDENTITY
from mwl.model import STEP_SEQUENCE

SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}


def checked_path(text: str) -> str:
    """Return *text*, which names an attribute; an unknown one is lint L1."""
    try:
        paths.parse_path(text)
    except ValueError as error:
        raise PydanticCustomError("L1", "{reason}", {"reason": str(error)}) from None
    return text


def _checked_selector(text: str) -> str:
    if "*" not in text and "?" not in text:
        return checked_path(text)
    before, _, glob = text.rpartition(".")
    if before:
        checked_path(before)
    if not glob_tags(glob):
        raise PydanticCustomError("L1", "no attribute's keyword matches '{glob}'", {"glob": glob})
    return text


def as_text(value: Any) -> Any:
    """Return a YAML number or truth value as the text it was written as."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def as_list(value: Any) -> Any:
    """Return a single value as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


PathText: TypeAlias = Annotated[str, AfterValidator(checked_path)]
"""A path: ``PatientName``, ``SPS.Modality``, ``(0040,1001)``."""

SelectorText: TypeAlias = Annotated[str, AfterValidator(_checked_selector)]
"""A path, or a pattern of keywords at any depth: ``*Description``, ``SPS.*Date``."""

Scalar: TypeAlias = Annotated[str, BeforeValidator(as_text), WithJsonSchema(SCALAR)]
"""A text or a number, kept as text."""

Scalars: TypeAlias = Annotated[
    tuple[Scalar, ...],
    BeforeValidator(as_list),
    WithJsonSchema({"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}),
]
"""A value, or a list of them."""

TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
"""The schema of a text, or of a list of them."""

Paths: TypeAlias = Annotated[tuple[PathText, ...], BeforeValidator(as_list), WithJsonSchema(TEXTS)]
"""A path, or a list of them."""

Selectors: TypeAlias = Annotated[tuple[SelectorText, ...], BeforeValidator(as_list), WithJsonSchema(TEXTS)]
"""A selector, or a list of them."""

Flag: TypeAlias = Annotated[bool, Field(strict=True)]
"""true or false, and no word or number that other readers take for one: editors know no more either."""

Number: TypeAlias = Annotated[int, Field(strict=True)]
"""A whole number; true is none."""

Length: TypeAlias = Annotated[Number, Field(ge=1, le=10240)]
"""A number of characters; 10240 is what LT holds (PS3.5 6.2)."""


def spelled(pattern: str, form: str) -> AfterValidator:
    """Return the check that a text is spelled as *pattern* says; *form* tells it in words, with examples."""
    expression = re.compile(pattern)

    def check(text: str) -> str:
        if not expression.fullmatch(text):
            raise ValueError(form)
        return text

    return AfterValidator(check)


_DURATION = re.compile(r"(\d{1,6})\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> Any:
    if isinstance(value, dt.timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a number of seconds, minutes, hours or days: 20s, 5m, 12h, 1d")
    return dt.timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def _duration_text(value: dt.timedelta) -> str:
    seconds = int(value.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


Duration: TypeAlias = Annotated[
    dt.timedelta,
    BeforeValidator(_duration),
    PlainSerializer(_duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}\s*[smhd]$"}),
]
"""A length of time: ``20s``, ``5m``, ``12h``, ``1d``."""


@lru_cache(maxsize=256)
def all_tags(glob: str) -> frozenset[str]:
    """Return the tags whose keywords match *glob*, to look at them."""
    found = (f"{tag:08X}" for name, tag in keyword_dict.items() if fnmatch.fnmatchcase(name, glob))
    return frozenset(found)


def glob_tags(glob: str) -> frozenset[str]:
    """Return the tags that *glob* lets a step change: identities, and what holds them, are never among
    them (R2).
    """
    return all_tags(glob) - IDENTITY - {STEP_SEQUENCE}


def either(shorthand: JsonSchemaValue, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Return the schema of a model that may also be written as *shorthand*."""
    schema = handler(core)
    target = handler.resolve_ref_schema(schema)
    whole = dict(target)
    target.clear()
    target.update({"anyOf": [shorthand, whole]})
    return schema
