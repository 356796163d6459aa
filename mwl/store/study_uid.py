"""The Study Instance UID of an order whose system sent none.

It is computed from the order's identity and the site's root and from nothing else: the same order
gives the same UID on every broker, at every attempt, after a restore (F-H59, A-17).  It is computed
once: what is stored stays, whatever later messages say or leave out.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

_ORDERS = uuid.UUID("9d9b2c5e-6a0f-5d0e-8d0b-2f4c1a7e3b61")  # drawn once; another one would be other studies
_LONGEST = 64  # characters of a UID (PS3.5 9.1)
_FEWEST = 24  # digits: below about 2**79 names, two orders of one site could meet
_WITHOUT_ROOT = "2.25"  # PS3.5 B.2: a UUID as one decimal component


def derive(identity: Sequence[str], root: str | None) -> str:
    """Return the UID for an order's *identity* under *root*, or under 2.25 where a site has none.

    A root too long to leave 24 digits is not used either.
    """
    # The lengths keep ("A", "BC") and ("AB", "C") apart.
    name = "".join(f"{len(part)}:{part}" for part in identity)
    number = uuid.uuid5(_ORDERS, name).int
    room = _LONGEST - len(root) - 1 if root else 0
    if not root or room < _FEWEST:
        return f"{_WITHOUT_ROOT}.{number}"
    return f"{root}.{number % 10**room}"
