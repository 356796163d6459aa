"""Doubts about a profile that no operation can have alone: L7 and L8.

They are warnings: what a site's systems send, and which devices it has, a profile cannot know for sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mwl.errors import BadDocument, Problem, Severity
from mwl.mapping import paths
from mwl.mapping.devices.operations.checks import part
from mwl.mapping.devices.operations.match import Match, Pattern
from mwl.mapping.devices.operations.require import Require
from mwl.mapping.devices.profile import Header, placed
from mwl.mapping.loader import Effective, Written, load_folder
from mwl.model import STEP_SEQUENCE
from mwl.query import Path as Attribute
from mwl.query import pattern

_SYSTEMS = "systems"
_EVERY_ORDER = frozenset(
    paths.parse_path(name)
    for name in (
        "PatientName",
        "PatientID",
        "StudyInstanceUID",
        "AccessionNumber",
        "RequestedProcedureID",
        "SPS.ScheduledProcedureStepID",
        "SPS.ScheduledStationAETitle",
        "SPS.ScheduledProcedureStepStartDate",
        "SPS.ScheduledProcedureStepStartTime",
        "SPS.ScheduledProcedureStepStatus",
        "SPS.Modality",
    )
)
"""What orders have in any hospital, or the broker sees to: no profile of a system need be read for it."""


def unfilled(
    own: Header, merged: Header, written: Effective, ordered: Callable[[], frozenset[Attribute]]
) -> Iterator[Problem]:
    """Yield each attribute that *own* requires and that nobody fills: every item would fail (L7).

    *merged* is the profile with all it rests on; *ordered* tells what systems' orders fill.
    """
    filled = {paths.parse_path(text) for each in placed(merged) for text in each.operation.fills()}
    for each in placed(own):
        if not isinstance(each.operation, Require):
            continue
        for index, text in enumerate(each.operation.type1):
            path, _ = part(text)
            if path in _EVERY_ORDER or path in filled or _top(path) in {_top(one) for one in ordered()}:
                continue
            message = f"require: no system's profile fills {text}, and nothing here does: every item fails"
            place = (*each.place, "type1", index)
            yield written.problem(place, message, code="L7", severity=Severity.WARNING)


def _top(path: Attribute) -> Attribute:
    """Return the attribute of its level that *path* stands in."""
    return path[:2] if path[0] == STEP_SEQUENCE else path[:1]


def filled_by_orders(folders: Sequence[Path]) -> Callable[[], frozenset[Attribute]]:
    """Return the question what some system profile under *folders* fills; they are read when it is asked."""

    @cache
    def ordered() -> frozenset[Attribute]:
        try:
            written = load_folder(folders, _SYSTEMS)
        except BadDocument:  # whoever loads the systems says so
            return frozenset()
        return frozenset(path for profile in written.values() for path in _filled_by(profile))

    return ordered


def _filled_by(system: Written) -> Iterator[Attribute]:
    schedule = system.data.get("schedule")
    for section in (system.data, schedule if isinstance(schedule, dict) else {}):
        for level in ("patient", "procedure", "step"):
            lines: Any = section.get(level)
            for text in lines if isinstance(lines, dict) else ():
                try:
                    path = paths.parse_path(str(text))
                except ValueError:
                    continue
                yield (STEP_SEQUENCE, *path) if level == "step" else path


def twins(headers: Mapping[str, Header], written: Mapping[str, Written]) -> Iterator[Problem]:
    """Yield each profile that fits the same devices as another, with nothing to tell which is meant (L8)."""
    seen: list[tuple[str, Header]] = []
    for name, header in headers.items():
        if header.match is None:
            continue
        for other, earlier in seen:
            if (
                earlier.match
                and header.priority == earlier.priority
                and _overlap(header.match, earlier.match)
            ):
                message = f"match: {other!r} matches the same devices: give one of them a priority"
                place, document = ("match",), written[name].document
                yield document.problem(place, message, at_key=True, code="L8", severity=Severity.WARNING)
                break
        seen.append((name, header))


def _overlap(one: Match, other: Match) -> bool:
    """Tell whether some device fits both, as far as patterns show, and neither is more specific."""
    if one.weight != other.weight or one.model_fields_set != other.model_fields_set:
        return False
    lines = [(getattr(one, name), getattr(other, name)) for name in one.model_fields_set]
    return all(_meet(left, right) for left, right in lines)


def _meet(left: Any, right: Any) -> bool:
    if isinstance(left, Pattern) and isinstance(right, Pattern) and left.glob and right.glob:
        pairs = [(a, b) for a in left.glob for b in right.glob]
        return any(pattern(a).fullmatch(b) or pattern(b).fullmatch(a) for a, b in pairs)
    return bool(left == right)
