"""Sends orders over raw sockets, one connection a thread, so that the client costs little.

    python benchmarks/mllp_client.py HOST PORT CONNECTIONS RUN COUNT [RATE]

A process of its own: it makes COUNT orders, shares them out, and every connection sends its next one when
the last is acknowledged; with RATE not before its time, so that there are so many orders a second.  It says
when it begins, and prints the seconds from the first byte to the last acknowledgement.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Sequence

from ordering import orders

BEGIN, END = b"\x0b", b"\x1c\r"


def send(
    connection: socket.socket, frames: Sequence[bytes], times: Sequence[float], failed: list[bytes]
) -> None:
    """Send *frames*, each when the one before it is acknowledged and its time has come.

    What is not accepted ends it.
    """
    for frame, at in zip(frames, times, strict=True):
        if (early := at - time.perf_counter()) > 0:
            time.sleep(early)
        connection.sendall(frame)
        answer = b""
        while not answer.endswith(END):
            received = connection.recv(65536)
            if not received:
                failed.append(b"the connection was closed")
                return
            answer += received
        if b"MSA|AA|" not in answer:
            failed.append(answer)
            return


def main() -> None:
    host, port, *numbers = sys.argv[1:]
    connections, run, count, rate = map(int, [*numbers, "0"][:4])
    frames = [BEGIN + order + END for order in orders(run, count)]
    failed: list[bytes] = []
    opened = [socket.create_connection((host, int(port)), timeout=60) for _ in range(connections)]
    for each in opened:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("begun", flush=True)
    began = time.perf_counter()
    times = [began + n / rate if rate else began for n in range(count)]
    threads = [
        threading.Thread(target=send, args=(each, frames[n::connections], times[n::connections], failed))
        for n, each in enumerate(opened)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - began
    if failed:
        sys.exit(f"not accepted: {failed[0]!r}")
    print(spent)


if __name__ == "__main__":
    main()
