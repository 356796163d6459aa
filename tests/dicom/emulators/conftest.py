"""Worklist providers that are not ours, started and stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from foreign.dicom.provider import Provider, Scripted, provided


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider to be started."""
    with provided() as made:
        yield made


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Make sockets that answer what a test wants."""
    made: list[Scripted] = []

    def make(*says: bytes | None, accept: bytes | None = None) -> Scripted:
        made.append(Scripted(*says, accept=accept))
        return made[-1]

    yield make
    for each in made:
        each.close()
