"""Imaging devices that are played, each with what is documented of it, to test a worklist without a scanner.

``emulate("sim-ge-ct", "this scanner/today", at=("127.0.0.1", 11112))`` asks as the device does and
returns what its console would show, what it would refuse, and why.  `DEVICES` are the descriptions,
`Emulator` plays one of them, or one that ``dataclasses.replace`` made of it.
"""

from mwl.dicom.emulators.catalogue import DEVICES, device
from mwl.dicom.emulators.console import look
from mwl.dicom.emulators.description import Device, Evidence, Judge, OnBad, Performing, Query, Unplayable
from mwl.dicom.emulators.emulator import Emulator, emulate, is_loopback
from mwl.dicom.emulators.outcome import Exam, Report, Seen

__all__ = [
    "DEVICES", "Device", "Emulator", "Evidence", "Exam", "Judge", "OnBad", "Performing", "Query", "Report",
    "Seen", "Unplayable", "device", "emulate", "is_loopback", "look",
]  # fmt: skip
