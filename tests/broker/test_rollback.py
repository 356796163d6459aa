"""Files go back to what they were: all of them, checked before, each whole at every moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from mwl.broker import rollback
from mwl.broker.history import site_files
from mwl.broker.rollback import carry_out, changes, judged, plan, unified
from mwl.errors import Refused
from mwl.store.profile_sets import LARGEST, SiteFile

CT = "profile: ct\nstatus: hypothesis\n"


@pytest.fixture
def folder(file) -> Path:
    """The site's folder."""
    found = file.folder / "mappings"
    put(found, "devices/ct.yaml", f"{CT}limit: {{max: 7}}\n")
    put(found, "devices/mr.yaml", "profile: mr\nstatus: hypothesis\n")
    return found


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def kept(**files: str) -> dict[str, SiteFile]:
    """Return files by their names without folder and ending."""
    return {f"devices/{name}.yaml": SiteFile.of(text.encode()) for name, text in files.items()}


EARLIER = kept(ct=CT, us="profile: us\nstatus: hypothesis\n")


def test_the_files_become_what_they_were(file, folder):
    """Changed ones are written, new ones removed, removed ones are back; nothing else is left behind."""
    planned = plan(folder, site_files(folder), EARLIER)

    assert judged(file.load(), planned).profiles is not None
    carry_out(planned)

    assert site_files(folder) == EARLIER
    assert sorted(path.name for path in (folder / "devices").iterdir()) == ["ct.yaml", "us.yaml"]


def test_a_file_keeps_its_permissions_and_its_line_ends(folder):
    """It is written as it was read."""
    path = folder / "devices" / "ct.yaml"
    path.chmod(0o640)

    carry_out(plan(folder, site_files(folder), kept(ct="profile: ct\r\n", mr="profile: mr\n")))

    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes() == b"profile: ct\r\n"


def test_a_set_that_does_not_fit_any_more_is_told_with_the_places_it_would_have(file, folder):
    """The configuration names a profile that the set does not have; one of its own is wrong."""
    configuration = file.change("profile: generic}\nsystems", "profile: mr}\nsystems")

    found = judged(configuration, plan(folder, site_files(folder), kept(ct="profile: ct\nnonsense: 1\n")))

    told = [str(problem).replace(f"{file.folder}/", "") for problem in found.problems]
    assert found.profiles is None
    assert any(line.startswith("mwl.yaml:8:18: error: there is no profile 'mr'") for line in told)
    assert any(
        line.startswith("mappings/devices/ct.yaml:2:1: error: unknown key 'nonsense'") for line in told
    )
    assert site_files(folder)["devices/ct.yaml"].text.endswith("limit: {max: 7}\n")


def test_a_file_whose_text_was_not_kept_stays_and_is_named(folder):
    """A large table is known by its fingerprint alone."""
    put(folder, "tables/all.csv", "a,b\n")
    large = SiteFile.of(b"x" * (LARGEST + 1))

    planned = plan(folder, site_files(folder), {**site_files(folder), "tables/all.csv": large})

    assert (planned.left, bool(planned)) == (("tables/all.csv",), False)
    assert list(unified(site_files(folder), {"tables/all.csv": large}))[-1].startswith(
        "tables/all.csv: differs"
    )


@pytest.mark.parametrize(
    "name", ["../mwl.yaml", "devices/../../x.yaml", "/etc/passwd", "tables/.git/x.csv", "x"]
)
def test_nothing_is_written_outside_the_places_of_profiles(folder, name):
    """Rule 5: what a database holds is no path."""
    planned = plan(folder, site_files(folder), {**site_files(folder), name: SiteFile.of(b"x")})

    assert not planned


def test_a_disk_that_is_full_changes_nothing(folder, monkeypatch):
    """Every file is written beside its place before the first is put there."""
    before = site_files(folder)
    written = []

    def fsync(handle):
        written.append(handle)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(rollback.os, "fsync", fsync)

    with pytest.raises(Refused, match="nothing was changed: No space left on device"):
        carry_out(plan(folder, before, EARLIER))

    assert site_files(folder) == before
    assert sorted(path.name for path in (folder / "devices").iterdir()) == ["ct.yaml", "mr.yaml"]


def test_a_difference_is_shown_as_programmers_know_it(folder):
    """New and removed files are told from /dev/null."""
    now = site_files(folder)

    assert changes(now, EARLIER) == ["devices/ct.yaml", "devices/mr.yaml", "devices/us.yaml"]
    lines = list(unified(now, EARLIER))
    assert lines[:2] == ["--- a/devices/ct.yaml", "+++ b/devices/ct.yaml"]
    assert "-limit: {max: 7}" in lines
    assert "+++ /dev/null" in lines
    assert "--- /dev/null" in lines
    assert list(unified(now, now)) == []
