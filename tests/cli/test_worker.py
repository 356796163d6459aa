"""A worker as its parent meets it."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

from mwl.supervisor import Line

WRITTEN = 'database: sqlite:///{0}.db\ndicom: {{listen: "127.0.0.1:0"}}\nhl7: {{listen: "127.0.0.1:0"}}\n'


async def start(folder: Path, database: str) -> tuple[asyncio.subprocess.Process, Line, asyncio.Event]:
    """Start a worker whose parent began with *database*."""
    (folder / "mwl.yaml").write_text(WRITTEN.format("mine") + 'web: {listen: "127.0.0.1:0"}\n')
    ours, theirs = socket.socketpair()
    ready = asyncio.Event()

    async def answer(what: str) -> Any:
        if what == "ready":
            ready.set()
        return database if what == "database" else {"2": None}

    orders = {"worker": 1, "path": str(folder / "mwl.yaml"), "line": theirs.fileno(), "sockets": {}}
    code = "import sys; from mwl.cli.worker import main; sys.exit(main(sys.argv[1]))"
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, json.dumps(orders), pass_fds=[theirs.fileno()], cwd=folder,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    return process, await Line.open(ours, answer), ready


async def test_it_does_what_the_parent_says_and_ends(tmp_path):
    """Ready, asked how it is, told to read its files, told to stop."""
    process, line, ready = await start(tmp_path, "sqlite:///mine.db")
    await asyncio.wait_for(ready.wait(), 60)
    standing, figures = await line.ask("readiness"), await line.ask("figures")
    await line.ask("reload", None)
    await line.ask("stop")
    _, said = await asyncio.wait_for(process.communicate(), 60)
    events = [json.loads(each) for each in said.decode().splitlines()]
    await line.close()

    assert standing is True
    assert "mwl_worklist_query_seconds" in {family[0] for family in figures}
    names = [each["event"] for each in events]
    assert names.index("reloaded") < names.index("draining") < names.index("stopped")
    assert {each["worker"] for each in events} == {1}
    assert "ready" not in names  # the parent says so of all
    assert process.returncode == 0


async def test_it_does_not_start_on_another_database_than_the_others(tmp_path):
    """The file was changed after they began; it would be a second truth."""
    process, line, _ = await start(tmp_path, "sqlite:///theirs.db")
    _, said = await asyncio.wait_for(process.communicate(), 60)
    await line.close()

    assert process.returncode == 78
    assert b"all workers have to be restarted" in said
