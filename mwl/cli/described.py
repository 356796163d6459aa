"""An attribute a line: how a document of the DICOM JSON model is shown to people."""

from __future__ import annotations

from collections.abc import Iterator

from mwl.cli.output import printable
from mwl.model import Document, person_name

_INDENT = "  "
_SEPARATOR = "\\"  # PS3.5 6.4


def described(document: Document) -> Iterator[str]:
    """Yield one line an attribute, the items of a sequence indented below it."""
    from mwl.mapping.paths import keyword

    for tag, element in sorted(document.items()):
        name = f"({tag[:4]},{tag[4:]}) {element['vr']} {keyword(tag)}"
        values = element.get("Value", [])
        if element["vr"] == "SQ":
            yield f"{name}: {len(values)} items"
            for item in values:
                yield from (_INDENT + line for line in described(item))
        else:
            shown = (person_name(value) if isinstance(value, dict) else str(value) for value in values)
            yield f"{name}: {printable(_SEPARATOR.join(shown))}".rstrip()
