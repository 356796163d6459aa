"""Files that `mwl import` and the commands that read identifiers take: DICOM, bare data sets, dumps, JSON.

python tests/fuzz/fuzz_import.py -max_total_time=60
"""

from __future__ import annotations

from harness import hunt, watched

with watched():
    from mwl.errors import MwlError
    from mwl.workbench.importing import order


def one_input(data: bytes) -> None:
    """Read a file: it is an order with steps, or there is a reason why not."""
    try:
        found = order(data, "file", "RIS")
    except MwlError:
        return
    assert found.procedures[0].steps


if __name__ == "__main__":
    hunt(__file__, one_input)
