"""Command sets as octets, messages as fragments, and what breaks either."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.tag import Tag
from pynetdicom import dimse_messages, dsutils
from pynetdicom.dimse_primitives import C_FIND

from mwl.dicom.dimse import Assembler, Fragmenter, Message, MessageLimits, decode_command, encode_command
from mwl.dicom.pdu import HEADER, PDV, Malformed, pdvs
from mwl.dicom.service import Command, Context

CONTEXTS = {number: Context(number, "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.2") for number in (1, 3)}
COMMAND = encode_command({0x2: "1.2.840.10008.5.1.4.31", 0x100: 0x20, 0x110: 7, 0x800: 1})
COMMAND_ALONE = encode_command({0x100: 0x30, 0x110: 7, 0x800: 0x101})

_text = st.text("ABC abc.123*", max_size=40).map(str.strip)
_number = st.integers(0, 0xFFFF)
_tags = st.lists(st.integers(0, 0xFFFFFFFF), max_size=5).map(tuple)
COMMAND_SETS = st.fixed_dictionaries(
    {0x100: _number, 0x800: _number},
    optional={
        0x2: _text, 0x3: _text, 0x110: _number, 0x120: _number, 0x600: _text, 0x700: _number,
        0x900: _number, 0x901: _tags, 0x902: _text, 0x903: _number, 0x1000: _text, 0x1001: _text,
        0x1005: _tags, 0x1008: _number, 0x4242: st.binary(max_size=20),
    },
)  # fmt: skip


def assembler(**limits: int) -> Assembler:
    return Assembler(CONTEXTS, MessageLimits(**limits))


def feed(target: Assembler, octets: bytes) -> list[Message]:
    """Take PDUs apart and feed their PDVs."""
    found: list[Message] = []
    while octets:
        _, length = HEADER.unpack_from(octets)
        body, octets = octets[6 : 6 + length], octets[6 + length :]
        found += [message for pdv in pdvs(body) if (message := target.add(pdv))]
    return found


@given(COMMAND_SETS)
def test_a_command_set_survives_its_encoding(elements: dict[int, object]) -> None:
    """Decoding what was encoded gives the same elements."""
    assert decode_command(encode_command(elements)) == Command(elements)


@given(COMMAND_SETS)
def test_group_length_counts_what_follows(elements: dict[int, object]) -> None:
    """(0000,0000) is the length of the rest (PS3.7 E.1)."""
    octets = encode_command(elements)

    assert struct.unpack_from("<HHII", octets) == (0, 0, 4, len(octets) - 12)


def test_a_command_set_reads_as_pynetdicom_wrote_it() -> None:
    """The foreign encoder's C-FIND-RQ is understood attribute by attribute."""
    primitive = C_FIND()
    primitive.MessageID, primitive.AffectedSOPClassUID, primitive.Priority = 4711, "1.2.840.10008.5.1.4.31", 2
    primitive.Identifier = BytesIO(b"\0\0")
    message = dimse_messages.C_FIND_RQ()
    message.primitive_to_message(primitive)
    command = decode_command(dsutils.encode(message.command_set, True, True))

    assert (command.field, command.message_id, command.has_data) == (0x20, 4711, True)
    assert command.affected_sop_class_uid == "1.2.840.10008.5.1.4.31"


def test_pynetdicom_reads_a_command_set_as_it_was_written() -> None:
    """A response with lists and comment means the same to pydicom."""
    octets = encode_command({
        0x2: "1.2.3", 0x100: 0x8020, 0x120: 5, 0x800: 0x101, 0x900: 0xA900, 0x901: [0x00400002, 0x00100010],
        0x902: "x" * 99,
    })  # fmt: skip
    theirs = dsutils.decode(BytesIO(octets), True, True)

    assert theirs.OffendingElement == [Tag(0x00400002), Tag(0x00100010)]
    assert theirs.ErrorComment == "x" * 64
    assert (theirs.AffectedSOPClassUID, theirs.Status) == ("1.2.3", 0xA900)


def test_what_a_peer_left_out_is_seen_as_absent() -> None:
    """Message ID and SOP class may be missing, or empty (F52)."""
    command = decode_command(
        COMMAND_ALONE[:12] + struct.pack("<HHI", 0, 2, 0) + encode_command({0x100: 0x20, 0x800: 1})
    )

    assert (command.message_id, command.affected_sop_class_uid) == (None, None)


@given(st.binary(max_size=200))
def test_no_octets_are_unforeseen(octets: bytes) -> None:
    """Any octets are a command set or malformed."""
    try:
        assert isinstance(decode_command(octets).field, int)
    except Malformed:
        pass


