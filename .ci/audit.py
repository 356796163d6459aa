"""Looks for known vulnerabilities in the packages that constraints.txt pins, in the OSV database.

Ends with 0 where none is known, and with 1 where one is: each is listed with its package.  Where the database
cannot be reached it says so and ends with 0: a build without a network is no finding.  ``$OSV_URL`` names
another database of the same form.
"""

# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

URL = "https://api.osv.dev/v1/querybatch"
PINS = Path(__file__).parent.parent / "constraints.txt"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", re.MULTILINE)
_SECONDS = 20.0


def pinned(text: str) -> list[tuple[str, str]]:
    """Return names and versions of what a file pins."""
    return [(match[1], match[2]) for match in _PIN.finditer(text)]


def asked(packages: list[tuple[str, str]], url: str) -> list[Any]:
    """Return what the database says of each package, in their order; raise OSError or ValueError."""
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages
    ]
    request = urllib.request.Request(  # noqa: S310  the address is ours
        url, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  as above
        results = json.load(answer)["results"]
    if len(results) != len(packages):
        raise ValueError("it answered for another number of packages")
    return list(results)


def main() -> int:
    """Ask, and say what was found."""
    packages = pinned(PINS.read_text("utf-8"))
    try:
        results = asked(packages, os.environ.get("OSV_URL") or URL)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", None) or error
        print(f"audit: SKIPPED, the advisory database cannot be reached: {reason}")
        return 0
    found = [
        f"{name} {version}: {', '.join(sorted(each['id'] for each in result['vulns']))}"
        for (name, version), result in zip(packages, results, strict=True)
        if result.get("vulns")
    ]
    for line in found:
        print(f"audit: {line}")
    print(f"audit: {len(packages)} packages, {len(found)} with known vulnerabilities")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
