"""A hospital of two hundred steps, for benchmarks that are run to see that they run."""

from __future__ import annotations

import pytest
from stage import SqliteHouse, Stage

STEPS = 200


@pytest.fixture(scope="session")
def stage(tmp_path_factory) -> Stage:
    """A stage with SQLite; one turn of everything."""
    folder = tmp_path_factory.mktemp("benchmarks")
    return Stage(folder, SqliteHouse(folder), STEPS, runs=1)
