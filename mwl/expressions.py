"""Regular expressions that an engineer writes and a peer's text is held against, in bounded time.

Python's matcher tries every way in which an expression can share out a text, and some expressions have
very many.  Two kinds of them are told apart by the expression's shape:

* Ways that multiply with every character: a repetition inside a repetition, where a character may belong
  to either, as in ``(a+)+`` or ``(\\w+ ?)*``.  These are refused.
* Ways that multiply with the length: repetitions that may take each other's characters, as in
  ``.*a.*b``.  These are taken, and see so much of a text that the ways stay below `_WAYS`.

A repetition whose next character never belongs to it, as in ``(\\d+,)*``, has one way alone, and costs
nothing.  The shape is read from what the standard library's own parser makes of the expression.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from re import _constants as code  # type: ignore[attr-defined]  # the parser has no public name
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

LONGEST: Final = 500
"""Characters of an expression."""

_SEEN: Final = 10_240  # characters of a text, as many as LT holds (PS3.5 6.2)
_WAYS: Final = 1_000_000  # some 20 ms
_FEW: Final = 8  # repetitions that multiply the ways by a constant

# Every letter that is told from another one in an expression for a worklist, or stands for its kind.
_LETTERS: Final = frozenset(map(chr, range(256))) | frozenset(
    "\u0100\u03b1\u0416\u05d0\u0661\u30a2\u5c71\uac00"
)
_ANY: Final = _LETTERS - {"\n"}
_END: Final = frozenset({""})
_KINDS: Final = {
    code.CATEGORY_DIGIT: re.compile(r"\d"), code.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    code.CATEGORY_SPACE: re.compile(r"\s"), code.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    code.CATEGORY_WORD: re.compile(r"\w"), code.CATEGORY_NOT_WORD: re.compile(r"\W"),
}  # fmt: skip
_REPEATS: Final = {code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT}
_ENDS: Final = {code.AT_END, code.AT_END_STRING}
_BEGINNINGS: Final = {code.AT_BEGINNING, code.AT_BEGINNING_STRING}

Letters = frozenset[str]
Nodes = Sequence[tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression, and how much of a text it is held against."""

    compiled: re.Pattern[str]
    seen: int  # characters

    def found_in(self, text: str) -> bool:
        """Tell whether it is found in *text*, or in its beginning where that is longer than `seen`."""
        return self.compiled.search(text[: self.seen]) is not None

    def is_all_of(self, text: str) -> bool:
        """Tell whether it matches the whole of *text*; a text that is longer than `seen` is none."""
        return len(text) <= self.seen and self.compiled.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def expression(text: str) -> Expression:
    """Return the regular expression *text*.

    Raises `ValueError` with a reason fit for an engineer for what is none, and for what may take for ever.
    """
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what may mean something else in another version
            compiled = re.compile(text)
        nodes = parser.parse(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    shape = _Shape(folds=bool(compiled.flags & re.IGNORECASE) or "(?" in text)
    # An expression that begins anywhere is tried from every letter on.
    degree = shape.degree(list(nodes), frozenset()) + shape.scans + (not _begins(list(nodes)))
    ways = math.floor((_WAYS * math.factorial(degree)) ** (1 / degree)) if degree else _SEEN
    if ways < _LEAST:
        raise ValueError("has too many repetitions that may take each other's characters")
    return Expression(compiled, min(ways, _SEEN))


_LEAST: Final = 64
"""Characters of LO and PN: an expression that could not see these is of no use."""


def _begins(nodes: Nodes) -> bool:
    return bool(nodes) and nodes[0][0] is code.AT and nodes[0][1] in _BEGINNINGS


class _Shape:
    """Finds in how many ways an expression can share out a text."""

    def __init__(self, *, folds: bool) -> None:
        self._folds = folds
        self.scans = False  # whether a repetition takes letters that it may have to give back

    def degree(self, nodes: Nodes, after: Letters, *, looped: bool = False) -> int:
        """Return to which power of a text's length the ways grow.

        *after* are the letters that may follow; *looped* says that *nodes* are repeated: then a choice
        that the next letter does not settle is refused.
        """
        found = 0
        for kind, value in reversed(nodes):
            found += self._of(kind, value, after, looped=looped)
            first, empty = self._first([(kind, value)])
            after = _END if kind is code.AT and value in _ENDS else first | (after if empty else set())
        return found

    def _of(self, kind: Any, value: Any, after: Letters, *, looped: bool) -> int:
        if kind in _REPEATS:
            least, most, body = value
            return self._repeat(least, most, body, after, looped=looped)
        if kind is code.BRANCH:
            return self._branch(value[1], after, looped=looped)
        if kind in (code.SUBPATTERN, code.ATOMIC_GROUP):
            return self.degree(value[-1] if kind is code.SUBPATTERN else value, after, looped=looped)
        if kind in (code.ASSERT, code.ASSERT_NOT, code.GROUPREF, code.GROUPREF_EXISTS):
            if looped:
                raise ValueError("may take for ever: a reference or a look ahead stands inside a repetition")
            return sum(self.degree(each, _LETTERS) for each in _inner(kind, value))
        return 0

    def _repeat(self, least: int, most: int, body: Nodes, after: Letters, *, looped: bool) -> int:
        first, empty = self._first(body)
        again, settled = most > 1, least == most or not first & after
        # What takes any letter is at the end at once; what nothing follows gives nothing back.
        if settled and most > _FEW and after and not (after == _END and first >= _ANY):
            self.scans = True
        if again and empty and most > _FEW:
            raise _endless()
        # A single letter that is repeated makes no choice within itself.
        inner = self.degree(
            body, after | first if again else after, looped=looped or (again and _is_long(body))
        )
        if settled:
            return inner
        if looped:
            raise _endless()
        return inner + (most > _FEW)

    def _branch(self, choices: Sequence[Nodes], after: Letters, *, looped: bool) -> int:
        seen: Letters = frozenset()
        for each in choices:
            first, empty = self._first(each)
            first |= after if empty else set()
            if looped and seen & first:
                raise _endless()
            seen |= first
        return max(self.degree(each, after, looped=looped) for each in choices)

    def _first(self, nodes: Nodes) -> tuple[Letters, bool]:
        """Return the letters that *nodes* may begin with, and whether they match the empty text."""
        found: Letters = frozenset()
        for kind, value in nodes:
            first, empty = self._begin(kind, value)
            found |= first
            if not empty:
                return found, False
        return found, True

    def _begin(self, kind: Any, value: Any) -> tuple[Letters, bool]:
        if kind in _REPEATS:
            first, empty = self._first(value[2])
            return first, empty or value[0] == 0
        if kind is code.BRANCH:
            firsts = [self._first(each) for each in value[1]]
            return frozenset().union(*(first for first, _ in firsts)), any(empty for _, empty in firsts)
        if kind in (code.SUBPATTERN, code.ATOMIC_GROUP):
            return self._first(value[-1] if kind is code.SUBPATTERN else value)
        if kind in (code.GROUPREF, code.GROUPREF_EXISTS):
            return _LETTERS, True
        if kind in (code.AT, code.ASSERT, code.ASSERT_NOT):
            return frozenset(), True
        return self._folded(_letters(kind, value)), False

    def _folded(self, letters: Letters) -> Letters:
        if not self._folds:
            return letters
        return letters | {
            form for each in letters for form in (each.lower(), each.upper()) if form in _LETTERS
        }


def _letters(kind: Any, value: Any) -> Letters:
    """Return the letters that a node of one letter matches."""
    if kind is code.LITERAL:
        return frozenset(chr(value))
    if kind is code.RANGE:
        return frozenset(each for each in _LETTERS if value[0] <= ord(each) <= value[1])
    if kind is code.CATEGORY:
        return frozenset(filter(_KINDS[value].match, _LETTERS))
    if kind is code.NOT_LITERAL:
        return _LETTERS - {chr(value)}
    if kind is code.IN:
        without = value[0][0] is code.NEGATE
        found = frozenset().union(*(_letters(*each) for each in value[without:]))
        return _LETTERS - found if without else found
    return _LETTERS  # ANY


def _inner(kind: Any, value: Any) -> list[Nodes]:
    if kind is code.GROUPREF:
        return []
    return [each for each in value[1:] if each is not None]


def _is_long(body: Nodes) -> bool:
    """Tell whether there is a choice inside *body*: it is more than one letter."""
    return len(body) > 1 or body[0][0] in _REPEATS or body[0][0] in (code.BRANCH, code.SUBPATTERN)


def _endless() -> ValueError:
    return ValueError(
        "may take for ever: a repetition stands inside a repetition, and a character may belong to either; "
        "let each inner one end with a character that it cannot contain, as in ([^,]*,)*"
    )
