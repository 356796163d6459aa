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
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mwl.config.values import (
    ANYONE,
    Address,
    AETitle,
    Age,
    CharsetLabel,
    DatabaseUrl,
    Listen,
    MessageKind,
    PasswordHash,
    Peer,
    Secret,
    Size,
    Text,
    UidRoot,
    ZoneName,
)

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


class DicomLimits(Section):
    """How much one device, and all of them together, may take."""

    associations: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Associations open at a time; a further one is refused for now (pynetdicom allows 10, DCMTK 50)."""
    idle: Annotated[float, Field(gt=0)] = 10 * MINUTES
    """Seconds an association may be silent before it is aborted (pynetdicom: 60)."""
    artim: Annotated[float, Field(gt=0)] = 30
    """Seconds a peer may take to ask for an association, and to close one (PS3.8 9.1.4)."""
    pdu: Annotated[int, Field(ge=4 * KIB, le=128 * KIB)] = 16 * KIB
    """Bytes of the longest PDU devices are asked to send (DCMTK: 4096 to 131072)."""
    dataset: Annotated[int, Field(ge=64 * KIB, le=256 * MIB)] = 4 * MIB
    """Bytes of the longest identifier or performed step the broker takes."""


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

    @model_validator(mode="after")
    def _some_user(self) -> Dicom:
        if self.user_required and not self.users:
            raise ValueError("user_required lets nobody in while there are no users")
        return self


class Hl7Limits(Section):
    """How much one sender, and all of them together, may take."""

    connections: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Connections open at a time; a further one is closed."""
    idle: Annotated[float, Field(gt=0)] | None = None
    """Seconds a connection may be silent between messages; absent: for ever, as senders expect (D-03)."""
    silence: Annotated[float, Field(gt=0)] = 30
    """Seconds a sender may pause inside a message, or not read an answer."""
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


class Web(Section):
    """The HTTP side: health, readiness, metrics."""

    listen: Listen = Address("127.0.0.1", 8080)
    """Address to accept HTTP requests on."""


class Device(Section):
    """One device, under its calling AE title."""

    profile: Text = "generic"
    """Name of the device profile: a file of mappings/devices without its ending."""
    vars: Annotated[Mapping[str, Any], _Empty] = {}
    """Values of the profile's variables: text, numbers, true or false, lists."""


class Status(Section):
    """Where a system is told what became of its orders."""

    to: Peer
    """Address of its MLLP listener."""
    message: MessageKind = "ORM^O01"
    """Kind of message it is told with; the system's profile says how it is filled."""


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
    retention: Retention = Retention()
    """What is kept, and for how long."""
