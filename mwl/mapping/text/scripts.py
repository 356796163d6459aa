"""Words of any script in ASCII letters, and which language ideographs may be read in.

Chinese has one reading for each ideograph, with exceptions for surnames (`pinyin`).  Japanese has
none that a program could know, and the Chinese reading of a Japanese name is somebody else's name.
So ideographs are read as Chinese only where nothing speaks against it.  What does: kana or Hangul
anywhere in the text, a kanji that neither mainland China nor Taiwan writes, a device that asks for
a Japanese or Korean character set, and in a name a shape that Chinese names do not have (山田^太郎:
a family name of two characters that is no double surname), unless one of its characters is unknown
in Japan.  What remains undecided is a Japanese name of Chinese shape, such as 林^明.
"""

from __future__ import annotations

import re

from mwl.mapping.text.charset import CharacterSet
from mwl.names import kana, pinyin

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_KANA = "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
_RUN = re.compile(f"[{_HAN}]+|[{_KANA}]+|[^{_HAN}{_KANA}]+")
_IDEOGRAPH = re.compile(f"[{_HAN}]")
_KANA_SIGN = re.compile(f"[{_KANA}]")
_NOT_CHINESE = re.compile(f"[{_KANA}{_HANGUL}々〆𠮷]")


def has_ideographs(text: str) -> bool:
    """Tell whether *text* has characters without a reading of their own."""
    return _IDEOGRAPH.search(text) is not None


def may_be_chinese(text: str, cs: CharacterSet) -> bool:
    """Tell whether ideographs in *text*, meant for a reader of *cs*, may be read as Chinese."""
    if cs.japanese or cs.korean or _NOT_CHINESE.search(text):
        return False
    return not any(_is_japanese(char) for char in _IDEOGRAPH.findall(text))


def may_be_chinese_name(name: str, cs: CharacterSet) -> bool:
    """Tell the same of a person name, its groups joined by "="."""
    if not may_be_chinese(name, cs):
        return False
    if any(not _has(char, "cp932") for char in _IDEOGRAPH.findall(name)):
        return True
    return all(_has_chinese_shape(*_family_and_given(group)) for group in name.split("="))


def read_word(word: str, *, chinese: bool) -> str:
    """Return *word* in ASCII; without *chinese* its ideographs are left out.

    Delimiters may come out of it: a full-width ``＾`` is read as ``^``.
    """
    from anyascii import anyascii

    text, apart = "", False
    for run in _RUN.findall(word):
        was_apart, apart = apart, True
        if _IDEOGRAPH.match(run):
            part = "".join(s.capitalize() for s in pinyin.syllables(run)) if chinese else ""
        elif _KANA_SIGN.match(run):
            part = kana.hepburn(run)
        else:
            part, apart = anyascii(run), False
            part = part.upper() if run.isupper() else part  # Щ is Shch, in ЩУКИН it is SHCH
        if (apart or was_apart) and text[-1:].isalnum() and part[:1].isalnum():
            text += " "
        text += part
    return text


def read_family(word: str, *, alone: bool) -> str:
    """Return a family component, of Chinese if of ideographs; *alone* it may hold the given name too."""
    if not _IDEOGRAPH.match(word):
        return read_word(word, chinese=True)
    family, rest = pinyin.surname(word)
    given = read_word(rest, chinese=True)
    return family + (" " if alone and given else "") + given


def _family_and_given(group: str) -> tuple[str, str]:
    family, given, *_ = (*group.split("^"), "")
    return family, given


def _has_chinese_shape(family: str, given: str) -> bool:
    """Tell whether the characters can be a surname of one or two, and one or two for the given name."""
    longest = 2 if family[:2] in pinyin.DOUBLE else 1
    if not given:
        longest += 2
    return len(_IDEOGRAPH.findall(family)) <= longest and len(_IDEOGRAPH.findall(given)) <= 2


def _is_japanese(ideograph: str) -> bool:
    return _has(ideograph, "cp932") and not _has(ideograph, "gb2312") and not _has(ideograph, "big5")


def _has(char: str, codec: str) -> bool:
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
