"""What the figures were measured on, in general terms: nothing that names the machine or its owner."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path


def described() -> dict[str, str]:
    """Return processor, cores, memory, kernel, and the versions of what was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {re.split(r'[-+]', platform.release())[0]}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": _packaged("postgresql"),
        "DCMTK (wlmscpfs)": _packaged("dcmtk"),
        "Orthanc": _packaged("orthanc"),
    }
    return {name: value for name, value in found.items() if value}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _packaged(name: str) -> str:
    """Return the version of a Debian package, "" where it is not installed."""
    if shutil.which("dpkg-query") is None:
        return ""
    command = ["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", name]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    status, _, version = said.partition(" ")
    return re.split(r"[-+]", version)[0] if status == "installed" else ""
