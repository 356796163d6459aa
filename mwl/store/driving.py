"""Which condition a query should walk along: the one that leaves the fewest steps.

A rule of thumb on what the condition says, since statistics may be absent (SQLite keeps none by
itself) and parameters hide the rest from the planner.  It need not be right to the row: it must
never walk a table where an index would have led to a few rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from mwl.query import START_DATE
from mwl.store import conditions as c
from mwl.store.conditions import Condition, Test

_NUMBERS = (c.STUDY, c.ACCESSION, c.PROCEDURE_ID, c.PATIENT_ID, c.PATIENT_NAME, c.STEP_ID)
"""Attributes that nearly name the step, the surest first; some systems number every step "1"."""

_EXACT = frozenset({Test.EQUAL, Test.AMONG, Test.NEVER})
_INDEXED = _EXACT | {Test.FROM}

_MONTH = 100  # YYYYMMDD read as a number: the same month, or a few days around its end


def driver(conditions: Sequence[Condition]) -> int | None:
    """Return the position of the condition to start from, None for the order of starts itself."""
    narrow = any(_is_narrow(condition) for condition in conditions)
    ranked = [
        (rank, n) for n, cond in enumerate(conditions) if (rank := _rank(cond, narrow=narrow)) is not None
    ]
    return min(ranked)[1] if ranked else None


def _rank(condition: Condition, *, narrow: bool) -> int | None:
    shape = condition.shape
    if shape.negate:
        return None
    exact = all({piece.test for piece in pieces} <= _EXACT for pieces in shape.alternatives)
    indexed = all({piece.test for piece in pieces} & _INDEXED for pieces in shape.alternatives)
    match shape.path:
        case path if path in _NUMBERS and indexed:
            return _NUMBERS.index(path) + (0 if exact else 20)
        case c.STATION if indexed:
            return 10 if narrow else 30
        case c.MODALITY if exact:
            return 11 if narrow else 40
        case path if path == START_DATE and indexed:
            return 12 if narrow else 41
    return None


def _is_narrow(condition: Condition) -> bool:
    """Tell whether the condition confines starts to a month or less."""
    shape = condition.shape
    if shape.path != START_DATE or shape.negate:
        return False
    tests = [piece.test for pieces in shape.alternatives for piece in pieces]
    if set(tests) != {Test.FROM, Test.TO}:
        return Test.NEVER in tests
    days = [str(value)[:8] for value in condition.values]
    if not all(day.isascii() and day.isdigit() for day in days):
        return False
    return all(int(high) - int(low) < _MONTH for low, high in zip(days[::2], days[1::2], strict=True))
