"""Japanese syllables in Latin letters (Hepburn); long vowels as written: たろう is *tarou*.

anyascii reads each sign for itself and so has *shiyouta* for しょうた; here signs that share a
syllable are joined: small vowels and ya, yu, yo with the sign before, small tsu with the one after.
"""

from __future__ import annotations

import unicodedata

_GLIDES = "ゃゅょャュョ"
_SMALL_VOWELS = "ぁぃぅぇぉァィゥェォ"
_DOUBLERS = "っッ"
_WITHOUT_Y = ("sh", "ch", "j")


def hepburn(kana: str) -> str:
    """Return *kana*, of either kind and width, in lower-case Latin letters."""
    from anyascii import anyascii

    read: list[str] = []
    double = False
    for sign in unicodedata.normalize("NFKC", kana):
        if sign in _DOUBLERS:
            double = True
            continue
        sound = anyascii(sign)
        if read and sign in _GLIDES:
            read.append(_glide(read.pop(), sound))
        elif read and sign in _SMALL_VOWELS:
            read.append(_vowel(read.pop(), sound))
        else:
            if double and sound and sound[0] not in "aiueon-":
                sound = ("t" if sound.startswith("ch") else sound[0]) + sound
            read.append(sound)
        double = False
    return "".join(read)


def _glide(before: str, sound: str) -> str:
    """Join ki + ya to kya, shi + ya to sha."""
    if len(before) < 2 or not before.endswith("i"):
        return before + sound
    onset = before[:-1]
    return onset + (sound[1:] if onset.endswith(_WITHOUT_Y) else sound)


def _vowel(before: str, sound: str) -> str:
    """Join fu + a to fa, te + i to ti, u + i to wi."""
    if before == "u":
        return "w" + sound
    return before[:-1] + sound if len(before) > 1 and before[-1] in "aiueo" else before + sound
