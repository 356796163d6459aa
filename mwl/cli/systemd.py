"""The service manager's notification socket (sd_notify(3)), for units of ``Type=notify``."""

from __future__ import annotations

import os
import socket
import time


def notify(state: str) -> None:
    """Tell the service manager *state*; without one, or where it does not listen, do nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if state.startswith("RELOADING"):  # systemd asks for the clock, to tell reloads apart
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(address)
            channel.sendall(state.encode())
    except OSError:  # to be managed is a convenience
        return
