"""The same word has the same pseudonym, of the same form, and only the key leads back."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.errors import BadDocument
from mwl.workbench.pseudonyms import WORD, Pseudonyms, new_key, read_key

OURS = Pseudonyms(bytes(range(32)))
OTHER = Pseudonyms(bytes(32))

LETTERS = st.characters(categories=("Lu", "Ll", "Lo", "Lt", "Lm", "Nd", "Nl", "No"))


@given(st.text(LETTERS, min_size=1, max_size=40))
def test_the_key_leads_back(text: str) -> None:
    """Whatever the script."""
    assert OURS.original(OURS.text(text)) == text


@given(st.lists(st.integers(0, 99999), unique=True, max_size=50))
def test_two_words_never_share_a_pseudonym(numbers: list[int]) -> None:
    """Two patients stay two."""
    assert len({OURS.word(f"{n:05}") for n in numbers}) == len(numbers)


@pytest.mark.parametrize(
    "text", ["JOHANNSEN", "PID000123", "山田太郎", "ヤマダ", "김철수", "Müller", "Иванов"]
)
def test_a_pseudonym_has_the_form_of_its_word(text: str) -> None:
    """Length, case and script; and it is another one under another key."""
    other = OURS.text(text)

    assert other != text != OTHER.text(text) != other
    assert [(c.isdecimal(), c.isupper(), c.islower(), ord(c) > 0x3000) for c in other] == [
        (c.isdecimal(), c.isupper(), c.islower(), ord(c) > 0x3000) for c in text
    ]


def test_a_word_is_the_same_wherever_it_stands() -> None:
    """In a name, in a note, in another case."""
    name = OURS.text("JOHANNSEN^Ute")
    note = OURS.text("Frau Johannsen, Ute")

    assert name.partition("^")[0].lower() == WORD.findall(note)[1].lower()
    assert name.partition("^")[2] == WORD.findall(note)[2]


def test_a_japanese_name_stays_one_that_its_character_set_has() -> None:
    """JIS X 0208 and half-width katakana."""
    assert OURS.text("ﾔﾏﾀﾞ=山田=やまだ").encode("iso2022_jp_ext")


def test_a_uid_stays_a_uid() -> None:
    """No arc begins with a zero; one of the standard's stays, and who issued it is seen."""
    uid = "1.2.276.0.7230010.3.1.2.8323329.1.1517875185.0"

    other = OURS.uid(uid)

    assert other.startswith("1.2.276.")
    assert len(other) == len(uid)
    assert other != uid
    assert not any(arc.startswith("0") and arc != "0" for arc in other.split("."))
    assert OURS.uid(other, back=True) == uid
    assert OURS.text(f"study {uid},").endswith(f"{other},")
    assert OURS.uid("1.2.840.10008.5.1.4.31") == "1.2.840.10008.5.1.4.31"


def test_dates_move_together_by_whole_weeks() -> None:
    """Weekdays, intervals and times of day stay; what is no date is a word."""
    moved = OURS.dates("20260705093000+0200, 20260706-20260713, 2026-07-05T10:00, 20261399")
    first, *_ = moved.split(",")

    was, now = dt.date(2026, 7, 5), dt.date(int(first[:4]), int(first[4:6]), int(first[6:8]))
    assert (was - now).days % 7 == 0
    assert (was - now).days >= 364
    assert first.endswith("093000+0200")
    assert f"{now:%Y-%m-%d}T10:00" in moved
    assert f"{now + dt.timedelta(1):%Y%m%d}-{now + dt.timedelta(8):%Y%m%d}" in moved
    assert "20261399" not in moved
    assert OURS.dates(moved, back=True).startswith("20260705093000+0200, 20260706-20260713, 2026-07-05T10:00")


def test_a_key_is_made_and_read() -> None:
    """What is no key is told with its file."""
    assert len(read_key(new_key(), "site.key")) == 32
    for rubbish in ("", "00", "x" * 64):
        with pytest.raises(BadDocument, match=r"site\.key"):
            read_key(rubbish, "site.key")


@given(st.dates(dt.date(1880, 1, 1), dt.date(2040, 1, 1)))
def test_a_day_of_birth_changes_its_place_within_a_year(day: dt.date) -> None:
    """Who knows by how much the others moved is a year off at most, and knows no day."""
    moved = dt.date.fromisoformat(OURS.births(f"{day:%Y%m%d}"))

    assert abs(moved + OURS.shift - day) < dt.timedelta(days=365)
    assert OURS.day(f"{moved:%Y%m%d}", birth=True) == str(day)


@pytest.mark.parametrize("text", ["JOHANNSEN", "7731552", "20260705 for Ute", "20261399", "197"])
def test_what_stands_in_the_place_of_a_date_is_words(text: str) -> None:
    """A sender whose fields are shifted by one gives nobody away."""
    for change in (OURS.dates, OURS.births):
        assert not set(WORD.findall(change(text))) & set(WORD.findall(text))


@pytest.mark.parametrize("text", ["1970", "197001"])
def test_a_date_that_is_not_whole_moves_too(text: str) -> None:
    """A year, or a month of one."""
    assert len(OURS.births(text)) == len(text)
    assert OURS.births(text)[:4] < text[:4]
