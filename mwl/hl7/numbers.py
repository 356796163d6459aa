"""The numbers a message can be found by: patient IDs, accession and order numbers.

A profile says where its system puts them; beside that the standard's own places are looked at, so
that a message which no profile could read, or which nobody configured sends, is found all the same.
Best effort: nothing here refuses a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final, TypeAlias

from mwl.errors import NotUnderstood
from mwl.hl7.envelope import Envelope
from mwl.mapping.systems.hl7paths import Hl7Path, parse_path
from mwl.mapping.systems.source import Source
from mwl.mapping.systems.system import SystemProfile
from mwl.store.messages import KEYS, KeyKind, SearchKey

Alternatives: TypeAlias = tuple[tuple[Hl7Path, ...], ...]
Places: TypeAlias = Mapping[KeyKind, Alternatives]

_TAGS: Final = {
    KeyKind.PATIENT: ("00100020",),
    KeyKind.ACCESSION: ("00080050",),
    KeyKind.ORDER: ("00402016", "00402017", "00401001"),  # placer, filler, requested procedure
}
_STANDARD: Final = {  # C.3, C-41
    KeyKind.PATIENT: ("PID-3.1", "MRG-1.1"),
    KeyKind.ACCESSION: ("OBR-18.1", "IPC-1.1"),
    KeyKind.ORDER: ("ORC-2.1", "ORC-3.1", "OBR-2.1", "OBR-3.1", "OBR-19.1", "IPC-2.1"),
}
_REMEMBERED: Final = 100  # profiles; a site has a few, and a reload replaces them

_places: dict[str, Places] = {}


def search_keys(envelope: Envelope) -> tuple[SearchKey, ...]:
    """Return what a message is found by."""
    profile = envelope.system.profile if envelope.system else None
    try:
        found = _found(envelope.message, _places_of(profile))
        return tuple(islice(dict.fromkeys(found), KEYS))
    except NotUnderstood:
        return ()


def _found(source: Source, places: Places) -> Iterator[SearchKey]:
    for kind, alternatives in places.items():
        for paths in alternatives:
            found = [each.part(1) for path in paths for each in path.find(source)]
            if any(found):
                yield from (SearchKey(kind, value) for value in found if value)
                break


def _places_of(profile: SystemProfile | None) -> Places:
    """Return where numbers stand; worked out once for each profile."""
    digest = profile.digest if profile else ""
    if digest not in _places:
        if len(_places) >= _REMEMBERED:
            _places.clear()
        _places[digest] = {kind: _alternatives(kind, profile) for kind in KeyKind}
    return _places[digest]


def _alternatives(kind: KeyKind, profile: SystemProfile | None) -> Alternatives:
    """Return where numbers of a kind stand, and where others stand that count where there are none."""
    stated, otherwise = profile.places(_TAGS[kind]) if profile else ((), ())
    return _everywhere((*stated, *_standard(kind))), _everywhere(otherwise)


def _standard(kind: KeyKind) -> Iterator[Hl7Path]:
    parsed = map(parse_path, _STANDARD[kind])
    return (path for path in parsed if isinstance(path, Hl7Path))


def _everywhere(paths: Iterable[Hl7Path]) -> tuple[Hl7Path, ...]:
    """Return the paths so that they find the number of every order, in every repetition."""
    widened = {
        (path.segment, path.field, path.first, path.sub): replace(
            path,
            occurrence="*" if isinstance(path.occurrence, int) else path.occurrence,
            repetition="*" if path.repetition is None else path.repetition,
        )
        for path in paths
    }
    return tuple(widened.values())
