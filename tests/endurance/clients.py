"""An order's sender on a plain socket, and a device on pynetdicom.

Each keeps its connection as long as that lasts.  Whoever gets no answer cannot know what became of the request:
that is `Unanswered`, and the client repeats it, as a RIS and a modality do.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import hl7
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep as _MPPS
from pynetdicom.sop_class import ModalityWorklistInformationFind as _WORKLIST

PENDING = (0xFF00, 0xFF01)
LATER = (0xA700, 0xC001)
FAILURE = 0x0110
END = b"\x1c\r"
TIMEOUT = 60  # seconds; nothing here is a test of time

Address = tuple[str, int]


class Unanswered(Exception):
    """The connection ended before the answer, or could not be made."""


class Refused(Exception):
    """The answer was no success, or not what was promised; the text says what it was."""


class TryAgain(Refused):
    """The answer was that the broker cannot do it now."""


class Sender:
    """A RIS that sends orders."""

    def __init__(self, address: Callable[[], Address]) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self.broken = 0
        """Connections that ended before the answer, or were not to be had."""

    def send(self, message: str) -> str:
        """Return MSA-1 of the answer; raise `Unanswered`, or `TryAgain` for AR with code 207."""
        answer = self._exchange(b"\x0b" + message.encode("utf-8") + END)
        if not answer.endswith(END):
            self.close()
            self.broken += 1
            raise Unanswered
        parsed = hl7.parse(answer.strip(b"\x0b\x1c\r").decode("utf-8"))
        sent = message.split("|", 10)[9]
        code, about = str(parsed.segment("MSA")[1]), str(parsed.segment("MSA")[2])
        if about != sent:
            raise Refused(f"{sent} was answered by an answer to {about}")
        if code == "AR" and "207" in str(parsed.segment("ERR")):
            raise TryAgain("AR 207")
        return code

    def close(self) -> None:
        """Let the connection go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, block: bytes) -> bytes:
        """Return what comes back, until the end of a block or of the connection."""
        answer = b""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address(), timeout=TIMEOUT)
            self._socket.sendall(block)
            while not answer.endswith(END) and (chunk := self._socket.recv(65536)):
                answer += chunk
        except TimeoutError:
            raise
        except OSError:
            pass
        return answer


class Device:
    """A modality: it asks for its worklist and reports what it performs."""

    def __init__(self, title: str, address: Callable[[], Address]) -> None:
        self._address = address
        self._entity = AE(ae_title=title)
        for context in (_WORKLIST, _MPPS):
            self._entity.add_requested_context(context)
        for name in ("acse_timeout", "dimse_timeout", "network_timeout"):
            setattr(self._entity, name, TIMEOUT)
        self._association: Association | None = None
        self.broken = 0
        """Associations that ended before the answer, or were not to be had."""

    def find(self, keys: Dataset) -> list[Dataset]:
        """Return the items of a worklist; raise `TryAgain`, or `Refused`, where its status is no success."""
        found: list[Dataset] = []

        def ask(association: Association) -> Dataset:
            found.clear()
            for status, item in association.send_c_find(keys, _WORKLIST):
                if status.get("Status") not in PENDING:
                    return status
                assert item is not None
                found.append(item)
            return Dataset()

        answer = self._asked(ask)
        if answer.Status:
            kind = TryAgain if answer.Status in LATER else Refused
            raise kind(f"C-FIND {answer.Status:04X}")
        return found

    def create(self, uid: str, attributes: Dataset) -> Dataset:
        """Return the status of an N-CREATE, with the fields that came along; raise `TryAgain`."""
        return _judged(self._asked(lambda to: to.send_n_create(attributes, _MPPS, uid)[0]))

    def set(self, uid: str, attributes: Dataset) -> Dataset:
        """Return the status of an N-SET, with the fields that came along; raise `TryAgain`."""
        return _judged(self._asked(lambda to: to.send_n_set(attributes, _MPPS, uid)[0]))

    def close(self) -> None:
        """Release the association."""
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()

    def _asked(self, ask: Callable[[Association], Dataset]) -> Dataset:
        answer: Any = Dataset()
        try:
            answer = ask(self._associated())
        except (RuntimeError, OSError):  # pynetdicom: no association is established
            pass
        if "Status" not in answer:
            association, self._association = self._association, None
            if association is not None and association.is_established:
                association.abort()
            self.broken += 1
            raise Unanswered
        return answer

    def _associated(self) -> Association:
        if self._association is not None and not self._association.is_established:
            self._association = None
            self.broken += 1
        if self._association is None:
            host, port = self._address()
            self._association = self._entity.associate(host, port, ae_title="MWL")
            if self._association.is_rejected:
                self._association = None
                raise Refused("the association was rejected")
        return self._association


def _judged(status: Dataset) -> Dataset:
    # Beside an Error ID it is about the performed step, and will be the same tomorrow.
    if status.Status == FAILURE and "ErrorID" not in status:
        raise TryAgain(f"MPPS 0110 {status.get('ErrorComment', '')}")
    return status
