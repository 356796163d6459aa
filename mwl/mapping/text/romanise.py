"""Text for a device whose character set lacks some of it.

Text that fits is never touched.  Otherwise equal characters are tried first (`equivalents`), and
what still does not fit is treated by the *policy* of the profile (P31): read in Latin letters,
dropped, replaced by question marks, or refused.

Japanese and Korean ideographs are never read as Chinese (`scripts` says how they are told apart).
A name in such ideographs takes the reading that one of its other groups gives: the alphabetic
group if that fits, else the phonetic one in Hepburn.  Without one the name loses the group: a
missing name is seen, a wrong one is not.  In other text the ideographs are left out.  A site that
knows all its names to be Chinese says so in the profile, which then calls `read_name` itself (P22).

Every other script is transliterated letter by letter, words that fit excepted.  In a name, letters
of a script without upper and lower case come out in capitals: WANG^XIAOMING (F40).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum

from mwl.mapping.text.charset import DEFAULT, CharacterSet, Unfit
from mwl.mapping.text.equivalents import soften
from mwl.mapping.text.scripts import (
    has_ideographs,
    may_be_chinese,
    may_be_chinese_name,
    read_family,
    read_word,
)
from mwl.model import person_name

GROUPS = ("Alphabetic", "Ideographic", "Phonetic")

# What must not come into being inside a value: delimiters and controls.
_NOT_IN_TEXT = re.compile(r"[\\\x00-\x1f\x7f]")
_NOT_IN_NAMES = re.compile(r"[\\^=\x00-\x1f\x7f]")
_TEXT_WORD = re.compile(r"[^ \t\r\n\f\\]+")
_NAME_WORD = re.compile(r"[^ \t\r\n\f\\^=]+")


class Policy(StrEnum):
    """What happens to text that does not fit the device's character set (P31 ``unfit``)."""

    TRANSLITERATE = "transliterate"
    DROP_GROUP = "drop_group"  # text that has no groups is left out altogether
    QUESTION = "question"  # a wrong name: only where an engineer asks for it by this word
    SKIP_ITEM = "skip_item"  # raises Unfit


def fit_text(
    text: str, cs: CharacterSet, policy: Policy | str = Policy.TRANSLITERATE
) -> tuple[str, list[str]]:
    """Return *text* in a form that *cs* can write, and notes on what was done, without patient data.

    Raises `Unfit` under the policy ``skip_item`` alone, `ValueError` for an unknown policy.
    """
    policy = Policy(policy)
    if cs.fits(text):
        return text, []
    softer = soften(text, cs, _NOT_IN_TEXT)
    if cs.fits(softer):
        return softer, [f"equal characters used, for {cs}"]
    match policy:
        case Policy.TRANSLITERATE:
            return _read_text(softer, cs), [f"transliterated for {cs}{_omission(softer, cs)}"]
        case Policy.DROP_GROUP:
            return "", [f"dropped, not in {cs}"]
        case Policy.QUESTION:
            return _question(softer, cs), [f"question marks for characters not in {cs}"]
        case Policy.SKIP_ITEM:
            raise Unfit(f"text does not fit {cs}")


