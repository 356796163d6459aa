"""A set on record, laid out again as files."""

from __future__ import annotations

import pytest

from mwl.errors import Refused
from mwl.store.profile_sets import LARGEST, ProfileSet, SetEntry, SiteFile
from mwl.workbench.in_use import laid_out


def kept(**files: bytes) -> ProfileSet:
    """Return a set of files; ``__`` in a name is a slash."""
    named = {name.replace("__", "/"): SiteFile.of(raw) for name, raw in files.items()}
    return ProfileSet(SetEntry(7, "2026-07-05T08:00:00+00:00", "d", "eng", "start"), named)


def test_the_files_are_as_they_were_and_gone_afterwards():
    """In the folders they were in."""
    with laid_out(kept(devices__ct="profile: 王".encode(), tables__exams=b"a,b\n")) as folder:
        found = {
            path.relative_to(folder).as_posix(): path.read_text("utf-8")
            for path in folder.rglob("*")
            if path.is_file()
        }

    assert found == {"devices/ct": "profile: 王", "tables/exams": "a,b\n"}
    assert not folder.exists()


def test_a_set_without_the_text_of_a_file_is_refused():
    """Half a set would answer something else."""
    with (
        pytest.raises(Refused, match="set 7: tables/exams was too large to be kept"),
        laid_out(kept(tables__exams=b"x" * (LARGEST + 1))),
    ):
        pass


@pytest.mark.parametrize("name", ["../outside.yaml", "/etc/outside.yaml", "devices/../../outside.yaml"])
def test_nothing_is_written_elsewhere(name, tmp_path):
    """Whatever a name in the database says."""
    entry = SetEntry(7, "2026-07-05T08:00:00+00:00", "d", "eng", "start")

    with (
        pytest.raises(Refused, match="is no file of a site's folder"),
        laid_out(ProfileSet(entry, {name: SiteFile.of(b"x")})),
    ):
        pass
