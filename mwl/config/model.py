"""What may stand in ``mwl.yaml``: one class a section, one sentence a key.

The sentence under a key is its description in the JSON Schema and in the manual.  Units are in the
sentence.  Every key has a default: a broker without any configuration runs on loopback with an
embedded database and takes anyone on both sides.
"""

from __future__ import annotations

import datetime as dt
import os
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mwl.config.values import (
    ANYONE,
    Address,
    AETitle,
    After,
    Age,
    CharsetLabel,
    DatabaseUrl,
    Listen,
    MessageKind,
    Network,
    PasswordHash,
    Peer,
    Secret,
    Size,
    Text,
    TlsVersion,
    UidRoot,
    ZoneName,
)
from mwl.model import StatusEvent

KIB = 1024
MIB = 1024 * KIB
MINUTES = 60

_LOCALTIME = Path("/etc/localtime")


def host_zone() -> str:
    """Return the name of the host's time zone, UTC where it has none."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name and _LOCALTIME.is_symlink():
        name = str(_LOCALTIME.resolve()).partition("/zoneinfo/")[2]
    try:
        return zoneinfo.ZoneInfo(name).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # TZ may hold a rule instead of a name
        return "UTC"


def _nothing_written(value: Any) -> Any:
    """Take a section whose lines are all commented out for an empty one."""
    return {} if value is None else value


_Empty = BeforeValidator(_nothing_written)


def _listed(value: Any) -> Any:
    """Take a single value for a list of one."""
    return [value] if isinstance(value, str) else value


_Listed = BeforeValidator(_listed, json_schema_input_type=str | list[str])


class Section(BaseModel):
    """Common to all sections: an unknown key is an error, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    _empty = model_validator(mode="before")(_nothing_written)


class Site(Section):
    """The house: what its steps and identifiers have in common."""

    name: Text = ""
    """Name of the house, as devices and people know it."""
    timezone: ZoneName = Field(default_factory=host_zone)
    """IANA zone of the wall clock that steps are scheduled by; the host's own where none is written."""
    charset: CharsetLabel | None = None
    """Specific Character Set of responses where the device's profile names none; absent: the request's."""
    uid_root: UidRoot | None = None
    """Root of the UIDs the broker derives; without one they stand under 2.25 (PS3.5 B.2)."""


class Tls(Section):
    """TLS of a listener (BCP 195: 1.2 or later); a relative path starts at the working directory."""

    certificate: Path
    """PEM file with the certificate and its chain."""
    key: Path
    """PEM file with the private key, without a passphrase."""
    clients: Path | None = None
    """PEM file with the authorities a client's certificate must come from; absent: none is asked for."""
    version: TlsVersion = "1.2"
    """The lowest version that is spoken, 1.2 or 1.3 (PS3.15 B.12 wants the former spoken)."""


class ClientTls(Section):
    """TLS of a connection the broker opens (BCP 195: 1.2 or later); ``{}`` trusts whom the host trusts."""

    authorities: Path | None = None
    """PEM file with the authorities the peer's certificate must come from; absent: those of the host."""
    name: Text | None = None
    """Name the peer's certificate must hold; absent: the host of the address."""
    certificate: Path | None = None
    """PEM file with the broker's own certificate and its chain, for a peer that asks for one."""
    key: Path | None = None
    """PEM file with its private key, without a passphrase."""

    @model_validator(mode="after")
    def _both_or_none(self) -> ClientTls:
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("a certificate needs its key, and a key its certificate")
        return self


class Receiver(Section):
    """A DICOM application that the broker calls."""

    ae_title: AETitle
    """AE title to call."""
    to: Peer
    """Address of its listener."""
    calling_ae: AETitle | None = None
    """AE title to call with; absent: that of the broker."""
    tls: ClientTls | None = None
    """TLS of the association; absent: none."""
    answer_within: Annotated[float, Field(gt=0, le=60)] = 30
    """Seconds it may take to be connected to, to accept an association, and to answer a request."""


class Subscriber(Receiver):
    """An application that hears of performed steps."""


