"""How person names sound: the keys by which fuzzy matching finds them (A-26).

A name has, for each word of each component group, a *spelling*, the word in plain Latin letters
without accents, and a *sound*, its Metaphone code.  Kana are spelled in Hepburn, so that hiragana,
katakana and Latin letters meet; Chinese characters in pinyin, with the readings surnames have, so that
王小明 is found by Wang Xiaoming, and by Xiao Ming.  A key that is asked for is found when every one of
its words is: in any order, in any component.

The spellings are for finding alone.  A Japanese name in kanji gets Chinese ones too, which nobody
will type; what a device is shown is decided in `mwl.mapping`, where no such guess is made.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from mwl.names import kana, pinyin

_HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]+")
_WORDS = re.compile(r"[^\s^=,.\-'’]+")
_NOT_LETTERS = re.compile("[^a-z]")

SOUND = "~"
"""What a sound begins with; no spelling does."""
LONGEST_WORD = 64  # characters of one group of PN: nothing longer is a word of a name


@lru_cache(maxsize=2048)
def keys(name: str) -> frozenset[str]:
    """Return the keys of a stored name, ``alphabetic=ideographic=phonetic``: spellings and sounds."""
    found: set[str] = set()
    for group in name.split("="):
        for position, component in enumerate(group.split("^")):
            for word in _WORDS.findall(component):
                spelled = _spellings(word[:LONGEST_WORD], family=position == 0)
                found.update(spelled)
                # A syllable of pinyin sounds like any short name: 太, da, must not be found by DOE.
                if not _HAN.search(word):
                    found.update(sound for each in spelled if (sound := _sound(each)))
    return frozenset(found)


def asked(wanted: str) -> tuple[tuple[str, ...], ...]:
    """Return, for each word of a key that a device sends, the keys of which one must be there.

    A word that ends in ``*`` is a beginning and is given with it; other wildcards inside a word are
    dropped, because a sound has no place for them.
    """
    words = (word[:LONGEST_WORD] for word in _WORDS.findall(wanted))
    return tuple(alternatives for word in words if (alternatives := _alternatives(word)))


def _alternatives(word: str) -> tuple[str, ...]:
    plain = word.rstrip("*").replace("*", "").replace("?", "")
    spellings = sorted(_spellings(plain, family=True))
    if not spellings:
        return ()
    if word.endswith("*"):
        return tuple(f"{spelling}*" for spelling in spellings)
    sounds = {sound for each in spellings if (sound := _sound(each))}
    return (*spellings, *sorted(sounds))


def _spellings(word: str, *, family: bool) -> set[str]:
    if _HAN.search(word):
        return _pinyin(word, family=family)
    word = unicodedata.normalize("NFKC", word)
    return {plain} if (plain := _plain(kana.hepburn(word) if _KANA.search(word) else word)) else set()


def _pinyin(word: str, *, family: bool) -> set[str]:
    """Return the spelling of Chinese characters as one word, and syllable by syllable."""
    if family:
        surname, rest = pinyin.surname(word)
        parts = [surname, *(pinyin.syllables(rest) if rest else ())]
    else:
        parts = pinyin.syllables(word)
    spelled = [plain for part in parts if (plain := _plain(part))]
    given = "".join(spelled[1:]) if family else ""
    return {each for each in (*spelled, "".join(spelled), given) if each}


def _plain(word: str) -> str:
    from anyascii import anyascii

    return _NOT_LETTERS.sub("", anyascii(word).lower())


def _sound(spelling: str) -> str:
    """Return the Metaphone code of a spelling, "" where it has none; Meyer sounds like Meier."""
    from jellyfish import metaphone

    code = metaphone(spelling.replace("y", "i"))
    return SOUND + code if code else ""