@pytest.mark.parametrize(
    "octets",
    [
        COMMAND[:-1],
        COMMAND + b"\x08\x00\x05\x00\x00\x00\x00\x00",  # an element of a data set
        struct.pack("<HHIH", 0, 0x100, 4, 0x20) + b"\0\0",
        encode_command({0x110: 1, 0x800: 1}),
        encode_command({0x100: 0x20}),
    ],
    ids=["cut", "group 0008", "long number", "no field", "no data set type"],
)
def test_a_command_set_that_cannot_be_meant_is_malformed(octets: bytes) -> None:
    """The association cannot go on after it."""
    with pytest.raises(Malformed):
        decode_command(octets)


@given(st.binary(max_size=300), st.integers(8, 120))
def test_a_message_survives_its_fragments(data: bytes, max_pdu: int) -> None:
    """Fragments of any size join to the message they were cut from; no PDU is longer than the peer takes (F-A07)."""
    fragmenter = Fragmenter(3, max_pdu)
    octets = fragmenter.command(COMMAND) + fragmenter.data(data)
    (message,) = feed(assembler(), octets)

    assert (message.context.id, message.command.message_id, message.data) == (3, 7, data)
    offset = 0
    while offset < len(octets):
        _, length = HEADER.unpack_from(octets, offset)
        assert length <= max_pdu
        offset += 6 + length


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=12), st.integers(8, 64), st.integers(1, 400))
def test_batched_responses_are_those_sent_one_by_one(sets: list[bytes], max_pdu: int, batch: int) -> None:
    """Batching changes the number of writes, not a single octet."""
    fragmenter = Fragmenter(1, max_pdu)
    command = fragmenter.command(COMMAND)
    batches = list(fragmenter.pendings(command, sets, batch))

    assert b"".join(octets for octets, _ in batches) == b"".join(command + fragmenter.data(s) for s in sets)
    assert sum(count for _, count in batches) == len(sets)


def test_a_message_without_data_set_ends_with_its_command() -> None:
    """Command Data Set Type 0101 says that nothing follows (12.2)."""
    (message,) = feed(assembler(), Fragmenter(1, 16384).command(COMMAND_ALONE))

    assert message.data is None


def test_a_longer_data_set_is_thrown_away_and_the_next_message_read() -> None:
    """Nothing beyond the limit is kept, and the request can still be refused in its own protocol."""
    fragmenter = Fragmenter(1, 64)
    target = assembler(identifier=100, data_set=100)
    long, short = feed(
        target,
        fragmenter.command(COMMAND)
        + fragmenter.data(bytes(101))
        + fragmenter.command(COMMAND)
        + fragmenter.data(bytes(100)),
    )

    assert (long.data, long.oversize) == (None, True)
    assert (short.data, short.oversize) == (bytes(100), False)


def test_a_command_set_has_a_longest_length() -> None:
    """A command that goes on and on is malformed before it is whole."""
    target = assembler(command_set=100)

    with pytest.raises(Malformed):
        target.add(PDV(1, 1, bytes(101)))


@pytest.mark.parametrize(
    "sequence",
    [
        [PDV(5, 3, COMMAND)],
        [PDV(1, 2, b"data")],
        [PDV(1, 3, COMMAND), PDV(1, 3, COMMAND)],
        [PDV(1, 3, COMMAND), PDV(3, 2, b"data")],
        [PDV(1, 1, COMMAND[:20]), PDV(1, 2, b"data")],
        [PDV(1, 3, b"")],
    ],
    ids=[
        "unaccepted context",
        "data first",
        "command again",
        "other context",
        "data within command",
        "empty command",
    ],
)
def test_fragments_out_of_turn_are_malformed(sequence: list[PDV]) -> None:
    """PS3.8 Annex E leaves no room for them."""
    target = assembler()
    *before, last = sequence
    for pdv in before:
        target.add(pdv)

    with pytest.raises(Malformed):
        target.add(last)


@given(
    st.lists(
        st.builds(PDV, st.sampled_from([1, 3, 5]), st.integers(0, 255), st.binary(max_size=60)), max_size=8
    )
)
def test_no_sequence_of_fragments_is_unforeseen(sequence: list[PDV]) -> None:
    """Any PDVs give messages or are malformed."""
    target = assembler()
    try:
        for pdv in sequence:
            assert isinstance(target.add(pdv), Message | None)
    except Malformed:
        pass


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0\x01\x01",
        b"\0\0\0\x06\x01\x03da",
        b"\0\0\0\x04\x01\x03da\0\0",
        b"\xff\xff\xff\xff\x01\x03",
    ],
)
def test_a_pdv_must_fit_its_pdu(body: bytes) -> None:
    """A length that lies is malformed (E-10)."""
    with pytest.raises(Malformed):
        list(pdvs(body))
