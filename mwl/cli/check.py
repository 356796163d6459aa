"""``mwl check``: would it run?  Everything that can be known before `mwl serve` is started."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.exits import BAD_CONFIGURATION, DONE, FINDINGS, UNAVAILABLE, exit_code
from mwl.cli.output import print_json, print_table
from mwl.errors import BadDocument, MwlError, Unavailable

if TYPE_CHECKING:
    from mwl.config import Address, ClientTls, Configuration


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; *code* is what it alone would end the command with."""

    what: str
    code: int
    finding: str

    @property
    def result(self) -> str:
        return "failed" if self.code else "ok"


@click.command(epilog="Example: mwl check --show --config mwl.yaml")
@click.option("--show", is_flag=True, help="Print every setting in effect and where it was written.")
@options.json_option
@options.config_option
def check(*, show: bool, as_json: bool) -> None:
    """Check the configuration, all profiles, the database and the ports.

    Mistakes in the configuration and in profiles are told in one go.

    Ends with the gravest finding: 78 configuration or profiles, 69 database, 1 a port that is
    taken (by a running broker, perhaps) or a folder of profiles that is not there.
    """
    from mwl.broker import load

    configuration = load(options.config_path())
    settings = list(configuration.effective()) if show else []
    checks = list(examined(configuration))
    if as_json:
        keys = ("key", "value", "origin")
        shown = {"settings": [dict(zip(keys, each, strict=True)) for each in settings]} if show else {}
        print_json({**shown, "checks": [asdict(each) for each in checks]})
    else:
        if show:
            print_table(["SETTING", "VALUE", "WRITTEN IN"], settings)
            click.echo()
        print_table(["CHECK", "RESULT", ""], [(each.what, each.result, each.finding) for each in checks])
    if gravest := max(each.code for each in checks):
        raise click.exceptions.Exit(gravest)


def examined(configuration: Configuration) -> Iterator[Check]:
    """Yield what is looked at, one thing after the other."""
    yield Check("configuration", DONE, str(configuration.path or "built-in defaults"))
    yield from (Check("mappings", FINDINGS, str(doubt)) for doubt in configuration.doubts())
    yield from _profiles(configuration)
    yield _database(configuration.database)
    for name in ("dicom", "hl7", "web"):
        yield _port(name, getattr(configuration, name).listen)


def _profiles(configuration: Configuration) -> Iterator[Check]:
    from mwl.broker import bind
    from mwl.broker.tls import client_context, server_context

    try:
        bound = bind(configuration)
        yield Check("profiles", DONE, f"devices: {len(bound.devices)}, systems: {len(bound.systems)}")
    except BadDocument as error:
        yield from (Check("profiles", BAD_CONFIGURATION, str(problem)) for problem in error.problems)
    for section in ("dicom", "hl7", "web"):
        try:
            if server_context(configuration, section):
                yield Check(f"{section}.tls", DONE, "certificate and key fit")
        except BadDocument as error:
            yield from (Check(f"{section}.tls", BAD_CONFIGURATION, str(each)) for each in error.problems)
    for place, tls in _called(configuration):
        try:
            client_context(configuration, place, tls)
            yield Check(".".join(place), DONE, "what it names can be used")
        except BadDocument as error:
            yield from (Check(".".join(place), BAD_CONFIGURATION, str(each)) for each in error.problems)


def _called(configuration: Configuration) -> Iterator[tuple[tuple[str, ...], ClientTls]]:
    """Yield the TLS settings of peers that the broker calls, each with its place."""
    for name, system in configuration.systems.items():
        if system.status and system.status.tls:
            yield ("systems", name, "status", "tls"), system.status.tls
    if configuration.audit and configuration.audit.transport == "tls":
        yield ("audit", "tls"), configuration.audit.tls
    for name, receiver in configuration.receivers.items():
        if receiver.tls:
            section = ("forward",) if name in configuration.forward else ("dicom", "subscribers")
            yield (*section, name, "tls"), receiver.tls


def _database(url: str) -> Check:
    from mwl.config import without_password
    from mwl.store import engine as engines
    from mwl.store import migrations

    shown = without_password(url)
    try:
        engine = engines.create(url)
        file = engines.file_of(engine)
        if file is not None and not file.exists():
            able = os.access(file.parent, os.W_OK)
            return Check(
                "database", DONE if able else UNAVAILABLE, f"{file} {'will' if able else 'cannot'} be made"
            )
        found = migrations.current(engine)
        if found == migrations.HEAD:
            return Check("database", DONE, f"{shown} has schema {found}")
        with contextlib.suppress(Unavailable):  # older is no fault; only newer is
            migrations.require_current(engine)
        return Check("database", DONE, f"{shown} will be brought to schema {migrations.HEAD}")
    except MwlError as error:
        return Check("database", exit_code(error), f"{shown}: {error}")


def _port(name: str, listen: Address) -> Check:
    """Bind the address for a moment, as the broker would."""
    try:
        family, kind, proto, _, at = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(at)
    except OSError as error:
        return Check(f"{name}.listen", FINDINGS, f"{listen}: {error.strerror}")
    return Check(f"{name}.listen", DONE, f"{listen} is free")
