"""Peers that performed steps are sent on to, and that are told of them: pynetdicom's AE, which is not ours."""

from __future__ import annotations

import gc
import ssl
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

PERFORMED, NOTIFICATION = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.5"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
WITHIN = 60.0  # seconds; two cores that also run other tests


@dataclass(frozen=True)
class Told:
    """One request that came; `attributes` is read when it is looked at."""

    operation: str
    uid: str
    calling_ae: str
    sop_class: str
    raw: bytes = b""
    transfer_syntax: str = ""
    event_type: int = 0
    roles: tuple[bool, bool] = (True, False)  # of the caller: SCU, SCP
    attributes: Dataset = field(default_factory=Dataset, compare=False)


Reply = Callable[[Told], "int | Dataset | None"]
"""Returns the status of the answer, or a data set with it; None: the association is aborted instead."""


class Receiver:
    """An SCP of MPPS and a subscriber of its notifications; it keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.associations = 0
        self.port = 0
        self.reply: Reply = lambda told: 0x0000
        self._heard = threading.Condition()
        self._server: Any = None

    def listen(
        self, *, ae_title: str = "ARCHIVE", syntaxes: Iterable[str] = (IMPLICIT, EXPLICIT), scp: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> int:  # fmt: skip
        """Listen, on the port of the first time; *scp* is whether callers may be providers of notifications."""
        entity = AE(ae_title=ae_title)
        entity.require_called_aet = True
        entity.acse_timeout = 2  # seconds; who speaks TLS to a peer without it never asks for an association
        entity.add_supported_context(PERFORMED, list(syntaxes))
        role = {"scu_role": False, "scp_role": True} if scp else {}
        entity.add_supported_context(NOTIFICATION, list(syntaxes), **role)
        handlers = [
            (evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set),
            (evt.EVT_N_EVENT_REPORT, self._report), (evt.EVT_ESTABLISHED, self._established),
        ]  # fmt: skip
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls
        )
        self.port = self._server.server_address[1]
        return self.port

    def deaf(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def until(self, number: int) -> list[Told]:
        """Wait until so many requests have come, and return all."""
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.told) >= number, WITHIN), self.told
            return list(self.told)

    def _established(self, _: Any) -> None:
        self.associations += 1

    def _create(self, event: Any) -> tuple[Any, Dataset | None]:
        request = event.request
        return self._answer(event, "N-CREATE", request.AffectedSOPInstanceUID, request.AttributeList)

    def _set(self, event: Any) -> tuple[Any, Dataset | None]:
        request = event.request
        return self._answer(event, "N-SET", request.RequestedSOPInstanceUID, request.ModificationList)

    def _report(self, event: Any) -> tuple[Any, Dataset | None]:
        return self._answer(event, "N-EVENT-REPORT", event.request.AffectedSOPInstanceUID, None)

    def _answer(self, event: Any, operation: str, uid: Any, data: Any) -> tuple[Any, Dataset | None]:
        attributes = Dataset()
        if data is not None:
            attributes = event.attribute_list if operation == "N-CREATE" else event.modification_list
        context = next(
            each for each in event.assoc.accepted_contexts if each.context_id == event.context.context_id
        )
        told = Told(
            operation, str(uid), event.assoc.requestor.ae_title, str(context.abstract_syntax),
            data.getvalue() if data is not None else b"", str(context.transfer_syntax[0]),
            event.event_type if operation == "N-EVENT-REPORT" else 0,
            (not context.as_scu, not context.as_scp) if operation == "N-EVENT-REPORT" else (True, False), attributes,
        )  # fmt: skip
        status = self.reply(told)
        with self._heard:
            self.told.append(told)
            self._heard.notify_all()
        if status is None:
            event.assoc.abort()
            return 0x0110, None
        return status, None


def status(code: int, error_id: int | None = None, comment: str = "") -> Dataset:
    """Return a status with its details."""
    found = Dataset()
    found.Status = code
    if error_id is not None:
        found.ErrorID = error_id
    if comment:
        found.ErrorComment = comment
    return found


@contextmanager
def receiving(**options: Any) -> Iterator[Receiver]:
    """Hold a receiver that listens; stop it at the end, and wait for its associations."""
    made = Receiver()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom about values, of sockets pynetdicom forgets
        made.listen(**options)
        yield made
        made.deaf()
        for thread in threading.enumerate():
            if isinstance(thread, Association):
                thread.join(30)
        gc.collect()
