"""The keys by which fuzzy matching finds a person name (A-26)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl import names
from mwl.query import pattern


def finds(wanted: str, stored: str) -> bool:
    """Tell whether every word of *wanted* is among the keys of *stored*."""
    keys = names.keys(stored)
    words = names.asked(wanted)
    return bool(words) and all(
        any(pattern(each).fullmatch(key) for each in alternatives for key in keys) for alternatives in words
    )


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        ("MARY^SMITH", "SMITH^MARY"),  # any order
        ("muller", "MÜLLER^Jürgen"),  # case and diacritics
        ("Mueller", "MÜLLER^Jürgen"),  # sound
        ("Meyer", "Maier^Hans"),
        ("Jonathan", "Doe^Johnathan"),
        ("Lukaszewicz", "Łukaszewicz^Ewa"),
        ("SMI*", "SMITH^MARY"),  # a beginning
        ("Wang Xiaoming", "=王^小明"),  # pinyin
        ("xiao ming", "=王^小明"),
        ("Zeng", "=曾^国藩"),  # the surname's reading
        ("OUYANG", "=欧阳^修"),
        ("やまだ", "Yamada^Tarou=山田^太郎"),  # kana meet Latin letters
        ("ﾔﾏﾀﾞ", "=山田^太郎=やまだ^たろう"),  # half-width and hiragana
        ("ヤマダ", "=山田^太郎=やまだ^たろう"),
        ("Ivanov", "Иванов^Иван"),
        ("Hong", "=洪^吉洞=홍^길동"),
    ],
)
def test_a_name_is_found_by_how_it_sounds(wanted: str, stored: str) -> None:
    """Order, case, accents, spelling and script do not stand in the way."""
    assert finds(wanted, stored)


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [("SMITH^PETER", "SMITH^MARY"), ("Jones", "SMITH^MARY"), ("Li", "=王^小明"), ("SMX*", "SMITH^MARY")],
)
def test_another_name_is_not(wanted: str, stored: str) -> None:
    """Every word that is asked for must be there."""
    assert not finds(wanted, stored)


@pytest.mark.parametrize("nothing", ["", "^^", "*", "^*", "=", "..."])
def test_a_key_without_a_letter_asks_for_no_word(nothing: str) -> None:
    """Then the caller matches it literally."""
    assert names.asked(nothing) == ()


@given(st.text(max_size=80))
def test_any_text_has_keys_and_is_found_by_itself(text: str) -> None:
    """Nothing raises; what has words is found by them in reverse order too."""
    keys = names.keys(text)

    assert all(key.strip(names.SOUND).isascii() for key in keys)
    for alternatives in names.asked(text.replace("*", " ").replace("?", " ")):
        assert alternatives
