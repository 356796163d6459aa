"""Who may associate, and through which profile: the configuration's `devices`, ready to be asked.

One object is one configuration: a reload makes a new one and the broker swaps it in, so that an
association never sees half of each.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mwl.dicom.service import AssociationFacts, NotAuthorized, Rejection
from mwl.mapping.devices.device import DeviceProfile, Facts

ANYONE = "*"

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


class Devices:
    """The devices of one configuration."""

    def __init__(
        self,
        ae_title: str,
        profiles: Mapping[str, DeviceProfile],
        zone: ZoneInfo,
        clock: Callable[[], dt.datetime] = _now,
    ) -> None:
        """*profiles* maps a calling AE title, or ``*``, to its bound profile; *zone* is the site's."""
        self._ae_title = ae_title
        self._devices = {label: Device(label, profile) for label, profile in profiles.items()}
        self.zone = zone
        self._clock = clock

    def admit(self, association: AssociationFacts) -> Rejection | None:
        """Return why an association is refused, or None; called AE titles are compared exactly (E-05)."""
        if association.called_ae != self._ae_title:
            return CALLED_AE_NOT_RECOGNISED
        if association.calling_ae in self._devices or ANYONE in self._devices:
            return None
        return CALLING_AE_NOT_RECOGNISED

    def of(self, association: AssociationFacts) -> Device:
        """Return the device of an association.

        Raises `NotAuthorized` for one that was admitted under another configuration and is none now:
        a reload does not wait until it releases its association.
        """
        device = self._devices.get(association.calling_ae) or self._devices.get(ANYONE)
        if device is None:
            raise NotAuthorized("not a configured device", calling_ae=association.calling_ae)
        return device

    def facts(self, association: AssociationFacts) -> Facts:
        """Return what a profile may know of a request: who asks, from where, and the site's time."""
        return Facts(
            calling_ae=association.calling_ae,
            called_ae=association.called_ae,
            address=association.address,
            implementation_uid=association.implementation_uid,
            implementation_version=association.implementation_version,
            now=self._clock().astimezone(self.zone),
        )