def fit_name(
    name: Mapping[str, str], cs: CharacterSet, policy: Policy | str = Policy.TRANSLITERATE
) -> tuple[dict[str, str], list[str]]:
    """Return a person name of the JSON model in a form that *cs* can write, and notes.

    An ideographic or phonetic group that does not fit is dropped (A-55), an alphabetic one is
    treated by *policy*.  Where that would leave no group, ``transliterate`` makes an alphabetic one
    from what there was.  The result is empty when nothing of the name can be sent.  Raises as
    `fit_text` does.
    """
    policy = Policy(policy)
    if cs.fits(person_name(name), name=True):
        return dict(name), []
    softer = {group: soften(name[group], cs, _NOT_IN_NAMES) for group in GROUPS if name.get(group)}
    unfit = [group for group in softer if not cs.fits(softer[group], name=True)]
    notes = [f"{g.lower()} group: equal characters used, for {cs}" for g in softer if softer[g] != name[g]]
    if policy is Policy.SKIP_ITEM and unfit:
        raise Unfit(f"a name does not fit {cs}")
    fitted = {group: text for group, text in softer.items() if group not in unfit}
    for group in unfit:
        if policy is Policy.QUESTION:
            fitted[group] = _question(softer[group], cs)
            notes.append(f"{group.lower()} group: question marks for characters not in {cs}")
        elif policy is not Policy.TRANSLITERATE or group != "Alphabetic":
            notes.append(f"{group.lower()} group dropped, not in {cs}")
    if policy is Policy.TRANSLITERATE and ("Alphabetic" in unfit or not fitted):
        alphabetic, note = _make_alphabetic(softer, cs)
        notes.append(note)
        if alphabetic:  # a group that was in the wrong place is moved, not doubled
            fitted = {g: text for g, text in fitted.items() if text != alphabetic}
            fitted["Alphabetic"] = alphabetic
    return {group: fitted[group] for group in GROUPS if group in fitted}, notes


def read_name(group: str, cs: CharacterSet = DEFAULT) -> str:
    """Return one group of a name with the words that *cs* lacks in ASCII, ideographs as Chinese."""
    family, *given = group.split("^")
    surname, space, others = family.partition(" ")
    alone = not others and not any(given)

    def in_capitals(word: str, read: str) -> str:
        return read if any(char.islower() for char in word) else read.upper()

    surname = _each_unfit_word(
        _NAME_WORD, surname, cs, lambda word: in_capitals(word, read_family(word, alone=alone))
    )
    others, *given = (
        _each_unfit_word(_NAME_WORD, part, cs, lambda word: in_capitals(word, read_word(word, chinese=True)))
        for part in (others, *given)
    )
    return "^".join((surname + space + others, *given))


def transliterate(text: str) -> str:
    """Return *text* in ASCII."""
    return fit_text(text, DEFAULT)[0]


def preload() -> None:
    """Load the tables of readings, about 0.2 s, so that no query waits for them."""
    transliterate("王é")


def _make_alphabetic(name: Mapping[str, str], cs: CharacterSet) -> tuple[str, str]:
    """Return an alphabetic group read from the groups of *name*, "" if none can be, and a note."""
    for group in ("Alphabetic", "Phonetic", "Ideographic"):
        text = name.get(group, "")
        if text.strip("^ ") and not has_ideographs(text):
            return read_name(text, cs), f"alphabetic group transliterated from the {group.lower()} one"
    if not may_be_chinese_name("=".join(name.values()), cs):
        return "", "no alphabetic group: ideographs without a known reading"
    text = next((text for text in name.values() if has_ideographs(text)), "")
    return read_name(text, cs), "alphabetic group made of Chinese readings"


def _read_text(text: str, cs: CharacterSet) -> str:
    chinese = may_be_chinese(text, cs)
    return _each_unfit_word(_TEXT_WORD, text, cs, lambda word: read_word(word, chinese=chinese))


def _each_unfit_word(words: re.Pattern[str], text: str, cs: CharacterSet, read: Callable[[str], str]) -> str:
    forbidden = _NOT_IN_NAMES if words is _NAME_WORD else _NOT_IN_TEXT

    def fitting(word: re.Match[str]) -> str:
        return word.group() if cs.fits(word.group()) else forbidden.sub(" ", read(word.group()))

    return words.sub(fitting, text)


def _omission(text: str, cs: CharacterSet) -> str:
    if has_ideographs(text) and not may_be_chinese(text, cs):
        return ", without ideographs that have no known reading"
    return ""


def _question(text: str, cs: CharacterSet) -> str:
    return "".join(char if cs.fits(char) else "?" for char in text)
