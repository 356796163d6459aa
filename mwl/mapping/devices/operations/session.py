"""P33 `session` and P34 `mpps.accept`: settings of the services, which they read from the profile."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mwl.mapping.devices.operations.operation import Options, Stage


class Session(Options):
    """How a query is answered, beside its content (P33)."""

    key = "session"
    stage = Stage.SESSION
    number = 33

    pending: Literal["FF00", "FF01", "auto"] = "auto"
    """The status of each item: always FF00, always FF01, or FF01 where a key could not be used (A-20)."""
    fuzzy_names: bool = False
    """Match person names by sound and in any order, though the device did not negotiate it (A-26)."""


class PerformedTolerance(BaseModel):
    """What is tolerated in a performed step."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    strict: bool = False
    """Refuse what PS3.4 F.7.2 forbids, instead of taking and reporting it."""
    repeat: Literal["idempotent", "reject"] = "reject"
    """The same N-CREATE again: 0000 where nothing differs (M03), or 0111."""
    nset_after_final: Literal["ack", "reject"] = "reject"
    """N-SET on a final step: 0000 and nothing changes (M04), or 0110 with Error ID A710."""


class Mpps(Options):
    """How a device's performed steps are taken (P34)."""

    key = "mpps"
    stage = Stage.MPPS
    number = 34

    accept: PerformedTolerance = PerformedTolerance()
    """What is tolerated."""

    @property
    def strict(self) -> bool:
        """Whether what PS3.4 F.7.2 forbids is refused."""
        return self.accept.strict
