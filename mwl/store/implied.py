"""Criteria for the columns that follow from one which columns cannot decide by themselves.

What a device asks by a handle is decided by the identity it stands for; what it asks by the Study Instance
UID of a step, by study and step ID.  A name that is compared without its accents is looked for by its
spelling (`mwl.names`) first, so that the documents of a few patients are read and not those of all.  Of
alternatives that all speak of one attribute, its values together are looked for first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mwl import names
from mwl.query import Criterion, Fold, Op, Path, folded
from mwl.store import conditions, handles
from mwl.store.transaction import Transaction

_BY_HANDLE = frozenset(
    {conditions.PATIENT_ID, conditions.ACCESSION, conditions.PROCEDURE_ID, conditions.STEP_ID}
)
_ALPHABETIC = re.compile("[\u0020-\u024f]*")  # letters that are spelled one by one
_INSIDE = re.compile(r"[*?](?=[^\s^=*])|\?")  # a wildcard that is no word's end


def implied(tx: Transaction, criterion: Criterion) -> tuple[tuple[Criterion, ...], bool]:
    """Return the criteria, and whether they say all that *criterion* says; () for one that implies none."""
    path, origin = criterion.path, criterion.origin
    if criterion.op is Op.HANDLE and path in _BY_HANDLE:
        values = tuple(handles.meant(tx, path[-1], criterion.values))
        return (Criterion(path, Op.IN, values, criterion.negate, origin=origin),), True
    if criterion.negate:
        return (), False
    if criterion.op is Op.STEP_STUDY:
        found = [step for uid in criterion.values if (step := handles.step_of(tx, uid)) is not None]
        studies, step_ids = ({step[at] for step in found} for at in (0, 1))
        return (
            Criterion(conditions.STUDY, Op.IN, tuple(sorted(studies)), origin=origin),
            Criterion(conditions.STEP_ID, Op.IN, tuple(sorted(step_ids)), origin=origin),
        ), False
    if criterion.op is Op.ANY:
        return tuple(_in_common(criterion)), False
    if criterion.op is Op.NAME and criterion.folds and path == conditions.PATIENT_NAME:
        return _spelled(criterion), False
    return (), False


def _in_common(criterion: Criterion) -> Iterator[Criterion]:
    """Yield what each of the alternatives asks of one attribute, as one criterion: any of it."""
    asked = [_parts(each) for each in criterion.within]
    for path, op in set(asked[0]).intersection(*asked[1:]) if asked else ():
        found = [parts[path, op] for parts in asked]
        if op is Op.IN:
            values = tuple(dict.fromkeys(value for each in found for value in each))
        else:
            lows, highs = zip(*found, strict=True)
            values = ("" if "" in lows else min(lows), "" if "" in highs else max(highs))
        yield Criterion(path, op, values, origin=criterion.origin)


def _parts(alternative: Criterion) -> dict[tuple[Path, Op], tuple[str, ...]]:
    """Return the values that an alternative asks of each attribute, where columns can decide them."""
    parts = alternative.within if alternative.op is Op.ALL else (alternative,)
    return {
        (each.path, each.op): each.values
        for each in parts
        if each.op in (Op.IN, Op.RANGE) and not (each.negate or each.folds or alternative.negate)
    }


def _spelled(criterion: Criterion) -> tuple[Criterion, ...]:
    if len(criterion.values) != 1:
        return ()
    wanted = folded(criterion.values[0], (Fold.CASE,))
    if not _ALPHABETIC.fullmatch(wanted) or _INSIDE.search(wanted):
        return ()
    return tuple(
        Criterion(criterion.path, Op.SOUNDS, word, origin=criterion.origin) for word in names.asked(wanted)
    )
