"""Sets of profiles that were in use are on record with their files, once each, and the record is bounded."""

from __future__ import annotations

import pytest

from mwl.store import Store, profile_sets
from mwl.store.profile_sets import ASIDE, SiteFile

ONE = {"devices/our-ct.yaml": SiteFile.of(b"profile: our-ct\n")}
TWO = {"devices/our-ct.yaml": SiteFile.of(b"profile: our-ct\nlimit: {max: 5}\n")}


def record(store: Store, digest: str, files: dict[str, SiteFile], reason: str = "start") -> int | None:
    return store.write_now(
        lambda tx: profile_sets.record(tx, digest, files, who="anna@host:1", reason=reason)
    )


def test_a_set_is_on_record_with_the_text_of_its_files(store: Store) -> None:
    """Who, why, and every file by its path in the site's folder."""
    key = record(store, "a", ONE, "SIGHUP")

    found = store.read_now(lambda tx: profile_sets.get(tx, key))
    assert (found.entry.digest, found.entry.who, found.entry.reason) == ("a", "anna@host:1", "SIGHUP")
    assert found.files == ONE
    assert found.files["devices/our-ct.yaml"].text == "profile: our-ct\n"


def test_the_set_that_is_in_use_already_is_not_recorded_again(store: Store) -> None:
    """A restart adds nothing; going back to an earlier set does."""
    keys = [
        record(store, digest, files) for digest, files in (("a", ONE), ("a", ONE), ("b", TWO), ("a", ONE))
    ]

    assert [key is not None for key in keys] == [True, False, True, True]
    entries = store.read_now(profile_sets.browse)
    assert [entry.digest for entry in entries] == ["a", "b", "a"]


def test_the_set_before_another_is_found(store: Store) -> None:
    """The first has none before it, an unknown number is no set."""
    first, second = record(store, "a", ONE), record(store, "b", TWO)

    def work(tx):
        return profile_sets.before(tx, second), profile_sets.before(tx, first), profile_sets.get(tx, 99)

    before, nothing, unknown = store.read_now(work)
    assert (before.entry.key, nothing, unknown) == (first, None, None)


def test_what_was_put_aside_was_not_in_use(store: Store) -> None:
    """A rollback keeps what the files said; going back must not end there."""
    record(store, "a", ONE)
    record(store, "b", TWO, f"{ASIDE} before rollback to 1")

    assert [entry.used for entry in store.read_now(profile_sets.browse)] == [False, True]


def test_the_latest_sets_are_kept_and_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number."""
    monkeypatch.setattr(profile_sets, "KEPT", 3)
    for number in range(5):
        record(store, str(number), ONE)

    assert [entry.digest for entry in store.read_now(profile_sets.browse)] == ["4", "3", "2"]


def test_large_sets_push_older_ones_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By size; the newest is kept however large it is."""
    monkeypatch.setattr(profile_sets, "TOTAL", 3000)
    large = {"tables/all.csv": SiteFile.of(b"x" * 2000)}
    for number in range(3):
        record(store, str(number), large)
    assert [entry.digest for entry in store.read_now(profile_sets.browse)] == ["2", "1"]

    record(store, "3", {"tables/all.csv": SiteFile.of(b"x" * 9000)})

    assert store.read_now(profile_sets.browse)[0].digest == "3"


@pytest.mark.parametrize("raw", [b"x" * (profile_sets.LARGEST + 1), b"\xff\xfe", b"a\0b"])
def test_of_a_file_that_is_no_text_or_too_large_the_fingerprint_is_kept(store: Store, raw: bytes) -> None:
    """It tells whether the file is still the same."""
    key = record(store, "a", {"tables/all.csv": SiteFile.of(raw)})

    (file,) = store.read_now(lambda tx: profile_sets.get(tx, key)).files.values()
    assert file == SiteFile.of(raw)
    assert (file.text, file.octets, len(file.sha256)) == (None, len(raw), 64)
