"""A data set as DICOM people read it: tag, VR, keyword, value and the length it has on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mwl.dicom.encoding import encode_dataset
from mwl.mapping import paths
from mwl.mapping.text.charset import CharacterSet
from mwl.model import Document, Element
from mwl.query import Path
from mwl.workbench.bench import EXPLICIT_LE
from mwl.workbench.provenance import inside

IMPLICIT_LE = "1.2.840.10008.1.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_SHORT, _LONG = 8, 12  # octets before a value, by its VR (PS3.5 7.1.2); implicit VR has the short form


@dataclass(frozen=True, slots=True)
class Line:
    """One element of a data set."""

    depth: int  # 0 at the root
    item: int  # of the sequence it stands in, from 0
    name: str  # as notes of the profile write it
    path: Path
    element: Element
    length: int  # octets of the value, padding included

    @property
    def tag(self) -> str:
        """(gggg,eeee)."""
        return f"({self.path[-1][:4]},{self.path[-1][4:]})"

    @property
    def keyword(self) -> str:
        """The keyword; "" where the dictionary has none."""
        found = paths.keyword(self.path[-1])
        return "" if found.startswith("(") else found


def lines(document: Document, transfer_syntax: str, charset: CharacterSet) -> Iterator[Line]:
    """Yield the elements of *document* in the order in which they are sent, those of items in their place."""
    syntax = EXPLICIT_LE if transfer_syntax == _DEFLATED else transfer_syntax  # lengths before it is deflated
    return _lines(document, syntax, charset, (), "", 0)


def _lines(
    document: Document, syntax: str, charset: CharacterSet, before: Path, under: str, item: int
) -> Iterator[Line]:
    for tag, element in sorted(document.items()):
        path, length = (*before, tag), _length(tag, element, syntax, charset)
        yield Line(len(before), item, f"{under}{paths.keyword(tag)}", path, element, length)
        for index, inner in enumerate(element.get("Value", ()) if element["vr"] == "SQ" else ()):
            yield from _lines(inner, syntax, charset, path, inside(under, tag, index), index)


def _length(tag: str, element: Element, syntax: str, charset: CharacterSet) -> int:
    raw = encode_dataset({tag: element}, syntax, charset)
    if syntax == IMPLICIT_LE:
        return len(raw) - _SHORT
    stated = int.from_bytes(raw[6:_SHORT], "big" if syntax == _BIG_ENDIAN else "little")
    return stated if stated == len(raw) - _SHORT else len(raw) - _LONG
