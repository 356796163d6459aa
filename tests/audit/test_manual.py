"""The examples of the manual are what the broker makes, and valid against the schema of PS3.15."""

from __future__ import annotations

import re
from pathlib import Path

from foreign.audit import judged

PAGE = Path(__file__).parent.parent.parent / "docs" / "audit.md"


def test_the_examples_of_the_manual_are_valid(tmp_path: Path):
    """That the page shows what the program makes is seen to by `test_docs`."""
    examples = re.findall(r"^```xml\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)

    assert len(examples) == 8
    assert judged(examples, tmp_path) == ""
