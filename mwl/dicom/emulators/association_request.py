"""The A-ASSOCIATE-RQ of a device, by pynetdicom."""

from __future__ import annotations

import struct

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from mwl.dicom.emulators.description import Device

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_TITLES, _TITLES_AT = struct.Struct("16s16s"), 10  # PS3.8 Table 9-11: called, then calling


def association_request(device: Device, calling: str, called: str) -> bytes:
    """Return the A-ASSOCIATE-RQ; the titles are written as they are, whatever is in them (F55)."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = _APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = device.max_pdu
    implementation.implementation_class_uid = device.implementation_uid
    primitive.user_information = [length, implementation]
    if device.implementation_version:
        version = ImplementationVersionNameNotification()
        version.implementation_version_name = device.implementation_version
        primitive.user_information.append(version)
    primitive.presentation_context_definition_list = [
        _proposed(number, *proposal) for number, proposal in enumerate(device.proposes)
    ]
    octets = bytearray(A_ASSOCIATE_RQ(primitive).encode())
    _TITLES.pack_into(octets, _TITLES_AT, *(title.encode().ljust(16)[:16] for title in (called, calling)))
    return bytes(octets)


def _proposed(number: int, sop_class: str, transfer_syntaxes: tuple[str, ...]) -> PresentationContext:
    context = PresentationContext()
    context.context_id, context.abstract_syntax = 2 * number + 1, sop_class
    context.transfer_syntax = list(transfer_syntaxes)
    return context
