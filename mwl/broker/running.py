"""The broker running: its parts in order, started, reloaded, drained.

Theory of operation
-------------------
The parts stand in one list, each with `start` and `stop`; starting goes down the list, draining up.
The store is first and last.  The doors (HL7 and DICOM) are opened last, and closed first and both at
once: nothing is taken in that the parts behind could not carry to its end.  A part that cannot start
stops those before it.

A reload binds the new profiles aside and swaps them in between two requests, so that an HL7 message
or a DICOM request sees one set; associations go on.  Certificates are read again with it.  Where the
broker listens and where it keeps its data cannot change while it runs: such changes are named, and the
rest takes effect.
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
from typing import Protocol

from mwl import metrics
from mwl.broker import audit_sender, systems
from mwl.broker.audit_records import Records
from mwl.broker.audit_sender import AuditSender
from mwl.broker.auditing import Auditor
from mwl.broker.capture import QueryCapture
from mwl.broker.census import Census
from mwl.broker.cleaner import Cleaner
from mwl.broker.conducts import conducts
from mwl.broker.doors import Doors, Shared, allow_files, bindings, settings
from mwl.broker.forwarder import Forwarder
from mwl.broker.history import History, Taken, take
from mwl.broker.onward import onward, recipients
from mwl.broker.preflight import Preflight, View
from mwl.broker.profiles import Profiles
from mwl.broker.refusals import Refusals
from mwl.broker.shadow import Shadow
from mwl.broker.synthetic import Participants, Synthetic, participants
from mwl.broker.watchdog import Watchdog, Watched
from mwl.config import Address, Configuration
from mwl.dicom.acceptor import Acceptor
from mwl.dicom.devices import Devices
from mwl.dicom.observing import Observer
from mwl.dicom.operations import MESSAGE_ID_WHERE_MISSING
from mwl.dicom.performed import Begun, PerformedService
from mwl.dicom.performed_retrieve import RetrieveService
from mwl.dicom.quarantine import Quarantine
from mwl.dicom.query_rate import QueryRate
from mwl.dicom.response_cache import ResponseCache
from mwl.dicom.service import AssociationFacts, Rejection, Service
from mwl.dicom.verification import VerificationService
from mwl.dicom.worklist import WorklistService
from mwl.errors import MwlError
from mwl.hl7.intake import Intake
from mwl.hl7.listener import Listener
from mwl.hl7.notifier import Notifier
from mwl.logs import event
from mwl.mapping.text.romanise import preload
from mwl.store import Store, open_store, outbox, spool
from mwl.store.attaching import Situation
from mwl.store.outbox import Backlog
from mwl.web import WebServer, build

logger = logging.getLogger(__name__)

_PROBE = 2.0  # seconds a part may take to prove that it works
_HELD = 10  # of so many associations that may be open one may be an unknown caller's

FIXED = ("database", "web.listen", "dicom.listen", "hl7.listen")
"""What a reload leaves as it was until the next start."""


class Part(Protocol):
    """What is started and stopped; stopping twice, or before starting, is legal."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Broker:
    """One broker process: made from a configuration, started once, drained once."""

    def __init__(self, configuration: Configuration, shared: Shared | None = None) -> None:
        """*shared* is what it has in common with others, where it is one of several workers."""
        self.configuration = configuration
        self._shared = shared
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
        if self._shared is None:  # else who has started the workers says so of all
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
            own = await asyncio.to_thread(participants, configuration)
            doors = await asyncio.to_thread(settings, configuration)
            allow_files(configuration)
            self._doors.use(doors)
            self._use(configuration, taken, own)
            self._history.note(taken, reason)
            replaced = zip(self._sending, senders, strict=True)
            await asyncio.gather(*(sending.replace(part) for sending, part in replaced))
        waiting = [name for name in FIXED if _at(configuration, name) != _at(self._started_with, name)]
        changed = taken.profiles.changed(before.profiles) if before else []
        event(logger, logging.INFO, "reloaded", why=reason, digest=taken.digest, changed=changed,
              waits_for_restart=waiting)  # fmt: skip
        return waiting

    async def elsewhere(self) -> None:
        """Return when another broker of the database has taken a set into use that is not the one here.

        Never on SQLite, where there is no other.
        """
        if self._started_with.database.startswith("sqlite"):
            await asyncio.get_running_loop().create_future()
        await self._history.elsewhere()

    async def _start(self) -> None:
        configuration = self.configuration
        taken = await asyncio.to_thread(take, configuration)
        profiles = taken.profiles
        shared = self._shared
        sockets = shared.sockets if shared else {}
        made = await asyncio.to_thread(settings, configuration, sockets)
        allow_files(configuration)
        store = self._store = await asyncio.to_thread(open_store, configuration.database)
        # So that neither the first name in another script nor the first order waits for 0.3 s of tables.
        await asyncio.to_thread(preload)
        self._parts.append(_StorePart(store))
        await store.write(outbox.recover)
        await store.write(spool.recover)
        self._refusals = Refusals(store)
        self._history = History(store)
        self._cleaner = Cleaner(store, configuration.retention, configuration.capture)
        held = max(1, configuration.dicom.limits.associations // _HELD)
        self._quarantine = Quarantine(held, self._refusals.held)
        self._capture = QueryCapture(store, configuration.capture, self._quarantine)
        self._shadow = Shadow(store)
        self._auditor = Auditor(store, Records.of(configuration))
        self._census = Census(store)
        self._watchdog = Watchdog(store, _watched(configuration, profiles))
        self._cache = ResponseCache()
        self._rate = QueryRate()
        self._begun = Begun()
        self._services: dict[str, Service] = {}
        self._intake = Intake(store, (), profiles.site, frozenset(), _utc_now)
        self._preflight = Preflight(store, _view(configuration, profiles))
        self._intake.on_applied = self._preflight.note
        self._synthetic = Synthetic(store, lambda: self._doors.addresses)
        self._use(configuration, taken, await asyncio.to_thread(participants, configuration))
        event(logger, logging.INFO, "profiles in use", digest=taken.digest, devices=len(profiles.devices),
              systems=len(profiles.systems))  # fmt: skip
        self._history.note(taken, "start")
        self._sending = [_Sending(part) for part in self._senders(configuration, profiles)]
        collect = self._collect if shared else None
        pages = build(self.readiness, self._refresh, collect, self._synthetic.detail)
        web = WebServer(
            pages, configuration.web.listen, tls=made.web_tls, bounds=made.web, sockets=sockets.get("web", ())
        )
        door = Acceptor(
            made.dicom,
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
        listen = configuration.hl7.listen
        ear = Listener(
            self._intake, listen.host, listen.port, tls=made.hl7_tls, limits=made.hl7,
            sockets=sockets.get("hl7", ()),
        )  # fmt: skip
        self._doors = Doors(ear, door, web)
        beside = (
            self._history, self._refusals, self._capture, self._shadow, self._cleaner, self._watchdog,
        )  # fmt: skip
        parts: tuple[Part, ...] = (
            *self._sending,
            self._auditor,
            *beside,
            self._preflight,
            self._doors,
            *([self._synthetic] if shared is None or shared.worker == 1 else []),
        )
        for part in parts:
            self._parts.append(part)
            await part.start()
        self.addresses = self._doors.addresses

    def _use(self, configuration: Configuration, taken: Taken, own: Participants) -> None:
        """Let the next message and the next request see this set; nothing here waits."""
        profiles = taken.profiles
        for doubt in configuration.doubts():
            event(logger, logging.WARNING, "configuration in doubt", problem=str(doubt))
        for warning in profiles.warnings:
            if self._taken is None or warning not in self._taken.profiles.warnings:
                event(logger, logging.WARNING, "profile in doubt", problem=str(warning))
        metrics.profile_set.clear()
        metrics.profile_set.labels(taken.digest).set(1)
        told, counted = configuration.told, conducts(configuration, profiles)
        quarantine = self._quarantine if configuration.capture.unknown == "hold" else None
        devices = Devices(
            configuration.dicom.ae_title, {**profiles.devices, **own.devices}, profiles.zone,
            quarantine=quarantine,
            also={other: title for other, title in configuration.titles.items() if other != title},
            shared_by=profiles.shared_by, bindings={**bindings(configuration), **own.bindings},
        )  # fmt: skip
        self._rate.per_minute = configuration.dicom.limits.queries
        records = Records.of(configuration)
        self._auditor.use(records)
        self._intake.on_effect = records.applied if records else None
        observers: list[Observer] = [self._capture, self._shadow]
        if records and "query" in records.kinds:
            observers.append(self._auditor)
        services: tuple[Service, ...] = (
            VerificationService(),
            WorklistService(self._store, devices, self._cache, observers, self._rate),
            PerformedService(
                self._store,
                devices,
                told,
                counted,
                onward(configuration),
                self._begun,
                records.performed if records else None,
            ),
            RetrieveService(self._store, devices, self._auditor.retrieved),
        )
        self._shadow.use(profiles.shadows, devices)
        self._devices, self._users, self._taken = devices, profiles.users, taken
        self._services.update({uid: service for service in services for uid in service.sop_classes})
        self._intake.told, self._intake.site = told, profiles.site
        self._intake.systems = [*systems.configured(configuration, profiles.systems), *own.systems]
        self._synthetic.use(configuration)
        self._intake.allowances, self._intake.conducts = systems.allowances(configuration), counted
        self._cleaner.told = onward(configuration)
        self._cleaner.use(configuration.retention, configuration.capture)
        self._watchdog.use(_watched(configuration, profiles))
        self._capture.use(configuration.capture)
        self._preflight.use(_view(configuration, profiles))
        self.configuration = configuration

    def _senders(self, configuration: Configuration, profiles: Profiles) -> tuple[Part, ...]:
        """Return the parts that empty the outbox, by HL7 and by DICOM, and the spool of audit messages."""
        owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        told = systems.destinations(configuration, profiles.systems)
        return (
            Notifier(self._store, told, owner=owner),
            Forwarder(self._store, recipients(configuration), owner=owner),
            AuditSender(self._store, audit_sender.address(configuration), owner=owner),
        )

    def _admit(self, facts: AssociationFacts) -> Rejection | None:
        return self._devices.admit(facts)

    def _unnumbered(self, facts: AssociationFacts) -> int | None:
        """Return what a device's profile answers a request without Message ID under; None refuses it."""
        device = self._devices.recognised(facts)
        return MESSAGE_ID_WHERE_MISSING if device is None else device.profile.missing_message_id

    def _prefer(self, facts: AssociationFacts) -> Sequence[str] | None:
        """Return the transfer syntaxes a device's profile puts first; None leaves it to the device."""
        device = self._devices.recognised(facts)
        return (device and device.profile.transfer_syntaxes) or None

    async def readiness(self) -> dict[str, bool]:
        """Tell, part by part, whether it works now: proven by trying, not by having started once."""
        parts = await self.standing()
        del parts["web"]  # whoever hears this has proven it
        others = await self._shared.readiness() if self._shared else {}
        return {**parts, **others}

    async def standing(self) -> dict[str, bool]:
        """Do as `readiness`, of this process alone: what a listener shares with others says nothing of it."""
        open_here = self._doors.listening
        names = [name for name in self.addresses if name != "web"]
        probes = [_works(self._store.ping()), *(_works(_connect(self.addresses[name])) for name in names)]
        answered = dict(zip(("database", *names), await asyncio.gather(*probes), strict=True))
        return {
            **answered,
            **{name: is_open and answered.get(name, True) for name, is_open in open_here.items()},
        }

    async def figures(self) -> metrics.Snapshot:
        """Return the figures of this process."""
        await self._refresh()
        return metrics.snapshot()

    async def _collect(self) -> tuple[bytes, str]:
        assert self._shared is not None  # noqa: S101  only a worker collects
        others = await self._shared.figures()
        return metrics.exposition_of({str(self._shared.worker): metrics.snapshot(), **others})

    async def _refresh(self) -> None:
        """Bring the figures that are looked up up to date."""
        assert self._taken is not None  # noqa: S101  nobody is answered before there is a set
        await self._census.take(self.configuration, self._taken.profiles.zone, await self.standing())
        await self._count_outbox()

    async def _count_outbox(self) -> None:
        """Bring the gauges of what waits up to date; without a database they keep their last values."""
        try:
            waiting, spooled = await self._store.read(lambda tx: (outbox.backlog(tx), spool.backlog(tx)))
        except MwlError:
            return
        now = _utc_now()
        metrics.audit_waiting.set(spooled.waiting)
        metrics.audit_oldest.set(_age(now, spooled.oldest))
        for gauge in (metrics.outbox_waiting, metrics.outbox_oldest, metrics.outbox_parked):
            gauge.clear()  # a system that is told no more, and has got all, is no figure
        for destination in {*waiting, *self._destinations()}:
            backlog = waiting.get(destination, Backlog())
            metrics.outbox_waiting.labels(destination).set(backlog.pending)
            metrics.outbox_oldest.labels(destination).set(_age(now, backlog.oldest))
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


def _age(now: dt.datetime, since: dt.datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _view(configuration: Configuration, profiles: Profiles) -> View:
    return View(profiles.devices, configuration.dicom.ae_title, profiles.zone, profiles.shared_by)


def _watched(configuration: Configuration, profiles: Profiles) -> Watched:
    counted, told = conducts(configuration, profiles), configuration.told
    under = Situation(counted, told, onward(configuration))
    return Watched(
        configuration.watch, under, profiles.zone, configuration.titles, frozenset(configuration.systems)
    )


def _at(configuration: Configuration, key: str) -> object:
    return operator.attrgetter(key)(configuration)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
