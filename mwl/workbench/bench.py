"""The broker's device side on the table: the profiles of a configuration, without network or database.

A command that explains, replays or tries opens one `Bench` and asks it what the broker would use for
a device: entry, profile, facts.  Only what is asked for is bound, so that a mistake in one device's
settings does not keep an engineer from looking at another; a mistake in a profile's file refuses the
whole set, as it does in the broker.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from mwl.config import Configuration, Device, SharedBy, profile_folders
from mwl.dicom.answering import Question
from mwl.dicom.devices import as_it_came
from mwl.dicom.encoding import encode_dataset
from mwl.errors import BadDocument, Problem, Refusal, Refused
from mwl.mapping.devices.device import DeviceProfile, DeviceProfiles, load_devices
from mwl.mapping.devices.sharing import serving
from mwl.mapping.facts import Facts, SiteFacts
from mwl.mapping.text.charset import parse_terms
from mwl.mapping.written import Written
from mwl.model import Document
from mwl.yamldoc import Place, suggestion

EXPLICIT_LE = "1.2.840.10008.1.2.1"
_CHARACTER_SET = "00080005"


class Caller(Protocol):
    """Who made a query that was captured."""

    @property
    def calling_ae(self) -> str: ...

    @property
    def called_ae(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def implementation_uid(self) -> str: ...

    @property
    def implementation_version(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Served:
    """What serves a query: an entry of `devices:`, and which of its profiles."""

    label: str
    profile: DeviceProfile
    place: Place  # in the configuration, of what names the profile


class Bench:
    """The device profiles of one configuration, as its files say now; made by `Bench.open`."""

    def __init__(
        self, configuration: Configuration, profiles: DeviceProfiles, clock: Callable[[], dt.datetime]
    ) -> None:
        self.configuration = configuration
        self.profiles = profiles
        settings = configuration.site
        self.zone = ZoneInfo(settings.timezone)
        self.site = SiteFacts(settings.name, self.zone, settings.charset, settings.uid_root)
        self._folders = profile_folders(configuration.mappings)
        self._clock = clock

    @classmethod
    def open(cls, configuration: Configuration, clock: Callable[[], dt.datetime] | None = None) -> Bench:
        """Read all profiles of *configuration*; raise `BadDocument` with every mistake in them."""
        profiles = load_devices(profile_folders(configuration.mappings))
        return cls(configuration, profiles, clock or _utc_now)

    def profile(self, ae: str) -> tuple[str, DeviceProfile]:
        """Return the entry of `devices:` that stands for the calling AE title *ae*, and its profile.

        Raises `Refused` where the broker would not let such a device associate, `BadDocument` for an
        entry whose profile or variables are wrong.
        """
        label, device = self.entry(ae)
        place = ("devices", label)
        return label, self._bound(self.profiles, device.profile, device.vars, place)

    def serving(self, ae: str, facts: Facts, question: Question) -> Served:
        """Return what serves *question*, asked by *ae*; several may share its AE title (P1).

        Raises as `profile` does.
        """
        label, own = self.profile(ae)
        shared = self.configuration.devices[label].shared_by
        others = [self._shared(label, index, each) for index, each in enumerate(shared)]
        asked = as_it_came(question.identifier, question.transfer_syntax) if others else None
        chosen = serving(own, others, facts, asked)
        at = next((index for index, each in enumerate(others) if each is chosen), None)
        keys = ("profile",) if at is None else ("shared_by", at)
        return Served(label, chosen, ("devices", label, *keys))

    def entry(self, ae: str) -> tuple[str, Device]:
        """Return the entry of `devices:` for *ae*: its own, else that of anyone; raise `Refused`."""
        devices = self.configuration.devices
        if (label := self.configuration.device_of(ae)) is not None:
            return label, devices[label]
        held = "it is held in quarantine, and what it asks is refused (0124)"
        what = held if self.configuration.capture.unknown == "hold" else "its associations are rejected"
        raise Refused(Refusal.UNKNOWN, f"{ae} is not under devices: {what}")

    def draft(self, path_or_name: str, ae: str) -> DeviceProfile:
        """Return another profile for the device *ae*: one of the set by name, or a file beside it.

        It is given the device's variables and site, and may extend any profile of the set; a file that
        holds several profiles means its last.  Raises as `profile` does.
        """
        label, device = self.entry(ae)
        path, place = Path(path_or_name), ("devices", label)
        if path_or_name in self.profiles.names:
            return self._bound(self.profiles, path_or_name, device.vars, place)
        if not path.is_file():
            known = suggestion(path_or_name, self.profiles.names)
            raise Refused(Refusal.UNKNOWN, f"there is no profile and no file {path_or_name!r}{known}")
        profiles = load_devices(self._folders, [path])
        here = [each for each in profiles.written.values() if each.file == str(path)]
        if not here:
            raise Refused(Refusal.UNKNOWN, f"{path} holds no profile")
        return self._bound(profiles, max(here, key=_line).name, device.vars, place)

    def facts(self, ae: str, captured: Caller | None = None, now: dt.datetime | None = None) -> Facts:
        """Return what a profile may know: of the caller of a *captured* query, or of *ae* alone.

        *now* (aware) is the present moment unless given; it is put in the site's zone.
        """
        local = (now or self._clock()).astimezone(self.zone)
        if captured is None:
            return Facts(ae, called_ae=self.configuration.dicom.ae_title, now=local)
        return Facts(
            ae,
            captured.called_ae,
            captured.address,
            captured.implementation_uid,
            captured.implementation_version,
            now=local,
        )

    def question(
        self,
        keys: Document | bytes,
        *,
        transfer_syntax: str = EXPLICIT_LE,
        fuzzy: bool = False,
        timezone: bool = False,
    ) -> Question:
        """Return a C-FIND-RQ of *keys*: an identifier as it came, or a document to be written as one.

        Raises `Unencodable` or `Unfit` (both `ValueError`) for a document that is no data set.
        """
        if not isinstance(keys, bytes):
            label = [str(term or "") for term in keys.get(_CHARACTER_SET, {}).get("Value", ())]
            keys = encode_dataset(keys, transfer_syntax, parse_terms(label))
        return Question(keys, transfer_syntax, fuzzy=fuzzy, timezone=timezone)

    def _shared(self, label: str, index: int, each: SharedBy) -> DeviceProfile:
        return self._bound(self.profiles, each.profile, each.vars, ("devices", label, "shared_by", index))

    def _bound(
        self, profiles: DeviceProfiles, name: str, given: Mapping[str, Any], place: Place
    ) -> DeviceProfile:
        if name not in profiles.names:
            message = f"there is no profile {name!r} for devices{suggestion(name, profiles.names)}"
            raise BadDocument([self.configuration.problem((*place, "profile"), message)])

        def blame(variable: str, message: str) -> Problem:
            return self.configuration.problem((*place, "vars", variable), f"vars: {message}")

        return profiles.bind(name, given, self.site, blame)


def _line(profile: Written) -> int:
    return profile.document.values[()].line


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
