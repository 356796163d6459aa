"""The parent of workers, with workers that do nothing but speak on the line."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mwl import config, logs
from mwl.errors import Unavailable
from mwl.supervisor import Failed, Supervisor

WORKER = """
import asyncio, json, os, socket, sys
from mwl.supervisor.line import Line

async def work(orders):
    stop = asyncio.Event()
    async def answer(what):
        if what == "stop" and not os.path.exists("deaf"):
            stop.set()
        if what == "reload":
            with open(f"reloaded{orders['worker']}", "w") as told:
                json.dump(await line.ask("figures"), told)
        return [what, orders["worker"]]
    line = await Line.open(socket.socket(fileno=orders["line"]), answer)
    for numbers in orders["sockets"].values():
        for number in numbers:
            socket.socket(fileno=number).listen()
    print(json.dumps(orders["worker"]), file=open(f"began{orders['worker']}", "a"))
    if os.path.exists("broken"):
        sys.exit(78)
    await line.ask("ready", None)
    await stop.wait()
    await line.close()

asyncio.run(work(json.loads(sys.argv[1])))
"""


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Supervisor]]:
    """Make supervisors of such workers; what is not drained is ended."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "worker.py").write_text(WORKER)
    listen = 'listen: "127.0.0.1:0"'
    (tmp_path / "mwl.yaml").write_text(f"dicom: {{{listen}}}\nhl7: {{{listen}}}\nweb: {{{listen}}}\n")
    made: list[Supervisor] = []

    def supervisor(count: int = 2) -> Supervisor:
        found = config.load(tmp_path / "mwl.yaml", {})
        command = [sys.executable, str(tmp_path / "worker.py")]
        made.append(Supervisor(found, count, None, command=lambda orders: [*command, orders], pause=0.01))
        return made[-1]

    yield supervisor
    for each in made:
        each.abort()
        await each.drain()


def processes(supervisor: Supervisor) -> dict[int, asyncio.subprocess.Process]:
    """Return the processes by the numbers of their workers."""
    return {number: worker.process for number, worker in supervisor._workers.items()}


Next = Callable[[str], Any]


@pytest.fixture
async def told() -> AsyncIterator[Next]:
    """Wait for the next event of a name, and return its fields."""
    came: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    end = logs.observe(lambda level, name, fields: came.put_nowait((name, fields)))

    async def following(name: str) -> Any:
        async with asyncio.timeout(60):
            while (found := await came.get())[0] != name:
                pass
        return found[1]

    yield following
    end()


async def test_ready_is_said_when_all_accept(make, told):
    """With the addresses: all are bound, to real ports."""
    supervisor = make(3)
    await supervisor.start()
    ready = await told("ready")

    assert ready == {**{name: str(at) for name, at in supervisor.addresses.items()}, "workers": 3}
    for at in supervisor.addresses.values():
        socket.create_connection((at.host, at.port), timeout=10).close()
    await supervisor.drain()
    assert [each.returncode for each in processes(supervisor).values()] == [0, 0, 0]


async def test_a_worker_that_ends_is_started_anew(make, told):
    """Under its number; the others go on."""
    supervisor = make(2)
    await supervisor.start()
    first, second = processes(supervisor).values()
    first.kill()
    ended = await told("worker ended")
    await told("worker accepts again")
    after = processes(supervisor)

    assert (ended["worker"], ended["code"], ended["again_in_s"]) == (1, -9, 0.01)
    assert after[1] is not first
    assert after[1].returncode is None
    assert after[2] is second


async def test_a_worker_that_cannot_start_again_is_tried_again_and_again(make, told, tmp_path):
    """The pause doubles; a drain does not wait for it."""
    supervisor = make(2)
    await supervisor.start()
    (tmp_path / "broken").touch()
    processes(supervisor)[2].kill()
    pauses = [(await told("worker ended"))["again_in_s"] for _ in range(3)]
    await supervisor.drain()

    assert pauses == [0.01, 0.02, 0.04]


async def test_a_worker_for_which_there_is_no_process_is_tried_again(make, told, monkeypatch):
    """A machine that was out of memory for a moment has all its workers again."""
    supervisor = make(1)
    await supervisor.start()
    commands = iter((["/nowhere"], ["/nowhere"]))
    real = supervisor._command
    monkeypatch.setattr(supervisor, "_command", lambda orders: next(commands, None) or real(orders))
    processes(supervisor)[1].kill()
    ended = await told("worker ended")
    reason = (await told("worker not started"))["reason"]
    again = await told("worker ended")
    await told("worker accepts again")

    assert reason == "No such file or directory"
    assert again["again_in_s"] > ended["again_in_s"]


async def test_a_reload_does_not_wait_for_a_worker_that_is_frozen(make, told, tmp_path):
    """Else an order to stop would never be heard; it reloads when it goes on."""
    supervisor = make(1)
    await supervisor.start()
    supervisor._reloaded_within = 0.1
    processes(supervisor)[1].send_signal(signal.SIGSTOP)
    await supervisor.reload()
    processes(supervisor)[1].send_signal(signal.SIGCONT)
    await supervisor.drain()

    assert (await told("worker has not reloaded yet")) == {"worker": 1}
    assert (tmp_path / "reloaded1").exists()


async def test_a_broker_whose_first_worker_cannot_start_does_not(make, tmp_path):
    """Its exit code is the broker's, and no other is tried."""
    (tmp_path / "broken").touch()
    supervisor = make(2)

    with pytest.raises(Failed) as caught:
        await supervisor.start()

    assert caught.value.code == 78
    assert not (tmp_path / "began2").exists()


async def test_an_address_that_is_taken_is_told(make, tmp_path):
    """Before any worker is started."""
    supervisor = make(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = (tmp_path / "mwl.yaml").read_text()
        (tmp_path / "mwl.yaml").write_text(
            text.replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}", 1)
        )
        supervisor = make(2)

        with pytest.raises(Unavailable, match="cannot listen on 127"):
            await supervisor.start()

    assert not (tmp_path / "began1").exists()


async def test_a_reload_reaches_all_and_each_may_ask_of_the_others(make, tmp_path):
    """It has been done by every worker when it returns; questions go through the parent."""
    supervisor = make(2)
    await supervisor.start()
    await supervisor.reload()

    told = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("reloaded*")}
    assert told == {"reloaded1": {"2": ["figures", 2]}, "reloaded2": {"1": ["figures", 1]}}


async def test_an_abort_ends_workers_that_do_not_hear(make, tmp_path):
    """The second call to stop."""
    supervisor = make(2)
    await supervisor.start()
    (tmp_path / "deaf").touch()
    draining = asyncio.create_task(supervisor.drain())
    supervisor.abort()
    await draining

    assert [each.returncode for each in processes(supervisor).values()] == [-9, -9]
