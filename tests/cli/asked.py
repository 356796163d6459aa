"""Captured queries for tests of the command line."""

from __future__ import annotations

from typing import Any

from mwl.dicom.encoding import encode_dataset
from mwl.mapping.text.charset import DEFAULT
from mwl.model import Document
from mwl.store import Store, callers, queries
from mwl.store.associations import AssociationRecord
from mwl.store.callers import HELD, NOT_CONFIGURED, CallerFacts
from mwl.store.queries import CapturedQuery

ELE = "1.2.840.10008.1.2.1"
FIND = "1.2.840.10008.5.1.4.31"
RECORD = AssociationRecord.of([(FIND, [ELE, "1.2.840.10008.1.2"])], max_pdu=16384, fuzzy=True)


def keys(**step: str) -> Document:
    """Return an identifier: a patient's name, and keys of the step by tag."""
    inner = {f"{tag[1:]}": {"vr": "CS", "Value": [value]} for tag, value in step.items()}
    return {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE*"}]},
        "00100020": {"vr": "LO"},
        "00400100": {"vr": "SQ", "Value": [inner]},
    }


CT = keys(t00080060="CT")


def ask(store: Store, calling: str = "CT1", identifier: Document | bytes = CT, **facts: Any) -> None:
    """Put a query on record."""
    raw = identifier if isinstance(identifier, bytes) else encode_dataset(identifier, ELE, DEFAULT)
    known = {
        "last_at": "2026-07-05T08:00:00.000000+00:00",
        "status": "0000",
        "profile": "generic",
        "called_ae": "MWL",
        "address": "10.0.0.7",
        "implementation_uid": "1.2.840.113619.6.50",
        "implementation_version": "SCANNER_1",
        "association": RECORD,
    }
    query = CapturedQuery(calling, raw, ELE, **{**known, **facts})
    store.write_now(lambda tx: queries.record(tx, [query], per_device=100))


def knock(
    store: Store, calling: str = "CT9", *, held: bool = False, uid: str = "1.2.840.113619.6.50"
) -> None:
    """Put an unknown caller on record."""
    reason = HELD if held else NOT_CONFIGURED
    facts = CallerFacts(calling, "MWL", "10.0.0.7", reason, uid, "SCANNER_1", RECORD)
    store.write_now(lambda tx: callers.refused(tx, facts))
