"""Clients that report performed steps and ask for them, none of them ours.

Each sends requests in turn, in associations of their own unless it is told to share one, and tells what
came back: status, command set and data set, of failures as well.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol, TypeAlias

from pydicom import config
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, evt
from pynetdicom.dsutils import decode

from foreign.dicom.clients import HERE, TIMEOUT, _dataset, _installed, _json_of
from foreign.dicom.presence import program

PERFORMED, RETRIEVE = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"
EXPLICIT = "1.2.840.10008.1.2.1"

Attributes: TypeAlias = Mapping[str, Any]
"""Keywords to text, or to a list of items."""


@dataclass(frozen=True)
class Request:
    """One request; *tags* are keywords, of N-GET."""

    operation: str
    uid: str
    attributes: Attributes | None = None
    tags: Sequence[str] = ()
    calling: str = "WS"
    together: bool = False  # in the association of the request before it

    @property
    def sop_class(self) -> str:
        """The class it is about."""
        return RETRIEVE if self.operation == "N-GET" else PERFORMED


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    uid: str = ""
    error_id: int | None = None
    comment: str = ""
    tags: tuple[str, ...] = ()
    """Keywords of (0000,1005)."""
    attributes: Dataset = field(default_factory=Dataset)


class Reporter(Protocol):
    """A client program or library."""

    name: str

    def report(self, address: tuple[str, int], requests: Sequence[Request]) -> list[Response]:
        """Return the response to each request."""
        ...


class PynetdicomReporter:
    """pynetdicom's SCU; what it keeps to itself of a response is read as it comes."""

    name = "pynetdicom"

    def report(self, address: tuple[str, int], requests: Sequence[Request]) -> list[Response]:
        """Send each request in an association of its own, or in the one before."""
        found, association = [], None
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")  # of pydicom, about values that are wrong on purpose
            for request in requests:
                if association is None or not request.together:
                    if association is not None:
                        association.release()
                    association = self._associated(address, request)
                found.append(self._sent(association, request))
            if association is not None:
                association.release()
        return found

    def _associated(self, address: tuple[str, int], request: Request) -> Any:
        entity = AE(ae_title=request.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT
        for sop_class in (PERFORMED, RETRIEVE):
            entity.add_requested_context(sop_class, EXPLICIT)
        association = entity.associate(*address, ae_title="MWL")
        assert association.is_established
        return association

    def _sent(self, association: Any, request: Request) -> Response:
        messages: list[Any] = []

        def heard(event: Any) -> None:
            messages.append((event.message.command_set, event.message.data_set.getvalue()))

        association.bind(evt.EVT_DIMSE_RECV, heard)
        try:
            self._send(association, request)
        finally:
            association.unbind(evt.EVT_DIMSE_RECV, heard)
        ((command, data),) = messages
        attributes = decode(BytesIO(data), False, True) if data else Dataset()
        tags = command.get("AttributeIdentifierList") or []
        tags = [tags] if isinstance(tags, int) else tags
        return Response(
            int(command.Status), str(command.get("AffectedSOPInstanceUID", "")), command.get("ErrorID"),
            str(command.get("ErrorComment") or ""), tuple(keyword_for_tag(tag) for tag in tags), attributes,
        )  # fmt: skip

    def _send(self, association: Any, request: Request) -> None:
        data = None if request.attributes is None else data_set(request.attributes)
        uid = request.uid or None
        match request.operation:
            case "N-CREATE":
                association.send_n_create(data, PERFORMED, uid)
            case "N-SET":
                association.send_n_set(data, PERFORMED, uid)
            case "N-GET":
                association.send_n_get([tag_for_keyword(each) for each in request.tags], RETRIEVE, uid)
            case "N-ACTION":
                association.send_n_action(None, 1, PERFORMED, uid)
            case "N-DELETE":
                association.send_n_delete(PERFORMED, uid)


def data_set(attributes: Attributes) -> Dataset:
    """Return keywords and text as pydicom has them."""
    made = Dataset()
    for keyword, value in attributes.items():
        if dictionary_VR(keyword) == "SQ":
            setattr(made, keyword, Items([data_set(item) for item in value]))
        else:
            setattr(made, keyword, value)
    return made


class DcmjsReporter:
    """npm's dcmjs-dimse: an association for each request; it writes text in UTF-8 alone."""

    name = "dcmjs-dimse"

    def __init__(self) -> None:
        self._node = program("node", "Debian: nodejs")
        self._modules = _installed("dcmjs-dimse", program("npm", "Debian: npm"))

    def report(self, address: tuple[str, int], requests: Sequence[Request]) -> list[Response]:
        """Send the requests in turn."""
        told = {
            "host": address[0], "port": address[1], "called": "MWL",
            "requests": [
                {"operation": each.operation, "sop_class": each.sop_class, "uid": each.uid, "tags": [*each.tags],
                 "attributes": each.attributes, "calling": each.calling}
                for each in requests
            ],
        }  # fmt: skip
        environment = {**os.environ, "NODE_PATH": str(self._modules)}
        found = _json_of([self._node, HERE / "dcmjs_mpps.cjs"], told, environment)
        assert not any(entry["error"] for entry in found), found
        return [_response(entry) for entry in found]


def _response(entry: dict[str, Any]) -> Response:
    command = entry["command"]
    tags = command.get("AttributeIdentifierList") or []
    tags = [tags] if isinstance(tags, str | int) else tags
    return Response(
        entry["status"], command.get("AffectedSOPInstanceUID") or "", command.get("ErrorID") or None,
        command.get("ErrorComment") or "", tuple(keyword_for_tag(int(tag)) for tag in tags),
        _dataset(entry["attributes"]),
    )  # fmt: skip


REPORTERS: tuple[type[Reporter], ...] = (PynetdicomReporter, DcmjsReporter)
