"""Korean syllables in Latin letters: the Revised Romanisation of 2000, syllable by syllable.

In names it takes no account of how syllables change one another's sound (its rule 3.4.2), so that each
syllable is spelled alike wherever it stands.
"""

from __future__ import annotations

_FIRST, _LAST = 0xAC00, 0xD7A3
_INITIALS = (
    "g",
    "kk",
    "n",
    "d",
    "tt",
    "r",
    "m",
    "b",
    "pp",
    "s",
    "ss",
    "",
    "j",
    "jj",
    "ch",
    "k",
    "t",
    "p",
    "h",
)
_VOWELS = (
    "a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo", "u", "wo", "we", "wi", "yu",
    "eu", "ui", "i",
)  # fmt: skip
_FINALS = (
    "", "k", "k", "k", "n", "n", "n", "t", "l", "k", "m", "l", "l", "l", "p", "l", "m", "p", "p", "t", "t",
    "ng", "t", "t", "k", "t", "p", "t",
)  # fmt: skip


def is_hangul(text: str) -> bool:
    """Tell whether *text* has a Korean syllable."""
    return any(_FIRST <= ord(sign) <= _LAST for sign in text)


def romanised(text: str) -> str:
    """Return *text* with its Korean syllables in lower-case Latin letters; anything else stays."""
    return "".join(_syllable(sign) if _FIRST <= ord(sign) <= _LAST else sign for sign in text)


def _syllable(sign: str) -> str:
    initial, rest = divmod(ord(sign) - _FIRST, 21 * 28)
    vowel, final = divmod(rest, 28)
    return _INITIALS[initial] + _VOWELS[vowel] + _FINALS[final]
