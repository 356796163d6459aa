"""One message being read: what its values are read against, and what was found wrong on the way."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Self

from mwl.errors import Finding, Location, Severity, Unacceptable
from mwl.mapping.systems.hl7paths import Found, Hl7Path
from mwl.mapping.systems.source import Source
from mwl.mapping.systems.timestamps import stamp_offset
from mwl.mapping.trace import Trace
from mwl.model import Document


@dataclass(slots=True)
class Reading:
    """Collects findings; *known* holds what was read so far of the patient, procedure and step at hand."""

    zone: dt.tzinfo
    offset: dt.tzinfo | None = None  # of stamps that state none; None: site time
    new: bool = True  # whether the order at hand is new: what it lacks nobody has
    fills: bool = True  # whether attributes may stand in for those the order at hand does not say
    step: int | None = 0  # which row of the catalogue the step at hand is; None: the message names its steps
    trace: Trace | None = None
    known: Document = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # tags whose newest value was a mistake, or stood on one
    _warnings: dict[Finding, None] = field(default_factory=dict)  # each once, in order
    # One a place and code: that date and time of one stamp are both wrong is one mistake.
    _errors: dict[tuple[Location, int], Finding] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Source, zone: dt.tzinfo, offset: Hl7Path | None, trace: Trace | None) -> Self:
        """Begin to read *source*; the stamp at *offset* speaks for those that state no offset (F-T02)."""
        found = offset.find(source) if offset else []
        return cls(zone, stamp_offset(found[0].part(1)) if found else None, trace=trace)

    def warn(self, found: Found, text: str, code: int = 102) -> None:
        """Report what was done to a value, or that it was left out; *text* holds no patient data."""
        self._warnings[Finding(found.location, code, text, Severity.WARNING)] = None

    def error(self, location: Location, text: str, code: int) -> None:
        """Report why the message cannot be applied."""
        self._errors.setdefault((location, code), Finding(location, code, text))

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What was reported that does not stop the message."""
        return tuple(self._warnings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What was reported that stops the message."""
        return tuple(self._errors.values())

    def check(self) -> None:
        """Raise `Unacceptable` with all errors found so far, if there are any."""
        if self._errors:
            raise Unacceptable(self.errors)
