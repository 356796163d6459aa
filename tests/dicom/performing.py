"""Reporting to a performed step service, and looking at what became of it: what its tests share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from mwl.dicom.encoding import encode_dataset
from mwl.mapping.text.charset import parse_terms
from mwl.model import Document, StatusEvent, WorklistItem, text
from mwl.store import Store, outbox, performed, requests, tables
from mwl.store.outbox import OutboxRow
from mwl.store.requests import PerformedRequest

EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
STATUS, ITEMS, SERIES, REASON = "00400252", "00400270", "00400340", "00400281"
END_DATE, END_TIME, STATION, STEP_ID = "00400250", "00400251", "00400241", "00400253"
COMMENT, ERROR_ID, INSTANCE, TAGS = 0x00000902, 0x00000903, 0x00001000, 0x00001005
U1, U2 = "1.2.276.0.99.7.1", "1.2.276.0.99.7.2"
TOLD = frozenset(("RIS", event) for event in StatusEvent)


def element(vr: str, *found: object) -> dict[str, Any]:
    """Return an element; without values an empty one."""
    return {"vr": vr, "Value": list(found)} if found else {"vr": vr}


def encoded(document: Document, syntax: str = EXPLICIT, charset: str = "ISO_IR 192") -> bytes:
    """Return a data set as a device sends it."""
    labelled = {"00080005": element("CS", charset), **document}
    return encode_dataset(labelled, syntax, parse_terms(charset))


def scheduled(item: WorklistItem) -> Document:
    """Return a Scheduled Step Attributes item as a device copies it from the worklist."""
    copied = {tag: item.procedure[tag] for tag in ("0020000D", "00080050", "00401001", "00321060")}
    return {**copied, "00081110": element("SQ"), "00400009": item.step["00400009"],
            "00400007": element("LO"), "00400008": element("SQ")}  # fmt: skip


def n_create(*items: WorklistItem, **changes: dict[str, Any] | None) -> Document:
    """Return the base N-CREATE of F.3, of the items named; ``t00400241=None`` leaves an attribute out."""
    document: dict[str, Any] = {
        ITEMS: element("SQ", *(scheduled(item) for item in items)),
        "00100010": items[0].patient["00100010"], "00100020": items[0].patient["00100020"],
        "00100030": element("DA"), "00100040": element("CS"), "00081120": element("SQ"),
        STEP_ID: element("SH", "PPS1"), STATION: element("AE", "CT_ROOM1"),
        "00400242": element("SH"), "00400243": element("SH"),
        "00400244": element("DA", "20260705"), "00400245": element("TM", "091000"),
        STATUS: element("CS", "IN PROGRESS"), "00400254": element("LO"), "00400255": element("LO"),
        "00081032": element("SQ"), END_DATE: element("DA"), END_TIME: element("TM"),
        REASON: element("SQ"), "00080060": element("CS", "CT"), "00200010": element("SH"),
        "00400260": element("SQ"), SERIES: element("SQ"),
    }  # fmt: skip
    document |= {tag.removeprefix("t"): value for tag, value in changes.items()}
    return {tag: value for tag, value in document.items() if value is not None}


def series(*images: str) -> dict[str, Any]:
    """Return a Performed Series Sequence of one series."""
    references = [{"00081150": element("UI", "1.2.840.10008.5.1.4.1.1.2"), "00081155": element("UI", uid)}
                  for uid in images]  # fmt: skip
    one = {"0020000E": element("UI", "1.2.3.4"), "00181030": element("LO", "HEAD"), "00081050": element("PN"),
           "00081070": element("PN"), "0008103E": element("LO"), "00080054": element("AE"),
           "00081140": element("SQ", *references), "00400220": element("SQ")}  # fmt: skip
    return element("SQ", one)


def ended(state: str, **changes: dict[str, Any]) -> Document:
    """Return the N-SET that ends a step."""
    document = {STATUS: element("CS", state), END_DATE: element("DA", "20260705"),
                END_TIME: element("TM", "093000"), SERIES: series("1.2.3.4.1", "1.2.3.4.2")}  # fmt: skip
    return document | {tag.removeprefix("t"): value for tag, value in changes.items()}


def stored(store: Store, uid: str = U1) -> performed.PerformedStep | None:
    """Return the stored performed step."""
    return store.read_now(lambda tx: performed.get(tx, uid))


def document(store: Store, uid: str = U1) -> Document:
    """Return the stored performed step's document."""
    found = stored(store, uid)
    assert found is not None
    return found.document


def states(store: Store, *steps: str) -> list[str]:
    """Return the states of scheduled steps."""
    rows = store.read_now(lambda tx: tx.connection.execute(select(tables.steps)).all())
    known = {row.step_id: row.state for row in rows}
    return [known[step] for step in steps]


def told(store: Store) -> list[tuple[str, str]]:
    """Return what the RIS is told, oldest first: event and accession number."""
    return [
        (row.facts["event"], text(row.facts["procedure"], "00080050")) for row in waiting(store, "status")
    ]


def waiting(store: Store, kind: str) -> list[OutboxRow]:
    """Return the outbox rows of a kind, oldest first."""
    return [row for row in reversed(store.read_now(outbox.browse)) if row.kind == kind]


def kept(store: Store, uid: str = U1) -> list[PerformedRequest]:
    """Return the requests that are kept of a performed step."""
    found = stored(store, uid)
    assert found is not None
    return store.read_now(lambda tx: requests.of_step(tx, found.key))


def reported(caplog: Any) -> list[str]:
    """Return what was reported of performed steps."""
    return [
        each.fields["finding"] for each in caplog.records if each.getMessage() == "performed step reported"
    ]
