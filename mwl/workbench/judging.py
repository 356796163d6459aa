"""What a device gets, held against what an example says; a mistake stands at the line that said so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from mwl.errors import Problem
from mwl.mapping import paths
from mwl.mapping.devices.examples import Attributes, Expected
from mwl.mapping.elements import texts
from mwl.mapping.loader import Effective
from mwl.model import Document, Element, WorklistItem
from mwl.workbench.differences import shown
from mwl.workbench.outcome import Outcome, touching, why_not
from mwl.workbench.responses import Response
from mwl.yamldoc import Place

_ABSENT = "absent"
_EMPTY = "empty"


def judged(
    expected: Expected, found: Outcome, items: Sequence[WorklistItem], written: Effective, place: Place
) -> Iterator[Problem]:
    """Yield what of *found* is not as *expected*, written at *place*; *items* are those scheduled."""
    if f"{found.status:04X}" != expected.status:
        said = f" ({found.comment})" if found.comment else ""
        yield written.problem(
            (*place, "status"), f"status: expected {expected.status}, is {found.status:04X}{said}"
        )
        return
    yield from _counted(expected, found, items, written, place)
    for index, (attributes, response) in enumerate(zip(expected.items, found.sent, strict=False)):
        yield from _values(attributes, response, index, written, (*place, "items", index))
    for index, response in enumerate(found.sent):
        yield from _values(expected.every, response, index, written, (*place, "every"))
        for number, path in enumerate(expected.absent):
            element = paths.get(_document(response), paths.parse_path(path))
            if element is not None:
                message = _told(index, path, _ABSENT, _shown(element), _by(response, path))
                yield written.problem((*place, "absent", number), message)
    yield from _left_out(expected.left_out, found, items, written, place)


def _counted(
    expected: Expected, found: Outcome, items: Sequence[WorklistItem], written: Effective, place: Place
) -> Iterator[Problem]:
    wanted = expected.count
    if wanted is None and expected.items:
        wanted = len(expected.items)
    if wanted is None or wanted == len(found.sent):
        return
    sent = {key for response in found.sent for key in response.steps}
    reasons = [f"step {item.ref.key}: {why_not(found, item)}" for item in items if item.ref.key not in sent]
    why = f"; not sent: {'; '.join(reasons)}" if reasons else ""
    at = (*place, "count" if expected.count is not None else "items")
    yield written.problem(at, f"expected {wanted} sent, {len(found.sent)} are{why}", at_key=True)


def _values(
    attributes: Attributes, response: Response, index: int, written: Effective, place: Place
) -> Iterator[Problem]:
    for path, wanted in attributes.wanted():
        actual = paths.get(_document(response), paths.parse_path(path))
        if not _same(wanted, actual):
            by = _by(response, path)
            message = _told(index, path, _shown(wanted), _shown(actual), by)
            yield written.problem((*place, path), message, at_key=True)


def _same(wanted: Element | None, actual: Element | None) -> bool:
    if wanted is None or actual is None:
        return wanted is actual
    if wanted["vr"] == "SQ":
        pairs = zip_longest(wanted.get("Value", ()), actual.get("Value", ()))
        return all(_holds(some, item) for some, item in pairs)
    return texts(wanted) == texts(actual)


def _holds(wanted: Mapping[str, Any] | None, item: Mapping[str, Any] | None) -> bool:
    """Tell whether *item* has what is *wanted*, whatever else it has."""
    if wanted is None or item is None:
        return False
    return all(_same(element, item.get(tag)) for tag, element in wanted.items())


def _left_out(
    wanted: Mapping[int, str],
    found: Outcome,
    items: Sequence[WorklistItem],
    written: Effective,
    place: Place,
) -> Iterator[Problem]:
    by_number = {item.ref.key: item for item in items}
    sent = {key for response in found.sent for key in response.steps}
    for number, words in wanted.items():
        at = (*place, "left_out", str(number))
        if number not in by_number:
            yield written.problem(at, f"left_out: there is no step {number}", at_key=True)
        elif number in sent:
            yield written.problem(at, f"step {number}: expected to be left out, is sent", at_key=True)
        elif words not in (reason := str(why_not(found, by_number[number]))):
            message = f"step {number}: expected to be left out by {words!r}, is by {reason!r}"
            yield written.problem(at, message, at_key=True)


def _by(response: Response, path: str) -> str:
    """Return the line of the profile that changed the value last."""
    behind = list(touching(response.notes, paths.show(paths.parse_path(path))))
    return f" ({behind[-1].operation}, {behind[-1].origin})" if behind else ""


def _told(index: int, path: str, wanted: str, actual: str, by: str) -> str:
    return f"item {index + 1}, {path}: expected {wanted}, is {actual}{by}"


def _shown(element: Element | None) -> str:
    if element is None:
        return _ABSENT
    return repr(text) if (text := shown(element)) else _EMPTY


def _document(response: Response) -> Document:
    return response.composed.document if response.composed else {}
