"""An association with one peer for requests that follow one another, opened by the first of them.

For what the outbox sends to DICOM peers: a burst of requests shares an association, and none is held
open while there is nothing to say.  Blocking, like everything that pynetdicom does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR, socket
from typing import TypeAlias

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_CREATE, N_EVENT_REPORT, N_SET
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from mwl.dicom.requestor import Peer, at, opened
from mwl.errors import Unavailable

Primitive: TypeAlias = N_CREATE | N_SET | N_EVENT_REPORT
"""A request, or the response to it."""

_GLANCE = 0.0001  # seconds between two looks; pynetdicom's own
_LAST_MESSAGE = 65535


class Unanswered(Unavailable):
    """The request has left, and no answer came: whether the peer has done it nobody knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer made of a request."""

    status: int
    error_id: int | None = None
    comment: str = ""

    def __str__(self) -> str:
        error_id = "" if self.error_id is None else f", Error ID {self.error_id:04X}"
        return f"{self.status:04X}{error_id}" + (f": {self.comment}" if self.comment else "")


class Carrier:
    """Carries requests to one peer; used by one thread at a time."""

    def __init__(self, peer: Peer, roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = ()) -> None:
        self.peer = peer
        self._roles = tuple(roles)
        self._association: Association | None = None
        self._number = 0  # of the last message
        self._line: socket | None = None
        self._over = False

    def contexts(self, proposed: Iterable[PresentationContext]) -> list[PresentationContext]:
        """Return the contexts the peer has accepted; associate, *proposed*, where that is still to do.

        Raises `Unavailable`.
        """
        if self._association is None or not self._association.is_established:
            self.close()
            self._association = opened(self.peer, list(proposed), self._roles, self._connected)
            self._number = 0
        return list(self._association.accepted_contexts)

    def ask(self, context: PresentationContext, request: Primitive) -> Answer:
        """Send one request and return the answer; raise `Unavailable`, or `Unanswered` once it has left."""
        association = self._association
        if association is None or context.context_id is None:
            raise Unavailable(f"{at(self.peer)}: no association")
        self._number = self._number % _LAST_MESSAGE + 1
        request.MessageID = self._number
        response = _response(association, context.context_id, request)
        if response is None or not response.is_valid_response:
            self._drop()
            what = "did not answer" if response is None else "gave an answer that is none"
            raise Unanswered(f"{at(self.peer)} {what}")
        return Answer(
            int(response.Status or 0), getattr(response, "ErrorID", None),
            str(getattr(response, "ErrorComment", None) or ""),
        )  # fmt: skip

    def close(self) -> None:
        """Release the association, if there is one."""
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()
        line, self._line = self._line, None
        if line is not None:  # pynetdicom forgets one that was closed by somebody else
            line.close()

    def hang_up(self) -> None:
        """Give up what is under way, for good, from any thread: it sees that the connection was closed."""
        self._over = True
        if (line := self._line) is not None:
            _shut(line)

    def _connected(self, line: socket) -> None:
        self._line = line
        if self._over:
            _shut(line)

    def _drop(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            association.abort()


def _shut(line: socket) -> None:
    with suppress(OSError):  # it is closed
        socket.shutdown(line, SHUT_RDWR)  # not a TLS socket's own, which would take the layer away as well


def _response(association: Association, context_id: int, request: Primitive) -> Primitive | None:
    """Do as pynetdicom's ``send_…``, which take no bytes for a data set.

    They also wait for ever where the peer ends the association in the wrong moment.
    """
    association._reactor_checkpoint.clear()  # noqa: SLF001 - the response is ours to take, not the reactor's
    try:
        while not association._is_paused and association.is_alive():  # noqa: SLF001
            time.sleep(_GLANCE)
        if not association.is_established:
            raise Unavailable("the peer ended the association before the request")
        association.dimse.send_msg(request, context_id)
        _, response = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()  # noqa: SLF001
    return response  # type: ignore[return-value]
