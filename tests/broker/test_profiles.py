"""Names become profiles: all of them or none."""

from __future__ import annotations

import pytest

from mwl.broker import bind
from mwl.errors import BadDocument


def test_every_name_gets_its_profile(file):
    """Devices and systems, with the site's facts."""
    profiles = bind(file.load())

    assert {title: each.name for title, each in profiles.devices.items()} == {"CT1": "generic"}
    assert {name: each.name for name, each in profiles.systems.items()} == {"RIS": "generic"}
    assert (profiles.site.name, profiles.zone.key) == ("HOSP", "Europe/Berlin")


def test_the_problems_of_both_sides_come_at_once(file):
    """Profiles that do not exist, on either side, and a message the profile cannot word."""
    file.change("CT1: {profile: generic}", "CT1: {profile: generik}")
    file.change(
        "application: RIS, profile: generic",
        'application: RIS, profile: generic, status: {to: "127.0.0.1:1", message: ZZZ^Z99}',
    )

    with pytest.raises(BadDocument) as caught:
        bind(file.load())

    first, second = str(caught.value).splitlines()
    assert "there is no profile 'generik' for devices: did you mean 'generic'?" in first
    assert "has no status message 'ZZZ^Z99'" in second
    assert "mwl.yaml:10:" in second


def test_a_variable_the_profile_does_not_have_is_a_problem(file):
    """`vars:` of a device are checked against its profile."""
    file.change("CT1: {profile: generic}", "CT1: {profile: generic, vars: {nonsense: 1}}")

    with pytest.raises(BadDocument, match="nonsense"):
        bind(file.load())


def test_a_profile_of_the_site_shadows_the_shipped_one(file):
    """The configured folder is searched first."""
    folder = file.folder / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "generic.yaml").write_text("profile: generic\nnonsense: 1\n")

    with pytest.raises(BadDocument, match=r"generic.yaml:2:1"):
        bind(file.load())