class Destination(Receiver):
    """Another SCP that performed steps are sent on to: an archive, a dose system."""

    devices: Annotated[tuple[AETitle, ...], _Listed] = (ANYONE,)
    """Devices, by their keys, whose performed steps it gets; "*" means all."""


class DicomLimits(Section):
    """How much one device, and all of them together, may take."""

    associations: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Associations open at a time; a further one is refused for now (pynetdicom allows 10, DCMTK 50)."""
    per_address: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Of these, associations from one address; behind a proxy, which is one address, as many as above."""
    idle: Annotated[float, Field(gt=0)] = 10 * MINUTES
    """Seconds an association may be silent before it is aborted (pynetdicom: 60)."""
    artim: Annotated[float, Field(gt=0)] = 30
    """Seconds a peer may take to ask for an association, and to close one (PS3.8 9.1.4)."""
    handshake: Annotated[float, Field(gt=0)] = 10
    """Seconds a TLS handshake may take."""
    message: Annotated[float, Field(gt=0)] = 60
    """Seconds a message may take, from its first byte to its last."""
    write: Annotated[float, Field(gt=0)] = 60
    """Seconds a peer may read nothing of an answer."""
    pdu: Annotated[int, Field(ge=4 * KIB, le=128 * KIB)] = 16 * KIB
    """Bytes of the longest PDU devices are asked to send (DCMTK: 4096 to 131072)."""
    dataset: Annotated[int, Field(ge=64 * KIB, le=256 * MIB)] = 4 * MIB
    """Bytes of the longest performed step the broker takes."""
    identifier: Annotated[int, Field(ge=4 * KIB, le=256 * MIB)] = 256 * KIB
    """Bytes of the longest identifier of a query; those of devices have about 1 KiB."""
    queries: Annotated[int, Field(ge=1)] | None = 3000
    """Queries of one device a minute, of which each hundred items of an answer make one more; what is above
    is refused (A700); empty: without a bound."""


class User(Section):
    """A user whom devices may act for (PS3.7 D.3.3.7); one without a password is known by name alone."""

    password: Secret | None = None
    """Password in the clear; it belongs into a variable, not into this file."""
    password_file: Path | None = None
    """File that holds the password, on one line."""
    password_hash: PasswordHash | None = None
    """Hash of the password, as ``mwl users password`` prints it."""

    @model_validator(mode="after")
    def _one_password(self) -> User:
        if sum(each is not None for each in (self.password, self.password_file, self.password_hash)) > 1:
            raise ValueError("a user has one password: in the clear, in a file, or as a hash")
        return self


class Dicom(Section):
    """The DICOM side: where devices ask for the worklist and report performed steps."""

    ae_title: AETitle = "MWL"
    """AE title devices must call."""
    listen: Listen = Address("127.0.0.1", 11112)
    """Address to accept associations on."""
    tls: Tls | None = None
    """TLS of this listener; absent: none."""
    limits: DicomLimits = DicomLimits()
    """Bounds of associations."""
    users: Annotated[Mapping[Text, User], _Empty] = {}
    """Users devices may act for; where there are none, whom a device states is not looked at."""
    user_required: bool = False
    """Whether a device must act for one of these users, and prove it."""

    subscribers: Annotated[Mapping[Text, Subscriber], _Empty] = {}
    """Applications that hear of performed steps by N-EVENT-REPORT, by a name used in logs, metrics and the
    database."""

    @model_validator(mode="after")
    def _some_user(self) -> Dicom:
        if self.user_required and not self.users:
            raise ValueError("user_required lets nobody in while there are no users")
        return self


