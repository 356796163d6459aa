"""Other characters for the same text, where a character set lacks the ones that were written.

Composed for decomposed accents, full-width for half-width kana, the common for the variant form of
a kanji, ASCII for the compatibility forms of Unicode.  Characters that fit are never touched.

Numbers and units keep their value, which Unicode's compatibility forms alone would not do: "2½"
must not become "21/2", "10⁶" not "106", and a microgram not a milligram.
"""

from __future__ import annotations

import re
import unicodedata

from mwl.mapping.text.charset import CharacterSet

# Forms of one kanji in Japanese names that JIS X 0208 lacks → the form it has (F-X16).
_COMMON_FORMS = str.maketrans("髙﨑𠮷濵栁德瀨增寬曻冨桒邉邊靑淸緖", "高崎吉浜柳徳瀬増寛昇富桑辺辺青清緒")
_MICRO = "\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}"
_DECIMAL_POINTS = "\N{MIDDLE DOT}\N{DOT OPERATOR}\N{BULLET OPERATOR}"


def soften(text: str, cs: CharacterSet, forbidden: re.Pattern[str]) -> str:
    """Return *text* with what does not fit *cs* replaced where equal characters exist.

    The result may still not fit.  A replacement never brings in what *forbidden* finds.
    """
    composed = unicodedata.normalize("NFC", text)
    if cs.fits(composed):
        return composed
    pieces: list[str] = []
    run = ""
    for at, char in enumerate(composed):
        if cs.fits(char):
            pieces += (_compatible(run, cs, forbidden), char)
            run = ""
        else:
            run += _same_quantity(composed[at - 1 : at], char, composed[at + 1 : at + 2])
    return "".join((*pieces, _compatible(run, cs, forbidden)))


def _compatible(run: str, cs: CharacterSet, forbidden: re.Pattern[str]) -> str:
    """Return *run*, of characters that do not fit, in common and compatibility forms."""
    if not run or cs.fits(run):
        return run
    common = "".join(
        plain if cs.fits(plain) else char
        for char, plain in zip(run, run.translate(_COMMON_FORMS), strict=True)
    )
    folded = unicodedata.normalize("NFKC", common)
    return common if forbidden.search(folded) else folded


def _same_quantity(before: str, char: str, after: str) -> str:
    """Return *char* so that what is made of it later means the same number or unit.

    *before* and *after* are its neighbours, "" at the ends.
    """
    if char in _MICRO and not (_is_greek(before) or _is_greek(after)):
        return "u"
    if char in _DECIMAL_POINTS and before.isdecimal() and after.isdecimal():
        return "."
    if char == "≠":
        return "<>"
    if unicodedata.category(char) == "No":  # ², ½, ①: a number of its own
        return (" " if before.isdecimal() else "") + char + (" " if after.isdecimal() else "")
    if _is_greek(char) and (_joins(before) or _joins(after)):
        return unicodedata.name(char).rpartition(" LETTER ")[2].split()[0].lower()  # β-blocker, TNFα
    return char


def _is_greek(char: str) -> bool:
    return "\u0370" <= char <= "\u03ff" and char.isalpha()


def _joins(char: str) -> bool:
    return char == "-" or (char.isascii() and char.isalnum())
