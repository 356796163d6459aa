"""What a thread settles reaches who waits for it in the loop, many results at one wake-up."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from mwl.store.handover import Gathering, Handover


async def waiting(handover: Handover, futures: list[Future[int]]) -> list[asyncio.Task[int]]:
    """Tasks that wait for the futures, and have begun to."""
    tasks = [asyncio.create_task(handover.result(each)) for each in futures]
    await asyncio.sleep(0)
    return tasks


async def test_each_gets_its_own_result_or_error() -> None:
    """What is settled side by side arrives at whom it belongs to."""
    futures: list[Future[int]] = [Future() for _ in range(3)]
    tasks = await waiting(Handover(), futures)

    def settle() -> None:
        futures[1].set_exception(ValueError("no"))
        futures[0].set_result(0)
        futures[2].set_result(2)

    await asyncio.to_thread(settle)

    assert (await tasks[0], await tasks[2]) == (0, 2)
    with pytest.raises(ValueError, match="no"):
        await tasks[1]


async def test_what_is_settled_together_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight results cost one wake-up, and what comes after it wakes the loop again."""
    loop, woken = asyncio.get_running_loop(), []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda call: (woken.append(call), wake(call)))
    handover = Handover()
    for _ in range(2):
        futures: list[Future[int]] = [Future() for _ in range(8)]
        tasks = await waiting(handover, futures)
        for number, each in enumerate(futures):
            each.set_result(number)

        assert [await task for task in tasks] == list(range(8))

    assert len(woken) == 2


async def test_who_is_cancelled_cancels_what_has_not_begun() -> None:
    """Nobody does what nobody waits for; and its end, which comes late, disturbs nobody."""
    futures: list[Future[int]] = [Future(), Future()]
    assert futures[1].set_running_or_notify_cancel()
    tasks = await waiting(Handover(), futures)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    futures[1].set_result(1)

    assert futures[0].cancelled()
    assert all(task.cancelled() for task in tasks)


async def test_what_was_settled_before_anybody_waits_arrives() -> None:
    """A change may be done before its caller comes to wait."""
    done: Future[int] = Future()
    done.set_result(1)

    assert await Handover().result(done) == 1


async def test_what_one_turn_of_the_loop_brings_is_taken_together() -> None:
    """What comes in a later turn is taken for itself."""
    taken: list[list[int]] = []
    gathering = Gathering(taken.append)

    async def bring(number: int) -> None:
        gathering.add(number)

    await asyncio.gather(*map(bring, range(3)))
    await asyncio.sleep(0)
    gathering.add(3)
    await asyncio.sleep(0)

    assert taken == [[0, 1, 2], [3]]


async def test_what_is_settled_together_arrives_when_the_last_is() -> None:
    """Nobody goes on before that; to wake a loop that has nothing to take is no harm."""
    handover = Handover()
    handover.wake()
    futures: list[Future[int]] = [Future() for _ in range(2)]
    tasks = [asyncio.create_task(handover.result(each, together=True)) for each in futures]
    await asyncio.sleep(0)
    futures[0].set_result(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not tasks[0].done()

    futures[1].set_result(1)
    handover.wake()

    assert [await task for task in tasks] == [0, 1]
