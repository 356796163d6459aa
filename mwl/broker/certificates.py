"""When a certificate ends: read from its file, since Python's `ssl` tells it of a peer's alone."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Mapping
from pathlib import Path

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION, _SEQUENCE, _UTC_TIME = 0xA0, 0x30, 0x17
_BEFORE_VALIDITY = 3  # serial number, algorithm, issuer (RFC 5280 4.1)


def ends(files: Mapping[str, Path]) -> dict[str, dt.datetime]:
    """Return when each certificate ends, by the name it is given; one that cannot be read is left out."""
    found = {name: _end(path) for name, path in files.items()}
    return {name: end for name, end in found.items() if end is not None}


def _end(path: Path) -> dt.datetime | None:
    """Return the end of the first certificate in a PEM file; those after it are its chain."""
    try:
        written = path.read_text("ascii", "replace")
        first = written[written.index(_BEGIN) : written.index(_END) + len(_END)]
        return not_after(ssl.PEM_cert_to_DER_cert(first))
    except (OSError, ValueError, IndexError):
        return None


def not_after(certificate: bytes) -> dt.datetime:
    """Return when a certificate in DER ends (RFC 5280 4.1.2.5); raises ValueError, IndexError."""
    whole = _Reader(certificate).inside(_SEQUENCE)
    fields = whole.inside(_SEQUENCE)
    if fields.tag == _VERSION:
        fields.skip()
    for _ in range(_BEFORE_VALIDITY):
        fields.skip()
    validity = fields.inside(_SEQUENCE)
    validity.skip()  # notBefore
    tag, value = validity.tag, validity.skip().decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century
        value = ("19" if value >= "50" else "20") + value
    return dt.datetime.strptime(value, "%Y%m%d%H%M%SZ").replace(tzinfo=dt.UTC)


class _Reader:
    """Elements of DER, one after the other (X.690 8.1)."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._at = octets, 0

    @property
    def tag(self) -> int:
        """The tag of the element that comes next."""
        return self._octets[self._at]

    def skip(self) -> bytes:
        """Return the content of the next element, and go behind it."""
        length, begin = self._octets[self._at + 1], self._at + 2
        if length & 0x80:
            size = length & 0x7F
            length, begin = int.from_bytes(self._octets[begin : begin + size], "big"), begin + size
        self._at = begin + length
        return self._octets[begin : self._at]

    def inside(self, tag: int) -> _Reader:
        """Return a reader of the content of the next element, which must be of this kind; go behind it."""
        if self.tag != tag:
            raise ValueError("not a certificate")
        return _Reader(self.skip())
