"""``mwl devices list``: who may ask and when it did, and who is not configured and knocked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from mwl.cli import options, times
from mwl.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from mwl.config import Configuration
    from mwl.store import Transaction
    from mwl.store.callers import Caller
    from mwl.store.queries import Asker


@click.command("list", epilog="Example: mwl devices list --json")
@options.limit_option
@options.json_option
@options.config_option
def listing(limit: int, *, as_json: bool) -> None:
    """List the devices of the configuration with what they asked last, then unknown callers.

    Callers that were refused, or held in quarantine (capture.unknown), come with the profile whose
    `match` names them, where one does.
    """
    from mwl.cli.hl7_selection import site_zone

    configuration, zone = options.configuration(), site_zone()

    def work(tx: Transaction) -> tuple[list[Asker], list[Caller]]:
        from mwl.store import callers, queries

        return queries.askers(tx), callers.browse(tx, limit=limit)

    askers, found = options.opened_store().read_now(work)
    strangers = [each for each in found if not (each.unknown and label(configuration, each.calling_ae))]
    suggested = suggestions(configuration, strangers)
    if as_json:
        print_json(_plain(configuration, askers, strangers, suggested))
        return
    print_table(
        [
            "DEVICE",
            "PROFILE",
            "LAST ASKED",
            "STATUS",
            "MATCHED",
            "SENT",
            "TIMES",
            "LAST SENT ANY",
            "VARIABLES",
        ],
        list(_devices(configuration, askers, zone)),
    )
    click.echo()
    print_table(
        ["UNKNOWN", "CALLED", "ADDRESS", "TIMES", "LAST", "WHY", "SUGGESTED", "IMPLEMENTATION"],
        [
            (each.calling_ae, each.called_ae, each.address, each.count, times.shown(each.last_seen, zone),
             each.reason, profile, f"{each.implementation_version} {each.implementation_uid}".strip())
            for each, profile in zip(strangers, suggested, strict=True)
        ],
    )  # fmt: skip
    if any(each.unknown for each in strangers):
        click.echo("mwl devices admit AE lets one of them in", err=True)


def label(configuration: Configuration, calling_ae: str) -> str:
    """Return the entry of `devices` that stands for an AE title, "" for none."""
    return configuration.device_of(calling_ae) or ""


def suggestions(configuration: Configuration, found: Sequence[Caller]) -> list[str]:
    """Return for each caller the profile whose `match` fits it best, "" where none does."""
    from mwl.config import profile_folders
    from mwl.errors import BadDocument
    from mwl.mapping.devices.device import load_devices
    from mwl.mapping.facts import Facts

    try:
        profiles = load_devices(profile_folders(configuration.mappings))
    except BadDocument as error:
        click.echo(f"no profile is suggested: {error.problems[0]}", err=True)
        return [""] * len(found)
    facts = (
        Facts(
            each.calling_ae,
            each.called_ae,
            each.address,
            each.implementation_uid,
            each.implementation_version,
        )
        for each in found
    )
    return [next(iter(profiles.matching(each)), "") for each in facts]


def _devices(
    configuration: Configuration, askers: Sequence[Asker], zone: ZoneInfo
) -> Iterator[tuple[object, ...]]:
    """Yield a row for each entry, and below one that stands for anyone a row for each that asked."""
    asked = {each.latest.calling_ae: each for each in askers}
    for title, device in configuration.devices.items():
        variables = ", ".join(f"{name}={value}" for name, value in device.vars.items())
        profiles = " / ".join([device.profile, *(each.profile for each in device.shared_by)])
        yield title, profiles, *_asked(asked.get(title), zone), variables
        for each in askers:
            if each.latest.calling_ae != title and label(configuration, each.latest.calling_ae) == title:
                yield f"  {each.latest.calling_ae}", each.latest.profile, *_asked(each, zone), ""


def _asked(asker: Asker | None, zone: ZoneInfo) -> tuple[object, ...]:
    if asker is None:
        return "never", "", "", "", "", ""
    latest = asker.latest
    return (
        times.shown(latest.last_at, zone),
        latest.status or "ended",
        latest.matched,
        latest.sent,
        asker.times,
        times.shown(asker.last_sent_at, zone) if asker.last_sent_at else "never",
    )


def _plain(
    configuration: Configuration,
    askers: Sequence[Asker],
    strangers: Sequence[Caller],
    suggested: Sequence[str],
) -> dict[str, Any]:
    return {
        "configured": {
            title: device.model_dump(mode="json") for title, device in configuration.devices.items()
        },
        "asked": [
            {
                "calling_ae": each.latest.calling_ae,
                "device": label(configuration, each.latest.calling_ae) or None,
                "query": each.latest.key,
                "last_at": each.latest.last_at,
                "status": each.latest.status,
                "matched": each.latest.matched,
                "sent": each.latest.sent,
                "left_out": each.latest.left_out_count,
                "times": each.times,
                "last_sent_at": each.last_sent_at or None,
            }
            for each in askers
        ],
        "refused": [
            {**dataclasses.asdict(each), "held": each.held, "suggested": profile or None}
            for each, profile in zip(strangers, suggested, strict=True)
        ],
    }
