"""Which tolerances of `accept` a device's queries need (P4).

Without them a query would be refused, or mean something else.  Each is looked for by itself, in the
identifier as it came: what a profile tolerates already changes nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mwl.mapping import paths
from mwl.mapping.devices.operations.accept import STEP_KEYS
from mwl.mapping.elements import texts
from mwl.model import STEP_SEQUENCE, Document, Element
from mwl.workbench.samples import Sample

_LEVEL = "00080052"
_LONE_DIGIT = re.compile(r"(?<!\d)\d(?!\d)")


@dataclass(frozen=True, slots=True)
class Need:
    """A tolerance without which queries would be refused, or understood otherwise."""

    place: tuple[str, ...]  # in `accept`
    value: str | int
    why: str
    seen: int


def needs(samples: Sequence[Sample]) -> list[Need]:
    """Return the tolerances that *samples* need, in the order in which `accept` lists them."""
    return [
        Need(place, value, why, seen)
        for place, value, why, test in _NEEDS
        if (seen := sum(1 for sample in samples if test(sample)))
    ]


def _everywhere(keys: Document) -> Iterator[tuple[str, Element]]:
    for tag, key in keys.items():
        yield tag, key
        if key["vr"] == "SQ":
            for item in key.get("Value", ()):
                yield from _everywhere(item)


def _any(test: Callable[[str, Element], bool]) -> Callable[[Sample], bool]:
    return lambda sample: any(test(tag, key) for tag, key in _everywhere(sample.keys))


def _step_items(sample: Sample) -> list[Document] | None:
    """Return the items of the step's sequence; None where it is not asked for."""
    key = sample.keys.get(STEP_SEQUENCE)
    return None if key is None else [item for item in key.get("Value", ()) if isinstance(item, dict)]


def _is_unknown(tag: str, _key: Element) -> bool:
    return not paths.known(tag) and not paths.is_private(tag)


def _is_star(tag: str, key: Element) -> bool:
    return paths.vr(tag) == "DA" and texts(key) == ["*"]


def _is_hours(tag: str, key: Element) -> bool:
    return paths.vr(tag) == "TM" and any(
        value == "*" or _LONE_DIGIT.search(value.partition(".")[0]) for value in texts(key)
    )


def _is_zero(tag: str, key: Element) -> bool:
    return paths.vr(tag) == "US" and key.get("Value") == [0]


_NEEDS: tuple[tuple[tuple[str, ...], str | int, str, Callable[[Sample], bool]], ...] = (
    (
        ("root_sps_keys",),
        "lift",
        "keys of the step at the root",
        lambda sample: any(tag in STEP_KEYS for tag in sample.keys),
    ),
    (
        ("extra_sps_items",),
        "first",
        "several items in the step's sequence",
        lambda sample: len(_step_items(sample) or ()) > 1,
    ),
    (
        ("empty_sps",),
        "expand",
        "a step's sequence that names no key",
        lambda sample: _step_items(sample) in ([], [{}]),
    ),
    (("unknown_keys",), "ignore", "keys that no dictionary holds", _any(_is_unknown)),
    (("private",), "ignore", "private keys", _any(lambda tag, _key: paths.is_private(tag))),
    (("qr_level",), "ignore", "a Query/Retrieve Level", lambda sample: _LEVEL in sample.keys),
    (
        ("missing_message_id",),
        1,
        "a request without Message ID",
        lambda sample: sample.association.missing_message_id,
    ),
    (("bad_values", "DA"), "star_is_universal", "a date of *", _any(_is_star)),
    (("bad_values", "TM"), "hours_ok", "a time of *, or of one digit", _any(_is_hours)),
    (("bad_values", "US"), "zero_is_universal", "a binary 0 for an empty key", _any(_is_zero)),
)
