"""What a peer sends before and during an association: PDUs, negotiation, fragments, command sets.

    python tests/fuzz/fuzz_pdu.py -max_total_time=60

The first octet says how the stream is cut; the rest is the stream, taken by an acceptor without a socket.
"""

from __future__ import annotations

from harness import hunt, watched

with watched():
    from mwl.dicom.dimse import Assembler, Message, MessageLimits
    from mwl.dicom.negotiation import Terms, answer
    from mwl.dicom.pdu import Malformed, pdvs
    from mwl.dicom.proposal import read
    from mwl.dicom.upper_layer import (
        Ended,
        Output,
        PduLimits,
        Received,
        ReleaseRequested,
        Requested,
        State,
        UpperLayer,
    )

SERVICES = frozenset({"1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"})
LIMITS = PduLimits(request=4096, data=4096)


class Shell:
    """What stands between an upper layer and its socket, without the socket."""

    def __init__(self) -> None:
        self.upper = UpperLayer(LIMITS)
        self.upper.connected()
        self.assembler: Assembler | None = None
        self.ended = 0

    def take(self, octets: bytes) -> None:
        for output in self.upper.receive(octets):
            self.do(output)

    def do(self, output: Output) -> None:
        match output:
            case Requested():
                self.decide(output.request)
            case Received():
                self.receive(output.body)
            case ReleaseRequested():
                self.all(self.upper.release())
            case Ended():
                self.ended += 1

    def all(self, outputs: tuple[Output, ...]) -> None:
        for output in outputs:
            self.do(output)

    def decide(self, request: bytes) -> None:
        try:
            proposal = read(request)
        except Malformed as fault:
            self.all(self.upper.violation(str(fault)))
            return
        if rejection := proposal.objection():
            self.all(self.upper.reject(rejection))
            return
        accepted = answer(proposal, Terms(SERVICES, 16384))
        assert accepted.octets[0] == 2
        assert int.from_bytes(accepted.octets[2:6], "big") == len(accepted.octets) - 6
        self.assembler = Assembler(accepted.contexts, MessageLimits(1024, 1024))
        self.all(self.upper.accept(accepted.octets))

    def receive(self, body: bytes) -> None:
        assert self.assembler is not None
        try:
            for pdv in pdvs(body):
                message = self.assembler.add(pdv)
                assert message is None or isinstance(message, Message)
        except Malformed as fault:
            self.all(self.upper.violation(str(fault)))


def one_input(data: bytes) -> None:
    """Take a stream in pieces: it ends in a state of PS3.8, the association once at most."""
    if not data:
        return
    size, stream = data[0] + 1, data[1:]
    shell = Shell()
    for begin in range(0, len(stream), size):
        shell.take(stream[begin : begin + size])
    shell.all(shell.upper.disconnected())
    assert shell.upper.state is State.IDLE
    assert shell.ended == 1


if __name__ == "__main__":
    hunt(__file__, one_input)
