"""The service manager hears when the broker is ready, reloads and stops."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mwl.cli.systemd import notify


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A datagram socket in the service manager's place."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listening


def test_a_state_is_told_as_it_is(manager):
    """READY=1 lets the units that wait for this one start."""
    notify("READY=1")

    assert manager.recv(100) == b"READY=1"


def test_a_reload_carries_the_clock(manager):
    """Type=notify-reload tells reloads apart by it."""
    notify("RELOADING=1")

    first, second = manager.recv(100).decode().splitlines()
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_an_abstract_address_is_understood(monkeypatch):
    """A container's manager listens without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0mwl-test-notify")
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", "@mwl-test-notify")

        notify("STOPPING=1")

        assert listening.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address, monkeypatch):
    """Started by hand, the broker runs all the same."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    assert notify("READY=1") is None
