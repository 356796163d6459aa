"""A deadline that moves."""

from __future__ import annotations

import asyncio

from mwl.dicom.deadline import Deadline

TICK = 0.02  # seconds


async def test_a_deadline_is_missed_once() -> None:
    """When its time has come the owner hears of it, and not again."""
    missed: list[float] = []
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    began = loop.time()
    Deadline(lambda: missed.append(loop.time())).set(TICK)
    loop.call_later(5 * TICK, over.set)
    await over.wait()

    assert len(missed) == 1
    assert missed[0] - began >= TICK


async def test_a_deadline_may_move_either_way() -> None:
    """It is missed where it was put last, later or earlier than before."""
    loop = asyncio.get_running_loop()
    order: list[str] = []
    over = asyncio.Event()
    later, earlier = Deadline(lambda: order.append("later")), Deadline(lambda: order.append("earlier"))
    later.set(TICK)
    earlier.set(60.0)
    later.set(6 * TICK)
    earlier.set(2 * TICK)
    loop.call_later(9 * TICK, over.set)
    await over.wait()

    assert order == ["earlier", "later"]


async def test_a_deadline_that_is_cleared_or_dropped_is_not_missed() -> None:
    """Nobody hears of it."""
    missed: list[int] = []
    over = asyncio.Event()
    cleared, dropped = Deadline(lambda: missed.append(1)), Deadline(lambda: missed.append(2))
    cleared.set(TICK)
    dropped.set(TICK)
    cleared.clear()
    dropped.drop()
    asyncio.get_running_loop().call_later(3 * TICK, over.set)
    await over.wait()

    assert missed == []
