"""Who may associate, and through which profile: the configuration's `devices`, ready to be asked.

One object is one configuration: a reload makes a new one and the broker swaps it in, so that an
association never sees half of each.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mwl.dicom.quarantine import Quarantine
from mwl.dicom.service import AssociationFacts, NotAuthorized, Rejection
from mwl.mapping.devices.device import DeviceProfile, Facts

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

    def title(self, association: AssociationFacts) -> str:
        """Return the AE title the device is known by, whichever of its own it calls with (M11)."""
        return association.calling_ae if self.label == ANYONE else self.label


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
    ) -> None:
        """*profiles* maps a calling AE title, or ``*``, to its bound profile; *zone* is the site's.

        *also* maps another AE title of a device to the one it stands under (M11).  Callers that are no
        device stand in *quarantine*; without one they are rejected.
        """
        self._ae_title = ae_title
        self._devices = {label: Device(label, profile) for label, profile in profiles.items()}
        self._devices |= {other: self._devices[label] for other, label in (also or {}).items()}
        self.zone = zone
        self._clock = clock
        self._quarantine = quarantine

    def admit(self, association: AssociationFacts) -> Rejection | None:
        """Return why an association is refused, or None; called AE titles are compared exactly (E-05)."""
        if association.called_ae != self._ae_title:
            return CALLED_AE_NOT_RECOGNISED
        if self.known(association) is not None:
            return None
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
        """Return the device of an association, None for a caller that no entry stands for."""
        return self._devices.get(association.calling_ae) or self._devices.get(ANYONE)

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
