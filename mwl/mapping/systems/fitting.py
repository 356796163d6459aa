"""What a value from outside must go through to become one of a VR (PS3.5 6.2, C-10).

Identifiers are never altered: one that is too long, or that holds what DICOM does not allow, is an
error.  Anything else is made to fit - control characters and backslashes replaced, descriptions cut -
and each change is reported by the text that comes back beside the value.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Characters at most.  LT and ST are the texts an order fills; UT and UC have no limit that matters.
MAXIMUM: Final = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "IS": 12, "LO": 64, "LT": 10240,
    "PN": 64, "SH": 16, "ST": 1024, "TM": 14, "UI": 64,
}  # fmt: skip

LONGEST_NUMBER: Final = 64
"""Characters of a number of an order (SH), where a profile takes longer ones than DICOM carries (F48)."""

MULTILINE: Final = frozenset({"LT", "ST", "UT"})
"""Texts of lines: here a backslash is a character like any other, and CR LF is allowed."""

_SINGLE = re.compile(r"[\\\x00-\x1f\x7f-\x9f]+")
_MULTI = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]+")
_LINE_END = re.compile(r"\r\n|\r|\n|\x85")
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")
_BARE_CODE_STRING = re.compile(r"[A-Z0-9_](?:[A-Z0-9 _]*[A-Z0-9_])?")

# PS3.5 9.1: components of digits without leading zeros.
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


class Unfit(ValueError):
    """A value that cannot stand in its element; *code* is from HL7 table 0357."""

    def __init__(self, message: str, code: int = 102) -> None:
        super().__init__(message)
        self.code = code


class Fitted(NamedTuple):
    """A value, "" where nothing of it is left, and what was done to it."""

    value: str
    note: str = ""
    cut: bool = False


def identifier(text: str, limit: int) -> str:
    """Return an identifier as it came; raise `Unfit` where DICOM cannot carry it unchanged (F-H32)."""
    if not is_plain(text) and _SINGLE.search(text):
        raise Unfit("holds a character that a DICOM identifier cannot")
    if len(text) > limit:
        raise Unfit(f"is longer than {limit} characters")
    return text


def uid(text: str) -> str:
    """Return a UID; raise `Unfit` where it is none (F-H60)."""
    if len(text) > MAXIMUM["UI"] or not is_uid(text):
        raise Unfit("is not a valid UID")
    return text


def fit(vr: str, text: str, limit: int | None = None) -> Fitted:
    """Return *text* as a value of *vr*, cut to *limit* characters where that is less than the VR allows."""
    if vr == "CS":
        return _code_string(text, limit or MAXIMUM[vr])
    multiline = vr in MULTILINE
    clean = _lines(text) if multiline else _line(text)
    note = "" if clean == text or multiline else "a control character or backslash was replaced by a blank"
    longest = MAXIMUM.get(vr, len(clean))
    if limit:
        longest = min(longest, limit)
    if len(clean) > longest:
        return Fitted(clean[:longest].rstrip(), f"was cut to {longest} characters", cut=True)
    return Fitted(clean, note)


def _line(text: str) -> str:
    return text if is_plain(text) or not _SINGLE.search(text) else _SINGLE.sub(" ", text).strip()


def is_plain(text: str) -> bool:
    """Tell of most texts that nothing in them is what a line cannot hold, without an expression."""
    return text.isprintable() and "\\" not in text


def is_code_string(text: str) -> bool:
    """Tell of a text, however long, that it has the form of a code string, without blanks around it."""
    return _BARE_CODE_STRING.fullmatch(text) is not None


def is_uid(text: str) -> bool:
    """Tell of a text, however long, that it has the form of a UID."""
    return _UID.fullmatch(text) is not None


def _lines(text: str) -> str:
    return "\r\n".join(_LINE_END.split(_MULTI.sub(" ", text)))


def _code_string(text: str, limit: int) -> Fitted:
    upper = text.strip().upper()
    if not upper or (len(upper) <= limit and _CODE_STRING.fullmatch(upper)):
        return Fitted(upper)
    return Fitted("", "is not a DICOM code string and was left out")
