"""The attributes of a worklist: PS3.4 Table K.6-1 as data.

`MATCHING` are the attributes that may carry a matching key here; a key outside it is ignored for
matching and, unless the device's profile says otherwise, answered with FF01 (A-20).
"""

from __future__ import annotations

from mwl.model import STEP_SEQUENCE
from mwl.query import Path

_CODE = ("00080100", "00080102", "00080103", "00080104", "00080119", "00080120")
_REFERENCE = ("00081150", "00081155")
_ENTITY = ("00400031", "00400032", "00400033")

_STEP: dict[str, tuple[str, ...]] = {
    "00400001": (), "00400002": (), "00400003": (), "00400004": (), "00400005": (), "00080060": (),
    "00400006": (), "0040000B": (), "00400007": (), "00400010": (), "00400011": (), "00400012": (),
    "00400009": (), "00321070": (), "00400020": (), "00400400": (),
    "00400008": _CODE, "0018990C": _REFERENCE, "0018990D": _REFERENCE,
}  # fmt: skip

_ROOT: dict[str, tuple[str, ...]] = {
    # Requested procedure
    "00401001": (), "00321060": (), "0020000D": (), "00080020": (), "00080030": (), "00401003": (),
    "00401004": (), "00401002": (), "00401400": (), "00401005": (), "00401009": (), "00401010": (),
    "00401008": (), "00321064": _CODE, "0040100A": _CODE, "00081110": _REFERENCE,
    # Imaging service request
    "00080050": (), "00321032": (), "00080090": (), "00321033": (), "00402016": (), "00402017": (),
    "00402004": (), "00402005": (), "00402008": (), "00402009": (), "00402010": (), "00402400": (),
    "00080051": _ENTITY, "00400026": _ENTITY, "00400027": _ENTITY,
    # Visit and patient
    "00380010": (), "00380300": (), "00380014": _ENTITY, "00081120": _REFERENCE, "00100010": (),
    "00100020": (), "00100021": (), "00100030": (), "00100040": (), "00101030": (), "00101020": (),
    "00403001": (), "00380500": (), "001021C0": (), "00102000": (), "00102110": (), "00380050": (),
    "00100024": ("00400032", "00400033"), "00101002": ("00100020", "00100021"), "00100101": _CODE,
    # Specimen, barcode
    "22000005": (), "00400500": ("00400512",),
}  # fmt: skip


def _paths() -> frozenset[Path]:
    paths: set[Path] = set()
    for prefix, table in (((), _ROOT), ((STEP_SEQUENCE,), _STEP)):
        for tag, children in table.items():
            paths.add((*prefix, tag))
            paths.update((*prefix, tag, child) for child in children)
    return frozenset(paths)


MATCHING: frozenset[Path] = _paths()
"""Every path that may carry a matching key."""

UNMATCHED = frozenset({"00080005", "00080201", "00080052"})
"""Identifier-level attributes that are never keys (Table K.6-1a), and the level of Query/Retrieve (A-02)."""
