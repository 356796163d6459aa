"""The listeners of a broker (HL7, DICOM, HTTP): from the configuration to open doors.

Certificates and bounds are taken over by a reload, for connections that begin after it; where the broker
listens is not.  A broker that is one of several workers gets its sockets bound, and shares them.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mwl.broker.tls import server_context
from mwl.config import Address, Configuration
from mwl.dicom import acceptor, association
from mwl.dicom.acceptor import Acceptor
from mwl.dicom.binding import Binding
from mwl.dicom.dimse import MessageLimits
from mwl.errors import Unavailable
from mwl.hl7 import listener
from mwl.hl7.listener import Listener
from mwl.logs import event
from mwl.metrics import Snapshot
from mwl.web import Bounds, WebServer

logger = logging.getLogger(__name__)

DRAIN = 20.0  # seconds what is under way gets; service managers commonly kill after 90

_OTHER_FILES = 200  # descriptors: database, log, what is sent, and room
_CONNECTIONS_PER_ASSOCIATION = 2

Sockets: TypeAlias = Mapping[str, tuple[socket.socket, ...]]
"""Bound sockets by the names of the doors: dicom, hl7, web."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What a broker has in common with the others of its machine: it is one of several workers."""

    worker: int
    sockets: Sockets
    readiness: Callable[[], Awaitable[Mapping[str, bool]]]
    """Asks the others whether they can do their work."""
    figures: Callable[[], Awaitable[Mapping[str, Snapshot]]]
    """Asks the others for their figures, each by its number."""


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """What a configuration says of the doors."""

    dicom: acceptor.Settings
    hl7: listener.Limits
    web: Bounds
    hl7_tls: ssl.SSLContext | None = None
    web_tls: ssl.SSLContext | None = None


def settings(configuration: Configuration, sockets: Sockets | None = None) -> DoorSettings:
    """Return what a configuration says of the doors, its certificates read; raise `BadDocument`."""
    dicom, hl7, web = configuration.dicom.limits, configuration.hl7.limits, configuration.web.limits
    listen = configuration.dicom.listen
    timeouts = association.Timeouts(
        artim=dicom.artim, tls_handshake=dicom.handshake, message=dicom.message, idle=dicom.idle,
        write=dicom.write,
    )  # fmt: skip
    limits = association.Limits(
        associations=dicom.associations,
        per_address=dicom.per_address,
        announced_pdu=dicom.pdu,
        message=MessageLimits(data_set=dicom.dataset, identifier=dicom.identifier),
    )
    tls = server_context(configuration, "dicom")
    bound = (sockets or {}).get("dicom", ())
    return DoorSettings(
        acceptor.Settings(listen.host, listen.port, bound, tls, timeouts, limits),
        listener.Limits(
            frame=hl7.frame, connections=hl7.connections, per_address=hl7.per_address, idle=hl7.idle,
            silence=hl7.silence, message=hl7.message, handshake=hl7.handshake,
        ),
        Bounds(web.connections, web.per_address, web.handshake, web.request),
        server_context(configuration, "hl7"),
        server_context(configuration, "web"),
    )  # fmt: skip


def bindings(configuration: Configuration) -> dict[str, Binding]:
    """Return to whom AE titles are bound, by the keys of `devices`."""
    return {
        title: Binding(title, device.address, device.certificate)
        for title, device in configuration.devices.items()
        if device.address or device.certificate
    }


@dataclass
class Doors:
    """The three listeners: HTTP is opened first and closed last, the others are closed at once."""

    hl7: Listener
    dicom: Acceptor
    web: WebServer

    @property
    def addresses(self) -> dict[str, Address]:
        """Where they listen, known once they are open: port 0 is the real one then."""
        dicom, hl7 = self.dicom.address, self.hl7.address
        return {"dicom": Address(*dicom), "hl7": Address(*hl7), "web": self.web.address}

    @property
    def listening(self) -> dict[str, bool]:
        """Whether each accepts connections now, in this process."""
        return {"dicom": self.dicom.listening, "hl7": self.hl7.listening, "web": self.web.accepting}

    def use(self, made: DoorSettings) -> None:
        """Take over certificates and bounds."""
        self.dicom.use(made.dicom)
        self.hl7.use(made.hl7_tls, made.hl7)
        self.web.use(made.web_tls, made.web)

    async def start(self) -> None:
        """Open them; raise `Unavailable` where an address cannot be listened on."""
        for door in (self.web, self.hl7, self.dicom):
            try:
                await door.start()
            except OSError as error:
                raise Unavailable(f"cannot listen: {error.strerror or error}") from None

    async def stop(self) -> None:
        """Close those of devices and systems, and then, while health is asked to the last, HTTP."""
        await asyncio.gather(self.hl7.stop(DRAIN), self.dicom.stop(DRAIN))
        await self.web.stop()


def allow_files(configuration: Configuration) -> None:
    """Let the process open as many files as the bounds of connections may need; warn where it may not.

    A limit that strikes is answered; a process without a descriptor to spare cannot even open its database.
    """
    needed = (
        configuration.dicom.limits.associations * _CONNECTIONS_PER_ASSOCIATION
        + configuration.hl7.limits.connections
        + configuration.web.limits.connections
        + _OTHER_FILES
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        if most < needed:
            event(logger, logging.WARNING, "too few file descriptors", allowed=most, needed=needed,
                  setting="LimitNOFILE, or dicom.limits.associations")  # fmt: skip
