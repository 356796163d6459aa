"""ISO-2022-JP as systems write it; what a message makes of it is in test_text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.hl7 import japanese


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Yamada", "Yamada"),
        (b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "山田^太郎"),
        (b"\x1b$@;3ED\x1b(J|", "山田|"),
        (b"\xd4\xcf\xc0\xde^\x1b$B;3\x1b(J", "ﾔﾏﾀﾞ^山"),
        (b"\x1b(I\x54\x4f\x1b(B^", "ﾔﾏ^"),
        (b"\x1b$B\x7c\x62\x79\x75\x2d\x21\x1b(B", "髙﨑①"),
        (b"\x1b$(D\x30\x21\x1b(B", "丂"),
        (b"\x1b$B;3\rED", "山\rED"),
        (b"\x1b(J\\T\\~", "\\T\\~"),
        (b"", ""),
    ],
)
def test_escapes_lead_from_set_to_set(raw: bytes, text: str):
    """A line begins in the one-byte sets; 5C and 7E are what HL7 takes them for."""
    assert japanese.read(raw) == text


@pytest.mark.parametrize(
    ("raw", "at"),
    [(b"a\x1b$B;\x1b(B", 4), (b"\x80", 0), (b"ab\xe0", 2), (b"a\x1b$)Cx", 1), (b"\x1b$B;3\x7f\x7f", 5)],
)
def test_what_is_no_text_is_found_at_its_place(raw: bytes, at: int):
    """The place becomes segment and field of the answer."""
    with pytest.raises(UnicodeDecodeError) as caught:
        japanese.read(raw)

    assert caught.value.start == at


@given(st.lists(st.sampled_from("aZ|^&\\~ｱﾔ･山田亜東髙﨑①丂\r"), max_size=30).map("".join))
def test_japanese_text_is_read_as_cpython_and_windows_write_it(text: str):
    """Wherever another writer of ISO-2022-JP puts its escapes, the text is the same."""
    try:
        written = text.encode("iso2022_jp_ext")
    except UnicodeEncodeError:
        return  # it has no escapes for NEC's and IBM's rows

    assert japanese.read(written) == text
