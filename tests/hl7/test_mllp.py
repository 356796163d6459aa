"""MLLP framing."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mwl.hl7.mllp import HEAD, Cut, Deframer, Event, Frame, Noise, Oversize, frame, join


def read(stream: bytes, cuts: tuple[int, ...] = (), limit: int = 64) -> list[Event]:
    """Feed *stream*, cut at the given places, and flush."""
    deframer = Deframer(limit)
    events: list[Event] = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        events += deframer.feed(stream[start:end])
    return events + deframer.flush()


def test_a_block_gives_back_what_was_framed():
    """Framing and deframing are each other's inverse."""
    assert read(frame(b"MSH|one\rPID|two")) == [Frame(b"MSH|one\rPID|two")]


def test_f_h51_three_blocks_in_one_segment_are_three_frames_in_order():
    """What arrives together is told apart."""
    assert read(frame(b"1") + frame(b"2") + frame(b"3")) == [Frame(b"1"), Frame(b"2"), Frame(b"3")]


def test_f_h51_a_block_in_segments_of_one_byte_is_one_frame():
    """A block may arrive in as many pieces as it likes."""
    stream = frame(b"MSH|one\r")

    assert read(stream, tuple(range(1, len(stream)))) == [Frame(b"MSH|one\r")]


def test_f_h52_bytes_before_a_block_are_reported_and_skipped():
    """Garbage before VT costs no message."""
    assert read(b"GET /\r\n" + frame(b"1")) == [Noise(5), Frame(b"1")]


def test_f_h52_a_block_without_end_is_dropped_when_the_next_begins():
    """A partial is never taken for a message."""
    assert read(b"\x0bhalf" + frame(b"whole")) == [Cut(4), Frame(b"whole")]


@pytest.mark.parametrize("between", [b"\r", b"\n", b"\r\n", b"\r\r\n\n"])
def test_line_ends_between_blocks_are_no_noise(between: bytes):
    """Senders that write FS CR LF are not worth a line in the log."""
    assert read(frame(b"1") + between + frame(b"2")) == [Frame(b"1"), Frame(b"2")]


def test_a_missing_carriage_return_is_tolerated_before_the_next_block():
    """FS followed by VT ends a block (D-02)."""
    assert read(b"\x0b1\x1c" + frame(b"2")) == [Frame(b"1"), Frame(b"2")]


def test_a_missing_carriage_return_at_the_end_needs_a_flush():
    """An FS that is the last byte so far may be content: the owner of the clock decides (D-02)."""
    deframer = Deframer()

    assert deframer.feed(b"\x0b1\x1c") == []
    assert deframer.closing
    assert deframer.flush() == [Frame(b"1")]
    assert deframer.feed(b"\r" + frame(b"2")) == [Frame(b"2")]


def test_a_flush_outside_a_block_or_inside_its_content_gives_nothing():
    """Only an FS makes a block complete."""
    deframer = Deframer()
    deframer.feed(b"\x0bhalf")

    assert deframer.flush() == []
    assert deframer.inside


def test_a_separator_inside_the_content_does_not_cut_the_message():
    """FS followed by anything but CR and VT is content: half a message is never delivered."""
    assert read(frame(b"a\x1cb\x1c\x1cc")) == [Frame(b"a\x1cb\x1c\x1cc")]


def test_empty_blocks_are_frames():
    """Whoever reads messages decides what an empty one is worth."""
    assert read(frame(b"")) == [Frame(b"")]


def test_a_repeated_start_is_silent():
    """Two VT in a row lose nothing."""
    assert read(b"\x0b" + frame(b"1")) == [Frame(b"1")]


def test_noise_without_a_block_is_not_reported():
    """A health check that sends no block makes no event (D-07)."""
    assert read(b"GET / HTTP/1.0\r\n\r\n") == []


def test_f_h53_a_block_above_the_limit_is_reported_once_and_not_kept():
    """Buffering stops at the limit; the next block is read again."""
    deframer = Deframer(limit=100)
    events = deframer.feed(b"\x0bMSH")
    held = 0
    for _ in range(1000):
        events += deframer.feed(b"x" * 64)
        held = max(held, len(deframer._partial))
    events += deframer.feed(b"\x1c\r" + frame(b"2"))

    assert [type(event) for event in events] == [Oversize, Noise, Frame]
    assert events[0] == Oversize(b"MSH" + b"x" * 97)
    assert held <= 100 + 64
    assert events[-1] == Frame(b"2")


def test_the_head_of_an_oversized_block_is_bounded():
    """Enough is kept to answer, not more."""
    events = read(frame(b"y" * 100_000), limit=50_000)

    assert events == [Oversize(b"y" * HEAD)]


def test_a_block_of_exactly_the_limit_is_taken():
    """The limit is the largest size allowed."""
    assert read(frame(b"z" * 64), limit=64) == [Frame(b"z" * 64)]


def test_joined_payloads_become_blocks_of_their_own():
    """Two answers to one message leave as two blocks."""
    assert read(frame(join([b"first", b"second"]))) == [Frame(b"first"), Frame(b"second")]


_STREAM = st.lists(
    st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"\x1c\r", b"a", b"MSH|", b"x" * 30]), max_size=40
).map(b"".join)


@given(stream=_STREAM, cuts=st.lists(st.integers(0, 400), max_size=12).map(tuple), limit=st.integers(1, 80))
@example(stream=b"\x0b" + b"x" * 90 + b"\x1c\r\x0b1\x1c\r", cuts=(40, 60, 70), limit=64)
def test_the_network_may_split_the_stream_anywhere(stream: bytes, cuts: tuple[int, ...], limit: int):
    """Events depend on the bytes, never on how they arrived."""
    assert read(stream, tuple(c for c in cuts if c < len(stream)), limit) == read(stream, (), limit)


@given(
    payloads=st.lists(
        st.binary(max_size=50).filter(lambda b: b"\x0b" not in b and b"\x1c\r" not in b and b[-1:] != b"\x1c")
    )
)
def test_any_payloads_survive_framing(payloads: list[bytes]):
    """Whatever holds no block characters comes back as it was."""
    assert read(b"".join(frame(payload) for payload in payloads)) == [Frame(p) for p in payloads]
