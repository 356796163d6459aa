"""From the configuration's ``forward:`` and ``dicom.subscribers`` to who gets performed steps by DICOM."""

from __future__ import annotations

from collections.abc import Iterator

from mwl.broker.forwarder import Recipient
from mwl.broker.tls import client_context
from mwl.config import ANYONE, Configuration, Receiver
from mwl.dicom.requestor import Peer
from mwl.store.onward import FORWARD, NOTIFICATION, Onward, Route


def onward(configuration: Configuration) -> Onward:
    """Return who gets performed steps of whom, and who hears of them."""
    routes = [
        Route(name, None if ANYONE in each.devices else frozenset(each.devices))
        for name, each in configuration.forward.items()
    ]
    return Onward(tuple(routes), tuple(configuration.dicom.subscribers))


def recipients(configuration: Configuration) -> list[Recipient]:
    """Return where all of them are; raise `BadDocument` (TLS)."""
    return list(_recipients(configuration))


def _recipients(configuration: Configuration) -> Iterator[Recipient]:
    for name, destination in configuration.forward.items():
        yield Recipient(name, FORWARD, _peer(configuration, ("forward", name), destination))
    for name, subscriber in configuration.dicom.subscribers.items():
        place = ("dicom", "subscribers", name)
        yield Recipient(name, NOTIFICATION, _peer(configuration, place, subscriber))


def _peer(configuration: Configuration, place: tuple[str, ...], receiver: Receiver) -> Peer:
    tls = receiver.tls
    return Peer(
        receiver.to.host,
        receiver.to.port,
        receiver.ae_title,
        receiver.calling_ae or configuration.dicom.ae_title,
        timeout=receiver.answer_within,
        tls=client_context(configuration, (*place, "tls"), tls) if tls else None,
        certificate_name=tls.name if tls else None,
    )
