"""A comparison as plain data: whole for who prints it, bounded for who keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workbench.at_hand import bound, compared, step

from mwl.workbench.compare import Comparison
from mwl.workbench.differences import Bounds, plain, total


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Four steps, of which one vanishes and three change in two values."""
    draft = (
        "filter: {exclude: [{AccessionNumber: ACC004}]}\n"
        "set: {RequestedProcedureDescription: '王', SPS.ScheduledProcedureStepDescription: B}"
    )
    old, new = bound(tmp_path / "old", "", "old"), bound(tmp_path / "new", draft, "new")
    return compared(old, new, *(step(number) for number in range(1, 5)))


def test_it_is_json_as_it_stands(comparison):
    """Status, numbers, counts by kind and by path; values as one reads them."""
    found = plain(comparison)

    assert json.loads(json.dumps(found)) == found
    assert (found["differs"], found["status"], found["sent"], found["same"]) == (
        True,
        ["0000", "0000"],
        [4, 3],
        0,
    )
    assert found["counts"] == {"vanishes": 1, "changes": 3}
    assert found["paths"] == {"RequestedProcedureDescription": 3, "SPS.ScheduledProcedureStepDescription": 3}
    change = found["differences"][0]["changes"][0]
    assert (change["before"], change["after"], change["operation"]) == ("Procedure 1", "王", "set")


def test_what_is_kept_is_bounded_and_the_counts_stay_whole(comparison):
    """Entries, values of one entry, characters of one value."""
    found = plain(comparison, Bounds(differences=2, changes=1, characters=4))

    assert [len(each["changes"]) for each in found["differences"]] == [1, 1]
    assert found["differences"][0]["changes"][0]["before"] == "Proc…"
    assert found["counts"] == {"vanishes": 1, "changes": 3}


def test_totals_are_sums(comparison):
    """Of queries, of those that differ, of entries by kind and of values."""
    found = plain(comparison)
    same = {"differs": False, "counts": {}, "paths": {}}

    assert total([found, same, found]) == {
        "queries": 3, "differ": 2, "vanishes": 2, "changes": 6, "values": 12,
    }  # fmt: skip
    assert total([]) == {}
