"""An association as a device has it: what it proposes, what it takes, and how it ends."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import pytest

from foreign.dicom.provider import EXPLICIT, IMPLICIT, VERIFICATION, WORKLIST, item
from mwl.dicom.emulators import DEVICES, Emulator, emulate
from mwl.errors import Unavailable

ABORT_BY_PROVIDER = struct.pack(">BxIxxBB", 7, 4, 2, 1)
REJECTED = struct.pack(">BxIxBBB", 3, 4, 1, 1, 3)
RELEASE = struct.pack(">BxI4x", 5, 4)
CT = DEVICES["sim-ge-ct"]


def data(length: int, context: int = 1) -> bytes:
    """Return a P-DATA-TF of *length* bytes: one PDV, a command fragment of blanks."""
    return struct.pack(">BxIIBB", 4, length, length - 4, context, 1) + b" " * (length - 6)


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_says_who_it_is(provider, name):
    """AE titles, implementation, PDU size and contexts are those of its description."""
    device = replace(DEVICES[name], message_id=1)
    at = provider.start()

    emulate(device, at=at, called="SCP")

    calling, called, implementation, version, pdu = provider.identity
    assert (calling.strip(), called.strip()) == (device.ae, "SCP")
    assert (implementation, version or "") == (device.implementation_uid, device.implementation_version)
    assert pdu == device.max_pdu
    assert [(2 * n + 1, *each) for n, each in enumerate(device.proposes)] == provider.proposed
    assert provider.released.acquire(timeout=30)


def test_titles_are_sent_as_they_are(provider):
    """F55: nothing between the device and the wire mends an AE title."""
    at = provider.start()

    emulate(CT, at=at, ae="../etc", called="SCP")

    assert provider.identity[0].strip() == "../etc"


def test_nobody_there_is_unavailable():
    """The one thing that is no outcome of a query."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        at = closed.getsockname()

    with pytest.raises(Unavailable, match="cannot be reached"):
        emulate(CT, at=at)


def test_a_rejected_association_is_shown_with_its_reason(provider):
    """PS3.8 Table 9-21: the console says why."""
    provider.entity.require_called_aet = True
    at = provider.start()

    seen = emulate(CT, at=at, called="WRONG")

    assert seen.error == "association rejected: called AE title not recognised"
    assert (seen.status, seen.shown) == (None, [])


def test_a_worklist_context_that_is_refused_is_said(provider):
    """A provider without a worklist; and what was refused beside it is in the log."""
    at = provider.start(classes=(VERIFICATION,))

    seen = emulate("sim-siemens-flc", at=at)

    assert seen.error == f"no presentation context for {WORKLIST} was accepted"
    assert seen.log == [f"presentation context 3 ({WORKLIST}) was refused"]


def test_verification_may_be_refused(provider):
    """The worklist goes on without it; the log has it."""
    at = provider.start(item(), classes=(WORKLIST,))

    seen = emulate(replace(DEVICES["sim-siemens-flc"], message_id=1), at=at)

    assert len(seen.shown) == 1
    assert seen.log == [f"presentation context 1 ({VERIFICATION}) was refused"]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2"])
def test_what_comes_is_read_in_the_transfer_syntax_that_was_accepted(provider, syntax):
    """The provider chooses among those the device proposes."""
    at = provider.start(item(PatientName="M\u00fcller^J\u00fcrgen"), syntaxes=[syntax])

    seen = emulate("sim-lowcost-cn", at=at)

    assert seen.received[0]["00100010"]["Value"] == [{"Alphabetic": "M\u00fcller^J\u00fcrgen"}]


def test_an_abort_is_said(scripted):
    """By whom, and why."""
    peer = scripted(b"", ABORT_BY_PROVIDER)

    seen = emulate(CT, at=peer.at)

    assert seen.error == "association aborted by the peer (DUL service-provider: Unrecognised PDU)"


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ((b"", RELEASE), "the peer released the association before it answered"),
        ((None,), "the peer closed the connection before it answered"),
        ((b"", data(50_001)), "a PDU of 50001 bytes came; the device takes 50000"),
        ((b"", b"HTTP/1.1 400 Bad Request\r\n"), "what answers is no DICOM application"),
        ((b"", struct.pack(">BxIIBB", 4, 6, 2, 1, 3)), "what came is no DIMSE message"),
        ((b"", struct.pack(">BxI", 4, 3) + b"\0\0\0"), "what came is no P_DATA_TF"),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_left(scripted, says, error):
    """The device aborts and its console says what happened; nothing hangs."""
    peer = scripted(*says)

    assert emulate(CT, at=peer.at).error == error


