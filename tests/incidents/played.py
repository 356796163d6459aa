"""What came of an incident, and what the page says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incidents.incident import Incident, number, value
from mwl.cli.explain_text import by, conclusion
from mwl.dicom.emulators import Seen
from mwl.mapping import paths
from mwl.mapping.trace import Note
from mwl.workbench.differences import shown
from mwl.workbench.explain import Explanation
from mwl.workbench.hints import hints
from mwl.workbench.outcome import Outcome
from mwl.workbench.provenance import returned

MOST_LINES = 5  # of a fix


@dataclass(frozen=True)
class Played:
    """What came of one variant: directly, over DIMSE and explained."""

    incident: Incident
    variant: str
    seen: Seen
    direct: Outcome
    explanation: Explanation
    of_missed: Explanation | None
    zone: Any

    @property
    def sent(self) -> list[int]:
        """The numbers of the orders that are sent, in the order of the list."""
        return [number(item) for item in self.seen.received]

    @property
    def shown(self) -> list[int]:
        """Those that the console shows."""
        return [number(item) for item in self.seen.shown]

    @property
    def reasons(self) -> list[str]:
        """Why it does not show the others."""
        return [reason for _, reason in self.seen.not_shown]

    @property
    def remarks(self) -> list[str]:
        """What it does to those it shows."""
        return [remark for _, remark in self.seen.remarks]

    def values(self, name: str) -> list[Any]:
        """Return an attribute of each item that is sent: its texts, or its items."""
        return [value(item, name) for item in self.seen.received]

    @property
    def said(self) -> list[str]:
        """What `mwl mapping explain` says first, and its hints; the device is named as such."""
        told = self.of_missed or self.explanation
        lines = [*conclusion(told, self.zone), *(hint.text for hint in hints(told))]
        lines += filter(None, [self.told_of(self.incident.tells)])
        return [steady(line.replace(self.incident.ae(self.variant), "the device")) for line in lines]

    def told_of(self, name: str) -> str:
        """What `explain` says of an attribute of the first item; "" for none, or where there is no item."""
        told = self.explanation.told
        response = next(iter(told.sent), None) if told else None
        if (
            not name
            or paths.vr(paths.parse_path(name)[-1]) == "SQ"
            or response is None
            or not response.composed
        ):
            return ""
        found = returned(response.item, response.composed.document, response.notes)
        sent = next((each for each in found if each.name == name), None)
        if sent is None:
            return f"{name} is not sent"
        behind = [f"{each.operation}, {Path(each.origin).name}" for each in sent.changes]
        how = "; ".join(behind) or ("as stored" if sent.stored else "nothing stored")
        return f"{name} is {shown(sent.element) or 'empty'}: {how}"

    @property
    def doubts(self) -> list[tuple[str, str, str]]:
        """What `explain` says of what is sent: operation, path, message."""
        told = self.explanation.told
        found = [each.report for each in told.doubts] if told else []
        return [(each.operation, each.path, each.message) for each in found]

    @property
    def withheld(self) -> list[tuple[int, str, str]]:
        """What `explain` says of what is left out: number, path, reason."""
        told = self.explanation.told
        found = told.withheld if told else []
        return [(number(each.item.merged()), each.path, each.reason) for each in found]

    @property
    def fixed_by(self) -> set[str]:
        """The operations, written in the variant's own profile, that had an effect."""
        file = f"{self.incident.name(self.variant)}.yaml:"
        return {operation for operation, origin in self._effects() if Path(origin).name.startswith(file)}

    def _effects(self) -> Iterator[tuple[str, str]]:
        told = self.explanation.told
        if told is None:
            return
        notes: list[Note] = [*told.tolerated, *told.rewritten, *told.arranged]
        notes += [note for response in told.responses for note in response.notes]
        yield from ((note.operation, note.origin) for note in notes)
        yield from ((by(key).partition(",")[0], key.origin) for key in told.keys)
        yield from ((each.report.operation, each.report.origin) for each in told.doubts)
        yield from (("require", each.origin) for each in told.withheld)

    @property
    def outline(self) -> str:
        """What the operator sees, in a few words."""
        if self.seen.error:
            return self.seen.error
        reasons = f": {self.reasons[0]}" if self.reasons else ""
        hidden = f", {len(self.seen.not_shown)} not{reasons}" if self.seen.not_shown else ""
        remark = f"; {self.remarks[0]}" if self.remarks else ""
        told = self.values(self.incident.tells)[:1] if self.incident.tells else []
        first = "".join(f"; {each or ('nothing' if each is None else 'empty')}" for each in map(_line, told))
        return steady(
            f"{len(self.shown)} shown{hidden}{remark}{first}".replace(self.incident.ae(self.variant), "AE")
        )


@dataclass(frozen=True)
class Reproduced:
    """An incident as it happened, and mended."""

    was: Played
    now: Played

    def __iter__(self) -> Iterator[Played]:
        return iter((self.was, self.now))


def steady(line: str) -> str:
    """Return what is said without the numbers that differ from run to run."""
    return re.sub(r"\b([Ss]tep) \d+\b", r"\1", line)


def row(incident: Incident, found: Reproduced) -> list[str]:
    """Return an incident's line of the page."""
    was, now = found
    said = [line for line in was.said if not was.sent or not line.startswith("modalities of today")]
    behind = f"; by {', '.join(f'`{each}`' for each in sorted(now.fixed_by))}" if now.fixed_by else ""
    return [
        incident.id,
        incident.happens,
        was.outline,
        " ".join(said),
        mended(incident),
        now.outline + behind,
    ]


def mended(incident: Incident) -> str:
    """Return the lines that mend an incident; there are no more of them than there may be."""
    lines = [line for line in incident.fix.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES, lines
    return "<br>".join(f"`{line}`" for line in lines) or incident.mends


def _line(told: Any) -> Any:
    if isinstance(told, list):
        return "\\".join(each if isinstance(each, str) else "an item" for each in told) or "no item"
    return told
