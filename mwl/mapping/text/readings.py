"""The group of a person name that a device reads, made of another group that holds it (P22).

Each rule says what it is sure of and makes nothing else: Chinese where the engineer says that names are
Chinese, Hepburn of kana, the Revised Romanisation of Korean syllables, full-width kana of half-width ones.
Names of scripts without case come out in capitals (F40).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from mwl.mapping.text.charset import DEFAULT
from mwl.mapping.text.romanise import GROUPS, read_name
from mwl.mapping.text.scripts import has_ideographs, may_be_chinese
from mwl.names import hangul, kana

_KANA: Final = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HALF_WIDTH: Final = re.compile("[\uff61-\uff9f]+")
_LATIN: Final = re.compile("[A-Za-z]")


def _pinyin(name: Mapping[str, str]) -> str:
    if not may_be_chinese("=".join(name.values()), DEFAULT):  # with kana beside it, it is none
        return ""
    text = _first(name, has_ideographs)
    return read_name(text, DEFAULT) if text else ""


def _hepburn(name: Mapping[str, str]) -> str:
    text = _first(name, lambda group: bool(_KANA.search(group)) and not has_ideographs(group))
    return "^".join(kana.hepburn(part).upper() for part in text.split("^"))


def _rr(name: Mapping[str, str]) -> str:
    text = _first(name, lambda group: hangul.is_hangul(group) and not has_ideographs(group))
    return hangul.romanised(text).upper()


def _fullwidth_kana(name: Mapping[str, str]) -> str:
    text = _first(name, lambda group: bool(_KANA.search(group)) and not has_ideographs(group))
    # Only half-width signs: NFKC would make other letters narrow as well (F44).
    return _HALF_WIDTH.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)


RULES: dict[str, Callable[[Mapping[str, str]], str]] = {
    "pinyin": _pinyin,
    "hepburn": _hepburn,
    "rr": _rr,
    "fullwidth_kana": _fullwidth_kana,
}
"""By the words of a profile: what a rule reads in a name, "" where it finds nothing."""


def derived(name: Mapping[str, str], group: str, rule: str) -> dict[str, str]:
    """Return *name* with *group* made by *rule*, unless it is what the rule would make of it already."""
    stated = name.get(group, "")
    if rule != "fullwidth_kana" and _LATIN.search(stated) and stated.isascii():
        return dict(name)
    own_first = {group: stated, **{other: name.get(other, "") for other in GROUPS if other != group}}
    made = RULES[rule](own_first)
    return {**name, group: made} if made.strip("^ ") else dict(name)


def _first(name: Mapping[str, str], fits: Callable[[str], bool]) -> str:
    return next((text for text in name.values() if text and fits(text)), "")
