"""What tests of several parts share: the standard's acceptance data and the fixtures folder."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mwl.model import Document, StepRef, WorklistItem, name_value

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of messages, queries and performed steps."""
    return FIXTURES


def _element(vr: str, *found: object) -> dict[str, object]:
    present = [value for value in found if value]
    return {"vr": vr, "Value": present} if present else {"vr": vr}


def _name(text: str) -> dict[str, object]:
    return _element("PN", name_value(text))


def worklist_item(key: int, row: dict[str, str]) -> WorklistItem:
    """Build an item from a row of fixtures/worklist/f0.csv."""
    patient: Document = {
        "00100010": _name(row["name"]),
        "00100020": _element("LO", row["patient_id"]),
        "00100021": _element("LO", row["issuer"]),
    }
    procedure: Document = {
        "00080050": _element("SH", row["accession"]),
        "00401001": _element("SH", row["procedure"]),
        "0020000D": _element("UI", row["study"]),
        "00321060": _element("LO", f"Procedure {row['procedure']}"),
        "00402017": _element("LO", row["accession"]),
    }
    step: Document = {
        "00080060": _element("CS", row["modality"]),
        "00400001": _element("AE", *row["stations"].split("\\")),
        "00400002": _element("DA", row["date"]),
        "00400003": _element("TM", row["time"]),
        "00400006": _name(row["physician"]),
        "00400007": _element("LO", f"Step {row['step']}"),
        "00400009": _element("SH", row["step"]),
        "00400020": _element("CS", row["state"]),
    }
    return WorklistItem(StepRef(key, 1, 1, 1), patient, procedure, step, system="RIS")


@pytest.fixture(scope="session")
def f0_items() -> dict[str, WorklistItem]:
    """The data set of F.0, by step ID."""
    with (FIXTURES / "worklist" / "f0.csv").open(encoding="utf-8") as table:
        return {row["step"]: worklist_item(key, row) for key, row in enumerate(csv.DictReader(table), 1)}
