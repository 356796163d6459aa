"""What a process costs, from /proc: time on the processors, and memory."""

from __future__ import annotations

import os
import resource
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KIB = 1024  # bytes


def processor_time(process: int) -> float:
    """Return the seconds a process has spent on the processors."""
    words = _stat(process)
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def family_time(process: int) -> float:
    """Return the seconds that a process and those it started have spent, those that have ended included."""
    words = _stat(process)
    spent = sum(int(each) for each in words[11:15]) / os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end meanwhile
            if int(_stat(int(folder.name))[1]) == process:
                spent += processor_time(int(folder.name))
    return spent


def _stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def memory(process: int) -> float:
    """Return how much of the memory a process holds (KiB): its resident set."""
    return _status(process, "VmRSS")


def peak(process: int) -> float:
    """Return the most it has held (KiB) since it began, or since `forget_peak`."""
    return _status(process, "VmHWM")


def forget_peak(process: int) -> None:
    """Have `peak` begin anew."""
    Path(f"/proc/{process}/clear_refs").write_text("5", "ascii")


def _status(process: int, field: str) -> float:
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return float(value.split()[0])
    raise RuntimeError(f"/proc does not tell {field}")


def allow_files(count: int) -> None:
    """Let this process, and those it starts, have so many files open; as many as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


class Costs:
    """What a piece of work costs a broker and the server of its database, on the processors."""

    def __init__(self, process: int, database: Callable[[], float]) -> None:
        self._process, self._database = process, database
        self.broker: list[float] = []
        self.database: list[float] = []

    @contextmanager
    def of(self, count: Callable[[], float]) -> Iterator[None]:
        """Take what is spent inside, shared among *count* things (ms each)."""
        ours, theirs = processor_time(self._process), self._database()
        yield
        self.broker.append((processor_time(self._process) - ours) * 1000 / count())
        self.database.append((self._database() - theirs) * 1000 / count())

    def figures(self) -> dict[str, float]:
        """Return the medians."""
        return {
            "processor ms": statistics.median(self.broker),
            "database processor ms": statistics.median(self.database),
        }
