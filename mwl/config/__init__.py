"""The broker's configuration: what may be written, where it is found, what it amounts to.

`load` returns a frozen `Configuration` or raises `BadDocument` with every mistake at its place.
Each effective value knows its origin: `Configuration.effective` lists them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationError

from mwl import yamldoc
from mwl.config.model import Device, Dicom, Hl7, Retention, Settings, Site, Status, System, Tls, User, Web
from mwl.config.shipped import profile_folders, shipped
from mwl.config.sources import Written, find, gather
from mwl.config.values import ANYONE, Address, ae_title, without_password
from mwl.errors import BadDocument, Problem
from mwl.yamldoc import Key, Place

__all__ = [
    "ANYONE",
    "Address",
    "Configuration",
    "Device",
    "Dicom",
    "Hl7",
    "Retention",
    "Site",
    "Status",
    "System",
    "Tls",
    "User",
    "Web",
    "ae_title",
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


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration of *path* (or of the file found in its stead) and the environment.

    Raises `BadDocument` with all mistakes, those of variables included.
    """
    environ = os.environ if environ is None else environ
    path = find(path, environ)
    written = gather(path, environ)
    mistakes = [*written.mistakes, *_same_sender(written)]
    try:
        configuration = Configuration.model_validate(written.data)
    except ValidationError as error:
        mistakes += yamldoc.problems(written, Configuration, error)
    else:
        configuration._path, configuration._written = path, written  # noqa: SLF001  its own module
        mistakes += _same_address(configuration)
    if mistakes:
        raise BadDocument(sorted(mistakes, key=lambda each: (each.file, each.line, each.column)))
    return configuration


def _same_address(configuration: Configuration) -> Iterator[Problem]:
    """Find two listeners that cannot both have their address; port 0 is any free one."""
    seen: dict[Address, str] = {}
    for door in ("dicom", "hl7", "web"):
        address: Address = getattr(configuration, door).listen
        if address.port and address in seen:
            message = f"{door}.listen: {address} is the address of {seen[address]}.listen"
            yield configuration.problem((door, "listen"), message)
        seen.setdefault(address, door)


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
