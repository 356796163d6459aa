"""Asking a worklist service, and reading its answers: what its tests share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prometheus_client import REGISTRY
from sqlalchemy import select, update

from mwl.dicom.encoding import decode_dataset, encode_dataset
from mwl.lifecycle import StepEvent
from mwl.mapping.paths import parse_path, vr
from mwl.mapping.text.charset import parse_terms
from mwl.model import Document, items, name_value, text
from mwl.store import Store, Transaction, tables, transitions

STEP, STEP_ID = "00400100", "00400009"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def identifier(keys: Mapping[str, str]) -> Document:
    """Return an identifier of paths and values; "" is zero-length."""
    root: Document = {}
    step: Document = {}
    for path, value in keys.items():
        tag = parse_path(path)[-1]
        element: dict[str, Any] = {"vr": vr(tag)}
        if value:
            parts = value.split("\\")
            element["Value"] = [name_value(part) for part in parts] if element["vr"] == "PN" else parts
        (step if path.startswith("SPS.") else root)[tag] = element
    if step:
        root[STEP] = {"vr": "SQ", "Value": [step]}
    return root


def encoded(keys: Document, syntax: str = EXPLICIT, charset: str = "ISO_IR 192") -> bytes:
    """Return an identifier as a device sends it."""
    labelled: Document = {"00080005": {"vr": "CS", "Value": charset.split("\\")}, **keys}
    return encode_dataset(labelled, syntax, parse_terms(charset))


def sent(answer: Any, syntax: str = EXPLICIT) -> list[Document]:
    """Return the items of an answer."""
    return [decode_dataset(data, syntax) for _, data in answer.pendings]


def ids(answer: Any, syntax: str = EXPLICIT) -> str:
    """Return the step IDs of an answer in the order sent, as one line."""
    return " ".join(text(next(items(each, STEP)), STEP_ID) for each in sent(answer, syntax))


def change(store: Store, step_id: str, level: str, tag: str, element: Any) -> None:
    """Put an element into a stored level of a step as it stands, whatever it is."""
    table = {"patient": tables.patients, "step": tables.steps}[level]

    def work(tx: Transaction) -> None:
        key = key_of(tx, step_id)
        if level == "patient":
            joined = select(tables.procedures.c.patient_key).join(tables.steps)
            key = tx.connection.execute(joined.where(tables.steps.c.key == key)).scalar_one()
        row = tx.connection.execute(select(table).where(table.c.key == key)).one()
        document = json.dumps({**json.loads(row.document), tag: element})
        written = {"document": document, "revision": row.revision + 1}
        tx.connection.execute(update(table).where(table.c.key == key).values(written))

    store.write_now(work)


def key_of(tx: Transaction, step_id: str) -> int:
    """Return the key of a step."""
    return int(
        tx.connection.execute(
            select(tables.steps.c.key).where(tables.steps.c.step_id == step_id)
        ).scalar_one()
    )


def advance(store: Store, step_id: str, event: StepEvent) -> None:
    """Let something happen to a step."""
    store.write_now(lambda tx: transitions.advance(tx, key_of(tx, step_id), event, source="console test"))


def counted(name: str, **labels: str) -> float:
    """Return a figure."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
