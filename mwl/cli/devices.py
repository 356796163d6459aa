"""``mwl devices``: who may ask, and who asked and was turned away."""

from __future__ import annotations

import dataclasses

import click

from mwl.cli import options
from mwl.cli.output import print_json, print_table


@click.group(epilog="Example: mwl devices list")
@options.config_option
def devices() -> None:
    """List configured devices and callers that were refused."""


@devices.command("list", epilog="Example: mwl devices list --json")
@options.limit_option
@options.json_option
@options.config_option
def listing(limit: int, *, as_json: bool) -> None:
    """List the devices of the configuration, then the callers that were refused, the latest first."""
    from mwl.store import callers

    configured = options.configuration().devices
    refused = options.opened_store().read_now(lambda tx: callers.browse(tx, limit=limit))
    if as_json:
        print_json(
            {
                "configured": {title: device.model_dump(mode="json") for title, device in configured.items()},
                "refused": [dataclasses.asdict(caller) for caller in refused],
            }
        )
        return
    print_table(
        ["DEVICE", "PROFILE", "VARIABLES"],
        [
            (title, device.profile, ", ".join(f"{name}={value}" for name, value in device.vars.items()))
            for title, device in configured.items()
        ],
    )
    click.echo()
    print_table(
        ["REFUSED", "CALLED", "ADDRESS", "TIMES", "LAST", "WHY", "IMPLEMENTATION"],
        [
            (each.calling_ae, each.called_ae, each.address, each.count, each.last_seen, each.reason,
             each.implementation_version or each.implementation_uid)
            for each in refused
        ],
    )  # fmt: skip
