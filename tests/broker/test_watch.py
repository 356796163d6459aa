"""A change of a file is noticed once it has settled, and only if the file says something else."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from mwl.broker.watch import Watch


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A file that was last written an hour ago."""
    path = tmp_path / "ct.yaml"
    put(path, "profile: ct\n", age=3600)
    return path


def put(path: Path, text: str, age: float = 0) -> None:
    """Write a file as if so many seconds ago."""
    path.write_text(text)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def watching(folder: Path) -> Watch:
    """Watch a folder's profiles, which are known as they are."""
    watch = Watch(lambda: sorted(folder.glob("*.yaml")), every=0)
    watch.note()
    return watch


def looks(watch: Watch, times: int = 3) -> list[bool]:
    """Look at the files several times."""
    return [watch._changed() for _ in range(times)]


def test_a_change_is_told_once_two_looks_agree(profile):
    """At the first look somebody may still be writing; what was told is known."""
    watch = watching(profile.parent)
    assert looks(watch) == [False, False, False]

    put(profile, "profile: mr\n")

    assert looks(watch, 4) == [False, True, False, False]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: put(path.with_name("mr.yaml"), "profile: mr\n"),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("mr.yaml")),
        lambda path: (put(path.with_name("new"), "profile: x\n"), path.with_name("new").replace(path)),
    ],
    ids=["new", "gone", "renamed", "replaced"],
)
def test_files_that_come_and_go_are_changes(profile, change):
    """Editors write beside the file and rename."""
    watch = watching(profile.parent)

    change(profile)

    assert looks(watch) == [False, True, False]


def test_a_file_that_was_only_touched_has_not_changed(profile):
    """The contents decide."""
    watch = watching(profile.parent)

    put(profile, profile.read_text())

    assert looks(watch) == [False, False, False]


def test_a_change_that_leaves_time_and_size_as_they_were_is_seen_while_the_file_is_young(tmp_path):
    """A file system that counts whole seconds tells nothing of a second change in one of them."""
    path = tmp_path / "ct.yaml"
    put(path, "profile: ct\n")
    watch = watching(tmp_path)
    looks(watch)
    stamp = path.stat()

    path.write_text("profile: mr\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert looks(watch, 1) == [True]


def test_what_is_being_read_is_no_change(profile):
    """A reload at SIGHUP takes the change with it."""
    watch = watching(profile.parent)
    put(profile, "profile: mr\n")
    looks(watch, 1)

    watch.note()

    assert looks(watch) == [False, False, False]


def test_who_does_not_want_it_is_told_nothing(profile):
    """Not even that the files are others than when it was last wanted, once they were read."""
    wanted = False
    watch = Watch(lambda: [profile], wanted=lambda: wanted, every=0)
    watch.note()
    put(profile, "profile: mr\n")
    assert looks(watch) == [False, False, False]

    watch.note()
    wanted = True

    assert looks(watch) == [False, False, False]


async def test_a_change_is_awaited(profile):
    """The loop goes on meanwhile."""
    watch = watching(profile.parent)
    waiting = asyncio.create_task(watch.change())

    put(profile, "profile: mr\n")

    await asyncio.wait_for(waiting, 30)


def test_files_that_cannot_be_looked_at_are_told_of_once(profile, caplog):
    """A network file system may be away for a while."""
    away = True

    def files():
        if away:
            raise OSError(5, "Input/output error")
        return [profile]

    watch = Watch(files, every=0)
    with caplog.at_level(logging.WARNING, "mwl"):
        assert looks(watch) == [False, False, False]

    (told,) = [each for each in caplog.records if each.getMessage() == "files cannot be watched"]
    assert told.fields == {"reason": "Input/output error"}
    away = False
    assert looks(watch) == [False, True, False]
