"""The acceptor's state machine: the whole table, and octets however they are split."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.fsm import ACTIONS, TRANSITION_TABLE

from mwl.dicom import pdu
from mwl.dicom.limits import Limit
from mwl.dicom.pdu import PduType
from mwl.dicom.service import AssociationEnded, Rejection
from mwl.dicom.upper_layer import (
    TABLE,
    Action,
    Artim,
    Close,
    Ended,
    Ending,
    Event,
    Output,
    PduLimits,
    Received,
    ReleaseRequested,
    Requested,
    Send,
    State,
    UpperLayer,
)

REQUEST = pdu.HEADER.pack(PduType.ASSOCIATE_RQ, 68) + b"\x00\x01" + bytes(66)
ACCEPT = pdu.HEADER.pack(PduType.ASSOCIATE_AC, 68) + b"\x00\x01" + bytes(66)
DATA = pdu.data_header(1, 3, 4) + b"data"
RELEASE = pdu.HEADER.pack(PduType.RELEASE_RQ, 4) + bytes(4)
ABORT = pdu.abort(0, 0)
CELLS = list(itertools.product(State, Event))
NEVER_BLANK = {State.AWAITING_REQUEST: {Event.ABORT}}  # blank in Table 9-10, defined here


def run(upper: UpperLayer, octets: bytes) -> list[Output]:
    """Feed *octets* as a shell would that accepts everybody and agrees to every release."""
    outputs: list[Output] = []
    for output in upper.receive(octets):
        outputs.append(output)
        if isinstance(output, Requested):
            outputs += upper.accept(ACCEPT)
        elif isinstance(output, ReleaseRequested):
            outputs += upper.release()
    return outputs


def in_state(state: State) -> UpperLayer:
    upper = UpperLayer(PduLimits())
    upper.state = state
    return upper


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_every_event_is_defined_in_every_state(state: State, event: Event) -> None:
    """Each cell holds an action and a state."""
    action, following = TABLE[state][event]

    assert isinstance(action, Action)
    assert isinstance(following, State)


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_the_table_agrees_with_pynetdicoms(state: State, event: Event) -> None:
    """Where pynetdicom's copy of Table 9-10 has an action, ours has the same with the same outcome."""
    action, following = TABLE[state][event]
    theirs = TRANSITION_TABLE.get((event.value.rstrip("a"), state.value))

    if theirs is None:
        blank = action in (Action.NOTHING, Action.REFUSE) and following is state
        assert blank or event in NEVER_BLANK.get(state, ())
    else:
        assert action.value.rstrip("a") == theirs
        outcome = ACTIONS[theirs][2]
        assert following.value in ((outcome,) if isinstance(outcome, str) else outcome)


def test_an_association_runs_its_course() -> None:
    """Request, data and release lead through accepting and back to a transport that is waited for."""
    upper = UpperLayer(PduLimits())
    begun = upper.connected()
    outputs = run(upper, REQUEST + DATA + RELEASE)

    assert begun == (Artim(running=True),)
    assert outputs == [
        Artim(running=False), Requested(REQUEST), Send(ACCEPT), Received(DATA[6:]),
        ReleaseRequested(), Send(pdu.RELEASE_RP), Artim(running=True), Ended(Ending.RELEASED),
    ]  # fmt: skip
    assert upper.state is State.AWAITING_CLOSE
    assert upper.disconnected() == (Artim(running=False),)
    assert upper.state is State.IDLE


@given(st.lists(st.sampled_from([DATA, RELEASE, ABORT, REQUEST, b"\x99"]), max_size=6), st.data())
def test_octets_may_be_split_anywhere(following: list[bytes], data: st.DataObject) -> None:
    """The outputs do not depend on how the stream was cut on its way."""
    stream = b"".join([REQUEST, *following])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)) | {0, len(stream)})
    whole, cut = in_state(State.AWAITING_REQUEST), in_state(State.AWAITING_REQUEST)

    expected = run(whole, stream)
    found = [output for a, b in itertools.pairwise(cuts) for output in run(cut, stream[a:b])]

    assert found == expected
    assert cut.state is whole.state


