"""Performed steps on the wire, by every client: the tables of docs/mpps-vectors.md, and that they are current.

``python -m pytest tests/acceptance/test_mpps_table.py`` plays them; with ``MWL_WRITE_TABLES=1`` the page
is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from acceptance.mpps_play import DEVICES, play
from acceptance.mpps_vectors import ELSEWHERE, INEXPRESSIBLE, VECTORS, WHAT, Says, Sees, Step, Vector
from foreign.dicom.performing import REPORTERS

MAPPINGS = str(Path(__file__).parent / "mappings")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mpps-vectors.md"
CLIENTS = {client.name: client for client in REPORTERS}
SYSTEMS = {"RIS": {"application": "RIS", "facility": "HOSP", "status": {"to": "127.0.0.1:9"}}}


@pytest.fixture(scope="module")
def played(serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, list[str]]]:
    """What went wrong when a client played the vectors, by vector; each client plays once, on its own broker."""
    found: dict[str, dict[str, list[str]]] = {}

    def by(name: str) -> dict[str, list[str]]:
        if name not in found:
            folder = tmp_path_factory.mktemp("performed")
            with serving(folder, devices=dict(DEVICES), mappings=MAPPINGS, systems=SYSTEMS) as broker:
                found[name] = play(broker, CLIENTS[name]())
        return found[name]

    return by


@pytest.mark.parametrize(
    ("client", "vector"),
    [
        pytest.param(client, vector.id, id=f"{client}-{vector.id}")
        for client in CLIENTS
        for vector in VECTORS
        if vector.id not in INEXPRESSIBLE.get(client, {})
    ],
)
def test_a_device_is_answered_as_the_vector_says(played: Any, client: str, vector: str) -> None:
    """Statuses with their details, the worklist, the RIS, and what a person is shown."""
    assert played(client)[vector] == []


# ── the page ──


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _vectors(played: Any) -> str:
    rows = []
    for vector in VECTORS:
        cells = [
            "–"
            if vector.id in INEXPRESSIBLE.get(client, {})
            else "**no**"
            if played(client)[vector.id]
            else "pass"
            for client in CLIENTS
        ]
        said = "; ".join(map(_step, vector.steps))
        rows.append(
            [
                vector.id,
                WHAT[vector.id],
                _device(vector),
                said,
                " ".join(vector.told) or "nothing",
                *cells,
                vector.why,
            ]
        )
    return _table(["vector", "about", "device", "says, and sees", "the RIS hears", *CLIENTS, "remark"], rows)


def _device(vector: Vector) -> str:
    return f"`{DEVICES[vector.device]['profile']}`"


def _step(step: Step) -> str:
    if isinstance(step, Sees):
        return f"{step.state}{'' if step.listed else ', off the worklist'}"
    answer = f"{step.status:04X}" + (f" (Error ID {step.error_id:04X})" if step.error_id else "")
    state = (step.attributes or {}).get("PerformedProcedureStepStatus", "")
    named = f" {state.strip()}" if isinstance(step, Says) and state else ""
    return f"{step.operation}{named} → **{answer}**"


def _elsewhere(played: Any) -> str:
    rows = [
        [vector, *_test(place)]
        for vector, place in sorted(ELSEWHERE.items(), key=lambda each: (each[0][0] != "F", each[0]))
    ]
    return _table(["vector", "shown", "where"], rows)


def _test(place: str) -> tuple[str, str]:
    """Return the sentence of a test, and its file."""
    file, _, name = place.partition("::")
    source = (ROOT / file).read_text("utf-8")
    found = re.search(rf'def {name}\(.*?\n    """(.*?)(?:"""|\n)', source, re.DOTALL)
    assert found is not None, place
    return found[1], f"`{file}`"


@pytest.mark.parametrize("table", [_vectors, _elsewhere])
def test_the_page_is_current(played: Any, table: Callable[[Any], str]) -> None:
    """Between its marks stands what was played."""
    name, text = table.__name__.strip("_"), table(played)
    page = PAGE.read_text("utf-8")
    pattern = re.compile(rf"(<!-- vectors: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    if os.environ.get("MWL_WRITE_TABLES") == "1":
        page = pattern.sub(lambda match: match[1] + text + match[2], page)
        PAGE.write_text(page, "utf-8")

    found = pattern.search(page)

    assert found is not None
    assert found[0] == f"<!-- vectors: {name} -->\n{text}\n<!-- end -->"
