"""The broker's configuration: what may be written, where it is found, what it amounts to.

`load` returns a frozen `Configuration` or raises `BadDocument` with every mistake at its place;
`examine` returns the mistakes, and what is sound beside them.
Each effective value knows its origin: `Configuration.effective` lists them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationError

from mwl import yamldoc
from mwl.config.model import (
    Audit,
    Capture,
    ClientTls,
    Destination,
    Device,
    Dicom,
    Hl7,
    Receiver,
    Reload,
    Retention,
    Settings,
    SharedBy,
    Site,
    Status,
    System,
    Tls,
    User,
    Watch,
    Web,
)
from mwl.config.shipped import profile_folders, shipped
from mwl.config.sources import Written, find, gather
from mwl.config.values import ANYONE, Address, ae_title, without_password
from mwl.errors import BadDocument, Problem
from mwl.yamldoc import Key, Place, suggestion

__all__ = [
    "ANYONE",
    "Address",
    "Audit",
    "Capture",
    "ClientTls",
    "Configuration",
    "Destination",
    "Device",
    "Dicom",
    "Examined",
    "Hl7",
    "Receiver",
    "Reload",
    "Retention",
    "SharedBy",
    "Site",
    "Status",
    "System",
    "Tls",
    "User",
    "Watch",
    "Web",
    "ae_title",
    "examine",
    "load",
    "profile_folders",
    "shipped",
    "without_password",
]


class Configuration(Settings):
    """All settings in effect, with the file they came from and the origin of each."""

    _path: Path | None = PrivateAttr(default=None)
    _written: Written = PrivateAttr(default_factory=lambda: Written("defaults", {}, {}, {}))

    @property
    def path(self) -> Path | None:
        """The file that was read; None where there is none."""
        return self._path

    def origin(self, place: Iterable[Key]) -> str:
        """Return where the value at *place* was written: ``file:line``, ``$VARIABLE`` or ``default``."""
        mark = self._written.values.get(tuple(place))
        return "default" if mark is None else str(mark)

    def problem(self, place: Iterable[Key], message: str) -> Problem:
        """Return a `Problem` at the line where *place* was written: for checks that need more than this."""
        return self._written.problem(place, message)

    def doubts(self) -> Iterator[Problem]:
        """Yield what is allowed and yet likely a mistake: a folder of profiles that is not there."""
        usual = Settings.model_fields["mappings"].default
        if self.mappings != usual and not self.mappings.is_dir():
            yield self.problem(("mappings",), f"mappings: there is no folder {self.mappings}")

    def effective(self) -> Iterator[tuple[str, str, str]]:
        """Yield (key, value, origin) for every setting, without the database's password."""
        for place, value in _leaves(self.model_dump(mode="json"), ()):
            shown = without_password(value) if place == ("database",) else value
            yield ".".join(map(str, place)), "" if shown is None else str(shown), self.origin(place)


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*place, key))
    else:
        yield place, value