class Hl7Limits(Section):
    """How much one sender, and all of them together, may take."""

    connections: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Connections open at a time; a further one is closed."""
    per_address: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Of these, connections from one address; behind a proxy, which is one address, as many as above."""
    handshake: Annotated[float, Field(gt=0)] = 15
    """Seconds a TLS handshake may take."""
    idle: Annotated[float, Field(gt=0)] | None = None
    """Seconds a connection may be silent between messages; absent: for ever, as senders expect (D-03)."""
    silence: Annotated[float, Field(gt=0)] = 30
    """Seconds a sender may pause inside a message, or not read an answer."""
    message: Annotated[float, Field(gt=0)] = 120
    """Seconds a message may take, from its first byte to its last."""
    frame: Annotated[int, Field(ge=4 * KIB, le=256 * MIB)] = 4 * MIB
    """Bytes of the longest message the broker takes (python-hl7: 64 KiB, too short for reports)."""


class Hl7(Section):
    """The HL7 side: where systems send orders."""

    listen: Listen = Address("127.0.0.1", 2575)
    """Address to accept MLLP connections on."""
    tls: Tls | None = None
    """TLS of this listener; absent: none."""
    limits: Hl7Limits = Hl7Limits()
    """Bounds of connections."""


class WebLimits(Section):
    """How much one client, and all of them together, may take."""

    connections: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Connections open at a time; a further one is closed."""
    per_address: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Of these, connections from one address."""
    handshake: Annotated[float, Field(gt=0)] = 10
    """Seconds a TLS handshake may take."""
    request: Annotated[float, Field(gt=0)] = 10
    """Seconds a request may take, from its connection, or its first byte, to its last; and its answer may
    stay unread."""


class Web(Section):
    """The HTTP side: health, readiness, metrics."""

    listen: Listen = Address("127.0.0.1", 8080)
    """Address to accept HTTP requests on."""
    tls: Tls | None = None
    """TLS of this listener; absent: none."""
    limits: WebLimits = WebLimits()
    """Bounds of connections."""


class SharedBy(Section):
    """A profile of one of the devices that share an AE title; its name alone will do."""

    profile: Text
    """Name of a device profile with a `match`, which tells when it is meant."""
    vars: Annotated[Mapping[str, Any], _Empty] = {}
    """Values of that profile's variables."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, data: Any) -> Any:
        """Take ``ge-ct-connectpro`` for ``{profile: ge-ct-connectpro}``."""
        return {"profile": data} if isinstance(data, str) else data


class Device(Section):
    """One device, under its calling AE title."""

    profile: Text = "generic"
    """Name of the device profile: a file of mappings/devices without its ending."""
    shared_by: Annotated[tuple[SharedBy, ...], _Listed] = ()
    """Profiles of the devices that share this AE title; a query is served by the one whose `match` fits."""
    also: Annotated[tuple[AETitle, ...], _Listed] = ()
    """Other AE titles by which the same device calls: that of its MPPS, for one."""
    address: Annotated[tuple[Network, ...], _Listed] = ()
    """Addresses, or networks, it calls from (10.1.2.3, 10.1.0.0/16); absent: any."""
    certificate: Annotated[tuple[Text, ...], _Listed] = ()
    """Names of which its TLS certificate must hold one, as common name or alternative name; absent: any."""
    vars: Annotated[Mapping[str, Any], _Empty] = {}
    """Values of the profile's variables: text, numbers, true or false, lists."""
    shadow: Text | None = None
    """Name of a profile that answers beside the device's own, to be compared and never sent; absent: none."""


class Status(Section):
    """Where a system is told what became of its orders."""

    to: Peer
    """Address of its MLLP listener."""
    tls: ClientTls | None = None
    """TLS of the connection to it; absent: none."""
    message: MessageKind = "ORM^O01"
    """Kind of message it is told with; the system's profile says how it is filled."""
    on: Annotated[tuple[StatusEvent, ...], _Listed] = (
        StatusEvent.BEGUN,
        StatusEvent.COMPLETED,
        StatusEvent.DISCONTINUED,
        StatusEvent.REOPENED,
        StatusEvent.CANCELLED,
    )
    """What it is told of: IP, CM, DC, SC (back on the worklist), CA, ARRIVED, READY; never what its own
    message has said."""
    answer_within: Annotated[float, Field(gt=0, le=60)] = 30
    """Seconds it may take to be connected to, and to answer a message."""
    nonsense: Literal["retry", "park"] = "retry"
    """What becomes of a message whose answer is no acknowledgement of it: sent again for as long as it takes,
    or parked in the end."""
    nonsense_limit: Annotated[int, Field(ge=1, le=1000)] = 5
    """After how many such answers it is parked."""


