"""Identifiers from files: the DICOM JSON model, a DICOM file as DCMTK's dump2dcm makes for findscu, a bare
data set, or a dump as dcmdump prints it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from mwl.dicom.encoding import Unencodable, decode_dataset, encode_dataset
from mwl.errors import BadDocument, Problem
from mwl.mapping.text.charset import Unfit, parse_terms
from mwl.model import Document, text
from mwl.workbench import dcmdump
from mwl.workbench.bench import EXPLICIT_LE

_PREAMBLE = 128  # octets, PS3.10 7.1
_MAGIC = b"DICM"
_GROUP_LENGTH = 12  # octets of (0002,0000), explicit VR little endian
_TRANSFER_SYNTAX = "00020010"
_IMPLICIT_LE, _EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_UTF_8 = "ISO_IR 192"
_TAG = re.compile(r"\((?P<group>[0-9A-F]{4}),(?P<element>[0-9A-F]{4})\)")  # as encoders name it
_VR = re.compile(rb"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a file holds: a document, or octets and how they are to be read."""

    keys: Document | bytes
    transfer_syntax: str = EXPLICIT_LE


def read_identifier(raw: bytes, name: str) -> Identifier:
    """Return the identifier in *raw*; raise `BadDocument` (*name* is in the message) for anything else."""
    if raw[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC:
        return _of_dicom_file(raw[_PREAMBLE + len(_MAGIC) :], name)
    if b"\0" in raw:  # text holds none, a data set some
        return Identifier(raw, _guessed(raw))
    if not raw.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")):
        return Identifier(_checked(_dumped(raw, name), raw, name))
    try:
        keys = json.loads(raw)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise _wrong(name, f"not JSON: {error}", line) from None
    except RecursionError:
        raise _wrong(name, "is nested too deeply") from None
    elements = keys.values() if isinstance(keys, dict) else [None]
    if not all(isinstance(each, dict) and "vr" in each for each in elements):
        raise _wrong(name, 'not a data set in the DICOM JSON model: {"00100010": {"vr": "PN"}, ...}')
    return Identifier(_checked({tag.upper(): element for tag, element in keys.items()}, raw, name))


def _checked(keys: Document, raw: bytes, name: str) -> Document:
    """Return *keys* once every value can be written; whether its character set holds them is not asked."""
    try:
        encode_dataset(keys, EXPLICIT_LE, parse_terms([_UTF_8]))
    except (Unencodable, Unfit) as error:
        raise _wrong(name, str(error), _line_of(str(error), raw)) from None
    return keys


def _line_of(message: str, raw: bytes) -> int:
    """Return the line of the attribute that *message* begins with; 1 where several have its tag."""
    tag = _TAG.match(message)
    if tag is None:
        return 1
    group, element = tag["group"].encode(), tag["element"].encode()
    places = list(re.finditer(rb'"%s%s"|\(%s,%s\)' % (group, element, group, element), raw, re.IGNORECASE))
    return raw.count(b"\n", 0, places[0].start()) + 1 if len(places) == 1 else 1


def _of_dicom_file(content: bytes, name: str) -> Identifier:
    """Part from the data set the file's meta information, which says how it is encoded (PS3.10 7.1)."""
    length = int.from_bytes(content[8:_GROUP_LENGTH], "little")
    end = _GROUP_LENGTH + length
    try:
        meta = decode_dataset(content[:end], EXPLICIT_LE)
    except ValueError as error:
        raise _wrong(name, f"its meta information cannot be read: {error}") from None
    return Identifier(content[end:], text(meta, _TRANSFER_SYNTAX) or EXPLICIT_LE)


def _guessed(raw: bytes) -> str:
    """Return the transfer syntax that the first element of a bare data set shows."""
    if not _VR.fullmatch(raw[4:6]):
        return _IMPLICIT_LE
    return _EXPLICIT_BE if raw[0] == 0 and raw[1] else EXPLICIT_LE


def _dumped(raw: bytes, name: str) -> Document:
    try:
        written = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        written = raw.decode("latin-1")
    try:
        return dcmdump.parse(written)
    except dcmdump.NoDump as error:
        raise _wrong(name, f"no DICOM file, no JSON, and {error}") from None


def _wrong(name: str, message: str, line: int = 1) -> BadDocument:
    return BadDocument([Problem(name, line, 1, message)])