@dataclass(frozen=True, slots=True)
class Examined:
    """What a configuration's sources amount to."""

    sound: Configuration
    """What is written without a mistake: to look further with, and never to run."""
    mistakes: tuple[Problem, ...]


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration of *path* (or of the file found in its stead) and the environment.

    Raises `BadDocument` with all mistakes, those of variables included.
    """
    examined = examine(path, environ)
    if examined.mistakes:
        raise BadDocument(examined.mistakes)
    return examined.sound


def examine(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Examined:
    """Do as `load`, and return the mistakes beside what is sound.

    Raises `BadDocument` where the file is unreadable or not YAML: then nothing is known of it.
    """
    environ = os.environ if environ is None else environ
    path = find(path, environ)
    written = gather(path, environ)
    mistakes = [*written.mistakes, *_same_sender(written)]
    try:
        sound = Configuration.model_validate(written.data)
    except ValidationError as error:
        mistakes += yamldoc.problems(written, Configuration, error)
        sound = yamldoc.sound(written.data, Configuration, error, _entry)
    else:
        mistakes += [*_same_address(sound, written), *_same_title(sound, written)]
        mistakes += [*_same_name(sound, written), *_no_device(sound, written)]
        mistakes += _no_certificate(sound, written)
    sound._path, sound._written = path, written  # noqa: SLF001  its own module
    return Examined(sound, tuple(sorted(mistakes, key=lambda each: (each.file, each.line, each.column))))


_ENTRIES = {("devices",), ("systems",), ("forward",)}


def _entry(place: Place) -> Place:
    """Return what a mistake at *place* takes with it: a device or system is left out whole."""
    return place[:2] if place[:1] in _ENTRIES else place


def _same_address(configuration: Configuration, written: Written) -> Iterator[Problem]:
    """Find two listeners that cannot both have their address; port 0 is any free one."""
    seen: dict[Address, str] = {}
    for door in ("dicom", "hl7", "web"):
        address: Address = getattr(configuration, door).listen
        if address.port and address in seen:
            message = f"{door}.listen: {address} is the address of {seen[address]}.listen"
            yield written.problem((door, "listen"), message)
        seen.setdefault(address, door)


def _same_title(configuration: Configuration, written: Written) -> Iterator[Problem]:
    """Find AE titles that would stand for two devices."""
    known = dict.fromkeys(configuration.devices, "a device by itself")
    for title, device in configuration.devices.items():
        for at, other in enumerate(device.also):
            if other in known:
                message = f"also: {other} is {known[other]}"
                yield written.problem(("devices", title, "also", at), message)
            known.setdefault(other, f"one of {title}'s titles")


def _same_name(configuration: Configuration, written: Written) -> Iterator[Problem]:
    """Find names that would stand for two peers: in the outbox, a destination is its name."""
    sections = {
        ("systems",): [name for name, system in configuration.systems.items() if system.status],
        ("forward",): list(configuration.forward),
        ("dicom", "subscribers"): list(configuration.dicom.subscribers),
    }
    seen: dict[str, str] = {}
    for place, names in sections.items():
        for name in names:
            if name in seen:
                message = f"{name!r} is a name of {seen[name]} already"
                yield written.problem((*place, name), message, at_key=True)
            seen.setdefault(name, ".".join(place))


def _no_device(configuration: Configuration, written: Written) -> Iterator[Problem]:
    """Find devices whose performed steps are sent on and that do not exist."""
    for name, destination in configuration.forward.items():
        for at, title in enumerate(destination.devices):
            if title != ANYONE and configuration.device_of(title) not in (title, ANYONE):
                other = configuration.titles.get(title)
                known = f": {other} is its key" if other else suggestion(title, configuration.devices)
                message = f"devices: there is no device {title}{known}"
                yield written.problem(("forward", name, "devices", at), message)


def _no_certificate(configuration: Configuration, written: Written) -> Iterator[Problem]:
    """Find devices that are to show a certificate nobody asks them for."""
    tls = configuration.dicom.tls
    for title, device in configuration.devices.items():
        if device.certificate and (tls is None or tls.clients is None):
            message = "certificate: none is asked for without dicom.tls.clients, so nobody could get in"
            yield written.problem(("devices", title, "certificate"), message)


def _same_sender(written: Written) -> Iterator[Problem]:
    """Find systems no message could be told apart by."""
    systems = written.data.get("systems")
    seen: dict[tuple[str, str], str] = {}
    for name, system in systems.items() if isinstance(systems, dict) else ():
        values = system if isinstance(system, dict) else {}
        sender = (str(values.get("application", ANYONE)).strip(), str(values.get("facility", ANYONE)).strip())
        if sender in seen:
            message = f"{name!r} has the application and facility of {seen[sender]!r}"
            yield written.problem(("systems", name), message, at_key=True)
        seen.setdefault(sender, name)
