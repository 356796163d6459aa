"""The tables of docs/hl7-vectors.md, and that they are current.

With ``MWL_WRITE_TABLES=1`` in the environment they are written into the page.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.hl7_vectors import VECTORS, Again, Begin, Sees, Send, Step, Vector

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "hl7-vectors.md"


def messages() -> str:
    """Return the table of vectors that are messages."""
    rows = [f"| {vector.id} | {_told(vector)} | {vector.why} |" for vector in VECTORS]
    return "\n".join(("| vector | sent, answered and seen | remark |", "| --- | --- | --- |", *rows))


def _told(vector: Vector) -> str:
    return "; ".join(_step(step) for step in vector.steps)


def _step(step: Step) -> str:
    match step:
        case Send():
            sent = ", ".join(_code(_short(change)) for change in step.changes) or _kind(step)
            return f"{sent} → **{step.code}**" + (f" {_code(step.error)}" if step.error else "")
        case Again():
            return "the same bytes again → the same answer"
        case Begin():
            return "the device begins"
        case Sees():
            values = ", ".join(_code(_short(each.replace("SPS.", ""))) for each in step.expected)
            count = (
                "nothing on the worklist"
                if step.rows == 0
                else values or f"items on the worklist: {step.rows}"
            )
            where = step.where.replace("PatientID=P{n}", "").strip()
            return f"{count} ({_code(where)})" if where else count


def _kind(send: Send) -> str:
    kind = send.base[0].split("|")[8].split("^")
    return _code("^".join(kind[:2]))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _code(text: str) -> str:
    shown = text.replace("|", "¦").replace("\r\n", "␍␊").strip()
    return f"`{shown}`" if "`" not in shown else shown


def wire() -> str:
    """Return the table of vectors that are tests of the wire itself."""
    rows = [f"| {vector} | {sentence} |" for vector, sentence in sorted(_tests())]
    return "\n".join(("| vector | shown |", "| --- | --- |", *rows))


def _tests() -> Iterator[tuple[str, str]]:
    for name in ("test_hl7_vectors.py", "test_hl7_peers.py"):
        tree = ast.parse((HERE / name).read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and (
                found := re.match(r"test_(f_h|peers_)(\d+)_(\w+)", node.name)
            ):
                kind = "F-H" if found[1] == "f_h" else "peers "
                words = found[3].replace("_", " ")
                yield f"{kind}{found[2]}", f"{words}: {(ast.get_docstring(node) or '').partition(chr(10))[0]}"
            elif isinstance(node, ast.FunctionDef) and node.name == "test_acknowledgement_modes":
                yield "F-H20 to F-H24", ast.get_docstring(node) or ""


@pytest.mark.parametrize("table", [messages, wire])
def test_the_page_is_current(table: object) -> None:
    """Between its marks stands what the tests are made of."""
    name, text = table.__name__, table()
    page = PAGE.read_text("utf-8")
    pattern = re.compile(rf"(<!-- vectors: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    if os.environ.get("MWL_WRITE_TABLES") == "1":
        page = pattern.sub(lambda match: match[1] + text + match[2], page)
        PAGE.write_text(page, "utf-8")

    found = pattern.search(page)

    assert found is not None
    assert found[0] == f"<!-- vectors: {name} -->\n{text}\n<!-- end -->"
