"""Connections counted by address, and told of seldom."""

from __future__ import annotations

from mwl.crowd import Crowd, Full, Seldom


def test_an_address_has_its_share_and_all_have_theirs():
    """What is full is said: all together, or the one address."""
    crowd = Crowd()
    for address in ("a", "a", "b"):
        crowd.enter(address)

    assert crowd.full("a", 10, 2) is Full.ADDRESS
    assert crowd.full("b", 10, 2) is None
    assert crowd.full("b", 3, 2) is Full.TOTAL
    assert (crowd.total, crowd.of("a"), crowd.of("c")) == (3, 2, 0)


def test_an_address_without_a_connection_is_forgotten():
    """Whoever comes from a thousand addresses, one after the other, costs nothing."""
    crowd = Crowd()
    for number in range(1000):
        crowd.enter(str(number))
        crowd.leave(str(number))

    assert (crowd.total, len(crowd._from)) == (0, 0)


def test_a_flood_is_told_once_a_minute_with_its_count():
    """The first at once."""
    now = 0.0
    seldom = Seldom(60.0, lambda: now)
    first = [seldom.due("x") for _ in range(3)]
    now = 60.0
    later = [seldom.due("x") for _ in range(2)]

    assert first == [1, 0, 0]
    assert later == [3, 0]
    assert seldom.due("y") == 1


def test_what_was_told_is_bounded():
    """A peer may make up names without end."""
    seldom = Seldom()
    for number in range(5000):
        seldom.due(number)

    assert len(seldom._told) == 1000
