"""Devices that share one AE title: which of their profiles a request is served by (P1).

The `match` of each profile decides, by what the association says and by what is asked.  What none fits
is served by the profile of the title itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from mwl.mapping.devices.stages import DeviceProfile
from mwl.mapping.facts import Facts
from mwl.model import Document


def serving(
    own: DeviceProfile, shared_by: Sequence[DeviceProfile], facts: Facts, asked: Document | None
) -> DeviceProfile:
    """Return the most specific of *shared_by* that fits a request, else *own*.

    *asked* is the identifier as it came; None where there is none, as for an association.
    """
    fitting = [each for each in shared_by if _fits(each, facts, asked)]
    return max(fitting, key=_rank) if fitting else own


def foreign(profile: DeviceProfile, facts: Facts, asked: Document | None) -> bool:
    """Tell whether *profile* says by what its devices are recognised, and this is none of them (12.3 f)."""
    return profile.recognition is not None and not _fits(profile, facts, asked)


def _fits(profile: DeviceProfile, facts: Facts, asked: Document | None) -> bool:
    return profile.recognition is not None and profile.recognition.fits(facts, asked)


def _rank(profile: DeviceProfile) -> tuple[int, int, int]:
    return profile.recognition.rank if profile.recognition else (0, 0, 0)
