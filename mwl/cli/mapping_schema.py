"""``mwl mapping schema``: what an editor needs to complete and check profiles while they are written."""

from __future__ import annotations

import click


@click.command()
@click.argument("side", default="devices", type=click.Choice(["devices", "systems"]))
def schema(side: str) -> None:
    """Print the JSON Schema of profiles of devices, or of systems.

    An editor that speaks the YAML language server's protocol takes it from a first line such as
    `# yaml-language-server: $schema=device.schema.json`.

    \b
    Examples:
      mwl mapping schema > mappings/device.schema.json
      mwl mapping schema systems > mappings/system.schema.json
    """
    if side == "devices":
        from mwl.mapping.devices.profile import schema_text
    else:
        from mwl.mapping.systems.system_form import schema_text
    click.echo(schema_text(), nl=False)
