"""P1 `match`: by what a device is recognised, so that its profile can be offered.

The configuration says which profile a calling AE title has; `match` serves who asks for a suggestion.
An implementation class UID names a toolkit, not a machine, and changes with a software update (12.3 f).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from mwl.mapping.devices.operations.notation import Scalars
from mwl.mapping.facts import Facts
from mwl.query import pattern


class Match(BaseModel):
    """By what a device is recognised (P1): every line must hold, each by any of its patterns with * and ?."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    calling_ae: Scalars | None = None
    """Its AE title."""
    called_ae: Scalars | None = None
    """The AE title it calls the broker by."""
    impl_uid: Scalars | None = None
    """Its implementation class UID."""
    impl_version: Scalars | None = None
    """Its implementation version name."""
    any: tuple[Match, ...] | None = None
    """Alternatives: one of them must hold as well."""

    def fits(self, facts: Facts) -> bool:
        """Tell whether an association comes from such a device."""
        lines = (
            (self.calling_ae, facts.calling_ae),
            (self.called_ae, facts.called_ae),
            (self.impl_uid, facts.implementation_uid),
            (self.impl_version, facts.implementation_version),
        )
        if not all(_fits(wanted, found) for wanted, found in lines if wanted is not None):
            return False
        return self.any is None or any(each.fits(facts) for each in self.any)

    @property
    def weight(self) -> int:
        """How specific it is: the number of lines that must hold."""
        stated = (self.calling_ae, self.called_ae, self.impl_uid, self.impl_version)
        return sum(each is not None for each in stated) + (self.any is not None)


def _fits(wanted: Sequence[str], found: str) -> bool:
    return any(pattern(each).fullmatch(found) for each in wanted)
