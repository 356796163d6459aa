"""The broker running: its parts in order, started, reloaded, drained.

Theory of operation
-------------------
The parts stand in one list, each with `start` and `stop`; starting goes down the list, draining up.
The store is first and last.  The doors (HL7 and DICOM) are opened last, and closed first and both at
once: nothing is taken in that the parts behind could not carry to its end.  A part that cannot start
stops those before it.

A reload binds the new profiles aside and swaps them in between two requests, so that an HL7 message
or a DICOM request sees one set; associations go on.  Where the broker listens and where it keeps its
data cannot change while it runs: such changes are named, and the rest takes effect.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import operator
import os
import secrets
import socket
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any, Protocol

from mwl import metrics
from mwl.broker import systems
from mwl.broker.capture import QueryCapture
from mwl.broker.cleaner import Cleaner
from mwl.broker.conducts import conducts
from mwl.broker.forwarder import Forwarder
from mwl.broker.history import History, Taken, take
from mwl.broker.onward import onward, recipients
from mwl.broker.preflight import Preflight, View
from mwl.broker.profiles import Profiles
from mwl.broker.refusals import Refusals
from mwl.broker.shadow import Shadow
from mwl.broker.tls import server_context
from mwl.broker.watchdog import Watchdog, Watched
from mwl.config import Address, Configuration
from mwl.dicom import acceptor, association
from mwl.dicom.acceptor import Acceptor
from mwl.dicom.devices import Devices
from mwl.dicom.dimse import MessageLimits
from mwl.dicom.operations import MESSAGE_ID_WHERE_MISSING
from mwl.dicom.performed import Begun, PerformedService
from mwl.dicom.performed_retrieve import RetrieveService
from mwl.dicom.quarantine import Quarantine
from mwl.dicom.response_cache import ResponseCache
from mwl.dicom.service import AssociationFacts, Rejection, Service
from mwl.dicom.verification import VerificationService
from mwl.dicom.worklist import WorklistService
from mwl.errors import MwlError, Unavailable
from mwl.hl7 import listener
from mwl.hl7.intake import Intake
from mwl.hl7.listener import Listener
from mwl.hl7.notifier import Notifier
from mwl.logs import event
from mwl.mapping.text.romanise import preload
from mwl.store import Store, open_store, outbox
from mwl.store.attaching import Situation
from mwl.store.outbox import Backlog
from mwl.web import WebServer, build

logger = logging.getLogger(__name__)

DRAIN = 20.0  # seconds what is under way gets; service managers commonly kill after 90
_PROBE = 2.0  # seconds a part may take to prove that it works
_HELD = 10  # of so many associations that may be open one may be an unknown caller's

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
        self._taken: Taken | None = None
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

    async def reload(self, configuration: Configuration, reason: str = "reload") -> list[str]:
        """Take over a new configuration and its profiles, as one.

        Returns what waits for the next start (`FIXED`).  Raises `BadDocument` and changes nothing.
        """
        async with self._reloading:
            taken = await asyncio.to_thread(take, configuration)
            before = self._taken
            senders = await asyncio.to_thread(self._senders, configuration, taken.profiles)
            self._use(configuration, taken)
            self._history.note(taken, reason)
            replaced = zip(self._sending, senders, strict=True)
            await asyncio.gather(*(sending.replace(part) for sending, part in replaced))
        waiting = [name for name in FIXED if _at(configuration, name) != _at(self._started_with, name)]
        changed = taken.profiles.changed(before.profiles) if before else []
        event(logger, logging.INFO, "reloaded", why=reason, digest=taken.digest, changed=changed,
              waits_for_restart=waiting)  # fmt: skip
        return waiting

    async def _start(self) -> None:
        configuration = self.configuration
        taken = await asyncio.to_thread(take, configuration)
        profiles = taken.profiles
        dicom, hl7 = _acceptor_settings(configuration), _listener_settings(configuration)
        store = self._store = await asyncio.to_thread(open_store, configuration.database)
        # So that neither the first name in another script nor the first order waits for 0.3 s of tables.
        await asyncio.to_thread(preload)
        self._parts.append(_StorePart(store))
        await store.write(outbox.recover)
        self._refusals = Refusals(store)
        self._history = History(store)
        self._cleaner = Cleaner(store, configuration.retention, configuration.capture)
        held = max(1, configuration.dicom.limits.associations // _HELD)
        self._quarantine = Quarantine(held, self._refusals.held)
        self._capture = QueryCapture(store, configuration.capture, self._quarantine)
        self._shadow = Shadow(store)
        self._watchdog = Watchdog(store, _watched(configuration, profiles))
        self._cache = ResponseCache()
        self._begun = Begun()
        self._services: dict[str, Service] = {}
        self._intake = Intake(store, (), profiles.site, frozenset(), _utc_now)
        self._preflight = Preflight(store, _view(configuration, profiles))
        self._intake.on_applied = self._preflight.note
        self._use(configuration, taken)
        event(logger, logging.INFO, "profiles in use", digest=taken.digest, devices=len(profiles.devices),
              systems=len(profiles.systems))  # fmt: skip
        self._history.note(taken, "start")
        self._sending = [_Sending(part) for part in self._senders(configuration, profiles)]
        web = WebServer(build(self.readiness, self._count_outbox), configuration.web.listen)
        door = Acceptor(
            dicom,
            self._admit,
            self._services,
            prefer=self._prefer,
            users=lambda: self._users,
            on_rejected=self._refusals.note,
            on_useless=self._refusals.useless,
            known=lambda facts: self._devices.known(facts) is not None,
            quarantine=self._quarantine,
            unnumbered=self._unnumbered,
        )
        ear = Listener(self._intake, *hl7[0], tls=hl7[1], limits=hl7[2])
        beside = (
            self._history, self._refusals, self._capture, self._shadow, self._cleaner, self._watchdog,
        )  # fmt: skip
        parts: tuple[Part, ...] = (*beside, self._preflight, *self._sending, web, _Doors(ear, door))
        for part in parts:
            self._parts.append(part)
            await part.start()
        self.addresses = {"dicom": Address(*door.address), "hl7": Address(*ear.address), "web": web.address}

    def _use(self, configuration: Configuration, taken: Taken) -> None:
        """Let the next message and the next request see this set; nothing here waits."""
        profiles = taken.profiles
        for doubt in configuration.doubts():
            event(logger, logging.WARNING, "configuration in doubt", problem=str(doubt))
        for warning in profiles.warnings:
            if self._taken is None or warning not in self._taken.profiles.warnings:
                event(logger, logging.WARNING, "profile in doubt", problem=str(warning))
        metrics.profile_set.clear()
        metrics.profile_set.labels(taken.digest).set(1)
        told, counted = systems.told(configuration), conducts(configuration, profiles)
        quarantine = self._quarantine if configuration.capture.unknown == "hold" else None
        devices = Devices(
            configuration.dicom.ae_title, profiles.devices, profiles.zone, quarantine=quarantine,
            also={other: title for other, title in configuration.titles.items() if other != title},
        )  # fmt: skip
        services: tuple[Service, ...] = (
            VerificationService(),
            WorklistService(self._store, devices, self._cache, (self._capture, self._shadow)),
            PerformedService(self._store, devices, told, counted, onward(configuration), self._begun),
            RetrieveService(self._store, devices),
        )
        self._shadow.use(profiles.shadows, devices)
        self._devices, self._users, self._taken = devices, profiles.users, taken
        self._services.update({uid: service for service in services for uid in service.sop_classes})
        self._intake.told, self._intake.site = told, profiles.site
        self._intake.systems = systems.configured(configuration, profiles.systems)
        self._intake.allowances, self._intake.conducts = systems.allowances(configuration), counted
        self._cleaner.told = onward(configuration)
        self._cleaner.use(configuration.retention, configuration.capture)
        self._watchdog.use(_watched(configuration, profiles))
        self._capture.use(configuration.capture)
        self._preflight.use(_view(configuration, profiles))
        self.configuration = configuration

    def _senders(self, configuration: Configuration, profiles: Profiles) -> tuple[Part, ...]:
        """Return the parts that empty the outbox: by HL7, and by DICOM."""
        owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        told = systems.destinations(configuration, profiles.systems)
        return (
            Notifier(self._store, told, owner=owner),
            Forwarder(self._store, recipients(configuration), owner=owner),
        )

    def _admit(self, facts: AssociationFacts) -> Rejection | None:
        return self._devices.admit(facts)

    def _unnumbered(self, facts: AssociationFacts) -> int | None:
        """Return what a device's profile answers a request without Message ID under; None refuses it."""
        device = self._devices.known(facts)
        return MESSAGE_ID_WHERE_MISSING if device is None else device.profile.missing_message_id

    def _prefer(self, facts: AssociationFacts) -> Sequence[str] | None:
        """Return the transfer syntaxes a device's profile puts first; None leaves it to the device."""
        device = self._devices.known(facts)
        return (device and device.profile.transfer_syntaxes) or None

    async def readiness(self) -> dict[str, bool]:
        """Tell, part by part, whether it works now: proven by trying, not by having started once."""
        listeners = {name: at for name, at in self.addresses.items() if name != "web"}
        probes = [_works(self._store.ping()), *(_works(_connect(at)) for at in listeners.values())]
        return dict(zip(("database", *listeners), await asyncio.gather(*probes), strict=True))

    async def _count_outbox(self) -> None:
        """Bring the gauges of what waits up to date; without a database they keep their last values."""
        try:
            waiting = await self._store.read(outbox.backlog)
        except MwlError:
            return
        now = _utc_now()
        for gauge in (metrics.outbox_waiting, metrics.outbox_oldest, metrics.outbox_parked):
            gauge.clear()  # a system that is told no more, and has got all, is no figure
        for destination in {*waiting, *self._destinations()}:
            backlog = waiting.get(destination, Backlog())
            age = max(0.0, (now - backlog.oldest).total_seconds()) if backlog.oldest else 0.0
            metrics.outbox_waiting.labels(destination).set(backlog.pending)
            metrics.outbox_oldest.labels(destination).set(age)
            metrics.outbox_parked.labels(destination).set(backlog.parked)

    def _destinations(self) -> Iterator[str]:
        configuration = self.configuration
        yield from (name for name, system in configuration.systems.items() if system.status)
        yield from configuration.receivers


class _StorePart:
    """The store as a part: it is opened before anything is built on it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def start(self) -> None:
        """Do nothing: it is open."""

    async def stop(self) -> None:
        await self._store.close()


class _Sending:
    """What empties the outbox, as the configuration in use has it."""

    def __init__(self, part: Part) -> None:
        self._part = part

    async def start(self) -> None:
        await self._part.start()

    async def stop(self) -> None:
        await self._part.stop()

    async def replace(self, part: Part) -> None:
        """Let the old one end what it is sending, then begin with the new one."""
        await self._part.stop()
        self._part = part
        await part.start()


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


def _view(configuration: Configuration, profiles: Profiles) -> View:
    return View(profiles.devices, configuration.dicom.ae_title, profiles.zone)


def _watched(configuration: Configuration, profiles: Profiles) -> Watched:
    counted, told = conducts(configuration, profiles), systems.told(configuration)
    under = Situation(counted, told, onward(configuration))
    return Watched(
        configuration.watch, under, profiles.zone, configuration.titles, frozenset(configuration.systems)
    )


def _at(configuration: Configuration, key: str) -> object:
    return operator.attrgetter(key)(configuration)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
