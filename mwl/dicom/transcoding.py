"""A data set in another transfer syntax: every value stays the bytes it was, in whatever letters.

For a data set that is passed on as it came.  Reading it into a document and writing it again would
judge it: text in a set its label lies about, or a number of four digits under a VR that holds two.
"""

from __future__ import annotations

from mwl.dicom.elements import Budget, Coding, RawDataSet, Undecodable, read_elements
from mwl.dicom.encoding import SYNTAXES, deflate, framed, framed_item, inflate
from mwl.dicom.values import in_order


def transcoded(raw: bytes, source: str, target: str) -> bytes:
    """Return the data set *raw*, which is in the transfer syntax *source*, in *target*.

    The same syntax changes nothing.  Raises `Undecodable`, and `Unencodable` for a value that is too
    long for its VR in explicit form.
    """
    if source == target:
        return raw
    if source not in SYNTAXES or target not in SYNTAXES:
        raise Undecodable("transfer syntax not supported", transfer_syntax=f"{source} {target}")
    read, write = SYNTAXES[source], SYNTAXES[target]
    elements = read_elements(inflate(raw) if read.deflated else raw, read.coding, Budget())
    written = _written(elements, write.coding)
    return deflate(written) if write.deflated else written


def _written(elements: RawDataSet, coding: Coding) -> bytes:
    return b"".join(_element(tag, elements, coding) for tag in sorted(elements))


def _element(tag: str, elements: RawDataSet, coding: Coding) -> bytes:
    vr, order, content = elements[tag]
    if isinstance(content, bytes):
        value = in_order(vr, content, order, coding.order)
    else:
        value = b"".join(framed_item(_written(each, coding), coding) for each in content)
    return framed(tag, vr, value, coding)
