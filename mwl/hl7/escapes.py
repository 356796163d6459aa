r"""Delimiters and escape sequences of ER7 (HL7 2.5.1 chapter 2.7; D-22, D-27).

The sender chooses the delimiters, so none is a constant.  An escape sequence that is not one of the
standard's stays as it was written: ``C:\TEMP\`` and ``\TEST\`` are text, and so is a lone ``\``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as computed
from functools import lru_cache

_BLANK = " \t\n"
_LINES = 20  # most blank lines one \.sp makes
_SPACES = 80  # most spaces one \.sk makes
_HEX = r"(?:[0-9A-Fa-f]{2})"


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The delimiters of one message; an escape character of "" means that nothing in it is escaped."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = "#"
    declared: str = "^~\\&"  # MSH-2 as an answer repeats it
    hollow: str = computed(init=False, repr=False, compare=False)
    """Of what a field without content may consist."""

    def __post_init__(self) -> None:
        hollow = self.repetition + self.component + self.subcomponent + _BLANK
        object.__setattr__(self, "hollow", hollow)

    @classmethod
    def read(cls, field: str, declared: str) -> Delimiters | None:
        """Return the delimiters that MSH-1 and MSH-2 declare, None where they cannot be delimiters.

        What MSH-2 leaves out has its usual character; only the escape character is then none (D-22).
        """
        if len(declared) > 5:
            return None
        return cls._known(field, declared)

    @staticmethod
    @lru_cache(maxsize=64)  # every sender of a site declares the same ones
    def _known(field: str, declared: str) -> Delimiters | None:
        if any(char.isalnum() or not char.isprintable() or char == " " for char in field + declared):
            return None
        if len(set(field + declared)) < 1 + len(declared):
            return None
        component, repetition, subcomponent = (
            declared[i] if len(declared) > i else default for i, default in ((0, "^"), (1, "~"), (3, "&"))
        )
        if len({field, component, repetition, subcomponent}) < 4:
            return None
        return Delimiters(
            field,
            component,
            repetition,
            declared[2:3],
            subcomponent,
            declared[4:] or "#",
            declared or "^~\\&",
        )


USUAL = Delimiters()


def escape(text: str, delimiters: Delimiters = USUAL) -> str:
    """Return *text* as it stands in a field: delimiters and control characters escaped.

    Where the message has no escape character they become spaces: they would be read as structure.
    """
    if not delimiters.escape:
        return re.sub(rf"[\x00-\x1f{_literal(delimiters)}]", " ", text)
    return _to_escape(delimiters).sub(lambda match: _escaped(match[0], delimiters), text)


def unescape(text: str, delimiters: Delimiters = USUAL, codec: str = "utf-8") -> str:
    """Return what *text*, already split, means; hexadecimal bytes are read in *codec*."""
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    if _switch(mark).search(text):
        text = _switched(text, mark)
    return _sequence(mark).sub(lambda match: _meaning(match, delimiters, codec), text)


def _literal(delimiters: Delimiters) -> str:
    d = delimiters
    return re.escape(d.field + d.component + d.repetition + d.escape + d.subcomponent)


@lru_cache(maxsize=64)
def _to_escape(delimiters: Delimiters) -> re.Pattern[str]:
    return re.compile(rf"\r\n|[\x00-\x1f{_literal(delimiters)}]")


def _escaped(found: str, delimiters: Delimiters) -> str:
    d = delimiters
    letters = {d.field: "F", d.component: "S", d.subcomponent: "T", d.repetition: "R", d.escape: "E"}
    letter = ".br" if found == "\r\n" else letters.get(found) or f"X{ord(found):02X}"
    return f"{d.escape}{letter}{d.escape}"


@lru_cache(maxsize=16)
def _sequence(mark: str) -> re.Pattern[str]:
    """Return what finds every sequence; bytes of one character may stand in adjacent ``X`` sequences."""
    e = re.escape(mark)
    return re.compile(
        rf"(?P<hex>(?:{e}X{_HEX}+{e})+)"
        rf"|{e}(?:(?P<letter>[FSTREPHN])|Z[0-9A-Za-z]*"
        rf"|\.(?i:(?P<format>br|sp|in|ti|ce|fi|nf|sk))\s?(?P<count>[+-]?[0-9]{{0,4}})){e}"
    )


def _meaning(match: re.Match[str], delimiters: Delimiters, codec: str) -> str:
    if match["hex"]:
        raw = bytes.fromhex("".join(re.findall(rf"X({_HEX}+)", match["hex"])))
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            return match[0]
    if letter := match["letter"]:
        d = delimiters
        signs = {"F": d.field, "S": d.component, "T": d.subcomponent, "R": d.repetition, "E": d.escape}
        return {**signs, "P": d.truncation}.get(letter, "")  # \H\ and \N\ only change the looks
    return _layout((match["format"] or "").lower(), abs(int(match["count"] or "0")) if match["count"] else 0)


def _layout(command: str, count: int) -> str:
    match command:
        case "br" | "ce":
            return "\r\n"
        case "sp":
            return "\r\n" * min(max(count, 1), _LINES)
        case "sk":
            return " " * min(count, _SPACES)
        case _:  # indents, filling, and what a site made up (\Z..\)
            return ""


@lru_cache(maxsize=16)
def _switch(mark: str) -> re.Pattern[str]:
    e = re.escape(mark)
    return re.compile(rf"{e}[CM]({_HEX}{{2,3}}){e}")


def _switched(text: str, mark: str) -> str:
    r"""Decode text that changes its character set by ``\C..\`` and ``\M..\`` (the bytes after ESC).

    Only the Japanese sets are met this way; what cannot be read so keeps its text without the switches.
    """
    with_escapes = _switch(mark).sub(lambda m: "\x1b" + bytes.fromhex(m[1]).decode("latin-1"), text)
    try:
        return with_escapes.encode("latin-1").decode("iso2022_jp_ext")
    except UnicodeError:
        return _switch(mark).sub("", text)
