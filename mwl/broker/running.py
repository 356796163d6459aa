"""The broker running: its parts in order, started, reloaded, drained.

Theory of operation
-------------------
The parts stand in one list, each with `start` and `stop`; starting goes down the list, draining up.
The store is first and last.  The doors (HL7 and DICOM) are opened last, and closed first and both at
once: nothing is taken in that the parts behind could not carry to its end.  A part that cannot start
stops those before it.

A reload binds the new profiles aside and swaps them in between two requests, so that an HL7 message
or a DICOM request sees one set.  Where the broker listens and where it keeps its data cannot change
while it runs: such changes are named, and the rest takes effect.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import operator
import os
import secrets
import socket
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from mwl import metrics
from mwl.broker import systems
from mwl.broker.cleaner import Cleaner
from mwl.broker.profiles import Profiles, bind
from mwl.broker.refusals import Refusals
from mwl.broker.tls import server_context
from mwl.config import ANYONE, Address, Configuration
from mwl.dicom import acceptor, association
from mwl.dicom.acceptor import Acceptor
from mwl.dicom.devices import Devices
from mwl.dicom.dimse import MessageLimits
from mwl.dicom.performed import PerformedService
from mwl.dicom.response_cache import ResponseCache
from mwl.dicom.service import AssociationFacts, Rejection, Service
from mwl.dicom.verification import VerificationService
from mwl.dicom.worklist import WorklistService
from mwl.errors import MwlError, Unavailable
from mwl.hl7 import listener
from mwl.hl7.intake import Intake
from mwl.hl7.listener import Listener
from mwl.hl7.notifier import Destination, Notifier
from mwl.lifecycle import OutboxState
from mwl.logs import event
from mwl.mapping.text.romanise import preload
from mwl.store import Store, open_store, outbox
from mwl.web import WebServer, build

logger = logging.getLogger(__name__)

DRAIN = 20.0  # seconds what is under way gets; service managers commonly kill after 90
_PROBE = 2.0  # seconds a part may take to prove that it works

FIXED = (
    "database", "web.listen",
    "dicom.listen", "dicom.tls", "dicom.limits",
    "hl7.listen", "hl7.tls", "hl7.limits",
)  # fmt: skip
"""What a reload leaves as it was until the next start."""


class Part(Protocol):
    """What is started and stopped; stopping twice, or before starting, is legal."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Broker:
    """One broker process: made from a configuration, started once, drained once."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.addresses: dict[str, Address] = {}
        """Where it listens (dicom, hl7, web), known once it has started: port 0 is the real one then."""
        self._started_with = configuration
        self._parts: list[Part] = []
        self._reloading = asyncio.Lock()

    async def start(self) -> None:
        """Start all parts; return when every listener accepts.

        Raises `BadDocument`, `SchemaTooNew` or `Unavailable`; then nothing is left running.
        """
        try:
            await self._start()
        except BaseException:
            await self.drain()
            raise
        event(logger, logging.INFO, "ready", **{name: str(at) for name, at in self.addresses.items()})

    async def drain(self) -> None:
        """Stop accepting, finish what is under way, give back what is held: the parts, last first."""
        while self._parts:
            part = self._parts.pop()
            try:
                await part.stop()
            except Exception:  # the others are stopped all the same
                logger.exception("part did not stop", extra={"fields": {"part": type(part).__name__}})

    async def reload(self, configuration: Configuration) -> list[str]:
        """Take over a new configuration and its profiles, as one.

        Returns what waits for the next start (`FIXED`).  Raises `BadDocument` and changes nothing.
        """
        async with self._reloading:
            profiles = await asyncio.to_thread(bind, configuration)
            self._use(configuration, profiles)
            await self._status.replace(self._notifier(configuration, profiles))
        waiting = [name for name in FIXED if _at(configuration, name) != _at(self._started_with, name)]
        event(logger, logging.INFO, "reloaded", waits_for_restart=waiting)
        return waiting

    async def _start(self) -> None:
        configuration = self.configuration
        profiles = await asyncio.to_thread(bind, configuration)
        dicom, hl7 = _acceptor_settings(configuration), _listener_settings(configuration)
        store = self._store = await asyncio.to_thread(open_store, configuration.database)
        # So that neither the first name in another script nor the first order waits for 0.3 s of tables.
        await asyncio.to_thread(preload)
        self._parts.append(_StorePart(store))
        self._refusals = Refusals(store)
        self._cleaner = Cleaner(store, configuration.retention)
        self._cache = ResponseCache()
        self._services: dict[str, Service] = {}
        self._intake = Intake(store, (), profiles.site, frozenset(), _utc_now)
        self._use(configuration, profiles)
        self._status = _Status(self._notifier(configuration, profiles))
        web = WebServer(build(self.readiness, self._count_outbox), configuration.web.listen)
        door = Acceptor(
            dicom,
            self._admit,
            self._services,
            prefer=self._prefer,
            users=lambda: self._users,
            on_rejected=self._refusals.note,
        )
        ear = Listener(self._intake, *hl7[0], tls=hl7[1], limits=hl7[2])
        for part in (self._refusals, self._cleaner, self._status, web, _Doors(ear, door)):
            self._parts.append(part)
            await part.start()
        self.addresses = {"dicom": Address(*door.address), "hl7": Address(*ear.address), "web": web.address}

    def _use(self, configuration: Configuration, profiles: Profiles) -> None:
        """Let the next message and the next request see this set; nothing here waits."""
        for doubt in configuration.doubts():
            event(logger, logging.WARNING, "configuration in doubt", problem=str(doubt))
        told = systems.told(configuration)
        devices = Devices(configuration.dicom.ae_title, profiles.devices, profiles.zone)
        services: tuple[Service, ...] = (
            VerificationService(),
            WorklistService(self._store, devices, self._cache),
            PerformedService(self._store, devices, told),
        )
        self._devices, self._users = devices, profiles.users
        self._services.update({uid: service for service in services for uid in service.sop_classes})
        self._intake.told, self._intake.site = told, profiles.site
        self._intake.systems = systems.configured(configuration, profiles.systems)
        self._intake.allowances = systems.allowances(configuration)
        self._cleaner.use(configuration.retention)
        self.configuration = configuration

    def _notifier(self, configuration: Configuration, profiles: Profiles) -> Notifier:
        destinations = [
            Destination(
                name,
                system.status.to.host,
                system.status.to.port,
                system.status.message,
                profiles.systems[name],
                application=_named(system.application),
                facility=_named(system.facility),
            )
            for name, system in configuration.systems.items()
            if system.status
        ]
        owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        site = configuration.site.name
        return Notifier(self._store, destinations, owner=owner, site=site, zone=profiles.zone)

    def _admit(self, facts: AssociationFacts) -> Rejection | None:
        return self._devices.admit(facts)

    def _prefer(self, facts: AssociationFacts) -> Sequence[str] | None:
        """Return the transfer syntaxes a device's profile puts first; None leaves it to the device."""
        return self._devices.of(facts).profile.transfer_syntaxes or None

    async def readiness(self) -> dict[str, bool]:
        """Tell, part by part, whether it works now: proven by trying, not by having started once."""
        listeners = {name: at for name, at in self.addresses.items() if name != "web"}
        probes = [_works(self._store.ping()), *(_works(_connect(at)) for at in listeners.values())]
        return dict(zip(("database", *listeners), await asyncio.gather(*probes), strict=True))

    async def _count_outbox(self) -> None:
        """Bring the gauge of what waits up to date; without a database it keeps its last value."""
        try:
            counts = await self._store.read(outbox.counts)
        except MwlError:
            return
        for destination in {*counts, *(n for n, s in self.configuration.systems.items() if s.status)}:
            waiting = counts.get(destination, {}).get(OutboxState.PENDING, 0)
            metrics.outbox_waiting.labels(destination).set(waiting)


