"""P5 and P6: keys that are ignored, forced, or filled in where the device sends none.

They change what is matched and never what is returned: that follows the identifier as it was accepted.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import TEXTS, Flag, Paths, PathText, Scalars, either
from mwl.mapping.devices.operations.operation import (
    Apply,
    Binding,
    Lines,
    Operation,
    Options,
    Run,
    Stage,
    Step,
)
from mwl.mapping.devices.operations.request import alternatives, any_of
from mwl.mapping.devices.operations.values import Value, value
from mwl.mapping.elements import has_value
from mwl.model import Document, Element
from mwl.query import START_DATE, Path

_BOUNDS = frozenset(
    {START_DATE, paths.parse_path("SPS.ScheduledStationAETitle"), paths.parse_path("SPS.Modality")}
)
"""What makes a list somebody's work of a day: without these an empty question is answered with everything."""

WIDEST = 62
"""Days that are still a list of somebody's work and not of all there is (12.3 d)."""

_DAYS = re.compile(r"(?P<first>\S*?) *- *(?P<last>\S*)")


class IgnoreKeys(Options):
    """Keys that match everything and are still returned; a list, or `keys` with `unsafe` beside them (P5)."""

    key = "ignore_keys"
    stage = Stage.QUERY
    number = 5

    keys: Paths
    """The attributes."""
    unsafe: Flag = False
    """They may be station, day and modality: the device gets the whole hospital's list (L9)."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``[PatientID]`` for ``{keys: [PatientID]}``."""
        return data if isinstance(data, dict) else {"keys": data}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either(TEXTS, core, handler)

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each key."""
        for index, text in enumerate(self.keys):
            yield binding.step(ignoring(paths.parse_path(text)), *self._place(binding, index))

    def _place(self, binding: Binding, index: int) -> tuple[str | int, ...]:
        written = ("keys", index)
        return written if (*binding.place, *written) in binding.profile.values else (index,)

    def opens(self) -> Iterator[Path]:
        """Yield its keys."""
        yield from (paths.parse_path(text) for text in self.keys)


class SetKey(Lines):
    """Keys whose value is this, whatever the device sent (P6)."""

    key = "set_key"
    stage = Stage.QUERY
    number = 6
    __pydantic_extra__: dict[PathText, Scalars]

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each key."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            make = value(written, path, binding, text)
            yield binding.step(setting(path, make, binding.origin(text)), text)

    def opens(self) -> Iterator[Path]:
        """Yield the keys that it makes empty, wildcards alone, or more days than are anybody's work."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            if not written or any(means_anything(each, path) for each in written):
                yield path


class DefaultKey(Lines):
    """Keys whose value is this where the device sends the key empty, or not at all (P6)."""

    key = "default_key"
    stage = Stage.QUERY
    number = 6
    __pydantic_extra__: dict[PathText, Scalars]

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each key."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            made = setting(path, value(written, path, binding, text), binding.origin(text))
            yield binding.step(_where_empty(path, made), text)


def whole_hospital(operations: Iterable[Operation]) -> Iterator[tuple[Operation, Lint]]:
    """Refuse to leave nothing that bounds a list, whichever lines do it together (L9)."""
    left = set(_BOUNDS)
    found: Operation | None = None
    for each in operations:
        # What opens a sequence opens all that is asked in it.
        opened = {bound for bound in _BOUNDS for path in each.opens() if bound[: len(path)] == path}
        if opened and getattr(each, "unsafe", False):
            return
        found = each if opened & left else found
        left -= opened
    if found is not None and not left:
        message = (
            "neither station nor day nor modality is left to match: "
            "every device would get the whole hospital's list"
        )
        yield found, Lint("L9", f"{message}: say it in ignore_keys, with 'unsafe: true', if that is meant")


def means_anything(text: str, path: Path) -> bool:
    """Tell whether a key of *text* matches whatever there is at *path*, or nearly so."""
    if path == START_DATE and (days := _DAYS.fullmatch(text.strip())):
        return not (days["first"] and days["last"]) or _are_many(days["first"], days["last"])
    return not text.strip("*? ")


def _are_many(first: str, last: str) -> bool:
    if "$" in first or "$" in last:
        return first[:1] != last[:1]  # from today on to a fixed day, they are more or fewer every day
    try:
        return (dt.date.fromisoformat(last) - dt.date.fromisoformat(first)).days > WIDEST
    except ValueError:  # no date at all, which is told elsewhere
        return False


def ignoring(path: Path) -> Apply:
    """Return a step that lets the key at *path* match everything."""

    def apply(keys: Document, _run: Run) -> Document:
        key = paths.get(keys, path)
        return keys if key is None or not _says_something(key) else paths.put(keys, path, {"vr": key["vr"]})

    return apply


def setting(path: Path, make: Value, origin: str) -> Apply:
    """Return a step that puts a key at *path*, of which any of several values is meant."""

    def apply(keys: Document, run: Run) -> Document:
        made = make(run)
        return keys if made is None else paths.put(keys, path, any_of(made, origin))

    return apply


def _where_empty(path: Path, made: Apply) -> Apply:
    # dcm4chee's semantics (F02): a key with a value stays as it is, "*" included.
    def apply(keys: Document, run: Run) -> Document:
        return keys if _says_something(paths.get(keys, path)) else made(keys, run)

    return apply


def _says_something(key: Element | None) -> bool:
    return has_value(key) or bool(alternatives(key)[0])
