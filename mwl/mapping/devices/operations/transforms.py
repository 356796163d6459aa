"""The two directions of an identity that a device knows in another form (P25, R2): values in, values out.

A transform shows a stored value as the device knows it, and stores what the device says.  Neither direction
ever fails.  What makes it a codec is `shown`, the only way values leave: it asks the other direction for the
value back, and refuses one that would not come back as it was.  So whatever was shown can be led back, and
no two values are shown alike.

A key may hold wildcards.  A pattern of shown values becomes patterns of stored ones that match whatever
is shown so, and little else: the rest of a pattern behind a text is found character by character.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mwl import handles
from mwl.query import pattern


class Unshowable(ValueError):
    """A value that the device cannot be shown; the message holds no value."""


class Transform(Protocol):
    """One written line at work."""

    def show(self, value: str) -> str:
        """Return the stored *value* as the device knows it, if it can be shown at all."""

    def store(self, text: str) -> str:
        """Return the stored value of what the device says; a text that was never shown stays as it is."""

    def patterns(self, wanted: str) -> Iterable[str]:
        """Return patterns of stored values for a pattern of shown ones."""


def shown(transforms: Sequence[Transform], value: str, longest: int) -> str:
    """Return *value* as the device knows it, of *longest* characters at most; raise `Unshowable`."""
    text = value
    for each in transforms:
        before, text = text, each.show(text)
        if each.store(text) != before:
            raise Unshowable("a value would not come back from the device as it is stored")
    if len(text) > longest:
        raise Unshowable(f"a value would have more than the {longest} characters the device can be sent")
    return text


def stored(transforms: Sequence[Transform], text: str) -> str:
    """Return the stored value of what the device says."""
    for each in reversed(transforms):
        text = each.store(text)
    return text


def stored_patterns(transforms: Sequence[Transform], wanted: str) -> list[str]:
    """Return patterns of stored values, of which any may match."""
    found = [wanted]
    for each in reversed(transforms):
        found = list(dict.fromkeys(made for one in found for made in each.patterns(one)))
    return found


@dataclass(frozen=True, slots=True)
class Pad:
    """Filled up to *width* with *char*; a longer value is as it is."""

    width: int
    char: str
    right: bool

    def show(self, value: str) -> str:
        return _padded(value, self)

    def store(self, text: str) -> str:
        return _unpadded(text, self)

    def patterns(self, wanted: str) -> Iterable[str]:
        for filled in range(self.width):
            for rest in _after(_from_left(wanted, self), self.char * filled):
                yield from (_from_left(each, self) for each in _sized(rest, self.width - filled, filled == 0))


@dataclass(frozen=True, slots=True)
class Unpad:
    """Without the *char* that fills it up to *width*."""

    width: int
    char: str
    right: bool

    def show(self, value: str) -> str:
        return _unpadded(value, self)

    def store(self, text: str) -> str:
        return _padded(text, self)

    def patterns(self, wanted: str) -> Iterable[str]:
        for filled in range(self.width):
            whole = self.char * filled + _from_left(wanted, self)
            yield from (_from_left(each, self) for each in _sized(whole, self.width, filled == 0))


@dataclass(frozen=True, slots=True)
class Affix:
    """With *text* at one end."""

    text: str
    right: bool

    def show(self, value: str) -> str:
        return value + self.text if self.right else self.text + value

    def store(self, text: str) -> str:
        return text.removesuffix(self.text) if self.right else text.removeprefix(self.text)

    def patterns(self, wanted: str) -> Iterable[str]:
        text = _from_left(self.text, self)
        return (_from_left(rest, self) for rest in _after(_from_left(wanted, self), text))


@dataclass(frozen=True, slots=True)
class Slice:
    """With another text in the place of the one it begins, or ends, with."""

    table: Mapping[str, str]  # stored to shown; none is another's beginning (or end)
    right: bool

    def show(self, value: str) -> str:
        return self._swapped(value, self.table)

    def store(self, text: str) -> str:
        return self._swapped(text, {there: here for here, there in self.table.items()})

    def _swapped(self, text: str, table: Mapping[str, str]) -> str:
        for part, other in table.items():
            if self.right and text.endswith(part):
                return text[: len(text) - len(part)] + other
            if not self.right and text.startswith(part):
                return other + text[len(part) :]
        return text

    def patterns(self, wanted: str) -> Iterable[str]:
        yield wanted  # of a value in no row
        for here, there in self.table.items():
            for rest in _after(_from_left(wanted, self), _from_left(there, self)):
                yield _from_left(_from_left(here, self) + rest, self)


@dataclass(frozen=True, slots=True)
class Mapped:
    """Another word for the whole value."""

    table: Mapping[str, str]  # stored to shown

    def show(self, value: str) -> str:
        return self.table.get(value, value)

    def store(self, text: str) -> str:
        return next((here for here, there in self.table.items() if there == text), text)

    def patterns(self, wanted: str) -> Iterable[str]:
        yield wanted  # of a value in no row
        yield from (here for here, there in self.table.items() if pattern(wanted).fullmatch(there))


def shortened(value: str) -> str:
    """Return the handle of a value that is longer than one, the value itself otherwise."""
    return handles.shortened(value) if len(value) > handles.LONGEST else value


def in_capitals(value: str) -> str:
    """Return *value* in capitals; raise `Unshowable` for one that no handle is kept of."""
    if not value.isascii() or len(value) > handles.LONGEST:
        raise Unshowable("a value in letters that have no capitals, or longer than a handle")
    return value.upper()


class _Edge(Protocol):
    @property
    def right(self) -> bool: ...


class _Filled(_Edge, Protocol):
    @property
    def width(self) -> int: ...
    @property
    def char(self) -> str: ...


def _padded(value: str, form: _Filled) -> str:
    return value.ljust(form.width, form.char) if form.right else value.rjust(form.width, form.char)


def _unpadded(text: str, form: _Filled) -> str:
    return (text.rstrip(form.char) if form.right else text.lstrip(form.char)) or text


def _from_left(text: str, form: _Edge) -> str:
    """Return *text* so that the edge that matters comes first; twice, and it is as it was."""
    return text[::-1] if form.right else text


def _after(wanted: str, text: str) -> list[str]:
    """Return what of the pattern *wanted* is left, in every way there is, once *text* was matched."""
    left = [wanted]
    for char in text:
        left = list(dict.fromkeys(rest for each in left for rest in _next(each, char)))
    return left


def _next(wanted: str, char: str) -> Iterable[str]:
    while wanted.startswith("*"):
        yield wanted
        wanted = wanted.lstrip("*")
    if wanted and wanted[0] in ("?", char):
        yield wanted[1:]


def _sized(wanted: str, length: int, or_longer: bool) -> Iterable[str]:
    """Return *wanted* for texts of *length* characters; with more than one ``*`` it cannot be told."""
    stars = wanted.count("*")
    rest = length - (len(wanted) - stars)
    if stars == 1 and rest >= 0:
        yield wanted.replace("*", "?" * rest + ("*" if or_longer else ""))
    elif stars > 1 or (stars == 1 and or_longer) or (stars == 0 and (rest == 0 or (or_longer and rest < 0))):
        yield wanted
