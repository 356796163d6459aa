"""Who may associate, and through which profile: the configuration's `devices`, ready to be asked.

One object is one configuration: a reload makes a new one and the broker swaps it in, so that an
association never sees half of each.

Devices that share one AE title are told apart by the `match` of their profiles (P1): a query by its
association and by what it asks, an association by itself.  What none of them fits, and every performed
step, is the entry's own profile's: no query comes with a performed step.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from mwl.dicom.binding import Binding
from mwl.dicom.elements import Undecodable
from mwl.dicom.encoding import decode_dataset
from mwl.dicom.quarantine import Quarantine
from mwl.dicom.service import AssociationFacts, NotAuthorized, Rejection
from mwl.logs import event
from mwl.mapping.devices.device import DeviceProfile, Facts
from mwl.mapping.devices.sharing import foreign, serving
from mwl.model import Document

logger = logging.getLogger(__name__)

ANYONE = "*"
NOT_A_DEVICE = "not a configured device"
"""What a caller is told that may ask nothing (status 0124)."""

# PS3.8 Table 9-21: result, source, reason (E-04).
CALLING_AE_NOT_RECOGNISED = Rejection(1, 1, 3)
CALLED_AE_NOT_RECOGNISED = Rejection(1, 1, 7)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Device:
    """A configured device; *label* is its key in the configuration, so figures stay bounded."""

    label: str
    profile: DeviceProfile
    shared_by: tuple[DeviceProfile, ...] = ()  # of the devices that share its AE title
    binding: Binding | None = None  # who may call by its AE titles; None: anybody

    def title(self, association: AssociationFacts) -> str:
        """Return the AE title the device is known by, whichever of its own it calls with (M11)."""
        return association.calling_ae if self.label == ANYONE else self.label

    def objection(self, association: AssociationFacts) -> Rejection | None:
        """Return why its AE title is not this caller's, or None."""
        return None if self.binding is None else self.binding.objection(association)


def as_it_came(identifier: bytes, transfer_syntax: str) -> Document | None:
    """Return an identifier before any tolerance, None for bytes that are no data set."""
    try:
        return decode_dataset(identifier, transfer_syntax)
    except Undecodable:
        return None


class Devices:
    """The devices of one configuration."""

    def __init__(
        self,
        ae_title: str,
        profiles: Mapping[str, DeviceProfile],
        zone: ZoneInfo,
        clock: Callable[[], dt.datetime] = _now,
        quarantine: Quarantine | None = None,
        also: Mapping[str, str] | None = None,
        shared_by: Mapping[str, Sequence[DeviceProfile]] | None = None,
        bindings: Mapping[str, Binding] | None = None,
    ) -> None:
        """*profiles* maps a calling AE title, or ``*``, to its bound profile; *zone* is the site's.

        *also* maps another AE title of a device to the one it stands under (M11), *shared_by* a title to
        the profiles of the devices that share it (P1), *bindings* one to whom it is bound.  Callers that
        are no device stand in *quarantine*; without one they are rejected.
        """
        self._ae_title = ae_title
        others, bound = shared_by or {}, bindings or {}
        self._devices = {
            label: Device(label, profile, tuple(others.get(label, ())), bound.get(label))
            for label, profile in profiles.items()
        }
        self._devices |= {other: self._devices[label] for other, label in (also or {}).items()}
        self.zone = zone
        self._clock = clock
        self._quarantine = quarantine
        self._told: set[str] = set()  # labels whose strangers are on record

    def admit(self, association: AssociationFacts) -> Rejection | None:
        """Return why an association is refused, or None; called AE titles are compared exactly (E-05)."""
        if association.called_ae != self._ae_title:
            return CALLED_AE_NOT_RECOGNISED
        device = self._named(association)
        if device is not None:
            return device.objection(association)
        if self._quarantine is not None and self._quarantine.room(association.address):
            return None
        return CALLING_AE_NOT_RECOGNISED

    def of(self, association: AssociationFacts) -> Device:
        """Return the device of an association.

        Raises `NotAuthorized` for a caller in quarantine, and for one that was admitted under another
        configuration and is no device now: a reload does not wait until it releases its association.
        """
        device = self.known(association)
        if device is None:
            raise NotAuthorized(NOT_A_DEVICE, calling_ae=association.calling_ae)
        return device

    def known(self, association: AssociationFacts) -> Device | None:
        """Return the device of an association, None for a caller that no entry stands for, or not for it."""
        device = self._named(association)
        if device is not None and device.objection(association):
            return None  # the binding came with a reload
        return device

    def _named(self, association: AssociationFacts) -> Device | None:
        return self._devices.get(association.calling_ae) or self._devices.get(ANYONE)

    def recognised(self, association: AssociationFacts) -> Device | None:
        """Do as `known`, with the profile that the association alone tells, where several share the title."""
        device = self.known(association)
        if device is None or not device.shared_by:
            return device
        chosen = serving(device.profile, device.shared_by, self.facts(association), None)
        return replace(device, profile=chosen)

    def asking(self, association: AssociationFacts, identifier: bytes, transfer_syntax: str) -> Device | None:
        """Do as `known`, with the profile that a query is served by, where several share the title.

        That none of them fits is told once, and the query is served all the same.
        """
        device = self.known(association)
        if device is None or not device.shared_by:
            return device
        facts, asked = self.facts(association), as_it_came(identifier, transfer_syntax)
        chosen = serving(device.profile, device.shared_by, facts, asked)
        if chosen is device.profile and foreign(chosen, facts, asked) and device.label not in self._told:
            self._told.add(device.label)
            event(logger, logging.WARNING, "query fits no profile of its device", device=device.label,
                  calling_ae=association.calling_ae, profile=chosen.name,
                  impl_uid=association.implementation_uid)  # fmt: skip
        return replace(device, profile=chosen)

    def facts(self, association: AssociationFacts) -> Facts:
        """Return what a profile may know of a request: who asks, from where, and the site's time."""
        return Facts(
            calling_ae=association.calling_ae,
            called_ae=association.called_ae,
            address=association.address,
            implementation_uid=association.implementation_uid,
            implementation_version=association.implementation_version,
            common_name=association.common_name,
            now=self._clock().astimezone(self.zone),
        )
