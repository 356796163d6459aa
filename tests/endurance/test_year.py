"""The half of the year with the changes of the clock: every day's list is right, and nothing piles up."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from endurance.year import Year, growth
from mwl.broker import cleaner


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: what these days write may be lost."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="mwl-year-", dir=memory) as made:
        yield Path(made)


@pytest.mark.timeout(300)
async def test_half_a_year_leaves_no_more_than_a_month(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through both changes of the hour, a leap day, and clocks that are put back; rows and size stay."""
    monkeypatch.setattr(cleaner, "REST", 0)

    months = await Year(folder, 2, dt.date(2027, 10, 1), 183).run()

    assert [month.name for month in months][::5] == ["2027-10", "2028-03"]
    assert months[-1].rows["steps"] > 0
    assert {name: growth(months, name) <= 1.2 for name in months[-1].rows} == dict.fromkeys(
        months[-1].rows, True
    )
    assert months[-1].octets <= 1.2 * months[2].octets
