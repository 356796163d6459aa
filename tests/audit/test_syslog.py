"""Syslog messages are those of RFC 5424, framed as RFC 5425 says."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from mwl.audit.syslog import Sender, framed, message

AT = dt.datetime(2026, 7, 5, 9, 0, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def test_a_message_has_the_header_that_collectors_sort_by():
    """Facility 10, severity notice, UTC, MSGID of DICOM, and UTF-8 behind its mark."""
    found = message("<ü/>".encode(), AT, Sender("broker1", "mwl", "4711"))

    assert found == (
        b"<85>1 2026-07-05T07:00:00.123456Z broker1 mwl 4711 DICOM+RFC3881 - \xef\xbb\xbf<\xc3\xbc/>"
    )


def test_an_alert_is_a_warning():
    """Severity 4."""
    assert message(b"", AT, Sender("h", "a", "p"), warning=True).startswith(b"<84>1 ")


def test_names_that_are_none_cannot_break_the_header():
    """Blanks and other alphabets are replaced, nothing at all is the nil value."""
    found = message(b"", AT, Sender("höst name", "", "x" * 200))

    assert found.split(b" ")[2:5] == [b"h_st_name", b"-", b"x" * 128]


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_frames_are_taken_apart_again(messages: list[bytes]):
    """The length in front of each says where the next begins."""
    stream, found = framed(messages), []
    while stream:
        length, _, rest = stream.partition(b" ")
        found.append(rest[: int(length)])
        stream = rest[int(length) :]

    assert found == messages
