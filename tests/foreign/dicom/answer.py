"""What a worklist client received, whoever the client is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator

_PREAMBLE = 132  # octets
SUCCESS, PENDING, PENDING_WARNING, CANCEL = 0x0000, 0xFF00, 0xFF01, 0xFE00


@dataclass(frozen=True)
class Answer:
    """The responses to one C-FIND request, in the order they came."""

    pending: tuple[int, ...]
    """Status of each response with an identifier; a client that hides it reports FF00."""
    identifiers: tuple[Dataset, ...]
    final: int
    offending: tuple[str, ...] = ()
    """Tags of (0000,0901)."""
    comment: str = ""
    files: tuple[bytes, ...] = ()
    """Each identifier as a file in explicit VR little endian, from a client that writes them."""

    @property
    def steps(self) -> list[str]:
        """Scheduled Procedure Step ID of each response."""
        return [str(item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID) for item in self]

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self.identifiers)

    def __len__(self) -> int:
        return len(self.identifiers)


def raw(file: bytes, keyword: str) -> bytes:
    """Return the bytes of a value in a DICOM file, not decoded, without the padding to even length."""
    tag = tag_for_keyword(keyword)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom does not know every character set
        for element in data_element_generator(
            BytesIO(file[_PREAMBLE:]), is_implicit_VR=False, is_little_endian=True
        ):
            if element.tag == tag:
                assert isinstance(element.value, bytes)
                return element.value.rstrip(b" ")
    raise KeyError(keyword)
