"""Data sets of an imaging device as lines of text: what it asks for, and what it reports.

A line is ``SPS.Modality=CT`` (with ``{ae}``, ``{today}`` and the like filled in), ``PatientName`` for a
zero-length attribute, or ``StudyID<RequestedProcedureID`` for one that is copied from a worklist item
and is zero-length where the item has none.  A later line takes the place of an earlier one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from mwl.dicom.encoding import encode_dataset
from mwl.mapping import paths
from mwl.mapping.elements import make, texts
from mwl.mapping.text.charset import CharacterSet, parse_terms
from mwl.model import Document, Element
from mwl.query import Path

_CHARACTER_SET = "00080005"

_LINE = re.compile(r"(?P<path>[^=<]+)(?:(?P<kind>[=<])(?P<rest>.*))?", re.DOTALL)


def data_set(lines: Iterable[str], facts: Mapping[str, str], item: Document | None = None) -> Document:
    """Return the data set that *lines* write; raise `ValueError` for a value its attribute cannot have."""
    document: Document = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"no attribute in {line!r}")
        path = paths.parse_path(match["path"])
        if match["kind"] == "<":
            element = paths.get(item or {}, paths.parse_path(match["rest"])) or {"vr": paths.vr(path[-1])}
        else:
            element = _element(path, (match["rest"] or "").format_map(facts))
        document = paths.put(document, path, element)
    return document


def _element(path: Path, text: str) -> Element:
    vr = paths.vr(path[-1])
    if not text:
        return {"vr": vr}
    element = make(vr, text.split("\\"))
    if element is None:
        raise ValueError(f"{paths.show(path)} cannot have the value {text!r}")
    return element


class _Codec:
    """Writes text in a Python codec, as a device does that does not keep to its label."""

    def __init__(self, codec: str) -> None:
        self._codec = codec

    def encode(self, text: str, *, name: bool = False) -> bytes:  # noqa: ARG002  as CharacterSet.encode
        return text.encode(self._codec)


def encoded(document: Document, transfer_syntax: str, codec: str = "") -> bytes:
    """Return *document* as bytes, its text as its label says, or else in the Python *codec*.

    Raises `Unfit` for text that the label's character set lacks, `Unencodable` where the codec does.
    """
    if codec:  # the encoder asks a character set for nothing but `encode`
        return encode_dataset(document, transfer_syntax, cast("CharacterSet", _Codec(codec)))
    return encode_dataset(document, transfer_syntax, parse_terms(texts(document.get(_CHARACTER_SET))))