def test_an_acceptance_that_is_none_is_said(scripted):
    """Garbage where A-ASSOCIATE-AC is due, a rejection, or another PDU."""
    garbage = scripted(accept=struct.pack(">BxI", 2, 72) + b"\0" * 68 + b"\x21\0\xff\xff")
    rejection = scripted(accept=REJECTED)
    other = scripted(accept=RELEASE)

    assert emulate(CT, at=garbage.at).error == "what came is no A_ASSOCIATE_AC"
    assert emulate(CT, at=rejection.at).error == "association rejected: calling AE title not recognised"
    assert emulate(CT, at=other.at).error == "the association request was not answered"


def test_a_response_is_bounded(scripted, monkeypatch):
    """A peer that never ends its message is left."""
    monkeypatch.setattr("mwl.dicom.emulators.association.MOST_BYTES", 100)
    peer = scripted(b"", data(60) + data(60))

    assert emulate(CT, at=peer.at).error == "a response has more than 100 bytes"


def test_a_silent_peer_is_aborted_when_the_device_s_time_is_over(scripted):
    """F54: the time is the device's, and can be another for a test."""
    peer = scripted()

    seen = emulate("sim-philips-mg", at=peer.at, timeout=0.2)
    peer.close()

    assert DEVICES["sim-philips-mg"].timeout == 240
    assert seen.error == "no answer within 0.2 seconds"
    assert peer.heard == [1, 4, 4, 7]


def test_a_pdu_of_several_values_is_taken_apart(scripted):
    """PS3.8 E.1: two messages may share a P-DATA-TF."""
    elements = b"".join(
        struct.pack("<HHI", 0, number, len(value)) + value
        for number, value in [
            (0x0002, WORKLIST.encode()), (0x0100, b"\x20\x80"), (0x0120, b"\1\0"), (0x0800, b"\1\1"),
            (0x0900, b"\0\0"),
        ]
    )  # fmt: skip
    command = struct.pack("<HHII", 0, 0, 4, len(elements)) + elements
    pending = command.replace(b"\x00\x09\x02\x00\x00\x00\x00\x00", b"\x00\x09\x02\x00\x00\x00\x00\xff")
    pending = pending.replace(b"\x00\x08\x02\x00\x00\x00\x01\x01", b"\x00\x08\x02\x00\x00\x00\x01\x00")
    match = b"\x10\x00\x20\x00\x04\x00\x00\x00PID1"
    values = b"".join(
        struct.pack(">IBB", len(part) + 2, 1, control) + part
        for control, part in [(3, pending), (2, match), (3, command)]
    )
    peer = scripted(b"", struct.pack(">BxI", 4, len(values)) + values)

    seen = emulate("sim-terason", at=peer.at)

    assert (seen.statuses, seen.error) == ([0xFF00, 0], "")
    assert seen.received == [{"00100020": {"vr": "LO", "Value": ["PID1"]}}]


def test_a_request_is_cut_to_what_the_peer_takes(provider):
    """PS3.8 D.1: the maximum length of the acceptance bounds each P-DATA-TF."""
    provider.entity.maximum_pdu_size = 128
    at = provider.start(item())

    seen = emulate(CT, at=at)

    assert len(seen.shown) == 1
    assert len(provider.encoded[0]) > 128


def test_a_device_may_be_changed_for_a_test(provider):
    """F09: a workstation that proposes Query/Retrieve to a worklist."""
    study_root = "1.2.840.10008.5.1.4.1.2.2.1"
    at = provider.start()

    seen = Emulator(replace(CT, proposes=((study_root, (IMPLICIT,)),)), at).run()

    assert seen.error == f"no presentation context for {WORKLIST} was accepted"
    assert seen.log == [f"presentation context 1 ({study_root}) was refused"]
