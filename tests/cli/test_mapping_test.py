"""``mwl mapping test``: what is run, what is told, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

PROFILE = """\
profile: our-ct
status: partial
set: {{AdmissionID: A17}}
tests:
  - name: the admission
    query: {{PatientName: "", AdmissionID: ""}}
    steps: [{{}}]
    expect: {{items: [{{AdmissionID: {expected}}}]}}
"""


@pytest.fixture
def site(tmp_path: Path):
    """A site with a profile that carries an example, and a folder of drafts."""

    def write(expected: str = "A17", path: str = "mappings/devices/our-ct.yaml") -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PROFILE.format(expected=expected))
        return file

    (tmp_path / "mwl.yaml").write_text("mappings: mappings\n")
    return write


def test_examples_that_hold_end_well(mwl, site):
    """A row an example, and the sum on stderr."""
    site()

    done = mwl("mapping", "test", "our-ct")

    assert (done.code, done.err) == (0, "1 run, 0 failed\n")
    assert [line.split() for line in done.out.splitlines()] == [
        ["PROFILE", "EXAMPLE", "RESULT"],
        ["our-ct", "the", "admission", "ok"],
    ]


def test_an_example_that_fails_is_told_with_its_line(mwl, site):
    """File, line and column of what was expected; what is; and the line that made it so."""
    site("A18")

    done = mwl("mapping", "test", "our-ct")

    assert (done.code, done.err) == (1, "1 run, 1 failed\n")
    here = "mappings/devices/our-ct.yaml"
    message = f"item 1, AdmissionID: expected 'A18', is 'A17' (set, {here}:3)"
    assert done.out.splitlines()[-2:] == ["our-ct: the admission", f"  {here}:8:23: {message}"]


def test_the_result_is_json_for_programs(mwl, site):
    """With the place of each mistake."""
    site("A18")

    done = mwl("mapping", "test", "our-ct", "--json")

    (found,) = done.json
    assert (found["profile"], found["example"], found["ok"], found["line"]) == (
        "our-ct",
        "the admission",
        False,
        5,
    )
    assert [(each["line"], each["column"]) for each in found["mistakes"]] == [(8, 23)]


def test_all_profiles_are_run_where_none_is_named(mwl, site):
    """The site's and the shipped ones."""
    site("A18")

    done = mwl("mapping", "test", "--json")

    assert {each["profile"] for each in done.json} >= {"our-ct", "generic", "ge-ct-connectpro"}
    assert {each["profile"] for each in done.json if not each["ok"]} == {"our-ct"}


def test_a_draft_beside_the_folder_is_run_in_the_place_of_its_namesake(mwl, site):
    """Before it goes live."""
    site("A18")
    site("A17", "drafts/our-ct.yaml")

    assert mwl("mapping", "test", "drafts/our-ct.yaml").code == 0
    assert mwl("mapping", "test", "our-ct").code == 1


def test_an_unknown_profile_is_wrong_usage(mwl, site):
    """With the name that was meant."""
    site()

    done = mwl("mapping", "test", "our-cd")

    assert done.code == 2
    assert "there is no profile and no file 'our-cd': did you mean 'our-ct'?" in done.err


def test_a_file_without_a_profile_is_wrong_usage(mwl, site, tmp_path):
    """It must not mean all profiles."""
    site("A18")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")

    done = mwl("mapping", "test", "empty.yaml")

    assert done.code == 2
    assert "empty.yaml holds no profile" in done.err


def test_a_wrong_profile_is_reported_at_its_line(mwl, site, tmp_path):
    """As everywhere: 78, and all mistakes."""
    file = site()
    file.write_text(file.read_text().replace("query:", "qery:"))

    done = mwl("mapping", "test")

    assert done.code == 78
    assert "mappings/devices/our-ct.yaml:6:5: error: unknown key 'qery': did you mean 'query'?" in done.err
