"""From a level's document to the columns that are matched or that identify; the only place that derives them.

The columns hold what `mwl.query.holds` would compare: values without their padding, names folded,
starts as one text.  They follow from the document alone, so a change of a document and of its
columns are one statement.  The other direction does not exist: what a device gets is the document.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from mwl import names
from mwl.lifecycle import CLOSED, StepState
from mwl.model import Document, items, text, values
from mwl.query import name_groups, normal_time

IDENTIFIER = 128
"""Characters of a column at most; twice what LO and UI admit (PS3.5 6.2)."""

NAME = 400
"""Characters of a folded name at most: 64 of a group (PS3.5 6.2), and some that folding spells out."""


def dump(document: Document) -> str:
    """Return *document* as it is stored: compact JSON, in ASCII so that any text at all can be stored."""
    return _ENCODER.encode(document)


def load(stored: str) -> Document:
    """Return the document that `dump` wrote."""
    document: Document = json.loads(stored)
    return document


def storable(value: str) -> str:
    """Return *value* without what a database refuses: NUL (PostgreSQL), half a surrogate pair (both)."""
    return _UNSTORABLE.sub("\ufffd", value)


def bounded(value: str, limit: int = IDENTIFIER) -> str:
    """Return *value* as a column can hold and index it.

    Equal values stay equal and different ones different: what is too long ends in its digest
    (PostgreSQL indexes 2,704 octets).
    """
    if len(value) <= limit and value.isascii() and value.isprintable():
        return value
    plain = storable(value)
    if len(plain) <= limit:
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()
    return plain[: limit - len(digest)] + digest


def column(value: str) -> str:
    """Return an identifier, code or title as its column holds it: without padding (A-22)."""
    return bounded(value.strip()) if value else ""


def patient_columns(document: Document) -> dict[str, str]:
    """Return patient ID and issuer."""
    return {
        "patient_id": column(text(document, "00100020")),
        "issuer": column(text(document, "00100021")) or _universal(document, "00100024"),
    }


def name_rows(document: Document) -> list[dict[str, Any]]:
    """Return the patient's rows in `patient_names`: one a group that is not empty (A-25)."""
    if not values(document, "00100010"):
        return []
    groups = [bounded(group, NAME) for group in name_groups(text(document, "00100010"))]
    rows = [{"representation": n, "folded": group} for n, group in enumerate(groups) if group]
    # A name without a letter is still a name: group-wise keys of "*" alone match it.
    return rows or [{"representation": 0, "folded": ""}]


def key_rows(document: Document) -> list[dict[str, Any]]:
    """Return the patient's rows in `name_keys` (A-26)."""
    return [{"folded": key} for key in sorted(names.keys(text(document, "00100010")))]


def procedure_columns(document: Document) -> dict[str, str]:
    """Return the numbers an order is found by, each with its issuer where it has one."""
    return {
        "placer": column(text(document, "00402016")),
        "placer_issuer": _issuer(document, "00400026"),
        "filler": column(text(document, "00402017")),
        "filler_issuer": _issuer(document, "00400027"),
        "accession": column(text(document, "00080050")),
        "accession_issuer": _issuer(document, "00080051"),
        "requested_procedure_id": column(text(document, "00401001")),
        "study_instance_uid": study_of(document),
    }


def study_of(document: Document) -> str:
    """Return the Study Instance UID of a procedure."""
    return column(text(document, "0020000D"))


def admission(document: Document) -> tuple[str, str]:
    """Return the number of the visit a procedure belongs to and its issuer, in the form of a column."""
    return column(text(document, "00380010")), _issuer(document, "00380014")


def step_columns(document: Document) -> dict[str, str]:
    """Return step ID, modality and start; a step without a date has no start, whatever its time."""
    date, time = column(text(document, "00400002")), column(text(document, "00400003"))
    clock = normal_time(time) if date or time else ""
    return {
        "step_id": step_id_of(document),
        "modality": column(text(document, "00080060")),
        "start": date and date + clock,
        "start_time": time and clock,
    }


def step_id_of(document: Document) -> str:
    """Return the ID of a step."""
    return column(text(document, "00400009"))


def station_rows(document: Document, state: StepState) -> list[dict[str, Any]]:
    """Return the step's rows in `step_stations`: one a station AE title, however many there are."""
    start = step_columns(document)["start"]
    titles = dict.fromkeys(column(str(title)) for title in values(document, "00400001") if title)
    closed = state in CLOSED
    return [{"ae_title": title, "start": start, "closed": closed} for title in titles if title]


def _issuer(document: Document, sequence: str) -> str:
    """Return the issuer that an HL7v2 Hierarchic Designator macro names (PS3.3 10.17)."""
    for item in items(document, sequence) if sequence in document else ():
        return column(text(item, "00400031")) or _designator(item)
    return ""


def _universal(document: Document, sequence: str) -> str:
    # Two patients "1" of two authorities that are known by UID alone must not become one.
    return next((_designator(item) for item in items(document, sequence)), "")


def _designator(item: Document) -> str:
    universal, kind = text(item, "00400032"), text(item, "00400033")
    return column(f"&{universal}&{kind}") if universal.strip() else ""


_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
