"""How each configured device's performed steps are taken, as the store understands it.

For the broker, and for commands that decide about performed steps beside it: both go by the same profiles.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from mwl.broker.profiles import Profiles
from mwl.conduct import Conduct, Conducts, Together
from mwl.config import ANYONE, Configuration
from mwl.mapping.devices.device import DeviceProfile, Facts
from mwl.model import WorklistItem


def conducts(configuration: Configuration, profiles: Profiles) -> Conducts:
    """Return the conduct of every device, by its key in `devices`; "*" stands for everybody else."""
    found: dict[str, Conduct] = {}
    for title, profile in profiles.devices.items():
        titles = {title, *configuration.devices[title].also} - {ANYONE}
        together = _together(title, profile, profiles.zone) if profile.arranges else None
        found[title] = profile.mpps.conduct(titles, together)
    anyone = found.pop(ANYONE, Conduct())
    return Conducts(found, anyone)


def _together(title: str, profile: DeviceProfile, zone: ZoneInfo) -> Together:
    def together(
        item: WorklistItem, among: Sequence[WorklistItem], now: dt.datetime
    ) -> Sequence[WorklistItem]:
        return profile.together(item, among, Facts(title, now=now.astimezone(zone)))

    return together
