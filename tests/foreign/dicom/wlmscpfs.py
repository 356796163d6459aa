"""DCMTK's worklist server, with the ten items and the thirteen queries that DCMTK ships as examples.

They belong to the Debian package's documentation and are converted where they are needed.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foreign.dicom.presence import missing, program

EXAMPLES = Path("/usr/share/doc/dcmtk/examples")
PACKAGE = "Debian: dcmtk"
AE_TITLE = "OFFIS"
_STARTED_WITHIN = 30.0  # seconds


def items(folder: Path) -> list[Path]:
    """Return the example items as DICOM files in *folder*, in their order."""
    return _converted("wlistdb/OFFIS/wklist", range(1, 11), ".wl", folder)


def queries(folder: Path) -> list[Path]:
    """Return the example queries as DICOM files in *folder*, in their order."""
    return _converted("wlistqry/wlistqry", range(13), ".dcm", folder)


def _converted(begin: str, numbers: range, ending: str, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in numbers:
        dump = EXAMPLES / f"{begin}{number}.dump"
        if not dump.exists():  # an image of Debian may leave documentation out
            missing(f"the example {dump.name}", PACKAGE)
        found.append(folder / f"{dump.stem}{ending}")
        subprocess.run([program("dump2dcm", PACKAGE), "-q", "-g", dump, found[-1]], check=True, timeout=30)
    return found


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """Serve the example items from *folder*; yield where."""
    items(folder / AE_TITLE)
    (folder / AE_TITLE / "lockfile").touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    # -csk: the character set of the file; --single-process does not exist in this version, it forks.
    command = [program("wlmscpfs", PACKAGE), "-csk", "-dfp", folder, str(address[1])]
    environment = {"TCP_NODELAY": "1", "PATH": str(Path(shutil.which("wlmscpfs") or "").parent)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait(address, process)
        yield address
    finally:
        process.kill()
        process.wait(30)


def _wait(address: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            time.sleep(0.02)  # it says nothing when it is ready
        else:
            return
    raise AssertionError("wlmscpfs does not listen")
