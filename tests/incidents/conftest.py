"""The ward of a module's incidents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from incidents.intake import systems
from incidents.ward import Ward


@pytest.fixture(scope="module")
def ward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """One broker for all `INCIDENTS` of the module."""
    module = request.module
    changes = {"systems": systems(module.INCIDENTS), **getattr(module, "CONFIGURED", {})}
    made = Ward(tmp_path_factory.mktemp("ward"), module.INCIDENTS, **changes)
    yield made
    made.close()
