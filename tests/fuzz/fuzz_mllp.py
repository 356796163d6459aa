"""MLLP framing: what comes out depends on the octets, never on how they were cut.

    python tests/fuzz/fuzz_mllp.py -max_total_time=60

The first octet says how the stream is cut.
"""

from __future__ import annotations

from harness import hunt, watched

with watched():
    from mwl.hl7.mllp import Deframer, Event, Frame, frame

LIMIT = 256


def events(stream: bytes, size: int) -> list[Event]:
    deframer = Deframer(LIMIT)
    found = [
        event
        for begin in range(0, len(stream), size)
        for event in deframer.feed(stream[begin : begin + size])
    ]
    return found + deframer.flush()


def one_input(data: bytes) -> None:
    """Take a stream at once and in pieces; what was framed frames again."""
    if not data:
        return
    stream = data[1:]
    whole = [event for event in events(stream, len(stream) or 1) if isinstance(event, Frame)]
    cut = [event for event in events(stream, data[0] + 1) if isinstance(event, Frame)]
    assert whole == cut
    for found in whole:
        assert len(found.payload) <= LIMIT
        assert Frame(found.payload) in events(frame(found.payload), 3)


if __name__ == "__main__":
    hunt(__file__, one_input)
