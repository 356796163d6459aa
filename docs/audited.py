"""The example of each audit message in ``docs/audit.md``, as the broker makes it.

`docs/tables.py` writes them; ``tests/audit/test_manual.py`` holds them against the schema of PS3.15.
"""

# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

import datetime as dt
from xml.etree import ElementTree as ET

from mwl.audit import codes, events
from mwl.audit.events import Asker, Exam, Here
from mwl.audit.message import Action, Event, Outcome, Source, encoded
from mwl.dicom.encoding import encode_dataset
from mwl.dicom.worklist import WORKLIST_FIND
from mwl.mapping.text.charset import UTF8

AT = dt.datetime(2026, 7, 5, 7, 31, tzinfo=dt.UTC)
HERE = Here("4711", "MWL", "broker1")
SOURCE = Source("MWL", "HOSP")
DEVICE = Asker.device("CT1", "192.0.2.17")
SYSTEM = Asker.system("RIS", "HOSP", "192.0.2.8")
IMPLICIT = "1.2.840.10008.1.2"

PATIENT = {
    "00100020": {"vr": "LO", "Value": ["PID001"]},
    "00100021": {"vr": "LO", "Value": ["HOSP_A"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]},
}
PRIOR = {**PATIENT, "00100020": {"vr": "LO", "Value": ["PID009"]}}
PROCEDURE = {
    "0020000D": {"vr": "UI", "Value": ["1.2.276.0.99.1"]},
    "00080050": {"vr": "SH", "Value": ["ACC1"]},
    "00321060": {"vr": "LO", "Value": ["CT head"]},
}
KEYS = {"00080060": {"vr": "CS", "Value": ["CT"]}}
QUERY = encode_dataset({"00400100": {"vr": "SQ", "Value": [KEYS]}}, IMPLICIT, UTF8)
PERFORMED = "1.2.276.0.99.7.1"


def messages() -> dict[str, Event]:
    """Return one message of each kind, by its heading."""
    exam, performed = Exam(PROCEDURE), Exam(PROCEDURE, PERFORMED)
    return {
        "Application Activity: the broker has started": events.started(HERE, AT),
        "Query: a device asked for its worklist": events.query(
            HERE, AT, DEVICE, sop_class=WORKLIST_FIND, transfer_syntax=IMPLICIT, identifier=QUERY,
            succeeded=True,
        ),
        "Order Record: a system placed an order": events.order(
            HERE, AT, SYSTEM, Action.CREATE, PATIENT, [exam]
        ),
        "Procedure Record: an appointment was booked": events.procedure(
            HERE, AT, SYSTEM, Action.CREATE, PATIENT, [exam]
        ),
        "Procedure Record: a device has ended a performed step": events.procedure(
            HERE, AT, DEVICE, Action.UPDATE, PATIENT, [performed], types=(codes.STEP_ENDED,)
        ),
        "Patient Record: a patient was merged, the prior identity ends": events.patient(
            HERE, AT, SYSTEM, Action.DELETE, PRIOR
        ),
        "Security Alert: a caller was turned away": events.alert(
            HERE, AT, codes.NODE_AUTHENTICATION, "192.0.2.66",
            "association refused (calling_ae: STRANGER; called_ae: MWL; "
            "reason: calling AE title not configured; setting: devices)",
            outcome=Outcome.MINOR_FAILURE,
        ),
        "User Authentication: a device acts for a user": events.login(
            HERE, AT, "nora", "192.0.2.17", succeeded=True
        ),
    }  # fmt: skip


def examples() -> str:
    """Return all of them for the page; the lines are broken for readers."""
    return "\n".join(
        f"### {heading}\n\n```xml\n{_shown(each)}\n```\n" for heading, each in messages().items()
    )


def _shown(event: Event) -> str:
    tree = ET.fromstring(encoded(event, SOURCE))  # noqa: S314  our own
    ET.indent(tree)
    return ET.tostring(tree, encoding="unicode")
