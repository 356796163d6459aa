"""One message being read: what its values are read against, and what was found wrong on the way."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from mwl.errors import Finding, Location, Severity, Unacceptable
from mwl.mapping.hl7paths import Found
from mwl.mapping.trace import Trace
from mwl.model import Document


@dataclass(slots=True)
class Reading:
    """Collects findings; *known* holds what was read so far of the patient, procedure and step at hand."""

    zone: dt.tzinfo
    offset: dt.tzinfo | None = None  # of stamps that state none; None: site time
    new: bool = True  # whether the order at hand is new: what it lacks nobody has
    fills: bool = True  # whether attributes may stand in for those the order at hand does not say
    trace: Trace | None = None
    known: Document = field(default_factory=dict)
    _warnings: dict[Finding, None] = field(default_factory=dict)  # each once, in order
    # One a place and code: that date and time of one stamp are both wrong is one mistake.
    _errors: dict[tuple[Location, int], Finding] = field(default_factory=dict)

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

    def check(self) -> None:
        """Raise `Unacceptable` with all errors found so far, if there are any."""
        if self._errors:
            raise Unacceptable(tuple(self._errors.values()))
