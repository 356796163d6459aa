"""The line between parent and worker."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from mwl.supervisor.line import Gone, Line


async def said(what: str) -> Any:
    """Answer as a test wants it."""
    if what == "wrong":
        raise RuntimeError(what)
    if what == "never":
        await asyncio.Event().wait()
    return {"said": what}


@pytest.fixture
async def ends():
    """Both ends of a line."""
    one, other = socket.socketpair()
    found = await Line.open(one, said), await Line.open(other, said)
    yield found
    for end in found:
        await end.close()


async def test_both_ends_may_ask_at_once(ends):
    """Answers find their questions."""
    one, other = ends
    answers = await asyncio.gather(one.ask("a"), other.ask("b"), one.ask("c"))

    assert [each["said"] for each in answers] == ["a", "b", "c"]


async def test_a_question_that_fails_there_is_answered_here(ends):
    """And the line goes on."""
    one, _ = ends
    with pytest.raises(Gone):
        await one.ask("wrong")

    assert await one.ask("more") == {"said": "more"}


async def test_nobody_waits_longer_than_allowed(ends):
    """For one that is busy, or frozen."""
    one, _ = ends
    with pytest.raises(Gone):
        await one.ask("never", 0.01)


async def test_who_waits_hears_that_the_other_end_is_gone(ends):
    """And so does whoever asks later."""
    one, other = ends
    waiting = asyncio.create_task(one.ask("never", None))
    await one.ask("here")
    await other.close()

    with pytest.raises(Gone):
        await waiting
    with pytest.raises(Gone):
        await one.ask("more")
    assert one.over.done()
