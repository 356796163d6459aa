"""Why a performed step was discontinued: the codes of the standard, and what they mean.

PS3.16 CID 9300 has seventeen, 110500 to 110516; a device says one in (0040,0281).  One of them says
that the scheduled step was chosen by mistake (B-33): it goes back on the worklist.  With any other
the exam is over as far as it came, unless the device's profile says otherwise.
"""

from __future__ import annotations

from typing import Final

from mwl.model import Document, items, text

DCM: Final = "DCM"
WRONG_ENTRY: Final = "110514"

REASONS: Final = {
    "110500": "doctor cancelled procedure",
    "110501": "equipment failure",
    "110502": "incorrect procedure ordered",
    "110503": "patient allergic to media/contrast",
    "110504": "patient died",
    "110505": "patient refused to continue procedure",
    "110506": "patient taken for treatment or surgery",
    "110507": "patient did not arrive",
    "110508": "patient pregnant",
    "110509": "change of procedure for correct charging",
    "110510": "duplicate order",
    "110511": "nursing unit cancel",
    "110512": "incorrect side ordered",
    "110513": "discontinued for unspecified reason",
    WRONG_ENTRY: "incorrect worklist entry selected",
    "110515": "patient condition prevented continuing",
    "110516": "equipment change",
}
"""What each code means, in the words of the standard."""

ORDER_AT_FAULT: Final = frozenset({"110502", "110509", "110510", "110512"})
"""Reasons that find fault with the order: somebody has to correct it."""

_REASON, _CODE, _SCHEME = "00400281", "00080100", "00080102"


def reasons(performed: Document) -> tuple[str, ...]:
    """Return the codes of DICOM's own that a performed step gives as reason for its end, as they stand."""
    found = ((text(item, _CODE).strip(), text(item, _SCHEME).strip()) for item in items(performed, _REASON))
    return tuple(code for code, scheme in found if scheme == DCM and code in REASONS)