class System(Section):
    """One system that sends orders."""

    application: Text = ANYONE
    """Its MSH-3; "*" means anyone no other system names."""
    facility: Text = ANYONE
    """Its MSH-4; "*", or absent, means any."""
    profile: Text = "generic"
    """Name of the system profile: a file of mappings/systems without its ending."""
    status: Status | None = None
    """Where it is told of status; absent: it is told nothing."""


class Retention(Section):
    """How long things are kept, and how much of them."""

    messages: Age = dt.timedelta(days=90)
    """How long an HL7 message is kept after it last came: ``90d``, ``12h``, ``8w`` or ``forever``."""
    refused: Size = 256 * MIB
    """How much of the refused messages of configured systems is kept a day (UTC): ``256 MiB``."""
    unknown: Size = 32 * MIB
    """How much is kept a day (UTC) of messages from nobody configured, or that were not understood."""
    finished: Age = None
    """How long a requested procedure is kept after its last step was finished, with what was performed of it,
    a performed step without an order after its end, and a patient without procedures, with the IDs that were
    merged into it, after something was said last: ``400d``, ``52w`` or ``forever``."""
    sent: Age = dt.timedelta(days=90)
    """How long a message to a system, or a request to a DICOM peer, is kept after it was delivered or
    discarded: ``90d``, ``12h``, ``8w`` or ``forever``; what waits or is parked stays."""


class PerformedWatch(Section):
    """Performed steps that are IN PROGRESS, and whose device has said nothing for long."""

    report: After = dt.timedelta(hours=12)
    """After how long it is logged, counted and put before a person: ``12h``, ``3d`` or ``never``."""
    close: After = None
    """After how long it is ended; what its device sends later is refused (0110, Error ID A710)."""
    ended_as: Literal["COMPLETED", "DISCONTINUED"] = "DISCONTINUED"
    """How it is ended."""


class StepsWatch(Section):
    """Scheduled steps of which nothing is done, so long after their start and after anything was heard."""

    report: After = None
    """After how long they are counted: ``24h``, ``3d`` or ``never``."""
    idle: After = None
    """After how long they leave the worklists, on hold and with the reason "idle"; a device's profile may say
    something else (``mpps.idle``)."""


class Watch(Section):
    """What the broker sees to by the clock."""

    performed: PerformedWatch = PerformedWatch()
    """Performed steps that nobody ends."""
    steps: StepsWatch = StepsWatch()
    """Scheduled steps that nobody reports."""
    devices: After = dt.timedelta(days=7)
    """After how long it is logged that a device has not been heard: ``7d``, ``12h`` or ``never``."""
    systems: After = dt.timedelta(days=3)
    """After how long it is logged that a system has sent nothing."""
    outbox: After = dt.timedelta(hours=1)
    """After how long it is logged that something waits to be sent."""


class Reload(Section):
    """What makes a running broker read its files again, beside SIGHUP."""

    watch: bool = True
    """Whether a change of this file, or of a profile or table of the site, is taken over by itself."""


class Capture(Section):
    """The queries that devices make: how many are kept, for how long, and whose."""

    per_device: Annotated[int, Field(ge=0, le=1000)] = 100
    """How many queries are kept of one calling AE title, those asked last; a repeated one is one; 0: none."""
    age: Age = dt.timedelta(days=30)
    """How long a query is kept after it was last asked: ``30d``, ``12h``, ``8w`` or ``forever``."""
    unknown: Literal["reject", "hold"] = "reject"
    """Callers that are not configured: reject their associations, or hold them, so that it can be seen what
    they ask: they may verify, and what they ask is kept and refused (0124)."""


Audited = Literal["application", "query", "order", "procedure", "patient", "security", "user"]
"""A kind of event that an audit message may be sent of."""


