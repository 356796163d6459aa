"""Which messages of the journal are meant: the filters that ``mwl hl7 list`` and ``replay`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import click

from mwl.cli import options, times

if TYPE_CHECKING:
    from mwl.store.journal import Wanted

F = TypeVar("F", bound=Callable[..., Any])

OUTCOMES = ("AA", "AE", "AR", "ignored", "refused")
REFUSED = ("AE", "AR")


class Selection(TypedDict):
    """The options as click hands them over."""

    accession: str
    patient: str
    order: str
    control_id: str
    system: str
    kind: str
    outcome: tuple[str, ...]
    since: str | None
    until: str | None
    doubtful: bool


_OPTIONS = (
    click.option("--accession", default="", metavar="NUMBER", help="Only with this accession number."),
    click.option("--patient", default="", metavar="ID", help="Only on this patient ID."),
    click.option("--order", default="", metavar="NUMBER", help="Only with this order or procedure number."),
    click.option("--control-id", default="", metavar="ID", help="Only with this MSH-10."),
    click.option("--system", default="", metavar="NAME", help="Only from this configured system."),
    click.option("--type", "kind", default="", metavar="TYPE", help="Only ORM^O01; ORM for all its events."),
    click.option(
        "--outcome",
        multiple=True,
        type=click.Choice(OUTCOMES, case_sensitive=False),
        help="Only with this outcome; may be given several times. refused: AE and AR.",
    ),
    click.option("--since", metavar="WHEN", help=f"Only what came then or later: {times.FORMS}."),
    click.option("--until", metavar="WHEN", help="Only what came before."),
    click.option("--doubtful", is_flag=True, help="Only with steps that devices are not sent, or refuse."),
)


def selection_options(command: F) -> F:
    """Give *command* the filters."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def site_zone() -> ZoneInfo:
    """Return the site's time zone, in which instants are written and read."""
    return ZoneInfo(options.configuration().site.timezone)


def wanted(chosen: Selection, zone: ZoneInfo) -> Wanted:
    """Return what the filters ask for."""
    from mwl.store.journal import Wanted
    from mwl.store.messages import KeyKind, SearchKey

    numbers = {
        KeyKind.ACCESSION: chosen["accession"],
        KeyKind.PATIENT: chosen["patient"],
        KeyKind.ORDER: chosen["order"],
    }
    outcomes = [each for name in chosen["outcome"] for each in (REFUSED if name == "refused" else (name,))]
    return Wanted(
        keys=tuple(SearchKey(kind, number) for kind, number in numbers.items() if number.strip()),
        control_id=chosen["control_id"].strip(),
        system=chosen["system"],
        kind=chosen["kind"].strip().upper(),
        outcomes=tuple(outcomes),
        since=times.option(chosen["since"], "since", zone),
        until=times.option(chosen["until"], "until", zone),
        doubtful=chosen["doubtful"],
    )


def anything(chosen: Selection) -> bool:
    """Tell whether any filter was given."""
    return any(chosen.values())
