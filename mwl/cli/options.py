"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mwl.config import Address, Configuration
    from mwl.dicom.requestor import Peer
    from mwl.store import Store

_META = "mwl.config"


def _remember(ctx: click.Context, _option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[_META] = value  # shared by a command and its groups: the option may stand at either


def ae_title(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check an AE title on the command line."""
    from mwl import config

    try:
        return None if value is None else config.ae_title(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_remember,
    expose_value=False,
    help="Configuration file; else $MWL_CONFIG, ./mwl.yaml, /etc/mwl/mwl.yaml, built-in defaults.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

calling_option = click.option(
    "--ae", "calling", default="MWL", show_default=True, callback=ae_title, help="AE title to call as."
)

called_option = click.option("--called", callback=ae_title, help="AE title to call; else the configured one.")

timeout_option = click.option(
    "--timeout", default=10.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds to wait."
)

limit_option = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(min=1), help="Rows at most."
)


def config_path() -> Path | None:
    """Return the configuration file that the command line names."""
    path: Path | None = click.get_current_context().meta.get(_META)
    return path


def configuration() -> Configuration:
    """Load the configuration that the command line names, or the one that is found."""
    from mwl import config

    return config.load(config_path())


def opened_store() -> Store:
    """Open the configured database as it is: a command that looks does not migrate it."""
    from mwl.store import open_store

    store = open_store(configuration().database, migrate=False)
    click.get_current_context().call_on_close(store.close_now)
    return store


def address(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> Address | None:
    """Read an argument ``host:port``; anything else is wrong usage."""
    from mwl.config import Address

    try:
        return None if text is None else Address.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def connectable(listen: Address) -> Address:
    """Return where to reach a listener: one that listens everywhere is reached on loopback."""
    from mwl.config import Address

    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read here, not bound
    return Address(loopback.get(listen.host, listen.host), listen.port)


def dicom_peer(at: Address | None, calling: str, called: str | None, timeout: float) -> Peer:
    """Return the DICOM application meant: what the command line leaves out is the configured broker."""
    from mwl.dicom.requestor import Peer

    dicom = configuration().dicom
    at = at or connectable(dicom.listen)
    return Peer(at.host, at.port, called or dicom.ae_title, calling, timeout)
