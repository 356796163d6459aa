"""Command sets: what is understood means the same when it is written and read again.

python tests/fuzz/fuzz_command.py -max_total_time=60
"""

from __future__ import annotations

from harness import hunt, watched

with watched():
    from mwl.dicom.dimse import decode_command, encode_command
    from mwl.dicom.pdu import Malformed


def one_input(data: bytes) -> None:
    """Read any octets as a command set."""
    try:
        command = decode_command(data)
    except Malformed:
        return
    assert isinstance(command.field, int)
    again = decode_command(encode_command(command.elements))
    # A comment is cut to what LO holds, and trailing blanks are nobody's.
    assert {tag: value for tag, value in again.elements.items() if tag != 0x902} == {
        tag: value for tag, value in command.elements.items() if tag != 0x902
    }


if __name__ == "__main__":
    hunt(__file__, one_input)
