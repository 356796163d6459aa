"""Korean syllables in Latin letters."""

from __future__ import annotations

import pytest

from mwl.names.hangul import is_hangul, romanised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("홍길동", "honggildong"),
        ("김", "gim"),
        ("최", "choe"),
        ("박", "bak"),
        ("값", "gap"),
        ("힣", "hit"),
        ("가", "ga"),
        ("쇠똥", "soettong"),
        ("A 이^나", "A i^na"),
        ("洪", "洪"),
    ],
)
def test_syllables_are_spelled_by_the_revised_romanisation(text, expected):
    """Each by itself; what is no syllable stays."""
    assert romanised(text) == expected


def test_hangul_is_told_from_other_scripts():
    """One syllable is enough."""
    assert is_hangul("A홍")
    assert not is_hangul("洪ホンA")
