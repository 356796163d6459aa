"""Regular expressions of engineers: what may take for ever is refused, what takes long sees less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.expressions import expression

ALL, MOST, SOME = 10_240, 1414, 181


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", ALL),
        ("^XR ", ALL),
        ("[.-]", ALL),
        ("^CT(COR|HEART)", ALL),
        ("^[1-9][0-9]{0,3}$", ALL),
        (r"(\d{1,3}\.){3}\d{1,3}", ALL),
        (r"^\d+\.\d+\.\d+\.\d+\.\d+$", ALL),
        ("^([A-Z][a-z]+ )*$", ALL),
        ("^([A-Z]-?)*$", ALL),
        ("(?:foo|bar)+", ALL),
        ("(?i)^contrast|^kontrast", ALL),
        (r"\bMR\b", ALL),
        ("^([^,]*,)*x", MOST),
        ("(a|ab)*c", MOST),
        (r"\s+$", MOST),
        (r"(\w+) \1", MOST),
        ("^.*foo.*bar.*$", MOST),
        (".*a.*b", SOME),
        (".*a.*b.*c", 69),
    ],
)
def test_what_ends_soon_is_taken(text, seen):
    """By how many ways there are to share out a text: its length alone, or a power of it."""
    assert expression(text).seen == seen


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+",
        "(a+)+$",
        "(a*?)*",
        "(?:a+){2,}",
        "(.*)*",
        "(.*a){20}",
        "(a?b?)*",
        "(a|a)*",
        "(a|aa)+$",
        r"(\w+\s?)*",
        r"(\d+|\w+)*",
        "(x+x+)+y",
        "(a{1,50}){1,50}",
        "(?i)([a-z]+[A-Z]?)*",
        "(a+b|a+c)*",
        r"^(([a-z])+.)+[A-Z]([a-z])+$",
        "((?=a)a)*",
        r"(a)(\1)*",
        "(a++)+",
    ],
)
def test_a_repetition_inside_a_repetition_is_refused(text):
    """Where the next character does not settle which of them goes on."""
    with pytest.raises(ValueError, match="may take for ever"):
        expression(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[a]", "is no regular expression: Possible nested set"),
        ("[", "is no regular expression: unterminated character set"),
        ("a" * 501, "is longer than 500 characters"),
        (".*a.*b.*c.*d.*e", "has too many repetitions that may take each other's characters"),
    ],
)
def test_what_is_wrong_is_said(text, reason):
    """To the engineer who wrote it."""
    with pytest.raises(ValueError, match=reason):
        expression(text)


@pytest.mark.parametrize("text", ["(a|ab)*c", r"(\d|[a-f])+-", "^.*foo.*bar$", ".*a.*b", "[a-z ]+[0-9]"])
@pytest.mark.parametrize("letter", ["a", "ad", "foo ", "1", " "])
def test_what_is_taken_comes_to_an_end(text, letter):
    """On a text as long as there is any, made to be tried in every way."""
    taken = expression(text)

    assert not taken.found_in(letter * 100_000 + "!")
    assert not taken.is_all_of(letter * 100_000 + "!")


def test_of_a_long_text_the_beginning_counts():
    """It is found there or not at all; of all of a text it is only when all is seen."""
    taken = expression("a+b")

    assert taken.found_in("ab" + "x" * 20_000)
    assert not taken.found_in("x" * 20_000 + "ab")
    assert taken.is_all_of("aab")
    assert not taken.is_all_of("a" * taken.seen + "b")


@given(st.from_regex(r"[ab.*+?()|\[\]\\dw^${},1-3]{0,16}", fullmatch=True))
def test_whatever_is_written_is_taken_or_refused(text):
    """Nothing else comes of it, and what is taken is an expression."""
    try:
        taken = expression(text)
    except ValueError:
        return
    assert taken.found_in("ab12 ab12 " * 1000) in (True, False)