class _StorePart:
    """The store as a part: it is opened before anything is built on it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def start(self) -> None:
        """Do nothing: it is open."""

    async def stop(self) -> None:
        await self._store.close()


class _Status:
    """The notifier of the configuration in use."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def start(self) -> None:
        await self._notifier.start()

    async def stop(self) -> None:
        await self._notifier.stop()

    async def replace(self, notifier: Notifier) -> None:
        """Let the old one end what it is sending, then begin with the new one."""
        await self._notifier.stop()
        self._notifier = notifier
        await notifier.start()


class _Doors:
    """Both listeners: opened one after the other, closed at once."""

    def __init__(self, hl7: Listener, dicom: Acceptor) -> None:
        self._doors = (hl7, dicom)

    async def start(self) -> None:
        for door in self._doors:
            try:
                await door.start()
            except OSError as error:
                raise Unavailable(f"cannot listen: {error.strerror or error}") from None

    async def stop(self) -> None:
        await asyncio.gather(*(door.stop(DRAIN) for door in self._doors))


def _acceptor_settings(configuration: Configuration) -> acceptor.Settings:
    limits, listen = configuration.dicom.limits, configuration.dicom.listen
    return acceptor.Settings(
        listen.host,
        listen.port,
        server_context(configuration, "dicom"),
        association.Timeouts(artim=limits.artim, idle=limits.idle),
        association.Limits(
            associations=limits.associations,
            announced_pdu=limits.pdu,
            message=MessageLimits(data_set=limits.dataset),
        ),
    )


def _listener_settings(configuration: Configuration) -> tuple[tuple[str, int], Any, listener.Limits]:
    limits, listen = configuration.hl7.limits, configuration.hl7.listen
    bounds = listener.Limits(limits.frame, limits.connections, limits.idle, limits.silence)
    return (listen.host, listen.port), server_context(configuration, "hl7"), bounds


async def _works(trial: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(_PROBE):
            await trial
    except (MwlError, OSError):  # TimeoutError is an OSError
        return False
    return True


async def _connect(at: Address) -> None:
    _, writer = await asyncio.open_connection(at.host, at.port)
    writer.transport.abort()


def _at(configuration: Configuration, key: str) -> object:
    return operator.attrgetter(key)(configuration)


def _named(value: str) -> str:
    """Return a name for MSH-5 or MSH-6; who may be anyone is addressed by none."""
    return "" if value == ANYONE else value


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