@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([*State][1:]))
def test_no_octets_are_unforeseen(pieces: list[bytes], state: State) -> None:
    """Whatever arrives in whatever state ends in a state, and the association ends once."""
    upper = in_state(state)
    outputs = [output for piece in pieces for output in run(upper, piece)]

    assert upper.state in State
    assert sum(isinstance(output, Ended) for output in outputs) <= 1


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"\x99\x00\x00\x00\x00\x04", 1),  # no such PDU
        (b"\x04\x00\xff\xff\xff\xff", 6),  # a length nobody could mean
        (b"\x05\x00\x00\x00\x00\x05", 6),  # a release is four octets long
        (ACCEPT, 2),  # a PDU for requestors
    ],
)
def test_a_pdu_that_may_not_be_ends_the_association(octets: bytes, reason: int) -> None:
    """The provider aborts with the reason, from the header alone, and starts ARTIM."""
    upper = in_state(State.ASSOCIATED)
    sent, artim, ended = run(upper, octets)

    assert sent == Send(pdu.abort(2, reason))
    assert artim == Artim(running=True)
    assert isinstance(ended, Ended)
    assert ended.how is Ending.VIOLATION


def test_a_stream_out_of_step_is_not_read_any_more() -> None:
    """After a PDU whose end is unknown nothing is taken for a PDU, and nothing is kept."""
    upper = in_state(State.ASSOCIATED)
    run(upper, b"\x99" + bytes(5))

    assert run(upper, ABORT + DATA * 1000) == []
    assert not upper.inside_pdu


@pytest.mark.parametrize("octets", [DATA, RELEASE, ABORT[:1] + ABORT[1:2] + b"\0\0\0\x05", b"GET / HTTP/1.1"])
def test_nothing_but_a_request_begins_an_association(octets: bytes) -> None:
    """Before the request every other PDU is answered with an abort of the provider (E-10)."""
    upper = in_state(State.AWAITING_REQUEST)
    outputs = run(upper, octets)

    assert isinstance(outputs[0], Send)
    assert outputs[0].octets[:9] == pdu.abort(2, 0)[:9]
    assert upper.state is State.AWAITING_CLOSE


def test_an_unknown_protocol_version_is_rejected_by_the_provider() -> None:
    """A request without the bit of version 1 is answered 1/2/2 (E-04)."""
    upper = in_state(State.AWAITING_REQUEST)
    outputs = run(upper, REQUEST[:6] + b"\x00\x02" + REQUEST[8:])

    assert outputs[0] == Send(pdu.rejection(Rejection(1, 2, 2)))
    assert upper.state is State.AWAITING_CLOSE


def test_a_rejection_waits_for_the_peer_to_close() -> None:
    """After A-ASSOCIATE-RJ ARTIM runs, and its end closes the transport (E-07)."""
    upper = in_state(State.AWAITING_DECISION)
    outputs = upper.reject(Rejection(1, 1, 7))

    assert outputs == (
        Send(pdu.rejection(Rejection(1, 1, 7))), Artim(running=True), Ended(Ending.REJECTED, "1/1/7"),
    )  # fmt: skip
    assert upper.artim_expired() == (Artim(running=False), Close())


def test_a_peer_that_asks_for_nothing_is_closed() -> None:
    """ARTIM ends the wait for a request (F-A05)."""
    upper = in_state(State.AWAITING_REQUEST)

    assert upper.artim_expired() == (
        Artim(running=False), Ended(Ending.NO_REQUEST, limit=Limit.ARTIM), Close(),
    )  # fmt: skip


def test_the_peers_abort_is_told_with_its_reason() -> None:
    """A-ABORT ends the association and closes the transport at once."""
    upper = in_state(State.ASSOCIATED)

    assert run(upper, pdu.abort(2, 6)) == [
        Ended(Ending.ABORTED_BY_PEER, "source 2 reason 6"), Close(),
    ]  # fmt: skip


ACTS: dict[str, Callable[[UpperLayer], Iterable[Output]]] = {
    "accept": lambda upper: upper.accept(ACCEPT),
    "reject": lambda upper: upper.reject(Rejection(1, 1, 1)),
    "send": lambda upper: upper.send(DATA),
    "release": lambda upper: upper.release(),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", [State.IDLE, State.AWAITING_CLOSE])
def test_nothing_can_be_said_when_the_association_is_over(act: str, state: State) -> None:
    """The local user gets `AssociationEnded`, and the state stays."""
    upper = in_state(state)

    with pytest.raises(AssociationEnded):
        ACTS[act](upper)
    assert upper.state is state


def test_a_violation_found_above_is_an_invalid_pdu() -> None:
    """What the assembler objects to ends the association like a PDU with an invalid value."""
    upper = in_state(State.ASSOCIATED)

    assert upper.violation("no such context") == (
        Send(pdu.abort(2, 6)), Artim(running=True), Ended(Ending.VIOLATION, "no such context"),
    )  # fmt: skip
