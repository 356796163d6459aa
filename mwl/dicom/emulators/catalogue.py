"""Every device that can be played, by its name."""

from __future__ import annotations

from mwl.dicom.emulators import agfa, esaote, ge, philips, radlink, regional, siemens, ultrasound
from mwl.dicom.emulators.description import Device, Unplayable
from mwl.yamldoc import suggestion

DEVICES: dict[str, Device] = {
    each.name: each
    for each in (
        ge.CT,
        ge.CT_POST_PROCESSING,
        ge.LOGIQ_7,
        siemens.FLUOROSCOPY,
        siemens.ARISTOS,
        philips.HD7,
        philips.MAMMOGRAPHY,
        ultrasound.MEDISON,
        ultrasound.TERASON,
        agfa.NX,
        radlink.CR_PRO,
        esaote.SCAN,
        regional.LOW_COST_CHINA,
        regional.FOREIGN_JAPAN,
    )
}


def device(named: Device | str) -> Device:
    """Return the description *named*, or one that is given as it is; raise `Unplayable`."""
    if isinstance(named, Device):
        return named
    if named not in DEVICES:
        raise Unplayable(f"no device {named!r} can be played{suggestion(named, DEVICES)}")
    return DEVICES[named]
