"""What devices sent about their performed steps stays as it came, and does not grow without end."""

from __future__ import annotations

import pytest

from mwl.store import Store, Transaction, performed, requests
from mwl.store.requests import PerformedRequest

IMPLICIT = "1.2.840.10008.1.2"
STEP = {"00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}}


@pytest.fixture
def step(store: Store) -> int:
    """The key of a performed step."""
    return store.write_now(lambda tx: performed.create(tx, "1.2.3", STEP, calling_ae="CT1", told=()).step.key)


def keep(tx: Transaction, step: int, data: bytes | None, operation: str = "N-SET") -> int:
    """Keep one request."""
    return requests.keep(
        tx, step, operation=operation, calling_ae="CT1_MPPS", address="10.0.0.7", transfer_syntax=IMPLICIT,
        data=data,
    )  # fmt: skip


def kept(store: Store, step: int) -> list[PerformedRequest]:
    """Return what is kept."""
    return store.read_now(lambda tx: requests.of_step(tx, step))


def test_a_request_is_kept_as_it_came(store: Store, step: int) -> None:
    """To the byte, with who sent it and how; one without a data set as well."""
    store.write_now(lambda tx: keep(tx, step, b"\x00\xff one", "N-CREATE"))
    key = store.write_now(lambda tx: keep(tx, step, None))

    one, two = kept(store, step)
    assert (one.operation, one.calling_ae, one.address, one.transfer_syntax, one.data) == (
        "N-CREATE", "CT1_MPPS", "10.0.0.7", IMPLICIT, b"\x00\xff one",
    )  # fmt: skip
    assert store.read_now(lambda tx: (requests.first(tx, step), requests.get(tx, key))) == (one, two)
    assert two.data is None


def test_the_first_stays_and_of_the_others_the_latest(
    store: Store, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device may set a step as often as it likes."""
    monkeypatch.setattr(requests, "KEPT", 4)
    for number in range(10):
        store.write_now(lambda tx, number=number: keep(tx, step, b"%d" % number))

    assert [each.data for each in kept(store, step)] == [b"0", b"7", b"8", b"9"]


def test_so_does_their_size(store: Store, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the newest are kept however long they are."""
    monkeypatch.setattr(requests, "OCTETS", 100)
    for size in (500, 60, 40, 50, 45):
        store.write_now(lambda tx, size=size: keep(tx, step, b"x" * size))

    assert [len(each.data or b"") for each in kept(store, step)] == [500, 50, 45]


def test_a_step_of_which_nothing_is_kept_has_none(store: Store, step: int) -> None:
    """As those have that an earlier version stored."""
    assert store.read_now(lambda tx: requests.first(tx, step)) is None
    assert store.read_now(lambda tx: requests.get(tx, 4711)) is None
