"""Order control: what a message's code, with the status beside it, asks the broker to do.

The rows are the profile's.  A row is ``CODE`` or ``CODE_STATUS``, either may be ``*``.  Of the rows that
fit, the one that says most counts: code and status; any code with the status; the code with any status
or none; anything.  So ``"*_CM": complete`` stands above ``XO: update``, for a status, where a system
sends one, tells what became of the order (C-13), and systems often send none (C-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from mwl.errors import Finding, NotUnderstood
from mwl.mapping.systems.hl7paths import Hl7Path
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.source import Source
from mwl.model import OrderAction

REQUIRED_MISSING, UNKNOWN_CODE, UNSUPPORTED = 101, 103, 200  # HL7 table 0357 (D-19)

REFUSE: Final = "refuse"
"""In a profile, where an action could stand: the broker does not do this and says so (AR)."""

ANY = "*"
_KEY = re.compile(r"(?P<code>[A-Za-z0-9]{1,8}|\*)(?:_(?P<status>[A-Za-z0-9]{1,16}|\*))?")


class Pair(NamedTuple):
    """A code and a status; "*" is any."""

    code: str
    status: str


def parse_key(text: str) -> Pair:
    """Return the pair a row is for; raise `ValueError` where *text* names none."""
    match = _KEY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not CODE or CODE_STATUS, such as NW, SC_CM or '*_CM'")
    return Pair(match["code"].upper(), (match["status"] or ANY).upper())


@dataclass(frozen=True)
class OrderControl:
    """The compiled rows, and where code and status stand."""

    code: Hl7Path
    status: Hl7Path | None
    rows: Mapping[Pair, str]

    @cached_property
    def statuses(self) -> frozenset[str]:
        """The statuses that some row is about."""
        return frozenset(row.status for row in self.rows)

    def action(self, group: Source, reading: Reading) -> OrderAction | None:
        """Return what *group* asks for; None where that is an error, which is reported.

        Raises `NotUnderstood` for what the broker does not do at all.
        """
        code, status = _text(self.code, group), _text(self.status, group) if self.status else ""
        if not code:
            location = self.code.location(group)
            reading.error(location, "an order control code is required", REQUIRED_MISSING)
            return None
        action = self.decide(code, status)
        if status and self.status and not self.knows(status):
            said = "order status is in no row of the order control table, and counts as none"
            reading.warn(self.status.find(group)[0], said)
        if action is None:
            reading.error(self.code.location(group), "order control code is not known", UNKNOWN_CODE)
        elif action == REFUSE:
            location = self.code.location(group)
            raise NotUnderstood([Finding(location, UNSUPPORTED, "order control code is not supported")])
        return OrderAction(action) if action else None

    def knows(self, status: str) -> bool:
        """Tell whether some row is about *status* (F37: systems have words of their own)."""
        return status in self.statuses

    def decide(self, code: str, status: str) -> str | None:
        """Return the action of the row that says most, or None."""
        for pair in (Pair(code, status), Pair(ANY, status), Pair(code, ANY), Pair(ANY, ANY)):
            if action := self.rows.get(pair):
                return action
        return None


def _text(path: Hl7Path, group: Source) -> str:
    found = path.find(group)
    return found[0].part(1).upper() if found else ""
