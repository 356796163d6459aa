r"""Text in DICOM's character sets: labels, bytes, and whether one fits into the other (A.5).

A `CharacterSet` is what one (0008,0005) declares.  It reads any bytes, never raising: what cannot
be read becomes U+FFFD.  It writes only what it can write: a character it does not have raises
`Unfit`, because a "?" in a patient's name is a wrong name (A-58).  Who wants to send the name
nonetheless asks `mwl.mapping.text.romanise` for a form that fits.

NUL and ESC are not text (PS3.5 6.1.3): they are refused on the way out and U+FFFD on the way in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from mwl.errors import MwlError
from mwl.mapping.text.charset_labels import ALONE, UnknownCharacterSet, defined_terms, numbers_of
from mwl.mapping.text.iso2022 import UNDECODABLE, CodeExtension

__all__ = [
    "DEFAULT", "SHIFT_JIS", "UTF8", "CharacterSet", "Unfit", "UnknownCharacterSet", "parse_terms",
    "split_values",
]  # fmt: skip

_JAPANESE = {13, 87, 159}
_KOREAN = 149
_NOT_TEXT = {0x00: UNDECODABLE, 0x1B: UNDECODABLE}


class Unfit(MwlError, UnicodeError):
    """Text with a character that the character set does not have."""


class _Coding(Protocol):
    def encode(self, text: str, *, name: bool) -> bytes | None: ...
    def decode(self, raw: bytes, *, name: bool) -> str: ...
    def split(self, raw: bytes) -> list[bytes]: ...


class _Whole:
    """A set without code extensions: one codec for the whole value."""

    # Trail bytes of GBK and GB18030 begin at 40H and so include the backslash; second and fourth
    # bytes of four-byte codes are digits.  Possessive: no backing off into half a character.
    _VALUE = re.compile(rb"(?:[\x81-\xfe][\x40-\x7e\x80-\xfe]|[^\\])*+", re.DOTALL)
    _ESCAPES = re.compile(rb"\x1b(?:\$\)A|\(B)")

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._chinese = codec != "utf_8"
        self._read_codec = "gb18030" if self._chinese else codec  # a superset of GBK, code by code

    def encode(self, text: str, *, name: bool) -> bytes | None:  # noqa: ARG002 - no reset points here
        try:
            return text.encode(self._codec)
        except UnicodeEncodeError:
            return None

    def decode(self, raw: bytes, *, name: bool) -> str:  # noqa: ARG002
        if self._chinese and b"\x1b" in raw:  # F45: "ISO-2022-GBK" designates what is there anyhow
            raw = self._ESCAPES.sub(b"", raw)
        return raw.decode(self._read_codec, "replace")

    def split(self, raw: bytes) -> list[bytes]:
        return _split(self._VALUE, raw) if self._chinese else raw.split(b"\\")


class _ShiftJis:
    """What no label of DICOM's declares, and some Japanese consoles write (F43): read, never written."""

    # The second byte may be a backslash.
    _VALUE = re.compile(rb"(?:[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[^\\])*+", re.DOTALL)

    def encode(self, text: str, *, name: bool) -> bytes | None:  # noqa: ARG002
        return None

    def decode(self, raw: bytes, *, name: bool) -> str:  # noqa: ARG002
        return raw.decode("cp932", "replace")

    def split(self, raw: bytes) -> list[bytes]:
        return _split(self._VALUE, raw)


def _split(value: re.Pattern[bytes], raw: bytes) -> list[bytes]:
    values, at = [], 0
    while (found := value.match(raw, at)) is not None:
        values.append(found.group())
        if found.end() == len(raw):
            break
        at = found.end() + 1
    return values


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """One declared character set; get it from `parse_terms`.

    *terms* are the values to write to (0008,0005), "" where the first is empty; () is the default
    repertoire, which is declared by the element's absence.
    """

    terms: tuple[str, ...]
    _coding: _Coding = field(compare=False, repr=False)

    def __str__(self) -> str:
        return "\\".join(self.terms) or "the default repertoire"

    @property
    def japanese(self) -> bool:
        """Whether its readers take ideographs for Japanese."""
        return not _JAPANESE.isdisjoint(numbers_of(self.terms))

    @property
    def korean(self) -> bool:
        """Whether its readers take ideographs for Korean."""
        return _KOREAN in numbers_of(self.terms)

    def encode(self, text: str, *, name: bool = False) -> bytes:
        """Return one value (with *name*: a person name, whose delimiters are reset points) as bytes.

        Padding is the caller's.  Raises `Unfit`.
        """
        if "\x1b" not in text and "\x00" not in text:
            if text.isascii():  # the same bytes in every set
                return text.encode("ascii")
            raw = self._coding.encode(text, name=name)
            if raw is not None:
                return raw
        raise Unfit(f"text does not fit {self}")

    def decode(self, raw: bytes, *, name: bool = False) -> str:
        """Return one value as text; what cannot be read becomes U+FFFD.  Never raises."""
        if raw.isascii() and b"\x1b" not in raw:
            text = raw.decode("ascii")
        else:
            text = self._coding.decode(raw, name=name)
        return text.translate(_NOT_TEXT) if "\x00" in text or "\x1b" in text else text

    def fits(self, text: str, name: bool = False) -> bool:
        """Tell whether `encode` would write *text*."""
        try:
            self.encode(text, name=name)
        except Unfit:
            return False
        return True

    def split(self, raw: bytes) -> list[bytes]:
        r"""Return the values of *raw* between backslashes; half of a character is none (A-54)."""
        return self._coding.split(raw) if b"\\" in raw else [raw]


def parse_terms(label: str | Sequence[str | None]) -> CharacterSet:
    r"""Return the character set that *label* declares: ``\ISO 2022 IR 87``, or the values one by one.

    Labels as devices write them are understood (`charset_labels`); nothing, or an empty label, is
    the default repertoire (F-X20).  Raises `UnknownCharacterSet`.
    """
    return _parsed(tuple(label.split("\\")) if isinstance(label, str) else tuple(label))


@lru_cache(maxsize=256)
def _parsed(label: tuple[str | None, ...]) -> CharacterSet:
    return _declared(defined_terms(label))


@lru_cache(maxsize=256)
def _declared(terms: tuple[str, ...]) -> CharacterSet:
    codec = ALONE.get(terms[0]) if terms else None
    return CharacterSet(terms, _Whole(codec) if codec else CodeExtension(numbers_of(terms)))


def split_values(raw: bytes, cs: CharacterSet) -> list[bytes]:
    """Return the values of a multi-valued text element, not yet decoded (A-54)."""
    return cs.split(raw)


DEFAULT = parse_terms("ISO_IR 6")
UTF8 = parse_terms("ISO_IR 192")
SHIFT_JIS = CharacterSet((), _ShiftJis())
