"""The program: ``mwl``, or ``python -m mwl``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from mwl.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()
