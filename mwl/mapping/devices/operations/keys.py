"""P5 and P6: keys that are ignored, forced, or filled in where the device sends none.

They change what is matched and never what is returned: that follows the identifier as it was accepted.
"""

from __future__ import annotations

from collections.abc import Iterator

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import Paths, PathText, Scalars
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, ListOf, Run, Stage, Step
from mwl.mapping.devices.operations.request import alternatives, any_of
from mwl.mapping.devices.operations.values import Value, value
from mwl.mapping.elements import has_value
from mwl.model import Document
from mwl.query import Path

_REQUIRED_KEYS = frozenset(
    paths.parse_path(name)
    for name in (
        "SPS.ScheduledStationAETitle",
        "SPS.ScheduledProcedureStepStartDate",
        "SPS.ScheduledProcedureStepStartTime",
        "SPS.Modality",
        "SPS.ScheduledPerformingPhysicianName",
        "PatientName",
        "PatientID",
    )
)
"""The matching keys that every worklist supports (A.3)."""


class IgnoreKeys(ListOf[Paths]):
    """Keys that match everything and are still returned (P5)."""

    key = "ignore_keys"
    stage = Stage.QUERY
    number = 5

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each key."""
        for index, text in enumerate(self.root):
            yield binding.step(_ignoring(paths.parse_path(text)), index)

    def lint(self) -> Iterator[Lint]:
        """Warn when nothing is left to match: that sends the whole hospital."""
        if {paths.parse_path(text) for text in self.root} >= _REQUIRED_KEYS:
            yield Lint(
                "L9",
                "no key is left to match: every device would get the whole hospital's list",
                warning=True,
            )


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
            yield binding.step(_setting(path, make, binding.origin(text)), text)


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
            setting = _setting(path, value(written, path, binding, text), binding.origin(text))
            yield binding.step(_where_empty(path, setting), text)


def _ignoring(path: Path) -> Apply:
    def apply(keys: Document, _run: Run) -> Document:
        key = paths.get(keys, path)
        return keys if key is None or not has_value(key) else paths.put(keys, path, {"vr": key["vr"]})

    return apply


def _setting(path: Path, make: Value, origin: str) -> Apply:
    def apply(keys: Document, run: Run) -> Document:
        made = make(run)
        return keys if made is None else paths.put(keys, path, any_of(made, origin))

    return apply


def _where_empty(path: Path, setting: Apply) -> Apply:
    # dcm4chee's semantics (F02): a key with a value stays as it is, "*" included.
    def apply(keys: Document, run: Run) -> Document:
        key = paths.get(keys, path)
        return keys if has_value(key) or alternatives(key)[0] else setting(keys, run)

    return apply
