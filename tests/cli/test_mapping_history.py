"""`mwl mapping history` and `rollback`: what was in use, what changed, and back to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mwl import broker, config
from mwl.broker.history import site_files, take
from mwl.store import Store, profile_sets

CT = "profile: ct\nstatus: hypothesis\n"
LIMITED = f"{CT}limit: {{max: 7}}\n"


class Site:
    """A folder of profiles, and a broker's record of what it used."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self._root, self._store = folder / "mappings", folder, store

    def write(self, name: str, text: str) -> None:
        path = self.folder / "devices" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def text(self, name: str) -> str:
        return (self.folder / "devices" / f"{name}.yaml").read_text()

    def goes_into_use(self, reason: str = "file change") -> None:
        """Record the files as a broker does."""
        taken = take(config.load(self._root / "mwl.yaml", {}))
        self._store.write_now(
            lambda tx: profile_sets.record(tx, taken.digest, taken.files, who="mwl@host:1", reason=reason)
        )

    @property
    def reasons(self) -> list[str]:
        return [entry.reason for entry in self._store.read_now(profile_sets.browse)]


@pytest.fixture
def site(tmp_path, database) -> Site:
    """Two sets were in use: without a limit, and with one."""
    made = Site(tmp_path, database)
    made.write("ct", CT)
    made.goes_into_use("start")
    made.write("ct", LIMITED)
    made.write("mr", CT.replace("ct", "mr"))
    made.goes_into_use()
    return made


def test_the_sets_are_listed_with_what_changed(mwl, site):
    """The newest first."""
    outcome = mwl("mapping", "history")

    assert outcome.code == 0
    head, newest, first = outcome.out.splitlines()
    assert head.split() == ["SET", "AT", "BY", "WHY", "CHANGED"]
    assert newest.split()[0] == "2"
    assert newest.endswith("mwl@host:1  file change  devices/ct.yaml devices/mr.yaml")
    assert first.endswith("mwl@host:1  start        devices/ct.yaml")
    assert [(each["set"], each["why"], each["used"]) for each in mwl("mapping", "history", "--json").json] == [
        (2, "file change", True), (1, "start", True),
    ]  # fmt: skip
    assert len(mwl("mapping", "history", "--limit", "1", "--json").json) == 1


def test_of_one_set_it_is_shown_what_it_changed(mwl, site):
    """As a difference to the set before."""
    outcome = mwl("mapping", "history", "2")

    assert outcome.code == 0
    assert "against set 1" in outcome.out
    assert "--- a/devices/ct.yaml" in outcome.out
    assert "+limit: {max: 7}" in outcome.out
    shown = mwl("mapping", "history", "2", "--json").json
    assert shown["files"]["devices/ct.yaml"] == LIMITED
    assert "+limit: {max: 7}" in shown["diff"]
    assert "the first on record" in mwl("mapping", "history", "1").out
    assert mwl("mapping", "history", "9").code == 1


def test_a_set_in_which_no_file_of_the_site_changed_says_so(mwl, site, database):
    """Another version of the broker shipped other profiles."""
    files = site_files(site.folder)
    database.write_now(lambda tx: profile_sets.record(tx, "other", files, who="x", reason="start"))

    assert "no file of the site" in mwl("mapping", "history").out
    assert "the profiles that ship do" in mwl("mapping", "history", "3").out


def test_the_set_before_comes_back(mwl, site):
    """Changed files are as they were, new ones are gone; the record says who brought it back."""
    outcome = mwl("mapping", "rollback", "--yes")

    assert outcome.code == 0
    assert "-limit: {max: 7}" in outcome.out
    assert outcome.err.splitlines() == [
        "written: mappings/devices/ct.yaml",
        "removed: mappings/devices/mr.yaml",
    ]
    assert site.text("ct") == CT
    assert not (site.folder / "devices" / "mr.yaml").exists()
    assert site.reasons == ["rollback to 1", "file change", "start"]


def test_what_a_broker_finds_after_a_rollback_is_on_record_already(mwl, site):
    """It takes the files over and adds nothing."""
    mwl("mapping", "rollback", "--yes")

    site.goes_into_use()

    assert site.reasons == ["rollback to 1", "file change", "start"]


def test_after_a_change_that_was_refused_the_set_in_use_comes_back(mwl, site):
    """It never went into use: what it said is kept beside, and is not where the next rollback leads."""
    site.write("ct", f"{CT}nonsense: 1\n")

    assert mwl("mapping", "rollback", "--yes").code == 0

    assert site.text("ct") == LIMITED
    assert site.reasons == ["rollback to 2", "put aside before rollback to 2", "file change", "start"]
    assert mwl("mapping", "rollback", "--yes").code == 0
    assert site.text("ct") == CT


def test_any_set_can_be_named(mwl, site):
    """One that the files are already is no work; an unknown one is an error."""
    assert mwl("mapping", "rollback", "1", "--yes").code == 0
    assert site.text("ct") == CT

    again = mwl("mapping", "rollback", "1", "--yes")

    assert (again.code, again.err) == (0, "the files of mappings are those of set 1 already\n")
    assert mwl("mapping", "rollback", "9", "--yes").code == 1


def test_nothing_is_written_unless_it_is_wanted(mwl, site, monkeypatch):
    """The question is asked after the difference was shown."""
    import click

    asked = []
    monkeypatch.setattr(click, "confirm", lambda text, **options: asked.append(text) or _no())

    outcome = mwl("mapping", "rollback")

    assert outcome.code == 1
    assert asked == ["Write mappings back to set 1?"]
    assert site.text("ct") == LIMITED
    assert site.reasons == ["file change", "start"]


def _no():
    import click

    raise click.Abort


def test_a_set_that_does_not_fit_the_configuration_of_now_is_refused(mwl, site, tmp_path):
    """With the mistake at its line; no file is touched."""
    with (tmp_path / "mwl.yaml").open("a") as file:
        file.write("devices: {MR1: {profile: mr}}\n")

    outcome = mwl("mapping", "rollback", "--yes")

    assert outcome.code == 1
    assert "mwl.yaml:2:26: error: there is no profile 'mr'" in outcome.err
    assert "nothing was written: set 1 does not fit any more" in outcome.err
    assert site.text("ct") == LIMITED
    assert site.reasons == ["file change", "start"]


def test_without_another_set_there_is_no_way_back(mwl, database, tmp_path):
    """A new site has no history."""
    outcome = mwl("mapping", "rollback", "--yes")

    assert outcome.code == 1
    assert "no other set was in use" in outcome.err
    assert mwl("mapping", "history").out.splitlines() == ["SET  AT  BY  WHY  CHANGED"]


def test_a_wrong_set_is_no_set(site, tmp_path):
    """What a broker cannot bind it does not record."""
    site.write("ct", "profile: ct\n")

    with pytest.raises(broker.profiles.BadDocument):
        site.goes_into_use()
