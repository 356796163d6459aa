"""A set that goes into use is put on record with the files it was made of; nothing waits for that."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from pathlib import Path

import pytest

from mwl.broker import history
from mwl.broker.history import ELSEWHERE, History, site_files, take, whoever
from mwl.errors import BadDocument, Unavailable
from mwl.store import open_store, profile_sets

PROFILE = "profile: ct\nstatus: hypothesis\n"


@pytest.fixture
def folder(file) -> Path:
    """The site's folder, with one profile."""
    found = file.folder / "mappings"
    (found / "devices").mkdir(parents=True)
    (found / "devices" / "ct.yaml").write_text(PROFILE)
    return found


def test_the_files_that_count_are_those_that_profiles_are_made_of(folder):
    """Profiles of both sides, and tables below any folder; not what an editor leaves behind."""
    for name in ("systems/ours.yaml", "tables/site/exams.csv", "tables/catalogue.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    for name in ("devices/ct.yaml~", "devices/.ct.yaml.swp", "notes.yaml"):
        (folder / name).write_text("")

    assert sorted(site_files(folder)) == [
        "devices/ct.yaml",
        "systems/ours.yaml",
        "tables/catalogue.yaml",
        "tables/site/exams.csv",
    ]
    assert site_files(folder)["devices/ct.yaml"].text == PROFILE


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    """Nor does a file that goes away while it is looked at."""
    assert site_files(tmp_path / "nowhere") == {}
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "gone.yaml").symlink_to(tmp_path / "nowhere")
    assert site_files(tmp_path) == {}


def test_a_comment_makes_another_set_and_no_other_profile(file, folder):
    """The record is exact; what is told as changed is what changed for a device."""
    before = take(file.load())
    (folder / "devices" / "ct.yaml").write_text(f"{PROFILE}# for the new scanner\n")

    after = take(file.load())

    assert after.digest != before.digest
    assert after.profiles.changed(before.profiles) == []


def test_a_set_is_recorded_with_the_files_it_was_made_of(file, folder, monkeypatch):
    """Somebody writes while the profiles are bound: they are bound again."""
    path, bind = folder / "devices" / "ct.yaml", history.bind
    late = iter([f"{PROFILE}limit: {{max: 7}}\n"])

    def bind_late(configuration):
        profiles = bind(configuration)
        for text in late:
            path.write_text(text)
        return profiles

    monkeypatch.setattr(history, "bind", bind_late)

    taken = take(file.change("profile: generic}\nsystems", "profile: ct}\nsystems"))

    assert taken.files["devices/ct.yaml"].text.endswith("limit: {max: 7}\n")
    assert taken.profiles.devices["CT1"].limit.max == 7


def test_a_wrong_set_is_not_taken(file, folder):
    """Nor recorded."""
    (folder / "devices" / "ct.yaml").write_text("profile: ct\n")

    with pytest.raises(BadDocument):
        take(file.load())


def test_who_does_something_has_a_name_wherever_it_runs(monkeypatch):
    """In a container the account may have none."""
    assert whoever().endswith(f":{os.getpid()}")

    def nobody():
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(history.getpass, "getuser", nobody)
    assert whoever().startswith(f"{os.getuid()}@")


async def test_sets_are_recorded_in_the_order_in_which_they_went_into_use(file, folder):
    """`stop` waits for the last; the set that is on record already is not recorded again."""
    store = open_store(file.load().database)
    kept = History(store)
    first = take(file.load())
    (folder / "devices" / "ct.yaml").write_text(f"{PROFILE}limit: {{max: 7}}\n")
    second = take(file.load())

    for taken, reason in ((first, "start"), (first, "SIGHUP"), (second, "file change")):
        kept.note(taken, reason)
    await kept.stop()

    entries = await store.read(profile_sets.browse)
    assert [(entry.reason, entry.digest) for entry in entries] == [
        ("file change", second.digest),
        ("start", first.digest),
    ]
    await store.close()


async def test_a_set_that_cannot_be_recorded_is_used_all_the_same(file, folder, caplog):
    """The log says that the history lacks it."""

    class Away:
        async def write(self, work):
            await asyncio.sleep(0)
            raise Unavailable("the store is closed")

    kept = History(Away())
    with caplog.at_level(logging.WARNING, "mwl"):
        kept.note(take(file.load()), "start")
        await kept.stop()

    (told,) = [each for each in caplog.records if each.getMessage() == "profile set not recorded"]
    assert told.fields == {"reason": "the store is closed"}


async def test_what_another_broker_took_into_use_is_heard_of_once(file, folder):
    """And what this one did, or put aside, not at all; whose files say the same as before answers nothing."""
    store = open_store(file.load().database)
    here, there = History(store, every=0.0), History(store)
    first = take(file.load())
    (folder / "devices" / "ct.yaml").write_text(f"{PROFILE}limit: {{max: 7}}\n")
    second = take(file.load())
    here.note(first, "start")
    await here.stop()
    there.note(first, "start")
    await there.stop()
    hearing = asyncio.create_task(here.elsewhere())
    await store.write(
        lambda tx: profile_sets.record(tx, "x", {}, who="", reason=f"{profile_sets.ASIDE} before rollback")
    )
    there.note(second, "SIGHUP")
    async with asyncio.timeout(30):
        await hearing
    here.note(first, ELSEWHERE)
    await here.stop()
    entries = await store.read(profile_sets.browse)
    here.note(second, ELSEWHERE)
    again = asyncio.create_task(here.elsewhere())
    there.note(first, "SIGHUP")
    async with asyncio.timeout(30):
        await again

    assert [entry.reason for entry in entries if entry.used] == ["SIGHUP", "start"]
    await there.stop()
    await store.close()


async def test_a_set_that_is_taken_into_use_here_meanwhile_is_no_news(file, folder):
    """Workers are told to reload at the same time, and none of them because of another."""
    store = open_store(file.load().database)
    here, there = History(store, every=0.0), History(store)
    first = take(file.load())
    (folder / "devices" / "ct.yaml").write_text(f"{PROFILE}limit: {{max: 7}}\n")
    second = take(file.load())
    here.note(first, "start")
    await here.stop()
    looks, enough, read = itertools.count(1), asyncio.Event(), store.read

    async def once(work):
        found, look = await read(work), next(looks)
        if look == 1:  # it has seen the other's set
            here.note(second, "SIGHUP")
        if look == 5:
            enough.set()
        return found

    there.note(second, "SIGHUP")
    await there.stop()
    store.read = once
    hearing = asyncio.create_task(here.elsewhere())
    await enough.wait()

    assert not hearing.done()
    hearing.cancel()
    await here.stop()
    await store.close()
