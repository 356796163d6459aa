"""How doubts about steps are shown: what devices will not be sent, or may refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from mwl.cli.hl7_view import short
from mwl.cli.output import heading, print_table

if TYPE_CHECKING:
    from mwl.store.doubts import Doubt


def print_doubts(found: Mapping[int, Sequence[Doubt]]) -> None:
    """Print doubts by step, where there are any."""
    if found:
        heading("doubts")
        print_table(
            ["STEP", "DEVICE", "WHAT", "ATTRIBUTE", "WHY", "LINE"],
            [
                (key, each.calling_ae, _effect(each), each.path, each.message, short(each.origin))
                for key, doubts in found.items()
                for each in doubts
            ],
        )


def plain_doubts(doubts: Iterable[Doubt]) -> list[dict[str, object]]:
    """Return doubts as JSON holds them."""
    return [dataclasses.asdict(each) for each in doubts]


def _effect(doubt: Doubt) -> str:
    return "is not sent it" if doubt.withheld else "may refuse it"
