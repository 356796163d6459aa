"""Worklist providers that are not ours: pynetdicom's, and a socket that answers what a test wants."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.presentation import PresentationContext

VERIFICATION, WORKLIST = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31"
PERFORMED = "1.2.840.10008.3.1.2.3.3"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
PENDING = 0xFF00
ASSOCIATE, RELEASE, RELEASED = 1, 5, struct.pack(">BxI4x", 6, 4)

Answer = Iterable[tuple[Any, Dataset | None]]


def item(number: int = 1, **changes: Any) -> Dataset:
    """Return a worklist item that every console takes; *changes* are keywords, of the step or the root."""
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "CT", "CT1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260705", "083000"
    step.ScheduledProcedureStepID, step.RequestedContrastAgent = f"SPS{number}", ""
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 100"
    found.PatientName, found.PatientID = "DOE^JANE", f"PID{number}"
    found.PatientBirthDate, found.PatientSex, found.PatientWeight = "19700101", "F", None
    found.MedicalAlerts = found.Allergies = found.RequestingPhysician = found.ReferringPhysicianName = ""
    found.PregnancyStatus = None
    found.AccessionNumber, found.StudyInstanceUID = f"ACC{number}", f"1.2.276.0.99.{number}"
    found.RequestedProcedureID, found.RequestedProcedureDescription = f"RP{number}", "CT head"
    found.ScheduledProcedureStepSequence = [step]
    for keyword, value in changes.items():
        target = step if keyword in step else found
        if value is ...:
            delattr(target, keyword)
        else:
            setattr(target, keyword, value)
    return found


class Provider:
    """pynetdicom's AE as a plain worklist and MPPS provider; it keeps what it was asked and told."""

    def __init__(self) -> None:
        self.entity = AE(ae_title="SCP")
        self.requests: list[Any] = []  # A-ASSOCIATE-RQ primitives
        self.asked: list[Dataset] = []
        self.encoded: list[bytes] = []
        self.told: list[tuple[str, str, str, Dataset]] = []  # operation, calling AE title, UID, attributes
        self.aborted, self.released = threading.Semaphore(0), threading.Semaphore(0)
        self.answer: Callable[[Any], Answer] = lambda event: ()
        self.status = 0x0000
        self.server: Any = None

    def start(
        self, *answers: Dataset, syntaxes: Iterable[str] = (IMPLICIT, EXPLICIT), status: int = PENDING,
        final: int = 0x0000, classes: Iterable[str] = (VERIFICATION, WORKLIST, PERFORMED),
    ) -> tuple[str, int]:  # fmt: skip
        """Listen; *answers* are what every query is answered with, unless a test puts its own `answer`."""
        if answers or final:
            self.answer = lambda event: [*((status, each) for each in answers), (final, None)]
        for sop_class in classes:
            self.entity.add_supported_context(sop_class, list(syntaxes))
        handlers = [
            (evt.EVT_C_FIND, self._found), (evt.EVT_N_CREATE, self._created), (evt.EVT_N_SET, self._set),
            (evt.EVT_REQUESTED, lambda event: self.requests.append(event.assoc.requestor.primitive)),
            (evt.EVT_ABORTED, lambda event: self.aborted.release()),
            (evt.EVT_RELEASED, lambda event: self.released.release()),
        ]  # fmt: skip
        self.server = self.entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        host, port = self.server.server_address[:2]
        return host, port

    def _found(self, event: Any) -> Iterator[tuple[Any, Dataset | None]]:
        self.encoded.append(event.request.Identifier.getvalue())
        self.asked.append(event.identifier)
        yield from self.answer(event)

    def _created(self, event: Any) -> tuple[int, Dataset | None]:
        told = event.attribute_list
        self.told.append(
            ("N-CREATE", event.assoc.requestor.ae_title, str(event.request.AffectedSOPInstanceUID), told)
        )
        return self.status, None

    def _set(self, event: Any) -> tuple[int, Dataset | None]:
        told = event.modification_list
        self.told.append(
            ("N-SET", event.assoc.requestor.ae_title, str(event.request.RequestedSOPInstanceUID), told)
        )
        return self.status, None

    @property
    def identity(self) -> tuple[str, str, str, str | None, int]:
        """Who associated last: titles, implementation, and the PDU it takes."""
        request = self.requests[-1]
        version = next(
            (each.implementation_version_name for each in request.user_information
             if hasattr(each, "implementation_version_name")), None,
        )  # fmt: skip
        return (
            request.calling_ae_title, request.called_ae_title, str(request.implementation_class_uid),
            version, request.maximum_length_received,
        )  # fmt: skip

    @property
    def proposed(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """ID, SOP class and transfer syntaxes of each context proposed last."""
        return [
            (each.context_id, str(each.abstract_syntax), tuple(map(str, each.transfer_syntax)))
            for each in self.requests[-1].presentation_context_definition_list
        ]


@contextmanager
def provided() -> Iterator[Provider]:
    """Hold a provider, to be started; stop it at the end, and wait for its associations."""
    made = Provider()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of pydicom about ranges and wildcards, of sockets pynetdicom forgets
        yield made
        if made.server is not None:
            made.server.shutdown()
        for thread in threading.enumerate():
            if isinstance(thread, Association):
                thread.join(30)
        gc.collect()


class Scripted:
    """A socket that accepts the association, and says the next of *says* for each PDU that comes after it.

    None closes the connection.  When all is said it is silent, but for the confirmation of a release.
    """

    def __init__(self, *says: bytes | None, accept: bytes | None = None) -> None:
        self._says, self._accept = list(says), accept
        self.heard: list[int] = []
        """Types of the PDUs that came."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.at: tuple[str, int] = self._server.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        # The device may end the connection at any time.
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            connection.settimeout(30)
            while len(head := stream.read(6)) == 6:
                kind, length = struct.unpack(">BxI", head)
                body = stream.read(length)
                self.heard.append(kind)
                if kind == ASSOCIATE:
                    said = accepted(head + body) if self._accept is None else self._accept
                elif kind == RELEASE:
                    said = RELEASED
                else:
                    said = self._says.pop(0) if self._says else b""
                if said is None:
                    return
                connection.sendall(said)

    def close(self) -> None:
        """Wait until the one connection it takes has ended."""
        self._thread.join(30)
        self._server.close()


def accepted(request: bytes) -> bytes:
    """Return the acceptance of a whole association request, each context with its first transfer syntax."""
    asked = A_ASSOCIATE_RQ()
    asked.decode(request)
    primitive = asked.to_primitive()
    results = []
    for each in primitive.presentation_context_definition_list:
        context = PresentationContext()
        context.context_id, context.result = each.context_id, 0
        context.transfer_syntax = [UID(each.transfer_syntax[0])]
        results.append(context)
    primitive.presentation_context_definition_results_list = results
    return A_ASSOCIATE_AC(primitive).encode()
