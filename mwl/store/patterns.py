"""DICOM's wildcards for a database: what an index finds, and what must be looked at.

A pattern that ends in its only ``*`` is an index range and nothing else.  For any other, the range of
its literal beginning narrows what GLOB (SQLite) or LIKE (PostgreSQL) decides; both are
case-sensitive and count characters, as A-27 asks, and neither takes a character of the key for a
metacharacter of its own.
"""

from __future__ import annotations

import re

LONGEST = 1000
"""Characters of a pattern that a database is asked to decide; SQLite refuses beyond 50,000 octets."""

_LAST = "\U0010ffff"  # no character follows it: a range cannot end behind it


def literal(wildcard: str) -> str:
    """Return what stands before the first wildcard."""
    return _WILD.split(wildcard, maxsplit=1)[0]


def only_stars(wildcard: str) -> bool:
    """Tell whether *wildcard* asks for any text at all."""
    return bool(wildcard) and not wildcard.strip("*")


def bounds(wildcard: str) -> tuple[str, str] | None:
    """Return the half-open range, byte by byte, of what begins like *wildcard*; None for everything."""
    prefix = literal(wildcard).rstrip(_LAST)
    if not prefix:
        return None
    following = ord(prefix[-1]) + 1
    # Surrogates are no characters: U+D7FF is followed by U+E000.
    return prefix, prefix[:-1] + chr(0xE000 if following == 0xD800 else following)


def is_range(wildcard: str) -> bool:
    """Tell whether `bounds` alone decides *wildcard*."""
    start = literal(wildcard)
    return only_stars(wildcard[len(start) :]) and start == start.rstrip(_LAST) != ""


def glob(wildcard: str) -> str:
    """Return *wildcard* for SQLite's GLOB, where only "[" is special besides * and ?."""
    return _STARS.sub("*", wildcard).replace("[", "[[]")


def like(wildcard: str) -> str:
    r"""Return *wildcard* for LIKE with the escape character "\"."""
    escaped = re.sub(r"([\\%_])", r"\\\1", _STARS.sub("*", wildcard))
    return escaped.replace("*", "%").replace("?", "_")


_WILD = re.compile(r"[*?]")
_STARS = re.compile(r"\*+")