class Audit(Section):
    """Audit messages to a collector (PS3.15 A.5, IHE ATNA), by syslog."""

    to: Peer
    """Address of the collector; port 6514 is usual for TLS."""
    transport: Literal["tls", "udp"] = "tls"
    """How they are sent: over TLS (RFC 5425), or in datagrams (RFC 5426) that anybody may read and nobody
    misses."""
    tls: ClientTls = ClientTls()
    """TLS of the connection; absent: the collector's certificate comes from whom the host trusts."""
    source: Text | None = None
    """Audit Source ID; absent: the AE title of the broker."""
    site: Text | None = None
    """Audit Enterprise Site ID; absent: the name of the house, where it has one."""
    events: Annotated[tuple[Audited, ...], _Listed] = get_args(Audited)
    """What is reported: application (start, stop), query, order, procedure, patient, security, user."""
    spool: Annotated[int, Field(ge=1000, le=10_000_000)] = 200_000
    """Messages that wait in the database at most while the collector is down, some 2 KiB each; what comes
    above that is dropped and counted."""

    @model_validator(mode="after")
    def _fits(self) -> Audit:
        if self.transport == "udp" and "tls" in self.model_fields_set:
            raise ValueError("datagrams have no TLS: write transport: tls, or leave tls out")
        return self


class Synthetic(Section):
    """An order of the broker's own, which goes the whole way so that health is proven by traffic."""

    every: After = None
    """How often it goes in by HL7, is asked for by DICOM, and cancelled: ``1m``, ``5m`` or ``never``; no
    device is ever shown it."""


class Settings(Section):
    """Everything that may be configured."""

    site: Site = Field(default_factory=Site)
    """The house."""
    database: DatabaseUrl = "sqlite:///mwl.db"
    """URL of the database; a relative SQLite file starts at the working directory."""
    mappings: Path = Path("mappings")
    """Folder searched for profiles before the shipped ones; relative to the working directory."""
    dicom: Dicom = Dicom()
    """The DICOM side."""
    hl7: Hl7 = Hl7()
    """The HL7 side."""
    web: Web = Web()
    """The HTTP side."""
    devices: Annotated[Mapping[AETitle, Device], _Empty] = {ANYONE: Device()}
    """Calling AE title to device; only these may associate, "*" means anyone."""
    systems: Annotated[Mapping[Text, System], _Empty] = {"any": System()}
    """Systems that send orders and want status, by a name used in logs, metrics and the database."""
    forward: Annotated[Mapping[Text, Destination], _Empty] = {}
    """Where performed steps are sent on to, by a name used in logs, metrics and the database."""
    reload: Reload = Reload()
    """When the files are read again."""
    retention: Retention = Retention()
    """What is kept, and for how long."""
    capture: Capture = Capture()
    """What is kept of the queries that devices make."""
    watch: Watch = Watch()
    """What is seen to by the clock."""
    synthetic: Synthetic = Synthetic()
    """Whether health is proven by traffic."""
    audit: Audit | None = None
    """Where audit messages are sent to; absent: nowhere, and none are made."""

    @property
    def receivers(self) -> Mapping[str, Receiver]:
        """The DICOM applications the broker calls, by their names."""
        return {**self.forward, **self.dicom.subscribers}

    @property
    def told(self) -> frozenset[tuple[str, StatusEvent]]:
        """Which systems want to hear of which events of their steps."""
        return frozenset(
            (name, event)
            for name, system in self.systems.items()
            if system.status
            for event in system.status.on
        )

    @property
    def titles(self) -> Mapping[str, str]:
        """Each calling AE title that is configured, and the key of `devices` it stands under."""
        others = {other: title for title, device in self.devices.items() for other in device.also}
        return {**others, **{title: title for title in self.devices}}

    def device_of(self, calling_ae: str) -> str | None:
        """Return the key of `devices` that stands for a calling AE title; None where none does."""
        return self.titles.get(calling_ae, ANYONE if ANYONE in self.devices else None)
